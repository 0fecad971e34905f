"""What somebody writes who has the application's role and SQL of their own (decision 29): the database refuses it."""

import json
import os

import psycopg
import pytest
from django.db import transaction
from psycopg import errors

from accounts import transitions as people_verbs
from accounts.models import Area, CodeDevice, User
from audit import chain, checkpoints, clock, clock_guard, reading, reviews, trail
from audit.actions import Action
from audit.models import Era, Review, Reviewed, ReviewFilter, Watch
from portal import anchoring, embedded, trail_reviews, watching
from tests import acts
from tests.cast import PASSWORD
from tests.conftest import SERVERS, superuser
from tests.firm import make_buckets
from tests.verifier.bench import act, anchor, database

ENTRY = (
    "INSERT INTO audit_entry (action, actor, actor_name, actor_role, subject_kind, subject_id, subject_label, reason, request_id,"
    " detail) VALUES (%s, 'system', 'Countersign', 'system', %s, %s, 'x', '', '', %s)"
)
ACCESS = (
    "INSERT INTO audit_access (what, actor, actor_name, actor_role, subject_kind, subject_id, subject_label, request_id, detail)"
    " VALUES ('view', 'x', 'x', '', 'area', 'x', 'x', '', %s)"
)
READING = "INSERT INTO audit_clockreading ({} source, standing, offset_us, within_us, step_us) VALUES ({} 'zz', 'apart', 0, 0, 0)"


def app(*statements) -> None:
    """Each a text of SQL, or a text with its values; in one transaction."""
    with psycopg.connect(os.environ["DATABASE_URL"]) as raw:
        for statement in statements:
            raw.execute(*((statement,) if isinstance(statement, str) else statement))


def entry(action, kind="job", identity="x", detail="{}"):
    return (ENTRY, (action, kind, str(identity), detail))


def hold() -> None:
    with transaction.atomic():
        trail.record(Action.HOLD_BEGUN, checkpoints.CHAIN, by=trail.SYSTEM)


# What can be read -------------------------------------------------------------------------------------------------------


@pytest.mark.compliance("11.10(e)", "DBA")
@pytest.mark.parametrize(
    "detail",
    ['{"n":1e5000}', '{"n":1e400}', '{"n":[{"a":1.5}]}', '{"n":1.0}', '{"n":-9007199254740992}', "[]", "5", "null",
     '{"n":' + "[" * 60 + "]" * 60 + "}", '{"n":' + '{"a":' * 400 + "1" + "}" * 400 + "}"],
)  # fmt: skip
def test_compliance_a_detail_that_not_every_reader_reads_is_refused_in_both_logs(people, detail):
    for statement in (entry("login.ended", detail=detail), (ACCESS, [detail])):
        with pytest.raises(errors.CheckViolation, match="an object of whole numbers"):
            app(statement)


def test_a_detail_as_the_portal_writes_it_is_taken(people):
    detail = json.dumps(
        {"n": 2**53 - 1, "m": -(2**53 - 1), "said": "1.5 and 1e5000", "deep": [[[{"a": [True, None]}]]]}
    )
    app(entry("login.ended", detail=detail), (ACCESS, [detail]))
    assert chain.walk().fault is None


@pytest.mark.compliance("11.10(e)", "DBA")
@pytest.mark.parametrize("value", ["[1e5000]", "[" * 400 + "]" * 400])
def test_compliance_a_controlled_row_that_not_every_reader_reads_is_refused(people, value):
    chosen = ReviewFilter.objects.get(name="Everything")
    with pytest.raises(errors.CheckViolation, match="cannot be read"):
        app(
            entry("review.filter_changed", "review_filter", chosen.pk),
            ("UPDATE audit_reviewfilter SET people = %s WHERE id = %s", [value, chosen.pk]),
        )


@pytest.mark.compliance("11.10(e)", "DBA")
@pytest.mark.parametrize(
    ("action", "kind"), [('login.ended"', "job"), ("login", "job"), ("login.ended", 'job"'), ("", "")]
)
def test_compliance_the_names_of_acts_and_of_kinds_are_names(people, action, kind):
    with pytest.raises(errors.CheckViolation, match="is_a_name"):
        app(entry(action, kind))


def test_an_entry_of_more_than_64_megabytes_is_refused(people):
    with pytest.raises(errors.CheckViolation, match="64 MB"):
        app(
            (
                ENTRY.replace("'x', '', '', %s)", "'x', repeat('x', 70000000), '', %s)"),
                ("login.ended", "job", "x", "{}"),
            )
        )
    with pytest.raises(errors.CheckViolation, match="64 MB"):
        app((ACCESS.replace("'x', 'x', '',", "'x', repeat('x', 70000000), '',"), ["{}"]))


# The reading log --------------------------------------------------------------------------------------------------------


@pytest.mark.compliance("11.10(e)", "DBA")
def test_compliance_a_seal_that_does_not_go_on_from_the_last_one_is_refused(people):
    anchor(people)
    ended = [span for _, span in reading.spans()][-1].until
    well = {"after": str(ended), "until": str(ended), "count": 1, "sha256": "0" * 64}
    wrong = (
        {},
        {"after": "0"},
        {"until": str(2**62)},
        {"until": str(ended - 1)},
        {"count": "1"},
        {"count": 0},
        {"sha256": "x"},
    )
    for said in wrong:
        with pytest.raises(errors.CheckViolation, match="does not go on"):
            app(entry("access.sealed", "access", "log", json.dumps(well | said if said else {})))
    with pytest.raises(errors.CheckViolation, match="does not go on"):
        app(
            "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", entry("access.sealed", "access", "log", json.dumps(well))
        )
    assert chain.walk().fault is None


@pytest.mark.compliance("F24", "DBA")
def test_compliance_an_era_of_transaction_ids_begins_in_a_restored_server_alone(people):
    with psycopg.connect(os.environ["DATABASE_URL"]) as slow, psycopg.connect(os.environ["DATABASE_URL"]) as other:
        slow.execute(ACCESS, ["{}"])
        act(people)
        other.execute(*entry("login.ended"))
        assert other.execute("SELECT audit_begin_era()").fetchone() == (False,), "its own entry is the newest"
        other.commit()
        assert slow.execute("SELECT audit_begin_era()").fetchone() == (False,), "newer ones are of this server"
    assert not Era.objects.exists()
    with (
        psycopg.connect(SERVERS.url(database(), embedded.READER)) as reader,
        pytest.raises(errors.InsufficientPrivilege),
    ):
        reader.execute("SELECT audit_begin_era()")


@pytest.mark.compliance("F24", "DBA")
def test_compliance_an_era_does_not_begin_beside_somebody_who_writes(people):
    with superuser(database()) as raw:
        raw.execute("ALTER TABLE audit_entry DISABLE TRIGGER ALL")
        raw.execute("UPDATE audit_entry SET xact = xact + 10000000")
        raw.execute("ALTER TABLE audit_entry ENABLE TRIGGER ALL")
    with psycopg.connect(os.environ["DATABASE_URL"]) as slow:
        slow.execute(ACCESS, ["{}"])
        with pytest.raises(errors.LockNotAvailable):
            app("SELECT audit_begin_era()")
    app("SELECT audit_begin_era()")
    assert Era.objects.count() == 1


# Rows that steer --------------------------------------------------------------------------------------------------------


@pytest.mark.compliance("§2.17", "DBA")
def test_compliance_when_a_clock_was_read_is_the_databases_to_say(people):
    with pytest.raises(errors.InsufficientPrivilege):
        app(READING.format("at,", "'2100-01-01',"))
    with superuser(database()) as raw:
        raw.execute(READING.format("at,", "'2100-01-01',"))
        assert raw.execute("SELECT max(at) <= audit_now() FROM audit_clockreading").fetchone() == (True,)
        raw.execute("ALTER TABLE audit_clockreading DISABLE TRIGGER ALL")
        raw.execute("UPDATE audit_clockreading SET at = '2100-01-01'")
    assert clock_guard.fault() == "", "and one that is dated in the future says nothing of now"


@pytest.mark.compliance("F24", "DBA")
def test_compliance_the_numbers_of_checkpoints_do_not_come_to_an_end(people):
    anchor(people)
    row = (
        "INSERT INTO audit_checkpoint (number, size, head, at, note, key, place, object_version, kept_until)"
        " VALUES (%s, 1, 'x', audit_now(), 'x', 'x', 'x', 'x', audit_now())"
    )
    for number in (2**63 - 1, 3 + 1_000_001, 3, -(2**63)):
        with pytest.raises((errors.CheckViolation, errors.NumericValueOutOfRange)):
            app((row, [number]))
    assert anchoring.checkpoint().number == 4


@pytest.mark.compliance("11.300(d)", "DBA")
def test_compliance_the_watch_does_not_pass_what_its_mover_wrote_and_keeps_its_name(people):
    watching.read_on()
    granted = entry("user.roles_changed", "user", people.outsider.pk, '{"from": [], "to": ["approver"]}')
    with pytest.raises(errors.CheckViolation, match="cannot go to"):
        app(granted, "SET CONSTRAINTS ALL IMMEDIATE", "UPDATE audit_watch SET seq = (SELECT max(seq) FROM audit_link)")
    with pytest.raises(errors.CheckViolation, match="cannot go to"):
        app("UPDATE audit_watch SET name = 'other'")
    assert Watch.objects.get().name == watching.ALARMS


@pytest.mark.compliance("A6", "11.10(e)", "DBA")
def test_compliance_a_review_covers_what_it_says_from_the_moment_that_it_is_made(people):
    make_buckets()
    chosen = reviews.make_filter("Refused", why="Attempts to go around it", every_days=7, by=people.approver,
                                 actions=["step.refused"])  # fmt: skip
    refused = trail.Refused("No.", action=Action.STEP_REFUSED, subject=people.author, by=people.author)
    trail.record_refusal(refused, people.author)
    with trail.refusals(people.approver2):
        acts.sign(people.approver2, trail_reviews.make(chosen, by=people.approver2, findings="none", until=2**31))
    made = Review.objects.get()
    with pytest.raises(errors.CheckViolation, match="from the moment"):
        app(("INSERT INTO audit_reviewed (review_id, entry_id) VALUES (%s, 1)", [made.pk]))
    recorded = entry("review.made", "review_filter", chosen.pk)
    copy = (
        "INSERT INTO audit_review (id, filter_id, first, last, entries, version, report, findings, reviewer, reviewer_name, made_at)"
        " SELECT '00000000-0000-0000-0000-000000000001', filter_id, first, last, 2, 'x', report, '', '', '', made_at"
        " FROM audit_review"
    )
    covered = "INSERT INTO audit_reviewed (review_id, entry_id) VALUES ('00000000-0000-0000-0000-000000000001', {})"
    with pytest.raises(errors.CheckViolation, match="as many entries"):
        app(recorded, copy, covered.format(1))
    with pytest.raises(errors.CheckViolation, match="from the moment"):
        app(
            recorded,
            copy,
            covered.format(1),
            covered.format(2),
            "SET CONSTRAINTS ALL IMMEDIATE",
            covered.format(3),
            recorded,
        )
    with pytest.raises(errors.CheckViolation, match="as many entries"):
        app(("UPDATE audit_review SET entries = 7 WHERE id = %s", [made.pk]), recorded)
    assert Reviewed.objects.count() == made.entries == 1


# Read-only --------------------------------------------------------------------------------------------------------------


@pytest.mark.compliance("F24", "DBA")
@pytest.mark.parametrize(
    "action", ["request.refused", "login.succeeded", "user.suspected", "alarm.raised", "version.verified"]
)
def test_compliance_while_read_only_no_entry_vouches_for_rows_that_its_act_does_not_change(people, action):
    hold()
    who = people.outsider.pk
    with pytest.raises(errors.ObjectInUse, match="read-only"):
        app(entry(action, "user", who), ("UPDATE accounts_user SET legal_name = 'Changed' WHERE id = %s", [who]))
    app(entry(action, "user", who))
    assert not User.objects.filter(legal_name="Changed").exists()


@pytest.mark.compliance("F24", "DBA")
def test_compliance_while_read_only_a_verification_vouches_for_no_step_of_its_version(firm):
    step = firm.version("VP-0001").steps.first()
    hold()
    with pytest.raises(errors.ObjectInUse, match="read-only: update of signatures_step"):
        app(
            entry("version.verified", "version", step.version_id),
            ("UPDATE signatures_step SET due_at = audit_now() WHERE id = %s", [step.pk]),
        )


@pytest.mark.compliance("11.300(c)", "F24")
def test_compliance_a_lost_device_is_reported_while_read_only(people):
    hold()
    people_verbs.report_lost(people.reviewer, since=clock.now(), password=PASSWORD)
    people_verbs.suspect(
        people.author, since=clock.now(), by=people.administrator, reason="Her bag was stolen on the train"
    )
    for person in (people.reviewer, people.author):
        assert not CodeDevice.objects.filter(user=person, withdrawn_at=None).exists()
    people_verbs.deactivate(people.outsider, by=people.administrator, reason="He left the firm at once")
    with pytest.raises(trail.ReadOnly), transaction.atomic():
        Area.objects.filter(pk=people.laboratory.pk).update(name="Changed")
        trail.record(Action.AREA_CHANGED, people.laboratory, by=people.administrator)
