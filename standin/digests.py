"""CloudTrail's digest files as AWS delivers them: an hour's log files with their hashes, signed and linked to the hour before.

Source of the form: the CloudTrail user guide, "Digest file structure" and "Custom implementations of log file integrity
validation". Nothing here is shared with the portal's own check, so that each is held against the other.
"""

import base64
import gzip
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

ALGORITHM = "SHA256withRSA"


class Listed(NamedTuple):
    """A log file as a digest names it; `sha256` is of its unpacked bytes."""

    bucket: str
    key: str
    sha256: str


@dataclass(frozen=True)
class Signer:
    """A key pair of CloudTrail in one region, and when it signs."""

    private: rsa.RSAPrivateKey = field(repr=False)
    begins: datetime
    ends: datetime

    @property
    def value(self) -> bytes:
        """The public key: DER of PKCS #1, as `ListPublicKeys` gives it."""
        return self.private.public_key().public_bytes(Encoding.DER, PublicFormat.PKCS1)

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(self.value).hexdigest()[:32]

    def sign(self, text: bytes) -> str:
        return self.private.sign(text, padding.PKCS1v15(), SHA256()).hex()

    def told(self) -> dict[str, Any]:
        """One entry of the answer to `ListPublicKeys`."""
        return {
            "Value": base64.b64encode(self.value).decode(),
            "Fingerprint": self.fingerprint,
            "ValidityStartTime": int(self.begins.timestamp()),
            "ValidityEndTime": int(self.ends.timestamp()),
        }


def new_private_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@dataclass(frozen=True)
class Digest:
    """A digest file to deliver; `metadata` are the object's `x-amz-meta-` fields without that beginning."""

    bucket: str
    key: str
    data: bytes
    metadata: dict[str, str]
    sha256: str
    end: datetime


@dataclass(frozen=True)
class Chain:
    """Whose digests these are, and where they go. `prefix` is empty or ends with a slash."""

    account: str
    region: str
    bucket: str
    trail: str
    prefix: str = ""
    backfill: bool = False

    def key(self, end: datetime) -> str:
        suffix = "_backfill" if self.backfill else ""
        return (
            f"{self.folder}{end:%Y/%m/%d}/{self.account}_CloudTrail-Digest_{self.region}_{self.trail}_{self.region}"
            f"_{end:%Y%m%dT%H%M%SZ}{suffix}.json.gz"
        )

    @property
    def folder(self) -> str:
        return f"{self.prefix}AWSLogs/{self.account}/CloudTrail-Digest/{self.region}/"

    def digest(
        self,
        signer: Signer,
        start: datetime,
        end: datetime,
        files: Sequence[Listed],
        previous: Digest | None,
        generated: datetime | None = None,
    ) -> Digest:
        """The digest of [start, end). Without `previous` it begins a chain, as after a stop."""
        key = self.key(end)
        before = previous.metadata["signature"] if previous else None
        content = json.dumps(
            {
                "awsAccountId": self.account,
                "digestStartTime": _stamp(start),
                "digestEndTime": _stamp(end),
                "digestS3Bucket": self.bucket,
                "digestS3Object": key,
                "digestPublicKeyFingerprint": signer.fingerprint,
                "digestSignatureAlgorithm": ALGORITHM,
                "newestEventTime": _stamp(end) if files else None,
                "oldestEventTime": _stamp(start) if files else None,
                "previousDigestS3Bucket": previous.bucket if previous else None,
                "previousDigestS3Object": previous.key if previous else None,
                "previousDigestHashValue": previous.sha256 if previous else None,
                "previousDigestHashAlgorithm": "SHA-256" if previous else None,
                "previousDigestSignature": before,
                "logFiles": [
                    {
                        "s3Bucket": listed.bucket,
                        "s3Object": listed.key,
                        "hashValue": listed.sha256,
                        "hashAlgorithm": "SHA-256",
                        "newestEventTime": _stamp(end),
                        "oldestEventTime": _stamp(start),
                    }
                    for listed in files
                ],
            },
            separators=(",", ":"),
        ).encode()
        sha256 = hashlib.sha256(content).hexdigest()
        text = f"{_stamp(end)}\n{self.bucket}/{key}\n{sha256}\n{before or 'null'}"
        metadata = {"signature": signer.sign(text.encode()), "signature-algorithm": ALGORITHM}
        if generated is not None:
            metadata["backfill-generation-timestamp"] = _stamp(generated)
        return Digest(self.bucket, key, gzip.compress(content, mtime=0), metadata, sha256, end)


def read(bucket: str, key: str, data: bytes, metadata: dict[str, str], end: datetime) -> Digest:
    """A digest that was delivered before, to go on from."""
    return Digest(bucket, key, data, metadata, hashlib.sha256(gzip.decompress(data)).hexdigest(), end)


def _stamp(when: datetime) -> str:
    return f"{when:%Y-%m-%dT%H:%M:%SZ}"
