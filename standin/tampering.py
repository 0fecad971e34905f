"""What no client of S3 can do: change stored bytes without a trace. For tests and for showing what verification sees.

Only a stand-in started with `--allow-tampering` answers `POST /standin/tamper`.
"""

import json
from typing import Any

from moto.s3.models import FakeKey, s3_backends


def flip(body: bytes) -> dict[str, Any]:
    """Change one byte, at `offset`, of the object version named by the JSON in `body`."""
    said: dict[str, Any] = json.loads(body)
    partition, account = s3_backends.bucket_accounts[said["bucket"]]
    backend = s3_backends[account][partition]
    key = backend.get_object(said["bucket"], said["key"], version_id=said.get("version_id"))
    if not isinstance(key, FakeKey):
        raise LookupError(f"no such object: {said['bucket']}/{said['key']}")
    data = bytearray(key.value)
    data[said.get("offset", 0)] ^= 0xFF
    key.value = bytes(data)  # type: ignore[misc]
    return said
