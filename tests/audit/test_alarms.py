"""Alarms (21 CFR 11.300(d); draft Annex 11, 8): raised once per open cause, acknowledged with a comment, never unwritten."""

import threading

import pytest
from django.db import DatabaseError, connection, transaction

from audit import alarms, trail
from audit.alarms import Kind, acknowledge, clear, raise_alarm
from audit.models import Alarm, Entry, RowChange

ANCHOR = trail.Subject("anchor", "1", "the anchor bucket")
SEEN = "Looked at it; the bucket's policy is mended"


@pytest.mark.compliance("11.300(d)")
def test_compliance_an_alarm_is_raised_once_for_an_open_cause_and_counts_on(people):
    first = raise_alarm(Kind.ANCHOR_UNWRITABLE, ANCHOR, "The checkpoint could not be written.", detail={"size": 7})
    again = raise_alarm(Kind.ANCHOR_UNWRITABLE, ANCHOR, "It could not be written again.")
    other = raise_alarm(Kind.ANCHOR_BEHIND, ANCHOR, "The database is behind.")
    assert first.pk == again.pk != other.pk
    assert (again.count, again.sentence, again.state) == (2, "It could not be written again.", "standing")
    assert again.first_at < again.last_at
    told = Entry.objects.filter(subject_kind="alarm", subject_id=str(first.pk)).order_by("id")
    assert [(entry.action, entry.reason, entry.detail) for entry in told] == [
        ("alarm.raised", "The checkpoint could not be written.", {"size": 7}),
        ("alarm.repeated", "It could not be written again.", {"count": 2}),
    ]
    assert {(entry.actor, entry.subject_label) for entry in told} == {("system", told[0].subject_label)}
    assert (first.detail, again.detail) == ({"size": 7}, {})
    assert (first.subject_kind, first.subject_id, first.subject_label) == ("anchor", "1", "the anchor bucket")
    again.refresh_from_db()
    assert (again.count, again.sentence, again.cleared_at) == (2, "It could not be written again.", None)


def test_two_who_raise_the_same_alarm_at_once_make_one(people):
    start = threading.Barrier(4)

    def ring() -> None:
        start.wait()
        raise_alarm(Kind.CHAIN_BROKEN, trail.PORTAL, "The chain is broken.")
        connection.close()

    threads = [threading.Thread(target=ring) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Alarm.objects.get().count == 4


@pytest.mark.compliance("11.300(d)", "A6")
def test_compliance_acknowledging_is_not_clearing(people):
    alarm = raise_alarm(Kind.ANCHOR_UNWRITABLE, ANCHOR, "The checkpoint could not be written.")
    alarm = acknowledge(alarm, by=people.approver, comment=SEEN)
    assert (alarm.state, alarm.acknowledged_by_name) == ("acknowledged", "Chidi Okafor")
    assert list(alarms.open_alarms()) == [alarm]
    assert raise_alarm(Kind.ANCHOR_UNWRITABLE, ANCHOR, "Still not.").pk == alarm.pk
    cleared = clear(Kind.ANCHOR_UNWRITABLE, ANCHOR, "A checkpoint was written.")
    assert cleared is not None and cleared.state == "closed"
    cleared.refresh_from_db()
    assert (cleared.cleared_how, cleared.state) == ("A checkpoint was written.", "closed")
    entry = Entry.objects.latest("id")
    assert (entry.action, entry.reason, entry.actor) == ("alarm.cleared", "A checkpoint was written.", "system")
    assert (entry.detail, entry.subject_id) == ({"kind": alarm.kind}, str(alarm.pk))
    assert clear(Kind.ANCHOR_UNWRITABLE, ANCHOR, "A checkpoint was written.") is None
    assert not alarms.open_alarms()
    assert raise_alarm(Kind.ANCHOR_UNWRITABLE, ANCHOR, "And again.").pk != alarm.pk


def test_a_cause_that_goes_before_anybody_looked_still_waits_for_somebody(people):
    alarm = raise_alarm(Kind.ANCHOR_UNWRITABLE, ANCHOR, "The checkpoint could not be written.")
    clear(Kind.ANCHOR_UNWRITABLE, ANCHOR, "A checkpoint was written.")
    alarm.refresh_from_db()
    assert alarm.state == "unacknowledged" and list(alarms.open_alarms()) == [alarm]
    assert raise_alarm(Kind.ANCHOR_UNWRITABLE, ANCHOR, "And again.").state == "standing"


def test_what_happened_at_an_instant_is_closed_by_its_acknowledgement(people):
    alarm = raise_alarm(Kind.SELF_GRANT, people.administrator, "Dave Mbeki tried to give himself a role.")
    assert alarm.state == "unacknowledged"
    assert acknowledge(alarm, by=people.administrator2, comment="Spoke with him about it").state == "closed"


@pytest.mark.compliance("11.300(d)")
@pytest.mark.parametrize("comment", ["", "   ", "x", "xxxxxxxxxxxx", "..............", "ok seen"])
def test_compliance_no_alarm_is_acknowledged_without_words(people, comment):
    alarm = raise_alarm(Kind.ANCHOR_UNWRITABLE, ANCHOR, "The checkpoint could not be written.")
    with pytest.raises(trail.Refused, match="comment") as caught, trail.refusals():
        acknowledge(alarm, by=people.approver, comment=comment)
    assert caught.value.subject == alarm.trail_subject()
    alarm.refresh_from_db()
    assert alarm.acknowledged_at is None
    assert Entry.objects.filter(action="alarm.refused", actor=str(people.approver.pk)).count() == 1


@pytest.mark.compliance("11.10(g)", "11.300(d)")
def test_compliance_only_quality_and_administrators_acknowledge_and_only_once(people):
    alarm = raise_alarm(Kind.ANCHOR_UNWRITABLE, ANCHOR, "The checkpoint could not be written.")
    for person in (people.author, people.operator, people.inspector, people.reviewer, people.scientist):
        with pytest.raises(trail.Forbidden) as no:
            acknowledge(alarm, by=person, comment=SEEN)
        assert no.value.message == "Your role does not include this (alarms.acknowledge)."
        assert (no.value.action, no.value.subject, no.value.by) == (
            "alarm.refused",
            alarm.trail_subject(),
            person.trail_actor(),
        )
    acknowledge(alarm, by=people.administrator, comment=SEEN)
    entry = Entry.objects.latest("id")
    assert (entry.action, entry.reason, entry.detail) == ("alarm.acknowledged", SEEN, {"kind": alarm.kind})
    assert (entry.actor, entry.subject_id) == (str(people.administrator.pk), str(alarm.pk))
    with pytest.raises(trail.NotAllowed) as late:
        acknowledge(alarm, by=people.approver, comment=SEEN)
    assert late.value.message == "Dave Mbeki acknowledged this alarm already."
    assert (late.value.action, late.value.subject, late.value.by) == (
        "alarm.refused",
        alarm.trail_subject(),
        people.approver.trail_actor(),
    )


@pytest.mark.compliance("11.10(e)")
def test_compliance_the_alarm_log_cannot_be_edited(people):
    alarm = raise_alarm(Kind.ANCHOR_UNWRITABLE, ANCHOR, "The checkpoint could not be written.")
    with pytest.raises(DatabaseError, match="unrecorded change"), transaction.atomic():
        Alarm.objects.filter(pk=alarm.pk).update(sentence="Nothing happened.")
    with pytest.raises(DatabaseError, match="permission denied"), transaction.atomic():
        Alarm.objects.filter(pk=alarm.pk).delete()
    acknowledge(alarm, by=people.approver, comment=SEEN)
    change = RowChange.objects.filter(table="audit_alarm", operation="update").get()
    assert (change.old["comment"], change.new["comment"]) == ("", SEEN)


def test_an_alarm_of_a_transaction_that_fails_never_was(people):
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        raise_alarm(Kind.ANCHOR_UNWRITABLE, ANCHOR, "The checkpoint could not be written.")
        raise ZeroDivisionError
    assert not Alarm.objects.exists()


@pytest.mark.compliance("11.300(d)", "A6")
@pytest.mark.parametrize("kind", sorted(alarms.TOLD_ANEW))
def test_compliance_another_finding_about_evidence_is_not_swallowed_by_what_was_acknowledged(people, kind):
    first = acknowledge(raise_alarm(kind, ANCHOR, "Link 5 is wrong."), by=people.approver, comment=SEEN)
    assert raise_alarm(kind, ANCHOR, "Link 5 is wrong.").pk == first.pk
    other = raise_alarm(kind, ANCHOR, "Link 99 is wrong.")
    first.refresh_from_db()
    assert other.pk != first.pk and (other.state, first.state) == ("standing", "closed")
    assert first.cleared_how == "Another finding took its place."
    assert raise_alarm(kind, ANCHOR, "Link 100 is wrong.").pk == other.pk, "nobody has acknowledged that one"
