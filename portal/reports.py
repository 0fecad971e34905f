"""The timeline of a record on paper and for machines: CSV, JSON, PDF. Each says what was asked, and what nobody can say."""

import json
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import IO, Any

from accounts.models import User
from audit import clock, trail
from cloudtrail import reconciliation
from cloudtrail.actors import Standing
from jobs import queue
from jobs.models import Job
from portal.pages import coverage, timeline
from portal.pages.timeline import Asked, Cell, Group, Kind, Line
from printing.csv import write_rows
from printing.table import Column, render_table
from printing.templatetags.look import iso, utc
from records.models import File, Record
from storage import worm

AT_ONCE = 10_000  # lines; more are made by a job
AT_MOST = {"csv": 1_000_000, "json": 200_000, "pdf": 50_000}
MEDIA = {"csv": "text/csv; charset=utf-8", "json": "application/json", "pdf": "application/pdf"}
KEPT = timedelta(days=30)  # how long a file that a job made can be fetched
TIMELINE = "timeline.report"

COLUMNS = (
    "time_utc", "source", "kind", "standing", "who", "role", "what", "known_by", "subject", "bucket", "key", "version_id",
    "call", "error", "bytes_in", "bytes_out", "source_ip", "reason", "reference", "proof",
)  # fmt: skip
ON_PAPER = (
    Column("Time (UTC)", 13, mono=True),
    Column("Who", 13),
    Column("Known", 10),
    Column("What", 34),
    Column("How it is known", 20),
    Column("Reference", 14, mono=True),
)


@dataclass(frozen=True)
class Report:
    """A timeline with what stands around it: who asked, what it comes to, what the trails cover."""

    asked: Asked
    cells: Sequence[Cell]
    covered: coverage.Coverage
    made_at: datetime
    made_by: str

    @property
    def total(self) -> int:
        return sum(cell.count for cell in self.cells)


def report(asked: Asked, made_by: str) -> Report:
    now = clock.now()
    told = timeline.tell(asked)
    cells = timeline.chosen(timeline.cells(asked, told), asked)
    covered = coverage.coverage(asked.since, asked.until, now, {one.bucket for one in told.objects})
    return Report(asked, cells, covered, now, made_by)


def file_name(asked: Asked, kind: str) -> str:
    of = f"-v{asked.version.ordinal}" if asked.version else ""
    return f"{asked.record.number}{of}-audit-{asked.since:%Y%m%d}-{asked.until:%Y%m%d}.{kind}"


# --- What was asked, and the limits of the answer ---------------------------------------------------------------------


def narrowed(report: Report) -> str:
    """The filter in words."""
    asked = report.asked
    words = []
    if asked.version:
        words.append(f"version {asked.version.ordinal}")
    if asked.person:
        names = {cell.who.name for cell in report.cells if cell.who.key == asked.person}
        words.append(f"by {next(iter(names), 'a person with no line here')}")
    if asked.standing:
        words.append(f"actors that are {asked.standing}")
    if asked.kind:
        words.append(f"only: {Kind(asked.kind).label.lower()}")
    return ", ".join(words) or "none: everybody, every kind, every version"


def counts(cells: Sequence[Cell]) -> dict[str, int]:
    """How many lines of each kind, in the order of the kinds."""
    found: Counter[str] = Counter()
    for cell in cells:
        found[cell.kind] += cell.count
    return {kind.value: found[kind] for kind in Kind if found[kind]}


def limits(report: Report) -> list[str]:
    """Everything that the answer does not say."""
    told = coverage.limits(report.covered, report.made_at)
    reader = report.asked.reader
    if reader is not None and not timeline.may(reader, "access.read"):
        told.insert(0, "What others viewed and exported in the portal: the reading log is not open to your role.")
    nobody = sum(cell.count for cell in report.cells if cell.who.standing == Standing.UNRESOLVED)
    if nobody:
        told.append(f"Who is behind {nobody:,} of these lines: nothing leads from them to a person or a service.")
    return [*told, *(coverage.ALWAYS if report.covered.trails else ())]


def facts(report: Report) -> list[tuple[str, str]]:
    """The cover: record, filter, period, counts, who made it, what it covers and what it does not say."""
    asked = report.asked
    return [
        ("Record", f"{asked.record.number} {asked.record.title}"),
        ("Period", f"{utc(asked.since, 's')} to {utc(asked.until, 's')}"),
        ("Filter", narrowed(report)),
        ("Lines", f"{report.total:,}; on paper those alike, with short pauses, are folded into one"),
        (
            "Of these",
            ", ".join(f"{n:,} {Kind(kind).label.lower()}" for kind, n in counts(report.cells).items()) or "none",
        ),
        ("Sources", "Audit trail of the portal, its reading log, CloudTrail files"),
        ("Made", f"{utc(report.made_at, 's')} by {report.made_by}"),
        ("Coverage", coverage.summary(report.covered)),
        ("Comparison with the buckets", compared(report.asked)),
        *(("Not said here", sentence) for sentence in limits(report)),
    ]


# --- The three forms --------------------------------------------------------------------------------------------------


def row(line: Line) -> list[Any]:
    touched = line.touched
    on_s3: list[Any] = [""] * 8
    if touched:
        on_s3 = [touched.bucket, touched.key, touched.s3_version, f"{touched.event_source} {touched.event_name}",
                 touched.error_code, touched.bytes_in, touched.bytes_out, touched.source_ip]  # fmt: skip
    return [
        iso(line.at), line.source, line.kind.value, line.who.standing, line.who.name, line.role, line.sentence, line.known,
        line.subject, *on_s3, line.reason, line.reference, line.proof,
    ]  # fmt: skip


def compared(asked: Asked) -> str:
    """What the daily comparison of the buckets' versions with CloudTrail's events found about the record's objects."""
    pins = (
        File.objects.filter(version=asked.version)
        if asked.version
        else File.objects.filter(version__record=asked.record)
    )
    told = reconciliation.told(pins.values_list("bucket", "key").distinct())
    when = f"last on {utc(told.at)}" if told.at else "not yet for all of its buckets"
    return (
        f"{when}: {' '.join(told.findings) or 'nothing came or went without an event.'}"
        if told.at or told.findings
        else when
    )


def as_csv(report: Report) -> Iterator[str]:
    """The lines; before them, behind a #, what they cover."""
    about = ("Coverage", "Filter", "Comparison with the buckets")
    for name, value in facts(report):
        if name in about:
            yield from write_rows([f"# {name}: {value}"], ())
    yield from write_rows(COLUMNS, (row(line) for line in timeline.lines(report.asked)))


def as_json(report: Report) -> Iterator[str]:
    """One object; its lines are written as they come."""
    asked = report.asked
    head = {
        "record": asked.record.number,
        "title": asked.record.title,
        "version": asked.version.ordinal if asked.version else None,
        "since": iso(asked.since),
        "until": iso(asked.until),
        "filter": narrowed(report),
        "total": report.total,
        "counts": counts(report.cells),
        "made_at": iso(report.made_at),
        "made_by": report.made_by,
        "coverage": coverage.summary(report.covered),
        "comparison": compared(asked),
        "limits": limits(report),
    }
    yield json.dumps(head, ensure_ascii=False, indent=1).removesuffix("\n}") + ',\n "lines": ['
    for count, line in enumerate(timeline.lines(asked)):
        told = json.dumps(dict(zip(COLUMNS, row(line), strict=True)), ensure_ascii=False)
        yield f"{',' if count else ''}\n  {told}"
    yield "\n ]\n}\n"


def as_pdf(report: Report, title: str = "Audit view") -> bytes:
    """On paper, lines alike are folded into one, as on the page; CSV and JSON hold each."""
    asked = report.asked
    names = timeline.tell(asked).names
    rows = (_printed(group, names) for group in timeline.fold(timeline.lines(asked)))
    footer = f"{asked.record.number} · made {utc(report.made_at, 's')} by {report.made_by} · uncontrolled when printed"
    return render_table(f"{title} of {asked.record.number}", ON_PAPER, rows, cover=facts(report), footer=footer)


def _printed(group: Group, names: dict[tuple[str, str], str]) -> list[str]:
    line, more = group.newest, len(group.lines) - 1
    sentence, known = group.told(names)
    known += f" · {group.proof}" if group.proof else ""
    reference = line.reference + (f" and {more} more" if more else "")
    return [utc(line.at, "s").removesuffix(" UTC"), line.who.name, line.who.standing, sentence, known, reference]


def body(report: Report, kind: str) -> Iterator[bytes]:
    """The report as bytes, piece by piece where the form allows it."""
    if kind == "pdf":
        yield as_pdf(report)
        return
    for piece in as_csv(report) if kind == "csv" else as_json(report):
        yield piece.encode("utf-8", "surrogatepass" if kind == "json" else "replace")


# --- Long ones, by a job ----------------------------------------------------------------------------------------------


def ask_for(report: Report, kind: str, *, by: User) -> Job:
    """The job that makes a long report. Raises `trail.Refused` for one that is too long for its form."""
    if report.total > AT_MOST[kind]:
        raise trail.Refused(
            f"These are {report.total:,} lines; {kind.upper()} takes {AT_MOST[kind]:,} at most. Narrow the period or the filter.",
            subject=report.asked.record,
            by=by,
        )
    return queue.enqueue(TIMELINE, args=_said(report.asked) | {"format": kind, "total": report.total, "title": "Audit view "
                         + report.asked.record.number}, by=by)  # fmt: skip


def _said(asked: Asked) -> dict[str, Any]:
    return {
        "record": str(asked.record.pk),
        "version": asked.version.ordinal if asked.version else None,
        "since": asked.since.isoformat(),
        "until": asked.until.isoformat(),
        "person": asked.person,
        "standing": asked.standing,
        "kind": asked.kind,
    }


def said(args: dict[str, Any], reader: User | None) -> Asked:
    """The inverse of `_said`, for the same reader: whoever lost the right to see the record gets nothing."""
    records = Record.objects.visible_to(reader) if reader else Record.objects.all()
    record = records.select_related("type").get(pk=args["record"])
    version = record.versions.select_related("record__type").get(ordinal=args["version"]) if args["version"] else None
    since, until = (datetime.fromisoformat(args[name]) for name in ("since", "until"))
    return Asked(record, since, until, version, args["person"], args["standing"], args["kind"], reader)


@queue.handler(TIMELINE)
def make(job: Job) -> dict[str, Any]:
    reader = User.objects.get(pk=job.requested_by)
    kind = job.args["format"]
    made = report(said(job.args, reader), job.requested_by_name)
    with tempfile.TemporaryFile() as file:
        for count, piece in enumerate(body(made, kind)):
            file.write(piece)
            if count % timeline.CHUNK == 0:
                job.progress(min(count, made.total), made.total, "Lines are written.")
        return keep(file, file_name(made.asked, kind), MEDIA[kind]) | {"lines": made.total}


def keep(data: bytes | IO[bytes], name: str, media_type: str) -> dict[str, Any]:
    """A job's result: the file in the store of frozen bytes for some weeks, so that what was handed out can be shown again."""
    pin = worm.put(data, media_type=media_type, retain_until=clock.now() + KEPT)
    return {"pin": pin.to_json(), "name": name, "media_type": media_type, "sha256": pin.sha256, "size": pin.size}
