"""What a request brings before anybody is asked: the address that it comes from, and letters that nothing can keep."""

import pytest
from django.conf import settings as configured
from django.test import Client

from accounts import identity
from accounts.models import Sitting
from audit import clock
from audit.canonical import canonical
from audit.models import Access
from portal.pages import verify
from tests.cast import PASSWORD
from tests.embedded.test_settings import run
from tests.portal.test_verify import ask

PROXY = "127.0.0.1"


def through_the_proxy(told: str) -> Client:
    """What gunicorn gets from a proxy beside it, which added the last address of the header itself."""
    return Client(REMOTE_ADDR=PROXY, HTTP_X_FORWARDED_FOR=told, raise_request_exception=False)


def address_on_the_log() -> str:
    return Access.objects.filter(what="verify").latest("id").detail["address"]


@pytest.mark.compliance("11.10(e)", "Stolen session")
@pytest.mark.parametrize(
    ("told", "address"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("127.0.0.1, 198.51.100.1 ,  203.0.113.9 ", "203.0.113.9"),
        ("203.0.113.9, 2001:DB8::0:9", "2001:db8::9"),
        ("203.0.113.9, somewhere", PROXY),
        ("203.0.113.9,", PROXY),
        ("", PROXY),
    ],
)
def test_compliance_behind_a_proxy_the_address_is_the_one_that_the_proxy_added(people, settings, told, address):
    settings.BEHIND_PROXY = True
    assert ask(b"x", client=through_the_proxy(told)).status_code == 200
    assert address_on_the_log() == address


@pytest.mark.compliance("11.10(e)")
def test_compliance_without_a_proxy_nobody_says_what_their_own_address_is(people, settings):
    settings.BEHIND_PROXY = False
    assert ask(b"x", client=through_the_proxy("203.0.113.9")).status_code == 200
    assert address_on_the_log() == PROXY


def test_behind_a_proxy_each_address_has_its_own_limit(people, settings, monkeypatch):
    settings.BEHIND_PROXY = True
    monkeypatch.setattr(verify, "PER_ADDRESS", 1)
    assert ask(b"x", client=through_the_proxy("203.0.113.9")).status_code == 200
    assert ask(b"x", client=through_the_proxy("198.51.100.1, 203.0.113.9")).status_code == 429
    assert ask(b"x", client=through_the_proxy("203.0.113.10")).status_code == 200


def test_the_address_of_the_proxy_is_looked_through_in_production_alone():
    asked = "from portal import settings as s; print(s.BEHIND_PROXY, bool(s.SECURE_PROXY_SSL_HEADER))"
    assert run("-c", asked).stdout.split() == ["True", "True"]
    assert run("-c", asked, BEHIND_PROXY="0").stdout.split() == ["False", "False"]
    assert not configured.BEHIND_PROXY, "the embedded servers have none"


@pytest.mark.parametrize(
    "url",
    [
        "/documents/%00/",
        "/records/%00/",
        "/documents/%00/v1/retire/",
        "/documents/URS%000001/v1/",
        "/documents/?q=%00",
        "/documents/?%00=x",
        "/sso/return/?error=%00&state=x",
        "/healthz?%00",
    ],
)
def test_a_letter_that_no_table_can_keep_is_answered_as_a_request_that_cannot_be_read(people, url):
    for browser in (people.client(people.author), Client(), Client(HTTP_AUTHORIZATION="Bearer x")):
        browser.raise_request_exception = False
        answer = browser.get(url)
        assert answer.status_code == 400
        assert "That request could not be read." in answer.content.decode()
        assert answer["X-Request-Id"] and "default-src 'none'" in answer["Content-Security-Policy"]


def test_a_cookie_with_such_a_letter_is_a_request_that_cannot_be_read(people):
    browser = Client(raise_request_exception=False)
    browser.cookies[configured.SESSION_COOKIE_NAME] = "0123456789\0abcdefghijklmnop"
    assert browser.get("/account/").status_code == 400


def test_a_percent_sign_that_was_typed_is_no_such_letter(people):
    assert people.client(people.author).get("/documents/?q=%2500").status_code == 200


def test_a_statement_that_names_a_key_with_such_a_letter_is_not_ours(people):
    made_up = canonical({"format": "countersign-signature-1", "key": "\0"})
    answer = ask(made_up, client=Client(raise_request_exception=False))
    assert answer.status_code == 200 and "Not of this portal." in answer.content.decode()
    backslash = canonical({"format": "countersign-signature-1", "key": "\\u0000"})
    assert "names a key that is not this portal" in ask(backslash).content.decode()


@pytest.mark.compliance("Stolen session", "11.200(a)(1)(ii)", "11.10(e)")
def test_compliance_behind_a_proxy_a_stolen_cookie_from_elsewhere_is_seen_to_come_from_elsewhere(people, settings):
    settings.BEHIND_PROXY = True
    hers, his = through_the_proxy("203.0.113.9"), through_the_proxy("203.0.113.9, 198.51.100.1")
    typed = {"username": "author", "password": PASSWORD, "code": people.code(people.author)}
    assert hers.post("/login/", typed).status_code == 302
    sitting = Sitting.objects.latest("started_at")
    Sitting.objects.filter(pk=sitting.pk).update(signed_in_full_at=clock.now(), last_signed_at=clock.now())
    his.cookies[configured.SESSION_COOKIE_NAME] = hers.cookies[configured.SESSION_COOKIE_NAME].value
    asked = []
    for browser in (hers, his):
        request = browser.get("/account/").wsgi_request
        asked.append(identity.asks_for_username(Sitting.objects.get(pk=sitting.pk), request))
    assert (sitting.address, asked) == ("203.0.113.9", [False, True])
