"""The pages of single sign-on: on to the identity provider, and what follows its answer. 404 where none is configured."""

import uuid
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts import forms, identity, links, openid, passkeys, sso, transitions
from accounts.http import PersonRequest
from accounts.models import SsoRequest, User
from accounts.views import FORM_METHODS, about_oneself, answered, credentials_of, next_page

LOGIN = "login"  # what the answer for a log-in is good for
PROVED = "sso_proved"  # in the session: the answer that waits for a second factor, and where log-in leads


def demand_configured() -> None:
    if not openid.configured():
        raise Http404


def leave(request: Any, url: str) -> HttpResponse:
    """Send the browser to the identity provider by a page of ours: our policy lets no form lead elsewhere, not even by a
    redirect."""
    if getattr(request, "htmx", False):
        return HttpResponse(headers={"HX-Redirect": url})
    return render(request, "accounts/sso_leave.html", {"url": url, "sso_name": settings.OIDC_NAME})


@login_not_required
@never_cache
@require_POST
def ask_log_in(request: HttpRequest) -> HttpResponse:
    demand_configured()
    if request.user.is_authenticated:
        return redirect(next_page(request))
    return leave(request, sso.ask(request, sso.Purpose.LOGIN, return_to=next_page(request), bound=LOGIN))


@login_not_required
@never_cache
@require_POST
def ask_enrol(request: HttpRequest, token: str) -> HttpResponse:
    """From the page of a mailed link: who it was sent to is whom the identity provider then confirms."""
    demand_configured()
    invitation = links.find(token, links.Purpose.ENROL, links.Purpose.CODE)
    if not sso.stands_in(invitation):
        message = "No identity is linked to this account: set up the device with your password."
        raise sso.Refused(message, "no identity is linked", invitation.user)
    url = sso.ask(
        request,
        sso.Purpose.ENROL,
        return_to=request.path.removesuffix("sso/"),
        user=invitation.user,
        bound=str(invitation.pk),
    )
    return leave(request, url)


@never_cache
@sensitive_post_parameters()
@require_http_methods(FORM_METHODS)
def link(request: PersonRequest) -> HttpResponse:
    """Confirm oneself here, then there: both are one person's, so they are linked."""
    demand_configured()
    form = about_oneself(forms.ConfirmMyself, request)
    status = answered(form, lambda: identity.confirm(request.user, credentials_of(form, request)), request)
    if status != 302:
        return render(request, "accounts/sso_link.html", {"form": form, "sso_name": settings.OIDC_NAME}, status=status)
    url = sso.ask(
        request,
        sso.Purpose.LINK,
        return_to="/account/",
        user=request.user,
        sitting=request.sitting,
        bound=str(request.user.pk),
    )
    return leave(request, url)


@login_not_required
@never_cache
@require_GET
def returned(request: HttpRequest) -> HttpResponse:
    """The answer of the identity provider. What it is good for depends on what was asked."""
    demand_configured()
    row, return_to = sso.answered(request)
    if row.purpose == sso.Purpose.LOGIN:
        request.session[PROVED] = {"request": str(row.pk), "next": return_to}
        return redirect("accounts:sso_login")
    if row.purpose == sso.Purpose.LINK and row.user and row.sitting:
        transitions.link_my_identity(row.user, row, sitting=row.sitting)
        messages.success(request, f"Your identity of {settings.OIDC_NAME} is linked.")
    return redirect(return_to)


@login_not_required
@never_cache
@sensitive_post_parameters()
@require_http_methods(FORM_METHODS)
def log_in(request: HttpRequest) -> HttpResponse:
    """The second factor of whom the identity provider confirmed."""
    demand_configured()
    held = request.session.get(PROVED, {})
    row, user = _proved(held)
    if row is None or user is None:
        if not request.user.is_authenticated:
            messages.info(request, "The confirmation of the identity provider is over, or was used. Begin again.")
        return redirect("accounts:login")
    form = forms.SecondFactor(request.POST or None)
    form.offers_passkey = passkeys.available()

    def verb() -> None:
        identity.log_in_known(request, user, credentials_of(form, request, sso.Proof(row.pk, row.bound)))

    status = answered(form, verb, request)
    if status == 302:
        request.session.pop(PROVED, None)
        return redirect(held["next"])
    return render(request, "accounts/sso_log_in.html", {"form": form, "person": user}, status=status)


def _proved(held: dict[str, str]) -> tuple[SsoRequest | None, User | None]:
    """The answer that this session holds, and whom it confirmed, while it is good."""
    if not held:
        return None, None
    row = (
        SsoRequest.objects.select_related("user")
        .filter(pk=uuid.UUID(held["request"]), purpose=sso.Purpose.LOGIN)
        .first()
    )
    if row is None or row.user is None or not sso.stands(sso.Proof(row.pk, row.bound), row.user):
        return None, None
    return row, row.user
