"""Read one CloudTrail log file: bounded gunzip, hashes, typed decode. Pure: no database, no network.

A file either reads completely or raises `Unreadable` with a sentence for the quarantine; nothing in it is skipped. Only the
fields that the portal asks about are decoded; the whole event stays in its file, to which (file, index) points.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
from isal import isal_zlib
from msgspec import UNSET, Raw, Struct, UnsetType

MEBI = 1024 * 1024
LARGEST = 512 * MEBI
"""Most bytes that a log file may unpack to. CloudTrail's own stay well below 50 MiB."""
RATIO = 100
"""Most that gzip may have saved. Each event carries some 80 random bytes (ids), so real files stay below 20."""
FREE_OF_RATIO = 16 * MEBI
"""Below this size the ratio does not matter."""

# AWS services other than S3 use the same parameter names for values of any shape, so these fields admit anything and
# whoever reads them asks for a string first.
Anything = Any
Scalar = str | int | float | bool | list[Any] | None


def read(raw: Raw) -> Any:
    """The value of a field that few events have and few readers ask for; None where there is none, or none to be read."""
    try:
        return msgspec.json.decode(raw) if bytes(raw) else None
    except (ValueError, RecursionError):
        return None


class Unreadable(Exception):
    """A log file that cannot be read as one; the text is the reason, in a sentence for the quarantine list."""


class Parameters(
    Struct,
    gc=False,
    rename={
        "bucket": "bucketName",
        "version": "versionId",
        "copy_source": "x-amz-copy-source",
        "role": "roleArn",
        "session_name": "roleSessionName",
        "source_identity": "sourceIdentity",
        "key_id": "keyId",
        "duration": "durationSeconds",
        "bypass": "x-amz-bypass-governance-retention",
    },
):
    """`requestParameters`, as far as S3, STS, CloudTrail and KMS events are concerned."""

    bucket: Anything = None
    key: Anything = None
    version: Anything = None
    prefix: Anything = None
    copy_source: Anything = None
    role: Anything = None
    session_name: Anything = None
    source_identity: Anything = None
    name: Anything = None
    key_id: Anything = None
    duration: Raw = Raw()
    bypass: Anything = None


class Credentials(Struct, gc=False, rename={"access_key": "accessKeyId"}):
    """Temporary credentials that an answer handed out. The session token is not among the fields: it is never kept."""

    access_key: Anything = None
    expiration: Anything = None


class Answer(Struct, gc=False, rename={"version": "x-amz-version-id", "source_identity": "sourceIdentity"}):
    """`responseElements`, as far as S3 and STS events are concerned."""

    version: Anything = None
    credentials: Credentials | Scalar = None
    source_identity: Anything = None


class Extra(
    Struct,
    gc=False,
    rename={
        "received": "bytesTransferredIn",
        "sent": "bytesTransferredOut",
        "method": "AuthenticationMethod",
        "user_name": "UserName",
    },
):
    """`additionalEventData`, as far as S3 events and sign-ins are concerned."""

    received: Anything = None
    sent: Anything = None
    method: Anything = None
    user_name: Raw = Raw()


class Resource(Struct, gc=False, rename={"arn": "ARN", "arn_prefix": "ARNPrefix"}):
    """One entry of `resources`."""

    arn: Anything = None
    arn_prefix: Anything = None


class Addendum(Struct, gc=False, rename="camel"):
    """Why an event was delivered late or again."""

    reason: Anything = None
    original_event_id: Anything = msgspec.field(default=None, name="originalEventID")


class Event(Struct, gc=False, rename="camel"):
    """One event, with the fields that are stored or reasoned about; an empty string says "not stated"."""

    event_time: str
    event_name: str
    event_source: str
    event_version: str | None = None
    user_identity: Raw = Raw(b"{}")
    event_id: str = msgspec.field(default="", name="eventID")
    aws_region: str | None = ""
    source_ip: str | None = msgspec.field(default="", name="sourceIPAddress")
    request_id: str | None = msgspec.field(default="", name="requestID")
    shared_event_id: str | None = msgspec.field(default="", name="sharedEventID")
    error_code: str | None = ""
    event_category: str | None = ""
    event_type: str | None = ""
    recipient_account: str | None = msgspec.field(default="", name="recipientAccountId")
    read_only: Anything = False
    request: Parameters | Scalar = msgspec.field(default=None, name="requestParameters")
    response: Answer | Scalar = msgspec.field(default=None, name="responseElements")
    extra: Extra | Scalar = msgspec.field(default=None, name="additionalEventData")
    # A tuple, not a list: the garbage collector looks once at a tuple of such structs, and at a list for ever.
    resources: tuple[Resource | Scalar, ...] | dict[str, Any] | str | None = None
    addendum: Addendum | Scalar = None
    outcome: Raw = msgspec.field(default=Raw(), name="serviceEventDetails")


class _LogFile(Struct, rename={"records": "Records"}):
    records: list[Event] | UnsetType | None = UNSET
    digestS3Object: Any = None


class _SplitFile(Struct, rename={"records": "Records"}):
    records: list[Raw] = []


_DECODER = msgspec.json.Decoder(_LogFile)
_SPLITTER = msgspec.json.Decoder(_SplitFile)


@dataclass(frozen=True)
class ParsedFile:
    """One log file, read; sizes are in bytes, hashes in hex.

    By the index of the event: `times` in UTC, and `identities`, the JSON of each `userIdentity`.
    """

    events: list[Event]
    times: list[datetime]
    identities: list[bytes]
    size: int
    content_size: int
    sha256_raw: str
    sha256_content: str

    def keys(self) -> list[tuple[datetime, str]]:
        """Time and id of every event: what tells events apart."""
        return list(zip(self.times, [event.event_id for event in self.events], strict=True))

    @property
    def first(self) -> datetime | None:
        """Time of the earliest event; None for a file without events."""
        return min(self.times, default=None)

    @property
    def last(self) -> datetime | None:
        """Time of the latest event; None for a file without events."""
        return max(self.times, default=None)


def parse(raw: bytes) -> ParsedFile:
    """Read a log file as delivered (gzip). Raises `Unreadable` with the reason."""
    content = gunzip(raw)
    events = decode(content)
    return ParsedFile(
        events=events,
        times=event_times(events),
        identities=[bytes(event.user_identity) for event in events],
        size=len(raw),
        content_size=len(content),
        sha256_raw=hashlib.sha256(raw).hexdigest(),
        sha256_content=hashlib.sha256(content).hexdigest(),
    )


def gunzip(raw: bytes, largest: int = LARGEST) -> bytes:
    """The content of a gzip file of exactly one member.

    A digest names the hash of the content of the *first* member: anything after it would be unproved, and is refused.
    """
    if not raw:
        raise Unreadable("The file is empty.")
    if raw[:2] != b"\x1f\x8b":
        raise Unreadable("The file is not gzip-compressed.")
    limit = min(largest, max(FREE_OF_RATIO, RATIO * len(raw)))
    unpacking = isal_zlib.decompressobj(wbits=31)
    try:
        content = unpacking.decompress(raw, limit + 1)
    except isal_zlib.error as error:  # type: ignore[misc]  # its stub takes the class for an instance
        raise Unreadable(f"The gzip data is damaged ({_short(error)}).") from error
    if len(content) > limit:
        raise Unreadable(
            f"The file unpacks to more than {limit // MEBI} MiB from {len(raw)} bytes: that is no log file, and the rest"
            " was not unpacked."
        )
    if not unpacking.eof:
        raise Unreadable("The gzip data is truncated.")
    if unpacking.unused_data:
        raise Unreadable(
            f"{len(unpacking.unused_data)} bytes follow the gzip member: a log file is one member, and no digest speaks"
            " for the rest."
        )
    return bytes(content)


def decode(content: bytes) -> list[Event]:
    """The events of an unpacked log file. Raises `Unreadable` with the reason."""
    _refuse_other_text(content)
    try:
        file = _DECODER.decode(content)
    except RecursionError as error:
        raise Unreadable("The JSON is nested too deeply.") from error
    except msgspec.ValidationError as error:
        raise Unreadable(f"A field is not what CloudTrail delivers: {_short(error)}.") from error
    except ValueError as error:
        raise Unreadable(_malformed(content, error)) from error
    if file.digestS3Object is not None and not file.records:
        raise Unreadable("This is a digest file; it lies where log files belong.")
    if file.records is UNSET:
        raise Unreadable("The file has no “Records”.")
    if file.records is None:
        raise Unreadable("“Records” is null.")
    _refuse_other_events(file.records)
    return file.records


def raw_event(content: bytes, index: int) -> bytes:
    """The JSON text of one event of an unpacked log file, as it stands there. Raises `IndexError`, or `Unreadable`."""
    try:
        return bytes(_SPLITTER.decode(content).records[index])
    except (ValueError, RecursionError) as error:
        raise Unreadable(_malformed(content, error)) from error


def redacted(value: Any) -> Any:
    """The same JSON value with session tokens and request signatures blanked out, at any depth."""
    if isinstance(value, dict):
        return {
            name: "REDACTED" if name.lower() in _SECRET and item else redacted(item) for name, item in value.items()
        }
    if isinstance(value, list):
        return [redacted(item) for item in value]
    return value


_SECRET = {
    "sessiontoken",
    "secretaccesskey",
    "x-amz-security-token",
    "x-amz-signature",
    "samlassertion",
    "webidentitytoken",
}


def event_times(events: Iterable[Event]) -> list[datetime]:
    """The time of every event, in UTC. Raises `Unreadable` for one that is no time or names no zone."""
    known: dict[str, datetime] = {}
    times = []
    for index, event in enumerate(events):
        text = event.event_time
        if text not in known:
            known[text] = _instant(text, index)
        times.append(known[text])
    return times


def _instant(text: str, index: int) -> datetime:
    try:
        instant = msgspec.convert(text, datetime)
    except msgspec.ValidationError as error:
        raise Unreadable(f"Event {index}: eventTime {text[:40]!r} is not a time.") from error
    if instant.tzinfo is None:
        raise Unreadable(f"Event {index}: eventTime {text[:40]!r} names no time zone.")
    return instant.astimezone(UTC)


def _refuse_other_text(content: bytes) -> None:
    if not content.strip():
        raise Unreadable("The file unpacks to nothing.")
    if content.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        raise Unreadable("The file begins with a byte order mark; CloudTrail writes none.")
    if not content.isascii():
        # The decoder checks only the fields that it reads.
        try:
            content.decode()
        except UnicodeDecodeError as error:
            raise Unreadable(f"The file is not valid UTF-8 (byte {error.start}).") from error
    if content.count(b'"Records"') > 1 and _names_records_again(content):
        raise Unreadable("The file names “Records” more than once.")


class _Outline(Struct, rename={"records": "Records"}):
    records: msgspec.Raw = msgspec.Raw(b"")


def _names_records_again(content: bytes) -> bool:
    """Whether there is a second list, which would silently take the place of the first. In an event the word is nothing: an
    object's key may be just that. Malformed text is the decoder's to tell."""
    try:
        outline = msgspec.json.decode(content, type=_Outline)
    except (ValueError, RecursionError):
        return False
    return content.replace(bytes(outline.records), b"", 1).count(b'"Records"') > 1


def _refuse_other_events(events: list[Event]) -> None:
    accepted: set[str | None] = set()
    for index, event in enumerate(events):
        if event.event_version not in accepted:
            if str(event.event_version).partition(".")[0] != "1":
                raise Unreadable(
                    f"Event {index}: eventVersion {event.event_version!r} is not known; this reader knows 1.x."
                )
            accepted.add(event.event_version)
        if event.event_category in ("Insight", "Aggregated"):
            raise Unreadable(f"Event {index} is of the category {event.event_category}: a summary, not an event.")
        if not event.event_id or "\0" in event.event_id:
            raise Unreadable(f"Event {index} has no eventID.")


def _malformed(content: bytes, error: Exception) -> str:
    if b"\\ud" in content or b"\\uD" in content:
        return "The JSON is malformed, or holds an unpaired surrogate."
    return f"The JSON is malformed ({_short(error)})."


def _short(error: Exception) -> str:
    return str(error).rstrip(".")[:160]
