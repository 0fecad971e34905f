"""Whoever changes the trail behind the portal's back is found (§4 P1; the DBA's attacks)."""

import json
import os
import re
import time
from contextlib import contextmanager
from hashlib import sha256
from io import StringIO

import psycopg
import pytest
from django.core.management import call_command
from django.db import connection, transaction

from audit import chain, reading, trail
from audit.actions import Action
from audit.models import Access, Entry, RowChange
from tests.conftest import superuser


@contextmanager
def dba(database):
    """A database administrator who switches the triggers off first."""
    with superuser(database) as connection:
        connection.execute("SET session_replication_role = replica")
        for table in ("audit_entry", "audit_rowchange", "audit_link", "audit_access"):
            connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
        yield connection


def name_of_database():
    return psycopg.conninfo.conninfo_to_dict(os.environ["DATABASE_URL"])["dbname"]


def verify():
    out = StringIO()
    try:
        call_command("verify_audit", "--json", stdout=out)
        code = 0
    except SystemExit as exit_:
        code = exit_.code
    return code, json.loads(out.getvalue())


def some_reading(people):
    with transaction.atomic():  # sealed together, whatever other tests on the same server hold back
        for _ in range(3):
            trail.access(people.inspector, "view", people.laboratory, {"page": 1})


def sealed_rows():
    """Seal until nothing more is to be sealed: transactions of other tests on the same server hold the horizon back."""
    deadline = time.monotonic() + 30
    while Access.objects.count() > sum(span.count for _, span in reading.spans()):
        assert time.monotonic() < deadline
        reading.seal()
    return sum(span.count for _, span in reading.spans())


def test_an_untouched_trail_holds(people):
    some_reading(people)
    assert sealed_rows() == 3
    code, said = verify()
    assert (code, said["ok"], said["fault"]) == (0, True, None)
    assert said["links"] == Entry.objects.count() + RowChange.objects.count()


ENTRY_COLUMNS = [
    "at",
    "xact",
    "actor",
    "actor_name",
    "actor_role",
    "action",
    "subject_kind",
    "subject_id",
    "subject_label",
    "reason",
    "request_id",
    "detail",
]
CHANGE_COLUMNS = ["at", "xact", "table", "row", "operation", "subject_kind", "subject_id", "old", "new"]
OTHER = {
    "at": "now()",
    "xact": "xact + 1",
    "action": "'area.forged'",
    "detail": "'{\"other\": 1}'",
    "old": "'{\"other\": 1}'",
    "new": "'{\"other\": 1}'",
}


@pytest.mark.compliance("11.10(a)", "11.10(e)")
@pytest.mark.parametrize(
    ("table", "column"),
    [("audit_entry", column) for column in ENTRY_COLUMNS] + [("audit_rowchange", column) for column in CHANGE_COLUMNS],
)
def test_a_change_of_any_column_is_named(people, table, column):
    with dba(name_of_database()) as connection:
        value = OTHER.get(column, "'forged'")
        (bad,) = connection.execute(
            f'UPDATE {table} SET "{column}" = {value} WHERE id = (SELECT min(id) + 2 FROM {table}) RETURNING id'
        ).fetchone()
    code, said = verify()
    assert code == 1
    assert said["fault"]["where"] == f"{'entry' if table == 'audit_entry' else 'row change'} {bad}"
    assert column in said["fault"]["sentence"]


@pytest.mark.parametrize(
    ("attack", "where", "sentence"),
    [
        ("DELETE FROM audit_entry WHERE id = (SELECT min(id) + 3 FROM audit_entry)",
         r"entry \d+", r"Link SEQ speaks of WHERE, which is gone\."),
        ("DELETE FROM audit_link WHERE seq = 5",
         "link", r"Link 5 is missing: the next one is 6\."),
        ("DELETE FROM audit_link WHERE seq = (SELECT max(seq) FROM audit_link)",
         r"(entry|row change) \d+", r"The WHERE is in no link of the chain\."),
        ("UPDATE audit_link SET seq = seq + 1000 WHERE seq > 10",
         "link", r"Link 11 is missing: the next one is 1011\."),
        ("UPDATE audit_link SET hash = '\\x00' WHERE seq = 3",
         r"(entry|row change) \d+", r"The hash of link 3 \(WHERE\) does not follow from the one before it and the stored bytes\."),
        ("UPDATE audit_link SET leaf = '\\x00' WHERE seq = 3",
         r"(entry|row change) \d+", r"The hash of link 3 \(WHERE\) does not follow from the one before it and the stored bytes\."),
        ("UPDATE audit_link SET leaf = '\\x00', hash = sha256((SELECT hash FROM audit_link WHERE seq = 2) || '\\x00') WHERE seq = 3",
         r"(entry|row change) \d+",
         r"The stored bytes of WHERE cannot be read\."),
        ("""WITH pair AS (SELECT min(seq) AS a, min(seq) + 1 AS b FROM audit_link WHERE entry_id IS NOT NULL)
       UPDATE audit_link SET hash = sha256(hash) FROM pair WHERE seq IN (pair.a, pair.b)""",
         r"entry \d+", r"The hash of link SEQ \(WHERE\) does not follow from the one before it and the stored bytes\."),
        ("""INSERT INTO audit_entry (at, xact, actor, actor_name, actor_role, action, subject_kind, subject_id, subject_label, reason,
       request_id, detail) VALUES (now(), 1, 'x', 'x', 'x', 'area.changed', 'area', 'x', 'x', '', '', '{}')""",
         r"entry \d+", r"The WHERE is in no link of the chain\."),
    ],
)  # fmt: skip
def test_an_attack_with_the_triggers_off_is_found_and_said(people, attack, where, sentence):
    with dba(name_of_database()) as connection:
        connection.execute(attack)
    code, said = verify()
    assert (code, said["ok"]) == (1, False), said
    fault = said["fault"]
    assert re.fullmatch(where, fault["where"]), fault
    assert re.fullmatch(
        sentence.replace("WHERE", fault["where"]).replace("SEQ", str(fault["seq"])), fault["sentence"]
    ), fault
    assert fault["seq"] == (None if "no link" in sentence else said["links"] + 1)


def plainly(*arguments: str) -> tuple[int, str]:
    out = StringIO()
    try:
        call_command("verify_audit", *arguments, stdout=out)
    except SystemExit as exit_:
        return exit_.code, out.getvalue()
    return 0, out.getvalue()


def test_bytes_that_are_no_json_between_two_good_ends_are_named(people):
    """By somebody who wrote all hashes behind them anew."""
    with dba(name_of_database()) as connection:
        links = connection.execute("SELECT seq, hash, leaf, entry_id FROM audit_link ORDER BY seq").fetchall()
        at = max(place for place, link in enumerate(links) if link[3] is not None)
        previous, bad = links[at - 1][1], links[at][3]
        for seq, _, leaf, entry in links[at:]:
            written = leaf.replace(b'"detail":', b'"detail":{', 1) if entry == bad else leaf
            previous = sha256(previous + written).digest()
            connection.execute("UPDATE audit_link SET leaf = %s, hash = %s WHERE seq = %s", [written, previous, seq])
    code, said = verify()
    assert (code, said["fault"]["where"]) == (1, f"entry {bad}")
    assert said["fault"]["sentence"] == f"The stored bytes of entry {bad} cannot be read."


@pytest.mark.parametrize(
    ("row", "join", "columns", "free"),
    [("e", chain.OF_ENTRY, chain.ENTRY, ("detail",)), ("c", chain.OF_CHANGE, chain.CHANGE, ("new", "old"))],
)
def test_a_leaf_is_two_ends_told_as_bytes_and_the_columns_of_free_form_between_them(people, row, join, columns, free):
    begins, ends, between = chain.told_as_bytes(row, columns, free)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT l.leaf, {begins}, {ends}, {between} FROM audit_link l JOIN {join}")
        laid_out = cursor.fetchall()
    assert len(laid_out) > 5
    for leaf, begun, ended, told in laid_out:
        leaf, begun, ended = bytes(leaf), bytes(begun), bytes(ended)
        assert leaf.startswith(begun) and leaf.endswith(ended)
        assert json.loads(b"{" + leaf[len(begun) : len(leaf) - len(ended)] + b"}") == json.loads(told)
        assert json.loads(told).keys() == set(free)


def test_the_command_says_in_a_sentence_whether_the_chain_holds(people):
    walk = chain.walk()
    assert plainly() == (0, f"The chain holds: {walk.links} links, head {walk.head}.\n")
    with dba(name_of_database()) as connection:
        connection.execute("UPDATE audit_entry SET reason = 'forged' WHERE id = (SELECT min(id) FROM audit_entry)")
    fault = chain.walk().fault
    assert plainly() == (1, f"The chain is broken after {fault.seq - 1} links. {fault.sentence}\n")
    assert plainly("--hashes-only")[0] == 0
    with dba(name_of_database()) as connection:
        connection.execute("UPDATE audit_entry SET reason = 'forged' WHERE id = (SELECT min(id) + 1 FROM audit_entry)")
    assert plainly()[1].count("The column reason of entry") == 2


def test_who_waits_for_the_walk_is_told_how_far_it_is(people, monkeypatch):
    monkeypatch.setattr(chain, "BATCH", 10)
    for columns in (True, False):
        told: list[int] = []
        walk = chain.walk(columns=columns, on_batch=told.append)
        assert walk.fault is None and told == [*range(10, walk.links, 10), walk.links]


def test_a_changed_or_missing_row_of_the_reading_log_is_found_once_sealed(people):
    some_reading(people)
    sealed_rows()
    with dba(name_of_database()) as connection:
        connection.execute(
            "UPDATE audit_access SET actor_name = 'Somebody else' WHERE id = (SELECT min(id) FROM audit_access)"
        )
    assert verify()[1]["fault"]["where"].startswith("access ")
    with dba(name_of_database()) as connection:
        connection.execute("DELETE FROM audit_access WHERE id = (SELECT min(id) FROM audit_access)")
    assert "sealed has 2 rows" in verify()[1]["fault"]["sentence"]


def test_reading_that_is_still_going_on_is_sealed_later(people):
    with psycopg.connect(os.environ["DATABASE_URL"]) as slow:
        slow.execute(
            "INSERT INTO audit_access (actor, actor_name, actor_role, what, subject_kind, subject_id, subject_label, request_id, detail)"
            " VALUES ('x', 'x', 'x', 'view', 'x', 'x', 'x', '', '{}')"
        )
        some_reading(people)
        reading.seal()
        slow.commit()
    some_reading(people)
    assert sealed_rows() == 7
    assert verify()[0] == 0


@pytest.mark.compliance("F28")
def test_the_walk_sees_one_snapshot_while_others_write(people):
    with transaction.atomic():
        trail.record(Action.AREA_CHANGED, people.laboratory, by=people.author)
    assert chain.walk().fault is None


@pytest.mark.compliance("11.10(a)", "11.10(e)", "DBA")
def test_compliance_a_fault_hides_no_other_fault_behind_it(people):
    """Nobody makes one loud fault to have peace for another one."""
    some_reading(people)
    sealed_rows()
    with dba(name_of_database()) as raw:
        raw.execute("UPDATE audit_entry SET reason = 'forged' WHERE id = (SELECT min(id) + 1 FROM audit_entry)")
        raw.execute("UPDATE audit_entry SET actor_name = 'Mallory' WHERE id = (SELECT max(id) FROM audit_entry)")
        raw.execute("UPDATE audit_link SET hash = sha256(hash) WHERE seq = 30")
        raw.execute("UPDATE audit_access SET actor_name = 'Mallory'")
    walk = chain.walk()
    said = " ".join(fault.sentence for fault in walk.further)
    assert "The column reason" in walk.fault.sentence and walk.links == walk.fault.seq - 1
    assert "The hash of link 30" in said and "The hash of link 31" in said and "The hash of link 32" not in said
    assert "The column actor_name of entry" in said and "The columns of access" in said


def test_a_walk_names_some_faults_and_not_all(people):
    with dba(name_of_database()) as raw:
        raw.execute("UPDATE audit_entry SET reason = 'forged'")
        raw.execute("UPDATE audit_rowchange SET operation = 'forged'")
    walk = chain.walk()
    assert len([walk.fault, *walk.further]) == chain.MOST < RowChange.objects.count()


def test_a_row_that_is_gone_is_named_beside_one_that_was_changed(people):
    changed, gone = Entry.objects.order_by("id")[1:3]
    with dba(name_of_database()) as raw:
        raw.execute("UPDATE audit_entry SET reason = 'forged' WHERE id = %s", [changed.pk])
        raw.execute("DELETE FROM audit_entry WHERE id = %s", [gone.pk])
    walk = chain.walk()
    assert [fault.where for fault in (walk.fault, *walk.further)] == [f"entry {changed.pk}", f"entry {gone.pk}"]


def test_a_reading_before_every_seal_is_named(people):
    some_reading(people)
    first = Access.objects.order_by("id").first()
    with dba(name_of_database()) as raw:
        raw.execute("UPDATE audit_access SET xact = -5 WHERE id = %s", [first.pk])
    walk = chain.walk()
    where, said = f"access {first.pk}", f"Access {first.pk} stands before every seal of the reading log."
    assert (where, said) in [(fault.where, fault.sentence) for fault in (walk.fault, *walk.further)]


def test_large_links_are_shared_out_over_several_values(people, monkeypatch):
    told: list[int] = []
    monkeypatch.setattr(chain, "BYTES", 1000)
    walk = chain.walk(on_batch=told.append)
    assert walk.fault is None and told[-1] == walk.links and len(told) > walk.links / 10


def test_a_reading_that_cannot_be_read_is_a_fault_and_ends_no_walk(people):
    some_reading(people)
    with dba(name_of_database()) as raw:
        raw.execute("UPDATE audit_access SET detail = '{\"n\":1e5000}' WHERE id = (SELECT min(id) FROM audit_access)")
    assert "are not what was written" in chain.walk().fault.sentence
    assert reading.span_hash(0, chain.LAST)[0] == 3
