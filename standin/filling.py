"""Fills the stand-in for the demo: as the program that owns the data, and with objects that have an age."""

from datetime import UTC, datetime
from typing import Any

import boto3
from botocore.config import Config

from standin.principals import OWNER, PIPELINE, Principal


class Filler:
    """A client that can say when an object was created (see `standin.tampering`)."""

    def __init__(self, url: str, *, principal: Principal = PIPELINE, region: str = "eu-central-1") -> None:
        self._region = region
        self._created: datetime | None = None
        self.s3: Any = boto3.client(
            "s3", endpoint_url=url, region_name=region, aws_access_key_id=principal.access_key,
            aws_secret_access_key=principal.secret, config=Config(retries={"max_attempts": 2}),
        )  # fmt: skip
        self.s3.meta.events.register("before-call.s3.PutObject", self._date)

    def put(self, bucket: str, key: str, body: bytes, *, created: datetime | None = None, **asked: Any) -> str:
        """Write an object and return its version id; with `created` it is as old as that and stands in no log file."""
        self._created = created
        try:
            answer = self.s3.put_object(Bucket=bucket, Key=key, Body=body, ChecksumAlgorithm="SHA256", **asked)
        finally:
            self._created = None
        version: str = answer.get("VersionId", "null")
        return version

    def _date(self, params: dict[str, Any], **_: Any) -> None:
        if self._created is not None:
            params["headers"]["x-standin-created"] = self._created.astimezone(UTC).isoformat()


def make_bucket(url: str, name: str, *, lock: bool = True, region: str = "eu-central-1") -> None:
    """A versioned bucket as a regulated firm would have it: Object Lock, encrypted, closed to the public; once."""
    s3 = Filler(url, principal=OWNER, region=region).s3
    if name in {known["Name"] for known in s3.list_buckets()["Buckets"]}:
        return
    s3.create_bucket(
        Bucket=name, ObjectLockEnabledForBucket=lock, CreateBucketConfiguration={"LocationConstraint": region}
    )
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    closed = dict.fromkeys(("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True)
    s3.put_public_access_block(Bucket=name, PublicAccessBlockConfiguration=closed)
