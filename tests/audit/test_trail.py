"""Nothing changes unrecorded, nothing recorded changes (21 CFR 11.10(e))."""

import hashlib
import json
import os

import psycopg
import pytest
from django.db import IntegrityError, connection, transaction
from django.db.utils import InternalError, ProgrammingError

from accounts.models import Area, User
from audit import alarms, chain, trail
from audit.actions import Action
from audit.models import Alarm, Entry, Link, RowChange
from portal import watching


def rename(people, name="Renamed"):
    area = people.laboratory
    area.name = name
    area.save()


def test_a_change_without_an_entry_is_refused_at_commit(people):
    with pytest.raises(IntegrityError, match="unrecorded change"), transaction.atomic():
        rename(people)
    assert Area.objects.filter(name="Renamed").count() == 0


def test_a_change_with_an_entry_about_something_else_is_refused(people):
    with pytest.raises(IntegrityError, match="unrecorded change"), transaction.atomic():
        rename(people)
        trail.record(Action.AREA_CHANGED, people.author, by=people.administrator)


def test_a_change_keeps_old_and_new_and_who(people):
    with transaction.atomic():
        rename(people)
        number = trail.record(Action.AREA_CHANGED, people.laboratory, by=people.administrator, reason="New name")
    kept = Entry.objects.get(pk=number)
    change = RowChange.objects.get(xact=kept.xact)
    assert (change.old, change.new) == ({"name": "Sequencing laboratory"}, {"name": "Renamed"})
    assert (kept.actor_name, kept.actor_role, kept.reason) == ("Dave Mbeki", "Administrator", "New name")


@pytest.mark.parametrize("path", ["save", "update", "bulk_update", "sql"])
def test_every_path_is_captured_or_refused(people, path):
    area = people.laboratory

    def change():
        area.name = "Changed"
        if path == "save":
            area.save()
        elif path == "update":
            Area.objects.filter(pk=area.pk).update(name="Changed")
        elif path == "bulk_update":
            Area.objects.bulk_update([area], ["name"])
        else:
            with connection.cursor() as cursor:
                cursor.execute("UPDATE accounts_area SET name = 'Changed' WHERE id = %s", [area.pk])

    with pytest.raises(IntegrityError, match="unrecorded"), transaction.atomic():
        change()
    with transaction.atomic():
        change()
        trail.record(Action.AREA_CHANGED, area, by=people.administrator)
    assert RowChange.objects.get(xact=Entry.objects.latest("id").xact).new == {"name": "Changed"}


def test_secrets_are_never_kept_in_a_row_change(people):
    user = people.author
    with transaction.atomic():
        user.set_password("another long password")
        user.save()
        trail.record(Action.PASSWORD_CHANGED, user, by=user)
    assert RowChange.objects.get(xact=Entry.objects.latest("id").xact).new == {"password": "[secret]"}


@pytest.mark.parametrize("table", ["audit_entry", "audit_rowchange", "audit_link", "audit_access"])
@pytest.mark.parametrize("act", ["UPDATE {} SET id = id", "DELETE FROM {}", "TRUNCATE {}"])
def test_the_trail_refuses_change_even_to_the_owner(people, table, act):
    trail.access(people.author, "view", people.laboratory)
    statement = act.format(table).replace("id = id", "seq = seq" if table == "audit_link" else "id = id")
    for url in (os.environ["DATABASE_URL"], os.environ["MIGRATE_DATABASE_URL"]):
        with (
            psycopg.connect(url) as raw,
            pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.RestrictViolation)),
        ):
            raw.execute(statement)


@pytest.mark.compliance("11.10(e)", "DBA")
@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE audit_entry DISABLE TRIGGER ALL",
        "SET session_replication_role = replica",
        "INSERT INTO audit_link (seq, entry_id, hash) VALUES (999999, 1, 'x')",
        "INSERT INTO audit_rowchange (xact) VALUES (1)",
        "SELECT audit_link()",
        "DROP TABLE audit_entry",
        "CREATE OR REPLACE FUNCTION audit_now() RETURNS timestamptz LANGUAGE sql AS 'SELECT now()'",
    ],
)
def test_the_applications_role_cannot_get_around_the_trail(people, statement):
    with psycopg.connect(os.environ["DATABASE_URL"]) as raw, pytest.raises(psycopg.errors.InsufficientPrivilege):
        raw.execute(statement)


def test_an_entry_outside_a_transaction_is_refused(people):
    with pytest.raises(RuntimeError):
        trail.record(Action.AREA_CHANGED, people.laboratory, by=people.author)


def test_an_action_that_is_not_listed_cannot_be_recorded(people):
    with pytest.raises(ValueError), transaction.atomic():
        trail.record("area.painted", people.laboratory, by=people.author)


@pytest.mark.compliance("11.10(e)")
def test_the_application_cannot_choose_time_or_transaction_of_an_entry(people):
    columns = (
        "actor, actor_name, actor_role, action, subject_kind, subject_id, subject_label, reason, request_id, detail"
    )
    values = "'x', 'x', 'x', 'area.changed', 'area', 'x', 'x', '', '', '{}'"
    for given, value in (("at", "'2001-01-01Z'"), ("xact", "1"), ("id", "9223372036854775807")):
        with pytest.raises(ProgrammingError, match="permission denied"), connection.cursor() as cursor:
            cursor.execute(f"INSERT INTO audit_entry ({given}, {columns}) VALUES ({value}, {values})")
    with psycopg.connect(os.environ["MIGRATE_DATABASE_URL"]) as owner:
        entry, at, xact = owner.execute(
            f"INSERT INTO audit_entry (at, xact, {columns}) VALUES ('2001-01-01Z', 1, {values}) RETURNING id, at, xact"
        ).fetchone()
        assert at.year > 2001 and xact != 1
    told = json.loads(bytes(Link.objects.get(entry_id=entry).leaf))
    assert (told["id"], told["at"], told["xact"]) == (entry, chain.stamp(at), xact)


@pytest.mark.compliance("11.10(e)", "DBA")
def test_compliance_no_setting_of_a_session_makes_two_values_look_alike(firm):
    """160 hours apart, and written alike in this zone: the change is kept all the same, and wants its entry."""
    during = "tstzrange(lower(during) + interval '160 hours', upper(during), '[)')"
    with psycopg.connect(os.environ["DATABASE_URL"]) as raw:
        raw.execute("SET DateStyle = 'SQL, DMY'")
        raw.execute("SET TimeZone = 'AAA0AAA-160,J1/0,J365/0'")
        raw.execute(f"UPDATE records_effectivity SET during = {during} WHERE upper_inf(during)")
        with pytest.raises(psycopg.errors.IntegrityConstraintViolation, match="unrecorded"):
            raw.commit()
    change = RowChange.objects.filter(table="records_effectivity").latest("id")
    assert "+00" in change.new["during"], "UTC, whatever the session speaks"


@pytest.mark.compliance("11.10(e)", "DBA")
def test_compliance_a_number_written_otherwise_is_a_change(firm):
    rewrite = """replace(metadata::text, '"samples": 5', '"samples": 5.000')::jsonb"""
    with (
        psycopg.connect(os.environ["DATABASE_URL"]) as raw,
        pytest.raises(psycopg.errors.RestrictViolation, match="is sealed"),
    ):
        raw.execute(f"UPDATE records_version SET metadata = {rewrite} WHERE metadata ->> 'samples' = '5'")


@pytest.mark.compliance("11.10(e)", "DBA")
@pytest.mark.parametrize("detail", ['{"size": 5.000}', '{"sizes": [5.0]}'])
def test_compliance_a_number_written_otherwise_wants_its_entry_wherever_it_stands(people, detail):
    alarm = alarms.raise_alarm(
        Alarm.Kind.ANCHOR_BEHIND,
        trail.PORTAL,
        "The database is behind.",
        detail=json.loads(detail.replace("5.000", "5").replace("5.0", "5")),
    )
    with psycopg.connect(os.environ["DATABASE_URL"]) as raw:
        raw.execute("UPDATE audit_alarm SET detail = %s WHERE id = %s", [detail, alarm.pk])
        with pytest.raises(psycopg.errors.IntegrityConstraintViolation, match="unrecorded"):
            raw.commit()


@pytest.mark.compliance("11.10(e)", "DBA")
def test_compliance_nobody_tells_row_changes_by_a_table_of_their_own(people):
    with psycopg.connect(os.environ["DATABASE_URL"]) as raw:
        raw.execute("CREATE TEMP TABLE accounts_user (id text, is_active boolean)")
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="audit_capture"):
            raw.execute("CREATE TRIGGER guard AFTER INSERT ON accounts_user FOR EACH ROW"
                        " EXECUTE FUNCTION public.audit_capture('user', 'id', 'id', '', '')")  # fmt: skip
    with psycopg.connect(os.environ["MIGRATE_DATABASE_URL"]) as owner:
        owner.execute("CREATE TEMP TABLE accounts_user (id text, is_active boolean)")
        owner.execute("CREATE TRIGGER guard AFTER INSERT ON pg_temp.accounts_user FOR EACH ROW"
                      " EXECUTE FUNCTION public.audit_capture('user', 'id', 'id', '', '')")  # fmt: skip
        with pytest.raises(psycopg.errors.RaiseException, match="no table of the portal"):
            owner.execute("INSERT INTO pg_temp.accounts_user VALUES ('x', true)")


@pytest.mark.compliance("11.10(e)")
def test_compliance_a_row_that_moves_to_another_subject_is_a_change_of_both(people):
    move = "UPDATE accounts_user_groups SET user_id = %s WHERE user_id = %s"
    from_, to = people.approver, people.author
    with pytest.raises(IntegrityError, match=f"names user {from_.pk}"), transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(move, [to.pk, from_.pk])
        trail.record(Action.USER_CHANGED, to, by=people.administrator)
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(move, [to.pk, from_.pk])
        for user in (from_, to):
            trail.record(Action.USER_CHANGED, user, by=people.administrator)
    changes = RowChange.objects.filter(table="accounts_user_groups").order_by("-id")[:2]
    assert {change.subject_id for change in changes} == {str(from_.pk), str(to.pk)}


@pytest.mark.compliance("DBA")
def test_compliance_what_the_watch_over_the_trail_has_read_only_grows_and_passes_nothing_over(people):
    watching.read_on()
    for seq in (0, 2**62):
        with pytest.raises(IntegrityError, match="cannot go to"), connection.cursor() as cursor:
            cursor.execute("UPDATE audit_watch SET seq = %s", [seq])


def test_raw_sql_entries_are_linked_too_and_each_link_hashes_the_one_before(people):
    links = list(Link.objects.order_by("seq").values_list("seq", "leaf", "hash"))
    previous = b""
    for number, (seq, leaf, link) in enumerate(links, start=1):
        previous = hashlib.sha256(previous + bytes(leaf)).digest()
        assert (seq, bytes(link)) == (number, previous)
    assert len(links) == Entry.objects.count() + RowChange.objects.count() > 20


@pytest.mark.compliance("11.10(e)")
def test_a_refused_act_is_an_entry_although_its_work_rolled_back(people):
    with pytest.raises(trail.Forbidden), trail.refusals(people.author), transaction.atomic():
        rename(people)
        raise trail.Forbidden("Not you.", subject=people.laboratory)
    entry = Entry.objects.latest("id")
    assert (entry.action, entry.actor_name, entry.detail) == (
        "request.refused",
        "Ana Lindqvist",
        {"message": "Not you."},
    )
    assert not Area.objects.filter(name="Renamed").exists()


def test_a_refusal_speaks_of_the_portal_and_of_nobody_unless_it_says_more():
    refused = trail.Refused("No.")
    assert (refused.by, refused.subject, refused.detail, str(refused)) == (None, trail.PORTAL, {}, "No.")


def test_a_refusal_is_of_whom_it_names_else_of_whoever_asked(people):
    named = trail.Refused(
        "No.", by=people.author, subject=people.laboratory, action=Action.AREA_REFUSED, detail={"why": "x"}
    )
    for refused, actor in ((named, people.author), (trail.Refused("No."), people.reviewer)):
        trail.record_refusal(refused, people.reviewer)
        assert Entry.objects.latest("id").actor == str(actor.pk)
    first, second = Entry.objects.order_by("-id")[:2][::-1]
    assert (first.action, first.subject_id, first.detail) == (
        "area.refused",
        str(people.laboratory.pk),
        {"message": "No.", "why": "x"},
    )
    assert (second.action, second.subject_id, second.detail) == ("request.refused", "portal", {"message": "No."})


def test_nobody_is_deleted(people):
    with pytest.raises((IntegrityError, InternalError, Exception), match=r"refused|permission denied|restrict|protect"):
        User.objects.filter(username="outsider").delete()
    assert User.objects.filter(username="outsider").exists()


def test_what_a_change_costs_does_not_grow_with_what_is_on_record_of_its_subject(people):
    read = (
        "SELECT seq_tup_read + coalesce(idx_tup_fetch, 0) FROM pg_stat_xact_user_tables WHERE relname = 'audit_entry'"
    )
    asked = []
    for number in range(60):
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(read)
            before = cursor.fetchone()[0]
            cursor.execute("UPDATE accounts_area SET description = %s", [f"Change {number}"])
            for area in Area.objects.all():
                trail.record(Action.AREA_CHANGED, area, by=people.administrator)
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            cursor.execute(read)
            asked.append(cursor.fetchone()[0] - before)
    assert set(asked) == {asked[0]}
