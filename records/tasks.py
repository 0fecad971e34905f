"""Every night each version that people rely on is read again and held against its seal."""

from datetime import datetime, time

from celery import shared_task
from django.db.models import Exists, OuterRef

from audit import clock
from jobs import queue
from records.lifecycle import State
from records.models import Verification, Version


@shared_task(name="records.verify_all")
def verify_all() -> int:
    """Ask for the verification of every approved version that was not verified today (UTC). Returns how many were asked for."""
    now = clock.now()
    today = datetime.combine(now.date(), time(), now.tzinfo)
    done = Verification.objects.filter(version=OuterRef("pk"), started_at__gte=today)
    versions = Version.objects.filter(~Exists(done), state=State.APPROVED).select_related("record__type")
    asked = 0
    for version in versions.defer("manifest", "metadata").iterator():
        label = version.trail_subject().label
        args = {"version": str(version.pk), "title": f"Verify {label}", "page": version.get_absolute_url()}
        queue.enqueue("records.verify", args=args, key=str(version.pk))
        asked += 1
    return asked
