"""The editor in a browser: what is typed is previewed, autosaved, saved, and never lost."""

import base64
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from records.models import Draft
from tests.browser.site import Site, on, site_on
from tests.browser.visitor import Visitor, visitor
from tests.records.test_drafts import PNG

PASTE = """([area, data]) => {
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  const box = new DataTransfer();
  box.items.add(new File([bytes], "gel.png", {type: "image/png"}));
  area.dispatchEvent(new ClipboardEvent("paste", {clipboardData: box, bubbles: true, cancelable: true}));
}"""


@pytest.fixture(scope="module")
def site(template_firm, tmp_path_factory) -> Iterator[Site]:
    with site_on(template_firm, tmp_path_factory.mktemp("editor")) as running:
        yield running


@pytest.fixture
def author(chromium, site, django_db_blocker) -> Iterator[Visitor]:
    from tests.firm import next_code

    with django_db_blocker.unblock():
        with on(site.database):
            next_code()
        with visitor(chromium, site, "author") as one:
            one.page.on("dialog", lambda dialog: dialog.accept())
            yield one


def first(page: Page):
    return page.locator("textarea[data-markdown]").first


def status(page: Page):
    return page.locator("[data-editor-status]")


def test_typing_is_previewed_and_autosaved_and_a_save_goes_into_the_history(author, site):
    page = author.page
    author.open("/documents/FS-0001/edit/")
    first(page).fill("Made for **[FILL: firm]**.")
    expect(page.locator("[data-preview]").first).to_contain_text("Made for [FILL: firm].")
    expect(page.locator("[data-preview] strong mark").first).to_have_text("[FILL: firm]")
    expect(status(page)).to_contain_text("not yet saved to the record's history", timeout=8000)
    expect(page.locator("[data-left]").first).to_have_text("1")
    page.reload()
    expect(first(page)).to_have_value("Made for **[FILL: firm]**.")
    expect(page.get_by_text("This is your text as it was autosaved")).to_be_visible()
    first(page).press("Control+s")
    expect(page.get_by_text("Saved as revision 2 of the draft")).to_be_visible()
    with on(site.database):
        assert Draft.objects.get(record__number="FS-0001").sections[0]["text"] == "Made for **[FILL: firm]**."
    assert not author.complaints


def test_a_pasted_picture_stands_in_the_text_and_in_the_preview(author):
    page = author.page
    author.open("/documents/FS-0001/edit/")
    first(page).fill("")
    page.evaluate(PASTE, [first(page).element_handle(), base64.b64encode(PNG).decode()])
    expect(first(page)).to_have_value("![image-1.png](attachment:image-1.png)")
    picture = page.locator("[data-preview] img").first
    expect(picture).to_be_visible()
    page.wait_for_function("(one) => one.complete", arg=picture.element_handle())
    assert picture.evaluate("(one) => one.naturalWidth") == 4
    assert not author.complaints


def test_text_typed_after_the_session_ended_is_there_again_after_the_next_log_in(author, site):
    from tests.firm import next_code

    page = author.page
    author.open("/documents/FS-0001/edit/")
    author.context.clear_cookies(name="session")
    first(page).fill("Typed while logged out.")
    expect(status(page)).to_contain_text("you are logged out", timeout=8000)
    with on(site.database):
        next_code()
    author.log_in()
    page.goto("/documents/FS-0001/edit/")
    expect(first(page)).not_to_have_value("Typed while logged out.")
    page.get_by_role("button", name="Put it back").click()
    expect(first(page)).to_have_value("Typed while logged out.")
    expect(status(page)).to_contain_text("not yet saved to the record's history", timeout=8000)


def test_saving_with_an_ended_session_loses_nothing(author, site):
    from tests.firm import next_code

    page = author.page
    author.open("/documents/FS-0001/edit/")
    first(page).fill("Saved while logged out.")
    author.context.clear_cookies(name="session")
    page.get_by_role("button", name="Save", exact=True).click()
    page.wait_for_url("**/login/**")
    with on(site.database):
        next_code()
    author.log_in()
    page.goto("/documents/FS-0001/edit/")
    if first(page).input_value() != "Saved while logged out.":
        page.get_by_role("button", name="Put it back").click()
    expect(first(page)).to_have_value("Saved while logged out.")


def test_sections_are_arranged_by_keyboard_and_what_was_typed_stays(author):
    page = author.page
    author.open("/documents/FS-0001/edit/")
    first(page).fill("Typed before the move.")
    page.get_by_role("button", name="Move section 1 down").focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**#section-2")
    expect(page.locator("#section-2 textarea")).to_have_value("Typed before the move.")
    title = page.get_by_label("Title of section 2")
    title.fill("Purpose, moved")
    title.press("Enter")
    expect(page.get_by_text("of the draft, with history")).to_be_visible()
    expect(page.get_by_label("Title of section 2")).to_have_value("Purpose, moved")
