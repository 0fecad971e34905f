"""Checkpoints in the anchor bucket: made, checked, never smaller after larger; a database that does not agree is read-only."""

import hashlib
import os
import re
from datetime import timedelta

import psycopg
import pytest
from django.conf import settings
from django.db import IntegrityError, connection, transaction

from accounts.models import Area, Sitting
from audit import checkpoints, clock, trail
from audit.actions import Action
from audit.models import Alarm, Checkpoint, Entry, Link
from portal import anchoring, restoring
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
    with superuser(database()) as raw:
        raw.execute("ALTER TABLE audit_link DISABLE TRIGGER ALL")
        raw.execute("DELETE FROM audit_link WHERE seq = (SELECT max(seq) FROM audit_link)")
    with pytest.raises(checkpoints.NotSigned, match="behind checkpoint 2"):
        anchoring.checkpoint()
    assert trail.held() is not None


@pytest.mark.compliance("DBA")
def test_compliance_rows_about_checkpoints_are_not_believed_without_the_bucket(anchored):
    act(anchored)
    anchoring.checkpoint()
    with superuser(database()) as raw:
        raw.execute("ALTER TABLE audit_checkpoint DISABLE TRIGGER ALL")
        raw.execute("UPDATE audit_checkpoint SET number = 900 WHERE number = 2")
        raw.execute("ALTER TABLE audit_link DISABLE TRIGGER ALL")
        raw.execute(
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


def add_row(number, note="garbage"):
    """A row that the application's role would add, were it to pass what the database asks of one."""
    with superuser(database()) as raw:
        raw.execute("ALTER TABLE audit_checkpoint DISABLE TRIGGER ALL")
        raw.execute(
            "INSERT INTO audit_checkpoint (number, size, head, at, note, key, place, object_version, kept_until)"
            " VALUES (%s, 1, 'x', audit_now(), %s, 'x', 'x', 'x', audit_now())",
            [number, note],
        )
        raw.execute("ALTER TABLE audit_checkpoint ENABLE ALWAYS TRIGGER fits")


@pytest.mark.compliance("DBA", "F24")
@pytest.mark.parametrize("forged", [False, True], ids=["no note", "a note that nobody signed"])
def test_compliance_a_row_that_holds_no_signed_note_is_named_and_passed_over(anchored, forged):
    act(anchored)
    note = anchoring.checkpoint().note
    add_row(900, note.replace("number 2", "number 900") if forged else "garbage")
    add_row(901)
    found = anchoring.compare()
    doubt = "The database's row of checkpoint 901 holds no note that a key of this portal signed. The same is true of older ones."
    assert (found.state, found.doubts) == ("agrees", (doubt,))
    with superuser(database()) as raw:
        raw.execute("ALTER TABLE audit_link DISABLE TRIGGER ALL")
        raw.execute("DELETE FROM audit_link WHERE seq = (SELECT max(seq) FROM audit_link)")
    anchoring.at_start()
    assert trail.held().detail["agreed"] == Checkpoint.objects.get(number=1).size
    assert doubt in Alarm.objects.get(kind=Alarm.Kind.ANCHOR_BEHIND).sentence


@pytest.mark.compliance("DBA")
def test_compliance_no_row_of_a_checkpoint_is_believed_where_none_is_signed(people):
    building.make_buckets()
    add_row(1)
    found = anchoring.compare()
    assert found.state == "none" and "row of checkpoint 1 holds no note" in found.doubts[0]


@pytest.mark.compliance("F24")
def test_compliance_a_backup_older_than_all_notes_that_are_read_is_accused_of_nothing_else(anchored, monkeypatch):
    monkeypatch.setattr(checkpoints, "READ", 1)
    here, origin = database(), settings.TRAIL_ORIGIN
    with on_copy(here) as earlier:
        at(here, origin)
        for name in ("One", "Two"):
            act(anchored, name)
            anchoring.checkpoint()
        at(earlier, origin)
        found = anchoring.compare()
        assert (found.state, found.agreed, found.doubts) == ("behind", Checkpoint.objects.get().size, ())


def test_a_portal_whose_origin_goes_on_from_this_one_may_use_the_same_bucket(anchored, monkeypatch):
    with monkeypatch.context() as other:
        other.setattr(settings, "TRAIL_ORIGIN", settings.TRAIL_ORIGIN + "/site2")
        note = checkpoints.Note(settings.TRAIL_ORIGIN, 5, "ab" * 32, 1, clock.now(), "")
        key, signature = anchoring.PortalKeys().sign(note.body())
        anchors.configured().write(1, checkpoints.Signed(note, key[:8], signature).data(), now=note.at)
        assert [found.number for found in anchors.configured().since(1)] == [1]
    assert [found.number for found in anchors.configured().since(1)] == [1]
    assert anchoring.watch_over().doubts == ()


def test_who_makes_a_checkpoint_holds_the_lock_by_a_transaction_of_its_own(anchored, monkeypatch):
    """A pooler gives back a server at the end of a transaction: a lock of the session would stay on it for good."""
    holders = (
        "SELECT pid, state, pg_backend_pid() FROM pg_locks JOIN pg_stat_activity USING (pid)"
        " WHERE locktype = 'advisory' AND objid = %s AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    seen, write = [], anchors.Anchors.write

    def look(*args, **kwargs):
        with connection.cursor() as cursor:
            cursor.execute(holders, [checkpoints.LOCK])
            seen.extend(cursor.fetchall())
        return write(*args, **kwargs)

    monkeypatch.setattr(anchors.Anchors, "write", look)
    anchoring.checkpoint()
    ((pid, state, own),) = seen
    assert pid != own and state == "idle in transaction"
    with connection.cursor() as cursor:
        cursor.execute(holders, [checkpoints.LOCK])
        assert cursor.fetchall() == []


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


@pytest.mark.compliance("DBA")
def test_compliance_a_checkpoint_that_the_database_does_not_take_is_an_alarm_and_tried_again_after_growing_waits(
    anchored, monkeypatch, ticking
):
    """Its note lies in the bucket already, locked for years: not one every fifteen seconds."""

    def refuse(**_):
        raise IntegrityError("this row is refused")

    ticking.advance(minutes=5)
    with monkeypatch.context() as refused:
        refused.setattr(Checkpoint.objects, "create", refuse)
        for _ in range(4 * 60):
            anchoring.anchor_if_due()
            ticking.advance(seconds=15)
    written = len(list(anchors.configured().since(2)))
    assert 6 <= written <= 9
    alarm = Alarm.objects.get(kind=Alarm.Kind.ANCHOR_UNWRITABLE)
    assert alarm.state == "standing" and alarm.count == written
    assert "could not be entered in the database. this row is refused" in alarm.sentence
    ticking.advance(hours=1)
    anchoring.anchor_if_due()
    alarm.refresh_from_db()
    assert Checkpoint.objects.first().number == written + 2 and alarm.state == "unacknowledged"


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
    with superuser(database()) as raw:
        (current,) = raw.execute("SELECT pg_current_xact_id()::text::bigint").fetchone()
        for table in ("audit_entry", "audit_rowchange"):
            raw.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
            raw.execute(f"UPDATE {table} SET xact = xact + %s", [current + 1000])
            raw.execute(f"ALTER TABLE {table} ENABLE TRIGGER ALL")
        (highest,) = raw.execute("SELECT max(xact) FROM audit_entry").fetchone()
    with transaction.atomic():
        assert xact_of(trail.record(Action.JOB_RETRIED, people.laboratory, by=people.author)) < highest
    anchoring.at_start()
    with transaction.atomic():
        assert xact_of(trail.record(Action.JOB_RETRIED, people.laboratory, by=people.author)) > highest
    with psycopg.connect(os.environ["DATABASE_URL"]) as raw:
        assert raw.execute("SELECT audit_begin_era()").fetchone() == (False,), "once is enough"
    assert Link.objects.count() > 0


@pytest.fixture
def moved(anchored, monkeypatch):
    """The database as it is after a restore into another server, while the anchor bucket is away; `back()` brings that back."""
    bucket = settings.ANCHOR_BUCKET
    trail.access(anchored.inspector, "view", anchored.laboratory)
    with superuser(database()) as raw:
        (current,) = raw.execute("SELECT pg_current_xact_id()::text::bigint").fetchone()
        raw.execute("ALTER TABLE audit_access DISABLE TRIGGER ALL")
        raw.execute("UPDATE audit_access SET xact = %s", [current + 1000])
        raw.execute("ALTER TABLE audit_access ENABLE TRIGGER ALL")
    monkeypatch.setattr(settings, "ANCHOR_BUCKET", "no-such-bucket")

    def back():
        monkeypatch.setattr(settings, "ANCHOR_BUCKET", bucket)

    anchored.back = back
    return anchored


@pytest.mark.compliance("F24", "11.10(c)")
def test_compliance_a_restored_database_that_cannot_be_compared_is_read_only_until_it_can_be(moved, ticking):
    client = moved.client(moved.administrator)
    anchoring.at_start()
    assert trail.held().detail == {"why": "unread", "message": checkpoints.UNREAD}
    assert client.get("/audit/checkpoints/").status_code == 302, "nobody is logged in any more"
    assert not Sitting.objects.filter(ended_at__isnull=True).exists()
    anchoring.at_start()
    with pytest.raises(trail.ReadOnly), transaction.atomic():
        act(moved, "Not now")
    page = moved.client(moved.administrator).get("/audit/checkpoints/").content.decode()
    assert "they could not be read" in page and "See to it that the anchor bucket can be read" in page
    with pytest.raises(trail.Refused, match="was not compared"):
        restoring.report(by=moved.administrator, reason="The disk failed; the backup was put back")
    moved.back()
    ticking.advance(minutes=5)
    anchoring.anchor_if_due()
    assert trail.held() is None
    assert Entry.objects.filter(action=Action.HOLD_ENDED).latest("id").detail == {
        "message": anchoring.compare().sentence
    }
    act(moved, "It goes on")
    anchoring.checkpoint()
    settings.ANCHOR_BUCKET = "no-such-bucket"
    anchoring.at_start()
    assert trail.held() is None, "it was compared since it was restored"


@pytest.mark.compliance("F24")
def test_compliance_a_restored_database_that_is_behind_stays_read_only_when_the_bucket_is_back(moved):
    here, origin = database(), settings.TRAIL_ORIGIN
    with on_copy(here) as earlier:
        at(here, origin)
        moved.back()
        act(moved)
        anchoring.checkpoint()
        bucket, settings.ANCHOR_BUCKET = settings.ANCHOR_BUCKET, "no-such-bucket"
        at(earlier, origin)
        anchoring.at_start()
        unread = trail.held()
        settings.ANCHOR_BUCKET = bucket
        anchoring.watch_over()
        hold = trail.held()
        # What was written on top of it meanwhile stands where the lost links stood.
        assert hold.pk > unread.pk and (hold.detail["why"], hold.detail["anchor"]) == ("different", 2)
        anchoring.watch_over()
        assert trail.held().pk == hold.pk


@pytest.mark.compliance("DBA")
def test_compliance_a_hold_that_no_comparison_began_is_settled_by_the_next_one(anchored):
    with transaction.atomic():
        trail.record(Action.HOLD_BEGUN, checkpoints.CHAIN, by=trail.SYSTEM, detail={"why": "behind", "size": "many"})
    assert anchored.client(anchored.administrator).get("/audit/checkpoints/").status_code == 200
    anchoring.watch_over()
    assert trail.held() is None


def xact_of(entry: int) -> int:
    return Entry.objects.get(pk=entry).xact


def test_the_lists_of_read_only_name_actions_that_there_are():
    source = (ROOT / "audit/migrations/0002_guards.py").read_text()
    lists = source[source.index("FUNCTION audit_open_while_held") : source.index("# At commit")]
    named = set(re.findall(r"'([a-z]+\.[a-z_]+)'", lists))
    assert named and named <= set(Action.values)
