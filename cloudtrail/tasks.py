"""Pulling in the background: beat asks, the job does it, its row shows how far it is."""

from datetime import timedelta
from typing import Any

from celery import shared_task
from django.conf import settings

from cloudtrail import notifications, reconciliation, transitions
from cloudtrail.ingest import Tally
from cloudtrail.models import Trail
from jobs import queue
from jobs.models import Job

# CloudTrail delivers about every five minutes; the stand-in of the demo every ten seconds.
EVERY = timedelta(seconds=15 if settings.EMBEDDED else 300)


@shared_task(name="cloudtrail.pull_all")
def pull_all() -> None:
    """Queue a pull of every enabled trail that is due, and readers beside it where many files wait."""
    for trail in Trail.objects.filter(enabled=True).exclude(bucket=""):
        if transitions.due(trail, EVERY):
            transitions.enqueue_pull(trail)
        transitions.enqueue_readers(trail)


@shared_task(name="cloudtrail.hear")
def hear() -> None:
    """Hear of new files from the queue, where there is one, and have them read. The pulls find what it does not tell."""
    if settings.CLOUDTRAIL_QUEUE_URL:
        for trail in Trail.objects.filter(pk__in=notifications.hear().trails):
            transitions.enqueue_reader(trail)


@shared_task(name="cloudtrail.reconcile_all")
def reconcile_all() -> None:
    """Queue a comparison of the buckets of records with the events; it lists each of them once a day."""
    queue.enqueue("cloudtrail.reconcile", args={"title": "Reconcile buckets with CloudTrail"}, key="all")


@queue.handler("cloudtrail.reconcile")
def reconcile(job: Job) -> dict[str, Any]:
    """Compare, and judge what waits."""
    return {"findings": reconciliation.reconcile_due()}


@queue.handler("cloudtrail.pull")
def pull(job: Job) -> dict[str, Any]:
    """Pull one trail; what the job came to is its result."""
    return told(transitions.pull(Trail.objects.get(pk=job.args["trail"]), job.progress))


@queue.handler("cloudtrail.read")
def read(job: Job) -> dict[str, Any]:
    """Help to read what waits of one trail."""
    return told(transitions.read(Trail.objects.get(pk=job.args["trail"]), job.progress))


def told(tally: Tally) -> dict[str, Any]:
    """A tally as a job's result."""
    return {
        "files_found": tally.found,
        "files": tally.files,
        "events_stored": tally.stored,
        "events_seen_before": tally.seen_before,
        "quarantined": tally.quarantined,
        "unreachable": tally.unreachable,
    }
