"""Who has access: everybody's roles as of any day, on the page, as CSV and PDF; recertification, and the removals it asks for."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import path
from django.views.decorators.http import require_GET, require_http_methods

from accounts import access
from accounts.access import Access
from accounts.http import PersonRequest
from accounts.permissions import demand, may
from audit import clock, trail
from portal import recertification
from portal.pages import obstacles
from portal.pages.day_field import DayField
from printing.csv import write_rows
from printing.table import Column, render_table
from printing.templatetags.look import iso, utc
from signatures.models import Step

SUBJECT = trail.Subject("access_review", "portal", "who has access")
COLUMNS = ("name", "username", "state", "role", "areas", "given_by", "given_at", "entry", "last_log_in", "stale")
ON_PAPER = (
    Column("Who", 18), Column("State", 10), Column("Role", 13), Column("Areas", 19), Column("Given by", 15),
    Column("On", 10), Column("Last log-in", 12),
)  # fmt: skip
DECISIONS = ("keep", "remove")
Context = dict[str, Any]


class DayForm(forms.Form):
    on = DayField()

    def __init__(self, data: Any) -> None:
        super().__init__(data, auto_id="f-%s")
        self.full_clean()

    @property
    def day(self) -> date | None:
        found: date | None = self.cleaned_data.get("on")
        return found

    def when(self, now: datetime) -> datetime:
        """The end of the day that was asked for, or now."""
        end = datetime.combine(self.day, time(), UTC) + timedelta(days=1) if self.day else now
        return min(end, now)


@require_GET
def page(request: PersonRequest) -> HttpResponse:
    demand(request.user, "people.read")
    now, form = clock.now(), DayForm(request.GET)
    lines = access.as_of(form.when(now))
    due, made = recertification.due_at(), recertification.last()
    context = {
        "form": form,
        "when": form.when(now),
        "past": form.day is not None and form.when(now) < now,
        "lines": lines,
        "people": len({line.person for line in lines}),
        "stale": len({line.person for line in lines if line.stale}),
        "principals": access.principals(),
        "removals": access.open_removals(),
        "removes": may(request.user, "people.manage"),
        "certifies": may(request.user, "sign.approve"),
        "made": made,
        "due": due,
        "overdue": bool(due and due < now),
        "query": request.GET.urlencode(),
        "crumbs": [{"label": "People", "url": "/people/"}, {"label": "Access"}],
    }
    return render(request, "portal/access.html", context)


@require_GET
def export(request: PersonRequest) -> HttpResponse:
    """The list as CSV, or as PDF with `?as=pdf`."""
    demand(request.user, "people.read")
    now, form = clock.now(), DayForm(request.GET)
    when, kind = form.when(now), "pdf" if request.GET.get("as") == "pdf" else "csv"
    lines = access.as_of(when)
    trail.access(request.user, "export", SUBJECT, {"format": kind, "as_of": iso(when)})
    if kind == "pdf":
        cover = [("As of", utc(when, "s")), ("Roles", f"{len(lines):,}"),
                 ("Made", f"{utc(now, 's')} by {request.user.legal_name}"),
                 ("Source", "The audit trail: the changes of accounts, roles and areas up to that time")]  # fmt: skip
        footer = f"Access as of {utc(when, 'date')} · uncontrolled when printed"
        body: Any = render_table("Who has access", ON_PAPER, map(printed, lines), cover=cover, footer=footer)
    else:
        body = "".join(write_rows(COLUMNS, map(row, lines)))
    media = {"pdf": "application/pdf", "csv": "text/csv; charset=utf-8"}[kind]
    answer = HttpResponse(body, content_type=media)
    answer["Content-Disposition"] = f'attachment; filename="access-{when:%Y%m%d}.{kind}"'
    return answer


def row(line: Access) -> list[Any]:
    return [
        line.name, line.username, line.state, line.role, "; ".join(line.areas), line.approver, iso(line.granted_at) if
        line.granted_at else "", line.entry or "", iso(line.last_login) if line.last_login else "", "yes" if line.stale else "no",
    ]  # fmt: skip


def printed(line: Access) -> list[str]:
    last = utc(line.last_login, "date") if line.last_login else "never"
    return [line.name, line.state, line.role_label, ", ".join(line.areas), line.approver,
            utc(line.granted_at, "date") if line.granted_at else "", f"{last}, stale" if line.stale else last]  # fmt: skip


@require_http_methods(["GET", "POST"])
def recertify(request: PersonRequest) -> HttpResponse:
    """Decide on each role, and seal the decisions. None is made beforehand, and one that is missing is asked for."""
    demand(request.user, "sign.approve")
    fault, status = "", 200
    if request.method == "POST":
        lines = request.POST.getlist("line")
        removals = {
            key: request.POST.get(f"why-{key}", "") for key in lines if request.POST.get(f"do-{key}") == "remove"
        }
        undecided = {key for key in lines if request.POST.get(f"do-{key}") not in DECISIONS}
        try:
            with trail.refusals(request.user):
                version = recertification.make(removals, lines, by=request.user, undecided=undecided)
            messages.success(request, f"{version.record.number} is sealed. Read it, and sign it.")
            obstacles.tell(request, version)
            return redirect(Step.objects.get(version=version, place=1))
        except trail.Forbidden:
            raise
        except trail.Refused as refused:
            fault, status = refused.message, 400
    rows = [
        {
            "line": line,
            "decision": request.POST.get(f"do-{line.key}", ""),
            "why": request.POST.get(f"why-{line.key}", ""),
            "own": line.person == str(request.user.pk),
        }
        for line in recertification.to_decide()
    ]
    crumbs = [
        {"label": "People", "url": "/people/"},
        {"label": "Access", "url": "/people/access/"},
        {"label": "Recertify"},
    ]
    return render(
        request,
        "portal/access_recertify.html",
        {"rows": rows, "fault": fault, "asked": request.method == "POST", "crumbs": crumbs},
        status=status,
    )


URLS = [
    path("people/access/", page, name="access"),
    path("people/access/export/", export, name="access-export"),
    path("people/access/recertify/", recertify, name="access-recertify"),
]
