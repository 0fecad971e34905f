"""What the views behind the log-in have in common: the request of somebody who is logged in (`request.user` is a User, never
anonymous), and the mark of those that a page asks by itself."""

from collections.abc import Callable
from typing import Any, TypeVar

from django.http import HttpRequest
from django_htmx.middleware import HtmxDetails

from accounts.models import Sitting, User

View = TypeVar("View", bound=Callable[..., Any])


class PersonRequest(HttpRequest):
    """`LoginRequiredMiddleware` and `SittingMiddleware` see to it that both are there."""

    user: User
    sitting: Sitting
    htmx: HtmxDetails


def polled(view: View) -> View:
    """Mark a view that an open page asks for again and again by itself: that is no sign of life, and puts no idle log-out off."""
    view.polled = True  # type: ignore[attr-defined]
    return view
