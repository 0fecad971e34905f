"""Tables and blocks of plain text that wrap, split over pages, and never fail to fit.

ReportLab's own `Table` refuses a row taller than a page and takes quadratic time over long tables; this one splits such
a row and is linear.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import TypeAlias

from reportlab.lib.colors import Color
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Flowable, Paragraph

from printing import type as face
from printing.styles import INK, LINE, LINE_2

# A line breaks at white space; a word wider than that also after what joins the parts of a path, a name or a number.
_WORDS = re.compile(r"\s+|\S+")
_PIECES = re.compile(r"[^\s/\-_.,:;=&?]*[/\-_.,:;=&?]+|[^\s/\-_.,:;=&?]+|\s+")

HEAD_LIMIT = 160  # points; a taller head is not repeated on each page
ROW_LIMIT = 360  # points; a taller row may be split
WORD_KEPT = 84  # points; a column is made wide enough for names and numbers of this width, such as URS-0012


def break_lines(text: str, font: str, size: float, width: float) -> list[str]:
    """Readable text cut into lines that fit the width in points; words that do not fit are broken."""
    lines: list[str] = []
    for paragraph in text.split("\n"):
        if face.width(paragraph, font, size) <= width:
            lines.append(paragraph)
            continue
        line, used = "", 0.0
        for piece in _breakable(paragraph, font, size, width):
            extent = face.width(piece, font, size)
            if used + extent <= width:
                line, used = line + piece, used + extent
                continue
            if line:
                lines.append(line.rstrip())
            if piece.isspace():
                line, used = "", 0.0
                continue
            *full, line = _break_word(piece, font, size, width)
            lines += full
            used = face.width(line, font, size)
        if line:
            lines.append(line.rstrip())
    return lines


def _breakable(text: str, font: str, size: float, width: float) -> Iterator[str]:
    """Words and the spaces between them; of a word wider than a line, its parts."""
    for word in _WORDS.findall(text):
        if face.width(word, font, size) <= width:
            yield word
        else:
            yield from _PIECES.findall(word)


def _break_word(word: str, font: str, size: float, width: float) -> list[str]:
    parts, used = [""], 0.0
    for char in word:
        extent = face.width(char, font, size)
        if used + extent > width and parts[-1]:
            parts.append("")
            used = 0.0
        parts[-1] += char
        used += extent
    return parts


class Lines(Flowable):
    """Plain text in one font, wrapped fast; optionally on a tint, as code is."""

    def __init__(
        self,
        text: str,
        font: str = face.SANS,
        size: float = 8.2,
        *,
        leading: float | None = None,
        colour: Color = INK,
        align: str = "left",
        tint: Color | None = None,
        most_lines: int | None = None,
        broken: list[str] | None = None,
    ) -> None:
        super().__init__()
        self.text = face.readable(text).replace("\t", "    ")
        self.font, self.size, self.colour, self.align = font, size, colour, align
        self.leading = leading or size * 1.38
        self.tint, self.most_lines = tint, most_lines
        self.pad = 6 if tint else 0
        self.lines: list[str] = broken or []
        self._broken_for = -1.0
        self._is_part = broken is not None

    def wrap(self, available: float, _height: float) -> tuple[float, float]:
        if not self._is_part and available != self._broken_for:
            self.lines = self._break(max(available - 2 * self.pad, self.size))
            self._broken_for = available
        self.width, self.height = available, len(self.lines) * self.leading + 2 * self.pad
        return self.width, self.height

    def _break(self, width: float) -> list[str]:
        lines = break_lines(self.text, self.font, self.size, width)
        if self.most_lines and len(lines) > self.most_lines:
            left_out = len(lines) - self.most_lines
            lines = [*lines[: self.most_lines], f"… ({left_out} more lines)"]
        return lines

    def split(self, available: float, height: float) -> list[Flowable]:
        self.wrap(available, height)
        fitting = int((height - 2 * self.pad) / self.leading)
        if fitting < 1:
            return []
        if fitting >= len(self.lines):
            return [self]
        return [self._part(self.lines[:fitting]), self._part(self.lines[fitting:])]

    def _part(self, lines: list[str]) -> "Lines":
        part = Lines(
            "\n".join(lines), self.font, self.size,
            leading=self.leading, colour=self.colour, align=self.align, tint=self.tint, broken=lines,
        )  # fmt: skip
        part.spaceAfter, part.spaceBefore = self.getSpaceAfter(), self.getSpaceBefore()
        return part

    def draw(self) -> None:
        if self.tint:
            self.canv.setFillColor(self.tint)
            self.canv.rect(0, 0, self.width, self.height, stroke=0, fill=1)
        self.paint(self.canv, self.pad, self.height - self.pad)

    def paint(self, canvas: Canvas, x: float, top: float) -> None:
        """Draw the lines with their top left corner at (x, top)."""
        if canvas._fillColorObj is not self.colour:
            canvas.setFillColor(self.colour)
        baseline = top - self.leading + (self.leading - self.size) / 2 + 0.22 * self.size
        if self.align == "left" and self.text.isascii():
            text = canvas.beginText(x, baseline)
            text.setFont(self.font, self.size, self.leading)
            text.textLines(self.lines, trim=0)
            canvas.drawText(text)
            return
        for line in self.lines:
            start = x
            if self.align != "left":
                slack = self.width - face.width(line, self.font, self.size)
                start = x + slack * (1 if self.align == "right" else 0.5)
            draw_text(canvas, start, baseline, line, self.font, self.size)
            baseline -= self.leading


def draw_text(canvas: Canvas, x: float, baseline: float, text: str, font: str, size: float) -> None:
    """One line of readable text, with stand-in fonts where they are needed."""
    for name, piece in face.runs(text, font):
        canvas.setFont(name, size)
        canvas.drawString(x, baseline, piece)
        x += face.width(piece, name, size)


Cell: TypeAlias = Paragraph | Lines


class Grid(Flowable):
    """Rows of cells with hairlines between them; the head is repeated on each page."""

    def __init__(
        self,
        rows: Sequence[Sequence[Cell]],
        *,
        head: Sequence[Cell] | None = None,
        widths: Sequence[float] | None = None,
        pad: float = 3.6,
        gutter: float = 10,
        ruled: bool = True,
        space_after: float = 9,
    ) -> None:
        """`widths` are shares of the whole width; without them each column gets what its text asks for."""
        super().__init__()
        self.rows, self.head, self.shares = rows, head, widths
        self.pad, self.gutter, self.ruled = pad, gutter, ruled
        self.spaceAfter = space_after
        self.width, self.height = 0.0, 0.0
        self.columns: list[float] = []

    def wrap(self, available: float, _height: float) -> tuple[float, float]:
        if not self.columns or available != self.width:
            self.width = available
            self.columns = self._column_widths(available)
            if self.head and self._row_height(self.head) > HEAD_LIMIT:
                self.rows, self.head = [self.head, *self.rows], None
            self.heights = [self._row_height(row) for row in self.rows]
        self.height = self._head_height() + sum(self.heights)
        return self.width, self.height

    def _column_widths(self, available: float) -> list[float]:
        if self.shares:
            return [available * share / sum(self.shares) for share in self.shares]
        every = [*([self.head] if self.head else []), *self.rows[:300]]
        count = len(every[0])
        asked = [max(_extent(row[column]) for row in every) for column in range(count)]
        words = [min(max(_longest_word(row[column]) for row in every), available / count) for column in range(count)]
        floors = [min(word + self.gutter, available / count) for word in words]
        wants = [max(ask + self.gutter - floor, 1) for ask, floor in zip(asked, floors, strict=True)]
        spare = available - sum(floors)
        return [floor + spare * want / sum(wants) for floor, want in zip(floors, wants, strict=True)]

    def _row_height(self, row: Sequence[Cell]) -> float:
        cells = zip(row, self.columns, strict=True)
        return max(cell.wrap(max(column - self.gutter, 4), 1e6)[1] for cell, column in cells) + 2 * self.pad

    def _head_height(self) -> float:
        return self._row_height(self.head) if self.head else 0.0

    def split(self, available: float, height: float) -> list[Flowable]:
        self.wrap(available, height)
        room = height - self._head_height()
        fitting = sum(1 for bottom in accumulate(self.heights) if bottom <= room + 0.01)
        if fitting == len(self.rows):
            return [self]
        if fitting:
            return [self._part(0, fitting), self._part(fitting, len(self.rows))]
        if self.heights[0] <= ROW_LIMIT or room < 60:
            return []
        upper, lower = self._split_row(self.rows[0], room - 2 * self.pad)
        self.rows = [upper, lower, *self.rows[1:]]
        self.heights = [self._row_height(upper), self._row_height(lower), *self.heights[1:]]
        return [self._part(0, 1), self._part(1, len(self.rows))]

    def _split_row(self, row: Sequence[Cell], room: float) -> tuple[list[Cell], list[Cell]]:
        upper, lower = [], []
        for cell, column in zip(row, self.columns, strict=True):
            parts = cell.split(max(column - self.gutter, 4), room)
            upper.append(parts[0] if parts else Lines(""))
            lower.append(parts[1] if len(parts) > 1 else Lines("") if parts else cell)
        return upper, lower

    def _part(self, start: int, end: int) -> "Grid":
        part = Grid(
            self.rows[start:end], head=self.head, widths=self.columns, pad=self.pad, gutter=self.gutter,
            ruled=self.ruled, space_after=self.spaceAfter,
        )  # fmt: skip
        part.width, part.columns, part.heights = self.width, self.columns, self.heights[start:end]
        return part

    def draw(self) -> None:
        top = self.height
        if self.head:
            head_height = self._head_height()
            self._draw_row(self.head, top)
            top -= head_height
            self._rule(top, LINE, 0.8)
        for row, height in zip(self.rows, self.heights, strict=True):
            self._draw_row(row, top)
            top -= height
            if self.ruled:
                self._rule(top, LINE_2, 0.4)

    def _draw_row(self, row: Sequence[Cell], top: float) -> None:
        x = 0.0
        for cell, column in zip(row, self.columns, strict=True):
            if isinstance(cell, Lines):
                cell.paint(self.canv, x, top - self.pad)
            else:
                cell.drawOn(self.canv, x, top - self.pad - cell.height)
            x += column

    def _rule(self, y: float, colour: Color, weight: float) -> None:
        self.canv.setStrokeColor(colour)
        self.canv.setLineWidth(weight)
        self.canv.line(0, y, self.width, y)


def _extent(cell: Cell) -> float:
    """Width in points that a cell would like to have: its longest line, unbroken."""
    if isinstance(cell, Lines):
        return max((face.width(line, cell.font, cell.size) for line in cell.text.split("\n")), default=0)
    return sum(face.width(frag.text, frag.fontName, frag.fontSize) for frag in cell.frags)


def _longest_word(cell: Cell) -> float:
    """Width in points that a cell needs if its names are to stay whole; of longer ones only the parts."""
    if isinstance(cell, Lines):
        words = [(word, cell.font, cell.size) for word in cell.text.split()]
    else:
        words = [(word, frag.fontName, frag.fontSize) for frag in cell.frags for word in frag.text.split()]
    whole = max((face.width(*word) for word in words), default=0)
    if whole <= WORD_KEPT:
        return whole
    parts = (face.width(part, font, size) for word, font, size in words for part in _PIECES.findall(word))
    return max(WORD_KEPT, max(parts))
