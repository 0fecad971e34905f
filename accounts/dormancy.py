"""An account that nobody has logged in to for long is locked, until an administrator has asked why (21 CFR 11.300(b))."""

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Max, QuerySet
from django.db.models.functions import Greatest

from accounts.models import User
from audit import clock, trail
from audit.actions import Action

ALLOWED = timedelta(days=90)
SENTENCE = f"This account was not used for {ALLOWED.days} days and is locked. Ask an administrator."


def sleepers(now: datetime) -> QuerySet[User]:
    """People with an account in use that nobody has logged in to since then, and that is not locked for it yet."""
    newest = Greatest("joined_at", "awoken_at", Max("sittings__started_at"), Max("devices__confirmed_at"))
    open_accounts = User.objects.filter(is_active=True, dormant_at__isnull=True, devices__confirmed_at__isnull=False)
    return open_accounts.annotate(newest=newest).filter(newest__lt=now - ALLOWED)


def sleeps(user: User) -> bool:
    """True where the account is dormant: it is locked now, if it was not yet. Must run outside of a transaction."""
    if user.dormant_at:
        return True
    return bool(lock(sleepers(clock.now()).filter(pk=user.pk)))


def lock(users: QuerySet[User]) -> list[User]:
    """Lock these accounts, each with its entry; safe to repeat."""
    locked = []
    for sleeper in users:
        with transaction.atomic(durable=True):
            now = clock.now()
            rows = User.objects.filter(pk=sleeper.pk, dormant_at__isnull=True)
            if rows.update(dormant_at=now):
                detail = {"days": ALLOWED.days}
                trail.record(Action.USER_DORMANT, sleeper, by=trail.SYSTEM, detail=detail)
                locked.append(sleeper)
    return locked
