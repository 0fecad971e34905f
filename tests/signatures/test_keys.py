"""Keys of the portal: rotated without loss, and never done without (§4 F27, §2.21, 11.70)."""

import io
import os

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from moto.server import ThreadedMotoServer

from accounts import codes, seeds
from accounts.identity import NotConfirmed
from accounts.models import CodeDevice
from audit.models import Entry
from signatures import sealing
from signatures.checking import check
from signatures.models import Intent, PortalKey, Signature
from storage import kms
from tests import acts, builders
from tests.signatures import judges
from tests.signatures.test_binding import fetched

REGION = "eu-central-1"


@pytest.fixture
def own_key(settings, tmp_path):
    """The key of this test alone, so that rotating it disturbs nobody."""
    settings.SIGNING_KEY_FILE = tmp_path / "signing-key.pem"
    return settings.SIGNING_KEY_FILE


@pytest.fixture(scope="session")
def kms_server():
    """AWS KMS as moto plays it, as a server of its own."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture
def kms_key(kms_server, settings) -> str:
    settings.KMS_ENDPOINT_URL = kms_server
    made = kms._client(kms_server, REGION).create_key(KeyUsage="SIGN_VERIFY", KeySpec="ECC_NIST_P256")
    settings.SIGNING_KEY = f"kms:{made['KeyMetadata']['Arn']}"
    return made["KeyMetadata"]["Arn"]


def sign(people, ticking) -> Signature:
    ticking.next_code()
    return fetched(acts.sign(people.reviewer, builders.a_document_in_review(people))[0].pk)


def command(*arguments: str) -> str:
    out = io.StringIO()
    call_command("rotate_key", *arguments, stdout=out)
    return out.getvalue()


@pytest.mark.compliance("11.70", "S5")
def test_compliance_after_the_signing_key_is_rotated_old_signatures_verify_and_new_ones_name_the_new_key(
    people, own_key, ticking
):
    before = sign(people, ticking)
    old_private = own_key.read_bytes()
    said = command("signing")
    after = sign(people, ticking)
    assert before.key_id != after.key_id and before.key_id in said and after.key_id in said
    assert check(fetched(before.pk)).valid and check(after).valid
    entry = Entry.objects.get(action="key.rotated")
    assert (entry.subject_id, entry.detail) == (after.key_id, {"instead_of": before.key_id})
    assert Entry.objects.filter(action="key.registered", subject_id=after.key_id).count() == 1
    assert oct(own_key.stat().st_mode)[-3:] == "600"
    assert [old_private in path.read_bytes() for path in own_key.parent.iterdir()] == [False]


@pytest.mark.compliance("11.70", "F25")
def test_compliance_a_rotation_that_is_cut_off_leaves_the_old_key_in_use(people, own_key, ticking, monkeypatch):
    before = sign(people, ticking)
    with monkeypatch.context() as cut, pytest.raises(KeyboardInterrupt):
        cut.setattr(sealing, "write_privately", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        sealing.rotate()
    assert sign(people, ticking).key_id == before.key_id
    sealing.rotate()
    assert sign(people, ticking).key_id not in (before.key_id, "")
    assert PortalKey.objects.filter(pk=before.key_id).exists()


@pytest.mark.compliance("11.70")
def test_compliance_a_statement_is_never_sealed_by_another_key_than_it_names(people, own_key):
    named = sealing.ensure_key()
    sealing.rotate()
    with pytest.raises(sealing.NoKey, match="was changed a moment ago"):
        sealing.seal(b"statement", named)


@pytest.mark.compliance("§2.21", "11.300(c)")
def test_compliance_every_seed_is_encrypted_anew_and_the_old_key_is_needed_no_more(people, settings):
    old, new = settings.SEED_KEYS[0], os.urandom(32)
    device = CodeDevice.objects.get(user=people.reviewer)
    shown = codes.secret(device)
    settings.SEED_KEYS = [new, old]
    total = CodeDevice.objects.count()
    assert (
        command("seeds") == f"Encrypted anew: {total}. Already so: 0. The 1 older of SEED_KEYS can be taken away now.\n"
    )
    settings.SEED_KEYS = [new]
    device.refresh_from_db()
    assert codes.secret(device) == shown
    assert command("seeds") == f"Encrypted anew: 0. Already so: {total}.\n"
    assert Entry.objects.filter(action="code.encrypted").count() == total
    settings.SEED_KEYS = [old]
    with pytest.raises(CommandError, match=f"opens the seeds of {total} devices"):
        command("seeds")


@pytest.mark.compliance("§2.21", "F25")
def test_compliance_a_rotation_of_seeds_that_is_cut_off_goes_on_where_it_was(people, settings, monkeypatch):
    settings.SEED_KEYS = [os.urandom(32), settings.SEED_KEYS[0]]
    real, calls = seeds.encrypt, []

    def cut_off(*arguments):
        calls.append(arguments)
        if len(calls) > 3:
            raise KeyboardInterrupt
        return real(*arguments)

    with monkeypatch.context() as killed, pytest.raises(KeyboardInterrupt):
        killed.setattr(seeds, "encrypt", cut_off)
        command("seeds")
    assert "Already so: 3." in command("seeds")
    assert all(seeds.is_current(device.seed, device.pk) for device in CodeDevice.objects.all())


@pytest.mark.compliance("11.70", "S5")
def test_compliance_a_key_of_kms_seals_and_openssl_verifies(people, kms_key, ticking, tmp_path):
    signature = sign(people, ticking)
    assert check(signature).valid
    assert judges.openssl_statement(
        bytes(signature.statement), bytes(signature.seal), signature.key.public_pem, tmp_path
    )
    with pytest.raises(CommandError, match="make a new one there"):
        command("signing")


@pytest.mark.compliance("F27")
def test_compliance_f27_a_kms_that_is_away_refuses_signing_before_a_code_is_spent(people, kms_key, ticking, settings):
    version = builders.a_document_in_review(people)
    ticking.next_code()
    settings.KMS_ENDPOINT_URL = "http://127.0.0.1:9"
    with pytest.raises(sealing.NoKey, match="Signing is not possible now, and no code was spent"):
        acts.sign(people.reviewer, version)
    assert not Signature.objects.filter(version=version).exists()
    assert CodeDevice.objects.get(user=people.reviewer).last_step < codes.step_at(acts.clock.now())


@pytest.mark.compliance("F27")
def test_compliance_f27_a_key_that_was_disabled_refuses_signing_before_a_code_is_spent(
    people, kms_key, ticking, settings, monkeypatch
):
    version = builders.a_document_in_review(people)
    sealing.ensure_key()
    monkeypatch.setattr(
        kms, "sign", lambda *_: (_ for _ in ()).throw(kms.Unavailable("AWS KMS refuses the portal's key: disabled."))
    )
    ticking.next_code()
    with pytest.raises(sealing.NoKey, match="Nothing was signed: the portal cannot seal"):
        acts.sign(people.reviewer, version)
    assert CodeDevice.objects.get(user=people.reviewer).last_step < codes.step_at(acts.clock.now())
    assert not Intent.objects.filter(version=version, used_at__isnull=False).exists()


@pytest.mark.compliance("F27")
def test_compliance_f27_a_kms_that_fails_within_the_signing_leaves_nothing_signed(
    people, kms_key, ticking, monkeypatch
):
    version = builders.a_document_in_review(people)
    real, asked = kms.sign, []

    def once(*arguments):
        asked.append(arguments)
        if len(asked) > 1:
            raise kms.Unavailable("AWS KMS does not answer: timeout.")
        return real(*arguments)

    monkeypatch.setattr(kms, "sign", once)
    ticking.next_code()
    with pytest.raises(sealing.NoKey, match="Nothing was signed"):
        acts.sign(people.reviewer, version)
    assert len(asked) == 2
    assert not Signature.objects.filter(version=version).exists()
    assert not Entry.objects.filter(action="signature.applied", subject_id=str(version.pk)).exists()
    monkeypatch.setattr(kms, "sign", real)
    with pytest.raises(NotConfirmed, match="used already"):  # a spent code stays spent
        acts.sign(people.reviewer, version)
    ticking.next_code()
    assert check(fetched(acts.sign(people.reviewer, version)[0].pk)).valid


@pytest.mark.compliance("F27")
def test_compliance_f27_a_key_file_that_is_missing_in_production_refuses_signing(people, own_key, settings, ticking):
    version = builders.a_document_in_review(people)
    settings.EMBEDDED = False
    ticking.next_code()
    with pytest.raises(sealing.NoKey, match="the portal's key is not at"):
        acts.sign(people.reviewer, version)
    assert not own_key.exists()
    own_key.write_bytes(b"no key")
    with pytest.raises(sealing.NoKey, match="not a P-256 key"):
        acts.sign(people.reviewer, version)
