"""What of the trail is reviewed, and what waits for it (EU GMP Annex 11, 9; FDA Data Integrity Q&A 2018).

An entry is reviewed under a filter once a signed review covers it. Nobody reviews their own acts: those wait for somebody else.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Exists, Min, OuterRef, Q, QuerySet

from audit import clock, trail
from audit.actions import Action
from audit.models import Entry, Review, Reviewed, ReviewFilter
from audit.reasons import demand_reason

MOST_DAYS = 366
COUNTED = 10_000  # unreviewed entries beyond this are not counted one by one


@dataclass(frozen=True)
class Backlog:
    """What waits under a filter. `oldest` is the time of the first entry that nobody reviewed."""

    filter: ReviewFilter
    count: int
    oldest: datetime | None
    last: Review | None
    now: datetime

    @property
    def due_at(self) -> datetime | None:
        return self.oldest + timedelta(days=self.filter.every_days) if self.oldest else None

    @property
    def overdue(self) -> bool:
        return self.due_at is not None and self.due_at < self.now

    @property
    def age_days(self) -> int:
        return (self.now - self.oldest).days if self.oldest else 0

    @property
    def counted(self) -> str:
        return f"{self.count:,}" if self.count < COUNTED else f"{COUNTED:,} or more"


def matching(
    chosen: ReviewFilter, entries: QuerySet[Entry] | None = None, *, versions: Sequence[str] = ()
) -> QuerySet[Entry]:
    """Entries that the filter is about. `versions` are the keys of the versions of its records, which a higher floor knows."""
    rows, wanted = Entry.objects.all() if entries is None else entries, Q()
    if chosen.actions:
        named = [action for action in chosen.actions if not action.endswith(".")]
        begun = [
            action for action in Action.values if action.startswith(tuple(set(chosen.actions) - set(named)) or "\0")
        ]
        wanted &= Q(action__in=[*named, *begun])
    if chosen.subject_kinds:
        wanted &= Q(subject_kind__in=chosen.subject_kinds)
    if chosen.people:
        wanted &= Q(actor__in=chosen.people)
    if chosen.records:
        wanted &= Q(subject_kind="record", subject_id__in=chosen.records) | Q(
            subject_kind="version", subject_id__in=versions
        )
    return rows.filter(wanted)


def unreviewed(chosen: ReviewFilter, rows: QuerySet[Entry]) -> QuerySet[Entry]:
    """Those of `rows` that no signed review of the filter covers."""
    covered = Reviewed.objects.filter(entry_id=OuterRef("pk"), review__filter=chosen, review__signed_at__isnull=False)
    return rows.filter(~Exists(covered))


def backlog(chosen: ReviewFilter, rows: QuerySet[Entry]) -> Backlog:
    """How much of `rows` (what matches the filter) waits, and since when."""
    left = unreviewed(chosen, rows)
    last = chosen.reviews.filter(signed_at__isnull=False).order_by("-signed_at").first()
    count = left.order_by()[:COUNTED].count()
    return Backlog(chosen, count, left.aggregate(at=Min("at"))["at"], last, clock.now())


def make_filter(
    name: str,
    *,
    why: str,
    every_days: int,
    by: trail.HasActor,
    actions: Sequence[str] = (),
    subject_kinds: Sequence[str] = (),
    people: Sequence[str] = (),
    records: Sequence[str] = (),
) -> ReviewFilter:
    """A filter of the firm's own. Whether `by` may is asked above. Raises Refused."""
    about = trail.Subject("review_filter", name, f"“{name}”")
    why = demand_reason(why, Action.REVIEW_REFUSED, about, by)
    if not name.strip() or ReviewFilter.objects.filter(name__iexact=name.strip()).exists():
        raise trail.Refused("Give it a name that no other has.", action=Action.REVIEW_REFUSED, subject=about, by=by)
    if not 1 <= every_days <= MOST_DAYS:
        raise trail.Refused(
            f"It is reviewed every 1 to {MOST_DAYS} days.", action=Action.REVIEW_REFUSED, subject=about, by=by
        )
    values: dict[str, Any] = {"actions": list(actions), "subject_kinds": list(subject_kinds), "people": list(people),
                              "records": list(records), "every_days": every_days}  # fmt: skip
    with transaction.atomic():
        made = ReviewFilter.objects.create(name=name.strip(), why=why, **values)
        trail.record(Action.REVIEW_FILTER_CHANGED, made, by=by, reason=why, detail=values)
    return made


def retire_filter(chosen: ReviewFilter, *, by: trail.HasActor, reason: str) -> None:
    """It is reviewed no more; what was reviewed under it stays."""
    reason = demand_reason(reason, Action.REVIEW_REFUSED, chosen, by)
    with transaction.atomic():
        chosen = ReviewFilter.objects.select_for_update(no_key=True).get(pk=chosen.pk)
        if chosen.retired_at is None:
            chosen.retired_at = clock.now()
            chosen.save(update_fields=["retired_at"])
            trail.record(Action.REVIEW_FILTER_CHANGED, chosen, by=by, reason=reason, detail={"retired": True})


def keep(
    chosen: ReviewFilter, entries: Sequence[Entry], *, version: str, report: str, findings: str, by: trail.HasActor
) -> Review:
    """Note what the sealed report covers, in the transaction that seals it."""
    actor = trail.actor_of(by)
    made = Review.objects.create(
        filter=chosen, first=entries[0].pk, last=entries[-1].pk, entries=len(entries), version=version, report=report,
        findings=findings, reviewer=actor.key, reviewer_name=actor.name)  # fmt: skip
    Reviewed.objects.bulk_create([Reviewed(review=made, entry_id=entry.pk) for entry in entries], batch_size=5000)
    detail = {"report": report, "entries": len(entries), "first": made.first, "last": made.last, "findings": findings}
    trail.record(Action.REVIEW_MADE, chosen, by=by, detail=detail)
    return made


def signed(version: str, *, by: trail.HasActor) -> None:
    """From now on its entries count as reviewed. In the transaction of the signature."""
    made = Review.objects.select_for_update(no_key=True, of=("self",)).select_related("filter").get(version=version)
    made.signed_at = clock.now()
    made.save(update_fields=["signed_at"])
    trail.record(Action.REVIEW_SIGNED, made.filter, by=by, detail={"report": made.report, "entries": made.entries})
