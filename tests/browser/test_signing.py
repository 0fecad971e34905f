"""The sign dialog in a real window: its button is in reach, and what a meaning does not ask for is not sent with it."""

import re
import uuid
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.site import on, site_on
from tests.browser.visitor import Visitor, visitor
from tests.furnished import places

# What lies on top where the middle of the button is, without any scrolling.
ON_TOP = """(button) => { const box = button.getBoundingClientRect();
    const top = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
    return {hit: button === top || button.contains(top), y: box.y, bottom: box.bottom, window: innerHeight,
            what: top ? top.outerHTML.slice(0, 120) : "nothing"}; }"""


@pytest.fixture(scope="module")
def dialog(template_furnished, tmp_path_factory, chromium, django_db_blocker) -> Iterator[Visitor]:
    """A reviewer before the open dialog of a step; a site of its own, since an open dialog is kept."""
    with site_on(template_furnished, tmp_path_factory.mktemp("signing")) as site, django_db_blocker.unblock():
        with on(site.database):
            step = uuid.UUID(places()["step"])
        with visitor(chromium, site, "reviewer") as reviewer:
            reviewer.open(f"/sign/{step}/")
            reviewer.page.get_by_role("button", name="Open the sign dialog").click()
            reviewer.page.get_by_label("One-time code").wait_for()
            for figure in reviewer.page.locator("figure[data-page]").all():
                figure.scroll_into_view_if_needed()
                expect(figure).to_have_class(re.compile("seen"))
            yield reviewer


def test_the_keyboard_goes_on_in_the_dialog_that_it_opened(dialog):
    dialog.page.evaluate("document.querySelector('[data-over-note]').hidden = false")
    dialog.page.get_by_role("button", name="Open the sign dialog again").press("Enter")
    expect(dialog.page.get_by_role("radio", name="Review")).to_be_focused()


@pytest.mark.parametrize(("width", "height"), [(1366, 640), (1366, 768), (1440, 900)])
def test_the_sign_button_is_in_reach_at_any_height_of_the_window(dialog, width, height):
    page = dialog.page
    page.set_viewport_size({"width": width, "height": height})
    page.evaluate("scrollTo(0, 0)")
    button = page.locator("[data-sign-button]")
    expect(button).to_be_enabled()  # elementFromPoint() looks through one that is not
    found = button.evaluate(ON_TOP)
    assert found["hit"] and found["bottom"] <= found["window"], found["what"]
    for top in (0, 150, 10_000):  # wherever the page is scrolled to
        page.evaluate(f"scrollTo(0, {top})")
        button.evaluate("(one) => one.scrollIntoView({block: 'nearest'})")
        found = button.evaluate(ON_TOP)
        assert found["hit"], (top, found["what"])


@pytest.mark.parametrize("name", ["Password", "One-time code"])
def test_a_field_that_is_typed_into_is_not_under_the_buttons(dialog, name):
    page = dialog.page
    page.set_viewport_size({"width": 1366, "height": 640})
    page.evaluate("scrollTo(0, 0)")
    field = page.get_by_label(name, exact=True)
    field.focus()
    found = field.evaluate(ON_TOP)
    assert found["hit"], found


def test_a_reason_does_not_outlive_the_choice_that_asked_for_it(dialog):
    page = dialog.page
    page.set_viewport_size({"width": 1440, "height": 1000})
    reason = page.locator("[data-reason] textarea")
    page.get_by_role("radio", name="Reject").check()
    reason.fill("The acceptance criteria are missing")
    page.get_by_role("radio", name="Review").check()
    assert reason.input_value() == ""
    page.get_by_role("radio", name="Reject").check()
    assert reason.input_value() == "The acceptance criteria are missing"  # a slip of the mouse costs no words
    page.get_by_role("radio", name="Review").check()
