"""A trail of a test's own whose bucket lies in the stand-in, and what CloudTrail delivers there."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from cloudtrail import transitions
from cloudtrail.models import Trail
from storage import s3
from tests.cloudtrail import given


def make(name: str, **more) -> Trail:
    """A trail with an empty, versioned bucket."""
    bucket = "trail-" + hashlib.sha256(f"{name} {datetime.now(UTC)}".encode()).hexdigest()[:20]
    client = s3.client()
    client.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": given.REGION})
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    values = {"name": "gxp", "account": given.ACCOUNT, "bucket": bucket, "started_from": given.NOON.date()}
    return transitions._create(values | more, by=transitions.trail.SYSTEM)


LATELY = datetime.now(UTC) - timedelta(minutes=10)


def today(number: int) -> str:
    """The key of a file that was delivered a little before; the same for each number."""
    return given.log_key(number, LATELY)


def put(trail: Trail, key: str, data: bytes) -> None:
    s3.client().put_object(Bucket=trail.bucket, Key=key, Body=data)


def deliver(trail: Trail, files: int, events: int = 2, first: int = 0) -> None:
    """So many files of so many events each; no two events are the same."""
    made = [given.packed([given.s3() for _ in range(events)]) for _ in range(files)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: put(trail, today(first + number), made[number]), range(files)))
