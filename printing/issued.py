"""Issued copies: the sealed rendition with what is true of it now, its state and its signatures.

The rendition itself is carried inside, byte for byte, so that whoever holds a copy can hash what was signed.
"""

import hashlib
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

import pikepdf
import segno
from reportlab.lib.colors import Color
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import CondPageBreak, Flowable, Paragraph, Spacer

from printing import press, styles
from printing import type as face
from printing.document import facts_grid
from printing.grid import Cell, Grid, Lines, draw_text
from printing.pages import Unreadable, saved
from printing.press import Running, lay_out

RENDITION_NAME = "rendition.pdf"
ENCLOSED = f"{RENDITION_NAME}, the rendition itself, is attached to this PDF byte for byte."


class Tone(StrEnum):
    """The colour of the watermark. The words say the state; colour only helps."""

    NEUTRAL = "neutral"
    GOOD = "good"
    CAUTION = "caution"
    BAD = "bad"


class Standing(StrEnum):
    """What a signature counts for today."""

    SIGNED = "Signed"
    REJECTED = "Rejected"
    WITHDRAWN = "Withdrawn"
    FALLEN = "Does not stand"
    SUSPECT = "Under review"
    SUPERSEDED = "Superseded"
    VOID = "Void"
    INVALID = "Not valid"


_TONES = {Tone.NEUTRAL: styles.INK_3, Tone.GOOD: styles.OK, Tone.CAUTION: styles.WARN, Tone.BAD: styles.BAD}
_STANDINGS = {
    Standing.SIGNED: styles.OK,
    Standing.REJECTED: styles.BAD,
    Standing.WITHDRAWN: styles.WARN,
    Standing.FALLEN: styles.BAD,
    Standing.SUSPECT: styles.WARN,
    Standing.SUPERSEDED: styles.INK_3,
    Standing.VOID: styles.INK_3,
    Standing.INVALID: styles.BAD,
}


@dataclass(frozen=True)
class SignatureBlock:
    """One signature as 21 CFR 11.50 wants it shown. `validity` is a sentence; `note` a reason given (to reject, withdraw).

    `signed_at` must know its time zone; it is printed in UTC.
    """

    printed_name: str
    role: str
    meaning: str
    sentence: str
    signed_at: datetime
    bound_hash: str
    validity: str
    standing: Standing = Standing.SIGNED
    note: str = ""


@dataclass(frozen=True)
class Attached:
    """A small file that goes into the copy byte for byte."""

    name: str
    data: bytes
    media_type: str
    told: str


def issue(
    rendition: bytes,
    *,
    watermark: str,
    tone: Tone,
    signatures: Sequence[SignatureBlock],
    facts: Sequence[tuple[str, str]],
    printed_by: str,
    printed_at: datetime,
    qr_url: str | None = None,
    language: str = "en",
    seal_note: str = "",
    attached: Sequence[Attached] = (),
) -> bytes:
    """A copy to hand out. The same arguments give the same bytes. Raises Unreadable if the rendition is no PDF.

    `watermark` says the state in words; `qr_url` leads to the live page of the version; `seal_note` says what the seal that
    the copy will get attests, and what it does not.
    """
    try:
        copy = pikepdf.open(io.BytesIO(rendition))
    except pikepdf.PdfError as error:
        raise Unreadable("The rendition is no PDF that can be read.") from error
    with copy:
        title = str(copy.docinfo.get("/Title", "Record"))
        mark = copy_mark(rendition, printed_by, printed_at)
        first_signature_page = len(copy.pages)
        manifest = signature_pages(rendition, title, signatures, facts, mark, qr_url, language, seal_note)
        with pikepdf.open(io.BytesIO(manifest)) as appended:
            copy.pages.extend(appended.pages)
        line = f"{watermark} · UNCONTROLLED WHEN PRINTED · printed by {printed_by} at {utc(printed_at)} · copy {mark}"
        _stamp(copy, watermark, _TONES[tone], line)
        with copy.open_outline() as outline:
            outline.root.append(pikepdf.OutlineItem("Signatures", first_signature_page))
        _enclose(copy, rendition, attached, printed_at)
        copy.docinfo["/Title"] = f"{title} (issued copy {mark})"
        return saved(copy)


def watermarked(pdf: bytes, watermark: str, tone: Tone, line: str) -> bytes:
    """The same pages under a watermark, with `line` at their foot: a preview, not an issued copy. Raises Unreadable."""
    try:
        copy = pikepdf.open(io.BytesIO(pdf))
    except pikepdf.PdfError as error:
        raise Unreadable("This is no PDF that can be read.") from error
    with copy:
        _stamp(copy, watermark, _TONES[tone], line)
        return saved(copy)


def copy_mark(rendition: bytes, printed_by: str, printed_at: datetime) -> str:
    """Twelve hex digits that lead from a sheet of paper to the log entry of its printing: SHA-256 over the rendition's
    SHA-256, who printed it, and when, one per line."""
    told = "\n".join((hashlib.sha256(rendition).hexdigest(), printed_by, _instant(printed_at).isoformat()))
    return hashlib.sha256(told.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def utc(when: datetime) -> str:
    """ "2026-11-20 14:03:22 UTC". Raises ValueError for a time without its zone."""
    return f"{_instant(when):%Y-%m-%d %H:%M:%S} UTC"


def _instant(when: datetime) -> datetime:
    if when.tzinfo is None:
        raise ValueError("A printed time must know its time zone.")
    return when.astimezone(UTC)


# --- the signature pages ----------------------------------------------------------------------------------------------


def signature_pages(
    rendition: bytes,
    title: str,
    signatures: Sequence[SignatureBlock],
    facts: Sequence[tuple[str, str]],
    mark: str,
    qr_url: str | None,
    language: str,
    seal_note: str = "",
) -> bytes:
    digest = hashlib.sha256(rendition).hexdigest()
    story: list[Flowable] = [
        Paragraph("Signatures", styles.TITLE),
        Paragraph(face.markup(title, face.SANS), styles.SUBTITLE),
        facts_grid([*facts, ("Rendition SHA-256", digest), ("Enclosed", ENCLOSED)]),
    ]
    if qr_url:
        story += [Spacer(0, 4), _QrCode(qr_url), Spacer(0, 8)]
    if not signatures:
        story += [Spacer(0, 12), Paragraph("Nobody has signed this version.", styles.reading().body)]
    for signature in signatures:
        story += _card(signature)
    if seal_note:
        story += [
            CondPageBreak(90),
            Spacer(0, 12),
            Paragraph("The seal of this PDF", styles.PART),
            *_paragraphs(seal_note),
        ]
    running = Running("", title, "Signature page", f"copy {mark}", page_word="Signature page")
    return lay_out(story, running, language=language)


def _paragraphs(text: str) -> list[Flowable]:
    return [Lines(line, face.SANS, 8.8, leading=12.6) for line in text.splitlines()]


def _card(signature: SignatureBlock) -> list[Flowable]:
    colour = _STANDINGS[signature.standing]
    struck = signature.standing in (Standing.WITHDRAWN, Standing.FALLEN, Standing.INVALID)

    def words(text: str, font: str) -> str:
        marked = face.markup(text, font)
        return f'<strike width="0.5">{marked}</strike>' if struck else marked

    name: Cell = Paragraph(words(signature.printed_name, face.SERIF_BOLD), styles.SIGNER)
    standing = Lines(signature.standing, face.SANS_BOLD, 9.5, leading=17, colour=colour, align="right")
    told: list[tuple[str, str]] = [
        ("Role", words(signature.role, face.SANS)),
        ("Meaning", words(signature.meaning, face.SANS_BOLD)),
        ("Statement", words(signature.sentence, face.SERIF_ITALIC)),
        ("Signed at", words(utc(signature.signed_at), face.SANS)),
        ("Bound hash", face.markup(signature.bound_hash, face.MONO)),
        ("Standing", face.markup(signature.validity, face.SANS)),
    ]
    if signature.note:
        told.append(("Reason", face.markup(signature.note, face.SANS)))
    fonts = {"Meaning": styles.VALUE_BOLD, "Statement": styles.VALUE_SAID, "Bound hash": styles.VALUE_HASH}
    rows: list[list[Cell]] = [
        [
            Lines(label, face.SANS, 8.6, leading=12.4, colour=styles.INK_2),
            Paragraph(text, fonts.get(label, styles.VALUE)),
        ]
        for label, text in told
    ]
    return [
        CondPageBreak(160 + 16 * bool(signature.note)),
        Spacer(0, 12),
        Grid([[name, standing]], widths=(74, 26), pad=3, gutter=0, space_after=0),
        Grid(rows, widths=(26, 74), pad=2.2, ruled=False),
    ]


class _QrCode(Flowable):
    """A QR code drawn as squares, with a line of text beside it."""

    side = 20 * mm

    def __init__(self, address: str) -> None:
        super().__init__()
        self.address = address
        self.matrix = [bytes(row) for row in segno.make(address, micro=False, error="m").matrix]
        self.note = Lines(
            f"The live page of this version, with its state today:\n{address}", face.SANS, 8, colour=styles.INK_2
        )  # fmt: skip

    def wrap(self, available: float, height: float) -> tuple[float, float]:
        self.note.wrap(available - self.side - 14, height)
        self.width, self.height = available, max(self.side, self.note.height)
        return self.width, self.height

    def draw(self) -> None:
        module = self.side / len(self.matrix)
        self.canv.setFillColor(styles.INK)
        for down, row in enumerate(self.matrix, 1):
            for across, dark in enumerate(row):
                if dark:
                    self.canv.rect(across * module, self.height - down * module, module, module, stroke=0, fill=1)
        self.note.paint(self.canv, self.side + 14, self.height)


# --- what goes on every page ------------------------------------------------------------------------------------------


def _stamp(copy: pikepdf.Pdf, watermark: str, colour: Color, line: str) -> None:
    """Lay watermark and foot line over each page; pages of one size share one drawing."""
    drawings: dict[tuple[float, float], pikepdf.Object] = {}
    for page in copy.pages:
        left, bottom, right, top = (float(edge) for edge in page.mediabox)
        size = (right - left, top - bottom)
        if size not in drawings:
            with pikepdf.open(io.BytesIO(_overlay(size, watermark, colour, line))) as drawn:
                drawings[size] = copy.copy_foreign(drawn.pages[0].as_form_xobject())
        name = page.add_resource(drawings[size], pikepdf.Name.XObject, pikepdf.Name.IssuedCopy)
        page.contents_add(b"q", prepend=True)
        page.contents_add(f"Q q 1 0 0 1 {left:.3f} {bottom:.3f} cm {name} Do Q".encode())


def _overlay(size: tuple[float, float], watermark: str, colour: Color, line: str) -> bytes:
    stream = io.BytesIO()
    canvas = Canvas(stream, pagesize=size, invariant=1)
    across, down = size
    text = face.clip(watermark, face.SANS_BOLD, 10, 600)
    diagonal = math.hypot(across, down)
    letter = min(76, 10 * 0.78 * diagonal / max(face.width(text, face.SANS_BOLD, 10), 1))
    canvas.saveState()
    canvas.setFillColor(colour)
    canvas.setFillAlpha(0.11)
    canvas.translate(across / 2, down / 2)
    canvas.rotate(math.degrees(math.atan2(down, across)))
    draw_text(canvas, -face.width(text, face.SANS_BOLD, letter) / 2, -letter / 3, text, face.SANS_BOLD, letter)
    canvas.restoreState()
    canvas.setFillColor(colour)
    size_of_line = 7.2
    room = across - 2 * press.SIDE
    text = face.readable(line)
    while size_of_line > 4.5 and face.width(text, face.SANS_BOLD, size_of_line) > room:
        size_of_line -= 0.2
    draw_text(
        canvas, press.SIDE, 10 * mm, face.clip(text, face.SANS_BOLD, size_of_line, room), face.SANS_BOLD, size_of_line
    )
    canvas.save()
    return stream.getvalue()


def _enclose(copy: pikepdf.Pdf, rendition: bytes, attached: Sequence[Attached], printed_at: datetime) -> None:
    """Attach the sealed rendition itself, and what proves its signatures."""
    made = f"D:{_instant(printed_at):%Y%m%d%H%M%S}Z"
    sealed = Attached(RENDITION_NAME, rendition, "application/pdf", "The rendition that was signed")
    for one in (sealed, *attached):
        file = pikepdf.AttachedFileSpec(
            copy, one.data, filename=one.name, mime_type=one.media_type, description=one.told, creation_date=made, mod_date=made
        )  # fmt: skip
        file.relationship = pikepdf.Name.Source if one is sealed else pikepdf.Name.Data
        copy.attachments[one.name] = file
    copy.docinfo["/CreationDate"] = made
