"""Walking the audit chain as a job: who asks sees how far it is, and what the last walk found."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.db import connection

from accounts.models import User
from audit import chain
from audit.models import Link
from jobs import queue
from jobs.models import Job, LeaseLost

WALK = "audit.verify"
TELL_EVERY = 0.5  # seconds


def ask_for(by: User) -> Job:
    """One walk at a time, whoever asks."""
    return queue.enqueue(WALK, args={"title": "Verify the audit trail", "page": "/audit/"}, key="chain", by=by)


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
    return {"links": found.links, "head": found.head, "fault": fault}


def _tell(job: Job, count: int, total: int) -> None:
    try:
        job.progress(count, total, f"{count:,} links hold so far.")
    except LeaseLost:
        pass  # another worker walks too; walking twice does no harm
    finally:
        connection.close()
