"""Search: a number, a title, the start of a hash, a signature, a person. Whatever one may not see does not exist here either."""

import re
import uuid
from typing import Any

from django.db.models import Prefetch, Q
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import path
from django.views.decorators.http import require_GET

from accounts.http import PersonRequest
from accounts.models import User
from accounts.permissions import may
from records.models import Record, Version
from signatures import standing
from signatures.models import Signature

MOST = 20  # of each group
LONGEST = 200  # letters of a query
HEX_DIGITS = 4  # that make the start of a hash
WRITTEN = re.compile(r"(\S.*?),?\s+(?:v|version)\.?\s*([0-9]{1,8})", re.IGNORECASE)
HEX = frozenset("0123456789abcdef")

Rows = list[Any]


@require_GET
def search(request: PersonRequest) -> HttpResponse:
    words = request.GET.get("q", "").replace("\0", "").strip()[:LONGEST]
    exact = Record.objects.visible_to(request.user).filter(number__iexact=words).select_related("type").first()
    if words and exact and "all" not in request.GET:
        return redirect(exact)
    groups = find(words, request.user) if words else []
    context = {
        "words": words,
        "groups": [group for group in groups if group["rows"]],
        "most": MOST,
        "crumbs": [{"label": "Search"}],
    }
    return render(request, "portal/search.html", context)


def find(words: str, user: User) -> list[dict[str, Any]]:
    """What there is of each kind, in a fixed number of queries: its rows, and what approvals of theirs count for."""
    return [
        group("Records and documents", "records", records(words, user)),
        group("Versions", "versions", versions(words, user)),
        group("Signatures", "signatures", signatures(words, user)),
        group("People", "people", people(words, user)),
    ]


def group(title: str, kind: str, rows: Rows) -> dict[str, Any]:
    return {"title": title, "kind": kind, "rows": rows[:MOST], "more": len(rows) > MOST}


def records(words: str, user: User) -> Rows:
    """By number or title; numbers that begin with the words come first."""
    found = Record.objects.visible_to(user).filter(Q(number__icontains=words) | Q(title__icontains=words))
    newest = Version.objects.only("record_id", "ordinal", "revision", "state").order_by("-ordinal")
    rows = found.select_related("type", "area").prefetch_related(Prefetch("versions", newest, to_attr="newest_first"))
    ordered = list(rows.annotate(begins=Q(number__istartswith=words)).order_by("-begins", "number")[: MOST + 1])
    states = standing.shown_states([version for row in ordered for version in row.newest_first[:1]])
    for row in ordered:
        row.shown_state = states[row.newest_first[0].pk] if row.newest_first else ""  # type: ignore[attr-defined]
    return ordered


def versions(words: str, user: User) -> Rows:
    """By the start of the top hash, or as results and labels write one: `KRAS-001 v3`, `URS-0001 version 2`."""
    digits, written = hash_start(words), WRITTEN.fullmatch(words)
    if written:
        wanted = Q(record__number__iexact=written[1], ordinal=int(written[2]))
    elif digits:
        wanted = Q(top_hash__startswith=digits)
    else:
        return []
    found = Version.objects.visible_to(user).filter(wanted).select_related("record__type").defer("manifest")
    rows = list(found.order_by("record__number", "ordinal")[: MOST + 1])
    states = standing.shown_states(rows)
    for row in rows:
        row.shown_state = states[row.pk]  # type: ignore[attr-defined]
    return rows


def signatures(words: str, user: User) -> Rows:
    """By the start of the statement's hash, or by the signature's id."""
    digits, whole = hash_start(words), identity(words)
    wanted = Q(statement_sha256__startswith=digits) if digits else Q(pk__in=[])
    if whole:
        wanted |= Q(pk=whole)
    if not digits and not whole:
        return []
    found = Signature.objects.visible_to(user).filter(wanted).select_related("version__record__type")
    return list(found.defer("statement", "seal", "version__manifest").order_by("signed_at")[: MOST + 1])


def people(words: str, user: User) -> Rows:
    if not may(user, "people.read"):
        return []
    named = Q(legal_name__icontains=words) | Q(username__icontains=words) | Q(email__istartswith=words)
    return list(User.objects.filter(named).prefetch_related("groups")[: MOST + 1])


def hash_start(words: str) -> str:
    """The digits of the start of a SHA-256, or "": at least four, nothing else, `sha256:` in front allowed."""
    digits = words.lower().removeprefix("sha256:")
    return digits if HEX_DIGITS <= len(digits) <= 64 and HEX.issuperset(digits) else ""


def identity(words: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(words)
    except ValueError:
        return None


URLS = [path("search/", search, name="search")]
