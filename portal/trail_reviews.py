"""Audit-trail reviews that span floors: what a reviewer has before them, the sealed report, and reviews that are overdue."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from django.db.models import Q, QuerySet

from accounts.models import User
from accounts.permissions import demand
from audit import alarms, reviews, trail
from audit.actions import Action
from audit.alarms import Kind, clear, raise_alarm
from audit.models import Entry, Link, Review, ReviewFilter
from audit.reviews import Backlog
from portal.pages.audit import entries_for
from printing.templatetags.look import iso, utc
from records.lifecycle import State
from records.models import Version
from records.reports import Section, seal_report
from signatures.meanings import Meaning
from signatures.requests import Asked, open_route

AT_ONCE = 5000  # entries of one review
PRINTED = 200  # of them on paper; report.json holds all
SENTENCE = "I have reviewed the audit-trail entries that this report lists, and answer for its findings."


def entries_of(chosen: ReviewFilter, rows: QuerySet[Entry] | None = None) -> QuerySet[Entry]:
    versions: list[str] = []
    if chosen.records:
        keys = Version.objects.filter(record__in=chosen.records).values_list("pk", flat=True)
        versions = [str(key) for key in keys]
    return reviews.matching(chosen, rows, versions=versions)


def backlogs(user: User) -> list[Backlog]:
    """What waits under each filter, of that which the person may see."""
    seen = entries_for(user)
    chosen = ReviewFilter.objects.filter(retired_at__isnull=True)
    return [reviews.backlog(each, entries_of(each, seen)) for each in chosen]


def before(chosen: ReviewFilter, user: User) -> QuerySet[Entry]:
    """What this person can review now: unreviewed, in their sight, and no act of theirs or about their account; oldest first."""
    seen = reviews.unreviewed(chosen, entries_of(chosen, entries_for(user)))
    return seen.exclude(_own(user)).order_by("pk")


def _own(user: User) -> Q:
    """A log-in that was refused names the account and nobody who acted."""
    account = Q(subject_kind="user", subject_id=str(user.pk)) | Q(
        subject_kind="username", subject_id=user.username_folded
    )
    return Q(actor=str(user.pk)) | account


def make(chosen: ReviewFilter, *, by: User, findings: str, until: int) -> Version:
    """Seal a review of what the person has before them up to the entry `until`, and ask for their signature. Raises Refused."""
    demand(by, "trail.review", chosen)
    _demand_none_waits(chosen, by)
    if not findings.strip() or "\0" in findings:
        raise _refused("Write what you found, or “none”.", chosen, by)
    entries = list(before(chosen, by).filter(pk__lte=until)[:AT_ONCE])
    if not entries:
        own = reviews.unreviewed(chosen, entries_of(chosen, entries_for(by))).filter(_own(by)).exists()
        raise _refused(
            "What is left to review are acts of yours or about your account: somebody else reviews them."
            if own
            else "Nothing is left to review.",
            chosen,
            by,
        )

    def then(version: Version) -> None:
        ReviewFilter.objects.select_for_update(no_key=True).get(pk=chosen.pk)  # one review at a time, also side by side
        _demand_none_waits(chosen, by)
        reviews.keep(
            chosen, entries, version=str(version.pk), report=version.record.number, findings=findings.strip(), by=by
        )
        open_route(version, [Asked(1, Meaning.RESPONSIBILITY, "approver", by, sentence=SENTENCE)], by=by)

    return seal_report(
        "trail_review",
        title=f"Audit-trail review: {chosen.name}, entries {entries[0].pk} to {entries[-1].pk}",
        sections=_sections(chosen, entries, findings.strip()),
        data=_data(chosen, entries, findings.strip()),
        by=by,
        message=f"Review of {len(entries)} entries",
        contributors=sorted({entry.actor for entry in entries}),
        then=then,
    )


def approved(version: Version, signer: User) -> None:
    """The signed review counts."""
    reviews.signed(str(version.pk), by=signer)


def look_for_overdue() -> None:
    """An alarm for each filter whose oldest unreviewed entry is older than its interval, until it was reviewed or the filter
    retired."""
    overdue = (
        alarms.open_alarms()
        .filter(kind=Kind.REVIEW_OVERDUE, cleared_at__isnull=True)
        .values_list("subject_id", flat=True)
    )
    for gone in ReviewFilter.objects.filter(retired_at__isnull=False, pk__in=list(overdue)):
        clear(Kind.REVIEW_OVERDUE, gone, "The filter is retired.")
    for chosen in ReviewFilter.objects.filter(retired_at__isnull=True):
        found = reviews.backlog(chosen, entries_of(chosen))
        standing = alarms.open_alarms().filter(
            kind=Kind.REVIEW_OVERDUE, subject_id=str(chosen.pk), cleared_at__isnull=True
        )
        if found.overdue and not standing.exists():
            sentence = (
                f"“{chosen.name}” is reviewed every {chosen.every_days} days, and its oldest unreviewed entry is "
                f"{found.age_days} days old: {found.counted} wait."
            )
            raise_alarm(Kind.REVIEW_OVERDUE, chosen, sentence)
        elif not found.overdue:
            clear(Kind.REVIEW_OVERDUE, chosen, "Every entry older than its interval is reviewed.")


def _demand_none_waits(chosen: ReviewFilter, by: User) -> None:
    if waiting := _waiting(chosen):
        raise _refused(f"{waiting.report} waits for its signature: sign or reject it first.", chosen, by)


def _waiting(chosen: ReviewFilter) -> Review | None:
    """A review of the filter that is sealed and neither signed nor rejected."""
    made = {row.version: row for row in chosen.reviews.filter(signed_at__isnull=True)}
    waiting = Version.objects.filter(pk__in=list(made), state=State.IN_REVIEW).values_list("pk", flat=True).first()
    return made[str(waiting)] if waiting else None


def _refused(message: str, chosen: ReviewFilter, by: User) -> trail.Refused:
    return trail.Refused(message, action=Action.REVIEW_REFUSED, subject=chosen, by=by)


# The report -----------------------------------------------------------------------------------------------------------


def _sections(chosen: ReviewFilter, entries: Sequence[Entry], findings: str) -> list[Section]:
    first, last = entries[0], entries[-1]
    scope = (
        f"{plain(chosen.name)}: {plain(chosen.why)}\n\n"
        f"{len(entries):,} entries, from entry {first.pk} ({utc(first.at, 's')}) to entry {last.pk} ({utc(last.at, 's')}), that "
        f"no signed review of this filter covered before. Reviewed every {chosen.every_days} days.\n\n"
        f"Narrowed to: {plain(narrowed(chosen))}. Acts of the reviewer are left out and wait for another reviewer."
    )
    rows = [(entry.pk, utc(entry.at, "s"), entry.sentence, entry.reason or entry.detail.get("message", ""))
            for entry in entries[:PRINTED]]  # fmt: skip
    more = len(entries) - PRINTED
    note = (
        f"\n\nThese are the first {PRINTED}; the other {more:,} are in report.json, which is sealed with this report."
        if more > 0
        else ""
    )
    return [
        Section("Scope", scope),
        Section("Findings", plain(findings)),
        Section("Acts", table(("Act", "Entries"), Counter(entry.action for entry in entries).most_common())),
        Section("People", table(("Who", "Entries"), Counter(entry.actor_name for entry in entries).most_common())),
        Section("Entries", table(("Entry", "Time", "What", "Reason or message"), rows) + note),
    ]


def _data(chosen: ReviewFilter, entries: Sequence[Entry], findings: str) -> dict[str, Any]:
    links = dict(Link.objects.filter(entry_id__in=[entry.pk for entry in entries]).values_list("entry_id", "hash"))
    return {
        "filter": {"name": chosen.name, "actions": chosen.actions, "subject_kinds": chosen.subject_kinds,
                   "people": chosen.people, "records": chosen.records, "every_days": chosen.every_days},
        "findings": findings,
        "entries": [
            {"id": entry.pk, "at": iso(entry.at), "actor": entry.actor, "actor_name": entry.actor_name,
             "actor_role": entry.actor_role, "action": entry.action, "subject_kind": entry.subject_kind,
             "subject_id": entry.subject_id, "subject_label": entry.subject_label, "reason": entry.reason,
             "detail": entry.detail, "link": bytes(links[entry.pk]).hex() if entry.pk in links else ""}
            for entry in entries
        ],
    }  # fmt: skip


def narrowed(chosen: ReviewFilter) -> str:
    """The filter in words."""
    # An act that this release does not know any more is called as it is stored.
    acts = [str(Action(act).label) if act in Action.values else act for act in chosen.actions]
    told = [f"acts {', '.join(f'“{act}”' for act in acts)}"] if acts else []
    told += [f"subjects {', '.join(chosen.subject_kinds)}"] if chosen.subject_kinds else []
    told += [f"{len(chosen.people)} people"] if chosen.people else []
    told += [f"{len(chosen.records)} records"] if chosen.records else []
    return "; ".join(told) or "nothing: every act of everybody"


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A Markdown table of plain cells."""
    lines = [head, ["---"] * len(head), *([plain(str(cell)) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def plain(text: str) -> str:
    """Text that Markdown takes as it is."""
    return re.sub(r"([\\`*_{}\[\]<>|#~])", r"\\\1", " ".join(text.split()))
