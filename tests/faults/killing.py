"""Processes of ours that are killed where they stand, and a database that restarts."""

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

from django.db import connection

from tests import conftest
from tests.conftest import superuser

WAIT = 60  # seconds for a process to get where it is to be killed


@contextmanager
def standing_at(place: str, *act: str):
    """A process of ours that does the act, stands at the place, and is killed at the end."""
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "tests.faults.child", place, *act],
        cwd=conftest.ROOT, stdout=subprocess.PIPE, text=True, env=os.environ.copy(),
    )  # fmt: skip
    try:
        assert process.stdout.readline() == "here\n"
        yield process
    finally:
        process.kill()
        process.wait(WAIT)


def killed_at(place: str, *act: str, by: int = signal.SIGKILL) -> None:
    with standing_at(place, *act) as process:
        process.send_signal(by)
        process.wait(WAIT)


def no_session_left_behind() -> None:
    """The database has noticed that the dead process is gone."""
    with superuser() as server:
        server.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s AND pid <> %s",
            [connection.settings_dict["NAME"], connection.connection.info.backend_pid],
        )


def restart() -> None:
    """The tests' PostgreSQL ends as for an upgrade, and is there again. Long tests run one at a time."""
    postmaster = conftest.SERVERS.data / "postmaster.pid"
    os.kill(int(postmaster.read_text().split()[0]), signal.SIGINT)
    deadline = time.monotonic() + WAIT
    while postmaster.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    conftest.SERVERS.postgres()
