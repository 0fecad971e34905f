"""Walking the chain: every link hashed again from the stored bytes, and the columns held against those bytes.

The bytes are what was hashed; the columns are what people read. Both must tell the same story (21 CFR 11.10(a), (e)).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

import orjson
from django.db import connection, transaction
from psycopg import Cursor, DataError

from audit.models import Entry

BATCH = 5000
ENTRY = (
    "id", "xact", "actor", "actor_name", "actor_role", "action", "subject_kind", "subject_id", "subject_label", "reason",
    "request_id", "detail",
)  # fmt: skip
CHANGE = ("id", "xact", "table", "row", "operation", "subject_kind", "subject_id", "old", "new")
ACCESS = (
    "id",
    "xact",
    "actor",
    "actor_name",
    "actor_role",
    "what",
    "subject_kind",
    "subject_id",
    "subject_label",
    "request_id",
)


def columns_as_json(row: str, columns: tuple[str, ...]) -> str:
    """SQL: what the columns of a row say, in the form of its stored bytes."""
    pairs = ", ".join(f"'{name}', {row}.\"{name}\"" for name in columns)
    at = f"""to_char({row}.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""
    return f"jsonb_build_object('at', {at}, {pairs})"


ROWS = "LEFT JOIN audit_entry e ON e.id = l.entry_id LEFT JOIN audit_rowchange c ON c.id = l.change_id"
STATED = f"CASE WHEN l.change_id IS NULL THEN {columns_as_json('e', ENTRY)} ELSE {columns_as_json('c', CHANGE)} END"
# The database lays the columns beside the bytes, so that no wide row travels; what is hashed is hashed on this side.
LINKS = "SELECT l.seq, l.hash, l.leaf, TRUE FROM audit_link l ORDER BY l.seq"
LINKS_AND_COLUMNS = f"""
SELECT l.seq, l.hash, l.leaf, convert_from(l.leaf, 'UTF8')::jsonb = {STATED}
FROM audit_link l {ROWS} ORDER BY l.seq
"""  # noqa: S608 our own names


@dataclass(frozen=True)
class Fault:
    """The first thing that does not fit: which link or row, and what is wrong with it, in a sentence."""

    where: str
    seq: int | None
    sentence: str


@dataclass(frozen=True)
class Walk:
    """What a walk found. `head` is the hash of the last link, hex; it is what a checkpoint binds."""

    links: int
    head: str
    fault: Fault | None


def walk(*, columns: bool = True, on_batch: Callable[[int], None] | None = None) -> Walk:
    """Walk the whole chain in one snapshot, and stop at the first fault. `columns=False` hashes what was chained and looks at no
    entry, row change or reading."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        try:
            with transaction.atomic():
                count, head, fits = _follow(LINKS_AND_COLUMNS if columns else LINKS, on_batch)
        except DataError:  # bytes that are no JSON at all: they are not what the portal writes
            count, head, fits = _follow(LINKS, None)
            if fits:
                count, fits = _readable(), False
        fault = None if fits else _explain(count + 1, head)
        if columns:
            fault = fault or _unlinked() or _sealed_access()
    return Walk(count, head.hex(), fault)


def _follow(links: str, on_batch: Callable[[int], None] | None) -> tuple[int, bytes, bool]:
    """Links that fit from the first on, the hash of the last of them, and whether that was all of them."""
    count, previous, fits = 0, b"", True
    for seq, link, leaf, agree in _rows(links):
        if not fits:
            continue  # what is on its way is taken off the wire
        if seq != count + 1 or sha256(previous + leaf).digest() != link or not agree:
            fits = False
            continue
        previous = link
        count += 1
        if on_batch and count % BATCH == 0:
            on_batch(count)
    return count, previous, fits


def _rows(sql: str) -> Iterator[tuple[Any, ...]]:
    """Rows as the database makes them: it goes on to the next while this side hashes."""
    connection.ensure_connection()
    with Cursor(connection.connection) as cursor:
        yield from cursor.stream(sql, binary=True, size=BATCH)


def _readable() -> int:
    """How many links from the first on have bytes that can be read."""
    count = 0
    for count, (_, _, leaf, _) in enumerate(_rows(LINKS)):
        try:
            orjson.loads(leaf)
        except orjson.JSONDecodeError:
            return count
    return count


def _explain(expected: int, previous: bytes) -> Fault:
    """Say what is wrong with the first link that does not fit."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT l.seq, l.hash, l.entry_id, l.change_id, l.leaf, coalesce(e.id, c.id) IS NULL, ({STATED})::text"  # noqa: S608 our own names
            f" FROM audit_link l {ROWS} WHERE l.seq >= %s OR l.seq < 1 ORDER BY l.seq LIMIT 1",
            [expected],
        )
        seq, link, entry, change, leaf, gone, stated = cursor.fetchone()
    name = f"entry {entry}" if entry is not None else f"row change {change}"
    if seq != expected:
        return Fault("link", expected, f"Link {expected} is missing: the next one is {seq}.")
    if gone:
        return Fault(name, seq, f"Link {seq} speaks of {name}, which is gone.")
    if sha256(previous + leaf).digest() != bytes(link):
        return Fault(
            name, seq, f"The hash of link {seq} ({name}) does not follow from the one before it and the stored bytes."
        )
    try:
        told = orjson.loads(bytes(leaf))
    except orjson.JSONDecodeError:
        return Fault(name, seq, f"The stored bytes of {name} cannot be read.")
    now = orjson.loads(stated)
    wrong = [field for field in now if told.get(field) != now[field]]
    return Fault(name, seq, f"The column {', '.join(wrong)} of {name} is not what was chained.")


def _unlinked() -> Fault | None:
    """An entry or a row change that no link speaks of was put there by somebody who went around the trigger."""
    for kind, table, column in (("entry", "audit_entry", "entry_id"), ("row change", "audit_rowchange", "change_id")):
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT t.id FROM {table} t LEFT JOIN audit_link l ON l.{column} = t.id"  # noqa: S608 our own names
                " WHERE l.seq IS NULL ORDER BY t.id LIMIT 1"
            )
            if found := cursor.fetchone():
                return Fault(f"{kind} {found[0]}", None, f"The {kind} {found[0]} is in no link of the chain.")
    return None


def _sealed_access() -> Fault | None:
    """The reading log, span by span, against the hashes that the chain holds."""
    from audit.reading import span_hash, spans

    for entry_id, span in spans():
        count, digest, wrong = span_hash(span.after, span.until)
        if wrong is not None:
            return Fault(f"access {wrong}", None, f"The columns of access {wrong} are not what was sealed.")
        if (count, digest) != (span.count, span.sha256):
            return Fault(
                f"entry {entry_id}",
                None,
                f"The reading log that entry {entry_id} sealed has {count} rows and another hash.",
            )
    return None


def tells(leaf: bytes, entry: Entry) -> bool:
    """True if the chained bytes say what the entry's columns say."""
    stated = {name: getattr(entry, name) for name in ENTRY}
    return bool(orjson.loads(leaf) == {"at": stamp(entry.at), **stated})


def stamp(when: datetime) -> str:
    """As `audit_time()` writes it in the database."""
    return when.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
