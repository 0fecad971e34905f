"""The reading log's seal: each five minutes' rows are hashed into one entry of the chain.

A span is told by transaction ids, not by row ids: below the oldest transaction still running, no row can appear any more.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from django.db import connection, transaction
from psycopg import Cursor

from audit import trail
from audit.actions import Action
from audit.models import Access, Entry

# The oldest transaction that still runs, counted on as the rows' own ids are (`audit_xact()`).
HORIZON = """
SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint
       + coalesce((SELECT base FROM audit_era ORDER BY id DESC LIMIT 1), 0)
"""
SUBJECT = trail.Subject("access", "log", "the reading log")


@dataclass(frozen=True)
class Span:
    """Rows of transactions above `after`, up to and without `until`."""

    after: int
    until: int
    count: int
    sha256: str


def seal() -> Span | None:
    """Hash what was read since the last seal into an entry; None where nothing was."""
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(7244112)")
        after = _ended()
        cursor.execute(HORIZON)
        until = cursor.fetchone()[0]
        count, digest, _ = span_hash(after, until)
        if not count:
            return None
        span = Span(after, until, count, digest)
        trail.record(Action.ACCESS_SEALED, SUBJECT, by=trail.SYSTEM, detail={
            "after": str(after), "until": str(until), "count": count, "sha256": digest})  # fmt: skip
        return span


def unsealed_since() -> datetime | None:
    """The time of the oldest reading that no seal covers; None where there is none."""
    waiting = Access.objects.filter(xact__gte=_ended()).order_by("xact")
    return waiting.values_list("at", flat=True).first()


def _ended() -> int:
    """Where the last seal ended."""
    return next((span.until for _, span in spans(newest_first=True) if span is not None), 0)


def spans(*, newest_first: bool = False) -> Iterator[tuple[int, Span | None]]:
    """Every sealed span, with the id of the entry that says so. None where that entry is no seal of the portal: it cannot be
    read, or reaches beyond its own transaction."""
    entries = Entry.objects.filter(action=Action.ACCESS_SEALED).order_by("-id" if newest_first else "id")
    for entry in entries.iterator():
        yield entry.pk, _said(entry)


def _said(entry: Entry) -> Span | None:
    try:
        said = entry.detail
        span = Span(int(said["after"]), int(said["until"]), int(said["count"]), str(said["sha256"]))
    except (KeyError, TypeError, ValueError):
        return None
    return span if span.after <= span.until <= entry.xact else None


def span_hash(after: int, until: int) -> tuple[int, str, int | None]:
    """Number of rows, SHA-256 over their canonical bytes in order of id, and the first row whose columns differ from them."""
    from audit.chain import ACCESS, stamp

    sha256, count, wrong = hashlib.sha256(), 0, None
    columns = ", ".join(f'"{name}"' for name in ACCESS)
    asked = (
        f"SELECT {columns}, at, detail::text, canonical FROM audit_access"  # noqa: S608 our own names
        " WHERE xact >= %s AND xact < %s ORDER BY id"
    )
    connection.ensure_connection()
    with Cursor(connection.connection) as cursor:
        for *values, at, detail, canonical in cursor.stream(asked, [after, until]):
            sha256.update(canonical)
            count += 1
            row = dict(zip(ACCESS, values, strict=True)) | {"at": stamp(at)}
            if wrong is None and not _tells(canonical, row, detail):
                wrong = row["id"]
    return count, sha256.hexdigest(), wrong


def _tells(canonical: bytes, row: dict[str, Any], detail: str) -> bool:
    """True if the bytes say what the columns say. What cannot be read says nothing."""
    try:
        return bool(orjson.loads(canonical) == row | {"detail": orjson.loads(detail)})
    except orjson.JSONDecodeError:
        return False
