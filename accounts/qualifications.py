"""Who is trained on what, as facts: training writes them, signing asks for them (21 CFR 11.10(i))."""

from datetime import datetime

from accounts.models import Qualification, User


def overdue(user: User, gate: str, when: datetime) -> list[Qualification]:
    """What the person should have read by then and has not, and what `gate` waits for."""
    return list(
        Qualification.objects.filter(user=user, gate=gate, met_at__isnull=True, due_at__lte=when).order_by("due_at")
    )


def policy_in_force(user: User) -> str:
    """The label of the e-signature SOP that the person was last trained on, or "" before the first one."""
    latest = Qualification.objects.filter(user=user, gate="signing", met_at__isnull=False).order_by("-met_at").first()
    return latest.label if latest else ""
