"""`manage.py audit_view` of ten records, against a scan of the raw files that shares no line with the portal."""

import io
import json
import random
from datetime import timedelta
from urllib.parse import parse_qs, quote, unquote, urlsplit

import pytest
from django.core.management import call_command
from django.db import transaction

from audit import clock
from audit.actions import Action
from cloudtrail import transitions
from records import manifest
from records.transitions import Content, seal
from standin import events as shapes
from tests import builders
from tests.cloudtrail import given, scan

RECORDS = 10
BUCKET = "gxp-planted"
NAMES = ("reads/a+b.fastq.gz", "reads/a b.fastq.gz", "\u00e9.txt", "e\u0301.txt", "k?versionId=1", "../x", "README.md")
MAJA, TOMASZ = given.iam_user("maja", "AKIAMAJA"), given.iam_user("tomasz", "AKIATOMASZ")
ANONYMOUS = {"type": "AWSAccount", "principalId": "", "accountId": "ANONYMOUS_PRINCIPAL"}
WORDS = {
    "exact": "version named in the event",
    "unnamed": "version not named in the event",
    "other": "another version of the same object",
    "source": "copied from here",
    "prefix": "may include",
    "bucket": "affects every record in the bucket",
    "all": "affects every record",
}


def register(people, number):
    """A record of two versions, whose files lie under a prefix of its own."""
    record = builders.a_record(people, "NGS", title=f"Planted {number}")
    rendition = builders.keep(builders.pdf("Planted", 1), "application/pdf")
    for ordinal in (1, 2):
        entries = [
            manifest.Entry(
                f"file-{place}",
                BUCKET,
                f"run-{number}/{name}",
                f"v{number}.{ordinal}.{place}",
                1000,
                f"{place:064x}",
                {},
            )
            for place, name in enumerate(NAMES[: 7 if ordinal == 1 else 4])
        ]
        content = Content(entries=entries, rendition=rendition, rendition_pages=1, message="Planted", metadata={},
                          contributors=[str(people.operator.pk)])  # fmt: skip
        with transaction.atomic():
            seal(record, content, by=people.operator, action=Action.VERSION_REGISTERED)
    return record


def pins(record):
    """{(bucket, key): versions}, read from the sealed manifests as anybody could."""
    found = {}
    for version in record.versions.all():
        for line in bytes(version.manifest).decode().splitlines():
            for place in json.loads(line).get("physical_keys", ()):
                url = urlsplit(place)
                named = parse_qs(url.query)["versionId"][0]
                found.setdefault((url.netloc, unquote(url.path.removeprefix("/"))), set()).add(named)
    return found


def planted(places, at):
    """Events of every sort that hides from a reader who looks at bucket and key only, and as many that concern nobody."""
    pick = random.Random(6)
    sessions = [given.session("ASIAKNOWN"), given.session("ASIAUNKNOWN", name="botocore-session-1")]
    handed_out = given.assume_role("ASIAKNOWN", by=MAJA, at=at - timedelta(hours=1))
    # No key lives so long; that one explains nothing after its end is another test's matter.
    handed_out["responseElements"]["credentials"]["expiration"] = shapes.expiration(at + timedelta(days=90))
    events = [handed_out]
    for bucket, key, versions in places:
        when = at + timedelta(seconds=pick.randrange(80 * 86400))
        by, named = pick.choice([MAJA, TOMASZ, *sessions]), {"versionId": pick.choice(sorted(versions))}
        one = {"bucket": bucket, "at": when}
        events += [
            given.s3("GetObject", key, by=by, parameters=named, **one),
            given.s3("GetObject", key, by=ANONYMOUS, additionalEventData={"bytesTransferredOut": 9}, **one),
            given.s3("GetObject", key, by=by, additionalEventData={"AuthenticationMethod": "QueryString", "bytesTransferredOut": 1}, **one),
            given.s3("GetObject", key, by=by, parameters={"versionId": "somebody-elses"}, **one),
            given.s3("HeadObject", key, by=by, errorCode="AccessDenied", **one),
            given.s3("PutObject", key, by=by, responseElements={"x-amz-version-id": "newer"}, **one),
            given.s3("CopyObject", key, by=by, parameters={"x-amz-copy-source": "elsewhere/x"},
                     responseElements={"x-amz-version-id": "newer-by-copy"}, **one),
            given.s3("DeleteObject", key, by=by, parameters=named, errorCode="AccessDenied", **one),
            given.s3("CopyObject", f"exfiltrated/{pick.random()}", by=by, bucket="elsewhere", at=when,
                     parameters={"x-amz-copy-source": f"/{bucket}/{quote(key)}?versionId={named['versionId']}"}),
            given.s3("CopyObject", "out", by=by, bucket="elsewhere", at=when, resources=None,
                     parameters={"x-amz-copy-source": f"{bucket}/{quote(key, safe='')}"}),
            given.s3("CopyObject", "out", by=by, bucket="elsewhere", at=when,
                     parameters={"x-amz-copy-source": f"{bucket}/{quote(key)}?versionId=somebody-elses"}),
            given.s3("GetObject", key, by=by, bucket=bucket + "-other", at=when),
            given.s3("GetObject", key.upper(), by=by, **one),
        ]  # fmt: skip
    for number in range(RECORDS):
        when = at + timedelta(days=number)
        batch = {"resources": [{"type": "AWS::S3::Object", "ARNPrefix": f"arn:aws:s3:::{BUCKET}/run-{number}/reads/"}]}
        events += [
            given.s3("DeleteObjects", "", bucket=BUCKET, at=when, by=TOMASZ, parameters={"delete": ""}, **batch),
            given.s3("ListObjects", "", bucket=BUCKET, at=when, by=MAJA, parameters={"prefix": f"run-{number}"}),
            given.s3("ListObjectVersions", "", bucket=BUCKET, at=when, by=MAJA, parameters={"prefix": f"run-{number}0"}),
        ]  # fmt: skip
    events += [
        given.s3("ListObjects", "", bucket=BUCKET, at=at, by=ANONYMOUS),
        given.s3("PutBucketLifecycle", "", bucket=BUCKET, at=at, by=TOMASZ),
        given.s3("PutBucketPolicy", "", bucket=BUCKET + "-other", at=at, by=TOMASZ),
        given.s3("StopLogging", "", bucket="", at=at, by=TOMASZ, eventSource="cloudtrail.amazonaws.com", resources=None, readOnly=False),
        given.s3("ScheduleKeyDeletion", "", bucket="", at=at, by=TOMASZ, eventSource="kms.amazonaws.com", resources=None, readOnly=False),
    ]  # fmt: skip
    return json.loads(json.dumps(events))


def who(event):
    """Standing and name, by the two rules that these events need."""
    identity = event["userIdentity"]
    if identity["type"] == "IAMUser":
        return "PROVEN", identity["userName"]
    if identity["type"] == "AssumedRole" and identity["accessKeyId"] == "ASIAKNOWN":
        return "PROVEN", "maja"
    return "UNRESOLVED", "Somebody anonymous" if identity[
        "type"
    ] == "AWSAccount" else "Somebody who could not be resolved"


@pytest.mark.compliance("11.10(e)", "A5")
def test_compliance_the_audit_view_of_ten_records_is_what_an_independent_scan_of_the_raw_files_finds(people, tmp_path):
    records = [register(people, number) for number in range(RECORDS)]
    held = {record.number: pins(record) for record in records}
    assert sum(len(found) for found in held.values()) == RECORDS * len(NAMES)
    begin = (clock.now() - timedelta(days=85)).replace(microsecond=0)
    events = planted([(*place, versions) for found in held.values() for place, versions in found.items()], begin)
    random.Random(1).shuffle(events)
    made = {
        given.log_key(number, begin + timedelta(days=number)): given.packed(events[number::9]) for number in range(9)
    }
    transitions.load(given.hand_over(tmp_path / "trail", made))
    everything = 0
    for number, found in held.items():
        told = viewed(number)
        assert told == scanned(tmp_path / "trail", found, told["since"], told["until"])
        everything += len(told["lines"])
    assert everything > RECORDS * len(NAMES) * 9


def viewed(number):
    out = io.TextIOWrapper(io.BytesIO())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdout", out)
        call_command("audit_view", number, "--days", "90", "--format", "json")
    told = json.loads(out.buffer.getvalue())
    lines = {}
    for line in told["lines"]:
        if line["source"] == "cloudtrail":
            match = next(match for match, words in WORDS.items() if words in line["known_by"])
            presigned = "with a presigned link" in line["what"]
            outcome = (line["standing"], line["who"], line["call"].split()[1], line["error"], presigned)
            lines[line["reference"].removeprefix("event ")] = (line["time_utc"][:19] + "Z", match, *outcome)
    return {"since": told["since"], "until": told["until"], "lines": lines}


def scanned(folder, held, since, until):
    lines = {}
    for event in scan.scan(folder, since, until):
        told = [match for place, versions in held.items() if (match := scan.concerns(event, *place, versions))]
        if told:
            presigned = event.get("additionalEventData", {}).get("AuthenticationMethod") == "QueryString"
            outcome = (*who(event), event["eventName"], event.get("errorCode", ""), presigned)
            lines[event["eventID"]] = (event["eventTime"], min(told, key=ORDER_OF_A_LINE.index), *outcome)
    return {"since": since, "until": until, "lines": lines}


ORDER_OF_A_LINE = ("source", "exact", "unnamed", "other", "prefix", "bucket", "all")
