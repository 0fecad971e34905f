"""Each test that touches rows runs committed, on its own clone of a template database; S3 is the guarded stand-in.

Templates: `empty` (migrated), `people` (one person per role, enrolled, the founding over), `firm` (a small firm with
records and documents in every state), `with_history` (the firm and ninety days of CloudTrail), `furnished` (the firm, and something behind every URL). Ask for one by the fixture
of its name.
"""

import atexit
import fcntl
import gc
import itertools
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import django
import psycopg
import pytest
from django.contrib.auth.hashers import Argon2PasswordHasher

from portal import embedded

ROOT = Path(__file__).resolve().parent.parent


def _start_servers() -> None:
    """In the controlling process alone; its workers find everything in the environment."""
    home = Path(tempfile.mkdtemp(prefix="countersign-tests-"))
    servers = embedded.Embedded(home, durable=False)
    os.environ["COUNTERSIGN_TESTS"] = os.environ["COUNTERSIGN_HOME"] = str(home)
    os.environ["S3_ENDPOINT_URL"] = servers.standin(trail_every=0, keep=False)
    os.environ["S3_ACCESS_KEY_ID"], os.environ["S3_SECRET_ACCESS_KEY"] = "ASIACOUNTERSIGNPORTL", "test"
    embedded.configure(servers)

    def end() -> None:
        servers.stop()
        for folder in (home, servers.private, servers.data.parent, servers.sockets):
            shutil.rmtree(folder, ignore_errors=True)

    # Registered last, so it runs before the servers' own farewell finds its folders gone.
    atexit.register(end)


if "COUNTERSIGN_TESTS" not in os.environ:
    _start_servers()
os.environ["DJANGO_SETTINGS_MODULE"] = "portal.settings"
django.setup()
# What was imported stays: the collector need not look at it again with every test.
gc.collect()
gc.freeze()
gc.set_threshold(100_000, 20, 50)
# What a password costs an attacker it would cost each test as well: here the same algorithm, made cheap.
Argon2PasswordHasher.time_cost, Argon2PasswordHasher.memory_cost, Argon2PasswordHasher.parallelism = 1, 256, 1
HOME = Path(os.environ["COUNTERSIGN_HOME"])
SERVERS = embedded.Embedded(HOME, durable=False)
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "gw")
_count = itertools.count()

# The tests' clock runs ahead by what the table says; the rest of the system cannot tell.
TEST_CLOCK = """
CREATE TABLE test_clock (ahead interval NOT NULL);
INSERT INTO test_clock VALUES ('0');
GRANT SELECT ON test_clock TO PUBLIC;
CREATE OR REPLACE FUNCTION audit_now() RETURNS timestamptz LANGUAGE sql VOLATILE SET search_path = pg_catalog AS
$$ SELECT clock_timestamp() + (SELECT ahead FROM public.test_clock) $$;
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest begins first, so that nobody waits for it at the end."""
    items.sort(key=lambda item: "test_story.py" not in item.nodeid)


@contextmanager
def superuser(database: str = "postgres") -> Iterator[psycopg.Connection]:
    with psycopg.connect(SERVERS.url(database, "postgres"), autocommit=True) as connection:
        yield connection


def point_at(database: str) -> None:
    """Let Django's connections of this process reach `database`, whose trail is one of its own."""
    from django.conf import settings
    from django.db import connections

    for connection in connections.all():
        connection.close()
        connection.settings_dict["NAME"] = database
    os.environ["DATABASE_URL"] = SERVERS.url(database, embedded.APPLICATION)
    os.environ["MIGRATE_DATABASE_URL"] = SERVERS.url(database, embedded.OWNER)
    # All of them anchor in the one bucket of the stand-in.
    settings.TRAIL_ORIGIN = os.environ["TRAIL_ORIGIN"] = f"tests/{HOME.name}/{database}"


def clone(template: str) -> str:
    name = f"test_{WORKER}_{os.getpid()}_{next(_count)}"
    with superuser() as connection:
        # Copying files is twenty times quicker here than writing the copy to the log, which is PostgreSQL's default.
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" OWNER {embedded.OWNER} STRATEGY FILE_COPY')
    return name


def template(name: str, base: str | None, fill: Callable[[], None]) -> str:
    """The template database `name`, made once for all workers: a clone of `base`, filled by `fill`."""
    with (HOME / "templates.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with superuser() as connection:
            if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [f"template_{name}"]).fetchone():
                return f"template_{name}"
            source = f'TEMPLATE "{base}"' if base else ""
            connection.execute(f"DROP DATABASE IF EXISTS filling_{name}")
            connection.execute(f"CREATE DATABASE filling_{name} {source} OWNER {embedded.OWNER}")
            point_at(f"filling_{name}")
            fill()
            point_at("postgres")
            connection.execute(f"ALTER DATABASE filling_{name} RENAME TO template_{name}")
    return f"template_{name}"


def _migrate() -> None:
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    with psycopg.connect(os.environ["MIGRATE_DATABASE_URL"]) as connection:
        connection.execute(TEST_CLOCK)


def _people() -> None:
    from tests import cast

    cast.gather()


def _firm() -> None:
    from tests import firm

    firm.build()


def _with_history() -> None:
    from tests import history

    history.load(HOME)


def _furnished() -> None:
    from tests import furnished

    furnished.furnish()


@pytest.fixture(scope="session")
def django_db_setup() -> None:
    """Databases are made per test, from templates."""


@pytest.fixture(scope="session")
def template_empty(django_db_blocker) -> str:
    with django_db_blocker.unblock():
        return template("empty", None, _migrate)


@pytest.fixture(scope="session")
def template_people(template_empty, django_db_blocker) -> str:
    with django_db_blocker.unblock():
        return template("people", template_empty, _people)


@pytest.fixture(scope="session")
def template_firm(template_people, django_db_blocker) -> str:
    with django_db_blocker.unblock():
        return template("firm", template_people, _firm)


@pytest.fixture(scope="session")
def template_with_history(template_firm, django_db_blocker) -> str:
    with django_db_blocker.unblock():
        return template("with_history", template_firm, _with_history)


@pytest.fixture(scope="session")
def template_furnished(template_firm, django_db_blocker) -> str:
    with django_db_blocker.unblock():
        return template("furnished", template_firm, _furnished)


def on_clone(template_name: str, blocker) -> Iterator[str]:
    name = clone(template_name)
    with blocker.unblock():
        point_at(name)
        TestClock().begin_step()
        try:
            yield name
        finally:
            point_at("postgres")
            with superuser() as connection:
                connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
def empty(template_empty, django_db_blocker) -> Iterator[str]:
    """A migrated database without a row of ours; the value is its name."""
    yield from on_clone(template_empty, django_db_blocker)


@pytest.fixture
def people(template_people, django_db_blocker):
    """The cast (`tests/cast.py`): people.author, people.reviewer, people.approver ... on a database of their own."""
    from tests import cast

    for _ in on_clone(template_people, django_db_blocker):
        yield cast.Cast()


@pytest.fixture
def firm(template_firm, django_db_blocker):
    """The cast with records and documents (`tests/firm.py`)."""
    from tests.firm import Firm

    for _ in on_clone(template_firm, django_db_blocker):
        yield Firm()


@pytest.fixture
def firm_with_history(template_with_history, django_db_blocker):
    """The firm with ninety days of CloudTrail about KRAS-001 (`tests/history.py`), at the time when they were loaded."""
    from tests import history
    from tests.firm import Firm

    for _ in on_clone(template_with_history, django_db_blocker):
        TestClock().go_back_to(history.told(HOME).loaded_at)
        yield Firm()


@pytest.fixture
def furnished(template_furnished, django_db_blocker):
    """The firm with something behind every URL (`tests/furnished.py`)."""
    from tests.firm import Firm

    for _ in on_clone(template_furnished, django_db_blocker):
        yield Firm()


class TestClock:
    """Moves the database's clock of one test."""

    __test__ = False

    def advance(self, **delta: float) -> None:
        with psycopg.connect(os.environ["MIGRATE_DATABASE_URL"]) as connection:
            connection.execute("UPDATE test_clock SET ahead = ahead + %s", [timedelta(**delta)])

    def go_back_to(self, when: datetime) -> None:
        with psycopg.connect(os.environ["MIGRATE_DATABASE_URL"]) as connection:
            connection.execute("UPDATE test_clock SET ahead = %s - clock_timestamp()", [when])

    def begin_step(self) -> None:
        """Now is the beginning of a half minute: a code that a test reads is still the current one when it is sent."""
        with psycopg.connect(os.environ["MIGRATE_DATABASE_URL"]) as connection:
            connection.execute(
                "UPDATE test_clock SET ahead = ahead + make_interval(secs => 30 - extract(epoch FROM audit_now())::numeric % 30)"
            )

    def next_code(self) -> None:
        """Half a minute on: a code that was spent gives way to the next."""
        self.advance(seconds=30)


@pytest.fixture
def ticking() -> TestClock:
    return TestClock()


@pytest.fixture(scope="session")
def chromium():
    """One browser for all tests of this process. Playwright keeps a loop running in the main thread, at which Django's
    connections would take fright although nothing of ours is asynchronous."""
    from playwright.sync_api import sync_playwright

    from tests.programs import FLAGS, find, wanted

    path = find()
    assert path, wanted(["chromium"])
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()
