"""The worker's side. Every handler module is imported here, so that any worker can do any job."""

import os
from typing import Any

from celery import Celery
from celery.signals import worker_init

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")

app = Celery("countersign")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()

# One beat only; what a task does is guarded by rows, so a second beat would do no harm but noise.
app.conf.beat_schedule = {
    "sweep jobs": {"task": "jobs.sweep", "schedule": 15.0},
    "seal the reading log": {"task": "audit.seal_access", "schedule": 300.0},
    "anchor the trail": {"task": "portal.anchor", "schedule": 15.0},
    "watch for alarms": {"task": "portal.watch", "schedule": 15.0},
    "look for overdue reviews": {"task": "portal.look_for_overdue_reviews", "schedule": 3600.0},
    "watch over the trail": {"task": "portal.watch_over_trail", "schedule": 3600.0},
    "archive proofs of signatures": {"task": "signatures.archive_pending", "schedule": 60.0},
    "lock dormant accounts": {"task": "accounts.lock_dormant", "schedule": 3600.0},
    "hear of new log files": {"task": "cloudtrail.hear", "schedule": 10.0},
    "pull trails": {"task": "cloudtrail.pull_all", "schedule": 20.0},
    "compare buckets with events": {"task": "cloudtrail.reconcile_all", "schedule": 3600.0},
    "remind of signatures": {"task": "signatures.remind", "schedule": 3600.0},
    "read the storage posture": {"task": "portal.read_posture", "schedule": 3600.0},
    "verify approved versions": {"task": "records.verify_all", "schedule": 3600.0},
}


@worker_init.connect
def look_first(**_: Any) -> None:
    """Before the first job: is this the database that the anchors speak of?"""
    from portal import anchoring

    anchoring.at_start()
