"""What a request brings, looked at before anybody is asked: whose address it comes from, and whether it can be read at all."""

import ipaddress
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import unquote

from django.conf import settings
from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse

GetResponse = Callable[[HttpRequest], HttpResponse]


class ClientAddress:
    """Behind a proxy `REMOTE_ADDR` is the proxy's own for everybody. The last entry of `X-Forwarded-For` is what our proxy added;
    those before it came with the request and may say anything. Where there is no proxy the whole header may."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if settings.BEHIND_PROXY:
            told = request.META.get("HTTP_X_FORWARDED_FOR", "").rpartition(",")[2].strip()
            with suppress(ValueError):  # what is no address: that of the proxy is at least true
                request.META["REMOTE_ADDR"] = str(ipaddress.ip_address(told))
        return self.get_response(request)


class NoNul:
    """PostgreSQL keeps no NUL, and cannot be asked for one: a number or a word with it names nothing that there can be. So the
    request is one that cannot be read, whatever it asks for, and no view has to think of it."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        brought = (request.path, unquote(request.META.get("QUERY_STRING", "")), *request.COOKIES.values())
        if any("\0" in one for one in brought):
            raise BadRequest("The address or a cookie holds a NUL.")
        return self.get_response(request)
