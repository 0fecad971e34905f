"""The pages of documents, as people use them."""

import hashlib
import io
import re
from datetime import timedelta

import pikepdf
import pypdfium2
import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from PIL import Image

from accounts.models import Membership
from audit import clock, trail
from audit.actions import Action
from audit.models import Access, Entry
from portal.pages import document_parts as parts
from records import documents, drafts, transitions
from records.models import Buffer, Draft, Record, Version
from storage import worm
from tests import acts, builders
from tests.firm import make_buckets
from validation_docs import transitions as validation_docs


def _png() -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (4, 3), "teal").save(stream, "PNG")
    return stream.getvalue()


PNG = _png()
HOSTILE = "<script>alert(1)</script> <img src=x onerror=alert(2)> [a](javascript:alert(3)) ![b](data:text/html,x)"


@pytest.fixture(autouse=True)
def store(request):
    if "people" in request.fixturenames or "firm" in request.fixturenames:
        request.getfixturevalue("people" if "people" in request.fixturenames else "firm")
        make_buckets()


def approve(people, version: Version, ticking) -> Version:
    acts.sign(people.reviewer, version)
    acts.sign(people.approver, version)
    ticking.next_code()
    return Version.objects.select_related("record", "effectivity").get(pk=version.pk)


def revise(people, record: Record, text: str, ticking, *, message: str = "Revised", approved: bool = True) -> Version:
    """The next version of the record through the verbs: edit, save, submit, sign."""
    draft = Draft.objects.select_related("record__type", "checked_out_by").get(pk=record.pk)
    drafts.check_out(draft, by=people.author)
    section = {"id": "s1", "title": "Purpose", "guidance": "", "text": text}
    draft = drafts.save(draft, [section], by=people.author, message=message, on_top_of=draft.revision)
    version = validation_docs.submit(
        draft, by=people.author, message=message, reviewers=[people.reviewer], approvers=[people.approver]
    )
    return approve(people, version, ticking) if approved else version


def form_of(record: Record, *sections: tuple[str, str, str], on_top_of: int | None = None, **more: str) -> dict:
    ids, titles, texts = zip(*sections, strict=True)
    draft = Draft.objects.get(pk=record.pk)
    return {"id": ids, "title": titles, "text": texts, "on_top_of": on_top_of or draft.revision} | more


# Reading --------------------------------------------------------------------------------------------------------------


def test_the_list_shows_what_each_document_is_now(firm):
    text = firm.client(firm.author).get("/documents/").content.decode()
    shown = dict(re.findall(r'href="/documents/([A-Z]+-\d+)/">\1</a>.*?<span class="pill \w+">([^<]+)<', text, re.S))
    assert shown == {
        "DEF-0001": "Effective",
        "FS-0001": "Draft",
        "SOP-0001": "Effective",
        "URS-0001": "Effective",
        "VP-0001": "In review",
    }


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ("type=URS", ["URS-0001"]),
        ("status=in_review", ["VP-0001"]),
        ("status=draft", ["FS-0001"]),
        ("status=effective", ["DEF-0001", "SOP-0001", "URS-0001"]),
        ("status=superseded", []),
        ("status=retired", []),
        ("text=specification", ["FS-0001"]),
        ("text=vp-0", ["VP-0001"]),
        ("type=nonsense", ["DEF-0001", "FS-0001", "SOP-0001", "URS-0001", "VP-0001"]),
        ("after=SOP-0001", ["URS-0001", "VP-0001"]),
        ("before=SOP-0001", ["DEF-0001", "FS-0001"]),
    ],
)
def test_the_list_is_narrowed_by_type_status_text_and_turned_by_number(firm, query, numbers):
    text = firm.client(firm.author).get(f"/documents/?{query}").content.decode()
    assert re.findall(r'class="num nowrap" href="/documents/([A-Z]+-\d+)/', text) == numbers


@pytest.mark.compliance("11.10(k)")
def test_an_old_day_shows_the_revision_that_was_effective_on_it(people, ticking):
    record = builders.a_record(people)
    revise(people, record, "First.", ticking)
    first_day = clock.now().date()
    ticking.advance(days=30)
    revise(people, record, "Second.", ticking)
    client = people.client(people.inspector)

    def on(day) -> list[str]:
        text = client.get(f"/documents/?on={day:%Y-%m-%d}").content.decode()
        return re.findall(r'href="/documents/URS-0001/v(\d)/">URS-0001', text)

    assert on(first_day - timedelta(days=1)) == []
    assert on(first_day + timedelta(days=3)) == ["1"]
    assert on(first_day + timedelta(days=31)) == ["2"]


def test_a_version_reads_as_it_was_sealed_with_facts_and_signatures(firm):
    text = firm.client(firm.inspector).get("/documents/URS-0001/").content.decode()
    version = firm.version("URS-0001")
    for told in (
        "URS-001 Each record type has a definition",
        version.top_hash,
        version.rendition_sha256,
        "Maja Ruiz",
        "Valid",
    ):
        assert told in text
    assert "Edit" not in re.findall(r"<a class=\"btn[^>]*>.*?</a>", text)
    assert Access.objects.filter(subject_id=str(version.pk), what="view", actor=str(firm.inspector.pk)).exists()


@pytest.mark.compliance("11.10(a)", "§2.9")
def test_sealed_text_that_was_altered_is_not_shown_and_said_to_be(firm, monkeypatch):
    def altered(pin):
        raise worm.Altered("gxp-countersign/x holds other bytes.")

    monkeypatch.setattr(worm, "get", altered)
    text = firm.client(firm.reviewer).get("/documents/URS-0001/").content.decode()
    assert "does not match its seal" in text and "URS-001 Each record type" not in text


def test_a_superseded_version_leads_to_the_effective_one(people, ticking):
    record = builders.a_record(people)
    revise(people, record, "First.", ticking)
    revise(people, record, "Second.", ticking)
    client = people.client(people.scientist)
    old = client.get("/documents/URS-0001/v1/").content.decode()
    assert "This version is superseded" in old and 'href="/documents/URS-0001/v2/">revision 2.0' in old
    assert "Second." in client.get("/documents/URS-0001/").content.decode()


def test_a_newer_version_in_review_does_not_hide_the_effective_one(people, ticking):
    record = builders.a_record(people)
    revise(people, record, "First.", ticking)
    revise(people, record, "Second.", ticking, approved=False)
    text = people.client(people.scientist).get("/documents/URS-0001/").content.decode()
    assert "First." in text and "Second." not in text and "Version 2 is in review." in text


@pytest.mark.compliance("11.10(k)")
def test_the_redline_shows_exactly_the_edited_clause(people, ticking):
    record = builders.a_record(people)
    revise(people, record, "The limit is 10 mg.\n\nThe rest stays.\n", ticking, message="First issue")
    revise(people, record, "The limit is 12 mg.\n\nThe rest stays.\n", ticking, message="Limit raised")
    client = people.client(people.reviewer)
    for mode in ("split", "inline"):
        text = client.get(f"/documents/URS-0001/changes/?from=1&to=2&mode={mode}").content.decode()
        assert re.findall(r"<del>(.*?)</del>", text) == ["10"] and re.findall(r"<ins>(.*?)</ins>", text) == ["12"]
    assert "document.json" in text
    history = client.get("/documents/URS-0001/history/").content.decode()
    assert history.index("First issue") < history.index("Limit raised")


def test_the_tab_of_a_first_version_holds_it_against_the_draft_and_then_against_the_second(people, ticking):
    record = builders.a_record(people)
    revise(people, record, "The limit is 10 mg.\n", ticking, message="First issue")
    client = people.client(people.author)
    client.post("/documents/URS-0001/check-out/")
    client.post(
        "/documents/URS-0001/edit/", form_of(record, ("s1", "Purpose", "The limit is 12 mg."), message="Raised")
    )
    tab = re.search(
        r'href="(/documents/URS-0001/changes/[^"]+)"', client.get("/documents/URS-0001/v1/").content.decode()
    )[1]
    text = client.get(tab).content.decode()
    assert "Nothing to compare" not in text and "Draft, not submitted" in text
    assert re.findall(r"<del>(.*?)</del>", text)[-1:] == ["10"] and re.findall(r"<ins>(.*?)</ins>", text)[-1:] == ["12"]
    revise(people, record, "The limit is 14 mg.\n", ticking, message="Second issue")
    text = client.get(tab).content.decode()
    assert re.findall(r"<del>(.*?)</del>", text)[-1:] == ["10"] and re.findall(r"<ins>(.*?)</ins>", text)[-1:] == ["14"]


@pytest.mark.compliance("11.10(e)", "11.10(k)")
def test_the_draft_history_tells_each_save_and_what_it_changed(people):
    record = builders.a_record(people)
    client = people.client(people.author)
    client.post("/documents/URS-0001/edit/", form_of(record, ("s1", "Purpose", "Because."), message="Reason given"))
    text = client.get("/documents/URS-0001/drafts/?revision=2").content.decode()
    assert "Reason given" in text and re.findall(r"<del>(.*?)</del>", text) == ["Why"]
    assert client.get("/documents/URS-0001/drafts/?revision=9").status_code == 404


def test_the_audit_tells_everything_about_the_record_and_its_versions(firm):
    text = firm.client(firm.inspector).get("/documents/URS-0001/audit/").content.decode()
    for told in (
        "created the document URS-0001",
        "submitted URS-0001 version 1",
        "signed URS-0001 version 1",
        "approved URS-0001 version 1",
    ):
        assert told in text


PAGES = (
    "",
    "v1/",
    "changes/",
    "history/",
    "drafts/",
    "draft/",
    "audit/",
    "v1/issue/",
    "v1/issued.pdf",
    "v1/rendition.pdf",
)


def test_what_belongs_to_another_area_does_not_exist_and_asking_for_it_is_logged(firm):
    client = firm.client(firm.outsider)
    assert "URS-0001" not in client.get("/documents/").content.decode()
    for page in (*PAGES, "edit/", "submit/", "submit/preview.pdf", "images/image-1.png"):
        path = f"/documents/URS-0001/{page}"
        assert client.get(path).status_code == 404, path
        assert Access.objects.filter(what="refused", subject_id=path, actor=str(firm.outsider.pk)).exists(), path
    for page in (
        "edit/",
        "check-out/",
        "take-over/",
        "check-in/",
        "edit/autosave/",
        "edit/preview/",
        "v1/recall/",
        "v1/retire/",
    ):
        assert client.post(f"/documents/URS-0001/{page}").status_code == 404, page


def test_an_administrator_reads_no_content(firm):
    client = firm.client(firm.administrator)
    assert client.get("/documents/URS-0001/").status_code == 404


# Writing --------------------------------------------------------------------------------------------------------------


def test_a_new_document_begins_with_its_starter_content_and_is_checked_out_to_its_author(people):
    client = people.client(people.author)
    answer = client.post(
        "/documents/new/?type=RA", {"title": "Risk assessment", "system": "Portal", "area": people.laboratory.pk}
    )
    assert answer.url == "/documents/RA-0001/edit/"
    text = client.get(answer.url).content.decode()
    assert "places to fill" in text and "<mark>[FILL: process owner]</mark>" in text
    assert "what can go wrong with Portal for" in text and "[FILL: system name]" not in text
    assert Draft.objects.get().checked_out_by == people.author


def test_the_name_of_a_system_is_text_in_the_starter_content(people):
    name = "LIMS <b>*7*</b>\n# [x](javascript:alert(1))"
    asked = {"title": "Risk assessment", "system": name, "area": people.laboratory.pk}
    client = people.client(people.author)
    assert client.post("/documents/new/?type=RA", asked).status_code == 302
    page = client.get("/documents/RA-0001/draft/").content.decode()
    assert "wrong with LIMS &lt;b&gt;*7*&lt;/b&gt; # [x](javascript:alert(1)) for" in page


def test_who_belongs_to_several_areas_chooses_the_one_whose_people_may_read(people):
    client = people.client(people.author)
    page = "/documents/new/?type=URS"
    assert "Choose …" not in client.get(page).content.decode()
    with transaction.atomic():
        Membership.objects.create(user=people.author, area=people.outsider.areas.get())
        trail.record(Action.USER_AREAS_CHANGED, people.author, by=trail.SYSTEM)
    assert "Choose …" in client.get(page).content.decode()
    assert client.post(page, {"title": "URS", "system": "Portal", "area": ""}).status_code == 400


def test_a_new_sop_keeps_its_gate_and_who_must_read_it(people):
    answer = people.client(people.author).post(
        "/documents/new/?type=SOP",
        {"title": "Electronic signatures", "area": people.laboratory.pk, "starter": "e-signatures", "gate": "signing",
         "reading_roles": ["approver", "author"], "reading_days": 7},
    )  # fmt: skip
    assert answer.status_code == 302
    sop = Record.objects.get().sop
    assert (sop.gate, sop.reading_roles, sop.reading_days) == ("signing", ["approver", "author"], 7)


def test_who_may_not_write_is_refused_and_it_is_on_the_trail(people):
    client = people.client(people.reviewer)
    assert client.get("/documents/new/").status_code == 403
    builders.a_record(people)
    assert client.get("/documents/URS-0001/edit/").status_code == 403
    assert Entry.objects.filter(action="request.refused", actor=str(people.reviewer.pk)).count() == 2


def test_autosave_keeps_the_form_and_tells_when_and_what_is_left_to_fill(people):
    record = builders.a_record(people)
    client = people.client(people.author)
    entries = Entry.objects.count()
    told = client.post(
        "/documents/URS-0001/edit/autosave/",
        form_of(record, ("s1", "Purpose", "For [FILL: firm]."), ("n1", "Scope", "All.")),
    ).json()
    assert told["left"] == [1, 0] and re.fullmatch(r"\d\d:\d\d:\d\d", told["saved_at"]) and told["stale"] is False
    assert Entry.objects.count() == entries
    text = client.get("/documents/URS-0001/edit/").content.decode()
    assert "For [FILL: firm]." in text and "not yet saved to the record" in text


def test_a_save_of_an_older_text_is_refused_shows_the_difference_and_loses_nothing(people):
    record = builders.a_record(people)
    client = people.client(people.author)
    client.post("/documents/URS-0001/edit/", form_of(record, ("s1", "Purpose", "From the first tab."), message="one"))
    stale = form_of(record, ("s1", "Purpose", "From the second tab."), on_top_of=1, message="two")
    answer = client.post("/documents/URS-0001/edit/", stale)
    text = answer.content.decode()
    assert answer.status_code == 409 and "saved elsewhere" in text and "From the second tab." in text
    assert re.findall(r"<del>(.*?)</del>", text) == ["first"]
    assert Draft.objects.get().sections[0]["text"] == "From the first tab."
    seen = int(re.search(r'name="on_top_of" value="(\d+)"', text)[1])
    client.post("/documents/URS-0001/edit/", stale | {"on_top_of": seen})
    assert Draft.objects.get().sections[0]["text"] == "From the second tab."


def test_sections_are_added_moved_and_removed_without_losing_what_was_typed(people):
    record = builders.a_record(people)
    client = people.client(people.author)

    def arrange(what: str, *sections) -> list[str]:
        answer = client.post("/documents/URS-0001/edit/", form_of(record, *sections, arrange=what))
        assert answer.status_code == 302, answer.content.decode()
        return [(each["id"], each["text"]) for each in Buffer.objects.get().sections]

    one, two = ("s1", "Purpose", "Typed."), ("s2", "Scope", "Typed too.")
    assert arrange("add:1", one, two) == [("s1", "Typed."), ("n1", ""), ("s2", "Typed too.")]
    assert arrange("down:1", one, two) == [("s2", "Typed too."), ("s1", "Typed.")]
    assert arrange("up:1", one, two) == [("s1", "Typed."), ("s2", "Typed too.")]
    assert arrange("remove:1", one, two) == [("s2", "Typed too.")]
    for wrong in ("remove:3", "up:0", "burn:1", "add:x"):
        assert client.post("/documents/URS-0001/edit/", form_of(record, one, two, arrange=wrong)).status_code == 404
    last = client.post("/documents/URS-0001/edit/", form_of(record, one, arrange="remove:1"))
    assert last.status_code == 409 and "Typed." in last.content.decode()


def test_whoever_lost_the_draft_sees_their_text_and_who_has_it(people):
    from accounts.transitions import set_roles

    record = builders.a_record(people)
    set_roles(people.reviewer, ["author", "reviewer"], by=people.administrator, reason="Writes as well from now on")
    mine, theirs = people.client(people.author), people.client(people.reviewer)
    assert "reason" in theirs.get("/documents/URS-0001/edit/").content.decode()
    theirs.post("/documents/URS-0001/take-over/", {"reason": "Ana is on leave until Monday."})
    form = form_of(record, ("s1", "Purpose", "My unsaved words."))
    answer = mine.post("/documents/URS-0001/edit/", form)
    assert answer.status_code == 409 and "My unsaved words." in answer.content.decode()
    assert mine.post("/documents/URS-0001/edit/autosave/", form).status_code == 409


def test_a_picture_is_taken_shown_and_sealed_with_the_version_that_shows_it(people, ticking):
    from django.core.files.uploadedfile import SimpleUploadedFile

    record = builders.a_record(people)
    client = people.client(people.author)
    sent = {"image": SimpleUploadedFile('../"><script>.png', PNG, "image/png")}
    told = client.post("/documents/URS-0001/edit/images/", sent).json()
    assert told == {"markdown": "![image-1.png](attachment:image-1.png)"}
    shown = client.get("/documents/URS-0001/images/image-1.png")
    assert (shown["Content-Type"], shown["X-Content-Type-Options"], shown.content) == ("image/png", "nosniff", PNG)
    preview = client.post("/documents/URS-0001/edit/preview/", {"text": told["markdown"]}).content.decode()
    assert '<img src="/documents/URS-0001/images/image-1.png"' in preview
    version = revise(people, record, told["markdown"], ticking, approved=False)
    file = version.files.get(logical_key="images/image-1.png")
    assert file.sha256 == hashlib.sha256(PNG).hexdigest()


def test_nothing_hostile_in_title_or_text_is_executable_on_any_page(people, ticking):
    client = people.client(people.author)
    client.post("/documents/new/?type=URS", {"title": HOSTILE, "system": HOSTILE, "area": people.laboratory.pk})
    record = Record.objects.get()
    client.post("/documents/URS-0001/edit/", form_of(record, ('"><script>', HOSTILE, HOSTILE), message=HOSTILE))
    draft = Draft.objects.select_related("record__type", "checked_out_by").get()
    validation_docs.submit(draft, by=people.author, message=HOSTILE, reviewers=[], approvers=[people.approver])
    for page in (
        "",
        "?as=pages",
        "draft/",
        "changes/?from=1&to=draft",
        "history/",
        "drafts/?revision=2",
        "audit/",
        "edit/",
        "submit/",
    ):
        text = client.get(f"/documents/URS-0001/{page}").content.decode()
        assert "<script>alert" not in text and "<img src=x" not in text.lower() and 'href="javascript' not in text, page
    assert "<script>alert" not in client.get("/documents/").content.decode()
    assert "<script" not in client.post("/documents/URS-0001/edit/preview/", {"text": HOSTILE}).content.decode()


# Submission -----------------------------------------------------------------------------------------------------------


def test_submission_lists_everything_that_is_wrong_at_once(people):
    record = builders.a_record(people)
    draft = Draft.objects.get()
    sections = [
        {"id": "s1", "title": "Purpose", "guidance": "", "text": "[FILL: firm]"},
        {"id": "s2", "title": "Scope", "guidance": "", "text": ""},
    ]
    drafts.save(draft, sections, by=people.author, message="", on_top_of=1)
    drafts.keep(draft, sections[:1], by=people.author, on_top_of=2)
    yesterday = (clock.now() - timedelta(days=1)).date()
    answer = people.client(people.author).post(
        "/documents/URS-0001/submit/",
        {"message": "", "reviewers": [people.approver.pk], "due_on": yesterday, "effective_on": yesterday},
    )
    text = answer.content.decode()
    assert answer.status_code == 409
    for told in (
        "Purpose (1)",
        "empty sections: Scope",
        "not saved",
        "This field is required",
        "at least one approver",
        "This day is over",
    ):
        assert told in text, told
    assert not record.versions.exists()


def test_nobody_who_wrote_it_and_nobody_of_another_area_is_offered_as_a_signer(people):
    builders.a_record(people)
    text = people.client(people.author).get("/documents/URS-0001/submit/").content.decode()
    offered = set(re.findall(r'name="(?:reviewers|approvers)" value="([^"]+)"', text))
    assert offered == {str(user.pk) for user in (people.reviewer, people.approver, people.approver2)}


def test_one_writer_is_not_called_them(people):
    builders.a_record(people)
    text = people.client(people.author).get("/documents/URS-0001/submit/").content.decode()
    assert "Ana Lindqvist. Who wrote it cannot sign it." in text and "None of them" not in text


def test_one_person_is_not_asked_to_review_and_to_approve(people):
    builders.a_record(people)
    form = {"message": "First issue", "reviewers": [people.approver.pk], "approvers": [people.approver.pk]}
    answer = people.client(people.author).post("/documents/URS-0001/submit/", form)
    assert answer.status_code == 400 and "signs once" in answer.content.decode()


def test_a_submitted_version_carries_its_dates_and_waits_for_its_signers(people, ticking):
    builders.a_record(people)
    day = (clock.now() + timedelta(days=20)).date()
    answer = people.client(people.author).post(
        "/documents/URS-0001/submit/",
        {"message": "First issue", "reviewers": [people.reviewer.pk], "approvers": [people.approver.pk],
         "due_on": day - timedelta(days=10), "effective_on": day},
    )  # fmt: skip
    assert answer.url == "/documents/URS-0001/v1/"
    version = Version.objects.get()
    assert documents.effective_from(version).isoformat() == f"{day}T00:00:00+00:00"
    assert {step.due_at.date() for step in version.steps.all()} == {day - timedelta(days=10)}
    version = approve(people, version, ticking)
    assert version.status_at(clock.now()) == "scheduled"


def test_the_preview_is_a_draft_and_is_not_kept(people):
    record = builders.a_record(people)
    answer = people.client(people.author).get("/documents/URS-0001/submit/preview.pdf")
    assert "DRAFT · NOT FOR USE" in words(answer.content) and "Why." in words(answer.content)
    assert not record.versions.exists()


# Copies ---------------------------------------------------------------------------------------------------------------


def words(pdf: bytes) -> str:
    document = pypdfium2.PdfDocument(pdf)
    return "\n".join(page.get_textpage().get_text_range() for page in document)


def issued(client, version: Version, **asked: str) -> str:
    answer = client.get(f"{version.get_absolute_url()}issued.pdf", asked)
    assert answer["Content-Type"] == "application/pdf", answer
    return words(answer.content)


def test_an_issued_copy_says_the_state_at_its_time_on_every_page(people, ticking):
    record = builders.a_record(people)
    client = people.client(people.inspector)
    first = revise(people, record, "First.", ticking, approved=False)
    assert "IN REVIEW" in issued(client, first)
    first = approve(people, first, ticking)
    assert "EFFECTIVE · UNCONTROLLED WHEN PRINTED" in issued(client, first)
    second = revise(people, record, "Second.", ticking)
    assert "SUPERSEDED BY 2.0" in issued(client, first, purpose="Question of an inspector")
    acts.retire(people.approver, second, "Replaced by the new system.")
    assert "RETIRED · UNCONTROLLED" in issued(client, second, purpose="Question of an inspector")
    third = revise(people, record, "Third.", ticking, approved=False)
    transitions.recall(third, by=people.author, reason="Submitted with the wrong annex.")
    assert "RECALLED · UNCONTROLLED" in issued(client, third, purpose="Question of an inspector")


def test_the_watermark_of_a_scheduled_version_names_its_day(people, ticking):
    version = builders.a_document_in_review(people, effective_on=acts.in_days(12))
    version = approve(people, version, ticking)
    day = version.effectivity.during.lower
    told = parts.watermark(version, version.status_at(clock.now()), None)[0]
    assert told == f"APPROVED, EFFECTIVE FROM {day:%d %b %Y}".upper()


def test_a_document_whose_approval_is_void_says_so_on_its_pages_and_copies(people, ticking):
    version = approve(people, builders.a_document_in_review(people), ticking)
    acts.lose_the_approval(people, version, ticking)
    client = people.client(people.inspector)
    for page in ("/documents/", "/documents/URS-0001/", "/documents/URS-0001/history/"):
        assert "Approval void" in client.get(page).content.decode(), page
    assert "EFFECTIVE, APPROVAL VOID" in issued(client, version)


@pytest.mark.compliance("11.10(b)", "11.50(b)", "S4")
def test_an_issued_copy_carries_the_signatures_and_the_sealed_rendition_itself(firm):
    version = firm.version("URS-0001")
    answer = firm.client(firm.inspector).get("/documents/URS-0001/v1/issued.pdf")
    text = words(answer.content)
    for told in (
        "Maja Ruiz",
        "Chidi Okafor",
        "Approval",
        "Valid: seal, statement and version agree.",
        "printed by Ellen Marsh",
    ):
        assert told in text, told
    assert version.top_hash in re.sub(r"\s", "", text)
    with pikepdf.open(io.BytesIO(answer.content)) as copy:
        enclosed = copy.attachments["rendition.pdf"].get_file().read_bytes()
    assert hashlib.sha256(enclosed).hexdigest() == version.rendition_sha256
    sealed = firm.client(firm.inspector).get("/documents/URS-0001/v1/rendition.pdf")
    assert sealed.content == enclosed
    logged = Access.objects.get(what="export", subject_id=str(version.pk), detail__as="issued copy")
    assert logged.detail["copy"] in text and logged.actor_name == "Ellen Marsh"


def test_a_version_that_was_never_effective_says_who_ended_it_and_why_and_its_copy_is_called_so(people):
    recalled, rejected = (builders.a_document_in_review(people, text=f"Text {number}") for number in range(2))
    transitions.recall(recalled, by=people.author, reason="A figure is missing in it.")
    acts.sign(people.reviewer, rejected, meaning="rejection", reason="Requirement 3 cannot be tested.")
    client = people.client(people.author)
    for version, who, why in (
        (recalled, people.author, "A figure is missing in it."),
        (rejected, people.reviewer, "Requirement 3 cannot be tested."),
    ):
        page = client.get(version.get_absolute_url()).content.decode()
        banner = re.search(r'<div class="message bad banner".*?</div>', page, re.DOTALL)
        assert who.legal_name in banner[0] and why in banner[0] and "<time" in banner[0]
        assert "Copy, never effective" in page and "Obsolete copy" not in page
        assert b"a version that was never effective" in client.get(f"{version.get_absolute_url()}issue/").content


def test_an_obsolete_version_is_handed_out_for_a_stated_purpose_only(people, ticking):
    record = builders.a_record(people)
    first = revise(people, record, "First.", ticking)
    revise(people, record, "Second.", ticking)
    client = people.client(people.scientist)
    for name, asked in (("issued", ""), ("rendition", "what=rendition&")):
        answer = client.get(f"/documents/URS-0001/v1/{name}.pdf")
        assert answer.url == f"/documents/URS-0001/v1/issue/?{asked}purpose="
    assert "What is this copy for?" in client.get("/documents/URS-0001/v1/issue/").content.decode()
    assert client.get("/documents/URS-0001/v1/issue/?purpose=x").content.decode().count("at least 5") >= 1
    assert "Comparison with run 2217" in issued(client, first, purpose="Comparison with run 2217")
    logged = Access.objects.get(what="export", subject_id=str(first.pk))
    assert (logged.detail["purpose"], logged.detail["status"]) == ("Comparison with run 2217", "superseded")


# Cost -----------------------------------------------------------------------------------------------------------------


def queries(client, path: str) -> int:
    client.get(path)
    with CaptureQueriesContext(
        connection,
    ) as captured:
        assert client.get(path).status_code == 200
    return len(captured)


def test_the_list_costs_the_same_however_many_documents_it_shows(people, ticking):
    client = people.client(people.author)
    for _ in range(2):
        builders.a_document_in_review(people)
    few = queries(client, "/documents/"), queries(client, "/documents/?on=2030-01-01")
    for _ in range(12):
        builders.a_document_in_review(people, effective_on=acts.in_days(4))
    assert (queries(client, "/documents/"), queries(client, "/documents/?on=2030-01-01")) == few


def test_a_documents_pages_cost_the_same_however_many_versions_it_has(people, ticking):
    record = builders.a_record(people)
    client = people.client(people.inspector)
    pages = [
        f"/documents/URS-0001/{page}" for page in ("", "history/", "audit/", "drafts/", "changes/?from=1&to=draft")
    ]
    revise(people, record, "First.", ticking)
    few = [queries(client, page) for page in pages]
    for text in ("Second.", "Third.", "Fourth."):
        revise(people, record, text, ticking)
    assert [queries(client, page) for page in pages] == few
