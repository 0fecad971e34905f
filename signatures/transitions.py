"""The verb of signing, with its consequence: a rejection rejects, the last signature asked for approves."""

import uuid
from collections.abc import Callable

from django.http import HttpRequest

from accounts.identity import Credentials
from accounts.models import Sitting, User
from audit.clock import Now
from records.models import Version
from records.transitions import move
from signatures.meanings import Meaning
from signatures.models import Request, Signature
from signatures.requests import complete
from signatures.signing import signing

Approved = Callable[[Version, User], None]


def sign(
    intent: uuid.UUID,
    meaning: str,
    *,
    signer: User,
    credentials: Credentials,
    sitting: Sitting,
    request: HttpRequest | None = None,
    reason: str = "",
    approved: Approved | None = None,
) -> Signature:
    """Sign one version. `approved(version, signer)` is what its kind does when the last signature is there; it runs in the
    same transaction and takes the signature with it if it fails."""
    with signing(
        [intent], meaning, signer=signer, credentials=credentials, sitting=sitting, request=request, reason=reason
    ) as [signature]:
        if meaning == Meaning.REJECTION:
            move(signature.version, "reject", by=signer, reason=reason)
            _close(signature.version)
        elif complete(signature.version):
            version = move(signature.version, "approve", by=signer)
            _close(version)
            if approved:
                approved(version, signer)
    return signature


def _close(version: Version) -> None:
    Request.objects.filter(version=version).update(closed_at=Now())
