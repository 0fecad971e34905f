"""Checkpoints in the anchor bucket: made, checked, never smaller after larger; a database that does not agree is read-only."""

import hashlib
import os
import re
from datetime import timedelta

import psycopg
import pytest
from django.conf import settings
from django.db import transaction

from accounts.models import Area
from audit import checkpoints, trail
from audit.actions import Action
from audit.models import Alarm, Checkpoint, Entry, Link
from portal import anchoring
from storage import anchors, s3
from tests import firm as building
from tests.conftest import ROOT, superuser
from tests.verifier.bench import act, at, database, on_copy


@pytest.fixture
def anchored(people):
    """The cast with an anchor bucket and a first checkpoint in it."""
    building.make_buckets()
    anchoring.checkpoint()
    return people


@pytest.mark.compliance("11.10(e)")
def test_compliance_a_checkpoint_is_a_signed_note_under_lock_in_the_anchor_bucket(anchored):
    made = Checkpoint.objects.get()
    size, head = checkpoints.head()
    assert (made.number, made.size, bytes(made.head).hex()) == (1, size, head)
    bucket, key = made.place.split("/", 1)
    kept = s3.head(bucket, key, made.object_version)
    assert (kept.lock.mode, kept.lock.until is not None) == ("COMPLIANCE", True)
    assert kept.lock.until >= made.at + timedelta(days=3649)
    signed = checkpoints.read(b"".join(s3.stream(bucket, key, made.object_version)))
    assert signed.data().decode() == made.note
    assert signed.note == checkpoints.Note(settings.TRAIL_ORIGIN, size, head, 1, made.at, "")
    assert (made.key[:8], len(made.key)) == (signed.hint, 64)
    assert timedelta() <= kept.lock.until - made.kept_until < timedelta(seconds=1)
    assert anchoring.PortalKeys().holds(signed.hint, signed.note.body(), signed.signature)
    assert not anchoring.PortalKeys().holds(signed.hint, signed.note.body() + b" ", signed.signature)
    assert anchors.configured().account.key_id != settings.S3_ACCESS_KEY_ID


def test_checkpoints_are_numbered_and_name_the_one_before(anchored):
    act(anchored)
    second = anchoring.checkpoint()
    third = anchoring.checkpoint()
    notes = [checkpoints.read(row.note.encode()).note for row in (second, third)]
    assert [note.number for note in notes] == [2, 3]
    assert notes[1].size == notes[0].size, "silence is evidence, too"
    assert notes[1].previous == hashlib.sha256(second.note.encode()).hexdigest()


def test_one_is_due_after_five_minutes_and_after_a_thousand_entries(anchored, ticking):
    assert not checkpoints.due()
    ticking.advance(minutes=4, seconds=40)
    assert checkpoints.due()
    anchoring.anchor_if_due()
    assert Checkpoint.objects.count() == 2 and not checkpoints.due()
    with transaction.atomic():
        for _ in range(1000):
            trail.record(Action.JOB_RETRIED, anchored.laboratory, by=anchored.administrator)
    assert checkpoints.due()


def test_a_database_that_agrees_may_go_on(anchored):
    act(anchored)
    found = anchoring.watch_over()
    assert (found.state, found.doubts) == ("agrees", ())
    assert trail.held() is None


@pytest.mark.compliance("F24", "11.10(c)")
def test_compliance_a_database_put_back_to_an_earlier_state_is_read_only(anchored):
    here, origin = database(), settings.TRAIL_ORIGIN
    with on_copy(here) as earlier:
        at(here, origin)
        act(anchored)
        here_note = anchoring.checkpoint().note
        at(earlier, origin)
        agreed = Checkpoint.objects.get().size
        anchoring.at_start()
        hold = trail.held()
        assert hold is not None
        newest = checkpoints.read(here_note.encode()).note
        anchor = {"anchor": 2, "anchor_size": newest.size, "anchor_head": newest.head}
        message = (
            f"The database has {agreed:,} links and is behind checkpoint 2, of {newest.size:,} links:"
            " an earlier state was put in place."
        )
        assert hold.detail == {"why": "behind", "agreed": agreed, "size": agreed, "message": message} | anchor
        assert (hold.action, hold.actor, hold.subject_kind) == (Action.HOLD_BEGUN, "system", "chain")
        with pytest.raises(trail.ReadOnly, match="read-only"), trail.refusals(anchored.administrator):
            act(anchored, "Not now")
        assert Area.objects.filter(name="Not now").count() == 0
        assert Entry.objects.latest("id").action == "request.refused"
        with pytest.raises(checkpoints.NotSigned):
            anchoring.checkpoint()
        assert anchoring.watch_over().state in ("behind", "different")
        assert Entry.objects.filter(action=Action.HOLD_BEGUN).count() == 1, "said once"


@pytest.mark.compliance("F24")
def test_compliance_read_only_holds_against_raw_sql_of_the_applications_role(anchored):
    with transaction.atomic():
        trail.record(Action.HOLD_BEGUN, checkpoints.CHAIN, by=trail.SYSTEM)
    insert = (
        "INSERT INTO audit_entry (actor, actor_name, actor_role, action, subject_kind, subject_id, subject_label, reason,"
        " request_id, detail)"
        " VALUES ('x', 'x', 'x', %s, 'area', %s, 'x', '', '', '{}')"
    )
    with psycopg.connect(os.environ["DATABASE_URL"]) as raw:
        raw.execute("UPDATE accounts_area SET name = 'Raw' WHERE id = %s", [anchored.laboratory.pk])
        raw.execute(insert, ["area.changed", str(anchored.laboratory.pk)])
        with pytest.raises(psycopg.errors.ObjectInUse, match="read-only"):
            raw.commit()
        raw.execute(insert, ["login.refused", "x"])
        raw.commit()
    assert not Area.objects.filter(name="Raw").exists()


@pytest.mark.compliance("DBA")
def test_compliance_a_checkpoint_is_never_signed_after_a_larger_one_for_a_smaller_chain(anchored):
    act(anchored)
    anchoring.checkpoint()
    with superuser(database()) as connection:
        connection.execute("ALTER TABLE audit_link DISABLE TRIGGER ALL")
        connection.execute("DELETE FROM audit_link WHERE seq = (SELECT max(seq) FROM audit_link)")
    with pytest.raises(checkpoints.NotSigned, match="behind checkpoint 2"):
        anchoring.checkpoint()
    assert trail.held() is not None


@pytest.mark.compliance("DBA")
def test_compliance_rows_about_checkpoints_are_not_believed_without_the_bucket(anchored):
    act(anchored)
    anchoring.checkpoint()
    with superuser(database()) as connection:
        connection.execute("ALTER TABLE audit_checkpoint DISABLE TRIGGER ALL")
        connection.execute("UPDATE audit_checkpoint SET number = 900 WHERE number = 2")
        connection.execute("ALTER TABLE audit_link DISABLE TRIGGER ALL")
        connection.execute(
            "UPDATE audit_link SET hash = '\\x00' WHERE seq = (SELECT size FROM audit_checkpoint WHERE number = 900)"
        )
    found = anchoring.compare()
    assert found.state == "different"
    assert any("is not in the anchor bucket" in doubt for doubt in found.doubts)


@pytest.mark.compliance("DBA")
@pytest.mark.parametrize("wrong", ["number = 1", "size = 1000000", "at = now() + interval '30 days'"])
def test_compliance_a_row_about_a_checkpoint_that_cannot_be_is_refused(anchored, wrong):
    column, value = wrong.split(" = ")
    columns = ["number", "size", "head", "at", "note", "key", "place", "object_version", "kept_until"]
    values = ["number + 1", *columns[1:]]
    values[columns.index(column)] = value
    insert = f"INSERT INTO audit_checkpoint ({', '.join(columns)}) SELECT {', '.join(values)} FROM audit_checkpoint"
    with psycopg.connect(os.environ["DATABASE_URL"]) as raw, pytest.raises(psycopg.errors.CheckViolation):
        raw.execute(insert)


def test_a_bucket_without_the_notes_is_named_and_nothing_is_signed(anchored, monkeypatch):
    monkeypatch.setattr(settings, "TRAIL_ORIGIN", "tests/elsewhere/trail")
    assert anchoring.compare().state == "missing"
    with pytest.raises(checkpoints.NotSigned, match="none of the checkpoints"):
        anchoring.checkpoint()


def test_anchors_that_are_away_are_an_alarm_until_any_checkpoint_is_made(anchored, monkeypatch):
    with monkeypatch.context() as away:
        away.setattr(settings, "ANCHOR_BUCKET", "no-such-bucket")
        assert anchoring.watch_over() is None
    alarm = Alarm.objects.get(kind=Alarm.Kind.ANCHOR_UNWRITABLE)
    assert alarm.state == "standing" and "cannot be read" in alarm.sentence
    made = anchoring.checkpoint()
    alarm.refresh_from_db()
    assert (alarm.state, alarm.cleared_how) == ("unacknowledged", f"Checkpoint {made.number} was made.")


def test_a_checkpoint_that_cannot_be_made_is_an_alarm_after_ten_minutes(anchored, monkeypatch, ticking):
    monkeypatch.setattr(settings, "ANCHOR_BUCKET", "no-such-bucket")
    ticking.advance(minutes=6)
    anchoring.anchor_if_due()
    assert not Alarm.objects.filter(kind=Alarm.Kind.ANCHOR_UNWRITABLE).exists()
    ticking.advance(minutes=5)
    anchoring.anchor_if_due()
    anchoring.anchor_if_due()
    assert Alarm.objects.get(kind=Alarm.Kind.ANCHOR_UNWRITABLE).count == 1, "said once"


@pytest.mark.parametrize(
    "broken",
    [b"", b"x", b"a/b\n1\n", "a/b\n1\nö".encode()],
)
def test_what_is_no_checkpoint_is_refused(broken):
    with pytest.raises(ValueError):
        checkpoints.read(broken)


@pytest.mark.compliance("F24")
def test_compliance_after_a_restore_into_another_server_no_old_entry_vouches_for_a_new_change(people):
    """Transaction ids start low again there: an old entry might have the id of a new transaction, and name its subject."""
    with superuser(database()) as connection:
        (current,) = connection.execute("SELECT pg_current_xact_id()::text::bigint").fetchone()
        for table in ("audit_entry", "audit_rowchange"):
            connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
            connection.execute(f"UPDATE {table} SET xact = xact + %s", [current + 1000])
            connection.execute(f"ALTER TABLE {table} ENABLE TRIGGER ALL")
        (highest,) = connection.execute("SELECT max(xact) FROM audit_entry").fetchone()
    with transaction.atomic():
        assert xact_of(trail.record(Action.JOB_RETRIED, people.laboratory, by=people.author)) < highest
    anchoring.at_start()
    with transaction.atomic():
        assert xact_of(trail.record(Action.JOB_RETRIED, people.laboratory, by=people.author)) > highest
    with psycopg.connect(os.environ["DATABASE_URL"]) as raw:
        assert raw.execute("SELECT audit_begin_era()").fetchone() == (False,), "once is enough"
    assert Link.objects.count() > 0


def xact_of(entry: int) -> int:
    return Entry.objects.get(pk=entry).xact


def test_the_lists_of_read_only_name_actions_that_there_are():
    source = (ROOT / "audit/migrations/0002_guards.py").read_text()
    lists = source[source.index("FUNCTION audit_admits") : source.index("# At commit")]
    named = set(re.findall(r"'([a-z]+\.[a-z_]+)'", lists))
    assert named and named <= set(Action.values)
