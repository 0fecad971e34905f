"""The audit trail's one door: `record()` for acts, `refusals()` for refused ones, `access()` for reading."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from django.core.exceptions import PermissionDenied
from django.db import connection, transaction

from audit.actions import Action
from audit.canonical import canonical
from audit.models import Entry
from audit.requests import request_id


@dataclass(frozen=True)
class Subject:
    """What an entry speaks of, as text that outlives the row."""

    kind: str
    id: str
    label: str


@dataclass(frozen=True)
class Actor:
    """Who acted: key, printed name and role as they were at the time."""

    key: str
    name: str
    role: str


@runtime_checkable
class HasSubject(Protocol):
    def trail_subject(self) -> Subject: ...


@runtime_checkable
class HasActor(Protocol):
    def trail_actor(self) -> Actor: ...


SYSTEM = Actor("system", "Countersign", "system")
NOBODY = Actor("anonymous", "Somebody not logged in", "")
PORTAL = Subject("portal", "portal", "the portal")


class Refused(Exception):
    """An act that was refused. Whoever asked is told `message`; `refusals()` puts it on the trail after the rollback."""

    status = 409

    def __init__(
        self,
        message: str,
        *,
        action: Action = Action.REQUEST_REFUSED,
        subject: HasSubject | Subject = PORTAL,
        by: HasActor | Actor | None = None,
        detail: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.action = action
        self.subject = subject_of(subject)
        self.by = actor_of(by) if by is not None else None
        self.detail = dict(detail or {})


class NotAllowed(Refused):
    """The step is not open from the state that the thing is in."""


class Forbidden(Refused, PermissionDenied):
    """The person may not do this."""

    status = 403


class ReadOnly(Refused):
    """The database does not agree with its anchors: nothing is changed until a restore report is signed (§4, F24)."""

    status = 503


READ_ONLY = (
    "The portal is read-only: its database does not agree with the newest checkpoint in the anchor bucket. Nothing can be changed"
    " until a restore report is signed; the page Audit, Checkpoints says what was found and what to do."
)
# What makes the restore report is known to be that only when all of its entries stand: then the commit alone judges.
_judged_at_commit: ContextVar[bool] = ContextVar("judged_at_commit", default=False)


def held() -> Entry | None:
    """The entry that made the portal read-only, while it is."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT audit_held()")
        (entry,) = cursor.fetchone()
    return Entry.objects.filter(pk=entry).first() if entry is not None else None


@contextmanager
def judged_at_commit() -> Iterator[None]:
    """In this block the database says at the commit, and not `record()` at each entry, whether read-only lets it pass."""
    before = _judged_at_commit.set(True)
    try:
        yield
    finally:
        _judged_at_commit.reset(before)


def subject_of(thing: HasSubject | Subject) -> Subject:
    return thing if isinstance(thing, Subject) else thing.trail_subject()


def actor_of(person: HasActor | Actor) -> Actor:
    return person if isinstance(person, Actor) else person.trail_actor()


def record(
    action: Action,
    subject: HasSubject | Subject,
    *,
    by: HasActor | Actor,
    reason: str = "",
    detail: Mapping[str, Any] | None = None,
) -> Entry:
    """Write one entry in the transaction of the change that it tells (21 CFR 11.10(e)).

    `detail` holds strings, integers, booleans, null, lists and objects only. Raises RuntimeError outside a transaction:
    an entry that commits alone would tell of a change that may not have happened; ReadOnly where only a short list of acts
    is open (`audit_admits()` in the database has the list, and refuses raw SQL as well).
    """
    if not connection.in_atomic_block:
        raise RuntimeError("trail.record() belongs into the transaction of the change that it tells")
    about = subject_of(subject)
    row, admitted = _insert("audit_entry", Action(action).value, "action", about, actor_of(by), detail, reason=reason)
    if not admitted and not _judged_at_commit.get():
        raise ReadOnly(READ_ONLY, subject=about, by=by, detail={"asked": Action(action).value})
    return Entry(**row)


def access(
    by: HasActor | Actor, what: str, subject: HasSubject | Subject, detail: Mapping[str, Any] | None = None
) -> None:
    """Note that something was read: `what` is view, export or refused."""
    _insert("audit_access", what, "what", subject_of(subject), actor_of(by), detail)


@contextmanager
def refusals(by: HasActor | Actor = NOBODY) -> Iterator[None]:
    """Put every `Refused` that leaves the block on the trail, in a transaction of its own, and let it go on."""
    try:
        yield
    except Refused as refused:
        record_refusal(refused, by)
        raise


def record_refusal(refused: Refused, by: HasActor | Actor) -> None:
    with transaction.atomic():
        record(
            refused.action, refused.subject, by=refused.by or by, detail={"message": refused.message, **refused.detail}
        )


def _insert(
    table: str,
    what: str,
    what_column: str,
    subject: Subject,
    actor: Actor,
    detail: Mapping[str, Any] | None,
    **more: str,
) -> tuple[dict[str, Any], bool]:
    """The row as it stands, and whether read-only admits it."""
    values = {
        what_column: what,
        "actor": actor.key,
        "actor_name": actor.name,
        "actor_role": actor.role,
        "subject_kind": subject.kind,
        "subject_id": subject.id,
        "subject_label": subject.label,
        "request_id": request_id.get(),
        **more,
    }
    columns = ", ".join([*values, "detail"])
    places = ", ".join(["%s"] * len(values) + ["%s::jsonb"])
    admits = "audit_admits(action, subject_id)" if table == "audit_entry" else "true"
    with connection.cursor() as cursor:
        # Table and columns are ours; the values go as parameters.
        cursor.execute(
            f"INSERT INTO {table} ({columns}) VALUES ({places}) RETURNING id, at, xact, {admits}",  # noqa: S608
            [*values.values(), canonical(dict(detail or {})).decode()],
        )
        identity, at, xact, admitted = cursor.fetchone()
    return {**values, "id": identity, "at": at, "xact": xact, "detail": dict(detail or {})}, admitted
