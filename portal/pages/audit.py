"""The portal's own trail: entries, one entry with what it changed, the reading log, the walk of the chain, CSV."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any

from django import forms
from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path, reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_GET, require_POST

from accounts.http import PersonRequest, polled
from accounts.models import User
from accounts.permissions import demand, may
from audit import clock, queries, trail
from audit.actions import REFUSALS
from audit.models import Access, Entry, Link, RowChange
from jobs.models import Job
from portal import chain_walk
from portal.hearers import alarms_for, colleagues
from portal.pages.day_field import DayField
from printing.csv import write_rows
from printing.templatetags.look import iso, utc
from records.models import Record, Version

PAGE = 50
CHANGES = 100  # of one act that a page shows
EXPORTED = 1_000_000  # rows of one CSV
SHORT = 200  # letters of a value that a list shows
TRAIL = trail.Subject("trail", "entries", "the audit trail")
READING_LOG = trail.Subject("access", "log", "the reading log")
ENTRY_COLUMNS = (
    "id", "at", "actor_name", "actor_role", "actor", "action", "subject_kind", "subject_id", "subject_label", "reason",
    "request_id", "detail",
)  # fmt: skip
ACCESS_COLUMNS = (
    "id", "at", "actor_name", "actor_role", "actor", "what", "subject_kind", "subject_id", "subject_label", "request_id",
    "detail",
)  # fmt: skip

Context = dict[str, Any]


# What one sees --------------------------------------------------------------------------------------------------------


def entries_for(user: User) -> QuerySet[Entry]:
    """By the one rule of `audit.queries.visible`."""
    return queries.visible(
        str(user.pk),
        reads_all=may(user, "access.read"),
        records=Record.objects.visible_to(user),
        versions=Version.objects.visible_to(user),
        people=colleagues(user),
        alarms=alarms_for(user),
        jobs=Job.objects.visible_to(user),
    )


def accesses_for(user: User) -> QuerySet[Access]:
    return queries.visible_accesses(records=Record.objects.visible_to(user), versions=Version.objects.visible_to(user))


class Filters(forms.Form):
    """What a list is narrowed by; a value that makes no sense narrows nothing."""

    actor = forms.CharField(required=False, max_length=200)
    subject = forms.CharField(required=False, max_length=200)
    group = forms.ChoiceField(required=False, choices=[("", "Every act"), *((name, name) for name in queries.FILTERS)])
    what = forms.ChoiceField(
        required=False,
        choices=[("", "Everything"), ("view", "Views"), ("export", "Exports"), ("refused", "Refused reads")],
    )
    since = DayField()
    until = DayField()

    def __init__(self, data: Any) -> None:
        super().__init__(data, auto_id="f-%s")
        self.full_clean()

    def narrow(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        asked = self.cleaned_data
        wanted = Q()
        if asked.get("actor"):
            wanted &= Q(actor_name__icontains=asked["actor"])
        if asked.get("subject"):
            wanted &= Q(subject_label__icontains=asked["subject"])
        if asked.get("group"):
            wanted &= queries.of_group(asked["group"])
        if asked.get("what"):
            wanted &= Q(what=asked["what"])
        if asked.get("since"):
            wanted &= Q(at__gte=datetime.combine(asked["since"], time(), UTC))
        if asked.get("until"):
            wanted &= Q(at__lt=datetime.combine(asked["until"], time(), UTC) + timedelta(days=1))
        return rows.filter(wanted)


def keyset(rows: QuerySet[Any], request: PersonRequest) -> tuple[list[Any], Context]:
    """One page, newest first, with the addresses of the newest page and of the one before in time."""
    before = request.GET.get("before", "")
    if before.isdecimal() and len(before) < 19:
        rows = rows.filter(pk__lt=int(before))
    found = list(rows.order_by("-pk")[: PAGE + 1])
    kept = {name: str(value) for name, value in request.GET.items() if name != "before" and value}
    pages = {
        "previous_url": f"?{urlencode(kept)}" if before else "",
        "next_url": f"?{urlencode(kept | {'before': found[PAGE - 1].pk})}" if len(found) > PAGE else "",
        "kept": f"?{urlencode(kept)}" if kept else "",
    }
    return found[:PAGE], pages


# Entries --------------------------------------------------------------------------------------------------------------


@require_GET
def entries(request: PersonRequest) -> HttpResponse:
    demand(request.user, "trail.read")
    filters = Filters(request.GET)
    found, pages = keyset(filters.narrow(entries_for(request.user)), request)
    reads_all = may(request.user, "access.read")
    context = pages | {
        "filters": filters,
        "entries": found,
        "refusals": REFUSALS,
        "reads_all": reads_all,
        "tabs": tabs("Trail", reads_all),
        "crumbs": [{"label": "Audit"}],
        **chain_card(),
    }
    return render(request, "portal/audit.html", context)


def tabs(active: str, reads_all: bool) -> list[Context]:
    of_readers = [("Reading log", "/audit/access/"), ("Reviews", "/audit/reviews/")] if reads_all else []
    found = [("Trail", "/audit/"), *of_readers, ("Checkpoints", "/audit/checkpoints/")]
    return [{"label": label, "url": url, "active": label == active} for label, url in found]


@require_GET
def entry(request: PersonRequest, entry_id: int) -> HttpResponse:
    """All columns of one entry, the rows that its act changed, and its place in the chain, hashed again now."""
    demand(request.user, "trail.read")
    visible = entries_for(request.user)
    shown = get_object_or_404(visible.defer(None), pk=entry_id)
    found = list(queries.changes_of(shown)[: CHANGES + 1])
    context = {
        "entry": shown,
        "refused": shown.action in REFUSALS,
        "facts": facts(shown),
        "detail": json.dumps(shown.detail, indent=2, ensure_ascii=False) if shown.detail else "",
        "changes": [change(one) for one in found[:CHANGES]],
        "more_changes": len(found) > CHANGES,
        "included": queries.included([shown]).get(shown.pk),
        "earlier": visible.filter(pk__lt=shown.pk).order_by("-pk").values_list("pk", flat=True).first(),
        "later": visible.filter(pk__gt=shown.pk).order_by("pk").values_list("pk", flat=True).first(),
        "crumbs": [{"label": "Audit", "url": "/audit/"}, {"label": f"Entry {shown.pk}"}],
    }
    return render(request, "portal/audit_entry.html", context)


def facts(shown: Entry) -> list[Context]:
    told = [
        ("Entry", str(shown.pk)),
        ("Actor", shown.actor),
        ("Role then", shown.actor_role),
        ("Action", shown.action),
        ("Subject", f"{shown.subject_kind} {shown.subject_label}"),
        ("Subject's key", shown.subject_id),
        ("Request", shown.request_id),
        ("Transaction", str(shown.xact)),
    ]
    at = {"label": "Time", "value": utc(shown.at, "us")}
    return [at, *({"label": label, "value": value} for label, value in told if value)]


def change(row: RowChange) -> Context:
    """One changed row as columns with old and new; of a new or removed row only what it holds."""
    old, new = row.old or {}, row.new or {}
    columns = [
        {"name": name, "old": value(old.get(name)), "new": value(new.get(name)), "was": name in old, "is": name in new}
        for name in dict.fromkeys([*old, *new])
        if row.operation != RowChange.Operation.UPDATE or old.get(name) != new.get(name)
    ]
    return {"row": row, "columns": columns}


def value(given: Any) -> str:
    """A stored value as a table shows it; long ones are cut, and say so."""
    text = "" if given is None else given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)
    return text if len(text) <= SHORT else f"{text[:SHORT]} … ({len(text):,} letters)"


# The chain ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Walked:
    """The last walk that came to an end, and what came to the chain since: `links` of them, the first at `oldest`."""

    to: int
    at: datetime
    fault: dict[str, Any] | None
    further: int
    links: int
    oldest: datetime | None

    @property
    def late(self) -> bool:
        """Something waits for a walk for longer than the portal leaves it."""
        return self.oldest is not None and clock.now() - self.oldest > chain_walk.WALKED_EVERY

    @property
    def say(self) -> str:
        if self.fault:
            others = f" {self.further} further faults were found." if self.further else ""
            return f"The chain did not hold when it was walked last, {utc(self.at)}. {self.fault['sentence']}{others}"
        return f"The chain held when it was walked last, {utc(self.at)}, up to link {self.to:,}."

    @property
    def since(self) -> str:
        if self.fault:
            return ""
        if not self.links:
            return "No link came since."
        came = "One link" if self.links == 1 else f"{self.links:,} links"
        first = f", the first of them {utc(self.oldest)}" if self.oldest else ""
        return f"{came} came since and {'is' if self.links == 1 else 'are'} not walked yet{first}."


def walked(done: chain_walk.Walked | None) -> Walked | None:
    """What the last walk says today; in one query. The entry that tells of it came after it, and is not counted."""
    if done is None:
        return None
    newest = Link.objects.order_by("-seq").values("seq")[:1]
    at = Coalesce(
        Subquery(Entry.objects.filter(pk=OuterRef("entry_id")).values("at")[:1]),
        Subquery(RowChange.objects.filter(pk=OuterRef("change_id")).values("at")[:1]),
    )
    since = Link.objects.filter(~Q(entry_id=done.entry) | Q(entry_id=None), seq__gt=done.links)
    rows = since.order_by("seq").annotate(at=at, newest=Subquery(newest))
    oldest, last = rows.values_list("at", "newest").first() or (None, done.links + 1)
    return Walked(done.links, done.at, done.fault, len(done.further), last - done.links - 1, oldest)


def chain_card() -> Context:
    """The last walk as a verdict, and the walk under way."""
    newest, done = chain_walk.latest()
    job = newest if newest and (newest.open or newest.state == "failed") else None
    return {"verdict": chain_verdict(done), "job": job, "job_title": "Walking the chain",
            "poll_url": reverse("portal:audit-progress"), "done_url": reverse("portal:audit")}  # fmt: skip


def chain_verdict(done: chain_walk.Walked | None) -> Context:
    know = [
        "Every link's SHA-256 was computed again from the one before it and the stored bytes of its entry or row change.",
        "Every column that people read was compared with those bytes; so was the reading log with its sealed hashes.",
        "The database itself links each entry at its commit and refuses to change or remove one.",
    ]
    cannot = [
        "That nobody rebuilt the whole chain from some point on: that is what the checkpoints are compared for.",
        "What was added since that walk. Walk it again to know it as of now.",
    ]
    last = walked(done)
    if done is None or last is None:
        return {"tone": "mute", "say": "The chain has not been walked yet.", "meta": "", "know": know[2:], "cannot": []}
    meta = f"{last.since} Walked for {done.by}.".strip()
    if last.fault:
        return {"tone": "bad", "say": "The audit trail was changed behind the portal's back.", "meta": f"{last.say} {meta}",
                "know": know[:2], "cannot": cannot, "open": True}  # fmt: skip
    rows = [{"what": f"Head at link {last.to:,}", "hash": done.head, "at": last.at, "state": "matches"}]
    return {
        "tone": "warn" if last.late else "ok",
        "say": last.say,
        "meta": meta,
        "rows": rows,
        "know": know,
        "cannot": cannot,
    }


@require_POST
def walk(request: PersonRequest) -> HttpResponse:
    demand(request.user, "trail.read")
    chain_walk.ask_for(request.user)
    return redirect("portal:audit")


@polled
@require_GET
def progress(request: PersonRequest) -> HttpResponse:
    """The component that asks for itself; when the walk is done, the page is fetched anew."""
    demand(request.user, "trail.read")
    card = chain_card()
    newest, _ = chain_walk.latest()
    answer = render(
        request,
        "components/progress.html",
        card | {"job": newest, "title": card["job_title"], "done_label": "Show what it found"},
    )
    if newest and not newest.open and request.headers.get("HX-Request"):
        answer["HX-Refresh"] = "true"
    return answer


# The reading log ------------------------------------------------------------------------------------------------------


@require_GET
def accesses(request: PersonRequest) -> HttpResponse:
    demand(request.user, "access.read")
    filters = Filters(request.GET)
    found, pages = keyset(filters.narrow(accesses_for(request.user)), request)
    trail.access(request.user, "view", READING_LOG)
    crumbs = [{"label": "Audit", "url": "/audit/"}, {"label": "Reading log"}]
    context = pages | {"filters": filters, "accesses": found, "tabs": tabs("Reading log", True), "crumbs": crumbs}
    return render(request, "portal/audit_access.html", context)


# CSV ------------------------------------------------------------------------------------------------------------------


@require_GET
def export(request: PersonRequest) -> HttpResponseBase:
    """What the filters show, as CSV, oldest first."""
    demand(request.user, "trail.read")
    rows = Filters(request.GET).narrow(entries_for(request.user))
    return _csv(request, rows, ENTRY_COLUMNS, "audit-trail", TRAIL)


@require_GET
def export_accesses(request: PersonRequest) -> HttpResponseBase:
    demand(request.user, "access.read")
    rows = Filters(request.GET).narrow(accesses_for(request.user))
    return _csv(request, rows, ACCESS_COLUMNS, "reading-log", READING_LOG)


def _csv(
    request: PersonRequest, rows: QuerySet[Any], columns: tuple[str, ...], name: str, subject: trail.Subject
) -> HttpResponseBase:
    if rows.order_by("pk")[EXPORTED : EXPORTED + 1].exists():
        raise trail.Refused(f"More than {EXPORTED:,} rows fit the filter: narrow it.", subject=subject, by=request.user)
    narrowed = request.GET.urlencode()
    trail.access(request.user, "export", subject, {"format": "csv", "filter": narrowed})
    lines = write_rows(columns, _cells(rows, columns), closing=f"rows; complete; filter: {narrowed or 'none'}")
    answer = StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="{name}-{clock.now():%Y%m%d}.csv"'
    return answer


def _cells(rows: QuerySet[Any], columns: tuple[str, ...]) -> Iterator[list[Any]]:
    for row in rows.order_by("pk").iterator(chunk_size=2000):
        values = {name: getattr(row, name) for name in columns}
        yield [*(values | {"at": iso(row.at), "detail": json.dumps(row.detail, ensure_ascii=False)}).values()]


URLS = [
    path("audit/", entries, name="audit"),
    path("audit/entries/<int:entry_id>/", entry, name="audit-entry"),
    path("audit/access/", accesses, name="audit-access"),
    path("audit/verify/", walk, name="audit-verify"),
    path("audit/verify/progress/", progress, name="audit-progress"),
    path("audit/export/", export, name="audit-export"),
    path("audit/access/export/", export_accesses, name="audit-access-export"),
]
