"""What templates may ask about the first day; the question costs a query only where it is asked."""

from typing import Any

from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from accounts import founding as ceremony


def founding(request: HttpRequest) -> dict[str, Any]:
    """`founding`: whether the ceremony is going on."""
    return {"founding": SimpleLazyObject(ceremony.is_open)}
