"""Registered buckets: the list, one with what its settings promise, and registering another."""

from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods

from accounts.http import PersonRequest
from accounts.permissions import demand
from audit import trail
from storage import probe
from storage.forms import BucketForm
from storage.models import Bucket, Purpose
from storage.s3 import StorageError
from storage.transitions import register_bucket

LOCKING = (Purpose.WORM, Purpose.ANCHOR)


@dataclass(frozen=True)
class Promise:
    """One setting: what it is, what the bucket has, and whether that is good (ok), weak (warn) or missing (bad)."""

    what: str
    found: str
    tone: str
    words: str


@require_GET
def listing(request: PersonRequest) -> HttpResponse:
    demand(request.user, "storage.manage")
    buckets = Bucket.objects.select_related("area").order_by("purpose", "name")
    context = {"buckets": buckets, "crumbs": [{"label": "Buckets"}]}
    return render(request, "storage/buckets.html", context)


@require_http_methods(["GET", "POST"])
def new(request: PersonRequest) -> HttpResponse:
    demand(request.user, "storage.manage")
    form = BucketForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            with trail.refusals(request.user):
                bucket = register_bucket(**form.cleaned_data, by=request.user)
        except trail.Refused as refused:
            form.add_error("name", refused.message)
        except StorageError as error:
            form.add_error("name", str(error))
        else:
            messages.success(request, f"{bucket} is registered.")
            return redirect("storage:bucket", bucket.pk)
    crumbs = [{"label": "Buckets", "url": "/storage/"}, {"label": "Register a bucket"}]
    return render(
        request, "storage/bucket_new.html", {"form": form, "crumbs": crumbs}, status=400 if form.errors else 200
    )


@require_GET
def bucket(request: PersonRequest, name: str) -> HttpResponse:
    """What the bucket's settings promise, asked of S3 now."""
    demand(request.user, "storage.manage")
    shown = get_object_or_404(Bucket.objects.select_related("area"), pk=name)
    found, problem = [], ""
    try:
        found = promises(shown, probe.settings_of(shown.name))
    except StorageError as error:
        problem = str(error)
    context: dict[str, Any] = {
        "bucket": shown,
        "promises": found,
        "problem": problem,
        "facts": [
            {"label": "Purpose", "value": shown.get_purpose_display()},
            {"label": "Area", "value": shown.area.name if shown.area else "Everybody who registers"},
            {"label": "Registered", "at": shown.created_at},
        ],
        "crumbs": [{"label": "Buckets", "url": "/storage/"}, {"label": shown.name}],
    }
    return render(request, "storage/bucket.html", context)


def promises(bucket: Bucket, kept: probe.Kept) -> list[Promise]:
    """The settings, judged by what the bucket is for. Settings are promises: `manage.py s3_probe` tries them."""
    locking = bucket.purpose in LOCKING
    default = f", {kept.default_mode.lower()} for {kept.default_days} days by default" if kept.default_mode else ""
    return [
        _promise("Versions of objects", kept.versioned, "kept", "not kept", needed=True),
        _promise("Object Lock", kept.lock_enabled, f"on{default}", "off", needed=locking),
        _promise("Encryption at rest", bool(kept.encryption), kept.encryption, "none by default", needed=False),
        _promise(
            "Public access",
            kept.public_access_blocked,
            "blocked in all four ways",
            "not blocked completely",
            needed=False,
        ),
    ]


def _promise(what: str, holds: bool, good: str, poor: str, *, needed: bool) -> Promise:
    if holds:
        return Promise(what, good, "ok", "good")
    return Promise(what, poor, "bad" if needed else "warn", "missing" if needed else "weak")
