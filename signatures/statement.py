"""What a signature binds, as canonical bytes (RFC 8785): `docs/signatures.md` tells each field to whoever checks one."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from audit.canonical import canonical

if TYPE_CHECKING:
    from signatures.models import Signature

FORMAT = "countersign-signature-1"


# Statement field -> column of Signature: what `checking.check()` holds against each other.
COLUMNS: dict[str, str] = {
    "signature": "id",
    "version_id": "version_id",
    "top_hash": "top_hash",
    "rendition_sha256": "rendition_sha256",
    "signer": "signer_id",
    "printed_name": "printed_name",
    "role": "role",
    "meaning": "meaning",
    "sentence": "sentence",
    "reason": "reason",
    "signed_at": "signed_at",
    "accountability": "accountability",
    "about": "about_id",
    "outcome": "outcome",
    "components": "components",
    "intent": "intent_id",
    "reviewed_to": "reviewed_to",
    "list_sha256": "list_sha256",
    "previous": "previous_sha256",
    "key": "key_id",
}


def build(row: Signature, *, step: str, policy: str) -> bytes:
    """The statement's bytes for a signature that is about to be kept. `step` is the id of the step that it answers, `policy` the
    revision of the e-signature SOP in force, each "" where there is none."""
    version = row.version
    return canonical(
        {
            "format": FORMAT,
            "record": version.record.number,
            "title": version.record.title,
            "version": version.ordinal,
            "pins_sha256": version.pins_sha256,
            "step": step,
            "policy": policy,
            "about_sha256": row.about.statement_sha256 if row.about else "",
            **{field: as_text(getattr(row, column)) for field, column in COLUMNS.items()},
        }
    )


def stamp(when: datetime) -> str:
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def as_text(value: Any) -> str:
    if value is None:
        return ""
    return stamp(value) if isinstance(value, datetime) else str(value)
