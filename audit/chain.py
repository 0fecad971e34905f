"""Walking the chain: every link hashed again from the stored bytes, and the columns held against those bytes.

The bytes are what was hashed; the columns are what people read. Both must tell the same story (21 CFR 11.10(a), (e)).
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from django.db import connection, transaction

BATCH = 5000
ENTRY = (
    "id",
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
)
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
        for row in _links(columns):
            fault = _check(row, count + 1, previous, columns)
            if fault:
                break
            previous = bytes(row["hash"])
            count += 1
            if on_batch and count % BATCH == 0:
                on_batch(count)
        fault = fault or _unlinked() or _sealed_access()
    return Walk(count, previous.hex(), fault)


def _links(columns: bool) -> Iterator[dict[str, Any]]:
    """The links in order, each with its entry or row change, through a server-side cursor."""
    more = ""
    if columns:
        more = (
            ", e.id AS e_id, e.at AS e_at, e.detail::text AS e_detail, "
            + ", ".join(f"e.{name} AS e_{name}" for name in ENTRY[1:])
            + ", c.id AS c_id, c.at AS c_at, c.old::text AS c_old, c.new::text AS c_new, "
            + ", ".join(f'c."{name}" AS c_{name}' for name in CHANGE[1:])
        )
    sql = (
        "SELECT l.seq, l.hash, l.entry_id, l.change_id, coalesce(e.canonical, c.canonical) AS canonical" + more
        + " FROM audit_link l LEFT JOIN audit_entry e ON e.id = l.entry_id"
        " LEFT JOIN audit_rowchange c ON c.id = l.change_id ORDER BY l.seq"
    )  # fmt: skip
    with connection.connection.cursor(name="walk") as cursor:
        cursor.itersize = BATCH
        cursor.execute(sql)
        names = [column.name for column in cursor.description]
        for values in cursor:
            yield dict(zip(names, values, strict=True))


def _check(row: dict[str, Any], expected: int, previous: bytes, columns: bool) -> Fault | None:
    seq = row["seq"]
    name = f"entry {row['entry_id']}" if row["entry_id"] else f"row change {row['change_id']}"
    if seq != expected:
        return Fault("link", expected, f"Link {expected} is missing: the next one is {seq}.")
    if row["canonical"] is None:
        return Fault(name, seq, f"Link {seq} speaks of {name}, which is gone.")
    if hashlib.sha256(previous + bytes(row["canonical"])).digest() != bytes(row["hash"]):
        return Fault(
            name, seq, f"The hash of link {seq} ({name}) does not follow from the one before it and the stored bytes."
        )
    if not columns:
        return None
    told = orjson.loads(bytes(row["canonical"]))
    if row["entry_id"]:
        return _compare(name, seq, told, row, "e_", ENTRY, {"detail": row["e_detail"]})
    return _compare(name, seq, told, row, "c_", CHANGE, {"old": row["c_old"], "new": row["c_new"]})


def _compare(
    name: str,
    seq: int | None,
    told: dict[str, Any],
    row: dict[str, Any],
    prefix: str,
    fields: tuple[str, ...],
    json: dict[str, Any],
) -> Fault | None:
    for field in fields:
        if told.get(field) != row[prefix + field]:
            return _differs(name, seq, field)
    if told.get("at") != stamp(row[prefix + "at"]):
        return _differs(name, seq, "at")
    for field, text in json.items():
        if told.get(field) != (None if text is None else orjson.loads(text)):
            return _differs(name, seq, field)
    return None


def _differs(name: str, seq: int | None, field: str) -> Fault:
    return Fault(name, seq, f"The column {field} of {name} is not what was chained.")


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
