"""The verbs of a validation document: create and submit, and what approval does: it takes effect, at once or as planned."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from django.db import transaction

from accounts import founding
from accounts.models import Area, User
from audit import trail
from audit.actions import Action
from records import documents, drafts, numbers, starter
from records.documents import effective_from
from records.models import Draft, Record, RecordType, Version
from records.transitions import take_effect
from signatures import routes
from validation_docs.models import ValidationDocument

STARTER = Path(__file__).parent / "starter"


def create(record_type: RecordType, *, title: str, system: str, area: Area, by: User) -> Record:
    """A new document of the type with its starter content, its draft checked out by the author."""
    _, sections = starter.read(STARTER / f"{record_type.code}.md")
    with transaction.atomic(durable=True):
        record = numbers.create(record_type, title=title, area=area, by=by, permission="document.write")
        ValidationDocument.objects.create(record=record, system=system.strip())
        drafts.open_draft(
            record, starter.filled(sections, "system name", system) if system.strip() else sections, by=by
        )
        trail.record(Action.DOCUMENT_CREATED, record, by=by, detail={"system": system.strip(), **founding.mark()})
    return record


def submit(
    draft: Draft,
    *,
    by: User,
    message: str,
    reviewers: Sequence[User],
    approvers: Sequence[User],
    due_at: datetime | None = None,
    effective_on: datetime | None = None,
) -> Version:
    """Freeze the draft as a version and ask for its signatures."""
    document = ValidationDocument.objects.get(pk=draft.record_id)

    def then(version: Version) -> None:
        routes.of_document(version, reviewers, approvers, due_at, by=by)

    return documents.submit(
        draft,
        by=by,
        message=message,
        then=then,
        effective_on=effective_on,
        facts=[("System", document.system), ("Area", draft.record.area.name)],
    )


def approved(version: Version, signer: User) -> None:
    take_effect(version, by=signer, at=effective_from(version))
