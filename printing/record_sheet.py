"""The rendition of a data package: what a person reads and signs for a version whose content is files on S3."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from reportlab.platypus import CondPageBreak, Flowable, Paragraph

from printing import markdown, styles
from printing import type as face
from printing.document import HASH_NOTE, cover, facts_grid
from printing.grid import Cell, Grid, Lines
from printing.press import Running, lay_out


@dataclass(frozen=True)
class FileRow:
    """One pinned object. `size` in bytes."""

    logical_key: str
    size: int
    sha256: str
    version_id: str


@dataclass(frozen=True)
class RecordSheet:
    """All that the sheet says. `readme` is Markdown; `images` its attachments by name."""

    number: str
    title: str
    type_name: str
    version: str
    facts: Sequence[tuple[str, str]]
    metadata: Mapping[str, object]
    files: Sequence[FileRow]
    readme: str = ""
    images: Mapping[str, bytes] = field(default_factory=lambda: MappingProxyType({}))
    language: str = "en"


def render_record_sheet(sheet: RecordSheet) -> bytes:
    """The PDF; the same sheet gives the same bytes."""
    story = cover(sheet.type_name, sheet.number, sheet.title, [("Version", sheet.version), *sheet.facts])
    story += [
        _part("Metadata"),
        facts_grid(list(metadata_rows(sheet.metadata)) or [("None", "This version has none.")]),
    ]
    if sheet.readme.strip():
        story += [CondPageBreak(120), _part("README")]
        story += markdown.to_flowables(sheet.readme, styles.reading(), sheet.images)
    story += file_list(sheet.files)
    running = Running(sheet.number, sheet.title, sheet.type_name, f"Version {sheet.version} · {HASH_NOTE}")
    return lay_out(story, running, language=sheet.language)


def metadata_rows(metadata: object, path: str = "") -> Iterator[tuple[str, str]]:
    """(name, value) pairs of JSON-like metadata; what is nested is named by its path, "sample / volume"."""
    if isinstance(metadata, Mapping):
        for name, value in metadata.items():
            yield from metadata_rows(value, f"{path} / {name}" if path else str(name))
    elif isinstance(metadata, list | tuple) and any(isinstance(item, Mapping | list | tuple) for item in metadata):
        for ordinal, item in enumerate(metadata, 1):
            yield from metadata_rows(item, f"{path} {ordinal}")
    elif isinstance(metadata, list | tuple):
        yield path, ", ".join(_word(item) for item in metadata) or "none"
    else:
        yield path, _word(metadata)


def _word(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def file_list(files: Sequence[FileRow]) -> list[Flowable]:
    total = sum(file.size for file in files)
    counted = f"{len(files):,} {'file' if len(files) == 1 else 'files'}, {total:,} bytes together"
    head: list[Cell] = [
        Lines(text, face.SANS_BOLD, 8, colour=styles.INK_2, align=side)
        for text, side in (("File", "left"), ("Bytes", "right"), ("SHA-256", "left"), ("S3 version id", "left"))
    ]
    rows: list[list[Cell]] = [
        [
            Lines(file.logical_key, face.MONO, 7.4),
            Lines(f"{file.size:,}", face.SANS, 7.8, align="right"),
            Lines(file.sha256, face.MONO, 6.6),
            Lines(file.version_id, face.MONO, 6.6),
        ]
        for file in files
    ]
    return [
        CondPageBreak(110),
        _part("Files"),
        Paragraph(counted, styles.SMALL),
        Grid(rows, head=head, widths=(32, 14, 31, 23), pad=3),
    ]


def _part(title: str) -> Paragraph:
    return Paragraph(title, styles.PART)
