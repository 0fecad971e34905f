"""Bytes of a version's files for reading in a page. What is whole is hashed against the seal; a beginning cannot be."""

import hashlib
from collections.abc import Iterator

from django.conf import settings

from records.models import File
from storage import s3, worm

#: Files up to here are read whole, hashed, and kept in the cache by their hash.
SMALL = 1024 * 1024


def small(file: File) -> bytes:
    """All bytes of a file of at most `SMALL` bytes. Raises ValueError for a larger one, `worm.Altered`, `s3.StorageError`."""
    if file.size > SMALL:
        raise ValueError(f"{file.logical_key} is too large to be read whole")
    path = settings.CACHE_DIR / "files" / file.sha256
    if path.exists() and hashlib.sha256(data := path.read_bytes()).hexdigest() == file.sha256:
        return data
    data = whole(file)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = path.with_suffix(".part")
    fresh.write_bytes(data)
    fresh.rename(path)
    return data


def whole(file: File) -> bytes:
    """All bytes of a file, from S3 by version id. Raises `worm.Altered` where they are not what was sealed, StorageError."""
    return worm.get(worm.Pin(file.bucket, file.key, file.s3_version, file.size, file.sha256))


def beginning(file: File, count: int) -> bytes:
    """The first `count` bytes; of a small file all of it, proved by its hash. Raises `worm.Altered`, StorageError."""
    if file.size <= SMALL:
        return small(file)[:count]
    read = b""
    for piece in s3.stream(file.bucket, file.key, file.s3_version):
        read += piece
        if len(read) >= count:
            break
    return read[:count]


def stream(file: File) -> Iterator[bytes]:
    """The bytes as they come from S3, by version id. Raises StorageError."""
    return s3.stream(file.bucket, file.key, file.s3_version)
