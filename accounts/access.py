"""Who had which access on a day: roles, areas, who gave them and when, put together from the trail (21 CFR 11.300(b)).

Nothing here reads the accounts as they are now: a day in the past is told by the row changes up to it, and today by all of them.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import Group
from django.db import connection
from django.db.models import Max

from accounts.models import Removal
from accounts.roles import Role
from audit import clock
from audit.actions import Action
from audit.models import Entry, RowChange

STALE_AFTER = timedelta(days=90)
TABLES = ("accounts_user", "accounts_user_groups", "accounts_membership", "accounts_area")
Row = dict[str, Any]


@dataclass(frozen=True)
class Access:
    """One role of one person; a person without any has one line with none. Times are UTC."""

    person: str
    name: str
    username: str
    state: str
    role: str
    areas: tuple[str, ...]
    approver: str
    granted_at: datetime | None
    entry: int | None
    last_login: datetime | None
    stale: bool

    @property
    def role_label(self) -> str:
        return Role(self.role).label if self.role in Role.values else self.role or "none"

    @property
    def key(self) -> str:
        """Names the line in a form."""
        return f"{self.person}:{self.role}"


@dataclass(frozen=True)
class Principal:
    """What logs in and is no person."""

    name: str
    kind: str
    note: str


def as_of(when: datetime) -> list[Access]:
    """Every account that was there then, with each role that it held, by name."""
    tables, origins = _replayed(when)
    groups = {str(pk): name for pk, name in Group.objects.values_list("pk", "name")}
    areas: dict[str, list[str]] = defaultdict(list)
    for row in tables["accounts_membership"].values():
        areas[row["user_id"]].append(str(tables["accounts_area"].get(row["area_id"], {}).get("name", "?")))
    held: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for key, row in tables["accounts_user_groups"].items():
        held[row["user_id"]].append((groups.get(str(row["group_id"]), "?"), key))
    acts = _acts(origins.values())
    seen = _log_ins(when)
    found = []
    for person, user in tables["accounts_user"].items():
        state = _state(user, when)
        last = seen.get(person)
        stale = state == "active" and when - (last or _time(user["joined_at"])) > STALE_AFTER
        for role, key in sorted(held[person], key=_order) or [("", "")]:
            act = acts.get((origins.get(key, 0), person))
            found.append(
                Access(
                    person=person, name=user["legal_name"], username=user["username"], state=state, role=role,
                    areas=tuple(sorted(areas[person])), approver=act.actor_name if act else "",
                    granted_at=act.at if act else None, entry=act.pk if act else None, last_login=last, stale=stale,
                )
            )  # fmt: skip
    return sorted(found, key=lambda line: (line.name.casefold(), line.person, _order((line.role, ""))))


# What a role of the database may do to the trail, the most first. One that makes roles may make itself a member of the owners.
ROLES = """
SELECT r.rolname,
  CASE WHEN r.rolsuper THEN 'a superuser of the database: may go around everything'
       WHEN r.rolcreaterole OR bool_or(pg_has_role(r.oid, c.relowner, 'MEMBER'))
       THEN 'owns the tables, or may make itself their owner: may switch triggers off, which chain and anchors show'
       WHEN bool_or(has_table_privilege(r.oid, c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE'))
       THEN 'bound by the triggers and its rights'
       ELSE 'reads at most' END
FROM pg_roles r CROSS JOIN pg_class c
WHERE r.rolcanlogin AND c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
GROUP BY r.rolname, r.rolsuper, r.rolcreaterole ORDER BY r.rolname
"""


def principals() -> list[Principal]:
    """The portal itself, and the database's roles that may log in, as they are now."""
    with connection.cursor() as cursor:
        cursor.execute(ROLES)
        roles = cursor.fetchall()
    own = Principal("Countersign", "the portal", "acts as “system” on the trail: jobs, alarms, checkpoints")
    return [own, *(Principal(name, "database role", note) for name, note in roles)]


def open_removals() -> list[tuple[Removal, Access]]:
    """Roles that a recertification took away, and that are still held by the grant of before."""
    decided = list(Removal.objects.select_related("user", "decided_by"))
    held = {line.key: line for line in as_of(clock.now())} if decided else {}
    pairs = [(row, held.get(f"{row.user_id}:{row.role}")) for row in decided]
    return [
        (row, line) for row, line in pairs if line and (line.granted_at is None or line.granted_at < row.decided_at)
    ]


def _replayed(when: datetime) -> tuple[dict[str, dict[str, Row]], dict[str, int]]:
    """Rows of each table as their changes had made them, and the transaction that gave each role."""
    tables: dict[str, dict[str, Row]] = {name: {} for name in TABLES}
    origins: dict[str, int] = {}
    changes = RowChange.objects.filter(subject_kind__in=("user", "area"), table__in=TABLES, at__lte=when).order_by("pk")
    for table, key, operation, new, xact in changes.values_list("table", "row", "operation", "new", "xact").iterator():
        if operation == RowChange.Operation.DELETE:
            tables[table].pop(key, None)
        else:
            tables[table][key] = tables[table].get(key, {}) | (new or {})
            if table == "accounts_user_groups":
                origins[key] = xact
    return tables, origins


def _acts(xacts: Iterable[int]) -> dict[tuple[int, str], Entry]:
    """The entry that tells each of these transactions, by transaction and person."""
    rows = Entry.objects.filter(xact__in=set(xacts), subject_kind="user").order_by("-pk")
    return {(entry.xact, entry.subject_id): entry for entry in rows}


def _log_ins(when: datetime) -> dict[str, datetime]:
    logins = Entry.objects.filter(action=Action.LOGIN_SUCCEEDED, subject_kind="user", at__lte=when)
    return dict(logins.order_by().values_list("subject_id").annotate(last=Max("at")))


def _state(user: Row, when: datetime) -> str:
    """As the pills of people name it."""
    if not user["is_active"]:
        return "inactive"
    if user.get("expires_at") and _time(user["expires_at"]) <= when:
        return "expired"
    return "dormant" if user.get("dormant_at") else "active"


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _order(role: tuple[str, str]) -> int:
    return Role.values.index(role[0]) if role[0] in Role.values else len(Role.values)
