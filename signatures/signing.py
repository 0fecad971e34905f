"""The ceremony: the one place where a Signature comes into being (21 CFR 11.50, 11.70, 11.200).

`signing()` looks first at what may have changed since the dialog was opened, so that nobody spends a code in vain. It confirms
the person before its transaction, so that a refused attempt stays on the trail and a spent code stays spent; then, in one durable
transaction, it locks, checks all there is, writes the signatures and hands over to the consequence.
"""

import hashlib
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Any

from django.db import transaction
from django.http import HttpRequest

from accounts import accountability, founding, identity, qualifications, rights
from accounts.identity import Credentials
from accounts.models import Sitting, User, folded
from accounts.permissions import may
from audit import clock, clock_guard, reasons, trail
from audit.actions import Action
from records import lifecycle, sealed
from records.models import Version
from signatures import intents, sealing, standing, statement
from signatures.intents import AT_ONCE
from signatures.meanings import (
    DECISIONS,
    OF_THE_ROUTE,
    PERMISSIONS,
    SENTENCES,
    WITH_REASON,
    WITHDRAWABLE,
    Meaning,
    Outcome,
)
from signatures.models import Intent, PortalKey, Signature, Step
from signatures.requests import had_part, may_decide

LETTER_WAIVER = "letter_waiver"  # the type of the report that waives the letter of 11.100(c)


@dataclass(frozen=True)
class Act:
    """One version, signed with one meaning, through one intent, at one moment of the one clock (UTC), at which all is judged;
    `outcome` is what a disposition decides."""

    version: Version
    intent: Intent
    meaning: str
    step: Step | None
    at: datetime
    reviewed: bool = False
    outcome: str = ""

    @cached_property
    def founded(self) -> bool:
        """The founding ceremony is over, which it then is for good."""
        return founding.is_over()

    @property
    def about(self) -> Signature | None:
        return self.intent.about


Check = Callable[[Act, User], None]


class SignatureRefused(trail.Refused):
    """No signature came into being. The message tells the signer why; `why` says it in a word, for the trail."""

    def __init__(self, version: Version, signer: User, message: str, why: str, status: int = 403) -> None:
        super().__init__(message, action=Action.SIGNATURE_REFUSED, subject=version, by=signer, detail={"why": why})
        self.status = status


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
    reviewed: bool = False,
    outcome: str = "",
) -> Iterator[list[Signature]]:
    """Sign the versions of the intents with one meaning, then run the body: one transaction, all or nothing. Several intents
    must be those of one list (`intents.open_list`). `reviewed`: the signer says that they looked through what the trail says of
    each version, up to the entry that its intent names; an approval needs it.

    Yields the signatures, written and sealed, in the order of their versions' ids. Raises `Refused` (each kind with its own
    sentence) before anything is written.
    """
    held = [intents.fetch(intent_id, signer, sitting) for intent_id in intent_ids]
    held.sort(key=lambda intent: intent.version_id)  # one order of locks for everybody
    _check_list(held, signer)
    for intent in held:
        _check_reason(intent.version, signer, meaning, reason)
        _check(Act(intent.version, intent, meaning, intent.step, clock.now(), reviewed, outcome), signer, BEFORE_A_CODE)
    asks_all = request is None or identity.asks_for_username(sitting, request)
    if asks_all and folded(credentials.username) != signer.username_folded:
        raise SignatureRefused(
            held[0].version, signer, "Type your own user name: this signing asks for all components.", "user name"
        )
    key = sealing.ensure_key()
    # What was asked, and what the identity provider proved, is for us to say and not for the form.
    proof = None if credentials.password else intents.step_up(held)
    answered = replace(credentials, challenge=intents.challenge(held, meaning, outcome), proof=proof)
    components = identity.confirm(signer, answered, subject=held[0].version).components
    for intent in held:
        intents.use(intent)

    with transaction.atomic(durable=True):
        # One person's statements form a chain, so one person's signings go one after the other.
        signer = _locked(signer)
        identity.demand_open(sitting, signer, subject=held[0].version)
        signed = [_sign(_lock(intent, meaning, reviewed, outcome), signer, reason, components, key) for intent in held]
        yield signed
        last = signed[-1].signed_at
        rows = Sitting.objects.filter(pk=sitting.pk)
        rows.update(last_signed_at=last, **({"signed_in_full_at": last} if asks_all else {}))


def _check_list(held: Sequence[Intent], signer: User) -> None:
    if not 1 <= len(held) <= AT_ONCE or len({intent.version_id for intent in held}) < len(held):
        raise trail.Refused(
            f"Sign 1 to {AT_ONCE} different versions at once.",
            action=Action.SIGNATURE_REFUSED,
            subject=signer,
            by=signer,
        )
    listed = {intent.list_sha256 for intent in held}
    if listed != ({""} if len(held) == 1 and "" in listed else {intents.list_digest(held)}):
        raise SignatureRefused(
            held[0].version, signer, "This is not the list that was opened. Open the list again.", "list", 409
        )


def _check_reason(version: Version, signer: User, meaning: str, reason: str) -> None:
    if meaning in WITH_REASON and (told := reasons.fault(reason)):
        label = Meaning(meaning).label.lower()
        raise SignatureRefused(version, signer, f"A {label} needs a reason. {told}", "no reason", 400)


def _locked(signer: User) -> User:
    people = User.objects.select_for_update(no_key=True, of=("self",)).select_related("identity_proved_by")
    return people.get(pk=signer.pk)


def _lock(intent: Intent, meaning: str, reviewed: bool, outcome: str) -> Act:
    version = (
        Version.objects.select_for_update(no_key=True, of=("self",))
        .select_related("record__type")
        .get(pk=intent.version_id)
    )
    step = Step.objects.select_for_update(no_key=True).get(pk=intent.step_id) if intent.step_id else None
    if intent.about and intent.about.version_id == version.pk:
        intent.about.version = version  # what was looked at before the code may have moved meanwhile
    return Act(version, intent, meaning, step, clock.now(), reviewed, outcome)


def _sign(act: Act, signer: User, reason: str, components: str, key: PortalKey) -> Signature:
    _check(act, signer, ALWAYS)
    return _write(act, signer, reason, components, key)


def _check(act: Act, signer: User, checks: Sequence[Check]) -> None:
    for check in checks:
        check(act, signer)


def _write(act: Act, signer: User, reason: str, components: str, key: PortalKey) -> Signature:
    row = _row(act, signer, reason, components, key)
    step = str(act.step.pk) if act.step else ""
    row.statement = statement.build(row, step=step, policy=qualifications.policy_in_force(signer, act.at))
    row.statement_sha256 = hashlib.sha256(row.statement).hexdigest()
    row.seal = sealing.seal(row.statement, key)
    row.save(force_insert=True)
    if act.step:
        act.step.signature = row
        act.step.save(update_fields=["signature"])
    marked = {} if act.founded else founding.mark()
    trail.record(Action.SIGNATURE_APPLIED, act.version, by=signer, reason=row.reason, detail=_told(row) | marked)
    return row


def _row(act: Act, signer: User, reason: str, components: str, key: PortalKey) -> Signature:
    last = Signature.objects.filter(signer=signer).order_by("-signed_at").first()
    return Signature(
        id=uuid.uuid4(),
        version=act.version,
        signer=signer,
        printed_name=signer.legal_name,
        role=signer.role_label,
        meaning=act.meaning,
        sentence=_sentence(act),
        reason=reason.strip(),
        signed_at=act.at,
        about=act.about,
        outcome=act.outcome,
        accountability=accountability.REVISION,  # no act is spared the condition that it was acknowledged
        components=components,
        top_hash=act.version.top_hash,
        rendition_sha256=act.version.rendition_sha256,
        intent=act.intent,
        reviewed_to=act.intent.reviewed_to if act.reviewed else None,
        list_sha256=act.intent.list_sha256,
        previous_sha256=last.statement_sha256 if last else "",
        key=key,
    )


def _told(row: Signature) -> dict[str, Any]:
    """What the trail keeps of a signature; what there is none of is left out."""
    said = {
        "signature": str(row.pk),
        "meaning": row.meaning,
        "statement_sha256": row.statement_sha256,
        "top_hash": row.top_hash,
        "rendition_sha256": row.rendition_sha256,
    }
    maybe = {
        "reviewed_to": row.reviewed_to,
        "list_sha256": row.list_sha256,
        "about": str(row.about_id or ""),
        "outcome": row.outcome,
    }
    return said | {name: value for name, value in maybe.items() if value}


def _sentence(act: Act) -> str:
    if act.step and act.meaning == act.step.meaning:
        return act.step.sentence
    return DECISIONS[act.outcome] if act.meaning == Meaning.DISPOSITION else SENTENCES[act.meaning]


# What must hold at the moment of the act, under lock; each check raises with its own sentence (11.10(f), (g), (i)).


def _state(act: Act, signer: User) -> None:
    if act.meaning in (Meaning.WITHDRAWAL, Meaning.DISPOSITION):
        return  # they speak of a signature, whatever became of its version
    if act.meaning in (Meaning.READING, Meaning.RETIREMENT):
        if act.version.state != lifecycle.State.APPROVED:
            what = "read and understood" if act.meaning == Meaning.READING else "retired"
            raise SignatureRefused(act.version, signer, f"Only an approved version can be {what}.", "state")
    elif act.version.state != lifecycle.birth(act.version.lifecycle):
        raise SignatureRefused(
            act.version,
            signer,
            f"This version is {act.version.get_state_display().lower()}: it waits for no signature.",
            "state",
        )


def _turn(act: Act, signer: User) -> None:
    if act.step is None:
        return
    if act.step.version_id != act.version.pk:
        raise SignatureRefused(act.version, signer, "This step asks for a signature on another version.", "step", 409)
    if act.step.signature_id or act.step.voided:
        raise SignatureRefused(act.version, signer, "This step was signed already.", "signed already")
    if act.step.lapsed_at:
        raise SignatureRefused(
            act.version, signer, "Enough others signed at this place: this signature is asked for no more.", "lapsed"
        )
    if Step.objects.unsigned().before(act.version, act.step.place).exists():
        raise SignatureRefused(
            act.version, signer, "It is not this step's turn: a signature before it is still missing.", "order"
        )
    if act.step.assignee_id not in (None, signer.pk):
        raise SignatureRefused(act.version, signer, "This signature is asked of somebody else.", "assignee")
    if act.step.role not in signer.roles:
        raise SignatureRefused(act.version, signer, f"This signature is asked of a {act.step.role}.", "role")


def _meaning(act: Act, signer: User) -> None:
    if act.meaning not in act.intent.meanings:
        raise SignatureRefused(act.version, signer, "This meaning was not offered by the sign dialog.", "meaning", 400)


def _authority(act: Act, signer: User) -> None:
    if not signer.usable_at(act.at) or not may(signer, PERMISSIONS[act.meaning], act.version):
        raise SignatureRefused(act.version, signer, "Your role does not include this signature.", "authority")


def _separation(act: Act, signer: User) -> None:
    """Who wrote any of it neither reviews nor approves it, whatever roles they hold (§2 row 11)."""
    if act.meaning not in OF_THE_ROUTE:
        return
    if had_part(act.version, signer, act.step.meaning if act.step else act.meaning):
        raise SignatureRefused(
            act.version, signer, "You wrote this version, or part of it: somebody else must sign it.", "author"
        )
    if act.version.signatures.counting().filter(signer=signer).exists():
        raise SignatureRefused(
            act.version,
            signer,
            "You signed this version already: each signature is another person's.",
            "signed already",
        )


def _about(act: Act, signer: User) -> None:
    """A withdrawal is of one's own signature; a disposition is quality's, and never of one's own, nor of one on one's own text
    (§2 rows 11, 14 and 19). A signature is withdrawn again only where the withdrawal before does not count: that is not stored,
    and the version's lock, not a constraint, keeps it to one."""
    if act.meaning not in (Meaning.WITHDRAWAL, Meaning.DISPOSITION):
        return
    if act.about is None or act.about.version_id != act.version.pk:
        raise SignatureRefused(act.version, signer, "This speaks of no signature on this version.", "about", 409)
    stands = standing.of(act.about)
    if act.meaning == Meaning.WITHDRAWAL:
        if act.about.signer_id != signer.pk:
            raise SignatureRefused(act.version, signer, "Everybody withdraws their own signatures alone.", "about")
        if act.about.meaning not in WITHDRAWABLE or stands.withdrawn or stands.state == standing.FALLEN:
            raise SignatureRefused(act.version, signer, "This signature cannot be withdrawn (any more).", "about", 409)
        return
    if not may_decide(act.about, signer):
        raise SignatureRefused(
            act.version, signer, "Somebody else decides about your signature, or your text.", "about"
        )
    if act.outcome not in Outcome.values:
        raise SignatureRefused(act.version, signer, "Say whether the signature stands.", "outcome", 400)
    if not stands.to_decide:
        raise SignatureRefused(act.version, signer, "Nothing is to be decided about this signature.", "about", 409)


def _right(act: Act, signer: User) -> None:
    """The one list of conditions (`accounts/rights.py`), and what the first day allows."""
    if not act.founded and act.version.record.type.kind not in founding.SIGNABLE:
        raise SignatureRefused(
            act.version, signer, "Signing opens when the first e-signature SOP is effective.", "founding"
        )
    for gap in rights.gaps(signer, act.at, founded=act.founded, spared=spared(act.meaning, act.version)):
        raise SignatureRefused(act.version, signer, gap.finding.sentence, gap.condition.name)


def spared(meaning: str, version: Version) -> set[str]:
    """Conditions that this act does not wait for, because it is what mends them, or because waiting would do harm."""
    conditions: set[str] = set()
    if meaning == Meaning.READING:  # it is the training; the letter's waiver needs trained signers
        conditions |= {"training", "policy", "letter"}
    if meaning == Meaning.WITHDRAWAL:  # an error is said at once
        conditions |= {"training", "policy", "letter"}
    if version.record.type.kind in founding.SIGNABLE:  # one of these is the SOP that is missing
        conditions.add("policy")
    if version.record.type.code == LETTER_WAIVER:
        conditions.add("letter")
    return conditions


def _shown(act: Act, signer: User) -> None:
    if act.meaning not in OF_THE_ROUTE and act.meaning != Meaning.READING:
        return  # what they are about was opened when it was signed
    missing = intents.unopened_pages(act.intent, act.version)
    if missing:
        raise SignatureRefused(
            act.version,
            signer,
            f"Open every page before you sign. Not opened in this sitting: {_pages(missing)} of "
            f"{act.version.rendition_pages}.",
            "not opened",
            409,
        )


def _reviewed(act: Act, signer: User) -> None:
    """The trail is reviewed with the record, before it is approved (FDA, Data Integrity Q&A)."""
    if act.meaning == Meaning.APPROVAL and not act.reviewed:
        raise SignatureRefused(
            act.version,
            signer,
            "Look through what the trail says of this version, and tick that you have reviewed it.",
            "not reviewed",
            400,
        )


def _pages(numbers: Sequence[int]) -> str:
    """`page 3`, `pages 1, 2 and 5`, or the first ten and how many more."""
    words = [str(number) for number in numbers]
    if len(words) > 10:
        words = [*words[:10], f"{len(words) - 10} more"]
    return f"page {words[0]}" if len(words) == 1 else f"pages {', '.join(words[:-1])} and {words[-1]}"


def _clock(act: Act, signer: User) -> None:
    """Clocks that disagree, or went back, would date a signature before what it follows (§2 row 17)."""
    if sentence := clock_guard.fault():
        raise SignatureRefused(act.version, signer, sentence, "clock", 503)


def _digests(act: Act, signer: User) -> None:
    if (act.intent.top_hash, act.intent.rendition_sha256) != (act.version.top_hash, act.version.rendition_sha256):
        raise SignatureRefused(
            act.version, signer, "The content changed while the dialog was open. Review it again.", "digest", 409
        )
    wrong = sealed.contradictions(act.version)
    if wrong:
        raise SignatureRefused(act.version, signer, f"This version contradicts its own seal: {wrong[0]}", "seal")


ALWAYS: Sequence[Check] = (
    _clock,
    _state,
    _meaning,
    _authority,
    _turn,
    _separation,
    _about,
    _right,
    _digests,
    _reviewed,
)
# The dialog has told what its person lacks; this is what others, the clock, or a form left half filled in change in two minutes.
# A page that was opened stays opened, so that is asked here alone.
BEFORE_A_CODE: Sequence[Check] = (_clock, _state, _meaning, _turn, _about, _shown, _reviewed)
