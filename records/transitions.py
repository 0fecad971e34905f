"""The verbs of a Version, and the only place that writes its state: seal, move, take_effect, recall, retire."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.backends.postgresql.psycopg_any import DateTimeTZRange
from django.db.models import Max

from accounts import founding
from accounts.models import User
from accounts.permissions import demand
from audit import clock, trail
from audit.actions import Action
from audit.reasons import demand_reason
from records import lifecycle, manifest
from records.kinds import FACTS
from records.lifecycle import State
from records.models import Effectivity, File, Record, Version
from storage.worm import Pin

ACTIONS = {
    "approve": Action.VERSION_APPROVED,
    "reject": Action.VERSION_REJECTED,
    "recall": Action.VERSION_RECALLED,
    "retire": Action.VERSION_RETIRED,
}


@dataclass(frozen=True)
class Content:
    """What a version is made of, with all its bytes on S3 already."""

    entries: Sequence[manifest.Entry]
    rendition: Pin
    rendition_pages: int
    message: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    media_types: Mapping[str, str] = field(default_factory=dict)
    definition: Version | None = None
    contributors: Sequence[str] = ()
    package: manifest.Manifest | None = None  # a Quilt manifest that came as it is, and keeps its top hash


def seal(record: Record, content: Content, *, by: User, action: Action) -> Version:
    """Make the next version of `record`, frozen. Must run in the caller's transaction, after the bytes are on S3."""
    Record.objects.select_for_update(no_key=True).get(pk=record.pk)
    highest = record.versions.aggregate(highest=Max("ordinal"))["highest"] or 0
    read = content.package or manifest.compose(content.entries, content.message or None, content.metadata)
    kind = FACTS[record.type.kind].lifecycle
    version = Version(
        record=record,
        ordinal=highest + 1,
        lifecycle=kind,
        state=lifecycle.birth(kind),
        author=by,
        contributors=list(content.contributors),
        message=content.message,
        metadata=dict(content.metadata),
        manifest=read.to_bytes(),
        top_hash=manifest.top_hash(read),
        pins_sha256=manifest.pins_sha256(read.entries),
        rendition=content.rendition.to_json(),
        rendition_sha256=content.rendition.sha256,
        rendition_pages=content.rendition_pages,
        definition=content.definition,
    )
    version.save(force_insert=True)
    File.objects.bulk_create(
        [
            File(
                version=version,
                ordinal=number,
                logical_key=entry.logical_key,
                bucket=entry.bucket,
                key=entry.key,
                s3_version=entry.version_id,
                size=entry.size,
                sha256=entry.sha256,
                media_type=content.media_types.get(entry.logical_key, ""),
            )
            for number, entry in enumerate(
                sorted(content.entries, key=lambda entry: manifest.walk_order(entry.logical_key)), start=1
            )
        ]
    )
    trail.record(
        action,
        version,
        by=by,
        reason=content.message,
        detail={
            "top_hash": version.top_hash,
            "rendition_sha256": version.rendition_sha256,
            "files": len(read.entries),
            **founding.mark(),
        },
    )
    return version


def lock(version: Version) -> Version:
    """The version as it is now, locked until the transaction ends."""
    return (
        Version.objects.select_for_update(no_key=True, of=("self",)).select_related("record__type").get(pk=version.pk)
    )


def move(version: Version, step: str, *, by: User, reason: str = "") -> Version:
    """Take one step of the table. Raises NotAllowed, for the trail, where the table has none from this state."""
    return move_locked(lock(version), step, by=by, reason=reason)


def move_locked(version: Version, step: str, *, by: User, reason: str = "") -> Version:
    """`move()` where this transaction has read and locked the version already."""
    found = lifecycle.find(version.lifecycle, step, version.state)
    if found is None:
        raise trail.NotAllowed(
            f"{version.record.number} version {version.ordinal} is {version.get_state_display().lower()}: "
            f"the step “{step}” is not open to it.",
            action=Action.STEP_REFUSED,
            subject=version,
            by=by,
            detail={"step": step, "state": version.state},
        )
    version.state = found.target
    if found.target == State.APPROVED and version.lifecycle == "document":
        version.revision = f"{version.record.versions.exclude(revision='').count() + 1}.0"
    version.save(update_fields=["state", "revision"])
    trail.record(ACTIONS[step], version, by=by, reason=reason, detail={"revision": version.revision, **founding.mark()})
    return version


def take_effect(version: Version, *, by: User, at: datetime | None = None) -> Effectivity:
    """From `at` on (UTC; not before now) this approved version is the effective one; its predecessor's time ends then.

    The exclusion constraint holds against any race: one effective version at any instant.
    """
    begins = max(at or clock.now(), clock.now())
    for earlier in Effectivity.objects.select_for_update(no_key=True).filter(
        record_id=version.record_id, during__overlap=DateTimeTZRange(begins, None)
    ):
        # A predecessor that never became effective keeps an empty range: it was approved, and overtaken.
        earlier.during = DateTimeTZRange(earlier.during.lower, max(begins, earlier.during.lower))
        earlier.save(update_fields=["during"])
        trail.record(Action.VERSION_EFFECTIVE, earlier.version, by=by, detail={"until": begins.isoformat()})
    row = Effectivity.objects.create(version=version, record_id=version.record_id, during=DateTimeTZRange(begins, None))
    trail.record(Action.VERSION_EFFECTIVE, version, by=by, detail={"from": begins.isoformat(), **founding.mark()})
    return row


def recall(version: Version, *, by: User, reason: str) -> Version:
    """The author takes a version back from review; signatures on it stay, on a version that goes no further."""
    if by.pk != version.author_id:
        raise trail.Forbidden("Only the author recalls a version.", action=Action.STEP_REFUSED, subject=version, by=by)
    reason = demand_reason(reason, Action.STEP_REFUSED, version, by)
    with transaction.atomic(durable=True):
        return move(version, "recall", by=by, reason=reason)


def retire(version: Version, *, by: User, reason: str) -> Version:
    """Take the effective version (or one that waits for its day) out of effect, for good. Its record keeps the number. What a
    version that never took effect was to replace stays in effect. Must run in the transaction of the signature that says so."""
    demand(by, "document.retire", version.record, version.record)
    reason = demand_reason(reason, Action.STEP_REFUSED, version, by)
    rows = Effectivity.objects.select_for_update(no_key=True).filter(record_id=version.record_id).order_by("pk")
    row = next((row for row in rows if row.version_id == version.pk), None)
    now = clock.now()
    if told := retirement_fault(version, now):
        raise trail.NotAllowed(told, action=Action.STEP_REFUSED, subject=version, by=by)
    version = move(version, "retire", by=by, reason=reason)
    if row:
        begins, ends = row.during.lower, row.during.upper
        row.during = DateTimeTZRange(begins, max(now, begins))
        row.save(update_fields=["during"])
        if now < begins:
            _reopen(version, begins, ends, by=by)
    return version


def retirement_fault(version: Version, now: datetime) -> str:
    """The sentence that says why this approved version is not retired now, or "" where it can be."""
    row = Effectivity.objects.filter(version=version).first()
    if row is None:
        return ""
    if row.during.isempty or (row.during.upper and row.during.upper <= now):
        return f"{version.label} is superseded already: only a version in effect is retired."
    waiting = Effectivity.objects.filter(record_id=version.record_id, during__startswith__gt=now)
    later = waiting.select_related("version__record").order_by("-version__ordinal").first()
    if row.during.lower <= now and later:
        return (
            f"{later.version.label} takes effect on {later.during.lower:%d %b %Y}, and would do so although"
            f" {version.label} is retired: retire {later.version.label} first."
        )
    return ""


def _reopen(retired: Version, begins: datetime, ends: datetime | None, *, by: User) -> None:
    """What was to end where the retired version began stays in effect, until the version after that one begins, if any."""
    for earlier in Effectivity.objects.filter(
        record_id=retired.record_id, during__endswith=begins, version__state=State.APPROVED
    ).select_related("version__record"):
        earlier.during = DateTimeTZRange(earlier.during.lower, ends)
        earlier.save(update_fields=["during"])
        detail = {"from": earlier.during.lower.isoformat(), **({"until": ends.isoformat()} if ends else {})}
        reason = f"{retired.label} is retired before its day"
        trail.record(Action.VERSION_EFFECTIVE, earlier.version, by=by, reason=reason, detail=detail)
