"""From a bucket to rows: list, fetch, read, store. Every step is safe to repeat, and to be killed in.

The ledger (`LogFile`) keeps duplicates out: a file's events and its row become "stored" in one transaction, so a file is
stored once or not at all. What is slow or remote happens outside of it. A file that cannot be read is put into quarantine
with its reason, and the files behind it go on.
"""

import hashlib
import logging
import math
import os
import time
import uuid
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import msgspec
import psycopg
from django.db import DataError, connection, transaction

from audit import clock
from cloudtrail import alarms, archive, bucket, keys, ledger
from cloudtrail.actors import Standing
from cloudtrail.attribution import OUTSIDE, Directory
from cloudtrail.events import ParsedFile, Unreadable, gunzip, parse
from cloudtrail.models import Actor, HandedOver, Listing, LogFile, Trail
from cloudtrail.rows import COLUMNS, TOLD_COLUMNS, TOUCH_COLUMNS, lines, told
from storage.s3 import ObjectGone, StorageError

BATCH = 20
"""Files stored in one transaction."""
BATCH_BYTES = 32 * 1024 * 1024
"""As delivered; a batch of larger files has fewer of them."""
LOOK_BACK = timedelta(days=1)
"""How long after a day's end its folder is listed again: CloudTrail may deliver late."""
FETCHERS = 8
ATTEMPTS = 80
"""Tries to fetch a file before it goes to quarantine, some three days of them; one that is not there goes at once."""
LOOK_AGAIN = 1
"""Seconds between two looks at what others still hold."""
COUNTED = 100_000
"""Waiting files are counted up to this number; it only shows how far a pull is."""

SEPARATOR = "\x1f"
"""Between event ids; one that holds it is not found again, and its event stored again: a stranger's doing, and visible."""
NO_LOG_FILE = "The key is not the name of a CloudTrail log file."

log = logging.getLogger(__name__)
Progress = Callable[[int, int, str], None]


def silent(done: int, total: int, message: str = "") -> None:
    """Progress for callers that show none."""


@dataclass
class Tally:
    """What a pull or a load came to. `actors` counts the files' events by how well their actor is known."""

    found: int = 0
    files: int = 0
    quarantined: int = 0
    unreachable: int = 0
    events: int = 0
    seen_before: int = 0
    conflicts: int = 0
    trails: set[uuid.UUID] = field(default_factory=set)
    actors: Counter[int] = field(default_factory=Counter)

    @property
    def stored(self) -> int:
        """Events stored now."""
        return self.events - self.seen_before


@dataclass
class Reading:
    """One file of a batch: its ledger row, and what reading it came to."""

    row: LogFile
    parsed: ParsedFile | None = None
    reason: str = ""
    sha256: str = ""
    sha256_content: str = ""
    again: bool = False


# --- Finding ----------------------------------------------------------------------------------------------------------


def discover(trail: Trail, progress: Progress = silent) -> int:
    """Put every log file that the trail's bucket shows now into the ledger; returns how many were new.

    Lists the folders of the days since the last complete listing, and one day before (late delivery). Raises `StorageError`.
    """
    now = clock.now()
    today = now.astimezone(UTC).date()
    listing, _ = Listing.objects.get_or_create(trail=trail)
    first = max(trail.started_from, (listing.listed_through or trail.started_from) - LOOK_BACK)
    regions = [trail.region] if trail.region else _regions(trail)
    new = 0
    for region in regions:
        for day in _days(trail, region, first, today):
            folder = keys.day_prefix(trail.prefix, trail.organisation, trail.account, region, day)
            new += note(trail, bucket.list_versions(trail.bucket, folder))
            progress(0, 0, f"listing {region} {day}: {new} new files")
    Listing.objects.filter(trail=trail).update(listed_through=today, last_listed_at=now, last_error="")
    return new


def _regions(trail: Trail) -> list[str]:
    return bucket.folders(trail.bucket, keys.account_prefix(trail.prefix, trail.organisation, trail.account))


def _days(trail: Trail, region: str, first: date, last: date) -> list[date]:
    """The days to list: each one when they are few, else those of which there is a folder."""
    if (last - first).days <= 3:
        return keys.days(first, last)
    root = keys.account_prefix(trail.prefix, trail.organisation, trail.account) + region + "/"
    found = []
    for year in bucket.folders(trail.bucket, root):
        for month in bucket.folders(trail.bucket, f"{root}{year}/"):
            if f"{year}-{month}" < f"{first:%Y-%m}":
                continue
            for number in bucket.folders(trail.bucket, f"{root}{year}/{month}/"):
                try:
                    day = date(int(year), int(month), int(number))
                except ValueError:
                    continue
                if first <= day <= last:
                    found.append(day)
    return sorted(found)


def note(trail: Trail, listed: Iterable[bucket.Listed]) -> int:
    """Put what a listing shows into the ledger; returns how many were new."""
    rows = []
    for found in listed:
        name = keys.parse(found.key)
        row = LogFile(
            trail=trail,
            bucket=trail.bucket,
            key=found.key,
            s3_version=found.version_id,
            etag=found.etag,
            size=found.size,
            delivered_at=name.delivered if name else None,
        )
        rows.append(row)
    known = set(
        LogFile.objects.filter(bucket=trail.bucket, key__in=[row.key for row in rows]).values_list(
            "key", "s3_version", "etag"
        )
    )
    new = [row for row in rows if (row.key, row.s3_version, row.etag) not in known]
    with transaction.atomic():
        now = ledger.settling()
        for row in new:
            if row.delivered_at is None:
                row.state, row.reason, row.settled_at = LogFile.State.QUARANTINED, NO_LOG_FILE, now
        LogFile.objects.bulk_create(new, ignore_conflicts=True, batch_size=1000)
    return len(new)


# --- Pulling ----------------------------------------------------------------------------------------------------------


def pull(trail: Trail, progress: Progress = silent) -> Tally:
    """Find new files, then read all that wait. Raises `StorageError` if the bucket cannot be listed."""
    tally = Tally(found=0 if trail.offline else discover(trail, progress))
    read(trail, tally, progress)
    return tally


def read(trail: Trail, tally: Tally, progress: Progress = silent, seconds: float = math.inf) -> None:
    """Fetch, read and store what waits, portion by portion, beside others who do the same; until nothing waits, or for so long.

    What others hold is waited for: they store it, or their lease runs out and it is read here. A file that could not be
    fetched is left until its next try is due.
    """
    directory = Directory()
    waiting, done, ends = ledger.waiting(trail, COUNTED), 0, time.monotonic() + seconds
    with ThreadPoolExecutor(FETCHERS) as pool:
        while time.monotonic() < ends:
            if portion := ledger.take(trail, BATCH, BATCH_BYTES):
                _store_what_can_be(list(pool.map(fetch, portion)), directory, tally)
                done += len(portion)
            elif ledger.held(trail):
                time.sleep(LOOK_AGAIN)
            else:
                break
            progress(done, max(done, waiting), f"{done} files read here, {tally.stored} events stored")


def _store_what_can_be(readings: Sequence[Reading], directory: Directory, tally: Tally) -> None:
    """Store a portion; where the database refuses it, file by file: only the one with the fault stands aside."""
    try:
        store(readings, directory, tally)
    except (DataError, psycopg.DataError) as error:
        if len(readings) > 1:
            for reading in readings:
                _store_what_can_be([reading], directory, tally)
        elif readings[0].parsed is not None:
            log.exception("the database refuses what %s tells", readings[0].row.key)
            reason = f"The database refuses what it tells: {' '.join(str(error).split())[:160]}"
            store([replace(readings[0], parsed=None, reason=reason)], directory, tally)
        else:
            raise


def fetch(row: LogFile) -> Reading:
    """Fetch and read one file; runs in a thread, so it asks the database nothing."""
    if keys.parse(row.key) is None:
        return Reading(row, reason=NO_LOG_FILE)
    try:
        raw = raw_bytes(row)
    except (ObjectGone, bucket.TooLarge) as error:
        return Reading(row, reason=str(error))
    except StorageError as error:
        return Reading(row, reason=str(error), again=row.attempts + 1 < ATTEMPTS)
    try:
        return Reading(row, parsed=parse(raw))
    except Unreadable as error:
        reason = str(error)
    except Exception as error:
        log.exception("reading %s failed", row.key)
        reason = f"The portal failed to read it ({type(error).__name__})."
    return Reading(row, reason=reason, sha256=hashlib.sha256(raw).hexdigest(), sha256_content=_content_hash(raw))


def _content_hash(raw: bytes) -> str:
    """What a digest would name, of a file whose events cannot be read; "" if it cannot be unpacked."""
    try:
        return hashlib.sha256(gunzip(raw)).hexdigest()
    except Unreadable:
        return ""


def raw_bytes(row: LogFile) -> bytes:
    """The bytes of a file as delivered, from its bucket, or as handed over. Raises `StorageError` or `TooLarge`."""
    if row.bucket:
        return bucket.fetch(row.bucket, row.key, row.s3_version, row.etag, row.size)
    return bytes(row.handed_over.data)


# --- Handed over offline ----------------------------------------------------------------------------------------------


def load(root: Path, trail_for: Callable[[str], Trail], tally: Tally, progress: Progress = silent) -> list[LogFile]:
    """Store the log files below a directory, laid out as CloudTrail delivers them; returns what was set aside.

    `trail_for` gives the trail of an account. Digests, Insight files and other siblings are no log files and are passed by here.
    """
    directory = Directory()
    paths = sorted(_log_paths(root), key=lambda found: found[1])
    aside: list[LogFile] = []
    done = 0
    with ThreadPoolExecutor(1) as reader:
        for readings in _read_ahead(reader, (_hand_over(portion, trail_for) for portion in _portions(paths))):
            tally.trails |= {reading.row.trail_id for reading in readings}
            store(readings, directory, tally)
            aside += [reading.row for reading in readings if reading.row.state == LogFile.State.QUARANTINED]
            done += len(readings)
            progress(done, len(paths), f"{done} of {len(paths)} files, {tally.stored} events stored")
    return aside


def _read_ahead(pool: Executor, portions: Iterable[Sequence[LogFile]]) -> Iterator[list[Reading]]:
    """Each portion, read; while the caller stores it, the next one is read."""
    reading: list[Future[Reading]] = []
    for portion in portions:
        following = [pool.submit(fetch, row) for row in portion]
        if reading:
            yield [one.result() for one in reading]
        reading = following
    if reading:
        yield [one.result() for one in reading]


def _portions(paths: list[tuple[Path, str]]) -> Iterator[list[tuple[Path, str]]]:
    portion: list[tuple[Path, str]] = []
    size = 0
    for path, key in paths:
        more = path.stat().st_size
        if portion and (len(portion) == BATCH or size + more > BATCH_BYTES):
            yield portion
            portion, size = [], 0
        portion.append((path, key))
        size += more
    if portion:
        yield portion


LOG_OR_STRANGER = (keys.Kind.LOG, keys.Kind.STRANGER)


def _log_paths(root: Path) -> Iterator[tuple[Path, str]]:
    """Log files below `root` with the keys that they had; symbolic links are not followed."""
    for folder, _, names in os.walk(root):
        for name in names:
            path = Path(folder, name)
            key = _key_of(root, path)
            if (
                name.endswith((".json.gz", ".json"))
                and not _about_digests(name)
                and keys.kind(key) in LOG_OR_STRANGER
                and not path.is_symlink()
            ):
                yield path, key


def _about_digests(name: str) -> bool:
    """What is handed over beside the digests: public keys, and the fields of their objects (`proof.take_over`)."""
    return name.startswith("public-keys") or name.endswith(".metadata.json")


def digests_below(root: Path) -> dict[str, list[tuple[Path, str]]]:
    """Digest files below `root` with the keys that they had, by account; symbolic links are not followed."""
    found: dict[str, list[tuple[Path, str]]] = {}
    for path in sorted(root.rglob("*.json.gz")):
        key = _key_of(root, path)
        name = keys.parse_digest(key)
        if name is not None and not path.is_symlink():
            found.setdefault(name.account, []).append((path, key))
    return found


def _key_of(root: Path, path: Path) -> str:
    """The key of a file: its path below `root`, or from AWSLogs on where `root` lies below that folder."""
    parts = path.relative_to(root).parts
    whole = path.absolute().parts
    if "AWSLogs" not in parts and "AWSLogs" in whole:
        parts = whole[whole.index("AWSLogs") :]
    return "/".join(parts).encode("utf-8", "replace").decode()


def _hand_over(portion: Sequence[tuple[Path, str]], trail_for: Callable[[str], Trail]) -> list[LogFile]:
    """The ledger rows of files on disk; their bytes are kept with them. The same bytes under the same key are the same file."""
    found = [_on_disk(path, key) for path, key in portion]
    known = _known(found)
    new = [row for row in found if (row.key, row.etag) not in known]
    for row in new:
        name = keys.parse(row.key)
        row.trail = trail_for(name.account if name else "")
        row.delivered_at = name.delivered if name else None
    if new:
        with transaction.atomic():
            # Waits for whoever is at the same files: afterwards their rows are there, with the bytes.
            LogFile.objects.bulk_create(new, ignore_conflicts=True)
            known = _known(found)
            _keep([(known[row.key, row.etag].pk, row.handed_over.data) for row in new])
    for row in found:
        known[row.key, row.etag].handed_over = row.handed_over
    return [known[row.key, row.etag] for row in found]


def _on_disk(path: Path, key: str) -> LogFile:
    """A file as a ledger row that is not stored yet, with its bytes."""
    size = path.stat().st_size
    data = path.read_bytes() if size <= bucket.LARGEST else b""
    row = LogFile(key=key, size=size, etag=hashlib.sha256(data).hexdigest() if data else f"{size} bytes")
    row.handed_over = HandedOver(data=data)
    return row


def _known(files: Sequence[LogFile]) -> dict[tuple[str, str], LogFile]:
    """The rows that the ledger has of files handed over, by key and hash."""
    rows = LogFile.objects.filter(bucket="", s3_version="", key__in=[file.key for file in files])
    return {(row.key, row.etag): row for row in rows}


def _keep(handed_over: Sequence[tuple[int, bytes | memoryview]]) -> None:
    """Keep the bytes of the files that have none yet; binary, since as text they would be twice as large."""
    kept = set(HandedOver.objects.filter(file__in=[pk for pk, _ in handed_over]).values_list("file_id", flat=True))
    sql = "COPY cloudtrail_handedover (file_id, data) FROM STDIN (FORMAT BINARY)"
    with connection.cursor() as cursor, cursor.copy(sql) as copy:
        copy.set_types(["int8", "bytea"])
        for pk, data in handed_over:
            if pk not in kept:
                copy.write_row((pk, data))


# --- Storing ----------------------------------------------------------------------------------------------------------


def store(readings: Sequence[Reading], directory: Directory, tally: Tally) -> None:
    """Store a batch: events, touches and ledger in one transaction. A file that is stored already is left alone."""
    good = [reading.parsed for reading in readings if reading.parsed is not None]
    directory.admit(good)
    make_partitions(good)
    with transaction.atomic(durable=True):
        # In the order of their ids, so that two workers with the same files wait for each other instead of deadlocking.
        ids = sorted(reading.row.pk for reading in readings)
        rows = LogFile.objects.select_for_update(no_key=True).order_by("id").in_bulk(ids)
        now = ledger.settling()
        batch = Batch(directory, good)
        settled = []
        for reading in readings:
            row = reading.row = rows[reading.row.pk]
            if row.state == LogFile.State.STORED:
                row.seen_before = row.events
                continue
            if reading.parsed is None:
                _set_aside(row, reading, now)
            else:
                batch.add(row, reading.parsed)
                _settle(row, reading.parsed, now)
            settled.append(row)
        _write(settled)
        batch.copy()
        alarms.tell(batch.alarming)
    for reading in readings:
        _count(reading, directory, tally)


Key = tuple[datetime, str]
"""Time and id of an event."""
Telling = tuple[object, ...]
"""What two tellings of one event must agree in (`rows.told`)."""


class Batch:
    """The lines of one transaction, without what was told before: by an earlier file, or by one in the same batch."""

    def __init__(self, directory: Directory, files: Sequence[ParsedFile]) -> None:
        self.events: list[str] = []
        self.touches: list[str] = []
        self.alarming: list[alarms.Alarming] = []
        self._ids = directory.ids
        self._earlier = _told_earlier(files)
        self._here: set[Key] = set()
        self._files: list[tuple[ParsedFile, list[Key]]] = []

    def add(self, row: LogFile, parsed: ParsedFile) -> None:
        """Add the lines of one file, and count on its row what was seen before."""
        texts, further = lines(parsed, row.pk, self._ids)
        row.seen_before = row.conflicts = 0
        keys = parsed.keys()
        before = self._told_before(row, parsed, keys)
        if before:
            texts = [text for ordinal, text in enumerate(texts) if ordinal not in before]
            further = {ordinal: text for ordinal, text in further.items() if ordinal not in before}
        self.events += texts
        self.touches += further.values()
        self._watch(row, parsed, before)
        self._here.update(keys)
        self._files.append((parsed, keys))

    def _watch(self, row: LogFile, parsed: ParsedFile, before: Collection[int]) -> None:
        """Note the events to raise an alarm of."""
        for ordinal, kind in alarms.found(parsed.events):
            if ordinal not in before:
                place = (parsed.times[ordinal], row.pk, ordinal, self._ids[parsed.identities[ordinal]])
                self.alarming.append(alarms.Alarming(parsed.events[ordinal], kind, *place))

    def _told_before(self, row: LogFile, parsed: ParsedFile, keys: list[Key]) -> set[int]:
        """The events that somebody told before. One event id told in two ways is a contradiction: both are kept.

        Only events of which the time and id were seen already are looked at closely: nearly always none.
        """
        once = set(keys)
        doubtful = (once & self._earlier.keys()) | (once & self._here)
        if len(once) < len(keys):
            doubtful |= {key for key, times in Counter(keys).items() if times > 1}
        told_before: set[int] = set()
        if not doubtful:
            return told_before
        before = {key: set(self._earlier.get(key, ())) for key in doubtful}
        for file, theirs in self._files:
            for ordinal in _places(theirs, doubtful):
                before[theirs[ordinal]].add(self._told(file, ordinal))
        for ordinal in _places(keys, doubtful):
            tellings, telling = before[keys[ordinal]], self._told(parsed, ordinal)
            if telling in tellings:
                told_before.add(ordinal)
            else:
                row.conflicts += bool(tellings)
                tellings.add(telling)
        row.seen_before = len(told_before)
        return told_before

    def _told(self, file: ParsedFile, ordinal: int) -> Telling:
        return told(file.events[ordinal], self._ids[file.identities[ordinal].removeprefix(OUTSIDE)])

    def copy(self) -> None:
        """Write the lines into the tables of the running transaction."""
        self.events.sort()  # by time: then the index on it grows at its end
        _copy("cloudtrail_event", COLUMNS, self.events)
        _copy("cloudtrail_touch", TOUCH_COLUMNS, self.touches)


def _places(keys: list[Key], wanted: set[Key]) -> list[int]:
    return [ordinal for ordinal, key in enumerate(keys) if key in wanted]


def _told_earlier(files: Sequence[ParsedFile]) -> dict[Key, set[Telling]]:
    """What the table tells of these files' events already, by time and id. The index on time finds them.

    Whether an event lay outside of the validity of its access key is a conclusion, and makes no other telling of it.
    """
    times = set().union(*(file.times for file in files))
    _wait_for(times)
    ids = SEPARATOR.join(event.event_id for file in files for event in file.events)
    found: dict[Key, set[Telling]] = {}
    if not times:
        return found
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT time, event_id, coalesce((SELECT inside_id FROM cloudtrail_actor WHERE id = actor_id), actor_id),"  # noqa: S608
            f" {', '.join(TOLD_COLUMNS[1:])} FROM cloudtrail_event"
            " WHERE time = ANY(%s) AND event_id = ANY(string_to_array(%s, %s))",
            [sorted(times), ids, SEPARATOR],
        )
        for time, event_id, *what in cursor.fetchall():
            found.setdefault((time, event_id), set()).add(tuple(what))
    for time, event_id, telling in archive.told_earlier(
        times, {event.event_id for file in files for event in file.events}
    ):
        found.setdefault((time, event_id), set()).add(telling)
    return found


SLOTS, SLOT, SLOT_LOCK = 64, 300, 7244115


def _wait_for(times: Collection[datetime]) -> None:
    """Wait for whoever stores events of the same minutes, until the end of the transaction.

    Else two workers with two files that tell one event would both find it new. Always in the same order: none waits for ever.
    """
    slots = sorted({int(time.timestamp()) // SLOT % SLOTS for time in times})
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, slot) FROM unnest(%s::integer[]) slot", [SLOT_LOCK, slots])


def _copy(table: str, columns: tuple[str, ...], texts: list[str]) -> None:
    if not texts:
        return
    with connection.cursor() as cursor, cursor.copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN") as copy:
        copy.write("".join(texts))


SETTLED = (
    "state", "reason", "attempts", "content_size", "sha256_raw", "sha256_content", "events", "seen_before", "conflicts",
    "first_event_at", "last_event_at", "settled_at", "leased_by", "leased_until",
)  # fmt: skip


def _write(rows: Sequence[LogFile]) -> None:
    """Write what became of the files into the ledger, in one statement."""
    told = [{"id": row.pk} | {name: getattr(row, name) for name in SETTLED} for row in rows]
    types = ", ".join(f"{name} {LogFile._meta.get_field(name).db_type(connection)}" for name in SETTLED)
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE cloudtrail_logfile SET ({', '.join(SETTLED)}) = ({', '.join('told.' + name for name in SETTLED)})"  # noqa: S608 - names of our own
            f" FROM jsonb_to_recordset(%s) AS told(id bigint, {types}) WHERE cloudtrail_logfile.id = told.id",
            [msgspec.json.encode(told).decode()],
        )


def _settle(row: LogFile, parsed: ParsedFile, now: datetime) -> None:
    row.state = LogFile.State.STORED
    row.reason = ""
    row.sha256_raw = parsed.sha256_raw
    row.sha256_content = parsed.sha256_content
    row.content_size = parsed.content_size
    row.events = len(parsed.events)
    row.first_event_at = parsed.first
    row.last_event_at = parsed.last
    row.attempts += 1
    row.settled_at = now
    row.leased_by, row.leased_until = "", None


def _set_aside(row: LogFile, reading: Reading, now: datetime) -> None:
    """Quarantine, or another try later if only the way there was closed."""
    row.reason = reading.reason
    row.sha256_raw, row.sha256_content = reading.sha256, reading.sha256_content
    row.attempts += 1
    row.leased_by, row.leased_until = "", now + ledger.next_try(row.attempts) if reading.again else None
    if not reading.again:
        row.state = LogFile.State.QUARANTINED
        row.settled_at = now


def _count(reading: Reading, directory: Directory, tally: Tally) -> None:
    row = reading.row
    tally.files += 1
    tally.quarantined += row.state == LogFile.State.QUARANTINED
    tally.unreachable += row.state == LogFile.State.SEEN
    if reading.parsed is not None:
        tally.events += row.events
        tally.seen_before += row.seen_before
        tally.conflicts += row.conflicts
        for raw, events in Counter(reading.parsed.identities).items():
            tally.actors[directory.ids[raw]] += events


def standings(tally: Tally) -> dict[str, int]:
    """How many of the tally's events are PROVEN, CLAIMED, SERVICE and UNRESOLVED, as things are known now."""
    found = dict.fromkeys(Standing, 0)
    known = Actor.objects.filter(pk__in=tally.actors).values_list("pk", "standing")
    for actor, standing in known:
        found[Standing(standing)] += tally.actors[actor]
    return {standing.value: count for standing, count in found.items()}


def make_partitions(files: Iterable[ParsedFile]) -> None:
    """Make the monthly partitions that these files' events belong to, before the transaction that stores them."""
    here = connection.settings_dict["NAME"]
    months = {(here, time.date().replace(day=1)) for file in files for time in set(file.times)}
    with connection.cursor() as cursor:
        for _, month in sorted(months - _MADE):
            cursor.execute("SELECT cloudtrail_make_partition(%s)", [month])
    _MADE.update(months)


_MADE: set[tuple[str, date]] = set()
