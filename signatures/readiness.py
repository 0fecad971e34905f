"""Whether those who are asked to sign could, as things are now. Said early, so that it is mended before their turn; the signing
itself asks again, and it alone refuses."""

from collections.abc import Iterator
from datetime import datetime

from accounts import rights
from accounts.models import User
from accounts.roles import PERMISSIONS, Role
from records.models import Version
from signatures.models import Signature, Step
from signatures.queries import who_could_sign
from signatures.requests import may_decide
from signatures.signing import spared

# What somebody lacks whose right to sign does not meet a condition, by its name.
LACKS = {
    "suspicion": "the account is under suspicion",
    "identity": "the identity is not proved by somebody else",
    "accountability": "accountability is not acknowledged",
    "letter": "the letter to the agency is neither filed nor waived",
    "policy": "no e-signature SOP is in effect",
    "training": "the training on the e-signature SOP is missing",
    "device": f"no device was tested within {rights.TESTED_WITHIN.days} days",
    "hold": "signing is held after password and device were both set anew",
}


def obstacles(version: Version, now: datetime) -> Iterator[str]:
    """A sentence for each person asked by name who lacks something, and for each role of which nobody may be asked. What is
    missing is named without its particulars: the rest is the person's own affair."""
    steps = Step.objects.unsigned().filter(version=version).select_related("version__record__type", "assignee")
    for step in steps.order_by("place", "pk"):
        if step.assignee is None:
            if not who_could_sign(step).exists():
                role = Role(step.role).label
                yield f"Nobody in the area may sign as {role} now: an administrator gives somebody the role."
            continue
        gaps = rights.gaps(step.assignee, now, spared=spared(step.meaning, version))
        if missing := [LACKS[gap.condition.name] for gap in gaps]:
            yield f"{step.assignee} cannot sign yet: {'; '.join(missing)}."


def somebody_decides(about: Signature) -> bool:
    """Whether there is anybody of quality in its record's area who may decide about this signature."""
    quality = User.objects.filter(is_active=True, groups__name__in=PERMISSIONS["sign.disposition"])
    return any(may_decide(about, person) for person in quality.filter(areas=about.version.record.area_id))
