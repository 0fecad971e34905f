"""The portal's key: it seals each signature's statement, so that openssl can check it without the portal.

P-256 with SHA-256 (ECDSA, DER), because `openssl dgst` and KMS both speak it. The key is a file, or one that AWS KMS holds
(`SIGNING_KEY`). Where the servers are embedded the file is made at its first use; in production a key that is missing or does
not answer refuses signing: there is no unsealed fallback (§4 F27).
"""

import hashlib
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from django.conf import settings
from django.db import transaction

from audit import trail
from audit.actions import Action
from signatures.models import PortalKey
from storage import kms

ALGORITHM = ec.ECDSA(hashes.SHA256())
TRIAL = b"countersign: can this key sign now?"  # no statement: those are canonical JSON


class NoKey(trail.Refused):
    """The portal cannot seal now, so nobody can sign."""

    status = 503


@dataclass(frozen=True)
class Key:
    """The key in use. `sign` may ask KMS, and raises NoKey where it gives no seal."""

    public: ec.EllipticCurvePublicKey
    sign: Callable[[bytes], bytes]


def seal(statement: bytes, by: PortalKey | None = None) -> bytes:
    """The portal's signature (DER) over the statement's bytes. Raises NoKey; so too where `by`, which the statement names,
    is not the key in use any more."""
    key = _in_use()
    if by is not None and identity(key.public) != by.pk:
        raise NoKey("Signing is not possible: the portal's key was changed a moment ago. Open the dialog again.")
    return key.sign(statement)


def holds(public_pem: str, statement: bytes, signature: bytes) -> bool:
    """True if the seal is one of this key over exactly these bytes."""
    try:
        key = serialization.load_pem_public_key(public_pem.encode())
        if not isinstance(key, ec.EllipticCurvePublicKey):
            return False
        key.verify(bytes(signature), bytes(statement), ALGORITHM)
    except (InvalidSignature, ValueError, UnsupportedAlgorithm):
        return False
    return True


def ensure_key() -> PortalKey:
    """The key in use, tried and registered before a code is spent on it or a transaction needs it. Raises NoKey."""
    key = _in_use()
    if settings.SIGNING_KEY:
        key.sign(TRIAL)  # KMS may be away, or may have taken the right back
    return registered(key.public)


def rotate(*, by: trail.HasActor | trail.Actor = trail.SYSTEM) -> tuple[PortalKey, PortalKey]:
    """Put a new key in use: the one of before, and the new one. What was sealed before verifies with the old public key, which
    stays; of the old private key nothing stays. Running processes take the new key at their next seal.

    Raises NoKey where the key is one of AWS KMS: there a new key is made, and `SIGNING_KEY` names it.
    """
    if settings.SIGNING_KEY:
        raise NoKey("The key is one of AWS KMS: make a new one there, name it in SIGNING_KEY and restart the portal.")
    old = ensure_key()
    pem = make()
    with transaction.atomic(durable=True):
        new = registered(load(pem).public_key())
        trail.record(Action.KEY_ROTATED, new, by=by, detail={"instead_of": old.pk})
    # Cut off before this line, the old key stays in use, and the new one was registered and never seals.
    write_privately(settings.SIGNING_KEY_FILE, pem, replace=True)
    return old, new


def identity(public: ec.EllipticCurvePublicKey) -> str:
    """SHA-256 of the DER public key, hex: by this a statement names its key."""
    return hashlib.sha256(
        public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    ).hexdigest()


def make() -> bytes:
    """A new private key, PEM. It is nobody's until it is written to `SIGNING_KEY_FILE`."""
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def write_privately(path: Path, data: bytes, *, replace: bool = False) -> None:
    """Put a whole file in its place at once, readable by this account alone. Without `replace`, whoever came first wins."""
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    fresh.touch(0o600)
    try:
        fresh.write_bytes(data)
        if replace:
            fresh.replace(path)
        else:
            os.link(fresh, path)
    except FileExistsError:
        pass
    finally:
        fresh.unlink(missing_ok=True)


def load(pem: bytes) -> ec.EllipticCurvePrivateKey:
    """The private key in a PEM. Raises NoKey where it is none on P-256."""
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp256r1":
        raise NoKey("Signing is not possible: the portal's key is not a P-256 key. Ask the system owner.")
    return key


def _in_use() -> Key:
    if settings.SIGNING_KEY:
        return _kms_key(settings.SIGNING_KEY.removeprefix(kms.PREFIX))
    path = settings.SIGNING_KEY_FILE
    if not path.exists():
        if not settings.EMBEDDED:
            raise NoKey(f"Signing is not possible: the portal's key is not at {path}. Ask the system owner.")
        write_privately(path, make())
    return _file_key(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=2)
def _file_key(path: Path, changed: int) -> Key:
    """`changed` lets every running process take a rotated key at once."""
    private = load(path.read_bytes())
    return Key(private.public_key(), lambda statement: private.sign(statement, ALGORITHM))


def _kms_key(arn: str) -> Key:
    try:
        public = serialization.load_der_public_key(kms.public_key(arn))
    except kms.Unavailable as away:
        raise NoKey(f"Signing is not possible now, and no code was spent. {away} Try again later.") from away
    if not isinstance(public, ec.EllipticCurvePublicKey) or public.curve.name != "secp256r1":
        raise NoKey("Signing is not possible: the portal's key in KMS is not ECC_NIST_P256. Ask the system owner.")

    def sign(statement: bytes) -> bytes:
        try:
            made = kms.sign(arn, statement)
        except kms.Unavailable as away:
            raise NoKey(f"Nothing was signed: the portal cannot seal. {away} Try again later.") from away
        pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()
        if not holds(pem, statement, made):
            raise NoKey("Nothing was signed: the seal that AWS KMS gave does not fit its own public key.")
        return made

    return Key(public, sign)


def registered(public: ec.EllipticCurvePublicKey) -> PortalKey:
    """The row of this public key, made with its entry where it is new."""
    key_id = identity(public)
    known = PortalKey.objects.filter(pk=key_id).first()
    if known:
        return known
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    with transaction.atomic():
        key, made = PortalKey.objects.get_or_create(pk=key_id, defaults={"public_pem": pem.decode()})
        if made:
            trail.record(Action.KEY_REGISTERED, key, by=trail.SYSTEM)
    return key
