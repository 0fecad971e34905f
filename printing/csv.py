"""CSV that a spreadsheet opens without executing anything in it (RFC 4180, UTF-8, CRLF)."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from numbers import Number

# What makes a spreadsheet take a cell for a formula, with the full-width forms that some locales accept too.
_STARTS_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001


def safe_cell(value: object) -> str:
    """The cell's text; an apostrophe in front makes it inert if it would start a formula.

    Cells that start with apostrophes before such a character get one more, so that removing one always gives back the
    original. Numbers are ours, not text that came from somewhere, and stay numbers.
    """
    if value is None:
        return ""
    text = str(value)
    if isinstance(value, Number):
        return text
    text = text.replace("\x00", "\ufffd")  # no program reads a cell past it
    return f"'{text}" if text.lstrip("' \u00a0").startswith(_STARTS_FORMULA) else text


def write_rows(columns: Sequence[str], rows: Iterable[Sequence[object]], *, closing: str = "") -> Iterator[str]:
    """The file line by line, heads first, for a streaming response. With `closing` the last line is `# N` and those words, N the
    number of rows: without that line the file broke off."""
    line = io.StringIO()
    writer = csv.writer(line, lineterminator="\r\n")
    for row in _framed(columns, rows, closing):
        writer.writerow([safe_cell(value) for value in row])
        yield line.getvalue()
        line.seek(0)
        line.truncate()


def _framed(columns: Sequence[str], rows: Iterable[Sequence[object]], closing: str) -> Iterator[Sequence[object]]:
    yield columns
    number = 0
    for number, row in enumerate(rows, start=1):  # noqa: B007 counted
        yield row
    if closing:
        yield [f"# {number} {closing}"]
