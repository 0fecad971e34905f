"""What a page shows of a file, from its first bytes: a table, text, an image, or at least its bytes in hex.

21 CFR 11.10(b) asks for copies that people can read. A preview is made from at most `HEAD_BYTES`
(a compressed file is opened no further than that), in time that grows with those bytes alone, and says so when it shows
only a part. Nothing in a file is executed or trusted: an image is shown only after Pillow has found a PNG or JPEG, an
SVG is text, and characters that would hide or turn the text around them are made visible.
"""

import csv
import io
import json
import re
import warnings
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from PIL import Image

#: How many bytes from the start of a file a caller should bring, and all that is looked at (images aside).
HEAD_BYTES = 256 * 1024
MAX_ROWS = 100
MAX_COLUMNS = 50
MAX_CELL = 200
MAX_LINES = 1_000
MAX_LINE = 2_000
MAX_INDENT = 24
HEX_BYTES = 256
#: An image is shown in the page up to here; larger ones are offered for download.
MAX_IMAGE_BYTES = 20 * 1024 * 1024
MAX_IMAGE_PIXELS = 50_000_000
#: Members of a gzip file that are opened; bgzip writes one for each 64 KiB.
MAX_MEMBERS = 500

Kind = Literal["empty", "table", "json", "text", "markdown", "image", "pdf", "binary"]


@dataclass(frozen=True)
class Preview:
    """What to show: ``text`` for text, Markdown, JSON and hex, ``header`` and ``rows`` (all of one length) for a table.

    An image or a PDF is shown from the file itself. ``truncated``: there is more. ``notes``: sentences for the reader.
    """

    kind: Kind
    media_type: str
    size: int
    text: str = ""
    header: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    width: int = 0
    height: int = 0
    truncated: bool = False
    notes: tuple[str, ...] = field(default=())


OCTETS = "application/octet-stream"
_BY_NAME = {
    "csv": "text/csv",
    "tsv": "text/tab-separated-values",
    "json": "application/json",
    "jsonl": "application/jsonl",
    "ndjson": "application/jsonl",
    "md": "text/markdown",
    "markdown": "text/markdown",
    "html": "text/html",
    "htm": "text/html",
    "xml": "application/xml",
    "svg": "image/svg+xml",
    "yaml": "application/yaml",
    "yml": "application/yaml",
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "pdf": "application/pdf",
    "gz": "application/gzip",
    "bgz": "application/gzip",
    "zip": "application/zip",
    "parquet": "application/vnd.apache.parquet",
    "bam": OCTETS,
    **dict.fromkeys(("txt", "log", "rst", "tex", "toml", "ini", "cfg", "conf", "sql"), "text/plain"),
    **dict.fromkeys(("py", "r", "sh", "nf", "wdl", "cwl"), "text/plain"),
    **dict.fromkeys(("fastq", "fq", "fasta", "fa", "fna", "faa", "vcf", "sam", "bed"), "text/plain"),
    **dict.fromkeys(("gff", "gff3", "gtf"), "text/plain"),
}
_SIGNATURES = {
    "image/png": (b"\x89PNG\r\n\x1a\n",),
    "image/jpeg": (b"\xff\xd8\xff",),
    "application/pdf": (b"%PDF-",),
    "application/gzip": (b"\x1f\x8b\x08",),
    "application/zip": (b"PK\x03\x04", b"PK\x05\x06"),
    "application/vnd.apache.parquet": (b"PAR1",),
}
_TABLES = {"text/csv": ",;\t|", "text/tab-separated-values": "\t"}
_TEXT_TYPES = {"application/jsonl", "application/xml", "application/yaml", "image/svg+xml"}


def media_type_of(name: str, head: bytes = b"") -> str:
    """The media type by the name's ending; with the first bytes at hand, one that they contradict is not believed."""
    by_name = _BY_NAME.get(_ending(name), "")
    if not head:
        return by_name or OCTETS
    if by_name in _SIGNATURES and head.startswith(_SIGNATURES[by_name]):
        return by_name
    by_content = next((kind for kind, starts in _SIGNATURES.items() if head.startswith(starts)), "")
    if by_content:
        return by_content
    if by_name in _SIGNATURES or _decoded(head[:HEAD_BYTES], whole=False) is None:
        return OCTETS
    return by_name or "text/plain"


def preview(name: str, media_type: str, head: bytes, size: int) -> Preview:
    """What to show of a file of ``size`` bytes that begins with ``head``. It never raises for what is in the file.

    ``media_type`` may be empty; then `media_type_of` decides. Bring `HEAD_BYTES`, of an image up to `MAX_IMAGE_BYTES`.
    """
    media_type = media_type or media_type_of(name, head)
    if size == 0:
        return Preview("empty", media_type, 0)
    whole = len(head) >= size
    if media_type in ("image/png", "image/jpeg"):
        return _image(media_type, head, size)
    head, whole = head[:HEAD_BYTES], whole and len(head) <= HEAD_BYTES
    if media_type == "application/pdf" and head.startswith(b"%PDF-"):
        return Preview("pdf", media_type, size)
    if media_type == "application/gzip" and head.startswith(b"\x1f\x8b"):
        return _compressed(name, head, size, whole)
    return _readable(name, media_type, head, size, whole) or _binary(media_type, head, size)


def _ending(name: str) -> str:
    base = name.rsplit("/", 1)[-1].lower()
    return base.rsplit(".", 1)[1] if "." in base else ""


def _readable(name: str, media_type: str, data: bytes, size: int, whole: bool) -> Preview | None:
    """The preview of what is text, by its type; None when it is not text."""
    known = media_type.startswith("text/") or media_type in _TEXT_TYPES or media_type == "application/json"
    decoded = _decoded(data, whole) if known or media_type == OCTETS else None
    if decoded is None:
        return None
    text, notes = decoded
    if not whole:
        # The last line may be cut anywhere; without a single line end it is all there is to show.
        text = text[: text.rfind("\n") + 1] or text
    shown = None
    if media_type in _TABLES:
        shown = _table(text, _TABLES[media_type], media_type, size)
    elif media_type == "application/json" and whole:
        shown = _json(text, media_type, size)
    if shown is None:
        kind: Kind = "markdown" if media_type == "text/markdown" else "text"
        text, cut = _bounded(text)
        shown = Preview(kind, media_type, size, text=text, truncated=cut)
    return replace(shown, truncated=shown.truncated or not whole, notes=(*notes, *shown.notes))


def _decoded(data: bytes, whole: bool) -> tuple[str, tuple[str, ...]] | None:
    """The bytes as text with what there is to say about their encoding, or None for what is not text."""
    for mark, encoding in ((b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be")):
        if data.startswith(mark):
            text = data[2:].decode(encoding, errors="replace")
            return (text, ("Read as UTF-16.",)) if "\0" not in text else None
    if b"\0" in data:
        return None
    data = data.removeprefix(b"\xef\xbb\xbf")
    try:
        return data.decode(), ()
    except UnicodeDecodeError as error:
        if not whole and error.start >= len(data) - 3 and error.end == len(data):
            return data[: error.start].decode(), ()  # the end of the head cut a character in two
    controls = sum(byte < 32 and byte not in b"\t\n\r\f" for byte in data)
    if controls:
        return None
    return data.decode("cp1252", errors="replace"), ("This is not UTF-8; it was read as Windows-1252.",)


def _table(text: str, delimiters: str, media_type: str, size: int) -> Preview | None:
    text = text.lstrip("\r\n")
    lines = io.StringIO(text, newline="")
    try:
        reader = csv.reader(lines, delimiter=_delimiter(text, delimiters))
        rows = [row for row, _ in zip(reader, range(MAX_ROWS + 2), strict=False)]
    except csv.Error:
        return None  # a cell beyond any measure; it is shown as text
    if not any(rows):
        return None
    cut = len(rows) > MAX_ROWS + 1
    rows = rows[: MAX_ROWS + 1]
    widths = Counter(len(row) for row in rows if row)
    width = len(rows[0])
    notes = []
    if ragged := [number for number, row in enumerate(rows, start=1) if row and len(row) != width]:
        notes.append(f"{_rows(ragged)} not the {width} cell{'' if width == 1 else 's'} of the first row.")
    if max(widths) > MAX_COLUMNS:
        notes.append(f"Only the first {MAX_COLUMNS} of {max(widths)} columns are shown.")
    columns = min(max(widths), MAX_COLUMNS)
    header, *body = (_cells(row, columns) for row in rows)
    return Preview("table", media_type, size, header=header, rows=tuple(body), truncated=cut, notes=tuple(notes))


def _delimiter(text: str, candidates: str) -> str:
    """The candidate that parts the first lines into the most cells, the same number in most of them."""
    sample = text[:16_384].splitlines()[:20]

    def evenness(delimiter: str) -> tuple[int, int]:
        counts = Counter(len(row) for row in csv.reader(sample, delimiter=delimiter) if len(row) > 1)
        cells, lines = max(counts.items(), key=lambda item: (item[1], item[0]), default=(0, 0))
        return lines, cells

    return max(candidates, key=evenness) if len(candidates) > 1 else candidates


def _cells(row: Sequence[str], columns: int) -> tuple[str, ...]:
    shown = [_visible(cell if len(cell) <= MAX_CELL else cell[: MAX_CELL - 1] + "…") for cell in row[:columns]]
    return (*shown, *[""] * (columns - len(shown)))


def _rows(numbers: Sequence[int]) -> str:
    listed = ", ".join(map(str, numbers[:5])) + (f" and {len(numbers) - 5} more" if len(numbers) > 5 else "")
    return f"Row {listed} has" if len(numbers) == 1 else f"Rows {listed} have"


_PART = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')


def _json(text: str, media_type: str, size: int) -> Preview | None:
    """JSON set out line by line. Every name and number stays as it is written; None when this is not JSON."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return None
    shown, cut = _bounded(_indented(text))
    return Preview("json", media_type, size, text=shown, truncated=cut)


def _indented(text: str) -> str:
    """The text of valid JSON, indented down to `MAX_INDENT` levels; what is deeper stays on its line."""
    out: list[str] = []
    parts = [match.group() for match in _PART.finditer(text)]
    level = 0
    for at, part in enumerate(parts):
        following = parts[at + 1] if at + 1 < len(parts) else ""
        if part in "]}":
            level -= 1
            if parts[at - 1] not in "[{" and level < MAX_INDENT:
                out.append("\n" + "  " * level)
        out.append(part)
        if part in "[{":
            level += 1
            if following not in "]}" and level <= MAX_INDENT:
                out.append("\n" + "  " * level)
        elif part == ",":
            out.append("\n" + "  " * level if level <= MAX_INDENT else " ")
        elif part == ":":
            out.append(" ")
    return "".join(out)


def _compressed(name: str, head: bytes, size: int, whole: bool) -> Preview:
    data, complete = _inflated(head)
    inner = re.sub(r"\.b?gz$", "", name, flags=re.IGNORECASE)
    media_type = media_type_of(inner, data)
    note = "This file is compressed; its beginning was decompressed for this view."
    if data and (shown := _readable(inner, media_type, data, size, whole and complete)):
        return replace(shown, media_type="application/gzip", notes=(note, *shown.notes))
    return _binary("application/gzip", head, size)


def _inflated(head: bytes) -> tuple[bytes, bool]:
    """Up to `HEAD_BYTES` of what the gzip members at the start hold, and whether that was all."""
    out = b""
    for _ in range(MAX_MEMBERS):
        if not head.startswith(b"\x1f\x8b") or len(out) >= HEAD_BYTES:
            break
        member = zlib.decompressobj(wbits=31)
        try:
            out += member.decompress(head, HEAD_BYTES - len(out))
        except zlib.error:
            return out, False
        if not member.eof:
            return out, False
        head = member.unused_data
    return out, not head


def _image(media_type: str, head: bytes, size: int) -> Preview:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(head), formats=("PNG", "JPEG")) as image:
                width, height = image.size
                if len(head) >= size:
                    image.verify()
    except Exception:  # Pillow raises many kinds for a broken image; each of them means: do not show it
        return replace(_binary(media_type, head, size), notes=("The image is damaged or is no PNG or JPEG.",))
    if size > MAX_IMAGE_BYTES or width * height > MAX_IMAGE_PIXELS:
        note = f"The image is too large to show here ({width:,} by {height:,} pixels)."
        return replace(_binary(media_type, head, size), width=width, height=height, notes=(note,))
    return Preview("image", media_type, size, width=width, height=height)


def _binary(media_type: str, head: bytes, size: int) -> Preview:
    lines = []
    for start in range(0, min(len(head), HEX_BYTES), 16):
        row = head[start : min(start + 16, HEX_BYTES)]
        letters = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        lines.append(f"{start:08x}  {row.hex(' '):<47}  {letters}")
    return Preview("binary", media_type, size, text="\n".join(lines), truncated=size > HEX_BYTES)


def _bounded(text: str) -> tuple[str, bool]:
    """The text with hidden characters made visible, in bounded lines, and whether anything was left out."""
    lines = text.split("\n")
    shown = [line if len(line) <= MAX_LINE else line[: MAX_LINE - 1] + "…" for line in lines[:MAX_LINES]]
    cut = len(lines) > MAX_LINES or any(len(line) > MAX_LINE for line in lines[:MAX_LINES])
    return _visible("\n".join(line.removesuffix("\r") for line in shown)), cut


_HIDDEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")


def _visible(text: str) -> str:
    """The text with characters that are not seen, or that turn the direction of others, written as <U+202E>."""
    return _HIDDEN.sub(lambda match: f"<U+{ord(match.group()):04X}>", text)
