"""What a signature binds, as canonical bytes (RFC 8785): `docs/signatures.md` tells each field to whoever checks one."""

from datetime import UTC, datetime
from typing import Any

from audit.canonical import canonical
from records.models import Version

FORMAT = "countersign-signature-1"


def build(
    version: Version,
    *,
    signature_id: str,
    signer: str,
    printed_name: str,
    role: str,
    meaning: str,
    sentence: str,
    reason: str,
    step: str,
    signed_at: datetime,
    components: str,
    policy: str,
    accountability: str,
    about: str,
    about_sha256: str,
    outcome: str,
    intent: str,
    reviewed_to: str,
    list_sha256: str,
    previous: str,
    key: str,
) -> bytes:
    """The statement's bytes. `policy` is the revision of the e-signature SOP in force, `accountability` that of what the signer
    took on, `about` the signature that this one withdraws or decides on, with the SHA-256 of its statement, `outcome` the
    decision, `reviewed_to` the id of the last entry of the trail that the signer has reviewed, `list_sha256` that of the list
    signed with one code (`intents.list_digest`), `previous` the SHA-256 of the signer's statement before this one, each ""
    where there is none; `key` the id of the portal's key that seals it."""
    return canonical(
        {
            "format": FORMAT,
            "signature": signature_id,
            "record": version.record.number,
            "title": version.record.title,
            "version": version.ordinal,
            "version_id": str(version.pk),
            "top_hash": version.top_hash,
            "pins_sha256": version.pins_sha256,
            "rendition_sha256": version.rendition_sha256,
            "signer": signer,
            "printed_name": printed_name,
            "role": role,
            "meaning": meaning,
            "sentence": sentence,
            "reason": reason,
            "step": step,
            "signed_at": stamp(signed_at),
            "components": components,
            "policy": policy,
            "accountability": accountability,
            "about": about,
            "about_sha256": about_sha256,
            "outcome": outcome,
            "intent": intent,
            "reviewed_to": reviewed_to,
            "list_sha256": list_sha256,
            "previous": previous,
            "key": key,
        }
    )


def stamp(when: datetime) -> str:
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


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


def as_text(value: Any) -> str:
    if value is None:
        return ""
    return stamp(value) if isinstance(value, datetime) else str(value)
