"""Asking for work, and doing it: `enqueue()`, `@handler(kind)`, `run(job_id)`."""

import logging
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models import F, Q, TextField, Value
from django.db.models.functions import Cast, Concat

from audit import trail
from audit.actions import Action
from audit.clock import Now
from jobs.models import LEASE, Job, LeaseLost

log = logging.getLogger(__name__)
Handler = Callable[[Job], dict[str, Any] | None]
HANDLERS: dict[str, Handler] = {}
ATTEMPTS = 3
ENDED = (Job.State.DONE, Job.State.FAILED)


def handler(kind: str) -> Callable[[Handler], Handler]:
    """Mark the function that does work of `kind`. It must be safe to run twice; what it returns is the job's result."""

    def mark(function: Handler) -> Handler:
        HANDLERS[kind] = function
        return function

    return mark


@dataclass(frozen=True)
class Asked:
    """Work of `kind`. Where `key` was asked for before and is not finished, it is the same work."""

    kind: str
    args: Mapping[str, Any] = field(default_factory=dict)
    key: str | None = None
    by: trail.HasActor | trail.Actor = trail.SYSTEM


def enqueue(
    kind: str,
    *,
    args: Mapping[str, Any] | None = None,
    key: str | None = None,
    by: trail.HasActor | trail.Actor = trail.SYSTEM,
) -> Job:
    """A job of `kind`; the one that is open already where `key` was asked for before and is not finished."""
    return enqueue_all([Asked(kind, args or {}, key, by)])[0]


def enqueue_all(asked: Sequence[Asked]) -> list[Job]:
    """A job for each, in their order, as `enqueue()` makes one."""
    wanted = [_job(one) for one in asked]
    with transaction.atomic(savepoint=False):
        jobs = _put(wanted)
        ended = [job.pk for job in jobs if job.state in ENDED]
        if ended:
            # A finished job gives its natural key back, so that the same work can be asked for again.
            given_back = Concat("key", Value(":"), Cast("id", TextField()), output_field=TextField())
            Job.objects.filter(pk__in=ended, state__in=ENDED).update(key=given_back)
            jobs = _put(wanted)
    for job in jobs:
        transaction.on_commit(partial(wake, job.pk))
    return jobs


def _put(wanted: Sequence[Job]) -> list[Job]:
    """The jobs that hold the keys: these, where the keys were free."""
    Job.objects.bulk_create(wanted, ignore_conflicts=True)
    held = {job.key: job for job in Job.objects.filter(key__in=[job.key for job in wanted])}
    return [held[job.key] for job in wanted]


def _job(asked: Asked) -> Job:
    actor = trail.actor_of(asked.by)
    key = f"{asked.kind}:{asked.key or uuid.uuid4()}"
    return Job(kind=asked.kind, args=dict(asked.args), key=key, requested_by=actor.key, requested_by_name=actor.name)


def wake(job_id: uuid.UUID) -> None:
    """Tell a worker. A broker that is away changes nothing: the sweep finds the row."""
    from jobs.tasks import run_job

    try:
        run_job.apply_async((str(job_id),), retry=False)
    except Exception:
        log.warning("the broker did not take the wake-up of job %s; the sweep will", job_id, exc_info=True)


def run(job_id: uuid.UUID | str) -> Job | None:
    """Do the job if nobody does it now. Returns None where there is nothing to do."""
    free = Q(state=Job.State.QUEUED) | Q(state=Job.State.RUNNING, lease_until__lt=Now())
    leased = Job.objects.filter(free, pk=job_id).update(
        state=Job.State.RUNNING, attempts=F("attempts") + 1, started_at=Now(), lease_until=Now() + LEASE, error=""
    )
    if not leased:
        return None
    job = Job.objects.get(pk=job_id)
    try:
        with trail.refusals(trail.Actor(job.requested_by, job.requested_by_name, "")):
            result = HANDLERS[job.kind](job)
    except LeaseLost:
        return None
    except Exception as error:
        log.exception("job %s (%s) failed", job.pk, job.kind)
        _finish(job, Job.State.FAILED, error=f"{error}" or type(error).__name__)
    else:
        _finish(job, Job.State.DONE, result=result)
    return job


def _finish(job: Job, state: str, **values: Any) -> None:
    if state == Job.State.DONE:
        values |= {"done": max(job.total, 1), "total": max(job.total, 1)}
    with transaction.atomic():
        held = Job.objects.filter(pk=job.pk, state=Job.State.RUNNING, attempts=job.attempts).update(
            state=state, finished_at=Now(), lease_until=None, **values
        )
        if held and state == Job.State.FAILED:
            detail = {"kind": job.kind, "error": str(values["error"])[:500]}
            trail.record(Action.JOB_FAILED, job, by=trail.SYSTEM, detail=detail)
    job.refresh_from_db()


def retry(job: Job, *, by: trail.HasActor) -> None:
    """Queue a failed job once more."""
    with transaction.atomic():
        if Job.objects.filter(pk=job.pk, state=Job.State.FAILED).update(
            state=Job.State.QUEUED, finished_at=None, attempts=0
        ):
            trail.record(Action.JOB_RETRIED, job, by=by)
            transaction.on_commit(lambda: wake(job.pk))


def sweep() -> int:
    """Wake what waits without a worker: lost messages, killed workers. A job that keeps failing its lease is given up."""
    for job in Job.objects.filter(state=Job.State.RUNNING, lease_until__lt=Now(), attempts__gte=ATTEMPTS):
        _finish(job, Job.State.FAILED, error=f"given up after {ATTEMPTS} attempts that were cut off")
    waiting = Job.objects.filter(Q(state=Job.State.QUEUED) | Q(state=Job.State.RUNNING, lease_until__lt=Now()))
    ids = list(waiting.order_by("created_at").values_list("pk", flat=True)[:200])
    for job_id in ids:
        wake(job_id)
    return len(ids)
