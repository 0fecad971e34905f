"""The directory names people from day to day; nothing that a file told is changed by it."""

from datetime import date, timedelta

import pytest

from audit import clock, trail
from audit.models import Entry
from cloudtrail import transitions
from cloudtrail.directory import Register
from cloudtrail.models import Actor, DirectoryEntry, Event
from portal.pages import timeline
from records.models import File
from tests.cloudtrail import given
from tests.cloudtrail.test_ingest import load
from tests.portal.test_audit_view import asked

WHY = "Export of the directory of May"
ID = "906755f1-1234"


def enter(by, identifier=ID, person="Anna Berg", since=date(2020, 1, 1), until=None, kind="user_id", user=None):
    values = {"kind": kind, "identifier": identifier, "person": person, "since": since, "until": until, "user": user}
    return transitions.enter_in_directory(values, by=by, reason=WHY)


def center_user(user_id=ID):
    return {"type": "IdentityCenterUser", "accountId": given.ACCOUNT, "credentialId": "c",
            "onBehalfOf": {"userId": user_id, "identityStoreArn": "arn:aws:identitystore::1:identitystore/d-1"}}  # fmt: skip


def read(firm, by, at, number=1):
    file = File.objects.filter(version__record=firm.kras).first()
    return given.s3("GetObject", file.key, bucket=file.bucket, at=at, by=by)


def lines(firm, **narrowed):
    return [line for line in timeline.lines(asked(firm, **narrowed)) if line.touched]


def test_an_entry_is_on_the_trail_with_its_reason(people):
    entry = enter(people.administrator)
    told = Entry.objects.get(action="directory.entered", subject_id=str(entry.pk))
    assert (told.reason, told.detail["identifier"], told.detail["person"]) == (WHY, ID, "Anna Berg")
    transitions.end_in_directory(entry.pk, date(2024, 1, 1), by=people.operator, reason="Left the firm then")
    assert Entry.objects.filter(action="directory.changed", subject_id=str(entry.pk)).count() == 1


def test_only_administrators_and_operators_keep_it(people):
    for person in (people.author, people.approver, people.inspector):
        with pytest.raises(trail.Forbidden):
            enter(person)
    assert not DirectoryEntry.objects.exists()


def test_an_id_belongs_to_one_person_at_a_time(people):
    first = enter(people.operator, since=date(2024, 1, 1))
    with pytest.raises(trail.NotAllowed, match="belongs to Anna Berg"):
        enter(people.operator, person="Bo Dahl", since=date(2025, 1, 1))
    enter(people.operator, person="Before Anna", since=date(2020, 1, 1), until=date(2023, 12, 31))
    transitions.end_in_directory(first.pk, date(2024, 12, 31), by=people.operator, reason="Left the firm then")
    enter(people.operator, person="Bo Dahl", since=date(2025, 1, 1))
    with pytest.raises(trail.NotAllowed, match="belongs to Bo Dahl"):
        transitions.end_in_directory(first.pk, date(2025, 1, 1), by=people.operator, reason="One day more than that")
    known = [
        Register().known(f"user_id|{ID}", day) for day in (date(2023, 12, 31), date(2024, 12, 31), date(2025, 1, 1))
    ]
    assert [one.person for one in known] == ["Before Anna", "Anna Berg", "Bo Dahl"]
    assert Register().known(f"user_id|{ID}", date(2019, 12, 31)) is None


def test_an_entry_that_never_was_right_names_nobody_and_leaves_the_time_to_another(people):
    wrong = enter(people.operator, person="Mistaken", since=date(2024, 1, 1))
    transitions.end_in_directory(wrong.pk, date(2023, 12, 31), by=people.operator, reason="Mistyped the whole of it")
    assert Register().known(f"user_id|{ID}", date(2024, 1, 1)) is None
    enter(people.operator, person="Anna Berg", since=date(2020, 1, 1))
    assert Register().known(f"user_id|{ID}", date(2024, 1, 1)).person == "Anna Berg"
    with pytest.raises(trail.NotAllowed, match="on the day before"):
        transitions.end_in_directory(wrong.pk, date(2023, 1, 1), by=people.operator, reason="Mistyped the whole of it")


@pytest.mark.compliance("A4")
def test_compliance_the_view_names_whom_the_directory_knows_on_the_day_of_the_event(firm, tmp_path):
    now = clock.now()
    passed_on = (now - timedelta(days=10)).date()
    events = [read(firm, center_user(), now - timedelta(days=days)) for days in (20, 5)]
    load(given.hand_over(tmp_path, {given.log_key(): given.packed(events)}))
    assert {line.who.name for line in lines(firm)} == {f"Identity Center user {ID}"}
    enter(firm.operator, until=passed_on)
    enter(firm.operator, person=firm.scientist.legal_name, user=firm.scientist, since=passed_on + timedelta(days=1))
    newer, older = lines(firm)
    assert (newer.who.key, newer.who.standing, older.who.name) == (str(firm.scientist.pk), "PROVEN", "Anna Berg")
    assert f"Identity Center user {ID}, whom the directory knows" in newer.known
    assert older.sentence.startswith("Anna Berg read ")
    for line in (newer, older):
        assert lines(firm, person=line.who.key) == [line]
    assert not lines(firm, person=f"PROVEN|Identity Center user {ID}")
    cells = timeline.chosen(timeline.cells(asked(firm)), asked(firm, person="DIRECTORY|Anna Berg"))
    assert sum(cell.count for cell in cells) == 1
    assert Actor.objects.get(listed=f"user_id|{ID}").name == f"Identity Center user {ID}", "what files tell stays"


def test_a_role_taken_on_from_an_identity_center_session_leads_to_the_same_entry(firm, tmp_path):
    path = "aws-reserved/sso.amazonaws.com/"
    session = given.session("ASIASSO", role="AWSReservedSSO_Reader_3f1c9a77d0b2e845", name="anna.b", path=path)
    at = clock.now() - timedelta(days=3)
    events = [given.assume_role("ASIAON", by=session, at=at), read(firm, given.session("ASIAON", role="deep"), at)]
    load(given.hand_over(tmp_path, {given.log_key(): given.packed(events)}))
    enter(firm.operator, "anna.b", kind="user_name")
    (line,) = lines(firm)
    assert (line.who.name, line.role) == ("Anna Berg", "deep")


def test_a_service_is_shown_with_whoever_answers_for_it(firm, tmp_path):
    service = {"type": "AWSService", "invokedBy": "batch.amazonaws.com"}
    load(
        given.hand_over(
            tmp_path, {given.log_key(): given.packed([read(firm, service, clock.now() - timedelta(days=3))])}
        )
    )
    enter(firm.operator, "batch.amazonaws.com", person="Dave Stone", kind="service")
    (line,) = lines(firm)
    assert (line.who.name, line.who.standing) == ("The service batch.amazonaws.com", "SERVICE")
    assert "Dave Stone answers for it" in line.known


# Pages ----------------------------------------------------------------------------------------------------------------


@pytest.mark.compliance("A4")
def test_compliance_the_chain_is_drawn_hop_by_hop_with_the_events_that_prove_it(firm, tmp_path):
    first = given.assume_role("ASIA1", by=given.iam_user())
    second = given.assume_role("ASIA2", by=given.session("ASIA1", role="hop-one"))
    load(
        given.hand_over(
            tmp_path, {given.log_key(): given.packed([given.s3(by=given.session("ASIA2", role="deep")), second, first])}
        )
    )
    actor = Actor.objects.get(role="deep")
    page = firm.client(firm.inspector).get(actor.get_absolute_url()).content.decode()
    for event in (first, second):
        url = Event.objects.get(event_id=event["eventID"]).get_absolute_url()
        assert f'href="{url}"' in page
    assert (
        page.index("Session botocore-session-17 of role deep")
        < page.index("of role hop-one")
        < page.index("IAM user maja")
    )
    assert "<b>maja</b>" in page


def test_those_who_lead_to_nobody_are_counted(firm, tmp_path):
    events = [given.s3(by=given.session(f"ASIA{n}", role="bare")) for n in range(3)]
    load(given.hand_over(tmp_path, {given.log_key(): given.packed([*events, given.s3()])}))
    page = firm.client(firm.inspector).get("/trails/actors/?standing=UNRESOLVED").content.decode()
    assert "leads to nobody so far: 3 of 4" in page
    assert page.count("somebody who could not be resolved") == 3


def test_the_directory_is_kept_on_its_page(firm):
    client = firm.client(firm.operator)
    told = {"kind": "user_id", "identifier": ID, "person": "Anna Berg", "since": "2024-01-01", "reason": WHY}
    assert client.post("/trails/directory/", told).status_code == 302
    assert client.post("/trails/directory/", told).status_code == 409
    entry = DirectoryEntry.objects.get()
    url = f"/trails/directory/{entry.pk}/"
    assert client.post(url, {"until": "2025-01-01", "reason": "Left the firm then"}).status_code == 302
    assert "1 Jan 2025" in client.get(url).content.decode()
    reader = firm.client(firm.inspector)
    assert '<form class="card"' not in reader.get("/trails/directory/").content.decode()
    assert reader.post("/trails/directory/", told).status_code == 403
