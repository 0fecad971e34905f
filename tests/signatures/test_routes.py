"""Who is asked to sign, in which order, and what becomes of a step when it is asked of somebody else (§2 rows 11, 12, 25; S2)."""

import json
from dataclasses import asdict
from datetime import timedelta

import pytest
from django.db import DatabaseError, transaction

from accounts import transitions as people_verbs
from accounts.models import User
from audit import clock, trail
from audit.actions import Action
from audit.models import Entry
from portal.pages.document_forms import SubmitForm
from records import transitions as records
from records.models import RecordType, Version
from signatures import requests, routes
from signatures.meanings import Meaning
from signatures.models import RouteTemplate, Step
from signatures.queries import who_could_sign
from signatures.routes import Row
from signatures.transitions import reassign
from tests import acts, builders
from tests.cast import Cast

REVIEW = Row(1, "reviewer", "review", "I have reviewed it.", days=3)
APPROVAL = Row(2, "approver", "approval", "I approve it.", days=7)
WHY = "SOP-0002 asks for it."


def change(people: Cast, rows: list[Row], *, applies_to: str = "URS", on_top_of: int = 0, by: User | None = None):
    with trail.refusals(by or people.approver2):
        return routes.change(applies_to, rows, by=by or people.approver2, reason=WHY, on_top_of=on_top_of)


def submitted(people: Cast, reviewers=(), approvers=(), code: str = "URS", due_at=None) -> Version:
    """A document's version whose route is opened as a submission opens it."""
    record = builders.a_record(people, code)
    version = builders.a_version(record, by=people.author)
    with transaction.atomic():
        routes.of_document(version, reviewers, approvers, due_at, by=people.author)
    return version


def whose_turn(version: Version) -> list[tuple[int, str, str]]:
    steps = Step.objects.waiting().filter(version=version).select_related("assignee").order_by("place", "row", "pk")
    return [(step.place, step.meaning, str(step.assignee or f"any {step.role}")) for step in steps]


# Templates


@pytest.mark.compliance("S2", "§2.25")
def test_compliance_a_template_decides_places_sentences_and_dates_and_the_route_names_its_revision(people):
    template = change(people, [REVIEW, APPROVAL])
    version = submitted(people, [people.reviewer])
    assert version.request.template == template
    review, approval = version.steps.order_by("place")
    assert (review.assignee, review.sentence) == (people.reviewer, "I have reviewed it.")
    assert (approval.assignee, approval.role) == (None, "approver")
    assert (review.due_at - version.request.opened_at).total_seconds() == pytest.approx(3 * 86400, abs=10)
    assert "revision 1" in Entry.objects.get(action=Action.SIGNATURES_REQUESTED).detail["route"]
    assert whose_turn(version) == [(1, "review", "Maja Ruiz")]
    (signature,) = acts.sign(people.reviewer, version)
    assert signature.sentence == "I have reviewed it."
    acts.sign(people.approver, version)
    assert Version.objects.get(pk=version.pk).state == "approved"


@pytest.mark.compliance("S2", "11.10(k)")
def test_compliance_a_change_of_the_template_never_reaches_a_route_that_is_open(people):
    change(people, [REVIEW, APPROVAL])
    before = submitted(people)
    steps = list(before.steps.order_by("place").values())
    change(people, [Row(1, "approver", "approval", "I approve it alone.")], on_top_of=1)
    assert list(before.steps.order_by("place").values()) == steps
    assert (before.request.template.revision, submitted(people).request.template.revision) == (1, 2)
    (first, second) = Entry.objects.filter(action=Action.ROUTE_CHANGED).order_by("id")
    assert second.detail["from"] == first.detail["to"] == json.loads(json.dumps([asdict(REVIEW), asdict(APPROVAL)]))
    assert (second.actor_name, second.reason) == ("Ingrid Solheim", WHY)


@pytest.mark.compliance("S2")
def test_compliance_the_types_own_template_goes_before_the_kinds_and_none_lets_the_author_ask(people):
    urs, fs = (RecordType.objects.get(pk=code) for code in ("URS", "FS"))
    assert routes.in_force(urs) is None
    kind = change(people, [APPROVAL_ALONE], applies_to="document")
    own = change(people, [REVIEW, APPROVAL])
    assert (routes.in_force(urs), routes.in_force(fs)) == (own, kind)
    change(people, [], on_top_of=1)  # withdrawn
    assert routes.in_force(urs) == kind


APPROVAL_ALONE = Row(1, "approver", "approval", "I approve it.")
NO_ROUTES = {
    "no approval at the last place": [REVIEW],
    "an approval before the last place alone": [APPROVAL_ALONE, Row(2, "reviewer", "review", "I reviewed it.")],
    "a place left out": [REVIEW, Row(3, "approver", "approval", "I approve it.")],
    "places out of order": [Row(2, "approver", "approval", "Yes."), REVIEW],
    "an approval by a reviewer": [Row(1, "reviewer", "approval", "I approve it.")],
    "a review by an author": [Row(1, "author", "review", "I reviewed it."), APPROVAL],
    "a meaning that nobody can be asked for": [Row(1, "approver", "rejection", "No."), APPROVAL],
    "a reading": [Row(1, "approver", "reading", "I read it."), APPROVAL],
    "no sentence": [Row(1, "approver", "approval", "  ")],
    "nobody needed": [Row(1, "approver", "approval", "Yes.", asked=3, needed=0)],
    "more needed than asked": [Row(1, "approver", "approval", "Yes.", asked=2, needed=3)],
    "too many asked": [Row(1, "approver", "approval", "Yes.", asked=21)],
    "a date in the past": [Row(1, "approver", "approval", "Yes.", days=-1)],
}


@pytest.mark.compliance("S2", "§2.25")
def test_compliance_what_is_no_route_is_refused_and_nothing_is_stored(people):
    for what, rows in NO_ROUTES.items():
        with pytest.raises(routes.RouteRefused):
            change(people, rows)
        assert not RouteTemplate.objects.exists(), what
    assert Entry.objects.filter(action=Action.REQUEST_REFUSED).count() == len(NO_ROUTES)


@pytest.mark.compliance("11.10(g)", "S2")
def test_compliance_only_an_approver_changes_a_route_with_a_reason_and_on_what_they_saw(people):
    for who in (people.author, people.reviewer, people.operator, people.inspector, people.administrator):
        with pytest.raises(trail.Forbidden):
            change(people, [APPROVAL_ALONE], by=who)
    with pytest.raises(routes.RouteRefused, match="reason"):
        routes.change("URS", [APPROVAL_ALONE], by=people.approver, reason="because", on_top_of=0)
    with pytest.raises(routes.RouteRefused, match="no such type"):
        change(people, [APPROVAL_ALONE], applies_to="NGS")
    change(people, [APPROVAL_ALONE])
    with pytest.raises(routes.RouteRefused, match="Somebody else changed"):
        change(people, [REVIEW, APPROVAL])
    assert RouteTemplate.objects.count() == 1


@pytest.mark.compliance("11.10(e)")
def test_compliance_a_revision_of_a_template_is_never_changed(people):
    template = change(people, [APPROVAL_ALONE])
    with pytest.raises(DatabaseError), transaction.atomic():
        RouteTemplate.objects.filter(pk=template.pk).update(rows=[])
    with pytest.raises(DatabaseError), transaction.atomic():
        template.delete()


@pytest.mark.compliance("§2.11", "S2")
def test_compliance_under_a_template_the_author_is_not_asked_and_nobody_is_asked_beyond_it(people):
    change(people, [REVIEW, APPROVAL])
    with pytest.raises(trail.Refused, match="no place for Ingrid Solheim"):
        submitted(people, [people.reviewer], [people.approver, people.approver2])
    with pytest.raises(trail.Refused, match="no place for Ana Lindqvist"):
        submitted(people, [people.author])
    version = submitted(people)
    assert [str(person) for step in version.steps.all() for person in requests.mail.asked(step)] == [
        "Maja Ruiz", "Chidi Okafor", "Ingrid Solheim",
    ]  # fmt: skip


@pytest.mark.compliance("S2")
def test_compliance_under_a_template_the_page_says_what_is_asked_and_nobody_needs_to_be_named(people):
    change(people, [REVIEW, APPROVAL])
    draft = builders.a_record(people).draft
    data = {"message": "First issue of it"}
    form = SubmitForm(data, draft=draft, by=people.author, today=clock.now().date())
    assert form.is_valid(), form.errors
    assert "1 Reviewer for review, then 1 QA approver for approval" in str(form.fields["approvers"].help_text)
    change(people, [], on_top_of=1)
    assert not SubmitForm(data, draft=draft, by=people.author, today=clock.now().date()).is_valid()


# Parallel steps and quorum


@pytest.fixture
def approver3(people) -> User:
    """Whoever reviews is made an approver too, so that there are three."""
    with transaction.atomic():
        people.reviewer.groups.set(people.approver.groups.all())
        trail.record(Action.USER_ROLES_CHANGED, people.reviewer, by=people.administrator)
    return User.objects.get(pk=people.reviewer.pk)


TWO_OF_THREE = Row(1, "approver", "approval", "I approve it.", asked=3, needed=2)


@pytest.mark.compliance("S2", "§2.25")
def test_compliance_a_place_is_complete_with_its_quorum_and_the_rest_lapse_visibly(people, approver3):
    change(people, [TWO_OF_THREE])
    version = submitted(people, [], [approver3, people.approver, people.approver2])
    assert len(whose_turn(version)) == 3
    acts.sign(people.approver, version)
    assert Version.objects.get(pk=version.pk).state == "in_review"
    assert not version.steps.filter(lapsed_at__isnull=False).exists()
    acts.sign(people.approver2, version)
    assert Version.objects.get(pk=version.pk).state == "approved"
    lapsed = version.steps.get(signature__isnull=True)
    assert lapsed.assignee == approver3
    assert lapsed.lapsed_at is not None
    assert Entry.objects.get(action=Action.STEPS_LAPSED).detail == {"needed": 2, "lapsed": 1, "place": 1}
    page = people.client(people.author).get(version.get_absolute_url()).content.decode()
    assert "Lapsed" in page or "lapsed" in page


@pytest.mark.compliance("§2.25")
def test_compliance_a_lapsed_step_signs_nothing_while_a_later_place_still_waits(people, approver3):
    change(people, [Row(1, "approver", "review", "I reviewed it.", asked=2, needed=1), APPROVAL])
    version = submitted(people, [approver3, people.approver2], [people.approver])
    mine = version.steps.get(assignee=people.approver2)
    acts.sign(approver3, version)
    assert whose_turn(version) == [(2, "approval", "Chidi Okafor")]
    from signatures import intents
    from signatures.transitions import sign

    where = acts.sitting(people.approver2)
    acts.open_pages(version, where)
    intent = intents.open_for(version, user=people.approver2, sitting=where, step=mine)
    with pytest.raises(trail.Refused, match="asked for no more"):
        sign(
            intent.pk, "review", signer=people.approver2, credentials=acts.credentials(people.approver2), sitting=where
        )
    acts.sign(people.approver, version)
    assert Version.objects.get(pk=version.pk).state == "approved"


@pytest.mark.compliance("§2.25", "S2")
def test_compliance_rows_of_one_place_sign_side_by_side_and_the_next_place_waits_for_all(people, approver3):
    rows = [REVIEW, Row(1, "approver", "review", "I reviewed it too."), APPROVAL]
    with transaction.atomic():  # a reviewer once more
        people.reviewer.groups.set(User.objects.get(username="reviewer").groups.all())
        trail.record(Action.USER_ROLES_CHANGED, people.reviewer, by=people.administrator)
    change(people, rows)
    version = submitted(people)
    assert [(place, meaning) for place, meaning, _ in whose_turn(version)] == [(1, "review"), (1, "review")]
    assert not Step.objects.awaiting(people.approver).filter(meaning="approval").exists()
    acts.sign(people.approver2, version)
    assert [(place, meaning) for place, meaning, _ in whose_turn(version)] == [(1, "review")]


# Reassigning


def asked_of(version: Version, person: User) -> Step:
    return version.steps.select_related("version__record", "version__request", "assignee").get(assignee=person)


@pytest.mark.compliance("§2.12", "S2")
def test_compliance_whoever_takes_over_a_step_signs_as_themselves(people):
    version = builders.a_document_in_review(people)
    acts.sign(people.reviewer, version)
    step = asked_of(version, people.approver)
    reassign(step, people.approver2, by=people.approver, reason="I am out of office this week.")
    assert not Step.objects.awaiting(people.approver).exists()
    (signature,) = acts.sign(people.approver2, version)
    assert (signature.printed_name, signature.signer) == ("Ingrid Solheim", people.approver2)
    assert json.loads(bytes(signature.statement))["signer"] == str(people.approver2.pk)
    entry = Entry.objects.get(action=Action.STEP_REASSIGNED)
    assert (entry.actor_name, entry.reason) == ("Chidi Okafor", "I am out of office this week.")
    assert (entry.detail["from"], entry.detail["to"]) == ("Chidi Okafor", "Ingrid Solheim")


@pytest.mark.compliance("§2.12", "11.10(g)")
def test_compliance_who_asked_who_is_asked_and_approvers_reassign_and_nobody_else(people):
    version = builders.a_document_in_review(people)
    for by in (
        people.operator,
        people.scientist,
        people.inspector,
        people.administrator,
        people.outsider,
        people.reviewer,
    ):
        with pytest.raises(trail.Refused, match="may ask somebody else") as caught, trail.refusals(by):
            reassign(asked_of(version, people.approver), people.approver2, by=by, reason=WHY)
        assert caught.value.status == 403
    assert Entry.objects.filter(action=Action.STEP_REFUSED).count() == 6
    turn = [people.approver, people.approver2]
    for by in (people.author, people.approver2, people.approver):
        step = asked_of(version, turn[0])
        turn.reverse()
        reassign(step, turn[0], by=by, reason=WHY)


@pytest.mark.compliance("§2.12", "11.10(g)")
def test_compliance_a_step_is_neither_reassigned_nor_offered_to_somebody_whose_access_has_expired(people, ticking):
    version, leaving = builders.a_document_in_review(people), people.approver2
    step = asked_of(version, people.approver)
    people_verbs.change_details(
        leaving, by=people.administrator, reason="Leaves the firm on Friday", legal_name=leaving.legal_name,
        title=leaving.title, email=leaving.email, expires_at=clock.now() + timedelta(days=1),
    )  # fmt: skip
    assert leaving in who_could_sign(step)
    ticking.advance(days=2)
    assert leaving not in who_could_sign(step)
    with pytest.raises(trail.Refused, match="cannot sign"):
        reassign(step, User.objects.get(pk=leaving.pk), by=people.author, reason=WHY)


@pytest.mark.compliance("§2.11", "§2.12")
def test_compliance_a_step_is_not_reassigned_to_whom_it_could_not_have_been_asked_of(people):
    version = builders.a_document_in_review(people, contributors=[people.operator])
    step = asked_of(version, people.approver)
    for to, why in {
        people.author: "cannot sign",
        people.operator: "cannot sign",
        people.reviewer: "cannot sign",
        people.outsider: "cannot sign",
        people.inspector: "cannot sign",
        people.approver: "asked already",
    }.items():
        with pytest.raises(trail.Refused, match=why):
            reassign(step, to, by=people.author, reason=WHY)
    with pytest.raises(trail.Refused, match="reason"):
        reassign(step, people.approver2, by=people.author, reason="holiday")


@pytest.mark.compliance("§2.12")
def test_compliance_a_step_that_is_signed_or_waited_for_no_more_is_not_reassigned(people):
    version = builders.a_document_in_review(people, reviewers=[people.approver2])
    signed = asked_of(version, people.approver2)
    acts.sign(people.approver2, version)
    with pytest.raises(trail.Refused, match="not waited for"):
        reassign(signed, people.reviewer, by=people.author, reason=WHY)
    records.recall(version, by=people.author, reason="It was too early for it.")
    with pytest.raises(trail.Refused, match="not waited for"):
        reassign(asked_of(version, people.approver), people.approver2, by=people.author, reason=WHY)
    assert not Step.objects.filter(meaning=Meaning.READING).exists()
