import hashlib
import io
import subprocess
from datetime import datetime, timedelta

import pikepdf
import pytest
from PIL import Image

from printing.document import render_document
from printing.issued import Standing, Tone, copy_mark, issue, utc
from printing.pages import Unreadable, page_count, page_png
from tests.printing.sheets import HASH, MOMENT, sheet, signature
from tests.printing.test_documents import text_of, words

RENDITION = render_document(sheet())


def issued(**changes) -> bytes:
    told = {
        "watermark": "EFFECTIVE",
        "tone": Tone.GOOD,
        "signatures": [signature()],
        "facts": [("Number", "URS-0001"), ("State", "Effective")],
        "printed_by": "Ines Moreau",
        "printed_at": MOMENT,
    }
    return issue(RENDITION, **{**told, **changes})


def test_the_signature_page_shows_name_time_meaning_and_hash(tmp_path):
    read = words(text_of(issued(), tmp_path))
    for said in (
        "Chidi Okafor", "QA approver", "Approval", "I approve this document for use.", "2026-11-20 14:03:22 UTC", HASH,
        "Valid: signer, meaning, time and hash agree.", hashlib.sha256(RENDITION).hexdigest(),
    ):  # fmt: skip
        assert said in read


def test_every_page_says_the_state_and_that_the_copy_is_uncontrolled(tmp_path):
    pdf = issued(signatures=[signature(printed_name=f"Signer {n}") for n in range(9)])
    assert page_count(pdf) > page_count(RENDITION) + 1
    for page in range(1, page_count(pdf) + 1):
        read = words(text_of(pdf, tmp_path, "-f", str(page), "-l", str(page)))
        mark = copy_mark(RENDITION, "Ines Moreau", MOMENT)
        assert f"UNCONTROLLED WHEN PRINTED · printed by Ines Moreau at 2026-11-20 14:03:22 UTC · copy {mark}" in read
        assert "EFFECTIVE" in read


def test_the_watermark_crosses_the_text_of_every_page_in_its_colour():
    def colours(pdf: bytes, page: int) -> set:
        picture = Image.open(io.BytesIO(page_png(pdf, page, 400)))
        return {colour for _, colour in picture.crop((60, 60, 340, 500)).getcolors(1 << 24)}

    for page in range(1, page_count(RENDITION) + 1):
        new = colours(issued(), page) - colours(RENDITION, page)
        assert any(green > red + 5 for red, green, _ in new)


def test_the_sealed_rendition_is_enclosed_byte_for_byte(tmp_path):
    path = tmp_path / "issued.pdf"
    path.write_bytes(issued())
    subprocess.run(["pdfdetach", "-save", "1", "-o", str(tmp_path / "out.pdf"), str(path)], check=True)
    assert (tmp_path / "out.pdf").read_bytes() == RENDITION


def test_the_same_copy_gives_the_same_bytes():
    assert issued(qr_url="https://x.example/") == issued(qr_url="https://x.example/")
    assert issued() != issued(printed_at=MOMENT + timedelta(seconds=1))


def test_a_copy_is_a_sound_pdf(tmp_path):
    path = tmp_path / "issued.pdf"
    path.write_bytes(issued(qr_url="https://x.example/documents/URS-0001/v4/"))
    done = subprocess.run(["qpdf", "--check", str(path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("standing", [Standing.WITHDRAWN, Standing.REJECTED, Standing.INVALID])
def test_signatures_that_do_not_count_are_shown_with_their_reason(standing, tmp_path):
    read = words(text_of(issued(signatures=[signature(standing=standing, note="Wrong appendix")]), tmp_path))
    assert standing.value in read
    assert "Chidi Okafor" in read
    assert "Wrong appendix" in read


def test_only_a_signature_that_is_withdrawn_invalid_or_does_not_stand_is_struck_through():
    from printing.issued import _card

    def struck(standing: Standing) -> bool:
        name = _card(signature(standing=standing))[2].rows[0][0]
        return any(frag.us_lines for frag in name.frags)

    assert {one for one in Standing if struck(one)} == {Standing.WITHDRAWN, Standing.INVALID, Standing.FALLEN}


def test_a_version_that_nobody_signed_says_so(tmp_path):
    assert "Nobody has signed this version." in text_of(issued(signatures=[]), tmp_path)


def test_hostile_names_and_reasons_are_printed_as_text(tmp_path):
    mean = "<b>&amp;</para>\x00\u202e中" + "x" * 4000
    pdf = issued(
        signatures=[signature(printed_name=mean, note=mean, sentence=mean, validity=mean)],
        printed_by=mean, watermark=mean, facts=[(mean, mean)], qr_url="https://x.example/?q=" + "y" * 400,
    )  # fmt: skip
    assert "<b>&amp;</para>[U+0000][U+202E][U+4E2D]" in text_of(pdf, tmp_path)


def test_the_outline_leads_to_the_signatures():
    with pikepdf.open(io.BytesIO(issued())) as pdf, pdf.open_outline() as outline:
        assert [item.title for item in outline.root] == ["1  Purpose", "2  Requirements", "Signatures"]


def test_what_is_no_pdf_is_refused():
    with pytest.raises(Unreadable):
        issue(
            b"%PDF-1.4 nothing",
            watermark="X",
            tone=Tone.NEUTRAL,
            signatures=[],
            facts=[],
            printed_by="x",
            printed_at=MOMENT,
        )


def test_a_time_without_its_zone_is_refused():
    with pytest.raises(ValueError, match="time zone"):
        utc(datetime(2026, 11, 20))
