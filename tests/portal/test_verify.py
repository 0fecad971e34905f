"""Anybody may have a sealed PDF or a statement checked, and learns the verdict and what the artefact itself says (11.70, S5)."""

import io
import json
import re
from html import unescape

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import Client

from audit.canonical import canonical
from audit.models import Access
from portal.pages import verify
from records.models import Version
from signatures import artefacts, sealing
from signatures.models import PortalCertificate, PortalKey, Signature
from tests.signatures.test_binding import behind_the_portals_back

pytestmark = pytest.mark.compliance("11.70", "S5", "§2.19", "§2.26")


def ask(data: bytes, seal: bytes | None = None, name: str = "brought.pdf", client: Client | None = None):
    files = {"file": SimpleUploadedFile(name, data)}
    if seal is not None:
        files["seal"] = SimpleUploadedFile("brought.der", seal)
    return (client or Client()).post("/verify/", files)


def told(answer) -> str:
    assert answer.status_code == 200, answer.content.decode()
    return " ".join(answer.content.decode().split())


def issued(firm, number: str = "URS-0001") -> bytes:
    return firm.client(firm.inspector).get(f"/documents/{number}/v1/issued.pdf").content


def signature_on(number: str, meaning: str = "approval") -> Signature:
    return Signature.objects.select_related("key").get(
        version__record__number=number, version__ordinal=1, meaning=meaning
    )


def test_compliance_anybody_may_verify_an_issued_copy_and_reads_who_signed_when_and_why(firm):
    answer = told(ask(issued(firm)))
    assert "Valid. Every byte that the portal sealed in this PDF is as it was sealed." in answer, answer
    for signature in Signature.objects.filter(version__record__number="URS-0001"):
        assert signature.printed_name in answer and signature.get_meaning_display() in answer
        assert f"{signature.signed_at:%Y-%m-%dT%H:%M:%S}" in answer
    note = Access.objects.get(what="verify")
    assert (note.actor, note.subject_label, note.detail["standing"]) == ("anonymous", "URS-0001 version 1", "valid")


def test_compliance_the_whole_evidence_pack_and_the_copy_of_a_package_verify(furnished):
    from portal import evidence

    pack = evidence.pack(furnished.version("KRAS-001"), ["readme", "manifest"], 90, reader=furnished.inspector)
    assert "Valid. Every byte" in told(ask(pack))
    copy = furnished.client(furnished.inspector).get("/records/KRAS-001/v1/export/issued-copy.pdf").content
    assert "Valid. Every byte" in told(ask(copy))
    unsigned = furnished.client(furnished.inspector).get("/records/KRAS-001/v2/export/issued-copy.pdf").content
    assert "It shows no signature of a person." in told(ask(unsigned))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda pdf: pdf.replace(b"/Producer", b"/Producez", 1), "This PDF was changed after the portal sealed it."),
        (lambda pdf: pdf + b"\n%%EOF\n", "Something was appended to this PDF after the portal sealed it."),
        (lambda pdf: pdf[:-9], "This PDF was cut off after the portal sealed it."),
    ],
)
def test_compliance_a_changed_copy_is_not_valid_and_shows_nothing_of_what_it_claims(firm, change, sentence):
    pdf = issued(firm)
    changed = change(pdf)
    assert changed != pdf
    answer = told(ask(changed))
    assert f"Not valid. {sentence}" in answer
    assert "Chidi Okafor" not in answer


@pytest.mark.parametrize(
    "data",
    [b"", b"%PDF-1.7 nothing", b"{}", b"[" * 100_000, b"\xff" * 5000, b"%PDF-" + b"/ByteRange [0 1 2 3]" * 999,
     b"%PDF-1.7 <00>/ByteRange [0 9 13 99999]", b'{"format":"countersign-signature-1"}', b"null", b"x" * 70_000],
)  # fmt: skip
def test_compliance_what_is_not_ours_is_said_to_be_not_ours(firm, data):
    answer = ask(data)
    if not data:
        assert answer.status_code == 400
    else:
        assert "Not of this portal." in told(answer)


def test_compliance_a_pdf_sealed_by_somebody_else_with_the_same_name_is_not_ours(firm, settings, tmp_path):
    pdf = issued(firm)
    settings.PDF_TEST_CERTIFICATE = tmp_path / "theirs.p12"
    theirs = issued(firm)  # the same portal with another certificate: both are known
    assert "Valid." in told(ask(theirs)) and "Valid." in told(ask(pdf))
    assert PortalCertificate.objects.count() == 2
    behind_the_portals_back(
        "ALTER TABLE signatures_portalcertificate DISABLE TRIGGER USER;"
        "DELETE FROM signatures_portalcertificate WHERE registered_at = (SELECT max(registered_at) FROM signatures_portalcertificate)"
    )
    assert "This PDF is sealed by somebody else, not by this portal." in told(ask(theirs))


def test_compliance_a_statement_with_its_seal_and_one_alone_are_known(firm):
    signature = signature_on("URS-0001")
    statement, seal = bytes(signature.statement), bytes(signature.seal)
    for answer in (told(ask(statement, seal)), told(ask(statement))):
        assert "Valid. The portal sealed this statement, and the signature is on its record as it says." in answer
        assert "Chidi Okafor" in answer and "URS-0001 version 1" in answer


def test_compliance_a_made_up_statement_tells_a_stranger_nothing_of_the_record(firm):
    signature = signature_on("URS-0001")
    real = json.loads(bytes(signature.statement))
    known = canonical(real | {"printed_name": "Mallory"})
    unknown = canonical(real | {"printed_name": "Mallory", "signature": "00000000-0000-4000-8000-000000000000"})
    answers = [told(ask(data)).split("Checked")[0] for data in (known, unknown)]
    assert "its bytes are not those of a signature on record" in answers[0]
    assert answers[0].split("<main")[1] == answers[1].split("<main")[1]
    for data in (known, unknown):
        assert "one of the two was changed" in told(ask(data, bytes(signature.seal)))
        assert "Okafor" not in told(ask(data, bytes(signature.seal)))


def test_compliance_a_sealed_statement_that_the_portal_has_not_on_record_is_not_valid(firm):
    said = json.loads(bytes(signature_on("URS-0001").statement)) | {"signature": "00000000-0000-4000-8000-000000000000"}
    raw = canonical(said)
    assert artefacts.UNKNOWN.replace("'", "&#x27;") in told(ask(raw, sealing.seal(raw)))


def test_compliance_a_record_changed_behind_the_portal_makes_a_good_artefact_not_valid_without_details(firm):
    signature = signature_on("URS-0001")
    behind_the_portals_back("UPDATE signatures_signature SET printed_name = 'Mallory' WHERE id = %s", signature.pk)
    answer = told(ask(bytes(signature.statement), bytes(signature.seal)))
    assert artefacts.DIFFERS.replace("'", "&#x27;") in answer and "Mallory" not in answer
    assert "Chidi Okafor" in answer  # as the statement itself says


def test_compliance_a_statement_that_names_a_key_of_others_is_not_ours(firm):
    said = json.loads(bytes(signature_on("URS-0001").statement)) | {"key": "0" * 64}
    assert "names a key that is not this portal" in told(ask(canonical(said), b"0"))
    assert PortalKey.objects.count() == 1


def test_compliance_what_is_too_large_or_comes_too_often_is_refused(firm, settings, monkeypatch):
    settings.VERIFY_BYTES = 1000
    assert ask(b"x" * 1001).status_code == 413
    assert Client().post("/verify/", {}, CONTENT_LENGTH="999999999").status_code == 413
    monkeypatch.setattr(verify, "PER_ADDRESS", 3)
    for _ in range(3):
        assert ask(b"x").status_code == 200
    answer = ask(b"x")
    assert answer.status_code == 429 and "Wait a little" in answer.content.decode()
    assert Client().get("/verify/").status_code == 200
    other = Client(REMOTE_ADDR="198.51.100.7")
    assert ask(b"x", client=other).status_code == 200
    monkeypatch.setattr(verify, "FOR_ALL", 4)
    assert "asked too much" in ask(b"x", client=Client(REMOTE_ADDR="198.51.100.8")).content.decode()


def test_compliance_without_a_certificate_no_issued_copy_goes_out(firm, settings):
    settings.EMBEDDED, settings.PDF_SIGNING_P12 = False, None
    for url in ("/documents/URS-0001/v1/issued.pdf", "/records/KRAS-001/v1/export/issued-copy.pdf"):
        answer = firm.client(firm.inspector).get(url)
        assert answer.status_code == 503
        assert (
            "No sealed PDF can be made: the portal has no certificate (PDF_SIGNING_P12)."
            in answer.content.decode().replace("&#x27;", "'")
        )


def known(answer) -> list[str]:
    """The lines under "How we know"."""
    page = unescape(told(answer))
    shown = page.partition("<h3>How we know</h3>")[2].partition("<h3>")[0]
    return re.findall("<li>(.*?)</li>", shown)


@pytest.mark.compliance("11.10(c)")
def test_compliance_the_page_names_the_checks_that_were_made_of_a_pdf_and_no_others(firm):
    assert known(ask(issued(firm))) == [verify.KNOW_WHOLE, verify.KNOW_INSIDE]
    unsigned = firm.client(firm.inspector).get("/records/KRAS-001/v2/export/issued-copy.pdf").content
    assert known(ask(unsigned)) == [verify.KNOW_WHOLE], "there is no signature in it to be judged"
    changed = ask(issued(firm).replace(b"/Producer", b"/Producez", 1))
    assert known(changed) == list(verify.KNOW_CHANGED)
    assert "Sealed with" not in told(changed), "it was not, as it is now"
    assert known(ask(b"%PDF-1.7 nothing")) == []


def test_compliance_the_page_names_the_checks_that_were_made_of_a_statement_and_no_others(firm):
    signature = signature_on("URS-0001")
    statement, seal = bytes(signature.statement), bytes(signature.seal)
    assert known(ask(statement, seal)) == [verify.KNOW_SEAL, verify.KNOW_ON_RECORD]
    assert known(ask(statement)) == [verify.KNOW_ON_RECORD]
    real = json.loads(statement)
    made_up = canonical(real | {"printed_name": "Mallory"})
    assert known(ask(made_up)) == [verify.KNOW_NOT_ON_RECORD]
    assert known(ask(made_up, seal)) == [verify.KNOW_BROKEN]
    assert known(ask(made_up, sealing.seal(made_up))) == [verify.KNOW_SEAL, verify.KNOW_NOT_ON_RECORD]
    assert known(ask(canonical(real | {"key": "0" * 64}))) == []


def run(*arguments: str) -> tuple[int, str]:
    out, code = io.StringIO(), 0
    try:
        call_command("verify_signature", *arguments, stdout=out)
    except SystemExit as ended:
        code = int(ended.code or 0)
    return code, out.getvalue()


def test_compliance_the_command_says_the_same_with_exit_codes(firm, tmp_path):
    signature = signature_on("URS-0001")
    path = tmp_path / "copy.pdf"
    path.write_bytes(issued(firm))
    code, said = run(str(path))
    assert code == 0 and "Chidi Okafor, approval of URS-0001 version 1" in said
    assert run(str(signature.pk))[0] == 0
    path.write_bytes(path.read_bytes() + b"x")
    code, said = run(str(path), "--json")
    assert code == 1 and json.loads(said)["standing"] == "invalid"
    behind_the_portals_back("UPDATE signatures_signature SET reason = 'none' WHERE id = %s", signature.pk)
    code, said = run(str(signature.pk))
    assert code == 1 and "Reason is not what was signed: it is “none” now." in said
    with pytest.raises(CommandError, match="neither a file nor a signature"):
        run("nothing")
    assert Version.objects.exists()
