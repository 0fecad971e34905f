"""Pages of record definitions: what each data type asks for, writing it, submitting it, and old records against it.

A definition is read, compared and signed like every document, under /documents/; here it is written as data.
"""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import Q
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.http import PersonRequest
from accounts.models import User
from accounts.permissions import demand, may
from audit import clock, trail
from portal.pages import obstacles, paging
from portal.pages import rows as form_rows
from portal.pages.document_forms import SubmitForm
from printing.markdown import to_html
from records import contract, defining, definitions, drafts, schema_table
from records.area_field import AreaField
from records.contract import Definition, Failure
from records.kinds import Kind
from records.models import Draft, Record, RecordType, Version
from signatures import routes
from storage.s3 import StorageError

REVIEW_EVERY = timedelta(days=365)
ROLES = sorted({role for able in contract.SIGNERS.values() for role in able}, reverse=True)


# The list ------------------------------------------------------------------------------------------------------------


@dataclass
class Row:
    """One data type: the definition in force and what it says, when it is to be reviewed, what is under way."""

    type: RecordType
    version: Version | None = None
    said: Definition | None = None
    since: datetime | None = None
    review: datetime | None = None
    overdue: bool = False
    in_review: Version | None = None
    draft: Draft | None = None


@require_GET
def listing(request: PersonRequest) -> HttpResponse:
    now = clock.now()
    visible = Record.objects.visible_to(request.user).of_kind(Kind.DEFINITION)
    types = list(RecordType.objects.filter(definition__in=visible).select_related("definition__type").order_by("code"))
    context = {
        "rows": rows(types, now),
        "writes": may(request.user, "definition.write"),
        "crumbs": [{"label": "Record definitions"}],
    }
    return render(request, "portal/definitions.html", context)


def rows(types: Sequence[RecordType], now: datetime) -> list[Row]:
    """Rows of these types, in three queries however many they are."""
    records: list[Any] = [kind.definition_id for kind in types]
    found = Version.objects.filter(record__in=records).select_related("effectivity", "record__type").defer("manifest")
    versions: dict[Any, list[Version]] = defaultdict(list)
    for version in found.prefetch_related("files").order_by("-ordinal"):
        versions[version.record_id].append(version)
    drafted = {
        draft.record_id: draft for draft in Draft.objects.filter(record__in=records).select_related("checked_out_by")
    }
    made = []
    for kind in types:
        record: Any = kind.definition_id
        row = Row(kind, draft=drafted.get(record))
        for version in versions.get(record, []):
            status = version.status_at(now)
            if status == "effective":
                row.version, row.said, row.since = version, _said(version), version.effectivity.during.lower
                row.review = row.since + REVIEW_EVERY
                row.overdue = row.review < now
            elif status == "in_review":
                row.in_review = version
        made.append(row)
    return made


def _said(version: Version) -> Definition | None:
    try:
        return definitions.read(version)
    except (StorageError, StopIteration):
        return None


# A new type ----------------------------------------------------------------------------------------------------------


class NewType(forms.Form):
    name = forms.CharField(max_length=200, help_text="What people call a record of this type, such as NGS run package.")
    code = forms.CharField(
        max_length=12, help_text="2 to 12 capital letters and digits, such as NGS. It never changes."
    )
    numbering = forms.ChoiceField(
        choices=RecordType.Numbering.choices, widget=forms.RadioSelect, initial=RecordType.Numbering.COUNTED
    )
    begins_with = forms.CharField(
        label="Numbers begin with",
        required=False,
        max_length=12,
        help_text="Such as KRAS in KRAS-001. Typed numbers may do without.",
    )
    digits = forms.IntegerField(min_value=1, max_value=8, initial=3, help_text="KRAS-001 has 3.")
    area = AreaField(help_text="Where the definition is kept.")

    def __init__(self, data: Any, *, user: User) -> None:
        super().__init__(data)
        self.fields["area"].offer(user)  # type: ignore[attr-defined]


@require_http_methods(["GET", "POST"])
def new(request: PersonRequest) -> HttpResponse:
    demand(request.user, "definition.write")
    form = NewType(request.POST or None, user=request.user)
    if request.method == "POST" and form.is_valid():
        try:
            with trail.refusals(request.user):
                asked = dict(form.cleaned_data)
                prefix = asked.pop("begins_with")
                made = defining.create_type(**asked, prefix=prefix, by=request.user)
        except trail.Refused as refused:
            form.add_error(None, refused.message)
        else:
            messages.success(request, f"{made.name} is made, with a definition to be written and signed.")
            return redirect("definition:edit", made.code)
    crumbs = [*CRUMBS, {"label": "New type"}]
    status = 400 if form.errors else 200
    return render(request, "portal/definition_new.html", {"form": form, "crumbs": crumbs}, status=status)


# The editor ----------------------------------------------------------------------------------------------------------


class Plain(forms.Form):
    """What a definition says in words."""

    name = forms.CharField(max_length=200, required=False)
    description = forms.CharField(label="What it is", widget=forms.Textarea(attrs={"rows": 4}), required=False)
    owner = forms.CharField(max_length=200, required=False, help_text="The function that answers for it, not a person.")
    part11 = forms.BooleanField(label="This is a record under 21 CFR Part 11", required=False)
    part11_reason = forms.CharField(
        label="Why it is, or is not", widget=forms.Textarea(attrs={"rows": 3}), required=False
    )
    predicate_rule = forms.CharField(
        required=False, max_length=500, help_text="The regulation that asks for this record, such as 21 CFR 58.190."
    )
    retention_years = forms.IntegerField(
        min_value=1, max_value=200, label="Kept for, years", help_text="From registration."
    )
    other_files = forms.BooleanField(label="Files that are not listed here are allowed", required=False)


class FileForm(forms.Form):
    label = forms.CharField(max_length=200, required=False)
    pattern = forms.CharField(
        max_length=500, required=False, widget=forms.TextInput(attrs={"class": "mono", "spellcheck": "false"})
    )
    min_count = forms.IntegerField(label="At least", min_value=0, initial=1, required=False)
    max_count = forms.IntegerField(label="At most", min_value=1, required=False)
    media_type = forms.CharField(
        max_length=200, required=False, widget=forms.TextInput(attrs={"class": "mono", "spellcheck": "false"})
    )


class FieldForm(forms.Form):
    name = forms.CharField(
        max_length=200, required=False, widget=forms.TextInput(attrs={"class": "mono", "spellcheck": "false"})
    )
    title = forms.CharField(max_length=200, required=False)
    type = forms.ChoiceField(choices=list(schema_table.TYPES.items()), required=False, initial="string")
    required = forms.BooleanField(label="Must be there", required=False, initial=True)
    description = forms.CharField(max_length=2000, required=False, label="Help for who fills it in")
    choices = forms.CharField(
        label="Only these values, one a line", required=False, widget=forms.Textarea(attrs={"rows": 3})
    )
    pattern = forms.CharField(
        label="Pattern (RE2)", required=False, widget=forms.TextInput(attrs={"class": "mono", "spellcheck": "false"})
    )
    format = forms.ChoiceField(
        choices=[(name, name or "any") for name in schema_table.FORMATS], required=False, label="Format"
    )
    more = forms.CharField(
        label="More keywords, as JSON",
        required=False,
        widget=forms.Textarea(attrs={"rows": 2, "class": "mono", "spellcheck": "false"}),
    )


class SignerForm(forms.Form):
    role = forms.ChoiceField(choices=[(role, role.capitalize()) for role in ROLES], required=False)
    meaning = forms.ChoiceField(choices=[(word, word.capitalize()) for word in contract.SIGNERS], required=False)
    sentence = forms.CharField(label="Sentence that is signed", max_length=1000, required=False)


class Raw(forms.Form):
    """The metadata schema as JSON: all of it, or what stands beside the table."""

    schema = forms.CharField(
        label="JSON Schema, draft 2020-12",
        required=False,
        widget=forms.Textarea(attrs={"rows": 22, "class": "mono", "spellcheck": "false"}),
    )


class Editor:
    """The definition's form: words, files, metadata (as a table or as JSON) and signers, with a way there and back."""

    def __init__(self, definition: Definition, data: Any = None, *, as_json: bool = False) -> None:
        said = definition.to_json()
        schema = said["metadata_schema"]
        fields = schema_table.rows_of(schema)
        self.table = data.get("schema_as") != "json" if data else fields is not None and not as_json
        self.only_json = fields is None
        self.plain = Plain(data, prefix="d", initial=said)
        self.files = form_rows.of_form(FileForm, data, "files", said["required_files"])
        self.fields = form_rows.of_form(FieldForm, data, "fields", [vars(row) for row in fields or []])
        self.signers = form_rows.of_form(SignerForm, data, "signers", said["signers"])
        shown = schema_table.rest_of(schema) if self.table else schema
        self.raw = Raw(data, prefix="schema", initial={"schema": json.dumps(shown, indent=2, ensure_ascii=False)})
        if self.table:
            self.raw.fields["schema"].label = "What stands beside the fields, as JSON"
            self.raw.fields["schema"].widget.attrs["rows"] = 6

    def values(self) -> dict[str, Any]:
        """What stands in the form, as a definition's data. Raises ValidationError, TableError with a sentence."""
        broken = [
            f"{bound.label}: {error}"
            for form in [self.plain, *self.files, *self.fields, *self.signers]
            if not form.is_valid()
            for bound in form
            for error in bound.errors
        ]
        if broken or not self.raw.is_valid():
            raise forms.ValidationError(broken or ["The schema cannot be read."])
        typed = schema_table.read_object(self.raw.cleaned_data["schema"], "The metadata schema")
        if self.table:
            typed = schema_table.schema_of(
                [
                    schema_table.FieldRow(**form_rows.only(row, schema_table.FieldRow))
                    for row in form_rows.kept(self.fields, "name", "title", "description", "choices", "pattern", "more")
                ],
                typed,
            )
        files = [
            form_rows.only(row, contract.RequiredFile)
            | {"min_count": 1 if row["min_count"] is None else row["min_count"]}
            for row in form_rows.kept(self.files, "pattern", "label")
        ]
        signers = [form_rows.only(row, contract.Signer) for row in form_rows.kept(self.signers, "sentence")]
        return {**self.plain.cleaned_data, "required_files": files, "metadata_schema": typed, "signers": signers}


@dataclass(frozen=True)
class Reading:
    """What the form says now: the definition, or why it is none; what keeps it from being submitted; how it will read."""

    definition: Definition | None
    problems: list[str]
    sections: list[dict[str, Any]]


def read(editor: Editor) -> Reading:
    try:
        definition = Definition.from_json(editor.values())
    except forms.ValidationError as error:
        return Reading(None, list(error.messages), [])
    except contract.DefinitionError as error:
        return Reading(None, error.problems, [])
    except schema_table.TableError as error:
        return Reading(None, [str(error)], [])
    return Reading(definition, contract.problems(definition), _as_document(definition))


def _as_document(definition: Definition) -> list[dict[str, Any]]:
    from portal.pages.record_parts import safe

    return [
        {
            "title": section["title"],
            "html": safe(to_html(section["text"], prefix=f"{section['id']}-", shift=2), section["title"]),
        }
        for section in defining.as_sections(definition)
    ]


@require_http_methods(["GET", "POST"])
def edit(request: PersonRequest, code: str) -> HttpResponse:
    kind = _type(request, code)
    draft = _draft(kind)
    demand(request.user, "definition.write", draft.record, draft.record)
    definition = defining.definition_of(draft)
    if request.method == "GET":
        trail.access(request.user, "view", draft.record, {"page": "draft"})
        return _editor(request, kind, draft, Editor(definition, as_json=request.GET.get("schema") == "json"))
    editor = Editor(definition, request.POST)
    if request.POST.get("add"):
        return _editor(request, kind, draft, editor)
    asked = read(editor)
    if asked.definition is None:
        return _editor(request, kind, draft, editor, problem=" ".join(asked.problems))
    try:
        with trail.refusals(request.user):
            defining.save(
                draft,
                asked.definition.to_json(),
                by=request.user,
                message=request.POST.get("message", ""),
                on_top_of=form_rows.number(request.POST.get("on_top_of", "")),
            )
    except trail.Refused as refused:
        return _editor(request, kind, draft, editor, problem=refused.message)
    messages.success(request, "Saved.")
    if request.POST.get("then") == "submit":
        return redirect("definition:submit", kind.code)
    return redirect(f"{request.path}{'?schema=json' if not editor.table else ''}")


def _editor(
    request: PersonRequest, kind: RecordType, draft: Draft, editor: Editor, *, problem: str = ""
) -> HttpResponse:
    bound = editor.plain.is_bound
    shown = read(editor) if bound else _reading(defining.definition_of(draft))
    context = {
        "type": kind,
        "record": kind.definition,
        "draft": draft,
        "editor": editor,
        "reading": shown,
        "problem": problem,
        "holds": draft.checked_out_by_id == request.user.pk,
        "on_top_of": request.POST.get("on_top_of") or draft.revision,
        "message": request.POST.get("message", draft.message),
        "crumbs": [*CRUMBS, {"label": kind.definition.number if kind.definition else kind.code}],
    }
    return render(request, "portal/definition_edit.html", context, status=400 if problem else 200)


def _reading(definition: Definition) -> Reading:
    return Reading(definition, contract.problems(definition), _as_document(definition))


@require_POST
def check(request: PersonRequest, code: str) -> HttpResponse:
    """What the form says as it stands: problems and the document that it will be. Nothing is kept."""
    kind = _type(request, code)
    draft = _draft(kind)
    demand(request.user, "definition.write", draft.record, draft.record)
    editor = Editor(defining.definition_of(draft), request.POST)
    return render(request, "portal/definition_reading.html", {"reading": read(editor)})


@require_POST
def hold(request: PersonRequest, code: str, what: str) -> HttpResponse:
    """Check out, check in, or take over with a reason."""
    kind = _type(request, code)
    draft = _draft(kind)
    if what == "check-out":
        drafts.check_out(draft, by=request.user)
    elif what == "check-in":
        drafts.check_in(draft, by=request.user)
    else:
        drafts.take_over(draft, by=request.user, reason=request.POST.get("reason", ""))
    return redirect("definition:edit", kind.code)


class Submit(SubmitForm):
    """A definition is effective from the moment of its approval: what it admits must be known before."""

    effective_on = None  # type: ignore[assignment]

    @property
    def effective_from(self) -> None:
        return None


@require_http_methods(["GET", "POST"])
def submit(request: PersonRequest, code: str) -> HttpResponse:
    kind = _type(request, code)
    draft = _draft(kind)
    demand(request.user, "definition.write", draft.record, draft.record)
    shown = _reading(defining.definition_of(draft))
    form = Submit(request.POST or None, draft=draft, by=request.user, today=clock.now().date())
    if request.method == "POST" and form.is_valid():
        asked = form.cleaned_data
        try:
            with trail.refusals(request.user):
                version = defining.submit(
                    draft,
                    by=request.user,
                    message=asked["message"],
                    then=lambda made: routes.of_document(
                        made, list(asked["reviewers"]), list(asked["approvers"]), form.due_at, by=request.user
                    ),
                )
        except trail.Refused as refused:
            form.add_error(None, refused.message)
        except StorageError as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, f"{version} is in review. Its signers find it on their desks.")
            obstacles.tell(request, version)
            return redirect(version)
    context = {
        "type": kind,
        "record": kind.definition,
        "draft": draft,
        "form": form,
        "reading": shown,
        "crumbs": [
            *CRUMBS,
            {"label": kind.code, "url": f"/definitions/{kind.code}/edit/"},
            {"label": "Submit"},
        ],
    }
    return render(request, "portal/definition_submit.html", context, status=400 if form.errors else 200)


# Old records against the contract of today ---------------------------------------------------------------------------


@require_GET
def against(request: PersonRequest, code: str) -> HttpResponse:
    """Each record's newest version held against the definition in force. Nothing is changed: it stays admitted by its own."""
    kind = _type(request, code)
    held = definitions.in_force(kind, clock.now())
    found = Record.objects.visible_to(request.user).filter(type=kind)
    records, previous_url, next_url = paging.by_key(found, request)
    newest = (
        Version.objects.filter(record__in=records)
        .order_by("record_id", "-ordinal")
        .distinct("record_id")
        .select_related("record__type", "definition__record")
        .defer("manifest")
        .prefetch_related("files")
    )
    checked = [
        {"version": version, "failures": failures(held[1], version) if held else []}
        for version in sorted(newest, key=lambda version: version.record.number)
    ]
    context = {
        "type": kind,
        "held": held,
        "checked": checked,
        "previous_url": previous_url,
        "next_url": next_url,
        "writes": may(request.user, "definition.write"),
        "crumbs": [*CRUMBS, {"label": f"{kind.name}: records against it"}],
    }
    return render(request, "portal/definition_records.html", context)


def failures(definition: Definition, version: Version) -> list[Failure]:
    """What would refuse this version if it came today."""
    files = list(version.files.all())
    media_types = {file.logical_key: file.media_type for file in files if file.media_type}
    return contract.check(definition, files, version.metadata, media_types=media_types)


def _type(request: PersonRequest, code: str) -> RecordType:
    """The type by its code, or by the number of its definition."""
    visible = Record.objects.visible_to(request.user).of_kind(Kind.DEFINITION)
    types = RecordType.objects.filter(definition__in=visible).select_related("definition__type", "definition__area")
    return get_object_or_404(types, Q(code=code) | Q(definition__number=code))


def _draft(kind: RecordType) -> Draft:
    return get_object_or_404(
        Draft.objects.select_related("record__type", "record__area", "record__defines", "checked_out_by"),
        record=kind.definition_id,
    )


CRUMBS = [{"label": "Record definitions", "url": "/definitions/"}]
app_name = "definition"
urlpatterns = [
    path("", listing, name="list"),
    path("new/", new, name="new"),
    path("<slug:code>/edit/", edit, name="edit"),
    path("<slug:code>/check/", check, name="check"),
    path("<slug:code>/check-out/", hold, {"what": "check-out"}, name="check_out"),
    path("<slug:code>/check-in/", hold, {"what": "check-in"}, name="check_in"),
    path("<slug:code>/take-over/", hold, {"what": "take-over"}, name="take_over"),
    path("<slug:code>/submit/", submit, name="submit"),
    path("<slug:code>/records/", against, name="against"),
]
