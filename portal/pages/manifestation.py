"""Signatures as people read them: cards on a page, blocks on paper. Each says whether it still holds, checked now."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from accounts.roles import Role
from printing.issued import SignatureBlock, Standing
from records.models import Version
from signatures import archive
from signatures.checking import Verdict, check_all
from signatures.meanings import Meaning
from signatures.models import Signature, Step

Card = dict[str, Any]


def signatures_of(versions: Sequence[Version]) -> list[tuple[Signature, Verdict]]:
    """All signatures on these versions, oldest first, each with its verdict. Reading signatures of an SOP are its training's."""
    rows = list(
        Signature.objects.filter(version__in=versions)
        .exclude(meaning=Meaning.READING)
        .select_related("version__record", "key", "archived")
        .order_by("signed_at")
    )
    verdicts = check_all(rows)
    return [(row, verdicts[row.pk]) for row in rows]


def cards(versions: Sequence[Version]) -> dict[Any, list[Card]]:
    """By version's key: what was signed, then what is still to be signed and by whom."""
    found: dict[Any, list[Card]] = defaultdict(list)
    for signature, verdict in signatures_of(versions):
        found[signature.version_id].append(_card(signature, verdict))
    waiting = {step.pk for step in Step.objects.filter(version__in=versions).waiting()}
    unsigned = Step.objects.filter(version__in=versions, signature__isnull=True).select_related("assignee", "version")
    for step in unsigned.order_by("place", "id"):
        if step.version.state in ("in_review", "registered"):
            found[step.version_id].append(_waiting_card(step, step.pk in waiting))
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
    if verdict.valid:
        return "Valid: seal, statement and version agree."
    return "Not valid: " + " ".join(verdict.problems)


def _standing(signature: Signature, verdict: Verdict) -> Standing:
    if not verdict.valid:
        return Standing.INVALID
    return Standing.REJECTED if signature.meaning == Meaning.REJECTION else Standing.SIGNED


def _card(signature: Signature, verdict: Verdict) -> Card:
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
        "note": " ".join([*notes, *verdict.problems]),
        "archive": archive.state(signature),
    }


def _waiting_card(step: Step, has_its_turn: bool) -> Card:
    whom = step.assignee.legal_name if step.assignee else f"Any {Role(step.role).label}"
    due = f"due {step.due_at.day} {step.due_at:%b %Y}" if step.due_at else "no due date"
    return {
        "printed_name": step.assignee.legal_name if step.assignee else "",
        "role": Role(step.role).label if step.assignee else whom,
        "meaning": step.get_meaning_display(),
        "state": "waiting",
        "due": f"Asked to sign now, {due}." if has_its_turn else f"Comes after those before, {due}.",
    }
