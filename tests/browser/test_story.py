"""The main job, end to end, as people do it: in a browser, against gunicorn, a Celery worker and the S3 stand-in.

An author writes a URS, two people sign it with password and one-time code, an operator registers a data package, the worker
pulls CloudTrail's files, and an inspector finds who touched the record and proves that it has not changed.
"""

import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from audit import chain
from audit.actions import Action
from audit.models import Entry
from demo import content
from demo.packages import metadata
from records.models import Version
from signatures.models import Signature
from tests import firm
from tests.browser.site import Site, on, site_on
from tests.browser.visitor import Visitor, visitor
from tests.cast import PASSWORD
from tests.firm import RECORDS_BUCKET
from tests.furnished import deliver

BROKER = 1
JOB_SECONDS = 60
TITLE = "User requirements, archive of sequencing runs"


@pytest.fixture
def site(template_furnished, tmp_path, django_db_blocker) -> Iterator[Site]:
    with django_db_blocker.unblock(), site_on(template_furnished, tmp_path, worker=True, broker=BROKER) as running:
        yield running


class Story:
    """The people of the story at their browsers, and what stands in the database meanwhile."""

    def __init__(self, chromium: Browser, site: Site) -> None:
        self.chromium, self.site = chromium, site

    @contextmanager
    def as_(self, username: str) -> Iterator[Visitor]:
        """The person's own sitting: logged in, doing something, logged out. Nothing may have complained."""
        with visitor(self.chromium, self.site, username) as one:
            yield one
            assert one.complaints == []
            one.page.goto("/account/")
            one.page.locator(".me summary").click()
            one.page.get_by_role("button", name="Log out", exact=True).click()
            one.page.wait_for_url("**/login/**")

    def wait_for_the_worker(self, who: Visitor, done: Callable[[], bool]) -> None:
        for _ in range(JOB_SECONDS * 4):
            with on(self.site.database):
                if done():
                    return
            who.page.wait_for_timeout(250)
        raise AssertionError((self.site.folder / "worker.log").read_text()[-3000:])

    def sign(self, who: Visitor, code: str = "") -> None:
        """Read every page, open the dialog, and give what it asks for."""
        page = who.page
        card, opener = page.locator("#sign-card"), page.get_by_role("button", name="Open the sign dialog")
        if opener.count():  # after a wrong code the dialog is still open
            opener.click()
        expect(card.get_by_label("Password")).to_be_visible()
        for figure in page.locator("figure[data-page]").all():
            figure.scroll_into_view_if_needed()
            expect(figure).to_have_class(re.compile("seen"))
        if card.locator("[name=reviewed]").count():
            card.locator("[name=reviewed]").check()
        if card.get_by_label("User name").count():
            card.get_by_label("User name").fill(who.username)
        card.get_by_label("Password").fill(PASSWORD)
        card.get_by_label("One-time code").fill(code or who.code())
        card.locator("[data-sign-button]").click()


def to_the_task(who: Visitor, number: str) -> None:
    """From the desk to what waits there."""
    who.page.goto("/")
    who.page.get_by_role("link", name=re.compile(rf"\b{number}\b")).first.click()
    who.page.wait_for_load_state("load")


# The document ----------------------------------------------------------------------------------------------------------


def an_author_writes_and_submits(story: Story) -> str:
    with story.as_("author") as author:
        page = author.page
        page.goto("/documents/new/?type=URS")
        page.locator("main").get_by_label("Title", exact=True).fill(TITLE)
        page.locator("main").get_by_label("System").fill("Archive of sequencing runs")
        page.get_by_role("button", name="Create and edit").click()
        page.wait_for_url("**/edit/")
        number = page.url.split("/")[-3]
        for text in page.locator("textarea[name=text]").all():
            text.fill(content.filled(text.input_value()))
        page.get_by_label("What you changed").fill("First issue")
        page.locator("[data-save]").click()
        expect(page.locator("[data-editor-status]")).to_contain_text("Saved as revision")
        page.get_by_role("link", name="Submit for review").click()
        page.get_by_label("What changed, and why").fill("First issue for review")
        page.get_by_role("group", name="Reviewers").get_by_label(re.compile("Maja Ruiz")).check()
        page.get_by_role("group", name="Approvers").get_by_label(re.compile("Chidi Okafor")).check()
        page.get_by_role("button", name="Submit version 1").click()
        expect(page.locator("main")).to_contain_text(re.compile("in review", re.IGNORECASE))
    return number


def a_reviewer_signs_after_a_wrong_code(story: Story, number: str) -> None:
    with story.as_("reviewer") as reviewer:
        to_the_task(reviewer, number)
        right = reviewer.code()
        wrong = f"{(int(right) + 1) % 1_000_000:06}"
        story.sign(reviewer, code=wrong)
        expect(reviewer.page.locator("#sign-card [role=alert]")).to_be_visible()
        with on(story.site.database):
            assert not Signature.objects.filter(version__record__number=number).exists()
            refusal = Entry.objects.filter(action=Action.CONFIRMATION_REFUSED).latest("id")
            assert refusal.actor_name == "Maja Ruiz"
        # The refused answer of the form is a 4xx that htmx puts into the page: heard, and expected.
        reviewer.complaints.clear()
        to_the_task(reviewer, number)
        story.sign(reviewer)
        reviewer.page.wait_for_url("**/signatures/**")
        expect(reviewer.page.locator("main")).to_contain_text("Maja Ruiz")


def an_approver_makes_it_effective(story: Story, number: str) -> None:
    with story.as_("approver") as approver:
        to_the_task(approver, number)
        story.sign(approver)
        approver.page.wait_for_url("**/signatures/**")
        approver.page.goto(f"/documents/{number}/")
        expect(approver.page.locator("main .head")).to_contain_text("Effective")


def its_issued_copy_says_who_signed(story: Story, number: str, folder: Path) -> None:
    """Read by another program: names, times, meanings and the hash stand on it (21 CFR 11.50)."""
    with story.as_("inspector") as inspector:
        inspector.page.goto(f"/documents/{number}/")
        file = inspector.context.request.get(f"/documents/{number}/v1/issued.pdf")
        assert file.ok, file.status
        path = folder / "issued.pdf"
        path.write_bytes(file.body())
    text = subprocess.run(["pdftotext", "-layout", path, "-"], capture_output=True, text=True, check=True).stdout
    with on(story.site.database):
        version = Version.objects.get(record__number=number)
        signatures = list(Signature.objects.filter(version=version))
    assert len(signatures) == 2
    dense = re.sub(r"\s+", "", text)
    for signature in signatures:
        assert signature.printed_name in text
        assert f"{signature.signed_at:%H:%M:%S}" in text
        assert signature.get_meaning_display() in text
    assert version.top_hash in dense


# The data package -------------------------------------------------------------------------------------------------------


def an_operator_is_refused_and_then_registers(story: Story) -> None:
    with story.as_("operator") as operator:
        page = operator.page
        prefix = firm.put_package(1, 3, complete=False)
        look_at(operator, prefix)
        fill_in(operator, {**metadata(1, 3), "study": ""})
        page.get_by_role("button", name="Register version 3").click()
        expect(page.locator("[role=alert]")).to_contain_text("Refused. Nothing was stored")
        failures = page.locator("#check li")
        expect(failures).to_have_count(2)
        told = " ".join(failures.all_inner_texts()).lower()
        assert "qc/report" in told and "study" in told
        with on(story.site.database):
            entry = Entry.objects.filter(action=Action.VERSION_REFUSED).latest("id")
            assert (entry.actor_name, len(entry.detail["failures"])) == ("Tomasz Nowak", 2)
            assert Version.objects.filter(record__number="KRAS-001").count() == 2

        operator.complaints.clear()
        look_at(operator, firm.put_package(1, 3))
        fill_in(operator, metadata(1, 3))
        page.get_by_label("Why this version").fill("The report was made again")
        page.get_by_role("button", name="Register version 3").click()
        page.wait_for_url(lambda url: "/jobs/" in url or "/v3/" in url)
        story.wait_for_the_worker(
            operator, lambda: Version.objects.filter(record__number="KRAS-001", ordinal=3).exists()
        )
        page.goto("/records/KRAS-001/v3/")
        expect(page.locator("main .head")).to_contain_text("Registered")


def look_at(operator: Visitor, prefix: str) -> None:
    page = operator.page
    page.goto(f"/records/KRAS-001/register/?bucket={RECORDS_BUCKET}&prefix={prefix}")
    page.get_by_role("link", name=re.compile("See everything under")).click()
    expect(page.get_by_role("button", name=re.compile("Register version"))).to_be_visible()


def fill_in(operator: Visitor, values: dict[str, object]) -> None:
    for name, value in values.items():
        field = operator.page.locator(f"[name='m-{name}']")
        if field.evaluate("one => one.tagName") == "SELECT":
            field.select_option(str(value))
        else:
            field.fill(str(value))


def an_approver_approves_it(story: Story) -> None:
    with story.as_("approver") as approver:
        approver.page.goto("/records/KRAS-001/v3/")
        approver.page.get_by_role("link", name="Sign", exact=True).click()
        approver.page.wait_for_url("**/sign/**")
        story.sign(approver)
        approver.page.wait_for_url("**/signatures/**")
        approver.page.goto("/records/KRAS-001/v3/")
        expect(approver.page.locator("main .head")).to_contain_text("Approved")


# Who touched it ---------------------------------------------------------------------------------------------------------


def the_worker_pulls_the_trail(story: Story) -> None:
    deliver()
    with story.as_("administrator") as administrator:
        page = administrator.page
        page.goto("/trails/")
        page.get_by_role("link", name="Laboratory").first.click()
        with on(story.site.database):
            before = Entry.objects.filter(action=Action.TRAIL_PULLED).count()
        page.get_by_role("button", name="Pull now").click()
        pulled = Entry.objects.filter(action=Action.TRAIL_PULLED)
        story.wait_for_the_worker(administrator, lambda: pulled.count() > before)


def an_inspector_sees_who_touched_it_and_proves_it_unchanged(story: Story) -> None:
    with story.as_("inspector") as inspector:
        page = inspector.page
        page.goto("/inspection/")
        page.goto("/inspection/KRAS-001/unchanged/?version=3")
        page.get_by_role("button", name=re.compile("Prove it now")).click()
        verdict = page.locator(".verdict .say").first
        expect(verdict).to_contain_text(re.compile("unchanged", re.IGNORECASE), timeout=JOB_SECONDS * 1000)

        page.goto("/records/KRAS-001/audit/?version=3")
        shown = page.locator("main").inner_text()
        for sentence in ("Tomasz Nowak registered KRAS-001", "Chidi Okafor signed KRAS-001", "Ellen Marsh"):
            assert sentence in shown, sentence
        # The bucket is shared by all tests: what another one changes of its settings meanwhile parts the reads into runs.
        runs = re.findall(r" read (?:(\d+) files )?.* through role ", shown)
        assert sum(int(files or 1) for files in runs) >= 15, shown
        assert "CloudTrail · version named in the event" in shown


def test_the_whole_story(site, chromium, tmp_path):
    story = Story(chromium, site)
    number = an_author_writes_and_submits(story)
    a_reviewer_signs_after_a_wrong_code(story, number)
    an_approver_makes_it_effective(story, number)
    its_issued_copy_says_who_signed(story, number, tmp_path)
    an_operator_is_refused_and_then_registers(story)
    an_approver_approves_it(story)
    the_worker_pulls_the_trail(story)
    an_inspector_sees_who_touched_it_and_proves_it_unchanged(story)
    verified = site.manage("verify_version", "KRAS-001", "3", "--json")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    with on(site.database):
        assert chain.walk().fault is None
