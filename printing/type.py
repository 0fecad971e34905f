"""The fonts, and how any text at all is set in them.

A controlled document must show what it says. A character that no font here draws, that is invisible, or that turns the
reading direction (which could make a text read otherwise than it was approved) is therefore printed as its code point,
"[U+202E]", never dropped and never a reason to fail. Right-to-left scripts count among these: without reordering and
shaping their letters would come out in the wrong order.
"""

import unicodedata
from functools import cache, lru_cache
from itertools import groupby
from pathlib import Path
from xml.sax.saxutils import escape

from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont

FONTS = Path(__file__).parent / "fonts"

SERIF, SERIF_ITALIC = "IBMPlexSerif-Regular", "IBMPlexSerif-Italic"
SERIF_BOLD, SERIF_BOLD_ITALIC = "IBMPlexSerif-SemiBold", "IBMPlexSerif-SemiBoldItalic"
SANS, SANS_ITALIC, SANS_BOLD = "IBMPlexSans-Regular", "IBMPlexSans-Italic", "IBMPlexSans-SemiBold"
MONO, MONO_BOLD = "IBMPlexMono-Regular", "IBMPlexMono-SemiBold"
SYMBOLS = "DejaVuSans"

NAMES = (SERIF, SERIF_ITALIC, SERIF_BOLD, SERIF_BOLD_ITALIC, SANS, SANS_ITALIC, SANS_BOLD, MONO, MONO_BOLD, SYMBOLS)

# Joiners, variation selectors, the soft hyphen and the byte order mark say nothing themselves.
_UNPRINTED = dict.fromkeys([0x00AD, 0x200B, 0x200C, 0x200D, 0x2060, 0xFEFF, 0xFE0E, 0xFE0F])


@cache
def register() -> None:
    """Make the fonts known to ReportLab, once per process."""
    for name in NAMES:
        pdfmetrics.registerFont(TTFont(name, str(FONTS / f"{name}.ttf")))


@cache
def _widths(font: str) -> dict[int, float]:
    """Advance width of each character that the font draws, in thousandths of its size."""
    register()
    return pdfmetrics.getFont(font).face.charWidths


def readable(text: str) -> str:
    """The same text with everything that cannot be printed spelled out as code points; line breaks and tabs stay."""
    if text.isascii() and text.isprintable():
        return text
    text = unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n")).translate(_UNPRINTED)
    return "".join(_printable(char) for char in text)


@lru_cache(maxsize=20_000)
def _printable(char: str) -> str:
    if char in "\n\t":
        return char
    unseen = unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
    turned = unicodedata.bidirectional(char) in ("R", "AL")
    drawn = any(ord(char) in _widths(font) for font in (SERIF, SANS, SYMBOLS))
    return char if drawn and not (unseen or turned) else f"[U+{ord(char):04X}]"


@lru_cache(maxsize=20_000)
def _font_for(char: str, font: str) -> str:
    """The font wanted if it draws the character; else the nearest of ours that does."""
    stand_ins = (font, SANS_BOLD, SYMBOLS) if "Bold" in font else (font, SANS, SYMBOLS)
    return next((name for name in stand_ins if ord(char) in _widths(name)), font)


def runs(text: str, font: str) -> list[tuple[str, str]]:
    """(font, piece) pairs that together set the readable text."""
    if text.isascii():
        return [(font, text)] if text else []
    return [(name, "".join(chars)) for name, chars in groupby(text, key=lambda char: _font_for(char, font))]


def width(text: str, font: str, size: float) -> float:
    """Width of readable text in points."""
    return (_word_width(text, font) if len(text) <= 40 else _text_width(text, font)) * size / 1000


def _text_width(text: str, font: str) -> float:
    if text.isascii():
        advance = _widths(font)
        return sum([advance.get(ord(char), 600) for char in text])
    return sum([_widths(_font_for(char, font)).get(ord(char), 600) for char in text])


_word_width = lru_cache(maxsize=20_000)(_text_width)  # tables say the same words again and again


def clip(text: str, font: str, size: float, limit: float) -> str:
    """Text on one line, cut with an ellipsis if it is wider than the limit in points."""
    text = readable(" ".join(text.split()))
    if width(text, font, size) <= limit:
        return text
    text = text[: int(limit / size * 4) + 1]  # no letter is narrower than a quarter of its size
    while text and width(text + "…", font, size) > limit:
        text = text[:-1]
    return text + "…"


def markup(text: str, font: str) -> str:
    """Text as ReportLab paragraph markup: escaped, and with a stand-in font where the wanted one has no such letter."""
    pieces = []
    for name, piece in runs(readable(text), font):
        safe = escape(piece)
        pieces.append(safe if name == font else f'<font name="{name}">{safe}</font>')
    return "".join(pieces)
