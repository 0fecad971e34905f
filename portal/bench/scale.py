"""The audit view of one record among ever more events: the record stays as it is, the table around it grows tenfold.

Events are written by COPY straight into the monthly partitions, as ingest does it, so that the size is that of the real table.
"""

import os
import random
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import islice

from django.db import connection, transaction

from audit import clock, trail
from audit.actions import Action
from cloudtrail import transitions
from cloudtrail.models import Actor, LogFile
from cloudtrail.rows import COLUMNS
from portal.bench import ground
from portal.bench.figures import Figure, p95, samples
from portal.pages import timeline
from portal.pages.record_audit import by_person
from portal.pages.timeline import Asked
from records import manifest
from records.models import Record
from records.transitions import Content, seal
from storage import worm

EVENTS = int(os.environ.get("BENCH_EVENTS", "1000000"))
OBJECTS, DAYS, ROUNDS = 50, 90, 40
ABOUT_THE_RECORD = 1500  # events on its objects in the period, listings and batch deletes not counted
OTHER_KEYS, ACTORS = 20_000, 200
PORTION = 50_000


def audit_scale() -> list[Figure]:
    """Page, counts and by-person summary at a tenth of the events and at all of them, and bytes stored for each event."""
    record = ground.record()
    keys = _register(record)
    file, actors = _file(), _actors()
    now = clock.now()
    chance = random.Random(4)  # noqa: S311 - the same events in every run
    _copy(_about(chance, keys, now, file, actors))
    figures: list[Figure] = []
    stored = ABOUT_THE_RECORD
    taken = []
    for size in (EVENTS // 10, EVENTS):
        _copy(_others(chance, size - stored, now, file, actors, stored))
        stored = size
        with ground.owner() as owner:
            owner.execute("ANALYZE cloudtrail_event")
        asked = Asked(record, now - timedelta(days=DAYS), now)
        taken.append(_measured(asked))
        said = ", ".join(
            f"{name} p50 {middle * 1e3:.1f} p95 {high * 1e3:.1f} ms" for name, (middle, high) in taken[-1].items()
        )
        figures += [
            Figure(f"audit view {name} at {size:,} events, p95", round(high * 1e3, 1), "ms", said)
            for name, (_, high) in taken[-1].items()
        ]
    for name in taken[0]:
        small, large = taken[0][name][0], taken[1][name][0]
        figures.append(Figure(f"audit view {name}, ten times the events", round(large / small, 2), "times (p50)", ""))
    return [*figures, *_size(stored)]


def _measured(asked: Asked) -> dict[str, tuple[float, float]]:
    """Seconds, middle and 95th of 100, of each question that the page asks."""
    told = timeline.tell(asked)
    questions: dict[str, Callable[[], object]] = {
        "page of 100": lambda: timeline.page(asked, told=told),
        "counts": lambda: timeline.cells(asked, told),
        "by person": lambda: by_person(timeline.cells(asked, told)),
    }
    if len(timeline.page(asked, told=told).lines) != timeline.PAGE:
        raise SystemExit("The record has no whole page of lines")
    found = {}
    for name, act in questions.items():
        taken = sorted(samples(act, ROUNDS))
        found[name] = (taken[len(taken) // 2], p95(taken))
    return found


def _size(events: int) -> list[Figure]:
    """Bytes of the table, and of its indexes, for each event."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT sum(pg_table_size(relid)), sum(pg_indexes_size(relid)) FROM pg_partition_tree('cloudtrail_event')"
            " WHERE isleaf"
        )
        table, indexes = (int(size) for size in cursor.fetchone())
    said = f"{table / events:.0f} in the table, {indexes / events:.0f} in its indexes"
    return [Figure("bytes stored for each event", round((table + indexes) / events, 1), "bytes", said)]


# What the table holds -------------------------------------------------------------------------------------------------


def _register(record: Record) -> list[str]:
    """A version of 50 objects, pinned in places of which the events speak; returns their keys."""
    keys = [f"runs/{record.number}/2026-06-01/reads/sample-{number:03d}_R1_001.fastq.gz" for number in range(OBJECTS)]
    rendition = worm.put(b"%PDF-1.4 bench", media_type="application/pdf", retain_until=clock.now() + timedelta(days=1))
    entries = [
        manifest.Entry(
            f"reads/{key.rpartition('/')[2]}", ground.BUCKET, key, _version(number), 1_000_000, f"{number:064x}", {}
        )
        for number, key in enumerate(keys)
    ]
    content = Content(entries=entries, rendition=rendition, rendition_pages=1, message="Bench", metadata={},
                      contributors=[str(ground.operator().pk)])  # fmt: skip
    with transaction.atomic():
        seal(record, content, by=ground.operator(), action=Action.VERSION_REGISTERED)
    return keys


def _version(number: int) -> str:
    return f"{number:032x}"


def _file() -> int:
    """A ledger row that all events are said to come from."""
    made = transitions._create({"name": "Bench", "account": "111122223333", "enabled": False}, by=trail.SYSTEM)
    return LogFile.objects.create(trail=made, key="bench", size=1).pk


def _actors() -> list[int]:
    rows = [
        Actor(fingerprint=f"bench-{number}", identity={}, standing="PROVEN", name=f"person-{number}", role="reader")
        for number in range(ACTORS)
    ]
    return [row.pk for row in Actor.objects.bulk_create(rows)]


def _about(chance: random.Random, keys: list[str], now: datetime, file: int, actors: list[int]) -> Iterator[str]:
    for ordinal in range(ABOUT_THE_RECORD):
        number = chance.randrange(OBJECTS)
        yield _line(chance, now, file, chance.choice(actors), ordinal, ground.BUCKET, keys[number], _version(number))


def _others(
    chance: random.Random, count: int, now: datetime, file: int, actors: list[int], first: int
) -> Iterator[str]:
    """Reads of other objects in the same bucket, and now and then a listing of something else."""
    for ordinal in range(first, first + count):
        key = f"runs/RUN-{chance.randrange(OTHER_KEYS):05d}/2026-05-01/reads/sample-{ordinal % 40:03d}_R1_001.fastq.gz"
        yield _line(
            chance, now, file, chance.choice(actors), ordinal, ground.BUCKET, key, f"{chance.getrandbits(128):032x}"
        )


def _line(
    chance: random.Random, now: datetime, file: int, actor: int, ordinal: int, bucket: str, key: str, version: str
) -> str:
    at = (now - timedelta(seconds=chance.randrange(DAYS * 86400))).replace(microsecond=0)
    told = (
        at.isoformat(), file, actor, 0, chance.randrange(10**9), ordinal, "t", "t", "f", "o",
        uuid.UUID(int=chance.getrandbits(128)),
        "s3.amazonaws.com", "GetObject", "eu-central-1", "111122223333", f"10.2.{ordinal % 250}.{actor % 250}",
        f"{chance.getrandbits(64):016X}", "", bucket, key, version, "", "",
    )  # fmt: skip
    return "\t".join(map(str, told)) + "\n"


def _copy(lines: Iterator[str]) -> None:
    """Into the table by COPY, a portion at a time, partitions made beforehand."""
    now, months = clock.now(), DAYS // 30 + 2
    with connection.cursor() as cursor:
        for back in range(months):
            cursor.execute("SELECT cloudtrail_make_partition(%s)", [(now - timedelta(days=30 * back)).date()])
    while portion := list(islice(lines, PORTION)):
        with (
            transaction.atomic(),
            connection.cursor() as cursor,
            cursor.copy(f"COPY cloudtrail_event ({', '.join(COLUMNS)}) FROM STDIN") as copy,
        ):
            copy.write("".join(portion))
