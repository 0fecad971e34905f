"""Who is trained on what, as facts: training writes them, signing asks for them (21 CFR 11.10(i))."""

from datetime import datetime

from django.db.models import Exists, OuterRef, QuerySet

from accounts.models import Qualification, User
from audit import clock, trail
from audit.actions import Action


def unread(user: User) -> QuerySet[Qualification]:
    """What the person is asked to read and has not, soonest first. Having read a later version settles an earlier one."""
    later = Qualification.objects.filter(
        user=OuterRef("user"), topic=OuterRef("topic"), met_at__isnull=False, assigned_at__gt=OuterRef("assigned_at")
    )
    rows = Qualification.objects.filter(~Exists(later), user=user, met_at__isnull=True, lifted_at__isnull=True)
    return rows.order_by("due_at")


def overdue(user: User, gate: str, when: datetime) -> list[Qualification]:
    """What the person should have read by then and has not, and what `gate` waits for."""
    return list(unread(user).filter(gate=gate, due_at__lte=when))


def lift(topic: str, *, by: User, reason: str) -> int:
    """Ask nobody any more to read what was retired unread, in the transaction that retires it. Returns how many were asked."""
    rows = list(
        Qualification.objects.filter(topic=topic, met_at__isnull=True, lifted_at__isnull=True).select_related("user")
    )
    for row in rows:
        row.lifted_at = clock.now()
        row.save(update_fields=["lifted_at"])
        trail.record(Action.QUALIFICATION_LIFTED, row.user, by=by, reason=reason, detail={"version": row.label})
    return len(rows)


def policy_in_force(user: User) -> str:
    """The label of the e-signature SOP that the person was last trained on, or "" before the first one."""
    latest = Qualification.objects.filter(user=user, gate="signing", met_at__isnull=False).order_by("-met_at").first()
    return latest.label if latest else ""
