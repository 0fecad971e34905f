"""An evidence pack for one version as one PDF: a cover that says what is inside and how to check it without the portal, the
parts that were asked for, and the checkable files themselves enclosed byte for byte. Pure: whoever asks hands in the bytes.
"""

import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pikepdf
from reportlab.platypus import CondPageBreak, Flowable, Paragraph, Spacer

from printing import markdown, pages, styles
from printing import type as face
from printing.document import cover, facts_grid
from printing.grid import Cell, Grid, Lines
from printing.press import Running, lay_out
from printing.record_sheet import metadata_rows


@dataclass(frozen=True)
class Placed:
    """One file of the manifest and where its bytes lie. `size` in bytes."""

    logical_key: str
    size: int
    sha256: str
    bucket: str
    key: str
    version_id: str


@dataclass(frozen=True)
class Enclosed:
    """A file that goes into the PDF as it is."""

    name: str
    data: bytes
    media_type: str
    told: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()


@dataclass(frozen=True)
class Head:
    """What the pack is about, who made it and when (written out)."""

    number: str
    title: str
    type_name: str
    version: str
    made: str


@dataclass(frozen=True)
class Step:
    """One thing that a reader can do without the portal; `command` is typed as it stands."""

    says: str
    command: str = ""


Part = tuple[str, bytes]


def build(
    head: Head,
    facts: Sequence[tuple[str, str]],
    parts: Sequence[Part],
    enclosed: Sequence[Enclosed],
    steps: Sequence[Step],
    limits: Sequence[str],
) -> bytes:
    """The pack. The same arguments give the same bytes. Raises `pages.Unreadable` if a part is no PDF."""
    front = cover_page(head, facts, parts, enclosed, steps, limits)
    whole = pages.merge([("Evidence pack", front), *parts])
    with pikepdf.open(io.BytesIO(whole)) as pack:
        for one in enclosed:
            held = pikepdf.AttachedFileSpec(
                pack, one.data, filename=one.name, mime_type=one.media_type, description=one.told, creation_date="", mod_date=""
            )  # fmt: skip
            held.relationship = pikepdf.Name.Data
            pack.attachments[one.name] = held
        pack.docinfo["/Title"] = f"Evidence pack of {head.number}, version {head.version}"
        return pages.saved(pack)


def cover_page(
    head: Head,
    facts: Sequence[tuple[str, str]],
    parts: Sequence[Part],
    enclosed: Sequence[Enclosed],
    steps: Sequence[Step],
    limits: Sequence[str],
) -> bytes:
    counted = [(title, _pages(pages.page_count(data))) for title, data in parts]
    story = cover(f"Evidence pack · {head.type_name}", head.number, head.title, [("Version", head.version), *facts])
    story += [_part("What is inside, in this order"), facts_grid([("Evidence pack", "this cover"), *counted])]
    if enclosed:
        story += [
            _part("Enclosed in this PDF, byte for byte"),
            Paragraph(face.markup("Take them out with: pdfdetach -saveall FILE.pdf", face.SANS), styles.SMALL),
            Spacer(0, 4),
            Grid(_enclosed_rows(enclosed), head=_heads("File", "What it is", "SHA-256"), widths=(30, 32, 38), pad=3),
        ]
    story += [CondPageBreak(120), _part("How to check it without the portal"), *_steps(steps)]
    story += [CondPageBreak(90), _part("What this pack does not say")]
    story += [Lines(f"• {sentence}", face.SANS, 8.8, leading=12.6) for sentence in limits]
    return lay_out(story, _running(head, "Evidence pack"))


def readme(head: Head, text: str, images: Mapping[str, bytes] | None = None) -> bytes:
    """The README as it reads, in serif."""
    story: list[Flowable] = [Paragraph("README", styles.TITLE), Spacer(0, 8)]
    told = markdown.to_flowables(text, styles.reading(), images or {}) if text.strip() else []
    story += told or [Paragraph("This version has no README.", styles.reading().body)]
    return lay_out(story, _running(head, "README"))


def manifest(
    head: Head, facts: Sequence[tuple[str, str]], metadata: Mapping[str, object], files: Sequence[Placed]
) -> bytes:
    """The manifest: hashes, metadata, and each file with its digest and its place on S3."""
    total = sum(file.size for file in files)
    counted = f"{len(files):,} {'file' if len(files) == 1 else 'files'}, {total:,} bytes together"
    rows: list[list[Cell]] = [
        [
            Lines(file.logical_key, face.MONO, 7.4),
            Lines(f"{file.size:,}", face.SANS, 7.8, align="right"),
            Lines(file.sha256, face.MONO, 6.6),
            Lines(f"s3://{file.bucket}/{file.key}\nversion {file.version_id}", face.MONO, 6.6),
        ]
        for file in files
    ]
    head_row = _heads("File", "Bytes", "SHA-256", "Where on S3")
    story: list[Flowable] = [
        Paragraph("Manifest", styles.TITLE),
        facts_grid(facts),
        _part("Metadata"),
        facts_grid(list(metadata_rows(metadata)) or [("None", "This version has none.")]),
        CondPageBreak(110),
        _part("Files"),
        Paragraph(counted, styles.SMALL),
        Grid(rows, head=head_row, widths=(23, 11, 33, 33), pad=3),
    ]
    return lay_out(story, _running(head, "Manifest"), wide=True)


def _enclosed_rows(enclosed: Sequence[Enclosed]) -> list[list[Cell]]:
    return [
        [Lines(one.name, face.MONO, 7.4), Lines(one.told, face.SANS, 8), Lines(one.sha256, face.MONO, 6.6)]
        for one in enclosed
    ]


def _steps(steps: Sequence[Step]) -> list[Flowable]:
    story: list[Flowable] = []
    for number, step in enumerate(steps, 1):
        story.append(Lines(f"{number}. {step.says}", face.SANS, 8.8, leading=12.6))
        if step.command:
            story.append(Lines(step.command, face.MONO, 7.6, leading=11))
        story.append(Spacer(0, 5))
    return story


def _heads(*texts: str) -> list[Cell]:
    return [Lines(text, face.SANS_BOLD, 8, colour=styles.INK_2) for text in texts]


def _part(title: str) -> Paragraph:
    return Paragraph(title, styles.PART)


def _pages(count: int) -> str:
    return f"{count} page{'' if count == 1 else 's'}"


def _running(head: Head, part: str) -> Running:
    return Running(head.number, f"{head.title}, version {head.version}", part, head.made)
