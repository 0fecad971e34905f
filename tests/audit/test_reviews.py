"""Filters of the audit-trail review: what they are about, what waits under them, and what the trail keeps of each (A6)."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import transaction

from audit import clock, reviews, trail
from audit.actions import Action
from audit.models import Entry, Review, ReviewFilter
from audit.reviews import Backlog

WHY = "Attempts to go around a step"


def told() -> Entry:
    return Entry.objects.latest("id")


def refused(act) -> trail.Refused:
    with pytest.raises(trail.Refused) as caught:
        act()
    return caught.value


def test_a_filter_is_kept_with_its_reason_and_all_that_it_is_about(people):
    about = {
        "actions": ["step.refused"],
        "subject_kinds": ["user"],
        "people": ["7"],
        "records": ["9"],
        "every_days": 366,
    }
    made = reviews.make_filter(" Steps ", why=f" {WHY} ", by=people.approver, **about)
    made.refresh_from_db()
    assert {name: getattr(made, name) for name in about} == about and (made.name, made.why) == ("Steps", WHY)
    entry = told()
    assert (entry.action, entry.reason, entry.detail) == (Action.REVIEW_FILTER_CHANGED, WHY, about)
    assert (entry.subject_id, entry.actor) == (str(made.pk), str(people.approver.pk))


def test_what_is_no_filter_is_refused_under_its_name_by_who_asked(people):
    def make(name: str = "Steps", days: int = 7, why: str = WHY) -> ReviewFilter:
        return reviews.make_filter(name, why=why, every_days=days, by=people.approver)

    taken = "Give it a name that no other has."
    make(days=1)
    wrong = {
        taken: [lambda: make(" STEPS"), lambda: make(" ")],
        "It is reviewed every 1 to 366 days.": [lambda: make("More", 0), lambda: make("More", 367)],
    }
    for sentence, acts in wrong.items():
        for act in acts:
            no = refused(act)
            assert (no.message, no.action, no.by) == (sentence, Action.REVIEW_REFUSED, people.approver.trail_actor())
    assert no.subject == trail.Subject("review_filter", "More", "“More”")
    no = refused(lambda: make("More", why=" "))
    assert (no.action, no.subject, no.by) == (
        Action.REVIEW_REFUSED,
        trail.Subject("review_filter", "More", "“More”"),
        people.approver.trail_actor(),
    )
    assert not ReviewFilter.objects.filter(name="More").exists()


def test_a_filter_is_retired_once_with_its_reason(people):
    made = reviews.make_filter("Steps", why=WHY, every_days=7, by=people.approver)
    for _ in range(2):
        reviews.retire_filter(made, by=people.approver2, reason="Everything covers it")
    made.refresh_from_db()
    assert made.retired_at is not None
    entries = Entry.objects.filter(subject_id=str(made.pk), actor=str(people.approver2.pk))
    assert [(entry.action, entry.reason, entry.detail) for entry in entries] == [
        (Action.REVIEW_FILTER_CHANGED, "Everything covers it", {"retired": True})
    ]


ENTRIES = [("area.created", "area", "1", "a"), ("area.changed", "area", "2", "b"), ("record.created", "record", "1", "a"),
           ("version.approved", "version", "1", "b"), ("version.approved", "version", "2", "a"), ("draft.saved", "record", "2", "b")]  # fmt: skip


@pytest.mark.parametrize(
    ("about", "versions", "found"),
    [
        ({"actions": ["area.", "record.created"]}, [], {0, 1, 2}),
        ({"actions": ["area.created"]}, [], {0}),
        ({"subject_kinds": ["area"]}, [], {0, 1}),
        ({"people": ["a"]}, [], {0, 2, 4}),
        ({"records": ["1"]}, [], {2}),
        ({"records": ["1"]}, ["2"], {2, 4}),
        ({"actions": ["version."], "people": ["b"]}, [], {3}),
        ({}, [], {0, 1, 2, 3, 4, 5}),
    ],
    ids=str,
)
def test_a_filter_finds_what_fits_all_that_it_names(people, about, versions, found):
    with transaction.atomic():
        written = [
            trail.record(Action(action), trail.Subject(kind, key, "x"), by=trail.Actor(actor, actor, ""))
            for action, kind, key, actor in ENTRIES
        ]
    rows = Entry.objects.filter(pk__in=written)
    matching = reviews.matching(ReviewFilter(**about), rows, versions=versions)
    assert {written.index(pk) for pk in matching.values_list("pk", flat=True)} == found
    assert set(matching) <= set(reviews.matching(ReviewFilter(**about), versions=versions))


def test_what_a_review_covers_waits_until_it_is_signed_and_the_trail_says_both(people):
    made = reviews.make_filter("Areas", why=WHY, every_days=7, by=people.approver, actions=["area."])
    with transaction.atomic():
        numbers = [trail.record(Action.AREA_CHANGED, people.laboratory, by=people.author) for _ in range(2)]
    rows = Entry.objects.filter(pk__in=numbers).order_by("id")
    entries = list(rows)
    version, sealed = "00000000-0000-0000-0000-000000000001", {"report": "RVW-0001", "entries": 2}
    with transaction.atomic():
        kept = reviews.keep(made, entries, version=version, report="RVW-0001", findings="none", by=people.approver2)
    kept.refresh_from_db()
    assert (kept.first, kept.last, kept.entries, kept.findings) == (entries[0].pk, entries[1].pk, 2, "none")
    assert (kept.reviewer, kept.reviewer_name) == (str(people.approver2.pk), "Ingrid Solheim")
    assert [str(row) for row in kept.covered.order_by("entry_id")] == [str(entry.pk) for entry in entries]
    assert told().detail == sealed | {"first": kept.first, "last": kept.last, "findings": "none"}
    waiting = reviews.backlog(made, rows)
    assert (waiting.filter, waiting.count, waiting.oldest, waiting.last) == (made, 2, entries[0].at, None)
    assert entries[1].at <= waiting.now <= clock.now()
    with transaction.atomic():
        reviews.signed(version, by=people.approver2)
    assert (told().action, told().subject_id, told().detail) == (Action.REVIEW_SIGNED, str(made.pk), sealed)
    done = reviews.backlog(made, rows)
    assert (done.count, done.oldest, done.last) == (0, None, Review.objects.get())
    assert done.last.signed_at is not None


def test_a_backlog_is_overdue_when_its_oldest_entry_has_waited_longer_than_the_filter_allows():
    now = datetime(2026, 11, 21, tzinfo=UTC)

    def waiting(days: float, count: int = 3) -> Backlog:
        return Backlog(ReviewFilter(every_days=7), count, now - timedelta(days=days), None, now)

    assert [waiting(days).overdue for days in (6.9, 7, 7.1)] == [False, False, True]
    assert (waiting(8.5).age_days, waiting(1).due_at) == (8, now + timedelta(days=6))
    none = Backlog(ReviewFilter(every_days=7), 0, None, None, now)
    assert (none.overdue, none.age_days, none.due_at, none.counted) == (False, 0, None, "0")
    assert [waiting(1, count).counted for count in (9_999, 10_000)] == ["9,999", "10,000 or more"]
