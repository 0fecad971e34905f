"""Long tables as PDF: audit exports. Drawn straight onto the canvas, so that time stays linear in the rows."""

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from reportlab.lib.pagesizes import A4
from reportlab.lib.pagesizes import landscape as turned
from reportlab.lib.units import mm
from reportlab.platypus import Flowable, Paragraph

from printing import press, styles
from printing import type as face
from printing.document import facts_grid
from printing.grid import Lines
from printing.press import Running, SheetCanvas

SIDE = 15 * mm
SIZE, LEADING, PAD, GUTTER = 7.4, 9.8, 2.6, 8
MOST_LINES = 30  # in a cell; the rest is counted, not shown


@dataclass(frozen=True)
class Column:
    """`share` of the width relative to the other columns, 10 being an ordinary one; `mono` for hashes, keys and times."""

    title: str
    share: float = 10
    mono: bool = False
    align: str = "left"


def render_table(
    title: str,
    columns: Sequence[Column | str],
    rows: Iterable[Sequence[object]],
    *,
    cover: Sequence[tuple[str, str]] = (),
    footer: str = "",
    landscape: bool = True,
    language: str = "en",
) -> bytes:
    """A title, the facts of `cover` (who asked for what, when), then the table over as many pages as it takes.

    Cells wrap. Of a cell longer than 30 lines the number of lines left out is printed instead of them. Raises
    ValueError if a row has not as many cells as there are columns.
    """
    plan = [column if isinstance(column, Column) else Column(column) for column in columns]
    with press.one_at_a_time:
        stream = io.BytesIO()
        canvas = SheetCanvas(stream, pagesize=turned(A4) if landscape else A4, invariant=1, lang=language)
        canvas.setTitle(face.readable(title))
        canvas.setCreator(press.CREATOR)
        sheet = _Sheet(canvas, Running("", title, "", footer, side=SIDE))
        sheet.place(Paragraph(face.markup(title, face.SERIF_BOLD), styles.TITLE), gap=6)
        if cover:
            sheet.place(facts_grid(cover), gap=12)
        _draw_rows(sheet, plan, rows)
        canvas.save()
        return stream.getvalue()


class _Sheet:
    """The canvas and how far down its page we are."""

    def __init__(self, canvas: SheetCanvas, running: Running) -> None:
        self.canvas, self.running = canvas, running
        self.height = canvas._pagesize[1]
        self.width = canvas._pagesize[0] - 2 * SIDE
        self._start()

    def _start(self) -> None:
        press.head_and_foot(self.canvas, self.running)
        self.y = self.height - press.TOP

    def next_page(self) -> None:
        self.canvas.showPage()
        self._start()

    def place(self, flowable: Flowable, gap: float) -> None:
        """Draw a flowable here, on as many pages as it needs."""
        waiting = [flowable]
        while waiting:
            first, *waiting = waiting
            room = self.y - press.BOTTOM
            if first.wrap(self.width, room)[1] <= room:
                first.drawOn(self.canvas, SIDE, self.y - first.height)
                self.y -= first.height
                continue
            parts = first.split(self.width, room)
            if parts:
                waiting = [*parts, *waiting]
            else:
                self.next_page()
                waiting = [first, *waiting]
        self.y -= gap


def _draw_rows(sheet: _Sheet, plan: Sequence[Column], rows: Iterable[Sequence[object]]) -> None:
    shares = sum(column.share for column in plan)
    widths = [sheet.width * column.share / shares for column in plan]
    head = [
        Lines(column.title, face.SANS_BOLD, SIZE, leading=LEADING, colour=styles.INK_2, align=column.align)
        for column in plan
    ]
    head_height = _height(head, widths)
    if sheet.y - press.BOTTOM < head_height + 60:
        sheet.next_page()
    _draw_row(sheet, head, widths, head_height, styles.LINE)
    empty = True
    for row in rows:
        empty = False
        cells = [_cell(value, column) for value, column in zip(row, plan, strict=True)]
        height = _height(cells, widths)
        if sheet.y - height < press.BOTTOM:
            sheet.next_page()
            _draw_row(sheet, head, widths, head_height, styles.LINE)
        _draw_row(sheet, cells, widths, height, styles.LINE_2)
    if empty:
        sheet.place(Lines("No entry matches.", face.SANS, 9, leading=24), gap=0)


def _cell(value: object, column: Column) -> Lines:
    text = "" if value is None else str(value)
    font, size = (face.MONO, SIZE * 0.92) if column.mono else (face.SANS, SIZE)
    return Lines(text, font, size, leading=LEADING, align=column.align, most_lines=MOST_LINES)


def _height(cells: Sequence[Lines], widths: Sequence[float]) -> float:
    return max(cell.wrap(width - GUTTER, 0)[1] for cell, width in zip(cells, widths, strict=True)) + 2 * PAD


def _draw_row(sheet: _Sheet, cells: Sequence[Lines], widths: Sequence[float], height: float, rule: object) -> None:
    x = SIDE
    for cell, width in zip(cells, widths, strict=True):
        cell.paint(sheet.canvas, x, sheet.y - PAD)
        x += width
    sheet.y -= height
    sheet.canvas.setStrokeColor(rule)
    sheet.canvas.setLineWidth(0.4)
    sheet.canvas.line(SIDE, sheet.y, SIDE + sheet.width, sheet.y)
