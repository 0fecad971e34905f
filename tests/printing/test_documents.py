import hashlib
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from printing import type as face
from printing.document import Section, render_document
from printing.pages import page_count
from printing.record_sheet import FileRow, RecordSheet, metadata_rows, render_record_sheet
from tests.printing.sheets import HASH, sheet


def text_of(pdf: bytes, tmp_path, *options: str) -> str:
    """What another program reads in the PDF."""
    path = tmp_path / "out.pdf"
    path.write_bytes(pdf)
    done = subprocess.run(["pdftotext", *options, str(path), "-"], check=True, capture_output=True, text=True)
    assert not done.stderr
    return done.stdout


def words(text: str) -> str:
    return " ".join(text.split())


def test_a_rendition_says_what_its_sheet_says(tmp_path):
    read = words(text_of(render_document(sheet()), tmp_path))
    for said in (
        "URS-0001", "User requirements, S3 records system", "Version 4", "Mara Lindqvist", "Second factor added",
        "Contents", "2 Requirements", "ask for a password", "Page 1 of 2", "Page 2 of 2",
    ):  # fmt: skip
        assert said in read


def test_the_same_sheet_gives_the_same_bytes():
    assert render_document(sheet()) == render_document(sheet())


def test_another_process_gives_the_same_bytes():
    program = "import hashlib;from printing.document import *;from tests.printing.sheets import *;"
    program += "print(hashlib.sha256(render_document(sheet('| a | b |\\n|--|--|\\n| ☑ | `c` |'))).hexdigest())"
    hashes = {
        subprocess.run(
            [sys.executable, "-c", program], check=True, capture_output=True, env={"PYTHONHASHSEED": seed, "PYTHONPATH": "."}
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(hashes) == 1


def test_two_threads_do_not_disturb_each_other():
    texts = [f"Text {n} with ünïcödé Δ ☑ and `code`. " * 40 for n in range(8)]
    alone = [render_document(sheet(text)) for text in texts]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda text: render_document(sheet(text)), texts)) == alone


def test_any_change_of_the_sheet_changes_the_bytes():
    first = render_document(sheet())
    assert render_document(sheet("The system shall ask for a *passwort*.")) != first
    assert render_document(sheet(version="5")) != first


def test_a_rendition_has_no_made_up_date():
    assert b"CreationDate" not in render_document(sheet())


def test_contents_name_the_page_a_section_starts_on(tmp_path):
    sections = [Section(f"Part {n}", "Word. " * 900) for n in range(1, 6)]
    pdf = render_document(sheet(sections=sections))
    lines = [line.split() for line in text_of(pdf, tmp_path, "-layout", "-l", "1").splitlines()]
    told = {line[2]: int(line[-1]) for line in lines if line[1:2] == ["Part"]}
    assert len(told) == 5
    for part, page in told.items():
        assert f"Part {part}" in words(text_of(pdf, tmp_path, "-f", str(page), "-l", str(page)))


def test_a_long_document_has_bookmarks_for_every_heading():
    import io

    import pikepdf

    pdf = render_document(sheet("## One\n\n#### Two\n\n## Three"))
    with pikepdf.open(io.BytesIO(pdf)) as read, read.open_outline() as outline:
        assert [item.title for item in outline.root] == ["1  Purpose", "2  Requirements"]
        assert [item.title for item in outline.root[1].children] == ["2.1  One", "2.2  Three"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("µ Δ ≥ → ☑ 😀", "µ Δ ≥ → ☑ 😀"),
        ("中", "[U+4E2D]"),
        ("a\u202eb", "a[U+202E]b"),
        ("\u05d0", "[U+05D0]"),
        ("e\u0301", "é"),
        ("a\u200bb\ufeff", "ab"),
        ("\x00\ud800", "[U+0000][U+D800]"),
        ("a\r\nb\tc", "a\nb\tc"),
    ],
)
def test_what_cannot_be_printed_is_spelled_out(text, shown):
    assert face.readable(text) == shown


def test_a_clipped_text_fits_and_says_that_it_is_clipped():
    clipped = face.clip("w" * 10_000, face.SANS, 9, 100)
    assert clipped.endswith("…")
    assert 80 < face.width(clipped, face.SANS, 9) <= 100
    assert face.clip("short", face.SANS, 9, 100) == "short"


def record(**changes) -> RecordSheet:
    told = {
        "number": "KRAS-001",
        "title": "KRAS NGS panel",
        "type_name": "NGS data package",
        "version": "3",
        "facts": [("Top hash", HASH)],
        "metadata": {"assay": "NGS", "sample": {"volume": {"unit": "µL"}}},
        "files": [FileRow("raw/a_very/long/" + "key/" * 30 + "reads.fastq.gz", 1_234_567, HASH, "v-" + "9" * 30)],
        "readme": "# How to use\n\nRead **this** first.",
    }
    return RecordSheet(**{**told, **changes})


def test_a_record_sheet_shows_metadata_readme_and_files(tmp_path):
    pdf = render_record_sheet(record())
    assert pdf == render_record_sheet(record())
    read = text_of(pdf, tmp_path)
    for said in ("KRAS-001", HASH, "sample / volume / unit", "µL", "Read this first.", "1,234,567", "1 file,"):
        assert said in words(read)
    joined = "".join(read.split())
    assert "reads.fastq.gz" in joined
    assert HASH in joined


def test_a_record_sheet_of_many_files_is_not_cut_short(tmp_path):
    files = [FileRow(f"f{n:05}.bin", n, hashlib.sha256(str(n).encode()).hexdigest(), f"v{n}") for n in range(700)]
    read = text_of(render_record_sheet(record(files=files)), tmp_path)
    assert all(f"f{n:05}.bin" in read for n in range(700))


def test_a_record_sheet_without_anything_still_has_a_page():
    assert page_count(render_record_sheet(record(facts=[], metadata={}, files=[], readme=""))) == 1


def test_metadata_is_told_by_path():
    metadata = {"a": {"b": [1, 2]}, "c": [{"d": None}, {"d": True}], "e": [], "f": 1.5}
    assert list(metadata_rows(metadata)) == [
        ("a / b", "1, 2"), ("c 1 / d", "none"), ("c 2 / d", "yes"), ("e", "none"), ("f", "1.5"),
    ]  # fmt: skip
