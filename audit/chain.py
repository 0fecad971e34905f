"""Walking the chain: every link hashed again from the stored bytes, and the columns held against those bytes.

The bytes are what was hashed; the columns are what people read. Both must tell the same story (21 CFR 11.10(a), (e)).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from itertools import islice
from struct import Struct
from typing import Any

import orjson
from django.db import DataError, connection, transaction
from django.db.backends.utils import CursorWrapper
from psycopg import Cursor

from audit.models import Access, Entry

BATCH, BYTES = 250, 2**24
"""Links that travel as one value, where they have no more bytes than so many together."""
MOST = 20
"""Faults that one walk names."""
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


def told_as_bytes(row: str, columns: tuple[str, ...], free: tuple[str, ...]) -> tuple[str, str, str]:
    """SQL: the bytes that a row's leaf begins with, those that it ends with, and what is told between them.

    `free` are the columns of free form, which stand next to each other in the canonical order; between the two ends of the leaf
    they are compared as JSON. All others are written out and compared as bytes, which is three times as fast.
    """
    names = sorted((*columns, "at"))
    first, last = names.index(free[0]), names.index(free[-1])

    def member(name: str) -> str:
        if name == "at":
            value = f"""'"' || to_char({row}.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') || '"'"""
        elif name in NAMES:
            value = f"""'"' || {row}."{name}" || '"'"""
        else:
            value = f'{row}."{name}"' if name in NUMBERS else f'to_json({row}."{name}")'
        return f"""'"{name}":' || {value}"""

    begins = " || ',' || ".join(member(name) for name in names[:first])
    ends = " || ',' || ".join(member(name) for name in names[last + 1 :])
    between = ", ".join(f"'{name}', {row}.\"{name}\"" for name in free)
    return (
        f"convert_to('{{' || {begins} || ',', 'UTF8')",
        f"convert_to(',' || {ends} || '}}', 'UTF8')",
        f"jsonb_build_object({between})",
    )


def _differing(row: str, join: str, columns: tuple[str, ...], free: tuple[str, ...]) -> str:
    """SQL: the links whose rows tell another story than their bytes, in any order, and how many links have their row."""
    begins, ends, between = told_as_bytes(row, columns, free)
    # The last column is volatile, so that the planner works each of the others out once and not wherever it is used.
    return f"""
SELECT array_agg(seq) FILTER (WHERE NOT coalesce(
    CASE WHEN substr(leaf, 1, length(a)) = a AND substr(leaf, length(leaf) - length(z) + 1) = z
              AND length(leaf) > length(a) + length(z)
         THEN convert_from(
                '{{'::bytea || substr(leaf, length(a) + 1, length(leaf) - length(a) - length(z)) || '}}', 'UTF8')::jsonb = m
    END, FALSE)), count(*)
FROM (SELECT l.seq, l.leaf, {begins} AS a, {ends} AS z, {between} AS m, clock_timestamp() FROM audit_link l JOIN {join}) laid_out
"""  # noqa: S608 our own names


LAST = 2**63 - 1
"""The largest number of a transaction."""
NUMBERS = ("id", "xact")
NAMES = ("action", "subject_kind")
"""Columns whose values are names, in which nothing is to be escaped: the tables have a check for that."""
OF_ENTRY, OF_CHANGE = "audit_entry e ON e.id = l.entry_id", "audit_rowchange c ON c.id = l.change_id"
ROWS = f"LEFT JOIN {OF_ENTRY} LEFT JOIN {OF_CHANGE}"
STATED = f"CASE WHEN l.change_id IS NULL THEN {columns_as_json('e', ENTRY)} ELSE {columns_as_json('c', CHANGE)} END"
DIFFERING = (
    _differing("e", OF_ENTRY, ENTRY, ("detail",)),
    _differing("c", OF_CHANGE, CHANGE, ("new", "old")),
)
GONE = f"SELECT l.seq FROM audit_link l {ROWS} WHERE coalesce(e.id, c.id) IS NULL ORDER BY l.seq LIMIT {MOST}"  # noqa: S608 our own names
ALL_ROWS = "SELECT (SELECT count(*) FROM audit_entry) + (SELECT count(*) FROM audit_rowchange)"
MEMORY = "SET LOCAL work_mem = '128MB'"
HEAD = Struct("!qii")
# A chain has the numbers 1 to n. Links come by the hundred as one value: of each its number and two lengths, its hash, its bytes.
# Large ones come alone, since no value is larger than a gigabyte.
LINK = "int8send(seq) || int4send(length(hash)) || int4send(length(leaf)) || hash || leaf"
LINKS = f"""
SELECT links FROM generate_series(1, %(links)s, %(some)s) first,
  LATERAL (SELECT sum(length(leaf)) <= %(bytes)s AS together
           FROM audit_link WHERE seq BETWEEN first AND first + %(some)s - 1) sized,
  LATERAL (
    SELECT string_agg({LINK}, ''::bytea ORDER BY seq) AS links
    FROM audit_link WHERE together AND seq BETWEEN first AND first + %(some)s - 1 HAVING count(*) > 0
    UNION ALL (SELECT {LINK} FROM audit_link WHERE NOT together AND seq BETWEEN first AND first + %(some)s - 1 ORDER BY seq)
  ) shared
"""  # noqa: S608 our own names


@dataclass(frozen=True)
class Fault:
    """Something that does not fit: which link or row, and what is wrong with it, in a sentence."""

    where: str
    seq: int | None
    sentence: str


@dataclass(frozen=True)
class Walk:
    """What a walk found. `head` is the hash of the last link that holds, hex; it is what a checkpoint binds. `fault` is the first
    thing that does not fit, and `further` are others: whoever made one fault on purpose hides no other behind it."""

    links: int
    head: str
    fault: Fault | None
    further: tuple[Fault, ...] = ()


def walk(*, columns: bool = True, on_batch: Callable[[int], None] | None = None) -> Walk:
    """Walk the whole chain in one snapshot. `columns=False` hashes what was chained, and looks at no entry, row change or
    reading."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            links = _one(cursor, "SELECT count(*) FROM audit_link")[0]
        wrong = _follow(links, on_batch)
        if columns:
            wrong = dict.fromkeys(_differing_links(links)) | wrong
        faults = [_explain(seq, wrong[seq]) for seq in sorted(wrong)[:MOST]]
        hold = min(wrong, default=links + 1) - 1
        if columns:
            faults += islice(_beside(links if not faults else None), MOST - len(faults))
        head = _hash_of(hold)
    return Walk(hold, head.hex(), faults[0] if faults else None, tuple(faults[1:]))


def _follow(links: int, on_batch: Callable[[int], None] | None) -> dict[int, bytes | None]:
    """Of so many links those that do not follow, each with the hash before it; None where it is the number that is missing. Links
    behind a wrong one are told by the hash that it states, so that one change is one fault."""
    connection.ensure_connection()
    count, previous = 0, b""
    wrong: dict[int, bytes | None] = {}
    with Cursor(connection.connection) as cursor:
        # The database goes on to the next links while this side hashes; after too many faults they are taken off the wire.
        asked = {"links": links, "some": BATCH, "bytes": BYTES}
        for (some,) in cursor.stream(LINKS, asked, binary=True, size=1):
            if len(wrong) < MOST:
                count, previous = _follow_some(some, count, previous, wrong)
                if on_batch:
                    on_batch(count)
    if count != links and not wrong:
        wrong[count + 1] = previous
    return wrong


def _hash_of(seq: int) -> bytes:
    with connection.cursor() as cursor:
        cursor.execute("SELECT hash FROM audit_link WHERE seq = %s", [seq])
        return bytes(cursor.fetchone()[0]) if seq else b""


def _follow_some(links: bytes, count: int, previous: bytes, wrong: dict[int, bytes | None]) -> tuple[int, bytes]:
    at, head, end = 0, HEAD.size, len(links)
    while at < end:
        seq, hash_length, leaf_length = HEAD.unpack_from(links, at)
        leaf_at = at + head + hash_length
        at = leaf_at + leaf_length
        link = links[leaf_at - hash_length : leaf_at]
        if seq != count + 1:
            wrong[count + 1] = None
        elif sha256(previous + links[leaf_at:at]).digest() != link:
            wrong[seq] = previous
        previous = link
        count = seq
    return count, previous


def _differing_links(links: int) -> list[int]:
    """The first links whose rows tell another story than their bytes, or are gone. `links` is how many there are."""
    with connection.cursor() as cursor:
        cursor.execute(MEMORY)
        try:
            with transaction.atomic():
                found, rows = zip(*(_one(cursor, sql) for sql in DIFFERING), strict=True)
        except DataError:  # bytes that are no JSON at all: they are not what the portal writes
            return [_unreadable()]
        differing = [seq for some in found for seq in some or ()]
        if sum(rows) != links:
            cursor.execute(GONE)
            differing += [seq for (seq,) in cursor.fetchall()]
    return sorted(differing)[:MOST]


def _one(cursor: CursorWrapper, sql: str) -> tuple[Any, ...]:
    cursor.execute(sql)
    return cursor.fetchone()


def _unreadable() -> int:
    """The number of the first link whose bytes are no JSON."""
    with Cursor(connection.connection) as cursor:
        for seq, leaf in cursor.stream("SELECT seq, leaf FROM audit_link ORDER BY seq", binary=True, size=BATCH):
            try:
                orjson.loads(leaf)
            except orjson.JSONDecodeError:
                return int(seq)
    raise AssertionError("every link could be read")


def _explain(expected: int, previous: bytes | None = None) -> Fault:
    """Say what is wrong with a link that does not fit. `previous` is the hash before it, if that is to be looked at."""
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
    if previous is not None and sha256(previous + leaf).digest() != bytes(link):
        return Fault(
            name, seq, f"The hash of link {seq} ({name}) does not follow from the one before it and the stored bytes."
        )
    try:
        told, now = orjson.loads(bytes(leaf)), orjson.loads(stated)
    except orjson.JSONDecodeError:
        return Fault(name, seq, f"The stored bytes of {name} cannot be read.")
    wrong = [field for field in now if told.get(field) != now[field]]
    if not wrong:
        return Fault(name, seq, f"The stored bytes of {name} are not written as the portal writes them.")
    return Fault(name, seq, f"The column {', '.join(wrong)} of {name} is not what was chained.")


def _beside(links: int | None) -> Iterator[Fault]:
    """What is wrong where no link says so; `links` is how many there are if each of them has its row."""
    yield from _unlinked(links)
    yield from _sealed_access()


def _unlinked(links: int | None) -> Iterator[Fault]:
    """An entry or a row change that no link speaks of was put there by somebody who went around the trigger.

    Where each of so many links speaks of another row that is there, nothing is left over unless there are more rows.
    """
    with connection.cursor() as cursor:
        if _one(cursor, ALL_ROWS) == (links,):
            return
    for kind, table, column in (("entry", "audit_entry", "entry_id"), ("row change", "audit_rowchange", "change_id")):
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT t.id FROM {table} t LEFT JOIN audit_link l ON l.{column} = t.id"  # noqa: S608 our own names
                f" WHERE l.seq IS NULL ORDER BY t.id LIMIT {MOST}"
            )
            for (found,) in cursor.fetchall():
                yield Fault(f"{kind} {found}", None, f"The {kind} {found} is in no link of the chain.")


def _sealed_access() -> Iterator[Fault]:
    """The reading log, span by span, against the hashes that the chain holds; each span begins where the one before ended, and no
    row stands before the first. What is sealed by nothing yet is held against its own bytes alone."""
    from audit.reading import span_hash, spans

    ended = 0
    for entry_id, span in spans():
        name = f"entry {entry_id}"
        if span is None or span.after != ended:
            yield Fault(name, None, f"The seal that {name} tells does not go on where the one before ended.")
            continue
        ended = span.until
        count, digest, wrong = span_hash(span.after, span.until)
        if wrong is not None:
            yield Fault(f"access {wrong}", None, f"The columns of access {wrong} are not what was sealed.")
        if (count, digest) != (span.count, span.sha256):
            yield Fault(name, None, f"The reading log that {name} sealed has {count} rows and another hash.")
    for outside in Access.objects.filter(xact__lt=0).order_by("id").values_list("pk", flat=True)[:MOST]:
        yield Fault(f"access {outside}", None, f"Access {outside} stands before every seal of the reading log.")
    wrong = span_hash(ended, LAST)[2]
    if wrong is not None:
        yield Fault(f"access {wrong}", None, f"The columns of access {wrong} are not what was written.")


def tells(leaf: bytes, entry: Entry) -> bool:
    """True if the chained bytes say what the entry's columns say."""
    stated = {name: getattr(entry, name) for name in ENTRY}
    return bool(orjson.loads(leaf) == {"at": stamp(entry.at), **stated})


def stamp(when: datetime) -> str:
    """As `audit_time()` writes it in the database."""
    return when.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
