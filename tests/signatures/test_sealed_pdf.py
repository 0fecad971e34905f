"""PDFs under the portal's seal (11.30, 11.70): Poppler and openssl know the seal, and one changed byte is told."""

import io
import random
import re
import subprocess
import time
from datetime import UTC, datetime, timedelta

import pikepdf
import pytest
from cryptography.hazmat.primitives import serialization

from printing.pages import saved
from signatures import certificate, sealed_pdf
from signatures.sealed_pdf import Outcome
from tests.conftest import ROOT
from tests.printing.test_issued import issued
from tests.signatures import judges

AT = datetime(2026, 11, 21, 9, 30, 15, tzinfo=UTC)


@pytest.fixture
def sealed(empty) -> bytes:
    return sealed_pdf.attest(issued(), at=AT)


def authority_file(folder):
    """The certificate of the throw-away authority, as somebody outside would have it."""
    held, _ = certificate.in_use()
    path = folder / "authority.pem"
    path.write_bytes(held.chain[-1].public_bytes(serialization.Encoding.PEM))
    return path


@pytest.mark.compliance("11.30", "11.70", "S5")
def test_compliance_a_sealed_pdf_is_valid_to_poppler_openssl_and_the_portal(sealed, tmp_path):
    path = tmp_path / "issued.pdf"
    path.write_bytes(sealed)
    said = judges.pdfsig(path)
    assert judges.pdfsig_agrees(path), said
    assert "ETSI.CAdES.detached" in said and "Signing Hash Algorithm: SHA-256" in said
    assert judges.openssl_seal(sealed, authority_file(tmp_path), tmp_path)
    found = sealed_pdf.examine(sealed)
    assert (found.outcome, found.sealed_at, found.stamped_at) == (Outcome.WHOLE, AT, None)
    assert found.certificate.for_tests and found.certificate.name == certificate.TEST_NAME
    assert set(found.attachments) == {"rendition.pdf"}


@pytest.mark.compliance("11.30", "11.70", "S5")
def test_compliance_one_changed_byte_of_a_sealed_pdf_is_told_by_poppler_openssl_and_the_portal(sealed, tmp_path):
    changed = bytearray(sealed)
    changed[len(issued()) // 2] ^= 1
    path = tmp_path / "issued.pdf"
    path.write_bytes(changed)
    assert "Digest Mismatch" in judges.pdfsig(path)
    assert not judges.openssl_seal(bytes(changed), authority_file(tmp_path), tmp_path)
    found = sealed_pdf.examine(bytes(changed))
    assert (found.outcome, found.sentence) == (Outcome.CHANGED, "This PDF was changed after the portal sealed it.")


@pytest.mark.compliance("11.70", "§2.17")
def test_compliance_a_time_stamp_of_an_authority_outside_dates_the_seal(sealed, tsa, tmp_path):
    before = tsa.asked
    assert sealed_pdf.examine(sealed).stamped_at is None  # made before the test asked for stamps
    stamped = sealed_pdf.attest(issued(), at=AT)
    assert tsa.asked == before + 1
    path = tmp_path / "issued.pdf"
    path.write_bytes(stamped)
    assert judges.pdfsig_agrees(path)
    found = sealed_pdf.examine(stamped)
    assert found.outcome is Outcome.WHOLE
    assert abs(found.stamped_at - datetime.now(UTC)) < timedelta(minutes=1)


@pytest.mark.compliance("11.30", "S5")
def test_compliance_the_commands_that_the_manual_tells_work_as_they_stand(sealed, tmp_path):
    told = (ROOT / "docs" / "signatures.md").read_text()
    command = next(block for block in re.findall(r"^```\w*\n(.*?)^```", told, re.S | re.M) if "openssl cms" in block)
    authority_file(tmp_path)
    said = []
    for pdf in (sealed, sealed.replace(b"/Producer", b"/Producex", 1)):
        (tmp_path / "issued.pdf").write_bytes(pdf)
        done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True)
        said.append((done.returncode == 0, "successful" in done.stderr))
    assert said == [(True, True), (False, False)]


@pytest.mark.compliance("S5")
def test_compliance_a_large_copy_is_sealed_within_a_second(empty):
    noise = random.Random(7).randbytes(24 * 1024**2)
    with pikepdf.open(io.BytesIO(issued())) as pdf:
        pdf.attachments["noise.bin"] = pikepdf.AttachedFileSpec(pdf, noise, filename="noise.bin")
        large = saved(pdf)
    sealed_pdf.attest(issued(), at=AT)  # loads what is loaded once
    started = time.perf_counter()
    made = sealed_pdf.attest(large, at=AT)
    assert time.perf_counter() - started < 1
    assert sealed_pdf.examine(made).outcome is Outcome.WHOLE
