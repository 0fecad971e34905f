"""Places where there is little room: what stands there is whole, and says what it is."""

from tests.browser.visitor import NARROW, WIDE

# The boxes of what is shown: left, right, top and bottom in the window.
BOXES = """(all) => all.filter((one) => one.getClientRects().length).map((one) => {
    const {left, right, top, bottom} = one.getBoundingClientRect(); return {left, right, top, bottom}; })"""


def at(visitor, path: str, width: int):
    visitor.open(path)
    visitor.page.set_viewport_size({"width": width, "height": 1000})
    return visitor.page


def test_the_state_of_a_signature_beside_a_document_stands_under_what_was_signed(visitors):
    page = at(visitors("author"), "/documents/URS-0001/", WIDE)
    [text, *_] = page.locator("aside .sig > div").evaluate_all(BOXES)
    [pill, *_] = page.locator("aside .sig > .pill").evaluate_all(BOXES)
    assert pill["top"] >= text["bottom"] and pill["left"] == text["left"]


def test_the_types_of_a_new_document_keep_off_the_edge_of_their_card(visitors):
    page = at(visitors("author"), "/documents/new/", WIDE)
    [card] = page.locator(".tasks.card").evaluate_all(BOXES)
    [row, *_] = page.locator(".tasks.card > .task").evaluate_all(BOXES)
    assert row["left"] - card["left"] > 14 and card["right"] - row["right"] > 14


def test_a_line_of_the_reading_log_is_whole_where_the_window_is_narrow(visitors):
    visitors("inspector").open("/records/KRAS-001/v1/files/")  # a line with a detail
    page = at(visitors("inspector"), "/audit/access/", NARROW)
    page.locator("td .hint").first.evaluate(
        "(one) => { one.textContent = 'rendition: ' + '0123456789abcdef'.repeat(4); }"
    )
    hints = page.locator("td .hint").evaluate_all(BOXES)
    assert hints and all(hint["right"] <= NARROW for hint in hints)
    assert page.locator("td .hint").first.evaluate("(one) => one.scrollWidth <= one.clientWidth")
