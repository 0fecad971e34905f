"""The verbs about buckets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import transaction

from audit import trail
from audit.actions import Action
from storage import probe
from storage.models import Bucket, Purpose

if TYPE_CHECKING:
    from accounts.models import Area, User


def register_bucket(
    name: str, *, label: str, purpose: str, area: Area | None = None, by: User | trail.Actor, reason: str = ""
) -> Bucket:
    """Let the portal use a bucket, after asking S3 whether it keeps versions (and locks, where frozen bytes go).

    Raises `trail.Refused` where it does not, and `storage.s3.StorageError` where S3 cannot be asked.
    """
    kept = probe.settings_of(name)
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
