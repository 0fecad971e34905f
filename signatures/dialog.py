"""The sign dialog of a page: opened by a deliberate act, shown while its intent lives, answered by one verb."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from accounts import accountability, identity, passkeys, qualifications, rights, sso
from accounts.http import PersonRequest
from audit import clock, reasons, trail
from records.models import Version
from signatures import intents, review
from signatures.forms import SignForm
from signatures.intents import IntentRefused
from signatures.meanings import SENTENCES, Meaning
from signatures.models import INTENT_LIVES, Intent, Signature, Step
from signatures.signing import spared

CARD = "signatures/_card.html"
BAD_INPUT = 400
INCOMPLETE = "Give the meaning, your password, and a one-time code or a passkey."


@dataclass(frozen=True)
class Choice:
    """One meaning that may be signed. `effect` says, before the dialog opens, what follows from it."""

    value: str
    label: str
    sentence: str
    button: str
    needs_reason: bool = False
    effect: str = ""


@dataclass(frozen=True)
class Place:
    """What is signed, and where the page of the dialog is: `url` takes the answer, `open_url` makes the intent.

    Without a step it is a reading, or what `offered` says; `about` is the signature that it speaks of."""

    version: Version
    url: str
    open_url: str
    step: Step | None = None
    offered: Sequence[Choice] = ()
    about: Signature | None = None

    @property
    def meaning(self) -> str:
        return self.choices[0].value.partition(":")[0]

    @property
    def default(self) -> str:
        """What is marked from the start: nothing where one decides, so that no decision is signed that was not made."""
        return "" if len(self.offered) > 1 else self.choices[0].value

    @property
    def choices(self) -> Sequence[Choice]:
        if self.offered:
            return self.offered
        if self.step is None:
            return [Choice(Meaning.READING, "Read and understood", SENTENCES[Meaning.READING], "Sign the reading")]
        meaning = Meaning(self.step.meaning)
        refusal = f"{SENTENCES[Meaning.REJECTION]} A rejection is signed, and ends this version."
        return [
            Choice(meaning, meaning.label, self.step.sentence, f"Sign {meaning.label.lower()}"),
            Choice(Meaning.REJECTION, "Reject", refusal, "Sign rejection", needs_reason=True),
        ]


Verb = Callable[[SignForm], Signature]


def context(
    request: PersonRequest, place: Place, *, form: SignForm | None = None, refused: Any = None
) -> dict[str, Any]:
    """What the card's template draws: the open dialog, or the button that opens it."""
    intent = intents.current(
        place.version, request.user, request.sitting, place.step, about=place.about, meaning=place.meaning
    )
    given = form.data if form else {}
    opened_pages = intents.opened_pages(place.version, request.sitting.pk)
    return {
        "place": place,
        "intent": intent,
        "refused": refused,
        "over": isinstance(refused, IntentRefused) and intent is None,
        "gaps": _gaps(request, place),
        "asks_reason": any(choice.needs_reason for choice in place.choices),
        "asks_username": identity.asks_for_username(request.sitting, request),
        "chosen": given.get("meaning") or place.default,
        "to_open": [page for page in range(1, place.version.rendition_pages + 1) if page not in opened_pages],
        "reason": given.get("reason", ""),
        "reviewed": given.get("reviewed", ""),
        "asks_review": bool(place.step and place.step.meaning == Meaning.APPROVAL),
        "entries": review.entries_to(place.version, intent.reviewed_to) if intent else 0,
        "reason_letters": reasons.LETTERS,
        "seconds": int(INTENT_LIVES.total_seconds()),
        "demo": settings.DEMO,
        **components([intent] if intent else [], [each.value for each in place.choices], place.url),
        "bound": _bound(request, place, intent) if intent else [],
    }


def opened(request: PersonRequest, place: Place) -> HttpResponse:
    """Make an intent, and show the dialog: in its place on the page, or on the page loaded again. Who has no right to sign
    gets none, and the page says what is missing."""
    if not _gaps(request, place):
        with trail.refusals(request.user):
            intents.open_for(
                place.version,
                user=request.user,
                sitting=request.sitting,
                step=place.step,
                about=place.about,
                meaning=place.meaning,
            )
    if not request.htmx:
        return redirect(f"{place.url}#sign-card")
    return render(request, CARD, context(request, place))


def answered(
    request: PersonRequest, place: Place, verb: Verb, page: Callable[[dict[str, Any], int], HttpResponse]
) -> HttpResponse:
    """Sign as the form says and go to the signature; where it is refused, show the dialog with the sentence: alone for
    htmx, else by `page(context, status)`."""
    form = SignForm(request.POST)
    refused: trail.Refused | None = None
    if form.is_valid():
        try:
            with trail.refusals(request.user):
                signature = verb(form)
            return gone_to(request, f"{signature.get_absolute_url()}?signed")
        except trail.Refused as caught:
            refused = caught
    shown = context(request, place, form=form, refused=refused or {"message": INCOMPLETE})
    status = refused.status if refused else BAD_INPUT
    return render(request, CARD, shown, status=status) if request.htmx else page(shown, status)


def _gaps(request: PersonRequest, place: Place) -> list[rights.Checked]:
    """What the person's right to sign lacks, told before anything is typed."""
    return list(rights.gaps(request.user, clock.now(), spared=spared(place.meaning, place.version)))


def gone_to(request: PersonRequest, url: str) -> HttpResponse:
    """The page that follows the signing, for htmx and for a plain form."""
    if request.htmx:
        return HttpResponse(headers={"HX-Redirect": url})
    return redirect(url)


def components(held: Sequence[Intent], values: Iterable[str], url: str) -> dict[str, Any]:
    """What an open dialog at `url` asks of the signer: `_knows.html` and `_passkey.html` draw it."""
    return {
        "passkey_origin": settings.PASSKEY_ORIGIN,
        "passkey_options": passkey_options(held, values) if held else "",
        "sso": step_up(held, url) if held else None,
    }


def step_up(held: Sequence[Intent], url: str) -> dict[str, Any] | None:
    """What the dialog offers who has an identity of single sign-on: where it is confirmed, and whether it was."""
    signer = held[0].user
    if sso.linked(signer) is None:
        return None
    return {
        "name": settings.OIDC_NAME,
        "next": url,
        "url": reverse("signatures:step_up", args=[held[0].pk]),
        "proved": intents.step_up(held) is not None,
        "only": not signer.has_usable_password(),
    }


def passkey_options(held: Sequence[Intent], values: Iterable[str]) -> str:
    """What the signer's passkey is asked for each choice (JSON by its value), or "" where they have none."""
    signer = held[0].user
    if not passkeys.available() or not passkeys.in_use(signer):
        return ""
    asked = {}
    for value in values:
        meaning, _, outcome = value.partition(":")
        asked[value] = passkeys.request_options(intents.challenge(held, meaning, outcome), signer)
    return json.dumps(asked)


def _bound(request: PersonRequest, place: Place, intent: Intent) -> Sequence[dict[str, Any]]:
    """What the statement will hold, in the reader's words."""
    last = Signature.objects.filter(signer=request.user).order_by("-signed_at").first()
    return [
        {"label": "Top hash of the content", "hash": intent.top_hash},
        {"label": "Pins of its files (SHA-256)", "hash": place.version.pins_sha256},
        {"label": "The PDF shown here (SHA-256)", "hash": intent.rendition_sha256},
        {"label": "Printed name and role", "value": f"{request.user.legal_name}, {request.user.role_label}"},
        {"label": "Step", "hash": str(place.step.pk) if place.step else ""},
        *([{"label": "The signature it speaks of (SHA-256)", "hash": place.about.statement_sha256}] if place.about else []),
        {"label": "E-signature SOP you were trained on", "value": qualifications.policy_in_force(request.user) or "none yet"},
        {"label": "The trail, once you tick it, up to entry", "value": intent.reviewed_to or "none"},
        {"label": "Accountability statement", "value": f"revision {accountability.REVISION}"},
        {"label": "Your signature before this one (SHA-256)", "hash": last.statement_sha256 if last else ""},
        {"label": "Also bound", "value": "meaning and sentence, your reason, the database's time, the portal's key."},
    ]  # fmt: skip
