"""Backup and restore, drilled: everything comes back, every proof holds, and what is behind its anchors is read-only."""

import io
import json
import os
import stat
import subprocess
from contextlib import contextmanager
from dataclasses import replace

import psycopg
import pytest
from django.conf import settings
from django.contrib.sessions.models import Session
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction

from accounts.models import Area, Sitting
from audit import chain, checkpoints, rows, trail
from audit.models import Era
from portal import anchoring, backups
from signatures import checking
from signatures.models import Signature
from storage import anchors
from tests.conftest import embedded, superuser
from tests.firm import make_buckets
from tests.verifier.bench import act, at, database


@contextmanager
def empty_beside():
    """A new, empty database that the settings name, of the same origin; afterwards the one before again."""
    here, origin, name = database(), settings.TRAIL_ORIGIN, f"{database()}_restored"
    with superuser() as raw:
        raw.execute(f'CREATE DATABASE "{name}" OWNER {embedded.OWNER}')
    at(name, origin)
    try:
        yield
    finally:
        at(here, origin)
        with superuser() as raw:
            raw.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def everything():
    """By table, the number of its rows and a hash of them; as superuser, since partitions are closed to the application."""
    with superuser(database()) as raw:
        named = raw.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
        )
        tables = sorted(name for (name,) in named.fetchall())
        hashed = "SELECT count(*), md5(string_agg(t::text, ',' ORDER BY t::text)) FROM {} t"
        return {table: raw.execute(hashed.format(f'"{table}"')).fetchone() for table in tables}


@pytest.mark.compliance("11.10(c)", "F24")
def test_compliance_a_backup_brings_everything_back_and_every_proof_holds(firm, tmp_path):
    anchoring.checkpoint()
    call_command("backup", str(tmp_path / "night.dump"), stdout=io.StringIO())
    with pytest.raises(CommandError, match="there already"):
        call_command("backup", str(tmp_path / "night.dump"))
    with pytest.raises(CommandError, match="not empty"):
        call_command("restore", str(tmp_path / "night.dump"))
    before, head = everything(), checkpoints.head()
    with empty_beside():
        said = io.StringIO()
        call_command("restore", str(tmp_path / "night.dump"), stdout=said)
        assert "The database agrees with checkpoint 1" in said.getvalue()
        held = {
            "audit_entry",
            "audit_link",
            "audit_rowchange",
            "audit_alarm",
            "audit_era",
            "django_session",
            "accounts_sitting",
        }  # the comparison may have said something, and nobody is logged in any more
        after = everything()
        assert {name for name in before if before[name] != after[name]} <= held
        assert checkpoints.head()[0] >= head[0] and chain.walk().fault is None and trail.held() is None
        signatures = list(Signature.objects.select_related("key", "version__record__type"))
        assert signatures and all(verdict.valid for verdict in checking.check_all(signatures).values())
        checked = anchoring.check_database()
        assert all(checked.rights.values())
        assert [said for said in checked.rules.differences if "audit_now" not in said] == []
        with pytest.raises(IntegrityError, match="unrecorded"), transaction.atomic():
            Area.objects.filter(pk=firm.laboratory.pk).update(name="Unseen")
        act(firm)
        assert chain.walk().fault is None and Era.objects.count() in (0, 1)


@pytest.mark.compliance("F24")
def test_compliance_a_backup_that_is_behind_its_anchors_comes_back_read_only(people, tmp_path):
    make_buckets()
    anchoring.checkpoint()
    call_command("backup", str(tmp_path / "night.dump"), stdout=io.StringIO())
    act(people)
    anchoring.checkpoint()
    with empty_beside():
        with pytest.raises(CommandError, match="read-only until a restore report"):
            call_command("restore", str(tmp_path / "night.dump"), stdout=io.StringIO())
        with pytest.raises(trail.ReadOnly):
            act(people, "Not now")


def test_a_file_that_is_not_the_one_backed_up_is_not_restored(people, tmp_path):
    call_command("backup", str(tmp_path / "night.dump"), stdout=io.StringIO())
    dump = tmp_path / "night.dump"
    dump.write_bytes(dump.read_bytes()[:-1] + b"x")
    with empty_beside(), pytest.raises(CommandError, match="SHA-256"):
        call_command("restore", str(dump))
    (tmp_path / "night.dump.json").unlink()
    with empty_beside(), pytest.raises(CommandError, match="does not say"):
        call_command("restore", str(dump))


def restored(file):
    """What the command says, and the sentence with which it exits 1; "" where it exits 0."""
    said = io.StringIO()
    try:
        call_command("restore", str(file), stdout=said)
    except CommandError as error:
        return said.getvalue(), str(error)
    return said.getvalue(), ""


@pytest.mark.compliance("11.10(c)", "F24")
@pytest.mark.parametrize("other", [{"links": 999_999}, {"head": "beef" * 16}])
def test_compliance_a_restore_asks_the_database_what_was_restored_and_believes_no_file(people, tmp_path, other):
    make_buckets()
    anchoring.checkpoint()
    call_command("backup", str(tmp_path / "night.dump"), stdout=io.StringIO())
    beside = tmp_path / "night.dump.json"
    told = json.loads(beside.read_text())
    beside.write_text(json.dumps(told | other))
    with empty_beside():
        said, why = restored(tmp_path / "night.dump")
        assert said == "" and "is not what was backed up" in why
        assert f"{told['links']:,} links, head {told['head']}" in why
        assert f"{(told | other)['links']:,} links, head {(told | other)['head']}" in why


@pytest.mark.compliance("11.10(c)", "F24")
def test_compliance_a_restore_that_no_anchor_vouches_for_does_not_end_well(people, tmp_path):
    make_buckets()
    anchoring.checkpoint()
    call_command("backup", str(tmp_path / "night.dump"), stdout=io.StringIO())
    with empty_beside():
        settings.TRAIL_ORIGIN += "-mistyped"
        said, why = restored(tmp_path / "night.dump")
    assert "none of the checkpoints that the database names" in said
    assert "Let nobody work" in why


@pytest.mark.compliance("11.10(c)", "F24")
def test_compliance_a_restore_tells_what_is_doubtful_in_the_bucket_and_does_not_end_well(people, tmp_path):
    make_buckets()
    made = anchoring.checkpoint()
    call_command("backup", str(tmp_path / "night.dump"), stdout=io.StringIO())
    note = checkpoints.read(made.note.encode()).note
    other = replace(note, size=note.size - 1, head="00" * 32)
    key, signature = anchoring.PortalKeys().sign(other.body())
    anchors.configured().write(made.number, checkpoints.Signed(other, key[:8], signature).data(), now=made.at)
    with empty_beside():
        said, why = restored(tmp_path / "night.dump")
    assert "There are two checkpoints 1: somebody tells two histories." in said
    assert "Let nobody work" in why


@pytest.mark.compliance("11.10(d)", "11.10(c)")
def test_compliance_after_a_restore_no_cookie_of_before_opens_the_portal(people, tmp_path):
    """Who was logged in when the backup was made may have left the firm since."""
    make_buckets()
    anchoring.checkpoint()
    client = people.client(people.inspector)
    assert client.get("/audit/").status_code == 200
    session = Session.objects.get()
    call_command("backup", str(tmp_path / "night.dump"), stdout=io.StringIO())
    program = backups._program("pg_restore")
    made = subprocess.run([program, "--file=-", str(tmp_path / "night.dump")], capture_output=True, check=True).stdout
    assert session.session_key.encode() not in made, "nobody takes a log-in out of a backup"
    with empty_beside():
        assert restored(tmp_path / "night.dump")[1] == ""
        assert not Sitting.objects.filter(ended_at__isnull=True).exists()
        session.save(force_insert=True)  # as an older backup would have brought it back
        assert client.get("/audit/").status_code == 302


@pytest.mark.compliance("11.10(d)")
def test_compliance_sessions_that_an_older_backup_holds_are_emptied(people, tmp_path, monkeypatch):
    make_buckets()
    anchoring.checkpoint()
    people.client(people.inspector).get("/audit/")
    run = backups._run
    with monkeypatch.context() as older:
        older.setattr(backups, "_run", lambda *args: run(*(arg for arg in args if "django_session" not in arg)))
        call_command("backup", str(tmp_path / "night.dump"), stdout=io.StringIO())
    with empty_beside():
        assert restored(tmp_path / "night.dump")[1] == "" and not Session.objects.exists()


@pytest.mark.compliance("11.10(c)")
def test_compliance_a_backup_is_readable_by_its_owner_alone_from_its_first_byte_on(people, tmp_path, monkeypatch):
    run, seen = backups._run, []

    def look(program, *arguments):
        run(program, *arguments)
        seen.extend((path.name, stat.S_IMODE(path.stat().st_mode)) for path in tmp_path.iterdir())

    monkeypatch.setattr(backups, "_run", look)
    mask = os.umask(0o022)
    try:
        backups.backup(tmp_path / "night.dump")
    finally:
        os.umask(mask)
    assert seen == [("night.dump.part", 0o600)]
    assert stat.S_IMODE((tmp_path / "night.dump").stat().st_mode) == 0o600


def test_a_backup_that_fails_leaves_no_file_that_looks_whole(people, tmp_path, monkeypatch):
    def cut_off(program, *arguments):
        (tmp_path / "night.dump.part").write_bytes(b"half of it")
        raise backups.NotDone("pg_dump ended with 1: no space left")

    with monkeypatch.context() as full:
        full.setattr(backups, "_run", cut_off)
        with pytest.raises(CommandError, match="no space left"):
            call_command("backup", str(tmp_path / "night.dump"))
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(CommandError, match="cannot be written"):
        call_command("backup", str(tmp_path / "nowhere" / "night.dump"))
    (tmp_path / "night.dump.part").write_bytes(b"of one that was killed")
    backups.backup(tmp_path / "night.dump")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["night.dump", "night.dump.json"]


@contextmanager
def migrations(change, undo):
    """This release's database, as if it had seen other migrations."""
    with psycopg.connect(os.environ["MIGRATE_DATABASE_URL"]) as owner:
        owner.execute(change)
    yield
    with psycopg.connect(os.environ["MIGRATE_DATABASE_URL"]) as owner:
        owner.execute(undo)


@pytest.mark.compliance("11.10(c)", "11.10(a)")
def test_compliance_a_backup_of_an_older_release_is_migrated_before_it_is_compared(people, tmp_path):
    make_buckets()
    anchoring.checkpoint()
    unseen, seen = "DELETE FROM django_migrations WHERE app = 'sops'", "SELECT 1"
    with psycopg.connect(os.environ["MIGRATE_DATABASE_URL"]) as owner:
        rows_of = owner.execute("SELECT app, name, applied FROM django_migrations WHERE app = 'sops'").fetchall()
    with migrations(unseen, seen):
        call_command("backup", str(tmp_path / "night.dump"), stdout=io.StringIO())
    head = checkpoints.head()
    with empty_beside():
        said, why = restored(tmp_path / "night.dump")
        assert "by release 0.1.0, as its file says; this is release 0.1.0" in said
        assert "of an older release: run manage.py migrate, then manage.py compare_anchors" in why
        assert checkpoints.head() == head, "nothing is read or written by code of another release"
        with psycopg.connect(os.environ["MIGRATE_DATABASE_URL"]) as owner:
            owner.cursor().executemany(
                "INSERT INTO django_migrations (app, name, applied) VALUES (%s, %s, %s)", rows_of
            )
        compared = io.StringIO()
        call_command("compare_anchors", stdout=compared)
        assert "The database agrees with checkpoint 1" in compared.getvalue()
        settings.ANCHOR_BUCKET, bucket = "no-such-bucket", settings.ANCHOR_BUCKET
        try:
            with pytest.raises(CommandError, match="read-only until they can be"):
                call_command("compare_anchors")
        finally:
            settings.ANCHOR_BUCKET = bucket
        assert trail.held() is not None


@pytest.mark.compliance("11.10(a)")
def test_compliance_a_backup_of_a_newer_release_is_not_served(people, tmp_path):
    make_buckets()
    anchoring.checkpoint()
    newer = "INSERT INTO django_migrations (app, name, applied) VALUES ('audit', '9999_later', now())"
    with migrations(newer, "DELETE FROM django_migrations WHERE name = '9999_later'"):
        call_command("backup", str(tmp_path / "night.dump"), stdout=io.StringIO())
    with empty_beside():
        assert "does not know its migration audit 9999_later" in restored(tmp_path / "night.dump")[1]


@pytest.mark.compliance("11.10(c)", "11.10(a)")
def test_compliance_an_upgrade_over_sealed_rows_is_recorded_and_alters_no_proof(firm):
    """A release that adds a column to sealed versions and fills it: on the trail, and every seal holds as before."""
    anchoring.checkpoint()
    with psycopg.connect(os.environ["MIGRATE_DATABASE_URL"]) as owner:
        owner.execute("ALTER TABLE records_record ADD COLUMN shelf text NOT NULL DEFAULT ''")
    with psycopg.connect(os.environ["MIGRATE_DATABASE_URL"]) as owner:
        owner.execute(
            "INSERT INTO audit_entry (at, xact, actor, actor_name, actor_role, action, subject_kind, subject_id, subject_label,"
            " reason, request_id, detail) VALUES (now(), 1, 'system', 'Countersign', 'system', 'system.migrated', 'migration',"
            " 'shelf', 'shelf', '', '', '{}')"
        )
        owner.execute("UPDATE records_record SET shelf = 'A'")
    assert chain.walk().fault is None and anchoring.compare().state == "agrees"
    signatures = list(Signature.objects.select_related("key", "version__record__type"))
    assert signatures and all(verdict.valid for verdict in checking.check_all(signatures).values())
    assert rows.differences("record", str(firm.kras.pk)) == []
    with psycopg.connect(os.environ["DATABASE_URL"]) as application:
        application.execute("UPDATE records_record SET shelf = 'B'")
        with pytest.raises(psycopg.errors.IntegrityConstraintViolation, match="unrecorded"):
            application.commit()
