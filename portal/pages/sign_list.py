"""Several signatures of one meaning with one code: an explicit list, each item opened, all or none (§2 row 16)."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.conf import settings
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from accounts import identity
from accounts.http import PersonRequest
from audit import trail
from audit.actions import Action
from portal.consequences import approved, signed
from portal.pages.sign import why_not
from signatures import dialog, intents, review
from signatures.forms import Components
from signatures.intents import AT_ONCE
from signatures.interactive import interactive_only
from signatures.meanings import Meaning
from signatures.models import INTENT_LIVES, Intent, Signature, Step
from signatures.transitions import sign_all
from signatures.views import pages_of

CARD = "portal/_list_card.html"


class ListForm(Components):
    """The answer of the dialog: the intents of the list, and for approvals those whose trail was reviewed."""

    intent = forms.Field(widget=forms.MultipleHiddenInput)
    reviewed = forms.Field(widget=forms.MultipleHiddenInput, required=False)

    def clean_intent(self) -> list[uuid.UUID]:
        try:
            return [uuid.UUID(typed) for typed in self.cleaned_data["intent"]]
        except ValueError as error:
            raise forms.ValidationError("This is no sign dialog.") from error


@dataclass(frozen=True)
class Item:
    """One line of the list. `wrong` says why it cannot be signed here."""

    step: Step
    opened: int
    wrong: str
    url: str
    active: bool
    intent: Intent | None = None
    entries: int = 0

    @property
    def missing(self) -> int:
        return self.step.version.rendition_pages - self.opened


@sensitive_post_parameters("password", "code")
@require_http_methods(["GET", "POST"])
@interactive_only
def page(request: PersonRequest) -> HttpResponse:
    """The list with its items to read. POST signs all of them."""
    steps = _steps(request)
    if request.method == "POST":
        return _answered(request, steps)
    return _draw(request, steps, {}, 200)


@require_POST
@interactive_only
def open_dialog(request: PersonRequest) -> HttpResponse:
    """The deliberate act before the signing: it makes an intent for each item, bound to the list."""
    steps = _steps(request)
    if wrong := _wrong(steps, request):
        raise trail.Refused(wrong, action=Action.SIGNATURE_REFUSED, by=request.user, subject=request.user)
    with trail.refusals(request.user):
        intents.open_list(steps, user=request.user, sitting=request.sitting)
    if not request.htmx:
        return redirect(f"{_url(steps, _at(request, steps))}#sign-card")
    return render(request, CARD, _context(request, steps))


def _steps(request: PersonRequest) -> list[Step]:
    """The steps that the request names, in its order. Those that one may not see do not exist."""
    asked = request.POST.getlist("step") or request.GET.getlist("step")
    try:
        keys = list(dict.fromkeys(uuid.UUID(text) for text in asked))
    except ValueError:
        raise Http404 from None
    rows = Step.objects.visible_to(request.user).select_related(
        "version__record__type", "version__author", "assignee", "signature"
    )
    found = rows.in_bulk(keys[: AT_ONCE + 1])
    if len(found) < len(keys[: AT_ONCE + 1]):
        raise Http404
    return [found[key] for key in keys[: AT_ONCE + 1]]


def _wrong(steps: Sequence[Step], request: PersonRequest) -> str:
    """Why these steps are no list that the person could sign, in a sentence; "" where they are."""
    if not 2 <= len(steps) <= AT_ONCE:
        return f"Choose 2 to {AT_ONCE} signatures on the desk to sign them together."
    if len({step.meaning for step in steps}) > 1:
        return "One list has one meaning: choose reviews, or approvals."
    if len({step.version_id for step in steps}) < len(steps):
        return "A version stands in a list once."
    obstacles = _obstacles(steps, request)
    return next((f"{step.version.label}: {obstacles[step.pk]}" for step in steps if step.pk in obstacles), "")


def _obstacles(steps: Sequence[Step], request: PersonRequest) -> dict[uuid.UUID, str]:
    """Why the person cannot sign a step now, for each that does not wait for them."""
    mine = set(
        Step.objects.awaiting(request.user).filter(pk__in=[step.pk for step in steps]).values_list("pk", flat=True)
    )
    return {step.pk: why_not(step, request.user) for step in steps if step.pk not in mine}


def _answered(request: PersonRequest, steps: list[Step]) -> HttpResponse:
    form, refused = ListForm(request.POST), None
    if form.is_valid() and steps:
        try:
            with trail.refusals(request.user):
                signatures = _sign(request, form, steps)
            return dialog.gone_to(request, f"{signatures[0].get_absolute_url()}?signed")
        except trail.Refused as caught:
            refused = caught
    shown = {"refused": refused or {"message": "Give your password, and a one-time code or a passkey."}}
    status = refused.status if refused else dialog.BAD_INPUT
    if request.htmx:
        return render(request, CARD, _context(request, steps) | shown, status=status)
    return _draw(request, steps, shown, status)


def _sign(request: PersonRequest, form: ListForm, steps: Sequence[Step]) -> list[Signature]:
    typed = form.cleaned_data
    return sign_all(
        typed["intent"],
        steps[0].meaning,
        signer=request.user,
        credentials=form.credentials(),
        sitting=request.sitting,
        request=request,
        reviewed={str(key) for key in typed["intent"]} <= set(typed["reviewed"] or []),
        approved=approved,
        signed=signed,
    )


def _draw(request: PersonRequest, steps: list[Step], card: dict[str, Any], status: int) -> HttpResponse:
    at = _at(request, steps)
    context = (
        _context(request, steps)
        | card
        | {"at": at, "crumbs": [{"label": "Desk", "url": "/"}, {"label": "Sign a list"}]}
    )
    if at:
        context |= {"version": at.version, "pages": pages_of(request, at.version)}
    return render(request, "portal/sign_list.html", context, status=status)


def _at(request: PersonRequest, steps: Sequence[Step]) -> Step | None:
    """The item whose pages are shown."""
    asked = request.POST.get("at") or request.GET.get("at")
    return next((step for step in steps if str(step.pk) == asked), steps[0] if steps else None)


def _url(steps: Sequence[Step], at: Step | None) -> str:
    chosen = [("step", str(step.pk)) for step in steps] + ([("at", str(at.pk))] if at else [])
    return f"{reverse('portal:sign_list')}?{urlencode(chosen)}"


def _context(request: PersonRequest, steps: list[Step]) -> dict[str, Any]:
    at = _at(request, steps)
    held = {intent.step_id: intent for intent in intents.current_list(steps, request.user, request.sitting)}
    counts = intents.opened_counts([step.version for step in steps], request.sitting.pk)
    obstacles = _obstacles(steps, request)
    approvals = bool(steps) and steps[0].meaning == Meaning.APPROVAL
    items = [
        Item(
            step,
            counts.get(step.version.rendition_sha256, 0),
            obstacles.get(step.pk, ""),
            _url(steps, step),
            step == at,
            intent := held.get(step.pk),
            review.entries_to(step.version, intent.reviewed_to) if intent and approvals else 0,
        )
        for step in steps
    ]
    elsewhere = [item for item in items if item.missing and not item.active]
    return {
        "items": items,
        "at": at,
        "wrong": _wrong(steps, request),
        "meaning": steps[0].get_meaning_display() if steps else "",
        "sentences": list(dict.fromkeys(step.sentence for step in steps)),
        "approvals": approvals,
        "unopened": len(elsewhere),
        "next": elsewhere[0] if elsewhere else None,
        "held": list(held.values()),
        "list_sha256": next(iter(held.values())).list_sha256 if held else "",
        "expires_at": min((intent.expires_at for intent in held.values()), default=None),
        "asks_username": identity.asks_for_username(request.sitting, request),
        "seconds": int(INTENT_LIVES.total_seconds()),
        "ticked": request.POST.getlist("reviewed"),
        "demo": settings.DEMO,
        **dialog.components(list(held.values()), [steps[0].meaning] if steps else [], _url(steps, at)),
    }
