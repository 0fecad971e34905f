"""Real processes are killed at each place of an act, connections are cut: nothing is lost, nothing is done twice (§4)."""

import os
import signal
import subprocess
import sys
from contextlib import contextmanager

import psycopg
import pytest
from django.db import OperationalError, connection

from audit import chain
from audit.models import Entry
from jobs import queue
from jobs.models import Job
from portal import handlers
from records import registration
from records.models import Verification, Version
from signatures import signing
from signatures.models import Intent, Signature
from tests import acts, builders, conftest
from tests.conftest import superuser
from tests.firm import RECORDS_BUCKET, metadata, put_package

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


# In the signing: before the transaction, in it before and after the row, and before its commit.
IN_A_SIGNING = [
    "signatures.intents:use:after",
    "signatures.signing:_write:before",
    "signatures.signing:_write:after",
    "signatures.transitions:_consequence:after",
]


@pytest.mark.long
@pytest.mark.compliance("F1", "F25", "§2.24")
@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "ended"])
@pytest.mark.parametrize("place", IN_A_SIGNING)
def test_a_signing_that_is_cut_off_leaves_no_signature_and_its_code_stays_spent(people, ticking, place, by):
    version = builders.a_document_in_review(people)
    killed_at(place, "sign", str(version.pk), "reviewer", by=by)
    no_session_left_behind()
    assert not Signature.objects.exists()
    assert not Entry.objects.filter(action="signature.applied").exists()
    device = people.reviewer.devices.get()
    assert device.last_step > 0, "the code that was typed is spent"
    ticking.next_code()
    acts.sign(people.reviewer, version)
    assert Signature.objects.count() == 1
    assert Intent.objects.filter(used_at__isnull=False).count() == 2
    assert chain.walk().fault is None


@pytest.mark.long
@pytest.mark.compliance("F1")
@pytest.mark.parametrize(
    "place",
    [
        "records.registration:seal:before",
        "records.registration:seal:after",
        "jobs.queue:_finish:before",
    ],
)
def test_a_registration_whose_worker_is_killed_is_made_once(firm, ticking, place):
    found = registration.look(RECORDS_BUCKET, put_package(1, 3), by=firm.operator)
    job = handlers.ask_to_register(firm.kras, found.entries, metadata(1, 3), message="By job", by=firm.operator)
    before = Version.objects.count()
    killed_at(place, "job", str(job.pk))
    no_session_left_behind()
    assert Job.objects.get(pk=job.pk).state == Job.State.RUNNING
    assert queue.run(job.pk) is None, "its lease still runs"
    ticking.advance(hours=1)
    assert queue.run(job.pk).state == Job.State.DONE
    assert Version.objects.count() == before + 1
    assert chain.walk().fault is None


@pytest.mark.long
@pytest.mark.compliance("F1")
@pytest.mark.parametrize("place", ["records.verification:_keep:before", "jobs.queue:_finish:before"])
def test_a_verification_whose_worker_is_killed_is_kept_once(firm, ticking, place):
    job = handlers.ask_to_verify(firm.version("KRAS-001"), by=firm.inspector)
    killed_at(place, "job", str(job.pk))
    no_session_left_behind()
    ticking.advance(hours=1)
    assert queue.run(job.pk).state == Job.State.DONE
    assert Verification.objects.count() == 1


@pytest.mark.compliance("F4")
def test_a_signing_whose_connection_is_cut_signs_nothing_and_the_next_one_works(people, ticking, monkeypatch):
    version = builders.a_document_in_review(people)
    write = signing._write

    def cut(*args):
        made = write(*args)
        with superuser() as server:
            server.execute("SELECT pg_terminate_backend(%s, 5000)", [connection.connection.info.backend_pid])
        return made

    monkeypatch.setattr(signing, "_write", cut)
    with pytest.raises((OperationalError, psycopg.OperationalError)):
        acts.sign(people.reviewer, version)
    connection.close()
    monkeypatch.undo()
    assert not Signature.objects.exists()
    ticking.next_code()
    acts.sign(people.reviewer, version)
    assert Signature.objects.count() == 1
    assert chain.walk().fault is None
