"""Backup and restore of the database, by PostgreSQL's own programs: one file, and beside it what it holds.

The backup is one snapshot, whose head of the chain is noted. The restore goes into an empty database, never over another one,
and the restored portal then compares itself with its anchors.
"""

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import psycopg
from django.conf import settings
from django.db import connections
from django.db.migrations.loader import MigrationLoader
from psycopg.conninfo import make_conninfo

from audit import checkpoints, clock, rights
from audit.checkpoints import Comparison
from portal import anchoring, embedded, restoring

VARIABLES = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD", "dbname": "PGDATABASE",
             "sslmode": "PGSSLMODE", "sslrootcert": "PGSSLROOTCERT"}  # fmt: skip
CHUNK = 1024 * 1024  # bytes


class NotDone(Exception):
    """The backup or the restore did not happen, or did not bring what it should; `str()` is a sentence for the operator."""


@dataclass(frozen=True)
class Backup:
    """What a file holds: its SHA-256 and size in bytes, the chain's links and head in it, when and of which release."""

    sha256: str
    size: int
    links: int
    head: str
    origin: str
    made_at: str
    release: str


def backup(file: Path) -> Backup:
    """Write the whole database to `file`, and what it holds to `file`.json. Raises NotDone."""
    if file.exists():
        raise NotDone(f"{file} is there already: a backup is never written over another one.")
    with _unfinished(file) as part:
        with _snapshot() as (snapshot, links, head):
            # Sessions are left out: with a backup nobody goes on in somebody's log-in.
            _run(
                "pg_dump",
                "--format=custom",
                "--exclude-table-data=django_session",
                f"--snapshot={snapshot}",
                f"--file={part}",
            )
        made = Backup(
            _sha256(part),
            part.stat().st_size,
            links,
            head,
            settings.TRAIL_ORIGIN,
            clock.now().isoformat(),
            settings.VERSION,
        )
        _beside(file).write_text(json.dumps(asdict(made), indent=2) + "\n")
        part.rename(file)
    return made


@contextmanager
def _unfinished(file: Path) -> Iterator[Path]:
    """A file under another name, readable by nobody else from its first byte on. It goes where the block does not rename it."""
    part = file.with_name(f"{file.name}.part")
    try:
        part.unlink(missing_ok=True)
        os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        yield part
    except OSError as error:
        raise NotDone(f"The backup cannot be written: {error}") from error
    finally:
        part.unlink(missing_ok=True)


@dataclass(frozen=True)
class Outcome:
    """What was put back, and what the anchors say of it: None where they could not be read, or where the schema is that of an
    `older` release and has to be migrated first."""

    told: Backup
    compared: Comparison | None
    older: bool = False


def restore(file: Path) -> Outcome:
    """Put a backup into the empty database that the settings name, and compare it with its anchors. Where it is behind, or they
    cannot be read, the portal is read-only from its first moment on. What the file beside it says is held against the database
    itself. Raises NotDone."""
    try:
        told = Backup(**json.loads(_beside(file).read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise NotDone(f"{_beside(file)} does not say what {file.name} holds: {error}") from None
    if not file.exists() or _sha256(file) != told.sha256:
        raise NotDone(f"{file} is not the file that was backed up: its SHA-256 is another one.")
    if connections["owner"].introspection.table_names():
        raise NotDone(
            "The database that the settings name is not empty. Make a new one, and keep the old one as it is."
        )
    connections["owner"].close()
    _run("pg_restore", "--exit-on-error", "--single-transaction", f"--dbname={_parameters()['dbname']}", str(file))
    rights.grant(connections["owner"], settings.DATABASES["default"]["USER"], settings.DATABASE_READER)
    links, head = checkpoints.head()  # before anything is added to what was restored
    if (links, head) != (told.links, told.head):
        raise NotDone(
            f"What was restored is not what was backed up: the database has {links:,} links, head {head}; {_beside(file)} says"
            f" {told.links:,} links, head {told.head}. Let nobody work with this database."
        )
    anchoring.begin_era()
    restoring.end_sittings()
    if _older():
        return Outcome(told, None, older=True)
    return Outcome(told, anchoring.watch_over(restored=True))


def _older() -> bool:
    """Has this release migrations that the database has not seen? Then it must not read or write there yet. Raises NotDone
    where it is the other way round."""
    loader = MigrationLoader(connections["owner"])
    seen = set(loader.applied_migrations)
    if newer := sorted(seen - set(loader.disk_migrations) - set(loader.replacements)):
        app, name = newer[0]
        raise NotDone(
            f"The backup is of a newer release: this one does not know its migration {app} {name}. Put the release of the"
            " backup in place, and restore into another empty database."
        )
    return bool(set(loader.graph.nodes) - seen)


@contextmanager
def _snapshot() -> Iterator[tuple[str, int, str]]:
    """A snapshot's name, with the links and the head that it shows, held open for pg_dump."""
    with psycopg.connect(make_conninfo(**_parameters())) as held:
        held.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        last = held.execute("SELECT seq, encode(hash, 'hex') FROM audit_link ORDER BY seq DESC LIMIT 1").fetchone()
        name = held.execute("SELECT pg_export_snapshot()").fetchone()
        assert name is not None
        links, head = last or (0, "")
        yield name[0], links, head


def _parameters() -> dict[str, str]:
    """How the owner's role connects."""
    known = connections["owner"].get_connection_params()
    return {name: str(known[name]) for name in VARIABLES if known.get(name)}


def _run(program: str, *arguments: str) -> None:
    environment = os.environ | {VARIABLES[name]: value for name, value in _parameters().items()}
    command = [_program(program), "--no-password", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotDone(f"{program} ended with {done.returncode}: {done.stderr.strip()[-1000:]}")


def _program(name: str) -> str:
    """PostgreSQL's program: of the embedded server where that is used, else the one on the path."""
    if settings.EMBEDDED:
        return str(embedded.Embedded(settings.HOME_DIR).programs() / name)
    if found := shutil.which(name):
        return found
    raise NotDone(f"{name} is not installed here: it comes with PostgreSQL's client programs.")


def _sha256(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as opened:
        while piece := opened.read(CHUNK):
            digest.update(piece)
    return digest.hexdigest()


def _beside(file: Path) -> Path:
    return file.with_name(f"{file.name}.json")
