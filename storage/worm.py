"""The store of frozen bytes: content-addressed, under Object Lock in COMPLIANCE mode, checked after every write.

A key is the SHA-256 of what it holds, so writing is safe to repeat and an orphan does no harm. The lock is asked for
with every write and read back; it is never inferred from the bucket's default. It is written in the portal's own name, because
the role that the portal takes on for a person (`S3_PERSON_ROLE_ARN`) only reads.
"""

from __future__ import annotations

import base64
import hashlib
import io
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import IO, TYPE_CHECKING, Any, Literal

from django.conf import settings

from storage import s3
from storage.s3 import Head, ObjectGone, StorageError

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import ObjectLockRetentionTypeDef

COMPLIANCE: Literal["COMPLIANCE"] = "COMPLIANCE"


class NotKept(StorageError):
    """The bytes were written, but S3 does not keep them as asked; nothing may rely on them."""


class Altered(StorageError):
    """The bytes that S3 returned are not the bytes that were written."""


@dataclass(frozen=True)
class Pin:
    """One object version and what it holds; `sha256` is hex."""

    bucket: str
    key: str
    version_id: str
    size: int
    sha256: str

    def to_json(self) -> dict[str, str | int]:
        return asdict(self)

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Pin:
        """The inverse of `to_json`. Raises `TypeError` if a field is missing or unknown."""
        return cls(**stored)


def years_after(at: datetime, years: int) -> datetime:
    """The same day of the year and the same time, so many years on; after a 29 February that there is not, 1 March. Every
    retention is counted so: in days of 365 a lock would end before it."""
    try:
        return at.replace(year=at.year + years)
    except ValueError:
        return at.replace(year=at.year + years, month=3, day=1)


def days_that_suffice(years: int) -> int:
    """For a lock that is set in days: no span of so many years is longer."""
    return 366 * years


def key_for(sha256: str) -> str:
    """`sha256/ab/abcdef...`: the second part spreads the keys."""
    return f"sha256/{sha256[:2]}/{sha256}"


@s3.asking_for_nobody()
def put(data: bytes | IO[bytes], *, media_type: str, retain_until: datetime, bucket: str | None = None) -> Pin:
    """Keep `data` under COMPLIANCE until `retain_until` at least, and return where. A file is read from its beginning, in
    portions.

    What is already there is used again, its retention extended where it ends sooner. Raises `NotKept` if S3 does not
    confirm size, SHA-256, version and lock; other `StorageError`s if it cannot be asked. Nobody, the account's owner
    included, can delete the version before its date.
    """
    bucket = bucket or settings.WORM_BUCKET
    if retain_until.tzinfo is None:
        raise ValueError("retain_until needs a time zone")
    until = _whole_second(retain_until)
    sha256, size = _measured(data)
    present = _present(bucket, key_for(sha256), sha256, size)
    version_id = present.version_id if present else _write(bucket, key_for(sha256), data, sha256, media_type, until)
    if present and (present.lock.until is None or present.lock.until < until):
        _extend(bucket, key_for(sha256), version_id, until)
    pin = Pin(bucket, key_for(sha256), version_id, size, sha256)
    _confirm(pin, until)
    return pin


def _measured(data: bytes | IO[bytes]) -> tuple[str, int]:
    """SHA-256 (hex) and number of bytes."""
    if isinstance(data, bytes):
        return hashlib.sha256(data).hexdigest(), len(data)
    data.seek(0)
    digest = hashlib.file_digest(data, "sha256")  # type: ignore[arg-type]  # its stub asks for more than it needs
    size = data.tell()
    data.seek(0)
    return digest.hexdigest(), size


@s3.asking_for_nobody()
def put_at(key: str, data: bytes, *, media_type: str, retain_until: datetime, bucket: str) -> Pin:
    """Keep `data` under a key of the caller's, as a new version in any case; else as `put()`."""
    until = _whole_second(retain_until)
    sha256 = hashlib.sha256(data).hexdigest()
    pin = Pin(bucket, key, _write(bucket, key, data, sha256, media_type, until), len(data), sha256)
    _confirm(pin, until)
    return pin


def get(pin: Pin) -> bytes:
    """The bytes behind a pin, hashed again. Raises `Altered` if they are not what was kept."""
    out = io.BytesIO()
    fetch(pin, out)
    return out.getvalue()


def fetch(pin: Pin, into: IO[bytes]) -> None:
    """Write the bytes behind a pin into a file, piece by piece, hashed again. Raises `Altered` at the end if they are not
    what was kept: nothing of the file may be given away before."""
    digest, size = hashlib.sha256(), 0
    for piece in s3.stream(pin.bucket, pin.key, pin.version_id):
        digest.update(piece)
        size += into.write(piece)
    if size != pin.size or digest.hexdigest() != pin.sha256:
        raise Altered(
            f"{pin.bucket}/{pin.key} (version {pin.version_id}) holds {size} bytes with SHA-256 {digest.hexdigest()}, "
            f"but {pin.size} bytes with SHA-256 {pin.sha256} were kept."
        )


@s3.asking_for_nobody()
def found_at(key: str, data: bytes, *, retain_until: datetime, bucket: str) -> Pin | None:
    """The newest version under this key, if it holds these bytes and is kept as asked."""
    sha256 = hashlib.sha256(data).hexdigest()
    present = _present(bucket, key, sha256, len(data))
    until = _whole_second(retain_until)
    if present is None or present.lock.until is None or present.lock.until < until:
        return None
    return Pin(bucket, key, present.version_id, len(data), sha256)


def _present(bucket: str, key: str, sha256: str, size: int) -> Head | None:
    """The newest version under this key, if S3 itself vouches that it holds these bytes under COMPLIANCE."""
    try:
        found = s3.head(bucket, key)
    except ObjectGone:
        return None
    vouched = found.sha256 == sha256 and found.size == size and found.lock.mode == COMPLIANCE
    return found if vouched else None


def _write(bucket: str, key: str, data: bytes | IO[bytes], sha256: str, media_type: str, until: datetime) -> str:
    with s3.plainly(bucket, key):
        answer = s3.client().put_object(
            Bucket=bucket,
            Key=key,
            Body=data,
            ContentType=media_type,
            ChecksumAlgorithm="SHA256",
            ChecksumSHA256=base64.b64encode(bytes.fromhex(sha256)).decode(),
            ObjectLockMode=COMPLIANCE,
            ObjectLockRetainUntilDate=until,
        )
    return answer.get("VersionId", s3.UNVERSIONED)


def _extend(bucket: str, key: str, version_id: str, until: datetime) -> None:
    with s3.plainly(bucket, key, version_id):
        kept: ObjectLockRetentionTypeDef = {"Mode": COMPLIANCE, "RetainUntilDate": until}
        s3.client().put_object_retention(Bucket=bucket, Key=key, VersionId=version_id, Retention=kept)


def _confirm(pin: Pin, until: datetime) -> None:
    """HEAD the version and compare everything that was asked for."""
    found = s3.head(pin.bucket, pin.key, pin.version_id)
    wrong = []
    if found.size != pin.size:
        wrong.append(f"{found.size} bytes instead of {pin.size}")
    if found.sha256 != pin.sha256:
        wrong.append(f"SHA-256 {found.sha256 or 'unknown'} instead of {pin.sha256}")
    if found.lock.mode != COMPLIANCE:
        wrong.append(f"lock mode {found.lock.mode or 'none'} instead of {COMPLIANCE}")
    if found.lock.until is None or found.lock.until < until:
        wrong.append(f"kept until {found.lock.until or 'no date'} instead of {until}")
    if wrong:
        raise NotKept(f"{pin.bucket}/{pin.key} (version {pin.version_id}) is not kept as asked: {'; '.join(wrong)}.")


def _whole_second(moment: datetime) -> datetime:
    """S3 keeps whole seconds; rounded up, so that nothing is kept shorter than asked."""
    moment = moment.astimezone(UTC)
    return moment.replace(microsecond=0) + timedelta(seconds=1 if moment.microsecond else 0)
