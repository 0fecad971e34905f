"""S3 as the portal uses it: listings with version ids, heads with locks, and streams of exactly one object version.

Nothing here reads "the latest": bytes are always asked for by version id, because only then do they stay the same.
Every error leaves as a `StorageError` whose text can be shown to a person.
"""

from __future__ import annotations

import base64
import hashlib
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.credentials import DeferredRefreshableCredentials
from botocore.exceptions import BotoCoreError, ClientError
from botocore.exceptions import ConnectionError as NoConnection
from botocore.session import get_session
from django.conf import settings

from audit.requests import request_id

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

CHUNK = 1024 * 1024  # bytes
RESUMES = 3  # times that a broken stream is taken up again where it broke
UNVERSIONED = "null"  # S3's version id of an object that can be overwritten in place
CONFIG = Config(
    connect_timeout=5,
    read_timeout=30,
    retries={"mode": "standard", "max_attempts": 4},
    max_pool_connections=32,
    s3={"addressing_style": "auto"},
)


class StorageError(Exception):
    """Something that S3 did not do; `str()` is a sentence for the person who asked."""


class ObjectGone(StorageError):
    """The object, the version or the bucket does not exist (any longer)."""


class AccessDenied(StorageError):
    """S3 refuses it to the portal (or to the person for whom the portal asks)."""


class StorageUnavailable(StorageError):
    """S3 did not answer, or broke off; worth another try."""


class NotVersioned(StorageError):
    """The bucket keeps no versions, so nothing in it can be pinned."""


@dataclass(frozen=True)
class Lock:
    """Object Lock of one version. `mode` is COMPLIANCE, GOVERNANCE or "" (none)."""

    mode: str = ""
    until: datetime | None = None
    legal_hold: bool = False


@dataclass(frozen=True)
class Found:
    """One object as a listing shows it; `version_id` is that of its newest version."""

    key: str
    version_id: str
    size: int
    last_modified: datetime


@dataclass(frozen=True)
class Listing:
    """What lies under a prefix now. `deleted` names the keys that a delete marker hides: their versions still exist."""

    objects: list[Found]
    deleted: list[str]


@dataclass(frozen=True)
class StoredVersion:
    """One entry in an object's history, newest first; a delete marker has no size."""

    key: str
    version_id: str
    size: int
    last_modified: datetime
    is_latest: bool
    is_delete_marker: bool


@dataclass(frozen=True)
class Head:
    """What S3 says of one version. `sha256` is hex, and empty where S3 keeps no SHA-256 of the whole object."""

    bucket: str
    key: str
    version_id: str
    size: int
    last_modified: datetime
    media_type: str
    lock: Lock
    sha256: str = ""
    encryption: str = ""
    kms_key: str = ""
    metadata: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Digest:
    """SHA-256 (hex) and number of the bytes that were read."""

    sha256: str
    size: int


# --- Clients ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Person:
    """For whom the portal asks: both go into CloudTrail, the identity so that no later role can change it."""

    source_identity: str
    session_name: str


@dataclass(frozen=True)
class Account:
    """Where S3 is asked and with which credentials; None takes those of the machine."""

    endpoint: str | None
    region: str
    key_id: str | None
    secret: str | None


_asking_for: ContextVar[Person | None] = ContextVar("asking_for", default=None)
_made: ContextVar[list[str] | None] = ContextVar("made", default=None)
_asking_as: ContextVar[Account | None] = ContextVar("asking_as", default=None)
_making_a_client = threading.Lock()


@contextmanager
def asking_for(source_identity: str, session_name: str, request: str | None = None) -> Iterator[None]:
    """In this block S3 is asked in a role session of one person (`S3_PERSON_ROLE_ARN`), named in CloudTrail.

    Without that setting the portal asks in its own name. Sessions are made when first needed and renewed by themselves.
    What was asked in the block is kept with S3's request ids (`S3Request`), so that CloudTrail's lines lead back here;
    `request` is the portal's own request where that has ended meanwhile, as while an answer is streamed.
    """
    allowed = re.compile(r"[^\w+=,.@-]", re.ASCII)
    person = Person(allowed.sub("-", source_identity)[:64], allowed.sub("-", session_name)[:64])
    made: list[str] = []
    before, made_before = _asking_for.set(person), _made.set(made)
    try:
        yield
    finally:
        _asking_for.reset(before)
        _made.reset(made_before)
        _keep(person, made, request_id.get() if request is None else request)


def _keep(person: Person, made: list[str], asked: str) -> None:
    from storage.models import S3Request  # models are not there yet when settings are read

    if made:
        rows = [
            S3Request(request_id=one, person=person.source_identity, portal_request=asked)
            for one in dict.fromkeys(made)
        ]
        S3Request.objects.bulk_create(rows, ignore_conflicts=True)


def _note_request(parsed: dict[str, Any], **_: object) -> None:
    """botocore calls it with every answer to a person's client."""
    made = _made.get()
    if made is not None and (answered := parsed.get("ResponseMetadata", {}).get("RequestId")):
        made.append(answered)


@contextmanager
def asking_for_nobody() -> Iterator[None]:
    """In this block (or function) the portal asks in its own name, whoever it works for."""
    before = _asking_for.set(None)
    try:
        yield
    finally:
        _asking_for.reset(before)


@contextmanager
def asking_as(account: Account) -> Iterator[None]:
    """In this block S3 is asked with the credentials of another account, for nobody in particular."""
    before = _asking_as.set(account)
    try:
        yield
    finally:
        _asking_as.reset(before)


def client() -> S3Client:
    """The S3 client for the running work; one for each process and person, safe to share between threads."""
    role = settings.S3_PERSON_ROLE_ARN
    other = _asking_as.get()
    with _making_a_client:
        if other is not None:
            return _client(other.endpoint, other.region, other.key_id, other.secret, None, None)
        return _client(
            settings.S3_ENDPOINT_URL,
            settings.S3_REGION,
            settings.S3_ACCESS_KEY_ID,
            settings.S3_SECRET_ACCESS_KEY,
            role,
            _asking_for.get() if role else None,
        )


@lru_cache(maxsize=256)
def _client(
    endpoint: str | None, region: str, key_id: str | None, secret: str | None, role: str | None, person: Person | None
) -> S3Client:
    own = boto3.session.Session(aws_access_key_id=key_id, aws_secret_access_key=secret, region_name=region)
    if person is None or role is None:
        return own.client("s3", endpoint_url=endpoint, config=CONFIG)
    sts = own.client("sts", endpoint_url=endpoint, config=CONFIG)
    asked: dict[str, Any] = {
        "RoleArn": role,
        "RoleSessionName": person.session_name,
        "SourceIdentity": person.source_identity,
        "DurationSeconds": 3600,
    }
    made = _renewed_session(sts, asked, region).client("s3", endpoint_url=endpoint, config=CONFIG)
    made.meta.events.register("after-call.s3", _note_request)
    return made


def _renewed_session(sts: Any, asked: dict[str, Any], region: str) -> boto3.session.Session:
    """A session whose credentials are asked for again before they end."""

    def credentials() -> dict[str, str]:
        given = sts.assume_role(**asked)["Credentials"]
        return {
            "access_key": given["AccessKeyId"],
            "secret_key": given["SecretAccessKey"],
            "token": given["SessionToken"],
            "expiry_time": given["Expiration"].isoformat(),
        }

    core = get_session()
    # botocore has no public way to hand in credentials that renew themselves.
    core._credentials = DeferredRefreshableCredentials(  # type: ignore[attr-defined]
        refresh_using=credentials, method="sts-assume-role"
    )
    core.set_config_variable("region", region)
    return boto3.session.Session(botocore_session=core)


# --- Questions --------------------------------------------------------------------------------------------------------


def list_prefix(bucket: str, prefix: str) -> Listing:
    """Every object under `prefix` with the id of its newest version, by key.

    Raises `NotVersioned` where the newest version of an object has no id: it could be overwritten without a trace.
    """
    objects, deleted = [], []
    for version in history(bucket, prefix):
        if not version.is_latest:
            continue
        if version.is_delete_marker:
            deleted.append(version.key)
            continue
        if version.version_id == UNVERSIONED:
            raise NotVersioned(_not_versioned(bucket, version.key))
        objects.append(Found(version.key, version.version_id, version.size, version.last_modified))
    return Listing(sorted(objects, key=lambda found: found.key.encode()), sorted(deleted, key=str.encode))


def versions(bucket: str, key: str) -> list[StoredVersion]:
    """The history of one object, newest first, delete markers included; empty where there never was one."""
    return [version for version in history(bucket, key) if version.key == key]


def history(bucket: str, prefix: str) -> Iterator[StoredVersion]:
    """Versions and delete markers under a prefix; those of one key come newest first."""
    with plainly(bucket, prefix):
        for page in client().get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix):
            entries = [
                StoredVersion(v["Key"], v["VersionId"], v["Size"], v["LastModified"], v["IsLatest"], False)
                for v in page.get("Versions", [])
            ] + [
                StoredVersion(m["Key"], m["VersionId"], 0, m["LastModified"], m["IsLatest"], True)
                for m in page.get("DeleteMarkers", [])
            ]
            # Python's sort keeps the order of equals, which is S3's own: newest first.
            yield from sorted(entries, key=lambda v: (v.key.encode(), not v.is_latest, -v.last_modified.timestamp()))


def head(bucket: str, key: str, version_id: str | None = None) -> Head:
    """What S3 says of a version; without `version_id` of the newest one. Raises `ObjectGone` behind a delete marker."""
    asked = _asked(bucket, key, version_id)
    with plainly(bucket, key, version_id):
        answer = client().head_object(**asked, ChecksumMode="ENABLED")
    found = answer.get("VersionId", UNVERSIONED)
    if found == UNVERSIONED:
        raise NotVersioned(_not_versioned(bucket, key))
    whole = answer.get("ChecksumSHA256", "") if answer.get("ChecksumType") != "COMPOSITE" else ""
    return Head(
        bucket=bucket,
        key=key,
        version_id=found,
        size=answer["ContentLength"],
        last_modified=answer["LastModified"],
        media_type=answer.get("ContentType", ""),
        lock=Lock(
            mode=answer.get("ObjectLockMode", ""),
            until=answer.get("ObjectLockRetainUntilDate"),
            legal_hold=answer.get("ObjectLockLegalHoldStatus") == "ON",
        ),
        sha256=_hex(whole),
        encryption=answer.get("ServerSideEncryption", ""),
        kms_key=answer.get("SSEKMSKeyId", ""),
        metadata=answer.get("Metadata", {}),
    )


def stream(bucket: str, key: str, version_id: str) -> Iterator[bytes]:
    """The bytes of one version in pieces of up to 1 MiB; a broken connection is taken up again where it broke.

    The client is chosen now, so the bytes may be read after an `asking_for` block has ended.
    """
    if not version_id or version_id == UNVERSIONED:
        raise NotVersioned(_not_versioned(bucket, key))
    return _stream(client(), bucket, key, version_id)


def _stream(s3: S3Client, bucket: str, key: str, version_id: str) -> Iterator[bytes]:
    at = broken = 0
    while True:
        try:
            with plainly(bucket, key, version_id):
                for piece in _pieces(s3, _asked(bucket, key, version_id), at):
                    at += len(piece)
                    yield piece
            return
        except StorageUnavailable:
            broken += 1
            if broken > RESUMES:
                raise


def _pieces(s3: S3Client, asked: Any, start: int) -> Iterator[bytes]:
    """From byte `start` on; an object that ends there has no more pieces (S3 answers 416 to such a range)."""
    if start and start >= s3.head_object(**asked)["ContentLength"]:
        return
    onwards: Any = {"Range": f"bytes={start}-"} if start else {}
    body = s3.get_object(**asked, **onwards)["Body"]
    try:
        while piece := body.read(CHUNK):
            yield piece
    finally:
        body.close()


def digest(bucket: str, key: str, version_id: str, on_bytes: Callable[[int], None] | None = None) -> Digest:
    """Read one version to its end and hash it; `on_bytes` is told the size of every piece."""
    sha256, size = hashlib.sha256(), 0
    for piece in stream(bucket, key, version_id):
        sha256.update(piece)
        size += len(piece)
        if on_bytes is not None:
            on_bytes(len(piece))
    return Digest(sha256.hexdigest(), size)


# --- Errors -----------------------------------------------------------------------------------------------------------

GONE = {"404", "NoSuchKey", "NoSuchVersion", "NoSuchBucket", "405", "MethodNotAllowed", "NotFound"}
DENIED = {
    "403",
    "AccessDenied",
    "AllAccessDisabled",
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "ExpiredToken",
    "InvalidToken",
    "AccountProblem",
    "AccessForbidden",
}
UNAVAILABLE = {
    "500",
    "502",
    "503",
    "504",
    "InternalError",
    "ServiceUnavailable",
    "SlowDown",
    "RequestTimeout",
    "Throttling",
    "RequestTimeTooSkewed",
}


@contextmanager
def plainly(bucket: str, key: str = "", version_id: str | None = None) -> Iterator[None]:
    """Say botocore's errors in plain sentences."""
    where = f"{bucket}/{key}" + (f" (version {version_id})" if version_id else "") if key else f"bucket {bucket}"
    try:
        yield
    except ClientError as error:
        raise plain(error, where) from error
    except (NoConnection, BotoCoreError, OSError) as error:
        raise StorageUnavailable(f"S3 could not be reached while asking for {where}.") from error


def plain(error: ClientError, where: str) -> StorageError:
    """The `StorageError` for what S3 answered."""
    code = str(error.response.get("Error", {}).get("Code", ""))
    message = str(error.response.get("Error", {}).get("Message", "")).rstrip(".")
    if code == "NoSuchBucket":
        return ObjectGone(f"There is no such bucket: {where}.")
    if code in GONE:
        return ObjectGone(f"{where} is not there.")
    if code in DENIED:
        return AccessDenied(f"S3 denies access to {where} ({code}).")
    if code in UNAVAILABLE:
        return StorageUnavailable(f"S3 cannot serve {where} at the moment ({code}).")
    return StorageError(f"S3 refused what was asked of {where}: {message} ({code}).")


def _asked(bucket: str, key: str, version_id: str | None) -> Any:
    return {"Bucket": bucket, "Key": key} | ({"VersionId": version_id} if version_id else {})


def _not_versioned(bucket: str, key: str) -> str:
    return (
        f"{bucket}/{key} has no version id: versioning of the bucket is off or was off when the object was written, "
        "so the object could be replaced without a trace."
    )


def _hex(checksum: str) -> str:
    return base64.b64decode(checksum).hex() if checksum and "-" not in checksum else ""
