"""Walking the chain: every link hashed again from the stored bytes, and the columns held against those bytes.

The bytes are what was hashed; the columns are what people read. Both must tell the same story (21 CFR 11.10(a), (e)).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from operator import itemgetter
from typing import Any

import orjson
from django.db import connection, transaction

BATCH = 5000
ENTRY = (
    "id", "xact", "actor", "actor_name", "actor_role", "action", "subject_kind", "subject_id", "subject_label", "reason",
    "request_id",
)  # fmt: skip
CHANGE = ("id", "xact", "table", "row", "operation", "subject_kind", "subject_id")
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

HASHES = """
SELECT l.seq, l.hash, l.entry_id, l.change_id, coalesce(e.canonical, c.canonical)
FROM audit_link l LEFT JOIN audit_entry e ON e.id = l.entry_id LEFT JOIN audit_rowchange c ON c.id = l.change_id
ORDER BY l.seq
"""
# Entries and row changes in one shape, so that a row is no wider than it must be: the columns of ENTRY or CHANGE, then JSON.
COLUMNS = """
SELECT l.seq, l.hash, l.entry_id, l.change_id, e.canonical, audit_time(e.at), e.id, e.xact, e.actor, e.actor_name, e.actor_role,
       e.action, e.subject_kind, e.subject_id, e.subject_label, e.reason, e.request_id, e.detail::text, NULL
FROM audit_link l LEFT JOIN audit_entry e ON e.id = l.entry_id WHERE l.change_id IS NULL
UNION ALL
SELECT l.seq, l.hash, l.entry_id, l.change_id, c.canonical, audit_time(c.at), c.id, c.xact, c."table", c."row", c.operation,
       c.subject_kind, c.subject_id, NULL, NULL, NULL, NULL, c.old::text, c.new::text
FROM audit_link l LEFT JOIN audit_rowchange c ON c.id = l.change_id WHERE l.change_id IS NOT NULL
ORDER BY 1
"""
told_of_entry = itemgetter("at", *ENTRY)
told_of_change = itemgetter("at", *CHANGE)


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
    """Walk the whole chain in one snapshot. `columns=False` hashes only. Stops at the first fault."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        count, previous, fault = 0, b"", None
        for row in _links(COLUMNS if columns else HASHES):
            seq, link, _, _, leaf = row[:5]
            if (
                seq != count + 1
                or leaf is None
                or sha256(previous + leaf).digest() != link
                or (columns and not _columns_agree(row))
            ):
                fault = _explain(row, count + 1, previous)
                break
            previous = link
            count += 1
            if on_batch and count % BATCH == 0:
                on_batch(count)
        fault = fault or _unlinked() or _sealed_access()
    return Walk(count, previous.hex(), fault)


def _links(sql: str) -> Iterator[tuple[Any, ...]]:
    """The links in order, each with its entry or row change, through a server-side cursor in binary."""
    with connection.connection.cursor(name="walk", binary=True) as cursor:
        # The whole chain is read, so a plan that is quick for the first rows alone would be slow.
        connection.connection.execute("SET LOCAL cursor_tuple_fraction = 1")
        cursor.itersize = BATCH
        cursor.execute(sql)
        yield from cursor


def _columns_agree(row: tuple[Any, ...]) -> bool:
    told = orjson.loads(row[4])
    try:
        if row[2] is not None:
            return told_of_entry(told) == row[5:17] and told["detail"] == orjson.loads(row[17])
        return told_of_change(told) == row[5:13] and told["old"] == _json(row[17]) and told["new"] == _json(row[18])
    except KeyError:
        return False


def _json(text: str | None) -> Any:
    return None if text is None else orjson.loads(text)


def _explain(row: tuple[Any, ...], expected: int, previous: bytes) -> Fault:
    """Say what is wrong with a link that does not fit."""
    seq, link, entry, change, leaf = row[:5]
    name = f"entry {entry}" if entry is not None else f"row change {change}"
    if seq != expected:
        return Fault("link", expected, f"Link {expected} is missing: the next one is {seq}.")
    if leaf is None:
        return Fault(name, seq, f"Link {seq} speaks of {name}, which is gone.")
    if sha256(previous + leaf).digest() != link:
        return Fault(
            name, seq, f"The hash of link {seq} ({name}) does not follow from the one before it and the stored bytes."
        )
    told = orjson.loads(leaf)
    fields = ("at", *(ENTRY if entry is not None else CHANGE))
    stated = dict(zip(fields, row[5:], strict=False))
    stated |= {"detail": _json(row[17])} if entry is not None else {"old": _json(row[17]), "new": _json(row[18])}
    wrong = [field for field, value in stated.items() if told.get(field) != value]
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


def stamp(when: datetime) -> str:
    """As `audit_time()` writes it in the database."""
    return when.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
