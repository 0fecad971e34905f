"""Work in the background, as people see it: the list, one job, its progress, and another try of what failed."""

import uuid
from typing import Any

from django.contrib import messages
from django.db.models.fields.json import KT
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path
from django.views.decorators.http import require_GET, require_POST

from accounts.http import PersonRequest, polled
from jobs import queue
from jobs.models import Job

PAGE = 50


@require_GET
def listing(request: PersonRequest) -> HttpResponse:
    """The newest first; ?state= narrows, ?page= goes on."""
    state, asked = request.GET.get("state", ""), request.GET.get("page", "1")
    page = int(asked) if asked.isdecimal() and len(asked) < 5 else 1
    jobs = Job.objects.visible_to(request.user).annotate(words=KT("args__title")).defer("args", "result")
    if state in Job.State.values:
        jobs = jobs.filter(state=state)
    start = (max(page, 1) - 1) * PAGE
    found = list(jobs.order_by("-created_at", "pk")[start : start + PAGE + 1])
    kept = f"state={state}&" if state in Job.State.values else ""
    context = {
        "jobs": found[:PAGE],
        "state": state,
        "states": Job.State.choices,
        "previous_url": f"?{kept}page={page - 1}" if page > 1 else "",
        "next_url": f"?{kept}page={page + 1}" if len(found) > PAGE else "",
        "crumbs": [{"label": "Jobs"}],
    }
    return render(request, "portal/jobs.html", context)


@require_GET
def job(request: PersonRequest, job_id: uuid.UUID) -> HttpResponse:
    shown = _job(request, job_id)
    crumbs = [{"label": "Jobs", "url": "/jobs/"}, {"label": shown.title}]
    return render(request, "portal/job.html", {"job": shown, "crumbs": crumbs, "go": "go"} | _facts(shown))


@polled
@require_GET
def progress(request: PersonRequest, job_id: uuid.UUID) -> HttpResponse:
    """The component that asks for itself. With ?go the browser goes on to the result's page when the job is done."""
    shown = _job(request, job_id)
    answer = render(request, "portal/job_progress.html", {"job": shown, "go": request.GET.get("go", "")})
    if "go" in request.GET and request.headers.get("HX-Request"):
        if shown.state == Job.State.DONE and shown.page:
            answer["HX-Redirect"] = shown.page
        elif shown.state == Job.State.FAILED:
            answer["HX-Refresh"] = "true"
    return answer


@require_POST
def retry(request: PersonRequest, job_id: uuid.UUID) -> HttpResponse:
    shown = _job(request, job_id)
    queue.retry(shown, by=request.user)
    messages.info(request, f"“{shown.title}” waits for a worker again.")
    return redirect("jobs:job", shown.pk)


def _job(request: PersonRequest, job_id: uuid.UUID) -> Job:
    return get_object_or_404(Job.objects.visible_to(request.user), pk=job_id)


def _facts(shown: Job) -> dict[str, Any]:
    return {
        "facts": [
            {"label": "Asked for by", "person": shown.requested_by_name},
            {"label": "Asked for", "at": shown.created_at},
            {"label": "Started", "at": shown.started_at}
            if shown.started_at
            else {"label": "Started", "value": "not yet"},
            {"label": "Ended", "at": shown.finished_at}
            if shown.finished_at
            else {"label": "Ended", "value": "not yet"},
            {"label": "Attempts", "value": str(shown.attempts)},
            {"label": "Kind", "value": shown.kind},
        ]
    }


app_name = "jobs"
urlpatterns = [
    path("", listing, name="list"),
    path("<uuid:job_id>/", job, name="job"),
    path("<uuid:job_id>/progress/", progress, name="progress"),
    path("<uuid:job_id>/retry/", retry, name="retry"),
]
