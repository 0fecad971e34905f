"""Passkeys (WebAuthn): a second factor beside one-time codes, at one address, with user verification, never alone.

What an authenticator does to know its owner (a PIN, a finger) unlocks the key on the device and is no biometric of ours
(21 CFR 11.200(b)): a passkey is the possession of a key.
"""

import base64
import hashlib
import hmac
import ipaddress
import json
import secrets
import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, cast
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction
from django.http import HttpRequest
from fido2 import cbor
from fido2.cose import CoseKey
from fido2.server import Fido2Server
from fido2.utils import websafe_encode
from fido2.webauthn import (
    Aaguid,
    AttestedCredentialData,
    AuthenticationResponse,
    PublicKeyCredentialDescriptor,
    PublicKeyCredentialRpEntity,
    PublicKeyCredentialType,
    PublicKeyCredentialUserEntity,
    RegistrationResponse,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from accounts.models import Passkey, User
from audit import clock
from audit.clock import Now

REQUIRED = UserVerificationRequirement.REQUIRED
CHALLENGE_LIVES = timedelta(minutes=5)
CHALLENGE_BYTES = 32
HELD = "passkey_challenges"  # in the session: purpose -> challenge and until when it is good
AT_MOST = 10  # passkeys of one person
# What an answer brings about that is none. Brackets without an end are one too: they exhaust the reader's recursion.
UNREADABLE = (ValueError, TypeError, KeyError, AttributeError, AssertionError, RecursionError)


class Wrong(Exception):
    """The passkey's answer is not one. The message says why, for the trail; the person is not told."""


class Reused(Exception):
    """This answer was accepted before."""

    def __init__(self) -> None:
        super().__init__("This answer of the passkey was used already. Use the passkey again.")


def available() -> bool:
    """Browsers make passkeys for host names alone, over TLS (or on this machine)."""
    parts = urlsplit(settings.PASSKEY_ORIGIN)
    host = parts.hostname or ""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return parts.scheme == "https" or host == "localhost"
    return False


def in_use(user: User) -> list[Passkey]:
    return list(Passkey.objects.filter(user=user, withdrawn_at__isnull=True))


# Challenges ----------------------------------------------------------------------------------------------------------


def ask(request: HttpRequest, purpose: str) -> bytes:
    """A fresh challenge for `purpose`, kept in the session for five minutes; a newer one takes its place."""
    challenge = secrets.token_bytes(CHALLENGE_BYTES)
    until = (clock.now() + CHALLENGE_LIVES).isoformat()
    kept = {"challenge": base64.b64encode(challenge).decode(), "until": until}
    request.session[HELD] = {**request.session.get(HELD, {}), purpose: kept}
    return challenge


def asked(request: HttpRequest, purpose: str, *, keep: bool = False) -> bytes:
    """The challenge that was asked for `purpose`, which is good once, or b"" where there is none (any more)."""
    held = request.session.get(HELD, {})
    kept = held.get(purpose)
    if kept and not keep:
        request.session[HELD] = {name: other for name, other in held.items() if name != purpose}
    if not kept or datetime.fromisoformat(kept["until"]) <= clock.now():
        return b""
    return base64.b64decode(kept["challenge"])


def request_options(challenge: bytes, user: User | None) -> dict[str, Any]:
    """What the browser's `navigator.credentials.get()` is asked. Without a user no keys are named: who is not logged in is not
    told whose keys there are."""
    keys = in_use(user) if user else []
    options, _ = _server().authenticate_begin([_descriptor(key) for key in keys] or None, REQUIRED, challenge)
    return json.loads(json.dumps(dict(options.public_key)))


def creation_options(challenge: bytes, user: User) -> dict[str, Any]:
    """What the browser's `navigator.credentials.create()` is asked: a key that is found without being named, of an
    authenticator that verifies its user and holds none of this person's keys yet."""
    entity = PublicKeyCredentialUserEntity(name=user.username, id=user.pk.bytes, display_name=user.legal_name)
    known = [_descriptor(key) for key in in_use(user)]
    options, _ = _server().register_begin(entity, known, ResidentKeyRequirement.REQUIRED, REQUIRED, challenge=challenge)
    return json.loads(json.dumps(dict(options.public_key)))


# Answers -------------------------------------------------------------------------------------------------------------


def made(user: User, answer: str, challenge: bytes, name: str) -> Passkey:
    """The new passkey of a registration's answer, not yet saved. Raises Wrong."""
    if not challenge:
        raise Wrong("no challenge was asked")
    try:
        response = RegistrationResponse.from_dict(json.loads(answer))
        data = _server().register_complete(_state(challenge), response)
        credential = data.credential_data
    except UNREADABLE as error:
        raise Wrong(_told(error)) from None
    if credential is None or response.response.client_data.cross_origin:
        raise Wrong("made in a frame of another page")
    return Passkey(
        user=user,
        name=name,
        credential_id=credential.credential_id,
        public_key=_cbor(credential.public_key),
        aaguid=uuid.UUID(bytes=bytes(credential.aaguid)),
        sign_count=data.counter,
    )


def spend(user: User, answer: str, challenge: bytes) -> Passkey:
    """Accept the answer of one of the person's passkeys to `challenge`: it is spent and committed before this returns, whatever
    comes after. Must not be called inside a transaction that could roll back. Raises Wrong or Reused."""
    if not challenge:
        raise Wrong("no challenge was asked, or it is over")
    response = _read(answer)
    with transaction.atomic(durable=True):
        held = (
            Passkey.objects.select_for_update(no_key=True)
            .filter(user=user, credential_id=response.raw_id, withdrawn_at__isnull=True)
            .first()
        )
        if held is None:
            raise Wrong("unknown, withdrawn or somebody else's")
        digest = hashlib.sha256(challenge).digest()
        if hmac.compare_digest(bytes(held.last_challenge), digest):
            raise Reused
        held.sign_count = _verified(held, response, challenge)
        held.last_challenge, held.last_used_at = digest, clock.now()
        held.save(update_fields=["sign_count", "last_challenge", "last_used_at"])
    return held


def withdraw(user: User, *passkeys: Passkey) -> int:
    """These passkeys of the person, or all, count no more. Must run in a transaction that records it. Returns how many."""
    rows = Passkey.objects.filter(user=user, withdrawn_at__isnull=True)
    if passkeys:
        rows = rows.filter(pk__in=[passkey.pk for passkey in passkeys])
    return rows.update(withdrawn_at=Now())


def _verified(held: Passkey, response: AuthenticationResponse, challenge: bytes) -> int:
    """The counter that the answer carries, if all of it is right. Raises Wrong."""
    try:
        _server().authenticate_complete(_state(challenge), [_credential(held)], response)
    except UNREADABLE as error:
        raise Wrong(_told(error)) from None
    if response.response.client_data.cross_origin:
        raise Wrong("answered in a frame of another page")
    handle = response.response.user_handle
    if handle and handle != held.user_id.bytes:
        raise Wrong("made for somebody else")
    counter = response.response.authenticator_data.counter
    if (counter or held.sign_count) and counter <= held.sign_count:
        raise Wrong("its counter did not go up: it may have been copied")
    return counter


def _read(answer: str) -> AuthenticationResponse:
    try:
        return AuthenticationResponse.from_dict(json.loads(answer))
    except UNREADABLE as error:
        raise Wrong(_told(error)) from None


def _server() -> Fido2Server:
    host = urlsplit(settings.PASSKEY_ORIGIN).hostname
    entity = PublicKeyCredentialRpEntity(name="Countersign", id=host)
    return Fido2Server(entity, verify_origin=lambda origin: origin == settings.PASSKEY_ORIGIN)


def _state(challenge: bytes) -> Mapping[str, Any]:
    return {"challenge": websafe_encode(challenge), "user_verification": REQUIRED}


def _descriptor(passkey: Passkey) -> PublicKeyCredentialDescriptor:
    return PublicKeyCredentialDescriptor(type=PublicKeyCredentialType.PUBLIC_KEY, id=bytes(passkey.credential_id))


def _credential(passkey: Passkey) -> AttestedCredentialData:
    key = CoseKey.parse(cast("Mapping[int, Any]", cbor.decode(bytes(passkey.public_key))))
    return AttestedCredentialData.create(Aaguid(passkey.aaguid.bytes), bytes(passkey.credential_id), key)


def _cbor(key: CoseKey) -> bytes:
    return cbor.encode(dict(key))


def _told(error: Exception) -> str:
    """As an entry can keep it: the message may repeat what the browser sent."""
    return "".join(filter(str.isprintable, str(error) or type(error).__name__))[:200]
