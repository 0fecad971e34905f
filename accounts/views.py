"""The pages of log-in, of one's own account, and of people: fetch, form, one verb, redirect."""

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts import demo, forms, identity
from audit import trail

BAD_INPUT = 400


def _next(request: HttpRequest) -> str:
    """Where the person wanted to go, if that is a page of ours."""
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    ours = url_has_allowed_host_and_scheme(wanted, {request.get_host()}, require_https=request.is_secure())
    return wanted if ours else settings.LOGIN_REDIRECT_URL


@login_not_required
@never_cache
@sensitive_post_parameters()
@require_http_methods(["GET", "POST"])
def log_in(request: HttpRequest) -> HttpResponse:
    if request.user.is_authenticated:
        return redirect(_next(request))
    form = forms.LogIn(request.POST or None)
    refused, status = None, 200
    if request.method == "POST":
        status = BAD_INPUT
        if form.is_valid():
            try:
                with trail.refusals():
                    identity.log_in(request, identity.Credentials(**form.cleaned_data))
                return redirect(_next(request))
            except identity.NotConfirmed as error:
                refused, status = error, error.status
    context = {"form": form, "refused": refused, "next": _next(request), **_demo_context()}
    return render(request, "accounts/log_in.html", context, status=status)


def _demo_context() -> dict[str, object]:
    return {"demo": demo.live_codes(), "demo_password": settings.DEMO_PASSWORD} if settings.DEMO else {}


@login_not_required
@never_cache
@require_GET
def live_codes(request: HttpRequest) -> HttpResponse:
    """The demo's table of accounts, asked for again while the log-in page stands open. 404 outside of the demo."""
    return render(
        request, "accounts/_live_codes.html", {"demo": demo.live_codes(), "demo_password": settings.DEMO_PASSWORD}
    )


@require_POST
def log_out(request: HttpRequest) -> HttpResponse:
    identity.log_out(request)
    return redirect("accounts:login")
