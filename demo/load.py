"""Log files for measurements, as a busy account delivers them: seeded, so that every run has the same ones.

Nine in ten are data events on a few thousand objects (reads, properties, writes, listings), the rest are management events
(encryption keys, sessions handed out). About 1.8 KB an event before compression. Half of the principals are people of IAM
Identity Center, half are roles assumed by IAM users; their sessions are opened anew each hour. Two files are delivered for
each five minutes, their times overlap, and one event in a thousand is told again by the next file, as CloudTrail does it now
and then.
"""

import json
import random
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from isal import igzip

from standin import events

ACCOUNT, REGION, BUCKET = "111122223333", "eu-central-1", "bench-trail-objects"
BEGIN = datetime(2026, 6, 1, tzinfo=UTC)
PRINCIPALS = 200
KEYS = 5_000
FILES_AN_HOUR = 24
TOLD_AGAIN = 1000
"""One event in so many is told by the next file as well."""
READER, PIPELINE = "AWSReservedSSO_GxPReader_3f1c9a77d0b2e845", "ngs-pipeline"
AGENT = "[aws-cli/2.31.12 lang/python#3.13.7 md/command#s3.cp]"


def write(folder: Path, files: int, events_each: int, seed: int = 1) -> tuple[list[Path], int]:
    """Write so many log files, laid out as CloudTrail delivers them; returns them, and how many events are told again."""
    chance = random.Random(seed)
    told_again, paths = 0, []
    repeated: list[str] = []
    for number in range(files):
        delivered = BEGIN + timedelta(minutes=5 * (number // 2))
        hour = number // FILES_AN_HOUR
        opened = list(_opened(chance, hour)) if number % FILES_AN_HOUR == 0 else []
        told_again += len(repeated)
        texts = opened + repeated
        texts += [_event(chance, hour, delivered) for _ in range(events_each - len(texts))]
        repeated = chance.sample(texts, events_each // TOLD_AGAIN) if number + 1 < files else []
        path = folder / events.log_file_key(ACCOUNT, REGION, delivered, f"{number:016d}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(igzip.compress(('{"Records":[' + ",".join(texts) + "]}").encode(), 2))
        paths.append(path)
    return paths, told_again


def _opened(chance: random.Random, hour: int) -> Iterator[str]:
    """The sessions of the roles that IAM users assume, at the beginning of the hour."""
    for number in range(1, PRINCIPALS, 2):
        user = f"pipeline-{number}"
        identity = {
            "type": "IAMUser", "principalId": f"AIDABENCH{number:012d}", "arn": f"arn:aws:iam::{ACCOUNT}:user/{user}",
            "accountId": ACCOUNT, "accessKeyId": f"AKIABENCH{number:011d}", "userName": user,
        }  # fmt: skip
        yield json.dumps(
            events.assume_role(
                when=BEGIN + timedelta(hours=hour, minutes=-5), identity=identity, region=REGION, account=ACCOUNT,
                event_id=_id(chance), request_id=_id(chance), source_ip="10.2.3.4", user_agent=AGENT, role=PIPELINE,
                role_id=f"AROABENCH{number:012d}", session=f"run-{number}", access_key=_access_key(number, hour), token="x" * 400,
            ),
            separators=(",", ":"),
        )  # fmt: skip


def _event(chance: random.Random, hour: int, delivered: datetime) -> str:
    """One event as JSON: a text with places for what differs, since a million have to be written."""
    number = chance.randrange(PRINCIPALS)
    return chance.choices(TEMPLATES, WEIGHTS)[0] % {
        "who": _identity(number, hour),
        "when": events.timestamp(delivered - timedelta(seconds=chance.randint(1, 300))),
        "key": f"runs/RUN-{chance.randrange(KEYS):05d}/2026-05-01/reads/sample-{number % 40:03d}_R1_001.fastq.gz",
        "version": f"{chance.getrandbits(128):032x}",
        "size": chance.randint(10_000, 90_000_000),
        "id": _id(chance),
        "request": f"{chance.getrandbits(64):016X}",
        "answered": f"{chance.getrandbits(304):076x}",
        "ip": f"10.2.{number}.{hour % 250}",
    }


def _id(chance: random.Random) -> str:
    return str(uuid.UUID(int=chance.getrandbits(128)))


def _access_key(number: int, hour: int) -> str:
    return f"ASIA{number:04d}{hour:012d}"


_IDENTITIES: dict[tuple[int, int], str] = {}


def _identity(number: int, hour: int) -> str:
    """A principal's session of that hour, as JSON."""
    if (number, hour) not in _IDENTITIES:
        name, role, path = f"person-{number}@bench.example", READER, "aws-reserved/sso.amazonaws.com/"
        if number % 2:
            name, role, path = f"run-{number}", PIPELINE, ""
        session = {
            "type": "AssumedRole", "principalId": f"AROABENCH{number:012d}:{name}",
            "arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/{role}/{name}", "accountId": ACCOUNT,
            "accessKeyId": _access_key(number, hour),
            "sessionContext": {
                "sessionIssuer": {"type": "Role", "principalId": f"AROABENCH{number:012d}", "accountId": ACCOUNT,
                                  "userName": role, "arn": f"arn:aws:iam::{ACCOUNT}:role/{path}{role}"},
                "attributes": {"creationDate": events.timestamp(BEGIN + timedelta(hours=hour)), "mfaAuthenticated": "false"},
            },
        }  # fmt: skip
        _IDENTITIES[number, hour] = json.dumps(session, separators=(",", ":"))
    return _IDENTITIES[number, hour]


def _template(name: str, *, key: bool = True, read_only: bool = True, source: str = "s3.amazonaws.com") -> str:
    """An event in the stand-in's shape with places in it; what it is made of has no percent sign of its own."""
    host = events.s3_host(BUCKET, REGION)
    asked: dict[str, Any] = {"bucketName": BUCKET, "Host": host}
    asked |= {"key": "%(key)s"} if key else {"prefix": "runs/", "encoding-type": "url", "max-keys": "1000"}
    if name == "GetObject":
        asked["versionId"] = "%(version)s"
    answer = None if read_only else {"x-amz-server-side-encryption": "aws:kms", "x-amz-version-id": "%(version)s"}
    resources = events.s3_resources(
        name=name, account=ACCOUNT, bucket=BUCKET, key="%(key)s" if key else "", prefix="" if key else "runs/"
    )
    additional = events.s3_additional(bytes_in=0, bytes_out=0, presigned=False, signed=True, host_id="%(answered)s")
    additional["bytesTransferredOut" if read_only else "bytesTransferredIn"] = "%(size)d"
    if source != "s3.amazonaws.com":
        arn = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/9b1f5c1e-3a2d-4c55-9d1e-5a7f2f0c0001"
        asked = {"keyId": arn, "encryptionContext": {"aws:s3:arn": f"arn:aws:s3:::{BUCKET}/%(key)s"}}
        resources, additional, host = [{"accountId": ACCOUNT, "type": "AWS::KMS::Key", "ARN": arn}], {}, ""
    made = events.record(
        source=source, name=name, when=BEGIN, identity={}, region=REGION, account=ACCOUNT, event_id="%(id)s",
        request_id="%(request)s", source_ip="%(ip)s", user_agent=AGENT, parameters=asked, elements=answer,
        resources=resources, additional=additional, data=source == "s3.amazonaws.com", host=host, read_only=read_only,
    ) | {"userIdentity": "%(who)s", "eventTime": "%(when)s"}  # fmt: skip
    text = json.dumps(made, separators=(",", ":"))
    return text.replace('"%(who)s"', "%(who)s").replace('"%(size)d"', "%(size)d")


TEMPLATES, WEIGHTS = zip(
    (_template("GetObject"), 62),
    (_template("HeadObject"), 14),
    (_template("PutObject", read_only=False), 12),
    (_template("ListObjects", key=False), 3),
    (_template("Decrypt", source="kms.amazonaws.com"), 6),
    (_template("GenerateDataKey", source="kms.amazonaws.com"), 3),
    strict=True,
)
