"""What keeps people from signing is said while it can still be mended, and what became of an approved version where it is read."""

import pytest
from django.db import transaction
from django.utils.html import strip_tags

from accounts import rights
from accounts import transitions as people_verbs
from audit import clock, trail
from audit.actions import Action
from records.models import Version
from signatures import readiness, standing
from signatures.meanings import Outcome
from signatures.models import Intent, Step
from tests import acts, builders
from tests.cast import PASSWORD
from tests.signatures.test_later_acts import REASON, approved, suspected


def text(response) -> str:
    return " ".join(strip_tags(response.content.decode()).split())


def obstacles(version: Version) -> list[str]:
    return list(readiness.obstacles(version, clock.now()))


def test_whoever_is_asked_and_could_sign_is_no_obstacle(people):
    assert obstacles(builders.a_document_in_review(people)) == []


def test_whoever_lacks_something_is_named_with_what_is_missing_and_nothing_more(people, ticking):
    version = builders.a_document_in_review(people)
    people_verbs.suspect(people.approver, since=clock.now(), by=people.administrator, reason="Password seen in a mail.")
    [said] = obstacles(version)
    assert said == (
        f"{people.approver} cannot sign yet: the account is under suspicion; no device was tested within 366 days."
    )
    assert set(readiness.LACKS) == {condition.name for condition in rights.CONDITIONS}
    assert "Password seen" not in said and "UTC" not in said


def test_a_role_that_nobody_of_the_area_holds_is_named(people):
    version = builders.a_document_in_review(people)
    with transaction.atomic():
        Step.objects.filter(version=version, meaning="approval").update(assignee=None)
        trail.record(Action.STEP_REASSIGNED, version, by=people.author)
    assert obstacles(version) == []
    for quality in (people.approver, people.approver2):
        people_verbs.set_roles(quality, ["reviewer"], by=people.administrator, reason=REASON)
    assert obstacles(version) == [
        "Nobody in the area may sign as QA approver now: an administrator gives somebody the role."
    ]


@pytest.mark.parametrize("path", ["{record}", "{version}", "{record}changes/", "{record}history/"])
def test_who_reads_an_approved_version_learns_first_that_its_approval_was_withdrawn(people, ticking, path):
    version, signature = approved(people, ticking)
    reader = people.client(people.author)
    url = path.format(record=version.record.get_absolute_url(), version=version.get_absolute_url())
    assert "was withdrawn" not in text(reader.get(url, follow=True))
    acts.withdraw(people.approver, signature, REASON)
    said = text(reader.get(url, follow=True))
    assert f"Approval by {signature.printed_name} was withdrawn on" in said
    assert "quality has not decided yet. The version is approved by it: ask quality before you work by it." in said
    acts.decide(people.approver2, signature, Outcome.FALLS)
    said = text(reader.get(url, follow=True))
    assert "that it does not stand. Do not work by it. Submit a new version," in said and "or retire this one." in said


@pytest.mark.parametrize("quality", [True, False])
def test_whoever_withdraws_an_approval_is_told_what_follows_and_whether_anybody_may_decide(people, ticking, quality):
    _, signature = approved(people, ticking)
    if not quality:
        people_verbs.set_roles(people.approver2, ["reviewer"], by=people.administrator, reason=REASON)
    withdrawal = acts.withdraw(people.approver, signature, REASON)
    said = text(people.client(people.approver).get(f"{withdrawal.get_absolute_url()}?signed"))
    assert ("until quality has decided." in said, "nobody else in its area may decide" in said) == (
        quality,
        not quality,
    )
    assert "Those after you are asked now" not in said


def test_a_decision_about_ones_own_signature_is_offered_to_nobody_who_may_not_decide_it(people, ticking):
    _, signature = approved(people, ticking)
    acts.withdraw(people.approver, signature, REASON)
    ticking.next_code()
    decision = suspected(
        people, ticking, people.approver2, lambda: acts.decide(people.approver2, signature, Outcome.STANDS)
    )
    assert decision in standing.to_decide()
    shown = [text(people.client(people.approver).get(path)) for path in ("/", "/signatures/to-decide/")]
    shown.append(text(people.client(people.approver).get(f"{decision.get_absolute_url()}decide/")))
    assert "about a signature on" not in shown[0]
    assert (
        "Somebody else decides" in shown[1] and "Somebody else decides about your signature, or your text." in shown[2]
    )


def test_a_decision_is_marked_by_nobody_but_its_signer_and_each_says_what_it_brings_about(people, ticking):
    _, signature = approved(people, ticking)
    acts.withdraw(people.approver, signature, REASON)
    client, url = people.client(people.approver2), f"{signature.get_absolute_url()}decide/"
    before = text(client.get(url))
    assert "Stands It stays withdrawn, and the version stays approved" in before
    assert "Does not stand It counts no more" in before and "until it is retired or replaced." in before
    assert client.post(f"{url}open/").status_code == 302
    page = client.get(url).content.decode()
    assert page.count('name="meaning"') == 2 and " checked" not in page
    typed = {
        "intent": Intent.objects.latest("expires_at").pk,
        "password": PASSWORD,
        "code": people.code(people.approver2),
    }
    assert client.post(url, {**typed, "username": people.approver2.username, "reason": REASON}).status_code == 400
    assert not signature.later.filter(meaning="disposition").exists()


def test_where_nobody_else_may_sign_no_list_of_people_is_offered_but_what_is_left_to_do(people):
    version = builders.a_document_in_review(people)
    step = Step.objects.get(version=version, meaning="approval")
    author = people.client(people.author)
    assert "Ask somebody else" in text(author.get(step.get_absolute_url()))
    people_verbs.set_roles(people.approver2, ["reviewer"], by=people.administrator, reason=REASON)
    said = (
        f"Nobody else in {version.record.area} may approve this version. Its author can recall the version, or an"
        " administrator gives somebody the role QA approver."
    )
    page, form = (text(author.get(url)) for url in (step.get_absolute_url(), f"{step.get_absolute_url()}reassign/"))
    assert said in page and "Ask somebody else" not in page
    assert said in form and "Choose a person" not in form
