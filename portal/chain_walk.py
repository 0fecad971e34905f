"""Walking the audit chain as a job: who asks sees how far it is, and what the last walk found."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

from django.db import connection

from accounts.models import User
from audit import chain, clock, trail
from audit.alarms import Kind, clear, raise_alarm
from audit.models import Link
from jobs import queue
from jobs.models import Job, LeaseLost

WALK = "audit.verify"
WALKED_EVERY = timedelta(days=1)
CHAIN = trail.Subject("trail", "entries", "the audit trail")
TELL_EVERY = 0.5  # seconds


def ask_for(by: User | trail.Actor) -> Job:
    """One walk at a time, whoever asks."""
    return queue.enqueue(WALK, args={"title": "Verify the audit trail", "page": "/audit/"}, key="chain", by=by)


def ask_if_due() -> None:
    """The portal itself walks the chain once a day, so that a break does not wait for somebody to ask."""
    newest, _ = latest()
    if newest is None or clock.now() - newest.created_at > WALKED_EVERY:
        ask_for(trail.SYSTEM)


def latest() -> tuple[Job | None, Job | None]:
    """The newest walk of all, and the newest that came to an end with a result."""
    walks = Job.objects.filter(kind=WALK).order_by("-created_at")
    return walks.first(), walks.filter(state=Job.State.DONE).first()


@queue.handler(WALK)
def walk(job: Job) -> dict[str, Any]:
    """Columns and hashes of every link, in one snapshot. The walk's transaction only reads, so progress is told beside it."""
    total = Link.objects.order_by("-seq").values_list("seq", flat=True).first() or 0
    told = time.monotonic()
    with ThreadPoolExecutor(1) as beside:

        def tell(count: int) -> None:
            nonlocal told
            if time.monotonic() - told > TELL_EVERY:
                told = time.monotonic()
                beside.submit(_tell, job, count, total)

        found = chain.walk(on_batch=tell)
    fault = found.fault and {"where": found.fault.where, "seq": found.fault.seq, "sentence": found.fault.sentence}
    if found.fault:
        raise_alarm(Kind.CHAIN_BROKEN, CHAIN, found.fault.sentence, detail={"link": found.fault.seq or 0})
    else:
        clear(Kind.CHAIN_BROKEN, CHAIN, f"The chain was walked up to link {found.links} and holds.")
    return {"links": found.links, "head": found.head, "fault": fault}


def _tell(job: Job, count: int, total: int) -> None:
    try:
        job.progress(count, total, f"{count:,} links hold so far.")
    except LeaseLost:
        pass  # another worker walks too; walking twice does no harm
    finally:
        connection.close()
