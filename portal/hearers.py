"""Who sees an alarm, and who is told of it by mail."""

from django.db.models import Q, QuerySet

from accounts.models import User
from accounts.permissions import may
from accounts.roles import PERMISSIONS
from audit import clock, queries
from audit.models import Alarm
from records.models import Record, Version


def colleagues(user: User) -> QuerySet[User]:
    """People with an area in common, who have no area yet, or everybody for whoever keeps the accounts."""
    everybody = User.objects.all()
    return everybody if may(user, "people.manage") else everybody.filter(Q(areas=None) | Q(areas__in=user.areas.all()))


def alarms_for(user: User) -> QuerySet[Alarm]:
    """Alarms that the person may see: none about records out of sight, but that administrators, who keep the system, see
    that there is one."""
    if not may(user, "alarms.read"):
        return Alarm.objects.none()
    if may(user, "people.manage"):
        return Alarm.objects.all()
    return queries.visible_alarms(
        records=Record.objects.visible_to(user), versions=Version.objects.visible_to(user), people=colleagues(user)
    )


def hearers(alarm: Alarm) -> list[User]:
    """Who is told by mail: every administrator and QA approver who may acknowledge it (security and management)."""
    people = User.objects.filter(is_active=True, groups__name__in=PERMISSIONS["alarms.acknowledge"]).distinct()
    now = clock.now()
    return [user for user in people if user.usable_at(now) and alarms_for(user).filter(pk=alarm.pk).exists()]
