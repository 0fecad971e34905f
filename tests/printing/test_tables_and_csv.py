import csv
import io
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from printing.csv import safe_cell, write_rows
from printing.pages import Unreadable, merge, page_count, page_png
from printing.table import Column, render_table
from tests.printing.test_documents import text_of, words

COLUMNS = [
    Column("No.", 5, align="right"),
    Column("Time (UTC)", 15, mono=True),
    "Who",
    "Act",
    Column("What happened", 40),
]


def entries(count: int):
    for n in range(count):
        yield (
            n,
            f"2026-11-20 14:03:{n % 60:02}",
            "Mara Lindqvist",
            "document.submitted",
            f"Submitted version {n} for review",
        )


def test_a_table_holds_every_row_and_repeats_its_head(tmp_path):
    pdf = render_table("Audit trail", COLUMNS, entries(500), cover=[("Period", "2026")], footer="chain head 3fa9")
    assert pdf == render_table(
        "Audit trail", COLUMNS, list(entries(500)), cover=[("Period", "2026")], footer="chain head 3fa9"
    )
    read = words(text_of(pdf, tmp_path))
    assert all(f"Submitted version {n} for" in read for n in range(500))
    pages = page_count(pdf)
    assert read.count("What happened") == pages > 5
    assert f"Page {pages} of {pages}" in read
    assert "chain head 3fa9" in read


def test_two_thousand_rows_take_less_than_a_second_and_a_half():
    render_table("warm up", COLUMNS, entries(10))
    spent = []
    for _ in range(3):
        start = time.process_time()
        render_table("Audit trail", COLUMNS, entries(2000))
        spent.append(time.process_time() - start)
    assert min(spent) < 1.5


def test_a_huge_cell_is_cut_and_says_so(tmp_path):
    read = text_of(render_table("t", ["a", "b"], [("x" * 100_000, None), ("line\n" * 90, 3)]), tmp_path)
    assert "more lines)" in read
    assert "(61 more lines)" in read


def test_hostile_cells_and_a_long_cover_do_no_harm(tmp_path):
    mean = "<b>\x00\u202e中 😀 " * 30
    pdf = render_table(
        mean, [mean, "b"], [(mean, mean)] * 3, cover=[(mean, mean * 30)] * 5, footer=mean, landscape=False
    )
    assert "[U+202E]" in text_of(pdf, tmp_path)


def test_an_empty_table_says_so(tmp_path):
    assert "No entry matches." in text_of(render_table("t", ["a"], []), tmp_path)


def test_a_row_of_the_wrong_length_is_refused():
    with pytest.raises(ValueError, match="argument"):
        render_table("t", ["a", "b"], [("x",)])


def test_pages_become_pictures_of_the_asked_width():
    from PIL import Image

    pdf = render_table("t", ["a"], [("x",)])
    picture = page_png(pdf, 1, width=700)
    assert picture == page_png(pdf, 1, width=700)
    assert Image.open(io.BytesIO(picture)).width == 700
    for page in (0, 2, -1):
        with pytest.raises(Unreadable):
            page_png(pdf, page)


@pytest.mark.parametrize("bad", [b"", b"no pdf", b"%PDF-1.7\n%%EOF"])
def test_what_is_no_pdf_is_refused(bad):
    with pytest.raises(Unreadable):
        page_count(bad)
    with pytest.raises(Unreadable):
        page_png(bad, 1)
    with pytest.raises(Unreadable, match="Trail"):
        merge([("Trail", bad)])


def test_parts_are_merged_in_order_with_bookmarks():
    import pikepdf

    parts = [("Record", render_table("a", ["x"], [("1",)])), ("Trail \u202e", render_table("b", ["x"], [("2",)] * 200))]
    whole = merge(parts)
    assert whole == merge(parts)
    assert page_count(whole) == sum(page_count(data) for _, data in parts)
    with pikepdf.open(io.BytesIO(whole)) as pdf, pdf.open_outline() as outline:
        assert [item.title for item in outline.root] == ["Record", "Trail [U+202E]"]


# --- CSV --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "\uff1d1", "'=1", "\n=1"])
def test_what_a_spreadsheet_could_execute_is_made_inert(text):
    assert safe_cell(text) == f"'{text}"


@pytest.mark.parametrize(
    ("value", "cell"), [("a=b", "a=b"), (-5, "-5"), (1.5, "1.5"), (None, ""), ("'quoted'", "'quoted'")]
)
def test_what_is_harmless_stays_as_it_is(value, cell):
    assert safe_cell(value) == cell


def restore(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and safe_cell(cell) != cell else cell


@given(st.text(st.sampled_from("'=+-@\t\r\n ab\u00a0\"")) | st.text())
def test_a_cell_never_starts_a_formula_and_can_be_restored(text):
    cell = safe_cell(text)
    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))
    if "\x00" not in text:
        assert restore(cell) == text


@given(st.lists(st.lists(st.text(st.characters(exclude_characters="\x00")), min_size=2, max_size=2), max_size=5))
def test_another_reader_gets_the_cells_back(rows):
    lines = list(write_rows(["a", "b"], rows))
    assert all(line.endswith("\r\n") for line in lines)
    read = list(csv.reader(io.StringIO("".join(lines), newline="")))
    assert [[restore(cell) for cell in row] for row in read] == [["a", "b"], *rows]


def test_rows_are_written_as_they_come():
    def endless():
        n = 0
        while True:
            yield [n]
            n += 1

    lines = write_rows(["n"], endless())
    assert [next(lines) for _ in range(3)] == ["n\r\n", "0\r\n", "1\r\n"]
