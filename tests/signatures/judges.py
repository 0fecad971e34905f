"""Programs that know nothing of the portal and say whether an artefact holds: pdfsig (Poppler) and openssl."""

import re
import subprocess
from pathlib import Path


def run(*command: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, errors="replace", timeout=60)


def pdfsig(path: Path) -> str:
    """What Poppler prints of the seals in a PDF."""
    return run("pdfsig", "-nocert", path).stdout


def pdfsig_agrees(path: Path) -> bool:
    """True if there is exactly one seal, it is valid, and it covers the whole file."""
    said = pdfsig(path)
    return (
        said.count("Signature Validation:") == 1
        and "Signature Validation: Signature is Valid." in said
        and "Total document signed" in said
    )


def openssl_seal(pdf: bytes, authority: Path, folder: Path) -> bool:
    """True if openssl finds the seal of the PDF, taken out by its byte range, good over the rest and from this authority."""
    found = re.findall(rb"/ByteRange \[(\d+) (\d+) (\d+) (\d+)\]", pdf)
    if not found:
        return False
    start, before, after, rest = map(int, found[-1])
    try:
        raw = bytes.fromhex(pdf[before + 1 : after - 1].decode())
    except ValueError:
        return False
    if start != 0 or after + rest != len(pdf):
        return False
    cms, content = folder / "seal.cms", folder / "sealed.bin"
    cms.write_bytes(raw)
    content.write_bytes(pdf[:before] + pdf[after:])
    done = run(
        "openssl", "cms", "-verify", "-binary", "-inform", "DER", "-in", cms, "-content", content, "-CAfile", authority,
        "-purpose", "any", "-out", "/dev/null",
    )  # fmt: skip
    return done.returncode == 0


def openssl_statement(statement: bytes, seal: bytes, key_pem: str, folder: Path) -> bool:
    """True if openssl answers "Verified OK"."""
    for name, data in (("statement.json", statement), ("seal.der", seal), ("key.pem", key_pem.encode())):
        (folder / name).write_bytes(data)
    done = run(
        "openssl", "dgst", "-sha256", "-verify", folder / "key.pem", "-signature", folder / "seal.der",
        folder / "statement.json",
    )  # fmt: skip
    return "Verified OK" in done.stdout
