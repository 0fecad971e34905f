"""Which objects an event touches. Pure.

S3 names what was touched in five places, and a reader who looks only at the first misses copies out and batch deletes:
the request's bucket and key; the versions in request and answer; `resources[]`, which for a copy holds the source too; the
header `x-amz-copy-source`; and `ARNPrefix`, the only trace that a batch delete or a listing leaves.

Keys are compared byte for byte. Only the copy source is documented as URL-encoded, so only that is decoded.
"""

from enum import StrEnum
from typing import NamedTuple
from urllib.parse import unquote, unquote_plus

from cloudtrail.events import Event, Parameters, Resource


class Reach(StrEnum):
    """How far a touch reaches; stored as one character."""

    OBJECT = "o"
    SOURCE = "s"
    PREFIX = "p"
    BUCKET = "b"
    ALL = "a"
    NONE = ""


class Touch(NamedTuple):
    """One thing an event touched.

    OBJECT: the object `key`, at `version` or, when that is empty, at an unnamed one. SOURCE: the same, read to be copied
    elsewhere. PREFIX: anything that begins with `key` may be included. BUCKET: the configuration of the bucket changed.
    ALL: a trail or an encryption key changed, so that every record may be affected. NONE: nothing of interest, kept for
    its bucket name only.
    """

    bucket: str
    key: str
    version: str
    reach: Reach


NOWHERE = Touch("", "", "", Reach.NONE)

LISTINGS = frozenset({"ListObjects", "ListObjectsV2", "ListObjectVersions", "ListMultipartUploads", "DeleteObjects"})
"""S3 calls that concern the objects below a prefix, without a key of their own."""

COPIES = frozenset({"CopyObject", "UploadPartCopy"})

AFFECTS_ALL = {
    "cloudtrail.amazonaws.com": frozenset(
        {"StopLogging", "StartLogging", "DeleteTrail", "UpdateTrail", "CreateTrail", "PutEventSelectors"}
    ),
    "kms.amazonaws.com": frozenset(
        {
            "ScheduleKeyDeletion",
            "CancelKeyDeletion",
            "DisableKey",
            "EnableKey",
            "PutKeyPolicy",
            "DisableKeyRotation",
            "EnableKeyRotation",
            "DeleteImportedKeyMaterial",
        }
    ),
    "s3.amazonaws.com": frozenset(
        {
            "PutAccountPublicAccessBlock",
            "DeleteAccountPublicAccessBlock",
            "CreateAccessPoint",
            "DeleteAccessPoint",
            "PutAccessPointPolicy",
            "DeleteAccessPointPolicy",
            "CreateMultiRegionAccessPoint",
            "PutMultiRegionAccessPointPolicy",
            "CreateJob",
            "JobCreated",
        }
    ),
}
"""Calls that name no bucket, after which the state of every record may be another: no record can be told apart in them."""

_ARN = "arn:aws"


def main_touch(event: Event) -> Touch:
    """The first thing that `event` touches: the one that is stored with the event itself."""
    request = event.request
    if event.event_source != "s3.amazonaws.com":
        return _affects_all(event)
    bucket, key = _named_object(event)
    if not bucket:
        return _affects_all(event)
    if key:
        return Touch(bucket, key, _version(event), Reach.OBJECT)
    if event.event_name in LISTINGS:
        prefix = _text(request.prefix) if isinstance(request, Parameters) else ""
        if event.event_name == "DeleteObjects":
            # The keys are in a body that CloudTrail does not record; the narrowest true statement is in `resources`.
            prefix = next((key for name, key in _prefixes(event) if name == bucket), prefix)
        return Touch(bucket, prefix, "", Reach.PREFIX)
    only_read = event.read_only is True or event.event_name.startswith(("Get", "Head", "List"))
    return Touch(bucket, "", "", Reach.NONE if only_read else Reach.BUCKET)


def further_touches(event: Event, main: Touch) -> list[Touch]:
    """Everything else that `event` touches, without repeats: copy sources, further resources, further prefixes."""
    if event.event_source != "s3.amazonaws.com":
        return []
    if _nothing_further(event, main):
        return []
    found: dict[Touch, None] = {}
    objects = _objects(event)
    if event.event_name in COPIES:
        sources = _copy_sources(event)
        # A plus sign in the header may stand for itself or for a space; `resources` says which, where it is there.
        stated = [source for source in sources if (source.bucket, source.key) in objects]
        found.update(dict.fromkeys(stated or sources))
    told = {(main.bucket, main.key)} | {(touch.bucket, touch.key) for touch in found}
    reach = Reach.SOURCE if event.event_name in COPIES else Reach.OBJECT
    for bucket, key in objects:
        if (bucket, key) not in told:
            # An access point's alias hides the bucket's name, which only `resources` gives: the version is the request's.
            version = main.version if key == main.key and reach is Reach.OBJECT else ""
            found[Touch(bucket, key, version, reach)] = None
    for bucket, key in _prefixes(event):
        if main.reach is not Reach.PREFIX or not key.startswith(main.key) or bucket != main.bucket:
            found[Touch(bucket, key, "", Reach.PREFIX)] = None
    found.pop(main, None)
    return list(found)


def touches(event: Event) -> list[Touch]:
    """Everything that `event` touches, the main thing first; empty when it touches no object, bucket or trail."""
    main = main_touch(event)
    rest = further_touches(event, main)
    return rest if main.reach is Reach.NONE else [main, *rest]


def _nothing_further(event: Event, main: Touch) -> bool:
    """True in the usual case, quickly: no copy, and `resources` repeats the main touch, its bucket, and nothing else."""
    if event.event_name in COPIES:
        return False
    if event.resources is None:
        return True
    if type(event.resources) is not tuple:
        return False
    bucket = f"arn:aws:s3:::{main.bucket}"
    for resource in event.resources:
        if type(resource) is not Resource or resource.arn_prefix is not None:
            return False
        if resource.arn != bucket and resource.arn != f"{bucket}/{main.key}":
            return False
    return True


def _affects_all(event: Event) -> Touch:
    if event.event_name in AFFECTS_ALL.get(event.event_source, ()):
        return Touch("", "", "", Reach.ALL)
    return NOWHERE


def _named_object(event: Event) -> tuple[str, str]:
    """Bucket and key as the request names them, else as `resources` does (an access point hides the bucket's name)."""
    request = event.request
    bucket = key = ""
    if type(request) is Parameters:
        bucket, key = _text(request.bucket), _text(request.key)
    if bucket.startswith(_ARN) or not bucket:
        stated = [name for name, path in _objects(event) if path == key] or [name for name, path in _buckets(event)]
        bucket = stated[0] if stated else bucket
    return bucket, key


def _version(event: Event) -> str:
    """The version that request or answer names; "" when neither does."""
    named = _text(event.request.version) if isinstance(event.request, Parameters) else ""
    return named or _text(getattr(event.response, "version", None))


def _copy_sources(event: Event) -> list[Touch]:
    """What `x-amz-copy-source` may mean: [/]bucket/key[?versionId=...], URL-encoded, or an access point's ARN."""
    header = _text(event.request.copy_source) if isinstance(event.request, Parameters) else ""
    path, _, version = header.partition("?versionId=")
    path = path.removeprefix("/")
    found: dict[Touch, None] = {}
    for decode in (unquote, unquote_plus):
        decoded = decode(path)
        point, marker, key = decoded.partition("/object/") if decoded.startswith(_ARN) else decoded.partition("/")
        if marker and key:
            found[Touch(point, key, decode(version), Reach.SOURCE)] = None
    return list(found)


def _objects(event: Event) -> list[tuple[str, str]]:
    return [(bucket, key) for bucket, key in _split(event, "arn") if key]


def _buckets(event: Event) -> list[tuple[str, str]]:
    return [(bucket, key) for bucket, key in _split(event, "arn") if not key]


def _prefixes(event: Event) -> list[tuple[str, str]]:
    return _split(event, "arn_prefix")


def _split(event: Event, field: str) -> list[tuple[str, str]]:
    """(bucket, key) of every S3 resource that gives `field`: arn:aws:s3:::bucket[/key], in any partition."""
    found = []
    for resource in event.resources if isinstance(event.resources, tuple) else ():
        arn = _text(getattr(resource, field)) if isinstance(resource, Resource) else ""
        parts = arn.split(":", 5)
        if len(parts) == 6 and parts[2] == "s3" and parts[3] == parts[4] == "":
            bucket, _, key = parts[5].partition("/")
            found.append((bucket, key))
    return found


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
