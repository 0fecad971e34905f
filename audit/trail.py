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
    """The database does not agree with its anchors, or it is not known whether it does: nothing is changed (§4, F24)."""

    status = 503


READ_ONLY = (
    "The portal is read-only: its database does not agree with the newest checkpoint in the anchor bucket, or was restored and"
    " could not be compared with it. Nothing can be changed now; the page Audit, Checkpoints says what was found and what to do."
)
# What makes the restore report is known to be that only when all of its entries stand: then the commit alone judges.
_judged_at_commit: ContextVar[bool] = ContextVar("judged_at_commit", default=False)


def held() -> Entry | None:
    """The entry that made the portal read-only, while it is."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM audit_held()")
        found = cursor.fetchone()
    return Entry.objects.get(pk=found[0]) if found else None


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


# What both logs tell comes last, in the order of `_told()`.
ENTRY = """
INSERT INTO audit_entry
  (action, reason, actor, actor_name, actor_role, subject_kind, subject_id, subject_label, request_id, detail)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s::jsonb) RETURNING id, EXISTS (SELECT FROM audit_held())
"""
ACCESS = """
INSERT INTO audit_access (what, actor, actor_name, actor_role, subject_kind, subject_id, subject_label, request_id, detail)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s::jsonb)
"""


def _told(about: Subject, by: HasActor | Actor, detail: Mapping[str, Any] | None) -> tuple[str, ...]:
    actor = actor_of(by)
    told = canonical(dict(detail)).decode() if detail else "{}"
    return (actor.key, actor.name, actor.role, about.kind, about.id, about.label, request_id.get(), told)


def record(
    action: Action,
    subject: HasSubject | Subject,
    *,
    by: HasActor | Actor,
    reason: str = "",
    detail: Mapping[str, Any] | None = None,
) -> int:
    """Write one entry in the transaction of the change that it tells (21 CFR 11.10(e)); its number.

    `detail` holds strings, integers, booleans, null, lists and objects only. Raises RuntimeError outside a transaction:
    an entry that commits alone would tell of a change that may not have happened; ReadOnly where only a short list of acts
    is open (`audit_admits()` in the database has the list, and refuses raw SQL as well).
    """
    if not connection.in_atomic_block:
        raise RuntimeError("trail.record() belongs into the transaction of the change that it tells")
    act, about = Action(action).value, subject_of(subject)
    with connection.cursor() as cursor:
        cursor.execute(ENTRY, (act, reason, *_told(about, by, detail)))
        number, read_only = cursor.fetchone()
        if read_only and not _judged_at_commit.get():
            cursor.execute("SELECT audit_admits(%s, %s)", [act, about.id])
            if not cursor.fetchone()[0]:
                raise ReadOnly(READ_ONLY, subject=about, by=by, detail={"asked": act})
    return int(number)


def access(
    by: HasActor | Actor, what: str, subject: HasSubject | Subject, detail: Mapping[str, Any] | None = None
) -> None:
    """Note that something was read: `what` is view, export or refused."""
    with connection.cursor() as cursor:
        cursor.execute(ACCESS, (what, *_told(subject_of(subject), by, detail)))


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
