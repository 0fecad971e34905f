"""What no client of S3 can do: change stored bytes without a trace, and write an object that is older than its writing.

The first is for tests, and for showing what verification sees; only a stand-in started with `--allow-tampering` answers
`POST /standin/tamper`. The second lets the demo have a past: a `PutObject` with the header `x-standin-created` gets that
time, and leaves no CloudTrail record, because the demo's own log files tell of it.
"""

import json
from datetime import UTC, datetime
from typing import Any

from moto.s3.models import FakeKey, s3_backends


def flip(body: bytes) -> dict[str, Any]:
    """Change one byte, at `offset`, of the object version named by the JSON in `body`."""
    said: dict[str, Any] = json.loads(body)
    key = _stored(said["bucket"], said["key"], said.get("version_id"))
    data = bytearray(key.value)
    data[said.get("offset", 0)] ^= 0xFF
    key.value = bytes(data)  # type: ignore[misc]
    return said


def backdate(bucket: str, key: str, created: str) -> None:
    """Give the newest version the time `created` (ISO 8601)."""
    when = datetime.fromisoformat(created).astimezone(UTC)
    _stored(bucket, key, None).last_modified = when.replace(tzinfo=None)


def _stored(bucket: str, key: str, version_id: str | None) -> FakeKey:
    partition, account = s3_backends.bucket_accounts[bucket]
    found = s3_backends[account][partition].get_object(bucket, key, version_id=version_id)
    if not isinstance(found, FakeKey):
        raise LookupError(f"no such object: {bucket}/{key}")
    return found
