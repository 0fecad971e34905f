"""Puts flowables on pages with a running head and foot; the same input always gives the same bytes."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Lock

from reportlab.lib.pagesizes import A4, landscape
from reportlab.lib.units import mm
from reportlab.pdfbase.pdfdoc import PDFDictionary, PDFInfo, PDFString
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import BaseDocTemplate, Flowable, Frame, PageTemplate, Spacer

from printing import type as face
from printing.grid import draw_text
from printing.styles import INK_2, INK_3, LINE

SIDE, TOP, BOTTOM = 24 * mm, 27 * mm, 27 * mm
FOOT = 17 * mm  # baseline of the foot; what an issued copy adds goes below 13 mm

CREATOR = "Countersign"
NUMBER_GAP = "\u00a0\u00a0\u00a0"  # between a section's number and its title; plain spaces would be folded

# ReportLab reads font files through one shared cursor, so that two threads must not embed them at once.
one_at_a_time = Lock()


@dataclass(frozen=True)
class Running:
    """What stands on every page. Head: number and title left, `right` right. Foot: page count left, `foot` right."""

    number: str
    title: str
    right: str = ""
    foot: str = ""
    page_word: str = "Page"
    side: float = SIDE  # margin left and right


@dataclass
class Outline:
    """Entries for contents and bookmarks. Page numbers are known only after a first pass: `pages` carries them over."""

    pages: dict[str, int] = field(default_factory=dict)
    entries: list["Entry"] = field(default_factory=list)
    found: dict[str, int] = field(default_factory=dict)
    _levels: list[int] = field(default_factory=list)
    _counts: list[int] = field(default_factory=list)

    def section(self, text: str) -> "Entry":
        """Open a numbered section."""
        return self.enter(0, text)

    def enter(self, level: int, text: str) -> "Entry":
        """Number a heading. Only the order of levels counts, so that a skipped level leaves no gap: 1, 1.1, 1.1.1."""
        while self._levels and self._levels[-1] >= level:
            self._levels.pop()
        self._levels.append(level)
        depth = len(self._levels)
        self._counts = (self._counts + [0] * depth)[:depth]
        self._counts[-1] += 1
        number = ".".join(str(count) for count in self._counts)
        entry = Entry(depth, number, text, f"part-{len(self.entries) + 1}")
        self.entries.append(entry)
        return entry

    def mark(self, entry: "Entry") -> "Mark":
        return Mark(entry, self.found)


@dataclass(frozen=True)
class Entry:
    depth: int
    number: str
    text: str
    key: str


class Mark(Flowable):
    """Takes no room; notes the page it lands on and sets a bookmark there."""

    _ZEROSIZE = True

    def __init__(self, entry: Entry, found: dict[str, int]) -> None:
        super().__init__()
        self.entry, self.found = entry, found

    def wrap(self, _width: float, _height: float) -> tuple[float, float]:
        return 0, 0

    def draw(self) -> None:
        canvas, entry = self.canv, self.entry
        self.found[entry.key] = canvas.getPageNumber()
        canvas.bookmarkHorizontal(entry.key, 0, 12)
        canvas.outline(entry.depth - 1, f"{entry.number}  {face.readable(entry.text)}", entry.key)


class _UndatedInfo(PDFInfo):
    """Document information without times: a made-up one would be a false statement about a controlled document."""

    def format(self, document: object) -> bytes:
        stated = {"Title": self.title, "Author": self.author, "Subject": self.subject, "Creator": self.creator}
        entries = {key: PDFString(value) for key, value in stated.items() if value}
        return PDFDictionary(entries).format(document)


class SheetCanvas(Canvas):
    """A canvas whose pages can say "of how many" before that is known: the total is one shared form, drawn last."""

    TOTAL = "total-pages"

    def __init__(self, *args: object, **settings: object) -> None:
        super().__init__(*args, **settings)
        self._doc.info.__class__ = _UndatedInfo
        self._outline_depth = -1

    def outline(self, depth: int, text: str, key: str) -> None:
        """Add a bookmark; the format lets a level be entered only one step at a time."""
        depth = min(depth, self._outline_depth + 1)
        self.addOutlineEntry(text, key, level=depth, closed=False)
        self._outline_depth = depth

    def page_of_total(self, x: float, y: float, font: str, size: float, page_word: str = "Page") -> None:
        """Write "Page 3 of 12"."""
        text = f"{page_word} {self.getPageNumber()} of "
        draw_text(self, x, y, text, font, size)
        self.saveState()
        self.translate(x + face.width(text, font, size), y)
        self.doForm(self.TOTAL)
        self.restoreState()
        self._total_set_in = (font, size, self._fillColorObj)

    def save(self) -> None:
        if len(self._code):
            self.showPage()
        pages = self.getPageNumber() - 1
        if set_in := getattr(self, "_total_set_in", None):
            font, size, colour = set_in
            self.beginForm(self.TOTAL, 0, -size, 60, size)
            self.setFillColor(colour)
            draw_text(self, 0, 0, str(pages), font, size)
            self.endForm()
        self._doc.SaveToFile(self._filename, self)


class _Sheet(BaseDocTemplate):
    """A4 with our margins; draws head and foot."""

    def __init__(self, stream: io.BytesIO, running: Running, language: str, wide: bool) -> None:
        size = landscape(A4) if wide else A4
        super().__init__(
            stream, pagesize=size, invariant=1, lang=language, pageCompression=1, creator=CREATOR, author="",
            subject="", title=face.readable(f"{running.number} {running.title}".strip()),
            )  # fmt: skip
        frame = Frame(
            running.side, BOTTOM, size[0] - 2 * running.side, size[1] - TOP - BOTTOM,
            leftPadding=0, rightPadding=0, topPadding=0, bottomPadding=0,
        )  # fmt: skip
        self.addPageTemplates([PageTemplate("sheet", [frame], onPage=lambda canvas, _: head_and_foot(canvas, running))])


def head_and_foot(canvas: SheetCanvas, running: Running) -> None:
    """Hairline, number and title above; hairline, page count and note below."""
    page_width, page_height = canvas._pagesize
    left, right = running.side, page_width - running.side
    canvas.saveState()
    canvas.setStrokeColor(LINE)
    canvas.setLineWidth(0.5)
    head = page_height - 17 * mm
    canvas.line(left, head - 5, right, head - 5)
    canvas.line(left, FOOT + 11, right, FOOT + 11)

    canvas.setFillColor(INK_2)
    kind = face.clip(running.right, face.SANS, 8, (right - left) * 0.4)
    draw_text(canvas, right - face.width(kind, face.SANS, 8), head, kind, face.SANS, 8)
    number = face.clip(running.number, face.MONO_BOLD, 8, (right - left) * 0.35)
    draw_text(canvas, left, head, number, face.MONO_BOLD, 8)
    title_at = left + face.width(number, face.MONO_BOLD, 8) + (10 if number else 0)
    room = right - face.width(kind, face.SANS, 8) - 14 - title_at
    draw_text(canvas, title_at, head, face.clip(running.title, face.SANS, 8, room), face.SANS, 8)

    canvas.page_of_total(left, FOOT, face.SANS, 7.6, running.page_word)
    canvas.setFillColor(INK_3)
    foot = face.clip(running.foot, face.SANS, 7.6, (right - left) * 0.8)
    draw_text(canvas, right - face.width(foot, face.SANS, 7.6), FOOT, foot, face.SANS, 7.6)
    canvas.restoreState()


def lay_out(story: Sequence[Flowable], running: Running, *, language: str = "en", wide: bool = False) -> bytes:
    """The PDF of the story."""
    with one_at_a_time:
        stream = io.BytesIO()
        _Sheet(stream, running, language, wide).build(list(story) or [Spacer(0, 1)], canvasmaker=SheetCanvas)
        return stream.getvalue()


def lay_out_with_contents(
    tell: Callable[[Outline], Sequence[Flowable]], running: Running, *, language: str = "en"
) -> bytes:
    """Like `lay_out`, twice: the first pass finds the page of each heading, the second prints them in the contents."""
    first = Outline()
    lay_out(tell(first), running, language=language)
    return lay_out(tell(Outline(pages=first.found)), running, language=language)
