"""Which objects an event touches; keys are compared byte for byte."""

import unicodedata
from urllib.parse import quote

import pytest
from hypothesis import given as generated
from hypothesis import strategies as st

from cloudtrail.events import parse
from cloudtrail.touches import Reach, Touch, main_touch, touches
from tests.cloudtrail import given

ODD_KEYS = [
    "a+b",
    "a b",
    "a%20b",
    "a%2Bb",
    unicodedata.normalize("NFC", "é"),
    unicodedata.normalize("NFD", "é"),
    "../x",
    "k?versionId=1",
    "runs/",
    "//",
    "arn:aws:s3:::x/y",
    "tab\tand\nline",
    "=HYPERLINK(1)",
    "<script>",
]


def touched(*args, **kwargs):
    return touches(parse(given.packed([given.s3(*args, **kwargs)])).events[0])


@pytest.mark.parametrize("key", ODD_KEYS)
def test_a_read_touches_exactly_its_key(key):
    assert touched(key=key) == [Touch(given.BUCKET, key, "", Reach.OBJECT)]


def test_the_version_is_the_one_asked_for():
    assert touched(parameters={"versionId": "v7"}) == [Touch(given.BUCKET, "runs/r1.fastq.gz", "v7", Reach.OBJECT)]


def test_a_write_touches_the_version_that_the_answer_names():
    told = touched("PutObject", responseElements={"x-amz-version-id": "v8"})
    assert told == [Touch(given.BUCKET, "runs/r1.fastq.gz", "v8", Reach.OBJECT)]


@pytest.mark.parametrize("key", ODD_KEYS)
def test_a_copy_touches_its_source_by_the_encoded_header_alone(key):
    header = f"{given.BUCKET}/{quote(key)}?versionId=v3"
    told = touched(
        "CopyObject", "copies/out", bucket="elsewhere", parameters={"x-amz-copy-source": header}, resources=None
    )
    assert Touch(given.BUCKET, key, "v3", Reach.SOURCE) in told
    assert told[0] == Touch("elsewhere", "copies/out", "", Reach.OBJECT)


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_plus_in_the_header_is_read_both_ways_unless_resources_say_which(slash):
    asked = {"x-amz-copy-source": f"{slash}{given.BUCKET}/a+b"}
    unsure = touched("CopyObject", "out", parameters=asked, resources=None)
    assert {touch.key for touch in unsure[1:]} == {"a+b", "a b"}
    sure = touched("CopyObject", "out", parameters=asked)
    assert [touch.key for touch in sure[1:]] == ["a+b"]


def test_a_copy_source_is_found_in_resources_alone():
    resources = [{"ARN": f"arn:aws:s3:::{given.BUCKET}/secret"}, {"ARN": "arn:aws:s3:::elsewhere/out"}]
    told = touched("CopyObject", "out", bucket="elsewhere", resources=resources)
    assert Touch(given.BUCKET, "secret", "", Reach.SOURCE) in told


def test_a_batch_delete_may_include_everything_below_its_prefix():
    resources = [
        {"type": "AWS::S3::Object", "ARNPrefix": f"arn:aws:s3:::{given.BUCKET}/runs/"},
        {"type": "AWS::S3::Bucket", "ARN": f"arn:aws:s3:::{given.BUCKET}"},
    ]
    assert touched("DeleteObjects", "", resources=resources) == [Touch(given.BUCKET, "runs/", "", Reach.PREFIX)]


def test_a_listing_may_include_everything_below_its_prefix():
    assert touched("ListObjects", "", parameters={"prefix": "runs/"}) == [
        Touch(given.BUCKET, "runs/", "", Reach.PREFIX)
    ]
    assert touched("ListObjects", "") == [Touch(given.BUCKET, "", "", Reach.PREFIX)]


def test_a_change_of_a_bucket_affects_it_and_a_look_at_it_does_not():
    assert touched("PutBucketPolicy", "") == [Touch(given.BUCKET, "", "", Reach.BUCKET)]
    assert touched("GetBucketPolicy", "") == []


def test_an_access_point_gives_way_to_the_bucket_that_resources_name():
    told = touched(bucket="arn:aws:s3:eu-central-1:111122223333:accesspoint/ngs", resources=[
        {"ARN": f"arn:aws:s3:::{given.BUCKET}/runs/r1.fastq.gz"}, {"ARN": f"arn:aws:s3:::{given.BUCKET}"}])  # fmt: skip
    assert told[0] == Touch(given.BUCKET, "runs/r1.fastq.gz", "", Reach.OBJECT)


@pytest.mark.parametrize(
    ("source", "name", "affects"),
    [
        ("cloudtrail.amazonaws.com", "StopLogging", True),
        ("cloudtrail.amazonaws.com", "LookupEvents", False),
        ("kms.amazonaws.com", "ScheduleKeyDeletion", True),
        ("kms.amazonaws.com", "Decrypt", False),
        ("dynamodb.amazonaws.com", "GetItem", False),
    ],
)
def test_trail_and_key_events_affect_every_record(source, name, affects):
    told = touched(
        name, eventSource=source, requestParameters={"name": "t", "key": "k", "bucketName": "b"}, resources=None
    )
    assert told == ([Touch("", "", "", Reach.ALL)] if affects else [])


@generated(st.text(min_size=1, max_size=40).filter(lambda text: "\0" not in text and text.isprintable()))
def test_any_key_is_touched_as_it_is(key):
    event = parse(given.packed([given.s3(key=key)])).events[0]
    assert main_touch(event).key == key
    assert len(touches(event)) == 1
