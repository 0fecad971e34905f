"""The verbs of a draft: open, check out, take over, check in, keep (autosave), save, add an image. A draft is no record; a
save is kept with old and new, an autosave is a convenience that nobody may rely on."""

from typing import Any

from django.conf import settings
from django.db import transaction

from accounts import founding
from accounts.models import User
from accounts.permissions import demand
from audit import clock, trail
from audit.actions import Action
from audit.reasons import demand_reason
from records import previews
from records.models import Attachment, Buffer, Draft, Record
from storage import worm

IMAGE_BYTES = 5 * 1024 * 1024
IMAGE_TYPES = {"image/png": "png", "image/jpeg": "jpg"}
SECTIONS = 100
SECTION_LETTERS = 200_000
Section = dict[str, Any]


class DraftRefused(trail.NotAllowed):
    """The draft cannot be changed so; the message says what to do."""


def open_draft(record: Record, sections: list[Section], *, by: User) -> Draft:
    """The record's live row, checked out by whoever opened it. In the caller's transaction."""
    draft = Draft(
        record=record,
        sections=checked(sections, record, by),
        saved_by=by,
        contributors=[str(by.pk)],
        checked_out_by=by,
        checked_out_at=clock.now(),
    )
    sign_history(draft, by)
    draft.save(force_insert=True)
    trail.record(Action.DRAFT_OPENED, record, by=by, detail=founding.mark())
    return draft


def check_out(draft: Draft, *, by: User) -> Draft:
    """From now on only `by` saves it. Nothing happens where they hold it already; refused where somebody else does."""
    demand(by, draft.record.writing, draft.record, draft.record)
    with transaction.atomic(durable=True):
        draft = _lock(draft)
        if draft.checked_out_by_id not in (None, by.pk):
            raise DraftRefused(
                f"{draft.checked_out_by} has it checked out. Ask them to check it in, or take it over.",
                action=Action.STEP_REFUSED,
                subject=draft.record,
                by=by,
            )
        if draft.checked_out_by_id is None:
            _hand_to(draft, by)
            trail.record(Action.DRAFT_CHECKED_OUT, draft.record, by=by)
    return draft


def take_over(draft: Draft, *, by: User, reason: str) -> Draft:
    """Check it out although somebody else holds it: their unsaved text is lost, so it takes a reason."""
    demand(by, draft.record.writing, draft.record, draft.record)
    reason = demand_reason(reason, Action.STEP_REFUSED, draft.record, by)
    with transaction.atomic(durable=True):
        draft = _lock(draft)
        before = draft.checked_out_by
        _hand_to(draft, by)
        Buffer.objects.filter(draft=draft).delete()
        trail.record(
            Action.DRAFT_TAKEN_OVER,
            draft.record,
            by=by,
            reason=reason,
            detail={"from": before.legal_name if before else ""},
        )
    return draft


def check_in(draft: Draft, *, by: User) -> None:
    with transaction.atomic(durable=True):
        draft = _held(draft, by)
        draft.checked_out_by = draft.checked_out_at = None
        _save(draft, by, ["checked_out_by", "checked_out_at"])
        trail.record(Action.DRAFT_CHECKED_IN, draft.record, by=by)


def keep(draft: Draft, sections: list[Section], *, by: User, on_top_of: int) -> Buffer:
    """Autosave: into the buffer, which is no record and leaves no trace. Taken whatever was saved meanwhile, so that no text
    is lost; `on_top_of`, the revision it was typed over, tells whether it may be saved as it is."""
    if draft.checked_out_by_id != by.pk:
        raise DraftRefused(
            "You do not have this draft checked out any more.", action=Action.STEP_REFUSED, subject=draft.record, by=by
        )
    buffer, _ = Buffer.objects.update_or_create(
        draft=draft,
        defaults={
            "user": by,
            "sections": checked(sections, draft.record, by),
            "on_top_of": on_top_of,
            "kept_at": clock.now(),
        },
    )
    return buffer


def throw_away(draft: Draft, *, by: User) -> None:
    """Empty the buffer: what is not saved is gone, and the editor shows the saved text again."""
    Buffer.objects.filter(draft=draft, user=by).delete()


def save(draft: Draft, sections: list[Section], *, by: User, message: str, on_top_of: int) -> Draft:
    """Keep the text, with history and an entry. `on_top_of` is the revision that the editor opened: a save over somebody
    else's is refused, never merged in silence."""
    with transaction.atomic(durable=True):
        draft = _held(draft, by)
        if draft.revision != on_top_of:
            raise DraftRefused(
                "The draft was saved elsewhere meanwhile. Reload the page; your text is kept in the buffer.",
                action=Action.STEP_REFUSED,
                subject=draft.record,
                by=by,
            )
        draft.sections = checked(sections, draft.record, by)
        draft.message = message.strip()
        draft.saved_at, draft.saved_by = clock.now(), by
        draft.revision += 1
        draft.contributors = sorted({*draft.contributors, str(by.pk)})
        _save(draft, by, ["sections", "message", "saved_at", "saved_by", "revision", "contributors"])
        Buffer.objects.filter(draft=draft).delete()
        trail.record(Action.DRAFT_SAVED, draft.record, by=by, reason=draft.message, detail={"revision": draft.revision})
    return draft


def add_image(draft: Draft, name: str, data: bytes, *, by: User) -> Attachment:
    """Keep an image for the draft's text, `![alt](attachment:name)`. PNG and JPEG up to 5 MiB; never SVG, which is a program."""
    media_type = previews.media_type_of(name, data[:4096])
    if (
        media_type not in IMAGE_TYPES
        or len(data) > IMAGE_BYTES
        or previews.preview(name, media_type, data, len(data)).kind != "image"
    ):
        raise DraftRefused(
            "An image must be a PNG or JPEG file of at most 5 MiB.",
            action=Action.STEP_REFUSED,
            subject=draft.record,
            by=by,
        )
    until = worm.years_after(clock.now(), settings.DOCUMENT_RETENTION_YEARS)
    pin = worm.put(data, media_type=media_type, retain_until=until)
    with transaction.atomic(durable=True):
        draft = _held(draft, by)
        known = Attachment.objects.filter(record=draft.record, sha256=pin.sha256).first()
        if known:
            return known
        number = Attachment.objects.filter(record=draft.record).count() + 1
        image = Attachment.objects.create(
            record=draft.record,
            name=f"image-{number}.{IMAGE_TYPES[media_type]}",
            media_type=media_type,
            pin=pin.to_json(),
            sha256=pin.sha256,
            size=pin.size,
            added_by=by,
        )
        trail.record(Action.DRAFT_IMAGE_ADDED, draft.record, by=by, detail={"name": image.name, "sha256": image.sha256})
    return image


def checked(sections: list[Section], record: Record, by: User) -> list[Section]:
    """The sections in the one shape that is stored, or DraftRefused naming the section that is wrong."""
    if not isinstance(sections, list) or not 1 <= len(sections) <= SECTIONS:
        raise DraftRefused(
            f"A document has 1 to {SECTIONS} sections.", action=Action.STEP_REFUSED, subject=record, by=by
        )
    shaped = []
    for number, section in enumerate(sections, start=1):
        title, text = str(section.get("title", "")).strip(), str(section.get("text", ""))
        if not title or len(title) > 200 or len(text) > SECTION_LETTERS or "\x00" in title + text:
            raise DraftRefused(
                f"Section {number} needs a title of at most 200 letters, and a text of at most {SECTION_LETTERS}.",
                action=Action.STEP_REFUSED,
                subject=record,
                by=by,
            )
        shaped.append(
            {
                "id": str(section.get("id") or f"s{number}")[:40],
                "title": title,
                "guidance": str(section.get("guidance", ""))[:4000],
                "text": text.replace("\r\n", "\n"),
            }
        )
    return shaped


def _lock(draft: Draft) -> Draft:
    return (
        Draft.objects.select_for_update(no_key=True, of=("self",))
        .select_related("record__type", "checked_out_by")
        .get(pk=draft.pk)
    )


def _held(draft: Draft, by: User) -> Draft:
    demand(by, draft.record.writing, draft.record, draft.record)
    draft = _lock(draft)
    if draft.checked_out_by_id != by.pk:
        raise DraftRefused(
            "Check the draft out before you change it.", action=Action.STEP_REFUSED, subject=draft.record, by=by
        )
    return draft


def _hand_to(draft: Draft, by: User) -> None:
    draft.checked_out_by, draft.checked_out_at = by, clock.now()
    _save(draft, by, ["checked_out_by", "checked_out_at"])


def _save(draft: Draft, by: User, fields: list[str]) -> None:
    sign_history(draft, by)
    draft.save(update_fields=fields)


def sign_history(draft: Draft, by: User) -> None:
    """Who and when, for the row of the draft's history that the next save writes: by the one clock."""
    draft._history_user, draft._history_date = by, clock.now()  # type: ignore[attr-defined]
