"""CloudTrail's digest files: read one, verify its signature, link it to the one before. Pure: no database, no network.

A digest lists the log files of about an hour with the SHA-256 of their unpacked bytes. It is signed by CloudTrail, and names
the digest before it with hash and signature, so that neither a file nor an hour can go missing unseen. Source of the rules:
the CloudTrail user guide, "Custom implementations of log file integrity validation".
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Any

import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key
from msgspec import Struct

from cloudtrail.events import Unreadable, gunzip
from cloudtrail.keys import DigestName, parse_digest

HOUR = timedelta(hours=1)
KEY_MARGIN = timedelta(hours=2)
"""Around a digest's hour, in which its key may be valid: it is signed after the hour, perhaps by the next key."""
BACKFILL_MARGIN = timedelta(hours=1)
"""Around the time at which a backfill digest says that it was made."""
ALGORITHM = "SHA256withRSA"


class Fault(StrEnum):
    """Why a digest proves nothing by itself."""

    FORMAT = "format"
    MOVED = "moved"
    UNSIGNED = "unsigned"
    ALGORITHM = "algorithm"
    KEY = "key"
    SIGNATURE = "signature"

    @property
    def said(self) -> str:
        """The fault as a sentence."""
        return _SAID[self]


_SAID = {
    Fault.FORMAT: "It cannot be read as a digest file.",
    Fault.MOVED: "It was moved: it names another place than the one it lies at.",
    Fault.UNSIGNED: "The object carries no signature.",
    Fault.ALGORITHM: "It was signed in a way that this portal does not know.",
    Fault.KEY: "No public key of CloudTrail with this fingerprint is known for its region and time.",
    Fault.SIGNATURE: "The signature does not fit: the digest is not what CloudTrail signed.",
}


class Link(StrEnum):
    """How a digest stands to the one before it."""

    FIRST = "first"
    FOLLOWS = "follows"
    RESTARTED = "restarted"
    MISSING = "missing"
    BROKEN = "broken"

    @property
    def said(self) -> str:
        """The link in words."""
        return _LINKED[self]


_LINKED = {
    Link.FIRST: "first digest of its chain here",
    Link.FOLLOWS: "follows the one before",
    Link.RESTARTED: "begins a new chain: the trail or its validation was stopped before",
    Link.MISSING: "digests before it are missing",
    Link.BROKEN: "does not fit the one before",
}


class Verdict(StrEnum):
    """What comparing a log file with its line in a digest gives."""

    VALID = "valid"
    MISMATCH = "mismatch"
    MISSING = "missing"
    UNREADABLE = "unreadable"

    @property
    def said(self) -> str:
        """The verdict in words."""
        return _JUDGED[self]


_JUDGED = {
    Verdict.VALID: "is what CloudTrail delivered",
    Verdict.MISMATCH: "is not what CloudTrail delivered: its hash differs",
    Verdict.MISSING: "was delivered, and is not there",
    Verdict.UNREADABLE: "is not what CloudTrail delivered: it is no single gzip member, or far too large",
}


@dataclass(frozen=True)
class Key:
    """A public key of CloudTrail; `value` is DER of PKCS #1. The times are those of its validity."""

    fingerprint: str
    value: bytes
    begins: datetime
    ends: datetime


class Line(Struct, frozen=True, rename={"bucket": "s3Bucket", "key": "s3Object", "sha256": "hashValue"}):
    """A log file as a digest lists it; `sha256` is of its unpacked bytes, in hex."""

    bucket: str
    key: str
    sha256: str


@dataclass(frozen=True)
class Digest:
    """A digest file as it lies at `bucket`/`key`. Of one that cannot be read (`fault`) only that much is known."""

    bucket: str
    key: str
    name: DigestName
    sha256: str = ""
    signature: str = ""
    algorithm: str = ""
    generated: datetime | None = None
    start: datetime | None = None
    end: datetime | None = None
    end_text: str = ""
    said_bucket: str = ""
    said_key: str = ""
    fingerprint: str = ""
    previous_bucket: str = ""
    previous_key: str = ""
    previous_sha256: str = ""
    previous_signature: str = ""
    lines: tuple[Line, ...] = ()
    fault: Fault | None = None

    @property
    def string_to_sign(self) -> bytes:
        """What CloudTrail signed."""
        previous = self.previous_signature or "null"
        return f"{self.end_text}\n{self.said_bucket}/{self.said_key}\n{self.sha256}\n{previous}".encode()

    @property
    def key_window(self) -> tuple[datetime, datetime]:
        """When a key that signed it was valid, for asking `ListPublicKeys`."""
        if self.generated is not None:
            return self.generated - BACKFILL_MARGIN, self.generated + BACKFILL_MARGIN
        end = self.end or self.name.end
        return (self.start or end - HOUR), end + KEY_MARGIN


class _Digest(
    Struct,
    rename={
        "start": "digestStartTime",
        "end": "digestEndTime",
        "bucket": "digestS3Bucket",
        "key": "digestS3Object",
        "fingerprint": "digestPublicKeyFingerprint",
        "previous_signature": "previousDigestSignature",
        "previous_bucket": "previousDigestS3Bucket",
        "previous_key": "previousDigestS3Object",
        "previous_sha256": "previousDigestHashValue",
        "lines": "logFiles",
    },
):
    start: str
    end: str
    bucket: str
    key: str
    fingerprint: str
    previous_signature: str | None
    previous_bucket: str | None = None
    previous_key: str | None = None
    previous_sha256: str | None = None
    lines: tuple[Line, ...] | None = None


_DECODER = msgspec.json.Decoder(_Digest)


# --- One digest -------------------------------------------------------------------------------------------------------


def read(raw: bytes, bucket: str, key: str, metadata: Mapping[str, str]) -> Digest:
    """Read a digest file as delivered; `metadata` are its object's user fields. A fault in its form is noted on it.

    Raises ValueError for a key that is no digest's.
    """
    name = parse_digest(key)
    if name is None:
        raise ValueError(f"{key} is not the name of a digest file")
    generated = _time(metadata.get("backfill-generation-timestamp", ""))
    about: dict[str, Any] = {
        "signature": metadata.get("signature", ""),
        "algorithm": metadata.get("signature-algorithm", ""),
        "generated": generated,
    }
    try:
        content = gunzip(raw)
        told = _DECODER.decode(content)
    except (Unreadable, ValueError, RecursionError):
        return Digest(bucket, key, name, fault=Fault.FORMAT, **about)
    start, end = _time(told.start), _time(told.end)
    if start is None or end is None or (name.backfill and generated is None):
        return Digest(bucket, key, name, fault=Fault.FORMAT, **about)
    return Digest(
        bucket,
        key,
        name,
        sha256=hashlib.sha256(content).hexdigest(),
        start=start,
        end=end,
        end_text=told.end,
        said_bucket=told.bucket,
        said_key=told.key,
        fingerprint=told.fingerprint,
        previous_bucket=told.previous_bucket or "",
        previous_key=told.previous_key or "",
        previous_sha256=told.previous_sha256 or "",
        previous_signature=told.previous_signature or "",
        lines=tuple([_small(line) for line in told.lines or ()]),
        **about,
    )


def _small(line: Line) -> Line:
    """With its hash in small letters, as ours are."""
    small = line.sha256.lower()
    return line if small == line.sha256 else Line(line.bucket, line.key, small)


def _time(text: str) -> datetime | None:
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def verify(digest: Digest, keys: Iterable[Key]) -> Fault | None:
    """What is wrong with a digest by itself: its form, its place, its key, its signature; None if it is CloudTrail's."""
    if not (digest.signature and digest.algorithm):
        return Fault.UNSIGNED
    if digest.fault:
        return digest.fault
    if (digest.said_bucket, digest.said_key) != (digest.bucket, digest.key):
        return Fault.MOVED
    if digest.algorithm != ALGORITHM:
        return Fault.ALGORITHM
    begins, ends = digest.key_window
    fitting = [
        key for key in keys if key.fingerprint == digest.fingerprint and key.begins <= ends and key.ends >= begins
    ]
    if not fitting:
        return Fault.KEY
    return None if any(_signed(digest, key) for key in fitting) else Fault.SIGNATURE


def _signed(digest: Digest, key: Key) -> bool:
    try:
        public = _public(key.value)
        if not isinstance(public, RSAPublicKey):
            return False
        public.verify(bytes.fromhex(digest.signature), digest.string_to_sign, padding.PKCS1v15(), SHA256())
    except (InvalidSignature, UnsupportedAlgorithm, ValueError):
        return False
    return True


@lru_cache(maxsize=64)
def _public(value: bytes) -> PublicKeyTypes:
    """A few keys sign thousands of digests."""
    return load_der_public_key(value)


# --- A chain ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Judged:
    """A digest with what was found: about itself (`fault`), and about what comes before it."""

    digest: Digest
    fault: Fault | None
    link: Link
    missing: tuple[datetime, ...] = ()
    """The ends of the hours whose digests are missing before this one, earliest first."""
    since: datetime | None = None
    """Where the digest before it ended, if that is known and it is not the beginning of this one."""

    @property
    def sound(self) -> bool:
        """CloudTrail's own, and nothing is wrong between it and the one before."""
        return self.fault is None and self.link in (Link.FIRST, Link.FOLLOWS)


def judge(chain: Sequence[Digest], keys: Sequence[Key], *, begins: datetime | None = None) -> list[Judged]:
    """Judge the digests of one chain, in the order of their hours; see `follow` for `begins`."""
    found: list[Judged] = []
    for digest in sorted(chain, key=lambda one: (one.name.end, one.key)):
        found.append(follow(digest, verify(digest, keys), found[-1] if found else None, begins=begins))
    return found


def follow(digest: Digest, fault: Fault | None, before: Judged | None, *, begins: datetime | None = None) -> Judged:
    """Judge a digest against the one before it in its chain.

    What lies before `begins` was not asked for: a digest that names one there is the first. Two digests that are missing in
    a row are two, although only the later one is named by anybody: time tells.
    """
    start, _ = window(digest, fault)
    if before is None:
        elsewhere = not digest.previous_key or digest.previous_bucket != digest.bucket
        if fault is not None or elsewhere or (begins is not None and start <= begins):
            return Judged(digest, fault, Link.FIRST)
        return Judged(digest, fault, Link.MISSING, hours(begins or start - HOUR, start), begins)
    earlier = before.digest
    _, end = window(earlier, before.fault)
    if fault is None and not digest.previous_key:
        return Judged(digest, fault, Link.RESTARTED, since=end)
    if start > end:
        return Judged(digest, fault, Link.MISSING, hours(end, start), end)
    if fault is not None or before.fault is not None:
        return Judged(digest, fault, Link.FOLLOWS)
    named = (digest.previous_bucket, digest.previous_key, digest.previous_sha256, digest.previous_signature)
    fits = start == end and named == (earlier.bucket, earlier.key, earlier.sha256, earlier.signature)
    return Judged(digest, fault, Link.FOLLOWS if fits else Link.BROKEN)


def window(digest: Digest, fault: Fault | None) -> tuple[datetime, datetime]:
    """From when to when a digest is. Of one that is not CloudTrail's nothing counts but its name."""
    if fault is None and digest.start is not None and digest.end is not None:
        return digest.start, digest.end
    return digest.name.end - HOUR, digest.name.end


def hours(since: datetime, until: datetime) -> tuple[datetime, ...]:
    """The ends of the hours between two times, counted back from the later one; one at least."""
    count = max(1, round((until - since) / HOUR))
    return tuple(until - back * HOUR for back in reversed(range(count)))


# --- A log file -------------------------------------------------------------------------------------------------------


def hashed(raw: bytes | None) -> str:
    """The SHA-256 of a log file's unpacked bytes, in hex; a `Verdict` where nothing lies (None), or no single gzip member."""
    if raw is None:
        return Verdict.MISSING
    try:
        return hashlib.sha256(gunzip(raw)).hexdigest()
    except Unreadable:
        return Verdict.UNREADABLE


def held(line: Line, found: str) -> Verdict:
    """What a log file is worth whose bytes came to `found` (see `hashed`)."""
    if found in (Verdict.MISSING, Verdict.UNREADABLE):
        return Verdict(found)
    return Verdict.VALID if found == line.sha256 else Verdict.MISMATCH


def compare(line: Line, raw: bytes | None) -> Verdict:
    """What a log file is worth, by the bytes that lie at its place now (None: nothing does)."""
    return held(line, hashed(raw))
