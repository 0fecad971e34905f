"""/healthz: what it answers while parts of the portal are away."""

import time
from datetime import timedelta

import pytest
from django.test import Client
from kombu import Connection

from audit import clock
from jobs.models import Job
from portal.pages import health
from tests.conftest import point_at


@pytest.fixture
def parts(monkeypatch):
    """Replaces the questions to other servers: broker, worker and S3 answer unless the test says otherwise."""

    def set_to(**asks):
        for name in ("broker", "worker", "storage"):
            ask = asks.get(name, lambda: health._well("It answers."))
            monkeypatch.setattr(health, f"_{name}", health.Remembered(ask, f"The {name} does not answer."))

    set_to()
    return set_to


def asked():
    answer = Client().get("/healthz")
    return answer, answer.json()


def test_all_well_is_ok_and_asks_nobody_to_log_in(empty, parts):
    answer, body = asked()
    assert (answer.status_code, body["status"]) == (200, "ok")
    assert {part["status"] for part in body["parts"].values()} == {"ok"}
    assert "no-cache" in answer.headers["Cache-Control"]


def test_a_database_that_is_away_is_503_and_says_so(empty, parts):
    point_at("no_such_database")
    answer, body = asked()
    assert (answer.status_code, body["status"]) == (503, "down")
    assert body["parts"]["database"] == {"status": "away", "says": "The database does not answer."}
    assert "no_such_database" not in answer.content.decode()


def test_a_migration_that_was_not_applied_is_503(empty, parts, monkeypatch):
    known = health._known_migrations()
    monkeypatch.setattr(health, "_known_migrations", lambda: known | {("records", "0009_to_come")})
    answer, body = asked()
    assert (answer.status_code, body["parts"]["migrations"]["says"]) == (503, "1 migrations were not applied.")


def test_a_broker_that_is_away_degrades_and_does_not_stop_the_web(empty, parts):
    def ask():
        with Connection("redis://127.0.0.1:1/0") as held:
            held.ensure_connection(max_retries=1, timeout=1)

    parts(broker=ask)
    answer, body = asked()
    assert (answer.status_code, body["status"]) == (200, "degraded")
    assert body["parts"]["broker"] == {"status": "away", "says": "The broker does not answer."}
    assert "127.0.0.1" not in answer.content.decode()


def test_s3_that_is_away_degrades(empty, parts, settings):
    settings.WORM_BUCKET = "a-bucket-that-is-not-there"
    parts(storage=health._ask_storage)
    answer, body = asked()
    assert (answer.status_code, body["status"], body["parts"]["storage"]["status"]) == (200, "degraded", "away")


def test_a_part_that_hangs_is_waited_for_shortly_and_asked_once(empty, parts, monkeypatch):
    monkeypatch.setattr(health, "PATIENCE", 0.05)
    asks = []

    def hang():
        asks.append(1)
        time.sleep(0.3)
        return health._well("It answers.")

    parts(storage=hang)
    assert asked()[1]["parts"]["storage"]["status"] == "away"
    assert asked()[1]["parts"]["storage"]["status"] == "away"
    time.sleep(0.4)
    assert asked()[1]["parts"]["storage"]["status"] == "ok"
    assert asks == [1]


def test_a_worker_is_seen_by_what_it_finished_lately(empty, parts):
    parts(worker=lambda: health._away("No worker answers."))
    assert asked()[1]["parts"]["worker"]["status"] == "away"
    job = Job.objects.create(kind="x", key="x", state="done", attempts=1, finished_at=clock.now())
    assert asked()[1]["parts"]["worker"]["status"] == "ok"
    Job.objects.filter(pk=job.pk).update(finished_at=clock.now() - timedelta(minutes=3))
    health._worker._answer = None
    assert asked()[1]["parts"]["worker"]["status"] == "away"
    Job.objects.filter(pk=job.pk).update(state="running", lease_until=clock.now() + timedelta(minutes=1))
    assert asked()[1]["parts"]["worker"]["status"] == "ok"


def test_the_real_broker_and_store_of_the_tests_answer(people, parts):
    from tests.builders import keep

    keep(b"the bucket is made")
    parts(broker=health._ask_broker, storage=health._ask_storage)
    assert asked()[1]["status"] == "ok"
