"""The ceremony: the one place where a Signature comes into being (21 CFR 11.50, 11.70, 11.200).

`signing()` confirms the person before its transaction, so that a refused attempt stays on the trail and a spent code stays
spent; then, in one durable transaction, it locks, checks again, writes the signatures and hands over to the consequence.
"""

import hashlib
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.http import HttpRequest

from accounts import founding, identity, qualifications
from accounts.identity import Credentials
from accounts.models import Sitting, User
from accounts.permissions import may
from audit import clock, trail
from audit.actions import Action
from records import lifecycle, sealed
from records.models import Version
from signatures import intents, sealing, statement
from signatures.meanings import PERMISSIONS, SENTENCES, Meaning
from signatures.models import Intent, Signature, Step

REASON_LETTERS = 10


@dataclass(frozen=True)
class Act:
    """One version, signed with one meaning, through one intent."""

    version: Version
    intent: Intent
    meaning: str
    step: Step | None


def refusal(version: Version, signer: User, message: str, why: str) -> trail.Refused:
    return trail.Forbidden(message, action=Action.SIGNATURE_REFUSED, subject=version, by=signer, detail={"why": why})


@contextmanager
def signing(
    intent_ids: Sequence[uuid.UUID],
    meaning: str,
    *,
    signer: User,
    credentials: Credentials,
    sitting: Sitting,
    request: HttpRequest | None = None,
    reason: str = "",
) -> Iterator[list[Signature]]:
    """Sign the versions of the intents with one meaning, then run the body: one transaction, all or nothing.

    Yields the signatures, written and sealed. Raises `Refused` (each kind with its own sentence) before anything is written.
    """
    held = [intents.fetch(intent_id, signer, sitting) for intent_id in intent_ids]
    for intent in held:
        _check_reason(intent.version, signer, meaning, reason)
    asks_all = request is None or identity.asks_for_username(sitting, request)
    if asks_all and credentials.username.casefold().strip() != signer.username.casefold():
        raise refusal(
            held[0].version, signer, "Type your own user name: this is the first signing of this sitting.", "user name"
        )
    identity.confirm(signer, credentials, subject=held[0].version)
    for intent in held:
        intents.use(intent)
    sealing.ensure_key()

    with transaction.atomic(durable=True):
        # One person's statements form a chain, so one person's signings go one after the other.
        signer = User.objects.select_for_update(no_key=True).get(pk=signer.pk)
        now = clock.now()
        yield [_sign(_lock(intent, meaning), signer, reason, now) for intent in held]
        rows = Sitting.objects.filter(pk=sitting.pk)
        rows.update(last_signed_at=now, **({"signed_in_full_at": now} if asks_all else {}))


def _check_reason(version: Version, signer: User, meaning: str, reason: str) -> None:
    if meaning == Meaning.REJECTION and len(reason.strip()) < REASON_LETTERS:
        raise refusal(version, signer, f"A rejection needs a reason of at least {REASON_LETTERS} letters.", "no reason")


def _lock(intent: Intent, meaning: str) -> Act:
    version = (
        Version.objects.select_for_update(no_key=True, of=("self",))
        .select_related("record__type")
        .get(pk=intent.version_id)
    )
    step = Step.objects.select_for_update(no_key=True).get(pk=intent.step_id) if intent.step_id else None
    return Act(version, intent, meaning, step)


def _sign(act: Act, signer: User, reason: str, now: datetime) -> Signature:
    for check in CHECKS:
        check(act, signer)
    return _write(act, signer, reason, now)


def _write(act: Act, signer: User, reason: str, now: datetime) -> Signature:
    last = Signature.objects.filter(signer=signer).order_by("-signed_at").first()
    sentence = act.step.sentence if act.step and act.meaning == act.step.meaning else SENTENCES[act.meaning]
    row = Signature(
        id=uuid.uuid4(),
        version=act.version,
        signer=signer,
        printed_name=signer.legal_name,
        role=signer.role_label,
        meaning=act.meaning,
        sentence=sentence,
        reason=reason.strip(),
        signed_at=now,
        top_hash=act.version.top_hash,
        rendition_sha256=act.version.rendition_sha256,
        intent=act.intent,
        previous_sha256=last.statement_sha256 if last else "",
    )
    row.statement = statement.build(
        act.version,
        signature_id=str(row.pk),
        signer=str(signer.pk),
        printed_name=row.printed_name,
        role=row.role,
        meaning=row.meaning,
        sentence=row.sentence,
        reason=row.reason,
        step=str(act.step.pk) if act.step else "",
        signed_at=now,
        policy=qualifications.policy_in_force(signer),
        intent=str(act.intent.pk),
        previous=row.previous_sha256,
    )
    row.statement_sha256 = hashlib.sha256(row.statement).hexdigest()
    row.key, row.seal = sealing.seal(row.statement)
    row.save(force_insert=True)
    if act.step:
        act.step.signature = row
        act.step.save(update_fields=["signature"])
    trail.record(
        Action.SIGNATURE_APPLIED,
        act.version,
        by=signer,
        reason=row.reason,
        detail={
            "signature": str(row.pk),
            "meaning": row.meaning,
            "statement_sha256": row.statement_sha256,
            "top_hash": row.top_hash,
            "rendition_sha256": row.rendition_sha256,
            **founding.mark(),
        },
    )
    return row


# What must hold at the moment of the act, under lock; each check raises with its own sentence (11.10(f), (g), (i)).


def _state(act: Act, signer: User) -> None:
    if act.meaning == Meaning.READING:
        if act.version.state != lifecycle.State.APPROVED:
            raise refusal(act.version, signer, "Only an approved version can be read and understood.", "state")
    elif act.version.state != lifecycle.birth(act.version.lifecycle):
        raise refusal(
            act.version,
            signer,
            f"This version is {act.version.get_state_display().lower()}: it waits for no signature.",
            "state",
        )


def _turn(act: Act, signer: User) -> None:
    if act.step is None:
        return
    if act.step.signature_id:
        raise refusal(act.version, signer, "This step was signed already.", "signed already")
    if not Step.objects.waiting().filter(pk=act.step.pk).exists():
        raise refusal(
            act.version, signer, "It is not this step's turn: a signature before it is still missing.", "order"
        )
    if act.step.assignee_id not in (None, signer.pk):
        raise refusal(act.version, signer, "This signature is asked of somebody else.", "assignee")
    if act.step.role not in signer.roles:
        raise refusal(act.version, signer, f"This signature is asked of a {act.step.role}.", "role")


def _meaning(act: Act, signer: User) -> None:
    if act.meaning not in act.intent.meanings:
        raise refusal(act.version, signer, "The sign dialog was opened for another meaning.", "meaning")


def _authority(act: Act, signer: User) -> None:
    if not signer.usable_at(clock.now()) or not may(signer, PERMISSIONS[act.meaning], act.version):
        raise refusal(act.version, signer, "Your role does not include this signature.", "authority")


def _separation(act: Act, signer: User) -> None:
    """Who wrote any of it neither reviews nor approves it, whatever roles they hold (§2 row 11)."""
    if act.meaning == Meaning.READING:
        return
    if signer.pk == act.version.author_id or str(signer.pk) in act.version.contributors:
        raise refusal(
            act.version, signer, "You wrote this version, or part of it: somebody else must sign it.", "author"
        )
    if act.version.signatures.filter(signer=signer).exclude(meaning=Meaning.READING).exists():
        raise refusal(
            act.version,
            signer,
            "You signed this version already: each signature is another person's.",
            "signed already",
        )


def _qualification(act: Act, signer: User) -> None:
    if founding.is_over():
        missing = qualifications.overdue(signer, "signing", clock.now())
        if missing and act.meaning != Meaning.READING:
            raise refusal(act.version, signer, f"Your training is overdue: read {missing[0].label} first.", "training")
    elif act.version.record.type.kind not in founding.SIGNABLE:
        raise refusal(act.version, signer, "Signing opens when the first e-signature SOP is effective.", "founding")


def _shown(act: Act, signer: User) -> None:
    missing = intents.unopened_pages(act.intent, act.version)
    if missing:
        raise refusal(
            act.version,
            signer,
            f"Open every page before you sign: {len(missing)} of {act.version.rendition_pages} were "
            "not opened in this sitting.",
            "not opened",
        )


def _digests(act: Act, signer: User) -> None:
    if (act.intent.top_hash, act.intent.rendition_sha256) != (act.version.top_hash, act.version.rendition_sha256):
        raise refusal(act.version, signer, "The content changed while the dialog was open. Review it again.", "digest")
    wrong = sealed.contradictions(act.version)
    if wrong:
        raise refusal(act.version, signer, f"This version contradicts its own seal: {wrong[0]}", "seal")


CHECKS: Sequence[Callable[[Act, User], None]] = (
    _state,
    _meaning,
    _authority,
    _turn,
    _separation,
    _qualification,
    _shown,
    _digests,
)
