"""Is a signature still what was signed? Seal, statement, row and version are held against each other (11.70)."""

import hashlib
import json
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from audit.canonical import canonical
from signatures import sealing, standing, statement
from signatures.models import Signature, Step
from signatures.standing import IN_DOUBT, Stands


@dataclass(frozen=True)
class Verdict:
    """`problems` are sentences; an empty list means that it is what was signed. `stands` says what it counts for today."""

    signature: Signature
    problems: list[str]
    stands: Stands = field(default_factory=Stands)

    @property
    def valid(self) -> bool:
        return not self.problems

    @property
    def state(self) -> str:
        """As the signature card and the pill name it."""
        return self.stands.state if self.valid else "invalid"

    @property
    def in_doubt(self) -> bool:
        """True where the version cannot simply be said to be signed by it: withdrawn, fallen, or under review."""
        return self.stands.state in IN_DOUBT


def check(signature: Signature) -> Verdict:
    """Every way in which the row, its statement, its seal and its version disagree. Reads no bytes from S3."""
    return check_all([signature])[signature.pk]


def check_all(signatures: Sequence[Signature]) -> dict[uuid.UUID, Verdict]:
    """Verdicts by signature id, in five queries; select key, about and version with its record along with the rows."""
    steps = dict(Step.objects.filter(signature__in=signatures).values_list("signature_id", "pk"))
    before = Signature.objects.filter(statement_sha256__in={signature.previous_sha256 for signature in signatures})
    known = set(before.values_list("signer_id", "statement_sha256"))
    stands = standing.of_all(signatures)
    return {
        signature.pk: Verdict(signature, list(_problems(signature, steps, known)), stands[signature.pk])
        for signature in signatures
    }


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
    for name, value in _expected(signature, steps).items():
        if said.get(name) != value:
            yield f"{name.replace('_', ' ').capitalize()} is not what was signed: it is “{value}” now."
    for name in ("top_hash", "rendition_sha256"):
        if said.get(name) != getattr(signature.version, name):
            yield f"The version's {name.replace('_', ' ')} is not the one that was signed."
    if signature.previous_sha256 and (signature.signer_id, signature.previous_sha256) not in known:
        yield "The signer's signature before this one, which it names, is missing."


def _expected(signature: Signature, steps: Mapping[uuid.UUID, uuid.UUID]) -> dict[str, str | int]:
    """What the statement should say, by the row and the version as they are now."""
    version = signature.version
    return {
        "format": statement.FORMAT,
        **{field: statement.as_text(getattr(signature, column)) for field, column in statement.COLUMNS.items()},
        "about_sha256": signature.about.statement_sha256 if signature.about else "",
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
