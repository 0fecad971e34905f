"""Seeds of one-time codes, encrypted at rest with AES-256-GCM and bound to the device that they belong to.

A copy of the database alone cannot make a code: the keys (SEED_KEYS) are kept outside it.
"""

import os
import uuid

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings

NONCE_BYTES = 12


def encrypt(seed: bytes, device: uuid.UUID) -> bytes:
    nonce = os.urandom(NONCE_BYTES)
    return nonce + AESGCM(settings.SEED_KEYS[0]).encrypt(nonce, seed, device.bytes)


def decrypt(box: bytes | memoryview, device: uuid.UUID) -> bytes:
    """Raises ValueError if no key opens the box, or if it belongs to another device."""
    for key in settings.SEED_KEYS:
        try:
            return AESGCM(key).decrypt(bytes(box[:NONCE_BYTES]), bytes(box[NONCE_BYTES:]), device.bytes)
        except InvalidTag:
            continue
    raise ValueError("no seed key opens this device's seed")


def is_current(box: bytes | memoryview, device: uuid.UUID) -> bool:
    """True if the first of the keys opens the box: no other key is needed for this seed."""
    try:
        AESGCM(settings.SEED_KEYS[0]).decrypt(bytes(box[:NONCE_BYTES]), bytes(box[NONCE_BYTES:]), device.bytes)
    except InvalidTag:
        return False
    return True
