"""Pages of data packages: the verdict that never says more than was found, registration in the browser, copies to take away."""

import io
import json
import re
import subprocess
import zipfile
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from audit import clock, trail
from audit.actions import Action
from audit.models import Access, Entry
from demo import content
from demo.packages import metadata
from jobs import queue
from jobs.models import Job
from portal import handlers
from portal.pages import manifestation, verdict
from portal.pages import record_parts as parts
from records import definitions, manifest, metadata_form, numbers, redline, registration, renditions, verification
from records.models import Record, RecordType, Verification
from storage import s3
from tests import acts
from tests import firm as building
from tests.firm import RECORDS_BUCKET, put_package

PAGES = [
    "/records/", "/records/KRAS-001/", "/records/KRAS-001/v1/", "/records/KRAS-001/v1/files/",
    "/records/KRAS-001/v1/files/README.md", "/records/KRAS-001/v1/signatures/", "/records/KRAS-001/versions/",
    "/records/KRAS-001/compare/?from=1&to=2",
]  # fmt: skip


def card(firm, ordinal=1):
    version = firm.version("KRAS-001", ordinal)
    last = version.verifications.order_by("-finished_at").first()
    return verdict.card(version, last, manifestation.signatures_of([version]), now=clock.now())


def states(shown):
    return {row["what"]: row["state"] for row in shown["rows"]}


def run_jobs():
    for job in Job.objects.filter(state="queued", kind__startswith="records."):
        queue.run(job.pk)


# The verdict ---------------------------------------------------------------------------------------------------------


def test_what_nobody_read_again_is_not_called_unchanged(firm):
    shown = card(firm)
    assert (shown["tone"], shown["say"]) == ("mute", "Not verified yet.")
    assert states(shown) == {"Signed": "matches", "Registered": "matches", "Bytes on S3": "unchecked"}


def test_the_button_asks_for_a_job_and_the_card_tells_what_it_found(firm):
    client = firm.client(firm.inspector)
    answer = client.post("/records/KRAS-001/v1/verify/")
    assert answer["Location"] == "/records/KRAS-001/v1/#verdict"
    waiting = client.get("/records/KRAS-001/v1/verdict/").content.decode()
    assert "Waiting for a worker" in waiting and 'hx-get="/records/KRAS-001/v1/verdict/"' in waiting
    run_jobs()
    found = client.get("/records/KRAS-001/v1/verdict/").content.decode()
    assert "Unchanged since it was signed." in found and "hx-get" not in found
    shown = card(firm)
    assert states(shown)["Bytes on S3"] == "matches"
    assert (
        next(row["hash"] for row in shown["rows"] if row["what"] == "Bytes on S3") == firm.version("KRAS-001").top_hash
    )
    assert Entry.objects.get(action=Action.VERSION_VERIFIED).actor_name == firm.inspector.legal_name


def test_an_unsigned_version_is_unchanged_since_it_was_registered(firm):
    verification.verify(firm.version("KRAS-001", 2), by=trail.SYSTEM)
    assert card(firm, 2)["say"] == "Unchanged since it was registered."


def test_s3_that_is_away_makes_no_verdict(firm, settings):
    settings.S3_ENDPOINT_URL = "http://127.0.0.1:9"
    verification.verify(firm.version("KRAS-001"), by=trail.SYSTEM)
    shown = card(firm)
    assert shown["tone"] == "warn" and "nobody can say" in shown["say"]
    assert states(shown)["Bytes on S3"] == "unreadable"


def test_changed_bytes_are_said_with_the_file_and_the_hash_that_follows_from_them(firm):
    from django.conf import settings as django_settings

    from standin.process import StandIn

    # A version of its own: other tests read the bytes of the first two meanwhile.
    version = building.register(firm.kras, 1, 3, by=firm.operator)
    acts.sign(firm.approver, version)
    file = version.files.get(logical_key="README.md")
    standin = StandIn(django_settings.S3_ENDPOINT_URL)
    standin.tamper(file.bucket, file.key, file.s3_version)
    verification.verify(firm.version("KRAS-001", 3), by=trail.SYSTEM)
    shown = card(firm, 3)
    row = next(row for row in shown["rows"] if row["what"] == "Bytes on S3")
    assert (shown["tone"], shown["say"]) == ("bad", "This is not what was signed.")
    assert row["state"] == "differs" and row["hash"] != version.top_hash
    assert shown["findings"][0].startswith("README.md: ")


def test_the_signed_row_tells_the_signature_that_counts_and_that_none_does(firm, ticking):
    approval = acts.approval_of(firm.version("KRAS-001"))
    ticking.advance(days=1)
    withdrawal = acts.withdraw(firm.approver, approval)
    row = card(firm)["rows"][0]
    assert (row["what"], row["label"], row["tone"]) == ("Signed", "none counts", "warn")
    assert row.get("at") not in (withdrawal.signed_at, approval.signed_at)
    version = firm.version("URS-0001")
    signed = {one.meaning: one for one in version.signatures.all()}
    acts.withdraw(firm.reviewer, signed["review"])
    [row, *_] = verdict.card(version, None, manifestation.signatures_of([version]), now=clock.now())["rows"]
    assert (row["at"], row["state"]) == (signed["approval"].signed_at, "matches")


def test_a_lock_that_ends_before_the_retention_is_not_green(firm, ticking):
    version = firm.version("KRAS-001")
    kept = renditions.retained_until(version, definitions.read(version.definition))
    assert kept == version.created_at.replace(year=version.created_at.year + 10)

    def lock_row(ends):
        files = [{"reachable": True, "lock_mode": "COMPLIANCE", "retain_until": ends.isoformat()}]
        last = Verification(version=version, files=files, finished_at=clock.now())
        return verdict._lock_row(last, kept, clock.now())

    short = lock_row(kept - timedelta(days=2))
    assert (short["tone"], short["label"]) == ("warn", "1 of 1 locked, but 2 days short of the retention")
    assert lock_row(kept)["state"] == "locked" and not lock_row(kept)["tone"]


def test_the_page_holds_the_lock_against_the_retention(firm, monkeypatch):
    asked = []
    monkeypatch.setattr(verdict, "_lock_row", lambda last, until, now: asked.append(until) or {"what": "Object Lock"})
    firm.client(firm.inspector).post("/records/KRAS-001/v1/verify/")
    run_jobs()
    text = firm.client(firm.inspector).get("/records/KRAS-001/v1/").content.decode()
    assert asked == [parts.retained_until(firm.version("KRAS-001"))] and "Retention until" in text


# An approval that does not count -------------------------------------------------------------------------------------


def pills(client, url):
    """The states that a page shows, as words."""
    return re.findall(r'<span class="pill [a-z]+">(?:<[^>]*>)*([^<]+)', client.get(url).content.decode())


@pytest.mark.compliance("§2.14", "§2.19")
@pytest.mark.parametrize("url", ["/records/KRAS-001/v1/", "/records/", "/records/KRAS-001/versions/",
                                 "/search/?q=lung", "/search/?q=KRAS-001 v1"])  # fmt: skip
def test_a_version_whose_approval_does_not_count_is_nowhere_called_approved(firm, ticking, monkeypatch, url):
    if url in ("/records/", "/search/?q=lung"):  # these show the newest version
        acts.approve_the_newest(firm)
    version = firm.kras.versions.filter(state="approved").order_by("-ordinal").first()
    client, approval = firm.client(firm.scientist), acts.approval_of(version)
    assert "Approved" in pills(client, url)
    ticking.next_code()
    acts.withdraw(firm.approver, approval)
    assert "Approved, in doubt" in pills(client, url)
    acts.decide(firm.approver2, approval, "does not stand")
    assert "Approval void" in pills(client, url)
    assert "Approved, in doubt" not in pills(client, url)


def test_the_banner_over_a_void_approval_names_the_decision_and_the_next_step(firm, ticking):
    acts.lose_the_approval(firm, firm.version("KRAS-001"), ticking)
    said = firm.client(firm.scientist).get("/records/KRAS-001/v1/").content.decode()
    assert "quality decided on" in said and "that it does not stand." in said
    assert "Do not work by it. Register a new version: it is reviewed and approved anew." in said


def test_the_list_takes_the_same_number_of_queries_however_many_approvals_are_in_doubt(firm, ticking):
    client = firm.client(firm.inspector)

    def queries():
        client.get("/records/")
        with CaptureQueriesContext(connection) as caught:
            client.get("/records/")
        return len(caught)

    acts.approve_the_newest(firm)
    few = queries()
    for number in range(200, 203):
        with transaction.atomic():
            record = numbers.create(RecordType.objects.get(pk="NGS"), title="Run", area=firm.laboratory, by=firm.operator,
                                    number=f"KRAS-{number}")  # fmt: skip
        version = building.register(record, 1, 1, by=firm.operator)
        ticking.next_code()
        acts.sign(firm.approver, version)
        acts.lose_the_approval(firm, version, ticking)
    assert queries() == few


def test_a_reading_of_last_week_says_how_old_it_is(firm, ticking):
    verification.verify(firm.version("KRAS-001"), by=trail.SYSTEM)
    ticking.advance(days=7)
    assert card(firm)["cannot"][0].startswith("This reading is more than a day old")


def test_a_failed_reading_is_told_beside_the_last_good_one(firm, monkeypatch):
    version = firm.version("KRAS-001")
    verification.verify(version, by=trail.SYSTEM)
    job = handlers.ask_to_verify(version, by=firm.operator)
    monkeypatch.setattr(verification, "verify", lambda *a, **k: 1 / 0)
    queue.run(job.pk)
    text = firm.client(firm.operator).get("/records/KRAS-001/v1/").content.decode()
    assert "The last reading did not come to its end." in text and "Unchanged since it was signed." in text


# Reading -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", PAGES)
def test_a_page_shows_itself_to_whom_the_area_belongs_and_to_nobody_else(firm, url):
    assert firm.client(firm.inspector).get(url).status_code == 200
    answer = firm.client(firm.outsider).get(url)
    assert answer.status_code == (200 if url == "/records/" else 404)
    assert b"KRAS-001" not in answer.content.replace(url.encode(), b"")
    if url != "/records/":
        assert Access.objects.filter(what="refused", actor=str(firm.outsider.pk), subject_id=url.split("?")[0]).exists()
        assert Access.objects.filter(what="view", actor=str(firm.inspector.pk)).exists()


@pytest.mark.parametrize("url", ["/records/KRAS-001/v1/verify/", "/records/KRAS-001/register/check/"])
def test_acts_are_posted_and_do_not_exist_for_others(firm, url):
    assert firm.client(firm.operator).get(url).status_code == 405
    assert firm.client(firm.outsider).post(url).status_code == 404


def test_a_document_is_shown_where_documents_are(firm):
    assert firm.client(firm.author).get("/records/URS-0001/")["Location"] == "/documents/URS-0001/"


@pytest.mark.parametrize(("name", "shown"), [
    ("samples/manifest.csv", b'<th scope="col">sample_id</th>'),
    ("qc/metrics.json", b"preview-text"),
    ("qc/report.pdf", b'<iframe class="pdf"'),
    ("reads/LU-3301_R1.fastq.gz", b"beginning was decompressed"),
    ("README.md", b'<div class="prose">'),
])  # fmt: skip
def test_files_are_shown_as_what_they_are(firm, name, shown):
    answer = firm.client(firm.inspector).get(f"/records/KRAS-001/v1/files/{name}")
    assert shown in answer.content and b"have the sealed SHA-256" in answer.content


def test_bytes_are_sent_so_that_no_browser_runs_them(firm):
    client = firm.client(firm.operator)
    answer = client.get("/records/KRAS-001/v1/raw/README.md?inline")
    assert answer["Content-Disposition"].startswith("attachment")
    assert (answer["Content-Type"], answer["X-Content-Type-Options"]) == ("application/octet-stream", "nosniff")
    assert b"".join(answer.streaming_content).startswith(b"# ")
    inline = client.get("/records/KRAS-001/v1/raw/qc/report.pdf?inline")
    assert inline["Content-Type"] == "application/pdf" and "frame-ancestors 'self'" in inline["Content-Security-Policy"]


def test_a_readme_with_markup_is_shown_as_text(firm):
    prefix = put_package(1, 3)
    evil = b"# Hi <script>alert(1)</script>\n\n[x](javascript:alert(1)) <img src=x onerror=alert(1)>\n"
    s3.client().put_object(Bucket=RECORDS_BUCKET, Key=f"{prefix}README.md", Body=evil)
    register(firm, prefix)
    text = firm.client(firm.operator).get("/records/KRAS-001/v3/").content.decode()
    assert (
        "<script>alert" not in text
        and "javascript:" not in text.replace("[x](javascript:", "")
        and "<img src=x" not in text
    )


def test_values_that_differ_are_named_as_the_definition_calls_them_and_break_in_their_cell(firm):
    changed = building.metadata(1, 2) | {"samples": 13, "run": {"lane": 2}}
    changes = redline.compare_metadata(building.metadata(1, 2) | {"run": {"lane": 1}}, changed)
    definition = definitions.read(firm.version("KRAS-001").definition)
    names = [parts._named(change, definition) for change in changes]
    assert (
        names == [definition.metadata_schema["properties"]["samples"]["title"], "run, lane"] and "samples" not in names
    )


def test_versions_are_compared_by_metadata_files_and_text(firm):
    text = firm.client(firm.inspector).get("/records/KRAS-001/compare/?from=1&to=2").content.decode()
    assert "No value differs." in text and "<del>14</del>" in text and "<ins>12</ins>" in text


# Copies --------------------------------------------------------------------------------------------------------------


def copy(firm, name):
    answer = firm.client(firm.inspector).get(f"/records/KRAS-001/v1/export/{name}")
    assert answer.status_code == 200 and answer["Content-Disposition"].startswith("attachment")
    kept = Access.objects.get(what="export")
    assert kept.detail["what"] == name
    return b"".join(answer.streaming_content) if answer.streaming else answer.content


def pdf_words(data):
    asked = ["pdftotext", "-layout", "-", "-"]
    return subprocess.run(asked, input=data, capture_output=True, check=True).stdout.decode()


def test_the_manifest_and_the_metadata_are_those_that_were_sealed(firm):
    version = firm.version("KRAS-001")
    assert manifest.top_hash(manifest.parse(copy(firm, "manifest.jsonl"))) == version.top_hash


def test_the_metadata_can_be_taken_away(firm):
    assert json.loads(copy(firm, "metadata.json")) == firm.version("KRAS-001").metadata


def test_the_file_list_is_csv(firm):
    lines = copy(firm, "files.csv").decode().split("\r\n")
    assert lines[0].startswith("Logical key,Bytes,SHA-256") and len(lines) == 17


def test_the_issued_copy_carries_the_signatures(firm):
    import pikepdf

    data = copy(firm, "issued-copy.pdf")
    with pikepdf.open(io.BytesIO(data)) as pdf:
        assert "rendition.pdf" in pdf.attachments
    text = pdf_words(data)
    assert (
        "Chidi Okafor" in text and "Approval" in text and firm.version("KRAS-001").top_hash in re.sub(r"\s", "", text)
    )


@pytest.mark.parametrize(("decided", "words"), [(False, "APPROVED, IN DOUBT"), (True, "APPROVAL VOID")])
def test_a_copy_of_a_version_whose_approval_does_not_count_says_so_across_its_pages(firm, ticking, decided, words):
    version = firm.version("KRAS-001")
    if decided:
        acts.lose_the_approval(firm, version, ticking)
    else:
        ticking.next_code()
        acts.withdraw(firm.approver, acts.approval_of(version))
    text = pdf_words(copy(firm, "issued-copy.pdf"))
    assert words in text and words.capitalize() in text and "APPROVED ·" not in text


def test_the_record_sheet_is_the_one_that_was_signed(firm):
    import hashlib

    assert hashlib.sha256(copy(firm, "record-sheet.pdf")).hexdigest() == firm.version("KRAS-001").rendition_sha256


def test_the_zip_holds_the_small_files_and_lists_what_it_leaves_out(firm, monkeypatch):
    from portal.pages import record_exports

    monkeypatch.setattr(record_exports, "ZIP_FILE_BYTES", 10_000)
    with zipfile.ZipFile(io.BytesIO(copy(firm, "copy.zip"))) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        assert (
            "files/README.md" in names and "manifest.jsonl" in names and "files/reads/LU-3301_R1.fastq.gz" not in names
        )
        assert "reads/LU-3301_R1.fastq.gz: " in archive.read("LEFT-OUT.txt").decode()


def test_an_administrator_has_no_content(firm):
    client = firm.client(firm.administrator)
    assert client.get("/records/KRAS-001/v1/").status_code == 404
    assert client.get("/records/KRAS-001/v1/export/manifest.jsonl").status_code == 404


# Registration in the browser -----------------------------------------------------------------------------------------


def seen(text):
    return re.search(r'name="seen" value="([^"]+)"', text)[1]


def typed(values):
    """The metadata as the fields of the page's form hold it."""
    schema = content.NGS_RUN_PACKAGE["metadata_schema"]
    return {f"m-{name}": value for name, value in metadata_form.initial(schema, values).items()}


def look(client, prefix):
    answer = client.get("/records/KRAS-001/register/look/", {"bucket": RECORDS_BUCKET, "prefix": prefix})
    assert answer.status_code == 200
    return answer.content.decode()


def register(firm, prefix, said=None, **more):
    client = firm.client(firm.operator)
    values = {"seen": seen(look(client, prefix)), **typed(said or metadata(1, 3)), "message": "Made again", **more}
    answer = client.post("/records/KRAS-001/register/look/", values)
    run_jobs()
    return answer


def test_a_package_is_found_seen_and_registered(firm):
    client, prefix = firm.client(firm.operator), put_package(1, 3)
    assert b"kras-001/" in client.get("/records/KRAS-001/register/").content
    assert (
        prefix.removeprefix("kras-001/").encode()
        in client.get("/records/KRAS-001/register/", {"bucket": RECORDS_BUCKET, "prefix": "kras-001/"}).content
    )
    text = look(client, prefix)
    assert "15 files" in text and "The files are as the definition asks." in text
    answer = register(firm, prefix)
    assert re.fullmatch(r"/jobs/[0-9a-f-]{36}/", answer["Location"])
    version = firm.version("KRAS-001", 3)
    assert (version.author, version.message) == (firm.operator, "Made again")
    assert version.metadata == metadata(1, 3)


def test_the_same_object_versions_are_registered_again_only_with_a_reason_that_is_sealed(firm):
    with transaction.atomic():
        numbers.create(
            RecordType.objects.get(pk="NGS"), title="Twin", area=firm.laboratory, by=firm.operator, number="KRAS-200"
        )
    client, url = firm.client(firm.operator), "/records/KRAS-200/register/look/"
    prefix = put_package(1, 3)
    register(firm, prefix)
    text = client.get(url, {"bucket": RECORDS_BUCKET, "prefix": prefix}).content.decode()
    assert "These 15 object versions belong to KRAS-001 version 3 already." in text
    values = {"seen": seen(text), **typed(metadata(1, 3)), "message": "Twin"}
    refused = client.post(url, values)
    assert refused.status_code == 200 and b"This field is required." in refused.content
    run_jobs()
    assert not firm.record("KRAS-200").versions.exists()
    client.post(url, values | {"twice": "The run belongs to the study of the twin as well"})
    run_jobs()
    assert (
        firm.version("KRAS-200").message == "Twin. Registered again: The run belongs to the study of the twin as well"
    )


def test_a_next_version_that_goes_on_with_files_of_the_one_before_is_not_asked_why(firm):
    first = manifest.parse(bytes(firm.version("KRAS-001").manifest)).entries
    told = registration.belongs_to(first, firm.kras, by=firm.operator)
    assert told == ["These 15 object versions belong to KRAS-001 version 1 already."]
    second = registration.look(RECORDS_BUCKET, put_package(1, 3), by=firm.operator).entries
    assert registration.belongs_to([*first[:14], second[0]], firm.kras, by=firm.operator) == []
    assert registration.belongs_to(first, firm.kras, by=firm.outsider) == []


def test_two_failures_are_listed_together_and_kept_and_nothing_is_stored(firm):
    answer = register(firm, put_package(1, 3, complete=False), metadata(1, 3) | {"samples": 500})
    text = answer.content.decode()
    assert answer.status_code == 422 and "2 things keep it from being registered" in text
    assert "Quality control report (qc/report.pdf) is missing" in text and "must be at most 96; it is 500." in text
    assert firm.kras.versions.count() == 2 and not Job.objects.filter(kind=handlers.REGISTER).exists()
    entry = Entry.objects.get(action=Action.VERSION_REFUSED)
    assert len(entry.detail["failures"]) == 2 and entry.actor_name == firm.operator.legal_name
    assert "Refused before" in firm.client(firm.operator).get("/records/KRAS-001/register/").content.decode()


def test_the_contract_answers_while_one_types(firm):
    client = firm.client(firm.operator)
    token = seen(look(client, put_package(1, 3)))
    said = client.post(
        "/records/KRAS-001/register/check/", {"seen": token, **typed(metadata(1, 3) | {"samples": "many"})}
    )
    assert b"One thing keeps it from being registered" in said.content
    said = client.post("/records/KRAS-001/register/check/", {"seen": token, **typed(metadata(1, 3))})
    assert b"Everything that the definition asks for is there." in said.content
    assert not Entry.objects.filter(action=Action.VERSION_REFUSED).exists()


def test_looking_again_finds_what_was_put_there_and_keeps_what_was_typed(firm):
    client, prefix = firm.client(firm.operator), put_package(1, 3, complete=False)
    token = seen(look(client, prefix))
    s3.client().put_object(Bucket=RECORDS_BUCKET, Key=f"{prefix}qc/report.pdf", Body=b"%PDF-1.4 it is there")
    text = client.post(
        "/records/KRAS-001/register/look/", {"seen": token, "again": "yes", "m-samples": "7"}
    ).content.decode()
    assert "qc/report.pdf) is missing" not in text and re.search(
        r'name="m-samples"[^>]*value="7"|value="7"[^>]*name="m-samples"', text
    )
    s3.client().delete_object(Bucket=RECORDS_BUCKET, Key=f"{prefix}qc/report.pdf")


def test_what_was_not_seen_by_the_portal_cannot_be_registered(firm):
    client = firm.client(firm.operator)
    token = seen(look(client, put_package(1, 3)))
    for wrong in ("", token[:-3] + "abc", token[5:]):
        answer = client.post("/records/KRAS-001/register/look/", {"seen": wrong, **typed(metadata(1, 3))})
        assert answer.status_code == 400 and b"Look again" in answer.content
    with transaction.atomic():
        other = numbers.create(RecordType.objects.get(pk="NGS"), title="Other", area=firm.laboratory, by=firm.operator,
                               number="KRAS-050")  # fmt: skip
    assert client.post(f"/records/{other.number}/register/look/", {"seen": token}).status_code == 400


def test_a_quilt_manifest_is_registered_as_it_is(firm):
    client, stated = firm.client(firm.operator), bytes(firm.version("KRAS-001").manifest)
    upload = io.BytesIO(stated)
    upload.name = "manifest.jsonl"
    answer = client.post("/records/KRAS-001/register/manifest/", {"manifest": upload})
    text = answer.content.decode()
    assert answer.status_code == 200 and "As the Quilt manifest names them." in text
    answer = client.post("/records/KRAS-001/register/look/", {"seen": seen(text), "message": "From Quilt",
                                                               "twice": "The first version was rejected"})  # fmt: skip
    run_jobs()
    assert firm.version("KRAS-001", 3).top_hash == firm.version("KRAS-001", 1).top_hash


def test_a_quilt_manifest_is_read_from_s3_too(firm):
    stated = bytes(firm.version("KRAS-001").manifest)
    s3.client().put_object(Bucket=RECORDS_BUCKET, Key=".quilt/packages/abc", Body=stated)
    client = firm.client(firm.operator)
    place = {"place": f"s3://{RECORDS_BUCKET}/.quilt/packages/abc"}
    assert b"As the Quilt manifest names them." in client.post("/records/KRAS-001/register/manifest/", place).content
    s3.client().delete_object(Bucket=RECORDS_BUCKET, Key=".quilt/packages/abc")
    for wrong, said in [("s3://gxp-countersign/x", b"not registered for you"), ("nowhere", b"s3://bucket/key"),
                        (f"s3://{RECORDS_BUCKET}/none", b"is not there")]:  # fmt: skip
        answer = client.post("/records/KRAS-001/register/manifest/", {"place": wrong})
        assert answer.status_code == 400 and said in answer.content


def test_a_broken_manifest_is_refused_with_its_line(firm):
    broken = io.BytesIO(bytes(firm.version("KRAS-001").manifest) + b"{oops}\n")
    broken.name = "m.jsonl"
    answer = firm.client(firm.operator).post("/records/KRAS-001/register/manifest/", {"manifest": broken})
    assert answer.status_code == 400 and b"ine 17" in answer.content


def test_s3_that_is_away_is_said_and_nothing_breaks(firm, settings):
    settings.S3_ENDPOINT_URL = "http://127.0.0.1:9"
    client = firm.client(firm.operator)
    assert b"could not be reached" in client.get("/records/KRAS-001/register/", {"bucket": RECORDS_BUCKET}).content
    answer = client.get("/records/KRAS-001/register/look/", {"bucket": RECORDS_BUCKET, "prefix": "x/"})
    assert answer.status_code == 502 and b"could not be reached" in answer.content
    assert client.get("/records/KRAS-001/v1/").status_code == 200
    assert client.get("/records/KRAS-001/v1/export/record-sheet.pdf")["Location"] == "/records/KRAS-001/v1/"


# The list and a new record -------------------------------------------------------------------------------------------


def test_a_new_record_goes_on_to_its_registration(firm):
    client, kind = firm.client(firm.operator), RecordType.objects.get(pk="NGS")
    asked = {"type": kind.pk, "number": "kras-007", "title": "Colon panel", "area": str(firm.laboratory.pk)}
    assert client.post("/records/new/", asked)["Location"] == "/records/KRAS-007/register/"
    empty = client.post("/records/new/", {**asked, "number": ""})
    assert empty.status_code == 400 and b"Number</label>" in empty.content  # without "optional"
    again = client.post("/records/new/", asked)
    assert again.status_code == 400 and b"KRAS-007 is taken" in again.content
    assert b"No version yet" in client.get("/records/KRAS-007/").content
    assert firm.client(firm.approver).get("/records/new/").status_code == 403


def some_records(firm, first, count):
    kind = RecordType.objects.get(pk="NGS")
    for number in range(first, first + count):
        with transaction.atomic():
            numbers.create(kind, title=f"Run {number}", area=firm.laboratory, by=firm.operator, number=f"KRAS-{number}")


@pytest.mark.parametrize(("asked", "found"), [
    ("text=lung", 1), ("text=nothing+like+it", 0), ("state=registered", 1), ("state=approved", 0), ("state=none", 2),
    ("type=NGS", 3), ("type=URS", 3), ("area=nonsense", 3),
])  # fmt: skip
def test_the_list_is_narrowed_by_what_makes_sense(firm, asked, found):
    some_records(firm, 200, 2)
    assert firm.client(firm.inspector).get(f"/records/?{asked}").content.count(b'class="num"') == found


def test_the_list_is_found_by_the_start_of_a_top_hash(firm):
    start = firm.version("KRAS-001").top_hash[:8]
    assert b"KRAS-001" in firm.client(firm.inspector).get(f"/records/?text={start}").content


def test_the_list_goes_page_by_page_with_the_same_number_of_queries(firm):
    client = firm.client(firm.inspector)

    def queries(url):
        with CaptureQueriesContext(connection) as caught:
            answer = client.get(url)
        return len(caught), answer.content.decode()

    queries("/records/")
    few, _ = queries("/records/")
    some_records(firm, 200, 55)
    many, text = queries("/records/")
    assert many == few and text.count('class="num"') == 50
    assert Record.objects.of_kind("data").count() == 56
    following = re.search(r'rel="next" href="([^"]+)"', text)[1]
    _, second = queries(f"/records/{following}")
    assert second.count('class="num"') == 6 and 'rel="prev"' in second


def test_a_records_pages_take_the_same_number_of_queries_however_many_versions_it_has(firm):
    from tests.firm import register as register_version

    client = firm.client(firm.inspector)

    def queries(url):
        client.get(url)
        with CaptureQueriesContext(connection) as caught:
            assert client.get(url).status_code == 200
        return len(caught)

    few = {url: queries(url) for url in PAGES[1:]}
    for ordinal in (1, 2):
        register_version(firm.kras, 1, ordinal, by=firm.operator)
    assert {url: queries(url) for url in PAGES[1:]} == few
