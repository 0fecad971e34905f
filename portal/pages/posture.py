"""Storage posture: every bucket, one with its rules and history, the proposal of a baseline, copies to take away, and who may
bypass a retention."""

import uuid
from datetime import datetime, timedelta
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path, reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.http import PersonRequest, polled
from accounts.models import User
from accounts.permissions import demand, may
from audit import clock, trail
from jobs.models import Job
from portal import posture
from portal.pages import obstacles
from portal.posture import SUBJECT, rows_of
from printing.csv import write_rows
from printing.table import Column, render_table
from printing.templatetags.look import iso, utc
from records.models import Record, Version
from signatures.models import Step
from storage import queries
from storage.models import Bucket, PostureReading
from storage.posture import BY_ID, CANNOT, KNOW, RULES, Rule, Value, Verdict
from storage.s3 import StorageError

Context = dict[str, Any]
HISTORY = 30  # readings that a bucket's page lists
OLD = timedelta(days=2)
TONES = {Verdict.PASSES: "ok", Verdict.FAILS: "bad", Verdict.UNREAD: "warn", Verdict.NOT_ASKED: "mute"}
COLUMNS = (
    "bucket",
    "read_at",
    "baseline",
    "rule",
    "group",
    "asks",
    "serves",
    "permission",
    "wanted",
    "found",
    "verdict",
)
ON_PAPER = (Column("Rule", 20), Column("Serves", 12), Column("Wanted", 24), Column("Found", 30), Column("Verdict", 14))
CRUMB = {"label": "Storage posture", "url": "/posture/"}


# Every bucket, and one ------------------------------------------------------------------------------------------------


@require_GET
def listing(request: PersonRequest) -> HttpResponse:
    demand(request.user, "posture.read", SUBJECT)
    buckets = list(Bucket.objects.posture_for(request.user).select_related("area").order_by("purpose", "name"))
    readings = queries.latest_of(buckets)
    rows = [{"bucket": one, "reading": readings.get(one.pk), **_standing(readings.get(one.pk))} for one in buckets]
    context = {
        "rows": rows,
        "verdict": _verdict(rows, clock.now()),
        "keeps": may(request.user, "storage.manage"),
        "crumbs": [{"label": "Storage posture"}],
        **_around(request.user),
    }
    return render(request, "portal/posture.html", context)


@require_GET
def bucket(request: PersonRequest, name: str) -> HttpResponse:
    """The rules of one bucket as last read, or as `?reading=` names an earlier look."""
    shown = _bucket(request, name)
    reading = _reading(request, shown)
    before = queries.before(reading) if reading else None
    changed = queries.changed(before, reading.findings) if reading else set()
    newest = queries.latest(shown)
    context = {
        "bucket": shown,
        "reading": reading,
        "earlier": reading is not None and newest is not None and reading.pk != newest.pk,
        "groups": _groups(reading, changed) if reading else [],
        "verdict": _verdict([{"bucket": shown, "reading": reading, **_standing(reading)}], clock.now()),
        "history": [{"reading": one, **_standing(one)} for one in shown.readings.order_by("-read_at")[:HISTORY]],
        "facts": _facts(shown, reading),
        "crumbs": [CRUMB, {"label": shown.name}],
        **_around(request.user),
    }
    return render(request, "portal/posture_bucket.html", context)


def _bucket(request: PersonRequest, name: str) -> Bucket:
    demand(request.user, "posture.read", SUBJECT)
    return get_object_or_404(Bucket.objects.posture_for(request.user).select_related("area"), pk=name)


def _reading(request: PersonRequest, shown: Bucket) -> PostureReading | None:
    asked = request.GET.get("reading", "")
    if not asked:
        return queries.latest(shown)
    try:
        return get_object_or_404(shown.readings, pk=uuid.UUID(asked))
    except ValueError:
        raise Http404 from None


def _standing(reading: PostureReading | None) -> Context:
    """Counts of a reading, and what they come to: a tone and words."""
    if reading is None:
        return {"tone": "mute", "words": "never read", "fails": 0, "unread": 0, "passes": 0, "aside": 0}
    counts = reading.counts
    fails, unread = counts[Verdict.FAILS], counts[Verdict.UNREAD]
    tone = "bad" if fails else "warn" if unread else "ok"
    words = f"{fails} fail" if fails else f"{unread} not read" if unread else "passes"
    return {
        "tone": tone,
        "words": words,
        "fails": fails,
        "unread": unread,
        "passes": counts[Verdict.PASSES],
        "aside": counts[Verdict.NOT_ASKED],
    }


def _groups(reading: PostureReading, changed: set[str]) -> list[Context]:
    """The rows of a reading by group, each with its tone."""
    groups: dict[str, list[Context]] = {}
    for told in rows_of(reading):
        rule: Rule | None = told["rule"]
        row = told | {"tone": TONES[Verdict(told["verdict"])], "changed": told["id"] in changed}
        groups.setdefault(rule.group if rule else "Rules of earlier releases", []).append(row)
    return [{"name": str(name), "rows": rows} for name, rows in groups.items()]


def _facts(shown: Bucket, reading: PostureReading | None) -> list[Context]:
    facts: list[Context] = [{"label": "Purpose", "value": shown.get_purpose_display().capitalize()}]
    if shown.area:
        facts.append({"label": "Area", "value": shown.area.name})
    if reading is None:
        return [*facts, {"label": "Read", "value": "never"}]
    return [
        *facts,
        {"label": "Read", "at": reading.read_at},
        {"label": "Asked for by", "value": reading.by_name},
        {"label": "Held against", "value": reading.baseline or "what the portal recommends"},
    ]


def _verdict(rows: list[Context], now: datetime) -> Context:
    """What the newest readings come to, in a sentence."""
    read = [row["reading"] for row in rows if row["reading"]]
    fails, unread = sum(row["fails"] for row in rows), sum(row["unread"] for row in rows)
    never = len(rows) - len(read)
    oldest = min((one.read_at for one in read), default=None)
    if not rows:
        say, tone = "No bucket is registered.", "mute"
    elif fails:
        say, tone = f"{_count(fails, 'rule does', 'rules do')} not pass.", "bad"
    elif not read:
        say, tone = "Nothing was read yet.", "mute"
    elif unread or never:
        said = [f"{_count(unread, 'rule')} could not be read" if unread else "",
                f"{_count(never, 'bucket was', 'buckets were')} never read" if never else ""]  # fmt: skip
        say, tone = f"Nothing fails, but {' and '.join(part for part in said if part)}.", "warn"
    elif oldest is not None and now - oldest > OLD:
        say, tone = "Every rule passed when it was last read, and that is more than two days ago.", "warn"
    else:
        say, tone = "Every rule that is asked for passes.", "ok"
    if fails and unread:
        say += f" {_count(unread, 'more')} could not be read."
    aside = sum(row["aside"] for row in rows)
    unsigned = sum(not one.baseline for one in read)
    newer = [f"The baseline does not ask for {_count(aside, 'rule')}: marked as such."] if aside else []
    newer += [
        "No signed baseline names "
        + ("this bucket: it is" if len(rows) == 1 else f"{_count(unsigned, 'bucket')}: held")
        + " held against what the portal recommends."
    ] if unsigned else []  # fmt: skip
    meta = f"Read {utc(oldest, 's')}" + (", or later" if len(read) > 1 else "") if oldest else ""
    return {"tone": tone, "say": say, "meta": meta, "newer": newer, "know": KNOW, "cannot": CANNOT}


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


def _around(user: User) -> Context:
    """The baseline and the job, which every page of the posture shows."""
    current, waits = posture.current(), posture.waiting()
    return {
        "baseline": _told(current, user),
        "proposal": _told(waits, user),
        "job": _job(),
        "progress_url": reverse("portal:posture-progress"),
        "proposes": may(user, "posture.baseline"),
    }


def _told(version: Version | None, user: User) -> Context | None:
    """A baseline, with its address where the person may see the record."""
    if version is None:
        return None
    seen = Record.objects.visible_to(user).filter(pk=version.record_id).exists()
    return {"version": version, "label": posture.label(version), "url": version.get_absolute_url() if seen else ""}


def _job() -> Job | None:
    """The reading that is under way, or failed last."""
    last = Job.objects.filter(kind=posture.READ).order_by("-created_at").first()
    return last if last and last.state != Job.State.DONE else None


# Read now -------------------------------------------------------------------------------------------------------------


@require_POST
def read_now(request: PersonRequest) -> HttpResponse:
    """Ask for a reading; the page shows how far it is."""
    posture.ask_now(by=request.user)
    return redirect("portal:posture")


@polled
@require_GET
def progress(request: PersonRequest) -> HttpResponse:
    """The reading as it goes; when it is over, the page is fetched anew."""
    demand(request.user, "posture.read", SUBJECT)
    job = _job()
    if job is None:
        gone = HttpResponse(headers={"HX-Refresh": "true"})
        return gone if request.headers.get("HX-Request") else redirect("portal:posture")
    context = {"job": job, "title": "Reading the storage posture", "poll_url": request.path}
    return render(request, "components/progress.html", context)


# Baseline and snapshot ------------------------------------------------------------------------------------------------


@require_http_methods(["GET", "POST"])
def baseline(request: PersonRequest) -> HttpResponse:
    """Choose what is wanted of each bucket, and seal the choice for its signature."""
    demand(request.user, "posture.baseline", SUBJECT)
    buckets = list(Bucket.objects.posture_for(request.user).order_by("purpose", "name"))
    fault, status = "", 200
    choices: list[Context] = []
    try:
        choices = _choices(buckets)
        if request.method == "POST":
            with trail.refusals(request.user):
                chosen = _chosen(request, choices)
                version = posture.propose(chosen, by=request.user, why=request.POST.get("why", "")[:2000])
            messages.success(
                request, f"{posture.label(version)} is sealed, and waits for an approver who did not make it."
            )
            obstacles.tell(request, version)
            return redirect("portal:posture")
    except trail.Forbidden:
        raise
    except (trail.Refused, StorageError) as refused:
        fault, status = str(refused), 400
    context = {
        "choices": choices,
        "fault": fault,
        "why": request.POST.get("why", ""),
        "crumbs": [CRUMB, {"label": "Propose a baseline"}],
        **_around(request.user),
    }
    return render(request, "portal/posture_baseline.html", context, status=status)


def _choices(buckets: list[Bucket]) -> list[Context]:
    """By bucket: each rule with the values to choose from, the first of them chosen."""
    proposed, readings, signed = (
        posture.proposed(buckets),
        queries.latest_of(buckets),
        posture.wanted_by(posture.current()),
    )
    made = []
    for one in buckets:
        found, before = posture.found_in(readings.get(one.pk)), signed.get(one.pk, {})
        rows = [
            {
                "rule": rule,
                "field": f"{one.pk}:{rule.id}",
                "options": _options(
                    rule, proposed[one.pk][rule.id], found.get(rule.id), before, rule.recommends(one.purpose)
                ),
            }
            for rule in RULES
            if rule.applies_to(one)
        ]
        made.append({"bucket": one, "rows": rows, "reading": readings.get(one.pk)})
    return made


def _options(rule: Rule, chosen: Value | None, found: Value | None, before: Any, usual: Value) -> list[Context]:
    """Every value that makes sense, once each, told by where it comes from."""
    told: list[tuple[str, Value | None, str]] = []
    if rule.id in before:
        told.append(("signed", before[rule.id], "as signed"))
    if found is not None:
        told.append(("found", found, "as found"))
    told += [("usual", usual, "as recommended"), ("none", None, "")]
    options: list[Context] = []
    for key, value, source in told:
        same = next((one for one in options if one["value"] == value), None)
        if same is not None:
            same["source"] += f", {source}" if source else ""
            continue
        options.append(
            {"key": key, "value": value, "words": rule.words(value), "source": source, "chosen": value == chosen}
        )
    return options


def _chosen(request: PersonRequest, choices: list[Context]) -> dict[str, dict[str, Value | None]]:
    """What the form says; what it does not say stays as proposed."""
    made: dict[str, dict[str, Value | None]] = {}
    for of_bucket in choices:
        wanted = made.setdefault(of_bucket["bucket"].pk, {})
        for row in of_bucket["rows"]:
            key = request.POST.get(row["field"], "")
            for option in row["options"]:
                option["chosen"] = option["key"] == key if key else option["chosen"]
            picked = [option for option in row["options"] if option["chosen"]]
            if not picked:
                raise trail.Refused(
                    f"{of_bucket['bucket'].pk}, {row['rule'].asks}: this choice is no longer open. Look at it again.",
                    subject=SUBJECT,
                    by=request.user,
                )
            wanted[row["rule"].id] = picked[0]["value"]
    return made


@require_POST
def snapshot(request: PersonRequest) -> HttpResponse:
    """Seal the newest readings, and go to the signature where it is one's own."""
    try:
        version = posture.seal_snapshot(by=request.user)
    except StorageError as error:
        messages.error(request, f"The snapshot was not sealed: {error}")
        return redirect("portal:posture")
    obstacles.tell(request, version)
    step = Step.objects.get(version=version)
    if step.assignee_id == request.user.pk:
        messages.success(request, f"{version.record.number} is sealed. Read it, and sign it.")
        return redirect(step)
    messages.success(request, f"{version.record.number} is sealed, and waits for an approver.")
    return redirect("portal:posture")


# To take away ---------------------------------------------------------------------------------------------------------


@require_GET
def export(request: PersonRequest, name: str) -> HttpResponse:
    """One reading as CSV, or as PDF with `?as=pdf`; the newest unless `?reading=` names another."""
    shown = _bucket(request, name)
    reading = _reading(request, shown)
    if reading is None:
        raise Http404
    kind = "pdf" if request.GET.get("as") == "pdf" else "csv"
    trail.access(request.user, "export", shown, {"format": kind, "reading": str(reading.pk)})
    if kind == "pdf":
        body: Any = _on_paper(shown, reading, request.user)
    else:
        body = "".join(write_rows(COLUMNS, map(_line, [reading] * len(reading.findings), rows_of(reading))))
    media = {"pdf": "application/pdf", "csv": "text/csv; charset=utf-8"}[kind]
    answer = HttpResponse(body, content_type=media)
    answer["Content-Disposition"] = (
        f'attachment; filename="posture-{shown.name}-{reading.read_at:%Y%m%dT%H%M%S}.{kind}"'
    )
    return answer


def _line(reading: PostureReading, told: Context) -> list[Any]:
    rule: Rule | None = told["rule"]
    return [
        reading.bucket_id, iso(reading.read_at), reading.baseline, told["id"], str(rule.group) if rule else "", told["asks"],
        told["serves"], rule.permission if rule else "", told["wanted"], told["found"], told["words"],
    ]  # fmt: skip


def _on_paper(shown: Bucket, reading: PostureReading, user: User) -> bytes:
    standing = _standing(reading)
    counts = f"{standing['passes']} pass, {standing['fails']} do not, {standing['unread']} could not be read"
    cover = [
        ("Bucket", f"{shown.name}, {shown.get_purpose_display()}"),
        ("Read", f"{utc(reading.read_at, 's')} for {reading.by_name}"),
        ("Held against", reading.baseline or "what the portal recommends; no signed baseline names it"),
        ("Rules", counts + (f", {standing['aside']} are not asked for" if standing["aside"] else "")),
        ("Made", f"{utc(clock.now(), 's')} by {user.legal_name}"),
        *(("How it is known", line) for line in KNOW),
        *(("Not said here", line) for line in CANNOT),
    ]
    rows = ([told["asks"], told["serves"], told["wanted"], told["found"], told["words"]] for told in rows_of(reading))
    footer = f"Storage posture of {shown.name}, {utc(reading.read_at, 'date')} · uncontrolled when printed"
    return render_table("Storage posture", ON_PAPER, rows, cover=cover, footer=footer)


# Who may bypass retention? --------------------------------------------------------------------------------------------

ASKED = ("lock", "lock_mode", "lock_days", "bypass")


@require_GET
def retention(request: PersonRequest) -> HttpResponse:
    """The inspector's question in the five parts: answer, evidence, how we know, limits, export."""
    demand(request.user, "posture.read", SUBJECT)
    buckets = list(Bucket.objects.posture_for(request.user).order_by("purpose", "name"))
    readings = queries.latest_of(buckets)
    rows = []
    for one in buckets:
        reading = readings.get(one.pk)
        told = {row["id"]: row for row in rows_of(reading)} if reading else {}
        rows.append({"bucket": one, "reading": reading, "cells": [_cell(name, told.get(name)) for name in ASKED]})
    context = {
        "rows": rows,
        "heads": [BY_ID[name].asks for name in ASKED],
        "verdict": _who_bypasses(rows),
        "crumbs": [_above(request.user), {"label": "Who may bypass retention?"}],
    }
    return render(request, "portal/posture_retention.html", context)


def _above(user: User) -> Context:
    """Where the page is reached from: by whoever may open it."""
    if may(user, "inspection.read"):
        return {"label": "Inspection", "url": reverse("portal:inspection")}
    return {"label": "Posture", "url": reverse("portal:posture")}


def _cell(name: str, told: Context | None) -> Context:
    tone = TONES[Verdict(told["verdict"])] if told else "mute"
    return {"head": BY_ID[name].asks, "found": told["found"] if told else "not read", "tone": tone}


def _who_bypasses(rows: list[Context]) -> Context:
    """By the newest readings alone: names, or what is not known."""
    names: set[str] = set()
    open_to = [row["bucket"].pk for row in rows if row["reading"] is None]
    for row in rows:
        for one in row["reading"].findings if row["reading"] else []:
            if one["rule"] == "bypass" and one["found"] is None:
                open_to.append(row["bucket"].pk)
            elif one["rule"] == "bypass":
                names.update(one["found"])
    if names:
        say, tone = f"{len(names)} principals may end a governance lock early: {', '.join(sorted(names))}.", "bad"
    elif open_to or not rows:
        say, tone = f"Not known for {', '.join(open_to) or 'any bucket'}: it could not be read.", "warn"
    else:
        say, tone = "Nobody, by the policies of the buckets and of IAM as they were read.", "ok"
    return {
        "tone": tone,
        "say": say,
        "open": True,
        "know": [
            "A bucket's policy that denies s3:BypassGovernanceRetention to everybody needs no word of IAM: a denial wins.",
            "Where the policy leaves it open, every user, role and group of the account was asked for in IAM, and the bucket's"
            " own policy. Conditions there are left out of account, so too many may be named and never too few.",
            "A version under compliance is kept from everybody, the account's owner included, until its date.",
        ],
        "cannot": [
            "Whoever administers the account can replace a bucket's policy, and then bypass. CloudTrail tells of both.",
            "Versions locked by hand under governance in a bucket whose default is compliance stay under governance.",
            "People and roles of other accounts, unless the bucket's policy names them.",
            "Closing the account, or deleting the KMS key: no lock helps against these.",
        ],
    }


URLS = [
    path("posture/", listing, name="posture"),
    path("posture/read/", read_now, name="posture-read"),
    path("posture/progress/", progress, name="posture-progress"),
    path("posture/baseline/", baseline, name="posture-baseline"),
    path("posture/snapshot/", snapshot, name="posture-snapshot"),
    path("posture/retention/", retention, name="posture-retention"),
    path("posture/buckets/<str:name>/", bucket, name="posture-bucket"),
    path("posture/buckets/<str:name>/export/", export, name="posture-export"),
]
