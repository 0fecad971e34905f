"""The one clock: the database's `audit_now()`, in UTC, to the microsecond. Only the tests' template database replaces it."""

from datetime import datetime

from django.db import connection
from django.db.models import DateTimeField, Func


class Now(Func):
    """`audit_now()` in a query or as a column's database default."""

    function = "audit_now"
    output_field = DateTimeField()


def now() -> datetime:
    """The time of the one clock, UTC."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT audit_now()")
        return cursor.fetchone()[0]
