"""Training: what I am asked to read, who has read an SOP and who has not, and the reading itself."""

import uuid
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.http import PersonRequest
from accounts.models import Qualification
from accounts.permissions import demand, may
from audit import clock, trail
from audit.actions import Action
from audit.reasons import ReasonRefused
from records.kinds import Kind
from records.models import Record, Version
from signatures import dialog
from signatures.dialog import Place
from signatures.forms import SignForm
from signatures.interactive import interactive_only
from signatures.models import Signature
from signatures.views import pages_of
from sops import queries
from sops.forms import RuleForm
from sops.models import Sop
from sops.transitions import ask_newcomers, change_rule
from sops.transitions import read as sign_reading

SHOWN = 200


@require_GET
def training(request: PersonRequest) -> HttpResponse:
    """What the person is asked to read and has read, and how far the reading of each SOP has come."""
    now = clock.now()
    readings = queries.readings_of(request.user, now, SHOWN)
    visible = Record.objects.visible_to(request.user).of_kind(Kind.SOP)
    sops = Sop.objects.filter(record__in=visible).select_related("record__type").order_by("record__number")[:SHOWN]
    context = {
        "open": [reading for reading in readings if reading.state != "done"],
        "done": [reading for reading in readings if reading.state == "done"],
        "tallies": queries.tallies(list(sops), now),
        "may_see_people": may(request.user, "people.read"),
    }
    return render(request, "sops/training.html", context)


@require_GET
def people(request: PersonRequest) -> HttpResponse:
    """Everybody of one's areas, with what they have read and what they are late with."""
    demand(request.user, "people.read")
    trail.access(request.user, "view", trail.Subject("training", "people", "the training of everybody"))
    return render(request, "sops/people.html", {"people": queries.people_of(request.user, clock.now())[:SHOWN]})


@require_GET
def matrix(request: PersonRequest, number: str) -> HttpResponse:
    """Who has read a version of an SOP, and who has not (T2)."""
    sop = _sop(request, number)
    versions = list(queries.approved_versions(sop).select_related("record", "effectivity"))
    version = _chosen(versions, request.GET.get("version", ""))
    if version:
        trail.access(request.user, "view", version, {"training": sop.record.number})
    now = clock.now()
    context = {
        "sop": sop,
        "versions": versions,
        "version": version,
        "status": version.status_at(now) if version else "",
        "readings": queries.readings_on(version, now) if version else [],
        "signable": version is not None and not queries.reading_fault(version, now),
        "not_asked": queries.not_asked(sop, version) if version and version == queries.newest_to_read(sop, now) else [],
        "may_manage": may(request.user, "training.manage"),
        "crumbs": [{"label": "Training", "url": reverse("sops:training")}, {"label": sop.record.number}],
    }
    return render(request, "sops/matrix.html", context)


def _chosen(versions: list[Version], ordinal: str) -> Version | None:
    """The version with that ordinal, else the newest approved one."""
    return next((version for version in versions if str(version.ordinal) == ordinal), versions[0] if versions else None)


@require_POST
def ask(request: PersonRequest, number: str) -> HttpResponse:
    """Ask those whom the rule names now and nobody asked."""
    asked = ask_newcomers(_sop(request, number), by=request.user)
    messages.success(request, f"{len(asked)} more {'person is' if len(asked) == 1 else 'people are'} asked to read it.")
    return redirect("sops:matrix", number)


@require_http_methods(["GET", "POST"])
def rule(request: PersonRequest, number: str) -> HttpResponse:
    """Who must read an SOP, and how soon: changed with a reason."""
    sop = _sop(request, number)
    demand(request.user, "training.manage", sop.record, sop.record)
    initial = {"reading_roles": sop.reading_roles, "reading_days": sop.reading_days}
    form = RuleForm(request.POST or None, initial=initial)
    if request.method == "POST" and form.is_valid():
        try:
            with trail.refusals(request.user):
                change_rule(sop, by=request.user, **form.cleaned_data)
        except ReasonRefused as refused:
            form.add_error("reason", refused.message)
        else:
            messages.success(request, "The reading rule is changed.")
            return redirect("sops:matrix", number)
    crumbs = [
        {"label": "Training", "url": reverse("sops:training")},
        {"label": number, "url": reverse("sops:matrix", args=[number])},
        {"label": "Reading rule"},
    ]
    context = {"sop": sop, "form": form, "crumbs": crumbs}
    return render(request, "sops/rule.html", context, status=400 if request.method == "POST" else 200)


@sensitive_post_parameters("password", "code")
@require_http_methods(["GET", "POST"])
@interactive_only
def read(request: PersonRequest, pk: uuid.UUID) -> HttpResponse:
    """Read a version page by page, and sign that it was understood. POST signs."""
    version = _version(request, pk)
    if request.method == "POST":
        return dialog.answered(
            request, _place(version), _verb(request), lambda card, status: _draw(request, version, card, status)
        )
    return _draw(request, version, {}, 200)


@sensitive_post_parameters("password", "code")
@require_POST
@interactive_only
def open_dialog(request: PersonRequest, pk: uuid.UUID) -> HttpResponse:
    version = _version(request, pk)
    if told := queries.reading_fault(version, clock.now()):
        raise trail.Refused(told, action=Action.SIGNATURE_REFUSED, subject=version, by=request.user)
    return dialog.opened(request, _place(version))


def _verb(request: PersonRequest) -> dialog.Verb:
    def verb(form: SignForm) -> Signature:
        return sign_reading(
            form.cleaned_data["intent"],
            signer=request.user,
            credentials=form.credentials(),
            sitting=request.sitting,
            request=request,
        )

    return verb


def _draw(request: PersonRequest, version: Version, card: dict[str, Any], status: int) -> HttpResponse:
    now = clock.now()
    row = Qualification.objects.filter(user=request.user, version_id=version.pk).first()
    signed = queries.signature_of(row) if row else None
    fault = queries.reading_fault(version, now)
    context = {
        "version": version,
        "pages": pages_of(request, version),
        "signed": signed,
        "fault": fault,
        "instead": queries.to_read(now).filter(record=version.record_id).first() if fault else None,
        "status": version.status_at(now),
        "crumbs": [
            {"label": "Training", "url": reverse("sops:training")},
            {"label": version.record.number, "url": reverse("sops:matrix", args=[version.record.number])},
            {"label": "Read"},
        ],
    }
    if not signed and not fault:
        context |= card or dialog.context(request, _place(version))
    return render(request, "sops/read.html", context, status=status)


def _place(version: Version) -> Place:
    return Place(
        version=version,
        url=reverse("sops:read", args=[version.pk]),
        open_url=reverse("sops:open_reading", args=[version.pk]),
    )


def _version(request: PersonRequest, pk: uuid.UUID) -> Version:
    versions = Version.objects.visible_to(request.user).filter(record__type__kind=Kind.SOP)
    return get_object_or_404(versions.select_related("record__type", "effectivity"), pk=pk)


def _sop(request: PersonRequest, number: str) -> Sop:
    visible = Record.objects.visible_to(request.user)
    return get_object_or_404(
        Sop.objects.select_related("record__type", "record__area"), record__number=number, record__in=visible
    )
