"""What is signed about signatures: withdrawn, under review, decided, retired; nothing is deleted (§2 rows 13, 14, 19)."""

import json
import uuid

import pytest
from django.db import Error, connection, transaction

from accounts import identity
from accounts import transitions as people_verbs
from accounts.models import CodeDevice, Membership, Policy, Suspicion, User
from audit import clock, trail
from audit.actions import Action
from audit.models import Entry
from portal.pages import manifestation
from records import transitions as records
from records.models import Version
from signatures import intents, standing, transitions
from signatures.checking import check
from signatures.meanings import OF_THE_ROUTE, Meaning, Outcome
from signatures.models import Signature, Step
from tests import acts, builders

REASON = "Looked at the wrong annex."


def fetched(signature: Signature) -> Signature:
    return Signature.objects.select_related("version__record__type", "key", "about").get(pk=signature.pk)


def state(signature: Signature) -> str:
    return check(fetched(signature)).state


def approved(people, ticking) -> tuple[Version, Signature]:
    version = builders.a_document_in_review(people)
    acts.sign(people.reviewer, version)
    signature = acts.sign(people.approver, version)[0]
    ticking.next_code()
    return version, signature


def suspected(people, ticking, signer: User, sign) -> Signature:
    """What `sign` makes, by a signer who is put under suspicion since just before it."""
    ticking.advance(minutes=1)
    since = clock.now()
    ticking.advance(minutes=1)
    signature = sign()
    ticking.advance(minutes=1)
    people_verbs.suspect(signer, since=since, by=people.administrator, reason="Password seen in a mail.")
    return signature


def cleared(people, user: User) -> None:
    """The suspicion has ended; what that takes is told in `tests/accounts/test_rights.py`."""
    with transaction.atomic():
        open_ones = Suspicion.objects.filter(user=user, ended_at=None)
        open_ones.update(ended_at=clock.now(), ended_by=people.administrator)
        CodeDevice.objects.filter(user=user).update(withdrawn_at=None)
        trail.record(Action.USER_CLEARED, user, by=people.administrator)


def a_third_approver(people) -> User:
    with transaction.atomic():
        Membership.objects.create(user=people.outsider, area=people.laboratory)
        trail.record(Action.USER_AREAS_CHANGED, people.outsider, by=trail.SYSTEM)
    return User.objects.get(pk=people.outsider.pk)


@pytest.fixture
def meanwhile(monkeypatch):
    """Something happens once, after the next code was confirmed and before its signature has its locks."""

    def set_up(what):
        confirm, waiting = identity.confirm, [what]

        def confirmed(*args, **more):
            found = confirm(*args, **more)
            if waiting:
                waiting.pop()()
            return found

        monkeypatch.setattr(identity, "confirm", confirmed)

    return set_up


@pytest.mark.compliance("§2.14")
def test_compliance_a_withdrawal_is_signed_and_bound_and_its_step_is_asked_for_again(people, ticking):
    version = builders.a_document_in_review(people, reviewers=[people.reviewer, people.approver2])
    first = acts.sign(people.reviewer, version)[0]
    ticking.next_code()
    withdrawal = acts.withdraw(people.reviewer, first, REASON)
    said = json.loads(bytes(withdrawal.statement))
    assert (said["about"], said["about_sha256"]) == (str(first.pk), first.statement_sha256)
    assert (said["meaning"], said["reason"]) == ("withdrawal", REASON)
    assert check(fetched(first)).valid and state(first) == "withdrawn"
    assert check(fetched(withdrawal)).valid
    assert Step.objects.get(signature=first).voided
    assert Step.objects.awaiting(people.reviewer).filter(version=version).exists()
    ticking.next_code()
    acts.sign(people.approver2, version)
    again = acts.sign(people.reviewer, version)[0]
    acts.sign(people.approver, version)
    assert (state(again), Version.objects.get(pk=version.pk).state) == ("valid", "approved")
    told = Entry.objects.get(action=Action.SIGNATURE_WITHDRAWN)
    assert (told.reason, told.detail["signature"]) == (REASON, str(first.pk))


@pytest.mark.compliance("§2.14")
def test_compliance_what_was_signed_after_a_withdrawn_signature_is_asked_for_again(people, ticking):
    version = builders.a_document_in_review(people, approvers=[people.approver, people.approver2])
    review = acts.sign(people.reviewer, version)[0]
    approval = acts.sign(people.approver, version)[0]
    ticking.next_code()
    acts.withdraw(people.reviewer, review, REASON)
    assert state(approval) == "superseded"
    assert not Step.objects.awaiting(people.approver2).exists()
    assert Step.objects.awaiting(people.reviewer).get().version == version


@pytest.mark.compliance("§2.14")
def test_compliance_an_approved_version_stays_approved_and_is_flagged_until_quality_has_decided(people, ticking):
    version, signature = approved(people, ticking)
    acts.withdraw(people.approver, signature, REASON)
    assert Version.objects.get(pk=version.pk).state == "approved"
    assert standing.to_decide().get() == signature
    desk = people.client(people.approver2).get("/").content.decode()
    assert f"/signatures/{signature.pk}/decide/" in desk
    assert f"/signatures/{signature.pk}/decide/" not in people.client(people.approver).get("/").content.decode()
    acts.decide(people.approver2, signature, "stands")
    assert not standing.to_decide().exists()
    assert state(signature) == "withdrawn"


@pytest.mark.compliance("§2.14", "11.50(b)")
def test_compliance_a_withdrawn_signature_is_struck_through_beside_its_withdrawal_on_every_form(people, ticking):
    version, signature = approved(people, ticking)
    acts.withdraw(people.approver, signature, REASON)
    version = Version.objects.select_related("record__type").get(pk=version.pk)
    page = people.client(people.inspector).get(f"/signatures/{signature.pk}/").content.decode()
    assert 'class="sig withdrawn"' in page and REASON in page
    cards = manifestation.cards([version])[version.pk]
    assert [card["meaning"] for card in cards] == ["Review", "Approval", "Withdrawal"]
    assert cards[1]["struck"] and cards[1]["withdrawn"]["reason"] == REASON
    blocks = manifestation.blocks(version)
    assert [block.standing.value for block in blocks] == ["Signed", "Withdrawn", "Signed"]
    assert REASON in blocks[1].validity and blocks[2].note == REASON


@pytest.mark.compliance("§2.14", "§2.20")
def test_compliance_nobody_withdraws_for_another_twice_or_without_a_reason_and_nothing_is_deleted(people, ticking):
    _, signature = approved(people, ticking)
    with pytest.raises(trail.Refused, match="their own"):
        acts.withdraw(people.approver2, signature, REASON)
    with pytest.raises(trail.Refused, match="needs a reason"):
        acts.withdraw(people.approver, signature, "no")
    acts.withdraw(people.approver, signature, REASON)
    ticking.next_code()
    with pytest.raises(trail.Refused, match="any more"):
        acts.withdraw(people.approver, signature, REASON)
    with pytest.raises(Error), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("DELETE FROM signatures_signature WHERE id = %s", [signature.pk])
    assert Signature.objects.filter(pk=signature.pk).exists()


@pytest.mark.compliance("§2.14", "11.10(i)")
def test_compliance_a_withdrawn_reading_is_no_training_any_more(people, ticking):
    sop = builders.an_sop(people, gate="signing")
    acts.sign(people.reviewer, sop)
    acts.sign(people.approver, sop)
    ticking.next_code()
    reading = acts.read(people.reviewer, Version.objects.select_related("record__type").get(pk=sop.pk))
    assert people.reviewer.qualifications.get(version_id=sop.pk).met_at
    ticking.next_code()
    acts.withdraw(people.reviewer, reading, "Read it on behalf of a colleague.")
    assert people.reviewer.qualifications.get(version_id=sop.pk).met_at is None


@pytest.mark.compliance("§2.19", "11.300(c)")
def test_compliance_from_the_time_of_suspicion_on_each_signature_is_under_review_until_quality_decides(people, ticking):
    before = acts.sign(people.approver, builders.a_document_in_review(people, reviewers=[]))[0]
    ticking.advance(hours=1)
    since = clock.now()
    ticking.advance(minutes=5)
    later = acts.sign(people.approver, *[builders.a_document_in_review(people, reviewers=[]) for _ in range(3)])
    ticking.advance(minutes=5)
    people_verbs.suspect(people.approver, since=since, by=people.administrator, reason="Password seen in a mail.")
    assert [state(row) for row in (before, *later)] == ["valid", *["under_review"] * 3]
    assert standing.to_decide().count() == 3
    ticking.next_code()
    acts.decide(people.approver2, later[0], "stands")
    ticking.next_code()
    acts.decide(people.approver2, later[1], "does not stand")
    assert [state(row) for row in later] == ["valid", "fallen", "under_review"]
    assert standing.to_decide().get() == later[2]
    told = json.loads(bytes(Signature.objects.get(about=later[1]).statement))
    assert (told["outcome"], told["meaning"], told["about"]) == ("does not stand", "disposition", str(later[1].pk))
    decided = Signature.objects.get(about=later[1])
    entry = Entry.objects.get(action=Action.SIGNATURE_APPLIED, detail__signature=str(decided.pk))
    bound = ("meaning", "statement_sha256", "top_hash", "rendition_sha256", "outcome")
    assert entry.detail == {"signature": str(decided.pk), "about": str(later[1].pk)} | {
        name: getattr(decided, name) for name in bound
    }


@pytest.mark.compliance("§2.19")
def test_compliance_a_decision_is_qualitys_needs_an_outcome_and_something_to_decide(people, ticking):
    _, signature = approved(people, ticking)
    with pytest.raises(trail.Refused, match="Nothing is to be decided"):
        acts.decide(people.approver2, signature, "stands")
    acts.withdraw(people.approver, signature, REASON)
    with pytest.raises(trail.Refused, match="role"):
        acts.decide(people.reviewer, signature, "stands")
    with pytest.raises(trail.Refused, match="whether the signature stands"):
        acts.decide(people.approver2, signature, "perhaps")


@pytest.mark.compliance("§2.14", "§2.25")
@pytest.mark.parametrize("meaning", sorted(set(Meaning) - OF_THE_ROUTE))
def test_compliance_an_act_about_a_signature_is_not_signed_as_a_step_of_a_route(people, ticking, meaning):
    version = builders.a_document_in_review(people)
    review = acts.sign(people.reviewer, version)[0]
    ticking.next_code()
    where = acts.sitting(people.reviewer)
    intent = intents.open_for(version, user=people.reviewer, sitting=where, about=review, meaning=Meaning.WITHDRAWAL)
    with pytest.raises(trail.Refused, match="not signed here"):
        transitions.sign(
            intent.pk, meaning, signer=people.reviewer, credentials=acts.credentials(people.reviewer), sitting=where, reason=REASON
        )  # fmt: skip
    assert state(review) == "valid" and version.signatures.count() == 1


@pytest.mark.compliance("§2.11", "§2.19")
def test_compliance_nobody_decides_about_a_signature_on_their_own_text(people, ticking):
    people_verbs.set_roles(
        people.author, ["author", "approver"], by=people.administrator, reason="Writes and approves."
    )
    author = User.objects.get(pk=people.author.pk)
    _, signature = approved(people, ticking)
    acts.withdraw(people.approver, signature, REASON)
    with pytest.raises(trail.Refused, match="or your text"):
        acts.decide(author, signature, Outcome.STANDS)
    assert "about a signature on" not in people.client(author).get("/").content.decode()
    acts.decide(people.approver2, signature, Outcome.STANDS)


@pytest.mark.compliance("§2.13")
def test_compliance_signatures_on_a_recalled_version_are_void_and_stay_visible(people, ticking):
    version = builders.a_document_in_review(people)
    signature = acts.sign(people.reviewer, version)[0]
    records.recall(version, by=people.author, reason="Submitted with the wrong annex.")
    assert state(signature) == "void"
    card = manifestation.cards([version])[version.pk][0]
    assert card["state"] == "void" and "content changed" in card["note"]
    again = builders.a_document_in_review(people, record=version.record, text="Changed.")
    assert not again.signatures.exists() and Step.objects.awaiting(people.reviewer).get().version == again


@pytest.mark.compliance("11.10(f)", "11.50(a)(3)")
def test_compliance_a_retirement_is_signed_with_its_reason_and_takes_the_policy_out_of_effect(people, ticking):
    sop = builders.an_sop(people, gate="signing")
    acts.sign(people.reviewer, sop)
    acts.sign(people.approver, sop)
    ticking.next_code()
    signature = acts.retire(people.approver, sop, "Replaced by the SOP of the group.")
    assert (signature.meaning, Version.objects.get(pk=sop.pk).state) == ("retirement", "retired")
    assert Policy.objects.get(version_id=sop.pk).ends_at
    with pytest.raises(trail.Refused):
        acts.retire(people.approver2, sop, "Replaced by the SOP of the group.")


@pytest.mark.compliance("§2.14", "§2.4")
def test_compliance_an_intent_to_withdraw_one_signature_withdraws_no_other(people, ticking):
    version, _ = approved(people, ticking)
    other = version.signatures.get(meaning="review")
    where = acts.sitting(people.approver)
    intent = intents.open_for(version, user=people.approver, sitting=where, about=other, meaning=Meaning.WITHDRAWAL)
    with pytest.raises(trail.Refused, match="their own"):
        transitions.withdraw(
            intent.pk,
            signer=people.approver,
            credentials=acts.credentials(people.approver),
            sitting=where,
            reason=REASON,
        )
    with pytest.raises(trail.Refused):
        transitions.withdraw(
            uuid.uuid4(),
            signer=people.approver,
            credentials=acts.credentials(people.approver),
            sitting=where,
            reason=REASON,
        )


@pytest.mark.compliance("§2.14", "§2.24", "§2.25")
@pytest.mark.parametrize("act", ["withdrawal", "disposition"])
def test_compliance_the_last_approval_counts_although_a_signature_before_it_is_lost_in_the_same_moment(
    people, ticking, meanwhile, act
):
    version = builders.a_document_in_review(people)
    since = clock.now()
    review = acts.sign(people.reviewer, version)[0]
    ticking.next_code()
    if act == "disposition":
        people_verbs.suspect(people.reviewer, since=since, by=people.administrator, reason="Password seen in a mail.")
    given: list[Signature] = []
    meanwhile(lambda: given.extend(acts.sign(people.approver, version)))
    if act == "withdrawal":
        acts.withdraw(people.reviewer, review, REASON)
    else:
        acts.decide(people.approver2, review, "does not stand")
    version = Version.objects.get(pk=version.pk)
    assert (version.state, state(given[0])) == ("approved", "valid")
    assert not version.steps.filter(signature=None).exists() and given[0] in version.signatures.counting()
    assert state(review) == ("withdrawn" if act == "withdrawal" else "fallen")


@pytest.mark.compliance("§2.19", "11.10(f)")
def test_compliance_whether_something_is_to_be_decided_is_judged_of_the_version_as_it_is_at_the_signature(
    people, ticking, meanwhile
):
    version, signature = approved(people, ticking)
    acts.withdraw(people.approver, signature, REASON)

    def retired() -> None:
        ticking.next_code()
        acts.retire(people.approver, version, "Replaced by the plan of the group.")

    meanwhile(retired)
    with pytest.raises(trail.Refused, match="Nothing is to be decided"):
        acts.decide(people.approver2, signature, "stands")
    assert not Signature.objects.filter(meaning="disposition").exists()


@pytest.mark.compliance("§2.19")
@pytest.mark.parametrize("outcome", ["stands", "does not stand"])
def test_compliance_a_decision_that_is_under_review_or_fell_decides_nothing(people, ticking, outcome):
    version = builders.a_document_in_review(people, reviewers=[])
    signature = suspected(people, ticking, people.approver, lambda: acts.sign(people.approver, version)[0])
    decided = {"stands": "valid", "does not stand": "fallen"}[outcome]
    decision = suspected(people, ticking, people.approver2, lambda: acts.decide(people.approver2, signature, outcome))
    stands = standing.of(fetched(signature))
    assert (stands.state, stands.to_decide, stands.decision) == ("under_review", True, None)
    assert set(standing.to_decide()) == {signature, decision}
    third = a_third_approver(people)
    acts.decide(third, decision, "does not stand")
    assert (state(decision), state(signature)) == ("fallen", "under_review")
    assert standing.to_decide().get() == signature
    ticking.next_code()
    acts.decide(third, signature, outcome)
    assert state(signature) == decided
    assert not standing.to_decide().exists()


@pytest.mark.compliance("§2.19")
def test_compliance_a_decision_that_was_under_review_and_stands_decides_again(people, ticking):
    version = builders.a_document_in_review(people, reviewers=[])
    signature = suspected(people, ticking, people.approver, lambda: acts.sign(people.approver, version)[0])
    decision = suspected(people, ticking, people.approver2, lambda: acts.decide(people.approver2, signature, "stands"))
    acts.decide(a_third_approver(people), decision, "stands")
    assert (state(decision), state(signature)) == ("valid", "valid")
    assert not standing.to_decide().exists()


@pytest.mark.compliance("§2.19")
def test_compliance_nobody_decides_about_the_decision_on_their_own_signature(people, ticking):
    _, signature = approved(people, ticking)
    acts.withdraw(people.approver, signature, REASON)
    decision = suspected(people, ticking, people.approver2, lambda: acts.decide(people.approver2, signature, "stands"))
    with pytest.raises(trail.Refused, match="Somebody else decides"):
        acts.decide(people.approver, decision, "stands")
    assert standing.of(fetched(decision)).to_decide


@pytest.mark.compliance("§2.14", "§2.19")
def test_compliance_a_withdrawal_under_review_leaves_its_signature_under_review_and_one_that_fell_takes_nothing_back(
    people, ticking
):
    version, signature = approved(people, ticking)
    withdrawal = suspected(people, ticking, people.approver, lambda: acts.withdraw(people.approver, signature, REASON))
    stands = standing.of(fetched(signature))
    assert (stands.state, stands.to_decide, stands.withdrawn) == ("under_review", False, False)
    assert "withdrawal" in stands.sentence
    assert standing.to_decide().get() == withdrawal
    with pytest.raises(trail.Refused, match="Nothing is to be decided"):
        acts.decide(people.approver2, signature, "stands")
    ticking.next_code()
    acts.decide(people.approver2, withdrawal, "does not stand")
    assert (state(withdrawal), state(signature)) == ("fallen", "valid")
    assert not standing.to_decide().exists()
    cards = manifestation.cards([version])[version.pk]
    assert [(card["meaning"], card["struck"]) for card in cards[1:3]] == [("Approval", False), ("Withdrawal", True)]
    assert cards[1]["withdrawn"] is None


@pytest.mark.compliance("§2.14", "§2.19")
def test_compliance_a_withdrawal_that_was_under_review_and_stands_takes_its_signature_back(people, ticking):
    _, signature = approved(people, ticking)
    withdrawal = suspected(people, ticking, people.approver, lambda: acts.withdraw(people.approver, signature, REASON))
    acts.decide(people.approver2, withdrawal, "stands")
    assert (state(withdrawal), state(signature)) == ("valid", "withdrawn")
    assert standing.to_decide().get() == signature


@pytest.mark.compliance("§2.14")
def test_compliance_a_withdrawal_that_fell_bars_no_good_one_and_of_those_there_is_one(people, ticking, meanwhile):
    _, signature = approved(people, ticking)
    first = suspected(people, ticking, people.approver, lambda: acts.withdraw(people.approver, signature, REASON))
    acts.decide(people.approver2, first, "does not stand")
    cleared(people, people.approver)
    ticking.next_code()

    def twice() -> None:
        ticking.next_code()
        acts.withdraw(people.approver, signature, REASON)

    meanwhile(twice)
    with pytest.raises(trail.Refused, match="any more"):
        acts.withdraw(people.approver, signature, REASON)
    good = Signature.objects.filter(meaning="withdrawal").exclude(pk=first.pk).get()
    assert state(signature) == "withdrawn" and standing.of(fetched(signature)).withdrawal == good


def test_how_a_signature_stands_takes_as_many_queries_however_long_the_line_of_decisions(
    people, ticking, django_assert_num_queries
):
    _, signature = approved(people, ticking)
    withdrawal = suspected(people, ticking, people.approver, lambda: acts.withdraw(people.approver, signature, REASON))
    suspected(people, ticking, people.approver2, lambda: acts.decide(people.approver2, withdrawal, "stands"))
    row = fetched(signature)
    with django_assert_num_queries(3):
        assert standing.of(row).state == "under_review"
