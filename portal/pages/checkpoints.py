"""Checkpoints of the trail: what anchors cover, what they do not, how to check it without the portal; the restore report."""

from collections.abc import Collection
from datetime import timedelta
from typing import Any

from django import forms
from django.conf import settings
from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path, reverse
from django.views.decorators.http import require_GET, require_http_methods

from accounts.http import PersonRequest
from accounts.models import Area, User
from accounts.permissions import demand, may
from audit import checkpoints, clock, exporting, trail
from audit.models import Alarm, Checkpoint
from audit.reasons import ReasonRefused
from portal import restoring
from portal.pages.audit import TRAIL, keyset, tabs
from signatures.models import PortalKey

Context = dict[str, Any]
PROMISED = (
    "Any change, removal, insertion or reordering of an entry that a checkpoint covers is found by a verifier that does not trust"
    " this database.",
    "Nothing under control changes without its entry: both are committed together, or neither.",
)
NOT_PROMISED = (
    "Protection from somebody who holds the server, the database's superuser and the anchor account, within the exposure window.",
    "Protection from a malicious release of the portal itself.",
)
RESTS = (
    "Covered means here: by the newest row on this page. The portal writes such a row once its note was found again in the bucket"
    " as it was written, and locked. Who can write in the database could write a row, too, and this page asks the bucket nothing."
)
ASKED = (
    "The bucket itself is held against the database before each new checkpoint, at each start of the web and of a worker, every"
    " hour, and by `manage.py restore`. When that was last done is not kept; what did not agree stands as an alarm, and here."
)
ABOUT_ANCHORS = Alarm.objects.filter(
    kind__in=(Alarm.Kind.ANCHOR_BEHIND, Alarm.Kind.ANCHOR_UNWRITABLE), cleared_at__isnull=True
)


class ReportForm(forms.Form):
    reason = forms.CharField(
        label="What happened, and why", max_length=2000, widget=forms.Textarea(attrs={"rows": 4}),
        help_text="It stands in the report, which a QA approver signs.",
    )  # fmt: skip


@require_GET
def page(request: PersonRequest) -> HttpResponse:
    demand(request.user, "trail.read")
    return _page(request, ReportForm())


def _page(request: PersonRequest, form: ReportForm, status: int = 200) -> HttpResponse:
    hold, window = trail.held(), checkpoints.exposure()
    found, pages = keyset(Checkpoint.objects.all(), request)
    key = PortalKey.objects.filter(pk=window.last.key).first() if window.last else None
    context = pages | {
        "checkpoints": found,
        "verdict": verdict(window, hold),
        "exposure": facts(window),
        "key_url": reverse("signatures:key", args=[key.pk]) if key else "",
        "origin": settings.TRAIL_ORIGIN,
        "bucket": settings.ANCHOR_BUCKET,
        "may_export": sees_everything(request.user),
        "waiting": restoring.waiting(hold) if hold else None,
        "compared": hold and checkpoints.finding(hold),
        "form": form if hold and may(request.user, "restore.report") else None,
        "tabs": tabs("Checkpoints", may(request.user, "access.read")),
        "crumbs": [{"label": "Audit", "url": "/audit/"}, {"label": "Checkpoints"}],
    }
    return render(request, "portal/checkpoints.html", context, status=status)


def verdict(window: checkpoints.Exposure, hold: Any) -> Context:
    lists: Context = {"know": (RESTS, ASKED, *PROMISED), "cannot": NOT_PROMISED}
    if hold:
        found = checkpoints.finding(hold)
        say = found["message"] if found else checkpoints.UNREAD
        meta = "It is asked for again by itself, at least once an hour."
        if found:
            meta = f"Up to link {found['agreed']:,} the database and the checkpoints tell the same."
        return {"tone": "bad", "say": say, "meta": meta, "open": True, **lists}
    alarming = dict(ABOUT_ANCHORS.values_list("kind", "sentence"))
    lists["findings"] = list(alarming.values())
    if window.last is None:
        meta = "Nothing outside of this database vouches for the trail."
        return {"tone": "warn", "say": "There is no checkpoint yet.", "meta": meta, **lists}
    tone, label, say = _standing(window, alarming)
    meta = (
        f"By the portal's own row {window.last.size:,} links are covered. {window.links:,} came since: the exposure window."
        " The bucket was not asked for this page."
    )
    row = {"what": f"Checkpoint {window.last.number}", "hash": bytes(window.last.head).hex(), "at": window.last.at}
    rows = [row | {"state": label.lower(), "label": label, "tone": tone}]
    return {"tone": tone, "say": say, "meta": meta, "rows": rows, **lists}


def _standing(window: checkpoints.Exposure, alarming: Collection[str]) -> tuple[str, str, str]:
    """Tone, word and sentence; well only where the row is new and nothing else is known against it."""
    if _ahead(window):
        return "bad", "Ahead of time", "The newest checkpoint is dated in the future."
    if alarming:
        tone = "bad" if Alarm.Kind.ANCHOR_BEHIND in alarming else "warn"
        return tone, "In doubt", "An alarm about the checkpoints stands."
    if window.age > 2 * checkpoints.INTERVAL:
        return "warn", "Late", "The newest checkpoint is late."
    return "ok", "Anchored", "By the portal's own row the trail is anchored."


def _ahead(window: checkpoints.Exposure) -> bool:
    return window.age < timedelta()


def facts(window: checkpoints.Exposure) -> list[Context]:
    told: list[Context] = [{"label": "Links that no checkpoint covers", "value": f"{window.links:,}"}]
    if window.last:
        minutes, seconds = divmod(int(window.age.total_seconds()), 60)
        told += [
            {
                "label": "Age of the newest",
                "value": "in the future" if _ahead(window) else f"{minutes} min {seconds} s",
            },
            {"label": "Made", "value": "at each signature, every 5 minutes, after 1,000 entries"},
            {"label": "Kept until", "at": window.last.kept_until},
        ]
    return [
        *told,
        {"label": "Bucket", "value": settings.ANCHOR_BUCKET},
        {"label": "Origin", "value": settings.TRAIL_ORIGIN},
    ]


@require_GET
def note(request: PersonRequest, number: int) -> HttpResponse:
    """One checkpoint, byte for byte as it was written to the bucket."""
    demand(request.user, "trail.read")
    row = get_object_or_404(Checkpoint, pk=number)
    answer = HttpResponse(row.note.encode(), content_type="text/plain; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="{row.number:012}.txt"'
    return answer


def sees_everything(user: User) -> bool:
    """The whole trail speaks of every area: it is for whoever belongs to each of them."""
    return may(user, "trail.export") and not Area.objects.exclude(pk__in=user.areas.values("pk")).exists()


@require_GET
def export(request: PersonRequest) -> HttpResponseBase:
    """The whole trail as JSON Lines, for the verifier."""
    demand(request.user, "trail.export", TRAIL)
    if not sees_everything(request.user):
        raise trail.Forbidden("The whole trail is for whoever belongs to every area.", subject=TRAIL, by=request.user)
    trail.access(request.user, "export", TRAIL, {"format": "jsonl", "whole": True})
    answer = StreamingHttpResponse(exporting.lines(settings.TRAIL_ORIGIN), content_type="application/jsonl")
    answer["Content-Disposition"] = f'attachment; filename="trail-{clock.now():%Y%m%dT%H%M%SZ}.jsonl"'
    return answer


@require_http_methods(["POST"])
def make_report(request: PersonRequest) -> HttpResponse:
    demand(request.user, "restore.report", checkpoints.CHAIN)
    form = ReportForm(request.POST)
    if not form.is_valid():
        return _page(request, form, 400)
    try:
        with trail.refusals(request.user):
            restoring.report(by=request.user, reason=form.cleaned_data["reason"])
    except ReasonRefused as refused:
        form.add_error("reason", refused.message)
        return _page(request, form, refused.status)
    return redirect("portal:checkpoints")


URLS = [
    path("audit/checkpoints/", page, name="checkpoints"),
    path("audit/checkpoints/<int:number>.txt", note, name="checkpoint"),
    path("audit/checkpoints/trail.jsonl", export, name="trail-export"),
    path("audit/checkpoints/report/", make_report, name="restore-report"),
]
