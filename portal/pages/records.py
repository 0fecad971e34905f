"""Pages of data packages: the list, a new record, a version with its verdict, files, signatures, and the comparison of two."""

from itertools import chain
from typing import Any

from django import forms
from django.contrib import messages
from django.db import transaction
from django.http import Http404, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path
from django.utils.http import content_disposition_header
from django.views.decorators.clickjacking import xframe_options_sameorigin
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.http import PersonRequest, polled
from accounts.models import Area, User
from accounts.permissions import demand, may
from audit import clock, trail
from portal import handlers
from portal.pages import manifestation, paging, register
from portal.pages import record_exports as exports
from portal.pages import record_parts as parts
from records import copies, numbers
from records.area_field import AreaField
from records.kinds import Kind
from records.lifecycle import State
from records.models import File, Record, RecordType, Version
from signatures import standing
from storage import s3
from storage.s3 import StorageError

EXAMPLE = "Such as KRAS-001."
INLINE = ("image/png", "image/jpeg", "application/pdf")


class Filters(forms.Form):
    """What the list is narrowed by; a value that makes no sense narrows nothing."""

    text = forms.CharField(required=False, max_length=200)
    type = forms.ModelChoiceField(RecordType.objects.filter(kind=Kind.DATA), required=False, empty_label="All types")
    state = forms.ChoiceField(
        required=False,
        choices=[
            ("", "Any state"),
            *((state.value, state.label) for state in (State.REGISTERED, State.APPROVED, State.REJECTED)),
            ("none", "No version yet"),
        ],
    )
    area = forms.ModelChoiceField(Area.objects.none(), required=False, empty_label="All areas")

    def __init__(self, data: Any, *, user: User) -> None:
        super().__init__(data, auto_id="f-%s")
        self.fields["area"].queryset = Area.objects.filter(members=user)  # type: ignore[attr-defined]
        self.full_clean()


class NewRecord(forms.Form):
    type = forms.ModelChoiceField(RecordType.objects.filter(kind=Kind.DATA), empty_label="Choose …")
    number = forms.CharField(
        required=False,
        max_length=40,
        help_text=EXAMPLE,
        widget=forms.TextInput(attrs={"spellcheck": "false", "autocapitalize": "characters"}),
    )
    title = forms.CharField(max_length=200, help_text="What it is, in the words of the laboratory.")
    area = AreaField(help_text="Who belongs to this area may read it.")

    def __init__(self, data: Any, *, user: User) -> None:
        super().__init__(data)
        self.fields["area"].offer(user)  # type: ignore[attr-defined]
        counted = [each.name for each in RecordType.objects.filter(kind=Kind.DATA) if not each.is_typed]
        number = self.fields["number"]
        number.required = not counted
        if counted:
            number.help_text = f"{EXAMPLE} Left empty for {', '.join(counted)}: the portal counts those."

    def clean(self) -> dict[str, Any]:
        asked = super().clean() or {}
        if asked.get("type") and asked["type"].is_typed and not asked.get("number"):
            self.add_error("number", f"A number of {asked['type'].name} is typed, not counted: give one.")
        return asked


@require_GET
def listing(request: PersonRequest) -> HttpResponse:
    filters = Filters(request.GET, user=request.user)
    asked = filters.cleaned_data
    found = parts.with_latest(Record.objects.visible_to(request.user).of_kind(Kind.DATA))
    if asked.get("text"):
        found = found.filter(pk__in=Record.objects.matching(asked["text"]).values("pk"))
    for name in ("type", "area"):
        if asked.get(name):
            found = found.filter(**{name: asked[name]})
    if state := asked.get("state"):
        found = found.filter(**{"latest_state": None if state == "none" else state})
    records, previous_url, next_url = paging.by_key(found, request)
    counts = standing.approvals([record.latest_id for record in records if record.latest_id])
    context = {
        "filters": filters,
        "rows": [(record, counts.get(record.latest_id, record.latest_state)) for record in records],
        "previous_url": previous_url,
        "next_url": next_url,
        "narrowed": any(asked.values()),
        "creates": may(request.user, "record.create"),
    }
    return render(request, "portal/records.html", context)


@require_http_methods(["GET", "POST"])
def new(request: PersonRequest) -> HttpResponse:
    demand(request.user, "record.create")
    form = NewRecord(request.POST or None, user=request.user)
    if request.method == "POST" and form.is_valid():
        asked = form.cleaned_data
        try:
            with trail.refusals(request.user), transaction.atomic():
                record = numbers.create(
                    asked["type"], title=asked["title"], area=asked["area"], number=asked["number"], by=request.user
                )
        except trail.Refused as refused:
            form.add_error("number" if isinstance(refused, numbers.NumberRefused) else None, refused.message)
        else:
            messages.success(request, f"{record.number} is made. Now register its first version.")
            return redirect("record:register", record.number)
    crumbs = [{"label": "Records", "url": "/records/"}, {"label": "New record"}]
    status = 400 if form.errors else 200
    return render(request, "portal/record_new.html", {"form": form, "crumbs": crumbs}, status=status)


@require_GET
def record(request: PersonRequest, number: str) -> HttpResponse:
    """The newest version; of another kind of record, where its pages are."""
    found = get_object_or_404(Record.objects.visible_to(request.user).select_related("type", "area"), number=number)
    if found.type.kind != Kind.DATA:
        return redirect(found.get_absolute_url())
    latest = found.versions.order_by("-ordinal").values_list("ordinal", flat=True).first()
    if latest:
        return _overview(request, _version(request, number, latest))
    trail.access(request.user, "view", found)
    context = parts.frame(request.user, found, None, "Overview") | {"refusals": register.refusals_of(found)}
    return render(request, "portal/record_empty.html", context)


@require_GET
def version(request: PersonRequest, number: str, ordinal: int) -> HttpResponse:
    return _overview(request, _version(request, number, ordinal))


def _overview(request: PersonRequest, shown: Version) -> HttpResponse:
    trail.access(request.user, "view", shown)
    definition = parts.definition_of(shown)
    with _as_person(request):
        readme = parts.readme_of(shown)
    approved = parts.last_approved(shown.record)
    context = parts.frame(request.user, shown.record, shown, "Overview") | parts.verdict_of(shown, clock.now())
    context |= {
        "cards": manifestation.cards([shown]).get(shown.pk, []),
        "facts": parts.facts(shown, definition),
        "metadata": parts.metadata_table(shown.metadata, definition),
        "readme": readme,
        "approved": approved if approved and approved.pk != shown.pk else None,
        "downloads": exports.NAMES,
    }
    return render(request, "portal/record.html", context)


@require_POST
def verify(request: PersonRequest, number: str, ordinal: int) -> HttpResponse:
    shown = _version(request, number, ordinal)
    demand(request.user, "record.verify", shown, shown)
    handlers.ask_to_verify(shown, by=request.user)
    return redirect(f"{shown.get_absolute_url()}#verdict")


@polled
@require_GET
def verdict(request: PersonRequest, number: str, ordinal: int) -> HttpResponse:
    """The verdict card alone, asked for again while its job runs."""
    shown = _version(request, number, ordinal)
    context = parts.verdict_of(shown, clock.now()) | {"version": shown}
    return render(request, "portal/record_verdict.html", context)


@require_GET
def files(request: PersonRequest, number: str, ordinal: int) -> HttpResponse:
    shown = _version(request, number, ordinal)
    trail.access(request.user, "view", shown, {"page": "files"})
    last = shown.verifications.order_by("-finished_at").first()
    listed = list(shown.files.all())
    context = parts.frame(request.user, shown.record, shown, "Files") | {
        "rows": parts.file_rows(listed, last),
        "last": last,
        "total": sum(file.size for file in listed),
        "pins_sha256": shown.pins_sha256,
    }
    return render(request, "portal/record_files.html", context)


@require_GET
def file(request: PersonRequest, number: str, ordinal: int, key: str) -> HttpResponse:
    shown = _version(request, number, ordinal)
    found = _file(shown, key)
    trail.access(request.user, "view", shown, {"file": key})
    last = shown.verifications.order_by("-finished_at").first()
    with _as_person(request):
        look = parts.look_at(found)
    context = parts.frame(request.user, shown.record, shown, "Files") | {
        "file": found,
        "look": look,
        "found": parts.locks(last).get(key),
        "last": last,
        "inline": found.media_type in INLINE,
    }
    return render(request, "portal/record_file.html", context)


@xframe_options_sameorigin
@require_GET
def raw(request: PersonRequest, number: str, ordinal: int, key: str) -> HttpResponseBase:
    """The file's bytes. An image or a PDF may stand in a page of ours; everything else is saved, never opened."""
    shown = _version(request, number, ordinal)
    found = _file(shown, key)
    inline = "inline" in request.GET and found.media_type in INLINE
    if not inline:
        demand(request.user, "record.export", shown, shown)
    trail.access(request.user, "view" if inline else "export", shown, {"file": key})
    try:
        with _as_person(request):
            pieces = copies.stream(found)
            first = next(pieces, b"")
    except StorageError as error:
        return _unread(request, shown, error)
    name = key.rsplit("/", 1)[-1]
    answer = StreamingHttpResponse(
        chain([first], pieces), content_type=found.media_type if inline else "application/octet-stream"
    )
    answer["Content-Length"] = str(found.size)
    answer["Content-Disposition"] = content_disposition_header(not inline, name) or "attachment"
    answer["X-Content-Type-Options"] = "nosniff"
    # A PDF is shown by the browser's own viewer, which needs no more than its own styles.
    answer["Content-Security-Policy"] = (
        "default-src 'none'; style-src 'unsafe-inline'; img-src 'self'; object-src 'self'; frame-ancestors 'self'"
    )
    return answer


@require_GET
def signatures(request: PersonRequest, number: str, ordinal: int) -> HttpResponse:
    shown = _version(request, number, ordinal)
    trail.access(request.user, "view", shown, {"page": "signatures"})
    context = parts.frame(request.user, shown.record, shown, "Signatures") | {
        "cards": manifestation.cards([shown]).get(shown.pk, []),
    }
    return render(request, "portal/record_signatures.html", context)


@require_GET
def versions(request: PersonRequest, number: str) -> HttpResponse:
    found = _record(request, number)
    trail.access(request.user, "view", found, {"page": "versions"})
    rows = list(
        found.versions.select_related("author", "definition__record__type", "record__type")
        .defer("manifest")
        .order_by("-ordinal")
    )
    newest = _version(request, number, rows[0].ordinal) if rows else None
    states = standing.shown_states(rows)
    context = parts.frame(request.user, found, newest, "Versions") | {"rows": [(row, states[row.pk]) for row in rows]}
    return render(request, "portal/record_versions.html", context)


@require_GET
def compare(request: PersonRequest, number: str) -> HttpResponse:
    """?from=1&to=2: what differs in metadata, files and one text; without them the two newest."""
    found = _record(request, number)
    known = list(found.versions.order_by("ordinal").values_list("ordinal", flat=True))
    if len(known) < 2:
        raise Http404
    old = _version(request, number, _ordinal(request.GET.get("from"), known, known[-2]))
    new_one = _version(request, number, _ordinal(request.GET.get("to"), known, known[-1]))
    trail.access(request.user, "view", found, {"page": "compare", "from": old.ordinal, "to": new_one.ordinal})
    with _as_person(request):
        comparison = parts.compare(old, new_one, request.GET.get("file", ""))
    context = parts.frame(request.user, found, new_one, "Versions") | {
        "old": old,
        "new": new_one,
        "known": known,
        "comparison": comparison,
        "mode": "inline" if request.GET.get("mode") == "inline" else "split",
    }
    return render(request, "portal/record_compare.html", context)


@require_GET
def export(request: PersonRequest, number: str, ordinal: int, what: str) -> HttpResponseBase:
    shown = _version(request, number, ordinal)
    if what not in exports.MAKERS:
        raise Http404
    demand(request.user, "record.export", shown, shown)
    trail.access(request.user, "export", shown, {"what": what})
    try:
        with _as_person(request):
            return exports.MAKERS[what](shown, request.user)
    except StorageError as error:
        return _unread(request, shown, error)


def _unread(request: PersonRequest, shown: Version, error: StorageError) -> HttpResponse:
    """Back to the version, with the sentence that says what S3 did not give."""
    messages.error(request, f"This could not be read from S3. {error}")
    return redirect(shown)


def _record(request: PersonRequest, number: str) -> Record:
    rows = Record.objects.visible_to(request.user).of_kind(Kind.DATA).select_related("type", "area")
    return get_object_or_404(rows, number=number)


def _version(request: PersonRequest, number: str, ordinal: int) -> Version:
    rows = (
        Version.objects.visible_to(request.user)
        .filter(record__type__kind=Kind.DATA)
        .select_related("record__type", "record__area", "author", "definition__record__type")
        .prefetch_related("files", "definition__files")
    )
    return get_object_or_404(rows, record__number=number, ordinal=ordinal)


def _file(shown: Version, key: str) -> File:
    found = next((file for file in shown.files.all() if file.logical_key == key), None)
    if found is None:
        raise Http404
    return found


def _ordinal(text: str | None, known: list[int], otherwise: int) -> int:
    return int(text) if text and text.isdecimal() and len(text) < 9 and int(text) in known else otherwise


def _as_person(request: PersonRequest) -> Any:
    """S3 is asked in the person's own role session, so that CloudTrail names them."""
    return s3.asking_for(request.user.username, request.user.username)


app_name = "record"
urlpatterns = [
    path("", listing, name="list"),
    path("new/", new, name="new"),
    path("<slug:number>/", record, name="record"),
    path("<slug:number>/versions/", versions, name="versions"),
    path("<slug:number>/compare/", compare, name="compare"),
    *register.urlpatterns,
    path("<slug:number>/v<int:ordinal>/", version, name="version"),
    path("<slug:number>/v<int:ordinal>/verify/", verify, name="verify"),
    path("<slug:number>/v<int:ordinal>/verdict/", verdict, name="verdict"),
    path("<slug:number>/v<int:ordinal>/files/", files, name="files"),
    path("<slug:number>/v<int:ordinal>/files/<path:key>", file, name="file"),
    path("<slug:number>/v<int:ordinal>/raw/<path:key>", raw, name="raw"),
    path("<slug:number>/v<int:ordinal>/signatures/", signatures, name="signatures"),
    path("<slug:number>/v<int:ordinal>/export/<str:what>", export, name="export"),
]
