"""Who touched it: the audit view of one record, on the page and as CSV, JSON or PDF."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from typing import Any

from django import forms
from django.db.models import Prefetch
from django.http import HttpResponse, HttpResponseBase, QueryDict, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path
from django.utils.http import urlencode
from django.views.decorators.http import require_GET, require_POST

from accounts.http import PersonRequest
from accounts.permissions import demand
from audit import clock, trail
from cloudtrail import reconciliation, sentences
from cloudtrail.actors import Standing
from portal import reports
from portal.pages import coverage, document_parts, record_parts, timeline
from portal.pages.day_field import DayField
from portal.pages.timeline import Asked, Cell, Group, Kind, Line, Person
from portal.reports import Report
from records.kinds import Kind as RecordKind
from records.models import Record, Version

PRESETS = {"7": "Last 7 days", "30": "Last 30 days", "90": "Last 90 days", "365": "Last 365 days"}
NEWEST, NEWEST_WITHIN = 5, timedelta(days=90)  # lines on a record's overview
BARS = 92  # days of an activity picture; a longer period is drawn by weeks

Context = dict[str, Any]


# What is asked --------------------------------------------------------------------------------------------------------


class Filters(forms.Form):
    """The period, and what it is narrowed to. A value that makes no sense is said, and narrows nothing."""

    days = forms.ChoiceField(label="Period", required=False, choices=[*PRESETS.items(), ("", "From, to …")])
    since = DayField(label="From")
    until = DayField(label="To")
    version = forms.ChoiceField(label="Version", required=False)
    kind = forms.ChoiceField(
        label="Kind", required=False, choices=[("", "Every kind"), *((k.value, k.label) for k in Kind)]
    )
    person = forms.CharField(label="Person", required=False, max_length=300)
    standing = forms.ChoiceField(
        label="Known", required=False, choices=[("", "However known"), *((s.value, s.value) for s in Standing)]
    )

    def __init__(self, data: QueryDict, record: Record) -> None:
        values = data.copy()
        if not any(values.get(name) for name in ("days", "since", "until")):
            values["days"] = "90"
        super().__init__(values, auto_id="f-%s")
        ordinals = record.versions.order_by("-ordinal").values_list("ordinal", flat=True)
        versions: Any = self.fields["version"]
        versions.choices = [("", "Every version"), *((str(one), f"Version {one}") for one in ordinals)]
        self.full_clean()

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        since, until = values.get("since"), values.get("until")
        if since and until and since > until:
            self.add_error("since", "The period ends before it begins.")
        return values

    def offer(self, people: Sequence[Person]) -> None:
        """The people who did something in the period, to choose from."""
        asked = self.cleaned_data.get("person", "")
        choices = [("", "Everybody"), *((one.key, one.name) for one in people)]
        if asked and asked not in dict(choices):
            choices.append((asked, "Somebody else"))
        self.fields["person"].widget = forms.Select(choices=choices)

    def period(self, now: datetime) -> tuple[datetime, datetime]:
        """[since, until) in UTC; days are whole days, presets end now."""
        since, until = self.cleaned_data.get("since"), self.cleaned_data.get("until")
        if self.cleaned_data.get("days") or not (since or until):
            return now - timedelta(days=int(self.cleaned_data.get("days") or 90)), now
        end = datetime.combine(until, time(), UTC) + timedelta(days=1) if until else now
        begin = datetime.combine(since, time(), UTC) if since else min(end, now) - timedelta(days=90)
        return begin, min(end, now)


def asked_of(request: PersonRequest, record: Record, now: datetime) -> tuple[Asked, Filters]:
    filters = Filters(request.GET if request.method == "GET" else request.POST, record)
    chosen = filters.cleaned_data
    since, until = filters.period(now)
    version = None
    if chosen.get("version"):
        version = record.versions.select_related("record__type").get(ordinal=int(chosen["version"]))
    return Asked(
        record,
        since,
        until,
        version,
        chosen.get("person", ""),
        chosen.get("standing", ""),
        chosen.get("kind", ""),
        request.user,
    ), filters


# The page -------------------------------------------------------------------------------------------------------------


@require_GET
def record_audit(request: PersonRequest, number: str) -> HttpResponse:
    """One timeline of what the portal, its reading log and CloudTrail tell of a record."""
    record = _record(request, number)
    now = clock.now()
    asked, filters = asked_of(request, record, now)
    after = request.GET.get("after", "")
    told = timeline.tell(asked)
    try:
        page = timeline.page(asked, after, told=told)
    except ValueError:
        return redirect(_here(record))
    found = timeline.cells(asked, told)
    covered = coverage.coverage(asked.since, asked.until, now, {one.bucket for one in told.objects})
    made = Report(asked, timeline.chosen(found, asked), covered, now, request.user.legal_name)
    people = by_person(found)
    filters.offer([row.who for row in people])
    trail.access(request.user, "view", asked.version or record, {"part": "audit view", "lines": made.total})
    kept = {name: str(value) for name, value in request.GET.items() if name != "after" and value}
    context = frame(request, record, now) | {
        "filters": filters,
        "days": by_day(timeline.fold(page.lines), told.names),
        "next_url": f"?{urlencode(kept | {'after': page.after})}" if page.after else "",
        "first_url": f"?{urlencode(kept)}" if after else "",
        "total": made.total,
        "asked": asked,
        "kinds": kinds(found, asked, kept),
        "people": people,
        "matrix": matrix(found, asked, kept),
        "provisional": now - coverage.PROVISIONAL if not after and asked.until > now - coverage.PROVISIONAL else None,
        "activity": activity(made.cells, asked),
        "coverage": coverage.bar(covered),
        "compared": reconciliation.told((one.bucket, one.key) for one in told.objects),
        "limits": reports.limits(made),
        "sees_reading": told.sees_reading,
        "exports": exports(made, kept),
        "filter_words": reports.narrowed(made),
    }
    return render(request, "portal/audit_record.html", context)


@require_GET
def newest(request: PersonRequest, number: str) -> HttpResponse:
    """What happened last, as the overview of a record shows it: a part that the page asks for once it is there."""
    record, now = _record(request, number), clock.now()
    asked = Asked(record, now - NEWEST_WITHIN, now, reader=request.user)
    told = timeline.tell(asked)
    groups = islice(timeline.fold(timeline.page(asked, told=told).lines), NEWEST)
    covered = coverage.coverage(asked.since, asked.until, now, {one.bucket for one in told.objects})
    context = {"record": record, "days": by_day(groups, told.names), "coverage": coverage.bar(covered)}
    return render(request, "portal/record_touched.html", context)


def _record(request: PersonRequest, number: str) -> Record:
    records = Record.objects.visible_to(request.user).select_related("type", "area", "created_by")
    record = get_object_or_404(records, number=number)
    demand(request.user, "trail.read", record)
    return record


def _here(record: Record) -> str:
    return f"{record.get_absolute_url()}audit/"


def frame(request: PersonRequest, record: Record, now: datetime) -> Context:
    """Head, tabs and facts as the record's other pages have them."""
    newest_first = record.versions.select_related("record__type", "record__area", "effectivity", "author").order_by(
        "-ordinal"
    )
    if record.type.kind == RecordKind.DATA:
        version = newest_first.prefetch_related(Prefetch("files")).first()
        return record_parts.frame(request.user, record, version, "Audit") | {"frame": "portal/record_base.html"}
    versions: list[Version] = list(newest_first.defer("manifest"))
    shown = document_parts.face(versions, now)
    framed = document_parts.frame(request.user, record, versions, shown, now, "audit")
    return framed | {"frame": "portal/document_frame.html"}


def exports(made: Report, kept: dict[str, str]) -> Context:
    """Where each form is to be had: at once, or by a job where the lines are many."""
    url = f"{_here(made.asked.record)}export/"
    at_once = made.total <= reports.AT_ONCE
    return {
        "at_once": at_once,
        "forms": [(kind, kind.upper(), f"{url}?{urlencode(kept | {'format': kind})}") for kind in reports.MEDIA],
        "url": url,
        "kept": kept,
    }


# Lines, folded and by day ---------------------------------------------------------------------------------------------


def by_day(groups: Iterable[Group], names: sentences.Names) -> list[Context]:
    """Groups as the days of the timeline."""
    days: dict[date, list[Context]] = defaultdict(list)
    for group in groups:
        days[group.newest.at.astimezone(UTC).date()].append(entry(group, names))
    return [{"day": day, "entries": entries} for day, entries in days.items()]


def entry(group: Group, names: sentences.Names) -> Context:
    line, many = group.newest, len(group.lines) > 1
    sentence, known = group.told(names)
    return {
        "at": line.at,
        "source": _dot(line),
        "sentence": sentence,
        "detail": known,
        "proof": group.proof,
        "who": line.who.standing,
        "url": "" if many else line.url,
        "parts": group.lines if many else [],
    }


def _dot(line: Line) -> str:
    if line.kind == Kind.REFUSED:
        return "refused"
    if line.kind == Kind.SIGNATURE:
        return "signature"
    if line.source == "cloudtrail":
        return "s3"
    return "system" if line.who.standing == Standing.SERVICE else "portal"


# Counts ---------------------------------------------------------------------------------------------------------------


def kinds(found: Sequence[Cell], asked: Asked, kept: dict[str, str]) -> list[Context]:
    """Each kind with its count among what the other filters let through, and the address that shows it alone."""
    others = timeline.chosen(found, replace(asked, kind=""))
    counted = reports.counts(others)
    without = {name: value for name, value in kept.items() if name != "kind"}
    every = {
        "label": "Everything",
        "count": sum(counted.values()),
        "url": f"?{urlencode(without)}",
        "active": not asked.kind,
    }
    return [every] + [
        {
            "label": Kind(kind).label,
            "count": count,
            "url": f"?{urlencode(without | {'kind': kind})}",
            "active": asked.kind == kind,
        }
        for kind, count in counted.items()
    ]


@dataclass
class ByPerson:
    """What one person did in the period; `others` are acts, listings and changes of settings."""

    who: Person
    counts: Counter[str]
    first: datetime
    last: datetime
    bytes_out: int

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    @property
    def reads(self) -> int:
        return self.counts[Kind.READ]

    @property
    def writes(self) -> int:
        return self.counts[Kind.WRITE] + self.counts[Kind.DELETE]

    @property
    def copies(self) -> int:
        return self.counts[Kind.COPY] + self.counts[Kind.EXPORT]

    @property
    def refused(self) -> int:
        return self.counts[Kind.REFUSED]

    @property
    def others(self) -> int:
        return self.total - self.reads - self.writes - self.copies - self.refused


ORDER = (Standing.PROVEN, Standing.CLAIMED, Standing.UNRESOLVED, Standing.SERVICE)


def by_person(found: Iterable[Cell]) -> list[ByPerson]:
    """People first, the most active first; then what is claimed, what nobody can be named for, and services."""
    rows: dict[str, ByPerson] = {}
    for cell in found:
        row = rows.setdefault(cell.who.key, ByPerson(cell.who, Counter(), cell.first, cell.last, 0))
        row.counts[cell.kind] += cell.count
        row.first, row.last = min(row.first, cell.first), max(row.last, cell.last)
        row.bytes_out += cell.bytes_out
    return sorted(rows.values(), key=lambda row: (ORDER.index(Standing(row.who.standing)), -row.total, row.who.name))


def matrix(found: Iterable[Cell], asked: Asked, kept: dict[str, str]) -> Context:
    """Who, by month: how much each did in each month of the period, the newest twelve; a number leads to its lines."""
    cells = list(found)
    last = (asked.until - timeline.MICROSECOND).astimezone(UTC).date().replace(day=1)
    months = [_months_before(last, back) for back in range(MONTHS)]
    months = [month for month in reversed(months) if _months_before(month, -1) > asked.since.astimezone(UTC).date()]
    people: dict[str, Person] = {}
    counts: Counter[tuple[str, date]] = Counter()
    refused: Counter[tuple[str, date]] = Counter()
    for cell in cells:
        place = (cell.who.key, cell.day.replace(day=1))
        people[cell.who.key] = cell.who
        counts[place] += cell.count
        refused[place] += cell.count if cell.kind == Kind.REFUSED else 0
    most = max((counts[key, month] for key in people for month in months), default=0) or 1
    narrowed = {
        name: value for name, value in kept.items() if name not in ("days", "since", "until", "person", "standing")
    }

    def box(key: str, month: date) -> Context:
        first, last = max(month, asked.since.astimezone(UTC).date()), _months_before(month, -1) - timedelta(days=1)
        url = f"?{urlencode(narrowed | {'since': f'{first}', 'until': f'{last}', 'person': key})}"
        count = counts[key, month]
        return {
            "month": month,
            "count": count,
            "refused": refused[key, month],
            "shade": -(-4 * count // most),
            "url": url,
        }

    totals = {key: sum(counts[key, month] for month in months) for key in people}
    order = sorted(people.values(), key=lambda who: (ORDER.index(Standing(who.standing)), -totals[who.key], who.name))
    rows = [{"who": who, "boxes": [box(who.key, month) for month in months], "total": totals[who.key]} for who in order]
    return {"months": months, "rows": rows, "older": any(cell.day < months[0] for cell in cells)}


MONTHS = 12


def _months_before(month: date, back: int) -> date:
    """The first day of the month that lies so many months before (after, if negative)."""
    count = month.year * 12 + month.month - 1 - back
    return date(count // 12, count % 12 + 1, 1)


def activity(found: Sequence[Cell], asked: Asked) -> Context:
    """A bar for each day (each week of a long period): how much happened, and how much of it was refused."""
    first = asked.since.astimezone(UTC).date()
    last = (asked.until - timeline.MICROSECOND).astimezone(UTC).date()
    step = 1 if (last - first).days < BARS else 7
    width = (last - first).days // step + 1
    totals, refused = [0] * width, [0] * width
    for cell in found:
        place = (cell.day - first).days // step
        totals[place] += cell.count
        refused[place] += cell.count if cell.kind == Kind.REFUSED else 0
    most = max(totals, default=0) or 1
    bars = [
        {
            "x": f"{place + 0.1:.1f}",
            "y": f"{40 - 40 * total / most:.2f}",
            "height": f"{40 * total / most:.2f}",
            "refused_y": f"{40 - max(40 * no / most, 2):.2f}",
            "refused_height": f"{max(40 * no / most, 2):.2f}",
            "refused": no,
            "total": total,
            "day": first + timedelta(days=place * step),
        }
        for place, (total, no) in enumerate(zip(totals, refused, strict=True))
        if total
    ]
    return {"bars": bars, "width": width, "weeks": step == 7, "most": most, "first": first, "last": last,
            "refused": sum(refused)}  # fmt: skip


# Exports --------------------------------------------------------------------------------------------------------------


@require_GET
def export(request: PersonRequest, number: str) -> HttpResponseBase:
    """The same lines as CSV, JSON or PDF, at once."""
    record = _record(request, number)
    kind = _form(request.GET)
    demand(request.user, "record.export", record)
    made = _report(request, record)
    if made.total > reports.AT_ONCE:
        raise trail.Refused(f"These are {made.total:,} lines: ask for them as a job.", subject=record, by=request.user)
    trail.access(request.user, "export", made.asked.version or record, {
        "part": "audit view", "format": kind, "lines": made.total, "filter": reports.narrowed(made)})  # fmt: skip
    name = reports.file_name(made.asked, kind)
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    if kind == "pdf":
        return HttpResponse(b"".join(reports.body(made, kind)), content_type=reports.MEDIA[kind], headers=headers)
    return StreamingHttpResponse(reports.body(made, kind), content_type=reports.MEDIA[kind], headers=headers)


@require_POST
def ask_for_export(request: PersonRequest, number: str) -> HttpResponse:
    """A long report, made by a job."""
    record = _record(request, number)
    demand(request.user, "record.export", record)
    job = reports.ask_for(_report(request, record), _form(request.POST), by=request.user)
    return redirect("portal:prepared", job.pk)


def _form(asked: QueryDict) -> str:
    kind = asked.get("format", "csv")
    return kind if kind in reports.MEDIA else "csv"


def _report(request: PersonRequest, record: Record) -> Report:
    asked, _ = asked_of(request, record, clock.now())
    return reports.report(asked, request.user.legal_name)


URLS = [
    path(f"{section}s/<str:number>/audit/{ending}", view, name=f"{section}-audit{name}")
    for section in ("record", "document")
    for ending, view, name in (
        ("", record_audit, ""),
        ("newest/", newest, "-newest"),
        ("export/", export, "-export"),
        ("export/job/", ask_for_export, "-job"),
    )
]
