"""Pages of signatures: the images that are read before signing, and each signature with what checks it."""

import json
import uuid
from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_GET, require_POST

from accounts import arrivals, sso
from accounts.http import PersonRequest
from accounts.permissions import may
from accounts.views import next_page
from audit import clock, trail
from records import renditions
from records.lifecycle import State
from records.models import Version
from signatures import archive, intents, listed, offline, readiness
from signatures.checking import Verdict, check
from signatures.interactive import interactive_only
from signatures.meanings import WITHDRAWABLE, Meaning
from signatures.models import PortalKey, Signature, Step
from signatures.queries import OPEN_STATES
from signatures.requests import may_decide
from storage.s3 import StorageError

UNREADABLE = 502
# What a signature binds, and what it does not: (thing, hashed, how or why not).
HASHED = (
    ("Content: text, metadata, message, list of files", True, "through the top hash"),
    ("Each file's bucket, key and version id", True, "through the hash of the pins"),
    ("The PDF that was shown, byte for byte", True, "through its SHA-256"),
    ("Printed name, role, meaning, sentence, reason, time, step", True, "in the statement itself"),
    ("Revision of the e-signature SOP and of the accountability statement", True, "in the statement itself"),
    ("The signature that this one withdraws or decides on", True, "by its id and its statement's SHA-256"),
    ("The signer's signature before this one", True, "through its SHA-256: none can be taken out of the row unseen"),
    ("This page, and its wording", False, "made anew each time from the statement"),
    ("The signer's later name, role, e-mail address", False, "they change; the signature keeps those of its time"),
    ("State, effective dates, later signatures", False, "they come after; the audit trail keeps them"),
    ("Password, one-time code, who was at the keyboard", False, "checked at the signing, never kept"),
)


def pages_of(request: PersonRequest, version: Version) -> list[dict[str, Any]]:
    """The pages of the rendition, each with whether it was served in this sitting: what `_pages.html` draws."""
    opened = intents.opened_pages(version, request.sitting.pk)
    return [{"number": page, "opened": page in opened} for page in range(1, version.rendition_pages + 1)]


# No browser keeps it: each sitting fetches each page, or it has not been opened.
@cache_control(private=True, no_store=True)
@require_GET
def page(request: PersonRequest, version: uuid.UUID, number: int) -> HttpResponseBase:
    """A page of the rendition as an image, noted as served to this person in this sitting (§2 row 10)."""
    shown = get_object_or_404(Version.objects.visible_to(request.user).select_related("record"), pk=version)
    if not 1 <= number <= shown.rendition_pages:
        raise Http404
    try:
        image = renditions.page_image(shown, number).open("rb")
    except StorageError as error:
        return HttpResponse(str(error), status=UNREADABLE, content_type="text/plain; charset=utf-8")
    intents.serve(shown, number, user=request.user, sitting=request.sitting)
    return FileResponse(image, content_type="image/png")


@require_POST
@interactive_only
def step_up(request: PersonRequest, pk: uuid.UUID) -> HttpResponse:
    """On to the identity provider, to be confirmed anew for the open sign dialog, and back to its page."""
    arrivals.demand_configured()
    intent = intents.fetch(pk, request.user, request.sitting)
    if sso.linked(request.user) is None:
        raise Http404
    held = intents.listed_with(intent)
    return arrivals.leave(request, intents.ask_step_up(request, held, f"{next_page(request)}#sign-card"))


@require_GET
def signature(request: PersonRequest, pk: uuid.UUID) -> HttpResponse:
    """A signature: its card, whether it still holds, and all that is needed to check it elsewhere."""
    shown = _visible(request, pk)
    trail.access(request.user, "view", shown.version, {"signature": str(pk)})
    verdict = check(shown)
    just_signed = shown.signer_id == request.user.pk and "signed" in request.GET
    waiting = Step.objects.awaiting(request.user).select_related("version__record").order_by("due_at", "pk")
    return render(
        request,
        "signatures/signature.html",
        {
            "signature": shown,
            "verdict": verdict,
            "card": _card(shown, verdict),
            "listed": listed.of(shown, request.user),
            "pins": archive.pins(shown),
            "statement": _readable(bytes(shown.statement)),
            "names": offline.names(shown),
            "command": offline.command(shown),
            "mine": shown.signer_id == request.user.pk
            and shown.meaning in WITHDRAWABLE
            and not verdict.stands.withdrawn,
            "decides": verdict.stands.to_decide
            and may(request.user, "sign.disposition")
            and may_decide(shown, request.user),
            "later": shown.later.order_by("signed_at"),
            "hashed": HASHED,
            "just_signed": just_signed,
            "follows": _follows(shown) if just_signed else "",
            "next_step": waiting.first() if just_signed else None,
        },
    )


def _follows(signed: Signature) -> str:
    """What came of a signature that was given just now."""
    about, state = signed.about, signed.version.state
    waits = state in OPEN_STATES and Step.objects.unsigned().filter(version=signed.version).exists()
    if about and about.meaning == Meaning.READING:
        return "The training record says so from now on."
    if about and state == State.APPROVED:
        return _stays_approved(signed, about)
    if about:
        again = Step.objects.filter(signature=about).exclude(voided="").exists()
        return "Its step is asked for again." if again else ""
    return {
        Meaning.APPROVAL: "The version is approved." if state == State.APPROVED else "",
        Meaning.RESPONSIBILITY: "The version is approved." if state == State.APPROVED else "",
        Meaning.REJECTION: "The version is rejected, and its author is free to submit another.",
        Meaning.READING: "Your training record says so from now on.",
        Meaning.RETIREMENT: "It is retired; its page says what is effective now.",
    }.get(Meaning(signed.meaning), "") or ("Those after you are asked now." if waits else "")


def _stays_approved(signed: Signature, about: Signature) -> str:
    if signed.meaning != Meaning.WITHDRAWAL:
        return "The version itself stays approved."
    if readiness.somebody_decides(about):
        return "The version stays approved until quality has decided."
    return (
        "The version stays approved, and nobody else in its area may decide about that: ask an administrator to give somebody the"
        " role of approver."
    )


@require_GET
def statement(request: PersonRequest, pk: uuid.UUID) -> HttpResponse:
    """The canonical bytes that the portal's key signed."""
    held = _exported(request, pk)
    return _file(bytes(held.statement), offline.names(held).statement, "application/json")


@require_GET
def seal(request: PersonRequest, pk: uuid.UUID) -> HttpResponse:
    """The portal's signature over the statement, DER."""
    held = _exported(request, pk)
    return _file(bytes(held.seal), offline.names(held).seal, "application/octet-stream")


@login_not_required
@require_GET
def public_key(request: HttpRequest, pk: str) -> HttpResponse:
    """A public key of the portal, for whoever checks a signature without an account."""
    held = get_object_or_404(PortalKey, pk=pk)
    return _file(held.public_pem.encode(), offline.file_name(held.pk), "application/x-pem-file")


def _card(shown: Signature, verdict: Verdict) -> dict[str, Any]:
    """The manifestation of 11.50, as `components/signature.html` draws it."""
    withdrawal = verdict.stands.withdrawal
    return {
        "printed_name": shown.printed_name,
        "role": shown.role,
        "meaning": shown.get_meaning_display(),
        "sentence": shown.sentence,
        "signed_at": shown.signed_at,
        "top_hash": shown.top_hash,
        "state": verdict.state,
        "note": f"Reason: {shown.reason}" if shown.reason else "",
        "archive": archive.state(shown, clock.now()),
        "struck": verdict.in_doubt and verdict.state != "under_review",
        "withdrawn": withdrawal
        and {"by": withdrawal.printed_name, "at": withdrawal.signed_at, "reason": withdrawal.reason},
    }


def _visible(request: PersonRequest, pk: uuid.UUID) -> Signature:
    rows = Signature.objects.visible_to(request.user).select_related(
        "version__record__type", "key", "about", "archived"
    )
    return get_object_or_404(rows, pk=pk)


def _exported(request: PersonRequest, pk: uuid.UUID) -> Signature:
    held = _visible(request, pk)
    trail.access(request.user, "export", held.version, {"signature": str(pk)})
    return held


def _file(data: bytes, name: str, media_type: str) -> HttpResponse:
    return HttpResponse(
        data, content_type=media_type, headers={"Content-Disposition": f'attachment; filename="{name}"'}
    )


def _readable(raw: bytes) -> list[tuple[str, str]]:
    """The statement's fields in order, or nothing where it cannot be read (the verdict says so then)."""
    try:
        said = json.loads(raw)
    except ValueError:
        return []
    return [(name, str(value)) for name, value in said.items()] if isinstance(said, dict) else []
