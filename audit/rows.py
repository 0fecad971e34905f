"""Rows held against the trail: what a controlled table says now, and what the row changes say that it became.

The trail's own chain is `audit.chain`'s matter; this is for whoever changed a row with the triggers switched off.
"""

import json
from collections.abc import Collection
from functools import partial
from typing import Any

from django.db import connection

SECRET = "[secret]"  # noqa: S105 what the trail keeps in place of one
Row = dict[str, Any]
# Numbers as they are written: whatever a table holds can be read, and 5 is not 5.0.
read = partial(json.loads, parse_int=str, parse_float=str)


def differences(kind: str, identity: str, *, leave: Collection[str] = ()) -> list[str]:
    """Sentences, one for each column of a row about the subject that is not what the trail last recorded, and for each row
    that is gone. Tables in `leave` are left out; columns that came or went with an update of the portal do not count."""
    found: list[str] = []
    for table, recorded in _recorded(kind, identity, leave).items():
        present = _present(table, recorded)
        for key, was in recorded.items():
            if was is None:
                continue
            now = present.get(key)
            if now is None:
                found.append(f"{table}: the row {key} that the trail recorded is gone.")
                continue
            found += [
                f"{table}: the column {column} of row {key} is not what the trail recorded."
                for column, value in was.items()
                if value != SECRET and column in now and now[column] != value
            ]
    return found


def _recorded(kind: str, identity: str, leave: Collection[str]) -> dict[str, dict[str, Row | None]]:
    """By table and primary key, each row as its changes made it; None where the last change removed it."""
    rows: dict[str, dict[str, Row | None]] = {}
    with connection.cursor() as cursor:
        cursor.execute(
            'SELECT "table", "row", operation, new::text FROM audit_rowchange'
            ' WHERE subject_kind = %s AND subject_id = %s AND "table" <> ALL(%s) ORDER BY id',
            [kind, identity, list(leave)],
        )
        for table, key, operation, new in cursor.fetchall():
            row = rows.setdefault(table, {})
            row[key] = None if operation == "delete" else (row.get(key) or {}) | read(new)
    return rows


def _present(table: str, keys: Collection[str]) -> dict[str, Row]:
    name = connection.ops.quote_name
    with connection.cursor() as cursor:
        column = connection.introspection.get_primary_key_column(cursor, table)
        if column is None:
            return {}
        cursor.execute(
            f"SELECT {name(column)}::text, to_jsonb(t)::text FROM {name(table)} t"  # noqa: S608 names of our own tables
            f" WHERE {name(column)}::text = ANY(%s)",
            [list(keys)],
        )
        return {key: read(row) for key, row in cursor.fetchall()}
