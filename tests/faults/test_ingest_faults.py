"""The faults of the list (§4) in ingest: nothing is lost, nothing is there twice, nothing is shown as proved, it goes on unaided."""

import contextlib
import itertools
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
import redis
from django.core.management import CommandError, call_command
from django.db import OperationalError, close_old_connections, connection

from audit import chain
from audit.models import Entry
from cloudtrail import ingest, transitions
from cloudtrail import tasks as _handlers  # noqa: F401 jobs are run by what it registers
from cloudtrail.models import ArchivedMonth, Event, LogFile, Proof
from jobs import queue
from jobs.models import Job
from storage import s3
from tests import conftest
from tests.browser.site import Site
from tests.cloudtrail import bucket_of_logs, given
from tests.cloudtrail.bucket_of_logs import deliver, put, today
from tests.cloudtrail.test_events import BAD, bomb
from tests.conftest import superuser
from tests.faults import s3_faults
from tests.faults.killing import killed_at, no_session_left_behind, restart, standing_at

FILES, EVENTS = 25, 50


@pytest.fixture
def trail(empty, request):
    return bucket_of_logs.make(request.node.nodeid)


def all_there(files: int = FILES, events: int = EVENTS) -> None:
    """Every file stored, every event once, all of it told on the trail, nothing held, nothing proved that was not."""
    assert set(LogFile.objects.values_list("state", flat=True)) == {"stored"}
    assert LogFile.objects.values("key").distinct().count() == files
    assert Event.objects.count() == Event.objects.values("event_id").distinct().count() == events
    assert not LogFile.objects.exclude(leased_by="", leased_until=None).exists()
    told = [entry.detail for entry in Entry.objects.filter(action="trail.pulled")]
    assert sum(entry["files_stored"] for entry in told) == LogFile.objects.count()
    assert sum(entry["events_stored"] for entry in told) == events
    assert not Proof.objects.filter(state="valid").exists()
    assert chain.walk().fault is None


PLACES = {
    "after the download": "cloudtrail.ingest:raw_bytes:after",
    "after parsing": "cloudtrail.ingest:parse:after",
    "after its actors": "cloudtrail.ingest:make_partitions:after",
    "between COPY and commit": "cloudtrail.alarms:tell:before",
    "right before the commit": "cloudtrail.alarms:tell:after",
    "after the commit": "cloudtrail.ingest:store:after",
    "before it is told": "cloudtrail.transitions:summarise:before",
    "while it is proved": "cloudtrail.proof:_judge:after",
}


@pytest.mark.long
@pytest.mark.compliance("F1")
@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_compliance_a_worker_killed_anywhere_in_a_pull_loses_and_doubles_nothing(trail, ticking, place):
    deliver(trail, FILES)
    killed_at(place, "pull", str(trail.pk))
    no_session_left_behind()
    ticking.advance(minutes=5)
    transitions.pull(trail)
    all_there()


@pytest.mark.compliance("F4")
def test_compliance_a_pull_whose_connection_is_cut_is_made_good_by_the_next(trail, ticking, monkeypatch):
    deliver(trail, 3)
    tell = ingest.alarms.tell

    def cut(alarming):
        tell(alarming)
        with superuser() as server:
            server.execute("SELECT pg_terminate_backend(%s, 5000)", [connection.connection.info.backend_pid])

    monkeypatch.setattr(ingest.alarms, "tell", cut)
    with pytest.raises((OperationalError, psycopg.OperationalError)):
        transitions.pull(trail)
    connection.close()
    monkeypatch.undo()
    assert not Event.objects.exists()
    ticking.advance(minutes=5)
    transitions.pull(trail)
    all_there(3, 6)


@pytest.mark.long
@pytest.mark.compliance("F5")
def test_compliance_a_database_that_restarts_in_a_pull_is_found_again(trail, ticking):
    deliver(trail, FILES)
    with standing_at("cloudtrail.alarms:tell:before", "pull", str(trail.pk)):
        restart()
    close_old_connections()
    assert not Event.objects.exists()
    ticking.advance(minutes=5)
    transitions.pull(trail)
    all_there()


@pytest.mark.long
@pytest.mark.compliance("F6")
def test_compliance_a_full_disk_stores_whole_files_or_nothing_and_goes_on_when_there_is_room(
    small_disk, trail, ticking
):
    """The disk of the events is full; whoever makes room need do nothing else."""
    deliver(trail, 10, events=3000)
    ingest.discover(trail)
    database = connection.settings_dict["NAME"]
    with connection.cursor() as cursor:
        cursor.execute("SELECT cloudtrail_make_partition(%s)", [given.NOON.date()])
    with superuser(database) as server:
        server.execute(f"CREATE TABLESPACE logs LOCATION '{small_disk}'")
        server.execute("ALTER TABLE cloudtrail_event_2026_04 SET TABLESPACE logs")
    with pytest.raises((OperationalError, psycopg.OperationalError), match="No space left"):
        transitions.pull(trail)
    stored = sum(LogFile.objects.filter(state="stored").values_list("events", flat=True))
    assert Event.objects.count() == stored < 30_000
    connection.close()
    with superuser(database) as server:
        server.execute("ALTER TABLE cloudtrail_event_2026_04 SET TABLESPACE pg_default")
        server.execute("DROP TABLESPACE logs")
    ticking.advance(minutes=5)
    transitions.pull(trail)
    all_there(10, 30_000)


def fill(disk) -> None:
    with (disk / "full").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(4096)):
            pass


@pytest.mark.long
@pytest.mark.compliance("F6")
def test_compliance_a_full_disk_of_temporary_files_drops_no_month_and_a_view_shows_none_in_part(
    firm_with_history, small_disk, monkeypatch, settings
):
    """Whoever makes room runs the command, or opens the page, once more."""
    firm, events = firm_with_history, Event.objects.count()
    asked = {"before": f"{datetime.now(UTC) - timedelta(days=40):%Y-%m}", "by": firm.administrator.username,
             "reason": "The database is to stay small"}  # fmt: skip
    monkeypatch.setattr(tempfile, "tempdir", str(small_disk))
    fill(small_disk)
    with pytest.raises(CommandError, match=r"No space left on device.*nothing was dropped\. Make room"):
        call_command("archive_events", **asked)
    assert not ArchivedMonth.objects.exists()
    assert Event.objects.count() == events
    (small_disk / "full").unlink()
    call_command("archive_events", **asked)
    assert Event.objects.count() == events - sum(month.events for month in ArchivedMonth.objects.all()) < events

    settings.CACHE_DIR = small_disk / "cache"
    page, client = "/records/KRAS-001/audit/?days=90", firm.client(firm.inspector)
    fill(small_disk)
    refused = client.get(page)
    assert refused.status_code == 503
    assert "It cannot be written on this machine: No space left on device." in refused.content.decode()
    (small_disk / "full").unlink()
    assert client.get(page).status_code == 200


def until(times: int, fault):
    """So many requests for a log file's bytes go wrong, then all goes well."""
    count, lock = itertools.count(), threading.Lock()

    def ask(method: str, path: str):
        with lock:
            wrong = "CloudTrail" in path and "versionId=" in path and next(count) < times
        return fault if wrong else ("", 0)

    return ask


FAULTS = {
    "500": (10, ("code", "InternalError")),
    "503 SlowDown": (10, ("code", "SlowDown")),
    "reset at half of the body": (10, ("reset", 300)),
    "20 s of latency": (1, ("slow", 20)),
    "expired credentials": (10, ("code", "ExpiredToken")),
    "403": (10, ("code", "AccessDenied")),
}


@pytest.mark.long
@pytest.mark.compliance("F7")
@pytest.mark.parametrize("name", FAULTS)
def test_compliance_an_s3_that_fails_for_a_while_is_asked_again_until_all_is_there(trail, settings, ticking, name):
    deliver(trail, 6)
    url = settings.S3_ENDPOINT_URL
    with s3_faults.in_front_of(url, until(*FAULTS[name])) as failing:
        settings.S3_ENDPOINT_URL = failing
        for _ in range(6):
            transitions.pull(trail)
            ticking.advance(minutes=10)
    settings.S3_ENDPOINT_URL = url
    all_there(6, 12)


@pytest.mark.compliance("F7")
def test_compliance_a_bucket_that_was_away_and_came_back_is_pulled_unaided(trail, settings, ticking, monkeypatch):
    deliver(trail, 3)
    url = settings.S3_ENDPOINT_URL
    away = s3.CONFIG.merge(s3.Config(retries={"max_attempts": 0}))
    monkeypatch.setattr(s3, "CONFIG", away)
    settings.S3_ENDPOINT_URL = "http://127.0.0.1:9"
    job = transitions.enqueue_pull(trail)
    assert queue.run(job.pk).state == "failed"
    assert "could not be reached" in transitions.Listing.objects.get(trail=trail).last_error
    settings.S3_ENDPOINT_URL = url
    assert queue.run(transitions.enqueue_pull(trail).pk).state == "done"
    assert not transitions.Listing.objects.get(trail=trail).last_error
    all_there(3, 6)


@pytest.mark.compliance("F8")
def test_compliance_a_clock_that_jumps_forth_and_back_in_a_pull_loses_and_doubles_nothing(trail, ticking, monkeypatch):
    monkeypatch.setattr(ingest, "BATCH", 1)
    store, jumps = ingest.store, itertools.cycle([1, -2, 1])

    def store_and_jump(*args):
        store(*args)
        ticking.advance(hours=next(jumps))

    monkeypatch.setattr(ingest, "store", store_and_jump)
    deliver(trail, 2)
    transitions.pull(trail)
    ticking.advance(hours=-3)
    deliver(trail, 4, first=2)
    transitions.pull(trail)
    ticking.advance(hours=4)
    transitions.pull(trail)
    ticking.advance(hours=-2)
    deliver(trail, 1, first=6)
    transitions.pull(trail)
    ticking.advance(hours=4)  # a clock that is still behind midnight does not look into the folder of the new day yet
    transitions.pull(trail)
    all_there(7, 14)


@pytest.mark.long
@pytest.mark.compliance("F9")
def test_compliance_a_broker_that_forgot_everything_delays_a_pull_and_loses_none(trail, tmp_path):
    site = Site(connection.settings_dict["NAME"], tmp_path, broker=9)
    broker = redis.Redis(unix_socket_path=str(conftest.SERVERS.sockets / "valkey.sock"), db=9)
    deliver(trail, 3)
    site.manage("shell", "-c", "from cloudtrail import tasks; tasks.pull_all()")
    assert broker.dbsize() > 0
    broker.flushdb()
    job = Job.objects.get()
    site.start_worker()
    try:
        site.manage("shell", "-c", "from jobs import queue; queue.sweep()")  # as beat does every 15 seconds
        deadline = time.monotonic() + 60
        while Job.objects.get(pk=job.pk).state != "done":
            assert time.monotonic() < deadline
            time.sleep(0.1)
    finally:
        site.stop()
        broker.flushdb()
    all_there(3, 6)


@pytest.mark.compliance("F10", "F11", "F12", "F22")
def test_compliance_every_bad_file_stands_aside_with_its_reason_and_the_good_ones_are_read(trail):
    for number, (raw, _) in enumerate(BAD.values()):
        put(trail, today(number), raw)
    deliver(trail, 2, first=100)
    transitions.pull(trail)
    aside = LogFile.objects.filter(state="quarantined")
    assert aside.count() == len(BAD)
    assert not aside.filter(reason="").exists()
    assert "truncated" in aside.get(key=today(list(BAD).index("a truncated gzip"))).reason
    assert "follow the gzip member" in aside.get(key=today(list(BAD).index("a second member"))).reason
    assert not LogFile.objects.filter(state="seen").exists()
    assert (LogFile.objects.filter(state="stored").count(), Event.objects.count()) == (2, 4)


MEASURED = """
import json, re, sys, time
from pathlib import Path
from tests import conftest
import django; django.setup()
from cloudtrail import transitions
from cloudtrail.models import Trail
began = time.monotonic()
tally = transitions.pull(Trail.objects.get(pk=sys.argv[1]))
took = time.monotonic() - began
# Not getrusage(): there a process begins with what the one that started it had.
most = re.search(r"VmHWM:\\s*(\\d+) kB", Path("/proc/self/status").read_text())
print(json.dumps({"took": took, "aside": tally.quarantined, "kB": int(most[1])}))
"""


@pytest.mark.long
@pytest.mark.compliance("F13")
def test_compliance_a_bomb_is_set_aside_within_five_seconds_and_300_megabytes_of_the_whole_process(trail):
    put(trail, today(1), bomb(1_000_000_000))
    deliver(trail, 1, first=2)
    command = [sys.executable, "-W", "ignore", "-c", MEASURED, str(trail.pk)]
    run = subprocess.run(command, cwd=conftest.ROOT, env=os.environ, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    told = json.loads(run.stdout)
    assert told["took"] < 5
    assert told["kB"] < 300_000
    assert told["aside"] == 1
    assert "unpacks to more than" in LogFile.objects.get(state="quarantined").reason
    assert Event.objects.count() == 2


@pytest.mark.compliance("F14")
def test_compliance_links_and_paths_out_of_a_folder_that_is_handed_over_are_not_followed(empty, tmp_path):
    outside = given.hand_over(tmp_path / "outside", {given.log_key(1): given.packed([given.s3()])})
    inside = given.hand_over(tmp_path / "inside", {given.log_key(2): given.packed([given.s3()])})
    (inside / given.log_key(3)).symlink_to(outside / given.log_key(1))
    (inside / "folder").symlink_to(outside)
    transitions.load(inside)
    assert (LogFile.objects.get().key, Event.objects.count()) == (given.log_key(2), 1)


@pytest.mark.compliance("F17")
def test_compliance_a_file_that_is_gone_between_listing_and_fetch_is_named_and_the_others_are_read(trail):
    """A lifecycle rule took it away, or somebody did: the ledger keeps that it was there."""
    deliver(trail, 3)
    ingest.discover(trail)
    gone = LogFile.objects.order_by("id").first()
    s3.client().delete_object(Bucket=trail.bucket, Key=gone.key, VersionId=gone.s3_version)
    transitions.pull(trail)
    gone.refresh_from_db()
    assert gone.state == "quarantined"
    assert gone.reason.endswith("is not there.")
    assert Event.objects.count() == 4


@pytest.mark.compliance("F21")
def test_compliance_a_file_that_comes_a_day_late_and_events_of_any_time_are_read(trail):
    transitions.pull(trail)
    now = datetime.now(UTC)
    times = [now - timedelta(days=10), now + timedelta(days=400)]
    put(trail, given.log_key(1, now - timedelta(days=1)), given.packed([given.s3(at=time) for time in times]))
    transitions.pull(trail)
    assert [
        abs(event.time - at) < timedelta(seconds=1)
        for event, at in zip(Event.objects.order_by("time"), times, strict=True)
    ]
    assert Event.objects.count() == 2


@pytest.mark.compliance("F20")
def test_compliance_a_corrected_event_is_kept_beside_its_original(trail):
    first = given.s3()
    put(trail, today(1), given.packed([first]))
    transitions.pull(trail)
    addendum = {"reason": "UPDATED_DATA", "updatedFields": "errorCode", "originalEventID": first["eventID"]}
    put(trail, today(2), given.packed([given.s3(addendum=addendum, errorCode="AccessDenied")]))
    transitions.pull(trail)
    told = list(Event.objects.order_by("corrects").values_list("error_code", "corrects"))
    assert told == [("", ""), ("AccessDenied", first["eventID"])]


@pytest.mark.compliance("F22")
def test_compliance_a_minor_version_of_events_is_read_and_a_major_one_stands_aside(trail):
    put(trail, today(1), given.packed([given.s3(eventVersion="1.99")]))
    put(trail, today(2), given.packed([given.s3(eventVersion="2.0")]))
    transitions.pull(trail)
    assert dict(LogFile.objects.values_list("key", "state")) == {today(1): "stored", today(2): "quarantined"}
