"""One level of a bucket, as people walk through it: folders and files under a prefix. What is registered is listed anew."""

from dataclasses import dataclass
from datetime import datetime

from storage import s3

SHOWN = 500


@dataclass(frozen=True)
class Object:
    """A file right under the prefix. `size` in bytes."""

    key: str
    name: str
    size: int
    last_modified: datetime


@dataclass(frozen=True)
class Level:
    """Folders (with their slash) and files, each by its name under the prefix; `more`: there is more than is shown."""

    folders: list[str]
    files: list[Object]
    more: bool


def level(bucket: str, prefix: str, begins: str = "") -> Level:
    """What lies right under `prefix`, where names begin with `begins`. Raises `s3.StorageError`."""
    with s3.plainly(bucket, prefix):
        answer = s3.client().list_objects_v2(Bucket=bucket, Prefix=prefix + begins, Delimiter="/", MaxKeys=SHOWN)
    folders = [found["Prefix"][len(prefix) :] for found in answer.get("CommonPrefixes", [])]
    files = [
        Object(found["Key"], found["Key"][len(prefix) :], found["Size"], found["LastModified"])
        for found in answer.get("Contents", [])
        if found["Key"] != prefix
    ]
    return Level(folders, files, answer.get("IsTruncated", False))


def steps(prefix: str) -> list[tuple[str, str]]:
    """(name, prefix) of each folder on the way down to `prefix`."""
    parts = prefix.removesuffix("/").split("/") if prefix else []
    return [(part, "/".join(parts[: place + 1]) + "/") for place, part in enumerate(parts)]
