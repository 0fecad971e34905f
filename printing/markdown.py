"""The one Markdown dialect: CommonMark with tables, strikethrough and task lists, and no HTML.

The same tokens become a page (`to_html`) and print (`to_flowables`), so that what is shown and what is signed agree.
Nothing is ever fetched: an image is one that the caller holds, `![alt](attachment:name)`; of any other only the
alternative text is shown.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple
from urllib.parse import unquote
from xml.sax.saxutils import escape

import nh3
from markdown_it import MarkdownIt
from markdown_it.token import Token
from reportlab.lib.styles import ParagraphStyle
from reportlab.platypus import CondPageBreak, Flowable, HRFlowable, Indenter, Paragraph

from printing import type as face
from printing.grid import Cell, Grid, Lines
from printing.picture import Picture, read_picture
from printing.press import NUMBER_GAP, Outline
from printing.styles import ACCENT, LINE, TINT, Styles

DEEPEST = 32  # blocks within blocks; a list item counts twice
MOST_COLUMNS = 10  # a wider table is printed row by row
INDENTED = 6  # levels that are still indented in print

ATTACHMENT = "attachment:"
_SAFE_LINK = re.compile(r"https?://|mailto:|#|/(?![/\\])", re.IGNORECASE)
_TASK = re.compile(r"\[([ xX])\](?=\s)")
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")

_parser = MarkdownIt("commonmark", {"html": False, "maxNesting": DEEPEST}).enable(["table", "strikethrough"])
_parser.validateLink = lambda url: True  # type: ignore[method-assign]  # _SAFE_LINK judges

_TAGS = {"h1", "h2", "h3", "h4", "h5", "h6", "p", "br", "hr", "em", "strong", "s", "code", "pre", "blockquote"}
_TAGS |= {"ul", "ol", "li", "table", "thead", "tbody", "tr", "th", "td", "a", "img"}
_ATTRIBUTES = {"a": {"href", "title"}, "img": {"src", "alt", "title"}, "ol": {"start"}}
_ATTRIBUTES |= {f"h{level}": {"id"} for level in range(1, 7)}
_CLASSES = {"th": {"text-end", "text-center"}, "td": {"text-end", "text-center"}}


class Heading(NamedTuple):
    level: int
    text: str
    anchor: str


def to_html(
    text: str, image_url: Callable[[str], str | None] | None = None, *, prefix: str = "s-", shift: int = 0
) -> str:
    """Safe HTML. `image_url` turns an attachment's name into an address, or None. Headings get the ids that
    `headings` tells, `prefix` in front; `shift` lowers their level, for text on a page that has headings of its own.
    """
    tokens = _parse(text)
    anchors = iter(headings(text, prefix=prefix))
    for token in tokens:
        if token.type == "heading_open":
            token.attrSet("id", next(anchors).anchor)
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(int(token.tag[1]) + shift, 6)}"
        if token.type in ("th_open", "td_open") and (side := _side(token)) != "left":
            token.attrs = {"class": "text-end" if side == "right" else "text-center"}
        if token.type == "fence":
            token.info = ""
        if token.children:
            token.children = [_image_for_page(child, image_url) for child in token.children]
    return nh3.clean(
        _parser.renderer.render(tokens, _parser.options, {}),
        tags=_TAGS, attributes=_ATTRIBUTES, allowed_classes=_CLASSES, url_schemes={"http", "https", "mailto"},
        link_rel="noopener noreferrer",
    )  # fmt: skip


def to_text(text: str) -> str:
    """The words without the markup, a line per block: for search and comparison."""
    lines = []
    for token in _parse(text):
        if token.type == "inline":
            lines.append(_plain(token))
        elif token.type in ("fence", "code_block"):
            lines.append(token.content.rstrip("\n"))
    return "\n".join(lines)


def headings(text: str, *, prefix: str = "s-") -> list[Heading]:
    """The headings in order, each with an anchor that is its own within the text."""
    found: list[Heading] = []
    taken: set[str] = set()
    tokens = _parse(text)
    for token, inline in pairwise(tokens):
        if token.type != "heading_open":
            continue
        words = _plain(inline)
        slug = prefix + (re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")[:60] or "part")
        anchor, count = slug, 1
        while anchor in taken:
            count += 1
            anchor = f"{slug}-{count}"
        taken.add(anchor)
        found.append(Heading(int(token.tag[1]), words, anchor))
    return found


def to_flowables(
    text: str, styles: Styles, image_bytes: Mapping[str, bytes] | None = None, *, outline: Outline | None = None
) -> list[Flowable]:
    """The same for print. `image_bytes` holds the attachments by name; with an outline, headings are numbered in it."""
    return _Setting(styles, image_bytes or {}, outline).set(_parse(text))


# --- what both have in common -----------------------------------------------------------------------------------------


def _parse(text: str) -> list[Token]:
    text = _LONE_SURROGATE.sub("\ufffd", text)
    tokens = _parser.parse(text)
    if any(token.level >= DEEPEST - 1 for token in tokens):
        # The parser leaves out what lies deeper than it goes. A controlled text must not lose words: as written.
        return [Token("fence", "code", 0, content=text, markup="```", block=True)]
    for before, token in zip([None, *tokens], tokens, strict=False):
        if token.type == "inline" and token.children:
            token.children = list(_without_unsafe_links(token.children))
            in_item = before is not None and before.type == "paragraph_open" and before.level >= 2
            if in_item and (box := _TASK.match(token.content)) and token.children[0].type == "text":
                first = token.children[0]
                first.content = ("☐" if box[1] == " " else "☑") + first.content[3:]
    return tokens


def _without_unsafe_links(children: Sequence[Token]) -> Iterator[Token]:
    """Links to anything but web, mail and our own pages lose their target and keep their words. Links never nest."""
    kept = True
    for token in children:
        if token.type == "link_open":
            kept = bool(_SAFE_LINK.match(str(token.attrs.get("href", ""))))
        if kept or token.type not in ("link_open", "link_close"):
            yield token


def _plain(inline: Token) -> str:
    words = []
    for child in inline.children or []:
        if child.type in ("softbreak", "hardbreak"):
            words.append(" ")
        else:
            words.append(_plain(child) if child.type == "image" else child.content)
    return "".join(words).strip()


def _attachment(image: Token) -> str | None:
    source = str(image.attrs.get("src", ""))
    return unquote(source[len(ATTACHMENT) :]) if source.startswith(ATTACHMENT) else None


def _image_for_page(token: Token, image_url: Callable[[str], str | None] | None) -> Token:
    if token.type != "image":
        return token
    name = _attachment(token)
    address = image_url(name) if image_url and name else None
    if address is None:
        return Token("text", "", 0, content=_plain(token))
    token.attrs["src"] = address
    return token


def _side(token: Token) -> str:
    return str(token.attrs.get("style", "")).removeprefix("text-align:") or "left"


# --- print ------------------------------------------------------------------------------------------------------------


class _Quoted(Paragraph):
    """A paragraph with a bar at its left."""

    joined = 0.0  # how far the bar reaches up, to meet that of the paragraph before

    def draw(self) -> None:
        self.canv.saveState()
        self.canv.setFillColor(LINE)
        self.canv.rect(-10, 0, 1.6, self.height + self.joined, stroke=0, fill=1)
        self.canv.restoreState()
        super().draw()


@dataclass
class _List:
    number: int | None  # of the next item; None in a bullet list


class _Setting:
    """Walks the tokens once, without recursion: text decides how deep they nest."""

    def __init__(self, styles: Styles, images: Mapping[str, bytes], outline: Outline | None) -> None:
        self.styles, self.images, self.outline = styles, images, outline
        self.out: list[Flowable] = []
        self.lists: list[_List] = []
        self.insets: list[float] = []
        self.quotes = 0
        self.bullet: str | None = None

    def set(self, tokens: list[Token]) -> list[Flowable]:
        walk = iter(range(len(tokens)))
        for at in walk:
            token = tokens[at]
            match token.type:
                case "heading_open":
                    self.heading(token, tokens[at + 1])
                case "paragraph_open":
                    self.paragraph(tokens[at + 1], tight=token.hidden)
                case "bullet_list_open":
                    self.open_list(None)
                case "ordered_list_open":
                    self.open_list(int(token.attrs.get("start", 1)))
                case "list_item_open":
                    self.open_item()
                case "list_item_close":
                    self.place_bullet()
                case "bullet_list_close" | "ordered_list_close":
                    self.lists.pop()
                    self.close_inset()
                    self.gap_after_list()
                case "blockquote_open":
                    self.place_bullet()
                    self.quotes += 1
                    self.open_inset(14)
                case "blockquote_close":
                    self.quotes -= 1
                    self.close_inset()
                case "fence" | "code_block":
                    self.code(token.content)
                case "hr":
                    self.rule()
                case "table_open":
                    end = next(i for i in range(at, len(tokens)) if tokens[i].type == "table_close")
                    self.table(tokens[at:end])
                    next((i for i in walk if i == end), None)
        return self.out

    # lists and quotes are insets of what follows

    def open_inset(self, depth: float) -> None:
        depth = depth if len(self.insets) < INDENTED else 0
        self.insets.append(depth)
        self.out.append(Indenter(left=depth))

    def close_inset(self) -> None:
        self.out.append(Indenter(left=-self.insets.pop()))

    def open_list(self, start: int | None) -> None:
        self.place_bullet()
        self.lists.append(_List(start))
        self.open_inset(self.styles.indent)

    def open_item(self) -> None:
        number = self.lists[-1].number
        self.bullet = "•" if number is None else f"{number}."
        if number is not None:
            self.lists[-1].number = number + 1

    def place_bullet(self) -> None:
        """Give the bullet a line of its own if its item does not start with a paragraph."""
        if self.bullet:
            self.out.append(self.lettered("\u00a0", self.tight(self.body())))

    def gap_after_list(self) -> None:
        if not self.lists and self.out:
            last = next((item for item in reversed(self.out) if not isinstance(item, Indenter)), None)
            if isinstance(last, Paragraph):
                last.spaceAfter = self.styles.body.spaceAfter

    # blocks

    def body(self) -> ParagraphStyle:
        return self.styles.quote if self.quotes else self.styles.body

    def tight(self, style: ParagraphStyle) -> ParagraphStyle:
        return _variant(style, spaceAfter=2.6)

    def lettered(self, markup: str, style: ParagraphStyle) -> Paragraph:
        """A paragraph, with the bullet that waits for one, and a bar if it is quoted."""
        bullet, self.bullet = self.bullet, None
        if bullet:
            style = _variant(style, bulletIndent=-self.styles.indent + 2, bulletFontSize=style.fontSize)
            style.bulletFontName = face.SERIF
        kind = _Quoted if self.quotes else Paragraph
        paragraph = kind(markup, style, bulletText=bullet)
        if self.quotes and self.out and isinstance(self.out[-1], _Quoted):
            paragraph.joined = self.out[-1].getSpaceAfter()
        return paragraph

    def heading(self, token: Token, inline: Token) -> None:
        level = int(token.tag[1])
        depth, number = level, ""
        self.out.append(CondPageBreak(84))
        if self.outline:
            entry = self.outline.enter(level, _plain(inline))
            depth, number = entry.depth, entry.number
            self.out.append(self.outline.mark(entry))
        style = self.styles.headings[min(depth, len(self.styles.headings)) - 1]
        words = _inline(inline, style)
        self.out.append(self.lettered(f"{number}{NUMBER_GAP}{words}" if number else words, style))

    def paragraph(self, inline: Token, tight: bool) -> None:
        children = inline.children or []
        pictures = [child for child in children if child.type == "image" and self.shown(child)]
        words = [child for child in children if child not in pictures and child.content.strip()]
        if pictures and not words:
            self.place_bullet()
        else:
            style = self.body()
            markup = _inline(inline, style)
            self.out.append(self.lettered(markup, self.tight(style) if tight else style))
        for image in pictures:
            self.picture(image)

    def shown(self, image: Token) -> bool:
        return (_attachment(image) or "") in self.images

    def picture(self, token: Token) -> None:
        reader = read_picture(self.images[_attachment(token) or ""])
        words = _plain(token) or "Picture"
        if reader is None:
            words = f"{words} (this picture cannot be shown: it is damaged, too large or of an unknown kind)"
        else:
            self.out.append(Picture(reader))
        self.out.append(Paragraph(face.markup(words, self.styles.caption.fontName), self.styles.caption))

    def code(self, content: str) -> None:
        self.place_bullet()
        size = self.styles.code_size
        block = Lines(content.rstrip("\n"), face.MONO, size, leading=size * 1.42, tint=TINT)
        block.spaceBefore, block.spaceAfter = 2, 9
        self.out.append(block)

    def rule(self) -> None:
        self.place_bullet()
        self.out.append(HRFlowable(width="100%", thickness=0.6, color=LINE, spaceBefore=7, spaceAfter=9))

    def table(self, tokens: Sequence[Token]) -> None:
        self.place_bullet()
        head, *rows = _rows(tokens)
        if len(head) > MOST_COLUMNS:
            for row in rows or [head]:
                pairs = zip(head, row, strict=True)
                cells = [[self.cell(*name, bold=True), self.cell(*value)] for name, value in pairs]
                self.out.append(Grid(cells, widths=(1, 2)))
            return
        cells = [[self.cell(*cell) for cell in row] for row in rows]
        grid = Grid(cells, head=[self.cell(*cell, bold=True) for cell in head])
        grid.spaceBefore = 2
        self.out.append(grid)

    def cell(self, inline: Token, side: str, *, bold: bool = False) -> Cell:
        style = self.styles.cell_head if bold else self.styles.cell
        children = inline.children or []
        if all(child.type in ("text", "softbreak") for child in children):
            look = {"leading": style.leading, "colour": style.textColor, "align": side}
            return Lines(_plain(inline), style.fontName, style.fontSize, **look)
        return Paragraph(_inline(inline, style), _variant(style, alignment={"right": 2, "center": 1}.get(side, 0)))


def _rows(tokens: Sequence[Token]) -> list[list[tuple[Token, str]]]:
    """Cells of a table, row by row, each with the side it is aligned to."""
    rows: list[list[tuple[Token, str]]] = []
    for token, inline in pairwise(tokens):
        if token.type == "tr_open":
            rows.append([])
        elif token.type in ("th_open", "td_open"):
            rows[-1].append((inline, _side(token)))
    return rows


def _variant(style: ParagraphStyle, **changes: object) -> ParagraphStyle:
    changed = copy(style)
    vars(changed).update(changes)
    return changed


_BOLD = {face.SERIF: face.SERIF_BOLD, face.SERIF_ITALIC: face.SERIF_BOLD_ITALIC, face.SANS: face.SANS_BOLD}
_ITALIC = {face.SERIF: face.SERIF_ITALIC, face.SERIF_BOLD: face.SERIF_BOLD_ITALIC, face.SANS: face.SANS_ITALIC}


def _inline(inline: Token, style: ParagraphStyle) -> str:
    """Paragraph markup of a line of text. Each run names its font, so that every letter is one the font has."""
    pieces: list[str] = []
    bold = italic = struck = 0
    link, linked = "", ""
    for token in inline.children or []:
        match token.type:
            case "strong_open" | "strong_close":
                bold += token.nesting
            case "em_open" | "em_close":
                italic += token.nesting
            case "s_open" | "s_close":
                struck += token.nesting
            case "link_open":
                link, linked = str(token.attrs["href"]), ""
            case "link_close":
                # On paper a link is its address: say it, unless the words already do.
                if not link.startswith("#") and linked not in (link, link.removeprefix("mailto:")):
                    pieces.append(_run(f" ({link})", style.fontName, style))
                link = ""
            case "softbreak":
                pieces.append(" ")
            case "hardbreak":
                pieces.append("<br/>")
            case "code_inline":
                words = _run(token.content, face.MONO_BOLD if "Bold" in style.fontName else face.MONO, style)
                pieces.append(f'<font size="{style.fontSize * 0.9:.1f}">{words}</font>')
                linked += token.content
            case _:
                words = _plain(token) if token.type == "image" else token.content
                font = style.fontName
                font = _BOLD.get(font, font) if bold else font
                font = _ITALIC.get(font, font) if italic or token.type == "image" else font
                markup = _run(f"[{words}]" if token.type == "image" else words, font, style)
                markup = f"<strike>{markup}</strike>" if struck else markup
                pieces.append(f'<font color="{ACCENT.hexval().replace("0x", "#")}">{markup}</font>' if link else markup)
                linked += words
    return "".join(pieces)


def _run(text: str, font: str, style: ParagraphStyle) -> str:
    if font == style.fontName:
        return face.markup(text, font)
    return f'<font name="{escape(font)}">{face.markup(text, font)}</font>'
