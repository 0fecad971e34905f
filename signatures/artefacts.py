"""What somebody brings along to have it checked: a sealed PDF, or a statement with or without its seal. Is it ours, is it whole,
and does what was signed still count? The answer says what the artefact itself says, and the verdict; nothing else of a record.

Nothing raises for what the bytes are: they come from anybody.
"""

import hashlib
import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from audit.canonical import canonical
from signatures import offline, sealed_pdf, sealing, statement
from signatures.checking import Verdict, check
from signatures.meanings import Meaning
from signatures.models import PortalKey, Signature
from signatures.sealed_pdf import Outcome, Seal

STATEMENT_BYTES = 64 * 1024
SEAL_BYTES = 1024
SHA256 = re.compile("[0-9a-f]{64}")
MAGIC = b"%PDF-"


class Standing(StrEnum):
    """What is to be thought of it, best first."""

    VALID = "valid"
    WITHDRAWN = "withdrawn"
    UNDER_REVIEW = "under_review"
    INVALID = "invalid"
    FOREIGN = "foreign"


# States of a signature (`Verdict.state`): what a stranger is told of each. Names and reasons stay in the portal.
SAID: dict[str, tuple[Standing, str]] = {
    "valid": (Standing.VALID, "The portal sealed this statement, and the signature is on its record as it says."),
    "withdrawn": (Standing.WITHDRAWN, "The signature is genuine, and its signer withdrew it later: it counts no more."),
    "fallen": (Standing.WITHDRAWN, "The signature is genuine, and was later decided not to stand: it counts no more."),
    "superseded": (Standing.WITHDRAWN, "The signature is genuine, and another was asked for in its place: it counts no more."),
    "void": (Standing.WITHDRAWN, "The signature is genuine, but the version that it is on was taken back: it counts no more."),
    "under_review": (Standing.UNDER_REVIEW, "The signature is genuine, and it is under review whether it stands."),
}  # fmt: skip
NO_STATEMENT = "This is neither a PDF nor a statement of a signature as this portal makes them."
OTHER_KEY = "The statement names a key that is not this portal's."
BROKEN = "The seal does not fit the statement: one of the two was changed."
UNSEALED = (
    "The statement has no seal with it, and its bytes are not those of a signature on record: changed, or made up."
)
UNKNOWN = "The statement bears the portal's seal, but the portal has no such signature on record. Tell the owner of this portal."
DIFFERS = "The portal's own record of this signature is not what was signed any more. Tell the owner of this portal."
SUMS: dict[Standing, str] = {
    Standing.VALID: "{whole} Each signature in it is on the portal's record.",
    Standing.WITHDRAWN: "{whole} But a signature in it counts no more.",
    Standing.UNDER_REVIEW: "{whole} But a signature in it is under review.",
    Standing.INVALID: "{whole} But a signature in it does not hold.",
    Standing.FOREIGN: "{whole} But it holds a signature that is not of this portal.",
}
UNSIGNED = "{whole} It shows no signature of a person."


@dataclass(frozen=True)
class Signed:
    """One statement and what is to be thought of it. `says` is the statement where its bytes are known to be ours, else empty."""

    standing: Standing
    sentence: str
    says: Mapping[str, Any] = field(default_factory=dict)
    verdict: Verdict | None = None

    @property
    def meaning(self) -> str:
        told = str(self.says.get("meaning", ""))
        return str(Meaning(told).label) if told in Meaning.values else told.capitalize()

    @property
    def signed_at(self) -> datetime | None:
        try:
            return datetime.strptime(str(self.says.get("signed_at")), "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
        except ValueError:
            return None


@dataclass(frozen=True)
class Judgement:
    """`kind`: pdf or statement. `seal` is that of a PDF."""

    kind: str
    standing: Standing
    sentence: str
    sha256: str
    signed: list[Signed]
    seal: Seal | None = None

    @property
    def holds(self) -> bool:
        """True where it is ours, whole, and counts today."""
        return self.standing is Standing.VALID


def judge(data: bytes, seal: bytes | None = None) -> Judgement:
    """The judgement on a PDF, or on a statement with its seal."""
    sha256 = hashlib.sha256(data).hexdigest()
    if MAGIC in data[:1024]:
        return _judge_pdf(data, sha256)
    one = judge_statement(data, seal)
    return Judgement("statement", one.standing, one.sentence, sha256, [one] if one.says else [])


def judge_statement(raw: bytes, seal: bytes | None = None) -> Signed:
    """Of a statement without a seal the record alone can say that it is ours, byte for byte."""
    says = _read(raw)
    if says is None or (seal is not None and len(seal) > SEAL_BYTES):
        return Signed(Standing.FOREIGN, NO_STATEMENT if says is None else BROKEN)
    told = str(says.get("key"))  # whoever brought it may say anything: what is no SHA-256 is not asked of the database
    key = PortalKey.objects.filter(pk=told).first() if SHA256.fullmatch(told) else None
    if key is None:
        return Signed(Standing.FOREIGN, OTHER_KEY)
    if seal is not None and not sealing.holds(key.public_pem, raw, seal):
        return Signed(Standing.INVALID, BROKEN)
    rows = Signature.objects.select_related("version__record__type", "key", "about")
    named = _uuid(says.get("signature"))
    row = rows.filter(pk=named).first() if named else None
    on_record = row is not None and bytes(row.statement) == raw
    if row is None or not on_record:
        # A good seal makes its words the portal's own; without one they may be anybody's.
        return Signed(Standing.INVALID, UNSEALED) if seal is None else Signed(Standing.INVALID, UNKNOWN, says)
    verdict = check(row)
    if not verdict.valid:
        return Signed(Standing.INVALID, DIFFERS, says, verdict)
    standing, sentence = SAID[verdict.state]
    return Signed(standing, sentence, says, verdict)


def _judge_pdf(data: bytes, sha256: str) -> Judgement:
    seal = sealed_pdf.examine(data)
    if seal.outcome is not Outcome.WHOLE:
        standing = Standing.FOREIGN if seal.outcome is Outcome.FOREIGN else Standing.INVALID
        return Judgement("pdf", standing, seal.sentence, sha256, [], seal)
    held = seal.attachments or {}
    signed = [judge_statement(held[name], held.get(seal_name)) for name, seal_name in offline.pairs(held)]
    signed.sort(key=lambda one: str(one.says.get("signed_at", "")))
    order = list(Standing)
    worst = max((one.standing for one in signed), key=order.index, default=Standing.VALID)
    sentence = (SUMS[worst] if signed else UNSIGNED).format(whole=seal.sentence)
    return Judgement("pdf", worst, sentence, sha256, signed, seal)


def _read(raw: bytes) -> dict[str, Any] | None:
    """The statement's fields, or None where these are not bytes as the portal writes them."""
    if len(raw) > STATEMENT_BYTES:
        return None
    try:
        said = json.loads(raw)
        return (
            said
            if isinstance(said, dict) and said.get("format") == statement.FORMAT and canonical(said) == raw
            else None
        )
    except (ValueError, TypeError, RecursionError):
        return None


def _uuid(told: object) -> uuid.UUID | None:
    try:
        return uuid.UUID(str(told))
    except ValueError:
        return None
