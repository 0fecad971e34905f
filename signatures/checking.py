"""Is a signature still what was signed? Seal, statement, row and version are held against each other (11.70)."""

import hashlib
import json
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from audit.canonical import canonical
from signatures import sealing, statement
from signatures.models import Signature, Step


@dataclass(frozen=True)
class Verdict:
    """`problems` are sentences; an empty list means valid."""

    signature: Signature
    problems: list[str]

    @property
    def valid(self) -> bool:
        return not self.problems

    @property
    def state(self) -> str:
        """As the signature card and the pill name it."""
        return "valid" if self.valid else "invalid"


def check(signature: Signature) -> Verdict:
    """Every way in which the row, its statement, its seal and its version disagree. Reads no bytes from S3."""
    return check_all([signature])[signature.pk]


def check_all(signatures: Sequence[Signature]) -> dict[uuid.UUID, Verdict]:
    """Verdicts by signature id, in two queries; select key and version with its record along with the rows."""
    steps = dict(Step.objects.filter(signature__in=signatures).values_list("signature_id", "pk"))
    before = Signature.objects.filter(statement_sha256__in={signature.previous_sha256 for signature in signatures})
    known = set(before.values_list("signer_id", "statement_sha256"))
    return {signature.pk: Verdict(signature, list(_problems(signature, steps, known))) for signature in signatures}


def _problems(
    signature: Signature, steps: Mapping[uuid.UUID, uuid.UUID], known: Collection[tuple[uuid.UUID, str]]
) -> Iterator[str]:
    raw = bytes(signature.statement)
    if hashlib.sha256(raw).hexdigest() != signature.statement_sha256:
        yield "The statement's hash is not the one on file."
    if not sealing.holds(signature.key.public_pem, raw, bytes(signature.seal)):
        yield "The portal's seal does not fit the statement."
    said = _read(raw)
    if said is None:
        yield "The statement cannot be read."
        return
    for field, value in _expected(signature, steps).items():
        if said.get(field) != value:
            yield f"{field.replace('_', ' ').capitalize()} is not what was signed: it is “{value}” now."
    for field in ("top_hash", "rendition_sha256"):
        if said.get(field) != getattr(signature.version, field):
            yield f"The version's {field.replace('_', ' ')} is not the one that was signed."
    if signature.previous_sha256 and (signature.signer_id, signature.previous_sha256) not in known:
        yield "The signer's signature before this one, which it names, is missing."


def _expected(signature: Signature, steps: Mapping[uuid.UUID, uuid.UUID]) -> dict[str, str | int]:
    """What the statement should say, by the row and the version as they are now."""
    version = signature.version
    return {
        "format": statement.FORMAT,
        **{field: statement.as_text(getattr(signature, column)) for field, column in statement.COLUMNS.items()},
        "step": str(steps.get(signature.pk, "")),
        "record": version.record.number,
        "version": version.ordinal,
        "pins_sha256": version.pins_sha256,
    }


def _read(raw: bytes) -> dict[str, Any] | None:
    """The statement as an object, or None where it is not canonical JSON of one."""
    try:
        said = json.loads(raw)
        return said if isinstance(said, dict) and canonical(said) == raw else None
    except (ValueError, RecursionError):
        return None
