"""An hour is verified only if digests cover all of it, and everything that they list is there as it was delivered."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from audit import trail
from cloudtrail import coverage, transitions
from cloudtrail.coverage import State
from cloudtrail.models import DigestFile, LogFile, Proof

BEGIN = datetime(2026, 3, 2, 4, tzinfo=UTC)
HOUR = timedelta(hours=1)
NOW = BEGIN + 100 * HOUR
V, P, U, G, M = State.VERIFIED, State.PENDING, State.UNDIGESTED, State.GAP, State.MISMATCH


@pytest.fixture
def registered(empty):
    values = {"name": "t", "account": "111122223333", "bucket": "some-bucket", "started_from": BEGIN.date()}
    return transitions._create(values, by=trail.SYSTEM)


def digest(of, hour, *, region="eu-central-1", minutes=0, **facts):
    starts = BEGIN + hour * HOUR + timedelta(minutes=minutes)
    told = {"state": "valid", "link": "follows", "leads": True, "judged_at": NOW} | facts
    return DigestFile.objects.create(
        trail=of, bucket="some-bucket", key=f"{region}-{hour}-{len(told)}-{told['leads']}", region=region, aws_name="t",
        home_region="eu-central-1", starts_at=starts, ends_at=starts + HOUR, data=b"", sha256_raw="", **told,
    )  # fmt: skip


def log_file(of, hour, state="stored", proof=None):
    row = LogFile.objects.create(
        trail=of, bucket="some-bucket", key=f"file-{hour}-{state}-{proof}", size=1, state=state, delivered_at=BEGIN + hour * HOUR
    )  # fmt: skip
    if proof:
        Proof.objects.create(file=row, state=proof)


def hours(of, first=0, last=6, now=NOW, *, pulled=True):
    return coverage.proved(BEGIN + first * HOUR, BEGIN + last * HOUR, now, {of.pk: pulled}).states


@pytest.mark.compliance("A4", "F16")
def test_compliance_hours_are_verified_gaps_or_not_as_delivered_as_their_digests_say(registered):
    digest(registered, 1, link="first")
    digest(registered, 2)
    digest(registered, 4, link="missing", missing=1)
    digest(registered, 5, absent=1)
    digest(registered, 6, mismatched=1)
    digest(registered, 7, state="invalid")
    digest(registered, 8, link="broken")
    digest(registered, 9, unread=2)
    assert hours(registered, 0, 12) == [U, V, V, G, V, M, M, M, M, P, G, G]


@pytest.mark.compliance("A4", "F16")
def test_compliance_the_hours_of_a_stop_are_a_gap_and_never_valid(registered):
    digest(registered, 0, link="first")
    digest(registered, 3, link="restarted")
    assert hours(registered, 0, 4) == [V, G, G, V]


def test_a_digest_that_is_due_is_pending_and_overdue_a_gap(registered):
    digest(registered, 0, link="first")
    assert hours(registered, 0, 5, BEGIN + 4 * HOUR + timedelta(minutes=30)) == [V, P, P, P, P]
    assert hours(registered, 0, 5, BEGIN + 8 * HOUR) == [V, G, G, G, P]


def test_digests_beside_the_full_hour_verify_only_hours_that_they_cover_whole(registered):
    for hour in range(4):
        digest(registered, hour, minutes=17, link="follows" if hour else "first")
    assert hours(registered, 0, 5)[1:4] == [V, V, V]
    assert hours(registered, 0, 5)[0] != V and hours(registered, 0, 5)[4] != V


@pytest.mark.compliance("A4", "F17")
def test_compliance_a_file_that_is_not_proved_takes_the_proof_from_its_hour(registered):
    for hour in range(6):
        digest(registered, hour, link="follows" if hour else "first")
    log_file(registered, 0, proof="valid")
    log_file(registered, 1, proof="not_covered")
    log_file(registered, 2, proof="mismatch")
    log_file(registered, 3)
    log_file(registered, 4, state="seen")
    assert hours(registered) == [V, G, M, P, P, V]


def test_the_worst_region_and_the_worst_trail_speak_for_an_hour(registered):
    for hour in range(4):
        digest(registered, hour, link="follows" if hour else "first")
    digest(registered, 2, region="us-east-1", link="first")
    digest(registered, 3, region="us-east-1", state="invalid")
    assert hours(registered, 0, 4) == [V, V, V, M]


def test_backfill_digests_and_other_versions_prove_no_hour(registered):
    digest(registered, 0, backfill=True, link="first")
    digest(registered, 1, leads=False)
    assert hours(registered, 0, 2) == [U, U]


def test_a_trail_that_was_handed_over_speaks_for_the_hours_of_its_files_alone(registered):
    log_file(registered, 1, proof="undigested")
    assert hours(registered, 0, 3, pulled=False) == [State.NOTHING, U, State.NOTHING]


def test_ninety_days_take_three_questions(registered, django_assert_num_queries):
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO cloudtrail_digestfile (trail_id, bucket, key, s3_version, etag, region, aws_name, home_region, backfill,"
            " starts_at, ends_at, data, sha256_raw, sha256_content, metadata, fingerprint, state, reason, leads, link, missing,"
            " listed, absent, unread, mismatched)"
            " SELECT %s, 'b', 'k' || n, '', '', 'eu-central-1', 't', 'eu-central-1', false, %s + n * interval '1 hour',"
            " %s + (n + 1) * interval '1 hour', '', '', '', '{}', '', 'valid', '', true, 'follows', 0, 0, 0, 0, 0"
            " FROM generate_series(0, 2159) n",
            [registered.pk, BEGIN, BEGIN],
        )
    with django_assert_num_queries(3):
        found = coverage.proved(BEGIN, BEGIN + 2160 * HOUR, BEGIN + 2160 * HOUR, {registered.pk: True})
    assert found.hours(V) == 2160
