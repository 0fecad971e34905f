"""Access as of any day, and its recertification (11.300(b); draft Annex 11, 11)."""

from datetime import timedelta

import pytest
from django.db import connection, transaction

from accounts import access
from accounts import transitions as people_verbs
from accounts.models import Removal, User
from audit import clock, trail
from audit.actions import Action
from audit.alarms import Kind
from audit.models import Alarm, Entry
from portal import recertification
from records import reports
from records.models import Version
from tests import acts
from tests.conftest import superuser
from tests.firm import make_buckets

WHY = "She takes the post of a QA manager"
OVER = "Her post in quality is over"


def roles(name: str, when=None) -> dict[str, str]:
    return {line.role: line.approver for line in access.as_of(when or clock.now()) if line.name == name}


@pytest.mark.compliance("11.300(b)", "11.10(d)")
def test_compliance_access_is_told_as_of_any_day_with_who_gave_it(people, ticking):
    days = [clock.now()]
    ticking.advance(days=1)
    people_verbs.set_roles(people.reviewer, ["reviewer", "approver"], by=people.administrator, reason=WHY)
    days.append(clock.now())
    ticking.advance(days=1)
    people_verbs.set_areas(people.reviewer, [], by=people.administrator2, reason=WHY)
    people_verbs.set_roles(people.reviewer, ["reviewer"], by=people.administrator2, reason=OVER)
    days.append(clock.now())
    ticking.advance(days=1)
    people_verbs.deactivate(people.reviewer, by=people.administrator, reason=OVER)
    told = [roles("Maja Ruiz", day) for day in days]
    assert told[0] == {"reviewer": "Countersign"}
    assert told[1] == {"reviewer": "Countersign", "approver": "Dave Mbeki"}
    assert told[2] == {"reviewer": "Countersign"}
    areas = [next(line.areas for line in access.as_of(day) if line.name == "Maja Ruiz") for day in days]
    assert areas == [("Sequencing laboratory",), ("Sequencing laboratory",), ()]
    states = [
        next(line.state for line in access.as_of(day) if line.name == "Maja Ruiz") for day in [*days, clock.now()]
    ]
    assert states == ["active", "active", "active", "inactive"]
    assert access.as_of(days[0] - timedelta(days=400)) == []


@pytest.mark.compliance("11.300(b)")
def test_compliance_today_told_by_the_trail_is_what_the_accounts_say(people):
    people_verbs.set_roles(people.reviewer, ["author", "approver"], by=people.administrator, reason=WHY)
    told = {(line.person, line.role) for line in access.as_of(clock.now())}
    assert told == {(str(user.pk), role) for user in User.objects.all() for role in user.roles}


@pytest.mark.compliance("11.10(d)", "11.300(b)")
def test_compliance_each_role_of_the_database_is_told_with_what_it_may_do_to_the_trail(people):
    told = {one.name: one.note for one in access.principals()}
    for name, may in {
        "postgres": "may go around everything",
        "countersign_owner": "may switch triggers off",
        "countersign_app": "bound by the triggers",
        "countersign_reader": "reads at most",
    }.items():
        assert may in told[name], name
    with superuser(connection.settings_dict["NAME"]) as raw:
        raw.execute("CREATE ROLE a_maker_of_roles LOGIN CREATEROLE")
        try:
            assert "make itself their owner" in {one.name: one.note for one in access.principals()}["a_maker_of_roles"]
        finally:
            raw.execute("DROP ROLE a_maker_of_roles")


@pytest.mark.compliance("11.300(b)")
def test_compliance_accounts_without_a_log_in_for_90_days_are_stale(people, ticking):
    with transaction.atomic():
        trail.record(Action.LOGIN_SUCCEEDED, people.operator, by=people.operator)
    ticking.advance(days=60)
    with transaction.atomic():
        trail.record(Action.LOGIN_SUCCEEDED, people.author, by=people.author)
    ticking.advance(days=31)
    stale = {line.name: line.stale for line in access.as_of(clock.now())}
    assert stale["Tomasz Nowak"] and not stale["Ana Lindqvist"]


@pytest.mark.compliance("11.300(b)", "Administrator")
def test_compliance_a_recertification_is_signed_by_two_and_administrators_take_the_roles_away(people):
    make_buckets()
    people_verbs.set_roles(people.reviewer, ["reviewer", "approver"], by=people.administrator, reason=WHY)
    lines = [line.key for line in recertification.to_decide()]
    key = f"{people.reviewer.pk}:approver"
    version = recertification.make({key: OVER}, lines, by=people.approver)
    told = {(line["name"], line["role"]): line["decision"] for line in reports.read(version)["lines"]}
    assert told["Maja Ruiz", "approver"] == "remove" and told["Maja Ruiz", "reviewer"] == "keep"
    acts.sign(people.approver, version)
    assert not Removal.objects.exists()
    acts.sign(people.approver2, version)
    assert User.objects.get(pk=people.reviewer.pk).has_role("approver")
    ((removal, _),) = access.open_removals()
    assert (removal.role, removal.report, removal.why) == ("approver", version.record.number, OVER)
    assert Entry.objects.filter(action="user.access_reviewed", subject_id=str(people.reviewer.pk)).count() == 1
    page = people.client(people.administrator).get("/people/access/").content.decode()
    assert "Roles to take away" in page and OVER in page
    people_verbs.set_roles(people.reviewer, ["reviewer"], by=people.administrator, reason=OVER)
    assert access.open_removals() == []
    people_verbs.set_roles(people.reviewer, ["reviewer", "approver"], by=people.administrator2, reason=WHY)
    assert access.open_removals() == []


def kept():
    """What the form of a recertification says that keeps every role."""
    keys = [line.key for line in recertification.to_decide()]
    return {"line": keys, **{f"do-{key}": "keep" for key in keys}}


@pytest.mark.compliance("11.300(b)")
def test_compliance_a_recertification_is_filed_where_a_second_approver_can_sign_it(people):
    make_buckets()
    acts.area_of_their_own(people.approver)
    answer = people.client(people.approver).post("/people/access/recertify/", kept(), follow=True)
    assert "cannot sign yet" not in answer.content.decode() and "Nobody in the area" not in answer.content.decode()
    version = Version.objects.select_related("record").get(record__type="access_review")
    assert version.record.area == people.laboratory
    acts.sign(people.approver, version)
    acts.sign(people.approver2, version)
    version.refresh_from_db()
    assert version.state == "approved"


def test_whoever_recertifies_is_told_at_once_what_stands_in_the_way_of_the_signatures(people):
    make_buckets()
    client = people.client(people.approver)
    with transaction.atomic():
        people.approver.devices.update(withdrawn_at=clock.now())
        trail.record(Action.CODE_RESET, people.approver, by=people.administrator)
    answer = client.post("/people/access/recertify/", kept(), follow=True)
    assert f"{people.approver} cannot sign yet: no device was tested" in answer.content.decode()


@pytest.mark.compliance("11.10(g)")
def test_compliance_a_removal_needs_words_and_the_list_that_was_shown(people):
    make_buckets()
    lines = [line.key for line in recertification.to_decide()]
    key = f"{people.reviewer.pk}:reviewer"
    with pytest.raises(trail.Refused, match="Maja Ruiz, Reviewer: Give a reason"):
        recertification.make({key: "x"}, lines, by=people.approver)
    with pytest.raises(trail.Refused, match="changed meanwhile"):
        recertification.make({}, lines[1:], by=people.approver)
    with pytest.raises(trail.Forbidden):
        recertification.make({}, lines, by=people.administrator)


@pytest.mark.compliance("11.300(b)")
def test_compliance_a_recertification_that_is_overdue_is_shown_and_an_alarm(people, ticking, settings):
    make_buckets()
    recertification.look_for_overdue()
    assert not Alarm.objects.exists()
    ticking.advance(days=settings.ACCESS_REVIEWED_EVERY + 1)
    recertification.look_for_overdue()
    recertification.look_for_overdue()
    alarm = Alarm.objects.get(kind=Kind.ACCESS_REVIEW_OVERDUE)
    assert alarm.count == 1
    version = recertification.make({}, [line.key for line in recertification.to_decide()], by=people.approver)
    acts.sign(people.approver, version)
    acts.sign(people.approver2, version)
    alarm.refresh_from_db()
    assert alarm.cleared_at is not None
    due = recertification.due_at()
    assert due is not None and due > clock.now() + timedelta(days=settings.ACCESS_REVIEWED_EVERY - 1)


def test_the_list_can_be_taken_along_as_csv_and_pdf(people):
    client = people.client(people.inspector)
    text = client.get("/people/access/export/").content.decode()
    assert "Maja Ruiz,reviewer,active,reviewer,Sequencing laboratory,Countersign," in text
    assert client.get("/people/access/export/?as=pdf").content.startswith(b"%PDF")
    assert Entry.objects.exists()


def test_the_form_seals_what_was_decided(people):
    make_buckets()
    client = people.client(people.approver)
    rows = client.get("/people/access/recertify/").context["rows"]
    key = f"{people.operator.pk}:operator"
    keys = [row["line"].key for row in rows]
    given = {"line": keys, **{f"do-{one}": "keep" for one in keys}, f"do-{key}": "remove", f"why-{key}": ""}
    assert "Give a reason" in client.post("/people/access/recertify/", given).content.decode()
    answer = client.post("/people/access/recertify/", given | {f"why-{key}": "He has left the laboratory"})
    assert answer.status_code == 302 and answer["Location"].startswith("/sign/")


def test_no_role_is_kept_that_nobody_decided_on(people):
    make_buckets()
    client = people.client(people.approver)
    page = client.get("/people/access/recertify/")
    text = page.content.decode()
    assert "selected" not in text and text.count('<option value="">') == len(page.context["rows"])
    assert [row["line"].name for row in page.context["rows"] if row["own"]] == [people.approver.legal_name]
    assert text.count("Your own") == 1
    keys = [row["line"].key for row in page.context["rows"]]
    left, removed = f"{people.reviewer.pk}:reviewer", f"{people.operator.pk}:operator"
    given = {"line": keys, **{f"do-{one}": "keep" for one in keys if one != left}, f"do-{removed}": "remove",
             f"why-{removed}": "He has left the laboratory"}  # fmt: skip
    refused = client.post("/people/access/recertify/", given)
    text = refused.content.decode()
    assert refused.status_code == 400 and "Undecided: Maja Ruiz, Reviewer." in text
    assert text.count('value="keep" selected') == len(keys) - 2 and text.count('value="remove" selected') == 1
    assert "He has left the laboratory" in text and text.count('aria-invalid="true"') == 1
    assert not Version.objects.filter(record__type="access_review").exists()
    assert client.post("/people/access/recertify/", given | {f"do-{left}": "anything"}).status_code == 400
    assert client.post("/people/access/recertify/", given | {f"do-{left}": "keep"}).status_code == 302
