"""Pages of a draft and of a version's own verbs: editor, check-out, save, autosave, preview, images, recall."""

from collections.abc import Sequence
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.http import PersonRequest
from accounts.permissions import demand
from audit import trail
from records import documents, drafts, open_places, redline, texts, transitions
from records.drafts import IMAGE_BYTES, Section
from records.kinds import Kind
from records.models import Attachment, Buffer, Draft, Version
from storage import worm
from storage.s3 import StorageError

WRITTEN_HERE = (Kind.DOCUMENT, Kind.SOP)
ARRANGEMENTS = ("up", "down", "remove", "add")


def _draft(request: PersonRequest, number: str) -> Draft:
    """The draft, if this person may see it (404) and write it (403)."""
    visible = Draft.objects.visible_to(request.user).filter(record__type__kind__in=WRITTEN_HERE)
    draft = get_object_or_404(
        visible.select_related("record__type", "checked_out_by", "saved_by"), record__number=number
    )
    demand(request.user, draft.record.writing, draft.record)
    return draft


@require_http_methods(["GET", "POST"])
def edit(request: PersonRequest, number: str) -> HttpResponse:
    """The editor. A post saves the text, with its message; or it rearranges the sections, which is kept in the buffer."""
    draft = _draft(request, number)
    if request.method == "GET":
        trail.access(request.user, "view", draft.record, {"draft": draft.revision})
        return _editor(request, draft)
    sections = _posted(request, draft)
    try:
        with trail.refusals(request.user):
            if request.POST.get("arrange"):
                return _rearrange(request, draft, list(sections))
            saved = drafts.save(
                draft, sections, by=request.user, message=request.POST.get("message", ""), on_top_of=_on_top_of(request)
            )
    except trail.Refused as refused:
        draft = _draft(request, number)
        return _editor(request, draft, sections=sections, refused=refused, status=refused.status)
    messages.success(request, f"Saved as revision {saved.revision} of the draft, with history.")
    return redirect("records:edit", number)


def _editor(
    request: PersonRequest,
    draft: Draft,
    *,
    sections: Sequence[Section] | None = None,
    refused: trail.Refused | None = None,
    status: int = 200,
) -> HttpResponse:
    """The editor with the text that was posted, else with what the buffer holds, else with what was saved."""
    mine = draft.checked_out_by_id == request.user.pk
    buffer = Buffer.objects.filter(draft=draft, user=request.user).first() if mine else None
    if buffer and buffer.sections == draft.sections:
        buffer = None
    shown = sections if sections is not None else buffer.sections if buffer else draft.sections
    typed_over = _on_top_of(request) if sections is not None else buffer.on_top_of if buffer else draft.revision
    stale = typed_over != draft.revision
    context = {
        "draft": draft,
        "record": draft.record,
        "mine": mine,
        "buffer": buffer,
        "recovered": buffer is not None and sections is None,
        "refused": refused,
        "stale": stale,
        "diff": _against_saved(draft, shown) if stale else None,
        "rows": _rows(draft, shown, readonly=not mine),
        "places": sum(open_places.left(shown).values()),
        "message": request.POST.get("message", ""),
        # A text typed over an older save is saved on top of the newer one only after its difference was shown.
        "on_top_of": draft.revision if sections is not None or not stale else typed_over,
        "crumbs": [
            {"label": "Documents", "url": "/documents/"},
            {"label": draft.record.number, "url": draft.record.get_absolute_url()},
            {"label": "Edit"},
        ],
    }
    return render(request, "records/draft_edit.html", context, status=status)


def _rows(draft: Draft, sections: Sequence[Section], *, readonly: bool) -> list[dict[str, Any]]:
    return [
        {
            "number": number,
            "section": section,
            "preview": texts.html_of(draft.record, section, marks=True),
            "places": open_places.count(section["title"]) + open_places.count(section["text"]),
            "first": number == 1,
            "last": number == len(sections),
            "readonly": readonly,
        }
        for number, section in enumerate(sections, start=1)
    ]


def _against_saved(draft: Draft, shown: Sequence[Section]) -> dict[str, Any]:
    blocks = redline.redline(documents.as_text(draft.sections), documents.as_text(shown))
    return {"left_label": f"revision {draft.revision}, saved", "right_label": "your text", "rows": redline.rows(blocks)}


def _posted(request: PersonRequest, draft: Draft) -> list[Section]:
    """The sections of the form, in its order. Guidance belongs to the draft and is never posted."""
    guidance = {section["id"]: section.get("guidance", "") for section in draft.sections}
    fields = (request.POST.getlist("id"), request.POST.getlist("title"), request.POST.getlist("text"))
    if len({len(values) for values in fields}) != 1:
        raise trail.Refused(
            "The form is incomplete. Reload the page and try again.", subject=draft.record, by=request.user
        )
    return [
        {"id": key, "title": title, "guidance": guidance.get(key, ""), "text": text.replace("\r\n", "\n")}
        for key, title, text in zip(*fields, strict=True)
    ]


def _on_top_of(request: PersonRequest) -> int:
    posted = request.POST.get("on_top_of", "")
    return int(posted) if posted.isdecimal() and len(posted) < 9 else 0


def _rearrange(request: PersonRequest, draft: Draft, sections: list[Section]) -> HttpResponse:
    """`arrange` is `up:3`, `down:3`, `remove:3` or `add:3` (after the third; 0 for the beginning)."""
    what, _, place = request.POST["arrange"].partition(":")
    at = int(place) if place.isdecimal() and len(place) < 4 else -1
    if what not in ARRANGEMENTS or not (0 if what == "add" else 1) <= at <= len(sections):
        raise Http404
    focus = at
    if what == "add":
        fresh = _fresh_id(sections)
        sections.insert(at, {"id": fresh, "title": "New section", "guidance": "", "text": ""})
        focus = at + 1
    elif what == "remove":
        del sections[at - 1]
    else:
        other = at - 1 if what == "up" else at + 1
        if 1 <= other <= len(sections):
            sections[at - 1], sections[other - 1] = sections[other - 1], sections[at - 1]
            focus = other
    drafts.keep(draft, sections, by=request.user, on_top_of=_on_top_of(request))
    return redirect(f"{draft.record.get_absolute_url()}edit/#section-{max(1, min(focus, len(sections)))}")


def _fresh_id(sections: Sequence[Section]) -> str:
    taken = {section["id"] for section in sections}
    return next(name for number in range(1, len(taken) + 2) if (name := f"n{number}") not in taken)


@require_POST
def autosave(request: PersonRequest, number: str) -> JsonResponse:
    """Keep the form in the buffer. Answers when, whether the draft was saved elsewhere meanwhile, and what is left to fill."""
    draft = _draft(request, number)
    sections = _posted(request, draft)
    try:
        buffer = drafts.keep(draft, sections, by=request.user, on_top_of=_on_top_of(request))
    except trail.Refused as refused:
        # A convenience that did not work is no refused act: nothing goes on the trail.
        return JsonResponse({"error": refused.message}, status=refused.status)
    left = [open_places.count(section["title"]) + open_places.count(section["text"]) for section in sections]
    stale = buffer.on_top_of != draft.revision
    return JsonResponse({"saved_at": f"{buffer.kept_at:%H:%M:%S}", "stale": stale, "left": left})


@require_POST
def preview(request: PersonRequest, number: str) -> HttpResponse:
    """A text as it will read: safe HTML, its open places marked."""
    draft = _draft(request, number)
    text = request.POST.get("text", "")[: drafts.SECTION_LETTERS]
    return HttpResponse(texts.html_of(draft.record, {"text": text}, prefix="p-", marks=True))


@require_POST
def check_out(request: PersonRequest, number: str) -> HttpResponse:
    drafts.check_out(_draft(request, number), by=request.user)
    return redirect("records:edit", number)


@require_POST
def take_over(request: PersonRequest, number: str) -> HttpResponse:
    draft = _draft(request, number)
    try:
        with trail.refusals(request.user):
            drafts.take_over(draft, by=request.user, reason=request.POST.get("reason", ""))
    except drafts.DraftRefused as refused:
        messages.error(request, refused.message)
    return redirect("records:edit", number)


@require_POST
def check_in(request: PersonRequest, number: str) -> HttpResponse:
    """Let others edit. What is only in the buffer would be lost, so it must be saved or thrown away first."""
    draft = _draft(request, number)
    if Buffer.objects.filter(draft=draft).exclude(sections=draft.sections).exists():
        messages.error(request, "The editor holds text that is not saved. Save it, or throw it away, then check in.")
        return redirect("records:edit", number)
    drafts.check_in(draft, by=request.user)
    messages.success(request, "Checked in: others can edit it now.")
    return redirect(draft.record)


@require_POST
def throw_away(request: PersonRequest, number: str) -> HttpResponse:
    drafts.throw_away(_draft(request, number), by=request.user)
    messages.info(request, "The unsaved text is gone. This is the draft as it was saved last.")
    return redirect("records:edit", number)


@require_POST
def add_image(request: PersonRequest, number: str) -> JsonResponse:
    """Takes a picture; answers the Markdown that shows it."""
    draft = _draft(request, number)
    sent = request.FILES.get("image")
    if sent is None:
        return JsonResponse({"error": "No picture was sent."}, status=400)
    try:
        with trail.refusals(request.user):
            image = drafts.add_image(draft, sent.name or "image", sent.read(IMAGE_BYTES + 1), by=request.user)
    except trail.Refused as refused:
        return JsonResponse({"error": refused.message}, status=refused.status)
    except StorageError as error:
        return JsonResponse({"error": f"The picture could not be kept: {error}"}, status=503)
    return JsonResponse({"markdown": f"![{image.name}](attachment:{image.name})"})


@require_GET
def image(request: PersonRequest, number: str, name: str) -> HttpResponse:
    """A picture of the record's text, hashed again as it is read."""
    visible = Draft.objects.visible_to(request.user).filter(record__number=number)
    found = get_object_or_404(Attachment, record__in=visible.values("record"), name=name)
    response = HttpResponse(worm.get(worm.Pin.from_json(found.pin)), content_type=found.media_type)
    response["Cache-Control"] = "private, max-age=600"
    response["Content-Disposition"] = "inline"
    return response


# Verbs of a version --------------------------------------------------------------------------------------------------


def _version(request: PersonRequest, number: str, ordinal: int) -> Version:
    visible = Version.objects.visible_to(request.user).select_related("record__type")
    return get_object_or_404(visible, record__number=number, ordinal=ordinal, lifecycle="document")


@require_POST
def recall(request: PersonRequest, number: str, ordinal: int) -> HttpResponse:
    version = transitions.recall(
        _version(request, number, ordinal), by=request.user, reason=request.POST.get("reason", "")
    )
    messages.success(request, f"Version {version.ordinal} is recalled. You can edit the draft and submit it again.")
    return redirect(version)
