"""Pulling in the background: beat asks, the job does it, its row shows how far it is."""

from datetime import timedelta
from typing import Any

from celery import shared_task
from django.conf import settings

from cloudtrail import reconciliation, transitions
from cloudtrail.models import Trail
from jobs import queue
from jobs.models import Job

# CloudTrail delivers about every five minutes; the stand-in of the demo every ten seconds.
EVERY = timedelta(seconds=getattr(settings, "TRAIL_PULL_SECONDS", 15 if settings.EMBEDDED else 300))


@shared_task(name="cloudtrail.pull_all")
def pull_all() -> None:
    """Queue a pull of every enabled trail that is due."""
    for trail in Trail.objects.filter(enabled=True).exclude(bucket=""):
        if transitions.due(trail, EVERY):
            transitions.enqueue_pull(trail)


@shared_task(name="cloudtrail.reconcile_all")
def reconcile_all() -> None:
    """Queue a comparison of the buckets of records with the events; it lists each of them once a day."""
    queue.enqueue("cloudtrail.reconcile", args={}, key="all")


@queue.handler("cloudtrail.reconcile")
def reconcile(job: Job) -> dict[str, Any]:
    """Compare, and judge what waits."""
    return {"findings": reconciliation.reconcile_due()}


@queue.handler("cloudtrail.pull")
def pull(job: Job) -> dict[str, Any]:
    """Pull one trail; what the job came to is its result."""
    tally = transitions.pull(Trail.objects.get(pk=job.args["trail"]), job.progress)
    return {
        "files_found": tally.found,
        "files": tally.files,
        "events_stored": tally.stored,
        "events_seen_before": tally.seen_before,
        "quarantined": tally.quarantined,
        "unreachable": tally.unreachable,
    }
