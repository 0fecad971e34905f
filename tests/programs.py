"""`python -m tests.programs`: find the programs that the tests ask and no Python package brings, or get them; else say in one
sentence what to install.

A browser opens the pages, and PDFs, seals and statements are judged by programs that know nothing of the portal. Chromium is looked
for in this order: `CHROMIUM` in the environment, Playwright's own, then what the system has.
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
JUDGES = {
    "pdftotext": "poppler-utils",
    "pdfsig": "poppler-utils",
    "pdfdetach": "poppler-utils",
    "qpdf": "qpdf",
    "openssl": "openssl",
}
"""Each program with the package of Debian that brings it."""
DOWNLOAD_SECONDS = 180
INSTALL_SECONDS = 600


def find() -> str | None:
    """The path of a Chromium that can be started, or None."""
    for path in (os.environ.get("CHROMIUM", ""), _of_playwright(), *map(which, NAMES), MAC):
        if path and os.access(path, os.X_OK):
            return str(path)
    return None


def missing() -> list[str]:
    """What is not here, as packages of Debian."""
    judges = {package for program, package in JUDGES.items() if not which(program)}
    return sorted(judges | (set() if find() else {"chromium"}))


def get() -> list[str]:
    """Fetch what is missing: Chromium from Playwright, then, as root and where there is apt, all the rest from Debian. What is
    missing still."""
    if "chromium" in missing():
        _fetch_playwrights()
    if wanted := missing():
        _install_debians(wanted)
    return missing()


@functools.cache
def _of_playwright() -> str:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        return playwright.chromium.executable_path


def _fetch_playwrights() -> None:
    _say("looking for Chromium: fetching Playwright's own")
    _run([sys.executable, "-m", "playwright", "install", "chromium"], DOWNLOAD_SECONDS)


def _install_debians(packages: list[str]) -> None:
    if os.getuid() != 0 or not which("apt-get"):
        return
    _say(f"installing Debian's {' '.join(packages)}")
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    _run(["apt-get", "update", "-qq"], INSTALL_SECONDS, quiet)
    _run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages], INSTALL_SECONDS, quiet)


def _run(command: list[str], seconds: int, more: dict[str, str] | None = None) -> None:
    """What fails or takes too long is no matter: the next way is tried."""
    try:
        subprocess.run(command, capture_output=True, timeout=seconds, check=False, env={**os.environ, **(more or {})})
    except (subprocess.TimeoutExpired, OSError):
        return


def wanted(packages: list[str]) -> str:
    """What to do about it, in a sentence."""
    said = f"The tests need what could be neither found nor fetched; install it (Debian: `apt-get install {' '.join(packages)}`"
    if "chromium" in packages:
        said += ", Chromium elsewhere: `.venv/bin/playwright install chromium`, or set CHROMIUM to its path"
    return f"{said}; with Homebrew Poppler's programs are in `poppler`)."


def _say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


def main() -> int:
    if left := get():
        _say(wanted(left))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
