"""Questions about readings of posture."""

from collections.abc import Iterable, Sequence
from typing import Any

from django.db.models import OuterRef, Subquery

from audit import alarms
from audit.models import Alarm
from storage.models import Bucket, PostureReading
from storage.posture import Verdict

NOT_GOOD = (Verdict.FAILS, Verdict.UNREAD)


def latest(bucket: Bucket) -> PostureReading | None:
    return PostureReading.objects.filter(bucket=bucket).order_by("-read_at", "-pk").first()


def latest_of(buckets: Iterable[Bucket]) -> dict[str, PostureReading]:
    """The newest reading of each bucket that was ever read, by its name."""
    newest = PostureReading.objects.filter(bucket=OuterRef("bucket")).order_by("-read_at", "-pk").values("pk")[:1]
    rows = PostureReading.objects.filter(bucket__in=[one.pk for one in buckets], pk=Subquery(newest))
    return {reading.bucket_id: reading for reading in rows}


def before(reading: PostureReading) -> PostureReading | None:
    """The reading of the same bucket that came before."""
    earlier = PostureReading.objects.filter(bucket=reading.bucket_id, read_at__lt=reading.read_at)
    return earlier.order_by("-read_at", "-pk").first()


def changed(earlier: PostureReading | None, findings: Sequence[dict[str, Any]]) -> set[str]:
    """Rules of which something else was found than in the reading before."""
    if earlier is None:
        return set()
    known = {finding["rule"]: finding for finding in earlier.findings}
    return {
        one["rule"]
        for one in findings
        if one["rule"] in known
        and (known[one["rule"]]["found"], known[one["rule"]]["said"]) != (one["found"], one["said"])
    }


def drifted(reading: PostureReading, earlier: PostureReading | None, standing: Alarm | None) -> list[str]:
    """Rules that the alarm is about. Against a signed baseline: whatever does not pass. Without one: what passed at the reading
    before, or drifted already, and does not pass now, so that a first look raises nothing."""
    failing = {one["rule"] for one in reading.findings if one["verdict"] in NOT_GOOD}
    if not reading.baseline:
        passed = {one["rule"] for one in earlier.findings if one["verdict"] == Verdict.PASSES} if earlier else set()
        failing &= passed | set(standing.detail["rules"] if standing else ())
    return sorted(failing)


def standing_alarm(bucket: Bucket) -> Alarm | None:
    rows = alarms.open_alarms().filter(kind=Alarm.Kind.POSTURE_DRIFT, subject_kind="bucket", subject_id=bucket.pk)
    return rows.filter(cleared_at__isnull=True).first()
