"""New files are heard of from a queue; what a message says is a hint, and the listing completes it."""

import json
import random
from urllib.parse import quote_plus

import boto3
import pytest
from botocore.config import Config

from cloudtrail import ingest, notifications, tasks, transitions
from cloudtrail.models import Event, LogFile
from cloudtrail.notifications import Place, Unintelligible, places
from jobs import queue
from jobs.models import Job
from storage import s3
from tests.cloudtrail import bucket_of_logs, given
from tests.cloudtrail.bucket_of_logs import put, today

BUCKET, KEY = "logs", "a b/AWSLogs/" + "é+%.json.gz"


def from_s3(bucket=BUCKET, key=KEY, name="ObjectCreated:Put"):
    """As in the S3 user guide, "Event message structure"."""
    told = {"bucket": {"name": bucket, "arn": f"arn:aws:s3:::{bucket}"}, "object": {"key": quote_plus(key), "size": 7}}
    return json.dumps({"Records": [{"eventVersion": "2.1", "eventSource": "aws:s3", "eventName": name, "s3": told}]})


def from_eventbridge(bucket=BUCKET, key=KEY):
    detail = {
        "version": "0",
        "bucket": {"name": bucket},
        "object": {"key": key, "size": 7, "etag": "e"},
        "reason": "PutObject",
    }
    return json.dumps({"version": "0", "source": "aws.s3", "detail-type": "Object Created", "detail": detail})


def from_cloudtrail(bucket=BUCKET, key=KEY):
    return json.dumps({"s3Bucket": bucket, "s3ObjectKey": [key]})


def by_sns(message):
    return json.dumps({"Type": "Notification", "MessageId": "m", "TopicArn": "arn:aws:sns:x", "Message": message})


FORMS = (from_s3, from_eventbridge, from_cloudtrail)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_understood_as_it_is_and_through_sns(form):
    assert places(form()) == places(by_sns(form())) == [Place(BUCKET, KEY)]


def test_what_is_no_new_object_names_none():
    test_event = {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": BUCKET}
    for body in (
        from_s3(name="ObjectRemoved:Delete"),
        json.dumps(test_event),
        by_sns("CloudTrail validation message."),
    ):
        assert places(body) == []


HOSTILE = [
    "",
    "no JSON",
    "{}",
    "[]",
    "null",
    "[" * 100_000,
    '{"Records": 7}',
    '{"Records": [{}]}',
    '{"Records": [{"eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": 7}, "object": {"key": "k"}}}]}',
    '{"s3Bucket": "b", "s3ObjectKey": "k"}',
    '{"source": "aws.s3", "detail-type": "Object Created", "detail": null}',
    by_sns(by_sns(from_s3())),
    by_sns("no JSON"),
]


@pytest.mark.parametrize("body", HOSTILE, ids=range(len(HOSTILE)))
def test_what_is_no_notification_is_refused(body):
    with pytest.raises(Unintelligible):
        places(body)


# --- With a queue -----------------------------------------------------------------------------------------------------


@pytest.fixture
def trail(empty, request):
    return bucket_of_logs.make(request.node.nodeid)


@pytest.fixture
def messages(trail, settings, monkeypatch):
    """A queue of the stand-in that the trail's bucket tells of new objects; its client."""
    sqs = boto3.client(
        "sqs", endpoint_url=settings.S3_ENDPOINT_URL, region_name=given.REGION,
        aws_access_key_id=settings.S3_ACCESS_KEY_ID, aws_secret_access_key=settings.S3_SECRET_ACCESS_KEY,
    )  # fmt: skip
    settings.CLOUDTRAIL_QUEUE_URL = sqs.create_queue(QueueName=trail.bucket)["QueueUrl"]
    told = {"QueueArn": f"arn:aws:sqs:{given.REGION}:{given.ACCOUNT}:{trail.bucket}", "Events": ["s3:ObjectCreated:*"]}
    s3.client().put_bucket_notification_configuration(
        Bucket=trail.bucket, NotificationConfiguration={"QueueConfigurations": [told]}
    )
    monkeypatch.setattr(notifications, "WAIT", 0)
    notifications.hear()  # S3 sends a test event when it is set up
    return sqs


def left(messages, settings):
    """Messages of the queue, those included that are hidden for a while."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    told = messages.get_queue_attributes(QueueUrl=settings.CLOUDTRAIL_QUEUE_URL, AttributeNames=names)["Attributes"]
    return sum(int(told[name]) for name in names)


def say(messages, settings, *bodies):
    for body in bodies:
        messages.send_message(QueueUrl=settings.CLOUDTRAIL_QUEUE_URL, MessageBody=body)


def test_a_new_file_is_heard_of_and_read_without_a_listing(trail, messages, settings, monkeypatch):
    put(trail, today(1), given.packed([given.s3()]))
    put(trail, today(2).replace("/CloudTrail/", "/CloudTrail-Digest/"), b"a digest is passed by")
    monkeypatch.setattr(ingest, "discover", None)
    tasks.hear()
    assert left(messages, settings) == 0
    assert queue.run(Job.objects.get(kind="cloudtrail.read").pk).state == "done"
    assert Event.objects.count() == 1


@pytest.mark.compliance("F3", "F18")
def test_compliance_messages_doubled_late_and_out_of_order_change_nothing(trail, messages, settings):
    """And the listing finds what no message tells."""
    files = [today(number) for number in range(4)]
    for key in files:
        put(trail, key, given.packed([given.s3()]))
    told = [form(trail.bucket, key) for key in files[:3] for form in FORMS] * 3
    random.Random(7).shuffle(told)
    messages.purge_queue(QueueUrl=settings.CLOUDTRAIL_QUEUE_URL)
    say(messages, settings, *told[:15])
    assert notifications.hear().messages == 15
    say(messages, settings, *told[15:])
    notifications.hear()
    assert LogFile.objects.count() == 3
    transitions.pull(trail)
    assert (LogFile.objects.filter(state="stored").count(), Event.objects.count()) == (4, 4)
    say(messages, settings, *told)
    assert notifications.hear().new == 0
    transitions.pull(trail)
    assert (LogFile.objects.count(), Event.objects.count(), left(messages, settings)) == (4, 4, 0)


@pytest.mark.compliance("11.10(h)")
def test_compliance_only_what_lies_where_a_trail_delivers_gets_into_the_ledger(trail, messages, settings):
    """Whoever may write to the queue cannot bring a file in, nor another object, nor one that is not there."""
    for key in (elsewhere := ["other/" + today(1), today(1).replace(given.ACCOUNT, "999999999999"), "notes.txt"]):
        put(trail, key, given.packed([given.s3()]))
    say(messages, settings, from_s3(trail.bucket, today(7)), from_s3("somebody-elses", today(1)))
    heard = notifications.hear()
    assert (heard.messages, heard.passed_by, heard.new) == (len(elsewhere) + 2, len(elsewhere) + 1, 0)
    assert not LogFile.objects.exists()
    assert left(messages, settings) == 0


def test_a_trail_that_is_not_pulled_or_of_another_region_hears_nothing(trail, messages, settings):
    put(trail, today(1), given.packed([given.s3()]))
    with transitions.transaction.atomic():
        transitions.Trail.objects.filter(pk=trail.pk).update(region="us-east-1")
        transitions.trail.record(transitions.Action.TRAIL_CHANGED, trail, by=transitions.trail.SYSTEM)
    assert notifications.hear().passed_by == 1
    assert not LogFile.objects.exists()


def test_hostile_messages_are_counted_and_left_to_the_queue_and_stop_nothing(trail, messages, settings):
    say(messages, settings, *[body for body in HOSTILE if body])
    put(trail, today(1), given.packed([given.s3()]))
    heard = notifications.hear()
    assert (heard.unintelligible, heard.new) == (len(HOSTILE) - 1, 1)
    assert left(messages, settings) == len(HOSTILE) - 1


@pytest.mark.compliance("F1")
def test_compliance_a_message_is_deleted_only_when_the_ledger_holds_its_file(trail, messages, settings, monkeypatch):
    put(trail, today(1), given.packed([given.s3()]))
    monkeypatch.setattr(notifications, "note", cut_off)
    with pytest.raises(ConnectionError):
        notifications.hear()
    assert left(messages, settings) == 1
    monkeypatch.undo()


def cut_off(*_):
    raise ConnectionError("the database went away")


@pytest.mark.compliance("F7")
def test_compliance_a_bucket_that_does_not_answer_keeps_its_message(trail, messages, settings, monkeypatch):
    put(trail, today(1), given.packed([given.s3()]))

    def unavailable(*_):
        raise s3.StorageUnavailable("S3 cannot serve it at the moment.")

    monkeypatch.setattr(notifications.bucket, "list_versions", unavailable)
    assert notifications.hear().new == 0
    assert left(messages, settings) == 1


def test_without_a_queue_nothing_is_asked_and_a_queue_that_is_away_is_said(settings, monkeypatch):
    monkeypatch.setattr(notifications, "hear", None)
    tasks.hear()
    monkeypatch.undo()
    settings.CLOUDTRAIL_QUEUE_URL = "http://127.0.0.1:9/111122223333/none"
    monkeypatch.setattr(notifications, "CONFIG", notifications.CONFIG.merge(Config(retries={"max_attempts": 0})))
    with pytest.raises(s3.StorageUnavailable, match="could not be reached"):
        notifications.hear()
