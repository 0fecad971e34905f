"""What to save and what to type to check a signature without the portal."""

from dataclasses import dataclass

from signatures.models import Signature

SHORT = 8


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
