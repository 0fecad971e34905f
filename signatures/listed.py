"""A signature as one of a list that was signed with one code: how long the list was, and when each item was opened."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Max

from accounts.models import User
from signatures.models import Opened, Signature


@dataclass(frozen=True)
class Line:
    """One signature of the list, with when the last of its pages was served before the signing (UTC)."""

    signature: Signature
    opened_at: datetime | None


@dataclass(frozen=True)
class Listed:
    """`count` signatures made the list; `lines` are those that the reader may see."""

    count: int
    lines: Sequence[Line]


def of(signature: Signature, reader: User) -> Listed | None:
    """The list that the signature belongs to, or None where it was signed alone."""
    if not signature.list_sha256:
        return None
    rows = Signature.objects.filter(list_sha256=signature.list_sha256)
    seen = list(rows.visible_to(reader).select_related("version__record").order_by("version__record__number", "pk"))
    opened = dict(
        Opened.objects.filter(
            sitting=signature.intent.sitting_id,
            rendition_sha256__in=[row.rendition_sha256 for row in seen],
            at__lte=signature.signed_at,
        )
        .values_list("rendition_sha256")
        .annotate(Max("at"))
    )
    return Listed(rows.count(), [Line(row, opened.get(row.rendition_sha256)) for row in seen])
