"""The rendition of a controlled document: made once at submission, hashed, shown to signers, never made again.

It carries no state, since it stays the same while the version is reviewed, approved, effective and superseded; what an
issued copy adds to it is in `issued.py`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from reportlab.platypus import CondPageBreak, Flowable, PageBreak, Paragraph, Spacer

from printing import markdown, styles
from printing import type as face
from printing.grid import Cell, Grid, Lines
from printing.press import NUMBER_GAP, Outline, Running, lay_out_with_contents

_DIGEST = re.compile(r"(sha256:)?[0-9a-f]{32,128}")
HASH_NOTE = "the SHA-256 of this file is kept with the version and bound by each signature"


@dataclass(frozen=True)
class Section:
    title: str
    markdown: str


@dataclass(frozen=True)
class HistoryRow:
    """One line of the change history. `date` is written out by the caller."""

    version: str
    date: str
    author: str
    summary: str


@dataclass(frozen=True)
class DocumentSheet:
    """All that a rendition says. `images` holds the attachments that the sections name, by name."""

    number: str
    title: str
    type_name: str
    version: str
    facts: Sequence[tuple[str, str]]
    sections: Sequence[Section]
    history: Sequence[HistoryRow] = ()
    images: Mapping[str, bytes] = field(default_factory=lambda: MappingProxyType({}))
    language: str = "en"


def render_document(doc: DocumentSheet) -> bytes:
    """The PDF. The same sheet gives the same bytes, on any machine with the same release of this program."""
    reading = styles.reading()

    def tell(outline: Outline) -> list[Flowable]:
        body: list[Flowable] = []
        for section in doc.sections:
            body += section_flowables(section, reading, doc.images, outline)
        front = cover(doc.type_name, doc.number, doc.title, [("Version", doc.version), *doc.facts])
        front += change_history(doc.history)
        front += contents(outline)
        return [*front, PageBreak(), *body] if body else front

    running = Running(doc.number, doc.title, doc.type_name, f"Version {doc.version} · {HASH_NOTE}")
    return lay_out_with_contents(tell, running, language=doc.language)


def section_flowables(
    section: Section, reading: styles.Styles, images: Mapping[str, bytes], outline: Outline
) -> list[Flowable]:
    entry = outline.section(section.title)
    title = f"{entry.number}{NUMBER_GAP}{face.markup(section.title, reading.headings[0].fontName)}"
    return [
        CondPageBreak(130),
        outline.mark(entry),
        Paragraph(title, reading.headings[0]),
        *markdown.to_flowables(section.markdown, reading, images, outline=outline),
    ]


def cover(kind: str, number: str, title: str, facts: Sequence[tuple[str, str]]) -> list[Flowable]:
    """What it is, its number and title in large, and the facts about it."""
    return [
        Spacer(0, 8),
        Paragraph(face.markup(kind, face.SANS), styles.KIND),
        Paragraph(face.markup(title, face.SERIF_BOLD), styles.TITLE),
        Paragraph(face.markup(number, face.MONO), styles.NUMBER),
        facts_grid(facts),
    ]


def facts_grid(facts: Sequence[tuple[str, str]]) -> Grid:
    """Label and value, a line each; digests are set in the fixed-width face."""
    rows: list[list[Cell]] = []
    for label, value in facts:
        font, size = (face.MONO, 8) if _DIGEST.fullmatch(value) else (face.SANS, 9)
        name = Lines(label, face.SANS, 8.6, leading=12.4, colour=styles.INK_2)
        rows.append([name, Lines(value, font, size, leading=12.4)])
    return Grid(rows, widths=(26, 74))


def change_history(rows: Sequence[HistoryRow]) -> list[Flowable]:
    if not rows:
        return []
    cells = [[Lines(text, size=8.6) for text in (row.version, row.date, row.author, row.summary)] for row in rows]
    head = [_head(text) for text in ("Version", "Date", "Author", "What changed")]
    return [Paragraph("Change history", styles.PART), Grid(cells, head=head, widths=(10, 17, 22, 51))]


def contents(outline: Outline) -> list[Flowable]:
    """Sections and their first level of headings, with pages. Takes the same room whether pages are known or not."""
    entries = [entry for entry in outline.entries if entry.depth <= 2]
    if not entries:
        return []
    rows: list[list[Cell]] = []
    for entry in entries:
        top = entry.depth == 1
        font = face.SERIF_BOLD if top else face.SERIF
        indent = "" if top else "\u2003\u2002"
        rows.append(
            [
                Lines(f"{indent}{entry.number}\u2002{entry.text}", font, 9.2, leading=13),
                Lines(str(outline.pages.get(entry.key, 0)), face.SANS, 8.6, leading=13, align="right"),
            ]
        )
    return [Paragraph("Contents", styles.PART), Grid(rows, widths=(92, 8), pad=1.5, gutter=0, ruled=False)]


def _head(text: str) -> Lines:
    return Lines(text, face.SANS_BOLD, 8, colour=styles.INK_2)
