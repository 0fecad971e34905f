"""PDFs under the portal's seal: PAdES, certified so that nothing may be changed, with a time stamp where one is configured.

Reading one back is done from the outside in: a PDF comes from anybody, so nothing of it is parsed as a PDF before the bytes
are known to be the portal's own. The seal must cover the whole file but for its own place.
"""

import hashlib
import io
import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import pikepdf
from asn1crypto import cms
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from django.conf import settings
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.misc import PdfError
from pyhanko.pdf_utils.writer import BasePdfFileWriter
from pyhanko.sign import fields, signers
from pyhanko.sign.general import SigningError
from pyhanko.sign.signers.pdf_signer import PdfSigningSession
from pyhanko.sign.validation.errors import SignatureValidationError
from pyhanko.sign.validation.generic_cms import validate_sig_integrity

from signatures import certificate, timestamps
from signatures.models import PortalCertificate
from storage import kms

FIELD = "Portal"
REASON = "Attests the portal's record. It is no person's own certificate."
ROOM = 32 * 1024  # hex digits kept free for seal, certificates and time stamp
BYTE_RANGE = re.compile(rb"/ByteRange\s{0,9}\[\s{0,9}(\d{1,10}) (\d{1,10}) (\d{1,10}) (\d{1,10})\s{0,9}\]")
HEX = re.compile(rb"<((?:[0-9a-fA-F]{2})+)>")
ATTACHMENTS = 400
ATTACHMENT_BYTES = 256 * 1024


def attest(pdf: bytes, *, at: datetime) -> bytes:
    """The PDF under the portal's seal, as of `at` (UTC). Raises NoCertificate: no copy goes out without its seal."""
    held, _ = certificate.in_use()
    meta = signers.PdfSignatureMetadata(
        field_name=FIELD,
        certify=True,
        docmdp_permissions=fields.MDPPerm.NO_CHANGES,
        subfilter=fields.SigSeedSubFilter.PADES,
        md_algorithm="sha256",
        name=f"Countersign at {settings.SITE_URL}",
        reason=REASON,
    )
    try:
        signer = _Signer(meta, signer=held.signer, timestamper=timestamps.authority())
        signer.at = at
        writer = IncrementalPdfFileWriter(io.BytesIO(pdf))
        made = timestamps.finished(signer.async_sign_pdf(writer, bytes_reserved=ROOM))
    except (timestamps.NoTimeStamp, kms.Unavailable) as away:
        raise certificate.NoCertificate(str(away)) from away
    except (SigningError, PdfError, OSError) as error:
        raise certificate.NoCertificate(f"sealing failed ({error}).") from error
    return bytes(made.getbuffer())


class _Signer(signers.PdfSigner):
    """Dates the seal by the portal's one clock, not by the web server's."""

    at: datetime

    def init_signing_session(self, pdf_out: BasePdfFileWriter, existing_fields_only: bool = False) -> PdfSigningSession:
        session = super().init_signing_session(pdf_out, existing_fields_only)
        session.system_time = self.at
        return session


# --- Reading one back -------------------------------------------------------------------------------------------------


class Outcome(StrEnum):
    """What the seal of a PDF says."""

    WHOLE = "whole"
    CHANGED = "changed"
    FOREIGN = "foreign"


@dataclass(frozen=True)
class Seal:
    """The seal of a PDF as it was found. `sealed_at` is the portal's clock, `stamped_at` that of the time-stamp authority;
    both None unless the PDF is whole."""

    outcome: Outcome
    sentence: str
    certificate: PortalCertificate | None = None
    sealed_at: datetime | None = None
    stamped_at: datetime | None = None
    attachments: dict[str, bytes] | None = None


class _Changed(Exception):
    """The PDF carries the portal's certificate, and is not what was sealed."""


WHOLE = "Every byte that the portal sealed in this PDF is as it was sealed."
NOT_SEALED = Seal(Outcome.FOREIGN, "This PDF carries no seal of this portal.")
OTHER_SEAL = Seal(Outcome.FOREIGN, "This PDF is sealed by somebody else, not by this portal.")


def examine(pdf: bytes) -> Seal:
    """What the seal of this PDF says. Never raises for what the bytes are: they come from anybody."""
    place = BYTE_RANGE.match(pdf, max(pdf.rfind(b"/ByteRange"), 0))
    if place is None:
        return NOT_SEALED
    start, before, after, rest = (int(number) for number in place.groups())
    digits = HEX.fullmatch(pdf[before:after]) if start == 0 and 0 < before < after <= before + 2 * ROOM else None
    if digits is None:
        return NOT_SEALED
    raw = bytes.fromhex(digits[1].decode())
    try:
        content = cms.ContentInfo.load(raw)
        length = len(content.dump())
        signed, info = content["content"], content["content"]["signer_infos"][0]
        ours = _ours(signed)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError):
        return Seal(Outcome.FOREIGN, "This PDF carries a seal that cannot be read.")
    if ours is None:
        return OTHER_SEAL
    row, own = ours
    try:
        _check_coverage(pdf, after, rest, raw[length:])
        digest = hashlib.sha256(pdf[:before] + pdf[after : after + rest]).digest()
        _check_seal(content, info, own, row, digest)
        stamped_at = _stamped_at(info)
    except _Changed as changed:
        return Seal(Outcome.CHANGED, str(changed), row)
    # From here on the bytes are the portal's own.
    sealed_at, attachments = _read(pdf)
    return Seal(
        Outcome.WHOLE,
        WHOLE,
        row,
        sealed_at,
        stamped_at,
        attachments,
    )


def _ours(signed: cms.SignedData) -> tuple[PortalCertificate, x509.Certificate] | None:
    """The registered certificate among those in the seal, and itself."""
    dumped = {hashlib.sha256(one.dump()).hexdigest(): one.dump() for one in signed["certificates"]}
    row = PortalCertificate.objects.filter(pk__in=list(dumped)).first()
    return (row, x509.load_der_x509_certificate(dumped[row.pk])) if row else None


def _check_coverage(pdf: bytes, after: int, rest: int, padding: bytes) -> None:
    if after + rest < len(pdf):
        raise _Changed("Something was appended to this PDF after the portal sealed it.")
    if after + rest > len(pdf):
        raise _Changed("This PDF was cut off after the portal sealed it.")
    if padding.strip(b"\0"):
        raise _Changed("The place of the seal holds something besides the seal.")


def _check_seal(
    content: cms.ContentInfo, info: cms.SignerInfo, own: x509.Certificate, row: PortalCertificate, digest: bytes
) -> None:
    try:
        if content.dump() != _as_written(content, info, row).dump(force=True):
            raise _Changed("The seal of this PDF holds something that the portal did not write.")
        certified = asn1_x509.Certificate.load(own.public_bytes(serialization.Encoding.DER))
        intact, valid = validate_sig_integrity(info, certified, "data", digest)
    except (SignatureValidationError, SigningError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise _Changed("The seal of this PDF was changed.") from error
    if not valid:
        raise _Changed("The seal of this PDF was changed, or taken from another one.")
    if not intact:
        raise _Changed("This PDF was changed after the portal sealed it.")


def _as_written(content: cms.ContentInfo, info: cms.SignerInfo, row: PortalCertificate) -> cms.ContentInfo:
    """The seal as the portal writes it around the same signature: what of it no signature covers must look like this."""
    chain = [
        asn1_x509.Certificate.load(one.public_bytes(serialization.Encoding.DER))
        for one in x509.load_pem_x509_certificates(row.chain_pem.encode())
    ]
    known = {one.dump() for one in chain}
    shown = [one.chosen for one in content["content"]["certificates"]]
    algorithm = {"ec": "sha256_ecdsa", "rsa": "sha256_rsa"}[chain[0].public_key.algorithm]
    named = cms.IssuerAndSerialNumber({"issuer": chain[0].issuer, "serial_number": chain[0].serial_number})
    signer = {
        "version": "v1",
        "sid": cms.SignerIdentifier({"issuer_and_serial_number": named}),
        "digest_algorithm": {"algorithm": "sha256"},
        "signature_algorithm": {"algorithm": algorithm},
        "signed_attrs": info["signed_attrs"],
        "signature": info["signature"],
    }
    if info["unsigned_attrs"].native is not None:
        signer["unsigned_attrs"] = info["unsigned_attrs"]
    signed = {
        "version": "v1",
        "digest_algorithms": cms.DigestAlgorithms([{"algorithm": "sha256"}]),
        "encap_content_info": {"content_type": "data"},
        "certificates": [one for one in shown if one.dump() in known],
        "signer_infos": [cms.SignerInfo(signer)],
    }
    return cms.ContentInfo({"content_type": "signed_data", "content": cms.SignedData(signed)})


def _stamped_at(info: cms.SignerInfo) -> datetime | None:
    """The time of the time stamp inside, None where there is none. What is beside it was written by nobody we know."""
    attributes = info["unsigned_attrs"]
    if attributes.native is None:
        return None
    try:
        if [one["type"].native for one in attributes] != ["signature_time_stamp_token"] or len(
            attributes[0]["values"]
        ) != 1:
            raise _Changed("The seal of this PDF holds something that the portal did not write.")
        token = attributes[0]["values"][0]["content"]
        return timestamps.time_of(token, hashlib.sha256(info["signature"].native).digest())
    except timestamps.NoTimeStamp as none:
        raise _Changed(f"The time stamp of this PDF does not hold. {none}") from none
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise _Changed("The time stamp of this PDF cannot be read.") from error


def _read(pdf: bytes) -> tuple[datetime | None, dict[str, bytes]]:
    """When the portal says that it sealed this PDF of its own, and the small files attached to it."""
    with pikepdf.open(io.BytesIO(pdf)) as held:
        said = str(held.Root.AcroForm.Fields[0].V.get("/M", ""))
        sealed_at = datetime.strptime(said.replace("'", ""), "D:%Y%m%d%H%M%S%z") if said else None
        found = {}
        for name in list(held.attachments)[:ATTACHMENTS]:
            file = held.attachments[name].get_file()
            if (file.size or 0) <= ATTACHMENT_BYTES:
                found[name] = file.read_bytes()
    return sealed_at, found
