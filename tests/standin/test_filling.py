from datetime import UTC, datetime

from standin.filling import Filler, make_bucket
from tests.standin.conftest import client
from tests.standin.test_trail import delivered

THEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_an_object_can_be_as_old_as_the_demo_needs_it(standin):
    make_bucket(standin.url, "aged")
    version = Filler(standin.url).put("aged", "run/a b", b"old", created=THEN)
    head = client(standin.url).head_object(Bucket="aged", Key="run/a b", VersionId=version)
    assert head["LastModified"] == THEN
    listed = client(standin.url).list_object_versions(Bucket="aged")["Versions"]
    assert [(found["VersionId"], found["LastModified"]) for found in listed] == [(version, THEN)]
    assert not [record for record in delivered(standin, "aged") if record["eventName"] == "PutObject"]


def test_without_a_date_it_is_an_ordinary_write(standin):
    make_bucket(standin.url, "aged")
    filler = Filler(standin.url)
    filler.put("aged", "old", b"x", created=THEN)
    filler.put("aged", "new", b"x")
    head = client(standin.url).head_object(Bucket="aged", Key="new")
    assert head["LastModified"].year >= datetime.now(UTC).year
    put = [record for record in delivered(standin, "aged") if record["eventName"] == "PutObject"]
    assert [record["requestParameters"]["key"] for record in put] == ["new"]
    assert put[0]["userIdentity"]["sessionContext"]["sessionIssuer"]["userName"] == "ngs-pipeline"


def test_a_bucket_is_made_once_and_closed_to_the_public(standin):
    for _ in range(2):
        make_bucket(standin.url, "closed")
    s3 = client(standin.url)
    assert all(s3.get_public_access_block(Bucket="closed")["PublicAccessBlockConfiguration"].values())
    assert (
        s3.get_object_lock_configuration(Bucket="closed")["ObjectLockConfiguration"]["ObjectLockEnabled"] == "Enabled"
    )
