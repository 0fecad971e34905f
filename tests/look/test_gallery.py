"""What people see and do: every component in a real browser, wide and narrow, light and dark, under a strict policy."""

import json
import re
import subprocess
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

AXE = Path(__file__).resolve().parent.parent / "vendor" / "axe.min.js"
PAGES = ["gallery.html", "gallery_sign.html", "gallery_list.html", "gallery_login.html"]
# Whatever reaches beyond the window's right edge, unless it scrolls in a box of its own.
TOO_WIDE = """() => [...document.querySelectorAll("body *")]
    .filter((one) => one.getBoundingClientRect().right > innerWidth + 1 && !one.closest(".scroll, .tabs, .sr-only, .skip-link, pre, .rail"))
    .map((one) => one.outerHTML.slice(0, 120))"""


def opened(browser: Browser, address: str, width: int = 1440, **options) -> Page:
    context = browser.new_context(viewport={"width": width, "height": 1000}, **options)
    page = context.new_page()
    page.goto(address)
    page.wait_for_load_state("load")
    return page


# Each page in one pair here, so that each width and each scheme has two; all four pairs of each in the long run.
LOOKS = [(1440, "light"), (390, "dark"), (1440, "dark"), (390, "light")]


@pytest.mark.parametrize(
    ("name", "width", "scheme"),
    [
        pytest.param(name, *look, marks=() if at == number else pytest.mark.long)
        for number, name in enumerate(PAGES)
        for at, look in enumerate(LOOKS)
    ],
)
def test_a_page_is_accessible_fits_and_keeps_to_the_policy(site, chromium, name, width, scheme):
    context = chromium.new_context(viewport={"width": width, "height": 1000}, color_scheme=scheme)
    page = context.new_page()
    faults = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda line: faults.append(line.text) if line.type == "error" else None)
    page.goto(f"{site}/{name}")
    page.wait_for_load_state("load")
    page.evaluate("document.fonts.ready")
    assert faults == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(TOO_WIDE) == []
    page.evaluate(AXE.read_text())
    # axe loads style sheets anew to look for locked orientation; our @import with a layer is beyond it, and we have no such rule.
    found = page.evaluate("axe.run(document, {preload: false, resultTypes: ['violations']})")
    assert [(fault["id"], [node["target"] for node in fault["nodes"]]) for fault in found["violations"]] == []
    context.close()


def test_plex_is_what_the_page_is_set_in(site, chromium):
    page = opened(chromium, f"{site}/gallery.html")
    page.evaluate("document.fonts.ready")
    faces = page.evaluate("[...document.fonts].filter((face) => face.status === 'loaded').map((face) => face.family)")
    assert {face.strip('"') for face in faces} == {"IBM Plex Sans", "IBM Plex Serif", "IBM Plex Mono"}
    page.context.close()


def test_the_rail_folds_behind_a_button_at_390_pixels(site, chromium):
    page = opened(chromium, f"{site}/gallery_list.html", width=390)
    rail, button = page.locator("#rail"), page.get_by_label("Menu", exact=True)
    expect(rail).to_be_hidden()
    button.press("Enter")
    expect(rail).to_be_visible()
    assert button.get_attribute("aria-expanded") == "true"
    page.keyboard.press("Escape")
    expect(rail).to_be_hidden()
    expect(button).to_be_focused()
    page.context.close()


def test_the_rail_opens_without_a_script(site, chromium):
    page = opened(chromium, f"{site}/gallery_list.html", width=390, java_script_enabled=False)
    page.get_by_label("Menu", exact=True).click()
    expect(page.locator("#rail")).to_be_visible()
    page.get_by_label("Close the menu").click()
    expect(page.locator("#rail")).to_be_hidden()
    page.context.close()


def test_a_chosen_theme_is_kept(site, chromium):
    page = opened(chromium, f"{site}/gallery_list.html", color_scheme="light")
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.locator("details.me > summary").click()
    toggle = page.locator("[data-theme-toggle]")
    expect(toggle).to_contain_text("as the system")
    toggle.click()
    toggle.click()
    expect(toggle).to_contain_text("dark")
    assert page.evaluate(ground) != light
    page.reload()
    assert page.evaluate(ground) != light
    page.context.close()


@pytest.mark.parametrize("script", [True, False])
def test_a_question_before_an_act_opens_with_and_without_a_script(site, chromium, script):
    page = opened(chromium, f"{site}/gallery.html", java_script_enabled=script)
    page.get_by_role("button", name="Recall", exact=True).click()
    dialog = page.locator("#recall")
    expect(dialog).to_be_visible()
    if script:
        assert page.evaluate("document.querySelector('#recall').matches(':modal')")
        page.keyboard.press("Escape")
    else:
        dialog.get_by_role("button", name="Cancel").click()
    expect(dialog).to_be_hidden()
    page.context.close()


def test_a_hash_is_copied_whole(site, chromium):
    page = opened(chromium, f"{site}/gallery.html", permissions=["clipboard-read", "clipboard-write"])
    page.locator("aside [data-copy]").first.click()
    expect(page.locator("#toasts")).to_contain_text("Copied")
    assert re.fullmatch("[0-9a-f]{64}", page.evaluate("navigator.clipboard.readText()"))
    page.context.close()


def test_a_time_says_the_readers_own_time_when_pointed_at(site, chromium):
    page = opened(chromium, f"{site}/gallery.html", timezone_id="Asia/Tokyo", locale="en-GB")
    moment = page.locator("aside time[data-local]").first
    assert moment.inner_text() == "20 Nov 2026 14:22 UTC"
    moment.hover()
    assert "23:22" in moment.get_attribute("title")
    page.context.close()


def test_the_sign_button_waits_until_every_page_was_opened(site, chromium):
    page = opened(chromium, f"{site}/gallery_sign.html", width=1440)
    page.set_viewport_size({"width": 1440, "height": 700})
    button = page.locator("[data-sign-button]")
    for number in range(3):
        page.locator("figure").nth(number).scroll_into_view_if_needed()
    expect(page.locator("[data-pages-opened]")).to_have_text("3 of 3 pages opened")
    expect(button).to_be_enabled()
    expect(page.locator("[data-reason]")).to_be_hidden()
    page.get_by_label("Reject").check()
    expect(page.locator("[data-reason]")).to_be_visible()
    expect(button).to_have_text("Sign rejection")
    code = page.get_by_label("One-time code")
    code.press_sequentially("402 917")
    expect(code).to_have_value("402917")
    page.context.close()


def test_a_page_that_does_not_load_keeps_the_sign_button_off(site, chromium):
    context = chromium.new_context()
    page = context.new_page()
    page.route("**/look/page.svg", lambda route: route.abort())
    page.goto(f"{site}/gallery_sign.html")
    expect(page.locator("[data-pages-opened]")).to_have_text("Open page 1 and 2 more first.")
    expect(page.locator("[data-sign-button]")).to_be_disabled()
    context.close()


def test_an_intent_that_ran_out_turns_the_button_off(site, chromium):
    context = chromium.new_context()
    page = context.new_page()
    page.clock.install()
    page.goto(f"{site}/gallery_sign.html")
    for number in range(3):
        page.locator("figure").nth(number).scroll_into_view_if_needed()
    expect(page.locator("[data-sign-button]")).to_be_enabled()
    page.clock.fast_forward(125_000)
    expect(page.locator("[data-over-note]")).to_be_visible()
    expect(page.locator("[data-sign-button]")).to_be_disabled()
    context.close()


def test_the_editor_previews_keeps_a_buffer_and_takes_a_picture(site, chromium):
    page = opened(chromium, f"{site}/gallery.html")
    area, status = page.locator("textarea[data-markdown]"), page.locator("[data-editor-status]")
    area.fill("word")
    expect(status).to_have_attribute("data-state", "unsaved")
    expect(page.locator("[data-preview]")).to_contain_text("As it will read")
    area.press("ControlOrMeta+a")
    page.get_by_label("Bold").click()
    assert area.input_value() == "**word**"
    area.press("ControlOrMeta+z")
    assert area.input_value() == "word"
    page.locator("[data-image-file]").set_input_files(
        {"name": "gel.png", "mimeType": "image/png", "buffer": b"\x89PNG"}
    )
    expect(area).to_have_value(re.compile(re.escape("![gel](image:1)")))
    expect(status).to_have_text("Autosaved 14:22:09 UTC, not yet saved to the record's history", timeout=8000)
    page.context.close()


def test_leaving_with_unsaved_text_asks_first(site, chromium):
    page = opened(chromium, f"{site}/gallery.html")
    asked = []
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.accept()))
    page.locator("textarea[data-markdown]").press_sequentially("x")
    page.goto(f"{site}/gallery_list.html")
    assert asked == ["beforeunload"]
    page.context.close()


def test_a_running_job_asks_for_itself_until_it_is_done(site, chromium):
    page = opened(chromium, f"{site}/gallery.html")
    expect(page.locator("#job-a").first).to_have_text("Read and hashed", timeout=4000)
    page.context.close()


def test_paper_carries_the_whole_manifestation_and_no_shell(site, chromium, tmp_path):
    page = opened(chromium, f"{site}/gallery.html")
    target = tmp_path / "page.pdf"
    page.pdf(path=target, format="A4")
    text = re.sub(
        r"\s+",
        "",
        subprocess.run(["pdftotext", "-layout", target, "-"], check=True, capture_output=True, text=True).stdout,
    )
    for part in (
        "ChidiOkafor",
        "QAapprover",
        "Approval",
        "Iapprovethispackageforsubmissionuse.",
        "20Nov202614:22:07.408UTC",
    ):
        assert part in text
    assert "9f3c41d7a6b05f1e88c2d4470b1c9e3f5a6d7788990011aabbccddeeff00e02b" in text
    assert "PrintedbyChidiOkafor.Uncontrolledwhenprinted." in text
    assert "Administration" not in text
    page.context.close()


def test_the_gallery_is_drawn_without_inline_style_or_script(site):
    from tests.look import gallery

    for name in PAGES:
        html = gallery.page(name)
        assert not re.search(r"<[^>]*\s(style|on\w+)\s*=", html), name
        assert not re.search(r"<script(?![^>]*\ssrc=)", html), name


def test_what_htmx_may_do_is_said_in_the_page(site, chromium):
    page = opened(chromium, f"{site}/gallery.html")
    settings = json.loads(
        page.evaluate(
            "JSON.stringify({eval: htmx.config.allowEval, styles: htmx.config.includeIndicatorStyles, version: htmx.version})"
        )
    )
    assert settings["eval"] is False
    assert settings["styles"] is False
    assert settings["version"].startswith("2.0.")
    page.context.close()


def test_a_comparison_stands_in_one_column_where_the_window_is_narrow(site, chromium):
    page = opened(chromium, f"{site}/gallery.html", width=390)
    diff = page.locator(".diff.split").first
    texts = diff.locator("td:not(.no)").evaluate_all(
        "(all) => all.filter((one) => one.getClientRects().length).map((one) => one.getBoundingClientRect().width)"
    )
    assert texts and min(texts) > 250
    expect(page.locator(".diff-sum .segmented")).to_be_hidden()  # there is nothing to choose
    page.context.close()
