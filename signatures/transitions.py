"""The verbs of signing, with their consequences: a rejection rejects, the last signature asked for approves; what was signed is
withdrawn, decided on, or retired by another signature."""

import uuid
from collections.abc import Callable, Sequence

from django.db import transaction
from django.http import HttpRequest

from accounts.identity import Credentials
from accounts.models import Qualification, Sitting, User
from accounts.permissions import may
from audit import reasons, trail
from audit.actions import Action
from records import transitions as records
from records.models import Version
from records.transitions import lock, move_locked
from signatures import mail
from signatures.meanings import OF_THE_ROUTE, Meaning, Outcome
from signatures.models import Signature, Step
from signatures.queries import OPEN_STATES, who_could_sign
from signatures.requests import complete, lapse_rest
from signatures.signing import signing

Approved = Callable[[Version, User], None]
Signed = Callable[[Signature], None]
Retired = Callable[[Version, User], None]


def sign(
    intent: uuid.UUID,
    meaning: str,
    *,
    signer: User,
    credentials: Credentials,
    sitting: Sitting,
    request: HttpRequest | None = None,
    reason: str = "",
    reviewed: bool = False,
    approved: Approved | None = None,
    signed: Signed | None = None,
) -> Signature:
    """Sign one version. `approved(version, signer)` is what its kind does when the last signature is there, `signed(signature)`
    what follows each; both run in the same transaction and take the signature with them if they fail."""
    return sign_all(
        [intent],
        meaning,
        signer=signer,
        credentials=credentials,
        sitting=sitting,
        request=request,
        reason=reason,
        reviewed=reviewed,
        approved=approved,
        signed=signed,
    )[0]


def sign_all(
    intents: Sequence[uuid.UUID],
    meaning: str,
    *,
    signer: User,
    credentials: Credentials,
    sitting: Sitting,
    request: HttpRequest | None = None,
    reason: str = "",
    reviewed: bool = False,
    approved: Approved | None = None,
    signed: Signed | None = None,
) -> list[Signature]:
    """Sign a list of versions with one code, each opened and with an intent of its own (`intents.open_list`): all of them or
    none (§2 row 16). `reviewed`: the signer has looked through the trail of each, which an approval needs. An act about a
    signature or about what is in effect has a verb of its own, with its own consequences, and is refused here."""
    if meaning not in OF_THE_ROUTE:
        raise trail.Refused(
            "This meaning is not signed here.", action=Action.SIGNATURE_REFUSED, subject=signer, by=signer,
            detail={"why": "meaning"},
        )  # fmt: skip
    with signing(
        intents,
        meaning,
        signer=signer,
        credentials=credentials,
        sitting=sitting,
        request=request,
        reason=reason,
        reviewed=reviewed,
    ) as signatures:
        for signature in signatures:
            _consequence(signature, signer, reason, approved)
            if signed:
                signed(signature)
    return signatures


def withdraw(
    intent: uuid.UUID,
    *,
    signer: User,
    credentials: Credentials,
    sitting: Sitting,
    request: HttpRequest | None = None,
    reason: str,
    signed: Signed | None = None,
) -> Signature:
    """Take one's own signature back, which stays and is shown struck through (§2 row 14).

    In review its step is asked for again, and so is what was signed after it. An approved version stays approved, and quality
    decides what becomes of it. A reading that is withdrawn is no training any more.
    """
    with signing(
        [intent], Meaning.WITHDRAWAL, signer=signer, credentials=credentials, sitting=sitting, request=request, reason=reason
    ) as [signature]:  # fmt: skip
        about = _about(signature)
        said = about.get_meaning_display().lower()
        detail = {"signature": str(about.pk), "withdrawal": str(signature.pk), "said": said}
        trail.record(Action.SIGNATURE_WITHDRAWN, signature.version, by=signer, reason=reason, detail=detail)
        if about.meaning == Meaning.READING:
            _untrain(about, signer)
        _ask_again(signature, f"{about.printed_name} withdrew a signature", by=signer)
        if signed:
            signed(signature)
    return signature


def decide(
    intent: uuid.UUID,
    outcome: str,
    *,
    signer: User,
    credentials: Credentials,
    sitting: Sitting,
    request: HttpRequest | None = None,
    reason: str,
    signed: Signed | None = None,
) -> Signature:
    """Sign, as quality, whether a signature under review stands (§2 row 19). One that falls in review is asked for again."""
    with signing(
        [intent], Meaning.DISPOSITION, signer=signer, credentials=credentials, sitting=sitting, request=request,
        reason=reason, outcome=outcome,
    ) as [signature]:  # fmt: skip
        about = _about(signature)
        said = f"the {about.get_meaning_display().lower()} by {about.printed_name} {outcome}"
        detail = {"signature": str(about.pk), "disposition": str(signature.pk), "outcome": outcome, "said": said}
        trail.record(Action.SIGNATURE_DECIDED, signature.version, by=signer, reason=reason, detail=detail)
        if outcome == Outcome.FALLS:
            if about.meaning == Meaning.READING:
                _untrain(about, signer)
            _ask_again(signature, f"The signature of {about.printed_name} does not stand", by=signer)
        if signed:
            signed(signature)
    return signature


def retire(
    intent: uuid.UUID,
    *,
    signer: User,
    credentials: Credentials,
    sitting: Sitting,
    request: HttpRequest | None = None,
    reason: str,
    retired: Retired | None = None,
    signed: Signed | None = None,
) -> Signature:
    """Take a version out of effect, for good, by a signature. `retired(version, signer)` is what its kind does then, in the same
    transaction."""
    with signing(
        [intent], Meaning.RETIREMENT, signer=signer, credentials=credentials, sitting=sitting, request=request, reason=reason
    ) as [signature]:  # fmt: skip
        signature.version = records.retire(signature.version, by=signer, reason=reason)
        if retired:
            retired(signature.version, signer)
        if signed:
            signed(signature)
    return signature


def _about(signature: Signature) -> Signature:
    assert signature.about is not None  # signing() has refused anything else
    return signature.about


def _untrain(reading: Signature, by: User) -> None:
    rows = Qualification.objects.filter(user=reading.signer_id, version_id=reading.version_id, met_at__isnull=False)
    for row in rows.select_related("user"):
        row.met_at = None
        row.save(update_fields=["met_at"])
        detail = {"version": row.label, "met": False, "signature": str(reading.pk)}
        trail.record(Action.QUALIFICATION_SET, row.user, by=by, detail=detail)


def _ask_again(signature: Signature, why: str, *, by: User) -> None:
    """Open a step anew for the signature that this one is about, which counts no more, and for those given after it, which
    relied on it. The version is the one that this signing has locked: approved meanwhile, it asks for nothing again."""
    version, about = signature.version, _about(signature)
    place = version.steps.filter(signature=about, voided="").values_list("place", flat=True).first()
    if place is None or version.state not in OPEN_STATES:
        return
    fallen = [version.steps.get(signature=about)]
    fallen += version.steps.filter(place__gt=place, signature__isnull=False, voided="")
    for step in fallen:
        step.voided = f"{why}: this step is asked for again."
        step.save(update_fields=["voided"])
    Step.objects.bulk_create(
        [
            Step(version=version, place=step.place, meaning=step.meaning, sentence=step.sentence, role=step.role,
                 assignee=step.assignee, due_at=step.due_at, row=step.row, needed=step.needed)
            for step in fallen
        ]
    )  # fmt: skip
    # Who was asked for no more is asked again, where the quorum is gone with a signature.
    for step in fallen:
        version.steps.filter(place=step.place, row=step.row, lapsed_at__isnull=False).update(lapsed_at=None)
    detail = {"signatures": [str(step.signature_id) for step in fallen]}
    trail.record(Action.STEP_VOIDED, version, by=by, reason=why, detail=detail)
    mail.tell_next(version)


def _consequence(signature: Signature, signer: User, reason: str, approved: Approved | None) -> None:
    if signature.meaning == Meaning.REJECTION:
        move_locked(signature.version, "reject", by=signer, reason=reason)
        return
    if step := getattr(signature, "step", None):
        lapse_rest(step, by=signer)
    if complete(signature.version):
        move_locked(signature.version, "approve", by=signer)
        if approved:
            approved(signature.version, signer)
    else:
        mail.tell_next(signature.version)


def may_reassign(step: Step, user: User) -> bool:
    """The one who asked, the one who is asked (before a holiday, say), and any approver who may see the version."""
    return user.pk in (step.version.request.opened_by_id, step.assignee_id) or may(user, "sign.approve", step.version)


def reassign(step: Step, to: User, *, by: User, reason: str) -> Step:
    """Ask another person of the role for this signature; they sign as themselves, and nobody signs for another (§2 row 12).
    Raises ReassignRefused."""
    with transaction.atomic(durable=True):
        version = lock(step.version)
        step = Step.objects.select_for_update(no_key=True, of=("self",)).select_related("assignee").get(pk=step.pk)
        step.version = version
        _check_reassign(step, to, by, reason)
        before = step.assignee
        step.assignee = to
        step.save(update_fields=["assignee"])
        detail = {
            "step": str(step.pk),
            "from": before.legal_name if before else f"any {step.role}",
            "to": to.legal_name,
        }
        trail.record(Action.STEP_REASSIGNED, version, by=by, reason=reason.strip(), detail=detail)
        mail.tell_next(version)
    return step


class ReassignRefused(trail.Refused):
    """The signature stays asked of whom it was asked."""

    def __init__(self, message: str, version: Version, by: User, status: int) -> None:
        super().__init__(message, action=Action.STEP_REFUSED, subject=version, by=by)
        self.status = status


def _check_reassign(step: Step, to: User, by: User, reason: str) -> None:
    wrong, status = "", 409
    if not may_reassign(step, by):
        wrong, status = "Who asked for the signature, whom it is asked of, or an approver may ask somebody else.", 403
    elif step.signature_id or step.lapsed_at or step.version.state not in OPEN_STATES:
        wrong = "This signature is not waited for any more."
    elif step.meaning == Meaning.RESPONSIBILITY:
        wrong = "A report is answered for by whoever made it."
    elif to.pk == step.assignee_id:
        wrong = f"{to} is asked already."
    elif not who_could_sign(step).filter(pk=to.pk).exists():
        wrong = (
            f"{to} cannot sign this step: it takes a {step.role} of the record's area who wrote nothing of the version and is "
            "not asked to sign it elsewhere."
        )
    elif told := reasons.fault(reason):
        wrong, status = told, 400
    if wrong:
        raise ReassignRefused(wrong, step.version, by, status)
