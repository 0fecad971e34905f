"""The text that COPY takes: every value arrives as it was, however hostile."""

from hypothesis import given as generated
from hypothesis import strategies as st

from cloudtrail.events import parse
from cloudtrail.rows import COLUMNS, lines
from tests.cloudtrail import given

UNESCAPED = {"\\\\": "\\", "\\t": "\t", "\\n": "\n", "\\r": "\r"}


def fields(line):
    """What PostgreSQL would read from a line of COPY's text format."""
    assert line.endswith("\n")
    return dict(zip(COLUMNS, (unescaped(value) for value in line[:-1].split("\t")), strict=True))


def unescaped(text):
    out, index = [], 0
    while index < len(text):
        step = 2 if text[index] == "\\" else 1
        piece = text[index : index + step]
        out.append(UNESCAPED[piece] if step == 2 else piece)
        index += step
    return "".join(out)


def lines_of(*events):
    file = parse(given.packed(list(events)))
    return lines(file, 9, dict.fromkeys(file.identities, 4))


def test_a_line_tells_the_event():
    (line,), touches = lines_of(given.s3(parameters={"versionId": "v1"}))
    row = fields(line)
    assert (row["time"], row["file_id"], row["actor_id"], row["ordinal"]) == (
        "2026-04-12T12:00:00+00:00",
        "9",
        "4",
        "0",
    )
    assert (row["bucket"], row["key"], row["s3_version"], row["reach"]) == (given.BUCKET, "runs/r1.fastq.gz", "v1", "o")
    assert (row["read_only"], row["data"], row["bytes_out"]) == ("t", "t", "1000")
    assert touches == {}


@generated(st.lists(st.text(min_size=1, max_size=20), min_size=1, max_size=3))
def test_any_text_comes_back_as_it_was(texts):
    texts = [text for text in texts if text.encode("utf-8", "ignore").decode() == text and text.strip()] or ["x"]
    found, _ = lines_of(*(given.s3(key=text, sourceIPAddress=text, requestID=text) for text in texts))
    for line, text in zip(found, texts, strict=True):
        row = fields(line)
        shown = text.replace("\0", "\N{SYMBOL FOR NULL}")
        assert (row["key"], row["source_ip"], row["request_id"]) == (shown, shown, shown)


def test_a_value_that_looks_like_null_or_the_end_stays_a_value():
    (line,), _ = lines_of(given.s3(key="\\N", requestID="\\."))
    assert (fields(line)["key"], fields(line)["request_id"]) == ("\\N", "\\.")


def test_the_source_of_a_copy_is_a_touch_of_its_own():
    _, touches = lines_of(
        given.s3("CopyObject", "out", parameters={"x-amz-copy-source": "b/k\\t?versionId=v2"}, resources=None)
    )
    assert touches == {0: "2026-04-12T12:00:00+00:00\t9\t0\ts\tb\tk\\\\t\tv2\n"}


def test_an_event_outside_s3_tells_what_it_was_about():
    (line,), _ = lines_of(given.assume_role("ASIA1", by=given.iam_user()))
    assert fields(line)["target"] == f"arn:aws:iam::{given.ACCOUNT}:role/ngs-analyst"
