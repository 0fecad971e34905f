"""Questions about people, with names."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db.models import Case, CharField, Exists, OuterRef, Q, QuerySet, Value, When
from guardian.models import UserObjectPermission

from accounts.models import READ, CodeDevice, Lockout, Suspicion, User
from audit.models import Entry

# A person's state, the first that is true; the names are those of the look.
STATES: Mapping[str, str] = {
    "inactive": "Deactivated",
    "expired": "Expired",
    "suspected": "Under suspicion",
    "dormant": "Locked: not used",
    "locked_out": "Locked out",
    "invited": "Invited",
    "no_device": "Without a device",
    "active": "Active",
}


def people(now: datetime) -> QuerySet[User]:
    """Everybody with `state` (of STATES) as it is now, roles and areas at hand."""
    in_use = CodeDevice.objects.filter(user=OuterRef("pk"), confirmed_at__isnull=False, withdrawn_at__isnull=True)
    locks = Lockout.objects.filter(username_folded=OuterRef("username_folded"), locked_until__gt=now)
    suspicions = Suspicion.objects.filter(user=OuterRef("pk"), ended_at__isnull=True)
    enrolled = CodeDevice.objects.filter(user=OuterRef("pk"), confirmed_at__isnull=False)
    state = Case(
        When(is_active=False, then=Value("inactive")),
        When(expires_at__lte=now, then=Value("expired")),
        When(Exists(suspicions), then=Value("suspected")),
        When(dormant_at__isnull=False, then=Value("dormant")),
        When(Exists(locks), then=Value("locked_out")),
        When(~Exists(enrolled), then=Value("invited")),
        When(~Exists(in_use), then=Value("no_device")),
        default=Value("active"),
        output_field=CharField(),
    )
    return User.objects.annotate(state=state).prefetch_related("groups", "areas")


def matching(rows: QuerySet[User], filters: Mapping[str, Any]) -> QuerySet[User]:
    """Those whose name, user name or address holds the words, with that role, area and state, where they are given."""
    if words := filters.get("q"):
        rows = rows.filter(Q(legal_name__icontains=words) | Q(username__icontains=words) | Q(email__icontains=words))
    if role := filters.get("role"):
        rows = rows.filter(groups__name=role)
    if area := filters.get("area"):
        rows = rows.filter(areas=area)
    if state := filters.get("state"):
        rows = rows.filter(Q(state=state))
    return rows.order_by("legal_name", "pk")


def about(user: User) -> QuerySet[Entry]:
    """What the trail says about the person's account, newest first."""
    return Entry.objects.filter(subject_kind="user", subject_id=str(user.pk)).order_by("-id")


def locks(user: User, now: datetime) -> QuerySet[Lockout]:
    return Lockout.objects.filter(username_folded=user.username_folded, locked_until__gt=now)


def granted(user: User) -> QuerySet[UserObjectPermission]:
    """The single records that the person may read, each as `content_object`."""
    rows = UserObjectPermission.objects.filter(user=user, permission__codename=READ)
    return rows.prefetch_related("content_object").order_by("pk")
