"""Security: alarms and their acknowledgement, signings that were refused, the clocks."""

from collections import Counter
from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import Case, IntegerField, Q, QuerySet, Value, When
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path, reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_GET, require_POST

from accounts.http import PersonRequest
from accounts.permissions import demand, may
from audit import alarms, clock, clock_guard, reasons, trail
from audit.clock_guard import SENTENCES, Standing
from audit.models import Alarm, ClockReading, Entry
from portal import watching
from portal.hearers import alarms_for, hearers
from portal.pages.audit import entries_for, keyset

PAGE = 50
DAYS = 90  # of clock readings that the page shows
STANDINGS: dict[str, tuple[str, Q]] = {
    "open": ("Open", alarms.OPEN),
    "unacknowledged": ("Not acknowledged", Q(acknowledged_at__isnull=True)),
    "standing": ("Cause standing", Q(cleared_at__isnull=True)),
    "closed": ("Closed", ~alarms.OPEN),
}
OPEN_FIRST = Case(
    When(acknowledged_at__isnull=True, cleared_at__isnull=True, then=Value(0)),
    When(acknowledged_at__isnull=True, then=Value(1)),
    When(cleared_at__isnull=True, then=Value(2)),
    default=Value(3),
    output_field=IntegerField(),
)
Context = dict[str, Any]


class Filters(forms.Form):
    """What the list is narrowed by; a value that makes no sense narrows nothing."""

    about = forms.CharField(required=False, max_length=200)
    kind = forms.ChoiceField(required=False, choices=[("", "Every kind"), *Alarm.Kind.choices])
    standing = forms.ChoiceField(
        required=False, choices=[("", "All, open first"), *((key, label) for key, (label, _) in STANDINGS.items())]
    )

    def __init__(self, data: Any) -> None:
        super().__init__(data, auto_id="f-%s")
        self.full_clean()

    def narrow(self, rows: QuerySet[Alarm]) -> QuerySet[Alarm]:
        asked, wanted = self.cleaned_data, Q()
        if asked.get("kind"):
            wanted &= Q(kind=asked["kind"])
        if asked.get("standing"):
            wanted &= STANDINGS[asked["standing"]][1]
        if asked.get("about"):
            wanted &= Q(subject_label__icontains=asked["about"]) | Q(sentence__icontains=asked["about"])
        return rows.filter(wanted)


# Alarms ---------------------------------------------------------------------------------------------------------------


@require_GET
def listing(request: PersonRequest) -> HttpResponse:
    """Standing and not acknowledged first, closed ones last."""
    demand(request.user, "alarms.read")
    mine, filters = alarms_for(request.user), Filters(request.GET)
    rows = filters.narrow(mine).order_by(OPEN_FIRST, "-last_at")
    number = int(given) if (given := request.GET.get("page", "")).isdecimal() and len(given) < 7 else 1
    number = max(number, 1)
    found = list(rows[(number - 1) * PAGE : number * PAGE + 1])
    kept: dict[str, Any] = {name: value for name, value in request.GET.items() if name != "page" and value}
    context = {
        "filters": filters,
        "alarms": found[:PAGE],
        "previous_url": f"?{urlencode(kept | {'page': number - 1})}" if number > 1 else "",
        "next_url": f"?{urlencode(kept | {'page': number + 1})}" if len(found) > PAGE else "",
        "narrowed": any(filters.cleaned_data.values()),
        "verdict": verdict(Counter(alarm.state for alarm in mine.filter(alarms.OPEN))),
        "tabs": tabs("Alarms"),
        "crumbs": [{"label": "Security"}],
    }
    return render(request, "portal/security.html", context)


def tabs(active: str) -> list[Context]:
    found = [("Alarms", "/security/"), ("Refused signings", "/security/refusals/"), ("Clocks", "/security/clocks/")]
    return [{"label": label, "url": url, "active": label == active} for label, url in found]


def verdict(counts: Counter[str]) -> Context:
    """What the alarms come to, in a sentence."""
    new, standing = counts["standing"] + counts["unacknowledged"], counts["standing"] + counts["acknowledged"]
    if not new and not standing:
        say, tone = "No alarm is open.", "ok"
    else:
        said = [_number(new, "waits", "wait", " for somebody to acknowledge") if new else "",
                _number(standing, "stands", "stand", "", "cause") if standing else ""]  # fmt: skip
        say, tone = ". ".join(part for part in said if part) + ".", "bad" if new else "warn"
    return {
        "tone": tone,
        "say": say,
        "know": [
            "A worker reads the trail every 15 seconds, in the order of its chain, and goes on where it stopped.",
            "Each alarm, its mails, its acknowledgement and its end are entries of the trail; none can be edited or removed.",
            "Every administrator and QA approver who may see it is told by mail, and a mail that did not go out is tried again.",
        ],
        "cannot": ["What happens outside the portal and its buckets, such as a lost laptop that nobody reported."],
    }  # fmt: skip


def _number(count: int, one: str, more: str, rest: str, noun: str = "alarm") -> str:
    return f"{count} {noun if count == 1 else noun + 's'} {one if count == 1 else more}{rest}"


@require_GET
def alarm(request: PersonRequest, pk: Any) -> HttpResponse:
    """One alarm: what it says, what the trail says of it, whom it was mailed to."""
    demand(request.user, "alarms.read")
    return _page(request, get_object_or_404(alarms_for(request.user), pk=pk))


def _page(
    request: PersonRequest, shown: Alarm, *, comment: str = "", fault: str = "", status: int = 200
) -> HttpResponse:
    cause = entries_for(request.user).filter(pk=shown.detail.get("entry", 0)).first()
    told = set(shown.mails.filter(sent=True).values_list("person", flat=True))
    context = {
        "alarm": shown,
        "facts": facts(shown),
        "cause": cause,
        "event_url": event_url(shown.detail),
        "history": [
            (entry, event_url(entry.detail))
            for entry in Entry.objects.filter(subject_kind="alarm", subject_id=str(shown.pk)).order_by("-id")[:100]
        ],
        "mails": shown.mails.order_by("-id")[:100],
        "owed": [user for user in hearers(shown) if str(user.pk) not in told] if not shown.acknowledged_at else [],
        "acknowledges": may(request.user, "alarms.acknowledge") and shown.acknowledged_at is None,
        "momentary": shown.kind in alarms.MOMENTARY,
        "letters": reasons.LETTERS,
        "comment": comment,
        "fault": fault,
        "crumbs": [{"label": "Security", "url": "/security/"}, {"label": shown.get_kind_display()}],
    }
    return render(request, "portal/security_alarm.html", context, status=status)


def event_url(detail: Context) -> str:
    """Where the CloudTrail event stands that an alarm, or one count of it, speaks of; "" for other alarms."""
    file, ordinal = detail.get("file"), detail.get("ordinal")
    return reverse("cloudtrail:event", args=[file, ordinal]) if isinstance(file, int) and ordinal is not None else ""


def facts(shown: Alarm) -> list[Context]:
    told: list[Context] = [
        {"label": "About", "value": shown.subject_label},
        {"label": "First seen", "at": shown.first_at},
        {"label": "Last seen", "at": shown.last_at},
        {"label": "Seen", "value": "once" if shown.count == 1 else f"{shown.count} times"},
    ]
    if shown.acknowledged_at:
        told += [
            {"label": "Acknowledged", "at": shown.acknowledged_at},
            {"label": "By", "person": shown.acknowledged_by_name},
        ]
    if shown.cleared_at and shown.kind not in alarms.MOMENTARY:
        told.append({"label": "Cause gone", "at": shown.cleared_at})
    return told


@require_POST
def acknowledge(request: PersonRequest, pk: Any) -> HttpResponse:
    demand(request.user, "alarms.read")
    shown, comment = get_object_or_404(alarms_for(request.user), pk=pk), request.POST.get("comment", "")
    try:
        with trail.refusals(request.user):
            alarms.acknowledge(shown, by=request.user, comment=comment)
    except reasons.ReasonRefused as refused:
        return _page(request, shown, comment=comment, fault=refused.message, status=refused.status)
    messages.success(request, "The alarm is acknowledged.")
    return redirect(shown)


# Refused signings -----------------------------------------------------------------------------------------------------


@require_GET
def refusals(request: PersonRequest) -> HttpResponse:
    """Signings that were refused: who, on what, and why."""
    demand(request.user, "alarms.read")
    rows = entries_for(request.user).filter(action__in=watching.REFUSED_SIGNINGS)
    found, pages = keyset(rows, request)
    crumbs = [{"label": "Security", "url": "/security/"}, {"label": "Refused signings"}]
    reads_all = may(request.user, "access.read")
    context = pages | {
        "entries": found,
        "reads_all": reads_all,
        "tabs": tabs("Refused signings"),
        "crumbs": crumbs,
    }
    return render(request, "portal/security_refusals.html", context)


# Clocks ---------------------------------------------------------------------------------------------------------------


@require_GET
def clocks(request: PersonRequest) -> HttpResponse:
    """Where time comes from, how far the clocks are apart now, and what was seen of them (clock source and drift)."""
    demand(request.user, "alarms.read")
    reading = clock_guard.observe()
    since = clock.now() - timedelta(days=DAYS)
    newest = ClockReading.objects.order_by("source", "-id").distinct("source")
    crumbs = [{"label": "Security", "url": "/security/"}, {"label": "Clocks"}]
    context = {
        "verdict": clock_verdict(reading, list(newest)),
        "readings": [clock_row(row) for row in ClockReading.objects.filter(at__gt=since).order_by("-id")[:200]],
        "days": DAYS,
        "tabs": tabs("Clocks"),
        "crumbs": crumbs,
    }
    return render(request, "portal/security_clocks.html", context)


def clock_verdict(reading: clock_guard.Reading, newest: list[ClockReading]) -> Context:
    bad = SENTENCES.get(reading.standing, "")
    rows = [
        {"what": row.source, "value": milliseconds(row.offset_us), "at": row.at, "state": row.standing}
        for row in newest
    ]
    return {
        "tone": "bad" if bad else "ok",
        "say": bad or "The clocks agree, and people can sign.",
        "meta": "How far the database's clock is from that of each process of the portal, as it was kept last.",
        "rows": rows,
        "know": [
            "Every fact is dated by one clock, the database's, in UTC; no browser and no web server dates anything.",
            "Before each signature it is held against the web server's clock, and against the newest entry and checkpoint.",
            "A clock that is set shows against the time that passed since the machine started, which no setting changes.",
            "More than two seconds apart, or behind the trail: nobody signs, and an alarm is raised.",
        ],
        "cannot": ["Whether all machines are wrong together: keep them on a time service, or configure a time-stamp authority."],
    }  # fmt: skip


def clock_row(row: ClockReading) -> Context:
    return {
        "row": row,
        "offset": milliseconds(row.offset_us),
        "within": milliseconds(row.within_us).lstrip("+"),
        "step": milliseconds(row.step_us) if row.standing == Standing.STEPPED else "",
    }


def milliseconds(microseconds: int) -> str:
    return f"{microseconds / 1000:+,.1f} ms"


URLS = [
    path("security/", listing, name="security"),
    path("security/refusals/", refusals, name="security-refusals"),
    path("security/clocks/", clocks, name="security-clocks"),
    path("security/<uuid:pk>/", alarm, name="security-alarm"),
    path("security/<uuid:pk>/acknowledge/", acknowledge, name="security-acknowledge"),
]
