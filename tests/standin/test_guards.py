"""Each test states what AWS does; moto alone does otherwise unless the test says so."""

import base64
import hashlib
import json
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta

import pytest
from botocore.exceptions import ClientError

from standin.principals import PIPELINE, Principal
from tests.standin.conftest import client

NEXT_MONTH = (datetime.now(UTC) + timedelta(days=30)).replace(microsecond=0)
NEXT_YEAR = (datetime.now(UTC) + timedelta(days=365)).replace(microsecond=0)


def refused(call, **asked):
    """Code, status and message of the error that a call must end in."""
    with pytest.raises(ClientError) as caught:
        call(**asked)
    error = caught.value.response
    return error["Error"]["Code"], error["ResponseMetadata"]["HTTPStatusCode"]


def locked(s3, bucket, mode="COMPLIANCE", until=NEXT_MONTH, key="object"):
    version = s3.put_object(
        Bucket=bucket,
        Key=key,
        Body=b"data",
        ChecksumAlgorithm="SHA256",
        ObjectLockMode=mode,
        ObjectLockRetainUntilDate=until,
    )["VersionId"]
    return {"Bucket": bucket, "Key": key, "VersionId": version}


def retain(s3, version, mode, until, **extra):
    return s3.put_object_retention(**version, Retention={"Mode": mode, "RetainUntilDate": until}, **extra)


def test_a_version_under_compliance_is_not_deleted_even_with_the_bypass_header(s3, bucket):
    version = locked(s3, bucket("comp-del"))
    assert refused(s3.delete_object, **version) == ("AccessDenied", 403)
    assert refused(s3.delete_object, **version, BypassGovernanceRetention=True) == ("AccessDenied", 403)
    answer = s3.delete_objects(
        Bucket="comp-del", Delete={"Objects": [{"Key": "object", "VersionId": version["VersionId"]}]}
    )
    assert [error["Code"] for error in answer["Errors"]] == ["AccessDenied"]
    assert s3.get_object(**version)["Body"].read() == b"data"


def test_a_delete_without_a_version_only_hides_a_locked_object(s3, bucket):
    version = locked(s3, bucket("hidden"))
    assert s3.delete_object(Bucket="hidden", Key="object")["DeleteMarker"]
    assert refused(s3.get_object, Bucket="hidden", Key="object") == ("NoSuchKey", 404)
    assert s3.get_object(**version)["Body"].read() == b"data"


def test_compliance_retention_grows_and_never_shrinks(s3, bucket):
    version = locked(s3, bucket("comp-grow"), until=NEXT_MONTH)
    retain(s3, version, "COMPLIANCE", NEXT_YEAR)
    assert s3.head_object(**version)["ObjectLockRetainUntilDate"] == NEXT_YEAR
    for extra in ({}, {"BypassGovernanceRetention": True}):
        with pytest.raises(ClientError, match="object protected by object lock"):
            retain(s3, version, "COMPLIANCE", NEXT_MONTH, **extra)
    assert s3.head_object(**version)["ObjectLockRetainUntilDate"] == NEXT_YEAR


def test_compliance_does_not_become_governance_in_one_step_or_two(s3, bucket):
    version = locked(s3, bucket("comp-down"))
    for until in (NEXT_MONTH, NEXT_YEAR):
        with pytest.raises(ClientError, match="AccessDenied"):
            retain(s3, version, "GOVERNANCE", until, BypassGovernanceRetention=True)
    assert refused(s3.put_object_retention, **version, Retention={}) == ("AccessDenied", 403)
    assert s3.head_object(**version)["ObjectLockMode"] == "COMPLIANCE"


def test_governance_shrinks_only_with_the_bypass_header_and_may_become_compliance(s3, bucket):
    version = locked(s3, bucket("gov"), mode="GOVERNANCE", until=NEXT_YEAR)
    with pytest.raises(ClientError, match="AccessDenied"):
        retain(s3, version, "GOVERNANCE", NEXT_MONTH)
    retain(s3, version, "GOVERNANCE", NEXT_MONTH, BypassGovernanceRetention=True)
    retain(s3, version, "COMPLIANCE", NEXT_YEAR)
    assert s3.head_object(**version)["ObjectLockMode"] == "COMPLIANCE"


def test_governance_deletes_only_with_the_bypass_header(s3, bucket):
    version = locked(s3, bucket("gov-del"), mode="GOVERNANCE")
    assert refused(s3.delete_object, **version) == ("AccessDenied", 403)
    s3.delete_object(**version, BypassGovernanceRetention=True)
    assert refused(s3.get_object, **version) == ("NoSuchVersion", 404)


def test_a_legal_hold_keeps_a_version_without_a_date(s3, bucket):
    version = s3.put_object(
        Bucket=bucket("hold"), Key="object", Body=b"x", ChecksumAlgorithm="SHA256", ObjectLockLegalHoldStatus="ON"
    )
    assert refused(s3.delete_object, Bucket="hold", Key="object", VersionId=version["VersionId"]) == (
        "AccessDenied",
        403,
    )


def test_versioning_of_a_lock_bucket_cannot_be_suspended(s3, bucket):
    name = bucket("susp")
    asked = {"Bucket": name, "VersioningConfiguration": {"Status": "Suspended"}}
    assert refused(s3.put_bucket_versioning, **asked) == ("InvalidBucketState", 409)
    assert s3.get_bucket_versioning(Bucket=name)["Status"] == "Enabled"
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})


def test_a_multipart_upload_is_locked_as_asked(s3, bucket):
    name = bucket("multi")
    upload = s3.create_multipart_upload(
        Bucket=name, Key="big", ObjectLockMode="COMPLIANCE", ObjectLockRetainUntilDate=NEXT_MONTH
    )
    version = finish(s3, name, upload["UploadId"])
    head = s3.head_object(Bucket=name, Key="big", VersionId=version)
    assert (head["ObjectLockMode"], head["ObjectLockRetainUntilDate"]) == ("COMPLIANCE", NEXT_MONTH)
    assert refused(s3.delete_object, Bucket=name, Key="big", VersionId=version) == ("AccessDenied", 403)


def test_a_multipart_upload_takes_the_buckets_default_lock(s3, bucket):
    name = bucket("multi-default", Mode="COMPLIANCE", Days=10)
    version = finish(s3, name, s3.create_multipart_upload(Bucket=name, Key="big")["UploadId"])
    assert s3.head_object(Bucket=name, Key="big", VersionId=version)["ObjectLockMode"] == "COMPLIANCE"
    assert refused(s3.delete_object, Bucket=name, Key="big", VersionId=version) == ("AccessDenied", 403)


def finish(s3, bucket, upload):
    part = s3.upload_part(Bucket=bucket, Key="big", UploadId=upload, PartNumber=1, Body=b"part")
    return s3.complete_multipart_upload(
        Bucket=bucket, Key="big", UploadId=upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    )["VersionId"]


def test_retention_can_be_asked_for(s3, bucket):
    version = locked(s3, bucket("ask"))
    assert s3.get_object_retention(**version)["Retention"] == {"Mode": "COMPLIANCE", "RetainUntilDate": NEXT_MONTH}


def test_asking_for_a_retention_that_is_not_there_is_answered_404(s3, bucket):
    name = bucket("ask-none")
    s3.put_object(Bucket=name, Key="free", Body=b"x")
    assert refused(s3.get_object_retention, Bucket=name, Key="free") == ("NoSuchObjectLockConfiguration", 404)


def test_a_default_retention_is_told_like_an_explicit_one(s3, bucket):
    name = bucket("ask-default", Mode="GOVERNANCE", Days=10)
    s3.put_object(Bucket=name, Key="kept", Body=b"x", ChecksumAlgorithm="SHA256")
    assert s3.get_object_retention(Bucket=name, Key="kept")["Retention"]["Mode"] == "GOVERNANCE"


def test_an_object_is_copied_into_a_bucket_with_default_retention(s3, bucket):
    s3.put_object(Bucket=bucket("copy-from"), Key="a", Body=b"x")
    name = bucket("copy-into", Mode="COMPLIANCE", Days=10)
    s3.copy_object(Bucket=name, Key="b", CopySource={"Bucket": "copy-from", "Key": "a"})
    assert s3.head_object(Bucket=name, Key="b")["ObjectLockMode"] == "COMPLIANCE"


@pytest.mark.parametrize("algorithm", ["SHA256", "SHA1", "CRC32"])
def test_bytes_that_do_not_fit_their_checksum_are_refused(s3, bucket, algorithm):
    name = bucket(f"sum-{algorithm.lower()}")
    wrong = base64.b64encode(b"\0" * {"SHA256": 32, "SHA1": 20, "CRC32": 4}[algorithm]).decode()
    asked = {"Bucket": name, "Key": "a", "Body": b"data", f"Checksum{algorithm}": wrong}
    assert refused(s3.put_object, **asked) == ("BadDigest", 400)
    assert s3.list_objects_v2(Bucket=name)["KeyCount"] == 0


def test_a_fitting_sha256_is_kept_and_told(s3, bucket):
    right = base64.b64encode(hashlib.sha256(b"data").digest()).decode()
    s3.put_object(Bucket=bucket("sum-right"), Key="a", Body=b"data", ChecksumSHA256=right)
    assert s3.head_object(Bucket="sum-right", Key="a", ChecksumMode="ENABLED")["ChecksumSHA256"] == right


def test_a_retain_until_date_in_the_past_is_refused(s3, bucket):
    name, yesterday = bucket("past"), datetime.now(UTC) - timedelta(days=1)
    asked = {
        "Bucket": name,
        "Key": "a",
        "Body": b"x",
        "ObjectLockMode": "COMPLIANCE",
        "ObjectLockRetainUntilDate": yesterday,
    }
    assert refused(s3.put_object, **asked, ChecksumAlgorithm="SHA256") == ("InvalidArgument", 400)
    version = locked(s3, name, key="b")
    with pytest.raises(ClientError, match="must be in the future"):
        retain(s3, version, "COMPLIANCE", yesterday)


def test_mode_and_date_of_a_lock_come_together(s3, bucket):
    asked = {
        "Bucket": bucket("half"),
        "Key": "a",
        "Body": b"x",
        "ObjectLockMode": "COMPLIANCE",
        "ChecksumAlgorithm": "SHA256",
    }
    assert refused(s3.put_object, **asked) == ("InvalidArgument", 400)


def test_a_filled_bucket_takes_a_default_lock(s3, bucket):
    name = bucket("filled")
    s3.put_object(Bucket=name, Key="a", Body=b"x")
    rule = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}
    s3.put_object_lock_configuration(
        Bucket=name, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule}
    )
    kept = s3.get_object_lock_configuration(Bucket=name)["ObjectLockConfiguration"]["Rule"]["DefaultRetention"]
    assert (kept["Mode"], kept["Days"]) == ("GOVERNANCE", 1)


def test_every_bucket_is_encrypted(s3, bucket):
    name = bucket("enc")
    rules = s3.get_bucket_encryption(Bucket=name)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rules[0]["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    s3.delete_bucket_encryption(Bucket=name)
    assert s3.put_object(Bucket=name, Key="a", Body=b"x")["ServerSideEncryption"] == "AES256"


def test_an_unsigned_request_is_refused(standin, s3, bucket):
    s3.put_object(Bucket=bucket("anon"), Key="a", Body=b"x")
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(f"{standin.url}/anon/a")
    presigned = s3.generate_presigned_url("get_object", Params={"Bucket": "anon", "Key": "a"})
    assert urllib.request.urlopen(presigned).read() == b"x"


def test_an_unknown_access_key_is_refused(standin):
    stranger = client(standin.url, Principal("AKIASTRANGER00000000", "secret", "stranger"))
    assert refused(stranger.list_buckets) == ("InvalidAccessKeyId", 403)


def test_versions_are_listed_newest_first_and_in_pages(s3, bucket):
    name = bucket("pages")
    written = {key: [s3.put_object(Bucket=name, Key=key, Body=b"x")["VersionId"] for _ in range(3)] for key in "abc"}
    s3.delete_object(Bucket=name, Key="b")
    for size in (1, 2, 3, 100):
        listed, markers = {}, []
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=name, PaginationConfig={"PageSize": size}):
            for version in page.get("Versions", []):
                listed.setdefault(version["Key"], []).append(version["VersionId"])
            markers += [(marker["Key"], marker["IsLatest"]) for marker in page.get("DeleteMarkers", [])]
        assert listed == {key: ids[::-1] for key, ids in written.items()}
        assert markers == [("b", True)]


def test_the_delimiter_folds_versions_into_folders(s3, bucket):
    name = bucket("folders")
    for key in ("top", "x/1", "x/2", "y/1"):
        s3.put_object(Bucket=name, Key=key, Body=b"x")
    pages = list(
        s3.get_paginator("list_object_versions").paginate(Bucket=name, Delimiter="/", PaginationConfig={"PageSize": 1})
    )
    assert [f["Prefix"] for page in pages for f in page.get("CommonPrefixes", [])] == ["x/", "y/"]
    assert [v["Key"] for page in pages for v in page.get("Versions", [])] == ["top"]


@pytest.mark.parametrize(
    "key",
    ["a+b", "a b", "\u00e9", "e\u0301", "dir/../x", "key?versionId=1", "a%20b", "a//b", "<&>'\"", "q=1&r#s", "ends/"],
)
def test_hostile_keys_come_back_as_they_were(s3, bucket, key):
    name = bucket(f"key-{hashlib.sha256(key.encode()).hexdigest()[:10]}")
    s3.put_object(Bucket=name, Key=key, Body=b"x")
    assert [v["Key"] for v in s3.list_object_versions(Bucket=name)["Versions"]] == [key]
    assert s3.get_object(Bucket=name, Key=key)["Body"].read() == b"x"


DENIED = {"Effect": "Deny", "Principal": "*", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::{}/*"}
PIPELINE_ROLE = "arn:aws:iam::111122223333:role/ngs-pipeline"


@pytest.mark.parametrize(
    ("change", "owner_may", "pipeline_may"),
    [
        ({}, False, False),
        ({"Condition": {"ArnNotLike": {"aws:PrincipalArn": PIPELINE_ROLE}}}, False, True),
        ({"Condition": {"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:user/*"}}}, False, True),
        ({"Condition": {"Bool": {"aws:SecureTransport": "false"}}}, True, True),
        ({"Condition": {"StringNotEquals": {"aws:PrincipalServiceName": "cloudtrail.amazonaws.com"}}}, False, False),
        ({"Principal": {"AWS": PIPELINE_ROLE}}, True, False),
        ({"Action": "s3:DeleteObject"}, True, True),
        ({"Effect": "Allow"}, True, True),
    ],
)
def test_a_denial_of_a_bucket_policy_meets_whom_principal_and_conditions_name(
    s3, standin, bucket, change, owner_may, pipeline_may
):
    name = bucket(f"denied-{abs(hash(str(change)))}")
    statement = json.loads(json.dumps(DENIED).replace("{}", name)) | change
    s3.put_bucket_policy(Bucket=name, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    for who, allowed in ((s3, owner_may), (client(standin.url, PIPELINE), pipeline_may)):
        if allowed:
            who.put_object(Bucket=name, Key="a", Body=b"1", ChecksumAlgorithm="SHA256")
        else:
            assert refused(who.put_object, Bucket=name, Key="a", Body=b"1", ChecksumAlgorithm="SHA256")[1] == 403
