"""The clocks held against each other (§2.17): the database's, which dates every fact, and that of the process that asks.

More than two seconds apart, or behind what the trail and its checkpoints say already: nobody signs, and an alarm is raised. A
step of the database's clock shows against the time that has passed meanwhile, which no setting of a clock changes.
"""

import socket
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db import connection

from audit import trail
from audit.alarms import Kind, clear, raise_alarm
from audit.models import ClockReading

TOLERANCE = timedelta(seconds=2)
SAMPLED_EVERY = timedelta(minutes=10)
WATCHED_EVERY = timedelta(seconds=30)  # while something is wrong
COUNTS_FOR = timedelta(minutes=2)  # how long what another process saw keeps people from signing
Standing = ClockReading.Standing
SENTENCES = {
    Standing.APART: "The portal's clocks are more than two seconds apart, so nobody can sign. Tell the system owner.",
    Standing.BACK: "The portal's clock is behind its own trail, so nobody can sign. Tell the system owner.",
}
# The database's own clock, the one clock (the same but in tests), and the newest time that is on record; what this process kept
# last, and whether another one keeps people from signing.
LOOK = """
SELECT clock_timestamp(), audit_now(), greatest(
    (SELECT max(at) FROM audit_entry), (SELECT at FROM audit_checkpoint ORDER BY number DESC LIMIT 1)),
  kept.standing, kept.at, EXISTS (
    SELECT FROM (SELECT DISTINCT ON (source) standing FROM audit_clockreading
                 WHERE at BETWEEN audit_now() - make_interval(secs => %s) AND audit_now() AND source <> %s
                 ORDER BY source, id DESC) other
    WHERE standing = %s)
FROM (VALUES (1)) AS once LEFT JOIN LATERAL (
  SELECT standing, at FROM audit_clockreading WHERE source = %s ORDER BY id DESC LIMIT 1) kept ON TRUE
"""
# Number and time are the database's; the role may not name them.
KEEP = "INSERT INTO audit_clockreading (source, standing, offset_us, within_us, step_us) VALUES (%s, %s, %s, %s, %s)"


@dataclass(frozen=True)
class Reading:
    """What one look at the clocks found. `at` is the one clock's time, `within` how exactly the offset could be told, `kept` and
    `kept_at` what `source` kept last, and `elsewhere` says that another process found the clocks apart a moment ago."""

    at: datetime
    offset: timedelta
    within: timedelta
    behind: timedelta
    step: timedelta
    source: str = ""
    kept: str | None = None
    kept_at: datetime | None = None
    elsewhere: bool = False

    @property
    def standing(self) -> Standing:
        if self.behind > TOLERANCE:
            return Standing.BACK
        if abs(self.offset) - self.within > TOLERANCE:
            return Standing.APART
        return Standing.STEPPED if abs(self.step) > TOLERANCE else Standing.WELL


@dataclass(frozen=True)
class Moment:
    """The process's two clocks: the wall clock that can be set, and the time since the machine started, which cannot."""

    wall: datetime
    since_start: timedelta


def moment() -> Moment:
    return Moment(datetime.now(UTC), timedelta(seconds=time.clock_gettime(time.CLOCK_BOOTTIME)))


_last: tuple[datetime, timedelta] | None = None  # the database's clock and the time since the start, as seen last


def look(role: str = "web") -> Reading:
    """Ask both clocks, now. `role` says which process asks."""
    source = f"{role}@{socket.gethostname()}"
    before = moment()
    with connection.cursor() as cursor:
        cursor.execute(LOOK, [COUNTS_FOR.total_seconds(), source, Standing.APART, source])
        database, now, newest, kept, kept_at, elsewhere = cursor.fetchone()
    after = moment()
    half = (after.since_start - before.since_start) / 2
    return Reading(
        at=now,
        offset=database - before.wall - half,
        within=half,
        behind=newest - now if newest else timedelta(),
        step=_step(database, before.since_start + half),
        source=source,
        kept=kept,
        kept_at=kept_at,
        elsewhere=elsewhere,
    )


def observe(role: str = "web") -> Reading:
    """Look, keep what is new, and raise or clear the alarm."""
    reading = look(role)
    often = SAMPLED_EVERY if reading.standing == Standing.WELL else WATCHED_EVERY
    changed = reading.kept != reading.standing
    old = reading.kept_at is None or reading.at - reading.kept_at > often
    if changed or old or reading.standing == Standing.STEPPED:
        _keep(reading)
        _tell(reading, changed)
    return reading


def _keep(reading: Reading) -> None:
    spans = [_microseconds(span) for span in (reading.offset, reading.within, reading.step)]
    with connection.cursor() as cursor:
        cursor.execute(KEEP, [reading.source, reading.standing, *spans])


def fault() -> str:
    """The sentence that says why nobody can sign now, or ""."""
    reading = observe()
    return SENTENCES.get(reading.standing) or (SENTENCES[Standing.APART] if reading.elsewhere else "")


def _step(database: datetime, since_start: timedelta) -> timedelta:
    """How far the database's clock moved beyond the time that has passed since the last look. A look long ago tells nothing:
    a clock that is drawn near slowly is not one that is set."""
    global _last
    last, _last = _last, (database, since_start)
    if last is None or since_start - last[1] > SAMPLED_EVERY:
        return timedelta()
    return (database - last[0]) - (since_start - last[1])


def _tell(reading: Reading, changed: bool) -> None:
    source = reading.source
    about = trail.Subject("clock", source, f"the clocks of {source}")
    detail = {"offset_us": _microseconds(reading.offset), "behind_us": _microseconds(reading.behind),
              "step_us": _microseconds(reading.step)}  # fmt: skip
    if reading.standing == Standing.APART:
        sentence = f"The database's clock and that of {source} are {_seconds(reading.offset)} apart. Nobody can sign."
        raise_alarm(Kind.CLOCK_SKEW, about, sentence, detail=detail)
    else:
        clear(Kind.CLOCK_SKEW, about, f"The clocks are {_seconds(reading.offset)} apart.")
    if reading.standing == Standing.BACK and changed:
        behind = (
            f"The database's clock is {_seconds(reading.behind)} behind the newest time on record. Nobody can sign."
        )
        raise_alarm(Kind.CLOCK_STEP, about, behind, detail=detail)
    elif reading.standing == Standing.STEPPED:
        way = "ahead" if reading.step > timedelta() else "back"
        raise_alarm(
            Kind.CLOCK_STEP, about, f"The database's clock was set {way} by {_seconds(reading.step)}.", detail=detail
        )


def _seconds(span: timedelta) -> str:
    return f"{abs(span).total_seconds():,.1f} s"


def _microseconds(span: timedelta) -> int:
    return span // timedelta(microseconds=1)
