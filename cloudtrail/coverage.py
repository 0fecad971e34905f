"""Which hours of a period the digests prove, trail by trail. The worst of them speaks for an hour.

An hour is verified only if digests that CloudTrail signed cover all of it, none before them is missing, and every file that
they list is the one that was delivered. An empty digest proves silence: that is what an hour without a file needs.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from typing import Any
from uuid import UUID

from django.db import connection

HOUR = timedelta(hours=1)
DUE = timedelta(hours=4)
"""How long after an hour's end its digest may still come before its absence is called a gap. CloudTrail takes about one."""


class State(IntEnum):
    """What is known of an hour, the better before the worse. NOTHING: no digests were made, and no chain speaks of it."""

    NOTHING = 0
    VERIFIED = 1
    PENDING = 2
    UNDIGESTED = 3
    GAP = 4
    MISMATCH = 5


@dataclass
class Files:
    """What the ledger holds of the files delivered in one hour."""

    stored: int = 0
    quarantined: int = 0
    waiting: int = 0
    conflicts: int = 0
    unproved: int = 0
    not_covered: int = 0
    mismatched: int = 0


@dataclass
class Proved:
    """Hour by hour from `since` (a whole hour, UTC): the state, and what was delivered."""

    since: datetime
    states: list[State]
    files: dict[datetime, Files] = field(default_factory=dict)

    def hours(self, state: State) -> int:
        return sum(one is state for one in self.states)


_FILES = """
SELECT f.trail_id, date_trunc('hour', f.delivered_at, 'UTC'), count(*) FILTER (WHERE f.state = 'stored'),
       count(*) FILTER (WHERE f.state = 'quarantined'), count(*) FILTER (WHERE f.state = 'seen'), sum(f.conflicts),
       count(*) FILTER (WHERE p.state IS NULL), count(*) FILTER (WHERE p.state = 'not_covered'),
       count(*) FILTER (WHERE p.state = 'mismatch')
FROM cloudtrail_logfile f LEFT JOIN cloudtrail_proof p ON p.file_id = f.id
WHERE f.delivered_at >= %s AND f.delivered_at < %s AND f.trail_id = ANY(%s) GROUP BY 1, 2
"""
_CHAINS = """
SELECT trail_id, region, aws_name, min(starts_at), max(ends_at) FROM cloudtrail_digestfile
WHERE leads AND NOT backfill AND trail_id = ANY(%s) GROUP BY 1, 2, 3
"""
_STRETCHES = """
WITH told AS (
  SELECT trail_id, region, aws_name, starts_at, ends_at,
         CASE WHEN state = 'invalid' OR link = 'broken' OR absent > 0 OR mismatched > 0 THEN 5 WHEN unread > 0 THEN 2 ELSE 1 END
           AS rank
  FROM cloudtrail_digestfile
  WHERE leads AND NOT backfill AND trail_id = ANY(%s) AND ends_at > %s AND starts_at < %s
), marked AS (
  SELECT *, (lag(rank) OVER w IS DISTINCT FROM rank OR lag(ends_at) OVER w IS DISTINCT FROM starts_at)::int AS fresh
  FROM told WINDOW w AS (PARTITION BY trail_id, region, aws_name ORDER BY ends_at)
), parted AS (
  SELECT *, sum(fresh) OVER (PARTITION BY trail_id, region, aws_name ORDER BY ends_at) AS part FROM marked
)
SELECT trail_id, region, aws_name, rank, min(starts_at), max(ends_at) FROM parted GROUP BY 1, 2, 3, 4, part
"""

Chain = tuple[UUID, str, str]


def proved(since: datetime, until: datetime, now: datetime, trails: Mapping[UUID, bool]) -> Proved:
    """What the digests of these trails prove of [since, until), by whole hours.

    `trails` says of each whether it is pulled: one that is not speaks only for the hours of which it has files or digests.
    """
    first = since.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    count = max(0, -(-(until - first) // HOUR))
    ids = list(trails)
    by_trail: dict[UUID, dict[datetime, Files]] = defaultdict(dict)
    with connection.cursor() as cursor:
        cursor.execute(_FILES, [since, until, ids])
        for trail, hour, *counts in cursor.fetchall():
            by_trail[trail][hour] = Files(*(int(one or 0) for one in counts))
        cursor.execute(_CHAINS, [ids])
        lives: dict[Chain, tuple[datetime, datetime]] = {(t, r, n): (a, b) for t, r, n, a, b in cursor.fetchall()}
        cursor.execute(_STRETCHES, [ids, first, until])
        stretches: dict[Chain, list[Any]] = defaultdict(list)
        for trail, region, name, rank, starts, ends in cursor.fetchall():
            stretches[trail, region, name].append((State(rank), starts, ends))
    states = [State.NOTHING] * count
    for trail, pulled in trails.items():
        chains = [
            _chain(first, count, now, life, stretches[chain]) for chain, life in lives.items() if chain[0] == trail
        ]
        _worsen(states, _trail(first, count, now, chains, by_trail[trail], pulled=pulled))
    return Proved(first, states, _together(by_trail.values()))


def _trail(
    first: datetime, count: int, now: datetime, chains: Sequence[list[State]], files: Mapping[datetime, Files], *, pulled: bool
) -> list[State]:  # fmt: skip
    """The hours of one trail: the worst of its chains, and of its files."""
    states = [State.NOTHING] * count
    for chain in chains:
        _worsen(states, chain)
    for place in range(count):
        hour = first + place * HOUR
        here = files.get(hour)
        if states[place] is State.NOTHING and (pulled or here):
            late = hour + HOUR > now - DUE
            states[place] = State.PENDING if late and chains else State.UNDIGESTED
        if here is None:
            continue
        if here.mismatched:
            states[place] = State.MISMATCH
        elif here.not_covered:
            states[place] = max(states[place], State.GAP)
        elif here.unproved or here.waiting:
            states[place] = max(states[place], State.PENDING)
    return states


def _chain(
    first: datetime, count: int, now: datetime, life: tuple[datetime, datetime], stretches: Iterable[Any]
) -> list[State]:
    """The hours of one chain, from its first digest on."""
    begin, end = life
    states = []
    for place in range(count):
        hour = first + place * HOUR
        if hour < begin:
            states.append(State.NOTHING)
        elif hour + HOUR > end and hour + HOUR > now - DUE:
            states.append(State.PENDING)
        else:
            states.append(State.GAP)
    for state, starts, ends in stretches:
        # Verified and read: whole hours only. What is wrong: every hour that it touches.
        inner = state < State.GAP
        low = -(-(starts - first) // HOUR) if inner else (starts - first) // HOUR
        high = (ends - first) // HOUR if inner else -(-(ends - first) // HOUR)
        for place in range(max(low, 0), min(high, count)):
            states[place] = state if inner else max(states[place], state)
    return states


def _worsen(states: list[State], by: Sequence[State]) -> None:
    for place, state in enumerate(by):
        states[place] = max(states[place], state)


def _together(by_trail: Iterable[Mapping[datetime, Files]]) -> dict[datetime, Files]:
    found: dict[datetime, Files] = defaultdict(Files)
    for files in by_trail:
        for hour, here in files.items():
            there = found[hour]
            for name, value in vars(here).items():
                setattr(there, name, getattr(there, name) + value)
    return dict(found)
