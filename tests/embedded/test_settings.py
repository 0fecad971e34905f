"""A missing or unsafe setting stops the start with a sentence; a production-like one passes Django's own check."""

import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT

PRODUCTION = {
    "SECRET_KEY": "k3Jx0vQ9sW7yZ1bN4mC6pL8tR2fH5gD0aEuIoXcVnMqTw8YhUjKl",
    "SEED_KEYS": "0f" * 32,
    "SIGNING_KEY_FILE": "/etc/countersign/signing-key.pem",
    "ALLOWED_HOSTS": "records.example.org",
    "DATABASE_URL": "postgresql://countersign_app:secret@db.example.org/countersign",
    "MIGRATE_DATABASE_URL": "postgresql://countersign_owner:secret@db.example.org/countersign",
    "CELERY_BROKER_URL": "amqps://countersign:secret@mq.example.org//",
}
KEPT = {"PATH", "HOME", "LANG", "LC_ALL"}


def run(*arguments: str, **more: str | None) -> subprocess.CompletedProcess[str]:
    """Python as a firm starts it: nothing of this test run in its environment."""
    values = {**{name: os.environ[name] for name in KEPT & set(os.environ)}, **PRODUCTION, **more}
    environment = {name: value for name, value in values.items() if value is not None}
    command = [sys.executable, "-W", "ignore", *arguments]
    return subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)


def start(**more: str | None) -> subprocess.CompletedProcess[str]:
    return run("-c", "from portal import settings", **more)


def test_with_everything_set_it_starts():
    started = start()
    assert started.returncode == 0, started.stderr


@pytest.mark.parametrize("name", sorted(PRODUCTION))
def test_without_a_required_setting_it_does_not_start_and_says_which(name):
    stopped = start(**{name: None})
    assert stopped.returncode != 0
    said = stopped.stderr.strip().splitlines()[-1]
    assert f"{name} is not set: " in said
    assert said.endswith("See docs/install.md.")


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"COUNTERSIGN_DEMO": "1"}, "COUNTERSIGN_DEMO shows one-time codes on the log-in page: it runs on the embedded servers only."),
        ({"DATABASE_URL": "sqlite:///rows.db"}, "DATABASE_URL must name a PostgreSQL database"),
        ({"DATABASE_URL": PRODUCTION["MIGRATE_DATABASE_URL"]}, "the portal may not own its tables"),
        ({"DATABASE_URL": "postgresql://postgres:secret@db.example.org/countersign"}, "the portal may not own its tables"),
        ({"SECRET_KEY": "short"}, "SECRET_KEY is too short"),
        ({"SEED_KEYS": "not hex"}, "SEED_KEYS must be"),
        ({"SEED_KEYS": "0f0f"}, "SEED_KEYS must be"),
        ({"ALLOWED_HOSTS": "*"}, "ALLOWED_HOSTS"),
        ({"COUNTERSIGN_EMBEDDED": "1"}, "COUNTERSIGN_EMBEDDED"),
        ({"OIDC_ISSUER": "https://id.example.org"}, "Set OIDC_ISSUER, OIDC_CLIENT_ID and OIDC_CLIENT_SECRET, or none of them."),
        ({"CLOUDTRAIL_QUEUE_URL": "sqs.eu-central-1.amazonaws.com/1/logs"}, "CLOUDTRAIL_QUEUE_URL must be the URL of a standard queue"),
        ({"CLOUDTRAIL_LEASE_SECONDS": "0"}, "CLOUDTRAIL_LEASE_SECONDS must be 1 or more"),
        ({"OIDC_ISSUER": "http://id.example.org", "OIDC_CLIENT_ID": "a", "OIDC_CLIENT_SECRET": "b"}, "must begin with https://"),
    ],
)  # fmt: skip
def test_an_unsafe_setting_stops_the_start_and_says_why(values, sentence):
    stopped = start(**values)
    assert stopped.returncode != 0
    assert sentence in stopped.stderr.strip().splitlines()[-1]


def test_a_command_ends_with_the_sentence_and_no_traceback():
    stopped = run("manage.py", "check", SECRET_KEY=None)
    assert stopped.returncode == 1
    assert stopped.stderr.strip().startswith("SECRET_KEY is not set: ")
    assert "Traceback" not in stopped.stderr


@pytest.mark.parametrize("command", ["check", "migrate", "backup"])
def test_a_command_without_the_service_s_environment_stops_and_makes_no_servers(tmp_path, command):
    stopped = run("manage.py", command, DATABASE_URL=None, COUNTERSIGN_HOME=str(tmp_path))
    assert stopped.returncode == 1
    assert stopped.stderr.strip().startswith("DATABASE_URL is not set: ")
    assert list(tmp_path.iterdir()) == []


def test_the_deployment_check_is_clean():
    checked = run("manage.py", "check", "--deploy", "--fail-level", "WARNING")
    assert checked.returncode == 0, checked.stderr
    assert "no issues" in checked.stdout


def test_in_production_nothing_leaves_without_tls():
    shown = run("-c", "from portal import settings as s; print(s.SESSION_COOKIE_SECURE, s.CSRF_COOKIE_SECURE, "
                "s.SECURE_SSL_REDIRECT, s.SECURE_HSTS_SECONDS > 0, s.SESSION_COOKIE_NAME, s.DEBUG, s.DEMO)")  # fmt: skip
    assert shown.stdout.split() == ["True", "True", "True", "True", "__Host-session", "False", "False"]
