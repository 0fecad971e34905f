"""Events that security must hear of at once: logging stopped, protection of a bucket changed, a key endangered, a lock bypassed.

Ingest raises them in the transaction that stores the event, so each event raises its alarm once, whatever is delivered again.
Events alike about one place (the same call on the same trail, say) count on in one open alarm; each count says which event it
was. A try that AWS refused is told as well.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings

from audit.alarms import Kind, raise_alarm
from audit.trail import Subject
from cloudtrail import sentences
from cloudtrail.events import Event, Parameters
from cloudtrail.models import Actor, Trail
from cloudtrail.rows import target
from cloudtrail.touches import main_touch
from storage.models import Bucket

LOGGING = frozenset(
    {"StopLogging", "DeleteTrail", "UpdateTrail", "PutEventSelectors"},
)
KEYS = frozenset({"ScheduleKeyDeletion", "DisableKey", "DeleteImportedKeyMaterial"})
PROTECTION = frozenset(
    {
        "PutBucketLifecycle",
        "PutBucketLifecycleConfiguration",
        "DeleteBucketLifecycle",
        "PutBucketObjectLockConfiguration",
        "PutObjectLockConfiguration",
        "PutBucketVersioning",
    }
)
WATCHED = LOGGING | KEYS | PROTECTION


@dataclass(frozen=True)
class Alarming:
    """An event to raise an alarm of, and where it stands."""

    event: Event
    kind: Kind
    time: datetime
    file_id: int
    ordinal: int
    actor_id: int


def found(events: Sequence[Event]) -> list[tuple[int, Kind]]:
    """The events of a file to raise an alarm of, by index."""
    return [
        (ordinal, kind)
        for ordinal, event in enumerate(events)
        if (event.event_name in WATCHED or (type(event.request) is Parameters and event.request.bypass is not None))
        and (kind := kind_of(event)) is not None
    ]


def kind_of(event: Event) -> Kind | None:
    """The kind of alarm that an event raises, whatever bucket it is about; None for nearly all events."""
    if event.event_name not in WATCHED:
        return Kind.LOCK_BYPASSED if _bypasses(event) else None
    match event.event_source:
        case "cloudtrail.amazonaws.com" if event.event_name in LOGGING:
            return Kind.LOGGING_CHANGED
        case "kms.amazonaws.com" if event.event_name in KEYS:
            return Kind.KEY_ENDANGERED
        case "s3.amazonaws.com" if event.event_name in PROTECTION:
            return Kind.PROTECTION_CHANGED
    return None


def _bypasses(event: Event) -> bool:
    """Deleting, or shortening the retention of, what governance mode holds (the only mode with a way around)."""
    request = event.request
    return type(request) is Parameters and str(request.bypass).lower() == "true"


def tell(found: Iterable[Alarming]) -> None:
    """Raise the alarms, within the caller's transaction. What concerns a bucket that is not the portal's is left out."""
    found = list(found)
    if not found:
        return
    ours = _own_buckets()
    actors = Actor.objects.in_bulk({one.actor_id for one in found})
    for one in sorted(found, key=lambda one: (one.time, one.file_id, one.ordinal)):
        bucket = main_touch(one.event).bucket
        if not bucket or bucket in ours:
            detail = {"event": one.event.event_id, "file": one.file_id, "ordinal": one.ordinal}
            raise_alarm(one.kind, _place(one, bucket), _sentence(one, actors[one.actor_id], bucket), detail=detail)


def _own_buckets() -> set[str]:
    registered = Bucket.objects.values_list("name", flat=True)
    delivered = Trail.objects.exclude(bucket="").values_list("bucket", flat=True)
    return {*registered, *delivered, settings.WORM_BUCKET, settings.ANCHOR_BUCKET}


def _place(one: Alarming, bucket: str) -> Subject:
    event = one.event
    place = bucket or target(event) or event.recipient_account or "an unnamed place"
    label = sentences.shown(f"{event.event_name} on {place}").replace("\0", "")
    return Subject("aws", f"{event.event_source}|{event.event_name}|{place}"[:400].replace("\0", ""), label[:200])


def _sentence(one: Alarming, actor: Actor, bucket: str) -> str:
    """Who called what, where and when. No key is named: a record may be hidden from whoever reads the alarm."""
    event = one.event
    who = sentences.actor(actor.standing, actor.name)
    place = f"bucket {bucket}" if bucket else target(event) or f"account {event.recipient_account}"
    what = "the governance retention" if one.kind == Kind.LOCK_BYPASSED else event.event_name
    verb = (
        ("tried to bypass" if event.error_code else "bypassed")
        if one.kind == Kind.LOCK_BYPASSED
        else ("tried to call" if event.error_code else "called")
    )
    of = "in" if one.kind == Kind.LOCK_BYPASSED else "on"
    if actor.standing != "PROVEN":  # a name stays as it is written
        who = f"{who[:1].upper()}{who[1:]}"
    told = f"{who} {verb} {what} {of} {place} at {one.time:%Y-%m-%d %H:%M:%S} UTC"
    refused = f"; AWS answered {event.error_code}" if event.error_code else ""
    return sentences.shown(f"{told}{refused}.").replace("\0", "")
