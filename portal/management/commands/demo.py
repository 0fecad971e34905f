"""`make demo`: everything on one machine, filled with a small firm, until Ctrl-C. All processes that it starts end with it."""

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.models import User
from portal import embedded

WAIT_SECONDS = 60


class Command(BaseCommand):
    help = __doc__ or ""
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=int, default=8000)
        parser.add_argument("--until-ready", action="store_true", help="end as soon as all is up (for timing)")

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.DEMO:
            raise CommandError("Run it as `make demo`: it shows one-time codes, which only the demo may do.")
        started: list[subprocess.Popen[bytes]] = []
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        url = f"http://127.0.0.1:{options['port']}"
        _answer_at(url)
        try:
            with self._step("database"):
                call_command("migrate", verbosity=0)
            started.append(self._worker())
            started.append(self._web(options["port"]))
            self._fill()
            with self._step("web server"):
                _wait_for(f"{url}/healthz", started)
            self._say_ready(url)
            if not options["until_ready"]:
                _stay(started)
        except KeyboardInterrupt:
            self.stdout.write("\nending what was started")
        finally:
            for process in reversed(started):
                _end(process)

    @contextmanager
    def _step(self, what: str) -> Iterator[None]:
        self.stdout.write(f"  {what} ...", ending="")
        self.stdout.flush()
        began = time.monotonic()
        yield
        self.stdout.write(f" {time.monotonic() - began:.1f} s")

    def _fill(self) -> None:
        from demo import content, fill

        filled = settings.HOME_DIR / "demo-filled"
        if filled.exists():
            return
        if User.objects.exists():
            raise CommandError("The demo was cut off while it was being filled. Start over with `make demo-reset`.")
        for what, act in fill.steps():
            with self._step(what):
                act()
        # Commands in another terminal act for a person, too: here for the demo's operator, unless --by names somebody else.
        embedded.remember(settings.HOME_DIR, "COUNTERSIGN_BY", content.OPERATOR)
        filled.touch()

    def _worker(self) -> subprocess.Popen[bytes]:
        return _start(
            "worker.log", sys.executable, "-W", "ignore", "-m", "celery", "-A", "portal", "worker", "--beat", "--pool", "threads",
            "--concurrency", "4", "--loglevel", "WARNING", "--without-mingle", "--without-gossip",
            "--schedule", str(settings.HOME_DIR / "celerybeat-schedule"),
        )  # fmt: skip

    def _web(self, port: int) -> subprocess.Popen[bytes]:
        return _start(
            "web.log", sys.executable, "-W", "ignore", "-m", "gunicorn", "portal.wsgi", "--bind", f"127.0.0.1:{port}",
            "--workers", "2", "--threads", "4", "--timeout", "120", "--access-logfile", "-",
        )  # fmt: skip

    def _say_ready(self, url: str) -> None:
        from demo import content

        self.stdout.write(f"\nready {url}\n\n")
        self.stdout.write(
            f"Every account has the password {settings.DEMO_PASSWORD}; the log-in page shows the one-time codes.\n\n"
        )
        width = max(len(person.username) for person in content.PEOPLE)
        for person in content.PEOPLE:
            self.stdout.write(f"  {person.username:<{width}}  {', '.join(person.roles):<14} {person.told}")
        self.stdout.write("\nCtrl-C ends it. `make demo-reset` starts over.\n")
        self.stdout.flush()


def _answer_at(url: str) -> None:
    """Links in mails, QR codes and passkeys name this address: here, in what is started, and in commands of another terminal."""
    settings.SITE_URL = os.environ["SITE_URL"] = url
    embedded.remember(settings.HOME_DIR, "SITE_URL", url)


def _start(log: str, *command: str) -> subprocess.Popen[bytes]:
    with (settings.HOME_DIR / log).open("ab") as out:
        return subprocess.Popen(
            command, stdout=out, stderr=out, stdin=subprocess.DEVNULL, cwd=settings.BASE_DIR, start_new_session=True
        )


def _wait_for(url: str, processes: list[subprocess.Popen[bytes]]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 our own address
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.2)
        _check_alive(processes)
        if time.monotonic() > deadline:
            raise CommandError(f"{url} did not answer within {WAIT_SECONDS} s; see {settings.HOME_DIR / 'web.log'}")


def _check_alive(processes: list[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        if process.poll() is not None:
            raise CommandError(f"a process ended by itself ({process.returncode}); see the logs in {settings.HOME_DIR}")


def _stay(processes: list[subprocess.Popen[bytes]]) -> None:
    while True:
        time.sleep(1)
        _check_alive(processes)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
