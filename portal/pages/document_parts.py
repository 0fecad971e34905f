"""What the pages of documents are made of: rows of the list, the frame of a document, its comparisons and its issued copies."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.db.models import Min

from accounts.models import User
from accounts.permissions import may
from audit.actions import Action
from audit.models import Entry
from portal.pages import issuing, manifestation
from printing import issued
from printing.issued import Tone
from records import documents, manifest, redline, texts
from records.drafts import Section
from records.kinds import Kind
from records.lifecycle import State
from records.models import Draft, Record, Version
from signatures import standing
from signatures.models import Step
from storage import worm
from storage.s3 import StorageError

KINDS = (Kind.DOCUMENT, Kind.SOP, Kind.DEFINITION, Kind.REPORT)
NEVER_EFFECTIVE = ("rejected", "recalled")
OBSOLETE = ("superseded", "retired", *NEVER_EFFECTIVE)
# The act that made a version what it is now; a superseded one became so by its successor.
MADE_BY = {
    "retired": Action.VERSION_RETIRED,
    "rejected": Action.VERSION_REJECTED,
    "recalled": Action.VERSION_RECALLED,
}
# What one may work by, with what a copy says before what speaks against its approval.
IN_USE = {"effective": ["EFFECTIVE"], "scheduled": [], "approved": []}
FACE_ORDER = {"effective": 0, "scheduled": 1, "in_review": 2}
Context = dict[str, Any]


# The list ------------------------------------------------------------------------------------------------------------


@dataclass
class Row:
    """One document in the list: its face now, and what else goes on with it."""

    record: Record
    status: str
    revision: str
    since: datetime | None = None
    until: datetime | None = None
    notes: list[str] = field(default_factory=list)
    due: datetime | None = None
    overdue: bool = False
    doubt: str = ""
    url: str = ""


def face(versions: Iterable[Version], now: datetime) -> Version | None:
    """The version that a reader should see first: the effective one, else the one that will be, else the newest."""
    return min(
        versions, key=lambda version: (FACE_ORDER.get(version.status_at(now), 9), -version.ordinal), default=None
    )


def rows(records: Sequence[Record], now: datetime) -> list[Row]:
    """Rows of these records, in as many queries however many they are."""
    versions = _by_record(versions_of(records))
    faces = {record.pk: face(versions[record.pk], now) for record in records}
    doubts = standing.approvals([shown.pk for shown in faces.values() if shown])
    drafts = {draft.record_id: draft for draft in _drafts(records)}
    due = dict(
        Step.objects.unsigned()
        .filter(version__record__in=records, version__state=State.IN_REVIEW)
        .values_list("version__record")
        .annotate(first=Min("due_at"))
    )
    told = [_row(record, versions[record.pk], drafts.get(record.pk), due.get(record.pk), now) for record in records]
    for row in told:
        shown = faces[row.record.pk]
        row.doubt = doubts.get(shown.pk, "") if shown else ""
    return told


def rows_on(records: Sequence[Record], day: date) -> list[Row]:
    """What was effective on that day (UTC): a row for each version that was, if only for an hour of it."""
    start = datetime.combine(day, datetime.min.time(), UTC)
    found = versions_of(records).filter(effectivity__during__overlap=(start, start + timedelta(days=1)))
    by_record = _by_record(found)
    doubts = standing.approvals([version.pk for versions in by_record.values() for version in versions])
    return [
        Row(
            record,
            "effective",
            version.revision,
            version.effectivity.during.lower,
            version.effectivity.during.upper,
            doubt=doubts.get(version.pk, ""),
            url=version.get_absolute_url(),
        )
        for record in records
        for version in by_record[record.pk]
    ]


def versions_of(records: Sequence[Record]) -> Any:
    """Their versions, newest first, without the manifests."""
    return (
        Version.objects.filter(record__in=records)
        .select_related("record__type", "effectivity", "author")
        .defer("manifest")
        .order_by("record", "-ordinal")
    )


def _drafts(records: Sequence[Record]) -> Any:
    return (
        Draft.objects.filter(record__in=records).select_related("checked_out_by").defer("sections").order_by("record")
    )


def _by_record(versions: Iterable[Version]) -> dict[Any, list[Version]]:
    found: dict[Any, list[Version]] = defaultdict(list)
    for version in versions:
        found[version.record_id].append(version)
    return found


def _row(record: Record, versions: list[Version], draft: Draft | None, due: datetime | None, now: datetime) -> Row:
    shown = face(versions, now)
    row = Row(record, "draft", "", url=record.get_absolute_url(), due=due, overdue=bool(due and due < now))
    if shown:
        row.status = shown.status_at(now)
        row.revision = shown.revision or f"version {shown.ordinal}"
        during = getattr(getattr(shown, "effectivity", None), "during", None)
        row.since = during.lower if during else None
        row.notes += [
            f"version {newer.ordinal} {newer.get_state_display().lower()}"
            for newer in versions
            if newer.ordinal > shown.ordinal and newer.state == State.IN_REVIEW
        ]
    if draft and draft.contributors and shown:
        row.notes.append("draft of the next version")
    if draft and draft.checked_out_by:
        row.notes.append(f"checked out by {draft.checked_out_by}")
    return row


# The frame of one document -------------------------------------------------------------------------------------------


def frame(
    user: User, record: Record, versions: Sequence[Version], version: Version | None, now: datetime, tab: str
) -> Context:
    """What every page of a document shows around its content: head, tabs, facts, signatures, what one may do."""
    draft = Draft.objects.filter(record=record).select_related("checked_out_by").first()
    status = version.status_at(now) if version else "draft"
    effective = next((other for other in versions if other.status_at(now) == "effective"), None)
    return {
        "record": record,
        "versions": versions,
        "version": version,
        "draft": draft,
        "status": status,
        "doubt": standing.approvals([version.pk]).get(version.pk, "") if version else "",
        "now": now,
        "banner": banner(version, status, effective),
        "strips": list(strips(version, versions, draft, now)),
        "facts": facts(record, version),
        "cards": manifestation.cards([version]).get(version.pk, []) if version else [],
        "do": actions(user, record, version, status, draft, versions),
        "tabs": tabs(record, version, draft, tab),
        "crumbs": [
            {"label": "Documents", "url": "/documents/"},
            {"label": record.type.name, "url": f"/documents/?type={record.type_id}"},
            {"label": record.number},
        ],
    }


def banner(version: Version | None, status: str, effective: Version | None) -> Context | None:
    """What a reader of an obsolete version must know first."""
    if version is None or status not in OBSOLETE:
        return None
    words = {
        "superseded": "This version is superseded. Do not work by it.",
        "retired": "This document is retired. Do not work by it.",
        "rejected": "This version was rejected. It was never effective.",
        "recalled": "This version was recalled by its author. It was never effective.",
    }[status]
    return {"words": words, "effective": effective, "made_by": _made_by(version, status)}


def _made_by(version: Version, status: str) -> Entry | None:
    """The entry that says who took the version out, when, and why."""
    if status not in MADE_BY:
        return None
    entries = Entry.objects.filter(subject_kind="version", subject_id=str(version.pk), action=MADE_BY[status])
    return entries.order_by("-id").first()


def strips(
    version: Version | None, versions: Sequence[Version], draft: Draft | None, now: datetime
) -> Iterable[Context]:
    """What else goes on with the document, one line each."""
    for newer in versions:
        if version and newer.ordinal > version.ordinal and newer.status_at(now) in FACE_ORDER:
            words = {"in_review": "in review", "scheduled": "approved, not yet effective"}
            status = newer.status_at(now)
            yield {
                "words": f"Version {newer.ordinal} is {words.get(status, status)}.",
                "url": newer.get_absolute_url(),
                "link": "Open it",
            }
    if draft and version and (draft.contributors or draft.checked_out_by):
        who = f", checked out by {draft.checked_out_by}" if draft.checked_out_by else ""
        yield {
            "words": f"A draft of the next version is open{who}.",
            "url": f"{draft.record.get_absolute_url()}draft/",
            "link": "Read it",
        }


def facts(record: Record, version: Version | None) -> list[Context]:
    document = getattr(record, "validation_document", None)
    told: list[Context] = [{"label": "Type", "value": record.type.name}]
    if document and document.system:
        told.append({"label": "System", "value": document.system})
    told += [{"label": "Area", "value": record.area.name}, {"label": "Owner", "person": record.created_by.legal_name}]
    if version is None:
        return told
    planned = documents.effective_from(version)
    during = getattr(getattr(version, "effectivity", None), "during", None)
    if during and not during.isempty:
        told.append({"label": "Effective from", "at": during.lower})
        if during.upper:
            told.append({"label": "Effective until", "at": during.upper})
    elif planned:
        told.append({"label": "Planned effective date", "at": planned.date()})
    told += [
        {"label": "Author", "person": version.author.legal_name},
        {"label": "Submitted", "at": version.created_at},
        {"label": "What changed", "value": version.message or "not said"},
        {"label": "Top hash", "hash": version.top_hash},
        {"label": "Rendition SHA-256", "hash": version.rendition_sha256},
        {
            "label": "Rendition",
            "value": f"{version.rendition_pages} pages, as sealed",
            "url": f"{version.get_absolute_url()}rendition.pdf",
        },
    ]
    if version.definition:
        told.append(
            {"label": "Admitted by", "value": version.definition.label, "url": version.definition.get_absolute_url()}
        )
    return told


def actions(
    user: User, record: Record, version: Version | None, status: str, draft: Draft | None, versions: Sequence[Version]
) -> Context:
    """What this person may do here now; a button is shown only where its verb would be let through."""
    writes = bool(draft) and may(user, record.writing, record)
    in_review = next((each for each in versions if each.state == State.IN_REVIEW), None)
    mine = Step.objects.awaiting(user).filter(version=version).first() if version else None
    definition = record.type.kind == Kind.DEFINITION
    base = f"/definitions/{record.defines.code}/" if definition else record.get_absolute_url()
    held = draft.checked_out_by_id if draft else None
    return {
        "sign": f"/sign/{mine.pk}/" if mine else "",
        "edit": f"{base}edit/" if writes else "",
        "check_out": f"{base}check-out/" if writes and held is None and not definition else "",
        "submit": f"{base}submit/"
        if writes and draft and draft.contributors and not in_review and held in (None, user.pk)
        else "",
        "recall": version
        if version and version.state == State.IN_REVIEW and version.author_id == user.pk and may(user, "document.write")
        else None,
        "retire": f"{version.get_absolute_url()}retire/"
        if version and status in ("effective", "scheduled") and may(user, "document.retire", record)
        else "",
        "issue": f"{version.get_absolute_url()}issue/" if version and may(user, "record.export") else "",
        "obsolete": status in OBSOLETE,
        "never_effective": status in NEVER_EFFECTIVE,
    }


def tabs(record: Record, version: Version | None, draft: Draft | None, active: str) -> list[Context]:
    base = record.get_absolute_url()
    found = [("document", "Document", version.get_absolute_url() if version else base)]
    if version:
        found += [
            ("changes", "Changes", f"{base}changes/?to={version.ordinal}"),
            ("history", "History", f"{base}history/"),
        ]
    if draft:
        found.append(("drafts", "Draft history", f"{base}drafts/"))
    found.append(("audit", "Audit", f"{base}audit/"))
    if record.type.kind == Kind.SOP:
        found.append(("training", "Training", f"/training/{record.number}/"))
    return [{"label": label, "url": url, "active": key == active} for key, label, url in found]


# Text and comparison -------------------------------------------------------------------------------------------------


def text_of(version: Version) -> tuple[list[Section], str]:
    """The sealed sections, or none of them and the sentence that says why they cannot be shown."""
    try:
        return documents.sections_of(version), ""
    except worm.Altered as error:
        return [], f"The sealed text does not match its seal. {error}"
    except StorageError as error:
        return [], f"The sealed text cannot be read now. {error}"


def rendered(record: Record, sections: Iterable[Mapping[str, str]], *, marks: bool = False) -> list[Context]:
    """Sections for `portal/document_sections.html`."""
    return [
        {
            "id": f"section-{number}",
            "number": number,
            "title": section["title"],
            "html": texts.html_of(record, section, prefix=f"{number}-", marks=marks),
        }
        for number, section in enumerate(sections, start=1)
    ]


@dataclass(frozen=True)
class Side:
    """One side of a comparison: a version, or the draft."""

    value: str
    label: str
    text: str
    metadata: Mapping[str, Any]
    files: Sequence[manifest.Entry]
    problem: str = ""


def side_of(version: Version) -> Side:
    sections, problem = text_of(version)
    label = f"{version.revision} (version {version.ordinal})" if version.revision else f"version {version.ordinal}"
    entries = manifest.parse(bytes(version.manifest)).entries
    text = documents.as_text(sections) if sections else ""
    return Side(str(version.ordinal), label, text, version.metadata, entries, problem)


def side_of_draft(draft: Draft) -> Side:
    return Side("draft", "draft", documents.as_text(draft.sections), {}, ())


def compare(left: Side, right: Side) -> Context:
    """Redline of the texts; of two versions also what their metadata and files say."""
    drafted = "draft" in (left.value, right.value)
    return compared(left.text, right.text, left.label, right.label) | {
        "problems": [problem for problem in (left.problem, right.problem) if problem],
        "metadata": [] if drafted else redline.compare_metadata(left.metadata, right.metadata),
        "files": [] if drafted else redline.compare_files(left.files, right.files),
        "drafted": drafted,
    }


def compared(old: str, new: str, left_label: str, right_label: str) -> Context:
    blocks = redline.redline(old, new)
    drawn = redline.rows(blocks)
    changed = sum(row.kind in ("change", "ins", "del") for row in drawn)
    return {
        "diff": {"left_label": left_label, "right_label": right_label, "rows": drawn},
        "changed": changed,
        "same": not changed,
    }


# Issued copies -------------------------------------------------------------------------------------------------------


def watermark(version: Version, status: str, effective: Version | None) -> tuple[str, Tone]:
    """The words across each page, by the state at the time of issue, and by what its approval counts for where it is in use."""
    doubt = issuing.doubt(version) if status in IN_USE else None
    if doubt:
        return ", ".join([*IN_USE[status], doubt[0]]), doubt[1]
    if status == "scheduled":
        return f"APPROVED, EFFECTIVE FROM {version.effectivity.during.lower:%d %b %Y}".upper(), Tone.NEUTRAL
    if status == "superseded":
        return f"SUPERSEDED BY {effective.revision}" if effective else "SUPERSEDED", Tone.BAD
    words = {
        "in_review": ("IN REVIEW", Tone.CAUTION),
        "effective": ("EFFECTIVE", Tone.GOOD),
        "rejected": ("REJECTED", Tone.BAD),
        "recalled": ("RECALLED", Tone.BAD),
        "retired": ("RETIRED", Tone.BAD),
    }
    return words.get(status, (status.replace("_", " ").upper(), Tone.NEUTRAL))


def issued_copy(
    version: Version, status: str, effective: Version | None, *, printed_by: str, at: datetime, purpose: str
) -> tuple[bytes, str]:
    """The rendition with what is true of it now, sealed, and the mark of this copy. Raises as `issuing.issued_copy` does."""
    words, tone = watermark(version, status, effective)
    during = getattr(getattr(version, "effectivity", None), "during", None)
    told = [
        ("Number", version.record.number),
        ("Version", f"{version.ordinal}" + (f", revision {version.revision}" if version.revision else "")),
        ("State when printed", words.capitalize()),
        ("Author", version.author.legal_name),
        ("Submitted", issued.utc(version.created_at)),
        ("Top hash", version.top_hash),
    ]
    if during and not during.isempty:
        told.insert(3, ("Effective from", issued.utc(during.lower)))
        if during.upper:
            told.insert(4, ("Effective until", issued.utc(during.upper)))
    if purpose:
        told.append(("Printed for", purpose))
    return issuing.issued_copy(version, watermark=words, tone=tone, facts=told, printed_by=printed_by, at=at)
