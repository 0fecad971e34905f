"""The edge: each request has an id, and what was refused in it is kept after its work was rolled back."""

import uuid
from collections.abc import Callable

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from psycopg.errors import DiskFull

from audit import trail
from audit.requests import request_id

UNAVAILABLE = 503
FULL = "The database's disk is full, so nothing was changed: what cannot be put on the trail is not done. Tell the system owner."


class RequestId:
    """Gives the request an id that entries, the reading log and the log lines share."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        token = request_id.set(uuid.uuid4().hex)
        try:
            response = self.get_response(request)
            response["X-Request-Id"] = request_id.get()
            return response
        finally:
            request_id.reset(token)


class Refusals:
    """Turns `Refused` into a page with its sentence, and keeps refused reads in the reading log."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        actor = request.user if request.user.is_authenticated else trail.NOBODY
        if isinstance(exception, trail.Refused):
            trail.record_refusal(exception, actor)
            told = {"message": exception.message, "status": exception.status, "recorded": True}
            return render(request, "refused.html", told, status=exception.status)
        if isinstance(exception.__cause__, DiskFull):
            return render(request, "refused.html", {"message": FULL, "status": UNAVAILABLE}, status=UNAVAILABLE)
        if isinstance(exception, Http404):
            trail.access(actor, "refused", trail.Subject("url", request.path[:200], request.path[:200]))
        return None
