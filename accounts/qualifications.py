"""Who is trained on what, as facts: training writes them, signing asks for them (21 CFR 11.10(i))."""

import uuid
from collections.abc import Collection
from datetime import datetime

from django.db.models import Exists, OuterRef, Q, QuerySet

from accounts.models import Policy, Qualification, User
from audit import clock, trail
from audit.actions import Action


def unread(user: User) -> QuerySet[Qualification]:
    """What the person is asked to read and has not, soonest first. Having read a later version settles an earlier one."""
    later = _read().filter(user=OuterRef("user"), topic=OuterRef("topic"), ordinal__gt=OuterRef("ordinal"))
    rows = Qualification.objects.filter(~Exists(later), user=user, met_at__isnull=True, lifted_at__isnull=True)
    return rows.order_by("due_at")


def overdue(user: User, gate: str, when: datetime) -> list[Qualification]:
    """What the person should have read by then and has not, and what `gate` waits for."""
    return list(unread(user).filter(gate=gate, due_at__lte=when))


def lift(versions: Collection[uuid.UUID], *, by: User, reason: str, read_too: bool = False) -> int:
    """Ask nobody any more to read these versions, in the transaction that retires them. `read_too`: they never took effect, so
    whoever has read them is not trained by that. Returns how many readings were lifted."""
    rows = Qualification.objects.filter(version_id__in=versions, lifted_at__isnull=True).select_related("user")
    lifted = list(rows if read_too else rows.filter(met_at__isnull=True))
    for row in lifted:
        row.lifted_at = clock.now()
        row.save(update_fields=["lifted_at"])
        trail.record(Action.QUALIFICATION_LIFTED, row.user, by=by, reason=reason, detail={"version": row.label})
    return len(lifted)


def policy_in_effect(user: User, when: datetime) -> Policy | None:
    """The version in effect of the e-signature SOP that the person works under: the newest one of their areas, or of the firm
    where their areas have none."""
    known = vars(user).setdefault("_policies", {})  # an act asks for its one moment several times
    if when not in known:
        running = Q(ends_at__isnull=True) | Q(ends_at__gt=when)
        policies = list(Policy.objects.filter(running, begins_at__lte=when).order_by("-begins_at"))
        theirs = (policy for policy in policies if policy.area_id in user.reach.areas)
        known[when] = next(theirs, policies[0] if policies else None)
    found: Policy | None = known[when]
    return found


def policy_in_force(user: User, when: datetime | None = None) -> str:
    """The label of the version of the e-signature SOP that the person signs under, as far as they are trained on it: the last
    one that they read of the SOP in effect. "" where they read none.

    The SOP that they were trained on before stands for it while their reading is not due yet, and while none is in effect: the
    next one is approved by people who are trained.
    """
    when = when or clock.now()
    known: dict[datetime, str] = vars(user).setdefault("_trained_on", {})
    if when not in known:
        found = _trained_on(user, when)
        known[when] = found.label if found else ""
    return known[when]


def _trained_on(user: User, when: datetime) -> Qualification | None:
    policy = policy_in_effect(user, when)
    read = list(_read().filter(user=user, gate="signing").order_by("-met_at"))
    last = read[0] if read else None
    if policy is None:
        return last
    of_it = [row for row in read if row.topic == policy.topic]
    if of_it:
        return max(of_it, key=lambda row: row.ordinal)
    return last if unread(user).filter(topic=policy.topic, due_at__gt=when).exists() else None


def _read() -> QuerySet[Qualification]:
    """Readings that count."""
    return Qualification.objects.filter(met_at__isnull=False, lifted_at__isnull=True)
