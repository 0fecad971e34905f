"""A restored database is read-only until its report is signed; then the trail goes on, and the gap is told for good (F24)."""

import pytest
from django.conf import settings
from django.db import transaction

from accounts.models import Area
from audit import chain, checkpoints, trail
from audit.actions import Action
from audit.models import Checkpoint, Entry
from jobs import queue
from jobs.models import Job
from portal import anchoring, restoring
from records.models import Version
from tests import acts
from tests.conftest import TestClock, superuser
from tests.verifier.bench import Files, act, at, database, on_copy, restore


@pytest.fixture
def restored(firm):
    with restore(firm):
        yield firm


@pytest.mark.compliance("F24", "11.10(c)")
def test_compliance_recovery_after_a_restore_closes_the_gap_in_the_open(restored, tmp_path):
    hold = trail.held()
    with pytest.raises(trail.Forbidden):
        restoring.report(by=restored.approver, reason="The disk failed; I may not say so")
    version = restoring.report(
        by=restored.administrator, reason="The disk failed; the backup of the night was put back"
    )
    assert version.record.number == "RST-0001" and trail.held().pk == hold.pk
    with pytest.raises(trail.Refused, match="waits for its approval"):
        restoring.report(by=restored.administrator2, reason="The disk failed, once more")
    with pytest.raises(trail.ReadOnly), transaction.atomic():
        trail.record(Action.VERSION_APPROVED, restored.version("KRAS-001", 2), by=restored.approver)

    acts.sign(restored.approver, version)
    assert trail.held() is None
    for job in Job.objects.filter(kind=anchoring.ANCHOR, state="queued"):
        assert queue.run(job.pk).state == "done"
    note = checkpoints.read(Checkpoint.objects.first().note.encode()).note
    lost = note.restored
    assert (lost.report, lost.version, lost.top_hash) == ("RST-0001", 1, version.top_hash)
    assert (lost.anchor, lost.lost_from, lost.lost_to) == (
        hold.detail["anchor"], hold.detail["agreed"] + 1, hold.detail["anchor_size"])  # fmt: skip
    act(restored, "It goes on")
    anchoring.checkpoint()
    assert (anchoring.watch_over().state, chain.walk().fault) == ("agrees", None)
    told = Files(tmp_path).verify()
    assert told["faults"] == []
    assert told["lost"] == [{"report": "RST-0001", "from": lost.lost_from, "to": lost.lost_to}]


@pytest.mark.compliance("F24")
def test_compliance_an_entry_alone_does_not_make_the_portal_sign_over_a_gap(restored):
    """Whoever writes as the application's role can end the read-only time, on the trail; no checkpoint follows."""
    hold = trail.held()
    with transaction.atomic():
        trail.record(Action.HOLD_ENDED, checkpoints.CHAIN, by=trail.SYSTEM, detail={"anchor": hold.detail["anchor"],
                     "version_id": str(restored.version("KRAS-001").pk)})  # fmt: skip
    with pytest.raises(checkpoints.NotSigned):
        anchoring.checkpoint()
    assert trail.held() is not None, "the next look says so again"


def end_hold(detail):
    with transaction.atomic():
        trail.record(Action.HOLD_ENDED, checkpoints.CHAIN, by=trail.SYSTEM, detail=detail)


@pytest.mark.compliance("F24")
@pytest.mark.parametrize(
    "detail", [{}, {"version_id": "no report"}, {"version_id": 7}, {"anchor": 2, "version_id": None}]
)
def test_compliance_an_entry_that_names_no_report_ends_nothing_and_stops_no_look(restored, detail):
    end_hold(detail)
    assert trail.held() is None
    anchoring.at_start()
    assert trail.held() is not None


@pytest.mark.compliance("F24")
def test_compliance_a_report_answers_for_the_hold_that_it_is_about_and_for_no_other(restored):
    report = restoring.report(by=restored.administrator, reason="The disk failed; the backup was put back")
    acts.sign(restored.approver, report)
    assert restoring.answered(anchoring.compare()) is not None
    with transaction.atomic():
        trail.record(Action.HOLD_BEGUN, checkpoints.CHAIN, by=trail.SYSTEM)
    end_hold({"anchor": 2, "version_id": str(report.pk)})
    assert restoring.answered(anchoring.compare()) is None


@pytest.mark.compliance("F24")
def test_compliance_a_report_says_what_its_sealed_bytes_say_whatever_a_row_points_at(restored):
    report = restoring.report(by=restored.administrator, reason="The disk failed; the backup was put back")
    acts.sign(restored.approver, report)
    with superuser(database()) as raw:
        raw.execute("ALTER TABLE records_file DISABLE TRIGGER ALL")
        raw.execute("UPDATE records_file SET key = key || 'x' WHERE version_id = %s", [report.pk])
    assert restoring.answered(anchoring.compare()) is None


@pytest.mark.compliance("F24", "11.10(e)")
def test_compliance_what_people_wrote_while_the_bucket_was_away_is_declared_as_lost_as_well(
    firm, tmp_path, monkeypatch
):
    """It stands where other links stood before: the loss begins where the last agreement ends, and not where the database does."""
    anchoring.checkpoint()
    here, origin = database(), settings.TRAIL_ORIGIN
    with on_copy(here) as copy:
        at(here, origin)
        agreed = checkpoints.head()[0]
        for number in range(15):
            act(firm, f"Name {number}")
        last = anchoring.checkpoint()
        at(copy, origin)
        TestClock().next_code()
        with monkeypatch.context() as away:
            away.setattr(settings, "ANCHOR_BUCKET", "no-such-bucket")
            anchoring.at_start()
        act(firm, "After the restore")
        anchoring.at_start()
        version = restoring.report(by=firm.administrator, reason="The disk failed; the backup was put back")
        assert version.record.title == f"Restored database, links {agreed + 1} to {last.size} lost"
        acts.sign(firm.approver, version)
        anchoring.checkpoint()
        told = Files(tmp_path).verify()
        assert (told["faults"], [(gap["from"], gap["to"]) for gap in told["lost"]]) == ([], [(agreed + 1, last.size)])


@pytest.mark.compliance("F24")
def test_compliance_while_read_only_every_page_says_so_and_people_can_log_in_and_read(restored):
    client = restored.client(restored.administrator)
    assert "read-only" in restored.client(restored.inspector).get("/records/KRAS-001/").content.decode()
    assert "read-only" in restored.client(restored.author).get("/").content.decode()
    assert "What to do" in client.get("/audit/checkpoints/").content.decode()
    refused = client.post(
        f"/people/areas/{restored.laboratory.pk}/", {"name": "Other", "reason": "The laboratory has a new name"}
    )
    assert refused.status_code in (409, 503) and "read-only" in refused.content.decode()
    assert Area.objects.filter(name="Other").count() == 0
    made = client.post("/audit/checkpoints/report/", {"reason": "The disk failed"})
    assert made.status_code == 302
    report = Version.objects.get(record__type="restore")
    assert report.record.number in client.get("/audit/checkpoints/").content.decode()
    acts.sign(restored.approver, report, meaning="rejection", reason="The cause is not told")
    assert trail.held() is not None and restoring.waiting(trail.held()) is None
    assert Entry.objects.filter(action="signature.applied").latest("id").subject_id == str(report.pk)


def test_the_page_shows_checkpoints_and_the_exposure_window(firm):
    assert "There is no checkpoint yet." in firm.client(firm.inspector).get("/audit/checkpoints/").content.decode()
    made = anchoring.checkpoint()
    act(firm)
    client = firm.client(firm.inspector)
    body = client.get("/audit/checkpoints/").content.decode()
    assert "the trail is anchored." in body and "2 came since" in body
    assert client.get("/audit/checkpoints/1.txt").content.decode() == made.note
    assert client.get("/audit/checkpoints/trail.jsonl").status_code == 403, (
        "the inspector does not belong to every area"
    )
    with transaction.atomic():
        firm.inspector.areas.set(Area.objects.all())
        trail.record(Action.USER_AREAS_CHANGED, firm.inspector, by=firm.administrator)
    whole = b"".join(client.get("/audit/checkpoints/trail.jsonl").streaming_content)
    assert whole.endswith(b'"accesses":' + whole.rsplit(b":", 1)[1]) and whole.count(b"\n") > 100
