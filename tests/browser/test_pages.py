"""Every page, wide and narrow, light and dark: axe finds nothing, nothing overflows, nothing is refused by the policy.

The pages are those of `tests/access/matrix.txt`, each as the first role sees it to whom it is shown; a URL that is missing
there fails in `tests/access`.
"""

import re

import pytest

from tests.access import matrix
from tests.access.matrix import ROLES, Line
from tests.browser.site import on
from tests.browser.visitor import LONG, NARROW, SHORT, WIDE
from tests.furnished import places

# What is no page of its own: files, images, and parts that a page fetches for itself.
NO_PAGE = re.compile(
    r"\.(png|pdf|pem|json|der|jsonl|csv)$|/(raw|images|export|file)/|/progress/$|^/healthz$|/verdict/$|/newest/$"
)
# Pages that are shown with what people typed wrong, or chose: the same URLs in other states.
STATES = [
    ("approver", "/documents/?status=effective"),
    ("approver", "/records/?q=nothing-is-called-so"),
    ("author", "/documents/new/?type=URS"),
    ("author", "/documents/new/?type=SOP"),
    ("author", "/documents/?on=2026-03-02"),
    ("author", "/documents/URS-0001/?as=pages"),
    ("author", "/documents/URS-0001/changes/?from=1&to=draft"),
    ("author", "/documents/URS-0001/drafts/?revision=2"),
    ("author", "/documents/URS-0001/edit/"),
    ("author", "/documents/VP-0001/"),
    ("reviewer", "/sign/{step}/?show=changes"),
    ("reviewer", "/sign/{step}/?show=audit"),
    ("inspector", "/signatures/{signature}/"),
    ("inspector", "/records/KRAS-001/v1/files/run/metadata.json"),
    ("operator", "/records/KRAS-001/register/?prefix=kras-001/v2/"),
    ("inspector", "/records/KRAS-404/"),
    ("outsider", "/records/"),
    ("outsider", "/"),
    ("operator", "/people/"),
    ("administrator", "/trails/files/{broken}/"),
]


def pages() -> list[tuple[str, str]]:
    """(person, path) of each page that somebody is shown."""
    shown = [
        (next(role for role in ROLES if line.of(role) == 200), line.path)
        for line in matrix.lines()
        if line.method == "GET" and 200 in line.expected and not NO_PAGE.search(line.path.split("?")[0])
    ]
    return [("" if person == "anonymous" else person, path) for person, path in shown] + STATES


@pytest.fixture(scope="session")
def where(live_site, django_db_blocker):
    with django_db_blocker.unblock(), on(live_site.database):
        return places()


@pytest.mark.parametrize(("person", "path"), pages())
def test_a_page_is_accessible_fits_and_keeps_to_the_policy(visitors, where, person, path):
    """axe takes its time, and judges one of the two pairs: of one page this, of the next that; `make test-long` has all four."""
    visitor = visitors(person)
    response = visitor.open(Line(0, "GET", path, ()).at(where))
    assert response.status < 500
    assert "content-security-policy" in response.headers
    assert "text/html" in response.headers["content-type"]
    judged = SHORT[len(path) % 2]
    faults = [fault for pair in SHORT for fault in visitor.faults(*pair, axe=pair == judged)]
    assert not faults, "\n" + "\n".join(faults)


@pytest.mark.long
@pytest.mark.parametrize(("person", "path"), pages())
def test_axe_finds_nothing_in_any_pair(visitors, where, person, path):
    visitor = visitors(person)
    visitor.open(Line(0, "GET", path, ()).at(where))
    faults = [fault for pair in SHORT + LONG for fault in visitor.faults(*pair)]
    assert not faults, "\n" + "\n".join(faults)


def test_the_policy_allows_nothing_inline_and_nothing_from_elsewhere(visitors):
    policy = visitors("inspector").open("/").headers["content-security-policy"]
    rules = dict(part.strip().split(" ", 1) for part in policy.split(";") if part.strip())
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == rules["style-src"] == "'self'"
    assert rules["frame-ancestors"] == rules["object-src"] == rules["base-uri"] == "'none'"
    assert "unsafe" not in policy and "http" not in policy


def test_browsers_are_told_to_frame_guess_and_tell_nothing(visitors):
    headers = visitors("inspector").open("/").headers
    assert headers["x-frame-options"] == "DENY"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_a_long_word_that_was_searched_for_does_not_widen_the_page(visitors, width):
    visitor = visitors("reviewer")
    visitor.open(f"/search/?q={'abcdefghij' * 20}")
    assert visitor.faults(width, "light", axe=False) == []
