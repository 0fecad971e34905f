"""A portal that really serves, for this process's tests that look and change nothing."""

from collections.abc import Callable, Iterator

import pytest

from tests.browser.site import Site, site_on
from tests.browser.visitor import Visitor


@pytest.fixture(scope="session")
def live_site(template_furnished, tmp_path_factory) -> Iterator[Site]:
    with site_on(template_furnished, tmp_path_factory.mktemp("site")) as site:
        yield site


@pytest.fixture(scope="session")
def visitors(live_site, chromium, django_db_blocker) -> Iterator[Callable[[str], Visitor]]:
    """`visitors("author")`: the one browser window of that person, who logged in once. "" is somebody not logged in."""
    known: dict[str, Visitor] = {}

    def of(username: str) -> Visitor:
        if username not in known:
            with django_db_blocker.unblock():
                known[username] = Visitor(chromium, live_site, username)
        return known[username]

    yield of
    for one in known.values():
        one.close()
