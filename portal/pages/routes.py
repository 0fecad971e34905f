"""The templates of signature routes: what each kind and type of record asks for, and the page where QA changes it."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path
from django.views.decorators.http import require_GET, require_http_methods

from accounts.http import PersonRequest
from accounts.permissions import demand, may
from accounts.roles import Role
from audit import trail
from portal.pages import rows as form_rows
from records.contract import SIGNERS
from signatures import routes
from signatures.meanings import Meaning
from signatures.models import RouteTemplate
from signatures.routes import AT_ONE_ROW, DAYS, Row

ROLES = sorted({role for roles in SIGNERS.values() for role in roles})
FORM = "rows"


class RowForm(forms.Form):
    place = forms.IntegerField(min_value=1, max_value=20, initial=1)
    meaning = forms.ChoiceField(choices=[(word, Meaning(word).label) for word in SIGNERS])
    role = forms.ChoiceField(choices=[(role, Role(role).label) for role in ROLES])
    asked = forms.IntegerField(label="People asked", min_value=1, max_value=AT_ONE_ROW, initial=1)
    needed = forms.IntegerField(label="Signatures needed", min_value=1, max_value=AT_ONE_ROW, initial=1)
    days = forms.IntegerField(label="Days until due", min_value=0, max_value=DAYS, initial=7)
    sentence = forms.CharField(label="Sentence that is signed", max_length=1000, required=False)


@require_GET
def listing(request: PersonRequest) -> HttpResponse:
    """What every kind and type of document asks for now."""
    demand(request.user, "route.read")
    newest = {row.applies_to: row for row in RouteTemplate.objects.select_related("made_by").order_by("revision")}
    shown = [
        {
            "applies_to": key,
            "label": label[0].upper() + label[1:],
            "template": newest.get(key),
            "told": routes.told(routes.rows_of(newest[key])) if key in newest else "",
        }
        for key, label in routes.targets().items()
    ]
    context = {"rows": shown, "changes": may(request.user, "route.manage"), "crumbs": [{"label": "Signature routes"}]}
    return render(request, "portal/routes.html", context)


@require_http_methods(["GET", "POST"])
def template(request: PersonRequest, applies_to: str) -> HttpResponse:
    """One template with its revisions. POST adds a row, shows how it would read, or makes a new revision."""
    demand(request.user, "route.read")
    label = routes.targets().get(applies_to)
    if label is None:
        raise Http404
    if request.method == "GET":
        return _draw(request, applies_to, label, _form(None, _on_file(applies_to)))
    demand(request.user, "route.manage", trail.Subject("route", applies_to, f"the route of {label}"))
    data, reason = request.POST, request.POST.get("reason", "")
    formset = _form(data, _on_file(applies_to))
    if data.get("do") == "withdraw":
        return _change(request, applies_to, label, formset, [], reason)
    if "add" in data or data.get("do") == "preview":
        return _draw(request, applies_to, label, formset)
    if not formset.is_valid():
        return _draw(request, applies_to, label, formset, "Put right what is marked.", 400)
    return _change(request, applies_to, label, formset, _typed(formset), reason)


def _change(
    request: PersonRequest, applies_to: str, label: str, formset: Any, rows: Sequence[Row], reason: str
) -> HttpResponse:
    try:
        with trail.refusals(request.user):
            made = routes.change(
                applies_to,
                rows,
                by=request.user,
                reason=reason,
                on_top_of=form_rows.number(request.POST.get("on_top_of", "")),
            )
    except routes.RouteRefused as refused:
        return _draw(request, applies_to, label, formset, refused.message, refused.status)
    done = f"Revision {made.revision} is in force for what is submitted from now on."
    messages.success(request, done if rows else "The template is withdrawn. Routes that are open go on as they are.")
    return redirect("portal:route", applies_to)


def _on_file(applies_to: str) -> list[Row]:
    latest = routes.current(applies_to)
    return (routes.rows_of(latest) if latest else []) or routes.first_rows()


def _form(data: Any, rows: Sequence[Row]) -> Any:
    return form_rows.of_form(RowForm, data, FORM, [vars(row) for row in rows])


def _typed(formset: Any) -> list[Row]:
    """The rows of the form that can be read, by place."""
    formset.is_valid()
    whole = [form.cleaned_data for form in formset if form.is_valid() and not form.cleaned_data.get("DELETE")]
    rows = [Row(**form_rows.only(said, Row)) for said in whole if said]
    return sorted(rows, key=lambda row: row.place)


def _draw(
    request: PersonRequest, applies_to: str, label: str, formset: Any, problem: str = "", status: int = 200
) -> HttpResponse:
    latest = routes.current(applies_to)
    rows = _typed(formset) if formset.is_bound else _on_file(applies_to)
    context = {
        "applies_to": applies_to,
        "label": label,
        "latest": latest,
        "formset": formset,
        "reason": request.POST.get("reason", ""),
        "problem": problem,
        "wrong": routes.problems(rows) if formset.is_bound and not problem else [],
        "preview": stepper(rows),
        "changes": may(request.user, "route.manage"),
        "revisions": [
            {"row": row, "told": routes.told(routes.rows_of(row))}
            for row in RouteTemplate.objects.filter(applies_to=applies_to)
            .select_related("made_by")
            .order_by("-revision")
        ],
        "crumbs": [{"label": "Signature routes", "url": "/routes/"}, {"label": label}],
    }
    return render(request, "portal/route.html", context, status=status)


def stepper(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The places of a route, as `components/stepper.html` draws them."""
    places: dict[int, list[Row]] = {}
    for row in rows:
        places.setdefault(row.place, []).append(row)
    return [
        {
            "label": " and ".join(dict.fromkeys(Meaning(row.meaning).label for row in side_by_side)),
            "detail": "; ".join(f"{routes.many(row)}{_within(row)}" for row in side_by_side),
            "state": "todo",
        }
        for side_by_side in places.values()
    ]


def _within(row: Row) -> str:
    return f", within {row.days} day{'' if row.days == 1 else 's'}" if row.days else ""


URLS = [path("routes/", listing, name="routes"), path("routes/<str:applies_to>/", template, name="route")]
