"""Sizes, colours and paragraph styles of everything printed. Units are points."""

from dataclasses import dataclass

from reportlab.lib.colors import HexColor
from reportlab.lib.enums import TA_CENTER, TA_RIGHT
from reportlab.lib.styles import ParagraphStyle

from printing import type as face

INK, INK_2, INK_3 = HexColor(0x16202B), HexColor(0x465362), HexColor(0x6B7785)
LINE, LINE_2, TINT = HexColor(0xC9C6BE), HexColor(0xE4E1DA), HexColor(0xF5F4F0)
ACCENT, OK, WARN, BAD = HexColor(0x0B5E6F), HexColor(0x1C6B41), HexColor(0x8A5A00), HexColor(0xA3271C)


@dataclass(frozen=True)
class Styles:
    """How running text is set: given to `markdown.to_flowables`."""

    body: ParagraphStyle
    headings: tuple[ParagraphStyle, ...]
    quote: ParagraphStyle
    caption: ParagraphStyle
    cell: ParagraphStyle
    cell_head: ParagraphStyle
    code_size: float = 8.2
    indent: float = 16


def paragraph(name: str, font: str, size: float, leading: float, **more: object) -> ParagraphStyle:
    """A style with our defaults: dark ink, long words broken, no widow rules that could make a cell unsplittable."""
    face.register()
    settings: dict[str, object] = {"textColor": INK, "splitLongWords": 1, "allowWidows": 1, "allowOrphans": 1, **more}
    return ParagraphStyle(name, fontName=font, fontSize=size, leading=leading, **settings)


def reading() -> Styles:
    """Serif text of 10 points for documents and READMEs."""
    gap = {"spaceAfter": 6.5}
    return Styles(
        body=paragraph("body", face.SERIF, 10, 14.6, allowWidows=0, allowOrphans=0, **gap),
        headings=(
            paragraph("h1", face.SERIF_BOLD, 15, 19, spaceBefore=16, spaceAfter=7),
            paragraph("h2", face.SANS_BOLD, 11, 15, spaceBefore=10, spaceAfter=4),
            paragraph("h3", face.SANS_BOLD, 10, 14, spaceBefore=8, spaceAfter=3),
            paragraph("h4", face.SANS_BOLD, 9.2, 13, spaceBefore=6, spaceAfter=2, textColor=INK_2),
        ),
        quote=paragraph("quote", face.SERIF_ITALIC, 10, 14.6, textColor=INK_2, **gap),
        caption=paragraph("caption", face.SANS, 8, 11, textColor=INK_2, spaceAfter=9),
        cell=paragraph("cell", face.SERIF, 9, 12.4),
        cell_head=paragraph("cell-head", face.SANS_BOLD, 8.2, 11.5, textColor=INK_2),
    )


VALUE = paragraph("value", face.SANS, 8.8, 12.4)
SMALL = paragraph("small", face.SANS, 8, 11.4, textColor=INK_2)
PART = paragraph("part", face.SANS_BOLD, 9.2, 13, textColor=INK_2, spaceBefore=16, spaceAfter=5)
RIGHT, CENTRE = TA_RIGHT, TA_CENTER

KIND = paragraph("kind", face.SANS, 10, 14, textColor=ACCENT, spaceAfter=3)
TITLE = paragraph("title", face.SERIF_BOLD, 22, 27, spaceAfter=3)
NUMBER = paragraph("number", face.MONO, 11, 15, textColor=INK_2, spaceAfter=14)
SIGNER = paragraph("signer", face.SERIF_BOLD, 13, 17)
VALUE_BOLD = paragraph("value-bold", face.SANS_BOLD, 8.8, 12.4)
VALUE_SAID = paragraph("value-said", face.SERIF_ITALIC, 9.2, 12.8)
VALUE_HASH = paragraph("value-hash", face.MONO, 7.8, 12.4)
SUBTITLE = paragraph("subtitle", face.SANS, 11, 15, textColor=INK_2, spaceAfter=14)
