"""The proof of each signature goes under Object Lock after the commit, once, and again until it is there (11.70, S5)."""

import pytest
from asn1crypto import cms

from audit.models import Alarm, Entry
from jobs import queue
from jobs.models import Job
from signatures import archive, sealing
from signatures.models import Archived, Signature
from storage import s3, worm
from tests import acts, builders
from tests.signatures import judges

pytestmark = pytest.mark.compliance("11.70", "11.10(c)", "S5")


@pytest.fixture
def signature(people) -> Signature:
    return acts.sign(people.reviewer, builders.a_document_in_review(people))[0]


def run(signature: Signature) -> Job:
    done = queue.run(Job.objects.get(kind=archive.JOB, key=f"{archive.JOB}:{signature.pk}").pk)
    assert done is not None
    return done


def files(signature: Signature) -> dict[str, bytes]:
    return {name: worm.get(worm.Pin.from_json(pin)) for name, pin in signature.archived.pins.items()}


def test_compliance_the_proof_of_a_signature_lies_under_object_lock_and_openssl_checks_it(signature, tmp_path):
    assert run(signature).state == "done"
    signature.refresh_from_db()
    held = files(signature)
    assert held == {
        "statement.json": bytes(signature.statement),
        "seal.der": bytes(signature.seal),
        "portal-key.pem": signature.key.public_pem.encode(),
    }
    assert judges.openssl_statement(held["statement.json"], held["seal.der"], held["portal-key.pem"].decode(), tmp_path)
    for pin in map(worm.Pin.from_json, signature.archived.pins.values()):
        found = s3.head(pin.bucket, pin.key, pin.version_id)
        assert pin.key.startswith(f"signatures/{signature.pk}/")
        assert found.lock.mode == "COMPLIANCE" and (found.lock.until - signature.signed_at).days >= 3650
    entry = Entry.objects.get(action="signature.archived")
    assert entry.subject_id == str(signature.version_id) and entry.detail["signature"] == str(signature.pk)


def test_compliance_archiving_twice_writes_nothing_twice(signature, monkeypatch):
    with monkeypatch.context() as broken:  # killed after the bytes, before the row
        broken.setattr(Archived.objects.__class__, "get_or_create", lambda *_, **__: 1 / 0)
        assert run(signature).state == "failed"
    archive.ask(signature)
    assert run(signature).state == "done"
    archive.ask(signature)
    assert run(signature).state == "done"
    for name in archive.STATEMENT, archive.SEAL, archive.KEY:
        assert len(s3.versions("gxp-countersign", f"{archive.prefix(signature)}{name}")) == 1
    assert Entry.objects.filter(action="signature.archived").count() == 1


def test_compliance_a_store_that_is_away_is_asked_again_and_the_card_says_so(people, signature, settings, ticking):
    def page() -> str:
        return people.client(people.reviewer).get(f"/signatures/{signature.pk}/").content.decode()

    assert "its proof is on its way under Object Lock" in page()
    settings.WORM_BUCKET = "gxp-nowhere"
    assert run(signature).state == "failed"
    assert archive.ask_for_pending() == 0  # not at once again
    ticking.advance(minutes=20)
    assert "its proof is late on its way" in page()
    assert archive.ask_for_pending() == 1
    alarm = Alarm.objects.get(kind="statement_not_archived")
    assert alarm.subject_id == str(signature.version_id) and "is not under Object Lock yet" in alarm.sentence
    settings.WORM_BUCKET = "gxp-countersign"
    assert run(signature).state == "done"
    assert archive.ask_for_pending() == 0
    alarm.refresh_from_db()
    assert alarm.cleared_at and not alarm.acknowledged_at
    assert "proof under Object Lock since" in page()
    assert f"s3://gxp-countersign/signatures/{signature.pk}/statement.json version " in page()


def test_compliance_every_signature_asks_for_its_archive_in_its_own_transaction(people):
    version = builders.a_document_in_review(people)
    signature = acts.sign(people.reviewer, version)[0]
    assert Job.objects.filter(kind=archive.JOB, args__signature=str(signature.pk)).count() == 1


def test_compliance_a_time_stamp_dates_the_seal_in_the_archive(signature, tsa, tmp_path):
    assert run(signature).state == "done"
    signature.refresh_from_db()
    held = files(signature)
    token = cms.ContentInfo.load(held["timestamp.der"])
    assert token["content_type"].native == "signed_data"
    for name, data in held.items():
        (tmp_path / name).write_bytes(data)
    command = [
        "openssl",
        "ts",
        "-verify",
        "-token_in",
        "-in",
        tmp_path / "timestamp.der",
        "-CAfile",
        tmp_path / "timestamp-authority.pem",
    ]
    assert "Verification: OK" in judges.run(*command, "-data", tmp_path / "seal.der").stdout
    assert "Verification: OK" not in judges.run(*command, "-data", tmp_path / "statement.json").stdout


def test_compliance_an_authority_that_gives_no_time_stamp_leaves_the_archive_pending(signature, settings, tsa_process):
    settings.TSA_URL, settings.TSA_CERTIFICATES = "http://127.0.0.1:9/", tsa_process.certificate
    job = run(signature)
    assert (job.state, job.error) == ("failed", "The time-stamp authority does not answer (ConnectionError).")
    assert not Archived.objects.exists()
    assert sealing.holds(signature.key.public_pem, bytes(signature.statement), bytes(signature.seal))
