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


def list_versions(bucket: str, prefix: str) -> Iterator[Listed]:
    """Every version of every object below `prefix`, overwritten ones included. Raises `StorageError`."""
    with s3.plainly(bucket, prefix):
        for page in s3.client().get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix):
            for found in page.get("Versions", []):
                yield Listed(found["Key"], found["VersionId"], found["ETag"].strip('"'), found["Size"])


def folders(bucket: str, prefix: str) -> list[str]:
    """Names of the folders right below `prefix`, without slashes. Raises `StorageError`."""
    with s3.plainly(bucket, prefix):
        pages = s3.client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix, Delimiter="/")
        found = [common["Prefix"] for page in pages for common in page.get("CommonPrefixes", [])]
    return [path.removeprefix(prefix).rstrip("/") for path in found]


def fetch(bucket: str, key: str, version_id: str, etag: str, size: int) -> bytes:
    """The bytes of exactly one version. Raises `TooLarge`, or `StorageError`."""
    if size > LARGEST:
        raise TooLarge(f"The file has {size} bytes as delivered; a log file has far fewer, and it was not fetched.")
    if version_id and version_id != s3.UNVERSIONED:
        return b"".join(s3.stream(bucket, key, version_id))
    condition: dict[str, Any] = {"IfMatch": etag} if etag else {}
    with s3.plainly(bucket, key):
        return s3.client().get_object(Bucket=bucket, Key=key, **condition)["Body"].read()
