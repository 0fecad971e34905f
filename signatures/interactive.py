"""Signing is for a person before a browser: no token, however good, opens a sign dialog or answers one (§2 row 22)."""

from collections.abc import Callable
from typing import Any, TypeVar

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from audit import trail
from audit.actions import Action

MARK = "interactive_only"
View = TypeVar("View", bound=Callable[..., HttpResponse])


def interactive_only(view: View) -> View:
    """Mark a view that signs, or opens the dialog for it: whoever brings an `Authorization` header is refused."""
    setattr(view, MARK, True)
    return view


class InteractiveOnly:
    """Refuses before anything else is asked, and puts it on the trail."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: Callable[..., HttpResponse], args: Any, kwargs: Any
    ) -> HttpResponse | None:
        if not getattr(view, MARK, False) or "Authorization" not in request.headers:
            return None
        actor = request.user if request.user.is_authenticated else trail.NOBODY
        refused = trail.Forbidden(
            "A signature is given by a person who is logged in, with password and one-time code; never with a token.",
            action=Action.SIGNATURE_REFUSED,
            subject=trail.Subject("url", request.path[:200], request.path[:200]),
            detail={"why": "token"},
        )
        trail.record_refusal(refused, actor)
        told = {"message": refused.message, "status": refused.status, "recorded": True}
        return render(request, "refused.html", told, status=refused.status)
