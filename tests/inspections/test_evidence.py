"""An evidence pack as a file: what it says, what it encloses, and that it says the same twice."""

import io
import re
import subprocess

import pikepdf
import pytest

from inspections.evidence import Enclosed, Head, Placed, Step, build, manifest, readme
from printing.pages import Unreadable

HEAD = Head("KRAS-001", "Lung panel <b>", "NGS run package", "3", "made for Ellen Marsh")
HOSTILE = "<img src=x> & \u202e {{ x }} \x00"


def text(pdf, folder):
    path = folder / "pack.pdf"
    path.write_bytes(pdf)
    out = subprocess.run(["pdftotext", "-layout", path, "-"], capture_output=True, check=True).stdout.decode()
    return re.sub(r"\s+", " ", out)


def a_pack(parts=(), enclosed=()):
    return build(
        HEAD, [("Top hash", "ab" * 32)], parts, enclosed, [Step("Look at it:", "sha256sum x")], ["That all is well."]
    )


def placed(number=1):
    return Placed(f"reads/{number}.gz", 1234, "cd" * 32, "gxp-records", f"runs/{number}", "v1")


def test_the_cover_lists_the_parts_what_is_enclosed_the_steps_and_the_limits(tmp_path):
    data = Enclosed("manifest.jsonl", b"{}\n", "application/jsonl", "Quilt manifest")
    said = text(a_pack([("README", readme(HEAD, "# Why\n\nBecause."))], [data]), tmp_path)
    for words in (
        "Evidence pack",
        "README 1 page",
        "manifest.jsonl",
        data.sha256[:20],
        "sha256sum x",
        "That all is well.",
        "Because.",
    ):
        assert words in said, words


@pytest.mark.compliance("11.10(b)")
def test_what_is_enclosed_comes_out_byte_for_byte():
    data = Enclosed("a.bin", bytes(range(256)), "application/octet-stream", "bytes")
    with pikepdf.open(io.BytesIO(a_pack(enclosed=[data]))) as pack:
        assert pack.attachments["a.bin"].get_file().read_bytes() == data.data


def test_the_same_gives_the_same_bytes():
    parts = [("README", readme(HEAD, "Text.")), ("Manifest", manifest(HEAD, [], {"run": 1}, [placed()]))]
    assert a_pack(parts) == a_pack(parts)


@pytest.mark.compliance("11.10(b)")
def test_the_manifest_names_each_file_with_digest_and_place(tmp_path):
    said = text(
        manifest(HEAD, [("Top hash", "ab" * 32)], {"run": {"number": 7}}, [placed(n) for n in range(60)]), tmp_path
    )
    assert "60 files, 74,040 bytes together" in said
    assert "reads/59.gz" in said
    assert "s3://gxp-records/runs/59" in said
    assert "run / number 7" in said


def test_a_version_without_readme_says_so(tmp_path):
    assert "This version has no README." in text(readme(HEAD, "  "), tmp_path)


@pytest.mark.parametrize("what", [HOSTILE, "x" * 5000, ""])
def test_hostile_text_is_printed_and_breaks_nothing(what):
    file = Placed(what, 1, what, what, what, what)
    assert manifest(HEAD, [("Name", what)], {what: what}, [file]).startswith(b"%PDF")
    assert readme(HEAD, what).startswith(b"%PDF")


def test_a_part_that_is_no_pdf_is_refused():
    with pytest.raises(Unreadable):
        a_pack([("README", b"no pdf")])
