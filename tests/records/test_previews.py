"""Previews show what is there, say when it is only a part, and nothing in a file can harm or hold up the page."""

import gzip
import io
import json
import struct
import time
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from records import previews
from records.previews import HEAD_BYTES, media_type_of, preview


def shown(name, data, size=None):
    return preview(name, "", data[:HEAD_BYTES], len(data) if size is None else size)


def image(kind, size=(3, 2)):
    data = io.BytesIO()
    Image.new("RGB", size).save(data, kind)
    return data.getvalue()


PNG, JPEG = image("PNG"), image("JPEG")
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'


@pytest.mark.parametrize(
    ("name", "head", "media_type"),
    [
        ("a.csv", b"", "text/csv"),
        ("dir.csv/a", b"", "application/octet-stream"),
        ("A.CSV", b"a,b", "text/csv"),
        ("a.csv", b"\x00\x01", "application/octet-stream"),
        ("a.csv", PNG, "image/png"),
        ("a.pdf", b"%PDF-1.7", "application/pdf"),
        ("a.pdf", b"<html>", "application/octet-stream"),
        ("a.png", SVG, "application/octet-stream"),
        ("a.svg", SVG, "image/svg+xml"),
        ("a.jpg", PNG, "image/png"),
        ("README.md", b"# x", "text/markdown"),
        ("README", b"plain words", "text/plain"),
        ("reads.fastq.gz", b"\x1f\x8b\x08", "application/gzip"),
        ("reads.fastq.gz", b"@SEQ", "application/octet-stream"),
        ("core", b"\x7fELF\0", "application/octet-stream"),
        ("x.zip", b"PK\x03\x04", "application/zip"),
    ],
)
def test_the_media_type_comes_from_the_name_unless_the_content_contradicts_it(name, head, media_type):
    assert media_type_of(name, head) == media_type


def test_a_csv_is_a_table_with_its_first_row_as_header():
    table = shown("a.csv", b'\xef\xbb\xbfid,"name, full",note\r\n1,"x ""y""","two\nlines"\r\n\r\n2,b,\r\n')
    assert table.kind == "table"
    assert table.header == ("id", "name, full", "note")
    assert table.rows == (("1", 'x "y"', "two\nlines"), ("", "", ""), ("2", "b", ""))
    assert (table.truncated, table.notes) == (False, ())


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(delimiter):
    lines = [["id", "value", "note"], ["1", "1,5", "a;b"], ["2", "2,5", "c|d"], ["3", "3,5", "e"]]
    data = "\n".join(delimiter.join(f'"{cell}"' if delimiter in cell else cell for cell in line) for line in lines)
    table = shown("a.csv", data.encode())
    assert [table.header, *table.rows] == [tuple(line) for line in lines]


def test_a_tsv_is_parted_by_tabs_alone():
    assert shown("a.tsv", b"a,b\tc\n1,2\t3\n").header == ("a,b", "c")


def test_ragged_rows_are_filled_up_and_told():
    table = shown("a.csv", b"a,b,c\n1,2\n1,2,3,4\n1,2,3\n")
    assert {len(row) for row in [table.header, *table.rows]} == {4}
    assert table.notes == ("Rows 2, 3 have not the 3 cells of the first row.",)


def test_a_long_or_wide_table_is_cut_and_says_so():
    long = shown("a.csv", b"a,b\n" + b"1,2\n" * 500)
    assert (len(long.rows), long.truncated) == (100, True)
    assert not shown("a.csv", b"a,b\n" + b"1,2\n" * 100).truncated
    wide = shown("a.csv", ",".join(map(str, range(80))).encode() + b"\n")
    assert (len(wide.header), wide.notes) == (50, ("Only the first 50 of 80 columns are shown.",))
    cell = shown("a.csv", b"a,b\n" + b"x" * 5000 + b",2\n").rows[0][0]
    assert len(cell) == 200
    assert cell.endswith("…")


def test_the_last_line_of_a_part_is_left_out_since_it_may_be_cut():
    data = b"id,value\n" + b"1,123456789\n" * 5
    assert preview("a.csv", "", data[:-5], len(data) + 100).rows[-1] == ("1", "123456789")
    assert shown("a.csv", data[:-5]).rows[-1] == ("1", "12345")


def test_json_is_set_out_without_changing_a_name_or_a_number():
    data = b'{"b":1.50,"a":[1e3,{}, []],"a":"\\u00e9 {,}:","n":null}'
    assert shown("a.json", data).text == (
        '{\n  "b": 1.50,\n  "a": [\n    1e3,\n    {},\n    []\n  ],\n  "a": "\\u00e9 {,}:",\n  "n": null\n}'
    )


json_value = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=20,
)


@given(json_value)
def test_json_set_out_says_the_same(value):
    result = shown("a.json", json.dumps(value).encode())
    assert result.kind == "json"
    assert json.loads(result.text) == value


def test_json_deeper_than_the_bound_stays_on_its_line_and_broken_json_is_text():
    deep = shown("a.json", b"[" * 100 + b"]" * 100)
    assert deep.kind == "json"
    assert json.loads(deep.text) == json.loads(b"[" * 100 + b"]" * 100)
    assert max(len(line) - len(line.lstrip()) for line in deep.text.splitlines()) <= 2 * previews.MAX_INDENT
    assert shown("a.json", b"[" * 100_000).kind == "text"
    assert shown("a.json", b'{"a": ').kind == "text"
    assert preview("a.json", "", b'{"a": 1}', 9_999_999).kind == "text"


def test_text_keeps_its_lines_and_hidden_characters_are_made_visible():
    text = shown("a.txt", "one\r\ntwo\ttab\u202egpj\x1b[31m\n".encode())
    assert text.kind == "text"
    assert text.text == "one\ntwo\ttab<U+202E>gpj<U+001B>[31m\n"
    assert shown("a.csv", "a,b\n\u202ex,\x07\n".encode()).rows == (("<U+202E>x", "<U+0007>"),)


def test_long_text_is_cut_by_lines_and_by_length():
    many = shown("a.log", b"x\n" * 5_000)
    assert (len(many.text.splitlines()), many.truncated) == (1_000, True)
    long = shown("a.log", b"x" * 50_000)
    assert (len(long.text), long.truncated) == (2_000, True)


def test_markdown_keeps_its_text_for_the_one_who_renders_it():
    assert shown("README.md", b"# Run\n\n<script>x</script>\n").kind == "markdown"
    assert shown("README.md", b"# Run\n\n<script>x</script>\n").text == "# Run\n\n<script>x</script>\n"


def test_other_encodings_are_read_and_told():
    assert (shown("a.txt", "né".encode("cp1252")).text, shown("a.txt", "né".encode("cp1252")).notes) == (
        "né",
        ("This is not UTF-8; it was read as Windows-1252.",),
    )
    utf16 = shown("a.txt", "né\n".encode("utf-16"))
    assert (utf16.text, utf16.notes) == ("né\n", ("Read as UTF-16.",))
    cut = "é" * 10
    assert preview("a.txt", "", cut.encode()[:-1], 100).text == "é" * 9


def test_compressed_reads_are_decompressed_at_their_beginning():
    reads = b"".join(b"@READ%d\nACGT\n+\nIIII\n" % number for number in range(100_000))
    data = gzip.compress(reads)
    result = shown("run/a.fastq.gz", data)
    assert (result.kind, result.media_type, result.truncated) == ("text", "application/gzip", True)
    assert result.text.startswith("@READ0\nACGT\n+\nIIII\n")
    assert result.notes == ("This file is compressed; its beginning was decompressed for this view.",)
    small = shown("a.csv.gz", gzip.compress(b"a,b\n1,2\n"))
    assert (small.kind, small.rows, small.truncated) == ("table", (("1", "2"),), False)
    blocks = shown("a.vcf.bgz", gzip.compress(b"one\n") + gzip.compress(b"two\n"))
    assert (blocks.text, blocks.truncated) == ("one\ntwo\n", False)


def test_what_only_looks_compressed_or_would_burst_is_harmless():
    bomb = gzip.compress(b"\0" * 50_000_000)
    started = time.perf_counter()
    assert shown("a.txt.gz", bomb).kind == "binary"
    assert shown("a.txt.gz", gzip.compress(gzip.compress(b"x" * 1000))).kind == "binary"
    assert shown("a.txt.gz", b"\x1f\x8b\x08" + b"\xff" * 100).kind == "binary"
    assert shown("a.txt.gz", gzip.compress(b"") * 10_000).kind == "binary"
    assert time.perf_counter() - started < 2
    half = gzip.compress(b"line\n" * 1_000)
    assert shown("a.txt.gz", half[:-8]).truncated


def test_png_and_jpeg_are_images_and_nothing_else_is():
    assert (shown("a.png", PNG).kind, shown("a.png", PNG).width, shown("a.png", PNG).height) == ("image", 3, 2)
    assert shown("a.jpg", JPEG).kind == "image"
    assert shown("a.svg", SVG).kind == "text"
    assert shown("a.png", SVG).kind != "image"
    assert preview("a.png", "image/png", SVG, len(SVG)).kind == "binary"
    gif = image("GIF")
    assert shown("a.gif", gif).kind == "binary"
    assert preview("a.png", "image/png", gif, len(gif)).kind == "binary"


def test_a_damaged_or_huge_image_is_not_shown():
    damaged = PNG[:40] + bytes([PNG[40] ^ 255]) + PNG[41:]
    assert shown("a.png", damaged).kind == "binary"
    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    bomb = PNG[:8] + struct.pack(">I", len(header)) + chunk + struct.pack(">I", zlib.crc32(chunk)) + PNG[33:]
    assert shown("a.png", bomb).kind == "binary"
    large = preview("a.png", "", PNG, 50_000_000)
    assert (large.kind, large.notes) == ("binary", ("The image is too large to show here (3 by 2 pixels).",))


def test_a_pdf_is_named_as_one_only_when_it_is():
    assert shown("a.pdf", b"%PDF-1.7\n...").kind == "pdf"
    assert preview("a.pdf", "application/pdf", b"<html>", 6).kind == "binary"


def test_binary_is_shown_in_hex_and_empty_as_empty():
    hexed = shown("a.bam", bytes(range(256)) * 2)
    assert hexed.kind == "binary"
    assert hexed.text.splitlines()[2] == "00000020  20 21 22 23 24 25 26 27 28 29 2a 2b 2c 2d 2e 2f   !\"#$%&'()*+,-./"
    assert (len(hexed.text.splitlines()), hexed.truncated) == (16, True)
    assert shown("a.csv", b"").kind == "empty"


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.csv", b'"' + b"x" * HEAD_BYTES),
        ("a.csv", b'"' * HEAD_BYTES),
        ("a.csv", b"," * HEAD_BYTES),
        ("a.csv", b"\n" * HEAD_BYTES),
        ("a.csv", b"\r" * HEAD_BYTES),
        ("a.csv", b',"\n' * (HEAD_BYTES // 3)),
        ("a.json", b"[" * (HEAD_BYTES // 2) + b"]" * (HEAD_BYTES // 2)),
        ("a.json", b"[" + b"1," * (HEAD_BYTES // 2 - 2) + b"1]"),
        ("a.json", b'"' + b"\\\\" * (HEAD_BYTES // 2 - 2) + b'"'),
        ("a.json", b"9" * HEAD_BYTES),
        ("a.txt", b"\x1b" * HEAD_BYTES),
        ("a.txt", "\u202e".encode() * (HEAD_BYTES // 3)),
    ],
)
def test_no_content_holds_up_the_page(name, data):
    started = time.perf_counter()
    result = shown(name, data)
    assert time.perf_counter() - started < 1
    assert len(result.text) < 8 * HEAD_BYTES


names = st.sampled_from(
    [
        "a.csv",
        "a.tsv",
        "a.json",
        "a.md",
        "a.txt",
        "a.gz",
        "a.csv.gz",
        "a.png",
        "a.jpg",
        "a.pdf",
        "a.svg",
        "a.bin",
        "a",
        "",
    ]
)
starts = st.sampled_from(
    [
        b"",
        b"\x1f\x8b\x08",
        PNG[:60],
        JPEG[:60],
        PNG,
        b"%PDF-",
        b"\xff\xfe",
        b"\xef\xbb\xbf",
        gzip.compress(b"a,b\n"),
        b"[",
        b"{",
    ]
)


@settings(max_examples=150, deadline=None)
@given(
    names,
    starts,
    st.binary(max_size=100),
    st.integers(0, 300),
    st.sampled_from(["", "text/csv", "application/json", "image/png", "application/gzip", "x/y"]),
)
def test_no_file_makes_it_fail(name, start, rest, size, media_type):
    result = preview(name, media_type, start + rest, size)
    assert result.kind
    assert len({len(row) for row in [result.header, *result.rows]} | {0}) <= 2 or result.kind != "table"
