"""The ledger as many workers share it: who reads which files now, and up to when everything that was settled can be seen.

A worker leases a portion of what waits, in a transaction of its own, and reads it outside of that. A lease that runs out is
taken over; the ledger's rows are locked and looked at again before anything is stored (`ingest.store`), so two workers with
one file cost time and nothing else. What a lease costs depends on what waits, not on what is stored.
"""

import os
import socket
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Q, QuerySet, prefetch_related_objects

from audit.clock import Now
from cloudtrail.models import LogFile, Trail

LEASE = timedelta(seconds=settings.CLOUDTRAIL_LEASE_SECONDS)
FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=15), timedelta(hours=1)
"""Between two tries to fetch a file; each wait is twice as long as the one before."""
SETTLING = 7244117
"""Advisory lock: shared by whoever settles files."""


def take(trail: Trail, files: int, size: int) -> list[LogFile]:
    """Lease the next files that wait and that nobody has; [] if there are none.

    At most `files`, and with a second one not more than `size` bytes. The bytes of those that were handed over come along.
    """
    with transaction.atomic(durable=True):
        free = _waiting(trail).filter(Q(leased_until=None) | Q(leased_until__lt=Now())).order_by("delivered_at", "id")
        portion = _portion(free.select_for_update(skip_locked=True, no_key=True)[:files], size)
        LogFile.objects.filter(pk__in=[file.pk for file in portion]).update(
            leased_until=Now() + LEASE, leased_by=f"{socket.gethostname()}:{os.getpid()}"
        )
    if any(not file.bucket for file in portion):
        prefetch_related_objects(portion, "handed_over")
    return portion


def _portion(files: QuerySet[LogFile], size: int) -> list[LogFile]:
    portion: list[LogFile] = []
    for file in files:
        size -= file.size
        if portion and size < 0:
            break
        portion.append(file)
    return portion


def held(trail: Trail) -> bool:
    """True while a worker has files of this trail, or had them when it was killed and its lease has not run out."""
    return _waiting(trail).exclude(leased_by="").exists()


def waiting(trail: Trail, at_most: int) -> int:
    """How many files wait, those that somebody reads now included; counted up to `at_most`."""
    return _waiting(trail)[:at_most].count()


def _waiting(trail: Trail) -> QuerySet[LogFile]:
    return LogFile.objects.filter(trail=trail, state=LogFile.State.SEEN).order_by()


def next_try(attempts: int) -> timedelta:
    """How long a file waits that could not be fetched so many times."""
    doublings = min(attempts, 20) - 1
    return min(FIRST_WAIT * 2**doublings, LONGEST_WAIT)


# --- What is settled --------------------------------------------------------------------------------------------------


def settling() -> datetime:
    """The time at which the running transaction settles files."""
    return _moment("pg_advisory_xact_lock_shared")


def settled_until() -> datetime:
    """A moment up to which every file that was ever settled can be seen: those who settle some now are waited for.

    The time on a row is older than its commit; who counts by time would pass over a row that another worker commits late.
    """
    with transaction.atomic():
        return _moment("pg_advisory_xact_lock")


def _moment(lock: str) -> datetime:
    """Now, with the lock; after what was counted last in any case, so that nothing is passed over if the clock was set back."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {lock}(%s)", [SETTLING])
        cursor.execute(
            "SELECT greatest(audit_now(), max(summarised_at) + interval '1 microsecond') FROM cloudtrail_listing"
        )
        return cursor.fetchone()[0]
