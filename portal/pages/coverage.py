"""How much of a period the trails prove: hours that digests verify, hours that they do not, what is provisional or unread.

An hour that no digest speaks of is told by its files alone, and called what it is: not proved.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from django.db import connection

from cloudtrail import coverage as proof
from cloudtrail.coverage import State
from printing.templatetags.look import utc

HOUR = timedelta(hours=1)
PROVISIONAL = timedelta(minutes=15)  # CloudTrail's delivery: five minutes on average, ten at the 99th percentile
LONG = 24  # hours without a file that are told one by one: shorter ones are what a quiet night looks like
TOLD = 8  # such stretches on a page

_TRAILS = """
SELECT id, enabled AND bucket <> '' FROM cloudtrail_trail t
WHERE (enabled AND bucket <> '')
   OR EXISTS (SELECT 1 FROM cloudtrail_logfile f WHERE f.trail_id = t.id AND f.delivered_at >= %s AND f.delivered_at < %s)
"""
_BEGIN = "SELECT min(delivered_at), (SELECT count(*) FROM cloudtrail_trail) FROM cloudtrail_logfile"
_SILENT = """
SELECT name FROM unnest(%s::text[]) AS name
WHERE NOT EXISTS (SELECT 1 FROM cloudtrail_event WHERE bucket = name AND reach <> '')
  AND NOT EXISTS (SELECT 1 FROM cloudtrail_archivedmonth WHERE buckets ? name)
"""


@dataclass(frozen=True)
class Stretch:
    """Hours in a row of one state: verified, mismatch, gap, pending; without digests: files (some came), none, before (the
    first file of any trail)."""

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
    def holes(self) -> list[Stretch]:
        """The stretches whose digests are missing, or that are not as CloudTrail delivered them."""
        return [stretch for stretch in self.stretches if stretch.state in ("gap", "mismatch")]

    @property
    def gaps(self) -> list[Stretch]:
        """The long stretches in which no file came."""
        return [stretch for stretch in self.stretches if stretch.state == "none" and stretch.hours >= LONG]

    @property
    def quiet_hours(self) -> int:
        """Hours without a file in stretches that are not long."""
        return self.hours("none") - sum(stretch.hours for stretch in self.gaps)


def coverage(since: datetime, until: datetime, now: datetime, buckets: Iterable[str]) -> Coverage:
    """What the trails tell about [since, until), in a handful of queries."""
    with connection.cursor() as cursor:
        cursor.execute(_TRAILS, [since, until])
        asked = dict(cursor.fetchall())
        cursor.execute(_BEGIN)
        begin, trails = cursor.fetchone()
        cursor.execute(_SILENT, [sorted(set(buckets))])
        silent = [name for (name,) in cursor.fetchall()]
    proved = proof.proved(since, min(until, now), now, asked)
    files = proved.files.values()
    return Coverage(
        since,
        until,
        _stretches(proved, now, begin),
        trails,
        sum(hour.quarantined for hour in files),
        sum(hour.waiting for hour in files),
        sum(hour.conflicts for hour in files),
        silent,
        begin,
    )


_SAID = {State.VERIFIED: "verified", State.GAP: "gap", State.MISMATCH: "mismatch", State.PENDING: "pending"}


def _stretches(proved: proof.Proved, now: datetime, begin: datetime | None) -> list[Stretch]:
    def state(hour: datetime, known: State) -> str:
        if known in (State.GAP, State.MISMATCH):
            return _SAID[known]
        if hour + HOUR > now - PROVISIONAL:
            return "pending"
        if known in _SAID:
            return _SAID[known]
        if begin is None or hour + HOUR <= begin:
            return "before"
        return "files" if hour in proved.files and proved.files[hour].stored else "none"

    hours = [(proved.since + place * HOUR, known) for place, known in enumerate(proved.states)]
    found = []
    for name, grouped in groupby(hours, key=lambda hour: state(*hour)):
        held = list(grouped)
        found.append(Stretch(name, held[0][0], len(held)))
    return found


# --- As a page and a report say it ------------------------------------------------------------------------------------

_DRAWN = {
    "verified": "proved",
    "mismatch": "mismatch",
    "gap": "gap",
    "files": "unknown",
    "pending": "pending",
    "before": "gap",
}


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
    "verified": "verified by CloudTrail's digests",
    "mismatch": "not as CloudTrail delivered it",
    "gap": "a gap in the digests",
    "files": "files came",
    "none": "no file came",
    "before": "before the first file of any trail",
    "pending": "provisional, files may still come",
}


def _legend(covered: Coverage) -> list[dict[str, str]]:
    told = [
        ("proved", covered.hours("verified"), "verified by digests"),
        ("mismatch", covered.hours("mismatch"), "not as CloudTrail delivered it"),
        ("gap", covered.hours("gap"), "gap: digests missing, or logging stopped"),
        ("unknown", covered.hours("files"), "undigested: files came, no digest proves them"),
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
    told += _unproved(covered)
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


def _unproved(covered: Coverage) -> list[str]:
    """What the digests leave open."""
    told = []
    for hole in covered.holes[:TOLD]:
        what = f"from {utc(hole.since)} to {utc(hole.until)} ({hole.hours} h)"
        told.append(
            f"What happened {what}: a file or a digest of that time is not what CloudTrail delivered."
            if hole.state == "mismatch"
            else f"Whether anything is missing {what}: digests are missing, or the trail or its validation was stopped."
        )
    if len(covered.holes) > TOLD:
        told.append(f"The same of {len(covered.holes) - TOLD} more such stretches.")
    undigested = covered.hours("files") + covered.hours("none")
    if undigested:
        told.append(
            f"Whether AWS delivered exactly these files, and all of them, in {undigested:,} hours: no signed digests speak of"
            " them. They cannot be made afterwards."
        )
    return told


ALWAYS = (
    "What the trail was not set to record: digests prove that what was recorded is whole, not that everything was recorded.",
    "Reads outside of these buckets: of a copy elsewhere, on a laptop, on paper.",
    "Which version was returned where an event names none: the newest at that time is inferred.",
    "When exactly S3 deleted something by itself under a lifecycle rule: CloudTrail does not record it, and the daily comparison"
    " with the bucket's versions tells only that it is gone.",
    "The order of events within one second: CloudTrail's times resolve to a second.",
)
