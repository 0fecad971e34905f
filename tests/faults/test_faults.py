"""Real processes are killed at each place of an act, connections are cut: nothing is lost, nothing is done twice (§4)."""

import os
import signal

import psycopg
import pytest
from django.db import OperationalError, close_old_connections, connection, transaction

from accounts.models import Area
from audit import chain, trail
from audit.actions import Action
from audit.models import Entry, RowChange
from jobs import queue
from jobs.models import Job
from portal import handlers
from records import registration
from records.models import Verification, Version
from signatures import signing
from signatures.models import Intent, Signature
from tests import acts, builders
from tests.conftest import superuser
from tests.faults.killing import killed_at, no_session_left_behind, restart, standing_at
from tests.firm import RECORDS_BUCKET, metadata, put_package

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


@pytest.mark.long
@pytest.mark.compliance("F5")
def test_a_database_that_restarts_in_a_signing_signs_nothing_and_work_goes_on_unaided(people, ticking):
    version = builders.a_document_in_review(people)
    reader = people.client(people.reviewer)
    with standing_at("signatures.signing:_write:after", "sign", str(version.pk), "reviewer"):
        restart()
    close_old_connections()  # as a server does at the beginning of each request
    assert reader.get(f"/documents/{version.record.number}/").status_code == 200
    assert not Signature.objects.exists()
    ticking.next_code()
    acts.sign(people.reviewer, version)
    assert Signature.objects.count() == 1
    assert chain.walk().fault is None


@pytest.mark.long
@pytest.mark.compliance("F6", "11.10(e)")
def test_an_audit_store_that_is_full_refuses_changes_loses_nothing_and_reading_goes_on(small_disk, people):
    database = connection.settings_dict["NAME"]
    with superuser(database) as server:
        server.execute(f"CREATE TABLESPACE small LOCATION '{small_disk}'")
        server.execute("ALTER TABLE audit_rowchange SET TABLESPACE small")
    office = people.client(people.administrator)
    for size in (20_000, 100):
        with pytest.raises(OperationalError, match="No space left"):
            fill(people, size)
    form = {
        "name": people.laboratory.name,
        "description": "Does it still fit?",
        "reason": "Nothing of this fits the disk",
    }
    answer = office.post(f"/people/areas/{people.laboratory.pk}/", form)
    assert answer.status_code == 503
    assert "disk is full" in answer.content.decode()
    kept = RowChange.objects.filter(table="accounts_area").latest("id").new["description"]
    assert Area.objects.get(pk=people.laboratory.pk).description == kept, "what is not on the trail was not done"
    assert office.get("/people/areas/").status_code == 200
    assert chain.walk().fault is None
    connection.close()
    with superuser(database) as server:
        server.execute("ALTER TABLE audit_rowchange SET TABLESPACE pg_default")
        server.execute("DROP TABLESPACE small")


def fill(people, size: int) -> None:
    """Changes of so many random bytes, recorded, until there is no room for one more."""
    for _ in range(100_000):
        with transaction.atomic():
            people.laboratory.description = os.urandom(size).hex()
            people.laboratory.save()
            trail.record(Action.AREA_CHANGED, people.laboratory, by=people.administrator)
