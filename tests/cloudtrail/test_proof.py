"""What ingest keeps of digests, and what they prove of each file: nothing is called proved that is not."""

import gzip
import io
import itertools
import json
import random
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.utils import IntegrityError, InternalError, ProgrammingError

from audit.models import Alarm, Entry
from cloudtrail import proof, public_keys, transitions, validation
from cloudtrail.digests import Key
from cloudtrail.models import DigestFile, DigestLine, Listing, LogFile, PublicKey
from cloudtrail.models import Trail as Registered
from storage import s3
from tests.cloudtrail import given, trails
from tests.cloudtrail.trails import HOUR

_names = itertools.count()


@pytest.fixture
def pulled(empty, monkeypatch):
    """A registered trail whose bucket takes what a made one holds; asks AWS for the keys of the made one."""
    name = f"proof-{next(_names)}-{random.SystemRandom().randrange(10**9)}"
    s3.client().create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    s3.client().put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    begin = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(days=4)
    made = trails.Trail(name, begin=begin, end=begin)
    registered = transitions._create(
        {"name": name, "account": trails.ACCOUNT, "bucket": name, "started_from": begin.date() - timedelta(days=1)},
        by=_system(),
    )

    def keys(region, since, until):
        return [Key(key.fingerprint, key.value, key.begins, key.ends) for key in made.keys]

    monkeypatch.setattr(public_keys, "listed", keys)
    made.registered = registered
    return made


def _system():
    from audit import trail

    return trail.SYSTEM


def upload(made, keys=None):
    for (_, key), (data, metadata) in sorted(made.objects.items()):
        if keys is None or key in keys:
            s3.client().put_object(
                Bucket=made.bucket, Key=key, Body=data, Metadata=metadata, ContentEncoding="gzip"
            )  # as CloudTrail delivers


def pull(made):
    transitions.pull(Registered.objects.get(pk=made.registered.pk))


def states(made):
    """Each file's proof in the order of delivery; None while it is pending."""
    rows = LogFile.objects.filter(trail=made.registered).order_by("key", "id")
    return [getattr(getattr(row, "proof", None), "state", None) for row in rows.select_related("proof")]


def judged(made):
    rows = DigestFile.objects.filter(trail=made.registered).order_by("ends_at", "id")
    return [(row.state, row.link, row.missing) for row in rows]


def alarms():
    return set(Alarm.objects.values_list("kind", flat=True))


@pytest.mark.compliance("A3", "F15")
def test_compliance_pulling_keeps_digests_and_keys_and_proves_every_listed_file(pulled):
    for files in (2, 0, 3):
        pulled.hour(files)
    upload(pulled)
    pull(pulled)
    assert states(pulled) == ["valid"] * 5
    assert judged(pulled) == [("valid", "first", 0), ("valid", "follows", 0), ("valid", "follows", 0)]
    assert {bytes(row.value) for row in PublicKey.objects.all()} == {trails.signer().value}
    kept = DigestFile.objects.order_by("ends_at").first()
    assert bytes(kept.data) == pulled.digests[0].data and kept.metadata["signature"]
    assert not alarms()
    entry = Entry.objects.get(action="trail.proved")
    assert (entry.detail["digests_valid"], entry.detail["files_valid"]) == (3, 5)
    pull(pulled)  # again: nothing new, nothing told
    assert Entry.objects.filter(action="trail.proved").count() == 1


@pytest.mark.compliance("F10", "F11", "F17")
@pytest.mark.parametrize("act", ["_file_altered", "_file_truncated", "_file_of_two_members", "_file_no_gzip"])
def test_compliance_a_file_that_is_not_what_was_delivered_is_never_proved_and_raises_an_alarm(act, pulled):
    for _ in range(3):
        pulled.hour(2)
    trails.ACTS[act](pulled, random.Random(5))
    upload(pulled)
    pull(pulled)
    assert Counter(states(pulled)) == Counter(valid=5, mismatch=1)
    assert alarms() == {"trail_altered"}
    assert sum(DigestFile.objects.values_list("mismatched", flat=True)) == 1
    by_ledger = validation.as_ingested(pulled.registered, pulled.begin, pulled.end)
    assert (by_ledger.files["valid"], by_ledger.files.total(), len(by_ledger.findings)) == (5, 6, 1)


@pytest.mark.compliance("F17")
def test_compliance_a_listed_file_that_is_absent_raises_an_alarm_and_one_that_comes_late_is_proved(pulled):
    for _ in range(3):
        pulled.hour(2)
    late = pulled.files[3]
    upload(pulled, {key for _, key in pulled.objects} - {late})
    pull(pulled)
    assert states(pulled) == ["valid"] * 5
    assert [row.absent for row in DigestFile.objects.order_by("ends_at")] == [0, 1, 0]
    assert alarms() == {"trail_altered"} and "is not there" in Alarm.objects.get().sentence
    upload(pulled, {late})
    pull(pulled)
    assert states(pulled) == ["valid"] * 6
    assert not DigestFile.objects.filter(absent__gt=0).exists()


@pytest.mark.compliance("F17")
def test_compliance_a_file_that_no_digest_lists_is_not_covered_and_before_the_first_digest_undigested(pulled):
    for _ in range(2):
        pulled.hour(1)
    trails.ACTS["_file_not_listed"](pulled, random.Random(1))
    early = given.LogName(trails.ACCOUNT, trails.REGION, pulled.begin - 2 * HOUR, "E" * 16).key
    pulled.put(early, gzip.compress(b'{"Records":[]}'))
    upload(pulled)
    pull(pulled)
    assert states(pulled) == ["undigested", "valid", "valid", "not_covered"]


@pytest.mark.compliance("F17")
def test_compliance_a_fresh_file_is_pending_and_its_digest_proves_it_later(pulled, monkeypatch):
    now = pulled.begin + 3 * HOUR
    monkeypatch.setattr(proof.clock, "now", lambda: now)
    pulled.hour(1)
    pulled.hour(1, delivered=False)
    last = pulled.previous
    upload(pulled)
    pull(pulled)
    assert states(pulled) == ["valid", None]
    pulled.deliver(last)
    upload(pulled, {last.key})
    pull(pulled)
    assert states(pulled) == ["valid", "valid"]


@pytest.mark.compliance("F16")
def test_compliance_two_digests_missing_in_a_row_are_two_and_heal_when_they_come(pulled):
    for _ in range(5):
        pulled.hour(1)
    gone = {digest.key for digest in pulled.digests[1:3]}
    upload(pulled, {key for _, key in pulled.objects} - gone)
    pull(pulled)
    assert judged(pulled) == [("valid", "first", 0), ("valid", "missing", 2), ("valid", "follows", 0)]
    assert states(pulled) == ["valid", "not_covered", "not_covered", "valid", "valid"]
    assert alarms() == {"trail_gap"} and "2 digests are missing" in Alarm.objects.get().sentence
    upload(pulled, gone)
    pull(pulled)
    assert [(state, link) for state, link, _ in judged(pulled)] == [("valid", "first")] + [("valid", "follows")] * 4
    assert states(pulled) == ["valid"] * 5


@pytest.mark.compliance("F16")
def test_compliance_the_first_digest_after_a_stop_is_told_as_a_gap(pulled):
    pulled.hour(1)
    pulled.stop(3)
    pulled.hour(1)
    upload(pulled)
    pull(pulled)
    assert judged(pulled) == [("valid", "first", 0), ("valid", "restarted", 0)]
    assert (
        alarms() == {"trail_gap"}
        and f"stopped at {pulled.begin + HOUR:%Y-%m-%d %H}:00:00" in Alarm.objects.get().sentence
    )


@pytest.mark.compliance("F15")
@pytest.mark.parametrize(
    "act",
    [
        "_digest_altered",
        "_digest_without_signature",
        "_digest_of_no_json",
        "_digest_signed_by_another",
        "_digest_moved",
    ],
)
def test_compliance_what_an_invalid_digest_lists_is_not_proved(act, pulled):
    for _ in range(4):
        pulled.hour(1)
    trails.ACTS[act](pulled, random.Random(7))
    upload(pulled)
    pull(pulled)
    assert Counter(state for state, _, _ in judged(pulled)) == Counter(valid=3, invalid=1)
    assert Counter(states(pulled)) == Counter(valid=3, not_covered=1)
    assert "trail_altered" in alarms()


@pytest.mark.compliance("F15")
def test_compliance_without_public_keys_nothing_is_proved_until_they_can_be_had(pulled, monkeypatch):
    pulled.hour(2)
    upload(pulled)
    keys = public_keys.listed

    def denied(region, since, until):
        raise s3.AccessDenied("AWS denies cloudtrail:ListPublicKeys.")

    monkeypatch.setattr(public_keys, "listed", denied)
    pull(pulled)
    assert "valid" not in states(pulled)
    assert "ListPublicKeys" in Listing.objects.get().digest_error
    monkeypatch.setattr(public_keys, "listed", keys)
    pull(pulled)
    assert states(pulled) == ["valid", "valid"]


@pytest.mark.compliance("F17")
def test_compliance_a_backfill_digest_that_comes_days_late_proves_its_files(pulled):
    for _ in range(3):
        pulled.hour(1)
    trails.ACTS["_backfilled"](pulled, random.Random(2))
    late = {key for _, key in pulled.objects if "_backfill" in key}
    upload(pulled, {key for _, key in pulled.objects} - late)
    pull(pulled)
    assert "not_covered" in states(pulled)
    upload(pulled, late)
    pull(pulled)
    assert set(states(pulled)) == {"valid"} and len(states(pulled)) > 3
    assert DigestFile.objects.filter(backfill=True, state="valid", link="first").count() == 1


@pytest.mark.compliance("F15")
def test_compliance_a_digest_that_was_overwritten_is_told_and_the_version_of_aws_still_counts(pulled):
    for _ in range(3):
        pulled.hour(1)
    upload(pulled)
    pull(pulled)
    key = pulled.digests[1].key
    pulled.alter(key, lambda content: content + b" ")
    upload(pulled, {key})
    pull(pulled)
    rows = DigestFile.objects.filter(key=key).order_by("id")
    assert [(row.state, row.leads) for row in rows] == [("valid", True), ("invalid", False)]
    assert states(pulled) == ["valid"] * 3 and alarms() == {"trail_altered"}


@pytest.mark.compliance("F2", "F3")
def test_compliance_proving_twice_at_once_gives_the_same_rows(pulled):
    pulled.hour(2)
    upload(pulled)
    pull(pulled)
    before = (judged(pulled), states(pulled), DigestLine.objects.count())
    assert not proof.prove(pulled.registered).counts and not proof.prove(pulled.registered).counts
    assert (judged(pulled), states(pulled), DigestLine.objects.count()) == before


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE cloudtrail_proof SET state = 'undigested'",
        "DELETE FROM cloudtrail_proof",
        "UPDATE cloudtrail_digestfile SET metadata = '{}'",
        "DELETE FROM cloudtrail_digestfile",
        "UPDATE cloudtrail_publickey SET fingerprint = 'x'",
        "DELETE FROM cloudtrail_digestline",
    ],
)
@pytest.mark.compliance("DBA")
def test_compliance_what_was_proved_and_by_what_is_kept_as_it_is(statement, pulled):
    pulled.hour(1)
    upload(pulled)
    pull(pulled)
    with pytest.raises((InternalError, IntegrityError, ProgrammingError)), connection.cursor() as cursor:
        cursor.execute(statement)


# --- Handed over offline ------------------------------------------------------------------------------------------------


@pytest.mark.compliance("A3")
def test_compliance_digests_that_are_handed_over_prove_files_offline(empty, tmp_path):
    """The signature is no part of a file: it stands beside it, or in the next digest."""
    made = trails.sound(hours=3, files=1)
    given.hand_over(tmp_path, {key: data for (_, key), (data, _) in made.objects.items()})
    (tmp_path / "public-keys.json").write_text(json.dumps({"PublicKeyList": [key.told() for key in made.keys]}))
    last = made.digests[-1]
    (tmp_path / f"{last.key}.metadata.json").write_text(json.dumps({"Metadata": last.metadata}))
    call_command("load_trail", tmp_path, "--json", stdout=io.StringIO())
    registered = Registered.objects.get()
    registered.started_from = trails.BEGIN.date()
    made.registered = registered
    assert states(made) == ["valid"] * 3
    assert [state for state, _, _ in judged(made)] == ["valid"] * 3
    assert PublicKey.objects.get().source == proof.HANDED_OVER
    assert validation.as_ingested(registered, trails.BEGIN, made.end).valid


# --- The command --------------------------------------------------------------------------------------------------------


def command(*arguments):
    out = io.StringIO()
    try:
        call_command("validate_trail", *arguments, stdout=out)
    except CommandError as error:
        return error.returncode, out.getvalue()
    return 0, out.getvalue()


@pytest.mark.compliance("A3", "F17")
def test_compliance_the_command_reads_the_bucket_anew_and_sees_what_ingest_could_not(pulled):
    for _ in range(3):
        pulled.hour(2)
    upload(pulled)
    pull(pulled)
    period = ["--from", pulled.begin.isoformat(), "--to", pulled.end.isoformat()]
    code, out = command(*period, "--json")
    told = json.loads(out)
    assert code == 0 and told["valid"]
    assert (told["trails"][0]["digests"], told["trails"][0]["files"]) == ({"valid": 3}, {"valid": 6})
    # Altered after it was ingested: the ledger says what it saw, reading anew says what is there.
    pulled.alter(pulled.files[0], lambda content: content + b" ")
    upload(pulled, {pulled.files[0]})
    s3.client().delete_object(Bucket=pulled.bucket, Key=pulled.files[1])
    assert command(*period, "--ledger")[0] == 0
    code, out = command(*period, "--json")
    told = json.loads(out)["trails"][0]
    assert code == 1 and told["files"] == {"valid": 4, "mismatch": 1, "missing": 1}
    assert {(found["key"], found["kind"]) for found in told["findings"]} == {
        (pulled.files[0], "mismatch"),
        (pulled.files[1], "missing"),
    }
    code, out = command(*period)
    assert code == 1 and "1 mismatch, 1 missing, 4 valid" in out and pulled.files[0] in out


def test_the_command_says_that_nothing_is_proved_where_there_are_no_digests(pulled):
    code, out = command()
    assert code == 1 and "There are no digests: nothing is proved." in out
    assert command("nobody")[0] == 1


@pytest.mark.compliance("F7")
def test_compliance_both_ways_of_validating_say_the_same_of_random_trails(pulled):
    """Anew and by the ledger, as long as nothing was done since ingest."""
    made = trails.random_trail(77, pulled.bucket, pulled.begin)
    pulled.objects, pulled.files, pulled.digests, pulled.end = made.objects, made.files, made.digests, made.end
    pulled.keys += made.keys
    upload(pulled)
    pull(pulled)
    heard = []
    for way in (validation.anew, validation.as_ingested):
        told = []
        way(pulled.registered, pulled.begin, pulled.end, lambda *what, told=told: told.append(what))
        heard.append(sorted(told))
    assert heard[0] == heard[1] and heard[0]
