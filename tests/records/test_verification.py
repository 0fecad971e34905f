"""A change behind the portal's back is named, whatever it is; what could not be read is never called unchanged."""

import json
from io import StringIO

import pytest
from django.conf import settings
from django.core.management import call_command

from audit import rows, trail
from audit.actions import Action
from audit.models import Entry
from records import tasks, verification
from records.models import Verification
from standin.process import StandIn
from storage import s3
from tests.conftest import superuser
from tests.firm import register

TABLES = ("records_version", "records_file", "records_effectivity", "signatures_signature", "signatures_step")


def verify_version(number="KRAS-001", ordinal=1):
    """Exit code and what the command says of a version."""
    out = StringIO()
    try:
        call_command("verify_version", number, str(ordinal), "--json", stdout=out)
        code = 0
    except SystemExit as ended:
        code = ended.code
    return code, json.loads(out.getvalue())


def own_version(firm):
    """Version 3, whose bytes are this test's alone: other tests read those of the first two meanwhile."""
    return register(firm.kras, 1, 3, by=firm.operator)


def as_dba(database, statement, *values):
    with superuser(database) as connection:
        connection.execute("SET session_replication_role = replica")
        for table in TABLES:
            connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
        return connection.execute(statement, values).rowcount


@pytest.fixture
def database(firm):
    from django.db import connection

    return connection.settings_dict["NAME"]


def test_an_untouched_version_is_unchanged_and_the_reading_is_kept(firm):
    code, said = verify_version()
    assert (code, said["outcome"], said["findings"]) == (0, "unchanged", [])
    kept = Verification.objects.get(version=firm.version("KRAS-001"))
    assert kept.bytes_read == sum(file.size for file in kept.version.files.all()) == said["bytes_read"]
    assert Entry.objects.filter(action=Action.VERSION_VERIFIED, subject_id=str(kept.version_id)).count() == 1


@pytest.mark.compliance("11.10(a)")
def test_one_byte_changed_on_s3_is_named(firm):
    file = own_version(firm).files.get(logical_key="qc/report.pdf")
    standin = StandIn(settings.S3_ENDPOINT_URL)
    standin.tamper(file.bucket, file.key, file.s3_version, offset=9)
    try:
        code, said = verify_version(ordinal=3)
    finally:
        standin.tamper(file.bucket, file.key, file.s3_version, offset=9)  # the same bit again: as it was
    assert (code, said["outcome"]) == (1, "changed")
    assert len(said["findings"]) == 1 and said["findings"][0].startswith("qc/report.pdf: ")
    assert file.sha256 in said["findings"][0]
    assert Entry.objects.filter(action=Action.VERSION_ALTERED).count() == 1
    assert verify_version(ordinal=3)[0] == 0


@pytest.mark.compliance("11.10(a)", "§2.9")
def test_a_changed_rendition_is_named(firm):
    pin = own_version(firm).rendition
    standin = StandIn(settings.S3_ENDPOINT_URL)
    standin.tamper(pin["bucket"], pin["key"], pin["version_id"], offset=100)
    try:
        code, said = verify_version(ordinal=3)
    finally:
        standin.tamper(pin["bucket"], pin["key"], pin["version_id"], offset=100)
    assert (code, said["outcome"]) == (1, "changed")
    assert said["findings"][0].startswith("The rendition that was signed: ")


COLUMNS = [
    ("records_version", "message", "'another reason'"),
    ("records_version", "metadata", """'{"run_id": "RUN-9999"}'"""),
    ("records_version", "author_id", "(SELECT id FROM accounts_user WHERE username = 'scientist')"),
    ("records_version", "state", "'rejected'"),
    ("records_version", "created_at", "created_at - interval '1 day'"),
    ("records_version", "contributors", "'[]'"),
    ("records_version", "top_hash", "repeat('0', 64)"),
    ("records_version", "pins_sha256", "repeat('0', 64)"),
    ("records_version", "manifest", r"'\x00'"),
    ("records_file", "size", "size + 1"),
    ("records_file", "sha256", "repeat('0', 64)"),
    ("records_file", "media_type", "'text/html'"),
    ("signatures_signature", "printed_name", "'Somebody else'"),
    ("signatures_signature", "signed_at", "signed_at - interval '1 day'"),
    ("signatures_step", "sentence", "'I promise nothing.'"),
]


@pytest.mark.compliance("11.10(a)")
@pytest.mark.parametrize(("table", "column", "value"), COLUMNS)
def test_one_column_of_one_row_changed_by_a_superuser_is_named(firm, database, table, column, value):
    version = firm.version("KRAS-001")
    where = "id" if table == "records_version" else "version_id"
    as_dba(
        database,
        f"UPDATE {table} SET {column} = {value} WHERE id = (SELECT id FROM {table} WHERE {where} = %s ORDER BY 1 LIMIT 1)",
        version.pk,
    )
    code, said = verify_version()
    assert (code, said["outcome"]) == (1, "changed")
    assert any(line.startswith(f"{table}: the column {column} of row ") for line in said["findings"]), said["findings"]


@pytest.mark.compliance("11.10(a)", "§2.26")
@pytest.mark.parametrize("table", ["records_file", "signatures_signature", "signatures_step"])
def test_a_row_taken_away_by_a_superuser_is_named(firm, database, table):
    version = firm.version("KRAS-001")
    assert as_dba(database, f"DELETE FROM {table} WHERE version_id = %s", version.pk)
    code, said = verify_version()
    assert code == 1
    assert any(f"{table}: the row " in line and line.endswith("is gone.") for line in said["findings"])


@pytest.mark.compliance("§2.26")
def test_a_file_row_put_there_by_a_superuser_is_named(firm, database):
    as_dba(
        database,
        "INSERT INTO records_file (version_id, ordinal, logical_key, bucket, key, s3_version, size, sha256, media_type)"
        " SELECT version_id, 99, 'extra.txt', bucket, key, s3_version, size, sha256, '' FROM records_file"
        " WHERE version_id = %s LIMIT 1",
        firm.version("KRAS-001").pk,
    )
    code, said = verify_version()
    assert code == 1
    assert "The row of file extra.txt differs from the manifest." in said["findings"]


def test_the_trail_knows_every_row_about_a_version_as_it_is(firm):
    for version in (firm.version("KRAS-001"), firm.version("KRAS-001", 2), firm.version("SOP-0001")):
        assert rows.differences("version", str(version.pk)) == []


def test_s3_that_cannot_be_reached_is_not_called_unchanged(firm, settings):
    settings.S3_ENDPOINT_URL = "http://127.0.0.1:9"
    code, said = verify_version()
    assert (code, said["outcome"]) == (1, "unreachable")
    assert all("could not be reached" in line for line in said["findings"])
    assert not Entry.objects.filter(action=Action.VERSION_ALTERED).exists()


def test_an_object_version_that_is_gone_counts_as_changed(firm, monkeypatch):
    def gone(*asked):
        raise s3.ObjectGone("it is not there.")

    monkeypatch.setattr(s3, "digest", gone)
    found = verification.verify(firm.version("KRAS-001"), by=trail.SYSTEM)
    assert found.outcome == "changed"
    assert any("the sealed object version is gone from S3" in line for line in found.findings)


def test_a_newer_object_version_or_a_delete_marker_is_told_and_is_no_change(firm):
    version = firm.version("KRAS-001", 2)
    readme, report = version.files.get(logical_key="README.md"), version.files.get(logical_key="qc/report.pdf")
    s3.client().put_object(Bucket=readme.bucket, Key=readme.key, Body=b"newer")
    s3.client().delete_object(Bucket=report.bucket, Key=report.key)
    code, said = verify_version(ordinal=2)
    told = {file["logical_key"]: file["newer"] for file in said["files"] if file["newer"]}
    assert (code, said["outcome"]) == (0, "unchanged")
    assert told["qc/report.pdf"] == "a delete marker"
    assert told["README.md"].startswith("a newer object version of ")


def test_the_lock_of_every_file_is_read(firm):
    found = verification.verify(firm.version("KRAS-001"), by=trail.SYSTEM)
    assert {file["lock_mode"] for file in found.files} <= {"", "COMPLIANCE", "GOVERNANCE"}


@pytest.mark.compliance("11.10(a)")
def test_the_night_asks_once_a_day_for_every_approved_version(firm, ticking):
    from jobs import queue
    from jobs.models import Job

    assert tasks.verify_all() == 4  # KRAS-001 version 1, the SOP, the definition and the URS
    for job in Job.objects.filter(kind="records.verify"):
        assert queue.run(job.pk).state == "done"
    assert tasks.verify_all() == 0
    ticking.advance(days=1)
    assert tasks.verify_all() == 4


def test_a_version_that_is_not_there_is_an_error_and_no_verdict(firm):
    from django.core.management import CommandError

    with pytest.raises(CommandError, match="no version 9 of KRAS-001"):
        call_command("verify_version", "KRAS-001", "9")
