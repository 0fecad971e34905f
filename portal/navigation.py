"""What the shell of every page shows: the rail, who one is, and how much waits."""

from functools import lru_cache, partial
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from accounts import qualifications
from accounts.models import User
from accounts.permissions import may
from audit import trail
from portal.hearers import alarms_for
from signatures.models import Step
from signatures.requests import to_decide_by

# Label, where, icon, the permission that shows it, and the beginnings of the paths that are its own.
ROOMS: tuple[tuple[str, str, str, str, tuple[str, ...]], ...] = (
    ("Desk", "/", "inbox", "", ("/sign/", "/signatures/")),
    ("Records", "/records/", "archive", "record.read", ("/records/",)),
    ("Documents", "/documents/", "file-earmark-text", "record.read", ("/documents/", "/definitions/", "/routes/")),
    ("Training", "/training/", "mortarboard", "record.read", ("/training/",)),
    ("Audit", "/audit/", "clock-history", "trail.read", ("/audit/",)),
    ("CloudTrail", "/trails/", "binoculars", "cloudtrail.read", ("/trails/",)),
    ("Inspection", "/inspection/", "clipboard-check", "inspection.read", ("/inspection/",)),
)
BACK_ROOMS: tuple[tuple[str, str, str, str, tuple[str, ...]], ...] = (
    ("Security", "/security/", "exclamation-triangle", "alarms.read", ("/security/",)),
    ("Storage", "/posture/", "hdd-stack", "posture.read", ("/posture/", "/storage/")),
    ("Jobs", "/jobs/", "list-task", "job.read", ("/jobs/",)),
    ("Administration", "/people/", "gear", "people.read", ("/people/",)),
)
DECISIONS = 50  # as many as the desk shows


def navigation(request: HttpRequest) -> dict[str, Any]:
    """Context of `base.html`; the rail is made where a page draws it, not for fragments."""
    shared = {"product_version": settings.VERSION, "hold": SimpleLazyObject(trail.held)}
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return shared
    return shared | {
        "nav": SimpleLazyObject(partial(_rail, request, user)),
        "me": SimpleLazyObject(lambda: {"name": user.legal_name, "role": user.role_label}),
        "search_words": request.GET.get("q", "") if request.path == "/search/" else "",
    }


def waiting(user: User) -> int:
    """How much waits for the person: signatures whose turn it is, readings, and decisions about signatures."""
    question, values = _question(user, tuple(user.roles))
    with connection.cursor() as cursor:
        cursor.execute(question, values)
        count: int = cursor.fetchone()[0]
    return count + len(to_decide_by(user, DECISIONS))


@lru_cache(maxsize=1000)
def _question(user: User, roles: tuple[str, ...]) -> tuple[str, tuple[Any, ...]]:
    """One query, whose text follows from who asks and their roles alone. Writing it takes twice as long as the answer does, and
    it is asked for every page: so it is written once."""
    steps: QuerySet[Any] = Step.objects.awaiting(user).order_by().values_list("pk")
    both = steps.union(qualifications.unread(user).order_by().values_list("pk"), all=True)
    text, values = both.query.sql_with_params()
    return f"SELECT count(*) FROM ({text}) AS waiting", values  # noqa: S608 the ORM's own text


def _rail(request: HttpRequest, user: User) -> list[dict[str, Any]]:
    front = [_item(request, room) for room in ROOMS if _open_to(user, room[3])]
    back = [_item(request, room) for room in BACK_ROOMS if _open_to(user, room[3])]
    front[0]["badge"] = waiting(user)
    if may(user, "alarms.acknowledge"):
        security = next(item for item in back if item["url"] == "/security/")
        security["badge"] = alarms_for(user).filter(acknowledged_at__isnull=True).count()
    return [*front, {"divider": True}, *back] if back else front


def _open_to(user: User, permission: str) -> bool:
    return not permission or may(user, permission)


def _item(request: HttpRequest, room: tuple[str, str, str, str, tuple[str, ...]]) -> dict[str, Any]:
    label, url, icon, _, own = room
    return {"label": label, "url": url, "icon": icon, "active": request.path == url or request.path.startswith(own)}
