"""The desk: what waits, soonest first, and figures that are true."""

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from accounts.models import Qualification
from audit import clock, trail
from audit.actions import Action
from jobs.models import Job
from portal import navigation, recertification
from portal.pages import desk
from records import verification
from records.models import Record
from signatures.models import Step
from tests import acts, builders
from tests.signatures.test_pages import text

READ = "documents that you may read are effective, reports not counted"


def figures(user) -> dict[str, tuple[str, str]]:
    """By the page that is behind them."""
    return {figure.url: (figure.value, figure.words) for figure in desk.figures(user, clock.now())}


def test_an_empty_desk_says_what_to_do_next(people):
    assert "Write a document, or continue one." in text(people.client(people.author).get("/"))
    assert "Register a data package" in text(people.client(people.operator).get("/"))
    assert "What is asked of you appears here" in text(people.client(people.approver).get("/"))


def test_what_waits_stands_soonest_first_with_its_due_date(people, ticking):
    late = builders.a_document_in_review(people, due_at=acts.in_days(1))
    ticking.advance(days=3)
    soon = builders.a_document_in_review(people, due_at=acts.in_days(1))
    later = builders.a_document_in_review(people, due_at=acts.in_days(9))
    someday = builders.a_document_in_review(people)
    tasks = list(desk.signatures(people.reviewer, clock.now()))
    assert [task.number for task in tasks] == [version.record.number for version in (late, soon, later, someday)]
    assert [(task.due, task.tone) for task in tasks] == [
        ("2 days late", "bad"), ("due tomorrow", "warn"), ("in 9 days", "mute"), ("", "mute"),
    ]  # fmt: skip
    page = text(people.client(people.reviewer).get("/"))
    assert page.index("2 days late") < page.index("due tomorrow") < page.index("in 9 days")


def test_a_line_tells_who_signed_before_and_how_many_sign_after(people):
    version = builders.a_document_in_review(people)
    (task,) = desk.signatures(people.reviewer, clock.now())
    assert task.hint.startswith("Submitted by Ana Lindqvist") and task.hint.endswith("1 more after yours.")
    acts.sign(people.reviewer, version)
    assert list(desk.signatures(people.reviewer, clock.now())) == []
    (task,) = desk.signatures(people.approver, clock.now())
    assert task.hint.startswith("Review by Maja Ruiz") and task.hint.endswith("You are the last signature.")


def test_readings_drafts_and_failed_jobs_wait_too(people):
    sop = builders.an_sop(people, gate="signing")
    acts.sign(people.reviewer, sop)
    acts.sign(people.approver, sop)
    Job.objects.create(
        kind="records.verify", key="a", state="failed", error="S3 is away.", finished_at=clock.now(),
        requested_by=str(people.reviewer.pk), requested_by_name="Maja Ruiz",
    )  # fmt: skip
    reader = text(people.client(people.reviewer).get("/"))
    assert f"/training/read/{sop.pk}/" in reader
    assert "You can sign without it until then." in reader
    assert "S3 is away." in reader
    author = text(people.client(people.author).get("/"))
    assert "/documents/SOP-0001/edit/" in author
    assert "S3 is away." not in author


def test_who_was_never_trained_is_told_the_same_on_desk_training_and_signing_page(people):
    sop = builders.an_sop(people, gate="signing")
    acts.sign(people.reviewer, sop)
    acts.sign(people.approver, sop)
    version = builders.a_document_in_review(people)
    with transaction.atomic():
        trained = Qualification.objects.filter(user=people.reviewer, met_at__isnull=False)
        trained.update(met_at=None, lifted_at=clock.now())
        trail.record(Action.QUALIFICATION_SET, people.reviewer, by=trail.SYSTEM)
    client = people.client(people.reviewer)
    page = text(client.get("/"))
    assert "You cannot sign before you have read it." in page
    assert "You cannot sign yet: its page says what is missing." in page and "Sign<span" not in page
    assert "at once where you were trained on no version before" in text(client.get("/training/"))
    step = text(client.get(version.steps.get(assignee=people.reviewer).get_absolute_url()))
    assert "You cannot sign yet" in step and "Missing: Trained on it" in step


def test_the_badge_counts_signatures_and_readings_in_one_query(people):
    builders.a_document_in_review(people)
    sop = builders.an_sop(people)
    acts.sign(people.reviewer, sop)
    acts.sign(people.approver, sop)
    user = people.reviewer
    assert user.roles
    with CaptureQueriesContext(connection) as queries:
        assert navigation.waiting(user) == 2
    assert len(queries) == 1
    assert '<span class="badge">2' in text(people.client(user).get("/"))


def test_the_badge_counts_what_quality_has_to_decide_and_the_desk_says_why(people, ticking):
    counts = []
    for number in range(1, 3):
        version = builders.a_document_in_review(people)
        acts.sign(people.reviewer, version)
        [signature] = acts.sign(people.approver, version)
        ticking.next_code()
        acts.withdraw(people.approver, signature, "Signed the wrong version.")
        ticking.next_code()
        navigation.waiting(people.approver2)
        with CaptureQueriesContext(connection) as queries:
            assert navigation.waiting(people.approver2) == number
        counts.append(len(queries))
    assert counts[0] == counts[1]
    assert navigation.waiting(people.approver) == 0  # nobody decides about their own
    page = text(people.client(people.approver2).get("/"))
    assert '<span class="badge">2' in page
    assert f"Approval by {signature.printed_name}. Withdrawn by {signature.printed_name}: Signed the wrong" in page


@pytest.mark.parametrize(
    ("who", "rooms"),
    [
        ("author", "Desk Records Documents Training Audit CloudTrail Inspection Jobs"),
        ("operator", "Desk Records Documents Training Audit CloudTrail Jobs"),
        (
            "inspector",
            "Desk Records Documents Training Audit CloudTrail Inspection Security Storage Jobs Administration",
        ),
        ("administrator", "Desk Audit CloudTrail Security Storage Jobs Administration"),
    ],
)
def test_the_rail_shows_the_rooms_of_the_role(people, rf, who, rooms):
    request = rf.get("/records/KRAS-001/")
    request.user = getattr(people, who)
    nav = list(navigation.navigation(request)["nav"])
    assert " ".join(item["label"] for item in nav if "label" in item) == rooms
    assert [item["label"] for item in nav if item.get("active")] == (["Records"] if "Records" in rooms else [])


def test_documents_effective_are_counted(people, ticking):
    first = builders.a_document_in_review(people)
    builders.a_document_in_review(people)
    assert figures(people.inspector)["/documents/"] == ("0 / 2", f"{READ}; 2 in review")
    acts.sign(people.reviewer, first)
    acts.sign(people.approver, first)
    assert figures(people.inspector)["/documents/"] == ("1 / 2", f"{READ}; 1 in review")
    assert figures(people.outsider)["/documents/"] == ("0 / 0", f"{READ}; 0 in review")
    assert Record.objects.count() == 2


def test_the_figure_of_documents_counts_what_the_list_behind_it_holds_without_reports(firm):
    lines = [line.key for line in recertification.to_decide()]
    assert recertification.make({}, lines, by=firm.approver).record.type.kind == "report"
    value, _ = figures(firm.inspector)["/documents/"]
    client = firm.client(firm.inspector)
    rows = {query: client.get(f"/documents/{query}").context["rows"] for query in ("", "?status=effective")}
    held = {query: [row for row in found if row.record.type.kind != "report"] for query, found in rows.items()}
    assert len(held[""]) < len(rows[""])
    assert value == f"{len(held['?status=effective'])} / {len(held[''])}"


def test_verified_versions_are_counted_while_the_proof_is_fresh(people, ticking):
    versions = [builders.a_package(people), builders.a_package(people)]
    assert figures(people.inspector)["/records/"] == ("2", "record versions, 0 verified in the last 24 h")
    for version in versions:
        verification.verify(version, by=people.inspector)
    assert figures(people.inspector)["/records/"] == ("2", "record versions, all verified in the last 24 h")
    ticking.advance(hours=25)
    verification.verify(versions[0], by=people.inspector)
    assert figures(people.inspector)["/records/"] == ("2", "record versions, 1 verified in the last 24 h")


def test_signatures_asked_for_and_late_are_counted(people, ticking):
    builders.a_document_in_review(people, due_at=acts.in_days(1))
    builders.a_package(people)
    assert figures(people.inspector)["/documents/?status=in_review"] == ("2", "signatures asked for, none late")
    ticking.advance(days=2)
    assert figures(people.inspector)["/documents/?status=in_review"] == ("2", "signatures asked for, 1 late")


def test_a_trail_that_was_never_pulled_is_said_to_be_so(people):
    from cloudtrail.models import Listing, Trail

    assert figures(people.inspector)["/trails/"][0] == "no trail"
    with transaction.atomic():
        from audit import trail
        from audit.actions import Action

        made = Trail.objects.create(name="Organisation", account="111122223333", bucket="gxp-trail")
        trail.record(Action.TRAIL_CREATED, made, by=people.administrator)
    assert figures(people.inspector)["/trails/"] == ("never", "pulled: 1 of 1 CloudTrail trails")
    Listing.objects.create(trail=made, last_listed_at=clock.now())
    assert figures(people.inspector)["/trails/"][0] == "< 1 min"


def test_the_desk_takes_a_constant_number_of_queries(people, ticking):
    counts = []
    for _ in range(2):
        for _ in range(3):
            builders.a_document_in_review(people)
        client = people.client(people.reviewer)
        client.get("/")
        with CaptureQueriesContext(connection) as queries:
            assert client.get("/").status_code == 200
        counts.append(len(queries))
    assert counts[0] == counts[1]
    assert Step.objects.awaiting(people.reviewer).count() == 6
