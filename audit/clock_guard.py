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
# The database's own clock, the one clock (the same but in tests), and the newest time that is on record.
LOOK = """
SELECT clock_timestamp(), audit_now(), greatest(
  (SELECT max(at) FROM audit_entry), (SELECT at FROM audit_checkpoint ORDER BY number DESC LIMIT 1))
"""


@dataclass(frozen=True)
class Reading:
    """What one look at the clocks found. `at` is the one clock's time, `within` how exactly the offset could be told."""

    at: datetime
    offset: timedelta
    within: timedelta
    behind: timedelta
    step: timedelta

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


def look() -> Reading:
    """Ask both clocks, now."""
    before = moment()
    with connection.cursor() as cursor:
        cursor.execute(LOOK)
        database, now, newest = cursor.fetchone()
    after = moment()
    half = (after.since_start - before.since_start) / 2
    return Reading(
        at=now,
        offset=database - before.wall - half,
        within=half,
        behind=newest - now if newest else timedelta(),
        step=_step(database, before.since_start + half),
    )


def observe(role: str = "web") -> Reading:
    """Look, keep what is new, and raise or clear the alarm. `role` says which process asks."""
    reading = look()
    source = f"{role}@{socket.gethostname()}"
    last = ClockReading.objects.filter(source=source).order_by("-id").first()
    often = SAMPLED_EVERY if reading.standing == Standing.WELL else WATCHED_EVERY
    changed = last is None or last.standing != reading.standing
    if last is None or changed or reading.standing == Standing.STEPPED or reading.at - last.at > often:
        ClockReading.objects.create(
            source=source,
            standing=reading.standing,
            offset_us=_microseconds(reading.offset),
            within_us=_microseconds(reading.within),
            step_us=_microseconds(reading.step),
        )
        _tell(source, reading, changed)
    return reading


def fault() -> str:
    """The sentence that says why nobody can sign now, or ""."""
    reading = observe()
    if sentence := SENTENCES.get(reading.standing):
        return sentence
    fresh = ClockReading.objects.filter(at__gt=reading.at - COUNTS_FOR).order_by("source", "-id").distinct("source")
    apart = any(row.standing == Standing.APART for row in fresh)
    return SENTENCES[Standing.APART] if apart else ""


def _step(database: datetime, since_start: timedelta) -> timedelta:
    """How far the database's clock moved beyond the time that has passed since the last look. A look long ago tells nothing:
    a clock that is drawn near slowly is not one that is set."""
    global _last
    last, _last = _last, (database, since_start)
    if last is None or since_start - last[1] > SAMPLED_EVERY:
        return timedelta()
    return (database - last[0]) - (since_start - last[1])


def _tell(source: str, reading: Reading, changed: bool) -> None:
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
