"""How fast log files become rows, and how many bytes those take: against what the same process reaches without a database.

The limit is one process that does to the same bytes, in memory, what cannot be left out: gunzip, SHA-256 as delivered and of
the content, typed decode, and the line of each event as COPY takes it. It looks for no duplicates, knows every actor, and
stores nothing. Ours is `load`, as the command does it: files from disk into the ledger and the table of events with its two
indexes, duplicates and contradictions looked for, actors attributed, alarms raised, everything committed durably. It is one
process as well, and its one server process. Beside it stands what the same process reaches when the same lines go into a
table without an index, in a transaction for each batch.
"""

import os
import shutil
import time
from typing import NamedTuple

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Count

from cloudtrail import transitions
from cloudtrail.events import ParsedFile, parse
from cloudtrail.models import Event
from cloudtrail.rows import COLUMNS, lines
from demo import load
from portal.bench import ground
from portal.bench.figures import Figure, ratio, seconds

EVENTS = int(os.environ.get("BENCH_EVENTS", "1000000"))
EVENTS_EACH = 1500
SAMPLE = 40
"""Files on which the limits are measured, before and after."""
TABLES = ("cloudtrail_event", "cloudtrail_touch", "cloudtrail_actor", "cloudtrail_credential", "cloudtrail_logfile")


def ingest() -> list[Figure]:
    """Events a second and bytes an event, duplicates kept out."""
    folder = settings.HOME_DIR / "trail"
    paths, told_again = load.write(folder, max(2, EVENTS // EVENTS_EACH), EVENTS_EACH)
    total = len(paths) * EVENTS_EACH
    sample = [path.read_bytes() for path in paths[-SAMPLE:]]
    _make_plain_table()
    alone, copied, before = _alone(sample), _copied(sample), _stored()
    began = time.perf_counter()
    tally, aside = transitions.load(folder)
    rate = total / (time.perf_counter() - began)
    alone, copied = (alone + _alone(sample)) / 2, (copied + _copied(sample)) / 2
    after = _stored()
    kept = after.events - before.events
    if (tally.seen_before, kept, aside) != (told_again, total - told_again, []) or after.ids != after.events:
        raise SystemExit(f"{kept} events were stored of {total}, of which {told_again} were told again")
    shutil.rmtree(folder)
    size = sum(map(len, sample)) / len(sample) / EVENTS_EACH
    said = f"{total:,} events in {len(paths)} files, {told_again:,} told again; one process, and one of the server"
    return [
        ratio("ingest", rate, alone, "of gunzip, hash, decode, rows", f"{rate:,.0f} of {alone:,.0f} events/s; {said}"),
        ratio("ingest", rate, copied, "of the same and COPY, no index", f"{rate:,.0f} of {copied:,.0f} events/s"),
        _bytes(before, after, size),
    ]


def _rows(parsed: ParsedFile) -> list[str]:
    return lines(parsed, 1, dict.fromkeys(parsed.identities, 1))[0]


def _alone(sample: list[bytes]) -> float:
    """Events a second, of what cannot be left out."""
    return len(sample) * EVENTS_EACH / seconds(lambda: [_rows(parse(data)) for data in sample], 2)


def _make_plain_table() -> None:
    with ground.owner() as owner:
        owner.execute("CREATE TABLE bench_events (LIKE cloudtrail_event)")
        owner.execute("GRANT INSERT ON bench_events TO PUBLIC")


def _copied(sample: list[bytes]) -> float:
    """Events a second, of the same and COPY into a table without an index, twenty files in a transaction."""

    def store() -> None:
        for start in range(0, len(sample), 20):
            texts = [text for data in sample[start : start + 20] for text in _rows(parse(data))]
            with (
                transaction.atomic(durable=True),
                connection.cursor() as cursor,
                cursor.copy(f"COPY bench_events ({', '.join(COLUMNS)}) FROM STDIN") as copy,
            ):
                copy.write("".join(texts))

    return len(sample) * EVENTS_EACH / seconds(store, 2)


class Stored(NamedTuple):
    """Rows in the table of events, their distinct ids, and the bytes of all that ingest writes but the files themselves."""

    events: int
    ids: int
    tables: int
    indexes: int


def _stored() -> Stored:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT sum(pg_table_size(relid)), sum(pg_indexes_size(relid)) FROM unnest(%s::regclass[]) kept,"
            " pg_partition_tree(kept) WHERE isleaf",
            [list(TABLES)],
        )
        tables, indexes = cursor.fetchone()
    told = Event.objects.aggregate(events=Count("*"), ids=Count("event_id", distinct=True))
    return Stored(told["events"], told["ids"], int(tables), int(indexes))


def _bytes(before: Stored, after: Stored, delivered: float) -> Figure:
    """Bytes of an event, with what it touched, who it was and its file's row in the ledger, indexes included."""
    events = after.events - before.events
    tables, indexes = (after.tables - before.tables) / events, (after.indexes - before.indexes) / events
    said = f"{tables:.0f} in tables, {indexes:.0f} in indexes; {delivered:.0f} as delivered"
    return Figure("bytes stored for each event ingested", round(tables + indexes, 1), "bytes", said)
