"""Read and understood, per version, signed; who has not; what waits for it (11.10(i), T2)."""

from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from accounts import qualifications
from accounts import transitions as accounts
from accounts.models import Policy, Qualification, User
from accounts.tasks import SETTLED
from audit import clock, trail
from audit.actions import Action
from audit.models import Entry
from jobs import queue
from jobs.models import Job
from records.models import Version
from signatures.models import Signature
from sops import queries
from sops.models import Sop
from sops.transitions import ask_newcomers, change_rule
from tests import acts, builders
from tests.signatures.test_pages import Reader, text


def approve(people, version: Version) -> Version:
    acts.sign(people.reviewer, version)
    acts.sign(people.approver, version)
    return Version.objects.select_related("record__type", "effectivity").get(pk=version.pk)


@pytest.fixture
def sop(people) -> Version:
    return approve(people, builders.an_sop(people, gate="signing", roles=["reviewer", "approver"], days=10))


def to_read(user: User) -> list[str]:
    return [row.label for row in qualifications.unread(user)]


class Trainee(Reader):
    """Somebody at the page of a reading."""

    def __init__(self, people, user, version: Version) -> None:
        super().__init__(people, user, version)
        self.url = f"/training/read/{version.pk}/"

    def post(self, intent, **typed):
        return super().post(intent, **{"meaning": "reading", **typed})


def test_an_approval_asks_the_readers_of_its_area_and_nobody_else(people, sop):
    asked = Qualification.objects.filter(version_id=sop.pk)
    assert {row.user.username for row in asked} == {"reviewer", "approver", "approver2"}
    assert {(row.due_at - sop.effectivity.during.lower).days for row in asked} == {10}
    assert Entry.objects.filter(action=Action.READING_ASSIGNED).count() == 3
    assert to_read(people.reviewer) == ["SOP-0001 1.0, Electronic signatures"]
    assert to_read(people.outsider) == []


@pytest.mark.compliance("11.10(i)")
def test_a_reading_is_signed_on_the_exact_version(people, sop, ticking):
    ticking.next_code()
    trainee = Trainee(people, people.reviewer, sop)
    trainee.read()
    answer = trainee.post(trainee.open())
    signature = Signature.objects.get(meaning="reading")
    assert answer["Location"] == f"/signatures/{signature.pk}/?signed"
    assert (signature.version_id, signature.sentence) == (sop.pk, "I have read and understood this version.")
    row = Qualification.objects.get(user=people.reviewer, version_id=sop.pk)
    assert row.met_at == signature.signed_at
    assert to_read(people.reviewer) == []
    assert "Your training record says so" in text(trainee.client.get(answer["Location"]))
    assert "You have read it" in text(trainee.client.get(trainee.url))


def test_a_reading_needs_every_page_opened(people, sop, ticking):
    ticking.next_code()
    trainee = Trainee(people, people.reviewer, sop)
    trainee.read(1)
    refused = trainee.post(trainee.open())
    assert refused.status_code == 409
    assert "page 2 of 2" in text(refused)
    assert to_read(people.reviewer)


def test_a_reading_offers_no_other_meaning(people, sop, ticking):
    ticking.next_code()
    trainee = Trainee(people, people.reviewer, sop)
    trainee.read()
    intent = trainee.open()
    assert intent.meanings == ["reading"]
    assert "Reject" not in text(trainee.client.get(trainee.url))
    trainee.post(intent, meaning="approval")
    assert not Signature.objects.filter(version=sop, signer=people.reviewer, meaning="approval").exists()


def test_only_an_approved_version_is_read_and_understood(people):
    version = builders.an_sop(people)
    trainee = Trainee(people, people.reviewer, version)
    trainee.read()
    assert "this one is in review" in text(trainee.client.get(trainee.url))
    assert trainee.client.post(f"{trainee.url}open/").status_code == 409
    with pytest.raises(trail.Refused, match="Only an approved version"):
        acts.read(people.reviewer, version)
    assert not Signature.objects.exists()


def test_who_reads_without_being_asked_is_trained_as_well(people, sop):
    acts.read(people.author, sop)
    assert Qualification.objects.get(user=people.author, version_id=sop.pk).met_at


def test_reading_again_keeps_the_first_date(people, sop, ticking):
    ticking.next_code()
    first = acts.read(people.reviewer, sop)
    ticking.advance(days=1)
    acts.read(people.reviewer, sop)
    assert Qualification.objects.get(user=people.reviewer, version_id=sop.pk).met_at == first.signed_at


def test_a_new_version_is_read_anew_and_settles_the_one_before(people, sop, ticking):
    ticking.next_code()
    later = approve(people, builders.a_document_in_review(people, record=sop.record, text="Sign with care."))
    assert to_read(people.approver2) == ["SOP-0001 1.0, Electronic signatures", "SOP-0001 2.0, Electronic signatures"]
    ticking.next_code()
    acts.read(people.approver2, later)
    assert to_read(people.approver2) == []
    ticking.advance(days=40)
    assert qualifications.overdue(people.approver2, "signing", clock.now()) == []
    assert len(qualifications.overdue(people.reviewer, "signing", clock.now())) == 2


@pytest.mark.compliance("11.10(i)")
def test_having_read_an_old_version_says_nothing_of_the_new_one(people, sop, ticking):
    ticking.next_code()
    acts.read(people.approver2, sop)
    approve(people, builders.a_document_in_review(people, record=sop.record, text="Sign with care."))
    assert to_read(people.approver2) == ["SOP-0001 2.0, Electronic signatures"]


def test_the_matrix_says_who_has_read_it_and_who_has_not(people, sop, ticking):
    ticking.next_code()
    acts.read(people.reviewer, sop)
    ticking.advance(days=11)
    now = clock.now()
    assert [(reading.row.user.username, reading.state) for reading in queries.readings_on(sop, now)] == [
        ("approver", "overdue"), ("approver2", "overdue"), ("reviewer", "done"),
    ]  # fmt: skip
    page = text(people.client(people.inspector).get("/training/SOP-0001/"))
    assert page.count("Overdue") == 2 and "Trained" in page
    assert f"/signatures/{Signature.objects.get(meaning='reading').pk}/" in page


def test_newcomers_are_seen_and_asked_by_an_author_or_approver(people, sop):
    with transaction.atomic():
        people.scientist.groups.set(people.reviewer.groups.all())
        trail.record(Action.USER_ROLES_CHANGED, people.scientist, by=people.administrator)
    page = people.client(people.approver)
    assert "Priya Raman" in text(page.get("/training/SOP-0001/")).split("Not asked yet")[1]
    assert people.client(people.inspector).post("/training/SOP-0001/ask/").status_code == 403
    assert page.post("/training/SOP-0001/ask/").status_code == 302
    assert to_read(User.objects.get(username="scientist")) == ["SOP-0001 1.0, Electronic signatures"]
    assert ask_newcomers(Sop.objects.get(), by=people.author) == []


def test_my_training_lists_what_is_due_and_what_is_done(people, sop, ticking):
    client = people.client(people.approver2)
    assert "Signing waits for it: at once where you were trained on no version before" in text(client.get("/training/"))
    acts.read(people.approver2, sop)
    page = text(client.get("/training/"))
    assert "Nothing to read" in page
    assert "1 of 3" in page


def test_everybodys_training_is_for_approvers_and_inspectors(people, sop):
    assert people.client(people.author).get("/training/people/").status_code == 403
    page = text(people.client(people.approver).get("/training/people/"))
    assert "Maja Ruiz" in page
    assert "Omar Haddad" not in page


def test_training_of_another_area_does_not_exist(people, sop):
    client = people.client(people.outsider)
    for path in ("/training/SOP-0001/", f"/training/read/{sop.pk}/"):
        assert client.get(path).status_code == 404
    assert "SOP-0001" not in text(client.get("/training/"))


def test_training_pages_take_a_constant_number_of_queries(people, ticking):
    counts = []
    for _ in range(2):
        for _ in range(2):
            approve(people, builders.an_sop(people))
            ticking.next_code()
        client = people.client(people.approver)
        counts.append([])
        for path in ("/training/", "/training/people/", "/training/SOP-0001/"):
            client.get(path)
            with CaptureQueriesContext(connection) as found:
                assert client.get(path).status_code == 200
            counts[-1].append(len(found))
    assert counts[0] == counts[1]


# Newcomers, and SOPs that are retired


def work() -> None:
    """What a worker does after people came, or took something on."""
    for job in Job.objects.filter(kind=SETTLED, state=Job.State.QUEUED):
        assert queue.run(job.pk).state == Job.State.DONE


@pytest.mark.compliance("11.10(i)", "T2")
def test_compliance_whoever_takes_on_a_role_or_an_area_is_asked_to_read_the_gating_sop(people, sop, ticking):
    assert to_read(people.scientist) == to_read(people.outsider) == []
    ticking.advance(days=30)
    accounts.set_roles(people.scientist, ["reviewer"], by=people.administrator, reason="Reviews from now on.")
    accounts.set_areas(people.outsider, [people.laboratory], by=people.administrator, reason="Helps out in May.")
    accounts.set_roles(people.operator, ["operator", "scientist"], by=people.administrator, reason="Analyses as well.")
    work()
    for person in (people.scientist, people.outsider):
        assert to_read(User.objects.get(pk=person.pk)) == ["SOP-0001 1.0, Electronic signatures"]
        row = Qualification.objects.get(user=person, version_id=sop.pk)
        assert 9 <= (row.due_at - clock.now()).days <= 10  # from now on, not from the approval
    assert to_read(people.operator) == []
    for job in Job.objects.filter(kind=SETTLED):  # safe to run twice
        Job.objects.filter(pk=job.pk).update(state=Job.State.QUEUED)
    work()
    assert Entry.objects.filter(action=Action.READING_ASSIGNED, actor="system").count() == 2


@pytest.mark.compliance("11.10(i)")
def test_compliance_an_overdue_reading_of_an_sop_that_was_retired_blocks_nobody(people, sop, ticking):
    ticking.advance(days=11)
    assert [row.topic for row in qualifications.overdue(people.reviewer, "signing", clock.now())] == ["SOP-0001"]
    acts.read(people.approver, sop)
    ticking.next_code()
    acts.retire(people.approver, sop, "Replaced by the quality manual.")
    assert Version.objects.get(pk=sop.pk).state == "retired"
    assert qualifications.overdue(people.reviewer, "signing", clock.now()) == []
    lifted = Entry.objects.filter(action=Action.QUALIFICATION_LIFTED)
    assert {(entry.actor_name, entry.reason) for entry in lifted} == {("Chidi Okafor", "SOP-0001 1.0 is retired")}
    assert lifted.count() == 2  # the approver has read it
    assert "Lifted" in text(people.client(people.author).get("/training/SOP-0001/"))


# Versions that follow each other


def rewritten(people, sop: Version, **more) -> Version:
    """The next version of the SOP, approved."""
    return approve(people, builders.a_document_in_review(people, record=sop.record, text="Sign with care.", **more))


@pytest.fixture
def trained(people, sop, ticking) -> Version:
    """The SOP's first version, read by those who sign."""
    ticking.next_code()
    acts.read(people.reviewer, sop)
    acts.read(people.approver, sop)
    ticking.next_code()
    return sop


@pytest.fixture
def scheduled(people, trained, ticking) -> Version:
    """Its second version, which takes effect in 20 days."""
    version = rewritten(people, trained, effective_on=clock.now() + timedelta(days=20))
    ticking.next_code()
    return version


def again(version: Version) -> Version:
    return Version.objects.select_related("record__type", "effectivity").get(pk=version.pk)


def in_effect(user: User) -> str:
    policy = qualifications.policy_in_effect(user, clock.now())
    return policy.label.split(",")[0] if policy else ""


@pytest.mark.compliance("11.10(i)")
def test_compliance_a_superseded_version_is_not_read_and_understood_any_more(people, trained, ticking):
    ticking.advance(days=1)
    later = rewritten(people, trained)
    ticking.next_code()
    late = Trainee(people, people.approver2, trained)
    late.read()
    page = text(late.client.get(late.url))
    assert "this one is superseded" in page and f"/training/read/{later.pk}/" in page
    assert "Open the sign dialog" not in page
    assert late.client.post(f"{late.url}open/").status_code == 409
    with pytest.raises(
        trail.Refused, match=r"effective or scheduled can be read and understood; this one is superseded"
    ):
        acts.read(people.approver2, trained)
    assert not Qualification.objects.get(user=people.approver2, version_id=trained.pk).met_at
    mine = text(late.client.get("/training/"))
    assert f"/training/read/{later.pk}/" in mine and f"/training/read/{trained.pk}/" not in mine
    assert "a later version</a> settles it" in mine


@pytest.mark.compliance("11.10(i)")
def test_compliance_the_later_version_is_the_one_of_the_higher_number_however_late_the_other_was_asked(
    people, trained, scheduled
):
    newcomer = people.scientist
    accounts.set_roles(newcomer, ["reviewer"], by=people.administrator, reason="Reviews from now on.")
    work()
    newcomer = User.objects.get(pk=newcomer.pk)
    assert to_read(newcomer) == ["SOP-0001 2.0, Electronic signatures"]
    acts.read(newcomer, trained)  # in effect still, read unasked: its row is the younger one
    assert to_read(newcomer) == ["SOP-0001 2.0, Electronic signatures"]


def test_a_scheduled_version_is_read_before_its_day(people, scheduled):
    trainee = Trainee(people, people.approver2, scheduled)
    trainee.read()
    assert trainee.post(trainee.open()).status_code == 302
    assert to_read(people.approver2) == []


@pytest.mark.compliance("11.10(i)", "§2.14")
def test_compliance_a_reading_that_was_withdrawn_is_signed_again_on_its_page(people, sop, ticking):
    ticking.next_code()
    signature = acts.read(people.reviewer, sop)
    ticking.next_code()
    acts.withdraw(people.reviewer, signature, "Read the wrong one first.")
    ticking.next_code()
    trainee = Trainee(people, people.reviewer, sop)
    page = text(trainee.client.get(trainee.url))
    assert "You have read it" not in page and "Open the sign dialog" in page
    (reading,) = [each for each in queries.readings_on(sop, clock.now()) if each.row.user == people.reviewer]
    assert (reading.state, reading.signature_id) == ("due", None)
    trainee.read()
    assert trainee.post(trainee.open()).status_code == 302
    latest = Signature.objects.filter(signer=people.reviewer, meaning="reading").latest("signed_at")
    page = text(trainee.client.get(trainee.url))
    assert "You have read it" in page and latest.get_absolute_url() in page
    (reading,) = [each for each in queries.readings_on(sop, clock.now()) if each.row.user == people.reviewer]
    assert reading.signature_id == latest.pk
    assert to_read(people.reviewer) == []


@pytest.mark.compliance("11.10(j)", "11.10(f)")
def test_compliance_an_sop_in_effect_is_not_retired_while_its_next_version_is_scheduled(people, trained, scheduled):
    page = text(people.client(people.approver).get("/documents/SOP-0001/v1/retire/"))
    assert "retire SOP-0001 2.0 first" in page and "Open the sign dialog" not in page
    with pytest.raises(trail.Refused, match=r"retire SOP-0001 2\.0 first"):
        acts.retire(people.approver, trained, "The SOP is withdrawn altogether.")
    assert again(trained).state == "approved"
    assert in_effect(people.reviewer) == "SOP-0001 1.0"
    assert to_read(people.approver2) == ["SOP-0001 1.0, Electronic signatures", "SOP-0001 2.0, Electronic signatures"]


@pytest.mark.compliance("11.10(j)", "11.10(i)")
def test_compliance_the_version_before_stays_in_effect_when_a_scheduled_one_is_retired(
    people, trained, scheduled, ticking
):
    page = text(people.client(people.approver).get("/documents/SOP-0001/v2/retire/"))
    assert "what it was to replace stays so" in page and "no revision of it is effective" not in page
    acts.read(people.approver2, scheduled)
    assert to_read(people.approver2) == []
    ticking.next_code()
    acts.retire(people.approver, scheduled, "The new text is not wanted.")
    assert Entry.objects.filter(action=Action.VERSION_EFFECTIVE, subject_id=str(trained.pk)).latest("id").reason == (
        "SOP-0001 2.0 is retired before its day"
    )
    assert to_read(people.approver2) == ["SOP-0001 1.0, Electronic signatures"]  # what was read never took effect
    assert to_read(people.reviewer) == []
    ticking.advance(days=21)
    assert (again(trained).status_at(clock.now()), again(scheduled).status_at(clock.now())) == ("effective", "retired")
    assert in_effect(people.reviewer) == "SOP-0001 1.0"
    assert len(qualifications.overdue(people.approver2, "signing", clock.now())) == 1


@pytest.mark.compliance("11.10(i)")
def test_compliance_newcomers_who_were_asked_for_a_scheduled_version_that_is_retired_are_asked_for_the_one_in_effect(
    people, scheduled, ticking
):
    accounts.set_roles(people.scientist, ["reviewer"], by=people.administrator, reason="Reviews from now on.")
    work()
    acts.retire(people.approver, scheduled, "The new text is not wanted.")
    assert to_read(User.objects.get(username="scientist")) == ["SOP-0001 1.0, Electronic signatures"]


def test_of_three_versions_the_one_before_ends_where_the_one_after_begins(people, trained, scheduled, ticking):
    after = rewritten(people, trained, effective_on=clock.now() + timedelta(days=30))
    ticking.next_code()
    acts.retire(people.approver, scheduled, "The text of May is not wanted.")
    begins = after.effectivity.during.lower
    assert again(trained).effectivity.during.upper == begins
    ends = dict(Policy.objects.filter(topic="SOP-0001").values_list("label", "ends_at"))
    assert ends["SOP-0001 1.0, Electronic signatures"] == begins
    assert ends["SOP-0001 2.0, Electronic signatures"] == scheduled.effectivity.during.lower
    assert ends["SOP-0001 3.0, Electronic signatures"] is None


def test_a_version_that_overtakes_a_scheduled_one_and_is_retired_leaves_the_first_in_effect(
    people, trained, scheduled, ticking
):
    sooner = rewritten(people, trained, effective_on=clock.now() + timedelta(days=10))
    ticking.next_code()
    acts.retire(people.approver, sooner, "The text of May is not wanted.")
    ticking.advance(days=40)
    assert [again(each).status_at(clock.now()) for each in (trained, scheduled, sooner)] == [
        "effective", "superseded", "retired",
    ]  # fmt: skip
    assert in_effect(people.reviewer) == "SOP-0001 1.0"


@pytest.mark.compliance("11.10(i)")
def test_compliance_nobody_is_asked_to_read_an_sop_that_is_retired(people, trained, ticking):
    later = rewritten(people, trained)
    ticking.next_code()
    acts.retire(people.approver, later, "Replaced by the quality manual.")
    assert to_read(people.approver2) == []  # neither version
    ticking.advance(days=30)
    accounts.set_roles(people.scientist, ["reviewer"], by=people.administrator, reason="Reviews from now on.")
    work()
    assert to_read(User.objects.get(username="scientist")) == []
    page = people.client(people.author)
    for ordinal in (1, 2):
        shown = text(page.get(f"/training/SOP-0001/?version={ordinal}"))
        assert "Not asked yet" not in shown and "/training/read/" not in shown
    assert page.post("/training/SOP-0001/ask/").status_code == 409
    assert queries.tallies([Sop.objects.get()], clock.now())[0].version is None


# Who must read it


@pytest.mark.compliance("T2", "11.10(e)")
def test_compliance_who_must_read_an_sop_is_changed_with_a_reason_by_an_author_or_approver(people, sop):
    rule = {"reading_roles": ["scientist", "reviewer"], "reading_days": "5", "reason": "Scientists sign as well now."}
    client = people.client(people.approver)
    assert "/training/SOP-0001/rule/" in text(client.get("/training/SOP-0001/"))
    assert "/training/SOP-0001/rule/" not in text(people.client(people.reviewer).get("/training/SOP-0001/"))
    assert people.client(people.reviewer).post("/training/SOP-0001/rule/", rule).status_code == 403
    assert "At least 10 letters" in text(client.get("/training/SOP-0001/rule/"))
    refused = client.post("/training/SOP-0001/rule/", rule | {"reason": "..........."})
    assert refused.status_code == 400 and "Give the reason in words" in text(refused)
    assert Sop.objects.get().reading_days == 10
    assert client.post("/training/SOP-0001/rule/", rule)["Location"] == "/training/SOP-0001/"
    changed = Sop.objects.get()
    assert (changed.reading_roles, changed.reading_days) == (["reviewer", "scientist"], 5)
    entry = Entry.objects.filter(action=Action.SOP_CHANGED).latest("id")
    assert (entry.actor_name, entry.reason) == ("Chidi Okafor", "Scientists sign as well now.")
    assert "Priya Raman" in text(client.get("/training/SOP-0001/")).split("Not asked yet")[1]
    assert to_read(people.approver2) == ["SOP-0001 1.0, Electronic signatures"]  # who was asked stays asked


def test_the_reading_rule_is_changed_by_those_who_manage_training_alone(people, sop):
    with pytest.raises(trail.Forbidden, match=r"training\.manage"):
        change_rule(
            Sop.objects.get(), by=people.reviewer, reading_roles=[], reading_days=1, reason="I would rather not."
        )
    assert Sop.objects.get().reading_days == 10
