"""An authenticator in software: makes passkeys and answers challenges as a browser passes them on, and may be told to do it
wrong."""

import hashlib
import json
import os
from dataclasses import dataclass, field

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from fido2.cose import ES256
from fido2.utils import sha256, websafe_encode
from fido2.webauthn import Aaguid, AttestationObject, AttestedCredentialData, AuthenticatorData, CollectedClientData

ORIGIN, HOST = "http://localhost:8000", "localhost"
PRESENT, VERIFIED = AuthenticatorData.FLAG.UP, AuthenticatorData.FLAG.UV


@dataclass
class Authenticator:
    """One passkey. `counter` 0 is one that does not count."""

    credential_id: bytes = field(default_factory=lambda: os.urandom(32))
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    counter: int = 0
    user: bytes = b""

    def make(self, challenge: bytes, *, user: bytes = b"", flags=PRESENT | VERIFIED, origin=ORIGIN) -> str:
        """What `navigator.credentials.create()` gives."""
        self.user = user
        client = CollectedClientData.create(CollectedClientData.TYPE.CREATE, websafe_encode(challenge), origin)
        credential = AttestedCredentialData.create(
            Aaguid(bytes(16)), self.credential_id, ES256.from_cryptography_key(self.key.public_key())
        )
        data = AuthenticatorData.create(
            sha256(HOST.encode()), flags | AuthenticatorData.FLAG.AT, self.counter, credential
        )
        return self._written(client, attestationObject=bytes(AttestationObject.create("none", data, {})))

    def answer(
        self, challenge: bytes, *, flags=PRESENT | VERIFIED, origin=ORIGIN, host=HOST, kind="webauthn.get", **more
    ) -> str:
        """What `navigator.credentials.get()` gives; `more` is what else the browser says."""
        said = {"type": kind, "challenge": websafe_encode(challenge), "origin": origin, "crossOrigin": False, **more}
        client = json.dumps(said).encode()
        if self.counter:
            self.counter += 1
        data = AuthenticatorData.create(sha256(host.encode()), flags, self.counter)
        signature = self.key.sign(bytes(data) + hashlib.sha256(client).digest(), ec.ECDSA(hashes.SHA256()))
        return self._written(client, authenticatorData=bytes(data), signature=signature, userHandle=self.user)

    def _written(self, client: bytes, **parts: bytes) -> str:
        response = {name: websafe_encode(value) for name, value in parts.items() if value}
        identity = websafe_encode(self.credential_id)
        return json.dumps({
            "id": identity, "rawId": identity, "type": "public-key", "clientExtensionResults": {},
            "response": {"clientDataJSON": websafe_encode(client), **response},
        })  # fmt: skip
