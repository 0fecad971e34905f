"""The stand-in's CloudTrail: what it says of requests, and how it delivers it."""

import gzip
import json
import re
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta

import pytest
from botocore.exceptions import ClientError

from standin.principals import OWNER, PIPELINE, PORTAL, Principal
from standin.process import running, start
from tests.standin.conftest import client

FILE = re.compile(
    r"AWSLogs/111122223333/CloudTrail/eu-central-1/(\d{4}/\d\d/\d\d)/"
    r"111122223333_CloudTrail_eu-central-1_(\d{8}T\d{4}Z)_[A-Za-z0-9]{16}\.json\.gz"
)


def delivered(standin, bucket=""):
    """All records so far; those of one bucket if it is named."""
    standin.deliver()
    s3 = client(standin.url)
    files = [
        file["Key"]
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket="gxp-trail")
        for file in page["Contents"]
    ]
    assert all(FILE.fullmatch(key) for key in files)
    records = []
    for key in files:
        records += json.loads(gzip.decompress(s3.get_object(Bucket="gxp-trail", Key=key)["Body"].read()))["Records"]
    return [
        record for record in records if not bucket or (record["requestParameters"] or {}).get("bucketName") == bucket
    ]


def only(records, name):
    found = [record for record in records if record["eventName"] == name]
    assert len(found) == 1, [record["eventName"] for record in records]
    return found[0]


def test_a_read_is_told_with_who_what_which_version_and_how_much(standin, s3, bucket):
    name = bucket("read")
    version = s3.put_object(Bucket=name, Key="run/1.csv", Body=b"12345")["VersionId"]
    before = datetime.now(UTC).replace(microsecond=0)
    answer = s3.get_object(Bucket=name, Key="run/1.csv", VersionId=version)
    record = only(delivered(standin, name), "GetObject")
    assert record["requestID"] == answer["ResponseMetadata"]["RequestId"]
    assert record["requestParameters"] == {
        "versionId": version, "bucketName": name, "Host": f"{name}.s3.eu-central-1.amazonaws.com", "key": "run/1.csv"
    }  # fmt: skip
    assert record["additionalEventData"]["bytesTransferredOut"] == 5
    assert record["additionalEventData"]["AuthenticationMethod"] == "AuthHeader"
    assert [resource["ARN"] for resource in record["resources"]] == [
        f"arn:aws:s3:::{name}/run/1.csv",
        f"arn:aws:s3:::{name}",
    ]
    assert record["userIdentity"]["arn"] == "arn:aws:iam::111122223333:user/storage-owner"
    assert (record["eventCategory"], record["managementEvent"], record["readOnly"]) == ("Data", False, True)
    assert before <= datetime.fromisoformat(record["eventTime"]) <= datetime.now(UTC)


def test_every_kind_of_object_request_has_its_name(standin, s3, bucket):
    name = bucket("names")
    until = datetime.now(UTC) + timedelta(days=1)
    version = s3.put_object(Bucket=name, Key="a", Body=b"x")["VersionId"]
    s3.head_object(Bucket=name, Key="a")
    s3.list_objects_v2(Bucket=name, Prefix="run/")
    s3.list_objects(Bucket=name)
    s3.list_object_versions(Bucket=name)
    s3.put_object_retention(Bucket=name, Key="a", Retention={"Mode": "GOVERNANCE", "RetainUntilDate": until})
    s3.get_object_retention(Bucket=name, Key="a")
    s3.get_object_tagging(Bucket=name, Key="a")
    s3.copy_object(Bucket=name, Key="b c", CopySource={"Bucket": name, "Key": "a", "VersionId": version})
    s3.delete_object(Bucket=name, Key="b c")
    s3.delete_objects(Bucket=name, Delete={"Objects": [{"Key": "a"}]})
    upload = s3.create_multipart_upload(Bucket=name, Key="m")["UploadId"]
    etag = s3.upload_part(Bucket=name, Key="m", UploadId=upload, PartNumber=1, Body=b"p")["ETag"]
    s3.list_parts(Bucket=name, Key="m", UploadId=upload)
    s3.complete_multipart_upload(
        Bucket=name, Key="m", UploadId=upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]}
    )
    s3.head_bucket(Bucket=name)
    records = delivered(standin, name)
    assert [record["eventName"] for record in records if record["eventCategory"] == "Data"] == [
        "PutObject", "HeadObject", "ListObjects", "ListObjects", "ListObjectVersions", "PutObjectRetention",
        "GetObjectRetention", "GetObjectTagging", "CopyObject", "DeleteObject", "DeleteObjects", "CreateMultipartUpload",
        "UploadPart", "ListParts", "CompleteMultipartUpload", "HeadBucket",
    ]  # fmt: skip
    listing = next(record for record in records if record["eventName"] == "ListObjects")
    assert listing["resources"][0] == {"type": "AWS::S3::Object", "ARNPrefix": f"arn:aws:s3:::{name}/run/"}
    batch = only(records, "DeleteObjects")
    assert "key" not in batch["requestParameters"]
    assert batch["resources"][0]["ARNPrefix"] == f"arn:aws:s3:::{name}/"
    copy = only(records, "CopyObject")
    assert copy["requestParameters"]["key"] == "b c"
    assert copy["requestParameters"]["x-amz-copy-source"] == f"{name}/a?versionId={version}"
    assert f"arn:aws:s3:::{name}/a" in [resource["ARN"] for resource in copy["resources"]]
    put = only(records, "PutObject")
    assert put["responseElements"]["x-amz-version-id"] == version


def test_settings_of_buckets_are_management_events(standin, s3, bucket):
    name = bucket("settings")
    policy = {"Version": "2012-10-17", "Statement": []}
    s3.put_bucket_policy(Bucket=name, Policy=json.dumps(policy))
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    s3.get_object_lock_configuration(Bucket=name)
    records = delivered(standin, name)
    assert [(record["eventName"], record["eventCategory"]) for record in records] == [
        ("CreateBucket", "Management"), ("PutBucketPolicy", "Management"), ("PutBucketVersioning", "Management"),
        ("GetBucketObjectLockConfiguration", "Management"),
    ]  # fmt: skip
    assert only(records, "PutBucketPolicy")["requestParameters"]["bucketPolicy"] == policy


def test_refused_requests_are_told_with_their_error(standin, s3, bucket):
    name = bucket("refusals")
    version = s3.put_object(
        Bucket=name, Key="a", Body=b"x", ChecksumAlgorithm="SHA256",
        ObjectLockMode="COMPLIANCE", ObjectLockRetainUntilDate=datetime.now(UTC) + timedelta(days=1),
    )["VersionId"]  # fmt: skip
    for call in (
        lambda: s3.delete_object(Bucket=name, Key="a", VersionId=version),
        lambda: s3.get_object(Bucket=name, Key="absent"),
        lambda: client(standin.url, Principal("AKIASTRANGER00000000", "s", "x")).head_object(Bucket=name, Key="a"),
    ):
        with pytest.raises(ClientError):
            call()
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(f"{standin.url}/{name}/a")
    records = [record for record in delivered(standin, name) if "errorCode" in record]
    assert [(record["eventName"], record["errorCode"], record["userIdentity"]["type"]) for record in records] == [
        ("DeleteObject", "AccessDenied", "IAMUser"),
        ("GetObject", "NoSuchKey", "IAMUser"),
        ("HeadObject", "InvalidAccessKeyId", "Unknown"),
        ("GetObject", "AccessDenied", "AWSAccount"),
    ]
    assert records[3]["userIdentity"]["accountId"] == "ANONYMOUS_PRINCIPAL"


def test_a_presigned_read_says_so(standin, s3, bucket):
    name = bucket("presigned")
    s3.put_object(Bucket=name, Key="a", Body=b"x")
    urllib.request.urlopen(s3.generate_presigned_url("get_object", Params={"Bucket": name, "Key": "a"})).read()
    record = only(delivered(standin, name), "GetObject")
    assert record["additionalEventData"]["AuthenticationMethod"] == "QueryString"
    assert "X-Amz-Signature" not in record["requestParameters"]


def test_an_assumed_role_leads_back_to_the_key_that_asked_for_it(standin, s3, bucket):
    name = bucket("assumed")
    s3.put_object(Bucket=name, Key="a", Body=b"x")
    role = "arn:aws:iam::111122223333:role/"
    first = client(standin.url, PORTAL, "sts").assume_role(
        RoleArn=role + "countersign-person", RoleSessionName="anna@lab.example", SourceIdentity="user-1"
    )["Credentials"]
    person = Principal(first["AccessKeyId"], first["SecretAccessKey"], "countersign-person", "anna@lab.example")
    second = client(standin.url, person, "sts").assume_role(RoleArn=role + "reader", RoleSessionName="chained")[
        "Credentials"
    ]
    chained = Principal(second["AccessKeyId"], second["SecretAccessKey"], "reader", "chained")
    client(standin.url, chained).get_object(Bucket=name, Key="a")
    records = delivered(standin)
    read = next(r for r in records if r["eventName"] == "GetObject" and r["requestParameters"]["bucketName"] == name)
    chain, key = [], read["userIdentity"]["accessKeyId"]
    while key:
        began = [
            r for r in records if ((r["responseElements"] or {}).get("credentials") or {}).get("accessKeyId") == key
        ]
        if not began:
            break
        chain.append(began[0]["requestParameters"]["roleSessionName"])
        assert began[0]["eventTime"] <= read["eventTime"]
        key = began[0]["userIdentity"].get("accessKeyId")
    assert chain == ["chained", "anna@lab.example", "portal"]
    assert began[0]["userIdentity"] == {"type": "AWSService", "invokedBy": "ecs-tasks.amazonaws.com"}
    # A source identity goes on through every later role.
    assert read["userIdentity"]["sessionContext"]["sourceIdentity"] == "user-1"
    assert read["userIdentity"]["sessionContext"]["sessionIssuer"]["userName"] == "reader"


def test_reading_the_log_files_is_not_logged(standin):
    for _ in range(3):
        records = delivered(standin, "gxp-trail")
    assert [record for record in records if record["eventCategory"] == "Data"] == []


def test_event_ids_are_unique_and_files_are_deterministic_gzip(standin):
    records = delivered(standin)
    assert len({record["eventID"] for record in records}) == len(records)


def test_files_are_delivered_by_the_clock_and_at_the_end(tmp_path):
    with running(trail_every=0.3) as ticking:
        client(ticking.url, PIPELINE).list_buckets()
        deadline = time.monotonic() + 5
        while not client(ticking.url).list_objects_v2(Bucket="gxp-trail").get("Contents"):
            assert time.monotonic() < deadline
            time.sleep(0.1)
    first = start(trail_every=0, data=tmp_path)
    client(first.url, OWNER).create_bucket(
        Bucket="late", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
    )
    first.stop()
    with running(trail_every=0, data=tmp_path) as second:
        assert only(delivered(second, "late"), "CreateBucket")
