"""Issued copies: the rendition with its state and signatures, the proofs of these inside, and the portal's seal over all."""

from collections.abc import Sequence
from datetime import datetime

from django.conf import settings

from portal.pages import manifestation
from printing import issued
from printing.issued import Attached, Tone
from records.models import Version
from signatures import certificate, offline, sealed_pdf, standing
from signatures.models import PortalCertificate, PortalKey
from storage import worm

ATTESTS = (
    "The portal sealed this PDF with its certificate “{name}” (SHA-256 {id}). The seal attests that the portal issued this"
    " copy as it is, with the signatures on its record that are shown here. It is the portal's seal and no person's own"
    " certificate: each person named above signed in the portal, with password and second factor."
)
STAMPED = "A time-stamp authority outside the portal dates the seal."
FOR_TESTS = (
    "The certificate was made by this installation itself, for demonstration: nobody outside vouches for it, and a PDF"
    " reader will say so."
)
DOUBTS = {
    standing.APPROVED_IN_DOUBT: ("APPROVED, IN DOUBT", Tone.CAUTION),
    standing.APPROVAL_VOID: ("APPROVAL VOID", Tone.BAD),
}
HOW = "To check: pdfsig FILE.pdf, or {url}"


def doubt(version: Version) -> tuple[str, Tone] | None:
    """The words across a copy of an approved version whose approval does not simply count; None where it does."""
    counts = standing.approvals([version.pk]).get(version.pk)
    return DOUBTS[counts] if counts else None


def issued_copy(
    version: Version,
    *,
    watermark: str,
    tone: Tone,
    facts: Sequence[tuple[str, str]],
    printed_by: str,
    at: datetime,
) -> tuple[bytes, str]:
    """The sealed copy, and its mark. Raises `NoCertificate` rather than give one without its seal; `worm.Altered`,
    StorageError and Unreadable where the rendition cannot be had."""
    _, own = certificate.in_use()
    rendition = worm.get(worm.Pin.from_json(version.rendition))
    copy = issued.issue(
        rendition,
        watermark=watermark,
        tone=tone,
        signatures=manifestation.blocks(version),
        facts=facts,
        printed_by=printed_by,
        printed_at=at,
        qr_url=f"{settings.SITE_URL}{version.get_absolute_url()}",
        seal_note=seal_note(own),
        attached=proofs(version),
    )
    return sealed_pdf.attest(copy, at=at), issued.copy_mark(rendition, printed_by, at)


def seal_note(own: PortalCertificate) -> str:
    """What the page of a sealed PDF says of its seal."""
    told = [ATTESTS.format(name=own.name, id=own.pk)]
    told += [STAMPED] if settings.TSA_URL else []
    told += [FOR_TESTS] if own.for_tests else []
    return "\n".join([*told, HOW.format(url=f"{settings.SITE_URL}/verify/")])


def proofs(version: Version) -> list[Attached]:
    """Statement, seal and public key of each signature on the version, under the names that `offline.command` uses."""
    found: dict[str, Attached] = {}
    for signature, _ in manifestation.signatures_of([version]):
        named = offline.names(signature)
        whose = f"{signature.printed_name}, {signature.get_meaning_display().lower()}"
        key: PortalKey = signature.key
        for one in (
            Attached(named.statement, bytes(signature.statement), "application/json", f"Statement: {whose}"),
            Attached(named.seal, bytes(signature.seal), "application/octet-stream", f"Seal: {whose}"),
            Attached(named.key, key.public_pem.encode(), "application/x-pem-file", "Public key of the portal"),
        ):
            found[one.name] = one
    return list(found.values())
