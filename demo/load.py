"""Log files for measurements: S3 reads of the size that real ones have, from a few principals, on many objects."""

import random
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

from standin import events

ACCOUNT, REGION, BUCKET = "111122223333", "eu-central-1", "bench-trail-objects"
BEGIN = datetime(2026, 6, 1, tzinfo=UTC)
PRINCIPALS = 200
KEYS = 5_000


def write(folder: Path, files: int, events_each: int, seed: int = 1) -> list[Path]:
    """Write so many log files, laid out as CloudTrail delivers them; about 1.8 KB an event before compression."""
    chance = random.Random(seed)
    sessions = [_session(number) for number in range(PRINCIPALS)]
    paths = []
    for number in range(files):
        delivered = BEGIN + timedelta(minutes=5 * number)
        records = [
            _read(chance, sessions, delivered - timedelta(seconds=chance.randint(1, 300))) for _ in range(events_each)
        ]
        path = folder / events.log_file_key(ACCOUNT, REGION, delivered, f"{number:016d}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(events.log_file(records))
        paths.append(path)
    return paths


def _session(number: int) -> dict[str, object]:
    name, role = f"person-{number}@bench.example", "AWSReservedSSO_GxPReader_3f1c9a77d0b2e845"
    return {
        "type": "AssumedRole", "principalId": f"AROABENCH{number:012d}:{name}",
        "arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/{role}/{name}", "accountId": ACCOUNT,
        "accessKeyId": f"ASIABENCH{number:011d}",
        "sessionContext": {
            "sessionIssuer": {"type": "Role", "principalId": f"AROABENCH{number:012d}", "accountId": ACCOUNT, "userName": role,
                              "arn": f"arn:aws:iam::{ACCOUNT}:role/aws-reserved/sso.amazonaws.com/{role}"},
            "attributes": {"creationDate": events.timestamp(BEGIN), "mfaAuthenticated": "false"},
        },
    }  # fmt: skip


def _read(chance: random.Random, sessions: list[dict[str, object]], when: datetime) -> dict[str, object]:
    key, size = f"runs/RUN-{chance.randrange(KEYS):05d}/reads/sample_R1.fastq.gz", chance.randint(10_000, 90_000_000)
    host, answered_by = events.s3_host(BUCKET, REGION), f"{chance.getrandbits(400):0100x}"
    return events.record(
        source="s3.amazonaws.com", name="GetObject", when=when, identity=chance.choice(sessions), region=REGION, account=ACCOUNT,
        event_id=str(uuid.UUID(int=chance.getrandbits(128))), request_id=f"{chance.getrandbits(64):016X}", source_ip="10.2.3.4",
        user_agent="[aws-cli/2.31.12 md/awscrt#0.27.6 os/windows#11 lang/python#3.13.7 md/command#s3.cp]",
        parameters={"bucketName": BUCKET, "Host": host, "key": key, "versionId": f"{chance.getrandbits(128):032x}"},
        resources=events.s3_resources(name="GetObject", account=ACCOUNT, bucket=BUCKET, key=key),
        additional=events.s3_additional(bytes_in=0, bytes_out=size, presigned=False, signed=True, host_id=answered_by),
        data=True, host=host,
    )  # fmt: skip
