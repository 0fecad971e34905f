"""Ninety days of CloudTrail log files for the demo's record bucket, the same for the same objects, day and seed.

What happened is told as a small firm's working days: the pipeline writes runs and looks after them, people log in through
IAM Identity Center and read, somebody goes on through two more roles, and a few things happen that an inspector should find.
Every event that touches one of the objects stands in the answer key as well, with who it was and how well that can be known.
Logging was off over one weekend; nothing is told of it.
"""

from __future__ import annotations

import random
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from demo import content
from standin import events

DAYS = 90
LONGEST_DELIVERY = timedelta(minutes=15)
SSO_ROLE_PATH = "aws-reserved/sso.amazonaws.com/eu-central-1/"
READER, STORAGE_ADMIN = "AWSReservedSSO_GxPReader_3f1c9a77d0b2e845", "AWSReservedSSO_StorageAdmin_8be2046d1fa9c357"
BOTO = "[Boto3/1.42.9 md/Botocore#1.42.9 os/linux lang/python#3.12.8]"
CONSOLE = "[S3Console/0.4, aws-internal/3 aws-sdk-java/1.12.788 Linux/6.1 OpenJDK_64-Bit_Server_VM/25.442]"
CLI = "[aws-cli/2.31.12 md/awscrt#0.27.6 os/windows#11 lang/python#3.13.7 md/command#s3.cp]"
HOSTILE = "curl/8.5.0 <img src=x onerror=alert(1)>"
ELSEWHERE = (("ec2", "DescribeInstances"), ("cloudtrail", "GetTrailStatus"), ("kms", "ListAliases"))
SCRATCH = "vestermark-scratch"
DENIED = ("AccessDenied", "Access Denied")
LOCKED = ("AccessDenied", "Access Denied because object protected by object lock.")


@dataclass(frozen=True)
class Stored:
    """An object version that the history may speak of; `created` is when the pipeline wrote it (UTC)."""

    bucket: str
    key: str
    version_id: str
    size: int
    created: datetime


@dataclass(frozen=True)
class Answer:
    """One touch of one object. `version_id` is "" where the event names none; `error` is "" where it succeeded."""

    event_id: str
    when: datetime
    name: str
    bucket: str
    key: str
    version_id: str
    who: str
    standing: str
    error: str = ""


@dataclass(frozen=True)
class History:
    """Log files by key, the answer key by time, how many different events, and the time without logging."""

    files: dict[str, bytes]
    answers: list[Answer]
    events: int
    repeated: int
    gap: tuple[datetime, datetime]


@dataclass(frozen=True)
class Session:
    """Credentials in use. `who` and `standing` say what a reader of the whole trail can find out about them."""

    identity: dict[str, Any]
    who: str
    standing: str
    address: str
    agent: str


@dataclass
class _Scribe:
    """Writes events down and remembers the answers."""

    chance: random.Random
    account: str
    region: str
    trail: str
    records: list[tuple[datetime, dict[str, Any]]] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)

    # Sessions

    def signed_in(self, username: str, when: datetime, role: str = READER) -> Session:
        """A person comes through IAM Identity Center: the session is named after the mail address."""
        mail = content.person(username).email
        identity = {
            "type": "SAMLUser",
            "principalId": f"{self._id(27)}:{mail}",
            "userName": mail,
            "identityProvider": self._id(27),
        }
        provider = f"arn:aws:iam::{self.account}:saml-provider/AWSSSO_0c1d2e3f4a5b6c7d_DO_NOT_DELETE"
        address = f"10.2.{self.chance.randint(1, 6)}.{self.chance.randint(10, 90)}"
        agent = self.chance.choice((CONSOLE, CLI, BOTO))
        key = self._assumed(
            identity, when, SSO_ROLE_PATH + role, mail, address, "aws-internal/3", name="AssumeRoleWithSAML",
            parameters={"principalArn": provider, "sAMLAssertionID": f"_{uuid.UUID(int=self.chance.getrandbits(128))}"},
        )  # fmt: skip
        return Session(self._role(SSO_ROLE_PATH + role, mail, key, when), mail, "PROVEN", address, agent)

    def went_on(self, session: Session, when: datetime, role: str, name: str) -> Session:
        """Somebody takes another role; only the access key leads back."""
        key = self._assumed(session.identity, when, role, name, session.address, session.agent)
        return Session(self._role(role, name, key, when), session.who, session.standing, session.address, BOTO)

    def service_role(self, service: str, role: str, when: datetime) -> Session:
        """An AWS service takes a role for a program that it runs."""
        name = f"{self.chance.getrandbits(128):032x}"
        key = self._assumed(events.service(service), when, role, name, service, service)
        return Session(self._role(role, name, key, when), service, "SERVICE", "10.2.9.14", BOTO)

    def from_nowhere(self, role: str, name: str, when: datetime, who: str, standing: str) -> Session:
        """A role session whose beginning stands in no log file of this account."""
        return Session(self._role(role, name, self._access_key(), when), who, standing, "198.51.100.27", BOTO)

    def user(self, name: str) -> Session:
        identity = {
            "type": "IAMUser", "principalId": f"AIDA{self._stable(name)}", "arn": f"arn:aws:iam::{self.account}:user/{name}",
            "accountId": self.account, "accessKeyId": f"AKIA{self._stable(name)[:16]}", "userName": name,
        }  # fmt: skip
        return Session(identity, name, "PROVEN", "10.2.0.4", "[Terraform/1.14.2 aws-sdk-go-v2/1.41.0]")

    # Requests

    def touched(
        self, session: Session, when: datetime, name: str, thing: Stored, *, pinned: bool = False, **more: Any
    ) -> None:
        """A request about one object, and its line in the answer key."""
        moved = thing.size if name in ("GetObject", "CopyObject") and not more.get("error") else 0
        parameters = {"versionId": thing.version_id} if pinned else {}
        answered = {"x-amz-version-id": thing.version_id, "x-amz-server-side-encryption": "AES256"}
        written = answered if name == "PutObject" else None
        event = self._s3(
            session, when, name, thing.bucket, key=thing.key, parameters=parameters, elements=written,
            bytes_in=thing.size if name == "PutObject" else 0, bytes_out=moved, **more,
        )  # fmt: skip
        self._answer(
            event, session, when, name, thing, thing.version_id if pinned or written else "", more.get("error")
        )

    def copied_out(self, session: Session, when: datetime, thing: Stored) -> None:
        """A copy into another bucket: the request names the other bucket, the record's object only as its source."""
        source = f"{thing.bucket}/{thing.key}?versionId={thing.version_id}"
        event = self._s3(
            session, when, "CopyObject", SCRATCH, key=f"from-records/{thing.key}", copy_source=source,
            parameters={"x-amz-copy-source": source}, bytes_out=312,
            elements={"x-amz-version-id": self._id(32), "x-amz-copy-source-version-id": thing.version_id},
        )  # fmt: skip
        self._answer(event, session, when, "CopyObject", thing, thing.version_id, None)

    def listed(self, session: Session, when: datetime, bucket: str, prefix: str, name: str = "ListObjects") -> None:
        asked = {"versions": ""} if name == "ListObjectVersions" else {"list-type": "2"}
        self._s3(
            session, when, name, bucket, prefix=prefix, parameters={**asked, "prefix": prefix, "encoding-type": "url"},
            bytes_out=self.chance.randint(900, 9000),
        )  # fmt: skip

    def emptied(self, session: Session, when: datetime, bucket: str, prefix: str) -> None:
        """A batch delete: CloudTrail tells no keys, only a prefix."""
        self._s3(session, when, "DeleteObjects", bucket, prefix=prefix, parameters={"delete": ""}, bytes_in=811)

    def configured(self, session: Session, when: datetime, name: str, bucket: str, **parameters: Any) -> None:
        self._s3(session, when, name, bucket, parameters=parameters)

    def logging(self, session: Session, when: datetime, name: str) -> None:
        arn = f"arn:aws:cloudtrail:{self.region}:{self.account}:trail/{self.trail}"
        self._add(
            when,
            events.record(
                source="cloudtrail.amazonaws.com", name=name, identity=session.identity, parameters={"name": arn},
                read_only=False, host=f"cloudtrail.{self.region}.amazonaws.com", **self._common(session, when),
            ),
        )  # fmt: skip

    def looked_around(self, session: Session, when: datetime, source: str, name: str) -> None:
        """A request that has nothing to do with the records."""
        common = self._common(session, when)
        self._add(when, events.record(source=source, name=name, identity=session.identity, parameters=None, **common))

    # How it is written

    def _s3(
        self, session: Session, when: datetime, name: str, bucket: str, *, key: str = "", prefix: str = "", copy_source: str = "",
        parameters: dict[str, Any], elements: dict[str, Any] | None = None, error: tuple[str, str] | None = None,
        bytes_in: int = 0, bytes_out: int = 0, presigned: bool = False,
    ) -> dict[str, Any]:  # fmt: skip
        host = events.s3_host(bucket, self.region)
        signed = session.identity.get("accountId") != "ANONYMOUS_PRINCIPAL"
        event = events.record(
            source="s3.amazonaws.com", name=name, identity=session.identity,
            parameters=parameters | {"bucketName": bucket, "Host": host} | ({"key": key} if key else {}), elements=elements,
            resources=events.s3_resources(
                name=name, account=self.account, bucket=bucket, key=key, prefix=prefix, copy_source=copy_source
            ),
            additional=events.s3_additional(
                bytes_in=bytes_in, bytes_out=bytes_out or (243 if error else 0), presigned=presigned, signed=signed,
                host_id=self._id(56) + "=",
            ),
            error=error, read_only=name.startswith(("Get", "Head", "List")), data=name in events.DATA_EVENTS, host=host,
            **self._common(session, when),
        )  # fmt: skip
        self._add(when, event)
        return event

    def _assumed(
        self, identity: dict[str, Any], when: datetime, role: str, session: str, address: str, agent: str, **more: Any
    ) -> str:
        """Record an AssumeRole of two seconds ago and return the access key that it handed out."""
        key = self._access_key()
        began = when - timedelta(seconds=2)
        self._add(
            began,
            events.assume_role(
                when=began, identity=identity, region=self.region, account=self.account, event_id=self._event_id(),
                request_id=self._event_id(), source_ip=address, user_agent=agent, role=role, role_id=self._role_id(role),
                session=session, access_key=key, token="REDACTED", hours=8, **more,  # noqa: S106 - no token at all
            ),
        )  # fmt: skip
        return key

    def _role(self, role: str, session: str, key: str, when: datetime) -> dict[str, Any]:
        name, unique = role.rpartition("/")[2], self._role_id(role)
        return {
            "type": "AssumedRole",
            "principalId": f"{unique}:{session}",
            "arn": f"arn:aws:sts::{self.account}:assumed-role/{name}/{session}",
            "accountId": self.account,
            "accessKeyId": key,
            "sessionContext": {
                "sessionIssuer": {
                    "type": "Role", "principalId": unique, "arn": f"arn:aws:iam::{self.account}:role/{role}",
                    "accountId": self.account, "userName": name,
                },
                "attributes": {
                    "creationDate": events.timestamp(when - timedelta(seconds=2)), "mfaAuthenticated": "false",
                },
            },
        }  # fmt: skip

    def _common(self, session: Session, when: datetime) -> dict[str, Any]:
        return {
            "when": when, "region": self.region, "account": self.account, "event_id": self._event_id(),
            "request_id": self._id(16), "source_ip": session.address, "user_agent": session.agent,
        }  # fmt: skip

    def _add(self, when: datetime, event: dict[str, Any]) -> None:
        self.records.append((when, event))

    def _answer(
        self, event: dict[str, Any], session: Session, when: datetime, name: str, thing: Stored, version: str,
        error: tuple[str, str] | None,
    ) -> None:  # fmt: skip
        self.answers.append(
            Answer(
                event["eventID"], when.replace(microsecond=0), name, thing.bucket, thing.key, version, session.who,
                session.standing, error[0] if error else "",
            )
        )  # fmt: skip

    def _event_id(self) -> str:
        return str(uuid.UUID(int=self.chance.getrandbits(128), version=4))

    def _access_key(self) -> str:
        return "ASIA" + self._id(16)

    def _role_id(self, role: str) -> str:
        return "AROA" + self._stable(role)

    def _id(self, length: int) -> str:
        return "".join(self.chance.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", k=length))

    def _stable(self, name: str) -> str:
        return uuid.uuid5(uuid.NAMESPACE_URL, name).hex[:17].upper()


# What happened


def build(
    objects: Sequence[Stored],
    *,
    now: datetime,
    bucket: str = "gxp-records",
    account: str = "111122223333",
    region: str = "eu-central-1",
    trail: str = "gxp-trail",
    seed: int = 2217,
    days: int = DAYS,
) -> History:
    """The log files of the `days` before `now` (UTC), up to a quarter of an hour ago: the rest is not delivered yet."""
    scribe = _Scribe(random.Random(seed), account, region, trail)
    begin = now - timedelta(days=days)
    gap = _weekend(now - timedelta(days=min(days - 10, 77)))
    known = sorted((thing for thing in objects if thing.bucket == bucket), key=lambda thing: (thing.created, thing.key))
    _bucket_was_set_up(scribe, begin + timedelta(minutes=20), bucket)
    _pipeline_wrote(scribe, [thing for thing in known if begin < thing.created < now])
    for day in range(days + 1):
        morning = (begin + timedelta(days=day)).replace(hour=0, minute=0, second=0, microsecond=0)
        _services_looked(scribe, morning, bucket)
        if morning.weekday() < 5:
            _pipeline_checked(scribe, morning + timedelta(hours=1, minutes=10), bucket, known)
            _people_read(scribe, morning, bucket, known)
    _what_an_inspector_should_find(scribe, now, bucket, known)
    for when, name in zip(gap, ("StopLogging", "StartLogging"), strict=True):
        administrator = scribe.signed_in(content.ADMINISTRATORS[0], when - timedelta(minutes=4), STORAGE_ADMIN)
        scribe.logging(administrator, when, name)
    return _delivered(scribe, begin, now, gap)


def write(files: dict[str, bytes], put: Callable[[str, bytes], object]) -> None:
    """Hand every file to `put`, in the order of delivery."""
    for key in sorted(files):
        put(key, files[key])


def _bucket_was_set_up(scribe: _Scribe, when: datetime, bucket: str) -> None:
    owner = scribe.user("storage-owner")
    steps: list[tuple[str, dict[str, Any]]] = [
        ("CreateBucket", {"x-amz-bucket-object-lock-enabled": "true"}),
        ("PutBucketVersioning", {"versioning": "", "VersioningConfiguration": {"Status": "Enabled"}}),
        ("PutBucketEncryption", {"encryption": ""}),
        ("PutBucketPublicAccessBlock", {"publicAccessBlock": ""}),
        ("PutBucketPolicy", {"policy": "", "bucketPolicy": _policy(bucket, "PipelineWrites")}),
    ]
    for place, (name, parameters) in enumerate(steps):
        scribe.configured(owner, when + timedelta(seconds=7 * place), name, bucket, **parameters)


def _policy(bucket: str, sid: str) -> dict[str, Any]:
    statement = {
        "Sid": sid, "Effect": "Deny", "NotPrincipal": {"AWS": "arn:aws:iam::111122223333:role/ngs-pipeline"},
        "Action": "s3:PutObject", "Resource": f"arn:aws:s3:::{bucket}/*",
    }  # fmt: skip
    return {"Version": "2012-10-17", "Statement": [statement]}


def _pipeline_wrote(scribe: _Scribe, written: Iterable[Stored]) -> None:
    """One session for all objects that were written within the same hour."""
    runs: dict[datetime, list[Stored]] = defaultdict(list)
    for thing in written:
        runs[thing.created.replace(minute=0, second=0, microsecond=0)].append(thing)
    for things in runs.values():
        session = scribe.service_role(
            "ecs-tasks.amazonaws.com", "ngs-pipeline", things[0].created - timedelta(seconds=20)
        )
        for thing in things:
            scribe.touched(session, thing.created, "PutObject", thing)


def _services_looked(scribe: _Scribe, morning: datetime, bucket: str) -> None:
    """AWS Config reads the bucket's settings; a dashboard looks at the account."""
    service = "config.amazonaws.com"
    config = Session(events.service(service), service, "SERVICE", service, service)
    names = ("GetBucketVersioning", "GetBucketPolicy", "GetBucketEncryption", "GetBucketObjectLockConfiguration")
    for hour in (3, 15):
        for place, name in enumerate(names):
            scribe.configured(config, morning + timedelta(hours=hour, minutes=5, seconds=place), name, bucket)
    owner = scribe.user("storage-owner")
    for hour in (6, 12, 18):
        when = morning + timedelta(hours=hour, seconds=scribe.chance.randint(0, 900))
        source, name = scribe.chance.choice(ELSEWHERE)
        scribe.looked_around(owner, when, f"{source}.amazonaws.com", name)


def _pipeline_checked(scribe: _Scribe, when: datetime, bucket: str, known: Sequence[Stored]) -> None:
    """The nightly check of what is there, and the clearing of the pipeline's own working space."""
    session = scribe.service_role("ecs-tasks.amazonaws.com", "ngs-pipeline", when)
    scribe.listed(session, when, bucket, "runs/", "ListObjectVersions")
    there = _there(known, when)
    for place, thing in enumerate(scribe.chance.sample(there, min(len(there), 12))):
        scribe.touched(session, when + timedelta(seconds=3 + place), "HeadObject", thing, pinned=True)
    scribe.listed(session, when + timedelta(seconds=30), bucket, "work/")
    scribe.emptied(session, when + timedelta(seconds=31), bucket, "work/")


def _people_read(scribe: _Scribe, morning: datetime, bucket: str, known: Sequence[Stored]) -> None:
    readers = (content.OPERATOR, content.SECOND_OPERATOR, content.SCIENTIST, content.REVIEWER, content.AUTHOR)
    for username in scribe.chance.sample(readers, scribe.chance.randint(1, 3)):
        when = morning + timedelta(hours=6, seconds=scribe.chance.randint(0, 8 * 3600))
        session = scribe.signed_in(username, when)
        there = _there(known, when)
        if not there:
            continue
        run = "/".join(scribe.chance.choice(there).key.split("/")[:2]) + "/"
        scribe.listed(session, when + timedelta(seconds=5), bucket, run)
        here = [thing for thing in there if thing.key.startswith(run)]
        for place, thing in enumerate(scribe.chance.sample(here, min(len(here), scribe.chance.randint(1, 6)))):
            at = when + timedelta(seconds=9 + 11 * place + scribe.chance.randint(0, 6))
            scribe.touched(session, at, "GetObject", thing, pinned=scribe.chance.random() < 0.4)


def _what_an_inspector_should_find(scribe: _Scribe, now: datetime, bucket: str, known: Sequence[Stored]) -> None:
    """Single events, each at its own day before `now`; those without an object to happen to are left out."""

    def at(days: int, hours: int, minutes: int) -> datetime:
        return (now - timedelta(days=days)).replace(hour=hours, minute=minutes, second=55, microsecond=0)

    owner = scribe.user("storage-owner")
    second = timedelta(seconds=1)

    when = at(40, 9, 12)
    scribe.configured(owner, when, "PutBucketLifecycle", bucket, lifecycle="")
    when = at(20, 14, 3)
    administrator = scribe.signed_in(content.ADMINISTRATORS[0], when, STORAGE_ADMIN)
    narrower = _policy(bucket, "OnlyThePipelineWrites")
    scribe.configured(administrator, when, "PutBucketPolicy", bucket, policy="", bucketPolicy=narrower)

    # A person, then two more roles: only access keys lead back. What they read is copied out of the bucket.
    when = at(12, 13, 31)
    person = scribe.signed_in(content.SCIENTIST, when)
    analyst = scribe.went_on(person, when + 30 * second, "ngs-analyst", "analysis")
    archive = scribe.went_on(analyst, when + 60 * second, "ngs-archive-reader", "restore")
    for place, thing in enumerate(_there(known, when)[:4]):
        scribe.touched(archive, when + (70 + place) * second, "GetObject", thing, pinned=True)
        if place < 2:
            scribe.copied_out(archive, when + (90 + place) * second, thing)

    # A supplier's session: the name is the caller's own choice.
    when = at(9, 10, 47)
    supplier = scribe.from_nowhere("vendor-support", "j.smith", when, "j.smith", "CLAIMED")
    scribe.listed(supplier, when, bucket, "runs/")
    for thing in _there(known, when)[-2:]:
        scribe.touched(supplier, when + 4 * second, "GetObject", thing)

    # A link that was signed by a person, used in time by somebody, and once more when it had expired.
    when = at(15, 11, 20)
    person = scribe.signed_in(content.SECOND_OPERATOR, when)
    for thing in _there(known, when)[:1]:
        scribe.touched(person, when + 60 * second, "GetObject", thing, presigned=True)
        expired = ("AccessDenied", "Request has expired")
        scribe.touched(person, when + timedelta(hours=2), "GetObject", thing, presigned=True, error=expired)

    # Nobody: an unsigned request, with a program name that is meant for whoever reads the log.
    when = at(5, 2, 33)
    nobody = Session(events.anonymous(), "anonymous", "UNRESOLVED", "203.0.113.80", HOSTILE)
    for thing in _there(known, when)[:1]:
        scribe.touched(nobody, when, "GetObject", thing, error=DENIED)

    # A clean-up program that nobody owns up to tries to delete locked versions.
    when = at(3, 16, 2)
    cleanup = scribe.from_nowhere("cleanup-job", f"botocore-session-{int(when.timestamp())}", when, "", "UNRESOLVED")
    scribe.listed(cleanup, when, bucket, "runs/", "ListObjectVersions")
    reads = [thing for thing in _there(known, when) if thing.key.endswith("_R1.fastq.gz")]
    for place, thing in enumerate(reads[:3]):
        scribe.touched(cleanup, when + place * second, "DeleteObject", thing, pinned=True, error=LOCKED)


def _there(known: Sequence[Stored], when: datetime) -> list[Stored]:
    """Objects that existed at `when`, the newest version of each key."""
    newest = {thing.key: thing for thing in known if thing.created < when}
    return sorted(newest.values(), key=lambda thing: thing.key)


def _weekend(near: datetime) -> tuple[datetime, datetime]:
    """From Friday 16:00 to Monday 08:00 UTC: 64 hours."""
    friday = (near - timedelta(days=(near.weekday() - 4) % 7)).replace(hour=16, minute=0, second=0, microsecond=0)
    return friday, friday + timedelta(hours=64)


# Delivery


def _delivered(scribe: _Scribe, begin: datetime, now: datetime, gap: tuple[datetime, datetime]) -> History:
    """Sort the records into files by time of delivery: some minutes late, every five minutes, in no order, some twice."""
    chance = scribe.chance
    batches: dict[datetime, list[dict[str, Any]]] = defaultdict(list)
    told: set[str] = set()
    repeated = 0
    for when, record in sorted(scribe.records, key=lambda pair: (pair[0], pair[1]["eventID"])):
        lag = timedelta(minutes=min(9.9, max(0.8, chance.lognormvariate(1.2, 0.45))))
        delivery = _next_five_minutes(when + lag)
        if gap[0] < when < gap[1] or not begin <= when <= now - LONGEST_DELIVERY:
            continue
        told.add(record["eventID"])
        batches[delivery].append(record)
        if chance.random() < 0.001 and delivery + timedelta(minutes=10) <= now:
            batches[delivery + timedelta(minutes=10)].append(record)
            repeated += 1
    files = {}
    for delivery, records in sorted(batches.items()):
        chance.shuffle(records)
        unique = "".join(chance.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", k=16))
        files[events.log_file_key(scribe.account, scribe.region, delivery, unique)] = events.log_file(records)
    answers = sorted((a for a in scribe.answers if a.event_id in told), key=lambda a: (a.when, a.event_id))
    return History(files, answers, len(told), repeated, gap)


def _next_five_minutes(when: datetime) -> datetime:
    start = when.replace(minute=when.minute // 5 * 5, second=0, microsecond=0)
    return start + timedelta(minutes=5)
