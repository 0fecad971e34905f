"""Acceptance: of good artefacts pdfsig, openssl and the portal say that they hold; of 200 mutated ones none of them says so.

Of the seal of a PDF itself, Poppler and openssl read what is signed and pass over the rest (certificates that lie beside, padding):
there the portal alone must find the change. pdfsig is asked without a store of certificates, so that it cannot tell whose seal it is.

The mutants are drawn with a fixed seed: each field of the statement in turn, bytes of statement, seal and PDF at many places, other
keys and certificates, seals of other copies, and incremental updates.
"""

import io
import json
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from pyhanko.pdf_utils.generic import NumberObject, pdf_name, pdf_string
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign import fields, signers

from audit import clock
from audit.canonical import canonical
from signatures import artefacts, certificate, sealed_pdf, sealing, timestamps
from signatures.artefacts import Standing
from signatures.models import Signature
from tests.signatures import judges
from tests.signatures.test_sealed_pdf import authority_file

SEED = 20261121
RANGE = re.compile(rb"/ByteRange \[0 (\d+) (\d+) (\d+)\]")

UNSIGNED = re.compile("^digit .* the PDF's seal$")
LONGER = "a byte after the seal"  # openssl reads no more of its file than the longest seal has
ANEW = "sealed anew by somebody else"


@dataclass(frozen=True)
class Good:
    statement: bytes
    seal: bytes
    key: str
    pdf: bytes
    other_pdf: bytes
    foreign: signers.SimpleSigner


@pytest.fixture
def good(firm) -> Good:
    def copy(number: str) -> bytes:
        return firm.client(firm.inspector).get(f"/documents/{number}/v1/issued.pdf").content

    row = Signature.objects.select_related("key").get(version__record__number="URS-0001", meaning="approval")
    theirs = signers.SimpleSigner.load_pkcs12_data(certificate.make_test_certificate(clock.now()), [])
    return Good(bytes(row.statement), bytes(row.seal), row.key.public_pem, copy("URS-0001"), copy("SOP-0001"), theirs)


Statement = tuple[str, bytes, bytes]


def statements(good: Good, chance: random.Random) -> Iterator[Statement]:
    """Name, statement, seal."""
    said = json.loads(good.statement)
    other = ec.generate_private_key(ec.SECP256R1())
    for name, value in said.items():
        changed = value + 1 if isinstance(value, int) else value[:-1] + ("0" if value[-1:] != "0" else "1")
        yield f"field {name}", canonical(said | {name: changed}), good.seal
    for name in chance.sample(sorted(said), 8):
        yield f"without {name}", canonical({key: value for key, value in said.items() if key != name}), good.seal
    for name in chance.sample(sorted(said), 8):
        raw = canonical(said | {name: "x"})
        yield f"field {name}, sealed by another key", raw, other.sign(raw, sealing.ALGORITHM)
    yield "sealed by another key", good.statement, other.sign(good.statement, sealing.ALGORITHM)
    for place in chance.sample(range(len(good.statement)), 36):
        yield f"byte {place} of the statement", flipped(good.statement, place, chance), good.seal
    for place in chance.sample(range(len(good.seal)), 24):
        yield f"byte {place} of the seal", good.statement, flipped(good.seal, place, chance)
    for more in (b"\n", b" ", b"{}"):
        yield f"{more!r} after the statement", good.statement + more, good.seal
    for seal in (b"", b"\0", good.seal[:-1]):
        yield f"a seal of {len(seal)} bytes", good.statement, seal
    yield LONGER, good.statement, good.seal + b"\0"


def pdfs(good: Good, chance: random.Random) -> Iterator[tuple[str, bytes]]:
    before, after, _ = span(good.pdf)
    used = before + 1 + 2 * cms_length(good.pdf)
    places = chance.sample(range(before), 52) + chance.sample(range(after, len(good.pdf)), 14)
    for place in sorted(places):
        yield f"byte {place} of the PDF", flipped(good.pdf, place, chance)
    for place in sorted(chance.sample(range(before + 1, used), 14)):
        yield f"digit {place - before} of the PDF's seal", digit(good.pdf, place, chance)
    for place in chance.sample(range(used, after - 1), 2):
        yield f"digit {place - before} behind the PDF's seal", digit(good.pdf, place, chance)
    yield "the seal of another copy", transplanted(good.pdf, good.other_pdf)
    yield "the seal moved", moved(good.pdf)
    for name, tail in (("a line", b"\n"), ("an end", b"\nstartxref\n0\n%%EOF\n"), ("a range", good.pdf[before - 40 :])):
        yield f"{name} appended", good.pdf + tail
    for name, update in UPDATES.items():
        yield f"updated: {name}", updated(good.pdf, update)
    yield ANEW, resealed(unsealed(good.pdf), good.foreign)
    yield "sealed once more by somebody else", resealed(good.pdf, good.foreign)
    yield "cut off", good.pdf[:-40]
    yield "unsealed", unsealed(good.pdf)


def flipped(data: bytes, place: int, chance: random.Random) -> bytes:
    return data[:place] + bytes([data[place] ^ (1 << chance.randrange(8))]) + data[place + 1 :]


def digit(data: bytes, place: int, chance: random.Random) -> bytes:
    """Another hex digit, or the same one in small letters."""
    there = chr(data[place])
    new = chance.choice([one for one in "0123456789abcdef" if one != there.lower()])
    return data[:place] + new.encode() + data[place + 1 :]


def span(pdf: bytes) -> tuple[int, int, int]:
    return tuple(map(int, RANGE.findall(pdf)[-1]))  # type: ignore[return-value]


def cms_length(pdf: bytes) -> int:
    before, after, _ = span(pdf)
    return len(bytes.fromhex(pdf[before + 1 : after - 1].decode()).rstrip(b"\0"))


def transplanted(pdf: bytes, other: bytes) -> bytes:
    before, after, _ = span(pdf)
    first, last, _ = span(other)
    return pdf[:before] + other[first:last] + pdf[after:]


def moved(pdf: bytes) -> bytes:
    """The same bytes outside of the seal, and the seal a hundred bytes earlier."""
    before, after, _ = span(pdf)
    rest = pdf[:before] + pdf[after:]
    return rest[: before - 100] + pdf[before:after] + rest[before - 100 :]


def unsealed(pdf: bytes) -> bytes:
    """As it was before the seal: the first revision."""
    return pdf[: pdf.index(b"%%EOF") + 6]


def resealed(pdf: bytes, signer: signers.SimpleSigner) -> bytes:
    meta = signers.PdfSignatureMetadata(
        field_name="Theirs", subfilter=fields.SigSeedSubFilter.PADES, md_algorithm="sha256"
    )
    writer = IncrementalPdfFileWriter(io.BytesIO(pdf), strict=False)
    made = signers.PdfSigner(meta, signer=signer)
    made._enforce_certification_constraints = lambda *_: None  # type: ignore[method-assign]
    return timestamps.finished(made.async_sign_pdf(writer)).getvalue()


def updated(pdf: bytes, change: Callable[[IncrementalPdfFileWriter], None]) -> bytes:
    writer = IncrementalPdfFileWriter(io.BytesIO(pdf))
    change(writer)
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def _turn(writer: IncrementalPdfFileWriter) -> None:
    page = writer.root["/Pages"]["/Kids"][0]
    page[pdf_name("/Rotate")] = NumberObject(90)
    writer.mark_update(writer.root["/Pages"]["/Kids"].raw_get(0))


def _relabel(writer: IncrementalPdfFileWriter) -> None:
    writer.root[pdf_name("/Lang")] = pdf_string("xx")
    writer.update_root()


def _lift(writer: IncrementalPdfFileWriter) -> None:
    del writer.root["/Perms"]
    writer.update_root()


UPDATES = {"a page turned": _turn, "another language": _relabel, "its protection lifted": _lift}


def check(good: Good, folder: Path, share: int) -> int:
    """Hold every `share`-th mutant against all three. Returns how many there were."""
    authority = authority_file(folder)
    path = folder / "mutant.pdf"
    said: list[str] = []
    count = 0
    for name, statement, seal in list(statements(good, random.Random(SEED)))[::share]:
        count += 1
        if artefacts.judge(statement, seal).standing in (Standing.VALID, Standing.WITHDRAWN, Standing.UNDER_REVIEW):
            said.append(f"the portal: {name}")
        if name != LONGER and judges.openssl_statement(statement, seal, good.key, folder):
            said.append(f"openssl: {name}")
    for name, pdf in list(pdfs(good, random.Random(SEED)))[::share]:
        count += 1
        path.write_bytes(pdf)
        if artefacts.judge(pdf).standing not in (Standing.INVALID, Standing.FOREIGN):
            said.append(f"the portal: {name}")
        if not UNSIGNED.search(name) and name != ANEW and judges.pdfsig_agrees(path):
            said.append(f"pdfsig: {name}")
        if not UNSIGNED.search(name) and judges.openssl_seal(pdf, authority, folder):
            said.append(f"openssl: {name}")
    assert said == [], "held to be good by " + "\n".join(said)
    return count


@pytest.mark.compliance("11.70", "11.10(a)", "§2.8", "S5")
def test_compliance_pdfsig_openssl_and_the_portal_agree_on_what_is_good(good, tmp_path):
    path = tmp_path / "good.pdf"
    path.write_bytes(good.pdf)
    assert judges.pdfsig_agrees(path)
    assert judges.openssl_seal(good.pdf, authority_file(tmp_path), tmp_path)
    assert judges.openssl_statement(good.statement, good.seal, good.key, tmp_path)
    assert artefacts.judge(good.pdf).holds and artefacts.judge(good.statement, good.seal).holds
    assert check(good, tmp_path, share=8) >= 24
    assert sealed_pdf.examine(good.other_pdf).outcome is sealed_pdf.Outcome.WHOLE


@pytest.mark.long
@pytest.mark.compliance("11.70", "11.10(a)", "§2.8", "S5")
def test_compliance_none_of_two_hundred_mutants_is_held_to_be_good(good, tmp_path):
    assert check(good, tmp_path, share=1) >= 200
