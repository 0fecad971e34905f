"""Freezing a document: its draft's text becomes `document.json` and a rendition, both under Object Lock, and a Version.

Shared by every kind that is written here: validation documents, SOPs, record definitions.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import transaction

from accounts.models import User
from accounts.permissions import demand
from audit import clock, trail
from audit.actions import Action
from audit.canonical import canonical
from records import manifest, open_places, renditions
from records.drafts import Section, sign_history
from records.lifecycle import State
from records.models import Attachment, Buffer, Draft, Version
from records.queries import wrote_since_approved
from records.transitions import Content, seal
from storage import worm

TEXT = "document.json"
MESSAGE_LETTERS = 5
IN_REVIEW = "A version is in review already. Wait for its signatures, or recall it."


class NotReady(trail.NotAllowed):
    """The draft cannot be submitted as it is."""


def submit(
    draft: Draft,
    *,
    by: User,
    message: str,
    then: Callable[[Version], Any],
    facts: Sequence[tuple[str, str]] = (),
    effective_on: datetime | None = None,
    extra: Sequence[tuple[str, bytes, str]] = (),
    sections: Sequence[Section] | None = None,
) -> Version:
    """Freeze the draft as the record's next version, in review; `then(version)` opens its route in the same transaction.

    `extra` are further files of the version (name, bytes, media type); `sections` stand for the draft's own where its text is
    made from data. Raises NotReady, Refused, StorageError.
    """
    record, now = draft.record, clock.now()
    demand(by, record.writing, record, record)
    _check_ready(draft, by, message)
    texts = [section_text(section) for section in sections or draft.sections]
    ordinal = (record.versions.order_by("-ordinal").values_list("ordinal", flat=True).first() or 0) + 1
    until = worm.years_after(now, settings.DOCUMENT_RETENTION_YEARS)
    rendition = renditions.of_document(
        record, texts, ordinal=ordinal, message=message, author=by, facts=[*facts, *_planned(effective_on)], at=now
    )
    body = canonical({"number": record.number, "title": record.title, "version": ordinal, "sections": texts})
    files = [_file(TEXT, body, "application/json", until)]
    files += [_file(name, data, media_type, until) for name, data, media_type in extra]
    files += [_image(image) for image in renditions.shown_images(record, texts)]
    content = Content(
        entries=[entry for entry, _ in files],
        media_types={entry.logical_key: kind for entry, kind in files},
        rendition=rendition.pin,
        rendition_pages=rendition.pages,
        message=message.strip(),
        contributors=writers(draft),
        metadata={"effective_on": effective_on.isoformat() if effective_on else ""},
    )
    with transaction.atomic(durable=True):
        held = Draft.objects.select_for_update(no_key=True).get(pk=draft.pk)
        if held.revision != draft.revision:
            raise NotReady(
                "The draft was saved meanwhile. Look at it again before you submit it.",
                action=Action.STEP_REFUSED,
                subject=record,
                by=by,
            )
        if record.versions.filter(state=State.IN_REVIEW).exists():
            raise NotReady(IN_REVIEW, action=Action.STEP_REFUSED, subject=record, by=by)
        version = seal(record, content, by=by, action=Action.VERSION_SUBMITTED)
        # Whoever edits from here on writes the next version; who wrote this one is sealed with it.
        held.contributors, held.message, held.checked_out_by, held.checked_out_at = [], "", None, None
        sign_history(held, by)
        held.save(update_fields=["contributors", "message", "checked_out_by", "checked_out_at"])
        trail.record(Action.DRAFT_CHECKED_IN, record, by=by, detail={"submitted": version.ordinal})
        then(version)
    return version


def _planned(effective_on: datetime | None) -> list[tuple[str, str]]:
    """The date that is approved with the version is printed in it."""
    return [("Planned effective date", f"{effective_on:%d %b %Y %H:%M} UTC")] if effective_on else []


def writers(draft: Draft) -> list[str]:
    """Keys of everybody who wrote any of it since the last approved version: who saved the draft or added an image that it
    shows, and who wrote or submitted a version that came back, whose text the draft goes on from. None of them may sign it."""
    wrote, approved = wrote_since_approved(draft.record)
    known = set(approved.files.values_list("sha256", flat=True)) if approved else set()
    images = renditions.shown_images(draft.record, draft.sections)
    return sorted(
        {*draft.contributors, *wrote} | {str(image.added_by_id) for image in images if image.sha256 not in known}
    )


def sections_of(version: Version) -> list[Section]:
    """The text of a document's version, from its sealed bytes. Raises `worm.Altered`, StorageError."""
    file = version.files.get(logical_key=TEXT)
    data = worm.get(worm.Pin(file.bucket, file.key, file.s3_version, file.size, file.sha256))
    sections: list[Section] = manifest.read_json(data)["sections"]
    return sections


def effective_from(version: Version) -> datetime | None:
    """The planned effective date that was submitted with the version (UTC), or None for the moment of approval."""
    stated = version.metadata.get("effective_on", "")
    return datetime.fromisoformat(stated) if stated else None


def section_text(section: Section) -> dict[str, str]:
    return {name: section[name] for name in ("id", "title", "text")}


def as_text(sections: Sequence[Section]) -> str:
    """One text of all sections, for comparing versions line by line."""
    return "\n\n".join(f"# {section['title']}\n\n{section['text'].strip()}" for section in sections) + "\n"


def problems(draft: Draft, *, by: User) -> list[str]:
    """Everything about the draft that keeps it from being submitted, a sentence each."""
    found = []
    if draft.record.versions.filter(state=State.IN_REVIEW).exists():
        found.append(IN_REVIEW)
    if draft.checked_out_by_id not in (None, by.pk):
        found.append(f"{draft.checked_out_by} has the draft checked out.")
    if Buffer.objects.filter(draft=draft).exclude(sections=draft.sections).exists():
        found.append("The editor holds text that is not saved. Save it or throw it away first.")
    if empty := [section["title"] for section in draft.sections if not section["text"].strip()]:
        found.append(f"Fill or remove the empty sections: {', '.join(empty)}.")
    if places := open_places.left(draft.sections):
        told = ", ".join(f"{title} ({number})" for title, number in places.items())
        found.append(f"Places marked [FILL: ...] are left in these sections: {told}.")
    return found


def _check_ready(draft: Draft, by: User, message: str) -> None:
    found = problems(draft, by=by)
    if len(message.strip()) < MESSAGE_LETTERS:
        found.append("Say in a few words what changed, for the change history.")
    if found:
        raise NotReady(" ".join(found), action=Action.STEP_REFUSED, subject=draft.record, by=by)


def _file(name: str, data: bytes, media_type: str, until: datetime) -> tuple[manifest.Entry, str]:
    pin = worm.put(data, media_type=media_type, retain_until=until)
    return manifest.Entry(name, pin.bucket, pin.key, pin.version_id, pin.size, pin.sha256, {}), media_type


def _image(image: Attachment) -> tuple[manifest.Entry, str]:
    pin = worm.Pin.from_json(image.pin)
    return manifest.Entry(
        f"images/{image.name}", pin.bucket, pin.key, pin.version_id, pin.size, pin.sha256, {}
    ), image.media_type
