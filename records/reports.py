"""Reports: what the portal found and a person answers for, sealed like everything else that is signed.

A report is a Version made in one go: `report.json` holds all of it for machines, the rendition what people read and sign.
It is not edited: one that is wrong is rejected, and made anew, as a record of its own or as the next version of its record.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Max, QuerySet

from accounts.models import Area, User
from accounts.permissions import demand
from accounts.roles import PERMISSIONS
from audit import clock, trail
from audit.actions import Action
from audit.canonical import canonical
from printing.document import Section
from records import manifest, numbers, renditions
from records.documents import TEXT
from records.kinds import Kind
from records.models import Record, RecordType, Version
from records.transitions import Content, seal
from storage import worm

__all__ = ["DATA", "Section", "area_of", "others_who_approve", "read", "seal_report"]
DATA = "report.json"


def seal_report(
    type_code: str,
    *,
    title: str,
    sections: Sequence[Section],
    data: Mapping[str, Any],
    by: User,
    message: str,
    contributors: Sequence[str] = (),
    area: Area | None = None,
    facts: Sequence[tuple[str, str]] = (),
    record: Record | None = None,
    then: Callable[[Version], Any],
) -> Version:
    """A new record of the report type with its one version, in review; `then(version)` opens its route in the same transaction.
    With `record` it is the next version of that one, under its title and in its area.

    `sections` are Markdown, `data` is canonical JSON (no floats), `contributors` the keys of people whose acts it judges:
    none of them may sign it. Without `area` it is filed where somebody else can approve it (`area_of`). Raises Refused,
    StorageError.
    """
    record_type = RecordType.objects.get(pk=type_code, kind=Kind.REPORT)
    demand(by, "report.write", record_type)
    now, area = clock.now(), _area(by, record.area if record else area, record_type)
    new = record is None
    if record is None:
        record = Record(type=record_type, number=numbers.reserve(record_type), title=title, area=area, created_by=by)
    ordinal = 1 if new else 1 + (record.versions.aggregate(highest=Max("ordinal"))["highest"] or 0)
    content = _content(
        record, ordinal, sections, data, by=by, message=message, contributors=contributors, facts=facts, at=now
    )
    with transaction.atomic(durable=True):
        if new:
            record.save(force_insert=True)
            trail.record(Action.RECORD_CREATED, record, by=by, detail={"title": title, "type": record_type.code})
        version = seal(record, content, by=by, action=Action.REPORT_SEALED)
        if version.ordinal != ordinal:  # its pages tell another number
            raise trail.Refused(
                f"Somebody made version {ordinal} of {record.number} meanwhile. Look at it first.",
                action=Action.REPORT_REFUSED,
                subject=record,
                by=by,
            )
        then(version)
    return version


def read(version: Version) -> dict[str, Any]:
    """What the report says, from its sealed bytes. Raises `worm.Altered`, StorageError."""
    file = version.files.get(logical_key=DATA)
    data = worm.get(worm.Pin(file.bucket, file.key, file.s3_version, file.size, file.sha256))
    found: dict[str, Any] = manifest.read_json(data)["data"]
    return found


def others_who_approve(by: User) -> QuerySet[User]:
    approvers = User.objects.filter(is_active=True, groups__name__in=PERMISSIONS["sign.approve"])
    return approvers.exclude(pk=by.pk)


def area_of(by: User, others: QuerySet[User] | None = None) -> Area | None:
    """Where a report of this maker is filed: the first area that one of the others is in as well, for in no other can they see
    and sign it; else the first of their own. Others: who may approve it, unless they are named."""
    others = others_who_approve(by) if others is None else others
    own = Area.objects.filter(members=by)
    return own.filter(members__in=others).first() or own.first()


def _area(by: User, area: Area | None, record_type: RecordType) -> Area:
    found = area_of(by) if area is None else by.areas.filter(pk=area.pk).first()
    if found is None:
        raise trail.Forbidden(
            "A report belongs to an area, and you belong to none of its: ask an administrator.",
            action=Action.REPORT_REFUSED,
            subject=area or record_type,
            by=by,
        )
    return found


def _content(
    record: Record,
    ordinal: int,
    sections: Sequence[Section],
    data: Mapping[str, Any],
    *,
    by: User,
    message: str,
    contributors: Sequence[str],
    facts: Sequence[tuple[str, str]],
    at: datetime,
) -> Content:
    """The bytes of the report, all of them kept under Object Lock before any row speaks of them."""
    until = worm.years_after(at, settings.DOCUMENT_RETENTION_YEARS)
    texts = [
        {"id": f"s{number}", "title": section.title, "text": section.markdown}
        for number, section in enumerate(sections, start=1)
    ]
    head = {"number": record.number, "title": record.title, "version": ordinal}
    told = head | {"type": record.type_id, "made_at": at.isoformat(), "made_by": by.legal_name, "data": dict(data)}
    files = {TEXT: canonical(head | {"sections": texts}), DATA: canonical(told)}
    rendition = renditions.of_document(
        record, texts, ordinal=ordinal, message=message, author=by, facts=[("Area", record.area.name), *facts], at=at
    )
    return Content(
        entries=[_file(name, body, until) for name, body in files.items()],
        media_types=dict.fromkeys(files, "application/json"),
        rendition=rendition.pin,
        rendition_pages=rendition.pages,
        message=message.strip(),
        contributors=sorted(set(contributors)),
    )


def _file(name: str, body: bytes, until: datetime) -> manifest.Entry:
    pin = worm.put(body, media_type="application/json", retain_until=until)
    return manifest.Entry(name, pin.bucket, pin.key, pin.version_id, pin.size, pin.sha256, {})
