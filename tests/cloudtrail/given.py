"""Events and log files to test with, in CloudTrail's own shapes (those of the stand-in), each a plain dictionary."""

import gzip
import itertools
import json
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cloudtrail.keys import LogName
from standin import events as shapes

ACCOUNT = "111122223333"
REGION = "eu-central-1"
BUCKET = "gxp-ngs"
NOON = datetime(2026, 4, 12, 12, tzinfo=UTC)
DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "trail"

needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"the public CloudTrail files are not at {DATA}")
_ids = itertools.count(1)


def event_id() -> str:
    return str(uuid.UUID(int=next(_ids)))


def iam_user(name: str = "maja", key: str = "AKIAMAJA") -> dict[str, Any]:
    return {
        "type": "IAMUser",
        "principalId": "AIDA" + name.upper(),
        "arn": f"arn:aws:iam::{ACCOUNT}:user/{name}",
        "accountId": ACCOUNT,
        "accessKeyId": key,
        "userName": name,
    }


def session(
    key: str, *, role: str = "ngs-analyst", name: str = "botocore-session-17", path: str = "", **context: Any
) -> dict[str, Any]:
    issuer = {
        "type": "Role",
        "arn": f"arn:aws:iam::{ACCOUNT}:role/{path}{role}",
        "accountId": ACCOUNT,
        "userName": role,
    }
    return {
        "type": "AssumedRole",
        "principalId": f"AROA{role.upper()}:{name}",
        "arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/{role}/{name}",
        "accountId": ACCOUNT,
        "accessKeyId": key,
        "sessionContext": {"sessionIssuer": issuer, "attributes": {"creationDate": "2026-04-12T08:00:00Z"}, **context},
    }


def s3(
    name: str = "GetObject",
    key: str = "runs/r1.fastq.gz",
    *,
    at: datetime = NOON,
    by: dict[str, Any] | None = None,
    bucket: str = BUCKET,
    parameters: dict[str, Any] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """An S3 event; `parameters` go beside bucket and key, `more` over the fields of the event."""
    asked = {"bucketName": bucket} | ({"key": key} if key else {}) | (parameters or {})
    event = shapes.record(
        source="s3.amazonaws.com",
        name=name,
        when=at,
        identity=by or iam_user(),
        region=REGION,
        account=ACCOUNT,
        event_id=event_id(),
        request_id=f"R{next(_ids):015d}",
        source_ip="10.2.4.17",
        user_agent="[aws-cli/2.15]",
        parameters=asked,
        resources=shapes.s3_resources(
            name=name,
            account=ACCOUNT,
            bucket=bucket,
            key=key,
            prefix=str(asked.get("prefix", "")),
            copy_source=str(asked.get("x-amz-copy-source", "")),
        ),
        additional=shapes.s3_additional(bytes_in=0, bytes_out=1000, presigned=False, signed=True, host_id="x"),
        read_only=name.startswith(("Get", "Head", "List")),
        data=True,
    )
    return event | more


def assume_role(
    key: str, *, by: dict[str, Any], at: datetime = NOON, role: str = "ngs-analyst", name: str = "s", **more: Any
) -> dict[str, Any]:
    """The event that handed out the access key `key`."""
    return (
        shapes.assume_role(
            when=at,
            identity=by,
            region=REGION,
            account=ACCOUNT,
            event_id=event_id(),
            request_id="r",
            source_ip="10.2.4.17",
            user_agent="x",
            role=role,
            role_id="AROA",
            session=name,
            access_key=key,
            token="SECRET",
        )
        | more
    )


def packed(events: list[dict[str, Any]]) -> bytes:
    return shapes.log_file(events)


def packed_text(text: str | bytes) -> bytes:
    return gzip.compress(text.encode() if isinstance(text, str) else text, mtime=0)


def log_key(number: int = 0, at: datetime = NOON) -> str:
    return LogName(ACCOUNT, REGION, at + timedelta(minutes=5), f"{number:016d}").key


def hand_over(root: Path, files: dict[str, bytes]) -> Path:
    """Write files below a directory as CloudTrail lays them out."""
    for key, data in files.items():
        path = root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


def text_of(event: dict[str, Any]) -> str:
    return json.dumps({"Records": [event]})
