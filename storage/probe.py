"""What a bucket promises in its settings, and what it enforces when it is tried with a throw-away object.

Settings are read; enforcement is tried. The trial leaves a delete marker and, if the bypass permission is missing, an
object that GOVERNANCE keeps for one day. The COMPLIANCE trial leaves an object that nobody can delete for some minutes.
"""

from __future__ import annotations

import base64
import hashlib
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from botocore.exceptions import ClientError

from storage import s3

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import ObjectLockRetentionTypeDef

Mode = Literal["GOVERNANCE", "COMPLIANCE"]
PREFIX = "countersign-probe/"
GOVERNED = timedelta(days=1)
COMPLIED = timedelta(minutes=5)


@dataclass(frozen=True)
class Kept:
    """A bucket's settings; empty strings where there is none."""

    versioned: bool
    lock_enabled: bool
    default_mode: str
    default_days: int
    encryption: str
    public_access_blocked: bool

    def to_json(self) -> dict[str, str | int | bool]:
        return asdict(self)


@dataclass(frozen=True)
class Finding:
    """One trial: what was tried, whether S3 behaved as it must, and what it said."""

    trial: str
    holds: bool
    said: str


def settings_of(bucket: str) -> Kept:
    """Read the settings. Raises `StorageError` where the bucket does not exist or may not be read."""
    client = s3.client()
    with s3.plainly(bucket):
        versioning = client.get_bucket_versioning(Bucket=bucket).get("Status", "")
    lock = _or_nothing(lambda: client.get_object_lock_configuration(Bucket=bucket)["ObjectLockConfiguration"])
    default = lock.get("Rule", {}).get("DefaultRetention", {})
    rules = _or_nothing(lambda: client.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"])
    block = _or_nothing(lambda: client.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"])
    names = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
    first: dict[str, Any] = next(iter(rules.get("Rules", [])), {})
    return Kept(
        versioned=versioning == "Enabled",
        lock_enabled=lock.get("ObjectLockEnabled") == "Enabled",
        default_mode=default.get("Mode", ""),
        default_days=default.get("Days", 0) + 365 * default.get("Years", 0),
        encryption=first.get("ApplyServerSideEncryptionByDefault", {}).get("SSEAlgorithm", ""),
        public_access_blocked=all(block.get(name) for name in names),
    )


def enforcement_of(bucket: str, *, compliance: bool = False) -> list[Finding]:
    """Try the bucket with a throw-away object under GOVERNANCE (and one under COMPLIANCE), and clean up."""
    findings = _digests_are_checked(bucket)
    findings += _locks_hold(bucket, "GOVERNANCE", GOVERNED, bypass=False)
    if compliance:
        findings += _locks_hold(bucket, "COMPLIANCE", COMPLIED, bypass=True)
    return findings


def _digests_are_checked(bucket: str) -> list[Finding]:
    wrong = base64.b64encode(hashlib.sha256(b"other bytes").digest()).decode()
    asked: Any = {"Bucket": bucket, "Key": f"{PREFIX}{uuid.uuid4()}", "Body": b"probe", "ChecksumSHA256": wrong}
    return [_refused("a write whose SHA-256 does not fit is refused", lambda: s3.client().put_object(**asked))]


def _locks_hold(bucket: str, mode: Mode, length: timedelta, *, bypass: bool) -> list[Finding]:
    """Lock one version, try to get rid of it in every way, and remove it in the end where that is allowed.

    COMPLIANCE must hold even with the bypass header, which is what `bypass` adds to every try.
    """
    client = s3.client()
    until = (datetime.now(UTC) + length).replace(microsecond=0)
    sooner = (datetime.now(UTC) + length / 2).replace(microsecond=0)
    key = f"{PREFIX}{uuid.uuid4()}"
    with s3.plainly(bucket, key):
        written = client.put_object(
            Bucket=bucket,
            Key=key,
            Body=b"probe",
            ChecksumAlgorithm="SHA256",
            ObjectLockMode=mode,
            ObjectLockRetainUntilDate=until,
        )
    version: Any = {"Bucket": bucket, "Key": key, "VersionId": written["VersionId"]}
    extra: Any = {"BypassGovernanceRetention": True} if bypass else {}
    head = s3.head(bucket, key, written["VersionId"])

    def retain(mode: Mode, until: datetime) -> Callable[[], Any]:
        asked: ObjectLockRetentionTypeDef = {"Mode": mode, "RetainUntilDate": until}
        return lambda: client.put_object_retention(**version, Retention=asked, **extra)

    findings = [
        Finding(
            f"{mode}: the lock asked for with the write is there",
            (head.lock.mode, head.lock.until) == (mode, until),
            f"{head.lock.mode or 'no lock'} until {head.lock.until}",
        ),
        _refused(f"{mode}: deleting the version is refused", lambda: client.delete_object(**version, **extra)),
        _refused(f"{mode}: shortening the retention is refused", retain(mode, sooner)),
    ]
    if mode == "COMPLIANCE":
        findings.append(_refused("COMPLIANCE: changing to GOVERNANCE is refused", retain("GOVERNANCE", until)))
    client.delete_object(Bucket=bucket, Key=key)
    still = s3.digest(bucket, key, written["VersionId"])
    findings.append(
        Finding(
            f"{mode}: behind a delete marker the version can still be read",
            still.sha256 == hashlib.sha256(b"probe").hexdigest(),
            f"{still.size} bytes read",
        )
    )
    if mode == "GOVERNANCE":
        findings.append(_removed(version))
    return findings


def _removed(version: Any) -> Finding:
    try:
        s3.client().delete_object(**version, BypassGovernanceRetention=True)
    except ClientError as error:
        return Finding("cleaned up", True, f"left for one day: {error.response['Error'].get('Code')}")
    return Finding("cleaned up", True, "removed with the bypass permission, which the portal's role should not have")


def _refused(trial: str, act: Callable[[], Any]) -> Finding:
    try:
        act()
    except ClientError as error:
        said = error.response["Error"]
        return Finding(trial, True, f"{said.get('Code')}: {said.get('Message', '')}")
    return Finding(trial, False, "S3 did it")


def _or_nothing(ask: Callable[[], Any]) -> dict[str, Any]:
    """A setting, or {} where S3 says that there is none (or does not let us see it)."""
    try:
        answer: dict[str, Any] = ask()
    except ClientError:
        return {}
    return answer
