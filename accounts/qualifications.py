"""Who is trained on what, as facts: training writes them, signing asks for them (21 CFR 11.10(i))."""

from datetime import datetime

from django.db.models import Exists, OuterRef, QuerySet

from accounts.models import Qualification, User


def unread(user: User) -> QuerySet[Qualification]:
    """What the person is asked to read and has not, soonest first. Having read a later version settles an earlier one."""
    later = Qualification.objects.filter(
        user=OuterRef("user"), topic=OuterRef("topic"), met_at__isnull=False, assigned_at__gt=OuterRef("assigned_at")
    )
    return Qualification.objects.filter(~Exists(later), user=user, met_at__isnull=True).order_by("due_at")


def overdue(user: User, gate: str, when: datetime) -> list[Qualification]:
    """What the person should have read by then and has not, and what `gate` waits for."""
    return list(unread(user).filter(gate=gate, due_at__lte=when))


def policy_in_force(user: User) -> str:
    """The label of the e-signature SOP that the person was last trained on, or "" before the first one."""
    latest = Qualification.objects.filter(user=user, gate="signing", met_at__isnull=False).order_by("-met_at").first()
    return latest.label if latest else ""
