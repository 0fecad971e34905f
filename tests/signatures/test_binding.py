"""A signature cannot be moved, edited or copied unnoticed (11.70, §2 rows 8 and 14)."""

import hashlib
import json
import os
import uuid

import psycopg
import pytest
from django.db import connection
from django.db.utils import Error

from audit.canonical import canonical
from records.models import Version
from signatures import sealing
from signatures.checking import check, check_all
from signatures.models import Signature
from tests import acts, builders, cast
from tests.conftest import on_clone, template

FIELDS = [
    "format", "signature", "record", "title", "version", "version_id", "top_hash", "pins_sha256", "rendition_sha256", "signer",
    "printed_name", "role", "meaning", "sentence", "reason", "step", "signed_at", "components", "policy", "accountability", "about",
    "about_sha256", "outcome", "intent", "reviewed_to", "list_sha256", "previous", "key",
]  # fmt: skip
COLUMNS = {
    # column: what an attacker would write
    "printed_name": "Somebody Else", "role": "QA approver", "meaning": "approval", "sentence": "I approve.",
    "reason": "none", "signed_at": "2020-01-01T00:00:00Z", "components": "password + passkey", "top_hash": "0" * 64, "rendition_sha256": "0" * 64,
    "previous_sha256": "0" * 64, "reviewed_to": 1, "list_sha256": "0" * 64, "statement_sha256": "0" * 64,
}  # fmt: skip


def _sign() -> None:
    people = cast.Cast()
    acts.sign(people.reviewer, builders.a_document_in_review(people))


@pytest.fixture(scope="module")
def template_signed(template_people, django_db_blocker) -> str:
    with django_db_blocker.unblock():
        return template("signed", template_people, _sign)


@pytest.fixture
def people(template_signed, django_db_blocker):
    """The cast, of whom the reviewer has signed a document."""
    for _ in on_clone(template_signed, django_db_blocker):
        yield cast.Cast()


@pytest.fixture
def signature(people) -> Signature:
    return Signature.objects.get()


def fetched(pk: uuid.UUID) -> Signature:
    return Signature.objects.select_related("version__record", "key").get(pk=pk)


def behind_the_portals_back(sql: str, *values: object) -> None:
    """As somebody with the owner's password, who has switched the triggers off."""
    with psycopg.connect(os.environ["MIGRATE_DATABASE_URL"], autocommit=True) as owner:
        for table in ("signatures_signature", "signatures_step"):
            owner.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        owner.execute(sql, values)


def test_a_signature_that_nobody_touched_is_valid(signature):
    verdict = check(fetched(signature.pk))
    assert verdict.problems == []


def test_the_statement_names_every_field_that_is_bound(signature):
    assert sorted(json.loads(bytes(signature.statement))) == sorted(FIELDS)


@pytest.mark.compliance("§2.8", "11.70")
@pytest.mark.parametrize("field", FIELDS)
def test_row_8_a_statement_with_one_field_changed_is_found(signature, field):
    said = json.loads(bytes(signature.statement))
    said[field] = said[field] + 1 if isinstance(said[field], int) else said[field] + "x"
    forged = fetched(signature.pk)
    forged.statement = canonical(said)
    assert "The portal's seal does not fit the statement." in check(forged).problems
    forged.statement_sha256 = hashlib.sha256(forged.statement).hexdigest()
    assert not check(forged).valid


# Not so the title and the policy, which are held against nothing else: there the seal alone speaks.
@pytest.mark.compliance("§2.8", "11.70")
@pytest.mark.parametrize("field", sorted(set(FIELDS) - {"title", "policy"}))
def test_row_8_a_row_that_contradicts_a_well_sealed_statement_is_found(signature, field):
    said = json.loads(bytes(signature.statement))
    said[field] = said[field] + 1 if isinstance(said[field], int) else said[field] + "x"
    forged = fetched(signature.pk)
    forged.statement = canonical(said)
    forged.statement_sha256 = hashlib.sha256(forged.statement).hexdigest()
    forged.seal = sealing.seal(forged.statement)
    problems = check(forged).problems
    assert problems
    assert not [problem for problem in problems if "seal" in problem or "hash is not the one on file" in problem]


@pytest.mark.parametrize("raw", [b"", b"null", b"[]", b"{", b'{"a": 1}', b"\xff", b"[" * 100_000])
def test_a_statement_that_cannot_be_read_is_a_verdict_not_an_error(signature, raw):
    forged = fetched(signature.pk)
    forged.statement = raw
    assert "The statement cannot be read." in check(forged).problems


def test_a_key_that_cannot_be_read_is_a_verdict_not_an_error(signature):
    forged = fetched(signature.pk)
    forged.key.public_pem = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"
    assert not check(forged).valid


@pytest.mark.compliance("§2.8", "11.70")
@pytest.mark.parametrize("column", sorted(COLUMNS))
def test_row_8_a_column_edited_by_the_owner_of_the_tables_is_found(signature, column):
    behind_the_portals_back(
        f"UPDATE signatures_signature SET {column} = %s WHERE id = %s", COLUMNS[column], signature.pk
    )
    assert not check(fetched(signature.pk)).valid


@pytest.mark.compliance("11.70")
def test_11_70_a_signature_pointed_at_another_version_is_found(people, signature):
    other = builders.a_document_in_review(people)
    behind_the_portals_back("UPDATE signatures_signature SET version_id = %s WHERE id = %s", other.pk, signature.pk)
    problems = " ".join(check(fetched(signature.pk)).problems)
    assert "Record is not what was signed: it is “URS-0002” now." in problems
    assert "The version's top hash is not the one that was signed." in problems


def test_11_70_a_step_pointed_at_another_signature_is_found(people, signature):
    other = acts.sign(people.approver2, builders.a_document_in_review(people, reviewers=[people.approver2]))[0]
    behind_the_portals_back("UPDATE signatures_step SET signature_id = NULL WHERE signature_id = %s", other.pk)
    behind_the_portals_back(
        "UPDATE signatures_step SET signature_id = %s WHERE signature_id = %s", other.pk, signature.pk
    )
    assert not check(fetched(other.pk)).valid
    assert not check(fetched(signature.pk)).valid


@pytest.mark.compliance("11.70")
def test_11_70_a_copied_row_is_refused_by_the_database_or_found(people, signature):
    other = builders.a_document_in_review(people)
    copy = "INSERT INTO signatures_signature SELECT (jsonb_populate_record(s, %s::jsonb)).* FROM signatures_signature s WHERE id = %s"
    fresh = {"id": str(uuid.uuid4()), "version_id": str(other.pk)}
    intent = acts.intend(other, people.reviewer, acts.sitting(people.reviewer), other.steps.first())
    with pytest.raises(psycopg.errors.UniqueViolation):
        behind_the_portals_back(copy, json.dumps(fresh), signature.pk)
    fresh |= {"intent_id": str(intent.pk), "statement_sha256": "1" * 64, "previous_sha256": "2" * 64}
    behind_the_portals_back(copy, json.dumps(fresh), signature.pk)
    problems = " ".join(check(fetched(uuid.UUID(fresh["id"]))).problems)
    assert "Signature is not what was signed" in problems
    assert "Version id is not what was signed" in problems


def test_a_signature_taken_out_of_the_signers_row_is_missed_by_the_next_one(people, signature, ticking):
    ticking.next_code()
    later = acts.sign(people.reviewer, builders.a_document_in_review(people))[0]
    assert check(fetched(later.pk)).valid
    behind_the_portals_back("UPDATE signatures_step SET signature_id = NULL WHERE signature_id = %s", signature.pk)
    behind_the_portals_back("DELETE FROM signatures_signature WHERE id = %s", signature.pk)
    assert "The signer's signature before this one, which it names, is missing." in check(fetched(later.pk)).problems


def test_a_version_changed_behind_its_signature_is_found(signature):
    with psycopg.connect(os.environ["MIGRATE_DATABASE_URL"]) as owner:
        owner.execute("ALTER TABLE records_version DISABLE TRIGGER USER")
        owner.execute("UPDATE records_version SET pins_sha256 = %s", ["0" * 64])
    assert "Pins sha256 is not what was signed" in " ".join(check(fetched(signature.pk)).problems)


@pytest.mark.compliance("§2.14", "S3")
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE signatures_signature SET reason = 'x'",
        "DELETE FROM signatures_signature",
        "TRUNCATE signatures_signature CASCADE",
    ],
)
def test_row_14_the_application_can_neither_change_nor_delete_a_signature(signature, statement):
    with pytest.raises(Error), connection.cursor() as cursor:
        cursor.execute(statement)
    assert Signature.objects.filter(pk=signature.pk, reason="").exists()


@pytest.mark.compliance("§2.14", "S3")
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE signatures_signature SET reason = 'x'",
        "DELETE FROM signatures_signature",
        "TRUNCATE signatures_signature CASCADE",
    ],
)
def test_row_14_nor_can_the_owner_of_the_table(signature, statement):
    with psycopg.connect(os.environ["MIGRATE_DATABASE_URL"]) as owner, pytest.raises(psycopg.Error):
        owner.execute(statement)
    assert Signature.objects.filter(pk=signature.pk, reason="").exists()


@pytest.mark.compliance("§2.20")
def test_row_20_a_person_who_signed_cannot_be_removed(people, signature):
    from django.db.models import ProtectedError

    with pytest.raises((ProtectedError, Error)):
        people.reviewer.delete()


def test_a_signature_written_by_hand_without_its_entry_is_refused_at_commit(people, signature):
    from django.db import IntegrityError, transaction

    other = builders.a_document_in_review(people)
    intent = acts.intend(other, people.approver, acts.sitting(people.approver), other.steps.first())
    forged = fetched(signature.pk)
    forged.pk, forged.version, forged.signer, forged.intent = uuid.uuid4(), other, people.approver, intent
    forged.statement_sha256, forged.previous_sha256 = "3" * 64, ""
    with pytest.raises(IntegrityError, match="unrecorded change"), transaction.atomic():
        forged.save(force_insert=True)


def test_the_verdicts_of_many_signatures_take_a_constant_number_of_queries(people, ticking):
    from django.test.utils import CaptureQueriesContext

    counts = []
    for _ in range(2):
        acts.sign(people.reviewer, *[builders.a_document_in_review(people) for _ in range(3)])
        ticking.next_code()
        rows = list(Signature.objects.select_related("version__record", "key", "about"))
        with CaptureQueriesContext(connection) as queries:
            assert all(verdict.valid for verdict in check_all(rows).values())
        counts.append(len(queries))
    assert counts == [5, 5]
    assert Version.objects.count() == 7
