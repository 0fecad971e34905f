"""What the page about a trail's proof shows: hours, digests with their verdicts, archived keys."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from django.db.models import Count, Q

from cloudtrail import coverage
from cloudtrail.coverage import HOUR, State
from cloudtrail.digests import Fault, Link
from cloudtrail.models import DigestFile, LogFile, Proof, Trail

DAYS = 90
KNOW = [
    "Each digest is CloudTrail's: it lies where it says, and its signature fits the public key that AWS gives for its region.",
    "Each names the one before it with hash and signature, and their hours join: one that is missing is seen, and so are two.",
    "Each log file has the SHA-256 that a digest lists for it, and is one gzip member: nothing was added behind it.",
    "Bytes, signatures and public keys are kept here: manage.py validate_trail repeats all of it, and so does"
    " aws cloudtrail validate-logs, without this portal.",
]
CANNOT = [
    "What CloudTrail was not set to record, or what happened while the trail was stopped.",
    "Anything of hours for which no digest was made. Digests cannot be made afterwards.",
    "Whether AWS itself told the truth: the signature is AWS's own.",
]


def counts(trail: Trail) -> dict[str, int]:
    """How many files are proved, not as delivered, not covered, without digests; and still pending."""
    found = dict.fromkeys(Proof.State.values, 0)
    rows = Proof.objects.filter(file__trail=trail).values_list("state").annotate(number=Count("pk"))
    found.update({state: number for state, number in rows})
    found["pending"] = LogFile.objects.filter(trail=trail, proof=None).count()
    return found


def verdict(trail: Trail, number: dict[str, int]) -> dict[str, Any]:
    """What the digests prove of a trail, as a verdict card."""
    digests = DigestFile.objects.filter(trail=trail).aggregate(
        all=Count("pk"),
        bad=Count("pk", filter=Q(state="invalid") | Q(absent__gt=0) | Q(link=Link.BROKEN)),
        holes=Count("pk", filter=Q(leads=True, link__in=[Link.MISSING, Link.RESTARTED])),
    )
    bad, holes = digests["bad"], digests["holes"]
    if bad or number["mismatch"]:
        tone = "bad"
        say = f"{number['mismatch']} files and {bad} digests are not as CloudTrail delivered them."
    elif not digests["all"]:
        tone, say = "warn", "No digest was delivered: nothing proves that these files are genuine, or complete."
    elif holes or number["not_covered"]:
        tone = "warn"
        gaps = f"{holes} {'gap stands' if holes == 1 else 'gaps stand'} between the digests"
        say = f"{gaps}, and {number['not_covered'] or 'no'} {'file' if number['not_covered'] == 1 else 'files'} outside of them."
    else:
        tone, say = "ok", "Every file that the digests list is the one that CloudTrail delivered."
    meta = " · ".join(
        f"{words}: {number[state]:,}"
        for state, words in (
            ("valid", "proved"),
            ("pending", "pending"),
            ("mismatch", "not as delivered"),
            ("not_covered", "not covered"),
            ("undigested", "from times without digests"),
        )
        if number[state] or state == "valid"
    )
    return {"tone": tone, "say": say, "meta": f"Files {meta}", "know": KNOW, "cannot": CANNOT}


WORDS = {
    State.VERIFIED: ("proved", "verified by digests"),
    State.MISMATCH: ("mismatch", "not as CloudTrail delivered it"),
    State.GAP: ("gap", "gap: digests missing, or logging stopped"),
    State.UNDIGESTED: ("unknown", "undigested: no digest speaks of them"),
    State.PENDING: ("pending", "pending"),
    State.NOTHING: ("unknown", "before anything was delivered"),
}


def bar(trail: Trail, now: datetime) -> dict[str, Any]:
    """The hours of the last 90 days, for `components/coverage.html`."""
    since = now - timedelta(days=DAYS)
    proved = coverage.proved(since, now, now, {trail.pk: not trail.offline})
    segments, place = [], 0
    for state, grouped in groupby(proved.states):
        amount = len(list(grouped))
        drawn, words = WORDS[state]
        said = f"{amount} h {words}, from {proved.since + place * HOUR:%Y-%m-%d %H:%M} UTC"
        segments.append({"state": drawn, "amount": amount, "words": said})
        place += amount
    legend = [
        {"state": drawn, "words": f"{proved.hours(state):,} h {words}"}
        for state, (drawn, words) in WORDS.items()
        if proved.hours(state)
    ]
    return {"segments": segments, "legend": legend, "label": ", ".join(item["words"] for item in legend) or "nothing"}


def digests_page(trail: Trail, which: str, after: str, limit: int) -> tuple[list[dict[str, Any]], str]:
    """Digests, latest hour first, with what was found of each; and the cursor of the next page or ""."""
    rows = DigestFile.objects.filter(trail=trail).defer("data").order_by("-ends_at", "-id")
    if which == "findings":
        rows = rows.filter(
            Q(state="invalid")
            | Q(absent__gt=0)
            | Q(mismatched__gt=0)
            | Q(link__in=[Link.MISSING, Link.RESTARTED, Link.BROKEN])
        )
    ends, _, pk = after.partition("|")
    if pk.isdigit() and len(pk) < 18:
        try:
            at = datetime.fromisoformat(ends)
        except ValueError:
            at = None
        if at is not None and at.tzinfo is not None:
            rows = rows.filter(Q(ends_at__lt=at) | Q(ends_at=at, pk__lt=int(pk)))
    found = list(rows[: limit + 1])
    shown = [{"digest": row, "said": said(row), **_pill(row)} for row in found[:limit]]
    cursor = f"{found[limit - 1].ends_at:%Y-%m-%dT%H:%M:%S%z}|{found[limit - 1].pk}" if len(found) > limit else ""
    return shown, cursor


def _pill(row: DigestFile) -> dict[str, str]:
    if row.state == DigestFile.State.INVALID or row.absent or row.mismatched:
        return {"state": "failed", "label": "Not as delivered"}
    if not row.state or row.unread:
        return {"state": "waiting", "label": "Waiting"}
    if row.link in (Link.MISSING, Link.RESTARTED, Link.BROKEN):
        return {"state": "paused", "label": "After a gap" if row.link != Link.BROKEN else "Link broken", "tone": "warn"}
    return {"state": "active", "label": "Valid", "tone": "ok"}


def said(row: DigestFile) -> list[str]:
    """What was found of a digest, in sentences."""
    found = []
    if row.reason:
        found.append(Fault(row.reason).said)
    if row.link == Link.MISSING:
        found.append(f"{row.missing} {'digest is' if row.missing == 1 else 'digests are'} missing right before it.")
    elif row.link in (Link.RESTARTED, Link.BROKEN):
        text = Link(row.link).said
        found.append(text[0].upper() + text[1:] + ".")
    if row.absent:
        found.append(f"{row.absent} of the files that it lists are not there.")
    if row.mismatched:
        found.append(f"{row.mismatched} of the files that it lists are not what was delivered.")
    if row.unread:
        found.append(f"{row.unread} of the files that it lists are not read yet.")
    if row.state and not row.leads:
        found.append("Another version of the same digest counts.")
    return found


PENDING = "pending"
SHORT = {
    Proof.State.VALID: "proved by digest",
    Proof.State.MISMATCH: "file not as delivered",
    Proof.State.NOT_COVERED: "in no digest",
    Proof.State.UNDIGESTED: "no digests then",
    PENDING: "digest pending",
}
"""What stands beside an event's line: the proof of the file that tells of it."""


def by_file(files: Iterable[int]) -> dict[int, str]:
    """What the digests say of each of these log files (by id): a `Proof.State`, or `PENDING`. One query."""
    wanted = set(files)
    decided = dict(Proof.objects.filter(file__in=wanted).values_list("file_id", "state")) if wanted else {}
    return {file: decided.get(file, PENDING) for file in wanted}


def in_short(states: Iterable[str]) -> str:
    """The proof of one line or of several alike, in a few words."""
    counted = Counter(state for state in states if state)
    if len(counted) == 1:
        return SHORT[next(iter(counted))]
    return ", ".join(f"{counted[state]} {words}" for state, words in SHORT.items() if counted[state])


def of_file(file: LogFile) -> str:
    """What the digests say of one log file, in words."""
    proof = Proof.objects.filter(file=file).select_related("digest").first()
    if proof is None:
        return "pending: no digest lists it yet"
    by = f", by {proof.digest}" if proof.digest else ""
    return {
        Proof.State.VALID: f"the one that CloudTrail delivered{by}",
        Proof.State.MISMATCH: f"not what CloudTrail delivered{by}",
        Proof.State.NOT_COVERED: "not covered: no digest lists it",
        Proof.State.UNDIGESTED: "none: no digests were made at that time",
    }[Proof.State(proof.state)]
