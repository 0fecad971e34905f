"""The four questions of an inspection, each at most four clicks away, each answered in the same five parts: answer, evidence,
how we know, limits, export."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path, reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.http import PersonRequest, polled
from accounts.permissions import demand, may
from audit import clock, trail
from cloudtrail import reconciliation
from inspections import queries
from portal import chain_walk, evidence, handlers, reports
from portal.pages import audit, coverage, manifestation, record_audit, record_parts, timeline
from portal.pages.timeline import Asked
from printing.templatetags.look import utc
from records.models import Record, Version
from signatures import offline, standing
from signatures.checking import Verdict
from signatures.meanings import DECIDING, OF_THE_ROUTE
from signatures.models import Signature

DAYS = 90
LATEST = 25  # lines on the page of question three; the whole stands in the audit view
LONGEST_NUMBER = 100

Context = dict[str, Any]
Signed = list[tuple[Signature, Verdict]]


@dataclass(frozen=True)
class Question:
    slug: str
    asks: str
    gives: str
    icon: str


QUESTIONS = (
    Question(
        "unchanged",
        "Prove that it has not changed",
        "Its bytes, read again from S3, against what was signed",
        "shield-check",
    ),
    Question(
        "signed",
        "Who signed it, when, and what did it mean?",
        "Each signature, with role and training at the time",
        "pen",
    ),
    Question(
        "accessed",
        "Who accessed it in the last ninety days?",
        "The portal and CloudTrail in one list, by person",
        "binoculars",
    ),
    Question(
        "evidence",
        "Give me README, manifest and audit trail",
        "One PDF that can be checked without the portal",
        "download",
    ),
)
BY_SLUG = {question.slug: question for question in QUESTIONS}


# The landing ----------------------------------------------------------------------------------------------------------


@require_GET
def landing(request: PersonRequest) -> HttpResponse:
    """One box, four tasks. With ?number= and ?question= it leads to the answer."""
    demand(request.user, "inspection.read")
    number, slug = request.GET.get("number", "").strip()[:LONGEST_NUMBER], request.GET.get("question", "")
    suggested = queries.suggestions(request.user)
    error = ""
    if number and slug in BY_SLUG:
        record = Record.objects.visible_to(request.user).filter(number__iexact=number).first()
        if record:
            return redirect("portal:inspect", record.number, slug)
        trail.access(request.user, "refused", trail.Subject("url", f"/records/{number}/", f"/records/{number}/"))
        error = f"There is no record {number} that you may see. Look at the number, or choose one below."
    context = {
        "questions": QUESTIONS,
        "suggested": suggested,
        "number": number or (suggested[0].number if suggested else ""),
        "error": error,
        "sees_posture": may(request.user, "posture.read"),
        "crumbs": [{"label": "Inspection"}],
    }
    return render(request, "portal/inspection_landing.html", context, status=404 if error else 200)


# The frame of an answer -----------------------------------------------------------------------------------------------


@require_GET
def answer(request: PersonRequest, number: str, slug: str) -> HttpResponse:
    """The answer to one question about one version: the one that ?version= names, else the newest approved."""
    demand(request.user, "inspection.read")
    question = BY_SLUG.get(slug)
    if question is None:
        raise Http404
    record, version = _asked(request, number)
    now = clock.now()
    context = frame(request, record, version, question) | ANSWERS[slug](request, version, now)
    trail.access(request.user, "view", version, {"part": f"answer “{question.slug}”"})
    return render(request, f"portal/inspection_{slug}.html", context)


def _asked(request: PersonRequest, number: str) -> tuple[Record, Version]:
    record = get_object_or_404(Record.objects.visible_to(request.user).select_related("type", "area"), number=number)
    asked = (request.GET if request.method == "GET" else request.POST).get("version", "")
    ordinal = int(asked) if asked.isdecimal() and len(asked) < 9 else None
    version = queries.version_asked(record, ordinal)
    if version is None:
        raise Http404
    return record, version


def frame(request: PersonRequest, record: Record, version: Version, question: Question) -> Context:
    versions = list(record.versions.only("ordinal", "revision", "state").order_by("-ordinal"))
    states = standing.shown_states(versions)
    return {
        "record": record,
        "version": version,
        "question": question,
        "versions": [(one.ordinal, one.revision, states[one.pk]) for one in versions],
        "tabs": [
            {
                "label": f"{place}. {_SHORT[one.slug]}",
                "url": _answer_url(version, one.slug),
                "active": one is question,
            }
            for place, one in enumerate(QUESTIONS, 1)
        ],
        "crumbs": [{"label": "Inspection", "url": reverse("portal:inspection")}, {"label": record.number}],
    }


_SHORT = {
    "unchanged": "Unchanged?",
    "signed": "Signed by whom?",
    "accessed": "Accessed by whom?",
    "evidence": "Evidence PDF",
}


# One: unchanged? ------------------------------------------------------------------------------------------------------


def _unchanged(request: PersonRequest, version: Version, now: datetime) -> Context:
    shown = record_parts.verdict_of(version, now)
    links = queries.chained(version)
    card = shown["verdict"]
    read = {file["logical_key"]: file for file in shown["last"].files} if shown["last"] else {}
    walked = audit.walked(chain_walk.latest()[1])
    beyond = sum(one.seq > walked.to for one in links) if walked and not walked.fault else 0
    limits = [
        *card["cannot"],
        "That nobody rebuilt the audit chain as a whole: this page asks no checkpoint. The signed checkpoints of the anchor"
        " bucket, held against the whole trail by countersign_verify.py, tell that without the portal.",
    ]
    return shown | {
        "card": {name: card[name] for name in ("tone", "say", "meta", "rows")},
        "files": [(file, read.get(file.logical_key)) for file in version.files.all()],
        "findings": [*card["findings"], *card["newer"]],
        "links": links,
        "links_hold": bool(links) and all(one.follows for one in links),
        "unchained": queries.unchained(version, links),
        "walked": walked,
        "walked_tone": "bad" if walked and walked.fault else "warn" if walked and (beyond or walked.late) else "",
        "beyond": beyond,
        "know": card["know"],
        "limits": limits,
        "verifies": may(request.user, "record.verify"),
        "poll_url": reverse("portal:inspect-progress", args=[version.record.number, version.ordinal]),
    }


@require_POST
def prove(request: PersonRequest, number: str) -> HttpResponse:
    """Read the bytes again, now, by a job; the answer's page shows how far it is."""
    demand(request.user, "inspection.read")
    _, version = _asked(request, number)
    demand(request.user, "record.verify", version)
    handlers.ask_to_verify(version, by=request.user)
    return redirect(_answer_url(version, "unchanged"))


@polled
@require_GET
def progress(request: PersonRequest, number: str, ordinal: int) -> HttpResponse:
    """The reading as it goes; when it is over, the page is fetched anew."""
    demand(request.user, "inspection.read")
    demand(request.user, "inspection.read")
    record = get_object_or_404(Record.objects.visible_to(request.user), number=number)
    version = get_object_or_404(record.versions.select_related("record__type"), ordinal=ordinal)
    shown = record_parts.verdict_of(version, clock.now())
    url = _answer_url(version, "unchanged")
    if shown["job"] is None:
        gone = HttpResponse(headers={"HX-Redirect": url})
        return gone if request.headers.get("HX-Request") else redirect(url)
    context = {"job": shown["job"], "title": "Reading every byte again", "done_url": url,
               "poll_url": reverse("portal:inspect-progress", args=[number, ordinal])}  # fmt: skip
    return render(request, "components/progress.html", context)


# Two: signed by whom? -------------------------------------------------------------------------------------------------


def _signed(request: PersonRequest, version: Version, now: datetime) -> Context:
    signed = manifestation.signatures_of([version])
    trained = queries.training_at([signature for signature, _ in signed])
    links = {one.entry.detail.get("signature"): one for one in queries.chained(version)}
    cards = manifestation.cards([version]).get(version.pk, [])
    waiting = [card for card in cards if card["state"] == "waiting"]
    told = [
        {
            "card": card | {"url": signature.get_absolute_url()},
            "signature": signature,
            "verdict": verdict,
            "training": trained[signature.pk],
            "link": links.get(str(signature.pk)),
            "command": offline.command(signature),
        }
        for (signature, verdict), card in zip(
            signed, [card for card in cards if card["state"] != "waiting"], strict=True
        )
    ]
    broken = [signature for signature, verdict in signed if not verdict.valid]
    return {
        "signed": told,
        "waiting": waiting,
        "answer": _who_signed(version, signed, broken),
        "know": [
            "Name, role, time and meaning are what was printed when each signature was given; a later change of name or role"
            " does not touch them.",
            "Each signature was checked when this page was made: its seal with the portal's public key, its statement against"
            " the row, the version's hashes, and the signer's signature before it.",
            "To sign, a person gave password and a fresh one-time code, after every page had been served to them.",
        ],
        "limits": [
            "That the person at the keyboard was the account's owner: two components and the signed accountability statement"
            " stand for it, not a camera.",
            "That a signer understood what they read.",
            "Which training outside of the portal the signers have.",
        ],
    }


def _who_signed(version: Version, signed: Signed, broken: list[Signature]) -> Context:
    if not signed:
        return {"tone": "mute", "say": f"Nobody has signed version {version.ordinal}."}
    if broken:
        return {"tone": "bad", "say": f"{len(broken)} of {len(signed)} signatures do not hold."}
    route = [(one, verdict) for one, verdict in signed if one.meaning in OF_THE_ROUTE and not verdict.stands.replaced]
    counting = [one for one, verdict in route if not verdict.in_doubt]
    against = "; ".join(
        f"the {one.get_meaning_display().lower()} of {one.printed_name} {manifestation.became(verdict.stands)}"
        for one, verdict in route
        if verdict.in_doubt
    )
    meta = _when_signed(signed)
    if any(one.meaning in DECIDING for one, _ in route) and not any(one.meaning in DECIDING for one in counting):
        return {"tone": "bad", "say": f"No approval counts: {against}.", "meta": meta}
    say = f"Signed by {_names(counting)}." if counting else "No signature counts."
    if against:
        return {"tone": "warn", "say": f"{say} Besides, {against}.", "meta": meta}
    if not counting:
        return {"tone": "mute", "say": say, "meta": meta}
    return {"tone": "ok", "say": say, "meta": f"{meta} Each holds, checked now."}


def _when_signed(signed: Signed) -> str:
    """When the last signature of the route was given, and who signed since about what was signed."""
    last = [one for one, _ in signed if one.meaning in OF_THE_ROUTE][-1:]
    others = [one for one, _ in signed if one.meaning not in OF_THE_ROUTE]
    told = [f"The last on {utc(one.signed_at, 's')}." for one in last]
    return " ".join([*told, f"Signed since: {_names(others)}."] if others else told)


def _names(signatures: list[Signature]) -> str:
    return " and ".join(f"{one.printed_name} ({one.get_meaning_display().lower()})" for one in signatures)


# Three: accessed by whom? ---------------------------------------------------------------------------------------------


def _accessed(request: PersonRequest, version: Version, now: datetime) -> Context:
    record = version.record
    asked = Asked(record, now - timedelta(days=DAYS), now, reader=request.user)
    told = timeline.tell(asked)
    cells = timeline.cells(asked, told)
    covered = coverage.coverage(asked.since, asked.until, now, {one.bucket for one in told.objects})
    made = reports.Report(asked, cells, covered, now, request.user.legal_name)
    people = record_audit.by_person(cells)
    latest = timeline.page(asked, limit=LATEST, told=told).lines
    kept = {"days": str(DAYS)}
    return {
        "answer": _who_accessed(made, people),
        "people": people,
        "audit_url": f"{record.get_absolute_url()}audit/",
        "kinds": record_audit.kinds(cells, asked, kept),
        "activity": record_audit.activity(cells, asked),
        "coverage": coverage.bar(covered),
        "compared": reconciliation.told((one.bucket, one.key) for one in told.objects),
        "days": record_audit.by_day(timeline.fold(latest), told.names),
        "exports": record_audit.exports(made, kept),
        "know": [
            "Acts come from the audit trail, views and exports from the reading log, which is sealed into the same chain; reads"
            " on S3 come from CloudTrail's files, event by event, each leading to its raw JSON.",
            "Hours drawn as verified are proved by CloudTrail's signed digests: they list every log file with its hash, each"
            " names the one before it, and the signature is checked by AWS's public key, which is archived here.",
            "An event counts if it names one of the record's objects, copies one of them, lists or deletes what may include one,"
            " or changes the settings of their bucket.",
            "PROVEN: led back through every role to a person. CLAIMED: a name that the caller chose. SERVICE: a program."
            " UNRESOLVED: nobody can be named.",
        ],
        "limits": reports.limits(made),
        "total": made.total,
    }


def _who_accessed(made: reports.Report, people: list[Any]) -> Context:
    named = sum(row.who.standing == "PROVEN" for row in people)
    claimed = sum(row.who.standing == "CLAIMED" for row in people)
    services = sum(row.who.standing == "SERVICE" for row in people)
    unknown = sum(row.total for row in people if row.who.standing == "UNRESOLVED")
    refused = sum(row.refused for row in people)
    record = made.asked.record
    if not made.total:
        return {"tone": "mute", "say": f"No source tells of any access to {record.number} in the last {DAYS} days."}
    parts = [
        _count(named, "proven identity", "proven identities"),
        _count(claimed, "name that was only claimed", "names that were only claimed"),
        _count(services, "service", "services"),
    ]
    who = _list([part for part in parts if part])
    say = f"In the last {DAYS} days {who} accessed {record.number}, as far as the sources tell."
    if unknown:
        say += f" {unknown} event{'' if unknown == 1 else 's'} cannot be led to anybody."
    period = f"{utc(made.asked.since)} to {utc(made.asked.until)}"
    meta = f"{made.total:,} events of all its versions, {refused} of them refused; {period}"
    return {"tone": "warn" if unknown or claimed else "info", "say": say, "meta": meta}


def _count(number: int, one: str, many: str) -> str:
    return "" if not number else f"{number} {one if number == 1 else many}"


def _list(parts: list[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]]) if len(parts) > 1 else "".join(parts)


# Four: evidence -------------------------------------------------------------------------------------------------------


def _evidence(request: PersonRequest, version: Version, now: datetime) -> Context:
    return {
        "parts": [(slug, _PART_WORDS[slug]) for slug in evidence.PARTS],
        "is_data": version.record.type.kind == "data",
        "periods": record_audit.PRESETS.items(),
        "days": str(DAYS),
        "know": [
            "The cover lists every part, the hashes, the signatures and the commands that check them; manifest, statements,"
            " seals, public key and the audit trail as CSV are enclosed byte for byte.",
            "The content is read from S3 by version id and hashed while the pack is made; bytes that differ stop it.",
            "The file's own SHA-256 is kept with the job, and the download is written to the reading log.",
        ],
        "limits": [
            *evidence.CANNOT,
            f"More than {evidence.LINES:,} lines of audit trail do not go on paper: ask for fewer days.",
        ],
    }


_PART_WORDS = {
    "readme": ("README", "what the package is; of a document, the text as it was signed"),
    "manifest": ("Manifest", "every file with its SHA-256, size, version id and place; metadata; top hash"),
    "audit": ("Audit trail", "portal, reading log and CloudTrail, with filter, total and what is not covered"),
}


@require_http_methods(["POST"])
def build(request: PersonRequest, number: str) -> HttpResponse:
    """Start the job that makes the pack of what was ticked."""
    demand(request.user, "inspection.read")
    _, version = _asked(request, number)
    demand(request.user, "record.export", version)
    chosen = [part for part in evidence.PARTS if part in request.POST.getlist("part")]
    days = request.POST.get("days", "")
    if not chosen:
        raise trail.Refused("Tick at least one part.", subject=version, by=request.user)
    job = evidence.ask_for(version, chosen, int(days) if days in record_audit.PRESETS else DAYS, by=request.user)
    return redirect("portal:prepared", job.pk)


def _answer_url(version: Version, slug: str) -> str:
    where = reverse("portal:inspect", args=[version.record.number, slug])
    return f"{where}?{urlencode({'version': version.ordinal})}"


ANSWERS: dict[str, Callable[[PersonRequest, Version, datetime], Context]] = {
    "unchanged": _unchanged,
    "signed": _signed,
    "accessed": _accessed,
    "evidence": _evidence,
}

URLS = [
    path("inspection/", landing, name="inspection"),
    path("inspection/<str:number>/prove/", prove, name="inspect-prove"),
    path("inspection/<str:number>/build/", build, name="inspect-build"),
    path("inspection/<str:number>/v<int:ordinal>/progress/", progress, name="inspect-progress"),
    path("inspection/<str:number>/<slug:slug>/", answer, name="inspect"),
]
