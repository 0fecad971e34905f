"""PDFs by their pages: how many, as pictures, and several in one."""

import io
from collections.abc import Sequence
from threading import Lock

import pikepdf
import pypdfium2

from printing import type as face

MOST_PIXELS = 40_000_000

# PDFium keeps global state and must not be entered by two threads.
_pdfium = Lock()


class Unreadable(ValueError):
    """These bytes are no PDF that can be read, or there is no such page."""


def page_count(pdf: bytes) -> int:
    """Number of pages. Raises Unreadable."""
    with _pdfium, _opened(pdf) as document:
        return len(document)


def page_png(pdf: bytes, page: int, width: int = 1100) -> bytes:
    """Page `page` (counted from 1) as a PNG `width` pixels wide. Raises Unreadable."""
    with _pdfium, _opened(pdf) as document:
        if not 1 <= page <= len(document):
            raise Unreadable(f"There is no page {page}: the PDF has {len(document)}.")
        sheet = document[page - 1]
        across, down = sheet.get_size()
        if across <= 0 or down <= 0 or width * width * down / across > MOST_PIXELS:
            raise Unreadable(f"Page {page} has a size that cannot be shown ({across:.0f} by {down:.0f} points).")
        image = sheet.render(scale=width / across).to_pil()
    stream = io.BytesIO()
    image.convert("RGB").save(stream, "PNG")
    return stream.getvalue()


def merge(parts: Sequence[tuple[str, bytes]]) -> bytes:
    """One PDF of (title, PDF) parts, a bookmark for each. A cover is simply the first part. Raises Unreadable."""
    whole = pikepdf.new()
    starts = []
    for title, data in parts:
        starts.append((title, len(whole.pages)))
        try:
            with pikepdf.open(io.BytesIO(data)) as part:
                whole.pages.extend(part.pages)
        except pikepdf.PdfError as error:
            raise Unreadable(f"The part “{title}” is no PDF that can be read.") from error
        if len(whole.pages) == starts[-1][1]:
            raise Unreadable(f"The part “{title}” has no page.")
    with whole.open_outline() as outline:
        outline.root.extend(pikepdf.OutlineItem(face.readable(title), start) for title, start in starts)
    return saved(whole)


def saved(pdf: pikepdf.Pdf) -> bytes:
    """The file's bytes, the same for the same content."""
    stream = io.BytesIO()
    pdf.save(stream, deterministic_id=True)
    return stream.getvalue()


def _opened(pdf: bytes) -> pypdfium2.PdfDocument:
    try:
        return pypdfium2.PdfDocument(pdf)
    except pypdfium2.PdfiumError as error:
        raise Unreadable("This is no PDF that can be read.") from error
