"""Events as sentences for an audit view: "A. Lindqvist read 4 files (1.2 GB) through role ngs-analyst, from 10.2.4.17".

Everything in an event that its caller chose (key, session name, address) is hostile text: control characters are shown as
symbols here, and whoever prints the sentence escapes it. Pure.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from cloudtrail.kinds import Kind, denied, kind_of, verb_of
from cloudtrail.queries import Match, Touched

FOLDED_WITHIN = timedelta(minutes=30)
"""Repeated events go into one line while no longer pause lies between them."""

Names = Mapping[tuple[str, str], str]
"""What a reader calls an object, by bucket and key: its logical key in the record."""


@dataclass(frozen=True)
class Run:
    """One line of a timeline: one event, or several alike, newest first."""

    events: tuple[Touched, ...]

    @property
    def newest(self) -> Touched:
        """The event by which the line stands in the timeline."""
        return self.events[0]

    @property
    def kind(self) -> Kind:
        """What was done."""
        return kind_of(self.newest.event_name, self.newest.error_code)

    @property
    def time(self) -> datetime:
        """When the last of them happened, UTC."""
        return self.newest.time

    @property
    def since(self) -> datetime:
        """When the first of them happened, UTC."""
        return self.events[-1].time

    @property
    def bytes(self) -> int:
        """Bytes moved: sent by S3, or received by it."""
        return sum(event.bytes_out or event.bytes_in for event in self.events)

    @property
    def objects(self) -> list[tuple[str, str]]:
        """Bucket and key of everything touched, each once, in order."""
        return list(dict.fromkeys((event.bucket, event.key) for event in reversed(self.events)))


def fold(lines: Iterable[Touched]) -> list[Run]:
    """Lines, newest first, with runs of events alike folded into one: same actor, call, outcome, address and match."""
    runs: list[list[Touched]] = []
    for line in lines:
        if runs and _alike(runs[-1][-1], line):
            runs[-1].append(line)
        else:
            runs.append([line])
    return [Run(tuple(run)) for run in runs]


def _alike(newer: Touched, older: Touched) -> bool:
    def face(line: Touched) -> tuple[object, ...]:
        what = (line.event_name, line.error_code, line.match, line.source_ip, line.presigned, line.target)
        return (line.standing, line.name, line.role, line.actor_id if not line.name else 0, *what)

    return face(newer) == face(older) and newer.time - older.time <= FOLDED_WITHIN


def sentence(run: Run | Touched, names: Names | None = None) -> str:
    """What happened, in one sentence of plain text (unescaped, without a full stop)."""
    run = run if isinstance(run, Run) else Run((run,))
    newest = run.newest
    who = actor(newest.standing, newest.name)
    verb = verb_of(shown(newest.event_name))
    if run.kind is Kind.REFUSED:
        outcome = "was refused" if denied(newest.error_code) else "failed"
        done = f"{who} tried to {verb.infinitive} {_what(run, names)} and {outcome} ({shown(newest.error_code)})"
    elif newest.match is Match.SOURCE:
        done = f"{who} copied {_what(run, names)} to another place"
    else:
        done = f"{who} {verb.past} {_what(run, names)}"
    if run.bytes and run.kind in (Kind.READ, Kind.WRITE, Kind.COPY):
        done += f" ({amount(run.bytes)})"
    if len(run.events) > len(run.objects):
        done += f", {len(run.events)} times"
    if newest.role:
        done += f" through role {shown(newest.role)}"
    if newest.presigned:
        done += " with a presigned link"
    if newest.source_ip:
        done += f", from {shown(newest.source_ip)}"
    return done


def small_print(run: Run | Touched) -> str:
    """How the line is known, for the smaller second line of a timeline."""
    run = run if isinstance(run, Run) else Run((run,))
    said = ["CloudTrail", run.newest.match.said]
    if len(run.events) > 1:
        said.append(f"{len(run.events)} events since {run.since:%H:%M:%S} UTC")
    return " · ".join(said)


def days(runs: Iterable[Run], names: Names | None = None) -> list[dict[str, object]]:
    """Runs as the `days` of `components/timeline.html`: entries by UTC day, in the order given."""
    found: dict[date, list[dict[str, object]]] = {}
    for run in runs:
        found.setdefault(run.time.astimezone(UTC).date(), []).append(entry(run, names))
    return [{"day": day, "entries": entries} for day, entries in found.items()]


def entry(run: Run, names: Names | None = None) -> dict[str, object]:
    """A run as an entry of a timeline. `url` leads to the newest event of it."""
    newest = run.newest
    return {
        "at": run.time,
        "source": "refused" if run.kind is Kind.REFUSED else "s3",
        "sentence": sentence(run, names),
        "detail": small_print(run),
        "who": newest.standing,
        "url": f"/trails/files/{newest.file_id}/{newest.ordinal}/",
    }


def actor(standing: str, name: str) -> str:
    """Who, as well as it is known; never a bare role."""
    name = shown(name)
    match standing:
        case "PROVEN":
            return name
        case "CLAIMED":
            return f"somebody who called themselves {name}"
        case "SERVICE":
            return f"the service {name}"
    if name == "anonymous":
        return "somebody anonymous"
    return f"the {name}" if name.startswith("root user") else "somebody who could not be resolved"


def amount(size: int) -> str:
    """Bytes for people, in powers of ten as S3's console gives them: 1.2 GB."""
    value = float(size)
    for unit in ("bytes", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "bytes" or value >= 100 else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def shown(text: str) -> str:
    """Text from an event, with control and direction marks made visible, so that it cannot disguise itself."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _symbol(char) for char in text)


def _symbol(char: str) -> str:
    return chr(0x2400 + ord(char)) if ord(char) < 0x20 else f"\\u{ord(char):04x}"


def _what(run: Run, names: Names | None) -> str:
    newest, objects = run.newest, run.objects
    match newest.match:
        case Match.ALL:
            return shown(newest.target or newest.event_source)
        case Match.BUCKET:
            return f"bucket {shown(newest.bucket)}"
        case Match.PREFIX:
            prefixes = [f"{bucket}/{key}" for bucket, key in objects]
            return _one_or_many(prefixes, "what begins with", "prefixes")
    return _one_or_many([_name(bucket, key, names) for bucket, key in objects], "", "files")


def _one_or_many(things: Sequence[str], before: str, many: str) -> str:
    if len(things) == 1:
        return f"{before} {shown(things[0])}".strip()
    return f"{len(things)} {many}"


def _name(bucket: str, key: str, names: Names | None) -> str:
    return (names or {}).get((bucket, key)) or f"{bucket}/{key}"
