"""The anchor bucket: checkpoints of the audit trail, in another account, under Object Lock, each checked after its write.

Its credentials may write and read there and nowhere else; those of the portal's other buckets do not reach it. A key is
`checkpoints/ORIGIN/NUMBER.txt`; the number counts up without a gap, so that a missing one is seen.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings

from audit.checkpoints import Found, Kept
from storage import s3, worm

PREFIX = "checkpoints"
NUMBERED = re.compile(r"(\d{12})\.txt")


@dataclass(frozen=True)
class Anchors:
    """The notes of one origin in one bucket. Raises `s3.StorageError`s, `worm.NotKept` among them."""

    bucket: str
    account: s3.Account
    origin: str
    years: int

    def write(self, number: int, note: bytes, *, now: datetime) -> Kept:
        """Write a note under COMPLIANCE for `years` from `now`, and ask S3 whether it keeps it so."""
        until = worm.years_after(now, self.years)
        with s3.asking_as(self.account):
            pin = worm.put_at(
                self._key(number), note, media_type="text/plain; charset=utf-8", retain_until=until, bucket=self.bucket
            )
        return Kept(f"{pin.bucket}/{pin.key}", pin.version_id, until)

    def since(self, number: int) -> Iterator[Found]:
        """Every version with this number or a higher one. A delete marker hides nothing here, and what lies deeper belongs to a
        portal whose origin goes on from this one's."""
        asked: Any = {"Bucket": self.bucket, "Prefix": self._prefix, "KeyMarker": self._key(number - 1)}
        with s3.asking_as(self.account), s3.plainly(self.bucket):
            pages = s3.client().get_paginator("list_object_versions").paginate(**asked)
            listed = [version for page in pages for version in page.get("Versions", [])]
        for version in sorted(listed, key=lambda one: (one["Key"], one["LastModified"])):
            if named := NUMBERED.fullmatch(version["Key"].removeprefix(self._prefix)):
                yield self._found(int(named[1]), version["Key"], version["VersionId"])

    def _found(self, number: int, key: str, version_id: str) -> Found:
        def read() -> bytes:
            with s3.asking_as(self.account):
                return b"".join(s3.stream(self.bucket, key, version_id))

        return Found(number, f"{self.bucket}/{key}", read)

    @property
    def _prefix(self) -> str:
        return f"{PREFIX}/{self.origin}/"

    def _key(self, number: int) -> str:
        return f"{self._prefix}{number:012}.txt"


def configured() -> Anchors:
    """As the settings name it."""
    account = s3.Account(
        settings.ANCHOR_ENDPOINT_URL,
        settings.ANCHOR_REGION,
        settings.ANCHOR_ACCESS_KEY_ID,
        settings.ANCHOR_SECRET_ACCESS_KEY,
    )
    return Anchors(settings.ANCHOR_BUCKET, account, settings.TRAIL_ORIGIN, settings.ANCHOR_RETENTION_YEARS)
