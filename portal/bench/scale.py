"""The audit view of one record among ever more events: the record stays as it is, the table around it grows tenfold.

The events are made in the database, in no order of time, so that the rows of the record lie scattered among the others: that
is the worst that ingest, which stores about in order, can leave behind. The same question is put to DuckDB over the same events
as CloudTrail delivers them, gzipped JSON of 500 events.
"""

import os
import time
import zlib
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import orjson
from django.conf import settings
from django.db import connection, transaction
from django.test import Client
from isal import igzip

from audit import clock, trail
from cloudtrail import transitions
from cloudtrail.models import Actor, LogFile
from jobs import queue
from jobs.models import Job
from portal.bench import ground
from portal.bench.figures import Figure, p95, samples
from portal.pages import timeline
from portal.pages.record_audit import by_person
from portal.pages.timeline import Asked
from records.models import Record, Version
from storage import s3

EVENTS = int(os.environ.get("BENCH_EVENTS", "2000000"))
LARGE = 10_000_000
OBJECTS, DAYS, ROUNDS = 50, 90, 40
BATCHES = 3  # of rounds, of which the quietest counts: others on the machine only add
ABOUT_THE_RECORD = 1500  # events on its objects in the period, listings and batch deletes not counted
OTHER_KEYS, ACTORS = 20_000, 200
PORTION = 250_000
IN_FILES = 200_000  # of the events are also written as files; what DuckDB takes for them is scaled up to all
EACH_FILE = 500
FOUR_QUESTIONS = ("unchanged", "signed", "accessed", "evidence")


def audit_scale() -> list[Figure]:
    """Page, counts and by-person summary at a tenth of the events and at all of them, against DuckDB; bytes stored for each
    event; from ten million events on also the time of the four questions of an inspection."""
    version = _register(ground.record())
    file, actors = _file(), _actors()
    asked = Asked(version.record, clock.now() - timedelta(days=DAYS), clock.now())
    _make(f"unnest(%(keys)s::text[], %(versions)s::text[]) WITH ORDINALITY AS o(key, version, ordinal)"
          f" CROSS JOIN generate_series(1, {ABOUT_THE_RECORD // OBJECTS}) AS g(n)",
          "o.key", "o.version", "(g.n - 1) * 50 + o.ordinal", asked, file, actors, version)  # fmt: skip
    figures: list[Figure] = []
    stored, taken = ABOUT_THE_RECORD, []
    for size in (EVENTS // 10, EVENTS):
        _fill(stored, size, asked, file, actors, version)
        stored = size
        taken.append(_measured(asked))
        figures += [
            Figure(
                f"audit view {name} at {size:,} events, p95", round(high * 1e3, 1), "ms", f"p50 {middle * 1e3:.1f} ms"
            )
            for name, (middle, high) in taken[-1].items()
        ]
    for name in taken[0]:
        small, large = (one[name] for one in taken)
        said = f"p50 {large[0] / small[0]:.2f} times"
        figures.append(
            Figure(f"audit view {name}, ten times the events", round(large[1] / small[1], 2), "times (p95)", said)
        )
    figures += [*_size(stored), *_against_files(asked, version, taken[-1])]
    return [*figures, *_four_questions(version)] if stored >= LARGE else figures


def _measured(asked: Asked) -> dict[str, tuple[float, float]]:
    """Seconds, middle and 95th of 100, of each question that the page asks, in the quietest batch."""
    told = timeline.tell(asked)
    questions: dict[str, Callable[[], object]] = {
        "page of 100": lambda: timeline.page(asked, told=timeline.tell(asked)),
        "counts": lambda: timeline.cells(asked, told),
        "by person": lambda: by_person(timeline.cells(asked, told)),
    }
    if len(timeline.page(asked, told=told).lines) != timeline.PAGE:
        raise SystemExit("The record has no whole page of lines")
    if (found := sum(cell.bytes_out > 0 and cell.count for cell in timeline.cells(asked, told))) != ABOUT_THE_RECORD:
        raise SystemExit(f"{found} events were found, {ABOUT_THE_RECORD} were made")
    batches = [{name: sorted(samples(act, ROUNDS)) for name, act in questions.items()} for _ in range(BATCHES)]
    taken = {name: min((batch[name] for batch in batches), key=p95) for name in questions}
    return {name: (each[len(each) // 2], p95(each)) for name, each in taken.items()}


def _size(events: int) -> list[Figure]:
    """Bytes of the table, and of its indexes, for each event."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT sum(pg_table_size(relid)), sum(pg_indexes_size(relid)) FROM pg_partition_tree('cloudtrail_event')"
            " WHERE isleaf"
        )
        table, indexes = (int(size) for size in cursor.fetchone())
    said = f"{table / events:.0f} in the table, {indexes / events:.0f} in its indexes; at most 450"
    return [Figure("bytes stored for each event", round((table + indexes) / events, 1), "bytes", said)]


# Against the files ----------------------------------------------------------------------------------------------------

_AS_DELIVERED = f"""
SELECT array_agg(json_build_object(
  'eventVersion', '1.10', 'userIdentity', json_build_object('type', 'AssumedRole', 'accountId', account, 'principalId',
    'AROAEXAMPLE:' || actor_id, 'arn', 'arn:aws:sts::' || account || ':assumed-role/reader/' || actor_id, 'accessKeyId',
    'ASIA' || actor_id), 'eventTime', to_char(time AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
  'eventSource', event_source, 'eventName', event_name, 'awsRegion', region, 'sourceIPAddress', source_ip, 'userAgent',
  '[aws-cli/2.15]', 'requestParameters', json_build_object('bucketName', bucket, 'Host', bucket || '.s3.amazonaws.com',
    'key', key, 'versionId', s3_version), 'responseElements', NULL, 'additionalEventData', json_build_object(
    'SignatureVersion', 'SigV4', 'bytesTransferredIn', bytes_in, 'bytesTransferredOut', bytes_out), 'requestID', request_id,
  'eventID', event_id, 'readOnly', read_only, 'resources', json_build_array(json_build_object('type', 'AWS::S3::Object',
    'ARN', 'arn:aws:s3:::' || bucket || '/' || key)), 'eventType', 'AwsApiCall', 'managementEvent', false,
  'recipientAccountId', account, 'eventCategory', 'Data')::text)
FROM (SELECT *, row_number() OVER () AS place FROM cloudtrail_event WHERE ordinal <= {IN_FILES}) e
GROUP BY place / {EACH_FILE}
"""  # noqa: S608 - numbers of our own
_OF_THE_FILES = """
SELECT r.eventTime, r.eventID, r.eventName, r.userIdentity.arn, r.requestParameters.key
FROM (SELECT unnest(Records) AS r FROM read_json(?, format = 'auto', maximum_object_size = 268435456, columns = {
  Records: 'STRUCT(eventTime TIMESTAMP, eventID VARCHAR, eventName VARCHAR, userIdentity STRUCT(arn VARCHAR),
    requestParameters STRUCT(bucketName VARCHAR, key VARCHAR))[]'}))
WHERE r.requestParameters.bucketName = ? AND r.requestParameters.key IN (SELECT unnest(?)) AND r.eventTime >= ?
  AND r.eventTime < ?
ORDER BY 1 DESC LIMIT 100
"""


def _against_files(asked: Asked, version: Version, ours: dict[str, tuple[float, float]]) -> list[Figure]:
    """The page of 100 against DuckDB over the files of the same events: it has to read them all, so its time is scaled."""
    folder = Path(settings.HOME_DIR) / "as-delivered"
    folder.mkdir()
    with transaction.atomic(), connection.chunked_cursor() as cursor:
        cursor.execute(_AS_DELIVERED)
        for number, (events,) in enumerate(cursor):
            packed = igzip.compress(b'{"Records":[' + ",".join(events).encode() + b"]}")
            (folder / f"{number}.json.gz").write_bytes(packed)
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM cloudtrail_event WHERE ordinal <= %s", [IN_FILES])
        written = int(cursor.fetchone()[0])
    keys = list(version.files.values_list("key", flat=True))
    values = [
        f"{folder}/*.json.gz",
        ground.BUCKET,
        keys,
        *(at.replace(tzinfo=None) for at in (asked.since, asked.until)),
    ]
    taken = []
    with duckdb.connect() as files:
        for _ in range(3):
            began = time.perf_counter()
            lines = files.execute(_OF_THE_FILES, values).fetchall()
            taken.append(time.perf_counter() - began)
    if len(lines) != timeline.PAGE:
        raise SystemExit(f"DuckDB found {len(lines)} lines")
    theirs, page = sorted(taken)[1] * EVENTS / written, ours["page of 100"][0]
    said = (
        f"DuckDB {sorted(taken)[1]:.2f} s for {written:,} events in gzipped JSON, scaled to {EVENTS:,}: {theirs:.1f} s;"
        f" ours {page * 1e3:.1f} ms (p50); at least 300"
    )
    return [Figure("audit view page of 100, against the files", round(theirs / page), "times as fast as DuckDB", said)]


# The four questions ---------------------------------------------------------------------------------------------------


def _four_questions(version: Version) -> list[Figure]:
    """Machine time of the four answers of an inspection, bytes read again and evidence pack made: pages and jobs."""
    client = ground.browser(ground.person("inspector"))
    taken = {}
    for slug in FOUR_QUESTIONS:
        began = time.perf_counter()
        url = f"/inspection/{version.record.number}/"
        _demand(client, f"{url}{slug}/")
        if slug == "unchanged":
            client.post(f"{url}prove/", {"version": version.ordinal})
        elif slug == "evidence":
            client.post(
                f"{url}build/", {"version": version.ordinal, "part": ["readme", "manifest", "audit"], "days": DAYS}
            )
        for job in Job.objects.filter(state=Job.State.QUEUED):
            queue.run(job.pk)
        _demand(client, f"{url}{slug}/")
        taken[slug] = time.perf_counter() - began
    if failed := Job.objects.filter(state=Job.State.FAILED).first():
        raise SystemExit(f"{failed.kind} failed: {failed.error}")
    said = ", ".join(f"{slug} {seconds:.1f} s" for slug, seconds in taken.items())
    name = f"the four questions at {EVENTS:,} events"
    return [Figure(name, round(sum(taken.values()), 1), "s", f"{said}; at most 60")]


def _demand(client: Client, url: str) -> None:
    if (answer := client.get(url)).status_code != 200:
        raise SystemExit(f"{url} answered {answer.status_code}")


# What the table holds -------------------------------------------------------------------------------------------------


def _register(record: Record) -> Version:
    """A version of 50 objects, which are there."""
    for number in range(OBJECTS):
        key = f"{record.number}/2026-06-01/reads/sample-{number:03d}_R1_001.fastq.gz"
        s3.client().put_object(Bucket=ground.BUCKET, Key=key, Body=orjson.dumps([key, "x" * 10_000]))
    s3.client().put_object(Bucket=ground.BUCKET, Key=f"{record.number}/README.md", Body=b"# Bench")
    version = ground.registered(record)
    ground.sign(version, ground.person("approver"))
    return version


def _file() -> int:
    """A ledger row that all events are said to come from."""
    made = transitions._create({"name": "Bench", "account": "111122223333", "enabled": False}, by=trail.SYSTEM)
    return LogFile.objects.create(trail=made, key="bench", size=1).pk


def _actors() -> list[int]:
    rows = [
        Actor(fingerprint=f"bench-{number}", identity={}, standing="PROVEN", name=f"person-{number}", role="reader")
        for number in range(ACTORS)
    ]
    return [row.pk for row in Actor.objects.bulk_create(rows)]


def _fill(stored: int, size: int, asked: Asked, file: int, actors: list[int], version: Version) -> None:
    """Reads of other objects in the same bucket, up to `size` events in all; then what autovacuum does sooner or later."""
    key = (
        f"'runs/RUN-' || lpad((random() * {OTHER_KEYS})::int::text, 5, '0') || '/2026-05-01/reads/sample-'"
        " || lpad(mod(n, 40)::text, 3, '0') || '_R1_001.fastq.gz'"
    )
    for first in range(stored, size, PORTION):
        source = f"generate_series({first + 1}, {min(first + PORTION, size)}) AS g(n)"
        _make(source, key, "md5(n::text)", "n", asked, file, actors, version)
    with ground.owner() as owner:
        owner.autocommit = True
        owner.execute("VACUUM ANALYZE cloudtrail_event")


def _make(
    source: str, key: str, s3_version: str, ordinal: str, asked: Asked, file: int, actors: list[int], version: Version
) -> None:
    """One event for each row of `source`, at any second of the period, by anybody."""
    pins = list(version.files.order_by("ordinal").values_list("key", "s3_version"))
    pins = [pin for pin in pins if "README" not in pin[0]]
    values: dict[str, Any] = {
        "since": asked.since + timedelta(seconds=1), "file": file, "actors": actors, "bucket": ground.BUCKET,
        "keys": [pin[0] for pin in pins], "versions": [pin[1] for pin in pins], "many": ACTORS,
        "seconds": DAYS * 86400 - 5,
    }  # fmt: skip
    with transaction.atomic(), connection.cursor() as cursor:
        for month in _months(asked):
            cursor.execute("SELECT cloudtrail_make_partition(%s)", [month.date()])
        cursor.execute("SELECT setseed(%s)", [zlib.crc32(source.encode()) / 2**32])
        cursor.execute(
            "INSERT INTO cloudtrail_event (time, file_id, actor_id, bytes_in, bytes_out, ordinal, read_only, data, presigned,"  # noqa: S608
            " reach, event_id, event_source, event_name, region, account, source_ip, request_id, error_code, bucket, key,"
            " s3_version, target, corrects)"
            " SELECT date_trunc('second', %(since)s + floor(random() * %(seconds)s) * interval '1 second'), %(file)s,"
            " (%(actors)s::bigint[])[1 + floor(random() * %(many)s)::int], 0, 1 + floor(random() * 1e9)::bigint,"
            f" ({ordinal})::int, true, true, false, 'o', gen_random_uuid()::text, 's3.amazonaws.com', 'GetObject',"
            " 'eu-central-1', '111122223333', '10.2.' || floor(random() * 250)::int || '.' || floor(random() * 250)::int,"
            f" upper(substr(md5(random()::text), 1, 16)), '', %(bucket)s, {key}, {s3_version}, '', '' FROM {source}",
            values,
        )


def _months(asked: Asked) -> list[datetime]:
    return [asked.until - timedelta(days=back) for back in range(0, DAYS + 31, 15)]
