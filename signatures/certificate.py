"""The portal's certificate, with which it seals PDFs: a PKCS#12 file, a key in AWS KMS, or a test certificate of its own.

It attests the portal's record and belongs to no person: people sign by the ceremony (`signing()`), not with certificates.
"""

import asyncio
import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path

from asn1crypto import algos
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID
from django.conf import settings
from django.db import transaction
from pyhanko.sign.signers import Signer, SimpleSigner
from pyhanko_certvalidator.registry import SimpleCertificateStore

from audit import clock, trail
from audit.actions import Action
from signatures import sealing
from signatures.models import PortalCertificate
from storage import kms

TEST_YEARS = 10
TEST_NAME = "Countersign, test certificate"
CANNOT = "No sealed PDF can be made: {why} Ask the system owner. The rendition itself can still be fetched."


class NoCertificate(trail.Refused):
    """The portal has no certificate that it may use now, so it hands out no sealed PDF, and none without its seal."""

    status = 503

    def __init__(self, why: str) -> None:
        super().__init__(CANNOT.format(why=why))


@dataclass(frozen=True)
class Held:
    """A signer for pyHanko, and the certificate with those that vouch for it."""

    signer: Signer
    chain: tuple[x509.Certificate, ...]
    for_tests: bool

    @property
    def certificate(self) -> x509.Certificate:
        return self.chain[0]


class KmsSigner(Signer):
    """pyHanko's signer with a key that AWS KMS holds."""

    def __init__(self, arn: str, chain: Sequence[x509.Certificate]) -> None:
        self.arn = arn
        elliptic = isinstance(chain[0].public_key(), ec.EllipticCurvePublicKey)
        self.kms_algorithm = "ECDSA_SHA_256" if elliptic else "RSASSA_PKCS1_V1_5_SHA_256"
        store = SimpleCertificateStore()
        store.register_multiple(_for_pyhanko(one) for one in chain[1:])
        mechanism = algos.SignedDigestAlgorithm({"algorithm": "sha256_ecdsa" if elliptic else "sha256_rsa"})
        super().__init__(
            signing_cert=_for_pyhanko(chain[0]), cert_registry=store, signature_mechanism=mechanism, embed_roots=True
        )

    async def async_sign_raw(self, data: bytes, digest_algorithm: str, dry_run: bool = False) -> bytes:
        if digest_algorithm != "sha256":
            raise ValueError(f"the portal's key signs SHA-256, not {digest_algorithm}")
        return bytes(512) if dry_run else await asyncio.to_thread(kms.sign, self.arn, data, self.kms_algorithm)


def in_use() -> tuple[Held, PortalCertificate]:
    """What the portal seals PDFs with now, registered. Raises NoCertificate with the reason."""
    held = _held()
    now = clock.now()
    if not held.certificate.not_valid_before_utc <= now <= held.certificate.not_valid_after_utc:
        raise NoCertificate(
            f"the portal's certificate is good from {held.certificate.not_valid_before_utc:%Y-%m-%d}"
            f" to {held.certificate.not_valid_after_utc:%Y-%m-%d} only."
        )
    return held, _registered(held)


def fingerprint(certificate: x509.Certificate) -> str:
    """SHA-256 of the DER certificate, hex."""
    return hashlib.sha256(certificate.public_bytes(serialization.Encoding.DER)).hexdigest()


def common_name(certificate: x509.Certificate) -> str:
    named = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(named[0].value) if named else certificate.subject.rfc4514_string()


def _held() -> Held:
    if settings.PDF_SIGNING_KEY:
        return _of_kms(settings.PDF_SIGNING_KEY.removeprefix(kms.PREFIX), settings.PDF_SIGNING_CERTIFICATES)
    path, passphrase, for_tests = settings.PDF_SIGNING_P12, settings.PDF_SIGNING_P12_PASSPHRASE, False
    if path is None:
        if not settings.EMBEDDED:
            raise NoCertificate("the portal has no certificate (PDF_SIGNING_P12).")
        path, passphrase, for_tests = settings.PDF_TEST_CERTIFICATE, "", True
        if not path.exists():
            sealing.write_privately(path, make_test_certificate(clock.now()))
    try:
        return _of_file(path, path.stat().st_mtime_ns, passphrase, for_tests)
    except OSError as error:
        raise NoCertificate(f"the portal's certificate {path} cannot be read: {error.strerror}.") from error


@lru_cache(maxsize=4)
def _of_file(path: Path, changed: int, passphrase: str, for_tests: bool) -> Held:
    """`changed` lets every running process take a new certificate at once."""
    try:
        key, certificate, more = pkcs12.load_key_and_certificates(path.read_bytes(), passphrase.encode() or None)
    except ValueError as error:
        raise NoCertificate(f"the portal's certificate {path.name} does not open with its passphrase.") from error
    if certificate is None or not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise NoCertificate(f"{path.name} holds no certificate with an RSA or elliptic curve key.")
    chain = (certificate, *more)
    signer = SimpleSigner.load_pkcs12_data(path.read_bytes(), [], passphrase=passphrase.encode() or None)
    return Held(signer, chain, for_tests)


@lru_cache(maxsize=4)
def _of_kms(arn: str, path: Path) -> Held:
    try:
        chain = tuple(x509.load_pem_x509_certificates(path.read_bytes()))
        public = kms.public_key(arn)
    except (OSError, ValueError) as error:
        raise NoCertificate(f"the portal's certificates {path} cannot be read: {error}.") from error
    except kms.Unavailable as away:
        raise NoCertificate(str(away)) from away
    own = chain[0].public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )  # fmt: skip
    if own != public:
        raise NoCertificate(f"the first certificate of {path.name} is not that of the key in KMS.")
    return Held(KmsSigner(arn, chain), chain, False)


def _registered(held: Held) -> PortalCertificate:
    key = fingerprint(held.certificate)
    known = PortalCertificate.objects.filter(pk=key).first()
    if known:
        return known
    values = {
        "name": common_name(held.certificate),
        "chain_pem": "".join(one.public_bytes(serialization.Encoding.PEM).decode() for one in held.chain),
        "for_tests": held.for_tests,
        "not_after": held.certificate.not_valid_after_utc,
    }
    with transaction.atomic():
        row, made = PortalCertificate.objects.get_or_create(pk=key, defaults=values)
        if made:
            trail.record(Action.CERTIFICATE_REGISTERED, row, by=trail.SYSTEM, detail={"for_tests": held.for_tests})
    return row


def _for_pyhanko(certificate: x509.Certificate) -> asn1_x509.Certificate:
    return asn1_x509.Certificate.load(certificate.public_bytes(serialization.Encoding.DER))


# --- The test certificate of embedded servers --------------------------------------------------------------------------


def make_test_certificate(now: datetime) -> bytes:
    """PKCS#12 with a key, a certificate for it, and that of the throw-away authority that vouched for it."""
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Countersign"),
            x509.NameAttribute(NameOID.COMMON_NAME, f"Test authority {secrets.token_hex(4)}"),
        ]
    )
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Countersign"),
            x509.NameAttribute(NameOID.COMMON_NAME, TEST_NAME),
        ]
    )
    root = _certificate(authority, authority, authority_key.public_key(), authority_key, now, authority=True)
    leaf = _certificate(subject, authority, key.public_key(), authority_key, now, authority=False)
    return pkcs12.serialize_key_and_certificates(b"portal", key, leaf, [root], serialization.NoEncryption())


def _certificate(
    subject: x509.Name,
    issuer: x509.Name,
    public: ec.EllipticCurvePublicKey,
    signed_with: ec.EllipticCurvePrivateKey,
    now: datetime,
    *,
    authority: bool,
) -> x509.Certificate:
    usage = x509.KeyUsage(
        digital_signature=not authority, content_commitment=not authority, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=authority, crl_sign=authority, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=365 * TEST_YEARS))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=0 if authority else None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signed_with.public_key()), critical=False)
        .sign(signed_with, hashes.SHA256())
    )
