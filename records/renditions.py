"""The rendition: the PDF that is made at submission or registration, kept under Object Lock, shown to signers page by page,
and never made again."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from django.conf import settings

from accounts.models import User
from printing import pages
from printing.document import DocumentSheet, HistoryRow, Section, render_document
from printing.record_sheet import FileRow, RecordSheet, render_record_sheet
from records import manifest
from records.contract import Definition
from records.models import Attachment, Record, Version
from storage import s3, worm

README = "README.md"
README_BYTES = 200_000


@dataclass(frozen=True)
class Rendition:
    pin: worm.Pin
    pages: int


def keep(pdf: bytes, retain_until: datetime) -> Rendition:
    return Rendition(worm.put(pdf, media_type="application/pdf", retain_until=retain_until), pages.page_count(pdf))


def retained_until(version: Version, definition: Definition | None) -> datetime:
    """Until when a version is to be kept: as the definition says that admitted it; a document as the installation says."""
    years = definition.retention_years if definition else settings.DOCUMENT_RETENTION_YEARS
    return worm.years_after(version.created_at, years)


def of_document(
    record: Record,
    sections: Sequence[Mapping[str, str]],
    *,
    ordinal: int,
    message: str,
    author: User,
    facts: Sequence[tuple[str, str]],
    at: datetime,
) -> Rendition:
    """The rendition of a document's text, kept for good."""
    pdf = print_document(record, sections, ordinal=ordinal, message=message, author=author, facts=facts, at=at)
    return keep(pdf, worm.years_after(at, settings.DOCUMENT_RETENTION_YEARS))


def print_document(
    record: Record,
    sections: Sequence[Mapping[str, str]],
    *,
    ordinal: int,
    message: str,
    author: User,
    facts: Sequence[tuple[str, str]],
    at: datetime,
) -> bytes:
    """The PDF of a document's text, with its change history up to this version."""
    images = {image.name: worm.get(worm.Pin.from_json(image.pin)) for image in shown_images(record, sections)}
    sheet = DocumentSheet(
        number=record.number,
        title=record.title,
        type_name=record.type.name,
        version=str(ordinal),
        facts=[*facts, ("Author", author.legal_name), ("Submitted", f"{at:%d %b %Y %H:%M} UTC")],
        sections=[Section(section["title"], section["text"]) for section in sections],
        history=[*history(record), HistoryRow(str(ordinal), f"{at:%d %b %Y}", author.legal_name, message)],
        images=images,
    )
    return render_document(sheet)


def of_package(
    record: Record,
    entries: Sequence[manifest.Entry],
    metadata: Mapping[str, Any],
    definition: Definition,
    *,
    message: str,
    by: User,
    at: datetime,
) -> Rendition:
    """The record sheet of a data package: metadata, README and the list of its files with their hashes."""
    ordinal = (record.versions.order_by("-ordinal").values_list("ordinal", flat=True).first() or 0) + 1
    sheet = RecordSheet(
        number=record.number,
        title=record.title,
        type_name=record.type.name,
        version=str(ordinal),
        facts=[
            ("Registered by", by.legal_name),
            ("Registered", f"{at:%d %b %Y %H:%M} UTC"),
            ("Area", record.area.name),
            ("Retention", f"{definition.retention_years} years"),
            ("Message", message),
        ],
        metadata={title_of(name, definition): value for name, value in metadata.items()},
        readme=_readme(entries),
        files=[FileRow(entry.logical_key, entry.size, entry.sha256, entry.version_id) for entry in entries],
    )
    return keep(render_record_sheet(sheet), worm.years_after(at, definition.retention_years))


def history(record: Record) -> list[HistoryRow]:
    """One line for each version that was approved, oldest first."""
    rows = record.versions.exclude(revision="").select_related("author").order_by("ordinal")
    return [HistoryRow(row.revision, f"{row.created_at:%d %b %Y}", row.author.legal_name, row.message) for row in rows]


def shown_images(record: Record, sections: Sequence[Mapping[str, str]]) -> list[Attachment]:
    """The attachments that the text names."""
    text = "\n".join(section["text"] for section in sections)
    return [image for image in record.attachments.order_by("id") if f"attachment:{image.name}" in text]


def page_image(version: Version, page: int) -> Path:
    """The PNG of one page (from 1) of the version's rendition, from the cache or made now.

    The cache is keyed by the rendition's hash and may be emptied at any time; the bytes are hashed again when read.
    """
    path = settings.CACHE_DIR / "pages" / version.rendition_sha256 / f"{page}.png"
    if not path.exists():
        pdf = worm.get(worm.Pin.from_json(version.rendition))
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = path.with_suffix(f".{uuid.uuid4().hex}.part")  # two readers may draw the same page at once
        fresh.write_bytes(pages.page_png(pdf, page))
        fresh.rename(path)
    return path


def title_of(name: str, definition: Definition) -> str:
    return str(definition.metadata_schema.get("properties", {}).get(name, {}).get("title", name))


def _readme(entries: Sequence[manifest.Entry]) -> str:
    entry = next((entry for entry in entries if entry.logical_key == README and entry.size <= README_BYTES), None)
    if entry is None:
        return ""
    return b"".join(s3.stream(entry.bucket, entry.key, entry.version_id)).decode("utf-8", errors="replace")
