"""`may()`: the one question about rights. Who may see a thing is the other one, `queryset.visible_to(user)`."""

from typing import Any

from accounts.models import User
from audit import trail


def may(user: User, permission: str, obj: Any = None) -> bool:
    """True if one of the user's roles holds `permission` and the object, where one is given, is visible to the user."""
    if not user.is_authenticated or not user.holds(permission):
        return False
    return obj is None or type(obj).objects.visible_to(user).filter(pk=obj.pk).exists()


def demand(
    user: User, permission: str, subject: trail.HasSubject | trail.Subject = trail.PORTAL, obj: Any = None
) -> None:
    """Raise Forbidden, which goes on the trail, unless the user may."""
    if not may(user, permission, obj):
        raise trail.Forbidden(
            f"Your role does not include this ({permission}).",
            subject=subject,
            by=user,
            detail={"permission": permission},
        )
