"""How much of a period the trails tell about: hours with files, hours without, what is provisional, what could not be read.

Signed digests would prove that an hour is complete; they are not checked yet, and nothing here says more than that files came.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from django.db import connection

from printing.templatetags.look import utc

HOUR = timedelta(hours=1)
PROVISIONAL = timedelta(minutes=15)  # CloudTrail's delivery: five minutes on average, ten at the 99th percentile
LONG = 24  # hours without a file that are told one by one: shorter ones are what a quiet night looks like
TOLD = 8  # such stretches on a page

_HOURS = """
SELECT date_trunc('hour', delivered_at, 'UTC'), count(*) FILTER (WHERE state = 'stored'),
       count(*) FILTER (WHERE state = 'quarantined'), count(*) FILTER (WHERE state = 'seen'), sum(conflicts)
FROM cloudtrail_logfile WHERE delivered_at >= %s AND delivered_at < %s GROUP BY 1
"""
_BEGIN = "SELECT min(delivered_at), (SELECT count(*) FROM cloudtrail_trail) FROM cloudtrail_logfile"
_SILENT = """
SELECT name FROM unnest(%s::text[]) AS name
WHERE NOT EXISTS (SELECT 1 FROM cloudtrail_event WHERE bucket = name)
"""


@dataclass(frozen=True)
class Stretch:
    """Hours in a row of one state: files (some came), none, before (the first file of any trail), pending."""

    state: str
    since: datetime
    hours: int

    @property
    def until(self) -> datetime:
        return self.since + self.hours * HOUR


@dataclass(frozen=True)
class Coverage:
    since: datetime
    until: datetime
    stretches: Sequence[Stretch]
    trails: int
    quarantined: int
    waiting: int
    conflicts: int
    silent: Sequence[str]
    begin: datetime | None

    def hours(self, state: str) -> int:
        return sum(stretch.hours for stretch in self.stretches if stretch.state == state)

    @property
    def gaps(self) -> list[Stretch]:
        """The long stretches in which no file came."""
        return [stretch for stretch in self.stretches if stretch.state == "none" and stretch.hours >= LONG]

    @property
    def quiet_hours(self) -> int:
        """Hours without a file in stretches that are not long."""
        return self.hours("none") - sum(stretch.hours for stretch in self.gaps)


def coverage(since: datetime, until: datetime, now: datetime, buckets: Iterable[str]) -> Coverage:
    """What the trails tell about [since, until), in three queries."""
    with connection.cursor() as cursor:
        cursor.execute(_HOURS, [since, until])
        rows = cursor.fetchall()
        cursor.execute(_BEGIN)
        begin, trails = cursor.fetchone()
        cursor.execute(_SILENT, [sorted(set(buckets))])
        silent = [name for (name,) in cursor.fetchall()]
    came = {hour for hour, stored, *_ in rows if stored}
    quarantined, waiting, conflicts = (sum(row[place] or 0 for row in rows) for place in (2, 3, 4))
    stretches = _stretches(since, min(until, now), now, came, begin)
    return Coverage(since, until, stretches, trails, quarantined, waiting, conflicts, silent, begin)


def _stretches(
    since: datetime, until: datetime, now: datetime, came: set[datetime], begin: datetime | None
) -> list[Stretch]:
    first = since.replace(minute=0, second=0, microsecond=0)
    hours = [first + count * HOUR for count in range(-(-(until - first) // HOUR))]

    def state(hour: datetime) -> str:
        if hour + HOUR > now - PROVISIONAL:
            return "pending"
        if begin is None or hour + HOUR <= begin:
            return "before"
        return "files" if hour in came else "none"

    found = []
    for name, grouped in groupby(hours, key=state):
        held = list(grouped)
        found.append(Stretch(name, held[0], len(held)))
    return found


# --- As a page and a report say it ------------------------------------------------------------------------------------

_DRAWN = {"files": "unknown", "pending": "pending", "before": "gap"}


def bar(covered: Coverage) -> dict[str, Any]:
    """For `components/coverage.html`: short silences are drawn as the hours around them."""
    segments: list[dict[str, Any]] = []
    for one in covered.stretches:
        state = _DRAWN.get(one.state) or ("gap" if one.hours >= LONG else "unknown")
        words = f"{one.hours} h: {_WORDS[one.state]}, from {utc(one.since)}"
        if segments and segments[-1]["state"] == state == "unknown":
            segments[-1]["amount"] += one.hours
            segments[-1]["words"] = "files came, with quiet hours between"
        else:
            segments.append({"state": state, "amount": one.hours, "words": words})
    return {"segments": segments, "legend": _legend(covered), "label": summary(covered)}


_WORDS = {
    "files": "files came",
    "none": "no file came",
    "before": "before the first file of any trail",
    "pending": "provisional, files may still come",
}


def _legend(covered: Coverage) -> list[dict[str, str]]:
    told = [
        ("unknown", covered.hours("files"), "with files, not yet proved by digests"),
        ("unknown", covered.quiet_hours, f"without a file, each time for less than {LONG} h"),
        ("gap", sum(gap.hours for gap in covered.gaps), "in long stretches without any file"),
        ("gap", covered.hours("before"), "before the first file of any trail"),
        ("pending", covered.hours("pending"), "provisional"),
    ]
    return [{"state": state, "words": f"{hours:,} h {words}"} for state, hours, words in told if hours]


def summary(covered: Coverage) -> str:
    """The whole in one sentence."""
    if not covered.trails:
        return "No trail is registered: nothing is known about access on S3 itself."
    parts = ", ".join(item["words"] for item in _legend(covered))
    return f"CloudTrail over {utc(covered.since)} to {utc(covered.until)}: {parts or 'nothing'}."


def limits(covered: Coverage, now: datetime) -> list[str]:
    """What nobody can say from these files, in sentences."""
    if not covered.trails:
        return ["Who reached the objects on S3 without the portal: no trail is registered."]
    told = []
    if covered.until > now - PROVISIONAL:
        told.append(
            f"What happened on S3 since {utc(now - PROVISIONAL)}: CloudTrail delivers late and in any order,"
            " so the last 15 minutes are provisional."
        )
    told.append(
        "Whether AWS delivered exactly these files, and all of them: they are not yet proved by CloudTrail's signed digests."
    )
    told += [f"What happened from {utc(gap.since)} to {utc(gap.until)}: in these {gap.hours} hours no file came. Either nothing"
             " happened, or nothing was recorded." for gap in covered.gaps[:TOLD]]  # fmt: skip
    if len(covered.gaps) > TOLD:
        told.append(f"The same of {len(covered.gaps) - TOLD} more such stretches.")
    if covered.hours("before"):
        until = utc(covered.begin) if covered.begin else "today"
        told.append(f"What happened on S3 before {until}: the first file of any trail is of then.")
    if covered.quarantined or covered.waiting:
        told.append(f"What {covered.quarantined + covered.waiting} files of this period tell: {covered.quarantined} could not be"
                    f" read and are in quarantine, {covered.waiting} wait to be read.")  # fmt: skip
    if covered.conflicts:
        told.append(
            f"Which is right where files contradict each other: {covered.conflicts} events were told twice, differently."
        )
    told += [f"Who read or wrote in the bucket {name}: no file ever told of an event in it." for name in covered.silent]
    return told


ALWAYS = (
    "Reads outside of these buckets: of a copy elsewhere, on a laptop, on paper.",
    "Which version was returned where an event names none: the newest at that time is inferred.",
    "What S3 does by itself under a lifecycle rule: CloudTrail does not record it.",
    "The order of events within one second: CloudTrail's times resolve to a second.",
)
