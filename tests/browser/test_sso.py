"""Single sign-on in a browser: linked, used to log in, and asked anew for a signing, against the provider of the suite."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from signatures.models import Signature
from standin.identity_provider import PASSWORD as AT_THE_PROVIDER
from tests.accounts.provider import SETTINGS, Provider, provider
from tests.browser.site import Site, on, site_on
from tests.browser.visitor import NARROW, WIDE, Visitor, visitor
from tests.cast import PASSWORD


@pytest.fixture
def idp() -> Iterator[Provider]:
    with provider() as running:
        yield running


@pytest.fixture
def site(template_firm, idp, tmp_path, django_db_blocker) -> Iterator[Site]:
    more = {**SETTINGS, "OIDC_ISSUER": idp.url}
    with django_db_blocker.unblock(), site_on(template_firm, tmp_path, more=more) as running:
        yield running


def told_apart(who: Visitor) -> None:
    faults = [fault for width, scheme in ((WIDE, "light"), (NARROW, "dark")) for fault in who.faults(width, scheme)]
    assert not faults, "\n".join(faults)
    who.page.set_viewport_size({"width": WIDE, "height": 1000})


def at_the_provider(page: Page, name: str) -> None:
    page.wait_for_url("**/authorize?**")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(AT_THE_PROVIDER)
    page.get_by_role("button", name="Log in").click()


@pytest.mark.compliance("§2.22", "11.200(a)(1)", "S9")
def test_compliance_single_sign_on_is_linked_lets_in_and_is_asked_anew_to_sign_in_a_browser(chromium, site, idp):
    with on(site.database):
        idp.misbehave()  # only that its clock goes with the tests'
    with visitor(chromium, site, "reviewer") as one:
        page = one.page

        one.open("/account/")
        page.get_by_role("link", name="Link it").click()
        page.get_by_label("Your password").fill(PASSWORD)
        page.get_by_label("One-time code").fill(one.code())
        told_apart(one)
        page.get_by_role("button", name="Go on to Laboratory ID").click()
        with on(site.database):
            idp.misbehave()
        at_the_provider(page, "maja")
        expect(page.get_by_text("is linked")).to_be_visible()
        told_apart(one)

        one.context.clear_cookies(name="session")
        page.goto("/login/")
        told_apart(one)
        page.get_by_role("button", name="Log in with Laboratory ID").click()
        page.wait_for_url("**/login/sso/")  # still known at the provider
        told_apart(one)
        code = one.code()
        with on(site.database):
            idp.misbehave()
        page.get_by_label("One-time code").fill(code)
        page.get_by_role("button", name="Log in", exact=True).click()
        page.wait_for_url(lambda url: "/login/" not in url)

        page.get_by_role("link", name=re.compile(r"\bVP-0001\b")).first.click()
        page.get_by_role("button", name="Open the sign dialog").click()
        card = page.locator("#sign-card")
        expect(card.get_by_label("Password")).to_be_visible()
        card.get_by_role("button", name="Confirm with Laboratory ID").click()
        at_the_provider(page, "maja")  # asked anew, although known there
        expect(card.get_by_text("Laboratory ID confirmed you for this signing")).to_be_visible()
        told_apart(one)
        for figure in page.locator("figure[data-page]").all():
            figure.scroll_into_view_if_needed()
            expect(figure).to_have_class(re.compile("seen"))
        card.get_by_label("User name").fill("reviewer")
        card.get_by_label("One-time code").fill(one.code())
        card.locator("[data-sign-button]").click()
        page.wait_for_url("**/signatures/**")
        assert one.complaints == []
        with on(site.database):
            assert Signature.objects.latest("signed_at").components == "single sign-on + one-time code"
