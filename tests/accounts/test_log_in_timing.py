"""Whoever measures how long a refused log-in takes does not learn who has an account."""

import statistics
import time
from collections.abc import Iterator

import psycopg
import pytest
import requests
from django.contrib.auth.hashers import Argon2PasswordHasher
from django.db import transaction

from accounts.models import User
from audit import trail
from audit.actions import Action
from tests import conftest
from tests.browser.site import Site, on, site_on
from tests.cast import PASSWORD

TRIES = 500
FULL_PRICE = {"time_cost": 2, "memory_cost": 102_400, "parallelism": 8}  # Django's own, which tests make cheap


@pytest.fixture
def site(template_people, tmp_path, django_db_blocker, monkeypatch) -> Iterator[Site]:
    """The portal as it is served, with an account whose password costs what it costs outside of tests."""
    with django_db_blocker.unblock(), site_on(template_people, tmp_path) as running:
        for name, value in FULL_PRICE.items():
            monkeypatch.setattr(Argon2PasswordHasher, name, value)
        with on(running.database), transaction.atomic():
            author = User.objects.get(username="author")
            author.set_password(PASSWORD)
            author.save(update_fields=["password"])
            trail.record(Action.PASSWORD_CHANGED, author, by=author)
        yield running


@pytest.mark.long
@pytest.mark.compliance("§2.6", "11.300(d)")
def test_compliance_a_refused_log_in_takes_as_long_for_known_and_unknown_names(site):
    browser = requests.Session()
    browser.get(f"{site.url}/login/", timeout=10)
    token = {"csrfmiddlewaretoken": browser.cookies["csrf"]}
    seconds: dict[str, list[float]] = {"author": [], "nobody": []}
    with psycopg.connect(conftest.SERVERS.url(site.database, "postgres"), autocommit=True) as owner:
        for count in range(TRIES):
            if count % 4 == 0:  # no lock-out: a locked name is answered at once, whoever has it
                owner.execute("DELETE FROM accounts_lockout")
            for name in sorted(seconds, reverse=bool(count % 2)):
                started = time.perf_counter()
                answer = browser.post(
                    f"{site.url}/login/", {"username": name, "password": "x", "code": "000000", **token}, timeout=60
                )
                seconds[name].append(time.perf_counter() - started)
                assert answer.status_code == 403 and "do not fit together" in answer.text
    known, unknown = (statistics.median(seconds[name]) for name in ("author", "nobody"))
    assert abs(known / unknown - 1) <= 0.05, f"known {known:.4f} s, unknown {unknown:.4f} s"
