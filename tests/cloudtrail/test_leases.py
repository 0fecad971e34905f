"""Many workers share what waits of a trail; those that are killed lose nothing and leave nothing behind."""

import os
import signal
import subprocess
import sys
import threading
import time
from datetime import timedelta

import psycopg
import pytest
from django.db import connection, transaction

from audit.models import Entry
from cloudtrail import ingest, ledger, tasks, transitions
from cloudtrail.models import Event, LogFile
from jobs import queue
from jobs.models import Job
from storage import s3
from tests import conftest
from tests.cloudtrail import bucket_of_logs
from tests.cloudtrail.bucket_of_logs import deliver

WAIT = 900  # seconds at most for four processes to read five thousand files on a busy machine


@pytest.fixture
def trail(empty, request):
    return bucket_of_logs.make(request.node.nodeid)


def stored_once(files: int, events: int) -> None:
    """Every file is stored, every event is there once, and nobody holds a lease.

    A client that got no answer in time may have put a file twice: then it has two versions, of which one tells nothing new.
    """
    assert LogFile.objects.values("key").distinct().count() == files
    assert not LogFile.objects.exclude(state="stored").exists()
    assert Event.objects.count() == Event.objects.values("event_id").distinct().count() == events
    assert sum(file.events_stored for file in LogFile.objects.all()) == events
    assert not LogFile.objects.exclude(leased_by="", leased_until=None).exists()


def ids(files):
    return {file.pk for file in files}


def test_compliance_no_two_workers_read_a_file_and_a_lease_that_ran_out_is_taken_over(trail, ticking):
    deliver(trail, 5)
    ingest.discover(trail)
    first, second = ledger.take(trail, 3, 10**6), ledger.take(trail, 3, 10**6)
    assert (len(first), len(second)) == (3, 2)
    assert not ids(first) & ids(second)
    assert ledger.take(trail, 3, 10**6) == []
    assert ledger.held(trail)
    ticking.advance(seconds=ledger.LEASE.total_seconds() + 1)
    assert ids(ledger.take(trail, 9, 10**6)) == ids(first) | ids(second)


def test_a_portion_has_no_more_bytes_than_asked_for_but_for_its_first_file(trail):
    deliver(trail, 3)
    ingest.discover(trail)
    assert len(ledger.take(trail, 3, 1)) == 1
    assert len(ledger.take(trail, 3, 10**6)) == 2


def test_compliance_a_file_that_two_workers_read_all_the_same_is_stored_once(trail, ticking, monkeypatch):
    """The slow one wakes up when its files were taken over and stored already."""
    deliver(trail, 3)
    fetch = ingest.fetch

    def while_another_takes_over(row):
        monkeypatch.setattr(ingest, "fetch", fetch)
        ticking.advance(minutes=10)
        ingest.read(trail, ingest.Tally())
        return fetch(row)

    monkeypatch.setattr(ingest, "FETCHERS", 1)
    monkeypatch.setattr(ingest, "BATCH", 1)
    monkeypatch.setattr(ingest, "fetch", while_another_takes_over)
    transitions.pull(trail)
    stored_once(3, 6)


def test_compliance_a_pull_takes_over_what_a_killed_worker_held(trail, ticking, monkeypatch):
    deliver(trail, 4)
    ingest.discover(trail)
    assert len(ledger.take(trail, 3, 10**6)) == 3
    slept = []

    def sleep(seconds):
        slept.append(Event.objects.count())
        ticking.advance(seconds=ledger.LEASE.total_seconds() + 1)

    monkeypatch.setattr(ingest.time, "sleep", sleep)
    transitions.pull(trail)
    assert slept == [2], "it read what was free, then waited for the rest"
    stored_once(4, 8)


def test_a_file_that_cannot_be_fetched_is_asked_for_at_growing_intervals(trail, ticking, monkeypatch):
    deliver(trail, 1)
    tries = []

    def unreachable(*_):
        tries.append(1)
        raise s3.StorageUnavailable("S3 cannot serve it at the moment.")

    monkeypatch.setattr(ingest.bucket, "fetch", unreachable)
    for _ in range(3):
        transitions.pull(trail)
    assert len(tries) == 1
    ticking.advance(seconds=16)
    transitions.pull(trail)
    assert (len(tries), LogFile.objects.get().attempts) == (2, 2)
    waits = [ledger.next_try(attempts) for attempts in range(1, ingest.ATTEMPTS)]
    assert waits[:3] == [timedelta(seconds=15), timedelta(seconds=30), timedelta(seconds=60)]
    assert sum(waits, timedelta()) > timedelta(days=2)
    monkeypatch.undo()
    ticking.advance(minutes=2)
    transitions.pull(trail)
    stored_once(1, 2)


def test_one_file_that_the_database_refuses_stands_aside_alone(trail, monkeypatch):
    deliver(trail, 3)
    copy = ingest._copy

    def refused(table, columns, texts):
        if any(f"\t{poisoned}\t" in text for text in texts):
            raise psycopg.DataError("value out of range")
        copy(table, columns, texts)

    ingest.discover(trail)
    poisoned = LogFile.objects.get(key=bucket_of_logs.today(1)).pk
    monkeypatch.setattr(ingest, "_copy", refused)
    transitions.pull(trail)
    assert sorted(LogFile.objects.values_list("state", flat=True)) == ["quarantined", "stored", "stored"]
    assert "refuses what it tells: value out of range" in LogFile.objects.get(pk=poisoned).reason
    assert Event.objects.count() == 4


def test_a_fault_of_the_reader_stands_aside_with_its_file(trail, monkeypatch):
    deliver(trail, 2)
    parse = iter([RuntimeError("the reader is tired"), None])
    original = ingest.parse

    def tired(raw):
        if error := next(parse):
            raise error
        return original(raw)

    monkeypatch.setattr(ingest, "parse", tired)
    transitions.pull(trail)
    assert sorted(LogFile.objects.values_list("state", "reason")) == [
        ("quarantined", "The portal failed to read it (RuntimeError)."),
        ("stored", ""),
    ]


def test_a_file_that_is_settled_late_is_told_on_the_trail_all_the_same(trail):
    """Another worker has settled a file, and commits it only when a later one was told already."""
    deliver(trail, 2)
    ingest.discover(trail)
    slow, quick = LogFile.objects.order_by("id")
    begun, told = threading.Event(), threading.Event()

    def settle_slowly():
        with transaction.atomic():
            now = ledger.settling()
            LogFile.objects.filter(pk=slow.pk).update(state="quarantined", reason="slow", settled_at=now)
            begun.set()
            told.wait(1)
        connection.close()

    worker = threading.Thread(target=settle_slowly)
    worker.start()
    begun.wait()
    LogFile.objects.filter(pk=quick.pk).update(state="quarantined", reason="quick", settled_at=ledger.settling())
    transitions.summarise(trail, transitions.Action.TRAIL_PULLED)
    told.set()
    worker.join()
    transitions.summarise(trail, transitions.Action.TRAIL_PULLED)
    counted = [entry.detail["files_quarantined"] for entry in Entry.objects.filter(action="trail.pulled")]
    assert sum(counted) == 2


def pages_looked_at() -> int:
    """Pages of the ledger's table that were asked for so far. What this connection did is counted first."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_force_next_flush()")
        cursor.execute("SELECT pg_stat_clear_snapshot()")
        cursor.execute(
            "SELECT heap_blks_read + heap_blks_hit FROM pg_statio_user_tables WHERE relname = 'cloudtrail_logfile'"
        )
        (pages,) = cursor.fetchone()
    return pages


def test_what_a_lease_costs_does_not_grow_with_what_is_stored(trail):
    """Twenty thousand stored files are not looked at."""
    deliver(trail, 3)
    ingest.discover(trail)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO cloudtrail_logfile (trail_id, bucket, key, s3_version, etag, delivered_at, size, state, reason, attempts,"
            " content_size, sha256_raw, sha256_content, events, seen_before, conflicts, leased_by)"
            " SELECT %s, 'b', n::text, '', '', audit_now() - interval '9 days', 1, 'stored', '', 1, 1, '', '', 1, 0, 0, ''"
            " FROM generate_series(1, 20000) n",
            [trail.pk],
        )
    before = pages_looked_at()
    for _ in range(3):
        assert len(ledger.take(trail, 1, 10**6)) == 1
    assert pages_looked_at() - before < 100


def test_jobs_share_what_waits_and_there_are_never_more_than_was_set(trail, settings, monkeypatch):
    settings.CLOUDTRAIL_READERS = 2
    monkeypatch.setattr(transitions, "FILES_A_READER", 3)
    deliver(trail, 10)
    tasks.pull_all()
    assert list(Job.objects.values_list("kind", flat=True)) == ["cloudtrail.pull"], "nothing waits before it was listed"
    ingest.discover(trail)
    for _ in range(2):
        tasks.pull_all()
    readers = Job.objects.filter(kind="cloudtrail.read")
    assert readers.count() == 2
    monkeypatch.setattr(ingest, "BATCH", 3)
    done = queue.run(readers[0].pk)
    assert (done.state, done.result["files"], done.result["events_stored"]) == ("done", 10, 20)
    stored_once(10, 20)
    tasks.pull_all()
    assert Job.objects.filter(kind="cloudtrail.read", state="queued").count() == 1


def test_a_bucket_that_does_not_answer_is_asked_again_when_it_is_due_and_not_at_every_look(trail, ticking):
    s3.client().delete_bucket(Bucket=trail.bucket)
    with pytest.raises(s3.StorageError):
        transitions.pull(trail)
    assert not transitions.due(trail, timedelta(minutes=5))
    ticking.advance(minutes=5)
    assert transitions.due(trail, timedelta(minutes=5))


# --- Real processes ---------------------------------------------------------------------------------------------------


def puller() -> subprocess.Popen:
    """`manage.py pull_trail`, with leases of a few seconds."""
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "manage.py", "pull_trail", "--json"],
        cwd=conftest.ROOT, env=os.environ | {"CLOUDTRAIL_LEASE_SECONDS": "5"},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def stopped_with_a_lease(process: subprocess.Popen) -> int:
    """The process stands still, in the middle of a portion; how many files it holds."""
    for _ in range(1000):
        process.send_signal(signal.SIGSTOP)
        if held := LogFile.objects.filter(state="seen", leased_by__endswith=f":{process.pid}").count():
            return held
        process.send_signal(signal.SIGCONT)
        time.sleep(0.05)
    raise AssertionError("it never held anything")


@pytest.mark.long
@pytest.mark.compliance("F1", "F2")
def test_compliance_two_of_four_workers_are_killed_and_the_other_two_lose_nothing_and_double_nothing(trail):
    deliver(trail, 5000)
    workers = [puller() for _ in range(4)]
    try:
        deadline = time.monotonic() + WAIT
        while LogFile.objects.filter(state="stored").count() < 1000:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        killed, left = workers[:2], workers[2:]
        held = sum(stopped_with_a_lease(process) for process in killed)
        for process in killed:
            process.kill()
        assert held > 0
        assert LogFile.objects.filter(state="stored").count() < 4500, "the kill came in the middle"
        for process in left:
            out, error = process.communicate(timeout=WAIT)
            assert process.returncode == 0, error
            assert '"unreachable": 0' in out
    finally:
        for process in workers:
            process.kill()
            process.wait()
    stored_once(5000, 10_000)
    told = [entry.detail for entry in Entry.objects.filter(action="trail.pulled")]
    assert sum(entry["files_stored"] for entry in told) == LogFile.objects.count()
    assert sum(entry["events_stored"] for entry in told) == 10_000
