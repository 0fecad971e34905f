"""Numbers of records: counted under a lock, or typed; never given twice."""

import re

from django.db import transaction
from django.db.models import F

from accounts import founding
from accounts.models import Area, User
from accounts.permissions import demand
from audit import trail
from audit.actions import Action
from records.models import Record, RecordType


class NumberRefused(trail.Refused):
    """The number does not fit the type, or is taken."""

    status = 400


def create(
    record_type: RecordType, *, title: str, area: Area, by: User, number: str = "", permission: str = "record.create"
) -> Record:
    """A new record with the type's next number, or with the typed one. In the caller's transaction where there is one."""
    demand(by, permission, record_type)
    title = title.strip()
    if not title or len(title) > 200:
        raise NumberRefused("A record needs a title of at most 200 letters.", subject=record_type, by=by)
    if not by.areas.filter(pk=area.pk).exists():
        raise trail.Forbidden("You do not belong to this area.", subject=area, by=by)
    with transaction.atomic():
        record = Record.objects.create(
            type=record_type, number=_number(record_type, number, by), title=title, area=area, created_by=by
        )
        trail.record(
            Action.RECORD_CREATED, record, by=by, detail={"title": title, "type": record_type.code, **founding.mark()}
        )
    return record


def reserve(record_type: RecordType) -> str:
    """The next number of a counted type, which nobody else gets, whatever becomes of it."""
    RecordType.objects.filter(pk=record_type.pk).update(last_number=F("last_number") + 1)
    record_type.refresh_from_db(fields=["last_number"])
    return f"{record_type.prefix}-{record_type.last_number:0{record_type.digits}d}"


def _number(record_type: RecordType, typed: str, by: User) -> str:
    if record_type.numbering == RecordType.Numbering.COUNTED:
        return reserve(record_type)
    typed = typed.strip().upper()
    own = re.escape(record_type.prefix) or "[A-Z][A-Z0-9]{1,11}"
    if not re.fullmatch(rf"{own}-[0-9]{{{record_type.digits},}}", typed):
        example = f"{record_type.prefix or 'KRAS'}-{1:0{record_type.digits}d}"
        raise NumberRefused(f"A number of {record_type.name} looks like {example}.", subject=record_type, by=by)
    if RecordType.objects.exclude(pk=record_type.pk).filter(prefix=typed.partition("-")[0]).exists():
        raise NumberRefused(f"Numbers that begin like {typed} belong to another type.", subject=record_type, by=by)
    if Record.objects.filter(number=typed).exists():
        raise NumberRefused(f"{typed} is taken; a number is never given twice.", subject=record_type, by=by)
    return typed
