"""Pages of trails, their files and single events."""

import uuid
from datetime import UTC
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.http import PersonRequest, polled
from accounts.permissions import demand, may
from audit import clock, trail
from cloudtrail import pages, proof_pages, transitions
from cloudtrail.directory import Register
from cloudtrail.forms import ChangeTrailForm, TrailForm
from cloudtrail.models import ArchivedMonth, LogFile, Trail
from cloudtrail.queries import events_of
from jobs.models import Job

PAGE = 50
ASIDE = 10  # files in quarantine that stand at the top of a trail's page


@require_GET
def trails(request: PersonRequest) -> HttpResponse:
    visible = Trail.objects.visible_to(request.user).with_counts()
    context = {
        "trails": visible,
        "archived": ArchivedMonth.objects.order_by("-month", "-archived_at"),
        "manages": may(request.user, "cloudtrail.manage"),
        "tabs": pages.tabs("Trails"),
        "crumbs": pages.crumbs(),
    }
    return render(request, "cloudtrail/trails.html", context)


@require_http_methods(["GET", "POST"])
def add(request: PersonRequest) -> HttpResponse:
    demand(request.user, "cloudtrail.manage")
    form = TrailForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        made = transitions.add_trail(form.cleaned_data, by=request.user)
        messages.success(request, f"{made} is registered.")
        return redirect(made)
    context = {"form": form, "crumbs": pages.crumbs("Add a trail")}
    return render(request, "cloudtrail/trail_form.html", context, status=400 if form.errors else 200)


@require_http_methods(["GET", "POST"])
def edit(request: PersonRequest, trail_id: uuid.UUID) -> HttpResponse:
    changed = get_object_or_404(Trail.objects.visible_to(request.user), pk=trail_id)
    demand(request.user, "cloudtrail.manage", changed)
    form = ChangeTrailForm(request.POST or None, instance=changed)
    if request.method == "POST" and form.is_valid():
        reason = form.cleaned_data.pop("reason")
        transitions.change_trail(trail_id, form.cleaned_data, by=request.user, reason=reason)
        messages.success(request, "The change is stored and on the audit trail.")
        return redirect("cloudtrail:trail", trail_id)
    context = {"form": form, "trail": Trail.objects.get(pk=trail_id), "crumbs": pages.crumbs(changed, "Edit")}
    return render(request, "cloudtrail/trail_form.html", context, status=400 if form.errors else 200)


@require_GET
def trail_page(request: PersonRequest, trail_id: uuid.UUID) -> HttpResponse:
    shown = get_object_or_404(Trail.objects.visible_to(request.user).with_counts(), pk=trail_id)
    state, now = request.GET.get("state", ""), clock.now()
    files, after = pages.files_page(shown, state, request.GET.get("after", ""), PAGE)
    context = {
        "trail": shown,
        "files": files,
        "after": after,
        "state": state,
        "states": LogFile.State.choices,
        "verdict": pages.verdict(shown),
        "facts": pages.trail_facts(shown, now),
        "rhythm": pages.rhythm(shown, now),
        "aside": shown.files.filter(state=LogFile.State.QUARANTINED).order_by("-settled_at", "-id")[:ASIDE],
        "proof": proof_pages.verdict(shown, proof_pages.counts(shown)),
        "bar": proof_pages.bar(shown, now),
        "job": pages.latest_job(shown),
        "progress_url": reverse("cloudtrail:progress", args=[trail_id]),
        "manages": may(request.user, "cloudtrail.manage"),
        "crumbs": pages.crumbs(shown),
    }
    return render(request, "cloudtrail/trail.html", context)


@require_GET
def proof_page(request: PersonRequest, trail_id: uuid.UUID) -> HttpResponse:
    """What the digests prove: hours, digests, keys."""
    shown = get_object_or_404(Trail.objects.visible_to(request.user).select_related("listing"), pk=trail_id)
    show = request.GET.get("show", "")
    rows, after = proof_pages.digests_page(shown, show, request.GET.get("after", ""), PAGE)
    context = {
        "trail": shown,
        "verdict": proof_pages.verdict(shown, proof_pages.counts(shown)),
        "bar": proof_pages.bar(shown, clock.now()),
        "days": proof_pages.DAYS,
        "rows": rows,
        "after": after,
        "show": show,
        "keys": shown.public_keys.all(),
        "crumbs": pages.crumbs(shown, "Proof by digests"),
    }
    return render(request, "cloudtrail/proof.html", context)


@require_POST
def pull(request: PersonRequest, trail_id: uuid.UUID) -> HttpResponse:
    pulled = get_object_or_404(Trail.objects.visible_to(request.user), pk=trail_id)
    transitions.ask_for_pull(pulled, by=request.user)
    return redirect(pulled)


@polled
@require_GET
def progress(request: PersonRequest, trail_id: uuid.UUID) -> HttpResponse:
    """The state of the trail's latest pull, as the component that asks for itself."""
    shown = get_object_or_404(Trail.objects.visible_to(request.user), pk=trail_id)
    job = pages.latest_job(shown)
    if job is None:
        raise Http404
    context = {"job": job, "title": "Pull from S3", "poll_url": request.path}
    if job.state == Job.State.DONE:
        context |= {"done_url": shown.get_absolute_url(), "done_label": "Show the files"}
    return render(request, "components/progress.html", context)


@require_GET
def file_page(request: PersonRequest, file_id: int) -> HttpResponse:
    file = get_object_or_404(LogFile.objects.visible_to(request.user).select_related("trail"), pk=file_id)
    rows, after = pages.events_page(file, request.user, pages.number(request.GET.get("after")), PAGE)
    trail.access(request.user, "view", file.trail, {"file": file.key})
    context = {
        "file": file,
        "rows": rows,
        "after": after,
        "facts": pages.file_facts(file),
        "manages": may(request.user, "cloudtrail.manage"),
        "crumbs": pages.crumbs(file.trail, file.name),
    }
    return render(request, "cloudtrail/file.html", context)


@require_POST
def again(request: PersonRequest, file_id: int) -> HttpResponse:
    file = get_object_or_404(LogFile.objects.visible_to(request.user), pk=file_id)
    transitions.try_again(file.pk, by=request.user)
    messages.info(request, "The file will be read once more.")
    return redirect(file)


@require_GET
def event_page(request: PersonRequest, file_id: int, ordinal: int) -> HttpResponse:
    file = get_object_or_404(LogFile.objects.visible_to(request.user).select_related("trail"), pk=file_id)
    event = next((one for one in events_of(file, request.user, ordinal - 1, 1) if one.ordinal == ordinal), None)
    if event is None:
        raise Http404
    trail.access(request.user, "view", file.trail, {"event": event.event_id})
    raw: dict[str, Any] = pages.raw_event(file, ordinal)
    register = Register()
    context = {
        "event": event,
        "file": file,
        "sentence": pages.event_sentence(event, register),
        "chain": pages.chain(event.actor, request.user, event.time.astimezone(UTC).date(), register),
        "ending": pages.ending(event.actor),
        "actor": event.actor,
        "facts": pages.event_facts(event),
        "crumbs": pages.crumbs(file.trail, file, f"Event {ordinal}"),
        **raw,
    }
    return render(request, "cloudtrail/event.html", context)
