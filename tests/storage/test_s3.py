import gzip
import hashlib
import json
import socket
import threading
from datetime import UTC, datetime, timedelta

import pytest

from storage import s3
from storage.s3 import AccessDenied, NotVersioned, ObjectGone, StorageUnavailable


def put(owner, bucket, key, body=b"data", **more):
    return owner.put_object(Bucket=bucket, Key=key, Body=body, **more)["VersionId"]


def test_a_listing_tells_the_newest_version_of_every_object(owner, bucket):
    name = bucket("list")
    put(owner, name, "run/a", b"old")
    newest = put(owner, name, "run/a", b"newer")
    other = put(owner, name, "run/b")
    put(owner, name, "elsewhere")
    found = s3.list_prefix(name, "run/").objects
    assert [(f.key, f.version_id, f.size) for f in found] == [("run/a", newest, 5), ("run/b", other, 4)]
    assert abs(found[0].last_modified - datetime.now(UTC)) < timedelta(minutes=1)


def test_a_listing_reports_what_a_delete_marker_hides(owner, bucket):
    name = bucket("marked")
    put(owner, name, "a")
    put(owner, name, "b")
    owner.delete_object(Bucket=name, Key="a")
    listing = s3.list_prefix(name, "")
    assert [f.key for f in listing.objects] == ["b"]
    assert listing.deleted == ["a"]


def test_a_listing_goes_through_all_pages(owner, bucket, monkeypatch):
    name = bucket("paged")
    for number in range(12):
        put(owner, name, f"{number:02}")
        put(owner, name, f"{number:02}")
    client, paginator = s3.client(), s3.client().get_paginator("list_object_versions")
    paginate = paginator.paginate
    monkeypatch.setattr(client, "get_paginator", lambda _: paginator)
    monkeypatch.setattr(paginator, "paginate", lambda **asked: paginate(**asked, PaginationConfig={"PageSize": 5}))
    assert [f.key for f in s3.list_prefix(name, "").objects] == [f"{number:02}" for number in range(12)]


def test_hostile_keys_are_listed_and_read_as_they_are(owner, bucket):
    name = bucket("hostile")
    keys = ["a+b", "a b", "\u00e9", "e\u0301", "dir/../x", "key?versionId=1", "a%20b", "<script>", "=1+1"]
    ids = {key: put(owner, name, key, key.encode()) for key in keys}
    listing = s3.list_prefix(name, "").objects
    assert [f.key for f in listing] == sorted(keys, key=str.encode)
    for found in listing:
        assert found.version_id == ids[found.key]
        assert b"".join(s3.stream(name, found.key, found.version_id)) == found.key.encode()


def test_the_history_of_an_object_is_newest_first(owner, bucket):
    name = bucket("history")
    first, second = put(owner, name, "a", b"1"), put(owner, name, "a", b"22")
    put(owner, name, "a-neighbour")
    owner.delete_object(Bucket=name, Key="a")
    history = s3.versions(name, "a")
    assert [v.version_id for v in history[1:]] == [second, first]
    assert history[0].is_delete_marker
    assert history[0].is_latest
    assert s3.versions(name, "never") == []


def test_a_head_tells_version_size_lock_and_digest(owner, bucket):
    name = bucket("heads", lock=True)
    until = (datetime.now(UTC) + timedelta(days=3)).replace(microsecond=0)
    version = put(
        owner, name, "a", ChecksumAlgorithm="SHA256", ContentType="text/csv", Metadata={"run": "7"},
        ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=until,
    )  # fmt: skip
    head = s3.head(name, "a", version)
    assert (head.version_id, head.size, head.media_type, head.metadata) == (version, 4, "text/csv", {"run": "7"})
    assert head.lock == s3.Lock("GOVERNANCE", until, False)
    assert head.encryption == "AES256"
    assert head.sha256 == hashlib.sha256(b"data").hexdigest()


def test_a_head_without_a_version_is_of_the_newest(owner, bucket):
    name = bucket("newest")
    put(owner, name, "a")
    assert s3.head(name, "a").version_id == s3.list_prefix(name, "a").objects[0].version_id


def test_a_digest_is_of_the_pinned_version_and_reports_progress(owner, bucket):
    name = bucket("digest")
    body = bytes(range(256)) * 10_000
    version = put(owner, name, "big", body)
    put(owner, name, "big", b"replaced")
    told = []
    assert s3.digest(name, "big", version, told.append) == s3.Digest(hashlib.sha256(body).hexdigest(), len(body))
    assert sum(told) == len(body)
    assert max(told) <= s3.CHUNK
    assert len(told) >= 3


def test_one_changed_byte_changes_the_digest(owner, bucket, standin):
    name = bucket("tamper")
    version = put(owner, name, "a", b"0123456789")
    before = s3.digest(name, "a", version)
    standin.tamper(name, "a", version, offset=5)
    after = s3.digest(name, "a", version)
    assert after.size == before.size
    assert after.sha256 != before.sha256


def test_an_empty_object_has_a_digest(owner, bucket):
    name = bucket("hollow")
    assert s3.digest(name, "a", put(owner, name, "a", b"")) == s3.Digest(hashlib.sha256(b"").hexdigest(), 0)


def test_a_stream_that_breaks_is_taken_up_where_it_broke(owner, bucket, monkeypatch):
    name = bucket("broken")
    body = bytes(3 * s3.CHUNK)
    version = put(owner, name, "a", body)
    pieces, starts = s3._pieces, []

    def breaking(client, asked, start):
        starts.append(start)
        for number, piece in enumerate(pieces(client, asked, start)):
            if number == 1 and len(starts) < 3:
                raise ConnectionResetError
            yield piece

    monkeypatch.setattr(s3, "_pieces", breaking)
    assert b"".join(s3.stream(name, "a", version)) == body
    assert starts == [0, s3.CHUNK, 2 * s3.CHUNK]


def test_a_stream_that_keeps_breaking_is_given_up(owner, bucket, monkeypatch):
    version = put(owner, bucket("lost"), "a")

    def broken(*_):
        raise ConnectionResetError
        yield

    monkeypatch.setattr(s3, "_pieces", broken)
    with pytest.raises(StorageUnavailable, match="could not be reached"):
        list(s3.stream("lost", "a", version))


def test_what_is_not_there_is_gone(owner, bucket):
    name = bucket("gone")
    version = put(owner, name, "a")
    owner.delete_object(Bucket=name, Key="a", VersionId=version)
    with pytest.raises(ObjectGone, match=r"gone/a \(version .*\) is not there"):
        list(s3.stream(name, "a", version))
    with pytest.raises(ObjectGone):
        s3.head(name, "a")
    with pytest.raises(ObjectGone, match="no such bucket"):
        s3.list_prefix("no-such-bucket", "")


def test_behind_a_delete_marker_the_pinned_version_can_be_read(owner, bucket):
    name = bucket("behind")
    version = put(owner, name, "a")
    owner.delete_object(Bucket=name, Key="a")
    with pytest.raises(ObjectGone):
        s3.head(name, "a")
    assert s3.head(name, "a", version).size == 4
    assert b"".join(s3.stream(name, "a", version)) == b"data"


def test_a_policy_that_denies_is_told_as_denied(owner, bucket):
    name = bucket("denied")
    version = put(owner, name, "a")
    statement = {"Effect": "Deny", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{name}/*"}
    owner.put_bucket_policy(Bucket=name, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    with pytest.raises(AccessDenied, match="denies access to denied/a"):
        list(s3.stream(name, "a", version))


def test_wrong_credentials_are_told_as_denied(bucket, settings):
    name = bucket("stranger")
    settings.S3_ACCESS_KEY_ID = "AKIASTRANGER00000000"
    with pytest.raises(AccessDenied, match="InvalidAccessKeyId"):
        s3.list_prefix(name, "")


def test_objects_without_a_version_id_cannot_be_pinned(owner, bucket):
    name = bucket("unversioned", versioned=False)
    owner.put_object(Bucket=name, Key="a", Body=b"x")
    for ask in (lambda: s3.list_prefix(name, ""), lambda: s3.head(name, "a"), lambda: s3.stream(name, "a", "null")):
        with pytest.raises(NotVersioned, match="could be replaced without a trace"):
            ask()


def test_a_server_that_is_not_there_is_unavailable(settings, monkeypatch):
    monkeypatch.setattr(s3, "CONFIG", s3.CONFIG.merge(type(s3.CONFIG)(retries={"total_max_attempts": 1})))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        settings.S3_ENDPOINT_URL = f"http://127.0.0.1:{probe.getsockname()[1]}"
        with pytest.raises(StorageUnavailable, match="could not be reached"):
            s3.list_prefix("any", "")


def test_asking_for_a_person_names_the_person_in_cloudtrail(owner, bucket, settings, standin):
    name = bucket("attributed")
    version = put(owner, name, "a")
    settings.S3_PERSON_ROLE_ARN = "arn:aws:iam::111122223333:role/countersign-person"
    with s3.asking_for("0190c0de-0000-7000-8000-000000000001", "Anna Müller"):
        assert s3.client() is s3.client()
        pieces = s3.stream(name, "a", version)
    # Read after the block, as a streamed answer is: still the person's session.
    assert b"".join(pieces) == b"data"
    s3.head(name, "a", version)
    standin.deliver()
    records = [r for r in log_records(owner) if r["requestParameters"].get("bucketName") == name]
    read = next(r for r in records if r["eventName"] == "GetObject")
    assert read["userIdentity"]["sessionContext"]["sourceIdentity"] == "0190c0de-0000-7000-8000-000000000001"
    assert read["userIdentity"]["arn"].endswith("assumed-role/countersign-person/Anna-M-ller")
    head = next(r for r in records if r["eventName"] == "HeadObject")
    assert head["userIdentity"]["sessionContext"]["sessionIssuer"]["userName"] == "countersign-portal"


def log_records(owner):
    for file in owner.list_objects_v2(Bucket="gxp-trail")["Contents"]:
        data = owner.get_object(Bucket="gxp-trail", Key=file["Key"])["Body"].read()
        yield from json.loads(gzip.decompress(data))["Records"]


def test_threads_share_one_client():
    clients = []
    threads = [threading.Thread(target=lambda: clients.append(s3.client())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(client) for client in clients}) == 1
