"""Who is it? Password and second factor (a one-time code or a passkey) together, at log-in and again at each signing
(21 CFR 11.200).

Nothing here may run inside a transaction that can roll back: a refused attempt is counted and stays on the trail, and a
code that was accepted stays spent, whatever happens afterwards.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import NoReturn

from django.contrib.auth import login, logout
from django.contrib.auth.hashers import check_password, make_password
from django.db import transaction
from django.http import HttpRequest

from accounts import codes, dormancy, passkeys, sso
from accounts.models import Lockout, Sitting, User, folded
from audit import clock, trail
from audit.actions import Action
from audit.clock import Now

FAILURES_ALLOWED = 5
LOCKED_FOR = timedelta(minutes=15)
# 11.200(a)(1)(i): a continuous period of controlled access. Longer than this, or idle for longer, and all is asked again.
CONTINUOUS_FOR = timedelta(minutes=30)
CONTINUOUS_IDLE = timedelta(minutes=10)
WRONG = "User name, password and second factor do not fit together."
PASSWORD, SINGLE_SIGN_ON, CODE, PASSKEY = "password", "single sign-on", "one-time code", "passkey"


@dataclass(frozen=True)
class Credentials:
    """What a person gave: a password or, found by us and never told by the browser, the `proof` of single sign-on in its
    place; and a one-time code or the answer of a passkey (JSON, as the browser gives it) to `challenge`, which is ours as well.
    `username` may stay empty where it is not asked for."""

    password: str
    code: str = ""
    username: str = ""
    passkey: str = ""
    challenge: bytes = b""
    proof: sso.Proof | None = None


@dataclass(frozen=True)
class Confirmed:
    """It was the person, then. `components` names what they gave, as a signature's statement keeps it."""

    at: datetime
    components: str


class NotConfirmed(trail.Refused):
    """The person could not be confirmed. The message never says which part was wrong; `until` is when another try makes
    sense (the next code, the end of a lock), where that is known."""

    status = 403
    until: datetime | None = None


def confirm(
    user: User,
    credentials: Credentials,
    *,
    subject: trail.HasSubject | trail.Subject | None = None,
    purpose: str = Lockout.Purpose.SIGNING,
) -> Confirmed:
    """Confirm that it is `user`, now, and spend the code, or the passkey's answer.

    Raises NotConfirmed: locked, wrong password or second factor (counted), or a code or answer used before (not counted; the
    message says how long until the next code).
    """
    action = Action.LOGIN_REFUSED if purpose == Lockout.Purpose.LOGIN else Action.CONFIRMATION_REFUSED
    about = subject or user
    # Who tries to log in is nobody yet, whatever name was typed.
    refused = partial(
        _refusal, action=action, subject=about, by=trail.NOBODY if purpose == Lockout.Purpose.LOGIN else user
    )

    until = _begin_try(user.username, purpose)
    if until:
        raise refused(_locked(until), "locked", until)
    proof = credentials.proof
    known = sso.stands(proof, user) if proof else check_password(credentials.password, user.password)
    try:
        factor = _spend(user, credentials) if known else ""
    except codes.CodeReused as reused:
        _take_back(user.username, purpose)
        raise refused(str(reused), "code used before", reused.until) from None
    except passkeys.Reused as reused:
        _take_back(user.username, purpose)
        raise refused(str(reused), "passkey's answer used before") from None
    except passkeys.Wrong as wrong:
        raise refused(WRONG, f"{_count_failure(user.username, purpose)}, passkey: {wrong}") from None
    now = clock.now()
    if not factor or not user.usable_at(now):
        raise refused(WRONG, _count_failure(user.username, purpose))
    if proof and not sso.use(proof, user):
        raise refused(
            "The identity provider's confirmation was used already. Confirm yourself there again.", "proof used"
        )
    _forget_failures(user.username, purpose)
    if user.dormant_at or (purpose == Lockout.Purpose.LOGIN and dormancy.sleeps(user)):
        raise refused(dormancy.SENTENCE, "dormant")
    return Confirmed(now, f"{SINGLE_SIGN_ON if proof else PASSWORD} + {factor}")


def _spend(user: User, credentials: Credentials) -> str:
    """Which second factor was right, and is spent now; "" where none was."""
    if credentials.passkey:
        passkeys.spend(user, credentials.passkey, credentials.challenge)
        return PASSKEY
    return CODE if codes.spend(user, credentials.code) else ""


def confirm_password(user: User, password: str) -> None:
    """Confirm the password alone, where a link that was sent by mail stands for the device that is gone. Failures count
    as those of log-in do. Raises NotConfirmed."""
    refused = partial(_refusal, action=Action.CONFIRMATION_REFUSED, subject=user, by=trail.NOBODY)
    until = _begin_try(user.username, Lockout.Purpose.LOGIN)
    if until:
        raise refused(_locked(until), "locked", until)
    if not check_password(password, user.password):
        raise refused("The password is not right.", _count_failure(user.username, Lockout.Purpose.LOGIN))
    _forget_failures(user.username, Lockout.Purpose.LOGIN)


def demand_open(sitting: Sitting, user: User, *, subject: trail.HasSubject | None = None) -> None:
    """The sitting still goes on. Asked under the lock of the person, where the act follows: `confirm()` looked before it, and
    what ends every sitting (a suspicion, a device withdrawn, a new password) may have been committed between the two. Raises
    NotConfirmed."""
    if not Sitting.objects.filter(pk=sitting.pk, user=user, ended_at__isnull=True).exists():
        raise _refusal(
            "Your log-in has ended meanwhile, so nothing was done. Log in again.",
            "sitting ended",
            action=Action.CONFIRMATION_REFUSED,
            subject=subject or user,
            by=user,
        )


def log_in(request: HttpRequest, credentials: Credentials) -> User:
    """Start a sitting. Raises NotConfirmed with the same words and the same work for known and unknown user names."""
    user = User.objects.filter(username_folded=folded(credentials.username)).first()
    if user is None:
        _refuse_stranger(credentials)
    _begin_sitting(request, user, confirm(user, credentials, purpose=Lockout.Purpose.LOGIN))
    return user


def log_in_known(request: HttpRequest, user: User, credentials: Credentials) -> None:
    """Start a sitting of whom the identity provider confirmed: `credentials` hold its proof, and a second factor of ours.
    Raises NotConfirmed."""
    if credentials.proof is None:
        raise ValueError("log_in_known() is for a proof of single sign-on")
    _begin_sitting(request, user, confirm(user, credentials, purpose=Lockout.Purpose.LOGIN))


def _begin_sitting(request: HttpRequest, user: User, confirmed: Confirmed) -> None:
    """A session with a key of its own, and the sitting that it stands for."""
    login(request, user, backend="accounts.backends.PasswordBackend")
    with transaction.atomic():
        sitting = Sitting.objects.create(user=user, address=_address(request), agent=agent_of(request))
        User.objects.filter(pk=user.pk).update(last_login=Now())
        detail = {"address": sitting.address, "components": confirmed.components}
        trail.record(Action.LOGIN_SUCCEEDED, user, by=user, detail=detail)
    request.session["sitting"] = str(sitting.pk)


def log_out(request: HttpRequest, *, why: str = "asked") -> None:
    """End the sitting; a code or a signing needs a new one."""
    user = request.user
    if user.is_authenticated:
        with transaction.atomic():
            sitting = sitting_of(request)
            if sitting:
                Sitting.objects.filter(pk=sitting.pk).update(ended_at=Now())
            trail.record(Action.LOGIN_ENDED, user, by=user, detail={"why": why})
    logout(request)


def sitting_of(request: HttpRequest) -> Sitting | None:
    """The sitting of the request's session, if it goes on and is this person's."""
    key, user = request.session.get("sitting"), request.user
    if not key or not isinstance(user, User):
        return None
    return Sitting.objects.filter(pk=str(key), user=user, ended_at__isnull=True).first()


def end_sittings(user: User, *, but: Sitting | None = None) -> None:
    """Every sitting of the user ends now: after a change of password, device or roles, or a deactivation. The one that is
    kept is no continuous period any more: its next signing asks for everything."""
    sittings = Sitting.objects.filter(user=user, ended_at__isnull=True)
    if but is not None:
        sittings.filter(pk=but.pk).update(signed_in_full_at=None)
        sittings = sittings.exclude(pk=but.pk)
    sittings.update(ended_at=Now())


def asks_for_username(sitting: Sitting, request: HttpRequest) -> bool:
    """True where a signing must ask all components: the first of a sitting, or no longer one continuous period
    (11.200(a)(1)(ii)): 30 min since the last full one, 10 min idle, or another address or browser."""
    now = clock.now()
    if sitting.signed_in_full_at is None or sitting.last_signed_at is None:
        return True
    return (
        now - sitting.signed_in_full_at > CONTINUOUS_FOR
        or now - sitting.last_signed_at > CONTINUOUS_IDLE
        or sitting.address != _address(request)
        or sitting.agent != agent_of(request)
    )


def locked_until(username: str, purpose: str) -> datetime | None:
    """Until when the user name is locked for the purpose (UTC), or None."""
    row = Lockout.objects.filter(username_folded=folded(username), purpose=purpose, locked_until__gt=Now()).first()
    return row.locked_until if row else None


def unlock(user: User) -> None:
    Lockout.objects.filter(username_folded=folded(user.username)).update(failures=0, locked_until=None)


def _refuse_stranger(credentials: Credentials) -> NoReturn:
    """The same answers, after the same work, as a known user name gets: nobody learns who has an account."""
    typed = credentials.username[:150]
    refused = partial(
        _refusal,
        action=Action.LOGIN_REFUSED,
        subject=trail.Subject("username", folded(typed), typed),
        by=trail.NOBODY,
    )
    until = _begin_try(typed, Lockout.Purpose.LOGIN)
    if until:
        raise refused(_locked(until), "locked", until)
    make_password(credentials.password)  # as long as a comparison takes, so that time tells nothing
    raise refused(WRONG, _count_failure(typed, Lockout.Purpose.LOGIN))


def _refusal(
    message: str,
    why: str,
    until: datetime | None = None,
    *,
    action: Action,
    subject: trail.HasSubject | trail.Subject,
    by: trail.HasActor | trail.Actor,
) -> NotConfirmed:
    refused = NotConfirmed(message, action=action, subject=subject, by=by, detail={"why": why})
    refused.until = until
    return refused


def _locked(until: datetime) -> str:
    return (
        f"Locked after {FAILURES_ALLOWED} failed attempts in a row until {until:%H:%M:%S} UTC."
        " Wait, or ask an administrator."
    )


def _begin_try(username: str, purpose: str) -> datetime | None:
    """Count a try as failed before anything is compared, under lock: however many come side by side, no more than
    FAILURES_ALLOWED are looked at. Returns until when the name is locked (UTC), or None where the try may go on."""
    with transaction.atomic(durable=True):
        locked = Lockout.objects.select_for_update(no_key=True)
        row, _ = locked.get_or_create(username_folded=folded(username), purpose=purpose)
        now = clock.now()
        if row.locked_until and row.locked_until > now:
            return row.locked_until
        row.failures = 1 if row.locked_until else row.failures + 1
        row.locked_until = now + LOCKED_FOR if row.failures >= FAILURES_ALLOWED else None
        row.save()
    return None


def _take_back(username: str, purpose: str) -> None:
    """The try that has begun does not count after all."""
    with transaction.atomic(durable=True):
        row = _lockout(username, purpose)
        row.failures = max(row.failures - 1, 0)
        row.locked_until = None
        row.save()


def _count_failure(username: str, purpose: str) -> str:
    """How many failures in a row that makes, for the trail; at the fifth the name is locked already."""
    row = Lockout.objects.get(username_folded=folded(username), purpose=purpose)
    return f"failure {row.failures} of {FAILURES_ALLOWED}"


def _forget_failures(username: str, purpose: str) -> None:
    Lockout.objects.filter(username_folded=folded(username), purpose=purpose).update(failures=0, locked_until=None)


def _lockout(username: str, purpose: str) -> Lockout:
    return Lockout.objects.select_for_update(no_key=True).get(username_folded=folded(username), purpose=purpose)


def _address(request: HttpRequest) -> str:
    return request.META.get("REMOTE_ADDR", "") or ""


def agent_of(request: HttpRequest) -> str:
    return request.headers.get("User-Agent", "")[:300]
