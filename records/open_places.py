"""Places that a starter text leaves to the firm, `[FILL: name]`: found, counted and shown. What is signed holds none."""

import re
from collections.abc import Iterable, Mapping
from html.parser import HTMLParser

PLACE = re.compile(r"\[FILL:[^\]\n]*\]?")


def count(text: str) -> int:
    return len(PLACE.findall(text))


def left(sections: Iterable[Mapping[str, str]]) -> dict[str, int]:
    """How many places are left, by title of the section; sections without one are not in it."""
    found: dict[str, int] = {}
    for section in sections:
        if places := count(section["title"]) + count(section["text"]):
            found[section["title"]] = found.get(section["title"], 0) + places
    return found


def marked(html: str) -> str:
    """The same HTML with each place inside `<mark>`. Attributes stay as they are: only text is touched."""
    marker = _Marker()
    marker.feed(html)
    marker.close()
    return "".join(marker.out)


class _Marker(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.out: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.out.append(self.get_starttag_text() or "")

    handle_startendtag = handle_starttag

    def handle_endtag(self, tag: str) -> None:
        self.out.append(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        self.out.append(PLACE.sub(lambda place: f"<mark>{place[0]}</mark>", data))

    def handle_entityref(self, name: str) -> None:
        self.out.append(f"&{name};")

    def handle_charref(self, name: str) -> None:
        self.out.append(f"&#{name};")
