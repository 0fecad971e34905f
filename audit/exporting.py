"""The trail as a file that can be checked without the portal (`verifier/countersign_verify.py` says what its lines are)."""

from collections.abc import Iterator

import orjson
from django.db import connection, transaction
from psycopg import Cursor

from audit.chain import ACCESS, CHANGE, ENTRY, columns_as_json

FORMAT = "countersign-trail-1"
BATCH = 2000

# Entries and row changes that no link speaks of come first, so that nobody who reads the file can overlook them.
LINKS = f"""
SELECT l.seq, encode(l.hash, 'hex'), l.leaf, CASE WHEN coalesce(l.entry_id, e.id) IS NULL THEN 'change' ELSE 'entry' END,
       (CASE WHEN e.id IS NOT NULL THEN {columns_as_json("e", ENTRY)}
             WHEN c.id IS NOT NULL THEN {columns_as_json("c", CHANGE)} END)::text
FROM audit_link l FULL JOIN audit_entry e ON e.id = l.entry_id FULL JOIN audit_rowchange c ON c.id = l.change_id
ORDER BY l.seq NULLS FIRST
"""  # noqa: S608 our own names
ACCESSES = f"SELECT a.canonical, ({columns_as_json('a', (*ACCESS, 'detail'))})::text FROM audit_access a ORDER BY a.id"  # noqa: S608


def lines(origin: str) -> Iterator[bytes]:
    """The whole trail in one snapshot, a line at a time, ended by a newline each. Opens a transaction until it is used up."""
    links = accesses = 0
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        yield _line({"format": FORMAT, "origin": origin})
        with Cursor(connection.connection) as cursor:
            for seq, link, leaf, kind, columns in cursor.stream(LINKS, size=BATCH):
                links += seq is not None
                told = None if columns is None else orjson.Fragment(columns)  # as PostgreSQL writes it, fractions too
                yield _line({"seq": seq, "hash": link, "leaf": None if leaf is None else _text(leaf), kind: told})
        with Cursor(connection.connection) as cursor:
            for leaf, columns in cursor.stream(ACCESSES, size=BATCH):
                accesses += 1
                yield _line({"access": orjson.Fragment(columns), "leaf": _text(leaf)})
    yield _line({"end": {"links": links, "accesses": accesses}})


def _text(leaf: bytes) -> str:
    return bytes(leaf).decode(errors="replace")


def _line(told: dict[str, object]) -> bytes:
    return orjson.dumps(told, option=orjson.OPT_APPEND_NEWLINE)
