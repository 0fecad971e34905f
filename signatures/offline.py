"""What to save and what to type to check a signature without the portal."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from signatures.models import Signature

SHORT = 8
STATEMENT_NAME = re.compile(r"statement-([0-9a-f]{8})\.json")


@dataclass(frozen=True)
class Names:
    """File names of the three parts, as the page gives them and as the command names them."""

    statement: str
    seal: str
    key: str


def names(signature: Signature) -> Names:
    short = str(signature.pk)[:SHORT]
    return Names(f"statement-{short}.json", f"signature-{short}.der", file_name(signature.key_id))


def file_name(key_id: str) -> str:
    return f"portal-key-{key_id[:SHORT]}.pem"


def command(signature: Signature) -> str:
    """What any OpenSSL answers with "Verified OK"."""
    held = names(signature)
    return f"openssl dgst -sha256 -verify {held.key} \\\n  -signature {held.seal} \\\n  {held.statement}"


def pairs(names: Iterable[str]) -> list[tuple[str, str]]:
    """Statements among these file names, each with the name of its seal."""
    found = [(name, STATEMENT_NAME.fullmatch(name)) for name in names]
    return sorted((name, f"signature-{match[1]}.der") for name, match in found if match)
