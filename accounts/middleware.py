"""A session counts only while its sitting does: it ends on log-out, when idle, and with the person's account."""

from collections.abc import Callable
from datetime import timedelta

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import logout
from django.http import HttpRequest, HttpResponse

from accounts import identity
from accounts.models import Sitting
from audit import clock

SEEN_EVERY = timedelta(seconds=30)


class SittingMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request.sitting = None  # type: ignore[attr-defined]
        if request.user.is_authenticated:
            self._sit(request)
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: Callable[..., HttpResponse], *given: object
    ) -> HttpResponse | None:
        """A page that asks how far a job is does so with nobody in front of it: the person is seen by other requests alone. Once
        the log-in has ended, the page that asked is loaded anew, so that it shows the log-in and nothing of before."""
        sitting, polled = request.sitting, getattr(view, "polled", False)  # type: ignore[attr-defined]
        if polled and sitting is None and getattr(view, "login_required", True) and request.headers.get("HX-Request"):
            return HttpResponse(headers={"HX-Refresh": "true"})
        if sitting and not polled and request.came_at - sitting.last_seen_at > SEEN_EVERY:  # type: ignore[attr-defined]
            Sitting.objects.filter(pk=sitting.pk).update(last_seen_at=request.came_at)  # type: ignore[attr-defined]
        return None

    def _sit(self, request: HttpRequest) -> None:
        sitting = identity.sitting_of(request)
        now = clock.now()
        if sitting is None:
            logout(request)
        elif now - sitting.last_seen_at > timedelta(seconds=settings.IDLE_SECONDS):
            identity.log_out(request, why="idle")
            messages.info(request, "You were logged out after a while without a sign of life. Please log in again.")
        elif sitting.agent != identity.agent_of(request):
            # A browser does not become another one: this cookie went somewhere else.
            identity.log_out(request, why="another browser")
            messages.info(
                request, "You were logged out, because your session came from another browser. Please log in again."
            )
        else:
            request.sitting, request.came_at = sitting, now  # type: ignore[attr-defined]
