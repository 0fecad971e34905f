"""What was in the stand-in is there again after a restart, whether it ended in peace or was killed."""

import signal
import time
from datetime import UTC, datetime, timedelta

import pytest
from botocore.exceptions import ClientError

from standin.filling import Keeper, make_bucket
from standin.principals import PORTAL, Principal
from standin.process import start
from tests.standin.conftest import client

UNTIL = (datetime.now(UTC) + timedelta(days=30)).replace(microsecond=0)


@pytest.fixture(params=[pytest.param("ended", marks=pytest.mark.long), "killed"])
def restarted(tmp_path, request):
    """A function that fills a stand-in, restarts it, and gives a client of the new one."""

    def restart(fill):
        first = start(trail_every=0, data=tmp_path)
        try:
            said = fill(first)
        finally:
            if request.param == "killed":
                first.process.send_signal(signal.SIGKILL)
            first.stop()
        second = start(trail_every=0, data=tmp_path)
        request.addfinalizer(second.stop)
        return said, second

    return restart


def test_versions_times_locks_and_bytes_outlive_a_restart(restarted):
    def fill(standin):
        s3 = client(standin.url)
        s3.create_bucket(
            Bucket="kept",
            ObjectLockEnabledForBucket=True,
            CreateBucketConfiguration={"LocationConstraint": "eu-central-1"},
        )
        s3.put_bucket_tagging(Bucket="kept", Tagging={"TagSet": [{"Key": "gxp", "Value": "yes"}]})
        s3.put_bucket_policy(Bucket="kept", Policy='{"Version": "2012-10-17", "Statement": []}')
        for body in (b"one", b"two"):
            s3.put_object(
                Bucket="kept", Key="a/é+ ?", Body=body, ChecksumAlgorithm="SHA256", Metadata={"run": "7"}, ContentType="text/plain",
                ObjectLockMode="COMPLIANCE", ObjectLockRetainUntilDate=UNTIL, Tagging="x=y",
            )  # fmt: skip
        s3.put_object(Bucket="kept", Key="hidden", Body=b"three")
        s3.delete_object(Bucket="kept", Key="hidden")
        s3.delete_objects(Bucket="kept", Delete={"Objects": [{"Key": "hidden"}]})
        return told(s3)

    before, standin = restarted(fill)
    s3 = client(standin.url)
    assert told(s3) == before
    version = before["versions"]["Versions"][1]
    asked = {"Bucket": "kept", "Key": "a/é+ ?", "VersionId": version["VersionId"]}
    assert s3.get_object(**asked)["Body"].read() == b"one"
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.delete_object(**asked)
    assert s3.list_object_versions(Bucket="kept", Prefix="hidden")["DeleteMarkers"][0]["IsLatest"]


def told(s3):
    """Everything that S3 says of the bucket."""
    versions = s3.list_object_versions(Bucket="kept")
    heads = [
        s3.head_object(Bucket="kept", Key=v["Key"], VersionId=v["VersionId"], ChecksumMode="ENABLED")
        for v in versions["Versions"]
    ]
    answers = {
        "versions": versions,
        "tags": s3.get_bucket_tagging(Bucket="kept"),
        "object tags": s3.get_object_tagging(Bucket="kept", Key="a/é+ ?"),
        "policy": s3.get_bucket_policy(Bucket="kept"),
        "versioning": s3.get_bucket_versioning(Bucket="kept"),
        "lock": s3.get_object_lock_configuration(Bucket="kept"),
    }
    for answer in [*answers.values(), *heads]:
        answer.pop("ResponseMetadata")
    return answers | {"heads": heads}


@pytest.mark.long
def test_what_was_removed_stays_removed(restarted):
    def fill(standin):
        s3 = client(standin.url)
        for name in ("gone", "stays"):
            s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        s3.put_object(Bucket="stays", Key="a", Body=b"x")
        s3.delete_object(Bucket="stays", Key="a")
        s3.delete_bucket(Bucket="gone")

    _, standin = restarted(fill)
    s3 = client(standin.url)
    assert {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]} == {"stays", "gxp-trail"}
    assert s3.list_objects_v2(Bucket="stays")["KeyCount"] == 0


@pytest.mark.long
def test_sessions_and_keys_outlive_a_restart(restarted):
    def fill(standin):
        role = "arn:aws:iam::111122223333:role/countersign-person"
        sts = client(standin.url, PORTAL, "sts")
        key = client(standin.url, service="kms").create_key(Description="records")["KeyMetadata"]["KeyId"]
        return sts.assume_role(RoleArn=role, RoleSessionName="anna", SourceIdentity="u-1")["Credentials"], key

    (given, key), standin = restarted(fill)
    person = Principal(given["AccessKeyId"], given["SecretAccessKey"], "countersign-person", "anna")
    assert client(standin.url, person).list_buckets()["Buckets"]
    assert client(standin.url, service="kms").describe_key(KeyId=key)["KeyMetadata"]["Description"] == "records"


@pytest.mark.long
def test_delivered_log_files_outlive_a_restart(restarted):
    def fill(standin):
        client(standin.url).list_buckets()
        standin.deliver()
        return [file["Key"] for file in client(standin.url).list_objects_v2(Bucket="gxp-trail")["Contents"]]

    files, standin = restarted(fill)
    assert set(files) <= {file["Key"] for file in client(standin.url).list_objects_v2(Bucket="gxp-trail")["Contents"]}


def test_a_record_that_was_cut_off_is_dropped(tmp_path):
    first = start(trail_every=0, data=tmp_path)
    s3 = client(first.url)
    s3.create_bucket(Bucket="cut", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    for key in ("whole", "torn"):
        s3.put_object(Bucket="cut", Key=key, Body=key.encode())
    first.process.kill()
    first.stop()
    journal = tmp_path / "journal"
    journal.write_bytes(journal.read_bytes()[:-5])
    second = start(trail_every=0, data=tmp_path)
    assert [found["Key"] for found in client(second.url).list_objects_v2(Bucket="cut")["Contents"]] == ["whole"]
    second.stop()


@pytest.mark.long
def test_three_hundred_objects_are_back_in_seconds(tmp_path):
    first = start(trail_every=0, data=tmp_path)
    s3 = client(first.url)
    s3.create_bucket(Bucket="many", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    for number in range(300):
        s3.put_object(Bucket="many", Key=f"{number:05}", Body=b"x" * number)
    first.stop()
    began = time.monotonic()
    second = start(trail_every=0, data=tmp_path)
    took = time.monotonic() - began
    assert client(second.url).list_objects_v2(Bucket="many")["KeyCount"] == 300
    second.stop()
    assert took < 10


@pytest.mark.long
def test_a_folder_of_another_version_is_refused_with_a_sentence(tmp_path):
    first = start(trail_every=0, data=tmp_path)
    first.stop()
    journal = tmp_path / "journal"
    journal.write_bytes(b"")
    from standin.journal import _framed

    journal.write_bytes(_framed(("stamp",), "moto 0.0.1"))
    with pytest.raises(RuntimeError, match="written by another version"):
        start(trail_every=0, data=tmp_path)


@pytest.mark.long
def test_a_folder_that_is_in_use_is_refused_with_a_sentence(tmp_path):
    first = start(trail_every=0, data=tmp_path)
    with pytest.raises(RuntimeError, match="in use by another stand-in"):
        start(trail_every=0, data=tmp_path)
    first.stop()
    start(trail_every=0, data=tmp_path).stop()


@pytest.mark.long
def test_what_is_set_for_account_key_and_trail_outlives_a_restart(restarted):
    def fill(standin):
        keeper = Keeper(standin.url)
        make_bucket(standin.url, "locked")
        keeper.close_account()
        keeper.keep("locked", writer="role/countersign-portal", days=30)
        keeper.trail("events", "gxp-trail")
        return settings(keeper)

    before, standin = restarted(fill)
    keeper = Keeper(standin.url)
    assert settings(keeper) == before
    assert all(before["account"].values()) and before["rotates"] and before["logging"]


def settings(keeper):
    closed = keeper.s3control.get_public_access_block(AccountId=keeper.account)
    return {
        "account": closed["PublicAccessBlockConfiguration"],
        "rotates": keeper.kms.get_key_rotation_status(KeyId=keeper.key())["KeyRotationEnabled"],
        "logging": keeper.cloudtrail.get_trail_status(Name="events")["IsLogging"],
        "selectors": keeper.cloudtrail.get_event_selectors(TrailName="events")["AdvancedEventSelectors"],
        "policy": keeper.s3.get_bucket_policy(Bucket="locked")["Policy"],
        "lock": keeper.s3.get_object_lock_configuration(Bucket="locked")["ObjectLockConfiguration"],
    }
