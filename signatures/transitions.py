"""The verb of signing, with its consequence: a rejection rejects, the last signature asked for approves."""

import uuid
from collections.abc import Callable, Sequence

from django.http import HttpRequest

from accounts.identity import Credentials
from accounts.models import Sitting, User
from audit.clock import Now
from records.models import Version
from records.transitions import move
from signatures import mail
from signatures.meanings import Meaning
from signatures.models import Request, Signature
from signatures.requests import complete
from signatures.signing import signing

Approved = Callable[[Version, User], None]
Signed = Callable[[Signature], None]


def sign(
    intent: uuid.UUID,
    meaning: str,
    *,
    signer: User,
    credentials: Credentials,
    sitting: Sitting,
    request: HttpRequest | None = None,
    reason: str = "",
    reviewed: bool = False,
    approved: Approved | None = None,
    signed: Signed | None = None,
) -> Signature:
    """Sign one version. `approved(version, signer)` is what its kind does when the last signature is there, `signed(signature)`
    what follows each; both run in the same transaction and take the signature with them if they fail."""
    return sign_all(
        [intent],
        meaning,
        signer=signer,
        credentials=credentials,
        sitting=sitting,
        request=request,
        reason=reason,
        reviewed=reviewed,
        approved=approved,
        signed=signed,
    )[0]


def sign_all(
    intents: Sequence[uuid.UUID],
    meaning: str,
    *,
    signer: User,
    credentials: Credentials,
    sitting: Sitting,
    request: HttpRequest | None = None,
    reason: str = "",
    reviewed: bool = False,
    approved: Approved | None = None,
    signed: Signed | None = None,
) -> list[Signature]:
    """Sign a list of versions with one code, each opened and with an intent of its own (`intents.open_list`): all of them or
    none (§2 row 16). `reviewed`: the signer has looked through the trail of each, which an approval needs."""
    with signing(
        intents,
        meaning,
        signer=signer,
        credentials=credentials,
        sitting=sitting,
        request=request,
        reason=reason,
        reviewed=reviewed,
    ) as signatures:
        for signature in signatures:
            _consequence(signature, signer, reason, approved)
            if signed:
                signed(signature)
    return signatures


def _consequence(signature: Signature, signer: User, reason: str, approved: Approved | None) -> None:
    if signature.meaning == Meaning.REJECTION:
        move(signature.version, "reject", by=signer, reason=reason)
        _close(signature.version)
    elif complete(signature.version):
        version = move(signature.version, "approve", by=signer)
        _close(version)
        if approved:
            approved(version, signer)
    else:
        mail.tell_next(signature.version)


def _close(version: Version) -> None:
    Request.objects.filter(version=version).update(closed_at=Now())
