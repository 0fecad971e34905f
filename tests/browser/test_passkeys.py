"""A passkey in a browser, with Chromium's own virtual authenticator: made, used to log in, used to sign."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from accounts.models import Passkey
from signatures.models import Signature
from tests.browser.site import Site, on, site_on
from tests.browser.visitor import NARROW, WIDE, Visitor, visitor
from tests.cast import PASSWORD

AUTHENTICATOR = {
    "protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True, "isUserVerified": True,
    "automaticPresenceSimulation": True,
}  # fmt: skip


@pytest.fixture
def site(template_firm, tmp_path, django_db_blocker) -> Iterator[Site]:
    with django_db_blocker.unblock(), site_on(template_firm, tmp_path) as running:
        running.url = running.url.replace("127.0.0.1", "localhost")  # browsers bind passkeys to names
        yield running


class Device:
    """The virtual authenticator of one page."""

    def __init__(self, who: Visitor) -> None:
        self.session = who.context.new_cdp_session(who.page)
        self.session.send("WebAuthn.enable")
        self.id = self.session.send("WebAuthn.addVirtualAuthenticator", {"options": AUTHENTICATOR})["authenticatorId"]

    def knows_its_owner(self, verified: bool) -> None:
        self.session.send("WebAuthn.setUserVerified", {"authenticatorId": self.id, "isUserVerified": verified})

    def keys(self) -> list[dict]:
        return self.session.send("WebAuthn.getCredentials", {"authenticatorId": self.id})["credentials"]


def log_in_with_the_passkey(who: Visitor) -> None:
    who.page.goto("/login/")
    who.page.get_by_label("User name").fill(who.username)
    who.page.get_by_label("Password").fill(PASSWORD)
    who.page.get_by_role("button", name="Log in with a passkey").click()


@pytest.mark.compliance("11.200(a)(1)", "S9")
def test_compliance_a_passkey_is_made_lets_in_and_signs_in_a_browser(chromium, site, django_db_blocker):
    with visitor(chromium, site, "reviewer") as one:
        page, device = one.page, Device(one)

        one.open("/account/passkeys/new/")
        page.get_by_label("Name").fill("Laptop")
        page.get_by_role("button", name="Make the passkey").click()
        expect(page.get_by_text("The passkey is made")).to_be_visible()
        faults = [fault for width in (WIDE, NARROW) for fault in one.faults(width, "light")]
        assert not faults, faults
        page.get_by_label("Your password").fill(PASSWORD)
        page.get_by_label("One-time code").fill(one.code())
        page.get_by_role("button", name="Enrol the passkey").click()
        page.wait_for_url("**/account/")
        expect(page.get_by_text("Passkey Laptop")).to_be_visible()
        assert len(device.keys()) == 1

        one.context.clear_cookies(name="session")
        device.knows_its_owner(False)
        log_in_with_the_passkey(one)
        expect(page.get_by_text("The passkey was not used")).to_be_visible()
        device.knows_its_owner(True)
        page.get_by_role("button", name="Log in with a passkey").click()
        page.wait_for_url(lambda url: "/login/" not in url)

        page.goto("/")
        page.get_by_role("link", name=re.compile(r"\bVP-0001\b")).first.click()
        page.get_by_role("button", name="Open the sign dialog").click()
        card = page.locator("#sign-card")
        expect(card.get_by_label("Password")).to_be_visible()
        for figure in page.locator("figure[data-page]").all():
            figure.scroll_into_view_if_needed()
            expect(figure).to_have_class(re.compile("seen"))
        card.get_by_label("User name").fill("reviewer")
        card.get_by_label("Password").fill(PASSWORD)
        card.get_by_role("button", name="Sign with a passkey").click()
        page.wait_for_url("**/signatures/**")
        assert one.complaints == []
        with on(site.database):
            signature = Signature.objects.latest("signed_at")
            assert (signature.signer.username, signature.components) == ("reviewer", "password + passkey")
            assert Passkey.objects.get().last_used_at is not None
