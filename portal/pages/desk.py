"""The desk: what waits for the person, and how the state of control stands today."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, F, Min, OuterRef, Q, Subquery
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET

from accounts import qualifications, rights
from accounts.http import PersonRequest
from accounts.models import User
from accounts.permissions import may
from accounts.roles import Role
from audit import alarms, clock
from audit.models import Alarm
from cloudtrail.models import Trail
from jobs.models import Job
from portal.hearers import alarms_for
from portal.pages.document_parts import KINDS as DOCUMENTS
from records.kinds import Kind
from records.lifecycle import State
from records.models import Draft, Record, Verification, Version
from signatures import standing
from signatures.meanings import Meaning
from signatures.models import Step
from signatures.requests import missing, to_decide_by
from signatures.signing import spared

SHOWN = 50
FAILED_SINCE = timedelta(days=7)
FRESH = timedelta(hours=24)
OVERDUE = (Alarm.Kind.REVIEW_OVERDUE, Alarm.Kind.ACCESS_REVIEW_OVERDUE)
VERBS = {
    Meaning.REVIEW: "Review",
    Meaning.APPROVAL: "Approve",
    Meaning.READING: "Read and understand",
    Meaning.RESPONSIBILITY: "Answer for",
}


@dataclass(frozen=True)
class Task:
    """One line of the list. `due` and `tone` make its pill; `by` sorts it."""

    number: str
    verb: str
    title: str
    hint: str
    url: str
    button: str
    due: str = ""
    tone: str = "mute"
    by: datetime | None = None
    step: str = ""  # what waits is a signature: its step's key, for a list


@dataclass(frozen=True)
class Figure:
    """One figure of the state of control, with the page behind it."""

    value: str
    words: str
    url: str


@require_GET
def page(request: PersonRequest) -> HttpResponse:
    user, now = request.user, clock.now()
    far = now + timedelta(days=36500)
    due = [*signatures(user, now), *readings(user, now), *decisions(user), *overdue_reviews(user)]
    asked = sorted(due, key=lambda task: task.by or far)
    context = {
        "listable": len({task.step for task in asked if task.step}) > 1,
        "awaited": list(awaited(user, now)),
        "tasks": [*asked, *failed_jobs(user, now), *drafts(user)],
        "figures": figures(user, now),
        "can_write": may(user, "document.write"),
        "can_register": may(user, "record.register"),
    }
    return render(request, "portal/desk.html", context)


def signatures(user: User, now: datetime) -> Iterable[Task]:
    steps = list(
        Step.objects.awaiting(user)
        .select_related("version__record__type", "version__author")
        .prefetch_related("version__steps__signature")
        .order_by(F("due_at").asc(nulls_last=True), "pk")[:SHOWN]
    )
    if not steps:
        return
    missing_now = {gap.condition.name for gap in rights.gaps(user, now)}
    for step in steps:
        version = step.version
        ready = missing_now <= spared(step.meaning, version)
        yield Task(
            number=version.record.number,
            verb=VERBS[Meaning(step.meaning)],
            title=f"{version.record.title}, version {version.ordinal}",
            hint=_so_far(step) if ready else f"You cannot sign yet: its page says what is missing. {_so_far(step)}",
            url=step.get_absolute_url(),
            button="Sign" if ready else "Look",
            step=str(step.pk),
            **_due(step.due_at, now),
        )


def decisions(user: User) -> Iterable[Task]:
    """Signatures under review, for quality: each waits for a signed decision of somebody else than its signer."""
    rows = to_decide_by(user, SHOWN)
    stands = standing.of_all(rows)
    for row in rows:
        yield Task(
            number=row.version.record.number,
            verb="Decide",
            title=f"about a signature on {row.version.label}",
            hint=f"{row.get_meaning_display()} by {row.printed_name}. {stands[row.pk].sentence}",
            url=f"{row.get_absolute_url()}decide/",
            button="Decide",
            due="under review",
            tone="warn",
            by=row.signed_at,
        )


def _so_far(step: Step) -> str:
    """`Reviewed by Maja Ruiz. You are the last signature.`"""
    version = step.version
    signed = [row.signature for row in version.steps.all() if row.signature]
    left = missing(version.steps.all()) - 1
    made = "Registered" if version.record.type.kind == Kind.DATA else "Submitted"
    last = max(signed, key=lambda signature: signature.signed_at, default=None)
    before = (
        f"{last.get_meaning_display()} by {last.printed_name}, {last.signed_at.day} {last.signed_at:%b}."
        if last
        else f"{made} by {version.author.legal_name}, {version.created_at.day} {version.created_at:%b}."
    )
    after = "You are the last signature." if left == 0 else f"{left} more after yours."
    return f"{before} {after}"


def awaited(user: User, now: datetime) -> Iterable[Task]:
    """What the person asked others to sign, with whose turn it is: a line for each signature that is waited for."""
    steps = (
        Step.objects.visible_to(user)
        .waiting()
        .filter(version__request__opened_by=user)
        .select_related("version__record__type", "assignee")
        .order_by(F("due_at").asc(nulls_last=True), "pk")[:SHOWN]
    )
    for step in steps:
        yield Task(
            number=step.version.record.number,
            verb=step.get_meaning_display(),
            title=f"{step.version.record.title}, version {step.version.ordinal}",
            hint=f"Asked of {step.assignee or f'any {Role(step.role).label}'}.",
            url=step.get_absolute_url(),
            button="Look",
            **_due(step.due_at, now),
        )


def readings(user: User, now: datetime) -> Iterable[Task]:
    trained = bool(qualifications.policy_in_force(user))
    for row in qualifications.unread(user)[:SHOWN]:
        gate = _gate(trained and row.due_at > now) if row.gate == rights.GATE else ""
        yield Task(
            number=row.topic,
            verb=VERBS[Meaning.READING],
            title=row.label.partition(", ")[2] or row.label,
            hint=f"{row.label.partition(', ')[0]}. {gate}".strip(),
            url=reverse("sops:read", args=[row.version_id]),
            button="Read",
            **_due(row.due_at, now),
        )


def _gate(open_yet: bool) -> str:
    """Who was trained on an earlier version of the e-signature SOP signs until the new one is due; anybody else does not sign."""
    return "You can sign without it until then." if open_yet else "You cannot sign before you have read it."


def drafts(user: User) -> Iterable[Task]:
    held = Draft.objects.visible_to(user).filter(checked_out_by=user).select_related("record__type")
    for draft in held.order_by("-saved_at")[:SHOWN]:
        yield Task(
            number=draft.record.number,
            verb="Write",
            title=draft.record.title,
            hint=f"You have the draft checked out; saved {draft.saved_at.day} {draft.saved_at:%b %H:%M} UTC.",
            url=f"{draft.record.get_absolute_url()}edit/",
            button="Edit",
        )


def failed_jobs(user: User, now: datetime) -> Iterable[Task]:
    mine = Job.objects.filter(requested_by=str(user.pk), state=Job.State.FAILED, finished_at__gt=now - FAILED_SINCE)
    for job in mine.order_by("-finished_at")[:SHOWN]:
        yield Task(
            number="Job", verb="Look into", title=job.title, hint=job.error[:200], url=f"/jobs/{job.pk}/", button="Open",
            due="failed", tone="bad",
        )  # fmt: skip


def overdue_reviews(user: User) -> Iterable[Task]:
    """Reviews of the trail and of access that are late, for those who make them."""
    if not may(user, "trail.review"):
        return
    for alarm in Alarm.objects.filter(kind__in=OVERDUE, cleared_at__isnull=True).order_by("first_at"):
        access = alarm.kind == Alarm.Kind.ACCESS_REVIEW_OVERDUE
        yield Task(
            number="Review", verb="Recertify" if access else "Review", title=alarm.subject_label, hint=alarm.sentence,
            url="/people/access/" if access else f"/audit/reviews/{alarm.subject_id}/", button="Open",
            due="overdue", tone="bad", by=alarm.first_at,
        )  # fmt: skip


def _due(due_at: datetime | None, now: datetime) -> dict[str, Any]:
    """The pill of a due date, counted in days of UTC."""
    if due_at is None:
        return {}
    days = (due_at.date() - now.date()).days
    if due_at <= now:
        words = "late today" if days == 0 else f"{-days} day{'' if days == -1 else 's'} late"
        return {"due": words, "tone": "bad", "by": due_at}
    words = {0: "due today", 1: "due tomorrow"}.get(days, f"in {days} days")
    return {"due": words, "tone": "warn" if days <= 3 else "mute", "by": due_at}


def figures(user: User, now: datetime) -> list[Figure]:
    """What is true today of that which the person may see."""
    found = []
    if may(user, "record.read"):
        found += [_documents(user, now), _versions(user, now), _open_signatures(user, now)]
    if may(user, "cloudtrail.read"):
        found.append(_trails(now))
    if may(user, "alarms.acknowledge"):
        found.append(_alarms(user))
    return found


def _documents(user: User, now: datetime) -> Figure:
    # Those that the list behind the figure holds, without reports: a report is approved, and nobody works by it.
    records = Record.objects.visible_to(user).of_kind(*(kind for kind in DOCUMENTS if kind != Kind.REPORT))
    effective = Q(effectivities__during__contains=now, effectivities__version__state=State.APPROVED)
    told = records.aggregate(
        all=Count("pk", distinct=True),
        effective=Count("pk", distinct=True, filter=effective),
        in_review=Count("pk", distinct=True, filter=Q(versions__state=State.IN_REVIEW)),
    )
    words = f"documents that you may read are effective, reports not counted; {told['in_review']} in review"
    return Figure(f"{told['effective']} / {told['all']}", words, "/documents/")


def _versions(user: User, now: datetime) -> Figure:
    last = Verification.objects.filter(version=OuterRef("pk")).order_by("-finished_at")
    told = (
        Version.objects.visible_to(user)
        .filter(record__type__kind=Kind.DATA, state__in=[State.REGISTERED, State.APPROVED])
        .annotate(proved_at=Subquery(last.values("finished_at")[:1]), outcome=Subquery(last.values("outcome")[:1]))
        .aggregate(
            all=Count("pk"),
            fresh=Count("pk", filter=Q(proved_at__gt=now - FRESH, outcome=Verification.Outcome.UNCHANGED)),
            changed=Count("pk", filter=Q(outcome=Verification.Outcome.CHANGED)),
        )
    )
    if told["changed"]:
        words = f"record versions, {told['changed']} found changed"
    elif told["all"] and told["fresh"] == told["all"]:
        words = "record versions, all verified in the last 24 h"
    else:
        words = f"record versions, {told['fresh']} verified in the last 24 h"
    return Figure(str(told["all"]), words, "/records/")


def _open_signatures(user: User, now: datetime) -> Figure:
    told = (
        Step.objects.visible_to(user).waiting().aggregate(all=Count("pk"), late=Count("pk", filter=Q(due_at__lt=now)))
    )
    return Figure(
        str(told["all"]), f"signatures asked for, {told['late'] or 'none'} late", "/documents/?status=in_review"
    )


def _alarms(user: User) -> Figure:
    late = Q(kind__in=OVERDUE, cleared_at__isnull=True)
    told = alarms_for(user).aggregate(open=Count("pk", filter=alarms.OPEN), late=Count("pk", filter=late))
    return Figure(str(told["open"]), f"alarms open; {told['late'] or 'no'} reviews overdue", "/security/")


def _trails(now: datetime) -> Figure:
    told = Trail.objects.filter(enabled=True).exclude(bucket="").aggregate(
        all=Count("pk"), never=Count("pk", filter=Q(listing__last_listed_at=None)), oldest=Min("listing__last_listed_at"),
        broken=Count("pk", filter=~Q(listing__last_error="") & Q(listing__isnull=False)),
    )  # fmt: skip
    if not told["all"]:
        return Figure("no trail", "of CloudTrail is registered yet", "/trails/")
    if told["oldest"] is None or told["never"]:
        return Figure("never", f"pulled: {told['never']} of {told['all']} CloudTrail trails", "/trails/")
    trouble = f"; {told['broken']} with an error" if told["broken"] else ""
    return Figure(_ago(now - told["oldest"]), f"since CloudTrail was pulled last{trouble}", "/trails/")


def _ago(span: timedelta) -> str:
    minutes = max(0, int(span.total_seconds() // 60))
    if minutes < 1:
        return "< 1 min"
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h" if minutes < 2880 else f"{minutes // 1440} d"
