"""The first day. Two administrators prove each other's identity; until the first e-signature SOP is effective, nothing but
SOPs can be signed, and each founding act is marked on the trail. It ends once, for good."""

from typing import Any

from django.db import transaction

from accounts.models import Founding
from audit import trail
from audit.actions import Action
from audit.clock import Now

# What may be signed while the ceremony lasts: the document kinds that make signing possible at all.
SIGNABLE = frozenset({"sop"})


def is_open() -> bool:
    return Founding.objects.filter(ended_at__isnull=True).exists()


def is_over() -> bool:
    return Founding.objects.filter(ended_at__isnull=False).exists()


def mark() -> dict[str, Any]:
    """Detail that marks an entry as a founding act while the ceremony lasts."""
    return {"founding": True} if is_open() else {}


def end(*, by: trail.HasActor | trail.Actor, because: str) -> None:
    """Called in the transaction that makes the first e-signature SOP effective."""
    with transaction.atomic():
        if Founding.objects.filter(ended_at__isnull=True).update(ended_at=Now()):
            trail.record(Action.FOUNDING_ENDED, Founding.objects.get(), by=by, reason=because)
