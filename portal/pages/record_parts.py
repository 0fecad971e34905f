"""What the pages of data packages are made of: rows of the list, the frame of a version, previews, comparisons."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import count
from typing import Any

from django.db.models import OuterRef, QuerySet, Subquery
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from accounts.models import User
from accounts.permissions import may
from jobs.models import Job
from portal import handlers
from portal.pages import manifestation, verdict
from printing.markdown import to_html
from records import copies, definitions, manifest, previews, redline, renditions
from records.contract import Definition
from records.lifecycle import State
from records.models import File, Record, Verification, Version
from signatures import standing
from signatures.models import Step
from storage import worm
from storage.s3 import StorageError

Context = dict[str, Any]
HIGHLIGHTS = 5
README = renditions.README
TEXTS = ("table", "json", "text", "markdown")


# The list ------------------------------------------------------------------------------------------------------------


def with_latest(records: QuerySet[Record]) -> QuerySet[Record]:
    """Each record with what the list says of its newest version and of that version's last verification."""
    newest = Version.objects.filter(record=OuterRef("pk")).order_by("-ordinal")
    read = Verification.objects.filter(version=OuterRef("latest_id")).order_by("-finished_at")
    return records.select_related("type", "area").annotate(
        latest_id=Subquery(newest.values("pk")[:1]),
        latest_ordinal=Subquery(newest.values("ordinal")[:1]),
        latest_state=Subquery(newest.values("state")[:1]),
        registered_at=Subquery(newest.values("created_at")[:1]),
        verified_at=Subquery(read.values("finished_at")[:1]),
        verified_as=Subquery(read.values("outcome")[:1]),
    )


# The frame of one version --------------------------------------------------------------------------------------------


def frame(user: User, record: Record, version: Version | None, tab: str) -> Context:
    """What every page of a package shows around its content: head, tabs, crumbs, what one may do."""
    versions = record.versions.count()
    state = standing.shown_states([version])[version.pk] if version else ""
    mine = Step.objects.awaiting(user).filter(version=version).first() if version else None
    registers = may(user, "record.register", record)
    return {
        "record": record,
        "version": version,
        "state": state,
        "versions": versions,
        "tabs": tabs(record, version, tab, versions),
        "crumbs": [
            {"label": "Records", "url": reverse("record:list")},
            {"label": record.type.name, "url": f"{reverse('record:list')}?type={record.type_id}"},
            {"label": record.number},
        ],
        "sign_url": f"/sign/{mine.pk}/" if mine else "",
        "register_url": reverse("record:register", args=[record.number]) if registers else "",
        "verifies": version is not None and may(user, "record.verify"),
        "exports": version is not None and may(user, "record.export"),
    }


def tabs(record: Record, version: Version | None, active: str, versions: int) -> list[Context]:
    base = record.get_absolute_url()
    found: list[tuple[str, str, int | None]]
    if version is None:
        found = [("Overview", base, None), ("Audit", f"{base}audit/", None)]
    else:
        here = version.get_absolute_url()
        found = [
            ("Overview", here, None),
            ("Files", f"{here}files/", len(version.files.all())),
            ("Signatures", f"{here}signatures/", None),
            ("Audit", f"{base}audit/", None),
            ("Versions", f"{base}versions/", versions),
        ]
    return [{"label": label, "url": url, "count": count, "active": label == active} for label, url, count in found]


def verdict_of(version: Version, now: datetime) -> Context:
    """The verdict card and the job that reads the bytes, if there is one open or it failed since the last reading."""
    last = version.verifications.order_by("-finished_at").first()
    signed = manifestation.signatures_of([version])
    job = Job.objects.filter(key=f"{handlers.VERIFY}:{version.pk}").first()
    if job and not job.open and (job.state != Job.State.FAILED or (last and last.finished_at > job.created_at)):
        job = None
    return {
        "verdict": verdict.card(version, last, signed, until=retained_until(version), now=now),
        "job": job,
        "last": last,
        "poll_url": f"{version.get_absolute_url()}verdict/",
    }


def definition_of(version: Version) -> Definition | None:
    """What the definition that admitted the version says, or None where there is none or it cannot be read now."""
    if version.definition is None:
        return None
    try:
        return definitions.read(version.definition)
    except (StorageError, StopIteration):
        return None


def retained_until(version: Version) -> datetime | None:
    """Until when it is to be kept, or None where its definition cannot be read now."""
    definition = definition_of(version)
    unread = version.definition is not None and definition is None
    return None if unread else renditions.retained_until(version, definition)


def facts(version: Version, definition: Definition | None) -> list[Context]:
    """The facts beside the content."""
    admitted = version.definition
    told: list[Context] = [{"label": "Top hash", "hash": version.top_hash}]
    if admitted:
        name = f"{admitted.label}, {admitted.record.title}"
        told.append({"label": "Admitted by", "value": name, "url": admitted.get_absolute_url()})
    told += [
        {"label": "Registered", "at": version.created_at},
        {"label": "By", "person": version.author.legal_name},
        {"label": "Area", "value": version.record.area.name},
    ]
    told += [
        {"label": title(name, definition), "value": worded(value)}
        for name, value in list(in_order(version.metadata, definition).items())[:HIGHLIGHTS]
        if isinstance(value, str | int | float | bool)
    ]
    if definition:
        told.append({"label": "Retention until", "at": renditions.retained_until(version, definition).date()})
    told += [{"label": "Message", "value": version.message}] if version.message else []
    return told


def title(name: str, definition: Definition | None) -> str:
    return renditions.title_of(name, definition) if definition else name


def worded(value: object) -> str:
    """A value of metadata as people read it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)


def metadata_table(metadata: Mapping[str, Any], definition: Definition | None) -> list[tuple[str, str]]:
    """(title, value) of all metadata, nested values by their path."""
    from printing.record_sheet import metadata_rows

    ordered = in_order(metadata, definition)
    return list(metadata_rows({title(name, definition): value for name, value in ordered.items()}))


def in_order(metadata: Mapping[str, Any], definition: Definition | None) -> dict[str, Any]:
    """The values in the order of the definition's fields; the database does not keep one."""
    known = list(definition.metadata_schema.get("properties", {})) if definition else []
    return {name: metadata[name] for name in [*known, *metadata] if name in metadata}


# Text and previews ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Shown:
    """Text of a file, or the sentence that says why there is none."""

    html: SafeString | None = None
    problem: str = ""


def readme_of(version: Version) -> Shown | None:
    """The README as safe HTML; None where the package has none."""
    file = next((file for file in version.files.all() if file.logical_key == README), None)
    if file is None:
        return None
    if file.size > renditions.README_BYTES:
        return Shown(problem="The README is too long to be shown here.")
    try:
        return Shown(safe(to_html(copies.small(file).decode(errors="replace"), prefix="readme-", shift=2)))
    except worm.Altered:
        return Shown(problem="The README on S3 is not the one that was sealed, so it is not shown.")
    except StorageError as error:
        return Shown(problem=f"The README cannot be read now. {error}")


TABLE = '<div class="scroll" tabindex="0" role="region" aria-label="{} {}"><table>'


def safe(html: str, name: str = "Table") -> SafeString:
    """`to_html` has cleaned it. A table that is too wide scrolls by itself, by keyboard too; it is called `name` and a number."""
    number = count(1)
    numbered = re.sub("<table>", lambda _: format_html(TABLE, name, next(number)), html)
    return mark_safe(numbered.replace("</table>", "</table></div>"))  # noqa: S308


@dataclass(frozen=True)
class Look:
    """A file's preview, or why there is none. `proved`: all its bytes were read and fit the sealed hash."""

    preview: previews.Preview | None = None
    html: SafeString | None = None
    proved: bool = False
    problem: str = ""


def look_at(file: File) -> Look:
    """The preview of one file, read by version id."""
    image = file.media_type in ("image/png", "image/jpeg")
    try:
        if image and copies.SMALL < file.size <= previews.MAX_IMAGE_BYTES:
            head = copies.whole(file)
        else:
            head = copies.beginning(file, copies.SMALL if image else previews.HEAD_BYTES)
    except worm.Altered:
        return Look(problem="The bytes on S3 are not those that were sealed, so they are not shown.")
    except StorageError as error:
        return Look(problem=f"The file cannot be read now. {error}")
    shown = previews.preview(file.logical_key, file.media_type, head, file.size)
    html = safe(to_html(shown.text, prefix="file-", shift=2)) if shown.kind == "markdown" else None
    return Look(shown, html, proved=file.size <= copies.SMALL or len(head) == file.size)


# Comparison ----------------------------------------------------------------------------------------------------------


@dataclass
class Comparison:
    """What differs between two versions: values of metadata, each with its name in words, and files; `texts` are names of changed
    files that can be shown as a redline."""

    metadata: list[tuple[str, redline.MetadataChange]]
    files: list[redline.FileChange]
    texts: list[str] = field(default_factory=list)
    shown: str = ""
    diff: Context | None = None
    problem: str = ""


def compare(old: Version, new: Version, wanted: str) -> Comparison:
    """Metadata, file list, and the redline of one changed text file: the one that is wanted, else README, else the first."""
    changes = redline.compare_files(entries(old.files.all()), entries(new.files.all()))
    definition = definition_of(new)
    values = redline.compare_metadata(old.metadata, new.metadata)
    found = Comparison([(_named(value, definition), value) for value in values], changes)
    before = {file.logical_key: file for file in old.files.all()}
    after = {file.logical_key: file for file in new.files.all()}
    found.texts = [
        change.logical_key
        for change in changes
        if change.op == "changed" and all(_is_text(side[change.logical_key]) for side in (before, after))
    ]
    if not found.texts:
        return found
    found.shown = next((name for name in (wanted, README) if name in found.texts), found.texts[0])
    try:
        left, right = (copies.small(side[found.shown]).decode(errors="replace") for side in (before, after))
    except worm.Altered:
        found.problem = f"The bytes of {found.shown} on S3 are not those that were sealed."
    except StorageError as error:
        found.problem = f"{found.shown} cannot be read now. {error}"
    else:
        drawn = redline.rows(redline.redline(left, right))
        labels = {"left_label": f"version {old.ordinal}", "right_label": f"version {new.ordinal}"}
        found.diff = labels | {"rows": drawn, "plain": found.shown != README}
    return found


def _named(change: redline.MetadataChange, definition: Definition | None) -> str:
    """The path in words, its first step as the definition calls it."""
    first, rest = change.path[:1], change.path[1:]
    return replace(change, path=(*(title(str(step), definition) for step in first), *rest)).name


def entries(files: Iterable[File]) -> list[manifest.Entry]:
    """File rows as what the comparison asks for."""
    return [
        manifest.Entry(file.logical_key, file.bucket, file.key, file.s3_version, file.size, file.sha256)
        for file in files
    ]


def _is_text(file: File) -> bool:
    kinds = ("text/", "application/json", "application/yaml", "application/xml")
    return file.size <= copies.SMALL and file.media_type.startswith(kinds)


def locks(last: Verification | None) -> dict[str, Context]:
    """By logical key, what the last verification found about each file."""
    return {file["logical_key"]: file for file in last.files} if last else {}


def file_rows(files: Sequence[File], last: Verification | None) -> list[Context]:
    """Rows of the file list, with the lock as it was found."""
    found = locks(last)
    return [{"file": file, "found": found.get(file.logical_key), "icon": _icon(file)} for file in files]


def _icon(file: File) -> str:
    if file.media_type.startswith("image/"):
        return "image"
    if file.media_type == "application/pdf":
        return "file-earmark-pdf"
    return "table" if file.media_type in ("text/csv", "text/tab-separated-values") else "file-earmark-text"


def last_approved(record: Record) -> Version | None:
    return record.versions.filter(state=State.APPROVED).order_by("-ordinal").first()
