"""A trail's bucket: which log files lie there, and the bytes of one.

Apart from `storage.s3` only in that a bucket without versioning is read as well: many trails deliver into one. There an
object is told apart by its ETag, and asked for under that condition.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from storage import s3

LARGEST = 64 * 1024 * 1024
"""Bytes, as delivered; a compressed log file beyond that is not fetched."""


class TooLarge(Exception):
    """The object is no log file: too large to be fetched."""


@dataclass(frozen=True)
class Listed:
    """One version of an object below a prefix. `etag` has no quotes."""

    key: str
    version_id: str
    etag: str
    size: int


def list_versions(bucket: str, prefix: str, after: str = "") -> Iterator[Listed]:
    """Every version of every object below `prefix` (and `after` that key), overwritten ones included. Raises `StorageError`."""
    asked: dict[str, Any] = {"Bucket": bucket, "Prefix": prefix} | ({"KeyMarker": after} if after else {})
    with s3.plainly(bucket, prefix):
        for page in s3.client().get_paginator("list_object_versions").paginate(**asked):
            for found in page.get("Versions", []):
                yield Listed(found["Key"], found["VersionId"], found["ETag"].strip('"'), found["Size"])


def list_newest(bucket: str, prefix: str, after: str = "") -> Iterator[str]:
    """The keys below `prefix` (and `after` that key), in order. Raises `StorageError`."""
    with s3.plainly(bucket, prefix):
        pages = s3.client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix, StartAfter=after)
        for page in pages:
            for found in page.get("Contents", []):
                yield found["Key"]


def folders(bucket: str, prefix: str) -> list[str]:
    """Names of the folders right below `prefix`, without slashes. Raises `StorageError`."""
    with s3.plainly(bucket, prefix):
        pages = s3.client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix, Delimiter="/")
        found = [common["Prefix"] for page in pages for common in page.get("CommonPrefixes", [])]
    return [path.removeprefix(prefix).rstrip("/") for path in found]


def fetch_whole(found: Listed, bucket: str) -> tuple[bytes, dict[str, str]]:
    """The bytes of one version and its user metadata. Raises `TooLarge`, or `StorageError`."""
    if found.size > LARGEST:
        raise TooLarge(f"The file has {found.size} bytes as delivered, and was not fetched.")
    plain = found.version_id in ("", s3.UNVERSIONED)
    asked: dict[str, Any] = {"IfMatch": found.etag} if plain else {"VersionId": found.version_id}
    with s3.plainly(bucket, found.key):
        answer = s3.client().get_object(Bucket=bucket, Key=found.key, **asked)
        return answer["Body"].read(), answer["Metadata"]


def newest(bucket: str, key: str) -> tuple[bytes, dict[str, str]] | None:
    """What lies at a key now, with its user metadata; None where nothing does. Raises `StorageError`.

    Of what is too large to be a file of CloudTrail's no byte is read: no bytes are given, which are no such file either.
    """
    try:
        with s3.plainly(bucket, key):
            answer = s3.client().get_object(Bucket=bucket, Key=key)
            if answer["ContentLength"] > LARGEST:
                answer["Body"].close()
                return b"", answer["Metadata"]
            return answer["Body"].read(), answer["Metadata"]
    except s3.ObjectGone:
        return None


def fetch(bucket: str, key: str, version_id: str, etag: str, size: int) -> bytes:
    """The bytes of exactly one version. Raises `TooLarge`, or `StorageError`."""
    if size > LARGEST:
        raise TooLarge(f"The file has {size} bytes as delivered; a log file has far fewer, and it was not fetched.")
    if version_id and version_id != s3.UNVERSIONED:
        return b"".join(s3.stream(bucket, key, version_id))
    condition: dict[str, Any] = {"IfMatch": etag} if etag else {}
    with s3.plainly(bucket, key):
        return s3.client().get_object(Bucket=bucket, Key=key, **condition)["Body"].read()
