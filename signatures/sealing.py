"""The portal's key: it seals each signature's statement, so that openssl can check it without the portal.

P-256 with SHA-256 (ECDSA, DER), because `openssl dgst` and KMS both speak it. Where the servers are embedded the key is made
at its first use; in production its absence refuses signing, there is no unsealed fallback (§4 F27).
"""

import hashlib
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

ALGORITHM = ec.ECDSA(hashes.SHA256())


class NoKey(trail.Refused):
    """The portal cannot seal now, so nobody can sign."""

    status = 503


def seal(statement: bytes) -> bytes:
    """The portal's signature (DER) over the statement's bytes, by the key that `ensure_key()` names. Raises NoKey."""
    return _private_key(settings.SIGNING_KEY_FILE).sign(statement, ALGORITHM)


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
    """The key in use, registered before a transaction needs it. Raises NoKey."""
    return _registered(_private_key(settings.SIGNING_KEY_FILE).public_key())


@lru_cache(maxsize=2)
def _private_key(path: Path) -> ec.EllipticCurvePrivateKey:
    if not path.exists():
        if not settings.EMBEDDED:
            raise NoKey(f"Signing is not possible: the portal's key is not at {path}. Ask the system owner.")
        _make(path)
    key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp256r1":
        raise NoKey("Signing is not possible: the portal's key is not a P-256 key. Ask the system owner.")
    return key


def _make(path: Path) -> None:
    path.touch(0o600)
    path.write_bytes(
        ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )


def _registered(public: ec.EllipticCurvePublicKey) -> PortalKey:
    der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    identity = hashlib.sha256(der).hexdigest()
    known = PortalKey.objects.filter(pk=identity).first()
    if known:
        return known
    with transaction.atomic():
        key, made = PortalKey.objects.get_or_create(pk=identity, defaults={"public_pem": pem.decode()})
        if made:
            trail.record(Action.KEY_REGISTERED, key, by=trail.SYSTEM)
    return key
