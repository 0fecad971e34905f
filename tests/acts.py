"""What people do, in one call each, through the same verbs as the pages: used by the firm's builder and by tests."""

from datetime import timedelta

from django.db import transaction

from accounts import codes
from accounts.identity import Credentials
from accounts.models import Area, CodeDevice, Membership, Sitting, User
from audit import clock, trail
from audit.actions import Action
from portal.consequences import approved, retired, signed
from records.models import Version
from signatures import intents, transitions
from signatures.meanings import Meaning, Outcome
from signatures.models import Intent, Opened, Signature, Step
from signatures.transitions import sign_all
from sops import transitions as sops
from tests.cast import PASSWORD, time_for_a_code


def code(user: User) -> str:
    return codes.code_at(CodeDevice.objects.get(user=user, withdrawn_at=None), time_for_a_code())


def credentials(user: User) -> Credentials:
    return Credentials(username=user.username, password=PASSWORD, code=code(user))


def sitting(user: User) -> Sitting:
    return Sitting.objects.create(user=user, address="127.0.0.1")


def open_pages(version: Version, where: Sitting) -> None:
    """As if every page image had been served in the sitting."""
    Opened.objects.bulk_create([
        Opened(sitting=where, rendition_sha256=version.rendition_sha256, page=page)
        for page in range(1, version.rendition_pages + 1)
    ], ignore_conflicts=True)  # fmt: skip


def waiting_step(version: Version, user: User) -> Step:
    """The step of the version whose turn it is and that the user may sign."""
    return Step.objects.awaiting(user).get(version=version)


def intend(version: Version, user: User, where: Sitting, step: Step | None = None) -> Intent:
    open_pages(version, where)
    return intents.open_for(version, user=user, sitting=where, step=step)


def sign(user: User, *versions: Version, meaning: str = "", reason: str = "") -> list[Signature]:
    """Open each, and sign all with one code, each version's own step of this user."""
    where = sitting(user)
    steps = [waiting_step(version, user) for version in versions]
    for version in versions:
        open_pages(version, where)
    opened = (
        intents.open_list(steps, user=user, sitting=where)
        if len(steps) > 1
        else [intents.open_for(versions[0], user=user, sitting=where, step=steps[0])]
    )
    return sign_all([intent.pk for intent in opened], meaning or steps[0].meaning, signer=user, credentials=credentials(user),
                    sitting=where, reason=reason, reviewed=True, approved=approved, signed=signed)  # fmt: skip


def read(user: User, version: Version) -> Signature:
    """Sign that the user has read and understood the version."""
    where = sitting(user)
    intent = intend(version, user, where)
    assert intent.meanings == [Meaning.READING]
    return sops.read(intent.pk, signer=user, credentials=credentials(user), sitting=where)


def retire(user: User, version: Version, reason: str) -> Signature:
    """Take the version out of effect by a signature."""
    where = sitting(user)
    intent = intents.open_for(version, user=user, sitting=where, meaning=Meaning.RETIREMENT)
    return transitions.retire(
        intent.pk,
        signer=user,
        credentials=credentials(user),
        sitting=where,
        reason=reason,
        retired=retired,
        signed=signed,
    )


def withdraw(user: User, signature: Signature, reason: str = "Signed the wrong version.") -> Signature:
    """Take one's own signature back."""
    where = sitting(user)
    intent = intents.open_for(signature.version, user=user, sitting=where, about=signature, meaning=Meaning.WITHDRAWAL)
    return transitions.withdraw(
        intent.pk, signer=user, credentials=credentials(user), sitting=where, reason=reason, signed=signed
    )


def decide(user: User, signature: Signature, outcome: str, reason: str = "Compared with the notebook.") -> Signature:
    """Decide, as quality, whether a signature under review stands."""
    where = sitting(user)
    intent = intents.open_for(signature.version, user=user, sitting=where, about=signature, meaning=Meaning.DISPOSITION)
    return transitions.decide(
        intent.pk, outcome, signer=user, credentials=credentials(user), sitting=where, reason=reason, signed=signed
    )


def approve_the_newest(firm) -> None:
    """The package that waits is approved."""
    sign(firm.approver, firm.kras.latest())


def approval_of(version: Version) -> Signature:
    return version.signatures.select_related("version__record__type").get(meaning=Meaning.APPROVAL)


def lose_the_approval(people, version: Version, ticking) -> Signature:
    """Its approver withdraws, and quality decides that the approval does not stand."""
    approval = approval_of(version)
    ticking.next_code()
    withdraw(people.approver, approval)
    decide(people.approver2, approval, Outcome.FALLS)
    ticking.next_code()
    return approval


def area_of_their_own(user: User, name: str = "Another laboratory, first by name") -> Area:
    """One that nobody else belongs to, and that comes first where areas are listed."""
    with transaction.atomic():
        area = Area.objects.create(name=name)
        trail.record(Action.AREA_CREATED, area, by=trail.SYSTEM)
        Membership.objects.create(user=user, area=area)
        trail.record(Action.USER_AREAS_CHANGED, user, by=trail.SYSTEM)
    return area


def in_days(days: float):
    with transaction.atomic():
        return clock.now() + timedelta(days=days)
