"""A person at a browser: logs in as people do, and hears everything that a page complains of."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Response

from accounts import codes
from accounts.models import CodeDevice
from audit import clock
from tests.browser.site import Site, on
from tests.cast import PASSWORD, time_for_a_code
from tests.firm import next_code

TYPING_SECONDS = 15
WIDE, NARROW, HEIGHT = 1440, 390, 1000
# The short run opens every page at both widths and in both schemes; the long one in the other two pairs as well.
SHORT = ((WIDE, "light"), (NARROW, "dark"))
LONG = ((WIDE, "dark"), (NARROW, "light"))
AXE = (Path(__file__).resolve().parent.parent / "vendor" / "axe.min.js").read_text()
# Whatever reaches beyond the window's right edge, unless it scrolls in a box of its own or is kept for screen readers.
TOO_WIDE = """() => document.documentElement.scrollWidth <= innerWidth ? [] :
    [...document.querySelectorAll("body *")]
        .filter((one) => one.getBoundingClientRect().right > innerWidth + 1
                && !one.closest(".scroll, .tabs, .sr-only, .skip-link, pre, .rail"))
        .map((one) => one.outerHTML.slice(0, 140)).concat(`the page is ${document.documentElement.scrollWidth} wide`)"""
# axe loads style sheets anew to look for locked orientation; our @import with a layer is beyond it, and we have no such rule.
LOOK_AT = "axe.run(document, {preload: false, resultTypes: ['violations']})"
# What the browser lays out and paints in the next frame is what is judged, and nothing half faded in or out.
SETTLED = """() => document.fonts.ready.then(() => Promise.all(document.getAnimations()
    .filter((one) => one.effect?.getComputedTiming().iterations !== Infinity)
    .map((one) => one.finished.catch(() => null)))).then(() => null)"""


class Visitor:
    """A context of the browser with one page. `complaints` holds console errors, breaches of the policy, failed loads."""

    def __init__(self, browser: Browser, site: Site, username: str = "", agent: str | None = None) -> None:
        self.site, self.username = site, username
        self.complaints: list[str] = []
        self.context: BrowserContext = browser.new_context(
            base_url=site.url, viewport={"width": WIDE, "height": HEIGHT}, reduced_motion="reduce", user_agent=agent
        )
        self.page: Page = self.context.new_page()
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.complaints.append(f"script: {error}"))
        self.page.on("response", self._answered)
        if username:
            self.log_in()

    def log_in(self) -> None:
        """Through the page, with password and the code that the person's device shows now."""
        self.page.goto("/login/")
        self.page.get_by_label("User name").fill(self.username)
        self.page.get_by_label("Password").fill(PASSWORD)
        self.page.get_by_label("One-time code").fill(self.code())
        self.page.get_by_role("button", name="Log in", exact=True).click()
        self.page.wait_for_url(lambda url: "/login/" not in url)

    def code(self) -> str:
        """A code of the person's device that was not used yet, good for long enough to be typed. The tests' clock saves us
        the wait for it."""
        with on(self.site.database):
            device = CodeDevice.objects.get(user__username=self.username, withdrawn_at=None)
            now = time_for_a_code(TYPING_SECONDS)
            if codes.step_at(now) <= device.last_step:
                next_code()
                now = clock.now()
            return codes.code_at(device, now)

    def open(self, path: str) -> Response:
        """Go there; complaints before it are forgotten."""
        self.complaints.clear()
        response = self.page.goto(path)
        assert response is not None, path
        return response

    def faults(self, width: int, scheme: str, *, axe: bool = True) -> list[str]:
        """What is wrong with the page as it stands, at this width and in this colour scheme; `axe=False` asks for the fit alone."""
        self.page.set_viewport_size({"width": width, "height": HEIGHT})
        self.page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        self.page.evaluate(SETTLED)
        where = f"{self.page.url.removeprefix(self.site.url)} at {width}, {scheme}"
        found = [f"{where}: too wide: {one}" for one in self.page.evaluate(TOO_WIDE)]
        if axe:
            found += [f"{where}: {fault}" for fault in self._axe()]
        return found + [f"{where}: {complaint}" for complaint in self.complaints]

    def _axe(self) -> list[str]:
        if not self.page.evaluate("'axe' in window"):
            self.page.evaluate(AXE)
            self.context.add_init_script(AXE)  # from now on each page has it from its beginning, which is quicker
        return [
            f"axe {fault['id']}: {fault['help']}: {[node['target'] for node in fault['nodes']][:4]}"
            for fault in self.page.evaluate(LOOK_AT)["violations"]
        ]

    def close(self) -> None:
        self.context.close()

    def _heard(self, line: ConsoleMessage) -> None:
        # That the page itself is a refusal with 4xx is no fault; anything that it fails to load is one, see below.
        if line.type == "error" and not line.text.startswith("Failed to load resource"):
            self.complaints.append(f"console: {line.text}")

    def _answered(self, response: Response) -> None:
        if response.status >= 400 and not response.request.is_navigation_request():
            self.complaints.append(f"{response.status} for {response.url.removeprefix(self.site.url)}")


@contextmanager
def visitor(browser: Browser, site: Site, username: str = "", agent: str | None = None) -> Iterator[Visitor]:
    """`agent` is what the browser calls itself, where it is not to say the truth."""
    one = Visitor(browser, site, username, agent)
    try:
        yield one
    finally:
        one.close()
