"""The signing page, the dialog and the page of a signature, as a browser and an outside checker meet them."""

import json
import re
import subprocess
import threading
from datetime import UTC, datetime

import pytest
from django.db import connection, connections
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import Sitting
from audit.actions import Action
from audit.models import Access, Entry
from records.models import Version
from signatures.models import Intent, Opened, Signature, Step
from signatures.requests import Asked
from tests import acts, builders
from tests.cast import PASSWORD


@pytest.mark.compliance("§2.10")
@pytest.mark.parametrize(
    ("day", "said"),
    [(17, 'Planned to take effect <time datetime="2031-05-17'), (None, "Takes effect when it is approved.")],
)
def test_compliance_the_signer_sees_when_the_version_takes_effect(people, day, said):
    planned = datetime(2031, 5, day, tzinfo=UTC) if day else None
    version = builders.a_version(
        builders.a_record(people), by=people.author, route=[Asked(1, "approval", "approver")], effective_on=planned
    )
    step = Step.objects.get(version=version)
    assert said in text(people.client(people.approver).get(f"/sign/{step.pk}/"))


class Reader:
    """Somebody at the signing page of their step."""

    def __init__(self, people, user, version: Version) -> None:
        self.people, self.user, self.version = people, user, version
        self.client = people.client(user)
        self.step = Step.objects.awaiting(user).filter(version=version).first() or version.steps.first()
        self.url = f"/sign/{self.step.pk}/"

    def read(self, *pages: int) -> None:
        for page in pages or range(1, self.version.rendition_pages + 1):
            answer = self.client.get(f"/sign/pages/{self.version.pk}/{page}.png")
            assert answer.status_code == 200
            assert b"".join(answer.streaming_content).startswith(b"\x89PNG")

    def open(self) -> Intent:
        assert self.client.post(f"{self.url}open/").status_code == 302
        return Intent.objects.order_by("-expires_at").first()

    def post(self, intent: Intent, **typed):
        fields = {
            "intent": intent.pk, "meaning": self.step.meaning, "username": self.user.username, "password": PASSWORD,
            "code": self.people.code(self.user),
        }  # fmt: skip
        htmx = {"HTTP_HX_REQUEST": "true"} if typed.pop("htmx", False) else {}
        return self.client.post(self.url, {**fields, **typed}, **htmx)

    def sign(self) -> Signature:
        self.read()
        answer = self.post(self.open())
        assert answer.status_code == 302, answer.content.decode()
        return Signature.objects.get(signer=self.user, version=self.version)


def text(answer) -> str:
    return re.sub(r"\s+", " ", answer.content.decode())


@pytest.fixture
def version(people) -> Version:
    return builders.a_document_in_review(people)


@pytest.fixture
def reader(people, version) -> Reader:
    return Reader(people, people.reviewer, version)


def test_a_page_view_makes_no_intent_and_the_button_makes_one(reader):
    page = reader.client.get(reader.url)
    assert "Open the sign dialog" in text(page)
    assert 'name="password"' not in text(page)
    assert not Intent.objects.exists()
    intent = reader.open()
    assert (intent.meanings, intent.top_hash) == (["review", "rejection"], reader.version.top_hash)
    assert str(intent.pk) in text(reader.client.get(reader.url))


def test_the_dialog_says_which_page_is_to_be_opened_before_its_button(reader):
    reader.open()
    reader.read(1)
    page = text(reader.client.get(reader.url))
    assert page.index("Open page 2 first.") < page.index("data-sign-button aria")
    reader.read()
    assert "2 of 2 pages opened" in text(reader.client.get(reader.url))


@pytest.mark.compliance("§2.1", "11.200(a)(1)(i)")
def test_row_1_the_user_name_field_is_empty_at_the_first_signing_and_gone_at_the_second(people, reader, ticking):
    reader.open()
    field = re.search(r"<input[^>]*name=\"username\"[^>]*>", text(reader.client.get(reader.url)))
    assert field and "value" not in field[0]
    reader.sign()
    ticking.next_code()
    reader.version = builders.a_document_in_review(people)
    reader.step = Step.objects.awaiting(people.reviewer).get()
    reader.url = reader.step.get_absolute_url()
    reader.read()
    intent = reader.open()
    assert 'name="username"' not in text(reader.client.get(reader.url))
    assert reader.post(intent, username="").status_code == 302
    assert Signature.objects.count() == 2


@pytest.mark.compliance("§2.10")
def test_row_10_serving_a_page_image_notes_it_and_the_first_one_is_a_view_in_the_reading_log(reader):
    reader.read(2)
    reader.read(1, 2)
    opened = Opened.objects.filter(rendition_sha256=reader.version.rendition_sha256)
    assert sorted(opened.values_list("page", flat=True)) == [1, 2]
    assert {row.sitting.user for row in opened} == {reader.user}
    assert Access.objects.filter(what="view", subject_id=str(reader.version.pk)).count() == 1


def test_page_images_are_kept_by_no_browser_and_shown_only_to_who_may_see_the_version(people, reader):
    url = f"/sign/pages/{reader.version.pk}/1.png"
    assert reader.client.get(url)["Cache-Control"] == "private, no-store"
    assert people.client(people.outsider).get(url).status_code == 404
    assert reader.client.get(url.replace("/1.png", "/9.png")).status_code == 404
    assert Client().get(url).status_code == 302
    assert Opened.objects.count() == 1


def test_two_readers_who_ask_for_the_same_page_at_once_both_get_it(people, reader):
    url = f"/sign/pages/{reader.version.pk}/1.png"
    browsers = [people.client(person) for person in (people.reviewer, people.approver, people.inspector, people.author)]
    statuses: list[int] = []
    gate = threading.Barrier(len(browsers))

    def get(browser: Client) -> None:
        gate.wait()
        try:
            statuses.append(browser.get(url).status_code)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=get, args=[browser]) for browser in browsers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 4


def test_a_missing_page_is_named_and_costs_neither_code_nor_dialog(reader):
    reader.read(2)
    intent = reader.open()
    refused = reader.post(intent)
    assert refused.status_code == 409
    assert "Not opened in this sitting: page 1 of 2." in text(refused)
    reader.read(1)
    assert reader.post(intent).status_code == 302


@pytest.mark.compliance("§2.3")
def test_row_3_twenty_parallel_posts_of_the_form_give_exactly_one_signature(people, reader):
    reader.read()
    intent, code = reader.open(), people.code(reader.user)
    browsers = [Client(raise_request_exception=False) for _ in range(20)]
    statuses: list[int] = []
    gate = threading.Barrier(len(browsers))

    def post(browser: Client) -> None:
        browser.cookies = reader.client.cookies
        fields = {"intent": intent.pk, "meaning": "review", "username": "reviewer", "password": PASSWORD, "code": code}
        gate.wait()
        try:
            statuses.append(browser.post(reader.url, fields).status_code)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=post, args=[browser]) for browser in browsers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Signature.objects.count() == 1
    assert statuses.count(302) == 1
    assert set(statuses) <= {302, 403, 409}


def test_a_wrong_code_keeps_the_dialog_and_says_so_and_is_on_the_trail(reader):
    reader.read()
    intent = reader.open()
    refused = reader.post(intent, code="123456")
    assert refused.status_code == 403
    assert "do not fit together" in text(refused)
    assert str(intent.pk) in text(refused)
    assert PASSWORD not in text(refused)
    assert Entry.objects.filter(action=Action.CONFIRMATION_REFUSED, subject_id=str(reader.version.pk)).count() == 1
    assert reader.post(intent).status_code == 302


def test_a_reused_code_shows_when_the_next_one_comes(people, reader):
    reader.sign()
    again = Reader(people, people.reviewer, builders.a_document_in_review(people))
    again.read()
    refused = again.post(again.open())
    assert refused.status_code == 403
    assert "data-countdown" in text(refused).split("One-time code")[0]


def test_an_expired_dialog_offers_to_be_opened_again(reader, ticking):
    reader.read()
    intent = reader.open()
    ticking.advance(seconds=121)
    refused = reader.post(intent, htmx=True)
    assert refused.status_code == 409
    assert "nothing was signed" in text(refused)
    assert "Open the sign dialog again" in text(refused)
    assert reader.post(reader.open()).status_code == 302


def test_htmx_gets_the_dialog_alone_and_is_sent_on_after_signing(reader):
    reader.read()
    card = reader.client.post(f"{reader.url}open/", HTTP_HX_REQUEST="true")
    assert text(card).strip().startswith("<section") and 'id="sign-card"' in text(card)
    signed = reader.post(Intent.objects.get(), htmx=True)
    signature = Signature.objects.get()
    assert signed["HX-Redirect"] == f"/signatures/{signature.pk}/?signed"


def test_after_signing_the_page_says_so_and_leads_to_what_waits_next(people, reader):
    other = builders.a_document_in_review(people)
    signature = reader.sign()
    page = text(reader.client.get(f"/signatures/{signature.pk}/?signed"))
    assert "You signed URS-0001 version 1: review." in page
    assert f"/sign/{other.steps.get(assignee=people.reviewer).pk}/" in page
    assert reader.client.get(reader.url)["Location"] == f"/signatures/{signature.pk}/"


@pytest.mark.compliance("§2.15", "S3")
def test_row_15_a_rejection_without_a_reason_is_refused_and_keeps_what_was_chosen(reader):
    reader.read()
    intent = reader.open()
    refused = reader.post(intent, meaning="rejection", reason="no")
    assert refused.status_code == 400
    assert "needs a reason" in text(refused)
    assert re.search(r'value="rejection" checked', text(refused))
    assert reader.post(intent, meaning="rejection", reason="Requirement 3 cannot be tested.").status_code == 302
    assert Version.objects.get(pk=reader.version.pk).state == "rejected"


def test_row_15_a_reason_typed_for_a_rejection_is_not_sealed_into_a_review(reader):
    reader.read()
    assert reader.post(reader.open(), meaning="review", reason="Requirement 3 cannot be tested.").status_code == 302
    signature = Signature.objects.get(signer=reader.user, version=reader.version)
    assert signature.reason == "" and "Requirement 3" not in bytes(signature.statement).decode()


def test_a_meaning_that_is_not_offered_is_bad_input(reader):
    reader.read()
    assert reader.post(reader.open(), meaning="approval").status_code == 400
    assert reader.post(reader.open(), meaning="").status_code == 400
    assert not Signature.objects.exists()


def test_who_is_not_asked_sees_why_and_cannot_open_the_dialog(people, reader):
    author = people.client(people.author)
    assert "somebody else signs it" in text(author.get(reader.url))
    assert author.post(f"{reader.url}open/").status_code == 409
    approver = Reader(people, people.approver, reader.version)
    approver.url = f"/sign/{reader.version.steps.get(meaning='approval').pk}/"
    assert "not this step&#x27;s turn" in text(approver.client.get(approver.url))
    assert "asked of Maja Ruiz" in text(approver.client.get(reader.url))
    assert people.client(people.outsider).get(reader.url).status_code == 404
    assert not Intent.objects.exists()


@pytest.mark.compliance("§2.22")
def test_compliance_a_bearer_token_signs_nothing_and_neither_does_a_session_without_a_sitting(people, reader):
    intent = reader.open()
    fields = {"intent": intent.pk, "meaning": "review", "password": PASSWORD, "code": people.code(reader.user)}
    urls = (reader.url, f"{reader.url}open/", "/sign/list/", "/sign/list/open/")
    for browser in (Client(enforce_csrf_checks=True), reader.client):  # with and without somebody logged in
        for url in urls:
            answer = browser.post(url, fields, headers={"Authorization": "Bearer abc"})
            assert answer.status_code == 403, url
    told = Entry.objects.filter(action=Action.SIGNATURE_REFUSED, detail__why="token")
    assert [entry.actor_name for entry in told.order_by("id")] == ["Somebody not logged in"] * 4 + ["Maja Ruiz"] * 4
    assert Client().post(reader.url, fields)["Location"].startswith("/login/")
    Sitting.objects.update(ended_at="2020-01-01T00:00:00Z")
    assert reader.post(intent)["Location"].startswith("/login/")
    assert not Signature.objects.exists()


def test_a_signing_without_the_csrf_token_is_refused(people, reader):
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = reader.client.cookies
    assert strict.post(f"{reader.url}open/").status_code == 403


def test_the_changes_since_the_last_approval_are_a_redline(people, version, ticking):
    acts.sign(people.reviewer, version)
    acts.sign(people.approver, version)
    later = builders.a_document_in_review(people, record=version.record, text="The system shall keep all records.")
    ticking.next_code()
    reader = Reader(people, people.reviewer, later)
    page = text(reader.client.get(f"{reader.url}?show=changes"))
    assert "Changes since 1.0" in page
    assert re.search(r"<ins>all ?</ins>", page)
    audit = text(reader.client.get(f"{reader.url}?show=audit"))
    assert "Since URS-0001 1.0 was approved" in audit
    assert "Ana Lindqvist submitted URS-0001 version 2" in audit


def test_the_changes_of_a_data_package_are_its_files_and_metadata(people, ticking):
    first = builders.a_package(people)
    acts.sign(people.approver, first)
    later = builders.a_package(people, record=first.record, text="Run 2")
    reader = Reader(people, people.approver2, later)
    page = text(reader.client.get(f"{reader.url}?show=changes"))
    assert "README.md" in page and "Run 2" in page


def test_a_first_version_has_nothing_to_compare_with(reader):
    assert "No version of this record was approved before" in text(reader.client.get(f"{reader.url}?show=changes"))


@pytest.mark.compliance("§2.7", "11.50(b)", "S4")
def test_the_audit_tab_of_a_first_version_claims_no_approval_and_counts_what_there_is(reader):
    page = text(reader.client.get(f"{reader.url}?show=audit"))
    assert "since last approval" not in page and "Audit since the beginning" in page
    assert "newest 200" not in page and "Every entry about this version and its record." in page


def test_row_7_the_card_carries_name_time_with_offset_and_meaning(people, reader):
    signature = reader.sign()
    page = text(reader.client.get(f"/signatures/{signature.pk}/"))
    assert "Maja Ruiz" in page
    assert re.search(r"\d{1,2} \w{3} \d{4} \d\d:\d\d:\d\d\.\d{3} UTC", page)
    assert "Review" in page and "I have reviewed this version" in page
    assert signature.top_hash in page
    assert "Valid: it is what was signed." in page


@pytest.mark.compliance("11.50(a)(1)", "§2.20")
def test_a_signature_keeps_the_printed_name_of_its_time(people, reader):
    from django.db import transaction

    from audit import trail

    signature = reader.sign()
    with transaction.atomic():
        reader.user.legal_name = "Maja Ruiz-Hansen"
        reader.user.save()
        trail.record(Action.USER_CHANGED, reader.user, by=people.administrator, reason="Married")
    page = text(reader.client.get(f"/signatures/{signature.pk}/"))
    assert "Valid: it is what was signed." in page
    assert '<span class="name">Maja Ruiz</span>' in page


def test_a_signature_is_shown_to_who_may_see_its_version_and_the_key_to_everybody(people, reader):
    signature = reader.sign()
    for path in ("", "statement.json", "signature.der"):
        assert people.client(people.outsider).get(f"/signatures/{signature.pk}/{path}").status_code == 404
        assert people.client(people.inspector).get(f"/signatures/{signature.pk}/{path}").status_code == 200
    assert Access.objects.filter(what="export", actor=str(people.inspector.pk)).count() == 2
    assert Client().get(f"/keys/{signature.key_id}.pem").status_code == 200
    assert Client().get(f"/keys/{'0' * 64}.pem").status_code == 404


@pytest.mark.compliance("11.30", "11.70")
def test_what_the_page_gives_verifies_with_openssl_and_one_changed_byte_does_not(reader, tmp_path):
    signature = reader.sign()
    page = reader.client.get(f"/signatures/{signature.pk}/").content.decode()
    command = ["sh", "-c", re.search(r"openssl dgst[^<]*", page)[0]]
    for path in (f"/signatures/{signature.pk}/statement.json", f"/signatures/{signature.pk}/signature.der",
                 f"/keys/{signature.key_id}.pem"):  # fmt: skip
        answer = reader.client.get(path)
        name = re.search(r'filename="([^"]+)"', answer["Content-Disposition"])[1]
        (tmp_path / name).write_bytes(answer.content)
    checked = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (checked.returncode, checked.stdout.strip()) == (0, "Verified OK")
    statement = next(tmp_path.glob("statement-*.json"))
    said = json.loads(statement.read_bytes())
    assert (said["printed_name"], said["meaning"], said["record"]) == ("Maja Ruiz", "review", "URS-0001")
    raw = bytearray(statement.read_bytes())
    raw[len(raw) // 2] ^= 1
    statement.write_bytes(raw)
    altered = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert altered.returncode != 0
    assert "Verified OK" not in altered.stdout


def test_the_demo_shows_the_signer_their_own_live_code(reader, settings):
    settings.DEMO = True
    reader.open()
    assert 'hx-get="/account/code/"' in text(reader.client.get(reader.url))
    settings.DEMO = False
    assert 'hx-get="/account/code/"' not in text(reader.client.get(reader.url))


def test_the_signing_page_takes_a_constant_number_of_queries(people):
    counts = []
    for pages in (2, 12):
        version = builders.a_document_in_review(
            people, pages=pages, reviewers=[people.reviewer, people.approver2][: pages // 5 or 1]
        )
        reader = Reader(people, people.reviewer, version)
        reader.client.get(reader.url)
        with CaptureQueriesContext(
            connection,
        ) as queries:
            reader.client.get(reader.url)
        counts.append(len(queries))
    assert counts[0] == counts[1]
