"""Every form in which people read a signature says printed name, time with its offset, and meaning (11.50(b), §2.7); and of two
signings in the hour that comes twice each reader sees which was first (11.50(a)(2))."""

import io
import re
from datetime import UTC, datetime

import pikepdf
import pytest
from django.core import mail
from django.core.files.uploadedfile import SimpleUploadedFile

from jobs import queue
from jobs.models import Job
from portal import evidence, signed_mail
from printing import issued
from printing.templatetags.look import utc
from signatures.models import Signature
from tests.conftest import ROOT
from tests.printing.test_documents import text_of

FORMS = {"page of the version", "page of the signature", "printed page", "issued copy", "evidence pack", "CSV", "JSON", "mail", "statement", "verify page"}  # fmt: skip
OFFSET = r"(?: ?UTC|Z|\+00:00)"


def words(text: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", text).split())


def on_paper(chromium, html: str, folder) -> str:
    """The page as Chromium prints it, with the portal's style sheet."""
    styles = "".join(path.read_text() for path in [ROOT / "static" / "look.css"])
    page = chromium.new_page()
    page.set_content(re.sub(r"<link[^>]*look\.css[^>]*>", lambda _: f"<style>{styles}</style>", html))
    path = folder / "printed.pdf"
    page.pdf(path=path, format="A4")
    page.close()
    return text_of(path.read_bytes(), folder)


def forms(firm, chromium, folder) -> dict[str, str]:
    """Every form of the signatures on URS-0001 version 1, as text."""
    version = firm.version("URS-0001")
    client = firm.client(firm.inspector)
    approval = Signature.objects.get(version=version, meaning="approval")
    page = client.get(version.get_absolute_url()).content.decode()
    pdf = client.get(f"{version.get_absolute_url()}issued.pdf").content
    pack = evidence.pack(version, ["readme", "manifest"], 90, reader=firm.inspector)
    queue.run(Job.objects.get(kind=signed_mail.JOB, args__version=str(version.pk)).pk)
    with pikepdf.open(io.BytesIO(pdf)) as held:
        statements = "".join(
            file.get_file().read_bytes().decode()
            for name, file in held.attachments.items()
            if name.startswith("statement")
        )
    return {
        "page of the version": words(page),
        "page of the signature": words(client.get(approval.get_absolute_url()).content.decode()),
        "printed page": words(on_paper(chromium, page, folder)),
        "issued copy": words(text_of(pdf, folder)),
        "evidence pack": words(text_of(pack, folder)),
        "CSV": exported(client, version, "csv"),
        "JSON": exported(client, version, "json"),
        "mail": words(next(letter.body for letter in mail.outbox if "URS-0001" in letter.subject)),
        "statement": statements,
        "verify page": words(client.post("/verify/", {"file": SimpleUploadedFile("x.pdf", pdf)}).content.decode()),
    }


def exported(client, version, kind: str) -> str:
    answer = client.get(f"{version.record.get_absolute_url()}audit/export/", {"format": kind})
    assert answer.status_code == 200, answer.status_code
    return words(b"".join(answer.streaming_content).decode() if answer.streaming else answer.content.decode())


@pytest.mark.compliance("11.50(b)", "11.50(a)(1)", "11.50(a)(3)", "§2.7", "S4")
def test_compliance_every_form_of_a_signature_says_name_time_with_offset_and_meaning(firm, chromium, tmp_path):
    found = forms(firm, chromium, tmp_path)
    assert set(found) == FORMS
    approval = Signature.objects.get(version=firm.version("URS-0001"), meaning="approval")
    at = approval.signed_at
    times = f"(?:{at:%Y-%m-%d[T ]%H:%M:%S}|{at.day} {at:%b %Y %H:%M:%S})[0-9.]*{OFFSET}"
    missing = [
        f"{form}: {what}"
        for form, text in found.items()
        for what, pattern in (("name", approval.printed_name), ("time", times), ("meaning", "(?i)approv"))
        if not re.search(pattern, text)
    ]
    assert missing == []


@pytest.mark.compliance("11.50(a)(2)", "S4")
def test_compliance_two_signings_in_the_hour_that_comes_twice_are_told_apart_and_in_order(chromium):
    """2026-11-01 01:30 in New York comes twice: at 05:30 UTC as UTC-4, and at 06:30 UTC as UTC-5."""
    moments = [datetime(2026, 11, 1, hour, 30, tzinfo=UTC) for hour in (5, 6)]
    assert [issued.utc(at) for at in moments] == ["2026-11-01 05:30:00 UTC", "2026-11-01 06:30:00 UTC"]
    times = "".join(f'<p><time datetime="{at.isoformat()}" data-local>{utc(at, "s")}</time></p>' for at in moments)
    context = chromium.new_context(timezone_id="America/New_York", locale="en-GB")
    page = context.new_page()
    page.set_content(times)
    page.add_script_tag(content=(ROOT / "static" / "js" / "app.js").read_text())
    said = []
    for shown in page.locator("time").all():
        shown.hover()
        said.append((shown.inner_text(), shown.get_attribute("title")))
    context.close()
    assert [text for text, _ in said] == ["1 Nov 2026 05:30:00 UTC", "1 Nov 2026 06:30:00 UTC"]
    assert all("01:30:00" in title for _, title in said)
    assert ["GMT-04:00" in said[0][1], "GMT-05:00" in said[1][1]] == [True, True]
