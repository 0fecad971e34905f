"""What AWS refuses (or answers) and moto 5.2 does not: one small patch each, all put in place by `install()`.

Every guard has a test in `tests/standin/test_guards.py` that states AWS's behaviour. Sources: the S3 API reference and
the Object Lock chapter of the S3 user guide; what moto does was tried against moto 5.2.5.
"""

import base64
import binascii
import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from flask import request
from moto.iam.access_control import PermissionResult
from moto.s3.exceptions import MissingKey, MissingVersion, S3ClientError
from moto.s3.models import FakeBucket, FakeDeleteMarker, FakeKey, FakeMultipart, S3Backend
from moto.s3.responses import S3Response

from standin import policy
from standin.call import Call
from standin.principals import Principal

LOCKED = "Access Denied because object protected by object lock."
STATUS = {
    "AccessDenied": 403,
    "InvalidAccessKeyId": 403,
    "SignatureDoesNotMatch": 403,
    "NoSuchObjectLockConfiguration": 404,
    "NoSuchKey": 404,
    "NoSuchVersion": 404,
    "InvalidBucketState": 409,
}

_patches: list[tuple[type, str, Callable[..., Any]]] = []


class Refusal(S3ClientError):
    """An S3 error with AWS's code and words."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message


def guards(owner: type, name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Mark a function as the new `owner.name`; it is given moto's own method as its first argument."""

    def remember(function: Callable[..., Any]) -> Callable[..., Any]:
        _patches.append((owner, name, function))
        return function

    return remember


def install() -> None:
    """Put every guard in place, once per process."""
    while _patches:
        owner, name, function = _patches.pop()
        setattr(owner, name, _bound(function, getattr(owner, name)))


def _bound(function: Callable[..., Any], original: Callable[..., Any]) -> Callable[..., Any]:
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return function(original, self, *args, **kwargs)

    return method


# --- Object Lock ------------------------------------------------------------------------------------------------------


def moment(text: str) -> datetime:
    """A retain-until date as S3 writes it."""
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        raise Refusal("InvalidArgument", "The retain until date must be provided in ISO 8601 format") from None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def check_lock(mode: str | None, until: str | None) -> None:
    """Mode and date come together, the mode is known, the date lies ahead."""
    if not mode and not until:
        return
    if not mode or not until:
        raise Refusal(
            "InvalidArgument",
            "x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied",
        )
    if mode not in ("GOVERNANCE", "COMPLIANCE"):
        raise Refusal("InvalidArgument", "Unknown wormMode directive.")
    if moment(until) <= datetime.now(UTC):
        raise Refusal("InvalidArgument", "The retain until date must be in the future!")


@guards(S3Response, "put_object_retention")
def retention_only_grows(original: Callable[..., Any], response: S3Response) -> Any:
    """COMPLIANCE is never shortened, weakened or removed; GOVERNANCE only with the bypass header."""
    mode, until = response._mode_until_from_body()
    check_lock(mode, until)
    version_id = response._get_param("versionId")
    key = response.backend.get_object(response.bucket_name, response.parse_key_name(), version_id=version_id)
    if key is None:
        raise MissingVersion() if version_id else MissingKey(key=response.parse_key_name())
    if key.lock_mode and key.lock_until and moment(key.lock_until) > datetime.now(UTC):
        weaker = mode != key.lock_mode or until is None or moment(until) < moment(key.lock_until)
        stricter = mode == "COMPLIANCE" and until is not None and moment(until) >= moment(key.lock_until)
        bypass = response.headers.get("x-amz-bypass-governance-retention", "").lower() == "true"
        if weaker and not stricter and not (key.lock_mode == "GOVERNANCE" and bypass):
            raise Refusal("AccessDenied", LOCKED)
    return original(response)


@guards(S3Backend, "put_bucket_versioning")
def versioning_stays_on_under_lock(
    original: Callable[..., Any], backend: S3Backend, bucket_name: str, status: str
) -> Any:
    if backend.get_bucket(bucket_name).object_lock_enabled and status != "Enabled":
        raise Refusal(
            "InvalidBucketState",
            "An Object Lock configuration is present on this bucket, so the versioning state cannot be changed.",
        )
    return original(backend, bucket_name, status)


@guards(S3Backend, "create_multipart_upload")
def multipart_remembers_its_lock(original: Callable[..., Any], backend: S3Backend, *args: Any, **kwargs: Any) -> Any:
    headers = request.headers
    mode = headers.get("x-amz-object-lock-mode")
    until = headers.get("x-amz-object-lock-retain-until-date")
    check_lock(mode, until)
    upload: FakeMultipart = original(backend, *args, **kwargs)
    upload.asked_lock = (mode, until, headers.get("x-amz-object-lock-legal-hold"))  # type: ignore[attr-defined]
    return upload


@guards(S3Backend, "complete_multipart_upload")
def multipart_is_locked_when_complete(
    original: Callable[..., Any], backend: S3Backend, bucket_name: str, multipart_id: str, body: Any
) -> Any:
    """The lock that was asked for when the upload began, else the bucket's default."""
    bucket = backend.get_bucket(bucket_name)
    upload = bucket.multiparts.get(multipart_id)
    mode, until, hold = getattr(upload, "asked_lock", (None, None, None))
    key = original(backend, bucket_name, multipart_id, body)
    if key is not None and not mode and bucket.has_default_lock:
        mode, until = bucket.default_lock_mode, bucket.default_retention()
    if key is not None:
        key.lock_mode, key.lock_until, key.lock_legal_status = mode, until, hold
    return key


@guards(S3Response, "_key_response_get")
def retention_can_be_read(
    original: Callable[..., Any], response: S3Response, query: dict[str, Any], key_name: str
) -> Any:
    """`GetObjectRetention`: the value, or 404 where there is none (moto sends the object's bytes)."""
    if "retention" not in query:
        return original(response, query, key_name)
    if not response.backend.get_bucket(response.bucket_name).object_lock_enabled:
        raise Refusal("InvalidRequest", "Bucket is missing Object Lock Configuration")
    key, _ = response._get_key(validate_storage_class=False)
    if not key.lock_mode:
        raise Refusal("NoSuchObjectLockConfiguration", "The specified object does not have a ObjectLock configuration")
    xml = (
        '<?xml version="1.0" encoding="UTF-8"?><Retention xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        f"<Mode>{key.lock_mode}</Mode><RetainUntilDate>{key.lock_until}</RetainUntilDate></Retention>"
    )
    return 200, {"content-type": "application/xml"}, xml


@guards(S3Backend, "put_object_lock_configuration")
def default_lock_for_a_filled_bucket(
    original: Callable[..., Any],
    backend: S3Backend,
    bucket_name: str,
    lock_enabled: bool,
    mode: str | None = None,
    days: int | None = None,
    years: int | None = None,
) -> None:
    """AWS takes a lock configuration for a versioned bucket that already holds objects, and never gives it up again."""
    bucket = backend.get_bucket(bucket_name)
    if not bucket.is_versioned:
        raise Refusal(
            "InvalidBucketState",
            "Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration",
        )
    bucket.object_lock_enabled = bucket.object_lock_enabled or lock_enabled
    bucket.default_lock_mode, bucket.default_lock_days, bucket.default_lock_years = mode, days, years


# --- Bucket policies --------------------------------------------------------------------------------------------------

# The request that is being answered and who asked: the stand-in answers one at a time.
_asking: list[tuple[Call, Principal | None, str]] = []


@contextmanager
def asking(call: Call, caller: Principal | None, account: str) -> Iterator[None]:
    """In this block policies are held against this request."""
    _asking.append((call, caller, account))
    try:
        yield
    finally:
        _asking.pop()


@guards(FakeBucket, "get_permission")
def denials_know_who_asks(original: Callable[..., Any], bucket: FakeBucket, action: str, resource: str) -> Any:
    """A Deny meets those whom its principal and its conditions name; moto denies everybody."""
    if bucket.policy is None or not _asking:
        return PermissionResult.NEUTRAL
    call, caller, account = _asking[-1]
    denied = policy.denies(bucket.policy, action, resource, call=call, caller=caller, account=account)
    return PermissionResult.DENIED if denied else PermissionResult.NEUTRAL


# --- Encryption at rest, listings -------------------------------------------------------------------------------------


AES256 = {"Rule": {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}, "BucketKeyEnabled": "false"}}


@guards(S3Backend, "create_bucket")
def every_bucket_is_encrypted(
    original: Callable[..., Any], backend: S3Backend, *args: Any, **kwargs: Any
) -> FakeBucket:
    """Since January 2023 S3 encrypts every bucket with its own keys unless told otherwise."""
    bucket: FakeBucket = original(backend, *args, **kwargs)
    bucket.encryption = AES256
    return bucket


@guards(S3Backend, "delete_bucket_encryption")
def encryption_falls_back(original: Callable[..., Any], backend: S3Backend, bucket_name: str) -> None:
    backend.get_bucket(bucket_name).encryption = AES256


@guards(S3Backend, "list_object_versions")
def versions_in_order(
    original: Callable[..., Any],
    backend: S3Backend,
    bucket_name: str,
    delimiter: str | None = None,
    key_marker: str | None = None,
    max_keys: int | None = 1000,
    prefix: str = "",
    version_id_marker: str | None = None,
) -> tuple[list[FakeKey], list[str], list[FakeDeleteMarker], str | None, str | None]:
    """By key, newest first, without moto's deep copy of every byte in the bucket."""
    versions: list[FakeKey] = []
    markers: list[FakeDeleteMarker] = []
    folders: list[str] = []
    last: tuple[str | None, str | None] = (None, None)
    for item in _versions_after(backend.get_bucket(bucket_name), prefix, key_marker or "", version_id_marker):
        rest = item.name[len(prefix) :]
        folder = prefix + rest[: rest.index(delimiter) + len(delimiter)] if delimiter and delimiter in rest else ""
        if folder and (folder in folders or folder == key_marker):
            continue
        if len(versions) + len(markers) + len(folders) >= (max_keys or 1000):
            return versions, folders, markers, *last
        if folder:
            folders.append(folder)
            last = (folder, None)
            continue
        (versions if isinstance(item, FakeKey) else markers).append(item)
        last = (item.name, item.version_id)
    return versions, folders, markers, None, None


def _versions_after(bucket: FakeBucket, prefix: str, key_marker: str, version_id_marker: str | None) -> Iterable[Any]:
    for name in sorted(name for name in bucket.keys if name.startswith(prefix) and name >= key_marker):
        newest_first = list(reversed(bucket.keys.getlist(name, [])))
        for place, version in enumerate(newest_first):
            version.is_latest = place == 0
        if name == key_marker:
            ids = [version.version_id for version in newest_first]
            newest_first = newest_first[ids.index(version_id_marker) + 1 :] if version_id_marker in ids else []
        yield from newest_first


# --- What is checked on the request itself, before moto sees it -------------------------------------------------------


def check_request(call: Call, known: bool) -> None:
    """Raise a `Refusal` for an unsigned request, an unknown key, altered bytes or a lock that cannot be."""
    if not call.access_key:
        raise Refusal("AccessDenied", "Access Denied")
    if not known:
        raise Refusal("InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records.")
    if call.operation in ("PutObject", "UploadPart"):
        check_digests(call)
    if call.operation in ("PutObject", "CopyObject"):
        check_lock(call.headers.get("x-amz-object-lock-mode"), call.headers.get("x-amz-object-lock-retain-until-date"))


def check_digests(call: Call) -> None:
    """Every checksum that came with the bytes must fit them."""
    payload = call.payload
    sent = call.headers | call.trailers
    for name, digest in DIGESTS.items():
        stated = sent.get(name)
        if stated is not None and stated != base64.b64encode(digest(payload)).decode():
            label = name.removeprefix("x-amz-checksum-").upper()
            raise Refusal("BadDigest", f"The {label} you specified did not match the calculated checksum.")
    stated = sent.get("x-amz-content-sha256", "")
    if len(stated) == 64 and stated != hashlib.sha256(call.body).hexdigest():
        raise Refusal(
            "XAmzContentSHA256Mismatch", "The provided 'x-amz-content-sha256' header does not match what was computed."
        )


DIGESTS: dict[str, Callable[[bytes], bytes]] = {
    "content-md5": lambda data: hashlib.md5(data, usedforsecurity=False).digest(),
    "x-amz-checksum-sha256": lambda data: hashlib.sha256(data).digest(),
    "x-amz-checksum-sha1": lambda data: hashlib.sha1(data, usedforsecurity=False).digest(),
    "x-amz-checksum-crc32": lambda data: binascii.crc32(data).to_bytes(4, "big"),
}


def complete(environ: dict[str, Any], call: Call) -> None:
    """Fill in what moto wants to see although AWS does without it.

    moto keeps a checksum only if `x-amz-sdk-checksum-algorithm` names it, and refuses a `CopyObject` (which has no
    body to digest) into a bucket with default retention unless that header is there.
    """
    if call.operation == "CopyObject":
        environ.setdefault("HTTP_X_AMZ_SDK_CHECKSUM_ALGORITHM", "SHA256")
    for name in DIGESTS:
        if name.startswith("x-amz-checksum-") and name in call.headers:
            environ.setdefault("HTTP_X_AMZ_SDK_CHECKSUM_ALGORITHM", name.removeprefix("x-amz-checksum-").upper())
