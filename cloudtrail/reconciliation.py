"""Compare the versions that the buckets of records show with CloudTrail's events: what came or went without one is told.

A lifecycle rule deletes without an event, and so does whoever works below the API. Each listing is held against the last one;
a version that is new or gone is judged when its event has had time to be delivered.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Any

from django.db import connection, transaction
from django.db.models import F, Q

from audit import clock, trail
from audit.actions import Action
from audit.alarms import Kind, raise_alarm
from cloudtrail.models import ArchivedMonth, ObjectVersion, Reconciliation
from records.models import File, Record
from storage import s3
from storage.models import Bucket, Purpose

EVERY = timedelta(days=1)
DELIVERED_BY = timedelta(hours=2)
"""How long after something happened its event is waited for."""
NEAR = timedelta(minutes=5)
"""Between the time of an event that names no version and the time that S3 gives the version."""
TOLD = 20
Judgement = ObjectVersion.Judgement
Kept = tuple[str, str]
"""Key and version id."""


def reconcile_due() -> int:
    """List each bucket of records that was not listed for a day, and judge what waits; how many findings are new."""
    now = clock.now()
    for bucket in Bucket.objects.filter(purpose=Purpose.RECORDS).values_list("name", flat=True):
        last = Reconciliation.objects.filter(bucket=bucket).first()
        if last is None or now - last.listed_at >= EVERY:
            compare(bucket)
    return judge()


def compare(bucket: str) -> None:
    """Take down what the bucket shows of records now, and what it no longer shows. Raises `StorageError`."""
    began = clock.now()
    ours = set(File.objects.filter(bucket=bucket).values_list("key", flat=True).distinct())
    there = [version for prefix in prefixes(ours) for version in s3.history(bucket, prefix) if version.key in ours]
    with transaction.atomic(durable=True):
        known = {
            (row.key, row.s3_version): row
            for row in ObjectVersion.objects.select_for_update(no_key=True).filter(bucket=bucket, gone_at=None)
        }
        shown: dict[Kept, s3.StoredVersion] = {(one.key, one.version_id): one for one in there}
        ObjectVersion.objects.bulk_create(
            [
                ObjectVersion(
                    bucket=bucket, key=one.key, s3_version=one.version_id, marker=one.is_delete_marker,
                    written_at=one.last_modified, seen_at=began, last_seen_at=began,
                )
                for kept, one in shown.items()
                if kept not in known
            ],
            ignore_conflicts=True,
        )  # fmt: skip
        still = [row.pk for kept, row in known.items() if kept in shown]
        gone = [row.pk for kept, row in known.items() if kept not in shown]
        ObjectVersion.objects.filter(pk__in=still).update(last_seen_at=began)
        ObjectVersion.objects.filter(pk__in=gone).update(gone_at=began)
        Reconciliation.objects.update_or_create(bucket=bucket, defaults={"listed_at": began, "versions": len(shown)})
        detail = {"versions": len(shown), "new": len(shown) - len(still), "gone": len(gone)}
        trail.record(Action.BUCKET_RECONCILED, trail.Subject("bucket", bucket, bucket), by=trail.SYSTEM, detail=detail)


def prefixes(keys: Iterable[str]) -> list[str]:
    """Folders below which all of these keys lie, none within another. A key without a folder is its own."""
    folders = sorted({key[: key.rfind("/") + 1] or key for key in keys})
    found: list[str] = []
    for folder in folders:
        if not found or not folder.startswith(found[-1]):
            found.append(folder)
    top: dict[str, list[str]] = defaultdict(list)
    for folder in found:
        top[folder.split("/")[0]].append(folder)
    # Many folders below one are listed together: one long listing costs less than thousands of short ones.
    return sorted(_together(group) for group in top.values()) if len(found) > MANY else found


MANY = 200


def _together(group: list[str]) -> str:
    same = takewhile(lambda parts: len(set(parts)) == 1, zip(*(folder.split("/") for folder in group), strict=False))
    return "".join(f"{parts[0]}/" for parts in same) if len(group) > 1 else group[0]


# --- Judging ----------------------------------------------------------------------------------------------------------

_WRITES = ("PutObject", "PostObject", "CopyObject", "CompleteMultipartUpload", "RestoreObject")
_DELETES = ("DeleteObject", "DeleteObjects")

_EVENT = """
SELECT EXISTS (
  SELECT 1 FROM cloudtrail_event WHERE bucket = %(bucket)s AND reach <> '' AND event_name = ANY(%(names)s) AND error_code = ''
    AND time >= %(since)s AND time <= %(until)s
    AND ((key = %(key)s AND (s3_version = %(version)s OR (s3_version = '' AND %(loosely)s)))
         OR (event_name = 'DeleteObjects' AND starts_with(%(key)s, key))))
"""


def judge() -> int:
    """Look for the events of what is new and of what is gone; returns how many have none, and raises the alarm."""
    now = clock.now()
    waiting = ObjectVersion.objects.filter(
        Q(appeared=Judgement.WAITING, written_at__lt=now - DELIVERED_BY, seen_at__lte=now)
        | Q(vanished=Judgement.WAITING, gone_at__lt=now - DELIVERED_BY)
    )
    begins: dict[str, datetime | None] = {}
    found = []
    with transaction.atomic(durable=True):
        for row in waiting.select_for_update(no_key=True):
            if row.bucket not in begins:
                begins[row.bucket] = _first_event(row.bucket)
            began = begins[row.bucket]
            if not row.appeared and row.written_at < now - DELIVERED_BY:
                row.appeared = _appeared(row, began)
            if row.gone_at is not None and not row.vanished and row.gone_at < now - DELIVERED_BY:
                row.vanished = _vanished(row)
            row.save(update_fields=["appeared", "vanished"])
            if Judgement.UNEXPLAINED in (row.appeared, row.vanished):
                found.append(row)
        _raise(found)
    return len(found)


def _first_event(bucket: str) -> datetime | None:
    """Since when the trails tell of this bucket."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT min(time) FROM cloudtrail_event WHERE bucket = %s AND reach <> ''", [bucket])
        first: datetime | None = cursor.fetchone()[0]
    left = ArchivedMonth.objects.filter(buckets__has_key=bucket).order_by("month").values_list("buckets", flat=True)
    return datetime.fromisoformat(left[0][bucket]) if left else first


def _appeared(row: ObjectVersion, began: datetime | None) -> str:
    if began is None or row.written_at < began:
        return Judgement.BEFORE
    names = _DELETES if row.marker else _WRITES
    known = _event(row, names, row.written_at - NEAR, row.written_at + NEAR)
    return Judgement.EXPLAINED if known else Judgement.UNEXPLAINED


def _vanished(row: ObjectVersion) -> str:
    assert row.gone_at is not None
    known = _event(row, _DELETES, row.last_seen_at - NEAR, row.gone_at + NEAR, loosely=False)
    return Judgement.EXPLAINED if known else Judgement.UNEXPLAINED


def _event(row: ObjectVersion, names: Iterable[str], since: datetime, until: datetime, *, loosely: bool = True) -> bool:
    values: dict[str, Any] = {
        "bucket": row.bucket, "key": row.key, "version": row.s3_version, "names": list(names), "since": since,
        "until": until, "loosely": loosely,
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(_EVENT, values)
        return bool(cursor.fetchone()[0])


def _raise(found: list[ObjectVersion]) -> None:
    """One alarm for each record, on what no event tells of."""
    by_record: dict[Record, list[str]] = defaultdict(list)
    for row in sorted(found, key=lambda row: row.vanished != Judgement.UNEXPLAINED):
        for record in Record.objects.filter(
            versions__files__bucket=row.bucket, versions__files__key=row.key
        ).distinct():
            by_record[record].append(sentence(row))
    for record, told in by_record.items():
        more = f" And {len(told) - 1} more." if len(told) > 1 else ""
        raise_alarm(Kind.OBJECTS_UNEXPLAINED, record, told[0] + more, detail={"findings": told[:TOLD]})


def sentence(row: ObjectVersion) -> str:
    """A finding in words."""
    what = "A delete marker" if row.marker else f"Version {row.s3_version}"
    place = f"of {row.bucket}/{row.key}"
    if row.vanished == Judgement.UNEXPLAINED and row.gone_at is not None:
        return (
            f"{what} {place} vanished between {row.last_seen_at:%Y-%m-%d %H:%M} and {row.gone_at:%Y-%m-%d %H:%M} UTC, and no"
            " event tells who deleted it: a lifecycle rule deletes without one."
        )
    return f"{what} {place} was written at {row.written_at:%Y-%m-%d %H:%M:%S} UTC, and no event tells by whom."


def findings(buckets_and_keys: Iterable[tuple[str, str]]) -> Iterator[ObjectVersion]:
    """What was found about these objects, latest first."""
    by_bucket: dict[str, list[str]] = defaultdict(list)
    for bucket, key in buckets_and_keys:
        by_bucket[bucket].append(key)
    for bucket, keys in by_bucket.items():
        rows = ObjectVersion.objects.filter(bucket=bucket, key__in=keys)
        yield from rows.filter(Q(appeared=Judgement.UNEXPLAINED) | Q(vanished=Judgement.UNEXPLAINED)).order_by(
            F("gone_at").desc(nulls_last=True), "-written_at"
        )


@dataclass(frozen=True)
class Told:
    """`at`: when all buckets of a record had been compared at least once, the oldest of these times."""

    at: datetime | None
    findings: list[str]


def told(buckets_and_keys: Iterable[tuple[str, str]]) -> Told:
    """For a record's page: when its buckets were last compared, and what was found about its objects."""
    objects = list(buckets_and_keys)
    buckets = {bucket for bucket, _ in objects}
    rows = Reconciliation.objects.filter(bucket__in=buckets).order_by("listed_at").values_list("listed_at", flat=True)
    listed = list(rows)
    at = listed[0] if listed and len(listed) == len(buckets) else None
    return Told(at, [sentence(row) for row in findings(objects)])
