"""Signed audit-trail review (A6): what is covered, by whom, and what grows old."""

import pytest
from django.db import transaction

from accounts import transitions as people_verbs
from audit import reviews, trail
from audit.actions import Action
from audit.alarms import Kind
from audit.models import Alarm, Entry, Review, ReviewFilter
from portal import trail_reviews
from records import reports
from records.models import Version
from signatures.signing import SignatureRefused
from tests import acts
from tests.firm import make_buckets

WHY = "She takes the post of a QA manager"


@pytest.fixture
def chosen(people) -> ReviewFilter:
    """A filter of our own over refused steps, and two of them by different people."""
    make_buckets()
    made = reviews.make_filter("Refused steps", why="Attempts to go around a step", every_days=7, by=people.approver,
                               actions=["step.refused"])  # fmt: skip
    for person in (people.author, people.approver):
        refused = trail.Refused("No | *such* step.", action=Action.STEP_REFUSED, subject=person, by=person)
        trail.record_refusal(refused, person)
    return made


def review(chosen: ReviewFilter, by, findings: str = "none") -> Version:
    newest = Entry.objects.order_by("-id").first()
    with trail.refusals(by):
        return trail_reviews.make(chosen, by=by, findings=findings, until=newest.pk)


def left(chosen: ReviewFilter) -> int:
    return reviews.backlog(chosen, trail_reviews.entries_of(chosen)).count


@pytest.mark.compliance("A6", "11.10(e)")
def test_compliance_a_review_is_sealed_signed_and_counts_from_its_signature_on(people, chosen):
    version = review(chosen, people.approver2, "Ana tried a step | that is not hers; she was told.")
    assert left(chosen) == 2
    told = reports.read(version)
    assert [entry["actor_name"] for entry in told["entries"]] == ["Ana Lindqvist", "Chidi Okafor"]
    assert all(len(entry["link"]) == 64 for entry in told["entries"])
    acts.sign(people.approver2, version)
    assert left(chosen) == 0
    made = Review.objects.get()
    assert (made.reviewer_name, made.entries) == ("Ingrid Solheim", 2) and made.signed_at is not None
    assert {entry.action for entry in Entry.objects.filter(subject_id=str(chosen.pk))} >= {
        "review.made",
        "review.signed",
    }


def test_a_review_says_in_words_which_acts_it_is_narrowed_to(people, chosen):
    words = trail_reviews.narrowed(chosen)
    assert words == f"acts “{Action.STEP_REFUSED.label}”" and "step.refused" not in words


@pytest.mark.compliance("A6", "11.10(g)", "Administrator")
def test_compliance_nobody_reviews_their_own_acts(people, chosen):
    version = review(chosen, people.approver)
    assert [entry["actor_name"] for entry in reports.read(version)["entries"]] == ["Ana Lindqvist"]
    acts.sign(people.approver, version)
    assert left(chosen) == 1
    with pytest.raises(trail.Refused, match="acts of yours"):
        review(chosen, people.approver)
    assert Entry.objects.filter(action="review.refused", actor=str(people.approver.pk)).count() == 1
    acts.sign(people.approver2, review(chosen, people.approver2))
    assert left(chosen) == 0


@pytest.mark.compliance("A6", "11.10(g)")
def test_compliance_nobody_reviews_the_log_ins_that_were_refused_to_their_own_account(people):
    logins = ReviewFilter.objects.get(name="Refusals")
    with transaction.atomic():
        about = trail.Subject("username", people.approver.username_folded, people.approver.username)
        number = trail.record(Action.LOGIN_REFUSED, about, by=trail.NOBODY)
    assert not trail_reviews.before(logins, people.approver).filter(pk=number).exists()
    assert trail_reviews.before(logins, people.approver2).filter(pk=number).exists()


@pytest.mark.compliance("A6", "11.10(g)")
def test_compliance_who_acted_in_the_span_cannot_sign_the_review_of_another(people, chosen):
    version = review(chosen, people.approver2)
    step = version.steps.get()
    where = acts.sitting(people.approver)
    intent = acts.intend(version, people.approver, where, step)
    with pytest.raises(SignatureRefused):
        acts.sign_all([intent.pk], step.meaning, signer=people.approver, credentials=acts.credentials(people.approver),
                      sitting=where, approved=acts.approved)  # fmt: skip
    assert str(people.approver.pk) in version.contributors
    assert left(chosen) == 2


def test_a_rejected_review_covers_nothing_and_another_can_be_made(people, chosen, ticking):
    first = review(chosen, people.approver2)
    with pytest.raises(trail.Refused, match="waits for its signature"):
        review(chosen, people.approver2)
    acts.sign(people.approver2, first, meaning="rejection", reason="The findings name the wrong person")
    ticking.next_code()
    assert left(chosen) == 2
    acts.sign(people.approver2, review(chosen, people.approver2))
    assert left(chosen) == 0


def test_of_two_reviews_side_by_side_the_second_is_refused(people, chosen, monkeypatch):
    sealed, first = trail_reviews.seal_report, []

    def meanwhile(*args, **more):
        if not first:
            first.append(1)
            review(chosen, people.approver2)
        return sealed(*args, **more)

    monkeypatch.setattr(trail_reviews, "seal_report", meanwhile)
    with pytest.raises(trail.Refused, match="waits for its signature"):
        review(chosen, people.approver)
    assert Review.objects.count() == 1


def test_what_came_after_the_list_was_shown_is_not_covered(people, chosen):
    shown = trail_reviews.before(chosen, people.approver2).last()
    refused = trail.Refused("No.", action=Action.STEP_REFUSED, subject=people.author, by=people.author)
    trail.record_refusal(refused, people.author)
    version = trail_reviews.make(chosen, by=people.approver2, findings="none", until=shown.pk)
    acts.sign(people.approver2, version)
    assert left(chosen) == 1


@pytest.mark.compliance("A6")
def test_compliance_what_nobody_reviews_grows_old_and_is_an_alarm_until_it_is_reviewed(people, chosen, ticking):
    trail_reviews.look_for_overdue()
    assert not Alarm.objects.filter(kind=Kind.REVIEW_OVERDUE, subject_id=str(chosen.pk)).exists()
    ticking.advance(days=8)
    trail_reviews.look_for_overdue()
    trail_reviews.look_for_overdue()
    alarm = Alarm.objects.get(kind=Kind.REVIEW_OVERDUE, subject_id=str(chosen.pk))
    assert alarm.count == 1 and "8 days old" in alarm.sentence
    assert "Refused steps" in people.client(people.approver2).get("/").content.decode()
    page = people.client(people.approver2).get("/audit/reviews/").content.decode()
    assert "Overdue: " in page and "Refused steps" in page
    acts.sign(people.approver2, review(chosen, people.approver2))
    trail_reviews.look_for_overdue()
    alarm.refresh_from_db()
    assert alarm.cleared_at is not None


def test_the_alarm_of_a_filter_that_was_retired_is_cleared(people, chosen, ticking):
    ticking.advance(days=8)
    trail_reviews.look_for_overdue()
    reviews.retire_filter(chosen, by=people.approver2, reason="Another filter holds these acts now.")
    trail_reviews.look_for_overdue()
    assert (
        Alarm.objects.get(kind=Kind.REVIEW_OVERDUE, subject_id=str(chosen.pk)).cleared_how == "The filter is retired."
    )


@pytest.mark.parametrize("findings", ["", " ", "none\0"])
def test_findings_are_words(people, chosen, findings):
    with pytest.raises(trail.Refused, match="Write what you found"):
        review(chosen, people.approver2, findings)


@pytest.mark.compliance("11.10(g)")
def test_compliance_only_quality_reviews_the_trail(people, chosen):
    for person in (people.author, people.reviewer, people.administrator, people.inspector):
        with pytest.raises(trail.Forbidden):
            review(chosen, person)


def test_seeded_filters_find_what_they_are_about(people):
    people_verbs.set_roles(people.reviewer, ["reviewer", "approver"], by=people.administrator, reason=WHY)
    with transaction.atomic():
        trail.record(Action.SIGNATURE_APPLIED, people.author, by=people.author)
        trail.record(Action.VERSION_RETIRED, people.author, by=people.author)
    found = {
        chosen.name: set(trail_reviews.entries_of(chosen).values_list("action", flat=True))
        for chosen in ReviewFilter.objects.all()
    }
    assert "user.roles_changed" in found["Privileges and accounts"]
    assert found["Signatures"] == {"signature.applied"}
    assert found["Deletions and withdrawals"] == {"version.retired"}
    assert found["Everything"] >= {"user.roles_changed", "signature.applied", "version.retired", "area.created"}


def test_the_page_seals_a_review_and_leads_to_its_signature(people, chosen):
    client = people.client(people.approver2)
    page = client.get(chosen.get_absolute_url())
    assert page.context["count"] == 2
    answer = client.post(f"{chosen.get_absolute_url()}make/", {"findings": "", "until": page.context["until"]})
    assert answer.status_code == 400 and "Write what you found" in answer.content.decode()
    answer = client.post(f"{chosen.get_absolute_url()}make/", {"findings": "none", "until": page.context["until"]})
    assert answer.status_code == 302 and answer["Location"].startswith("/sign/")
    form = {"name": "Tomasz", "why": "He is new and is watched", "people": [str(people.operator.pk)], "every_days": 7}
    assert client.post("/audit/reviews/new/", form).status_code == 302
    assert ReviewFilter.objects.get(name="Tomasz").people == [str(people.operator.pk)]
