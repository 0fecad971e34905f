import dataclasses
import hashlib
import json
import re
import tempfile
from datetime import UTC, datetime, timedelta

import pytest
from botocore.exceptions import ClientError

from standin.filling import Keeper
from storage import s3, worm
from storage.worm import Altered, NotKept, Pin
from tests.test_floors import FLOORS, ROOT

MONTH = datetime.now(UTC) + timedelta(days=30)


@pytest.fixture(autouse=True)
def _worm_bucket(bucket):
    bucket("worm", lock=True)


def put(data, until=MONTH):
    return worm.put(data, media_type="text/plain", retain_until=until)


def test_bytes_are_kept_under_their_own_digest_and_come_back():
    pin = put(b"sealed")
    digest = hashlib.sha256(b"sealed").hexdigest()
    assert (pin.bucket, pin.key, pin.size, pin.sha256) == ("worm", f"sha256/{digest[:2]}/{digest}", 6, digest)
    assert worm.get(pin) == b"sealed"


def test_what_is_kept_is_locked_for_as_long_as_asked():
    pin = put(b"locked")
    head = s3.head(pin.bucket, pin.key, pin.version_id)
    assert head.lock.mode == "COMPLIANCE"
    assert MONTH <= head.lock.until < MONTH + timedelta(seconds=1)
    assert (head.media_type, head.sha256) == ("text/plain", pin.sha256)


def test_nobody_deletes_what_is_kept(owner):
    pin = put(b"forever")
    asked = {"Bucket": pin.bucket, "Key": pin.key, "VersionId": pin.version_id, "BypassGovernanceRetention": True}
    with pytest.raises(ClientError, match="AccessDenied"):
        owner.delete_object(**asked)


def test_writing_twice_keeps_one_version():
    assert put(b"twice") == put(b"twice")
    assert len(s3.versions("worm", worm.key_for(hashlib.sha256(b"twice").hexdigest()))) == 1


def test_writing_again_with_a_later_date_extends_the_first():
    pin, later = put(b"longer"), MONTH + timedelta(days=300)
    assert put(b"longer", later) == pin
    assert s3.head(pin.bucket, pin.key, pin.version_id).lock.until >= later
    assert put(b"longer", MONTH) == pin
    assert s3.head(pin.bucket, pin.key, pin.version_id).lock.until >= later


def test_a_hidden_object_is_written_anew(owner):
    pin = put(b"hidden")
    owner.delete_object(Bucket=pin.bucket, Key=pin.key)
    again = put(b"hidden")
    assert again.version_id != pin.version_id
    assert worm.get(again) == worm.get(pin) == b"hidden"


def test_foreign_bytes_under_the_right_key_are_not_used(owner):
    digest = hashlib.sha256(b"mine").hexdigest()
    owner.put_object(Bucket="worm", Key=worm.key_for(digest), Body=b"evil")
    pin = put(b"mine")
    assert worm.get(pin) == b"mine"


def test_bytes_without_a_lock_are_not_used(owner):
    digest = hashlib.sha256(b"loose").hexdigest()
    loose = owner.put_object(Bucket="worm", Key=worm.key_for(digest), Body=b"loose")["VersionId"]
    assert put(b"loose").version_id != loose


def test_altered_bytes_are_noticed_when_they_are_read(standin):
    pin = put(b"to be altered")
    standin.tamper(pin.bucket, pin.key, pin.version_id, offset=3)
    with pytest.raises(Altered, match=pin.sha256):
        worm.get(pin)


def test_a_pin_that_states_another_size_is_noticed():
    pin = dataclasses.replace(put(b"size"), size=5)
    with pytest.raises(Altered):
        worm.get(pin)


def test_a_bucket_without_object_lock_is_refused(bucket):
    bucket("no-lock")
    with pytest.raises(s3.StorageError, match=r"Object ?Lock"):
        worm.put(b"x", media_type="text/plain", retain_until=MONTH, bucket="no-lock")


def test_a_store_that_drops_the_lock_is_found_out(monkeypatch):
    real = s3.head

    def forgetful(*asked):
        return dataclasses.replace(real(*asked), lock=s3.Lock())

    monkeypatch.setattr(s3, "head", forgetful)
    with pytest.raises(NotKept, match="lock mode none instead of COMPLIANCE"):
        put(b"forgotten")


def test_a_date_without_a_time_zone_is_a_mistake_of_the_caller():
    with pytest.raises(ValueError, match="time zone"):
        worm.put(b"x", media_type="text/plain", retain_until=datetime(2100, 1, 1))


def test_a_date_in_the_past_is_refused():
    with pytest.raises(s3.StorageError, match="must be in the future"):
        put(b"past", datetime.now(UTC) - timedelta(days=1))


def test_a_pin_goes_through_json_and_back():
    pin = Pin("worm", "sha256/ab/abc", "v1", 3, "abc")
    assert Pin.from_json(pin.to_json()) == pin
    with pytest.raises(TypeError):
        Pin.from_json({"bucket": "worm"})


def test_nothing_at_all_can_be_kept():
    assert worm.get(put(b"")) == b""


def test_frozen_bytes_are_written_in_the_portals_own_name_whoever_it_works_for(settings, owner, bucket, standin, empty):
    """The role that the portal takes on for a person only reads."""
    name = bucket("worm", lock=True)
    settings.S3_PERSON_ROLE_ARN = "arn:aws:iam::111122223333:role/countersign-person"
    policy = Keeper(standin.url).policy(name, "role/countersign-portal")
    owner.put_bucket_policy(Bucket=name, Policy=json.dumps(policy))
    try:
        with s3.asking_for("ana", "ana"):
            pin = worm.put(
                b"by the portal", media_type="text/plain", retain_until=datetime.now(UTC) + timedelta(days=1)
            )
            assert worm.get(pin) == b"by the portal"
            with pytest.raises(s3.StorageError), s3.plainly(name, "by-hand"):
                s3.client().put_object(Bucket=name, Key="by-hand", Body=b"x", ChecksumAlgorithm="SHA256")
    finally:
        owner.delete_bucket_policy(Bucket=name)


def test_a_file_is_kept_and_given_back_in_portions_as_its_bytes_would_be():
    data = bytes(range(256)) * 9000
    with tempfile.TemporaryFile() as file, tempfile.TemporaryFile() as back:
        file.write(data)
        pin = put(file)
        assert (pin.size, pin.sha256) == (len(data), hashlib.sha256(data).hexdigest())
        worm.fetch(pin, back)
        back.seek(0)
        assert back.read() == data
    assert put(data) == pin


@pytest.mark.parametrize(("at", "years", "then"), [
    ("2026-11-28", 10, "2036-11-28"), ("2024-02-29", 4, "2028-02-29"), ("2024-02-29", 1, "2025-03-01"),
    ("2024-02-29", 200, "2224-02-29"), ("2096-02-29", 4, "2100-03-01"),
])  # fmt: skip
def test_a_retention_ends_on_the_same_day_of_the_year_and_its_days_suffice_for_every_lock(at, years, then):
    begins = datetime.fromisoformat(f"{at}T23:59:59+00:00")
    ends = worm.years_after(begins, years)
    assert ends.isoformat() == f"{then}T23:59:59+00:00"
    assert begins + timedelta(days=worm.days_that_suffice(years)) >= ends


def test_no_other_place_counts_a_retention_in_days():
    counted = [
        path.name
        for app in FLOORS
        for path in (ROOT / app).rglob("*.py")
        if re.search(r"365 \* .*years|years // 4", path.read_text(), re.IGNORECASE)
    ]
    assert sorted(counted) == ["certificate.py", "posture.py", "probe.py"]
