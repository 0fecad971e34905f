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
from tests.conftest import TestClock
from tests.verifier.bench import Files, act, at, database, on_copy


@pytest.fixture
def restored(firm):
    """The firm on an earlier state of its database; the anchors know of more."""
    anchoring.checkpoint()
    here, origin = database(), settings.TRAIL_ORIGIN
    with on_copy(here) as copy:
        at(here, origin)
        for number in range(3):
            act(firm, f"Name {number}")
        anchoring.checkpoint()
        at(copy, origin)
        TestClock().next_code()
        anchoring.at_start()
        yield firm


@pytest.mark.compliance("F24", "11.10(c)")
def test_compliance_recovery_after_a_restore_closes_the_gap_in_the_open(restored, tmp_path):
    hold = trail.held()
    with pytest.raises(trail.Forbidden):
        restoring.report(by=restored.approver, reason="I may not")
    version = restoring.report(
        by=restored.administrator, reason="The disk failed; the backup of the night was put back"
    )
    assert version.record.number == "RST-0001" and trail.held().pk == hold.pk
    with pytest.raises(trail.Refused, match="waits for its approval"):
        restoring.report(by=restored.administrator2, reason="Once more")
    with pytest.raises(trail.ReadOnly), transaction.atomic():
        trail.record(Action.VERSION_APPROVED, restored.version("KRAS-001", 2), by=restored.approver)

    acts.sign(restored.approver, version)
    assert trail.held() is None
    for job in Job.objects.filter(kind=anchoring.ANCHOR, state="queued"):
        assert queue.run(job.pk).state == "done"
    note = checkpoints.read(Checkpoint.objects.first().note.encode()).note
    lost = note.restored
    assert (lost.report, lost.version, lost.top_hash) == ("RST-0001", 1, version.top_hash)
    assert (lost.agreed, lost.lost_from, lost.lost_to) == (
        hold.detail["agreed"], hold.detail["size"] + 1, hold.detail["anchor_size"])  # fmt: skip
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
