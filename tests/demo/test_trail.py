"""The demo's trail, judged by a plain scan of its JSON and by the portal's own readers."""

import gzip
import json
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from urllib.parse import unquote

import pytest

from cloudtrail import actors, events, keys, touches
from demo import content, trail

NOW = datetime(2026, 11, 20, 16, 0, tzinfo=UTC)


def objects(now=NOW):
    """Three runs; the second version of one manifest was written two days after the first."""
    made = []
    for place, package in enumerate(content.PACKAGES):
        run = package.versions[0].metadata["run_id"]
        created = now - timedelta(days=package.versions[0].run_days_ago - 1)
        names = [
            "README.md",
            "samples/manifest.csv",
            *(f"reads/{s}_{end}.fastq.gz" for s in package.samples for end in ("R1", "R2")),
        ]
        for number, name in enumerate(names):
            made.append(
                trail.Stored("gxp-records", f"runs/{run}/{name}", f"v-{place}-{number}", 1000 + number, created)
            )
    corrected = trail.Stored(
        "gxp-records", "runs/RUN-2217/samples/manifest.csv", "v-corrected", 999, NOW - timedelta(days=80)
    )
    return [*made, corrected]


@pytest.fixture(scope="module")
def history():
    return trail.build(objects(), now=NOW)


@pytest.fixture(scope="module")
def records(history):
    """Every record with the key of its file."""
    return [
        (key, record) for key, data in history.files.items() for record in json.loads(gzip.decompress(data))["Records"]
    ]


def test_the_same_seed_gives_the_same_files_and_another_seed_others(history):
    assert trail.build(objects(), now=NOW) == history
    assert trail.build(objects(), now=NOW, seed=1).files.keys() != history.files.keys()


def test_there_are_a_few_thousand_events_over_ninety_days(history, records):
    times = [datetime.fromisoformat(record["eventTime"]) for _, record in records]
    assert 2_000 < history.events < 6_000
    assert NOW - timedelta(days=90) <= min(times)
    assert max(times) <= NOW
    assert len({time.date() for time in times}) > 80
    assert len({record["eventID"] for _, record in records}) == history.events
    assert len(records) == history.events + history.repeated
    assert history.repeated


def test_files_are_named_and_delivered_as_cloudtrail_does(history, records):
    assert all(keys.parse(key) for key in history.files)
    lags = sorted(
        (keys.parse(key).delivered - datetime.fromisoformat(record["eventTime"])).total_seconds()
        for key, record in records
    )
    assert lags[0] > 0
    assert 120 < lags[len(lags) // 2] < 600
    assert all(keys.parse(key).delivered <= NOW for key in history.files)
    per_file = defaultdict(list)
    for key, record in records:
        per_file[key].append(record["eventTime"])
    assert any(times != sorted(times) for times in per_file.values())


def test_nothing_is_told_of_the_weekend_without_logging(history, records):
    begin, end = history.gap
    assert end - begin == timedelta(hours=64)
    told = [record for _, record in records if begin <= datetime.fromisoformat(record["eventTime"]) <= end]
    assert [record["eventName"] for record in sorted(told, key=lambda record: record["eventTime"])] == [
        "StopLogging",
        "StartLogging",
    ]


def test_the_answer_key_is_what_a_scan_of_the_raw_records_finds(history, records):
    known = {(thing.bucket, thing.key) for thing in objects()}
    found = set()
    for _, record in records:
        for resource in record.get("resources", []):
            bucket, _, key = resource.get("ARN", "").removeprefix("arn:aws:s3:::").partition("/")
            if (bucket, key.partition("?")[0]) in known:
                found.add((record["eventID"], bucket, key.partition("?")[0], record.get("errorCode", "")))
    assert found == {(a.event_id, a.bucket, a.key, a.error) for a in history.answers}


def test_the_portal_finds_the_touches_of_the_answer_key(history):
    found = {
        (event.event_id, touch.bucket, touch.key, touch.version)
        for data in history.files.values()
        for event in events.parse(data).events
        for touch in touches.touches(event)
        if touch.reach in (touches.Reach.OBJECT, touches.Reach.SOURCE) and touch.bucket == "gxp-records"
    }
    assert found == {(a.event_id, a.bucket, a.key, a.version_id) for a in history.answers}


def test_the_portal_leads_every_event_back_to_whom_the_answer_key_names(history):
    parsed = [event for data in history.files.values() for event in events.parse(data).events]
    handed = defaultdict(list)
    for event in parsed:
        issue = actors.issue(event, datetime.fromisoformat(event.event_time))
        if issue is not None:
            handed[issue.access_key].append(issue)
    by_id = {event.event_id: event for event in parsed}
    for answer in history.answers:
        who = actors.identity(bytes(by_id[answer.event_id].user_identity))
        found = actors.attribute(who, lambda key, _: handed.get(key, []))
        assert (found.standing, found.name) == (answer.standing, answer.who), answer


def test_every_standing_and_every_special_event_is_there(history, records):
    assert set(Counter(answer.standing for answer in history.answers)) == {"PROVEN", "CLAIMED", "SERVICE", "UNRESOLVED"}
    names = {record["eventName"] for _, record in records}
    assert {
        "AssumeRoleWithSAML",
        "AssumeRole",
        "CopyObject",
        "DeleteObjects",
        "ListObjectVersions",
        "PutBucketPolicy",
    } <= names
    refused = [answer for answer in history.answers if answer.error]
    assert Counter((answer.name, answer.standing) for answer in refused) == {
        ("DeleteObject", "UNRESOLVED"): 3, ("GetObject", "UNRESOLVED"): 1, ("GetObject", "PROVEN"): 1
    }  # fmt: skip
    copies = [record for _, record in records if record["eventName"] == "CopyObject"]
    assert {record["requestParameters"]["bucketName"] for record in copies} == {trail.SCRATCH}
    assert all("runs/" in unquote(record["requestParameters"]["x-amz-copy-source"]) for record in copies)
    assert any(
        record["additionalEventData"].get("AuthenticationMethod") == "QueryString"
        for _, record in records
        if "additionalEventData" in record
    )
    assert any("<img" in record["userAgent"] for _, record in records)


def test_no_object_is_touched_before_it_was_written(history):
    created = {thing.version_id: thing.created for thing in objects()}
    first = {thing.key: thing.created for thing in reversed(objects())}
    for answer in history.answers:
        assert answer.when >= created.get(answer.version_id, first[answer.key]).replace(microsecond=0)


def test_a_history_without_objects_still_tells_of_the_bucket():
    empty = trail.build([], now=NOW)
    assert empty.answers == []
    assert empty.events > 500


def test_files_are_written_in_the_order_of_delivery(history):
    put = []
    trail.write(history.files, lambda key, data: put.append((key, len(data))))
    assert [key for key, _ in put] == sorted(history.files)
