"""`countersign_verify.py` and the portal are held against each other: on good trails both agree, on changed ones both find it."""

import ast
import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace

import psycopg
import pytest
from cryptography.hazmat.primitives import serialization
from django.conf import settings
from django.db import connection

from audit import checkpoints, exporting, reading, trail
from audit.models import Checkpoint
from portal import anchoring, restoring
from signatures import sealing
from storage import anchors
from tests import acts
from tests.conftest import superuser
from tests.verifier.bench import (
    VERIFIER,
    Files,
    act,
    anchor,
    at,
    database,
    dba,
    on_copy,
    portal_says,
    restore,
    verifier,
)  # fmt: skip

RAW_ENTRY = (
    "INSERT INTO audit_entry (action, actor, actor_name, actor_role, subject_kind, subject_id, subject_label, reason, request_id, detail)"
    " VALUES (%s, 'x', 'Somebody', '', 'area', 'x', 'x', '', '', %s)"
)


@pytest.fixture
def anchored(people):
    anchor(people)
    return people


@pytest.fixture
def files(anchored, tmp_path):
    return Files(tmp_path)


def test_the_verifier_needs_the_standard_library_and_cryptography_alone():
    tree = ast.parse(VERIFIER.read_text())
    named = {
        alias.name.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names
    }
    named |= {node.module.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
    assert named - set(sys.stdlib_module_names) == {"cryptography"}


@pytest.mark.compliance("11.10(a)", "11.10(e)", "P1")
def test_compliance_an_untouched_trail_agrees_with_its_checkpoints_for_both(files):
    assert portal_says() == []
    found = files.verify()
    assert (found["ok"], found["checkpoints"], found["covered"]) == (True, 3, found["links"])
    assert found["head"] == checkpoints.head()[1]


@pytest.mark.compliance("11.10(e)", "P1")
def test_compliance_a_number_with_a_fraction_in_a_leaf_is_no_fault(anchored, tmp_path):
    """Metadata of a version may hold one, and its row change is chained as PostgreSQL writes it."""
    with psycopg.connect(os.environ["DATABASE_URL"]) as raw:
        (changed,) = raw.execute(
            "UPDATE audit_reviewfilter SET people = '[5.000, 1.5e-7, -0.25, 1e60, \"1.5\"]' WHERE name = 'Everything' RETURNING id"
        ).fetchone()
        raw.execute(RAW_ENTRY.replace("'area', 'x'", f"'review_filter', '{changed}'"), ["review.filter_changed", "{}"])
    anchoring.checkpoint()
    files = Files(tmp_path)
    assert portal_says() == [] and files.says() == []
    files.write([line.replace(b"5.000", b"5.0000") for line in files.lines])
    assert files.says() != []


def test_a_number_of_any_length_is_read_as_it_is_written():
    for number in ("1" + "0" * 5000, "-" + "9" * 30, "-0.250", "7"):
        told = f'{{"n":{number}}}'
        assert verifier.canonical(verifier.parse(told)) == told


def test_what_is_nested_deeper_than_the_program_reads_is_a_fault_and_not_its_end(files):
    deep = b'"detail": {"n": %s}' % (b"[" * 900 + b"]" * 900)
    files.write([line.replace(b'"detail": {}', deep) for line in files.lines])
    assert any("nested too deep" in said for said in files.says())


@pytest.mark.compliance("11.10(e)", "DBA")
def test_compliance_a_reading_outside_of_every_seal_is_found_by_both(anchored, tmp_path):
    with dba() as raw:
        raw.execute(
            "INSERT INTO audit_access (at, xact, actor, actor_name, actor_role, what, subject_kind, subject_id, subject_label,"
            " request_id, detail, canonical) SELECT at, -5, actor, 'Never Was', actor_role, what, subject_kind, subject_id,"
            " subject_label, request_id, detail, canonical FROM audit_access LIMIT 1"
        )
    assert "stands before every seal" in portal_says()[0]
    assert any("stands before every seal" in said or "is not what" in said for said in Files(tmp_path).says())


@pytest.mark.compliance("11.10(e)", "DBA")
def test_compliance_a_seal_that_reaches_into_the_future_is_a_fault_and_stops_no_sealing(anchored, tmp_path):
    far = {"after": str(9 * 10**18), "until": str(9 * 10**18), "count": 0, "sha256": hashlib.sha256(b"").hexdigest()}
    with superuser(database()) as raw:
        raw.execute("ALTER TABLE audit_entry DISABLE TRIGGER seal_fits")
        raw.execute(RAW_ENTRY, ["access.sealed", json.dumps(far)])
        raw.execute("ALTER TABLE audit_entry ENABLE ALWAYS TRIGGER seal_fits")
    assert "does not go on where the one before ended" in portal_says()[0]
    anchoring.checkpoint()
    assert any("does not go on where the one before ended" in said for said in Files(tmp_path).says())
    trail.access(anchored.inspector, "view", anchored.laboratory)
    deadline = time.monotonic() + 30
    while reading.seal() is None:
        assert time.monotonic() < deadline


@pytest.mark.compliance("11.10(e)", "DBA")
def test_compliance_a_reading_that_is_sealed_by_nothing_yet_is_held_against_its_bytes_and_counted(anchored, tmp_path):
    trail.access(anchored.inspector, "view", anchored.laboratory)
    found = Files(tmp_path).verify()
    assert found["ok"] and found["unsealed"] == 1
    assert any("1 rows of the reading log are sealed by no entry yet" in line for line in verifier.say(found))
    with dba() as raw:
        raw.execute("UPDATE audit_access SET actor_name = 'Another' WHERE id = (SELECT max(id) FROM audit_access)")
    assert "are not what was written" in portal_says()[0]
    assert Files(tmp_path).says() != []


def test_one_checkpoint_alone_is_checked_and_said_to_be_alone(files, capsys):
    note = sorted(files.notes.rglob("*.txt"))[-1]
    asked = [str(files.export), "--checkpoints", str(note), "--key", str(files.key)]
    assert verifier.main(asked) == 0
    said = capsys.readouterr().out
    assert "has number 3" in said and "nothing is said of the checkpoints before it" in said
    note.unlink()
    assert verifier.main(asked) == 2


def test_as_a_program_it_exits_0_1_and_2_and_speaks_json(files):
    def run(*more):
        command = [sys.executable, str(VERIFIER), str(files.export), "--key", str(files.key), *more]
        return subprocess.run(command, capture_output=True, text=True, check=False, env={"PATH": ""})

    good = run("--checkpoints", str(files.notes))
    assert good.returncode == 0 and "They agree." in good.stdout, good.stdout + good.stderr
    assert json.loads(run("--checkpoints", str(files.notes), "--json").stdout)["ok"] is True
    assert run("--checkpoints", str(files.notes / "nowhere")).returncode == 2
    (files.notes / "000000000002.txt").unlink()
    bad = run("--checkpoints", str(files.notes))
    assert bad.returncode == 1 and "Checkpoint 2 is missing." in bad.stdout
    for path in files.notes.iterdir():
        path.unlink()
    assert run("--checkpoints", str(files.notes)).returncode == 2


def test_a_key_that_was_not_given_vouches_for_nothing(files):
    private = sealing.load(sealing.make())
    files.key.write_bytes(
        private.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    assert all("not signed by a key that was given" in said for said in files.says()[:3])


def other(value):
    """A value of the same kind that is another one."""
    if isinstance(value, bool) or value is None:
        return "x"
    if isinstance(value, int):
        return value + 1
    if isinstance(value, str):
        return value[:-1] + ("0" if value[-1:] != "0" else "1")
    if isinstance(value, list):
        return [*value, 1]
    return value | {"x": 1}


def mutations(lines):
    """(what was done, lines) for every single field of each kind of line, and for lines lost, added, swapped and cut off."""
    told = [json.loads(line) for line in lines]
    kinds = {}
    for place, line in enumerate(told):
        kinds.setdefault("+".join(sorted(set(line) - {"hash", "leaf", "seq"})), []).append(place)
    for kind, places in kinds.items():
        for place in {places[0], places[len(places) // 2], places[-1]}:
            yield from fields(kind, place, told)
    for place in range(1, len(lines) - 1, 13):
        yield f"line {place} lost", lines[:place] + lines[place + 1 :]
        yield f"line {place} twice", lines[: place + 1] + lines[place:]
        yield f"lines {place} swapped", [*lines[:place], lines[place + 1], lines[place], *lines[place + 2 :]]
        yield f"cut off at {place}", lines[:place]
    yield "the last link lost, and the end made to fit", cut(told)


def fields(kind, place, told):
    line = told[place]
    for name, value in line.items():
        inner = value.items() if isinstance(value, dict) else []
        for column, was in inner:
            yield f"{kind} {place}: {name}.{column}", put(told, place, line | {name: value | {column: other(was)}})
            yield (
                f"{kind} {place}: no {column}",
                put(told, place, line | {name: {k: v for k, v in inner if k != column}}),
            )
        if not inner:
            yield f"{kind} {place}: {name}", put(told, place, line | {name: other(value)})


def put(told, place, line):
    return [json.dumps(one).encode() + b"\n" for one in [*told[:place], line, *told[place + 1 :]]]


def cut(told):
    links = [place for place, line in enumerate(told) if "seq" in line]
    rest = [line for place, line in enumerate(told) if place != links[-1]]
    rest[-1] = {"end": rest[-1]["end"] | {"links": len(links) - 1}}
    return put(rest, 0, rest[0])


@pytest.mark.compliance("A1", "P1", "11.10(a)")
def test_compliance_every_single_change_of_an_export_is_found(files):
    lines, count = files.lines, 0
    for count, (what, changed) in enumerate(mutations(lines), 1):  # noqa: B007
        files.write(changed)
        try:
            assert files.says(), what
        except verifier.CannotCheck:
            assert ": format" in what or ": no" in what, what
    assert count > 200
    files.write(lines)
    assert files.says() == []


@pytest.mark.compliance("A1", "P1", "11.10(a)")
def test_compliance_every_single_change_of_a_checkpoint_is_found(files):
    for path in sorted(files.notes.iterdir()):
        good = path.read_bytes()
        for place in range(0, len(good), 11):
            path.write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
            assert files.says(), f"byte {place} of {path.name}"
        path.write_bytes(good[:-1])
        assert files.says()
        path.write_bytes(good)
    assert files.says() == []


COLUMNS = """
SELECT table_name, column_name, data_type FROM information_schema.columns
WHERE table_schema = 'public' AND table_name IN ('audit_entry', 'audit_rowchange', 'audit_link', 'audit_access')
ORDER BY table_name, ordinal_position
"""
CHANGED = {
    "text": "{} || 'x'", "bigint": "{} + 100000", "timestamp with time zone": "{} + interval '1 us'",
    "jsonb": "'{{\"other\": 1}}'", "bytea": "{} || '\\x00'",
}  # fmt: skip


@pytest.mark.compliance("P1", "DBA", "11.10(a)", "11.10(e)")
def test_compliance_every_single_change_of_a_column_in_the_database_is_found_by_both(anchored, tmp_path):
    """The portal walks its tables, the verifier an export of them: neither misses a column."""
    with connection.cursor() as cursor:
        cursor.execute(COLUMNS)
        columns = cursor.fetchall()
    assert len(columns) > 40
    files = Files(tmp_path)
    with dba() as raw:
        for table, column, kind in columns:
            key = "seq" if table == "audit_link" else "id"
            where = f"{key} = (SELECT min({key}) + 2 FROM {table})"
            if column in ("entry_id", "change_id"):
                where = f"{key} = (SELECT min({key}) FROM {table} WHERE {column} IS NOT NULL)"
            elif column in ("old", "new"):
                where = f'{key} = (SELECT min({key}) FROM {table} WHERE "{column}" IS NOT NULL)'
            kept = raw.execute(f'SELECT {key}, "{column}" FROM {table} WHERE {where}').fetchone()
            assert kept, (table, column)
            changed = CHANGED[kind].format(f'"{column}"')
            raw.execute(f'UPDATE {table} SET "{column}" = {changed} WHERE {key} = %s', [kept[0]])
            by_portal = portal_says()
            files.write(exporting.lines(settings.TRAIL_ORIGIN))
            by_verifier = files.says()
            now = f"{key} = %s + 100000" if column == key else f"{key} = %s"
            value = psycopg.types.json.Jsonb(kept[1]) if kind == "jsonb" else kept[1]
            raw.execute(f'UPDATE {table} SET "{column}" = %s WHERE {now}', [value, kept[0]])
            assert by_portal, f"the portal missed {table}.{column}"
            assert by_verifier, f"the verifier missed {table}.{column}"
    assert portal_says() == []


@pytest.mark.compliance("Split view")
def test_compliance_two_databases_that_tell_different_histories_are_inconsistent(anchored, tmp_path):
    """An inspector who is shown one of them has the other's checkpoints from the anchor bucket."""
    here = database()
    with on_copy(here) as copy:
        act(anchored, "What the inspector is shown")
        shown = Files(tmp_path)
        at(here, settings.TRAIL_ORIGIN)
        act(anchored, "What happened")
        anchoring.checkpoint()
        at(copy, settings.TRAIL_ORIGIN)
        (tmp_path / "bucket").mkdir()
        bucket = Files(tmp_path / "bucket")
        shown.notes = bucket.notes
        assert any("another hash" in said or "the export has" in said for said in shown.says())
        assert anchoring.compare().state in ("different", "behind")


@pytest.mark.compliance("Split view")
def test_compliance_two_checkpoints_with_one_number_are_a_split_view(anchored, tmp_path):
    last = checkpoints.read(Checkpoint.objects.first().note.encode()).note
    note = checkpoints.Note(last.origin, last.size, "ab" * 32, last.number, last.at, last.previous)
    key_id, signature = anchoring.PortalKeys().sign(note.body())
    anchors.configured().write(last.number, checkpoints.Signed(note, key_id[:8], signature).data(), now=last.at)
    assert any("split view" in said for said in Files(tmp_path).says())
    assert any("two histories" in doubt for doubt in anchoring.compare().doubts)


@pytest.mark.compliance("F24", "DBA")
@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({}, "once more: it answered for another gap"),
        ({"report": "RST-0002", "anchor": 2}, "which is about another checkpoint than the one before"),
        ({"report": "RST-0002", "lost_to": 10**6}, "which is about another checkpoint than the one before"),
    ],
    ids=["the same report", "another anchor", "more links"],
)
def test_compliance_a_report_excuses_one_gap_once(firm, tmp_path, other, said):
    with restore(firm):
        report = restoring.report(by=firm.administrator, reason="The disk failed; the backup was put back")
        acts.sign(firm.approver, report)
        made = anchoring.checkpoint()
        last = checkpoints.read(made.note.encode()).note
        previous = hashlib.sha256(made.note.encode()).hexdigest()
        again = replace(last.restored, **({"anchor": last.number, "lost_to": last.size} | other))
        note = replace(last, number=last.number + 1, previous=previous, restored=again)
        key_id, signature = anchoring.PortalKeys().sign(note.body())
        good = Files(tmp_path)
        assert good.says() == [] and len(good.verify()["lost"]) == 1
        (good.notes / f"{note.number:012}.txt").write_bytes(checkpoints.Signed(note, key_id[:8], signature).data())
        assert [sentence for sentence in good.says() if said in sentence]
        assert len(good.verify()["lost"]) == 1


def test_notes_of_a_trail_whose_origin_goes_on_from_this_one_are_not_looked_at(files):
    (files.notes / "site2").mkdir()
    (files.notes / "site2" / "000000000001.txt").write_bytes(b"of another portal")
    assert files.says() == []


@pytest.mark.compliance("F28")
def test_compliance_a_verifier_beside_writers_raises_no_false_alarm(anchored, tmp_path):
    stop, written = threading.Event(), []

    def write():
        try:
            while not stop.is_set():
                act(anchored, f"Name {len(written)}")
                written.append(1)
        finally:
            connection.close()

    writers = [threading.Thread(target=write) for _ in range(2)]
    for writer in writers:
        writer.start()
    try:
        for _ in range(4):
            anchoring.checkpoint()
            assert Files(tmp_path).says() == [], "the notes are older than the export"
            assert portal_says() == []
    finally:
        stop.set()
        for writer in writers:
            writer.join()
    assert len(written) > 10
    with superuser(database()) as raw:
        assert raw.execute("SELECT count(*) = max(seq) FROM audit_link").fetchone() == (True,)
