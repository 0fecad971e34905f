"""`python -m tests.chromium`: find Chromium for the browser tests, or get it; else say in one sentence what to install.

Looked for in this order: `CHROMIUM` in the environment, Playwright's own, then what the system has.
"""

import functools
import os
import subprocess
import sys
from shutil import which

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MAC = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
# Chromium as root needs no sandbox of its own, and no test reaches for anything but 127.0.0.1.
FLAGS = [
    *(["--no-sandbox"] if hasattr(os, "getuid") and os.getuid() == 0 else []),
    "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--disable-dev-shm-usage", "--force-color-profile=srgb",
]  # fmt: skip
DOWNLOAD_SECONDS = 180
INSTALL_SECONDS = 600
WANTED = (
    "The browser tests need Chromium, which could be neither found nor fetched: install it"
    " (Debian: `apt-get install chromium`; elsewhere: `.venv/bin/playwright install chromium`) or set CHROMIUM to its path."
)


def find() -> str | None:
    """The path of a Chromium that can be started, or None."""
    for path in (os.environ.get("CHROMIUM", ""), _of_playwright(), *map(which, NAMES), MAC):
        if path and os.access(path, os.X_OK):
            return str(path)
    return None


def get() -> str | None:
    """`find()`, else fetch Playwright's own, else (as root, where there is apt) Debian's."""
    return find() or _fetch_playwrights() or _install_debians()


@functools.cache
def _of_playwright() -> str:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        return playwright.chromium.executable_path


def _fetch_playwrights() -> str | None:
    _say("looking for Chromium: fetching Playwright's own")
    _run([sys.executable, "-m", "playwright", "install", "chromium"], DOWNLOAD_SECONDS)
    return find()


def _install_debians() -> str | None:
    if os.getuid() != 0 or not which("apt-get"):
        return None
    _say("looking for Chromium: installing Debian's")
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    _run(["apt-get", "update", "-qq"], INSTALL_SECONDS, quiet)
    _run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium"], INSTALL_SECONDS, quiet)
    return find()


def _run(command: list[str], seconds: int, more: dict[str, str] | None = None) -> None:
    """What fails or takes too long is no matter: the next way is tried."""
    try:
        subprocess.run(command, capture_output=True, timeout=seconds, check=False, env={**os.environ, **(more or {})})
    except (subprocess.TimeoutExpired, OSError):
        return


def _say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


def main() -> int:
    if get() is None:
        _say(WANTED)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
