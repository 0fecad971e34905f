"""Registering a data package: choose a place on S3, see what is there, say what it is, and know at once what is missing.

The version ids that were seen travel with the form, signed: what is registered is what the person looked at, whatever
lies on top of it by then.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django import forms
from django.core import signing
from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path
from django.utils.http import urlencode
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.http import PersonRequest
from accounts.permissions import demand
from audit import clock, reasons, trail
from audit.actions import Action
from audit.models import Entry as TrailEntry
from portal import handlers
from portal.pages import record_parts as parts
from records import definitions, manifest, metadata_form, registration
from records.contract import Definition, Failure
from records.kinds import Kind
from records.models import Record, Version
from storage import browsing, s3
from storage.models import Bucket
from storage.s3 import StorageError

MANIFEST_BYTES = 4 * 1024 * 1024
SEEN_FOR = 24 * 3600  # seconds that a look may be registered
METADATA = "m"  # prefix of the metadata's fields: a schema may name a property as it likes


@dataclass(frozen=True)
class Seen:
    """What the person saw on S3: object versions under a prefix, or a Quilt manifest (as text) with its own metadata."""

    bucket: str
    prefix: str
    entries: list[manifest.Entry]
    deleted: list[str] = field(default_factory=list)
    modified: Mapping[str, str] = field(default_factory=dict)
    package: str = ""

    @property
    def total(self) -> int:
        return sum(entry.size for entry in self.entries)

    @property
    def place(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}"

    def token(self, record: Record) -> str:
        """What travels with the form; nobody but the portal can write it."""
        if self.package:
            return signing.dumps({"record": str(record.pk), "package": self.package}, salt=__name__, compress=True)
        rows = [[e.logical_key, e.version_id, e.size, self.modified.get(e.logical_key, "")] for e in self.entries]
        said = {
            "record": str(record.pk),
            "bucket": self.bucket,
            "prefix": self.prefix,
            "rows": rows,
            "gone": self.deleted,
        }
        return signing.dumps(said, salt=__name__, compress=True)


class SeenTooLongAgo(trail.Refused):
    """The look is no longer good for a registration; looking again makes a new one."""

    status = 400


def seen_on_s3(bucket: str, prefix: str, request: PersonRequest) -> Seen:
    """Look now. Raises Refused, StorageError."""
    with s3.asking_for(request.user.username, request.user.username):
        found = registration.look(bucket, prefix, by=request.user)
    modified = {key: when.isoformat() for key, when in found.modified.items()}
    return Seen(bucket, prefix, found.entries, found.deleted, modified)


def seen_in_manifest(text: str) -> Seen:
    """What a Quilt manifest names. Raises ManifestError."""
    package = manifest.parse(text.encode())
    return Seen("", "", list(package.entries), package=text)


def seen_before(token: str, record: Record, request: PersonRequest) -> Seen:
    """What the form brought back. Raises SeenTooLongAgo."""
    try:
        said = signing.loads(token, salt=__name__, max_age=SEEN_FOR)
    except signing.BadSignature:
        said = {}
    if said.get("record") != str(record.pk):
        raise SeenTooLongAgo(
            "This list of files is more than a day old, or belongs to another record. Look again at what is on S3.",
            action=Action.VERSION_REFUSED, subject=record, by=request.user,
        )  # fmt: skip
    if said.get("package"):
        return seen_in_manifest(said["package"])
    bucket, prefix = said["bucket"], said["prefix"]
    entries = [
        manifest.Entry(key, bucket, prefix + key, version, size, "", {}) for key, version, size, _ in said["rows"]
    ]
    return Seen(bucket, prefix, entries, said["gone"], {key: when for key, _, _, when in said["rows"]})


class ManifestForm(forms.Form):
    """A Quilt manifest, handed over or by its place on S3."""

    manifest = forms.FileField(required=False, help_text="JSON Lines, as quilt3 writes it; at most 4 MiB here.")
    place = forms.CharField(
        label="or its place on S3",
        required=False,
        max_length=1200,
        help_text="s3://bucket/.quilt/packages/…",
        widget=forms.TextInput(attrs={"spellcheck": "false", "placeholder": "s3://bucket/.quilt/packages/9f3c41d7…"}),
    )

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        if bool(values.get("manifest")) == bool(values.get("place")):
            raise forms.ValidationError("Give the file, or its place on S3.")
        return values

    def text(self, request: PersonRequest) -> str:
        """The manifest's text. Raises ValidationError with the reason, StorageError."""
        given = self.cleaned_data["manifest"]
        data = given.read(MANIFEST_BYTES + 1) if given else _manifest_on_s3(self.cleaned_data["place"], request)
        if len(data) > MANIFEST_BYTES:
            raise forms.ValidationError("The manifest is too large for this page; use manage.py register_version.")
        try:
            return str(data.decode())
        except UnicodeDecodeError:
            raise forms.ValidationError("This is not UTF-8 text, so it is no manifest.") from None


def _manifest_on_s3(place: str, request: PersonRequest) -> bytes:
    bucket, _, key = place.strip().removeprefix("s3://").partition("/")
    if not place.strip().startswith("s3://") or not key:
        raise forms.ValidationError("Write the place as s3://bucket/key.")
    if not Bucket.objects.visible_to(request.user).filter(pk=bucket).exists():
        raise forms.ValidationError(f"Bucket {bucket} is not registered for you; an administrator registers buckets.")
    with s3.asking_for(request.user.username, request.user.username):
        head = s3.head(bucket, key)
        if head.size > MANIFEST_BYTES:
            raise forms.ValidationError("The manifest is too large for this page; use manage.py register_version.")
        return b"".join(s3.stream(bucket, key, head.version_id))


class Message(forms.Form):
    message = forms.CharField(
        label="Why this version",
        required=False,
        max_length=500,
        widget=forms.TextInput,
        help_text="For the change history; it is sealed with the version.",
    )
    twice = forms.CharField(
        label="Why these object versions are registered again",
        max_length=500,
        widget=forms.TextInput,
        help_text="It is sealed with the version, after the message.",
    )

    def __init__(self, *args: Any, twice: bool, **more: Any) -> None:
        super().__init__(*args, **more)
        if not twice:
            del self.fields["twice"]

    def clean_twice(self) -> str:
        said = str(self.cleaned_data["twice"])
        if told := reasons.fault(said):
            raise forms.ValidationError(told)
        return said


@require_GET
def choose(request: PersonRequest, number: str) -> HttpResponse:
    """Step 1: a registered bucket, and a folder in it."""
    record = _record(request, number)
    buckets = list(Bucket.objects.visible_to(request.user))
    asked = request.GET.get("bucket") or (buckets[0].name if len(buckets) == 1 else "")
    bucket = next((known for known in buckets if known.name == asked), None)
    prefix, begins = request.GET.get("prefix", ""), request.GET.get("begins", "")
    level, problem = None, ""
    if bucket:
        try:
            with s3.asking_for(request.user.username, request.user.username):
                level = browsing.level(bucket.name, prefix, begins)
        except StorageError as error:
            problem = str(error)
    context = _frame(request, record, 1) | {
        "buckets": buckets,
        "bucket": bucket,
        "prefix": prefix,
        "begins": begins,
        "way": browsing.steps(prefix),
        "level": level,
        "problem": problem,
        "refusals": refusals_of(record),
        "look_query": urlencode({"bucket": bucket.name, "prefix": prefix}) if bucket else "",
    }
    return render(request, "portal/register_choose.html", context)


@require_POST
def from_manifest(request: PersonRequest, number: str) -> HttpResponse:
    """Step 1, the other way: a Quilt manifest. What it names is then seen in step 2."""
    record = _record(request, number)
    form = ManifestForm(request.POST, request.FILES)
    if form.is_valid():
        try:
            return _see(request, record, seen_in_manifest(form.text(request)))
        except forms.ValidationError as error:
            form.add_error(None, error)
        except (manifest.ManifestError, StorageError) as error:
            form.add_error(None, f"This is no manifest that can be registered. {error}")
    context = _frame(request, record, 1) | {"manifest_form": form, "buckets": Bucket.objects.visible_to(request.user)}
    return render(request, "portal/register_choose.html", context, status=400)


@require_http_methods(["GET", "POST"])
def look(request: PersonRequest, number: str) -> HttpResponse:
    """Step 2: what is there, and the form of the definition. Posted, it is registered or says all that is wrong."""
    record = _record(request, number)
    try:
        if request.method == "POST":
            seen = seen_before(request.POST.get("seen", ""), record, request)
            if "again" in request.POST:
                return _see(request, record, seen_on_s3(seen.bucket, seen.prefix, request), typed=True)
            return _register(request, record, seen)
        return _see(request, record, seen_on_s3(request.GET.get("bucket", ""), request.GET.get("prefix", ""), request))
    except StorageError as error:
        context = _frame(request, record, 1) | {
            "problem": str(error),
            "buckets": Bucket.objects.visible_to(request.user),
        }
        return render(request, "portal/register_choose.html", context, status=502)


@require_POST
def check(request: PersonRequest, number: str) -> HttpResponse:
    """The contract's answer to what stands in the form now; nothing is kept of the question."""
    record = _record(request, number)
    seen = seen_before(request.POST.get("seen", ""), record, request)
    verdict = Check(record, _definition(record), seen, request, typed=True)
    return render(request, "portal/register_check.html", {"check": verdict, "seen": seen})


class Check:
    """The contract asked about what was seen and typed: problems with files, with the metadata as a whole, and at fields."""

    def __init__(
        self, record: Record, definition: Definition | None, seen: Seen, request: PersonRequest, *, typed: bool
    ) -> None:
        self.typed = typed
        self.form: metadata_form.MetadataForm | None = None
        self.metadata: dict[str, Any] = {}
        if seen.package:
            self.metadata = dict(manifest.parse(seen.package.encode()).user_meta)
        elif definition is not None:
            made = metadata_form.form_class(definition.metadata_schema)
            before = _like(request, record, definition)
            self.form = made(request.POST, prefix=METADATA) if typed else made(prefix=METADATA, initial=before)
            if typed:
                self.form.full_clean()
                self.metadata = self.form.metadata()
        found = registration.failures(record.type, seen.entries, self.metadata, by=request.user, when=clock.now())
        about_metadata = [one for one in found if one.path or one.where == "metadata"]
        self.files = [one for one in found if one not in about_metadata]
        # With a form the sentences stand at its fields, with those of what could not even be read as a number or a day.
        self.others = about_metadata if self.form is None else []
        self.belongs_to = registration.belongs_to(seen.entries, record, by=request.user)
        self.wrong_files = {one.where for one in self.files}

    @property
    def fields(self) -> list[tuple[str, str]]:
        """(id, sentence) of each problem of the form; each sentence names its field."""
        if self.form is None or not self.typed:
            return []
        found = [("", str(error)) for error in self.form.non_field_errors()]
        for bound in self.form:
            for error in bound.errors:
                named = str(error).startswith((str(bound.label), f'"{bound.name}'))
                found.append((bound.id_for_label, str(error) if named else f"{bound.label}: {error}"))
        return found

    @property
    def count(self) -> int:
        return len(self.files) + len(self.others) + len(self.fields)

    @property
    def failures(self) -> list[Failure]:
        return [*self.files, *self.others, *(Failure("metadata", sentence) for _, sentence in self.fields)]


def refusals_of(record: Record, count: int = 3) -> QuerySet[TrailEntry]:
    """The last refused registrations, with all their failures, as the trail keeps them."""
    return TrailEntry.objects.filter(
        action=Action.VERSION_REFUSED, subject_kind="record", subject_id=str(record.pk)
    ).order_by("-id")[:count]


def _register(request: PersonRequest, record: Record, seen: Seen) -> HttpResponse:
    """Step 3: refused with everything that is wrong, on the trail too; or on its way, as a job that shows itself."""
    asked = Check(record, _definition(record), seen, request, typed=True)
    message = Message(request.POST, twice=bool(asked.belongs_to))
    if not asked.count and message.is_valid():
        said = message.cleaned_data["message"] or _package_message(seen)
        job = handlers.ask_to_register(
            record, seen.entries, asked.metadata, package=seen.package, by=request.user,
            message=registration.with_reason(said, message.cleaned_data.get("twice", "")),
        )  # fmt: skip
        return redirect("jobs:job", job.pk)
    if asked.count:
        trail.record_refusal(registration.ContractFailed(asked.failures, record, request.user), request.user)
    return _see(request, record, seen, typed=True, refused=bool(asked.count), message=message)


def _see(
    request: PersonRequest,
    record: Record,
    seen: Seen,
    *,
    typed: bool = False,
    refused: bool = False,
    message: Message | None = None,
) -> HttpResponse:
    definition = _definition(record)
    asked = Check(record, definition, seen, request, typed=typed)
    rows = [
        {
            "entry": entry,
            "modified": _time(seen.modified.get(entry.logical_key)),
            "wrong": entry.logical_key in asked.wrong_files,
        }
        for entry in sorted(seen.entries, key=lambda entry: manifest.walk_order(entry.logical_key))
    ]
    context = _frame(request, record, 2) | {
        "seen": seen,
        "rows": rows,
        "token": seen.token(record),
        "definition": definition,
        "check": asked,
        "form": asked.form,
        "message_form": message
        or Message(
            request.POST if typed else None,
            initial={"message": _package_message(seen)},
            twice=bool(asked.belongs_to),
        ),
        "refused": refused,
        "metadata": parts.metadata_table(asked.metadata, definition) if seen.package else [],
        "latest": record.versions.order_by("-ordinal").defer("manifest").first(),
    }
    return render(request, "portal/register_look.html", context, status=422 if refused else 200)


def _frame(request: PersonRequest, record: Record, step: int) -> parts.Context:
    held = definitions.in_force(record.type, clock.now())
    steps = ("Choose a place", "See what is there", "Register")
    return {
        "record": record,
        "manifest_form": ManifestForm(),
        "held": held,
        "next_ordinal": (record.versions.order_by("-ordinal").values_list("ordinal", flat=True).first() or 0) + 1,
        "steps": [
            {"label": label, "state": "done" if place < step else "now" if place == step else "todo"}
            for place, label in enumerate(steps, start=1)
        ],
        "crumbs": [
            {"label": "Records", "url": "/records/"},
            {"label": record.number, "url": record.get_absolute_url()},
            {"label": "Register a version"},
        ],
    }


def _record(request: PersonRequest, number: str) -> Record:
    rows = Record.objects.visible_to(request.user).of_kind(Kind.DATA).select_related("type", "area")
    record = get_object_or_404(rows, number=number)
    demand(request.user, "record.register", record, record)
    return record


def _definition(record: Record) -> Definition | None:
    held = definitions.in_force(record.type, clock.now())
    return held[1] if held else None


def _like(request: PersonRequest, record: Record, definition: Definition) -> dict[str, Any]:
    """What to fill the form with: the metadata of the version that `?like=` names."""
    ordinal = request.GET.get("like", "")
    if not ordinal.isdecimal() or len(ordinal) > 8:
        return {}
    earlier = Version.objects.filter(record=record, ordinal=int(ordinal)).first()
    return metadata_form.initial(definition.metadata_schema, earlier.metadata) if earlier else {}


def _package_message(seen: Seen) -> str:
    return manifest.parse(seen.package.encode()).message if seen.package else ""


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


urlpatterns = [
    path("<slug:number>/register/", choose, name="register"),
    path("<slug:number>/register/manifest/", from_manifest, name="register_manifest"),
    path("<slug:number>/register/look/", look, name="register_look"),
    path("<slug:number>/register/check/", check, name="register_check"),
]
