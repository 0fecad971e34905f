"""Months of events that have left the database: moved into one Parquet file each, under Object Lock, and asked there.

A file holds one row for each thing that an event touched, with the event's own columns beside it: `main` marks the first, of
which every event has one. Rows are sorted by bucket and place (the key; of a prefix its folder), so that the statistics of a
few row groups lead to a record's objects. Files are fetched once into the portal's cache, by their hash, and read by DuckDB:
nothing is asked of the network but S3 itself.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from django.conf import settings
from django.db import connection, transaction

from accounts.permissions import demand
from audit import clock, trail
from audit.actions import Action
from audit.reasons import demand_reason
from cloudtrail.rows import COLUMNS, TOLD_COLUMNS
from storage import s3, worm
from storage.s3 import StorageError
from storage.worm import Pin

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from accounts.models import User
    from cloudtrail.models import ArchivedMonth

MEDIA_TYPE = "application/vnd.apache.parquet"
ROW_GROUP = 20_480  # rows: the objects of a record lie in one or two of them
FETCHED = 5_000  # rows at a time
_KINDS = {
    **dict.fromkeys(("file_id", "actor_id", "bytes_in", "bytes_out"), "BIGINT"),
    **dict.fromkeys(("read_only", "data", "presigned"), "BOOLEAN"),
    "ordinal": "INTEGER",
}
TYPES = {"time": "TIMESTAMP", "main": "BOOLEAN", "place": "VARCHAR"} | {
    name: _KINDS.get(name, "VARCHAR") for name in COLUMNS[1:]
}
"""Columns of a file, in order. `time` is UTC, to the microsecond."""


class Unanswerable(trail.Refused, StorageError):
    """A part of the events that were asked for lies in a file that cannot be had, or is not what was kept. Nothing is shown
    then, because a view without them would look whole."""

    status = 503


# Reading --------------------------------------------------------------------------------------------------------------


def files(since: datetime, until: datetime) -> list[str]:
    """Paths of the files that hold events of [since, until), fetched where they are not here yet. Raises `Unanswerable`."""
    from cloudtrail.models import ArchivedMonth

    first, last = since.astimezone(UTC).date().replace(day=1), until.astimezone(UTC).date()
    return [_path(month) for month in ArchivedMonth.objects.filter(month__gte=first, month__lte=last)]


def _path(month: ArchivedMonth) -> str:
    try:
        return str(here(month.pin))
    except StorageError as error:
        raise Unanswerable(
            f"This cannot be answered now: the CloudTrail events of {month.month:%B %Y} have left the database, and the file that"
            f" keeps them cannot be read. {error}",
            subject=month, detail={"key": month.key, "version": month.s3_version},
        ) from error  # fmt: skip


def here(pin: Pin) -> Path:
    """The file on this machine, its hash checked when it was fetched, and again by each process. Raises `StorageError`."""
    path = Path(settings.CACHE_DIR) / "events" / f"{pin.sha256}.parquet"
    if not path.exists():
        _fetch(pin, path)
    state = path.stat()
    if _hash(path, state.st_mtime_ns, state.st_size) != pin.sha256:
        path.unlink(missing_ok=True)
        raise worm.Altered(
            f"The copy of {pin.bucket}/{pin.key} on this machine was altered. It is fetched anew next time."
        )
    return path


def _fetch(pin: Pin, path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as into:
            try:
                with s3.asking_for_nobody():
                    worm.fetch(pin, into)
                into.flush()
                os.replace(into.name, path)
            except BaseException:
                Path(into.name).unlink(missing_ok=True)
                raise
    except OSError as error:
        raise StorageError(f"It cannot be written on this machine: {error.strerror}.") from error


@lru_cache(maxsize=256)
def _hash(path: Path, changed: int, size: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def ask(sql: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """Rows of a question in DuckDB's SQL; values stand as `$name`, times are UTC without a zone. No network, no extension."""
    with _duckdb() as database:
        named = {name: _plain(value) for name, value in values.items() if f"${name}" in sql}
        return database.execute(sql, named).fetchall()


@contextmanager
def _duckdb() -> Iterator[DuckDBPyConnection]:
    config: dict[str, Any] = {
        "threads": 2,
        "memory_limit": "1GB",
        "temp_directory": str(Path(settings.CACHE_DIR) / "duckdb"),
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    }
    import duckdb  # a tenth of a second, which no process should pay that asks for no archived month

    try:
        with duckdb.connect(":memory:", config=config) as database:
            yield database
    except duckdb.IOException as error:  # a disk that is full, say: it is no OSError
        raise StorageError(f"A file on this machine cannot be read or written. {str(error).splitlines()[0]}") from error


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None)
    return [_plain(one) for one in value] if isinstance(value, list) else value


def events(since: datetime, until: datetime, where: str, values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Events of [since, until] for which `where` holds, each once, as columns of the table."""
    found = files(since, until)
    if not found:
        return []
    names = ", ".join(COLUMNS)
    sql = f"SELECT {names} FROM read_parquet($files) WHERE main AND time >= $since AND time <= $until AND {where}"  # noqa: S608
    rows = ask(sql, {**values, "files": found, "since": since, "until": until})
    return [dict(zip(COLUMNS, (row[0].replace(tzinfo=UTC), *row[1:]), strict=True)) for row in rows]


def told_earlier(times: Collection[datetime], ids: Collection[str]) -> Iterator[tuple[datetime, str, tuple[Any, ...]]]:
    """What archived months tell already of events with these ids: time, id, and the columns in which tellings must agree."""
    from cloudtrail.models import Actor

    found = events(min(times), max(times), "list_contains($ids, event_id)", {"ids": list(ids)})
    inside = Actor.objects.filter(pk__in={event["actor_id"] for event in found}, inside__isnull=False)
    same = dict(inside.values_list("pk", "inside_id")) if found else {}
    for event in found:
        event["actor_id"] = same.get(event["actor_id"], event["actor_id"])
        yield event["time"], event["event_id"], tuple(event[name] for name in TOLD_COLUMNS)


# Moving a month -------------------------------------------------------------------------------------------------------

_PLACE = "CASE {0}.reach WHEN 'p' THEN coalesce(substring({0}.key from '^.*/'), '') ELSE {0}.key END"
_OF_TOUCH = ("reach", "bucket", "key", "s3_version")
_ORDER = "ORDER BY time, file_id, ordinal, main, reach, bucket, key, s3_version"


def _of_month() -> str:
    """SQL for every row of a month, as its file has it."""
    own = ", ".join(f"e.{name}" for name in COLUMNS[1:])
    touched = ", ".join(f"{'t' if name in _OF_TOUCH else 'e'}.{name}" for name in COLUMNS[1:])
    time = "(extract(epoch FROM e.time) * 1000000)::bigint"
    return (
        f"SELECT {time} AS time, true AS main, {_PLACE.format('e')} AS place, {own} FROM cloudtrail_event e"  # noqa: S608
        " WHERE e.time >= %(first)s AND e.time < %(next)s UNION ALL"
        f" SELECT {time}, false, {_PLACE.format('t')}, {touched} FROM cloudtrail_touch t"
        " JOIN cloudtrail_event e ON e.time = t.time AND e.file_id = t.file_id AND e.ordinal = t.ordinal"
        " WHERE t.time >= %(first)s AND t.time < %(next)s"
    )


@dataclass(frozen=True)
class Counted:
    """What a set of rows comes to: events, further touches, and SHA-256 over the rows, each as JSON on a line, in one order."""

    events: int
    touches: int
    sha256: str


def close(month: date, *, by: User, reason: str) -> ArchivedMonth:
    """Move the events of a closed month into a Parquet file under Object Lock, and drop them from the database.

    The file is read back from S3 and its rows are compared with those of the table before anything is dropped; the database
    drops a month only in the transaction that says where it is kept. Safe to run again where it was cut off. Raises
    `Forbidden`; `NotAllowed` for a month that is not closed or has nothing; `StorageError`.
    """
    from cloudtrail.models import ArchivedMonth

    demand(by, "cloudtrail.manage")
    month = month.replace(day=1)
    made = ArchivedMonth(month=month)
    reason = demand_reason(reason, Action.REQUEST_REFUSED, made, by)
    first, after = _midnight(month), _midnight(_next(month))
    if _next(_next(month)) > clock.now().date():
        raise trail.NotAllowed(
            f"{month:%B %Y} is not closed, since CloudTrail may still deliver: it can leave a month after its end.",
            subject=made, by=by,
        )  # fmt: skip
    table = _counted_in_table(first, after)
    if not table.events:
        raise trail.NotAllowed(f"The database has no events of {month:%B %Y}.", subject=made, by=by)
    pin = _kept(first, after)
    file = _counted_in_file(str(here(pin)))
    if file != table:
        raise trail.NotAllowed(
            f"The file that was written does not hold what the table does ({file} instead of {table}): nothing was dropped.",
            subject=made, by=by,
        )  # fmt: skip
    with transaction.atomic(durable=True):
        made = ArchivedMonth.objects.create(
            month=month, bucket=pin.bucket, key=pin.key, s3_version=pin.version_id, size=pin.size, sha256=pin.sha256,
            rows_sha256=file.sha256, events=file.events, touches=file.touches, columns=list(TYPES),
            buckets=_first_of_buckets(str(here(pin))),
        )  # fmt: skip
        told = {"events": file.events, "touches": file.touches, "rows_sha256": file.sha256, "pin": pin.to_json()}
        trail.record(Action.EVENTS_ARCHIVED, made, by=by, reason=reason, detail=told)
        with connection.cursor() as cursor:
            cursor.execute("SELECT cloudtrail_drop_archived(%s)", [made.pk])
    return made


def months(before: date) -> list[date]:
    """Months that the database keeps apart, and that end before the month of `before` begins; oldest first."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT to_date(right(relid::text, 7), 'YYYY_MM') FROM pg_partition_tree('cloudtrail_event')"
            " WHERE relid::text ~ '_[0-9]{4}_[0-9]{2}$'"
        )
        return sorted(month for (month,) in cursor.fetchall() if month < before.replace(day=1))


def _kept(first: datetime, after: datetime) -> Pin:
    """The month as Parquet, under Object Lock."""
    years = settings.DOCUMENT_RETENTION_YEARS
    with tempfile.TemporaryDirectory() as folder, _write_rows(first, after, Path(folder)).open("rb") as data:
        return worm.put(data, media_type=MEDIA_TYPE, retain_until=worm.years_after(clock.now(), years))


def _write_rows(first: datetime, after: datetime, folder: Path) -> Path:
    """A Parquet file of the rows, by way of one of text: what the database cannot say to DuckDB itself."""
    rows, file = folder / "rows.csv", folder / "rows.parquet"
    with rows.open("wb") as out, connection.cursor() as cursor:
        copying = f"COPY ({_of_month()}) TO STDOUT (FORMAT csv, FORCE_QUOTE *)"
        with cursor.copy(copying, {"first": first, "next": after}) as copy:
            for piece in copy:
                out.write(piece)
    read = {name: "BIGINT" if name == "time" else kind for name, kind in TYPES.items()}
    columns = ", ".join("make_timestamp(time) AS time" if name == "time" else name for name in TYPES)
    with _duckdb() as database:
        database.execute(
            f"COPY (SELECT {columns} FROM read_csv('{rows}', columns = {read}, header = false, auto_detect = false,"  # noqa: S608
            " delim = ',', quote = '\"', escape = '\"', allow_quoted_nulls = false, parallel = false)"
            " ORDER BY bucket, place, time, file_id, ordinal, main, reach, key, s3_version)"
            f" TO '{file}' (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {ROW_GROUP})"
        )
    return file


def _counted_in_table(first: datetime, after: datetime) -> Counted:
    with transaction.atomic(), connection.chunked_cursor() as cursor:
        cursor.execute(f"SELECT * FROM ({_of_month()}) month {_ORDER}", {"first": first, "next": after})  # noqa: S608
        return _counted(iter(cursor))


def _counted_in_file(path: str) -> Counted:
    columns = ", ".join("epoch_us(time) AS time" if name == "time" else name for name in TYPES)
    with _duckdb() as database:
        found = database.execute(f"SELECT {columns} FROM read_parquet($path) {_ORDER}", {"path": path})  # noqa: S608
        return _counted(row for many in iter(lambda: found.fetchmany(FETCHED), []) for row in many)


def _counted(rows: Iterator[tuple[Any, ...]]) -> Counted:
    digest, mains, others = hashlib.sha256(), 0, 0
    for row in rows:
        digest.update(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))
        mains, others = mains + row[1], others + (not row[1])
    return Counted(mains, others, digest.hexdigest())


def _first_of_buckets(path: str) -> dict[str, str]:
    rows = ask(
        "SELECT bucket, min(time) FROM read_parquet($path) WHERE reach <> '' GROUP BY 1 ORDER BY 1", {"path": path}
    )
    return {bucket: first.replace(tzinfo=UTC).isoformat() for bucket, first in rows}


def _next(month: date) -> date:
    return (month + timedelta(days=31)).replace(day=1)


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
