"""Files that a job makes for one person: how far it is, and the file when it is done."""

import tempfile
import uuid
from typing import Any

from django.http import FileResponse, Http404, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.urls import path, reverse
from django.views.decorators.http import require_GET

from accounts.http import PersonRequest, polled
from audit import trail
from jobs.models import Job
from portal import evidence, reports
from records.models import Record
from storage import worm
from storage.s3 import StorageError

UNREADABLE = 502
KINDS = {reports.TIMELINE: "Audit view", evidence.EVIDENCE: "Evidence pack"}


@require_GET
def prepared(request: PersonRequest, job_id: uuid.UUID) -> HttpResponse:
    job, record = _mine(request, job_id)
    result = job.result or {}
    context = progress_context(job) | {
        "record": record,
        "facts": [
            {"label": "File", "value": result.get("name", "")},
            {"label": "SHA-256", "hash": result.get("sha256", "")},
            {"label": "Pages", "value": result.get("pages", "")},
            {"label": "Lines", "value": result.get("lines", "")},
        ],
        "crumbs": [
            {"label": record.number, "url": record.get_absolute_url()},
            {"label": "Audit", "url": f"{record.get_absolute_url()}audit/"},
            {"label": KINDS[job.kind]},
        ],
    }
    return render(request, "portal/prepared.html", context)


@polled
@require_GET
def progress(request: PersonRequest, job_id: uuid.UUID) -> HttpResponse:
    job, _ = _mine(request, job_id)
    return render(request, "components/progress.html", progress_context(job))


@require_GET
def fetch(request: PersonRequest, job_id: uuid.UUID) -> HttpResponseBase:
    """The file, fetched from the store and hashed again before its first byte is given away."""
    job, record = _mine(request, job_id)
    if job.state != Job.State.DONE or not job.result:
        raise Http404
    result = job.result
    file = tempfile.TemporaryFile()  # noqa: SIM115 - the response closes it
    try:
        worm.fetch(worm.Pin.from_json(result["pin"]), file)
    except StorageError as error:
        file.close()
        return render(request, "refused.html", {"message": f"The file cannot be read: {error}"}, status=UNREADABLE)
    trail.access(request.user, "export", record, {
        "part": KINDS[job.kind].lower(), "job": str(job.pk), "sha256": result["sha256"]})  # fmt: skip
    file.seek(0)
    return FileResponse(file, as_attachment=True, filename=result["name"], content_type=result["media_type"])


def progress_context(job: Job) -> dict[str, Any]:
    return {
        "job": job,
        "title": job.args.get("title", KINDS[job.kind]),
        "poll_url": reverse("portal:prepared-progress", args=[job.pk]),
        "done_url": reverse("portal:prepared-file", args=[job.pk]),
        "done_label": f"Download {job.result['name']}" if job.result else "Download",
    }


def _mine(request: PersonRequest, job_id: uuid.UUID) -> tuple[Job, Record]:
    """A job of one's own, about a record that one may still see."""
    job = get_object_or_404(Job, pk=job_id, kind__in=KINDS, requested_by=str(request.user.pk))
    return job, get_object_or_404(Record.objects.visible_to(request.user).select_related("type"), pk=job.args["record"])


URLS = [
    path("prepared/<uuid:job_id>/", prepared, name="prepared"),
    path("prepared/<uuid:job_id>/progress/", progress, name="prepared-progress"),
    path("prepared/<uuid:job_id>/file/", fetch, name="prepared-file"),
]
