"""What wapiti finds in a served portal, asked as people of several roles. What it finds is mended, or explained here."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.browser.site import Site, site_on
from tests.browser.visitor import Visitor, visitor
from tests.own_environment import python_with

AGENT = "Mozilla/5.0 (scan)"
# All that speak to the portal alone: no lists fetched from elsewhere, no addresses to be called back at.
MODULES = (
    "backup,buster,cookieflags,crlf,csp,csrf,exec,file,htaccess,http_headers,https_redirect,ldap,methods,permanentxss,redirect,"
    "shellshock,spring4shell,sql,timesql,upload,xss,xxe"
)
CRAWL_SECONDS, MODULE_SECONDS, WHOLE_SECONDS = 90, 30, 1500
INFORMATIONAL = 0
# Finding (and where) -> why it is none. The portal of the tests is served in the clear on this machine alone; in production
# `manage.py check --deploy` refuses to start without https, secure cookies and HSTS.
EXPLAINED = {
    "Secure Flag cookie": "served in the clear on this machine; in production the cookies are Secure",
    "HTTP Strict Transport Security (HSTS)": "served in the clear on this machine; in production it is sent",
    "Unencrypted Channels": "served in the clear on this machine; in production nothing is answered without https",
    "LDAP Injection": "the portal speaks to no LDAP: exports name the second at which they were made, and so differ from each other",
    "Cross Site Request Forgery /verify/": "that form changes nothing and knows nobody: a script may ask as well as a person",
}


@pytest.fixture(scope="module")
def site(template_furnished, tmp_path_factory):
    with site_on(template_furnished, tmp_path_factory.mktemp("scan")) as running:
        yield running


def scanned(site: Site, one: Visitor, folder: Path) -> dict:
    """wapiti's report, as it writes it in JSON, of what it found with the visitor's cookies."""
    report, cookies = folder / "report.json", folder / "cookies.json"
    held = {
        cookie["name"]: {"value": cookie["value"], "version": 0, "expires": None, "secure": False, "port": None}
        for cookie in one.context.cookies()
    }
    cookies.write_text(json.dumps({"127.0.0.1": {"/": held}}))
    command = [
        python_with("scan").with_name("wapiti"), "-u", f"{site.url}/", "--scope", "domain", "-m", MODULES, "-A", AGENT,
        "-c", cookies, "-x", f"{site.url}/logout/", "-x", f"{site.url}/account/sittings/end/",
        "-d", "6", "--max-links-per-page", "60", "--max-files-per-dir", "25", "--max-parameters", "12",
        "--max-scan-time", str(CRAWL_SECONDS), "--max-attack-time", str(MODULE_SECONDS), "--tasks", "4", "-t", "20",
        "--store-session", folder / "session", "--store-config", folder / "config", "--no-bugreport", "--flush-session",
        "-f", "json", "-o", report, "-v", "0",
    ]  # fmt: skip
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=WHOLE_SECONDS)
    assert report.exists(), done.stdout + done.stderr
    return json.loads(report.read_text())


def found(report: dict) -> list[str]:
    """Everything above informational that is not explained, a line each."""
    return [
        f"{name}: {one['method']} {one['path']} {one['parameter']}: {one['info']}"
        for group in ("vulnerabilities", "anomalies")
        for name, them in report[group].items()
        for one in them
        if one["level"] > INFORMATIONAL and not {name, f"{name} {one['path']}"} & EXPLAINED.keys()
    ]


@pytest.mark.long
@pytest.mark.parametrize("username", ["", "author", "approver", "administrator"], ids=lambda name: name or "nobody")
def test_a_scanner_of_web_applications_finds_nothing_that_is_not_explained(
    site, chromium, django_db_blocker, tmp_path, username
):
    with django_db_blocker.unblock(), visitor(chromium, site, username, agent=AGENT) as one:
        report = scanned(site, one, tmp_path)
        still_in(one)
    assert report["infos"]["crawled_pages_nbr"] > (50 if username else 10)
    assert found(report) == []


def still_in(one: Visitor) -> None:
    """The scan was that of somebody logged in up to its end."""
    one.open("/account/")
    assert bool(one.username) == (not re.search("/login/", one.page.url))
