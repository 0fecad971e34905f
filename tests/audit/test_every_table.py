"""Every guarded table, every column, every path: an entry and the old and the new value, or a refusal (11.10(e)).

The tables, their subjects and keys are read from the triggers, so that a table that comes later is tried, too.
"""

import json
import os
from functools import partial

import psycopg
import pytest
from django.apps import apps
from django.db import DatabaseError, connection, transaction

from audit import trail
from audit.actions import Action
from audit.models import Entry, RowChange

GUARDED = """
SELECT c.relname, t.tgargs FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid WHERE t.tgname = 'guard' ORDER BY c.relname
"""
# A value of the same kind that is another one; a column of another kind is left as it is.
OTHER = {
    "text": "{} || 'x'", "character varying": "{} || 'x'", "boolean": "NOT {}", "integer": "{} + 1", "bigint": "{} + 1",
    "jsonb": "jsonb_build_array('other', {})", "timestamp with time zone": "{} + interval '1 day'", "bytea": "{} || '\\x00'",
}  # fmt: skip
REFUSED = ("InsufficientPrivilege", "RestrictViolation", "IntegrityConstraintViolation")
# Refused for a reason of the column itself, before or beside the guard; nothing was changed, so nothing needs an entry.
OF_ITS_OWN = ("CheckViolation", "UniqueViolation", "ForeignKeyViolation", "StringDataRightTruncation", "ExclusionViolation",
              "RaiseException", "NotNullViolation", "GeneratedAlways")  # fmt: skip


def guarded():
    with connection.cursor() as cursor:
        cursor.execute(GUARDED)
        for table, arguments in cursor.fetchall():
            kind, key, primary, secret, ignored = bytes(arguments).decode().split("\0")[:5]
            yield table, kind, key, primary, set(secret.split(",")), set(ignored.split(","))


def columns(table):
    with connection.cursor() as cursor:
        cursor.execute("SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = 'public' AND table_name = %s"
                       " ORDER BY ordinal_position", [table])  # fmt: skip
        return cursor.fetchall()


def outcome(change, entry=None):
    """ "kept" with the row changes of the act, or the name of what refused it."""
    try:
        with transaction.atomic():
            change()
            told = entry() if entry else None
    except DatabaseError as error:
        cause = error.__cause__
        return next(
            (name for name in (*REFUSED, *OF_ITS_OWN) if isinstance(cause, getattr(psycopg.errors, name))), repr(cause)
        )
    if told is None:
        return "kept"
    return list(RowChange.objects.filter(xact=Entry.objects.get(pk=told).xact))


def paths(table, primary, column, value_sql):
    """How a column can be changed: raw SQL as the application's role, and the ORM's own ways where a model has the column."""

    def raw(key):
        with connection.cursor() as cursor:
            cursor.execute(f'UPDATE {table} SET "{column}" = {value_sql} WHERE "{primary}"::text = %s', [key])

    yield "sql", raw
    model = next((found for found in apps.get_models(include_auto_created=True) if found._meta.db_table == table), None)
    field = next((found for found in model._meta.concrete_fields if found.column == column), None) if model else None
    if model is None or field is None:
        return

    def value(key):
        with connection.cursor() as cursor:
            cursor.execute(f'SELECT {value_sql} FROM {table} WHERE "{primary}"::text = %s', [key])
            found = cursor.fetchone()[0]
        return field.to_python(found) if field.get_internal_type() != "JSONField" else json.loads(found)

    def update(key):
        model._base_manager.filter(pk=key).update(**{field.attname: value(key)})

    def save(key):
        row = model._base_manager.get(pk=key)
        setattr(row, field.attname, value(key))
        row.save(force_update=True)

    def bulk(key):
        row = model._base_manager.get(pk=key)
        setattr(row, field.attname, value(key))
        model._base_manager.bulk_update([row], [field.name])

    if not field.primary_key:
        yield from (("update", update), ("save", save), ("bulk_update", bulk))


@pytest.mark.compliance("11.10(e)")
def test_compliance_every_column_of_every_controlled_table_keeps_old_and_new_on_every_path_or_is_refused(firm):
    tried, missed = 0, []
    for table, kind, key, primary, secret, ignored in guarded():
        with connection.cursor() as cursor:
            cursor.execute(f'SELECT "{primary}"::text, "{key}"::text FROM {table} ORDER BY 1 LIMIT 1')
            row = cursor.fetchone()
        if row is None:
            continue
        identity, about = row
        subject = trail.Subject(kind, about, about)
        for column, kind_of_column in columns(table):
            if kind_of_column not in OTHER or column in (key, primary, *ignored):
                continue
            value_sql = OTHER[kind_of_column].format(f'"{column}"')
            with connection.cursor() as cursor:
                cursor.execute(f'SELECT "{column}" IS NULL FROM {table} WHERE "{primary}"::text = %s', [identity])
                if cursor.fetchone()[0]:
                    continue
            for path, change in paths(table, primary, column, value_sql):
                where, tried = f"{table}.{column} by {path}", tried + 1
                alone = outcome(partial(change, identity))
                if alone not in (*REFUSED, *OF_ITS_OWN):
                    missed.append(f"{where}: {alone} without an entry")
                recorded = outcome(
                    partial(change, identity),
                    partial(trail.record, Action.REQUEST_REFUSED, subject, by=trail.SYSTEM),
                )
                if isinstance(recorded, str):
                    if recorded not in (*REFUSED, *OF_ITS_OWN):
                        missed.append(f"{where}: {recorded}")
                    continue
                (told,) = [found for found in recorded if found.table == table] or [None]
                if told is None or column not in told.old or column not in told.new:
                    missed.append(f"{where}: no old and new")
                elif column in secret:
                    if (told.old[column], told.new[column]) != ("[secret]", "[secret]"):
                        missed.append(f"{where}: a secret is told")
                elif told.old[column] == told.new[column]:
                    missed.append(f"{where}: old and new are alike")
    assert tried > 200
    assert missed == []


@pytest.mark.compliance("11.10(e)", "11.10(c)")
def test_compliance_a_row_of_a_controlled_table_is_not_removed_or_added_unrecorded(firm):
    for table, _, _, primary, _, _ in guarded():
        with psycopg.connect(os.environ["DATABASE_URL"]) as raw:
            row = raw.execute(f'SELECT "{primary}"::text FROM {table} LIMIT 1').fetchone()
            if row is None:
                continue
            with pytest.raises(psycopg.DatabaseError) as refused:
                raw.execute(f'DELETE FROM {table} WHERE "{primary}"::text = %s', [row[0]])
                raw.commit()
            assert type(refused.value).__name__ in (*REFUSED, "ForeignKeyViolation"), f"{table}: {refused.value!r}"
