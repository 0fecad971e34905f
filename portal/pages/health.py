"""/healthz: does the web work with its database, and what else of the portal is away? Tells nothing that is secret.

200 while the portal can serve and keep records ("ok", or "degraded" where background work or S3 is away), 503 where it cannot.
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import timedelta
from functools import lru_cache

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.db import DatabaseError, connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.db.models import Q
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from audit import clock_guard
from audit.clock import Now
from jobs.models import Job
from portal.celery import app
from storage import s3

SEEN_WITHIN = timedelta(minutes=2)
PATIENCE = 2.0  # seconds that a part which is not the database may take
REMEMBERED = 5.0  # seconds; whoever asks often does not make the parts busy

Part = dict[str, str]


@login_not_required
@never_cache
@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    needed = {"database": database(), "migrations": {"status": "unknown", "says": "Not looked at."}}
    if needed["database"]["status"] == "ok":
        needed["migrations"] = migrations()
    serves = all(part["status"] == "ok" for part in needed.values())
    others = {"broker": _broker.now(), "worker": worker(serves), "storage": _storage.now(), "clock": clocks(serves)}
    well = all(part["status"] == "ok" for part in others.values())
    status = "down" if not serves else "ok" if well else "degraded"
    return JsonResponse({"status": status, "parts": needed | others}, status=200 if serves else 503)


def database() -> Part:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT audit_now()")
    except DatabaseError:
        return _away("The database does not answer.")
    return _well("The database answers.")


def migrations() -> Part:
    try:
        missing = _known_migrations() - set(MigrationRecorder(connection).applied_migrations())
    except DatabaseError:
        return _away("The database does not tell which migrations were applied.")
    if missing:
        return _away(f"{len(missing)} migrations were not applied.")
    return _well("Every migration was applied.")


def clocks(serves: bool) -> Part:
    """Whether people can sign, by the clocks: apart or behind the trail, nobody does (§2 row 17)."""
    if not serves:
        return {"status": "unknown", "says": "Not looked at."}
    reading = clock_guard.observe()
    if sentence := clock_guard.SENTENCES.get(reading.standing):
        return _away(sentence)
    milliseconds = abs(reading.offset).total_seconds() * 1000
    return _well(f"The clocks of database and web server are {milliseconds:,.0f} ms apart.")


def worker(serves: bool) -> Part:
    """A worker was seen if a row says so, or if one answers now."""
    if serves and _worked_lately():
        return _well("A worker did something in the last two minutes.")
    return _worker.now()


def _worked_lately() -> bool:
    since = Now() - SEEN_WITHIN
    return Job.objects.filter(Q(lease_until__gt=Now()) | Q(finished_at__gt=since, attempts__gt=0)).exists()


def _ask_broker() -> Part:
    with app.connection_for_write() as held:
        held.ensure_connection(max_retries=1, timeout=int(PATIENCE))
    return _well("The broker answers.")


def _ask_workers() -> Part:
    if not app.control.ping(timeout=PATIENCE / 2, limit=1):
        return _away("No worker answers: work in the background waits.")
    return _well("A worker answers.")


def _ask_storage() -> Part:
    s3.client().head_bucket(Bucket=settings.WORM_BUCKET)
    return _well("The store of frozen bytes answers.")


class Remembered:
    """A question to another server: asked in a thread, waited for shortly, its answer good for some seconds."""

    def __init__(self, ask: Callable[[], Part], silence: str) -> None:
        self.ask, self.silence = ask, silence
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="health")
        self._lock = threading.Lock()
        self._asked: Future[Part] | None = None
        self._answer: tuple[float, Part] | None = None

    def now(self) -> Part:
        with self._lock:
            if self._answer and time.monotonic() - self._answer[0] < REMEMBERED:
                return self._answer[1]
            if self._asked is None:
                self._asked = self._threads.submit(self.ask)
            if not wait([self._asked], timeout=PATIENCE).done:
                return _away(self.silence)  # the same question is still under way, and is not asked twice
            part = _away(self.silence) if self._asked.exception() else self._asked.result()
            self._asked, self._answer = None, (time.monotonic(), part)
            return part


_broker = Remembered(_ask_broker, "The broker does not answer: work in the background waits for the next sweep.")
_worker = Remembered(_ask_workers, "No worker answers: work in the background waits.")
_storage = Remembered(_ask_storage, "S3 does not answer: nothing can be registered, frozen or proved.")


@lru_cache(maxsize=1)
def _known_migrations() -> frozenset[tuple[str, str]]:
    """As the code has them, which does not change while it runs."""
    return frozenset(MigrationLoader(None).disk_migrations)


def _well(says: str) -> Part:
    return {"status": "ok", "says": says}


def _away(says: str) -> Part:
    return {"status": "away", "says": says}
