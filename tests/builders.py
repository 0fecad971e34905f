"""Small sealed things for tests, made by the same `seal()` and `open_route()` as real ones, with a tiny real PDF."""

import io
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import cache

from django.conf import settings
from django.db import transaction
from reportlab.pdfgen.canvas import Canvas

from accounts.models import User
from audit import clock, trail
from audit.actions import Action
from audit.canonical import canonical
from records import documents, drafts, manifest, numbers
from records.models import Record, RecordType, Version
from records.transitions import Content, seal
from signatures import requests
from signatures.requests import Asked
from sops.models import Sop
from storage import s3, worm
from validation_docs.models import ValidationDocument

KEPT_FOR = timedelta(days=30)


@cache
def pdf(text: str, pages: int) -> bytes:
    """A real PDF whose every page says the text; the same arguments give the same bytes."""
    out = io.BytesIO()
    canvas = Canvas(out, pagesize=(300, 420), invariant=True)
    for page in range(1, pages + 1):
        canvas.drawString(40, 360, f"{text}, page {page} of {pages}")
        canvas.showPage()
    canvas.save()
    return out.getvalue()


def keep(data: bytes, media_type: str = "application/octet-stream") -> worm.Pin:
    """The bytes in the WORM store of the tests' stand-in, whose bucket is made where it is missing."""
    client = s3.client()
    if settings.WORM_BUCKET not in {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}:
        with suppress(client.exceptions.BucketAlreadyOwnedByYou):  # by another worker, just now
            client.create_bucket(
                Bucket=settings.WORM_BUCKET,
                ObjectLockEnabledForBucket=True,
                CreateBucketConfiguration={"LocationConstraint": settings.S3_REGION},
            )
    return worm.put(data, media_type=media_type, retain_until=clock.now() + KEPT_FOR)


def a_record(people, code: str = "URS", *, by: User | None = None, title: str = "User requirements") -> Record:
    """A record of a document type (URS, SOP, DEF ...), or of the data type NGS."""
    by = by or (people.operator if code == "NGS" else people.author)
    permission = "record.create" if code == "NGS" else "document.write"
    record_type = a_data_type() if code == "NGS" else RecordType.objects.get(pk=code)
    with transaction.atomic():
        record = numbers.create(record_type, title=title, area=people.laboratory, by=by, permission=permission)
        if record_type.kind == "document":
            ValidationDocument.objects.create(record=record, system="Records portal")
        if record_type.kind != "data":
            section = {"id": "s1", "title": "Purpose", "guidance": "", "text": "Why."}
            drafts.open_draft(record, [section], by=by)
        trail.record(Action.DOCUMENT_CREATED, record, by=by)
    return record


def a_data_type() -> RecordType:
    """The type NGS, counted, without a definition."""
    known = RecordType.objects.filter(pk="NGS").first()
    if known:
        return known
    with transaction.atomic():
        made = RecordType.objects.create(code="NGS", name="NGS run package", kind="data", prefix="KRAS", digits=3)
        trail.record(Action.TYPE_CREATED, made, by=trail.SYSTEM)
    return made


def a_version(
    record: Record,
    *,
    by: User,
    route: Sequence[Asked] = (),
    text: str = "The system shall keep records.",
    pages: int = 2,
    contributors: Sequence[User] = (),
    effective_on: datetime | None = None,
) -> Version:
    """The record's next version, sealed, with its route opened if there is one."""
    rendition = keep(pdf(f"{record.number} {text}", pages), "application/pdf")
    sections = [{"id": "s1", "title": "Purpose", "text": text}]
    name, body = documents.TEXT, canonical({"number": record.number, "title": record.title, "sections": sections})
    if record.type.kind == "data":
        name, body = "README.md", text.encode()
    pin = keep(body)
    metadata = {"effective_on": effective_on.isoformat() if effective_on else ""}
    content = Content(
        entries=[manifest.Entry(name, pin.bucket, pin.key, pin.version_id, pin.size, pin.sha256, {})],
        rendition=rendition,
        rendition_pages=pages,
        message="First issue",
        metadata={"run": text} if record.type.kind == "data" else metadata,
        contributors=[str(person.pk) for person in (by, *contributors)],
    )
    data = record.type.kind == "data"
    with transaction.atomic():
        version = seal(record, content, by=by, action=Action.VERSION_REGISTERED if data else Action.VERSION_SUBMITTED)
        if route:
            requests.open_route(version, route, by=by)
    return version


def a_document_in_review(
    people,
    *,
    code: str = "URS",
    reviewers: Sequence[User] | None = None,
    approvers: Sequence[User] | None = None,
    due_at: datetime | None = None,
    record: Record | None = None,
    **more,
) -> Version:
    """A document's version that waits for people.reviewer, then for people.approver. `more` goes to `a_version`."""
    route = requests.review_then_approval(
        [people.reviewer] if reviewers is None else reviewers,
        [people.approver] if approvers is None else approvers,
        due_at,
    )
    return a_version(record or a_record(people, code), by=people.author, route=route, **more)


def an_sop(
    people, *, gate: str = "", roles: Sequence[str] = ("reviewer", "approver"), days: int = 14, **more
) -> Version:
    """An SOP's first version in review; its approval asks the holders of `roles` to read it within `days`."""
    record = a_record(people, "SOP", title="Electronic signatures")
    with transaction.atomic():
        Sop.objects.create(record=record, gate=gate, reading_roles=list(roles), reading_days=days)
        trail.record(Action.SOP_CHANGED, record, by=people.author)
    return a_document_in_review(people, record=record, **more)


def a_package(people, *, record: Record | None = None, route: Sequence[Asked] | None = None, **more) -> Version:
    """A data package's version, registered by people.operator, that waits for the approval of any approver."""
    asked = [Asked(1, "approval", "approver")] if route is None else route
    return a_version(
        record or a_record(people, "NGS", title="Lung panel, run 1"), by=people.operator, route=asked, **more
    )
