"""A log file reads completely, or says in a sentence why it does not."""

import gzip
import hashlib
import json
import resource
import time
import zlib

import pytest

from cloudtrail import events
from cloudtrail.events import Unreadable, parse
from tests.cloudtrail import given

ONE = given.s3()
TEXT = given.text_of(ONE)


def with_field(**fields):
    return given.packed([ONE | fields])


def bomb(size):
    """Gzip that unpacks to `size` bytes of blanks: one packed portion, which needs nothing before it, again and again."""
    packing = zlib.compressobj(9, wbits=31)
    head = packing.compress(b"") + packing.flush(zlib.Z_FULL_FLUSH)
    portion = packing.compress(b" " * 1_000_000) + packing.flush(zlib.Z_FULL_FLUSH)
    return head + portion * (size // 1_000_000) + packing.flush()


BAD = {
    "an empty file": (b"", "empty"),
    "no gzip": (TEXT.encode(), "not gzip"),
    "a truncated gzip": (given.packed([ONE])[:-12], "truncated"),
    "a gzip cut in the middle": (given.packed([ONE] * 50)[:300], "truncated"),
    "damaged gzip": (given.packed([ONE])[:40] + b"\xff\x00\xff\x00" + given.packed([ONE])[44:], "damaged"),
    "a wrong check sum": (given.packed([ONE])[:-8] + b"\0\0\0\0" + given.packed([ONE])[-4:], "damaged"),
    "a second member": (given.packed([ONE]) * 2, "follow the gzip member"),
    "trailing bytes": (given.packed([ONE]) + b"\0", "1 bytes follow"),
    "nothing inside": (gzip.compress(b""), "nothing"),
    "white space inside": (gzip.compress(b" \n"), "nothing"),
    "malformed JSON": (given.packed_text(TEXT[:-2]), "malformed"),
    "text after the JSON": (given.packed_text(TEXT + "x"), "malformed"),
    "NaN": (given.packed_text(TEXT.replace('"bytesTransferredIn": 0', '"bytesTransferredIn": NaN')), "malformed"),
    "a byte order mark": (given.packed_text(b"\xef\xbb\xbf" + TEXT.encode()), "byte order mark"),
    "UTF-16": (given.packed_text(TEXT.encode("utf-16")), "byte order mark"),
    "invalid UTF-8 in a field that is not read": (
        given.packed_text(TEXT.encode().replace(b"aws-cli", b"aws\xff\xfe")),
        "UTF-8",
    ),
    "an unpaired surrogate": (given.packed_text(TEXT.replace("aws-cli", "\\ud800")), "surrogate|malformed"),
    "no Records": (given.packed_text("{}"), "no “Records”"),
    "null Records": (given.packed_text('{"Records": null}'), "null"),
    "Records twice": (given.packed_text('{"Records": [], "Records": []}'), "more than once"),
    "Records of another shape": (given.packed_text('{"Records": {}}'), "Expected `array"),
    "a list": (given.packed_text("[]"), "Expected `object`"),
    "a digest": (given.packed_text('{"digestS3Object": "x", "logFiles": []}'), "digest file"),
    "deep nesting": (given.packed_text('{"Records": [' + "[" * 10_000), "deep|malformed|Expected"),
    "deep nesting in an event": (given.packed_text(TEXT.replace('"x"', "[" * 10_000 + "]" * 10_000)), "deep"),
    "eventVersion 2.0": (with_field(eventVersion="2.0"), r"eventVersion '2\.0'"),
    "no eventVersion": (with_field(eventVersion=None), "eventVersion None"),
    "an Insight event": (with_field(eventCategory="Insight"), "Insight"),
    "an aggregated event": (with_field(eventCategory="Aggregated"), "Aggregated"),
    "no eventID": (with_field(eventID=""), "no eventID"),
    "a number as eventName": (with_field(eventName=7), r"Records\[0\]\.eventName"),
    "a time that is none": (with_field(eventTime="yesterday"), "Event 0: eventTime 'yesterday'"),
    "a time without a zone": (with_field(eventTime="2026-04-12T12:00:00"), "time zone"),
    "a time of no month": (with_field(eventTime="2026-13-12T12:00:00Z"), "is not a time"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_refused_with_its_reason(name):
    raw, reason = BAD[name]
    with pytest.raises(Unreadable, match=reason):
        parse(raw)


def test_a_bomb_is_refused_quickly_and_within_bounds():
    raw = bomb(1_000_000_000)
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    with pytest.raises(Unreadable, match="unpacks to more than"):
        parse(raw)
    assert time.monotonic() - started < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # kB


def test_an_event_may_speak_of_a_key_that_is_called_as_the_list_of_events_is():
    told = parse(given.packed([given.s3(key="Records"), given.s3(key="b")])).events
    assert len(told) == 2


def test_the_cap_is_a_cap():
    raw = given.packed([given.s3() for _ in range(100)])
    with pytest.raises(Unreadable, match="unpacks to more than"):
        events.gunzip(raw, largest=1000)


def test_hashes_are_of_the_bytes_as_delivered_and_unpacked():
    raw = given.packed([ONE])
    file = parse(raw)
    assert file.sha256_raw == hashlib.sha256(raw).hexdigest()
    assert file.sha256_content == hashlib.sha256(gzip.decompress(raw)).hexdigest()
    assert (file.size, file.content_size) == (len(raw), len(gzip.decompress(raw)))


def test_a_file_without_events_is_a_file():
    file = parse(given.packed([]))
    assert (file.events, file.first, file.last) == ([], None, None)


@pytest.mark.parametrize(
    "fields",
    [
        {"eventVersion": "1.99"},
        {"requestParameters": None, "responseElements": None, "additionalEventData": None, "resources": None},
        {"requestParameters": "a text", "responseElements": [1], "additionalEventData": 7, "resources": {"a": 1}},
        {"requestParameters": {"bucketName": ["x"], "key": {"S": "dynamo"}, "versionId": 7}},
        {"responseElements": {"credentials": "none", "x-amz-version-id": 4}},
        {
            "additionalEventData": {
                "bytesTransferredIn": "many",
                "bytesTransferredOut": 1e300,
                "AuthenticationMethod": None,
            }
        },
        {"resources": [None, "x", {"ARN": 7}, {}, {"ARN": "arn:aws:s3:::"}]},
        {"userIdentity": {"invokedBy": "secretsmanager.amazonaws.com"}},
        {"userIdentity": None},
        {"userIdentity": "nobody"},
        {"readOnly": "true", "sharedEventID": None, "errorCode": None, "requestID": None, "awsRegion": None},
        {"addendum": {"reason": "UPDATED_DATA", "originalEventID": "e-1"}},
        {"somethingNew": {"deep": [1, 2, {"x": None}]}},
    ],
)
def test_odd_but_valid_events_are_read(fields):
    from cloudtrail.actors import attribute, identity
    from cloudtrail.rows import lines
    from cloudtrail.touches import touches

    file = parse(with_field(**fields))
    assert len(file.events) == 1
    touches(file.events[0])
    attribute(identity(file.identities[0]), lambda key, shared: ())
    (line,), _ = lines(file, 1, {file.identities[0]: 1})
    assert line.count("\t") == 22


def test_an_event_without_required_fields_is_refused_by_name():
    event = {name: value for name, value in ONE.items() if name != "eventSource"}
    with pytest.raises(Unreadable, match="eventSource"):
        parse(given.packed([event]))


def test_times_with_an_offset_become_utc():
    assert parse(with_field(eventTime="2026-04-12T14:00:00+02:00")).times == [given.NOON]


def test_the_raw_event_is_the_text_that_stands_in_the_file():
    content = gzip.decompress(given.packed([given.s3(), ONE]))
    assert json.loads(events.raw_event(content, 1)) == ONE


def test_tokens_and_signatures_are_blanked_at_any_depth():
    secret = {"a": [{"sessionToken": "s3cr3t"}], "X-Amz-Security-Token": "s3cr3t", "sessiontoken": None, "b": 1}
    told = events.redacted(secret)
    assert "s3cr3t" not in json.dumps(told)
    assert told["a"] == [{"sessionToken": "REDACTED"}]
    assert (told["sessiontoken"], told["b"]) == (None, 1)


def test_no_session_token_is_decoded():
    file = parse(given.packed([given.assume_role("ASIA1", by=given.iam_user())]))
    assert "SECRET" not in repr(file.events)
