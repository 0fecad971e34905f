"""Questions with names: which trails a person may see, and which events touched a record.

"Who touched this record" is one index probe for each object, on bucket, hash of the key and time, newest first and no deeper
than the page asks: the time it takes grows with the record, not with the table. Listings and batch deletes name a prefix
only; they are found by probing every folder of every key.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
from django.db import connection
from django.db.models import Count, Exists, F, Max, OuterRef, Q, QuerySet, Sum
from psycopg.types.datetime import TimestamptzLoader

from accounts.permissions import may
from cloudtrail import archive
from cloudtrail.kinds import NAMES, Kind, kind_of
from cloudtrail.touches import Reach
from records.models import File, Record, Version

if TYPE_CHECKING:
    from accounts.models import User
    from cloudtrail.models import Event, LogFile, Trail  # noqa: F401


class TrailQuerySet(QuerySet["Trail"]):
    def visible_to(self, user: User) -> TrailQuerySet:
        """Trails are the system's, not an area's: whoever may read CloudTrail sees them all."""
        return self if may(user, "cloudtrail.read") else self.none()

    def with_counts(self) -> TrailQuerySet:
        """Each trail with its listing and what its ledger comes to."""

        def files(*states: str) -> Count:
            return Count("files", filter=Q(files__state__in=states))

        return self.select_related("listing").annotate(
            files_seen=Count("files"),
            files_stored=files("stored"),
            files_quarantined=files("quarantined"),
            files_waiting=files("seen"),
            events_stored=Sum(F("files__events") - F("files__seen_before")),
            last_delivered_at=Max("files__delivered_at"),
        )


class LogFileQuerySet(QuerySet["LogFile"]):
    def visible_to(self, user: User) -> LogFileQuerySet:
        """Files of the trails that the person may see."""
        return self if may(user, "cloudtrail.read") else self.none()


class EventQuerySet(QuerySet["Event"]):
    def visible_to(self, user: User) -> EventQuerySet:
        """Events, but not those about an object of a record that the person may not see: that does not exist for them.

        Ask it of few events only (a page, one file): it looks at each event's object.
        """
        if not may(user, "cloudtrail.read"):
            return self.none()
        hidden = File.objects.exclude(version__in=Version.objects.visible_to(user))
        seen = File.objects.filter(version__in=Version.objects.visible_to(user))
        same = {"bucket": OuterRef("bucket"), "key": OuterRef("key")}
        return self.filter(~Exists(hidden.filter(**same)) | Exists(seen.filter(**same)))

    def of_file(self, file: LogFile) -> EventQuerySet:
        """Events that this file tells. The times of the ledger lead to them: no index on the file is kept."""
        if file.first_event_at is None or file.last_event_at is None:
            return self.none()
        return self.filter(file=file, time__gte=file.first_event_at, time__lte=file.last_event_at)


def events_of(file: LogFile, user: User, after: int = -1, limit: int | None = None) -> list[Event]:
    """Events of a file behind an index that the person may see, in order, archived ones too."""
    from cloudtrail.models import Event

    stored = Event.objects.of_file(file).filter(ordinal__gt=after).order_by("ordinal").select_related("actor")
    found = list(stored.visible_to(user)[:limit])
    return sorted([*found, *_archived_of(file, user, after)], key=lambda event: event.ordinal)[:limit]


def _archived_of(file: LogFile, user: User, after: int) -> list[Event]:
    from cloudtrail.models import Actor, Event

    if file.first_event_at is None or file.last_event_at is None or not may(user, "cloudtrail.read"):
        return []
    rows = archive.events(
        file.first_event_at,
        file.last_event_at,
        "file_id = $file AND ordinal > $after",
        {"file": file.pk, "after": after},
    )
    if not rows:
        return []
    actors = Actor.objects.in_bulk({row["actor_id"] for row in rows})
    hidden = _hidden_places({(row["bucket"], row["key"]) for row in rows}, user)
    found = [Event(**row) for row in rows if (row["bucket"], row["key"]) not in hidden]
    for event in found:
        event.actor = actors[event.actor_id]
    return found


def _hidden_places(places: Collection[tuple[str, str]], user: User) -> set[tuple[str, str]]:
    """Those that belong only to versions that the person may not see; the same rule as `EventQuerySet.visible_to`."""
    pins = File.objects.filter(key__in={key for _, key in places})
    seen = pins.filter(version__in=Version.objects.visible_to(user))
    return set(pins.values_list("bucket", "key")) - set(seen.values_list("bucket", "key"))


class Match(StrEnum):
    """How an event is known to concern the record."""

    EXACT = "exact"
    UNNAMED = "unnamed"
    OTHER = "other"
    SOURCE = "source"
    PREFIX = "prefix"
    BUCKET = "bucket"
    ALL = "all"

    @property
    def said(self) -> str:
        """The match in words, for the small print of a line."""
        return _SAID[self]


_SAID = {
    Match.EXACT: "version named in the event",
    Match.UNNAMED: "version not named in the event: the newest at that time is inferred",
    Match.OTHER: "another version of the same object",
    Match.SOURCE: "copied from here",
    Match.PREFIX: "may include: the event names only what the keys begin with",
    Match.BUCKET: "affects every record in the bucket",
    Match.ALL: "affects every record",
}


@dataclass(frozen=True)
class Object:
    """One object of a record, with the versions that count as the record's own."""

    bucket: str
    key: str
    versions: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Touched:
    """One event that touched one of the objects that were asked for: a line of the audit view."""

    time: datetime
    file_id: int
    ordinal: int
    event_id: str
    event_source: str
    event_name: str
    error_code: str
    bytes_in: int
    bytes_out: int
    presigned: bool
    source_ip: str
    request_id: str
    target: str
    bucket: str
    key: str
    s3_version: str
    match: Match
    actor_id: int
    standing: str
    name: str
    role: str
    listed: str = ""

    @property
    def cursor(self) -> str:
        """Where this line stands: the page after it is asked for by `after`."""
        return f"{self.time.isoformat()}|{self.file_id}|{self.ordinal}"


@dataclass(frozen=True)
class Page:
    """Lines, newest first; `after` is "" on the last page."""

    lines: list[Touched]
    after: str


def objects_of(what: Record | Version | Iterable[Object]) -> list[Object]:
    """The objects of a version, or of all versions of a record."""
    if isinstance(what, Record):
        pins = File.objects.filter(version__record=what)
    elif isinstance(what, Version):
        pins = File.objects.filter(version=what)
    else:
        return list(what)
    versions: dict[tuple[str, str], set[str]] = {}
    for bucket, key, version in pins.values_list("bucket", "key", "s3_version"):
        versions.setdefault((bucket, key), set()).add(version)
    return [Object(bucket, key, frozenset(named)) for (bucket, key), named in sorted(versions.items())]


def touching(
    what: Record | Version | Iterable[Object],
    since: datetime,
    until: datetime,
    *,
    person: str | None = None,
    kind: Kind | str | None = None,
    standing: str | None = None,
    actors: Collection[int] | None = None,
    spans: Collection[tuple[int, datetime, datetime]] = (),
    after: str = "",
    limit: int = 100,
) -> Page:
    """Events in [since, until) that touched a record, a version of it, or these objects; newest first.

    What counts: the object itself, at the version or at an unnamed one; it as the source of a copy; a listing or batch
    delete whose prefix may include it; a change of its bucket's configuration; a change of a trail or an encryption key.
    A read that names another version than those asked for is not about them. `person` is an actor's printed name;
    `actors` are keys of actors; `spans` add actors that are meant from one time to another only. Raises ValueError for an
    `after` that is no cursor.
    """
    where, values = _filters(since, until, person, kind, standing, after)
    if actors is not None:
        where += f" AND ({' OR '.join(['e.actor_id = ANY(%(chosen)s)', *_spans(spans, values)])})"
        values["chosen"] = list(actors)
    values |= _probes(objects_of(what)) | {"limit": limit + 1}
    rows = sorted(_everywhere(where, _PAGE, values), key=lambda row: row[:3], reverse=True)
    known = _known({row[-1] for row in rows[:limit]})
    lines = [_touched(row, known[row[-1]]) for row in rows[:limit]]
    return Page(lines, lines[-1].cursor if len(rows) > limit else "")


def count_touching(
    what: Record | Version | Iterable[Object],
    since: datetime,
    until: datetime,
    *,
    person: str | None = None,
    kind: Kind | str | None = None,
    standing: str | None = None,
) -> int:
    """How many events `touching` would give in all."""
    where, values = _filters(since, until, person, kind, standing, "")
    values |= _probes(objects_of(what))
    return sum(int(count) for (count,) in _everywhere(where, _COUNT, values))


@dataclass(frozen=True)
class ByPerson:
    """What one actor did in the period: events by kind, bytes that S3 sent, first and last time (UTC)."""

    standing: str
    name: str
    events: int
    kinds: dict[str, int]
    bytes_out: int
    first: datetime
    last: datetime


def by_person(what: Record | Version | Iterable[Object], since: datetime, until: datetime) -> list[ByPerson]:
    """Everyone who touched a record in [since, until), most events first."""
    found: dict[tuple[str, str], list[Tally]] = {}
    for one in tallies(what, since, until):
        found.setdefault((one.standing, one.name), []).append(one)
    people = [_person(standing, name, rows) for (standing, name), rows in found.items()]
    return sorted(people, key=lambda person: (-person.events, person.name))


class Tally(NamedTuple):
    """How often one actor did things of one kind in one role on one day (UTC); bytes that S3 sent, first and last time."""

    day: date
    standing: str
    name: str
    role: str
    kind: Kind
    listed: str
    events: int
    bytes_out: int
    first: datetime
    last: datetime


def tallies(what: Record | Version | Iterable[Object], since: datetime, until: datetime) -> list[Tally]:
    """Everything that touched a record in [since, until), counted by day, actor, role and kind."""
    where, values = _filters(since, until, None, None, None, "")
    values |= _probes(objects_of(what))
    rows = _everywhere(where, _BY_DAY, values)
    actors = _known({row[1] for row in rows})
    found = []
    for day, actor, call, refused, *counted in rows:
        standing, name, role, listed = actors[actor]
        found.append(Tally(day, standing, name, role, kind_of(call, "refused" if refused else ""), listed, *counted))
    return found


# --- How --------------------------------------------------------------------------------------------------------------

_PLACE = (
    "hashtextextended(CASE {0}.reach WHEN 'p' THEN coalesce(substring({0}.key from '^.*/'), '') ELSE {0}.key END, 0)"
)
"""Where the index keeps what was touched: by its key, and a prefix by its folder (migration 0002 has the same words)."""
_THERE = """
      {0}.bucket = p.bucket AND {1} = hashtextextended(p.key, 0) AND strpos(p.accept, {0}.reach) > 0
      AND CASE WHEN {0}.reach <> 'p' OR {0}.key = p.key THEN {0}.key = p.key ELSE starts_with({0}.key, p.key) AND EXISTS (
        SELECT FROM unnest(%(places)s::text[]) place WHERE starts_with(place, {0}.bucket || '/' || {0}.key)) END"""
_MATCHES = """
WITH probe AS MATERIALIZED (
  SELECT * FROM jsonb_to_recordset(%(probes)s::jsonb) AS p(bucket text, key text, accept text, versions jsonb))
SELECT DISTINCT ON (m.time, m.file_id, m.ordinal) m.* FROM (
  SELECT found.* FROM probe p CROSS JOIN LATERAL (
    SELECT {event_columns} FROM cloudtrail_event e
    WHERE e.reach <> '' AND {event_there}
      AND (e.reach <> 'o' OR e.s3_version = '' OR p.versions ? e.s3_version OR e.event_name <> ALL(%(reads)s)) {where}
    {limit}) found
  UNION ALL
  SELECT found.* FROM probe p CROSS JOIN LATERAL (
    SELECT {touch_columns} FROM cloudtrail_touch t
    JOIN cloudtrail_event e ON e.time = t.time AND e.file_id = t.file_id AND e.ordinal = t.ordinal
    WHERE {touch_there}
      AND (t.reach NOT IN ('o', 's') OR t.s3_version = '' OR p.versions ? t.s3_version)
      AND t.time >= %(since)s AND t.time < %(until)s {where}
    {limit}) found
) m ORDER BY m.time DESC, m.file_id DESC, m.ordinal DESC
"""
_COUNTED = tuple(
    f"e.{name}" for name in ("time", "file_id", "ordinal", "actor_id", "event_name", "error_code", "bytes_out")
)
_SHOWN = (
    "e.time", "e.file_id", "e.ordinal", "e.event_id", "e.event_source", "e.event_name", "e.error_code", "e.bytes_in",
    "e.bytes_out", "e.presigned", "e.source_ip", "e.request_id", "e.target", "{0}.bucket", "{0}.key", "{0}.s3_version",
    "{0}.reach", "p.versions", "e.actor_id",
)  # fmt: skip
_DEEPEST = "ORDER BY e.time DESC, e.file_id DESC, e.ordinal DESC LIMIT %(limit)s"
_EACH = "OFFSET 0"  # keeps the probes apart: else the planner may read the whole period once instead
_PAGE = "SELECT touched.* FROM ({matches} LIMIT %(limit)s) touched"
_COUNT = "SELECT count(*) FROM ({matches}) touched"
_BY_DAY = """
SELECT CAST({day} AS date), touched.actor_id, touched.event_name, touched.error_code <> '',
       count(*), CAST(sum(touched.bytes_out) AS bigint), min(touched.time), max(touched.time)
FROM ({matches}) touched GROUP BY 1, 2, 3, 4
"""
_ARCHIVED = """
SELECT DISTINCT ON (m.time, m.file_id, m.ordinal) m.* FROM (
  SELECT {columns} FROM read_parquet(%(files)s) e
  JOIN (SELECT unnest(from_json(%(probes)s,
    '[{{"bucket": "VARCHAR", "key": "VARCHAR", "accept": "VARCHAR", "versions": ["VARCHAR"]}}]'), max_depth := 2)) p
    ON e.bucket = p.bucket AND e.place = p.key
  WHERE e.place IN ({keys}) AND e.reach <> '' AND contains(p.accept, e.reach)
    AND CASE WHEN e.reach <> 'p' OR e.key = p.key THEN e.key = p.key ELSE starts_with(e.key, p.key) AND len(list_filter(
      %(places)s::VARCHAR[], lambda place: starts_with(place, e.bucket || '/' || e.key))) > 0 END
    AND (e.s3_version = '' OR list_contains(p.versions, e.s3_version)
      OR CASE WHEN e.main THEN e.reach <> 'o' OR NOT e.event_name = ANY(%(reads)s) ELSE e.reach NOT IN ('o', 's') END)
    {where}
) m ORDER BY m.time DESC, m.file_id DESC, m.ordinal DESC
"""
"""`_MATCHES` in DuckDB's SQL: a file of `archive` has an event's columns beside everything that it touched."""


def _everywhere(where: str, question: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Rows from the database and, where the period reaches into months that have left it, from their files.

    An event stands in one of them only, so pages are merged, and counts stand side by side. Raises `archive.Unanswerable`.
    """
    rows = _rows(_sql(where, question), values)
    if files := archive.files(values["since"], values["until"]):
        rows += _rows_of_files(where, question, {**values, "files": files})
    return rows


def _sql(where: str, question: str) -> str:
    columns = _SHOWN if question is _PAGE else _COUNTED
    matches = _MATCHES.format(
        event_columns=", ".join(columns).format("e"),
        touch_columns=", ".join(columns).format("t"),
        where=where,
        limit=_DEEPEST if question is _PAGE else _EACH,
        event_there=_THERE.format("e", _PLACE.format("e")),
        touch_there=_THERE.format("t", _PLACE.format("t")),
    )
    # Where an event touches several of the objects, a page shows the nearest touch.
    nearest = ", strpos('sopba', m.reach)" if question is _PAGE else ""
    return question.format(matches=matches + nearest, day="touched.time AT TIME ZONE 'UTC'")


def _rows_of_files(where: str, question: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Rows as `_rows` gives them. The places are written out, so that DuckDB can leave out what lies elsewhere in a file."""
    columns = ", ".join(_SHOWN if question is _PAGE else _COUNTED).format("e")
    places = {f"place{number}": probe["key"] for number, probe in enumerate(orjson.loads(values["probes"]))}
    keys = ", ".join(f"%({name})s" for name in places)
    matches = _ARCHIVED.format(columns=columns, keys=keys or "NULL", where=where)
    nearest = ", strpos('sopba', m.reach)" if question is _PAGE else ""
    sql = _NAMED.sub(r"$\1", question.format(matches=matches + nearest, day="touched.time"))
    return [
        tuple(value.replace(tzinfo=UTC) if type(value) is datetime else value for value in row)
        for row in archive.ask(sql, values | places)
    ]


_NAMED = re.compile(r"%\((\w+)\)s")


def _rows(sql: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
    """All rows. Times are read by psycopg itself, which is ten times as fast as the reader that Django puts before it."""
    with connection.cursor() as cursor:
        cursor.cursor.adapters.register_loader("timestamptz", TimestamptzLoader)
        cursor.execute(sql, values)
        return cursor.fetchall()


def _known(actors: Collection[int]) -> dict[int, tuple[str, str, str, str]]:
    """Standing, name, role and what the directory lists them under, by key: few actors stand behind many events."""
    from cloudtrail.models import Actor

    rows = Actor.objects.filter(pk__in=actors).values_list("pk", "standing", "name", "role", "listed")
    return {pk: (standing, name, role, listed) for pk, standing, name, role, listed in rows}


def _filters(
    since: datetime,
    until: datetime,
    person: str | None,
    kind: Kind | str | None,
    standing: str | None,
    after: str,
) -> tuple[str, dict[str, Any]]:
    """SQL of our own with named places, and the values for them."""
    values: dict[str, Any] = {"since": since, "until": until, "reads": list(NAMES[Kind.READ])}
    where = "AND e.time >= %(since)s AND e.time < %(until)s"
    if person is not None or standing is not None:
        values["actors"] = _actors(person, standing)
        where += " AND e.actor_id = ANY(%(actors)s)"
    if kind is not None:
        where += _KIND_SQL[Kind(kind)]
        values["names"] = list(NAMES.get(Kind(kind), ()))
        values["known"] = [name for names in NAMES.values() for name in names]
    if after:
        time, file_id, ordinal = _cursor(after)
        # The time alone stands in the index; the row comparison settles ties.
        where += " AND e.time <= %(at)s AND (e.time, e.file_id, e.ordinal) < (%(at)s, %(file)s, %(ordinal)s)"
        values |= {"at": time, "file": file_id, "ordinal": ordinal}
    return where, values


def _spans(spans: Collection[tuple[int, datetime, datetime]], values: dict[str, Any]) -> Iterator[str]:
    """SQL for each actor that is meant for a time only; their values go into `values`."""
    for number, (actor, since, until) in enumerate(spans):
        values |= {f"actor_{number}": actor, f"since_{number}": since, f"until_{number}": until}
        yield f"(e.actor_id = %(actor_{number})s AND e.time >= %(since_{number})s AND e.time < %(until_{number})s)"


_KIND_SQL = {
    **dict.fromkeys(NAMES, " AND e.error_code = '' AND e.event_name = ANY(%(names)s)"),
    Kind.REFUSED: " AND e.error_code <> ''",
    Kind.CONTROL: " AND e.error_code = '' AND NOT e.event_name = ANY(%(known)s)",
}


def _actors(person: str | None, standing: str | None) -> list[int]:
    from cloudtrail.models import Actor

    actors = Actor.objects.all()
    if person is not None:
        actors = actors.filter(name=person)
    if standing is not None:
        actors = actors.filter(standing=standing)
    return list(actors.values_list("pk", flat=True))


def _cursor(after: str) -> tuple[datetime, int, int]:
    time, file_id, ordinal = after.split("|")
    instant = datetime.fromisoformat(time)
    if instant.tzinfo is None:
        raise ValueError("a cursor names its time zone")
    return instant, int(file_id), int(ordinal)


def _probes(objects: Sequence[Object]) -> dict[str, Any]:
    """Where to look, each place once, with the reaches that count there and the versions that are the record's own.

    A prefix is looked for in its folder: only one that ends within a name is held against each key.
    """
    accept: dict[tuple[str, str], set[str]] = {}
    versions: dict[tuple[str, str], Collection[str]] = {}
    for one in objects:
        place = (one.bucket, one.key)
        versions[place] = one.versions
        accept.setdefault(place, set()).update((Reach.OBJECT, Reach.SOURCE))
        for folder in _folders(one.key):
            accept.setdefault((one.bucket, folder), set()).add(Reach.PREFIX)
        accept[one.bucket, ""].add(Reach.BUCKET)
    if objects:
        accept["", ""] = {Reach.ALL}
    probes = [
        {
            "bucket": place[0],
            "key": place[1],
            "accept": "".join(sorted(reaches)),
            "versions": list(versions.get(place, ())),
        }
        for place, reaches in accept.items()
    ]
    return {"probes": orjson.dumps(probes).decode(), "places": [f"{one.bucket}/{one.key}" for one in objects]}


def _folders(key: str) -> list[str]:
    """Everything in front of a slash, with it: "", "runs/", "runs/a/" for runs/a/r1."""
    return ["", *(key[: place + 1] for place, char in enumerate(key) if char == "/")]


def _touched(row: tuple[Any, ...], actor: tuple[str, str, str, str]) -> Touched:
    *shown, reach, versions, actor_id = row
    told: tuple[Any, ...] = (*shown, _match(reach, shown[-1], versions), actor_id, *actor)
    return Touched(*told)


def _match(reach: str, version: str, versions: Collection[str] | str) -> Match:
    named = orjson.loads(versions) if isinstance(versions, str) else versions
    if reach == Reach.OBJECT:
        return Match.UNNAMED if not version else Match.EXACT if version in named else Match.OTHER
    return {Reach.SOURCE: Match.SOURCE, Reach.PREFIX: Match.PREFIX, Reach.BUCKET: Match.BUCKET}.get(
        Reach(reach), Match.ALL
    )


def _person(standing: str, name: str, rows: list[Tally]) -> ByPerson:
    kinds: dict[str, int] = {}
    for row in rows:
        kinds[row.kind] = kinds.get(row.kind, 0) + row.events
    return ByPerson(
        standing=standing,
        name=name,
        events=sum(kinds.values()),
        kinds=kinds,
        bytes_out=sum(row.bytes_out for row in rows),
        first=min(row.first for row in rows),
        last=max(row.last for row in rows),
    )
