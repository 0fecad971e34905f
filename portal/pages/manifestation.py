"""Signatures as people read them: cards on a page, blocks on paper. Each says whether it still holds, checked now."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db.models import Q

from accounts.roles import Role
from audit import clock
from printing.issued import SignatureBlock, Standing
from printing.templatetags.look import utc
from records.kinds import Kind
from records.lifecycle import State
from records.models import Version
from signatures import archive, standing
from signatures.checking import Verdict, check_all
from signatures.meanings import OF_THE_ROUTE, Meaning
from signatures.models import Signature, Step
from signatures.standing import Stands

Card = dict[str, Any]
Doubt = dict[str, str]
ASK = "The version is approved by it: ask quality before you work by it."
LATER: dict[str, Standing] = {
    standing.WITHDRAWN: Standing.WITHDRAWN,
    standing.FALLEN: Standing.FALLEN,
    standing.SUSPECT: Standing.SUSPECT,
    standing.SUPERSEDED: Standing.SUPERSEDED,
    standing.VOID: Standing.VOID,
}


def signatures_of(versions: Sequence[Version]) -> list[tuple[Signature, Verdict]]:
    """All signatures on these versions, oldest first, each with its verdict. Reading signatures of an SOP are its training's."""
    rows = list(
        Signature.objects.filter(version__in=versions)
        .exclude(Q(meaning=Meaning.READING) | Q(about__meaning=Meaning.READING))
        .select_related("version__record__type", "key", "about", "archived")
        .order_by("signed_at")
    )
    verdicts = check_all(rows)
    return [(row, verdicts[row.pk]) for row in rows]


def cards(versions: Sequence[Version]) -> dict[Any, list[Card]]:
    """By version's key: what was signed, then what is still to be signed and by whom."""
    now = clock.now()
    found: dict[Any, list[Card]] = defaultdict(list)
    for signature, verdict in signatures_of(versions):
        found[signature.version_id].append(card(signature, verdict, now))
    waiting = {step.pk for step in Step.objects.filter(version__in=versions).waiting()}
    asked = Step.objects.filter(version__in=versions, signature__isnull=True).select_related("assignee", "version")
    for step in asked.order_by("place", "id"):
        if step.lapsed_at or step.version.state in ("in_review", "registered"):
            found[step.version_id].append(_waiting_card(step, step.pk in waiting, now))
    return found


def blocks(version: Version) -> list[SignatureBlock]:
    """The signatures of one version as its issued copy carries them (11.50(b))."""
    return [
        SignatureBlock(
            printed_name=signature.printed_name,
            role=signature.role,
            meaning=signature.get_meaning_display(),
            sentence=signature.sentence,
            signed_at=signature.signed_at,
            bound_hash=signature.top_hash,
            validity=validity(verdict),
            standing=_standing(signature, verdict),
            note=signature.reason,
        )
        for signature, verdict in signatures_of([version])
    ]


def validity(verdict: Verdict) -> str:
    if not verdict.valid:
        return "Not valid: " + " ".join(verdict.problems)
    agree = "seal, statement and version agree."
    if verdict.state == standing.VALID:
        return f"Valid: {agree} {verdict.stands.sentence}".strip()
    return f"It is what was signed ({agree[:-1]}), but: {verdict.stands.sentence}"


def _standing(signature: Signature, verdict: Verdict) -> Standing:
    if not verdict.valid:
        return Standing.INVALID
    if verdict.state in LATER:
        return LATER[verdict.state]
    return Standing.REJECTED if signature.meaning == Meaning.REJECTION else Standing.SIGNED


def card(signature: Signature, verdict: Verdict, now: datetime) -> Card:
    """The manifestation of 11.50 as `components/signature.html` draws it, with what became of the signature."""
    withdrawal = verdict.stands.withdrawal
    later = [verdict.stands.sentence] if verdict.stands.sentence and withdrawal is None else []
    notes = [f"Reason: {signature.reason}"] if signature.reason else []
    return {
        "printed_name": signature.printed_name,
        "role": signature.role,
        "meaning": signature.get_meaning_display(),
        "sentence": signature.sentence,
        "signed_at": signature.signed_at,
        "top_hash": signature.top_hash,
        "state": verdict.state,
        "url": f"/signatures/{signature.pk}/",
        "archive": archive.state(signature, now),
        "note": " ".join([*notes, *later, *verdict.problems]),
        "doubt": _doubt(signature, verdict),
        "struck": verdict.state in (standing.WITHDRAWN, standing.FALLEN),
        "withdrawn": withdrawal
        and {"by": withdrawal.printed_name, "at": withdrawal.signed_at, "reason": withdrawal.reason},
    }


def became(stands: Stands) -> str:
    """What speaks against a signature in doubt, and what quality decided about it: the rest of a sentence about it."""
    decision = stands.decision if stands.decided else None
    if stands.withdrawal is None and decision:
        return f"does not stand, as quality decided on {utc(decision.signed_at)}"
    said = f"was withdrawn on {utc(stands.withdrawal.signed_at)}" if stands.withdrawal else "is under review"
    if decision is None:
        return f"{said}; quality has not decided yet"
    return f"{said}; quality decided on {utc(decision.signed_at)} that it {decision.get_outcome_display().lower()}"


def _doubt(signature: Signature, verdict: Verdict) -> Doubt | None:
    """What whoever works by an approved version must know first: a signature that it was approved by does not simply count."""
    version, stands = signature.version, verdict.stands
    on_it = version.state == State.APPROVED and signature.meaning in OF_THE_ROUTE and not stands.replaced
    if not on_it or verdict.state not in standing.IN_DOUBT:
        return None
    said = f"{signature.get_meaning_display()} by {signature.printed_name} {became(stands)}."
    return {"said": said, "next": _next_step(version) if stands.lost else ASK}


def _next_step(version: Version) -> str:
    """What leads on where a signature is lost for good: its version is never signed again."""
    kind = version.record.type.kind
    if kind == Kind.DATA:
        return "Do not work by it. Register a new version: it is reviewed and approved anew."
    if kind == Kind.REPORT:
        return "Do not work by it. Make the report anew."
    return "Do not work by it. Submit a new version, which is approved anew, or retire this one."


def _waiting_card(step: Step, has_its_turn: bool, now: datetime) -> Card:
    whom = step.assignee.legal_name if step.assignee else f"Any {Role(step.role).label}"
    return {
        "printed_name": step.assignee.legal_name if step.assignee else "",
        "role": Role(step.role).label if step.assignee else whom,
        "meaning": step.get_meaning_display(),
        "state": "lapsed" if step.lapsed_at else "overdue" if has_its_turn and step.overdue_at(now) else "waiting",
        "waits": True,
        "url": step.get_absolute_url(),
        "due": _waits(step, has_its_turn, now),
    }


def _waits(step: Step, has_its_turn: bool, now: datetime) -> str:
    if step.lapsed_at:
        return (
            f"Asked for no more: the {step.needed} signature{'' if step.needed == 1 else 's'} needed here were given."
        )
    due = f"due {step.due_at.day} {step.due_at:%b %Y}" if step.due_at else "no due date"
    if not has_its_turn:
        return f"Comes after those before, {due}."
    return f"Late: it was {due}." if step.overdue_at(now) else f"Asked to sign now, {due}."
