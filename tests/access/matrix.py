"""Reads `matrix.txt`, the expected answer for each URL and role, which is written by hand."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from django.urls import URLPattern, URLResolver, get_resolver

FILE = Path(__file__).parent / "matrix.txt"
ROLES = (
    "anonymous", "author", "reviewer", "approver", "operator", "scientist", "inspector", "administrator", "outsider",
)  # fmt: skip


@dataclass(frozen=True)
class Line:
    """One request as every role makes it: `path` may hold names in braces (`tests/furnished.py`: places)."""

    number: int
    method: str
    path: str
    expected: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    def at(self, places: dict[str, str]) -> str:
        return self.path.format_map(places)

    def of(self, role: str) -> int:
        return self.expected[ROLES.index(role)]


def read(text: str) -> Iterator[Line]:
    """The lines of the file. Raises ValueError for one that is not method, path and one status for each role."""
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split("#")[0].split()
        if not words:
            continue
        method, path, *statuses = words
        if method not in {"GET", "POST"} or not path.startswith("/") or len(statuses) != len(ROLES):
            raise ValueError(f"{FILE.name}:{number}: not a method, a path and {len(ROLES)} statuses: {line}")
        yield Line(number, method, path, tuple(map(int, statuses)))


def lines() -> list[Line]:
    return list(read(FILE.read_text()))


def patterns() -> Iterator[tuple[str, URLPattern]]:
    """Every URL pattern of the portal, with its route as it is written in the `urls.py` files."""

    def below(resolver: URLResolver, route: str) -> Iterator[tuple[str, URLPattern]]:
        for entry in resolver.url_patterns:
            if isinstance(entry, URLPattern):
                yield f"/{route}{entry.pattern}", entry
            else:
                yield from below(entry, f"{route}{entry.pattern}")

    yield from below(get_resolver(), "")
