"""Acts about what is signed or in effect already, each a signature of its own: withdraw one's signature, decide about one under
review, retire a version. And the list of signatures that wait for a decision."""

import uuid
from dataclasses import dataclass
from typing import Any

from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import path
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.http import PersonRequest
from accounts.models import User
from accounts.permissions import demand, may
from audit import clock, trail
from audit.actions import Action
from portal.consequences import retired, signed
from portal.pages import manifestation
from records.lifecycle import State
from records.models import Version
from records.transitions import retirement_fault
from signatures import dialog, standing, transitions
from signatures.dialog import Choice, Place
from signatures.forms import SignForm
from signatures.interactive import interactive_only
from signatures.meanings import DECISIONS, OF_THE_ROUTE, SENTENCES, WITHDRAWABLE, Meaning, Outcome
from signatures.models import Signature
from signatures.queries import OPEN_STATES
from signatures.requests import may_decide
from signatures.standing import Stands

SHOWN = 200


@dataclass(frozen=True)
class Shown:
    """One act on its page: what it says, why it is not open ("" where it is), and its dialog."""

    title: str
    says: str
    obstacle: str
    place: Place


def _withdrawal(user: User, signature: Signature) -> Shown:
    stands = standing.of(signature)
    obstacle = ""
    if signature.signer_id != user.pk:
        obstacle = "Everybody withdraws their own signatures alone."
    elif stands.withdrawn or stands.state == standing.FALLEN:
        obstacle = "This signature counts no more already."
    elif signature.meaning not in WITHDRAWABLE:
        obstacle = "This signature speaks of another one, and is not withdrawn."
    choice = Choice(
        Meaning.WITHDRAWAL, "Withdraw", SENTENCES[Meaning.WITHDRAWAL], "Sign the withdrawal", needs_reason=True
    )
    says = (
        "Nothing is deleted: your signature stays where it is, struck through, with your withdrawal beside it. While the version"
        " waits for signatures its step is asked for again. An approved version stays approved until quality has decided."
    )
    return Shown("Withdraw your signature", says, obstacle, _place(signature, "withdraw", [choice]))


def _disposition(user: User, signature: Signature) -> Shown:
    obstacle, stands = "", standing.of(signature)
    if not may(user, "sign.disposition"):
        obstacle = "Quality decides about a signature under review."
    elif not may_decide(signature, user):
        obstacle = "Somebody else decides about your signature, or your text."
    elif not stands.to_decide:
        obstacle = "Nothing is to be decided about this signature."
    choices = [
        Choice(
            f"{Meaning.DISPOSITION}:{outcome}",
            outcome.label,
            DECISIONS[outcome],
            f"Sign: {outcome.label.lower()}",
            needs_reason=True,
            effect=_effect(outcome, signature, stands),
        )
        for outcome in Outcome
    ]
    says = (
        "Look at what was signed, at the trail of the time, and speak with the signer. What you decide is signed and stays with"
        " the signature; one that does not stand is asked for again where its version still waits."
    )
    return Shown("Decide about a signature", says, obstacle, _place(signature, "decide", choices))


def _effect(outcome: str, signature: Signature, stands: Stands) -> str:
    """What a decision brings about, told before the dialog opens."""
    if outcome == Outcome.STANDS:
        if stands.withdrawn:
            return "It stays withdrawn, and the version stays approved; your reason stays with both."
        return "It counts as before. That it was under review, and your reason, stay with it."
    struck = "It counts no more, and is shown struck through."
    if signature.meaning == Meaning.READING:
        return f"{struck} Its reader is not trained on the version any more, and is asked to read it again."
    if signature.meaning not in OF_THE_ROUTE:
        return struck
    if signature.version.state in OPEN_STATES:
        return f"{struck} It is asked for again, and so are those given after it."
    if signature.version.state == State.APPROVED:
        return f"{struck} The version stays approved, with a warning on it, until it is retired or replaced."
    return struck


def _retirement(user: User, version: Version) -> Shown:
    obstacle, now = "", clock.now()
    status = version.status_at(now)
    if not may(user, "document.retire", version.record):
        obstacle = "Your role does not include this."
    elif version.state != State.APPROVED or status not in ("effective", "scheduled"):
        obstacle = "Only a version in effect, or one that waits for its day, is retired."
    else:
        obstacle = retirement_fault(version, now)
    choice = Choice(
        Meaning.RETIREMENT, "Retire", SENTENCES[Meaning.RETIREMENT], "Sign the retirement", needs_reason=True
    )
    effect = "From this moment no revision of it is effective."
    if status == "scheduled":
        effect = "It does not become effective; what it was to replace stays so."
    says = f"{effect} It stays readable; its number is not given again."
    url = f"{version.get_absolute_url()}retire/"
    return Shown("Retire a document", says, obstacle, Place(version, url, f"{url}open/", offered=(choice,)))


def _place(signature: Signature, act: str, choices: list[Choice]) -> Place:
    url = f"{signature.get_absolute_url()}{act}/"
    return Place(signature.version, url, f"{url}open/", offered=tuple(choices), about=signature)


@sensitive_post_parameters("password", "code")
@require_http_methods(["GET", "POST"])
@interactive_only
def withdraw(request: PersonRequest, pk: uuid.UUID) -> HttpResponse:
    def verb(form: SignForm) -> Signature:
        return transitions.withdraw(form.cleaned_data["intent"], **_given(request, form))

    return _page(request, _withdrawal(request.user, _signature(request, pk)), verb)


@sensitive_post_parameters("password", "code")
@require_http_methods(["GET", "POST"])
@interactive_only
def decide(request: PersonRequest, pk: uuid.UUID) -> HttpResponse:
    def verb(form: SignForm) -> Signature:
        return transitions.decide(form.cleaned_data["intent"], form.cleaned_data["outcome"], **_given(request, form))

    return _page(request, _disposition(request.user, _signature(request, pk)), verb)


@sensitive_post_parameters("password", "code")
@require_http_methods(["GET", "POST"])
@interactive_only
def retire(request: PersonRequest, number: str, ordinal: int) -> HttpResponse:
    def verb(form: SignForm) -> Signature:
        return transitions.retire(form.cleaned_data["intent"], **_given(request, form), retired=retired)

    return _page(request, _retirement(request.user, _version(request, number, ordinal)), verb)


@require_POST
@interactive_only
def open_withdrawal(request: PersonRequest, pk: uuid.UUID) -> HttpResponse:
    return _open(request, _withdrawal(request.user, _signature(request, pk)))


@require_POST
@interactive_only
def open_decision(request: PersonRequest, pk: uuid.UUID) -> HttpResponse:
    return _open(request, _disposition(request.user, _signature(request, pk)))


@require_POST
@interactive_only
def open_retirement(request: PersonRequest, number: str, ordinal: int) -> HttpResponse:
    return _open(request, _retirement(request.user, _version(request, number, ordinal)))


@require_GET
def to_decide(request: PersonRequest) -> HttpResponse:
    """Signatures under review that the person may see, for quality to decide about."""
    demand(request.user, "sign.disposition")
    rows = list(
        standing.to_decide()
        .filter(pk__in=Signature.objects.visible_to(request.user).order_by().values("pk"))
        .select_related("version__record", "signer", "about__about")[:SHOWN]
    )
    stands = standing.of_all(rows)
    context = {
        "rows": [
            {"signature": row, "stands": stands[row.pk], "mine": not may_decide(row, request.user)} for row in rows
        ],
        "crumbs": [{"label": "Desk", "url": "/"}, {"label": "Signatures under review"}],
    }
    return render(request, "portal/signatures_to_decide.html", context)


def _given(request: PersonRequest, form: SignForm) -> dict[str, Any]:
    return {
        "signer": request.user,
        "credentials": form.credentials(),
        "sitting": request.sitting,
        "request": request,
        "reason": form.cleaned_data["reason"],
        "signed": signed,
    }


def _signature(request: PersonRequest, pk: uuid.UUID) -> Signature:
    rows = Signature.objects.visible_to(request.user)
    return get_object_or_404(rows.select_related("version__record__type", "signer", "key", "about"), pk=pk)


def _version(request: PersonRequest, number: str, ordinal: int) -> Version:
    rows = Version.objects.visible_to(request.user).select_related("record__type", "effectivity")
    found = rows.filter(record__number=number, ordinal=ordinal, lifecycle="document").first()
    if found is None:
        raise Http404
    return found


def _open(request: PersonRequest, shown: Shown) -> HttpResponse:
    if shown.obstacle:
        raise trail.Refused(
            shown.obstacle, action=Action.SIGNATURE_REFUSED, subject=shown.place.version, by=request.user
        )
    return dialog.opened(request, shown.place)


def _page(request: PersonRequest, shown: Shown, verb: dialog.Verb) -> HttpResponse:
    if request.method == "POST":
        return dialog.answered(request, shown.place, verb, lambda card, status: _draw(request, shown, card, status))
    return _draw(request, shown, {}, 200)


def _draw(request: PersonRequest, shown: Shown, card: dict[str, Any], status: int) -> HttpResponse:
    version = shown.place.version
    context: dict[str, Any] = {
        "shown": shown,
        "version": version,
        "cards": manifestation.cards([version])[version.pk],
        "about": shown.place.about,
        "crumbs": [
            {"label": version.record.number, "url": version.record.get_absolute_url()},
            {"label": f"Version {version.ordinal}", "url": version.get_absolute_url()},
            {"label": shown.title},
        ],
    }
    if not shown.obstacle:
        context |= card or dialog.context(request, shown.place)
    return render(request, "portal/signed_act.html", context, status=status)


URLS = [
    path("signatures/to-decide/", to_decide, name="to_decide"),
    path("signatures/<uuid:pk>/withdraw/", withdraw, name="withdraw"),
    path("signatures/<uuid:pk>/withdraw/open/", open_withdrawal, name="open_withdrawal"),
    path("signatures/<uuid:pk>/decide/", decide, name="decide"),
    path("signatures/<uuid:pk>/decide/open/", open_decision, name="open_decision"),
    path("documents/<str:number>/v<int:ordinal>/retire/", retire, name="retire"),
    path("documents/<str:number>/v<int:ordinal>/retire/open/", open_retirement, name="open_retirement"),
]
