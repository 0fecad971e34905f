"""The ten attacks of a database administrator (§4): ten of ten are found, and it is said by which check.

Each is made as superuser behind a sealed and anchored trail. The portal looks in three ways (the walk of the chain, the
comparison with the anchors, the rules of the database), the verifier in one. The ninth and the tenth come after an honest restore,
whose signed report the administrator would have answer for another gap.
"""

import json
import os
from dataclasses import dataclass

import psycopg
import pytest

from accounts.models import Area
from audit import chain, checkpoints, rows, trail
from audit.models import Checkpoint, Entry, Link
from portal import anchoring, restoring
from tests import acts
from tests.conftest import superuser
from tests.verifier.bench import TABLES, Files, act, anchor, database, dba, restore

# Every hash computed anew from the first link on, as somebody would who knows how the chain is made.
REHASH = """
WITH RECURSIVE walk AS (
  SELECT seq, sha256(leaf) AS hash FROM audit_link WHERE seq = 1
  UNION ALL
  SELECT l.seq, sha256(w.hash || l.leaf) FROM audit_link l JOIN walk w ON l.seq = w.seq + 1)
UPDATE audit_link l SET hash = walk.hash FROM walk WHERE walk.seq = l.seq
"""
OTHER_NAME = """
WITH one AS (SELECT min(id) + 3 AS id FROM audit_entry),
     two AS (UPDATE audit_entry SET actor_name = 'Somebody Else' WHERE id = (SELECT id FROM one) RETURNING id)
UPDATE audit_link
SET leaf = convert_to(audit_canonical(jsonb_set(convert_from(leaf, 'UTF8')::jsonb, '{actor_name}', '"Somebody Else"')), 'UTF8')
WHERE entry_id = (SELECT id FROM two)
"""
INSERTED = """
INSERT INTO audit_entry (at, xact, actor, actor_name, actor_role, action, subject_kind, subject_id, subject_label, reason,
  request_id, detail) VALUES (now(), 1, 'x', 'x', 'x', 'area.changed', 'area', 'x', 'x', '', '', '{}')
"""
SWAPPED = """
WITH pair AS (SELECT min(seq) + 4 AS a, min(seq) + 5 AS b FROM audit_link),
     rows AS (SELECT l.* FROM audit_link l, pair WHERE l.seq IN (a, b))
UPDATE audit_link l SET entry_id = CASE WHEN l.seq = a THEN -1 ELSE -2 END, change_id = NULL, leaf = r.leaf
FROM pair, rows r WHERE l.seq IN (a, b) AND r.seq = a + b - l.seq
"""


@dataclass
class Findings:
    """Which of the checks found something."""

    walk: bool
    anchors: bool
    rules: bool
    verifier: bool


def look(tmp_path) -> Findings:
    rules = [said for said in anchoring.check_database().wrong if "audit_now" not in said]
    return Findings(
        walk=chain.walk().fault is not None,
        anchors=anchoring.compare().state != "agrees",
        rules=bool(rules),
        verifier=bool(Files(tmp_path).says()),
    )


@pytest.fixture
def anchored(people):
    anchor(people)
    return people


def behind(statement):
    """With the triggers off for as long as it takes, and on again, so that the rules look untouched."""
    with dba() as raw:
        raw.execute(statement)
        for table in TABLES:
            raw.execute(f"ALTER TABLE {table} ENABLE TRIGGER ALL")
            found = raw.execute(
                "SELECT tgname FROM pg_trigger WHERE tgrelid = %s::regclass AND NOT tgisinternal", [table]
            )
            for (name,) in found.fetchall():
                raw.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}")


def cut_off(links):
    """The last links, with the entries and row changes that they speak of."""
    last = f"FROM audit_link ORDER BY seq DESC LIMIT {links}"
    behind(f"DELETE FROM audit_entry WHERE id IN (SELECT entry_id {last})")
    behind(f"DELETE FROM audit_rowchange WHERE id IN (SELECT change_id {last})")
    behind(f"DELETE FROM audit_link WHERE seq IN (SELECT seq {last})")


def entry_about_a_hold(action, detail, number=None):
    """An entry of the administrator's own about the chain, which the database links like any other."""
    with superuser(database()) as raw:
        raw.execute(
            "INSERT INTO audit_entry (id, at, xact, action, actor, actor_name, actor_role, subject_kind, subject_id, subject_label,"
            " reason, request_id, detail) VALUES (coalesce(%s, nextval(pg_get_serial_sequence('audit_entry', 'id'))), now(), 1,"
            " %s, 'system', 'Countersign', 'system', 'chain', 'chain', 'the audit trail', '', '', %s)",
            [number, action, json.dumps(detail)],
        )


@pytest.fixture
def reported(firm):
    """Restored once, and the report about it signed; the checkpoint that names it is still to be made."""
    with restore(firm):
        report = restoring.report(by=firm.administrator, reason="The disk failed; the backup was put back")
        acts.sign(firm.approver, report)
        yield firm, report


@pytest.mark.parametrize(
    ("attack", "walk", "anchors", "verifier"),
    [
        ("UPDATE audit_entry SET actor_name = 'x' WHERE id = (SELECT min(id) + 3 FROM audit_entry)", True, False, True),
        ("DELETE FROM audit_link WHERE seq = 5", True, False, True),
        ("DELETE FROM audit_link WHERE seq = (SELECT max(seq) FROM audit_link)", True, True, True),
        (INSERTED, True, False, True),
        (SWAPPED, True, False, True),
        (OTHER_NAME + ";" + REHASH, False, True, True),
    ],
    ids=["update", "delete in the middle", "delete the tail", "insert", "swap", "rewrite with fresh hashes"],
)
@pytest.mark.compliance("DBA", "P1")
def test_compliance_an_attack_on_the_rows_of_the_trail_is_found(anchored, tmp_path, attack, walk, anchors, verifier):
    for statement in attack.split(";"):
        behind(statement)
    found = look(tmp_path)
    assert (found.walk, found.anchors, found.verifier) == (walk, anchors, verifier)
    assert not found.rules


@pytest.mark.compliance("DBA", "P1")
def test_compliance_a_tail_that_is_cut_off_with_its_rows_is_found_by_the_anchors(anchored, tmp_path):
    """Links, entries and row changes gone together: the chain itself holds, and the anchor knows of more."""
    cut_off(2)
    found = look(tmp_path)
    assert (found.walk, found.anchors, found.verifier) == (False, True, True)


@pytest.mark.compliance("DBA", "P1", "F24")
@pytest.mark.parametrize("seen", [False, True], ids=["before anybody looks", "after the portal has seen the gap"])
def test_compliance_a_signed_report_of_long_ago_answers_for_no_new_gap(reported, tmp_path, seen):
    """What a checkpoint covers is cut off, and an entry says that the report of the first restore ended the hold about it."""
    firm, report = reported
    anchoring.checkpoint()
    for name in ("It goes on", "To be hidden", "To be hidden as well"):
        act(firm, name)
    newest = anchoring.checkpoint()
    cut_off(4)
    if seen:
        assert anchoring.watch_over().state == "behind" and trail.held() is not None
    entry_about_a_hold("hold.ended", {"anchor": newest.number, "version_id": str(report.pk)})
    with pytest.raises(checkpoints.NotSigned):
        anchoring.checkpoint()
    assert trail.held() is not None and Checkpoint.objects.first() == newest
    found = look(tmp_path)
    assert (found.walk, found.anchors, found.verifier) == (False, True, True)


@pytest.mark.compliance("DBA", "P1", "F24")
def test_compliance_more_than_the_signed_report_declares_is_not_covered_by_it(reported, tmp_path):
    """Before the checkpoint that names the report, older links are cut off as well; hold and end are told anew, as they were."""
    _, report = reported
    hold = Entry.objects.filter(action="hold.begun").latest("id")
    cut_off(checkpoints.head()[0] - hold.detail["agreed"] + 3)
    entry_about_a_hold("hold.begun", hold.detail, hold.pk)
    entry_about_a_hold("hold.ended", {"anchor": hold.detail["anchor"], "version_id": str(report.pk)})
    assert trail.held() is None
    with pytest.raises(checkpoints.NotSigned):
        anchoring.checkpoint()
    assert trail.held() is not None
    found = look(tmp_path)
    assert (found.walk, found.anchors, found.verifier) == (False, True, True)


@pytest.mark.compliance("DBA")
def test_compliance_a_trigger_that_is_switched_off_is_found_by_the_rules_and_what_it_missed_by_the_rows(
    anchored, tmp_path
):
    with superuser(database()) as raw:
        raw.execute("ALTER TABLE accounts_area DISABLE TRIGGER guard")
    with psycopg.connect(os.environ["DATABASE_URL"]) as raw:
        raw.execute("UPDATE accounts_area SET name = 'Unseen' WHERE id = %s", [anchored.laboratory.pk])
    assert look(tmp_path).rules
    assert Area.objects.filter(name="Unseen").exists()
    said = rows.differences("area", str(anchored.laboratory.pk))
    assert said == [f"accounts_area: the column name of row {anchored.laboratory.pk} is not what the trail recorded."]


@pytest.mark.compliance("DBA")
def test_compliance_the_replica_role_switches_no_guard_off_and_as_a_setting_it_is_found(anchored, tmp_path):
    """Every guard is one that fires always: the session of a superuser who plays replica is chained like any other."""
    before = checkpoints.head()
    with superuser(database()) as raw:
        raw.execute("SET session_replication_role = replica")
        with pytest.raises(psycopg.errors.RestrictViolation):
            raw.execute("UPDATE audit_entry SET actor_name = 'x'")
        with pytest.raises(psycopg.errors.IntegrityConstraintViolation, match="unrecorded"):
            raw.execute("UPDATE accounts_area SET name = 'Unseen ' || name")
        raw.execute(f'ALTER DATABASE "{database()}" SET session_replication_role = replica')
    assert checkpoints.head() == before
    assert look(tmp_path).rules


@pytest.mark.compliance("DBA", "P2")
def test_compliance_what_is_younger_than_the_newest_anchor_is_the_exposure_window(anchored):
    """Not promised: here a rewritten end is not seen. What the window is, is counted and shown."""
    act(anchored, "After the anchor")
    assert checkpoints.exposure().links == 2
    cut_off(2)
    assert chain.walk().fault is None and anchoring.compare().state == "agrees"
    assert Link.objects.count() == checkpoints.head()[0]
