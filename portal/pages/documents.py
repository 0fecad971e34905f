"""Pages of documents: the list, a new one, a version with its text, changes and history, submission, issued copies."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path
from django.utils.http import urlencode
from django.views.decorators.http import require_GET, require_http_methods

from accounts.http import PersonRequest
from accounts.models import User
from accounts.permissions import demand, may
from audit import clock, trail
from portal.pages import document_forms as forms
from portal.pages import document_parts as parts
from portal.pages import manifestation, obstacles, paging
from printing import issued
from printing.issued import Tone
from printing.pages import Unreadable
from records import documents, open_places, renditions
from records.kinds import Kind
from records.models import Draft, Record, RecordType, Verification, Version
from signatures import standing
from sops import transitions as sops
from sops.forms import NewSopForm
from storage import worm
from storage.s3 import StorageError
from validation_docs import transitions as validation_docs
from validation_docs.forms import NewDocumentForm

PAGE = 50
SUBMIT = {Kind.DOCUMENT: validation_docs.submit, Kind.SOP: sops.submit}


# The list and a new document -----------------------------------------------------------------------------------------


@require_GET
def listing(request: PersonRequest) -> HttpResponse:
    """All documents that one may read; with ?on= the versions that were effective on that day."""
    now = clock.now()
    filters = forms.Filters(request.GET, user=request.user)
    asked = filters.cleaned_data
    found = _filtered(Record.objects.visible_to(request.user).of_kind(*parts.KINDS), asked, now)
    found = found.select_related("type", "area", "created_by")
    records, previous, following = paging.by_key(found, request)
    day = asked.get("on")
    context = {
        "filters": filters,
        "rows": parts.rows_on(records, day) if day else parts.rows(records, now),
        "previous_url": previous,
        "next_url": following,
        "now": now,
        "on": day,
        "narrowed": any(asked.values()),
        "writes": may(request.user, "document.write"),
        "crumbs": [{"label": "Documents"}],
    }
    return render(request, "portal/documents.html", context)


def _filtered(found: Any, asked: dict[str, Any], now: datetime) -> Any:
    if asked.get("text"):
        found = found.filter(pk__in=Record.objects.matching(asked["text"]).values("pk"))
    if asked.get("type"):
        found = found.filter(type=asked["type"])
    if asked.get("area"):
        found = found.filter(area=asked["area"])
    if asked.get("status"):
        found = found.standing(asked["status"], now)
    return found


@require_http_methods(["GET", "POST"])
def new(request: PersonRequest) -> HttpResponse:
    """First the type, then what its kind asks for."""
    demand(request.user, "document.write")
    types = RecordType.objects.filter(kind__in=(Kind.DOCUMENT, Kind.SOP))
    chosen = types.filter(pk=request.GET.get("type", "")).first()
    crumbs = [{"label": "Documents", "url": "/documents/"}, {"label": "New document"}]
    if chosen is None:
        return render(request, "portal/document_new.html", {"types": types, "crumbs": crumbs})
    asks = NewSopForm if chosen.kind == Kind.SOP else NewDocumentForm
    form = asks(request.POST or None, user=request.user)
    if request.method == "POST" and form.is_valid():
        try:
            with trail.refusals(request.user):
                record = _create(chosen, form.cleaned_data, request)
            messages.success(request, f"{record.number} is created, and its draft is checked out to you.")
            return redirect(f"{record.get_absolute_url()}edit/")
        except trail.Refused as refused:
            form.add_error(None, refused.message)
    context = {"form": form, "type": chosen, "crumbs": crumbs, "is_sop": chosen.kind == Kind.SOP}
    return render(request, "portal/document_new.html", context, status=400 if form.errors else 200)


def _create(chosen: RecordType, values: dict[str, Any], request: PersonRequest) -> Record:
    if chosen.kind == Kind.SOP:
        return sops.create(
            starter_name=values["starter"],
            title=values["title"],
            area=values["area"],
            by=request.user,
            gate=values["gate"],
            reading_roles=values["reading_roles"],
            reading_days=values["reading_days"],
        )
    return validation_docs.create(
        chosen, title=values["title"], system=values["system"], area=values["area"], by=request.user
    )


# One document --------------------------------------------------------------------------------------------------------


def _record(request: PersonRequest, number: str) -> tuple[Record, list[Version]]:
    """The record and its versions, newest first, if this person may see them; 404 otherwise."""
    visible = Record.objects.visible_to(request.user).of_kind(*parts.KINDS)
    record = get_object_or_404(
        visible.select_related("type", "area", "created_by", "validation_document"), number=number
    )
    versions = list(parts.versions_of([record]).select_related("definition__record__type"))
    for version in versions:
        version.record = record
    return record, versions


def _pick(versions: Sequence[Version], ordinal: int | None, now: datetime) -> Version | None:
    if ordinal is None:
        return parts.face(versions, now)
    for version in versions:
        if version.ordinal == ordinal:
            return version
    raise Http404


@require_GET
def document(request: PersonRequest, number: str, ordinal: int | None = None) -> HttpResponse:
    """A version as it reads: its text, or the pages of its sealed rendition. Without a number the one that counts now."""
    now = clock.now()
    record, versions = _record(request, number)
    version = _pick(versions, ordinal, now)
    if version is None:
        return _draft_page(request, record, versions, now)
    trail.access(request.user, "view", version)
    as_pages = request.GET.get("as") == "pages"
    sections, problem = ([], "") if as_pages else parts.text_of(version)
    context = parts.frame(request.user, record, versions, version, now, "document") | {
        "as_pages": as_pages,
        "pages": range(1, version.rendition_pages + 1) if as_pages else (),
        "sections": parts.rendered(record, sections),
        "problem": problem,
        "history": renditions.history(record),
    }
    return render(request, "portal/document.html", context)


@require_GET
def draft(request: PersonRequest, number: str) -> HttpResponse:
    """The draft as it was saved last."""
    record, versions = _record(request, number)
    return _draft_page(request, record, versions, clock.now())


def _draft_page(request: PersonRequest, record: Record, versions: list[Version], now: datetime) -> HttpResponse:
    shown = get_object_or_404(Draft.objects.select_related("saved_by"), record=record)
    trail.access(request.user, "view", record, {"draft": shown.revision})
    context = parts.frame(request.user, record, versions, None, now, "document") | {
        "shown": shown,
        "sections": parts.rendered(record, shown.sections, marks=True),
        "places": sum(open_places.left(shown.sections).values()),
    }
    return render(request, "portal/document_draft.html", context)


def _version(request: PersonRequest, number: str, ordinal: int) -> Version:
    visible = Version.objects.visible_to(request.user).filter(record__type__kind__in=parts.KINDS)
    related = visible.select_related("record__type", "record__area", "effectivity", "author")
    return get_object_or_404(related, record__number=number, ordinal=ordinal)


@require_GET
def changes(request: PersonRequest, number: str) -> HttpResponse:
    """Any two versions, or a version and the draft, held against each other."""
    now = clock.now()
    record, versions = _record(request, number)
    context = parts.frame(request.user, record, versions, parts.face(versions, now), now, "changes")
    choices = [(str(version.ordinal), _label(version, now)) for version in versions]
    if context["draft"]:
        choices.insert(0, ("draft", "Draft, not submitted"))
    right = _choice(request.GET.get("to"), choices, choices[0][0] if choices else "")
    left = _choice(request.GET.get("from"), choices, _before(right, versions))
    if right and not left:  # nothing comes before the first version: it is held against what came next
        left, right = right, _after(right, versions) or ("draft" if context["draft"] else right)
    context |= {"choices": choices, "left": left, "right": right, "mode": request.GET.get("mode", "split")}
    if left and right and left != right:
        trail.access(request.user, "view", record, {"compared": f"{left} with {right}"})
        context |= parts.compare(_side(left, record, versions), _side(right, record, versions)) | {"compared": True}
    return render(request, "portal/document_changes.html", context)


def _label(version: Version, now: datetime) -> str:
    revision = f"{version.revision}, version {version.ordinal}" if version.revision else f"Version {version.ordinal}"
    return f"{revision} ({version.status_at(now).replace('_', ' ')})"


def _choice(asked: str | None, choices: Sequence[tuple[str, str]], default: str) -> str:
    return asked if asked in {value for value, _ in choices} else default


def _before(right: str, versions: Sequence[Version]) -> str:
    """The last approved version before that side, or the one right before it."""
    earlier = [version for version in versions if right == "draft" or version.ordinal < int(right or 0)]
    approved = next((version for version in earlier if version.revision), None)
    chosen = approved or (earlier[0] if earlier else None)
    return str(chosen.ordinal) if chosen else ""


def _after(left: str, versions: Sequence[Version]) -> str:
    """The version right after that one."""
    return next((str(version.ordinal) for version in reversed(versions) if version.ordinal > int(left)), "")


def _side(value: str, record: Record, versions: Sequence[Version]) -> parts.Side:
    if value == "draft":
        return parts.side_of_draft(Draft.objects.get(record=record))
    return parts.side_of(next(version for version in versions if str(version.ordinal) == value))


@require_GET
def history(request: PersonRequest, number: str) -> HttpResponse:
    """The change history, and every version with state, dates, signatures and its last verification."""
    now = clock.now()
    record, versions = _record(request, number)
    trail.access(request.user, "view", record, {"part": "history"})
    cards = manifestation.cards(versions)
    doubts = standing.approvals([version.pk for version in versions])
    verified: dict[Any, Verification] = {}
    for row in (
        Verification.objects.filter(version__in=versions).order_by("version_id", "-finished_at").distinct("version_id")
    ):
        verified[row.version_id] = row
    context = parts.frame(request.user, record, versions, parts.face(versions, now), now, "history") | {
        "rows": renditions.history(record),
        "told": [
            {
                "version": version,
                "status": version.status_at(now),
                "doubt": doubts.get(version.pk, ""),
                "cards": cards.get(version.pk, []),
                "verified": verified.get(version.pk),
                "during": getattr(getattr(version, "effectivity", None), "during", None),
            }
            for version in versions
        ],
    }
    return render(request, "portal/document_history.html", context)


@require_GET
def drafts(request: PersonRequest, number: str) -> HttpResponse:
    """Who saved the draft when, with what message, and what changed between two saves."""
    now = clock.now()
    record, versions = _record(request, number)
    live = get_object_or_404(Draft, record=record)
    saves = Draft.history.filter(record_id=record.pk).order_by("-revision", "history_id").distinct("revision")
    before = request.GET.get("before", "")
    if before.isdecimal():
        saves = saves.filter(revision__lt=int(before))
    shown = list(saves.select_related("saved_by").defer("sections")[: PAGE + 1])
    trail.access(request.user, "view", record, {"part": "draft history"})
    context = parts.frame(request.user, record, versions, parts.face(versions, now), now, "drafts") | {
        "saves": shown[:PAGE],
        "next_url": f"?before={shown[PAGE - 1].revision}" if len(shown) > PAGE else "",
        "last": live.revision,
        "mode": request.GET.get("mode", "inline"),
    }
    right = request.GET.get("revision", "")
    if right.isdecimal():
        context |= _between_saves(record, int(right))
    return render(request, "portal/document_drafts.html", context)


def _between_saves(record: Record, revision: int) -> dict[str, Any]:
    """What the save of that revision changed against the one before."""
    rows = Draft.history.filter(record_id=record.pk).order_by("-revision", "history_id").distinct("revision")
    pair = list(rows.filter(revision__lte=revision)[:2])
    if not pair or pair[0].revision != revision:
        raise Http404
    old = documents.as_text(pair[1].sections) if len(pair) == 2 else ""
    labels = (f"save {pair[1].revision}" if len(pair) == 2 else "nothing", f"save {revision}")
    return parts.compared(old, documents.as_text(pair[0].sections), *labels) | {"revision": revision, "save": pair[0]}


# Submission ----------------------------------------------------------------------------------------------------------


@require_http_methods(["GET", "POST"])
def submit(request: PersonRequest, number: str) -> HttpResponse:
    """What will be frozen, who is asked to sign it, and everything that stands in the way."""
    now = clock.now()
    record, versions = _record(request, number)
    demand(request.user, record.writing, record, record)
    if record.type.kind not in SUBMIT:
        raise Http404
    live = get_object_or_404(
        Draft.objects.select_related("record__type", "record__area", "checked_out_by"), record=record
    )
    problems = documents.problems(live, by=request.user)
    form = forms.SubmitForm(request.POST or None, draft=live, by=request.user, today=now.astimezone(UTC).date())
    status = 200
    if request.method == "POST":
        status = 409 if problems else 400
        if form.is_valid() and not problems:
            try:
                with trail.refusals(request.user):
                    version = _submit(live, form, request)
                messages.success(request, f"Version {version.ordinal} is frozen and waits for its signatures.")
                obstacles.tell(request, version)
                return redirect(version)
            except (trail.Refused, StorageError) as refused:
                form.add_error(None, getattr(refused, "message", str(refused)))
                status = getattr(refused, "status", 503)
    context = {
        "record": record,
        "draft": live,
        "form": form,
        "problems": problems,
        "ordinal": _next_ordinal(versions),
        "crumbs": [{"label": "Documents", "url": "/documents/"}, {"label": record.number, "url": record.get_absolute_url()},
                   {"label": "Submit"}],
        "writers": User.objects.filter(pk__in={*documents.writers(live), str(request.user.pk)}),
        "images": len(renditions.shown_images(record, live.sections)),
        "mode": "inline",
    } | _since_approved(live, versions)  # fmt: skip
    return render(request, "portal/document_submit.html", context, status=status)


def _submit(live: Draft, form: forms.SubmitForm, request: PersonRequest) -> Version:
    values = form.cleaned_data
    return SUBMIT[Kind(live.record.type.kind)](
        live,
        by=request.user,
        message=values["message"],
        reviewers=list(values["reviewers"]),
        approvers=list(values["approvers"]),
        due_at=form.due_at,
        effective_on=form.effective_from,
    )


def _next_ordinal(versions: Sequence[Version]) -> int:
    return max((version.ordinal for version in versions), default=0) + 1


def _since_approved(live: Draft, versions: Sequence[Version]) -> dict[str, Any]:
    approved = next((version for version in versions if version.revision), None)
    if approved is None:
        return {"approved": None}
    compared = parts.compare(parts.side_of(approved), parts.side_of_draft(live))
    return {"approved": approved, "unreadable": compared.pop("problems"), **compared}


@require_GET
def submit_preview(request: PersonRequest, number: str) -> HttpResponse:
    """The rendition as it would be made now, under the watermark DRAFT. It is not kept."""
    record, versions = _record(request, number)
    demand(request.user, record.writing, record, record)
    live = get_object_or_404(Draft, record=record)
    now = clock.now()
    pdf = renditions.print_document(
        record,
        [documents.section_text(section) for section in live.sections],
        ordinal=_next_ordinal(versions),
        message=request.GET.get("message", "")[:500] or "(draft)",
        author=request.user,
        facts=[("Area", record.area.name)],
        at=now,
    )
    line = f"DRAFT · NOT FOR USE · printed by {request.user.legal_name} at {issued.utc(now)}"
    trail.access(request.user, "export", record, {"draft": live.revision})
    return _pdf(issued.watermarked(pdf, "DRAFT", Tone.CAUTION, line), f"{record.number} draft.pdf")


# Copies --------------------------------------------------------------------------------------------------------------


@require_GET
def issue(request: PersonRequest, number: str, ordinal: int) -> HttpResponse:
    """Ask what a copy of an obsolete version is for; any other is printed at once."""
    version = _version(request, number, ordinal)
    status = version.status_at(clock.now())
    if status not in parts.OBSOLETE:
        return redirect(f"{version.get_absolute_url()}issued.pdf")
    context = {
        "version": version,
        "record": version.record,
        "status": status,
        "never_effective": status in parts.NEVER_EFFECTIVE,
        "form": forms.PurposeForm(request.GET if "purpose" in request.GET else None),
        "target": "rendition.pdf" if request.GET.get("what") == "rendition" else "issued.pdf",
        "crumbs": [{"label": "Documents", "url": "/documents/"}, {"label": version.label, "url": version.get_absolute_url()},
                   {"label": "Copy"}],
    }  # fmt: skip
    return render(request, "portal/document_issue.html", context)


def _purpose(request: PersonRequest, version: Version, status: str) -> str | None:
    """What the copy is for: "" where none is needed, None where it is missing."""
    form = forms.PurposeForm(request.GET)
    if status not in parts.OBSOLETE:
        return form.cleaned_data["purpose"] if form.is_valid() else ""
    return form.cleaned_data["purpose"] if form.is_valid() else None


@require_GET
def issued_pdf(request: PersonRequest, number: str, ordinal: int) -> HttpResponse:
    """The issued copy: watermark by state now, signature pages, and the sealed rendition inside."""
    version = _version(request, number, ordinal)
    demand(request.user, "record.export", version.record)
    now = clock.now()
    status = version.status_at(now)
    purpose = _purpose(request, version, status)
    if purpose is None:
        return redirect(f"{version.get_absolute_url()}issue/?{urlencode({'purpose': request.GET.get('purpose', '')})}")
    effective = Version.objects.effective_on(now).filter(record=version.record).first()
    try:
        pdf, mark = parts.issued_copy(
            version, status, effective, printed_by=request.user.legal_name, at=now, purpose=purpose
        )
    except (StorageError, Unreadable) as error:
        return _unreadable(request, version, error)
    trail.access(
        request.user, "export", version, {"as": "issued copy", "status": status, "purpose": purpose, "copy": mark}
    )
    return _pdf(pdf, f"{version.label} issued.pdf")


@require_GET
def rendition_pdf(request: PersonRequest, number: str, ordinal: int) -> HttpResponse:
    """The sealed rendition, byte for byte."""
    version = _version(request, number, ordinal)
    demand(request.user, "record.export", version.record)
    status = version.status_at(clock.now())
    purpose = _purpose(request, version, status)
    if purpose is None:
        asked = urlencode({"what": "rendition", "purpose": request.GET.get("purpose", "")})
        return redirect(f"{version.get_absolute_url()}issue/?{asked}")
    try:
        pdf = worm.get(worm.Pin.from_json(version.rendition))
    except StorageError as error:
        return _unreadable(request, version, error)
    trail.access(request.user, "export", version, {"as": "rendition", "status": status, "purpose": purpose})
    return _pdf(pdf, f"{version.label} rendition.pdf")


def _unreadable(request: PersonRequest, version: Version, error: Exception) -> HttpResponse:
    message = f"The rendition of {version.label} cannot be handed out. {error}"
    return render(request, "refused.html", {"message": message}, status=503)


def _pdf(data: bytes, name: str) -> HttpResponse:
    safe_name = "".join(letter if letter.isalnum() or letter in ".-" else "-" for letter in name)
    response = HttpResponse(data, content_type="application/pdf")
    response["Content-Disposition"] = f'inline; filename="{safe_name}"'
    response["Cache-Control"] = "private, no-store"
    return response


URLS = [
    path("documents/", listing, name="documents"),
    path("documents/new/", new, name="document_new"),
    path("documents/<str:number>/", document, name="document"),
    path("documents/<str:number>/draft/", draft, name="document_draft"),
    path("documents/<str:number>/changes/", changes, name="document_changes"),
    path("documents/<str:number>/history/", history, name="document_history"),
    path("documents/<str:number>/drafts/", drafts, name="document_drafts"),
    path("documents/<str:number>/submit/", submit, name="document_submit"),
    path("documents/<str:number>/submit/preview.pdf", submit_preview, name="document_submit_preview"),
    path("documents/<str:number>/v<int:ordinal>/", document, name="document_version"),
    path("documents/<str:number>/v<int:ordinal>/issue/", issue, name="document_issue"),
    path("documents/<str:number>/v<int:ordinal>/issued.pdf", issued_pdf, name="document_issued"),
    path("documents/<str:number>/v<int:ordinal>/rendition.pdf", rendition_pdf, name="document_rendition"),
]
