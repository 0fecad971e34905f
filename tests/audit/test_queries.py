"""Who sees which entries, alarms and readings (11.10(g)), the groups of actions, and the rows that an act changed."""

import pytest
from django.db import transaction

from accounts.models import Area, User
from audit import queries, trail
from audit.actions import REFUSALS, Action
from audit.alarms import Kind, raise_alarm
from audit.models import Access, Alarm, Entry
from jobs.models import Job

ME = trail.Actor("me", "Me", "")
ABOUT = ("record", "version", "user", "bucket")


@pytest.fixture
def rows(people) -> dict:
    """Any rows do: one that may be seen and one that may not, as record, as version and as person."""
    seen, hidden = str(people.author.pk), str(people.reviewer.pk)
    with transaction.atomic():
        for kind in ABOUT:
            for key in (seen, hidden):
                subject = trail.Subject(kind, key, f"{kind} {'seen' if key == seen else 'hidden'}")
                for actor in (ME, trail.SYSTEM):
                    trail.record(Action.JOB_RETRIED, subject, by=actor)
                trail.access(ME, "view", subject)
                raise_alarm(Kind.LOCK_OUT, subject, "x")
    mine = User.objects.filter(pk=people.author.pk).order_by("username")
    return {"records": mine, "versions": mine, "people": mine}


def elsewhere() -> dict:
    """Neither alarms nor jobs are looked at here."""
    return {"alarms": Alarm.objects.none(), "jobs": Job.objects.none()}


def labels(entries) -> set[str]:
    return {f"{entry.subject_label} {entry.actor}" for entry in entries.filter(action=Action.JOB_RETRIED)}


OF_RECORDS = {f"{kind} seen {actor}" for kind in ("record", "version") for actor in ("me", "system")}
MY_OWN = {f"{kind} {which} me" for kind in ("user", "bucket") for which in ("seen", "hidden")}


@pytest.mark.compliance("11.10(g)")
def test_compliance_an_entry_is_seen_with_its_record_and_ones_own_acts_always(rows):
    assert labels(queries.visible("me", reads_all=False, **rows, **elsewhere())) == OF_RECORDS | MY_OWN
    others = {"user seen system", "bucket seen system", "bucket hidden system"}
    assert labels(queries.visible("me", reads_all=True, **rows, **elsewhere())) == OF_RECORDS | MY_OWN | others
    nothing = {name: Area.objects.none() for name in rows}
    assert labels(queries.visible("you", reads_all=False, **nothing, **elsewhere())) == set()
    only = nothing | {"versions": rows["versions"]}
    assert labels(queries.visible("you", reads_all=False, **only, **elsewhere())) == {
        "version seen me",
        "version seen system",
    }


@pytest.mark.compliance("11.10(g)")
def test_compliance_readings_and_alarms_follow_the_same_rule(rows):
    records = {"record seen", "version seen"}
    people = rows.pop("people")
    elsewhere = {"user seen", "user hidden", "bucket seen", "bucket hidden"}
    accesses = queries.visible_accesses(**rows).filter(actor="me")
    assert {row.subject_label for row in accesses} == records | elsewhere and Access.objects.filter(
        actor="me"
    ).count() == 8
    alarms = queries.visible_alarms(people=people, **rows)
    assert {alarm.subject_label for alarm in alarms} == records | elsewhere - {
        "user hidden"
    } and Alarm.objects.count() == 8
    rows["records"] = User.objects.none()
    assert "record seen" not in {row.subject_label for row in queries.visible_accesses(**rows)}


def test_a_group_holds_the_actions_that_begin_as_it_says(people):
    def actions(group: str) -> set[str]:
        return set(Entry.objects.filter(queries.of_group(group)).values_list("action", flat=True))

    with transaction.atomic():
        for action in (Action.BUCKET_REGISTERED, Action.TRAIL_PULLED, Action.STEP_REFUSED, Action.ALARM_RAISED):
            trail.record(action, people.laboratory, by=ME)
    assert actions("Storage and CloudTrail") == {"bucket.registered", "trail.pulled"}
    assert actions("Refused") == {"step.refused"} <= set(REFUSALS)
    assert actions("Alarms and reviews") == {"alarm.raised"}
    assert actions("No such group") == set(Entry.objects.values_list("action", flat=True))


@pytest.mark.parametrize("action", Action)
def test_every_action_is_found_under_one_group(action):
    assert sum(action.startswith(beginnings) for beginnings in queries.GROUPS.values()) == 1


def test_acts_of_people_leave_out_what_the_portal_did_by_itself(people):
    with transaction.atomic():
        for actor in (ME, trail.NOBODY, trail.SYSTEM):
            trail.record(Action.TRAIL_PULLED, people.laboratory, by=actor)
    found = Entry.objects.filter(queries.of_group("By people"))
    assert set(found.filter(action="trail.pulled").values_list("actor", flat=True)) == {"me", "anonymous"}


def test_what_was_read_stands_in_the_sentence_about_the_reader(people):
    with transaction.atomic():
        number = trail.record(
            Action.READING_ASSIGNED, people.author, by=trail.SYSTEM, detail={"version": "SOP-001 version 2"}
        )
    assert Entry.objects.get(pk=number).sentence == "Countersign assigned a reading to Ana Lindqvist: SOP-001 version 2"


def test_the_changes_of_an_entry_are_those_of_its_act_about_its_subject_in_order(people):
    first, second = people.laboratory, people.author
    with transaction.atomic():
        for name in ("One", "Two"):
            Area.objects.filter(pk=first.pk).update(name=name)
        User.objects.filter(pk=second.pk).update(legal_name="Ana L.")
        number = trail.record(Action.AREA_CHANGED, first, by=ME)
        trail.record(Action.USER_CHANGED, second, by=ME)
    with transaction.atomic():
        Area.objects.filter(pk=first.pk).update(name="Three")
        trail.record(Action.AREA_CHANGED, first, by=ME)
    assert [change.new["name"] for change in queries.changes_of(Entry.objects.get(pk=number))] == ["One", "Two"]


def test_an_entry_hangs_in_the_chain_where_its_link_is(people):
    entries = list(Entry.objects.order_by("id")[:3])
    found = queries.included(entries)
    assert set(found) == {entry.pk for entry in entries} and all(each.follows for each in found.values())
    links = list(queries.Link.objects.order_by("seq"))
    for each in found.values():
        assert bytes(links[each.seq - 1].hash).hex() == each.hash
        assert each.previous == (bytes(links[each.seq - 2].hash).hex() if each.seq > 1 else "")
    entries[1].reason = "Something else"
    assert [queries.included(entries)[entry.pk].follows for entry in entries] == [True, False, True]
    assert queries.included([Entry(pk=10**9)]) == {}
