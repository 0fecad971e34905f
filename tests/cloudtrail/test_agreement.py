"""The portal's validation and `aws cloudtrail validate-logs` say the same of every digest and every file.

Where they differ, the other's defect is known, and has a test of its own here. The public key "not found" is told apart from a
digest "not found" by its words.
"""

import gzip

import pytest

from cloudtrail import reread
from tests.cloudtrail import aws_cli, trails
from tests.cloudtrail.trails import HOUR, Trail


def ours(trail: Trail) -> tuple[dict[str, str], dict[str, str], reread.Outcome]:
    digests: dict[str, str] = {}
    files: dict[str, str] = {}

    def told(what: str, bucket: str, key: str, verdict: str) -> None:
        same = {"valid": "valid", "missing": "missing"}.get(verdict, "invalid")
        (digests if what == "digest" else files)[key] = same

    found = reread.validate(trail, trails.BEGIN, trail.end, told)
    return digests, files, found


def agree(url: str, trail: Trail) -> None:
    said = aws_cli.validate(url, trail.bucket, trails.BEGIN, trail.end)
    theirs = {key: "invalid" if "public key" in said.words[key] else v for key, v in said.digests.items()}
    digests, files, found = ours(trail)
    assert files == said.files, trail.done
    unseen = {key for key, verdict in digests.items() if verdict == "missing" and key not in theirs}
    assert {key: verdict for key, verdict in digests.items() if key not in unseen} == theirs, trail.done
    # What it does not see has tests of its own below: a digest that is missing right before one that is invalid, and all but
    # the last of those that are missing in a row (hours in which the trail was stopped count, if nobody tells of the stop).
    assert all({"invalid", "missing"} & set(_after(digests, key)) for key in unseen), trail.done
    assert found.valid <= (said.code == 0), trail.done


def _after(digests: dict[str, str], key: str) -> list[str]:
    """The verdicts of the digests that follow, up to the first that is there."""
    later = [verdict for other, verdict in sorted(digests.items()) if other > key and "_backfill" not in other]
    return later[: next((n + 1 for n, verdict in enumerate(later) if verdict != "missing"), len(later))]


def _compared(seeds: range) -> int:
    made = [trails.random_trail(seed, f"trail-{seed}") for seed in seeds]
    with trails.serve(*made) as url:
        for trail in made:
            agree(url, trail)
    return len({act for trail in made for act in trail.done})


@pytest.mark.compliance("A3", "F15", "F16", "F17")
def test_compliance_ten_trails_are_judged_as_aws_judges_them():
    assert _compared(range(10)) >= 5  # different things were done to them


@pytest.mark.long
@pytest.mark.compliance("A3", "F15", "F16", "F17")
def test_compliance_two_hundred_trails_are_judged_as_aws_judges_them():
    assert _compared(range(10, 210)) >= len(trails.ACTS)


# --- Known defects of the other -----------------------------------------------------------------------------------------


@pytest.fixture
def both():
    def validate(trail: Trail):
        with trails.serve(trail) as url:
            return aws_cli.validate(url, trail.bucket, trails.BEGIN, trail.end), ours(trail)

    return validate


@pytest.mark.compliance("F16")
def test_compliance_of_two_digests_missing_in_a_row_aws_names_one_and_we_name_both(both):
    """aws-cli issue 7054."""
    trail = trails.sound(hours=6)
    gone = [digest.key for digest in trail.digests[2:4]]
    for key in gone:
        trail.remove(key)
    said, (digests, _, _) = both(trail)
    assert [key for key in gone if said.digests.get(key)] == gone[1:]
    assert [digests[key] for key in gone] == ["missing", "missing"]


@pytest.mark.compliance("F16")
def test_compliance_a_digest_missing_before_an_invalid_one_is_not_told_by_aws(both):
    """Behind an invalid digest it goes on with the next one that is listed."""
    trail = trails.sound(hours=5)
    trail.remove(trail.digests[2].key)
    trail.alter(trail.digests[3].key, lambda content: content + b" ")
    said, (digests, _, _) = both(trail)
    assert trail.digests[2].key not in said.digests
    assert digests[trail.digests[2].key] == "missing"


@pytest.mark.compliance("F16")
def test_compliance_a_digest_that_was_replaced_by_another_signed_one_is_valid_to_aws(both):
    """It does not compare hash and signature of the digest before."""
    trail = trails.sound(hours=2)
    other = trail.chain.digest(trails.signer(), trails.BEGIN + HOUR, trails.BEGIN + 2 * HOUR, [], trail.digests[0])
    trail.hour(1)
    trail.put(other.key, other.data, other.metadata)
    said, (_, _, found) = both(trail)
    assert said.code == 0 and set(said.digests.values()) == {"valid"}
    assert [one.kind for one in found.findings] == ["link"]


@pytest.mark.compliance("F11")
def test_compliance_bytes_behind_the_gzip_member_of_a_digest_are_passed_over_by_aws(both):
    """Of log files it refuses them since pull 10324 of aws-cli (10326 in version 1); of digests it does not look."""
    trail = trails.sound(hours=2)
    key = trail.digests[1].key
    data, metadata = trail.objects[trail.bucket, key]
    trail.put(key, data + gzip.compress(b"more"), metadata)
    said, (digests, _, _) = both(trail)
    assert (said.digests[key], digests[key]) == ("valid", "invalid")


@pytest.mark.compliance("F16")
def test_compliance_a_gap_after_a_stop_leaves_aws_with_exit_code_0(both):
    trail = trails.sound(hours=2)
    trail.stop(3)
    trail.hour(1)
    said, (_, _, found) = both(trail)
    assert (said.gaps, said.code) == (1, 0)
    assert [one.kind for one in found.findings] == ["gap"]
