"""The portal as a firm runs it: gunicorn and, where asked for, a Celery worker, on a clone of a template database."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests import conftest

START_SECONDS = 60
END_SECONDS = 15


@contextmanager
def on(database: str) -> Iterator[None]:
    """This process's rows are those of `database` meanwhile: to compute a code, or to look at what a page did."""
    kept = {name: os.environ.get(name) for name in ("DATABASE_URL", "MIGRATE_DATABASE_URL")}
    before = _name_now()
    conftest.point_at(database)
    try:
        yield
    finally:
        conftest.point_at(before)
        os.environ.update({name: value for name, value in kept.items() if value})


def _name_now() -> str:
    from django.db import connection

    return connection.settings_dict["NAME"]


class Site:
    """Processes on one database. `url` is where the portal answers; `stop()` ends what was started."""

    def __init__(self, database: str, folder: Path, *, broker: int = 0, more: Mapping[str, str] | None = None) -> None:
        self.database = database
        self.folder = folder
        self.url = f"http://127.0.0.1:{_free_port()}"
        self.environment = {name: value for name, value in os.environ.items() if name != "COUNTERSIGN_DEMO"} | {
            "DATABASE_URL": conftest.SERVERS.url(database, conftest.embedded.APPLICATION),
            "MIGRATE_DATABASE_URL": conftest.SERVERS.url(database, conftest.embedded.OWNER),
            # A broker's own number keeps the wake-ups of other tests away from this worker.
            "CELERY_BROKER_URL": os.environ["CELERY_BROKER_URL"].replace("virtual_host=0", f"virtual_host={broker}"),
            "SITE_URL": self.url,
            "TRAIL_ORIGIN": f"tests/{conftest.HOME.name}/{database}",
            "COUNTERSIGN_HOME": str(folder),
            **(more or {}),
        }
        self._running: list[subprocess.Popen[bytes]] = []

    def start_web(self) -> None:
        address = self.url.removeprefix("http://")
        self._start("web.log", "gunicorn", "portal.wsgi", "--bind", address, "--workers", "1", "--threads", "4")
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            self._check(deadline, "web.log")
            time.sleep(0.1)

    def start_worker(self) -> None:
        self._start(
            "worker.log", "celery", "-A", "portal", "worker", "--pool", "threads", "--concurrency", "2",
            "--loglevel", "INFO", "--without-mingle", "--without-gossip", "--without-heartbeat",
        )  # fmt: skip
        deadline = time.monotonic() + START_SECONDS
        while b" ready." not in (self.folder / "worker.log").read_bytes():
            self._check(deadline, "worker.log")
            time.sleep(0.1)

    def manage(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`manage.py ...` as an operator calls it."""
        command = [sys.executable, "-W", "ignore", "manage.py", *arguments]
        return subprocess.run(
            command, env=self.environment, cwd=conftest.ROOT, capture_output=True, text=True, check=False
        )

    def stop(self) -> None:
        for process in reversed(self._running):
            process.send_signal(signal.SIGTERM)
        for process in self._running:
            try:
                process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._running = []

    def _start(self, log: str, *module: str) -> None:
        with (self.folder / log).open("wb") as out:
            self._running.append(
                subprocess.Popen(
                    [sys.executable, "-W", "ignore", "-m", *module],
                    env=self.environment, cwd=conftest.ROOT, stdout=out, stderr=out, stdin=subprocess.DEVNULL,
                )
            )  # fmt: skip

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/login/", timeout=5) as answer:
                return answer.status == 200
        except OSError:
            return False

    def _check(self, deadline: float, log: str) -> None:
        ended = any(process.poll() is not None for process in self._running)
        assert not ended and time.monotonic() < deadline, (self.folder / log).read_text()[-3000:]


@contextmanager
def site_on(
    template: str, folder: Path, *, worker: bool = False, broker: int = 0, more: Mapping[str, str] | None = None
) -> Iterator[Site]:
    """`more` are settings besides."""
    database = conftest.clone(template)
    site = Site(database, folder, broker=broker, more=more)
    try:
        if worker:
            site.start_worker()
        site.start_web()
        yield site
    finally:
        site.stop()
        with conftest.superuser() as connection:
            connection.execute(f'DROP DATABASE "{database}" WITH (FORCE)')


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
