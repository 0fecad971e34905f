"""Single-use links by mail. The database keeps the SHA-256 of a token and never the token; a newer link ends an older one."""

import hashlib
import secrets
from datetime import timedelta

from django.conf import settings
from django.core.mail import send_mail
from django.urls import reverse

from accounts.models import Invitation, User
from audit import clock, trail
from audit.actions import Action
from audit.clock import Now

Purpose = Invitation.Purpose
TOKEN_BYTES = 32
OVER = "This link is not valid any more: it was used, it expired, or a newer one took its place. Ask for another one."
SUBJECTS: dict[str, str] = {
    Purpose.ENROL: "Your account on Countersign",
    Purpose.PASSWORD: "A new password for Countersign",
    Purpose.LOST: "Report a lost device on Countersign",
    Purpose.CODE: "A new one-time code device for Countersign",
}
TEXTS: dict[str, str] = {
    Purpose.ENROL: "an account was made for you (user name {username}). Set a password and a one-time code device here:",
    Purpose.PASSWORD: "somebody, most likely you, asked for a new password for the user name {username}. Set it here:",
    Purpose.LOST: "somebody, most likely you, says that the device of the user name {username} is lost. Report it here:",
    Purpose.CODE: "your one-time code device was withdrawn. Set up a new one here, with your password:",
}
ENDS = "\n\nThe link works once, until {until:%d %B %Y %H:%M} UTC. If you did not expect it, tell an administrator.\n"


class Over(trail.Refused):
    """The link is not good for anything (any more)."""

    status = 410

    def __init__(self) -> None:
        super().__init__(OVER, action=Action.USER_REFUSED, detail={"why": "link is over"})


def lasts(purpose: str) -> timedelta:
    """How long a link is valid: an hour for a new password, a week for an invitation."""
    if purpose in (Purpose.PASSWORD, Purpose.LOST):
        return timedelta(seconds=settings.PASSWORD_RESET_TIMEOUT)
    return timedelta(days=settings.INVITATION_DAYS)


def issue(user: User, purpose: str, *, by: User | None) -> str:
    """A new token; older ones of the same purpose are over. Keep it nowhere. Must run in a transaction."""
    withdraw(user, purpose)
    token = secrets.token_urlsafe(TOKEN_BYTES)
    Invitation.objects.create(
        user=user, purpose=purpose, token_sha256=_digest(token), sent_by=by, expires_at=clock.now() + lasts(purpose)
    )
    return token


def withdraw(user: User, *purposes: str) -> None:
    """End the person's open links of these purposes, or all of them."""
    rows = Invitation.objects.filter(user=user, used_at__isnull=True, expires_at__gt=Now())
    (rows.filter(purpose__in=purposes) if purposes else rows).update(expires_at=Now())


def find(token: str, *purposes: str) -> Invitation:
    """The open invitation of the token. Raises Over where there is none (any more)."""
    rows = Invitation.objects.select_related("user").filter(
        token_sha256=_digest(token), purpose__in=purposes, used_at__isnull=True, expires_at__gt=Now()
    )
    invitation = rows.first()
    if invitation is None or not invitation.user.usable_at(clock.now()):
        raise Over()
    return invitation


def use(invitation: Invitation) -> None:
    """Spend the link, in the transaction of what it is good for. Raises Over if somebody was faster."""
    used = Invitation.objects.filter(pk=invitation.pk, used_at__isnull=True, expires_at__gt=Now()).update(used_at=Now())
    if not used:
        raise Over()


def url(token: str, purpose: str) -> str:
    """The whole address, as a mail needs it."""
    pages = {Purpose.PASSWORD: "accounts:password_reset", Purpose.LOST: "accounts:lost_link"}
    return settings.SITE_URL.rstrip("/") + reverse(pages.get(Purpose(purpose), "accounts:enrol"), args=[token])


def mail(user: User, purpose: str, token: str) -> None:
    """Send the link. Raises what the mail server raises."""
    greeting = f"Hello {user.legal_name},\n\n" + TEXTS[purpose].format(username=user.username)
    until = clock.now() + lasts(purpose)
    send_mail(
        SUBJECTS[purpose],
        f"{greeting}\n\n{url(token, purpose)}{ENDS.format(until=until)}",
        settings.DEFAULT_FROM_EMAIL,
        [user.email],
    )


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
