"""The pages of log-in, of mailed links, and of one's own account: fetch, form, one verb, redirect."""

import base64
import json
import uuid
from collections.abc import Callable
from typing import TypeVar

import segno
from django import forms as django_forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts import accountability, codes, demo, forms, identity, links, openid, passkeys, rights, sso, transitions
from accounts.http import PersonRequest, polled
from accounts.models import CodeDevice, Passkey, User
from accounts.permissions import may
from audit import clock, trail

BAD_INPUT = 400
FORM_METHODS = ["GET", "POST"]
NEW_DEVICE = "new_device"  # in the session: a device that is shown and not proved yet
SITTINGS_SHOWN = 10
LOST = "The device counts no more. Ask an administrator for a new one; they will see your papers first."
CONFIRM, ENROL = "confirm", "enrol"  # what a passkey is asked for
Asking = TypeVar("Asking", bound=forms.SecondFactor)


def answered(form: django_forms.Form, verb: Callable[[], object], request: HttpRequest) -> int:
    """Call the verb if the form was sent and can be read. What is refused is told at the form and kept on the trail.

    Returns the status of the answer: 302 where the verb was done, 200 where nothing was sent, else that of the refusal.
    """
    if not form.is_bound:
        return 200
    if not form.is_valid():
        return BAD_INPUT
    try:
        with trail.refusals(request.user if request.user.is_authenticated else trail.NOBODY):
            verb()
    except trail.Refused as refused:
        form.add_error(None, refused.message)
        form.refused = refused  # type: ignore[attr-defined]
        return refused.status
    return 302


# Log-in ------------------------------------------------------------------------------------------------------------


def next_page(request: HttpRequest) -> str:
    """Where the person wanted to go, if that is a path of ours, else the desk. What does not begin with one slash would be taken
    for the name of a page, or for that of a host."""
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    ours = url_has_allowed_host_and_scheme(wanted, {request.get_host()}, require_https=request.is_secure())
    path = wanted.startswith("/") and not wanted.startswith("//")
    return wanted if ours and path else settings.LOGIN_REDIRECT_URL


@login_not_required
@never_cache
@sensitive_post_parameters()
@require_http_methods(FORM_METHODS)
def log_in(request: HttpRequest) -> HttpResponse:
    if request.user.is_authenticated:
        return redirect(next_page(request))
    form = forms.LogIn(request.POST or None)
    form.offers_passkey = passkeys.available()
    status = answered(form, lambda: identity.log_in(request, credentials_of(form, request)), request)
    if status == 302:
        return redirect(next_page(request))
    context = {"form": form, "next": next_page(request), "sso_name": sso_name(), **_demo_context()}
    return render(request, "accounts/log_in.html", context, status=status)


def sso_name() -> str:
    """What single sign-on is called on buttons; "" where there is none."""
    return settings.OIDC_NAME if openid.configured() else ""


def _demo_context() -> dict[str, object]:
    return {"demo": demo.live_codes(), "demo_password": settings.DEMO_PASSWORD} if settings.DEMO else {}


@login_not_required
@never_cache
@require_POST
def passkey_challenge(request: HttpRequest) -> JsonResponse:
    """What a passkey is asked for log-in, or for an act on one's own account. 404 where there are no passkeys."""
    if not passkeys.available():
        raise Http404
    user = request.user if isinstance(request.user, User) else None
    return JsonResponse(passkeys.request_options(passkeys.ask(request, CONFIRM), user))


@polled
@login_not_required
@never_cache
@require_GET
def live_codes(request: HttpRequest) -> HttpResponse:
    """The demo's table of accounts, asked for again while the log-in page stands open. 404 outside of the demo."""
    demo.demand()
    return render(request, "accounts/_live_codes.html", _demo_context())


@polled
@never_cache
@require_GET
def my_live_code(request: PersonRequest) -> HttpResponse:
    """What the phone of the person shows now, for the sign dialog of the demo. 404 outside of the demo."""
    return render(request, "accounts/_my_live_code.html", {"live": demo.live_codes(request.user)})


@require_POST
def log_out(request: HttpRequest) -> HttpResponse:
    identity.log_out(request)
    return redirect("accounts:login")


# Links that came by mail ---------------------------------------------------------------------------------------------


def _over(request: HttpRequest, over: links.Over) -> HttpResponse:
    return render(request, "accounts/link_over.html", {"message": over.message}, status=over.status)


@login_not_required
@never_cache
@sensitive_post_parameters()
@require_http_methods(FORM_METHODS)
def enrol(request: HttpRequest, token: str) -> HttpResponse:
    """Password and device with a mailed link; the device alone where only that was withdrawn."""
    try:
        invitation = links.find(token, links.Purpose.ENROL, links.Purpose.CODE)
    except links.Over as over:
        return _over(request, over)
    first = invitation.purpose == links.Purpose.ENROL
    proof = sso.proof(sso.Purpose.ENROL, bound=str(invitation.pk), user=invitation.user)
    kind = forms.EnrolConfirmed if proof else forms.Enrol if first else forms.EnrolDevice
    form = kind(request.POST or None)
    device = _device_in_hand(request, invitation.user)

    def verb() -> None:
        typed = form.cleaned_data
        password = typed.get("new") or typed.get("password") or ""
        transitions.enrol(token, password=password, device=device, code=typed["code"], proof=proof)

    status = answered(form, verb, request)
    if status == 302:
        request.session.pop(NEW_DEVICE, None)
        messages.success(request, "Your account is set up. Log in with the next code.")
        return redirect("accounts:login")
    context = {
        "form": form,
        "person": invitation.user,
        "first": first,
        "proof": proof,
        "sso_name": sso_name() if sso.stands_in(invitation) else "",
        "token": token,
        "until": invitation.expires_at,
        **_shown(device),
    }
    return render(request, "accounts/enrol.html", context, status=status)


@login_not_required
@never_cache
@require_http_methods(FORM_METHODS)
def password_forgotten(request: HttpRequest) -> HttpResponse:
    form = forms.Forgotten(request.POST or None)
    status = answered(form, lambda: transitions.ask_reset(form.cleaned_data["typed"]), request)
    if status == 302:
        messages.info(request, "If there is an account of this name or address, a link is on its way to its mailbox.")
        return redirect("accounts:login")
    return render(request, "accounts/password_forgotten.html", {"form": form}, status=status)


@login_not_required
@never_cache
@sensitive_post_parameters()
@require_http_methods(FORM_METHODS)
def password_reset(request: HttpRequest, token: str) -> HttpResponse:
    try:
        invitation = links.find(token, links.Purpose.PASSWORD)
    except links.Over as over:
        return _over(request, over)
    form = forms.NewPassword(request.POST or None)
    status = answered(form, lambda: transitions.reset_password(token, form.cleaned_data["new"]), request)
    if status == 302:
        messages.success(request, "Your password is changed. Log in with it and the next code.")
        return redirect("accounts:login")
    context = {"form": form, "person": invitation.user, "until": invitation.expires_at}
    return render(request, "accounts/password_reset.html", context, status=status)


@login_not_required
@never_cache
@require_http_methods(FORM_METHODS)
def lost_ask(request: HttpRequest) -> HttpResponse:
    """Without the device nobody logs in: a mailed link lets one report its loss."""
    form = forms.Forgotten(request.POST or None)
    status = answered(form, lambda: transitions.ask_lost(form.cleaned_data["typed"]), request)
    if status == 302:
        messages.info(request, "If there is an account of this name or address, a link is on its way to its mailbox.")
        return redirect("accounts:login")
    return render(request, "accounts/lost_ask.html", {"form": form}, status=status)


@login_not_required
@never_cache
@require_http_methods(FORM_METHODS)
def lost_link(request: HttpRequest, token: str) -> HttpResponse:
    try:
        invitation = links.find(token, links.Purpose.LOST)
    except links.Over as over:
        return _over(request, over)
    form = forms.Lost(request.POST or None)
    status = answered(
        form,
        lambda: transitions.report_lost(invitation.user, since=form.cleaned_data["since"], invitation=invitation),
        request,
    )
    if status == 302:
        messages.success(request, LOST)
        return redirect("accounts:login")
    return render(request, "accounts/lost.html", {"form": form, "person": invitation.user}, status=status)


@never_cache
@sensitive_post_parameters()
@require_http_methods(FORM_METHODS)
def lost(request: PersonRequest) -> HttpResponse:
    """Report the loss while one is still logged in; this sitting ends with the others."""
    form = forms.LostKnown(request.POST or None)
    status = answered(form, lambda: transitions.report_lost(request.user, **form.cleaned_data), request)
    if status == 302:
        messages.success(request, LOST)
        return redirect("accounts:login")
    return render(request, "accounts/lost.html", {"form": form, "person": request.user}, status=status)


def _device_in_hand(request: HttpRequest, user: User) -> CodeDevice:
    """The device whose QR code the person looks at, the same when the page is loaded again. It is no row until one of its
    codes proved it; its seed stands encrypted in the session."""
    held = request.session.get(NEW_DEVICE)
    if held and held["user"] == str(user.pk):
        return CodeDevice(pk=uuid.UUID(held["id"]), user=user, seed=base64.b64decode(held["seed"]))
    device = codes.new_device(user)
    request.session[NEW_DEVICE] = {
        "id": str(device.pk),
        "user": str(user.pk),
        "seed": base64.b64encode(device.seed).decode(),
    }
    return device


def _shown(device: CodeDevice) -> dict[str, str]:
    """The seed as a QR code (an image in a data: address) and as groups of four letters."""
    secret = codes.secret(device)
    picture = segno.make(codes.otpauth_url(device), error="m", micro=False)
    return {
        "qr": picture.svg_data_uri(scale=5, border=4, light="#fff"),
        "secret": " ".join(secret[start : start + 4] for start in range(0, len(secret), 4)),
    }


# One's own account ---------------------------------------------------------------------------------------------------


@require_GET
def account(request: PersonRequest) -> HttpResponse:
    user = request.user
    context = {
        "person": user,
        "areas": user.areas.all(),
        "device": codes.device_in_use(user),
        "right": rights.look(user, clock.now()) if may(user, "sign.reading") else [],
        "passkeys": passkeys.in_use(user),
        "passkeys_available": passkeys.available(),
        "sso": sso.linked(user),
        "sso_name": sso_name(),
        "sitting": request.sitting,
        "sittings": user.sittings.order_by("-started_at")[:SITTINGS_SHOWN],
    }
    return render(request, "accounts/account.html", context)


@sensitive_post_parameters()
@require_http_methods(FORM_METHODS)
def change_password(request: PersonRequest) -> HttpResponse:
    form = about_oneself(forms.ChangePassword, request)
    status = answered(
        form,
        lambda: transitions.change_password(
            request.user,
            credentials=credentials_of(form, request),
            new=form.cleaned_data["new"],
            sitting=request.sitting,
            request=request,
        ),
        request,
    )
    if status == 302:
        messages.success(request, "Your password is changed, and you were logged out everywhere else.")
        return redirect("accounts:account")
    return render(request, "accounts/change_password.html", {"form": form}, status=status)


@never_cache
@sensitive_post_parameters()
@require_http_methods(FORM_METHODS)
def replace_device(request: PersonRequest) -> HttpResponse:
    form = about_oneself(forms.ReplaceDevice, request)
    device = _device_in_hand(request, request.user)
    status = answered(
        form,
        lambda: transitions.replace_device(
            request.user,
            credentials=credentials_of(form, request),
            device=device,
            code=form.cleaned_data["new_code"],
            sitting=request.sitting,
        ),
        request,
    )
    if status == 302:
        del request.session[NEW_DEVICE]
        messages.success(request, "The new device is in use; the old one shows nothing that counts.")
        return redirect("accounts:account")
    return render(request, "accounts/replace_device.html", {"form": form, **_shown(device)}, status=status)


@never_cache
@sensitive_post_parameters()
@require_http_methods(FORM_METHODS)
def accountability_page(request: PersonRequest) -> HttpResponse:
    """What one's signature means, and the act of taking it on."""
    form = about_oneself(forms.ConfirmMyself, request)
    status = answered(
        form, lambda: transitions.acknowledge(request.user, credentials=credentials_of(form, request)), request
    )
    if status == 302:
        messages.success(request, "You have acknowledged what your signature means.")
        return redirect("accounts:account")
    context = {
        "form": form,
        "statement": accountability.STATEMENT,
        "revision": accountability.REVISION,
        "sha256": accountability.text_sha256(),
        "acknowledged": accountability.acknowledged(request.user),
    }
    return render(request, "accounts/accountability.html", context, status=status)


@never_cache
@sensitive_post_parameters()
@require_http_methods(FORM_METHODS)
def new_passkey(request: PersonRequest) -> HttpResponse:
    """Make a passkey in the browser, then confirm oneself with what one has already."""
    if not passkeys.available():
        raise Http404
    form = about_oneself(forms.NewPasskey, request)
    challenge = passkeys.asked(request, ENROL, keep=True)
    if not form.is_bound or not challenge:
        challenge = passkeys.ask(request, ENROL)
    status = answered(
        form,
        lambda: transitions.add_passkey(
            request.user,
            credentials=credentials_of(form, request),
            made=form.cleaned_data["made"],
            challenge=challenge,
            name=form.cleaned_data["name"],
            sitting=request.sitting,
        ),
        request,
    )
    if status == 302:
        passkeys.asked(request, ENROL)
        messages.success(
            request, "The passkey is enrolled. It stands in the place of a one-time code, with your password."
        )
        return redirect("accounts:account")
    options = passkeys.creation_options(challenge, request.user)
    return render(request, "accounts/new_passkey.html", {"form": form, "options": json.dumps(options)}, status=status)


@never_cache
@sensitive_post_parameters()
@require_http_methods(FORM_METHODS)
def try_device(request: PersonRequest) -> HttpResponse:
    """The test that is due at least once a year (11.300(e))."""
    form = forms.Confirm(request.POST or None)
    status = answered(
        form, lambda: transitions.retest_device(request.user, credentials=credentials_of(form, request)), request
    )
    if status == 302:
        messages.success(request, "Your device works.")
        return redirect("accounts:account")
    context = {"form": form, "days": rights.TESTED_WITHIN.days}
    return render(request, "accounts/test_device.html", context, status=status)


@never_cache
@sensitive_post_parameters()
@require_http_methods(FORM_METHODS)
def withdraw_passkey(request: PersonRequest, pk: uuid.UUID) -> HttpResponse:
    passkey = get_object_or_404(Passkey, pk=pk, user=request.user, withdrawn_at__isnull=True)
    form = about_oneself(forms.ConfirmMyself, request)
    status = answered(
        form,
        lambda: transitions.withdraw_my_passkey(
            request.user, passkey, credentials=credentials_of(form, request), sitting=request.sitting
        ),
        request,
    )
    if status == 302:
        messages.success(request, f"The passkey {passkey.name} counts no more.")
        return redirect("accounts:account")
    return render(request, "accounts/withdraw_passkey.html", {"form": form, "passkey": passkey}, status=status)


@require_POST
def end_other_sittings(request: PersonRequest) -> HttpResponse:
    transitions.end_other_sittings(request.user, sitting=request.sitting)
    messages.success(request, "You were logged out everywhere else.")
    return redirect("accounts:account")


def about_oneself(kind: type[Asking], request: PersonRequest) -> Asking:
    """A form that asks who one is, and offers what one has."""
    form = kind(request.POST or None)
    form.offers_passkey = passkeys.available() and bool(passkeys.in_use(request.user))
    return form


def credentials_of(
    form: django_forms.Form, request: HttpRequest, proof: sso.Proof | None = None
) -> identity.Credentials:
    """What was typed; an answer of a passkey with the challenge that this session was given, which is good once."""
    typed = form.cleaned_data
    return identity.Credentials(
        password=typed.get("password", ""),
        code=typed["code"],
        username=typed.get("username", ""),
        passkey=typed.get("passkey", ""),
        challenge=passkeys.asked(request, CONFIRM) if typed.get("passkey") else b"",
        proof=proof,
    )
