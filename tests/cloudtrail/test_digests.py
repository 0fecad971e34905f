"""A digest proves its files only if it is CloudTrail's, lies at its place, and follows the one before."""

import gzip
import random
from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest

from cloudtrail import reread
from cloudtrail.digests import Fault, Key, Link, Verdict, compare, judge, read, verify
from cloudtrail.keys import DigestName, Kind, kind, parse_digest
from tests.cloudtrail import trails
from tests.cloudtrail.trails import HOUR, Trail


def judged(trail: Trail, **options):
    keys = [Key(one.fingerprint, one.value, one.begins, one.ends) for one in trail.keys]
    there = [digest for digest in trail.digests if (digest.bucket, digest.key) in trail.objects]
    read_again = [_read(trail, digest.key) for digest in there]
    return judge(read_again, keys, **options)


def _read(trail: Trail, key: str):
    found = trail.objects[trail.bucket, key]
    return read(found.data, trail.bucket, key, found.metadata)


def outcome(trail: Trail):
    return reread.validate(trail, trails.BEGIN, trail.end)


def test_the_name_of_a_digest_says_account_region_trail_hour_and_whether_it_was_filled_in_later():
    name = DigestName(
        "111122223333", "eu-central-1", "gxp_trail-1.x", "us-east-1", trails.BEGIN, prefix="p/", backfill=True
    )
    assert parse_digest(name.key) == name
    assert name.key.endswith("CloudTrail-Digest_eu-central-1_gxp_trail-1.x_us-east-1_20260302T040000Z_backfill.json.gz")
    assert kind(name.key) is Kind.DIGEST
    assert parse_digest(name.key.replace("Digest_", "Insight_")) is None


@pytest.mark.compliance("F15", "A3")
def test_compliance_a_sound_trail_is_valid_file_by_file_and_hours_without_files_are_told_as_well():
    trail = trails.sound(hours=4)
    trail.hour(0)
    found = outcome(trail)
    assert found.valid
    assert (found.digests, found.files) == (Counter(valid=5), Counter(valid=8))
    assert (found.first, found.last) == (trails.BEGIN, trails.BEGIN + 5 * HOUR)
    assert [one.link for one in judged(trail)] == [Link.FIRST] + [Link.FOLLOWS] * 4


@pytest.mark.compliance("F15")
@pytest.mark.parametrize(
    ("act", "fault"),
    [
        ("_digest_altered", Fault.SIGNATURE),
        ("_digest_without_signature", Fault.UNSIGNED),
        ("_digest_of_no_json", Fault.FORMAT),
        ("_digest_signed_by_another", Fault.SIGNATURE),
        ("_last_digest_by_an_unknown_key", Fault.KEY),
        ("_digest_moved", Fault.MOVED),
    ],
)
def test_compliance_a_digest_that_is_not_cloudtrails_proves_nothing(act, fault):

    trail = trails.sound()
    assert trails.ACTS[act](trail, random.Random(1))
    found = outcome(trail)
    faults = [one.fault for one in judged(trail) if one.fault]
    assert faults == [fault] and found.digests["invalid"] == 1 and not found.valid
    assert found.files["valid"] == 2 * 4  # its own files are not proved


@pytest.mark.compliance("F15")
def test_compliance_a_key_counts_two_hours_beyond_the_digests_hour_and_no_longer():
    """A digest is signed after its hour: at a change of keys by the next one."""
    trail = trails.sound(hours=1)
    digest = _read(trail, trail.digests[0].key)
    key = Key(trails.signer().fingerprint, trails.signer().value, digest.end + 2 * HOUR, digest.end + 900 * HOUR)
    assert verify(digest, [key]) is None
    assert verify(digest, [replace(key, begins=key.begins + timedelta(seconds=1))]) is Fault.KEY
    assert verify(digest, [replace(key, begins=trails.BEGIN - 9 * HOUR, ends=trails.BEGIN - HOUR)]) is Fault.KEY


@pytest.mark.compliance("F16")
@pytest.mark.parametrize("missing", [1, 2, 5])
def test_compliance_each_digest_that_is_missing_in_a_row_is_counted(missing):
    trail = trails.sound(hours=9)
    gone = [digest.key for digest in trail.digests[2 : 2 + missing]]
    for key in gone:
        trail.remove(key)
    found = outcome(trail)
    assert found.digests == Counter(valid=9 - missing, missing=missing)
    assert [one.key for one in found.findings] == gone
    after = judged(trail)[2]
    assert after.link is Link.MISSING and after.fault is None
    assert after.missing == tuple(trails.BEGIN + (3 + n) * HOUR for n in range(missing))


@pytest.mark.compliance("F16")
def test_compliance_a_whole_day_without_digests_is_twenty_four_missing_ones():
    trail = trails.sound(hours=3, files=0)
    for _ in range(24):
        trail.hour(0, delivered=False)
    trail.hour(0)
    assert outcome(trail).digests == Counter(valid=4, missing=24)


@pytest.mark.compliance("F16")
def test_compliance_the_first_digest_after_a_stop_shows_a_gap():
    trail = trails.sound(hours=2)
    trail.stop(3)
    trail.hour(1)
    found = outcome(trail)
    assert not found.valid and found.digests == Counter(valid=3, gaps=1)
    assert found.findings[0].said.startswith("No digests from 2026-03-02 06:00:00 to 2026-03-02 09:00:00 UTC")
    assert judged(trail)[2].link is Link.RESTARTED


@pytest.mark.compliance("F16")
def test_compliance_a_digest_whose_predecessor_was_replaced_by_another_that_is_signed_is_seen():
    """Both are CloudTrail's and lie at their places; only hash and signature in the later one tell."""
    trail = trails.sound(hours=2)
    other = trail.chain.digest(trails.signer(), trails.BEGIN + HOUR, trails.BEGIN + 2 * HOUR, [], trail.digests[0])
    trail.hour(1)
    trail.put(other.key, other.data, other.metadata)
    found = outcome(trail)
    assert found.digests == Counter({"valid": 3, "broken links": 1}) and not found.valid


def test_what_lies_before_the_period_was_not_asked_for():
    trail = trails.sound(hours=5)
    found = reread.validate(trail, trails.BEGIN + 2 * HOUR, trail.end)
    assert found.valid and found.digests == Counter(valid=4)
    trail.remove(trail.digests[1].key)
    found = reread.validate(trail, trails.BEGIN + HOUR + HOUR / 2, trail.end)
    assert found.digests == Counter(valid=3, missing=1)


@pytest.mark.compliance("F17")
def test_compliance_backfill_digests_are_a_chain_of_their_own_signed_by_the_key_of_their_making():

    trail = trails.sound(hours=4)
    assert trails.ACTS["_backfilled"](trail, random.Random(2))
    found = outcome(trail)
    late = found.digests["valid"] - 4
    assert found.valid and late in (1, 2) and found.files["valid"] == 8 + late
    key = next(key for _, key in trail.objects if "_backfill" in key)
    data, metadata = trail.objects[trail.bucket, key]
    trail.put(key, data, {name: value for name, value in metadata.items() if "backfill" not in name})
    assert outcome(trail).digests["invalid"] == 1


@pytest.mark.compliance("F10", "F11", "F17")
@pytest.mark.parametrize(
    ("act", "verdict"),
    [
        ("_file_altered", Verdict.MISMATCH),
        ("_file_removed", Verdict.MISSING),
        ("_file_truncated", Verdict.UNREADABLE),
        ("_file_of_two_members", Verdict.UNREADABLE),
        ("_file_no_gzip", Verdict.UNREADABLE),
    ],
)
def test_compliance_a_listed_file_that_is_not_what_was_delivered_is_found(act, verdict):

    trail = trails.sound()
    assert trails.ACTS[act](trail, random.Random(3))
    found = outcome(trail)
    assert found.files == Counter({"valid": 9, verdict.value: 1}) and len(found.findings) == 1


def test_a_file_is_compared_by_its_unpacked_bytes():
    trail = trails.sound(hours=1, files=1)
    line = _read(trail, trail.digests[0].key).lines[0]
    content = gzip.decompress(trail.objects[trail.bucket, line.key].data)
    assert compare(line, gzip.compress(content, compresslevel=1)) is Verdict.VALID
    assert compare(line, None) is Verdict.MISSING
