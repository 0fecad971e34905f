"""What a signature brings about: what follows each, and what the last one does, by kind of record. The one place where the
kinds of floor 4 meet."""

from collections.abc import Callable

from accounts.models import User
from accounts.rights import WAIVED_FOR
from accounts.transitions import end_waiver, waive_letter
from audit import clock
from jobs.queue import enqueue_all
from portal import anchoring, posture, recertification, restoring, signed_mail, trail_reviews
from records.documents import effective_from
from records.kinds import Kind
from records.models import Version
from records.transitions import take_effect
from signatures import archive
from signatures.meanings import Meaning, Outcome
from signatures.models import Signature
from signatures.signing import LETTER_WAIVER
from sops import transitions as sops
from validation_docs import transitions as validation_docs


def approved(version: Version, signer: User) -> None:
    """Runs in the transaction of the last signature."""
    CONSEQUENCES[version.record.type.kind](version, signer)


def signed(signature: Signature) -> None:
    """Runs in the transaction of each signature: after the commit its proof goes under Object Lock, a checkpoint of the trail
    covers it, and the author hears of the last one by mail. A waiver ends with the approval that brought it about."""
    if _undoes_approval(signature) and signature.version.record.type_id == LETTER_WAIVER:
        end_waiver(signature.version, by=signature.signer, reason=signature.reason)
    enqueue_all([archive.asked(signature), anchoring.asked(signature), *signed_mail.asked(signature)])


def _undoes_approval(signature: Signature) -> bool:
    fallen = signature.meaning == Meaning.DISPOSITION and signature.outcome == Outcome.FALLS
    about = signature.about if signature.meaning == Meaning.WITHDRAWAL or fallen else None
    return about is not None and about.meaning == Meaning.APPROVAL


def retired(version: Version, signer: User) -> None:
    """Runs in the transaction of the signature that retires a version."""
    if version.record.type.kind == Kind.SOP:
        sops.retired(version, signer)


def _definition(version: Version, signer: User) -> None:
    take_effect(version, by=signer, at=effective_from(version))


def _data(version: Version, signer: User) -> None:
    """An approved data package has no effective date: each of its versions stands for itself."""


def _report(version: Version, signer: User) -> None:
    """A report has no effective date; what its approval brings about stands in `REPORTS`."""
    REPORTS[version.record.type_id](version, signer)


def _letter_waived(version: Version, signer: User) -> None:
    waive_letter(
        version,
        label=version.record.number,
        page=version.get_absolute_url(),
        reason=version.message,
        expires_at=clock.now() + WAIVED_FOR,
        by=signer,
    )


# By the code of the report's type. A type that is not listed cannot be approved.
REPORTS: dict[str, Callable[[Version, User], None]] = {
    "access_review": recertification.approved,
    "trail_review": trail_reviews.approved,
    "restore": restoring.approved,
    LETTER_WAIVER: _letter_waived,
    posture.BASELINE: posture.approved,
    posture.SNAPSHOT: posture.answered_for,
}

CONSEQUENCES: dict[str, Callable[[Version, User], None]] = {
    Kind.DATA: _data,
    Kind.DEFINITION: _definition,
    Kind.DOCUMENT: validation_docs.approved,
    Kind.SOP: sops.approved,
    Kind.REPORT: _report,
}
