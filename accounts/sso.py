"""Single sign-on through OpenID Connect: it may stand in the place of the password, never in that of the second factor.

A question to the identity provider is a row: bound to the browser that asked and to one purpose, answered once, and its
answer is used once. Nobody is known by an e-mail address: a person's identity is issuer and subject, linked by themselves or
by an administrator, and no account is ever made by a log-in.
"""

import base64
import hashlib
import secrets
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import HttpRequest
from django.utils.crypto import salted_hmac

from accounts import openid, seeds
from accounts.models import Invitation, Sitting, SsoIdentity, SsoRequest, User
from audit import clock, trail
from audit.actions import Action
from audit.clock import Now

Purpose = SsoRequest.Purpose
FRESH = (
    Purpose.SIGN,
    Purpose.LINK,
    Purpose.ENROL,
)  # the provider has to ask the person anew, whoever is logged in there
QUESTION_LIVES = timedelta(minutes=10)
PROOF_LIVES = timedelta(seconds=120)
AUTHENTICATED_WITHIN = timedelta(seconds=60)
ASKED = "sso"  # in the session: the question that is open, and where its answer leads
STATE_BYTES = 32


@dataclass(frozen=True)
class Proof:
    """A proved answer, good once for one person and one thing (`bound`)."""

    request: uuid.UUID
    bound: str


class Refused(trail.Refused):
    """The identity provider's answer proves nothing. `why` is for the trail."""

    status = 403

    def __init__(self, message: str, why: str, user: User | None = None) -> None:
        about = user or trail.PORTAL
        super().__init__(
            message, action=Action.SSO_REFUSED, subject=about, by=user or trail.NOBODY, detail={"why": why}
        )


def linked(user: User) -> SsoIdentity | None:
    """Who the person is at the provider that is configured now."""
    if not openid.configured():
        return None
    return SsoIdentity.objects.filter(user=user, issuer=settings.OIDC_ISSUER, withdrawn_at__isnull=True).first()


def stands_in(invitation: Invitation) -> bool:
    """Single sign-on may stand in the place of the password at this link: whoever comes in brings an identity; at a link for a
    device alone the one that is linked already counts, and no other."""
    return invitation.purpose == Invitation.Purpose.ENROL or linked(invitation.user) is not None


# Asking --------------------------------------------------------------------------------------------------------------


def ask(
    request: HttpRequest,
    purpose: str,
    *,
    return_to: str,
    user: User | None = None,
    sitting: Sitting | None = None,
    bound: str = "",
    since: datetime | None = None,
) -> str:
    """Note the question and say where the browser goes with it. `return_to` is the page of ours that follows, `since` the time
    before which no authentication counts. Raises Refused where the provider does not answer."""
    state = secrets.token_urlsafe(STATE_BYTES)
    now = clock.now()
    with transaction.atomic():
        row = SsoRequest.objects.create(
            purpose=purpose, state_sha256=_digest(state), user=user, sitting=sitting, bound=bound, since=since or now,
            asked_at=now, expires_at=now + QUESTION_LIVES,
        )  # fmt: skip
    # Encrypted, because a page of an invitation holds its token in the address.
    box = base64.b64encode(seeds.encrypt(return_to.encode(), row.pk)).decode()
    request.session[ASKED] = {"request": str(row.pk), "return_to": box}
    fresh = {"max_age": "0", "prompt": "login"} if purpose in FRESH else {}
    challenge = base64.urlsafe_b64encode(hashlib.sha256(_verifier(row).encode()).digest()).decode().rstrip("=")
    try:
        return openid.authorisation_url(
            redirect_uri=redirect_uri(), state=state, nonce=_nonce(row), code_challenge=challenge, code_challenge_method="S256",
            **fresh,
        )  # fmt: skip
    except openid.Unfit as unfit:
        raise Refused(
            "The identity provider cannot be reached. Try again, or use your password.", str(unfit), user
        ) from None


def redirect_uri() -> str:
    return f"{settings.SITE_URL.rstrip('/')}/sso/return/"


# The answer ------------------------------------------------------------------------------------------------------------


def answered(request: HttpRequest) -> tuple[SsoRequest, str]:
    """Check what the provider sent back with the browser; the proved question, and the page that follows. Raises Refused."""
    row, return_to = _question(request)
    if error := request.GET.get("error"):
        raise Refused(
            "The identity provider did not confirm you. Nothing was done.", f"provider: {error[:100]}", row.user
        )
    try:
        token = openid.exchange(request.GET.get("code", ""), redirect_uri=redirect_uri(), verifier=_verifier(row))
        claims = openid.claims(token, nonce=_nonce(row), now=clock.now().timestamp())
    except openid.Unfit as unfit:
        raise Refused(
            "The identity provider's answer does not hold. Nothing was done; try again.", str(unfit), row.user
        ) from None
    if row.purpose in FRESH:
        _demand_fresh(row, claims.auth_time)
    user = _person(row, claims)
    with transaction.atomic():
        SsoRequest.objects.filter(pk=row.pk).update(
            user=user, issuer=claims.issuer, subject=claims.subject, proved_at=Now()
        )
        row.refresh_from_db()
        if user is not None:
            detail = {"purpose": row.purpose, "subject": claims.subject, "request": str(row.pk), "bound": row.bound}
            trail.record(Action.SSO_CONFIRMED, user, by=user, detail=detail)
    return row, return_to


def _question(request: HttpRequest) -> tuple[SsoRequest, str]:
    """The open question of this browser that the answer belongs to, which is answered now, whatever comes of it."""
    open_here = request.session.pop(ASKED, {})
    digest = _digest(request.GET.get("state", ""))
    row = SsoRequest.objects.filter(pk=open_here.get("request"), state_sha256=digest).first()
    user = request.user if isinstance(request.user, User) else None
    sitting = getattr(request, "sitting", None)
    mine = row is not None and (row.sitting_id is None or (sitting is not None and row.sitting_id == sitting.pk))
    fresh = (
        SsoRequest.objects.filter(pk=row.pk, answered_at__isnull=True, expires_at__gt=Now()) if row and mine else None
    )
    if row is None or fresh is None or not fresh.update(answered_at=Now()):
        raise Refused(
            "This answer belongs to no question of this browser, or came too late. Begin again.", "state", user
        )
    return row, seeds.decrypt(base64.b64decode(open_here["return_to"]), row.pk).decode()


def _demand_fresh(row: SsoRequest, auth_time: int | None) -> None:
    """The person authenticated there after we asked, and just now. A provider that does not say when proves nothing."""
    if auth_time is None:
        raise Refused(
            "The identity provider does not say when you authenticated (auth_time), so it cannot confirm you here.",
            "no auth_time", row.user,
        )  # fmt: skip
    when, now, skew = datetime.fromtimestamp(auth_time, UTC), clock.now(), timedelta(seconds=openid.SKEW_SECONDS)
    if when + skew < row.since or when < now - AUTHENTICATED_WITHIN or when > now + skew:
        raise Refused(
            "The identity provider did not ask you anew. Confirm yourself there again.",
            f"auth_time {when.isoformat()}", row.user,
        )  # fmt: skip


def _person(row: SsoRequest, claims: openid.Claims) -> User | None:
    held = (
        SsoIdentity.objects.select_related("user")
        .filter(issuer=claims.issuer, subject=claims.subject, withdrawn_at__isnull=True)
        .first()
    )
    if row.purpose in (Purpose.LINK, Purpose.ENROL):
        if held is not None and held.user_id != row.user_id:
            raise Refused("This identity is linked to another account.", "linked to another account", row.user)
        own = linked(row.user) if row.user else None
        if own is not None and own.subject != claims.subject:
            message = "Another identity is linked to this account: an administrator unlinks it first. Nothing was done."
            raise Refused(message, f"subject {claims.subject[:100]}", row.user)
        return row.user
    if held is None or (row.purpose == Purpose.SIGN and held.user_id != row.user_id):
        message = (
            "No account here is linked to this identity. Log in with your password and link it, or ask an administrator."
            if row.purpose == Purpose.LOGIN
            else "Somebody else was confirmed by the identity provider. Nothing was done."
        )
        raise Refused(message, f"subject {claims.subject[:100]}", row.user)
    SsoIdentity.objects.filter(pk=held.pk).update(last_used_at=Now())
    return held.user


# What was proved ---------------------------------------------------------------------------------------------------------


def proof(purpose: str, *, bound: str, user: User, sitting: Sitting | None = None) -> SsoRequest | None:
    """The person's proved and unused answer for this purpose and thing, if it is still good."""
    rows = _good(user, bound).filter(purpose=purpose, sitting=sitting)
    return rows.order_by("-proved_at").first()


def stands(given: Proof, user: User) -> bool:
    return _good(user, given.bound).filter(pk=given.request).exists()


def use(given: Proof, user: User) -> bool:
    """True once: the proof is spent, committed at once."""
    return bool(_good(user, given.bound).filter(pk=given.request).update(used_at=Now()))


def _good(user: User, bound: str) -> QuerySet[SsoRequest]:
    """Proved a short while ago, unused, and of an identity that is linked since before: one that was unlinked proves nothing any
    more. Where the link itself is asked for, there is none yet."""
    held = SsoIdentity.objects.filter(
        user=user, issuer=OuterRef("issuer"), subject=OuterRef("subject"), withdrawn_at__isnull=True,
        linked_at__lte=OuterRef("proved_at"),
    )  # fmt: skip
    links = Q(purpose__in=(Purpose.LINK, Purpose.ENROL))
    rows = SsoRequest.objects.filter(user=user, bound=bound, used_at__isnull=True, proved_at__gt=Now() - PROOF_LIVES)
    return rows.filter(links | Exists(held))


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _nonce(row: SsoRequest) -> str:
    return salted_hmac("countersign.sso.nonce", str(row.pk), algorithm="sha256").hexdigest()


def _verifier(row: SsoRequest) -> str:
    """PKCE's secret: 64 letters that never leave the server before the code is exchanged."""
    return salted_hmac("countersign.sso.verifier", str(row.pk), algorithm="sha256").hexdigest()
