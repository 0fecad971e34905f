"""Walking the audit chain as a job: who asks sees how far it is. What a walk found is an entry of the trail: a row about a job
proves nothing, and whoever writes one would steer what is walked and shown."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from threading import Event, Thread
from typing import Any

from django.db import connection, transaction

from accounts.models import User
from audit import chain, clock, trail
from audit.actions import Action
from audit.alarms import Kind, clear, raise_alarm
from audit.models import Entry, Link
from jobs import queue
from jobs.models import Job, LeaseLost

log = logging.getLogger(__name__)
WALK = "audit.verify"
WALKED_EVERY = timedelta(days=1)
CHAIN = trail.Subject("trail", "entries", "the audit trail")
TELL_EVERY = 0.5  # seconds
LOOKED_AT = 20  # entries about walks, the newest


@dataclass(frozen=True)
class Walked:
    """What an entry says about a walk. `by` is who asked for it, `fault` the first thing that did not fit, with a sentence."""

    entry: int
    at: datetime
    by: str
    links: int
    head: str
    fault: dict[str, Any] | None
    further: list[dict[str, Any]]


def ask_for(by: User | trail.Actor) -> Job:
    """One walk at a time, whoever asks."""
    return queue.enqueue(WALK, args={"title": "Verify the audit trail", "page": "/audit/"}, key="chain", by=by)


def ask_if_due() -> None:
    """The portal itself walks the chain once a day, so that a break does not wait for somebody to ask."""
    now = clock.now()
    asked, last = latest()
    if (asked is None or now - asked.created_at > WALKED_EVERY) and (last is None or now - last.at > WALKED_EVERY):
        ask_for(trail.SYSTEM)


def latest() -> tuple[Job | None, Walked | None]:
    """The newest walk that was asked for, and what the newest that came to its end found."""
    asked = Job.objects.filter(kind=WALK, created_at__lte=clock.now()).order_by("-created_at").first()
    entries = Entry.objects.filter(action=Action.CHAIN_WALKED).order_by("-id")[:LOOKED_AT]
    return asked, next(filter(None, map(_said, entries)), None)


def _said(entry: Entry) -> Walked | None:
    """None where the entry is none of the portal's."""
    said = entry.detail
    try:
        told = Walked(entry.pk, entry.at, said["by"], said["links"], said["head"], said["fault"], said["further"])
        faults = [*([told.fault] if told.fault else []), *told.further]
        well = isinstance(told.links, int) and all(isinstance(fault["sentence"], str) for fault in faults)
    except (KeyError, TypeError):
        return None
    return told if well else None


@queue.handler(WALK)
def walk(job: Job) -> dict[str, Any]:
    """Columns and hashes of every link, in one snapshot. The walk's transaction only reads, so progress is told beside it."""
    total = Link.objects.order_by("-seq").values_list("seq", flat=True).first() or 0
    seen = 0

    def see(count: int) -> None:
        nonlocal seen
        seen = count

    with _telling(job, lambda: seen, total):
        found = chain.walk(on_batch=see)
    fault = asdict(found.fault) if found.fault else None
    result = {"links": found.links, "head": found.head, "fault": fault, "further": [*map(asdict, found.further)]}
    with transaction.atomic():
        trail.record(Action.CHAIN_WALKED, CHAIN, by=trail.SYSTEM, detail=result | {"by": job.requested_by_name})
        if found.fault:
            raise_alarm(Kind.CHAIN_BROKEN, CHAIN, found.fault.sentence, detail={"link": found.fault.seq or 0})
        else:
            clear(Kind.CHAIN_BROKEN, CHAIN, f"The chain was walked up to link {found.links} and holds.")
    return result


@contextmanager
def _telling(job: Job, seen: Callable[[], int], total: int) -> Iterator[None]:
    """Tell how far it is as long as the block runs, also while one long question is asked: the lease would be lost meanwhile."""
    ended = Event()

    def tell() -> None:
        while not ended.wait(TELL_EVERY):
            _tell(job, seen(), total)

    beside = Thread(target=tell, daemon=True)
    beside.start()
    try:
        yield
    finally:
        ended.set()
        beside.join()


def _tell(job: Job, count: int, total: int) -> None:
    said = f"{count:,} links walked so far." if count < total else "All links walked; now what people read."
    try:
        job.progress(count, total, said)
    except LeaseLost:
        pass  # another worker walks too; walking twice does no harm
    except Exception:
        log.warning("the progress of a walk could not be told", exc_info=True)
    finally:
        connection.close()
