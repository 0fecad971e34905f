"""Which events concern an object, told from the raw JSON alone: plain Python that shares no line with the portal.

Written from CloudTrail's and S3's documentation, so that the portal's answer can be held against it. `scan()` reads log files
as they lie on a disk.
"""

import gzip
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, unquote_plus

Event = dict[str, Any]
READS = ("GetObject", "HeadObject", "GetObjectAttributes", "GetObjectAcl", "GetObjectTagging", "GetObjectRetention",
         "GetObjectLegalHold", "GetObjectTorrent", "SelectObjectContent")  # fmt: skip
BY_PREFIX = ("ListObjects", "ListObjectsV2", "ListObjectVersions", "ListMultipartUploads", "DeleteObjects")
CONTROL = {
    "cloudtrail.amazonaws.com": ("StopLogging", "StartLogging", "DeleteTrail", "UpdateTrail", "CreateTrail", "PutEventSelectors"),
    "kms.amazonaws.com": ("ScheduleKeyDeletion", "CancelKeyDeletion", "DisableKey", "EnableKey", "PutKeyPolicy"),
    "s3.amazonaws.com": ("PutAccountPublicAccessBlock", "DeleteAccountPublicAccessBlock"),
}  # fmt: skip


def scan(folder: Path, since: str, until: str) -> Iterator[Event]:
    """Events of every log file below a folder in [since, until), each id once."""
    seen = set()
    for path in sorted(folder.rglob("*.json.gz")):
        for event in json.loads(gzip.decompress(path.read_bytes()))["Records"]:
            if since <= event["eventTime"] < until and event["eventID"] not in seen:
                seen.add(event["eventID"])
                yield event


def concerns(event: Event, bucket: str, key: str, versions: Iterable[str]) -> str:
    """How the event concerns the object: exact, unnamed, other, source, prefix, bucket or all; "" where it does not."""
    asked = event.get("requestParameters") or {}
    name, resources = event["eventName"], event.get("resources") or []
    arns = [resource["ARN"].partition(":::")[2] for resource in resources if "ARN" in resource]
    beginnings = [resource["ARNPrefix"].partition(":::")[2] for resource in resources if "ARNPrefix" in resource]
    if not asked.get("bucketName"):
        return "all" if name in CONTROL.get(event["eventSource"], ()) else ""
    place, found = f"{bucket}/{key}", []
    if asked["bucketName"] == bucket and asked.get("key") == key:
        named = asked.get("versionId") or (event.get("responseElements") or {}).get("x-amz-version-id") or ""
        if not named:
            found.append("unnamed")
        elif named in versions:
            found.append("exact")
        elif name not in READS:
            found.append("other")
    if header := asked.get("x-amz-copy-source"):
        path, _, named = header.removeprefix("/").partition("?versionId=")
        may_be = {unquote(path), unquote_plus(path)}
        if place in ((may_be & set(arns)) or may_be) and named in ("", *versions):
            found.append("source")
    if asked["bucketName"] == bucket and "key" not in asked:
        if name in BY_PREFIX:
            told = [one.partition("/")[2] for one in beginnings if one.partition("/")[0] == bucket]
            begins = told[0] if name == "DeleteObjects" and told else asked.get("prefix", "")
            found += ["prefix"] if key.startswith(begins) else []
        elif not event.get("readOnly") and not name.startswith(("Get", "Head", "List")):
            found.append("bucket")
    order = ("source", "exact", "unnamed", "other", "prefix", "bucket")
    return min(found, key=order.index, default="")
