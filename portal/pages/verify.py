"""`/verify/`: anybody brings a sealed PDF, or a statement with its seal, and is told what is to be thought of it.

It asks for no account and changes nothing. What comes is bounded in size before it is read, and in number for each address; what
was asked is noted in the reading log.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django import forms
from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from audit import clock, trail
from audit.models import Access
from printing.templatetags.look import utc
from signatures import artefacts
from signatures.artefacts import Judgement, Signed, Standing
from signatures.sealed_pdf import Outcome

VERIFY = "verify"
WINDOW = timedelta(minutes=5)
PER_ADDRESS, FOR_ALL = 20, 400  # in each window
OVERHEAD = 64 * 1024  # of a form around its files
TOO_LARGE = "The file is larger than {megabytes} MB, which is more than this page takes."
TOO_MANY = "From your address came {count} files in the last five minutes. Wait a little, or use pdfsig or openssl."
BUSY = "This page is asked too much just now. Wait a little, or use pdfsig or openssl."
TONES = {
    Standing.VALID: ("ok", "Valid"),
    Standing.WITHDRAWN: ("warn", "Genuine, but later withdrawn"),
    Standing.UNDER_REVIEW: ("warn", "Genuine, and under review"),
    Standing.INVALID: ("bad", "Not valid"),
    Standing.FOREIGN: ("mute", "Not of this portal"),
}
KNOW_WHOLE = (
    "The certificate in the PDF's seal is one that this portal registered, and its signature (PAdES) fits every byte of the"
    " file but its own place."
)
KNOW_INSIDE = (
    "The statement and the seal of each signature were taken out of the PDF and held against the portal's record, now."
)
KNOW_CHANGED = (
    "The certificate in the PDF's seal is one that this portal registered. The seal was held against the file and does not"
    " pass: why is said above.",
    "Nothing was taken out of the PDF: the signatures that it shows were not looked at.",
)
KNOW_SEAL = "The statement's bytes were held against the seal that came with it, and fit."
KNOW_BROKEN = (
    "The statement's bytes were held against the seal that came with it, by the key of this portal that it names, and do not"
    " fit. The portal's record was not asked."
)
KNOW_ON_RECORD = (
    "The statement's bytes are those of a signature on the portal's record, which was held against its own seal and its"
    " version, now."
)
KNOW_NOT_ON_RECORD = "The statement's bytes were looked for on the portal's record, now, and are not there."
CANNOT = (
    "That the content is right: a signature says who stood for it, when, and with what meaning.",
    "That whoever holds the portal's keys did not misuse them. They are the portal's, not the signers'.",
)
CANNOT_FOREIGN = (
    "That it is worthless: it may be of another portal, or a file that was never sealed, such as a plain rendition.",
)


class Upload(forms.Form):
    file = forms.FileField(
        label="Sealed PDF, or a statement (JSON)",
        help_text="An issued copy or an evidence pack as it was handed out, or statement-….json.",
    )
    seal = forms.FileField(
        label="Seal of the statement", required=False, help_text="signature-….der; a PDF carries its own."
    )


@csrf_exempt  # it changes nothing and knows nobody: a script may ask as well as a form
@login_not_required
@never_cache
@require_http_methods(["GET", "POST"])
def verify(request: HttpRequest) -> HttpResponse:
    if request.method == "GET":
        return _page(request, Upload())
    limit = settings.VERIFY_BYTES
    if int(request.META.get("CONTENT_LENGTH") or 0) > limit + OVERHEAD:
        return _refused(request, TOO_LARGE.format(megabytes=limit // 1024**2), 413)
    address = request.META.get("REMOTE_ADDR", "")
    said = _too_many(address)
    if said:
        return _refused(request, said, 429)
    form = Upload(request.POST, request.FILES)
    if not form.is_valid():
        return _page(request, form, status=400)
    file, seal = form.cleaned_data["file"], form.cleaned_data["seal"]
    if file.size > limit or (seal and seal.size > artefacts.SEAL_BYTES):
        return _refused(request, TOO_LARGE.format(megabytes=limit // 1024**2), 413)
    judgement = artefacts.judge(file.read(), seal.read() if seal else None)
    _note(request, judgement, address)
    return _page(request, Upload(), card=_card(judgement, file.name, bool(seal)), signed=judgement.signed)


def _page(
    request: HttpRequest,
    form: Upload,
    *,
    card: dict[str, Any] | None = None,
    signed: Sequence[Signed] = (),
    status: int = 200,
) -> HttpResponse:
    told: dict[str, Any] = {"form": form, "megabytes": settings.VERIFY_BYTES // 1024**2}
    if card:
        told |= {"verdict": card, "signed": [_manifested(one) for one in signed]}
    return render(request, "portal/verify.html", told, status=status)


def _refused(request: HttpRequest, message: str, status: int) -> HttpResponse:
    return render(request, "portal/verify.html", {"form": Upload(), "refused": message}, status=status)


def _card(judgement: Judgement, name: str, brought: bool) -> dict[str, Any]:
    """For `components/verdict.html`."""
    tone, word = TONES[judgement.standing]
    seal = judgement.seal
    rows: list[dict[str, Any]] = [{"what": "File", "value": name}, {"what": "SHA-256", "hash": judgement.sha256}]
    if seal and seal.certificate:
        whose = seal.certificate.name + (
            " (made for tests: nobody outside vouches for it)" if seal.certificate.for_tests else ""
        )
        what = "Sealed with" if seal.outcome is Outcome.WHOLE else "Certificate in its seal"
        rows.append({"what": what, "value": whose, "at": seal.sealed_at})
    if seal and seal.stamped_at:
        rows.append({"what": "Time stamp of an authority", "value": utc(seal.stamped_at, "s")})
    know = _know(judgement, brought)
    return {
        "tone": tone,
        "say": f"{word}. {judgement.sentence}",
        "meta": f"Checked {utc(clock.now(), 's')}",
        "rows": rows,
        "know": know,
        "cannot": CANNOT if know else CANNOT_FOREIGN,
    }


def _know(judgement: Judgement, brought: bool) -> tuple[str, ...]:
    """What was really done to find this out, and nothing that was not; nothing at all where it is not ours. `brought`: a seal
    came with the statement."""
    if judgement.seal:
        inside = (KNOW_INSIDE,) if judgement.signed else ()
        return {Outcome.WHOLE: (KNOW_WHOLE, *inside), Outcome.CHANGED: KNOW_CHANGED}.get(judgement.seal.outcome, ())
    if judgement.standing is Standing.FOREIGN:
        return ()
    if not judgement.signed:
        return (KNOW_BROKEN if brought else KNOW_NOT_ON_RECORD,)
    on_record = judgement.signed[0].verdict is not None
    return (*([KNOW_SEAL] if brought else []), KNOW_ON_RECORD if on_record else KNOW_NOT_ON_RECORD)


def _manifested(one: Signed) -> dict[str, Any]:
    """What the statement itself says, for `components/signature.html`."""
    says = one.says
    return {
        "printed_name": says.get("printed_name", ""),
        "role": says.get("role", ""),
        "meaning": one.meaning,
        "sentence": says.get("sentence", ""),
        "signed_at": one.signed_at,
        "top_hash": says.get("top_hash", ""),
        "state": {"foreign": "invalid"}.get(one.standing, one.standing.value),
        "note": f"On {says.get('record', '')} version {says.get('version', '')}, {says.get('title', '')}. {one.sentence}",
    }


def _note(request: HttpRequest, judgement: Judgement, address: str) -> None:
    """Who asked from where about what, in the reading log."""
    rows = [one.verdict.signature.version for one in judgement.signed if one.verdict]
    actor = request.user if request.user.is_authenticated else trail.NOBODY
    trail.access(actor, VERIFY, rows[0] if rows else trail.PORTAL, {
        "address": address, "sha256": judgement.sha256, "standing": judgement.standing.value})  # fmt: skip


def _too_many(address: str) -> str:
    """A sentence where this address, or everybody together, asked too often; it needs no rows of its own but the log's."""
    lately = (
        Access.objects.filter(what=VERIFY, actor=trail.NOBODY.key).order_by("-id").values_list("at", "detail__address")
    )
    since = clock.now() - WINDOW
    asked = [told for at, told in lately[:FOR_ALL] if at > since]
    if asked.count(address) >= PER_ADDRESS:
        return TOO_MANY.format(count=asked.count(address))
    return BUSY if len(asked) >= FOR_ALL else ""


URLS = [path("verify/", verify, name="verify")]
