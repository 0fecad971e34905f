"""What an inspector asks of a record, as far as rows of the lower floors answer it."""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Exists, Max, OuterRef, QuerySet

from accounts.models import Qualification, User
from audit import queries
from audit.actions import Action
from audit.models import Entry
from audit.queries import Included
from records.kinds import Kind
from records.models import Record, Version
from signatures.meanings import Meaning
from signatures.models import Signature

SUGGESTED = 6


def suggestions(user: User) -> list[Record]:
    """Records and documents that the person may see, the most lately signed first; reports are not what is asked about."""
    records = Record.objects.visible_to(user).exclude(type__kind=Kind.REPORT).select_related("type")
    signed = records.annotate(signed_at=Max("versions__signatures__signed_at")).exclude(signed_at=None)
    return list(signed.order_by("-signed_at", "number")[:SUGGESTED])


def version_asked(record: Record, ordinal: int | None) -> Version | None:
    """The version of that ordinal; without one the newest that carries an approval, else the newest of all."""
    versions: QuerySet[Version] = record.versions.select_related(
        "record__type", "record__area", "author", "definition__record__type"
    )
    if ordinal is not None:
        return versions.filter(ordinal=ordinal).first()
    approval = Signature.objects.filter(version=OuterRef("pk"), meaning=Meaning.APPROVAL)
    ordered = versions.annotate(approved=Exists(approval)).order_by("-approved", "-ordinal")
    return ordered.prefetch_related("files").first()


@dataclass(frozen=True)
class Training:
    """What a signer had read when they signed: met, was due later, overdue, or nothing was asked."""

    state: str
    sentence: str


def training_at(signatures: Sequence[Signature]) -> dict[uuid.UUID, list[Training]]:
    """By signature, the readings that signing waits for, as they stood at its time. In one query."""
    rows = Qualification.objects.filter(gate="signing", user__in=[one.signer_id for one in signatures])
    asked: dict[Any, list[Qualification]] = {}
    for row in rows.order_by("assigned_at"):
        asked.setdefault(row.user_id, []).append(row)
    return {one.pk: [_training(row, one) for row in asked.get(one.signer_id, []) if row.assigned_at <= one.signed_at]
            for one in signatures}  # fmt: skip


def _training(row: Qualification, signature: Signature) -> Training:
    if row.met_at and row.met_at <= signature.signed_at:
        return Training("trained", f"had read and understood {row.label} on {row.met_at:%d %b %Y %H:%M} UTC")
    if row.due_at > signature.signed_at:
        return Training("due", f"had not yet read {row.label}; it was due on {row.due_at:%d %b %Y}")
    return Training("not_trained", f"had not read {row.label}, which was due on {row.due_at:%d %b %Y}")


SEALING = (Action.VERSION_REGISTERED, Action.VERSION_SUBMITTED, Action.SIGNATURE_APPLIED, Action.VERSION_APPROVED,
           Action.VERSION_REJECTED, Action.VERSION_RETIRED)  # fmt: skip


def chained(version: Version) -> list[Included]:
    """The entries that registered, signed and moved the version, each with its link of the chain, hashed again now."""
    entries = list(
        Entry.objects.filter(subject_kind="version", subject_id=str(version.pk), action__in=SEALING).order_by("pk")
    )
    found = queries.included(entries)
    return [found[entry.pk] for entry in entries if entry.pk in found]


def unchained(version: Version, found: Iterable[Included]) -> int:
    """How many such entries hang in no link."""
    held = {one.entry.pk for one in found}
    entries = Entry.objects.filter(subject_kind="version", subject_id=str(version.pk), action__in=SEALING)
    return entries.exclude(pk__in=held).count()
