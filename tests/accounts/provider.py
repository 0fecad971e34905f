"""The OpenID provider of the suite: the stand-in as a process of its own, and a browser's part towards it."""

import html
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests

from audit import clock
from standin.identity_provider import CLIENT, PASSWORD, SECRET
from tests.conftest import ROOT

SETTINGS = {"OIDC_CLIENT_ID": CLIENT, "OIDC_CLIENT_SECRET": SECRET, "OIDC_NAME": "Laboratory ID"}


class Provider:
    """`url` is its issuer; `session` is what one browser keeps of it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.session = requests.Session()

    def misbehave(self, **how: Any) -> None:
        """From now on; its clock goes with ours, which tests move."""
        ahead = clock.now().timestamp() - time.time()
        requests.post(f"{self.url}/misbehave", json={"ahead": ahead, **how}, timeout=10)

    def visit(self, url: str, name: str) -> str:
        """Go there as the portal says, log in where it asks, and return the address that it sends back to."""
        answer = self.session.get(url, timeout=10, allow_redirects=False)
        if answer.status_code == 200:
            asked = html.unescape(re.search(r'name="asked" value="([^"]*)"', answer.text)[1])
            form = {"asked": asked, "name": name, "password": PASSWORD}
            answer = self.session.post(f"{self.url}/authorize", data=form, timeout=10, allow_redirects=False)
        assert answer.status_code == 302, answer.text
        return answer.headers["Location"]


@contextmanager
def provider() -> Iterator[Provider]:
    command = [sys.executable, "-m", "standin.identity_provider"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Provider(process.stdout.readline().strip())
        finally:
            process.terminate()


def leads_to(page) -> str:
    """Where the portal's page sends the browser."""
    return html.unescape(re.search(r'href="(http://127[^"]*/authorize[^"]*)"', page.content.decode())[1])
