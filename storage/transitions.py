"""The verbs about buckets: register one, and keep what a look at its posture found."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from django.db import transaction

from audit import trail
from audit.actions import Action
from audit.alarms import Kind, clear, raise_alarm
from audit.canonical import canonical
from storage import anchors, posture, probe, queries, s3
from storage.models import Bucket, PostureReading, Purpose
from storage.posture import Finding

if TYPE_CHECKING:
    from accounts.models import Area, User


def register_bucket(
    name: str, *, label: str, purpose: str, area: Area | None = None, by: User | trail.Actor, reason: str = ""
) -> Bucket:
    """Let the portal use a bucket, after asking S3 whether it keeps versions (and locks, where frozen bytes go).

    Raises `trail.Refused` where it does not, and `storage.s3.StorageError` where S3 cannot be asked.
    """
    kept = _settings_of(name, purpose)
    subject = trail.Subject("bucket", name, name)
    if not kept.versioned:
        raise trail.Refused(
            f"Bucket {name} does not keep versions: turn versioning on first.",
            action=Action.BUCKET_REFUSED,
            subject=subject,
            by=by,
        )
    if purpose in (Purpose.WORM, Purpose.ANCHOR) and not kept.lock_enabled:
        raise trail.Refused(
            f"Bucket {name} has no Object Lock, which a {Purpose(purpose).label} needs.",
            action=Action.BUCKET_REFUSED,
            subject=subject,
            by=by,
        )
    with transaction.atomic():
        bucket = Bucket.objects.create(name=name, label=label, purpose=purpose, area=area)
        trail.record(
            Action.BUCKET_REGISTERED,
            bucket,
            by=by,
            reason=reason,
            detail={"label": label, "purpose": str(purpose), "area": area.name if area else None} | kept.to_json(),
        )
    return bucket


def _settings_of(name: str, purpose: str) -> probe.Kept:
    """Asked with the credentials that the portal has for a bucket of this purpose."""
    if purpose != Purpose.ANCHOR:
        return probe.settings_of(name)
    with s3.asking_as(anchors.configured().account):
        return probe.settings_of(name)


def keep_reading(
    bucket: Bucket, findings: Sequence[Finding], *, baseline: str, by: User | trail.Actor
) -> PostureReading:
    """Keep what `posture.read()` found, and raise or clear the alarm about the bucket. `baseline` names the signed baseline that
    it was held against, "" where none is signed.

    The entry holds the SHA-256 of the findings as canonical JSON, so that the chain vouches for them.
    """
    told = [finding.to_json() for finding in findings]
    actor = trail.actor_of(by)
    with transaction.atomic(durable=True):
        Bucket.objects.select_for_update(no_key=True).get(pk=bucket.pk)
        before = queries.latest(bucket)
        reading = PostureReading.objects.create(
            bucket=bucket, baseline=baseline, findings=told, by_key=actor.key, by_name=actor.name
        )
        by_verdict = {verdict: [one.rule for one in findings if one.verdict == verdict] for verdict in posture.Verdict}
        detail = {
            "reading": str(reading.pk),
            "baseline": baseline,
            "passes": len(by_verdict[posture.Verdict.PASSES]),
            "fails": by_verdict[posture.Verdict.FAILS],
            "unread": by_verdict[posture.Verdict.UNREAD],
            "changed": sorted(queries.changed(before, told)),
            "sha256": hashlib.sha256(canonical(told)).hexdigest(),
        }
        trail.record(Action.POSTURE_READ, bucket, by=by, detail=detail)
        _alarm(reading, before)
    return reading


def _alarm(reading: PostureReading, before: PostureReading | None) -> None:
    """One alarm for each bucket, raised again where other rules drift than before, gone when none does."""
    bucket, standing = reading.bucket, queries.standing_alarm(reading.bucket)
    drifted = queries.drifted(reading, before, standing)
    if not drifted:
        clear(Kind.POSTURE_DRIFT, bucket, "Read again: nothing drifts any longer.")
    elif standing is None or standing.detail["rules"] != drifted:
        rules = [posture.BY_ID[rule].asks if rule in posture.BY_ID else rule for rule in drifted]
        against = f"as {reading.baseline} has it" if reading.baseline else "as it was, and no baseline is signed"
        sentence = f"{bucket.name} is not {against}: {'; '.join(rules)}."
        raise_alarm(Kind.POSTURE_DRIFT, bucket, sentence, detail={"rules": drifted, "reading": str(reading.pk)})
