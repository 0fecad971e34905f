"""The four questions of an inspection: at most four clicks each, and answers that say what they rest on and what nobody can say."""

import hashlib
import io
import re
import subprocess
from datetime import timedelta
from html import unescape

import pikepdf
import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from accounts.models import Qualification
from audit import clock, trail
from audit.actions import Action
from audit.models import Access, Entry
from jobs import queue
from jobs.models import Job
from portal import chain_walk, evidence
from portal.pages import timeline
from tests import acts
from tests.conftest import superuser
from tests.portal.test_audit_view import asked, hand, pdf_text, read

PARTS = ("Evidence", "How we know", "Limits: what we cannot say", "Export")


@pytest.fixture
def inspector(firm):
    return firm.client(firm.inspector)


def body(response):
    assert response.status_code == 200, response.status_code
    return unescape(response.content.decode())


def work():
    """Do what waits, as a worker would."""
    for job in Job.objects.filter(state="queued"):
        queue.run(job.pk)


def ask(client, number, question):
    """One click on the landing page, and the page that it leads to."""
    return client.get("/inspection/", {"number": number, "question": question}, follow=True)


# The walk -------------------------------------------------------------------------------------------------------------


def test_question_one_is_answered_in_three_clicks(firm, inspector):
    assert "/inspection/" in body(inspector.get("/"))  # the rail
    inspector.get("/inspection/")  # 1
    page = body(ask(inspector, "KRAS-001", "unchanged"))  # 2
    assert "Not verified yet." in page
    assert all(f"<h2>{part}</h2>" in page or f">{part}</h2>" in page for part in PARTS)
    inspector.post("/inspection/KRAS-001/prove/", {"version": "1"})  # 3
    assert "Reading every byte again" in body(inspector.get("/inspection/KRAS-001/unchanged/?version=1"))
    work()
    assert (
        inspector.get("/inspection/KRAS-001/v1/progress/", HTTP_HX_REQUEST="true")
        .headers["HX-Redirect"]
        .endswith("?version=1")
    )
    page = body(inspector.get("/inspection/KRAS-001/unchanged/?version=1"))
    assert "Unchanged since it was signed." in page
    assert page.count("matches") >= firm.version("KRAS-001").files.count()
    assert "every link follows" in page


def test_acts_that_came_after_the_last_walk_of_the_chain_are_said_to_be_so(firm, inspector):
    queue.run(chain_walk.ask_for(firm.inspector).pk)
    page = body(inspector.get("/inspection/KRAS-001/unchanged/?version=1"))
    assert "The chain held when it was walked last," in page and "acts above came after" not in page
    waiting = firm.version("VP-0001")
    acts.sign(firm.reviewer, waiting)
    page = body(inspector.get("/inspection/VP-0001/unchanged/"))
    assert "1 of the acts above came after that walk." in page
    assert re.search(r'class="message warn">.*?The chain held', page, re.S)
    assert "are not walked yet" in page and "links hold." not in page


def test_what_there_is_is_not_denied(firm, inspector):
    for question in ("unchanged", "evidence"):
        page = body(inspector.get(f"/inspection/KRAS-001/{question}/"))
        assert "come later" not in page and "comes later" not in page
        assert "countersign_verify.py" in page and 'href="/audit/checkpoints/"' in page


def test_question_two_is_answered_in_two_clicks(firm, inspector):
    inspector.get("/inspection/")  # 1
    page = body(ask(inspector, "KRAS-001", "signed"))  # 2
    assert "Signed by " in page
    assert "Chidi Okafor" in page
    assert "I approve" in page
    assert "Training at the time" in page
    assert "openssl dgst -sha256 -verify" in page
    assert all(f">{part}</h2>" in page for part in PARTS)


def test_question_three_is_answered_in_two_clicks(firm_with_history, tmp_path):
    firm = firm_with_history
    inspector = firm.client(firm.inspector)
    inspector.get("/inspection/")  # 1
    page = body(ask(inspector, "KRAS-001", "accessed"))  # 2
    for words in ("In the last 90 days", "cannot be led to anybody", "By person", "j.smith", "without any file", "signed digests",
                  "format=csv", *PARTS):  # fmt: skip
        assert words in page, words


def test_question_four_is_answered_in_four_clicks(firm_with_history, tmp_path):
    firm = firm_with_history
    inspector = firm.client(firm.inspector)
    inspector.get("/inspection/")  # 1
    page = body(ask(inspector, "KRAS-001", "evidence"))  # 2
    assert all(f">{part}</h2>" in page for part in PARTS)
    started = inspector.post(
        "/inspection/KRAS-001/build/", {"version": "1", "part": ["readme", "manifest", "audit"], "days": "90"}
    )  # 3
    work()
    prepared = started.headers["Location"]
    assert "Download KRAS-001-v1-evidence.pdf" in body(inspector.get(prepared))
    pdf = inspector.get(f"{prepared}file/")  # 4
    said = pdf_text(pdf.getvalue(), tmp_path)
    version = firm.version("KRAS-001")
    question = asked(firm, reader=firm.inspector)
    assert version.top_hash in said.replace(" ", "")
    for words in ("README", "Manifest", "Audit trail of KRAS-001", "none: everybody, every kind, every version", "Chidi Okafor",
                  "How to check it without the portal", "signed digests", "j.smith"):  # fmt: skip
        assert words in said, words
    stated = int(re.search(r"Lines ([\d,]+); on paper", said)[1].replace(",", ""))
    made_before = [
        line
        for line in timeline.lines(question)
        if line.kind != "export" and line.at < Job.objects.get(kind=evidence.EVIDENCE).finished_at
    ]
    assert stated == len(made_before)
    readme = version.files.get(logical_key="README.md")
    assert readme.sha256[:12] in said


def test_what_the_pack_encloses_checks_with_openssl(firm, inspector, tmp_path):
    version = firm.version("KRAS-001")
    job = evidence.ask_for(version, ["manifest"], 7, by=firm.inspector)
    queue.run(job.pk)
    pdf = inspector.get(f"/prepared/{job.pk}/file/").getvalue()
    assert hashlib.sha256(pdf).hexdigest() == Job.objects.get(pk=job.pk).result["sha256"]
    with pikepdf.open(io.BytesIO(pdf)) as pack:
        for name, held in pack.attachments.items():
            (tmp_path / name).write_bytes(held.get_file().read_bytes())
    assert (tmp_path / "manifest.jsonl").read_bytes() == bytes(version.manifest)
    seals = sorted(tmp_path.glob("signature-*.der"))
    assert len(seals) == version.signatures.count()
    for seal in seals:
        statement = tmp_path / seal.name.replace("signature-", "statement-").replace(".der", ".json")
        (key,) = tmp_path.glob("portal-key-*.pem")
        done = subprocess.run(
            ["openssl", "dgst", "-sha256", "-verify", key, "-signature", seal, statement], capture_output=True
        )
        assert done.stdout.strip() == b"Verified OK"


# Answers that claim too much would be worse than none -----------------------------------------------------------------


def test_a_signature_row_that_was_changed_is_not_called_valid(firm, inspector):
    with superuser(connection.settings_dict["NAME"]) as owner:
        owner.execute("ALTER TABLE signatures_signature DISABLE TRIGGER ALL")
        owner.execute("UPDATE signatures_signature SET printed_name = 'Somebody Else' WHERE meaning = 'approval'")
    page = body(inspector.get("/inspection/KRAS-001/signed/?version=1"))
    assert "signatures do not hold" in page
    assert "A signature does not fit this version." in body(inspector.get("/inspection/KRAS-001/unchanged/?version=1"))


def test_an_entry_taken_out_of_the_chain_is_told(firm, inspector):
    target = Entry.objects.filter(action="signature.applied", subject_label="KRAS-001 version 1").first()
    with superuser(connection.settings_dict["NAME"]) as owner:
        owner.execute("ALTER TABLE audit_link DISABLE TRIGGER ALL")
        owner.execute("DELETE FROM audit_link WHERE entry_id = %s", [target.pk])
    page = body(inspector.get("/inspection/KRAS-001/unchanged/?version=1"))
    assert "an entry hangs in no link" in page
    assert "every link follows" not in page


def test_training_is_told_as_it_stood_when_each_signature_was_given(firm, inspector):
    """The approver signed KRAS-001 before reading the SOP that had become effective; reading it later changes nothing."""
    page = body(inspector.get("/inspection/KRAS-001/signed/?version=1"))
    assert "had not yet read SOP-0001 1.0" in page
    acts.read(firm.approver, firm.version("SOP-0001"))
    assert Qualification.objects.get(user=firm.approver, topic="SOP-0001").met_at
    assert "had not yet read SOP-0001 1.0" in body(inspector.get("/inspection/KRAS-001/signed/?version=1"))


def test_no_access_at_all_is_not_called_nobody(firm, inspector, ticking):
    page = body(inspector.get("/inspection/VP-0001/accessed/"))
    assert "no trail is registered" in page


@pytest.mark.compliance("11.50(b)", "§2.14")
def test_an_approval_that_was_withdrawn_is_not_said_to_hold(firm, inspector, ticking):
    approval = acts.approval_of(firm.version("KRAS-001"))
    ticking.next_code()
    acts.withdraw(firm.approver, approval, "Signed the wrong version.")
    answer = inspector.get("/inspection/KRAS-001/signed/?version=1").context["answer"]
    assert answer["tone"] == "bad"
    assert answer["say"].startswith("No approval counts: the approval of Chidi Okafor was withdrawn on ")
    assert answer["say"].endswith("; quality has not decided yet.")
    acts.decide(firm.approver2, approval, "does not stand")
    answer = inspector.get("/inspection/KRAS-001/signed/?version=1").context["answer"]
    assert answer["tone"] == "bad" and answer["say"].endswith(" that it does not stand.")
    assert answer["meta"].endswith("Signed since: Chidi Okafor (withdrawal) and Ingrid Solheim (disposition).")
    assert "holds" not in answer["meta"]


def test_a_review_that_was_withdrawn_is_told_beside_the_approval_that_counts(firm, inspector, ticking):
    review = firm.version("URS-0001").signatures.get(meaning="review")
    ticking.next_code()
    acts.withdraw(firm.reviewer, review, "Signed the wrong version.")
    answer = inspector.get("/inspection/URS-0001/signed/?version=1").context["answer"]
    assert answer["tone"] == "warn" and "holds" not in answer["meta"]
    assert answer["say"].startswith(
        "Signed by Chidi Okafor (approval). Besides, the review of Maja Ruiz was withdrawn on"
    )


def test_the_cover_of_the_pack_says_that_the_approval_is_void(firm, inspector, ticking, tmp_path):
    version = firm.version("KRAS-001")
    assert ("State", "Approved") in evidence._facts(version, [])
    acts.lose_the_approval(firm, version, ticking)
    queue.run(evidence.ask_for(version, ["manifest"], 7, by=firm.inspector).pk)
    pack = inspector.get(f"/prepared/{Job.objects.get(kind=evidence.EVIDENCE).pk}/file/")
    assert "Approval void" in pdf_text(pack.getvalue(), tmp_path)


def test_a_version_nobody_signed_says_so(firm, inspector):
    assert "Nobody has signed version 2." in body(inspector.get("/inspection/KRAS-001/signed/?version=2"))


def test_the_newest_approved_version_is_meant_unless_another_is_named(firm, inspector):
    assert inspector.get("/inspection/KRAS-001/signed/").context["version"].ordinal == 1
    assert inspector.get("/inspection/KRAS-001/signed/?version=2").context["version"].ordinal == 2
    assert inspector.get("/inspection/KRAS-001/signed/?version=9").status_code == 404


# Who may, and what is kept --------------------------------------------------------------------------------------------


def test_a_number_that_one_may_not_see_reads_as_one_that_is_not_there_and_is_kept(firm):
    outsider = firm.client(firm.outsider)
    hidden, missing = (ask(outsider, number, "unchanged") for number in ("KRAS-001", "KRAS-999"))
    assert (hidden.status_code, missing.status_code) == (404, 404)
    assert "There is no record KRAS-001 that you may see." in unescape(hidden.content.decode())
    assert outsider.get("/inspection/KRAS-001/unchanged/").status_code == 404
    assert outsider.post("/inspection/KRAS-001/prove/").status_code == 404
    refused = Access.objects.filter(what="refused", subject_id__startswith="/records/KRAS-001/")
    assert refused.count() == 1
    tries = [line for line in timeline.lines(asked(firm, kind="refused")) if line.who.name == "Omar Haddad"]
    assert len(tries) == 1


@pytest.mark.parametrize("person", ["operator", "scientist", "administrator"])
def test_the_questions_are_for_inspectors_and_quality(firm, person):
    assert firm.client(getattr(firm, person)).get("/inspection/").status_code == 403


def test_each_answer_and_each_pack_is_in_the_reading_log(firm, inspector):
    for question in ("unchanged", "signed", "accessed", "evidence"):
        body(inspector.get(f"/inspection/KRAS-001/{question}/"))
    parts = list(Access.objects.filter(actor_name="Ellen Marsh").order_by("pk").values_list("detail__part", flat=True))
    assert parts == [f"answer “{question}”" for question in ("unchanged", "signed", "accessed", "evidence")]


def test_a_pack_of_nothing_is_refused_in_words(firm, inspector):
    response = inspector.post("/inspection/KRAS-001/build/", {"version": "1"})
    assert response.status_code == 409
    assert "Tick at least one part." in response.content.decode()


def test_whoever_lost_the_record_while_the_pack_was_made_gets_nothing(firm, inspector):
    from accounts.models import Membership

    job = evidence.ask_for(firm.version("KRAS-001"), ["manifest"], 7, by=firm.inspector)
    with transaction.atomic():
        Membership.objects.filter(user=firm.inspector).delete()
        trail.record(Action.USER_AREAS_CHANGED, firm.inspector, by=firm.administrator)
    assert queue.run(job.pk).state == "failed"
    assert inspector.get(f"/prepared/{job.pk}/").status_code == 404


def test_a_document_answers_the_same_questions(firm, inspector):
    for question in ("unchanged", "signed", "accessed", "evidence"):
        body(inspector.get(f"/inspection/URS-0001/{question}/"))
    job = evidence.ask_for(firm.version("URS-0001"), ["readme", "manifest", "audit"], 90, by=firm.inspector)
    assert queue.run(job.pk).state == "done"


def test_the_number_of_queries_does_not_grow_with_the_trail(firm, inspector, tmp_path):
    def queries(question):
        with CaptureQueriesContext(connection) as captured:
            body(inspector.get(f"/inspection/KRAS-001/{question}/"))
        return len([one for one in captured if 'UPDATE "accounts_sitting"' not in one["sql"]])

    hand(tmp_path, read(firm, at=clock.now() - timedelta(hours=1)))
    questions = ("unchanged", "signed", "accessed", "evidence")
    [queries(question) for question in questions]
    few = [queries(question) for question in questions]
    hand(tmp_path, *(read(firm, at=clock.now() - timedelta(hours=2, minutes=n)) for n in range(50)))
    assert [queries(question) for question in questions] == few
