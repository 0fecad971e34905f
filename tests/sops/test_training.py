"""Read and understood, per version, signed; who has not; what waits for it (11.10(i), T2)."""

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from accounts import qualifications
from accounts import transitions as accounts
from accounts.models import Qualification, User
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
from sops.transitions import ask_newcomers
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
    assert "Only an approved version" in text(trainee.client.get(trainee.url))
    assert trainee.post(trainee.open()).status_code == 403
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
    assert ask_newcomers(Sop.objects.get(), sop, by=people.author) == []


def test_my_training_lists_what_is_due_and_what_is_done(people, sop, ticking):
    client = people.client(people.approver2)
    assert "Signing waits for it." in text(client.get("/training/"))
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
