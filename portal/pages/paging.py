"""One page of a list, by key: the addresses of the page before and the page after, and no count."""

from typing import Any

from django.http import HttpRequest
from django.utils.http import urlencode

PAGE = 50


def by_key(rows: Any, request: HttpRequest, key: str = "number") -> tuple[list[Any], str, str]:
    """Up to `PAGE` rows in the order of `key`, with the queries of the pages before and after ("" where there is none)."""
    after, before = request.GET.get("after", ""), request.GET.get("before", "")
    if before:
        found = list(rows.filter(**{f"{key}__lt": before}).order_by(f"-{key}")[: PAGE + 1])
        earlier, later = len(found) > PAGE, True
        found = found[:PAGE][::-1]
    else:
        found = list(rows.filter(**{f"{key}__gt": after}).order_by(key)[: PAGE + 1])
        earlier, later = bool(after), len(found) > PAGE
        found = found[:PAGE]
    kept = {name: value for name, value in request.GET.items() if name not in ("after", "before") and value}

    def address(**place: Any) -> str:
        return f"?{urlencode(kept | place)}"

    first, last = (getattr(found[0], key), getattr(found[-1], key)) if found else ("", "")
    return found, address(before=first) if found and earlier else "", address(after=last) if found and later else ""
