import re
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reportlab.platypus import Flowable

from printing import markdown, styles
from printing.pages import page_count
from printing.picture import Picture
from printing.press import Outline, Running, lay_out
from tests.printing.sheets import png

HOSTILE = {
    "script": "<script>alert(1)</script>\n\n<img src=x onerror=alert(1)>\n\n<svg/onload=1>",
    "javascript links": "[a](javascript:alert(1)) [b](JaVaScRiPt:1) [c](&#106;avascript:x) <javascript:x> [d](vbscript:x)",
    "attributes": '[a](https://x.example "t\\" onclick=\\"x") ![b](attachment:cov.png "t\\" onerror=\\"x")',
    "data links": "[a](data:text/html,<script>x</script>) ![b](data:image/svg+xml,<svg onload=x>)",
    "image sources": "![a](data:image/png;base64,xx) ![b](file:///etc/passwd) ![c](http://x.example/y.png) ![d](\\\\host\\a)",
    "escaping attachment": "![d](attachment:../../etc/passwd) ![e](attachment:%2e%2e/x) ![f](attachment:)",
    "reference": "[a]: javascript:x\n\n[a] ![a]",
    "broken addresses": "[x](http://[::1) <http://é.example> [y](http://a%zz) [z](//evil.example) [w](/\\evil.example)",
    "quotes in quotes": "> " * 3000 + "x",
    "lists in lists": "\n".join("  " * depth + f"- item {depth}" for depth in range(200)),
    "brackets": "[" * 4000 + "a" + "](b)" * 4000,
    "emphasis in emphasis": "*a " * 2000 + "b*" * 2000,
    "stars": "*" * 9000 + "a" + "*" * 9000,
    "word": "x" * 10_000,
    "word in a cell": "| a | b |\n|--|--|\n| " + "y" * 10_000 + " | " + "**z** " * 2000 + " |",
    "word in a heading": "# " + "w" * 10_000,
    "tall table head": "| " + "h " * 4000 + " | b |\n|-|-|\n| c | d |",
    "200 columns": "|" + "a|" * 200 + "\n|" + "-|" * 200 + "\n|" + "b|" * 200,
    "code": "```\n" + "q" * 20_000 + "\n" + "line\n" * 900 + "```",
    "right to left": "שלום עולם العربية \u202e abc \u2066x",
    "emoji": "😀 👩\u200d🔬 🧬 中文 日本語 한국어",
    "controls": "\x00\x01\x1b[31m \ud800 \udfff \ufeff \u2028x\u2029 \r\n\r",
    "paragraph markup": '<para><font name="nope">x</font></para> <br/> &foo; <a href="x"> </para> <img src="/etc/passwd"/>',
    "empty items": "-\n  - \n    - ```\n      a\n      ```\n-\n\n999999999. x\n\n0. y",
    "nothing": " \n\t\n",
}


class _Page(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))


def assert_harmless(html: str) -> None:
    for tag, attributes in _Page(html).seen:
        assert tag in markdown._TAGS
        for name, value in attributes.items():
            assert name in {"href", "title", "src", "alt", "id", "start", "class", "rel"}
            if name in ("href", "src"):
                assert re.match(r"https?://|mailto:|#|/(?![/\\])", value or "")


def printed(text: str, images=None) -> bytes:
    return lay_out(markdown.to_flowables(text, styles.reading(), images), Running("X-1", "Test"))


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_text_becomes_harmless_html_and_a_pdf(text):
    html = markdown.to_html(text, lambda name: f"/attachments/{len(name)}/")
    assert_harmless(html)
    html.encode()
    markdown.to_text(text)
    assert page_count(printed(text, {"cov.png": b"no picture"})) >= 1


@settings(max_examples=60, deadline=None)
@given(
    st.text(
        alphabet=st.one_of(st.sampled_from(list("#*_`~>-+|[]()!<>&:\\ \n\t1.xX\"'/")), st.characters()), max_size=300
    )
)
def test_any_text_becomes_harmless_html_and_a_pdf(text):
    assert_harmless(markdown.to_html(text, lambda name: "/a/"))
    assert printed(text).startswith(b"%PDF")


def test_links_are_kept_only_to_web_mail_and_our_own_pages():
    html = markdown.to_html("[a](https://x.example) [b](/documents/URS-0001/) [c](ftp://x) [d](javascript:x) [e](//x)")
    assert [attributes["href"] for tag, attributes in _Page(html).seen if tag == "a"] == [
        "https://x.example",
        "/documents/URS-0001/",
    ]
    assert html.count('rel="noopener noreferrer"') == 2
    assert "c" in html
    assert "d" in html


def test_an_image_is_shown_only_if_the_caller_holds_it():
    html = markdown.to_html(
        "![Plot](attachment:my%20plot.png) ![Gone](attachment:gone.png) ![Far](https://x.example/a.png)",
        {"my plot.png": "/attachments/7/"}.get,
    )
    assert _Page(html).seen == [("p", {}), ("img", {"src": "/attachments/7/", "alt": "Plot"})]
    assert "Gone" in html
    assert "Far" in html
    assert "x.example" not in html


def test_headings_have_the_ids_that_headings_tells():
    text = "# Purpose\n\n## Scope\n\n# Purpose\n\n## *Äther* & `code`"
    told = markdown.headings(text, prefix="p-")
    assert [heading.anchor for heading in told] == ["p-purpose", "p-scope", "p-purpose-2", "p-ther-code"]
    html = markdown.to_html(text, prefix="p-", shift=2)
    seen = [(tag, attributes["id"]) for tag, attributes in _Page(html).seen if tag.startswith("h")]
    assert seen == [("h3", "p-purpose"), ("h4", "p-scope"), ("h3", "p-purpose-2"), ("h4", "p-ther-code")]


def test_aligned_cells_carry_a_class_and_no_style():
    html = markdown.to_html("| a | b |\n|--:|:-:|\n| 1 | 2 |")
    assert "style" not in html
    assert html.count('class="text-end"') == 2
    assert html.count('class="text-center"') == 2


def test_task_boxes_are_characters():
    html = markdown.to_html("- [x] done\n- [ ] open\n\n[x] no list")
    assert "☑ done" in html
    assert "☐ open" in html
    assert "[x] no list" in html


def test_text_that_nests_deeper_than_we_go_is_shown_as_written():
    text = "> " * 60 + "the point"
    assert "the point" in markdown.to_html(text)
    assert markdown.to_text(text) == text
    assert "<blockquote>" not in markdown.to_html(text)


def test_plain_text_has_the_words_and_no_markup():
    assert (
        markdown.to_text("# A *b*\n\n- c [d](https://x.example)\n\n```\ne\n```\n\n| f |\n|--|\n| g |")
        == "A b\nc d\ne\nf\ng"
    )


def test_every_word_of_every_construct_is_printed():
    text = (
        "# one\n\ntwo **three** *four* `five` ~~six~~ [seven](https://eight.example)\n\n- nine\n  1. ten\n\n> eleven\n\n"
        "```\ntwelve\n```\n\n| thirteen |\n|--|\n| fourteen **fifteen** |\n\n![sixteen](attachment:x) ![seventeen](attachment:cov.png)"
    )
    from pypdf import PdfReader

    words = " ".join(page.extract_text() for page in PdfReader(_stream(printed(text, {"cov.png": png()}))).pages)
    for word in [
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight.example",
        "nine",
        "ten",
        "eleven",
        "twelve",
        "thirteen",
        "fourteen",
        "fifteen",
        "sixteen",
        "seventeen",
    ]:
        assert word in words


def test_pictures_that_are_held_are_drawn_and_damaged_ones_are_named():
    held = markdown.to_flowables("![Plot](attachment:a.png)", styles.reading(), {"a.png": png((4000, 10))})
    assert type(held[0]) is Picture
    damaged = markdown.to_flowables("![Plot](attachment:a.png)", styles.reading(), {"a.png": png()[:40]})
    assert "cannot be shown" in damaged[0].getPlainText()


def test_headings_are_numbered_without_gaps():
    outline = Outline()
    outline.section("First")
    flowables = markdown.to_flowables("### a\n\n###### b\n\n### c", styles.reading(), outline=outline)
    outline.section("Second")
    assert all(isinstance(flowable, Flowable) for flowable in flowables)
    assert [(entry.number, entry.text) for entry in outline.entries] == [
        ("1", "First"), ("1.1", "a"), ("1.1.1", "b"), ("1.2", "c"), ("2", "Second"),
    ]  # fmt: skip


def _stream(data: bytes):
    import io

    return io.BytesIO(data)
