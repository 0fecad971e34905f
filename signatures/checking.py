"""Is a signature still what was signed? Seal, statement, row and version are held against each other (11.70)."""

import hashlib
import json
from dataclasses import dataclass

from signatures import sealing, statement
from signatures.models import Signature


@dataclass(frozen=True)
class Verdict:
    """`problems` are sentences; an empty list means valid."""

    signature: Signature
    problems: list[str]

    @property
    def valid(self) -> bool:
        return not self.problems


def check(signature: Signature) -> Verdict:
    """Every way in which the row, its statement, its seal and its version disagree. Reads no bytes from S3."""
    raw = bytes(signature.statement)
    problems = []
    if hashlib.sha256(raw).hexdigest() != signature.statement_sha256:
        problems.append("The statement's hash is not the one on file.")
    if not sealing.holds(signature.key.public_pem, raw, bytes(signature.seal)):
        problems.append("The portal's seal does not fit the statement.")
    said = json.loads(raw)
    for field, column in statement.COLUMNS.items():
        if said.get(field) != statement.as_text(getattr(signature, column)):
            problems.append(f"The row's {field.replace('_', ' ')} is not the one that was signed.")
    version = signature.version
    now = {
        "top_hash": version.top_hash,
        "pins_sha256": version.pins_sha256,
        "rendition_sha256": version.rendition_sha256,
        "record": version.record.number,
        "version": version.ordinal,
    }
    for field, value in now.items():
        if said.get(field) != value:
            problems.append(f"The version's {field.replace('_', ' ')} is not the one that was signed.")
    return Verdict(signature, problems)


def check_all(signatures: list[Signature]) -> dict[object, Verdict]:
    """Verdicts by signature id; select version, record and key along with the rows."""
    return {signature.pk: check(signature) for signature in signatures}
