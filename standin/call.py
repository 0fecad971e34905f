"""One request to S3 or STS, as the rest of the stand-in speaks of it."""

import gzip
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit
from xml.etree import ElementTree

from botocore.session import Session

# CloudTrail's names where they differ from the API's.
EVENT_NAMES = {
    "ListObjectsV2": "ListObjects",
    "GetObjectLockConfiguration": "GetBucketObjectLockConfiguration",
    "PutObjectLockConfiguration": "PutBucketObjectLockConfiguration",
    "GetPublicAccessBlock": "GetBucketPublicAccessBlock",
    "PutPublicAccessBlock": "PutBucketPublicAccessBlock",
    "DeletePublicAccessBlock": "DeleteBucketPublicAccessBlock",
    "GetBucketLifecycleConfiguration": "GetBucketLifecycle",
    "PutBucketLifecycleConfiguration": "PutBucketLifecycle",
    "GetBucketNotificationConfiguration": "GetBucketNotification",
    "PutBucketNotificationConfiguration": "PutBucketNotification",
    "GetBucketAccelerateConfiguration": "GetAccelerateConfiguration",
    "PutBucketAccelerateConfiguration": "PutAccelerateConfiguration",
}
SIGV4 = re.compile(r"Credential=([^/,\s]+)/\d{8}/([^/]+)/([^/]+)/aws4_request")


@dataclass(frozen=True)
class Call:
    """What was asked, by which access key ("" for an unsigned request), with which bytes."""

    service: str
    operation: str
    region: str
    access_key: str
    presigned: bool
    method: str
    bucket: str
    key: str
    query: dict[str, str]
    headers: dict[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    source_ip: str = "127.0.0.1"

    @property
    def event_name(self) -> str:
        return EVENT_NAMES.get(self.operation, self.operation)

    @property
    def version_id(self) -> str:
        return self.query.get("versionId", "")

    @property
    def writes(self) -> bool:
        return self.method in {"PUT", "POST", "DELETE"} and self.operation != "SelectObjectContent"

    @property
    def form(self) -> dict[str, str]:
        """The parameters of a query-protocol request (STS, IAM)."""
        body = gzip.decompress(self.body) if self.body[:2] == b"\x1f\x8b" else self.body
        return dict(parse_qsl(body.decode("utf-8", "replace")))

    @property
    def payload(self) -> bytes:
        """The object's bytes, taken out of `aws-chunked` framing where a client used it."""
        if "aws-chunked" not in self.headers.get("content-encoding", ""):
            return self.body
        return b"".join(chunk for chunk, _ in _chunks(self.body))

    @property
    def trailers(self) -> dict[str, str]:
        """Header fields that an `aws-chunked` body carries behind its last chunk."""
        if "aws-chunked" not in self.headers.get("content-encoding", ""):
            return {}
        tail = self.body.rsplit(b"\r\n0", 1)[-1].decode("latin-1")
        pairs = (line.split(":", 1) for line in tail.split("\r\n") if ":" in line)
        return {name.strip().lower(): value.strip() for name, value in pairs}


def read(environ: dict[str, Any], body: bytes, region: str) -> Call:
    """Understand a WSGI request, in `region` unless its signature says otherwise.

    Buckets are taken from the path, as clients of a plain address send them.
    """
    headers = {
        name[5:].replace("_", "-").lower(): value
        for name, value in environ.items()
        if name.startswith("HTTP_") and isinstance(value, str)
    }
    if environ.get("CONTENT_TYPE"):
        headers["content-type"] = environ["CONTENT_TYPE"]
    target = urlsplit(environ.get("RAW_URI") or environ.get("REQUEST_URI") or environ.get("PATH_INFO", "/"))
    query = dict(parse_qsl(target.query.replace("+", "%2B"), keep_blank_values=True))
    scope = SIGV4.search(headers.get("authorization", "")) or SIGV4.search(
        f"Credential={query.get('X-Amz-Credential', '')}"
    )
    access_key, region, service = scope.groups() if scope else ("", region, "s3")
    method = environ["REQUEST_METHOD"]
    bucket, _, key = target.path.removeprefix("/").partition("/")
    if service == "s3" and target.path.startswith("/v20180820/"):
        service, bucket, key = "s3control", "", ""
        operation = f"{method.title()}AccountSetting"
    elif service == "s3":
        operation = s3_operation(method, bool(bucket), bool(key), query, headers)
    else:
        bucket = key = ""
        operation = headers.get("x-amz-target", "").rpartition(".")[2]
    call = Call(
        service=service,
        operation=operation,
        region=region,
        access_key=access_key,
        presigned="X-Amz-Credential" in query,
        method=method,
        bucket=unquote(bucket),
        key=unquote(key),
        query=query,
        headers=headers,
        body=body,
        source_ip=environ.get("REMOTE_ADDR", "127.0.0.1"),
    )
    if service in ("sts", "iam"):
        return Call(**{**call.__dict__, "operation": call.form.get("Action", "")})
    return call


def s3_operation(method: str, bucket: bool, key: bool, query: dict[str, str], headers: dict[str, str]) -> str:
    """The API name of a request: the operation of the same method and depth that asks for most of its query."""
    if method == "PUT" and key and "x-amz-copy-source" in headers:
        return "UploadPartCopy" if "uploadId" in query else "CopyObject"
    fitting = [(len(asks), name) for asks, name in _s3_operations(method, bucket, key) if asks <= query.items()]
    present = [(size, name) for size, name in fitting if name not in ("CopyObject", "UploadPartCopy")]
    return max(present, default=(0, ""))[1]


class _Asks(frozenset[tuple[str, str]]):
    """The fixed part of an operation's query; a name without a value only has to be there."""

    def __le__(self, items: Any) -> bool:
        given = dict(items)
        return all(name in given and value in ("", given[name]) for name, value in self)


@cache
def _s3_operations(method: str, bucket: bool, key: bool) -> list[tuple[_Asks, str]]:
    """From botocore's model of S3: fixed query and name of every operation with this method and depth."""
    model = Session().get_service_model("s3")
    found = []
    for name in model.operation_names:
        operation = model.operation_model(name)
        path, _, fixed = operation.http["requestUri"].partition("?")
        if operation.http["method"] != method or ("{Bucket}" in path) != bucket or ("{Key+}" in path) != key:
            continue
        asks = [pair for pair in parse_qsl(fixed, keep_blank_values=True) if pair[0] != "x-id"]
        shape = operation.input_shape
        if shape is not None:
            in_query = [shape.members[member] for member in shape.required_members]
            asks += [
                (str(member.serialization["name"]), "")
                for member in in_query
                if member.serialization.get("location") == "querystring"
            ]
        found.append((_Asks(asks), name))
    return found


def _chunks(body: bytes) -> list[tuple[bytes, str]]:
    """`size[;extension]CRLF bytes CRLF ...` up to the chunk of size 0."""
    found: list[tuple[bytes, str]] = []
    at = 0
    while True:
        end = body.index(b"\r\n", at)
        size, _, extension = body[at:end].decode("latin-1").partition(";")
        length = int(size, 16)
        if length == 0:
            return found
        found.append((body[end + 2 : end + 2 + length], extension))
        at = end + 4 + length


def elements(xml: bytes) -> Iterator[tuple[str, str]]:
    """Name without namespace and text of every element; raises `ElementTree.ParseError`."""
    for element in ElementTree.fromstring(xml).iter():  # noqa: S314 - expat 2.4.1 and later stops entity bombs
        yield element.tag.rpartition("}")[2], element.text or ""
