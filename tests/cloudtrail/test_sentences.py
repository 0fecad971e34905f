"""Events as sentences: what an inspector reads, with nothing over-claimed and nothing disguised."""

from dataclasses import replace
from datetime import timedelta

import pytest

from cloudtrail.queries import Match, Touched
from cloudtrail.sentences import actor, amount, days, fold, sentence, shown, small_print
from tests.cloudtrail import given

READ = Touched(
    time=given.NOON, file_id=1, ordinal=0, event_id="e", event_source="s3.amazonaws.com", event_name="GetObject", error_code="",
    bytes_in=0, bytes_out=1_200_000_000, presigned=False, source_ip="10.2.4.17", request_id="r", target="", bucket="b",
    key="runs/r1.fastq.gz", s3_version="v1", match=Match.EXACT, actor_id=1, standing="PROVEN", name="A. Lindqvist",
    role="ngs-analyst",
)  # fmt: skip


def test_a_read_in_one_sentence():
    assert sentence(READ) == "A. Lindqvist read b/runs/r1.fastq.gz (1.2 GB) through role ngs-analyst, from 10.2.4.17"
    assert sentence(READ, {("b", "runs/r1.fastq.gz"): "reads_R1.fastq.gz"}).startswith(
        "A. Lindqvist read reads_R1.fastq.gz ("
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"error_code": "AccessDenied", "event_name": "DeleteObject"},
            "tried to delete b/runs/r1.fastq.gz and was refused (AccessDenied)",
        ),
        ({"error_code": "NoSuchKey"}, "tried to read b/runs/r1.fastq.gz and failed (NoSuchKey)"),
        ({"event_name": "CopyObject"}, "wrote by copying b/runs/r1.fastq.gz"),
        ({"match": Match.SOURCE, "event_name": "CopyObject"}, "copied b/runs/r1.fastq.gz to another place"),
        (
            {"match": Match.PREFIX, "event_name": "DeleteObjects", "key": "runs/"},
            "deleted in one batch what begins with b/runs/",
        ),
        ({"match": Match.BUCKET, "event_name": "PutBucketPolicy"}, "called PutBucketPolicy on bucket b"),
        ({"match": Match.ALL, "event_name": "StopLogging", "target": "main"}, "called StopLogging on main"),
        ({"presigned": True}, "with a presigned link"),
        ({"standing": "CLAIMED", "name": "anna"}, "somebody who called themselves anna read"),
        ({"standing": "SERVICE", "name": "ec2.amazonaws.com"}, "the service ec2.amazonaws.com read"),
        ({"standing": "UNRESOLVED", "name": ""}, "somebody who could not be resolved read"),
    ],
)
def test_other_sentences(changes, words):
    assert words in sentence(replace(READ, **changes))


def test_an_unresolved_actor_never_prints_a_role_as_a_person():
    assert actor("UNRESOLVED", "") == "somebody who could not be resolved"
    assert actor("UNRESOLVED", "anonymous") == "somebody anonymous"
    assert actor("UNRESOLVED", "root user of account 1") == "the root user of account 1"


def test_reads_alike_fold_into_one_line():
    lines = [replace(READ, time=given.NOON - timedelta(minutes=n), key=f"k{n % 3}", ordinal=n) for n in range(4)]
    lines.append(replace(READ, time=given.NOON - timedelta(hours=2)))
    first, second = fold(lines)
    assert (len(first.events), len(second.events)) == (4, 1)
    assert "read 3 files (4.8 GB), 4 times" in sentence(first)
    assert "4 events since 11:57:00 UTC" in small_print(first)


@pytest.mark.parametrize("field", ["name", "event_name", "error_code", "match", "source_ip", "standing"])
def test_what_differs_is_not_folded(field):
    other = {"match": Match.UNNAMED}.get(field, "other")
    assert len(fold([READ, replace(READ, **{field: other})])) == 2


def test_days_are_ready_for_the_timeline():
    (day,) = days(fold([READ]))
    (entry,) = day["entries"]
    assert (day["day"], entry["at"], entry["source"], entry["who"]) == (given.NOON.date(), given.NOON, "s3", "PROVEN")
    assert entry["url"] == "/trails/files/1/0/"


def test_text_cannot_disguise_itself():
    assert shown("a\u202eb\x00\n") == "a\\u202eb␀␊"
    assert shown("é <b> =1+1") == "é <b> =1+1"


@pytest.mark.parametrize(
    ("size", "words"),
    [(0, "0 bytes"), (999, "999 bytes"), (1500, "1.5 kB"), (123_000_000, "123 MB"), (5 * 10**13, "50.0 TB")],
)
def test_amounts(size, words):
    assert amount(size) == words
