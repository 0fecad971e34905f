"""The signing page: what is signed, what changed since the last approval, what the trail says, and the sign dialog."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from accounts.http import PersonRequest
from accounts.models import User
from accounts.roles import Role
from audit import clock, trail
from audit.actions import REFUSALS, Action
from audit.models import Entry
from portal.consequences import approved, signed
from portal.pages.reassign import nobody_else
from records import documents, manifest, redline
from records.kinds import Kind
from records.lifecycle import State
from records.models import Version
from signatures import dialog
from signatures.dialog import Place
from signatures.forms import SignForm
from signatures.interactive import interactive_only
from signatures.meanings import WITH_REASON, Meaning
from signatures.models import Signature, Step
from signatures.queries import OPEN_STATES
from signatures.requests import had_part
from signatures.review import last_approved, trail_since
from signatures.transitions import may_reassign, sign
from signatures.views import pages_of
from storage.s3 import StorageError

ENTRIES = 200
WHAT, CHANGES, AUDIT = "what", "changes", "audit"


@sensitive_post_parameters("password", "code")
@require_http_methods(["GET", "POST"])
@interactive_only
def page(request: PersonRequest, pk: uuid.UUID) -> HttpResponse:
    """A step to sign. POST signs it."""
    step = _step(request, pk)
    if request.method == "POST":
        return dialog.answered(
            request, _place(step), _verb(request), lambda card, status: _draw(request, step, card, status)
        )
    if step.signature:
        return redirect(step.signature)
    return _draw(request, step, {}, 200)


@sensitive_post_parameters("password", "code")
@require_POST
@interactive_only
def open_dialog(request: PersonRequest, pk: uuid.UUID) -> HttpResponse:
    """The deliberate act before the signing: it makes the intent that the dialog carries."""
    step = _step(request, pk)
    if obstacle := why_not(step, request.user):
        raise trail.Refused(obstacle, action=Action.SIGNATURE_REFUSED, subject=step.version, by=request.user)
    return dialog.opened(request, _place(step))


def _step(request: PersonRequest, pk: uuid.UUID) -> Step:
    steps = Step.objects.visible_to(request.user).select_related(
        "version__record__type", "version__record__area", "version__request", "version__author", "assignee", "signature"
    )
    return get_object_or_404(steps, pk=pk)


def _place(step: Step) -> Place:
    return Place(
        version=step.version,
        step=step,
        url=reverse("portal:sign", args=[step.pk]),
        open_url=reverse("portal:open_dialog", args=[step.pk]),
    )


def _verb(request: PersonRequest) -> dialog.Verb:
    def verb(form: SignForm) -> Signature:
        meaning = form.cleaned_data["meaning"]
        return sign(
            form.cleaned_data["intent"],
            meaning,
            signer=request.user,
            credentials=form.credentials(),
            sitting=request.sitting,
            request=request,
            # What was typed for a rejection that was thought better of is no part of a review.
            reason=form.cleaned_data["reason"] if meaning in WITH_REASON else "",
            reviewed=form.cleaned_data["reviewed"],
            approved=approved,
            signed=signed,
        )

    return verb


def why_not(step: Step, user: User) -> str:
    """Why this person cannot sign the step now, in a sentence; "" where it waits for them."""
    version = step.version
    if Step.objects.awaiting(user).filter(pk=step.pk).exists():
        return ""
    if step.signature_id:
        return "This step is signed."
    if step.lapsed_at:
        return "Enough others signed at this place: this signature is asked for no more."
    if version.state not in OPEN_STATES:
        return f"This version is {version.get_state_display().lower()}: it waits for no signature."
    if had_part(version, user, step.meaning):
        return "You wrote this version, or part of it: somebody else signs it."
    if step.assignee and step.assignee_id != user.pk:
        return f"This signature is asked of {step.assignee}."
    if step.role not in user.roles:
        return f"This signature is asked of anyone who is {Role(step.role).label}."
    if version.signatures.counting().filter(signer=user).exists():
        return "You signed this version already: each signature is another person's."
    return "It is not this step's turn: a signature before it is still missing."


def _draw(request: PersonRequest, step: Step, card: dict[str, Any], status: int) -> HttpResponse:
    version, before = step.version, last_approved(step.version)
    shown = request.GET.get("show", WHAT)
    entries = trail_since(version, before)
    total = entries.count()
    obstacle = why_not(step, request.user)
    takes_effect = version.record.type.kind not in (Kind.DATA, Kind.REPORT)
    waits = (
        step.meaning != Meaning.RESPONSIBILITY
        and not step.signature_id
        and not step.lapsed_at
        and version.state in OPEN_STATES
    )
    reassigns = waits and may_reassign(step, request.user)
    alone = nobody_else(step) if reassigns else ""
    context: dict[str, Any] = {
        "step": step,
        "overdue": version.state in OPEN_STATES and step.overdue_at(clock.now()),
        "reassigns": reassigns and not alone,
        "nobody_else": alone,
        "recalls": version.state == State.IN_REVIEW and version.author_id == request.user.pk,
        "version": version,
        "before": before,
        "shown": shown,
        "tabs": _tabs(shown, before, total),
        "crumbs": [
            {"label": "Desk", "url": "/"},
            {"label": version.record.number, "url": version.record.get_absolute_url()},
            {"label": "Sign"},
        ],
        "route": route(version),
        "takes_effect": takes_effect,
        "effective_from": documents.effective_from(version) if takes_effect else None,
        "obstacle": obstacle,
    }
    if shown == CHANGES:
        trail.access(request.user, "view", version, {"tab": "changes"})
        context["changes"] = changes(before, version) if before else None
    elif shown == AUDIT:
        context["days"], context["limit"] = _days(entries.order_by("-id")[:ENTRIES]), ENTRIES
        context |= {"total": total, "more": total > ENTRIES}
    else:
        context["pages"] = pages_of(request, version)
    if not obstacle:
        context |= card or dialog.context(request, _place(step))
    return render(request, "portal/sign.html", context, status=status)


def _tabs(shown: str, before: Version | None, entries: int) -> list[dict[str, Any]]:
    since = f"Changes since {before.revision or f'version {before.ordinal}'}" if before else "Changes"
    return [
        {"label": "What you sign", "url": "?", "active": shown not in (CHANGES, AUDIT)},
        {"label": since, "url": f"?show={CHANGES}", "active": shown == CHANGES},
        {
            "label": "Audit since last approval" if before else "Audit since the beginning",
            "url": f"?show={AUDIT}",
            "active": shown == AUDIT,
            "count": entries,
        },
    ]


def _days(entries: QuerySet[Entry]) -> list[dict[str, Any]]:
    drawn: list[dict[str, Any]] = [
        {
            "at": entry.at,
            "source": _source(entry),
            "sentence": entry.sentence,
            "detail": entry.reason or entry.detail.get("message", ""),
        }
        for entry in entries
    ]
    return [{"day": day, "entries": list(group)} for day, group in groupby(drawn, key=lambda line: line["at"].date())]


def _source(entry: Entry) -> str:
    if entry.action in REFUSALS:
        return "refused"
    return "signature" if entry.action == Action.SIGNATURE_APPLIED else "portal"


def route(version: Version) -> list[dict[str, Any]]:
    """Who has signed so far and who is still asked, as the stepper draws it."""
    done = "Registered" if version.record.type.kind == Kind.DATA else "Submitted"
    steps = list(version.steps.select_related("signature", "assignee").order_by("place", "pk"))
    turn = min((step.place for step in steps if step.signature is None and step.lapsed_at is None), default=0)
    rows = [{"label": done, "state": "done", "detail": version.author.legal_name, "at": version.created_at}]
    now = clock.now()
    return rows + [_route_row(step, step.place == turn and version.state in OPEN_STATES, now) for step in steps]


def _route_row(step: Step, its_turn: bool, now: datetime) -> dict[str, Any]:
    if step.signature:
        rejected = step.signature.meaning == Meaning.REJECTION
        return {
            "label": step.signature.get_meaning_display(),
            "state": "refused" if rejected else "done",
            "detail": step.signature.printed_name,
            "at": step.signature.signed_at,
        }
    whom = step.assignee.legal_name if step.assignee else f"any {Role(step.role).label}"
    if step.lapsed_at:
        return {"label": step.get_meaning_display(), "state": "lapsed", "detail": f"{whom}: lapsed, enough have signed"}
    if step.due_at:
        late = its_turn and step.overdue_at(now)
        whom += f", {'late since' if late else 'due'} {step.due_at.day} {step.due_at:%b}"
    if step.needed:
        whom += f" (any {step.needed} of these)"
    return {"label": step.get_meaning_display(), "state": "now" if its_turn else "todo", "detail": whom}


@dataclass(frozen=True)
class Changes:
    """What differs from the version before: a redline of the text, or of metadata and file list; `problem` where it cannot
    be told."""

    diff: dict[str, Any] | None = None
    metadata: Sequence[redline.MetadataChange] = ()
    files: Sequence[redline.FileChange] = ()
    problem: str = ""


def changes(before: Version, version: Version) -> Changes:
    """Reads the texts of documents from S3; data packages are compared by metadata and file list."""
    if version.record.type.kind == Kind.DATA:
        return Changes(
            metadata=redline.compare_metadata(before.metadata, version.metadata),
            files=redline.compare_files(_files(before), _files(version)),
        )
    try:
        old, new = (documents.as_text(documents.sections_of(each)) for each in (before, version))
    except StorageError as error:
        return Changes(problem=str(error))
    rows = redline.rows(redline.redline(old, new))
    labels = {"left_label": before.label, "right_label": version.label}
    return Changes(
        diff={**labels, "rows": rows} if any(row.kind != "skip" and row.kind != "same" for row in rows) else None
    )


def _files(version: Version) -> list[manifest.Entry]:
    return [
        manifest.Entry(file.logical_key, file.bucket, file.key, file.s3_version, file.size, file.sha256)
        for file in version.files.all()
    ]
