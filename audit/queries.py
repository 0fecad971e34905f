"""Questions to the trail: whose entries one sees, groups of actions, and where an entry hangs in the chain.

The trail knows subjects by kind and key only. Which records and versions a person may see is a matter of a higher floor, and
comes in as subqueries.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db.models import CharField, Q, QuerySet
from django.db.models.functions import Cast

from audit import chain
from audit.actions import REFUSALS, Action
from audit.models import Access, Alarm, Entry, Link, RowChange
from audit.trail import SYSTEM

RECORD_KINDS = ("record", "version")

GROUPS: dict[str, tuple[str, ...]] = {
    "Signatures": (
        "signature.",
        "signatures.",
        "intent.",
        "step.",
        "steps.",
        "route.",
        "key.",
        "certificate.",
        "reading.",
    ),
    "Records and documents": ("record.", "version.", "draft.", "type.", "document.", "sop.", "report."),
    "People and access": (
        "user.",
        "login.",
        "password.",
        "code.",
        "confirmation.",
        "qualification.",
        "area.",
        "link.",
        "founding.",
        "letter.",
        "passkey.",
        "sso.",
    ),
    "Storage and CloudTrail": ("bucket.", "posture.", "trail.", "events.", "directory."),
    "Alarms and reviews": ("alarm.", "review."),
    "System": ("access.", "chain.", "system.", "job.", "request.", "hold.", "restore."),
}
"""Beginnings of action names, by the word that a filter offers. "By people" and "Refused" cut across them all."""
BY_PEOPLE, REFUSED = "By people", "Refused"
FILTERS = (BY_PEOPLE, *GROUPS, REFUSED)


def visible(
    actor: str,
    *,
    reads_all: bool,
    records: QuerySet[Any],
    versions: QuerySet[Any],
    people: QuerySet[Any],
    alarms: QuerySet[Any],
    jobs: QuerySet[Any],
) -> QuerySet[Entry]:
    """The one rule: what speaks of a record or a version is seen by whoever may see that; what speaks of anything else (buckets,
    trails, `people` of one's areas) by whoever may read the reading log (`reads_all`), an alarm or a job only by whoever may see
    it, for their words may name a record; one's own acts always, unless their record is out of sight now. The rows given are
    those that the person may see."""
    of_records = Q(subject_kind="record", subject_id__in=keys(records)) | Q(
        subject_kind="version", subject_id__in=keys(versions)
    )
    others = ~Q(subject_kind__in=RECORD_KINDS)
    known = Q()
    for kind, rows in (("user", people), ("alarm", alarms), ("job", jobs)):
        known &= ~Q(subject_kind=kind) | Q(subject_id__in=keys(rows))
    seen = (known | Q(actor=actor)) if reads_all else Q(actor=actor)
    return Entry.objects.filter(of_records | (others & seen))


def visible_accesses(*, records: QuerySet[Any], versions: QuerySet[Any]) -> QuerySet[Access]:
    """The reading log by the same rule, for whoever may read it at all. A refused read names the address that was asked for."""
    of_records = Q(subject_kind="record", subject_id__in=keys(records)) | Q(
        subject_kind="version", subject_id__in=keys(versions)
    )
    return Access.objects.filter(of_records | ~Q(subject_kind__in=RECORD_KINDS)).defer("canonical")


def visible_alarms(*, records: QuerySet[Any], versions: QuerySet[Any], people: QuerySet[Any]) -> QuerySet[Alarm]:
    """Alarms by the same rule, for whoever may read them at all."""
    of_records = Q(subject_kind="record", subject_id__in=keys(records)) | Q(
        subject_kind="version", subject_id__in=keys(versions)
    )
    known = ~Q(subject_kind="user") | Q(subject_id__in=keys(people))
    return Alarm.objects.filter(of_records | (~Q(subject_kind__in=RECORD_KINDS) & known))


def keys(rows: QuerySet[Any]) -> QuerySet[Any]:
    """Primary keys as the trail writes them."""
    return rows.order_by().annotate(key_=Cast("pk", CharField())).values("key_")


def of_group(group: str) -> Q:
    """Entries of one of `FILTERS`; everything for one that there is not."""
    if group == BY_PEOPLE:
        return ~Q(actor=SYSTEM.key)
    if group == REFUSED:
        return Q(action__in=REFUSALS)
    named = [action for action in Action.values if action.startswith(GROUPS.get(group, ()))]
    return Q(action__in=named) if named else Q()


def changes_of(entry: Entry) -> QuerySet[RowChange]:
    """Row changes of the same act about the same subject; an act may change rows of several subjects."""
    same = RowChange.objects.filter(xact=entry.xact, subject_kind=entry.subject_kind, subject_id=entry.subject_id)
    return same.order_by("pk")


@dataclass(frozen=True)
class Included:
    """Where an entry hangs in the chain, and whether its link's hash follows from the one before and from what the
    entry says."""

    entry: Entry
    seq: int
    hash: str
    previous: str
    follows: bool


def included(entries: Iterable[Entry]) -> dict[int, Included]:
    """By entry: its link, hashed again now. One that is in no link is left out."""
    held = {entry.pk: entry for entry in entries}
    links = {link.entry_id: link for link in Link.objects.filter(entry_id__in=held)}
    before = dict(Link.objects.filter(seq__in=[link.seq - 1 for link in links.values()]).values_list("seq", "hash"))
    found = {}
    for pk, entry in held.items():
        if (link := links.get(pk)) is None:
            continue
        previous = bytes(before.get(link.seq - 1, b""))
        known = link.seq == 1 or link.seq - 1 in before
        follows = known and hashlib.sha256(previous + bytes(link.leaf)).digest() == bytes(link.hash)
        told = follows and chain.tells(bytes(link.leaf), entry)
        found[pk] = Included(entry, link.seq, bytes(link.hash).hex(), previous.hex(), told)
    return found
