"""A session that somebody else got hold of: it ends in another browser, signs nothing, and nobody can be impersonated."""

import ast
import re

import pytest
from django.conf import settings as configured
from django.test import Client

from accounts.models import Sitting
from audit.models import Entry
from signatures.models import Signature
from tests import acts
from tests.cast import PASSWORD
from tests.embedded.test_settings import run
from tests.test_floors import ROOT
from tests.test_house import calls, product_modules

HERS, HIS = "Mozilla/5.0 (hers)", "Mozilla/5.0 (his)"
IMPERSONATION = re.compile(r"hijack|impersonat|loginas|login-as|django-su\b|masquerade", re.I)
LOGS_IN = {"login", "auth.login", "force_login", "alogin"}


def logged_in(people, user) -> Client:
    browser = Client(headers={"user-agent": HERS}, raise_request_exception=False)
    typed = {"username": user.username, "password": PASSWORD, "code": people.code(user)}
    assert browser.post("/login/", typed).status_code == 302
    return browser


def with_the_cookie_of(browser: Client, **more) -> Client:
    thief = Client(raise_request_exception=False, **more)
    thief.cookies[configured.SESSION_COOKIE_NAME] = browser.cookies[configured.SESSION_COOKIE_NAME].value
    return thief


@pytest.mark.compliance("Stolen session", "11.10(d)")
def test_compliance_a_stolen_cookie_in_another_browser_ends_the_session(people):
    hers = logged_in(people, people.author)
    thief = with_the_cookie_of(hers, headers={"user-agent": HIS})
    assert thief.get("/account/").status_code == 302
    assert hers.get("/account/").status_code == 302
    assert Entry.objects.get(action="login.ended").detail == {"why": "another browser"}
    assert people.author.sittings.get().ended_at


@pytest.mark.compliance("Stolen session", "11.200(a)(1)(ii)", "11.200(a)(2)")
def test_compliance_a_stolen_cookie_with_the_same_browser_from_elsewhere_reads_and_cannot_sign(firm, ticking):
    hers = logged_in(firm, firm.reviewer)
    where = Sitting.objects.get(user=firm.reviewer, agent=HERS)
    thief = with_the_cookie_of(hers, headers={"user-agent": HERS}, REMOTE_ADDR="203.0.113.9")
    assert thief.get("/account/").status_code == 200
    version = firm.version("VP-0001")
    intent = acts.intend(version, firm.reviewer, where, acts.waiting_step(version, firm.reviewer))
    url = intent.step.get_absolute_url()
    for typed in (
        {},
        {"password": "guess", "code": "000000", "username": "reviewer"},
        {"sso": "1", "passkey": "{}", "username": "reviewer"},
    ):
        answer = thief.post(url, {"intent": intent.pk, "meaning": "review", "reason": "Read and found right", **typed})
        assert answer.status_code in (400, 403)
    assert not Signature.objects.filter(version=version, signer=firm.reviewer).exists()
    # With the password and a code over her shoulder, but as at a first signing: her user name is asked for as well.
    Sitting.objects.filter(pk=where.pk).update(signed_in_full_at=intent.opened_at, last_signed_at=intent.opened_at)
    ticking.next_code()
    more = {"password": PASSWORD, "code": firm.code(firm.reviewer), "reason": "Read and found right"}
    assert thief.post(url, {"intent": intent.pk, "meaning": "review", **more}).status_code == 403


@pytest.mark.compliance("Stolen session")
def test_compliance_in_production_cookies_are_bound_to_the_host_and_to_tls():
    asked = "from portal import settings as s; print(s.SESSION_COOKIE_NAME, s.CSRF_COOKIE_NAME, s.SESSION_COOKIE_SECURE, s.SESSION_COOKIE_HTTPONLY, s.SESSION_COOKIE_SAMESITE)"
    assert run("-c", asked).stdout.split() == ["__Host-session", "__Host-csrf", "True", "True", "Lax"]


@pytest.mark.compliance("11.200(a)(2)", "§2.12")
def test_compliance_nobody_can_be_impersonated():
    for path in ROOT.glob("requirements*.txt"):
        assert not IMPERSONATION.search(path.read_text()), path.name
    logs_in = {
        path
        for path, source in product_modules()
        for node, name in calls(source)
        if name in LOGS_IN or (isinstance(node, ast.Call) and "SESSION_KEY" in name)
    }
    assert logs_in == {"accounts/identity.py"}
    assert not [path for path, source in product_modules() if "_auth_user_id" in source]
