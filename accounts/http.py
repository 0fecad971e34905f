"""The request of somebody who is logged in, for the views behind the log-in: `request.user` is a User, never anonymous."""

from django.http import HttpRequest
from django_htmx.middleware import HtmxDetails

from accounts.models import Sitting, User


class PersonRequest(HttpRequest):
    """`LoginRequiredMiddleware` and `SittingMiddleware` see to it that both are there."""

    user: User
    sitting: Sitting
    htmx: HtmxDetails
