"""New log files by notification: S3 tells a queue of SQS, and a worker hears of them at once.

A message is a hint and no more. What lies at the key that it names is asked of S3, and goes into the ledger as a listing would
put it there: a message that is forged, late, doubled or out of order changes nothing, and one that is lost is made good by the
listing with its look-back. Messages are deleted once the ledger holds what they speak of. One that cannot be read is left, for
the queue's own rules to put it into a dead-letter queue.

Forms: S3's event notification (its keys are URL-encoded), EventBridge's "Object Created", and CloudTrail's own notification
(`s3ObjectKey`), each as it is or in a notification of SNS. Sources: S3 user guide, "Event message structure" and "EventBridge
event message structure"; CloudTrail user guide, "Configuring Amazon SNS notifications"; SNS developer guide, "Parsing message
formats".
"""

import logging
import re
import time
import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import unquote_plus, urlsplit

import boto3
import msgspec
from botocore.exceptions import BotoCoreError, ClientError
from django.conf import settings
from msgspec import Struct

from cloudtrail import bucket, keys
from cloudtrail.ingest import FETCHERS, note
from cloudtrail.models import Trail
from storage.s3 import CONFIG, StorageError, StorageUnavailable

log = logging.getLogger(__name__)
AT_ONCE = 10
"""Messages of one request: SQS gives no more."""
WAIT = 1
"""Seconds that SQS waits for a message: with any, it asks all of its servers."""
HIDDEN = 120
"""Seconds for which a message is shown to nobody else; then it comes again unless it was deleted."""


SUBSCRIBED = "CloudTrail validation message"
"""What CloudTrail sends once to a new topic."""


class Place(NamedTuple):
    """Where a message says that an object was put."""

    bucket: str
    key: str


class Unintelligible(Exception):
    """A message in none of the known forms; the text says what is wrong with it."""


# --- What a message says ----------------------------------------------------------------------------------------------


class _Bucket(Struct):
    name: str


class _Object(Struct):
    key: str


class _S3(Struct):
    bucket: _Bucket
    object: _Object


class _Record(Struct, rename="camel"):
    event_name: str
    s3: _S3


class _Detail(Struct):
    bucket: _Bucket
    object: _Object


class _Message(Struct):
    """All forms at once; which one it is shows in the fields that are there."""

    records: list[_Record] | None = msgspec.field(default=None, name="Records")
    source: str = ""
    detail_type: str = msgspec.field(default="", name="detail-type")
    detail: _Detail | None = None
    event: str = msgspec.field(default="", name="Event")
    message: str | None = msgspec.field(default=None, name="Message")
    bucket: str | None = msgspec.field(default=None, name="s3Bucket")
    keys: list[str] | None = msgspec.field(default=None, name="s3ObjectKey")


_DECODER = msgspec.json.Decoder(_Message)


def places(body: str, wrapped: bool = False) -> list[Place]:
    """The objects that a message says were put. Raises `Unintelligible`."""
    try:
        told = _DECODER.decode(body)
    except (ValueError, RecursionError) as error:
        raise Unintelligible(str(error)) from error
    if told.message is not None and not wrapped:
        return [] if told.message.startswith(SUBSCRIBED) else places(told.message, wrapped=True)
    if told.records is not None:
        created = [record.s3 for record in told.records if record.event_name.startswith("ObjectCreated:")]
        return [Place(one.bucket.name, unquote_plus(one.object.key)) for one in created]
    if told.detail is not None and (told.source, told.detail_type) == ("aws.s3", "Object Created"):
        return [Place(told.detail.bucket.name, told.detail.object.key)]
    if told.bucket is not None and told.keys is not None:
        return [Place(told.bucket, key) for key in told.keys]
    if told.event == "s3:TestEvent":
        return []
    raise Unintelligible("It is none of the known notifications.")


# --- Hearing ----------------------------------------------------------------------------------------------------------


@dataclass
class Heard:
    """What the queue came to. `passed_by` counts objects that are no log file of a trail that is pulled: digests among them."""

    messages: int = 0
    unintelligible: int = 0
    passed_by: int = 0
    new: int = 0
    trails: set[uuid.UUID] = field(default_factory=set)


def hear(seconds: float = 60) -> Heard:
    """Put the files that the queue speaks of into the ledger, until it is empty, or for so long. Raises `StorageError`."""
    heard, ends = Heard(), time.monotonic() + seconds
    with ThreadPoolExecutor(FETCHERS) as pool:
        while time.monotonic() < ends and (messages := _receive()):
            _take_in(messages, heard, pool)
    if heard.unintelligible:
        log.warning(
            "%d messages in the queue of CloudTrail are no notification, and were left there", heard.unintelligible
        )
    return heard


def _take_in(messages: list[dict[str, Any]], heard: Heard, pool: ThreadPoolExecutor) -> None:
    """Note what these messages speak of, then delete them. One whose bucket does not answer stays, and comes again."""
    heard.messages += len(messages)
    read: dict[str, set[Place]] = {}
    for message in messages:
        try:
            read[message["ReceiptHandle"]] = set(places(message["Body"]))
        except Unintelligible as error:
            heard.unintelligible += 1
            log.warning("message %s in the queue of CloudTrail was not read: %s", message.get("MessageId"), error)
    wanted = dict(_of_trails(set().union(*read.values())))
    unanswered: set[Place] = set()
    found: dict[Trail, list[bucket.Listed]] = defaultdict(list)
    for place, answer in zip(wanted, pool.map(_ask, wanted), strict=True):
        if isinstance(answer, StorageError):
            log.warning("s3://%s/%s could not be asked for: %s", *place, answer)
            unanswered.add(place)
        else:
            found[wanted[place]] += answer
    for trail, listed in found.items():
        if new := note(trail, listed):
            heard.new += new
            heard.trails.add(trail.pk)
    done = [handle for handle, told in read.items() if not told & unanswered]
    heard.passed_by += sum(len(read[handle] - wanted.keys()) for handle in done)
    _delete(done)


def _of_trails(told: Iterable[Place]) -> Iterator[tuple[Place, Trail]]:
    """The places of log files where a trail that is pulled delivers, with that trail."""
    by_bucket: dict[str, list[Trail]] = defaultdict(list)
    for trail in Trail.objects.filter(enabled=True).exclude(bucket=""):
        by_bucket[trail.bucket].append(trail)
    for place in told:
        name = keys.parse(place.key)
        if name is None:
            continue
        for trail in by_bucket[place.bucket]:
            where = (trail.prefix, trail.organisation, trail.account)
            if (name.prefix, name.organisation, name.account) == where and trail.region in ("", name.region):
                yield place, trail


def _ask(place: Place) -> list[bucket.Listed] | StorageError:
    """The versions that lie at a key; none if it is gone again. Runs in a thread."""
    try:
        return [found for found in bucket.list_versions(*place) if found.key == place.key]
    except StorageError as error:
        return error


# --- The queue --------------------------------------------------------------------------------------------------------


def _receive() -> list[dict[str, Any]]:
    try:
        answer = _client().receive_message(
            QueueUrl=settings.CLOUDTRAIL_QUEUE_URL,
            MaxNumberOfMessages=AT_ONCE,
            WaitTimeSeconds=WAIT,
            VisibilityTimeout=HIDDEN,
        )
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        raise StorageError(f"The queue {settings.CLOUDTRAIL_QUEUE_URL} cannot be read ({code}).") from error
    except BotoCoreError as error:
        raise StorageUnavailable(f"The queue {settings.CLOUDTRAIL_QUEUE_URL} could not be reached.") from error
    return list(answer.get("Messages", []))


def _delete(handles: list[str]) -> None:
    """One that is not deleted comes again, and changes nothing."""
    if not handles:
        return
    entries = [{"Id": str(number), "ReceiptHandle": handle} for number, handle in enumerate(handles)]
    try:
        _client().delete_message_batch(QueueUrl=settings.CLOUDTRAIL_QUEUE_URL, Entries=entries)
    except (ClientError, BotoCoreError):
        log.warning("messages of the queue of CloudTrail were not deleted, and come again", exc_info=True)


def _client() -> Any:
    return _made(settings.CLOUDTRAIL_QUEUE_URL, settings.S3_ACCESS_KEY_ID, settings.S3_SECRET_ACCESS_KEY)


@lru_cache(maxsize=8)
def _made(url: str, key_id: str | None, secret: str | None) -> Any:
    """A client that asks the host of the queue's URL, in the region that it names."""
    parts = urlsplit(url)
    named = re.search(r"(?:^|\.)sqs\.([a-z]{2}(?:-[a-z]+)+-\d)\.", parts.hostname or "")
    region = named[1] if named else settings.S3_REGION
    own = boto3.session.Session(aws_access_key_id=key_id, aws_secret_access_key=secret, region_name=region)
    return own.client("sqs", endpoint_url=f"{parts.scheme}://{parts.netloc}", config=CONFIG)
