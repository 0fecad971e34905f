"""CloudTrail records in the shapes that AWS delivers: pure functions, used by the stand-in and by the demo's history.

Shapes follow the CloudTrail record contents and S3 data event pages of the AWS documentation, and the real records in
the public `invictus-ir/aws_dataset`.
"""

import gzip
import json
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import unquote

# Requests about objects and their listings are data events; all other S3 requests are management events.
DATA_EVENTS = frozenset(
    {
        "GetObject",
        "PutObject",
        "HeadObject",
        "DeleteObject",
        "DeleteObjects",
        "CopyObject",
        "ListObjects",
        "ListObjectVersions",
        "HeadBucket",
        "GetObjectAcl",
        "PutObjectAcl",
        "GetObjectTagging",
        "PutObjectTagging",
        "DeleteObjectTagging",
        "GetObjectRetention",
        "PutObjectRetention",
        "GetObjectLegalHold",
        "PutObjectLegalHold",
        "GetObjectAttributes",
        "RestoreObject",
        "SelectObjectContent",
        "CreateMultipartUpload",
        "UploadPart",
        "UploadPartCopy",
        "CompleteMultipartUpload",
        "AbortMultipartUpload",
        "ListParts",
        "ListMultipartUploads",
        "GetObjectTorrent",
    }
)
# These name no single key: CloudTrail tells the prefix that was asked for, or only the bucket.
BY_PREFIX = frozenset({"ListObjects", "ListObjectVersions", "ListMultipartUploads", "DeleteObjects"})
CIPHER = "TLS_AES_128_GCM_SHA256"


def timestamp(when: datetime) -> str:
    """CloudTrail writes whole seconds, in UTC."""
    return f"{when:%Y-%m-%dT%H:%M:%SZ}"


def record(
    *,
    source: str,
    name: str,
    when: datetime,
    identity: dict[str, Any],
    region: str,
    account: str,
    event_id: str,
    request_id: str,
    source_ip: str,
    user_agent: str,
    parameters: dict[str, Any] | None,
    elements: dict[str, Any] | None = None,
    resources: list[dict[str, Any]] | None = None,
    additional: dict[str, Any] | None = None,
    error: tuple[str, str] | None = None,
    read_only: bool = True,
    data: bool = False,
    host: str = "",
) -> dict[str, Any]:
    """One record, fields in the order in which CloudTrail writes them."""
    event: dict[str, Any] = {
        "eventVersion": "1.11",
        "userIdentity": identity,
        "eventTime": timestamp(when),
        "eventSource": source,
        "eventName": name,
        "awsRegion": region,
        "sourceIPAddress": source_ip,
        "userAgent": user_agent,
    }
    if error:
        event["errorCode"], event["errorMessage"] = error
    event["requestParameters"] = parameters
    event["responseElements"] = elements
    if additional:
        event["additionalEventData"] = additional
    event |= {"requestID": request_id, "eventID": event_id, "readOnly": read_only}
    if resources:
        event["resources"] = resources
    event |= {
        "eventType": "AwsApiCall",
        "managementEvent": not data,
        "recipientAccountId": account,
        "eventCategory": "Data" if data else "Management",
    }
    if host:
        event["tlsDetails"] = {"tlsVersion": "TLSv1.3", "cipherSuite": CIPHER, "clientProvidedHostHeader": host}
    return event


def s3_host(bucket: str, region: str) -> str:
    return f"{bucket}.s3.{region}.amazonaws.com" if bucket else f"s3.{region}.amazonaws.com"


def s3_resources(
    *, name: str, account: str, bucket: str, key: str = "", prefix: str = "", copy_source: str = ""
) -> list[dict[str, Any]]:
    """The object (or the prefix), the source of a copy, and the bucket."""
    if not bucket:
        return []
    resources: list[dict[str, Any]] = []
    if name in BY_PREFIX:
        resources.append({"type": "AWS::S3::Object", "ARNPrefix": f"arn:aws:s3:::{bucket}/{prefix}"})
    elif key:
        resources.append({"type": "AWS::S3::Object", "ARN": f"arn:aws:s3:::{bucket}/{key}"})
    if copy_source:
        origin = unquote(copy_source.partition("?")[0]).lstrip("/")
        resources.append({"type": "AWS::S3::Object", "ARN": f"arn:aws:s3:::{origin}"})
    return [*resources, {"accountId": account, "type": "AWS::S3::Bucket", "ARN": f"arn:aws:s3:::{bucket}"}]


def s3_additional(*, bytes_in: int, bytes_out: int, presigned: bool, signed: bool, host_id: str) -> dict[str, Any]:
    additional: dict[str, Any] = {}
    if signed:
        additional["SignatureVersion"] = "SigV4"
    additional |= {"CipherSuite": CIPHER, "bytesTransferredIn": bytes_in}
    if signed:
        additional["AuthenticationMethod"] = "QueryString" if presigned else "AuthHeader"
    return additional | {"x-amz-id-2": host_id, "bytesTransferredOut": bytes_out}


def anonymous() -> dict[str, Any]:
    """Who sent a request without credentials."""
    return {"type": "AWSAccount", "principalId": "", "accountId": "ANONYMOUS_PRINCIPAL"}


def service(invoked_by: str) -> dict[str, Any]:
    return {"type": "AWSService", "invokedBy": invoked_by}


def expiration(when: datetime) -> str:
    """`Jul 10, 2023, 12:31:14 PM`, as STS writes the end of a session into a record."""
    return f"{when:%b} {when.day}, {when.year}, {when.hour % 12 or 12}:{when:%M:%S %p}"


def handed_out(
    *, access_key: str, role_arn: str, role_id: str, session: str, session_arn: str, until: datetime, token: str
) -> dict[str, Any]:
    """`responseElements` of an `AssumeRole`."""
    return {
        "credentials": {"accessKeyId": access_key, "sessionToken": token, "expiration": expiration(until)},
        "assumedRoleUser": {"assumedRoleId": f"{role_id}:{session}", "arn": session_arn},
    }


def log_file_key(account: str, region: str, delivered: datetime, unique: str) -> str:
    """Where CloudTrail puts a log file; `unique` is 16 characters without a meaning."""
    return (
        f"AWSLogs/{account}/CloudTrail/{region}/{delivered:%Y/%m/%d}/"
        f"{account}_CloudTrail_{region}_{delivered:%Y%m%dT%H%MZ}_{unique}.json.gz"
    )


def log_file(records: Iterable[dict[str, Any]]) -> bytes:
    """A log file's bytes: one gzip member around `{"Records": [...]}`; the same records give the same bytes."""
    text = json.dumps({"Records": list(records)}, separators=(",", ":"), ensure_ascii=False)
    return gzip.compress(text.encode(), mtime=0)


def assume_role(
    *,
    when: datetime,
    identity: dict[str, Any],
    region: str,
    account: str,
    event_id: str,
    request_id: str,
    source_ip: str,
    user_agent: str,
    role: str,
    role_id: str,
    session: str,
    access_key: str,
    token: str,
    source_identity: str = "",
    hours: int = 1,
    name: str = "AssumeRole",
    parameters: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """An `AssumeRole` (or `AssumeRoleWithSAML`) that succeeded, with the access key that it handed out."""
    role_arn = f"arn:aws:iam::{account}:role/{role}"
    asked: dict[str, Any] = {"roleArn": role_arn, "roleSessionName": session, "durationSeconds": hours * 3600}
    if source_identity:
        asked["sourceIdentity"] = source_identity
    elements = handed_out(
        access_key=access_key,
        role_arn=role_arn,
        role_id=role_id,
        session=session,
        session_arn=f"arn:aws:sts::{account}:assumed-role/{role.rpartition('/')[2]}/{session}",
        until=when + timedelta(hours=hours),
        token=token,
    )
    if source_identity:
        elements["sourceIdentity"] = source_identity
    return record(
        source="sts.amazonaws.com",
        name=name,
        when=when,
        identity=identity,
        region=region,
        account=account,
        event_id=event_id,
        request_id=request_id,
        source_ip=source_ip,
        user_agent=user_agent,
        parameters=asked | (parameters or {}),
        elements=elements,
        resources=[{"accountId": account, "type": "AWS::IAM::Role", "ARN": role_arn}],
        host="" if identity.get("type") == "AWSService" else f"sts.{region}.amazonaws.com",
    )
