"""CloudTrail of the stand-in: turns served requests into records and delivers them to the trail bucket."""

import json
import secrets
import string
import threading
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from xml.etree.ElementTree import ParseError

from standin import events
from standin.call import Call, elements
from standin.principals import Directory, Principal

# Request headers that CloudTrail repeats among the parameters of an S3 request.
TOLD_HEADERS = (
    "x-amz-acl",
    "x-amz-copy-source",
    "x-amz-object-lock-mode",
    "x-amz-object-lock-retain-until-date",
    "x-amz-object-lock-legal-hold",
    "x-amz-server-side-encryption",
    "x-amz-server-side-encryption-aws-kms-key-id",
    "x-amz-storage-class",
    "x-amz-bypass-governance-retention",
    "x-amz-bucket-object-lock-enabled",
)
# Response headers that CloudTrail repeats among the response elements of a writing S3 request.
TOLD_ANSWERS = (
    "x-amz-version-id",
    "x-amz-copy-source-version-id",
    "x-amz-delete-marker",
    "x-amz-server-side-encryption",
    "x-amz-server-side-encryption-aws-kms-key-id",
)
Put = Callable[[str, bytes], None]


class Trail:
    """Collects records and hands them, once asked, to `put` as one log file a region."""

    def __init__(self, *, account: str, bucket: str, directory: Directory, put: Put) -> None:
        self.account = account
        self.bucket = bucket
        self.directory = directory
        self._put = put
        self._waiting: list[dict[str, Any]] = []
        self._lock = threading.Lock()

    def saw(self, call: Call, *, status: int, headers: dict[str, str], body: bytes, when: datetime) -> None:
        """Record a request that was answered; requests for objects of the trail's own bucket are left out."""
        if call.service == "s3" and not (call.bucket == self.bucket and call.event_name in events.DATA_EVENTS):
            self._add(self._s3(call, status, headers, body, when))
        elif call.service == "sts" and call.operation == "AssumeRole":
            self._add(self._assume_role(call, status, headers, body, when))

    def services_assume_their_roles(self, region: str) -> None:
        """Record whence the long-running programs have their access keys: an AWS service assumed a role for them."""
        for principal in self.directory.service_sessions():
            self._service_assumed(principal, datetime.now(UTC), region)

    def _service_assumed(self, principal: Principal, when: datetime, region: str) -> None:
        self._add(
            events.assume_role(
                when=when,
                identity=events.service(principal.service),
                region=region,
                account=self.account,
                event_id=str(uuid.uuid4()),
                request_id=str(uuid.uuid4()),
                source_ip=principal.service,
                user_agent=principal.service,
                role=principal.name,
                role_id=principal.principal_id.split(":")[0],
                session=principal.session,
                access_key=principal.access_key,
                token="REDACTED",  # noqa: S106 - no token at all
                hours=12,
            )
        )

    def deliver(self) -> int:
        """Write what waits as log files; returns the number of records delivered."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
        now = datetime.now(UTC)
        for region in sorted({record["awsRegion"] for record in waiting}):
            unique = "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(16))
            here = [record for record in waiting if record["awsRegion"] == region]
            self._put(events.log_file_key(self.account, region, now, unique), events.log_file(here))
        return len(waiting)

    def _add(self, record: dict[str, Any]) -> None:
        with self._lock:
            self._waiting.append(record)

    def _identity(self, call: Call) -> dict[str, Any]:
        if not call.access_key:
            return events.anonymous()
        principal = self.directory.find(call.access_key)
        if principal is None:
            return {"type": "Unknown", "principalId": "", "accountId": "", "accessKeyId": call.access_key}
        return principal.identity(self.account)

    def _s3(self, call: Call, status: int, headers: dict[str, str], body: bytes, when: datetime) -> dict[str, Any]:
        name = call.event_name
        host = events.s3_host(call.bucket, call.region)
        parameters: dict[str, Any] = {
            name: value for name, value in call.query.items() if not name.startswith("X-Amz-") and name != "x-id"
        }
        parameters |= {"bucketName": call.bucket} if call.bucket else {}
        parameters |= {"Host": host}
        parameters |= {"key": call.key} if call.key else {}
        parameters |= {name: call.headers[name] for name in TOLD_HEADERS if name in call.headers}
        if name == "PutBucketPolicy":
            parameters["bucketPolicy"] = _json(call.body)
        answers = {name: headers[name] for name in TOLD_ANSWERS if name in headers} if call.writes else {}
        return events.record(
            source="s3.amazonaws.com",
            name=name,
            when=when,
            identity=self._identity(call),
            region=call.region,
            account=self.account,
            event_id=str(uuid.uuid4()),
            request_id=headers.get("x-amz-request-id", ""),
            source_ip=call.source_ip,
            user_agent=f"[{call.headers.get('user-agent', '-')}]",
            parameters=parameters,
            elements=answers or None,
            additional=events.s3_additional(
                bytes_in=len(call.body),
                bytes_out=len(body),
                presigned=call.presigned,
                signed=bool(call.access_key),
                host_id=headers.get("x-amz-id-2", ""),
            ),
            resources=events.s3_resources(
                name=name,
                account=self.account,
                bucket=call.bucket,
                key=call.key,
                prefix=call.query.get("prefix", ""),
                copy_source=call.headers.get("x-amz-copy-source", ""),
            ),
            error=_error(status, body),
            read_only=not call.writes,
            data=name in events.DATA_EVENTS,
            host=host,
        )

    def _assume_role(
        self, call: Call, status: int, headers: dict[str, str], body: bytes, when: datetime
    ) -> dict[str, Any]:
        form = call.form
        common: dict[str, Any] = {
            "when": when,
            "identity": self._identity(call),
            "region": call.region,
            "account": self.account,
            "event_id": str(uuid.uuid4()),
            "request_id": headers.get("x-amzn-requestid", ""),
            "source_ip": call.source_ip,
            "user_agent": call.headers.get("user-agent", "-"),
        }
        if status != 200:
            return events.record(
                source="sts.amazonaws.com", name="AssumeRole", parameters=None, error=_error(status, body), **common
            )
        session = session_of(call, body, when, self.directory.find(call.access_key))
        self.directory.add(session)
        return events.assume_role(
            role=form.get("RoleArn", "").partition(":role/")[2],
            role_id=session.principal_id.split(":")[0],
            session=session.session,
            access_key=session.access_key,
            token="REDACTED",  # noqa: S106 - CloudTrail keeps the token; nothing here needs it
            source_identity=session.source_identity,
            hours=int(form.get("DurationSeconds", "3600")) // 3600 or 1,
            **common,
        )


def session_of(call: Call, body: bytes, when: datetime, caller: Principal | None) -> Principal:
    """The session that an answered `AssumeRole` began; a caller's source identity goes on with it."""
    answer = dict(elements(body))
    form = call.form
    return Principal(
        access_key=answer["AccessKeyId"],
        secret=answer["SecretAccessKey"],
        name=form["RoleArn"].rpartition("/")[2],
        session=form["RoleSessionName"],
        source_identity=form.get("SourceIdentity") or (caller.source_identity if caller else ""),
        created=when.replace(microsecond=0),
    )


def _error(status: int, body: bytes) -> tuple[str, str] | None:
    if status < 400:
        return None
    try:
        answer = dict(elements(body))
    except ParseError:
        answer = {}
    by_status = {403: ("AccessDenied", "Access Denied"), 404: ("NoSuchKey", "The specified key does not exist.")}
    fallback = by_status.get(status, (f"HTTP{status}", ""))
    return answer.get("Code", fallback[0]), answer.get("Message", fallback[1])


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body.decode("utf-8", "replace")
