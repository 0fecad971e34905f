"""Reminds people of signatures that are due tomorrow, due today or late: one mail a person and day (UTC), for all of them.

A mail names number, title, due date and link, never content. It is sent by a job after the commit: a mail server that is down
fails the job and changes nothing else (F26).
"""

from datetime import UTC, date, datetime, time, timedelta

from django.conf import settings
from django.core.mail import send_mail
from django.db import transaction

from accounts.models import User
from audit import clock, trail
from jobs import queue
from jobs.models import Job
from signatures import mail
from signatures.models import Reminder, Step
from signatures.queries import StepQuerySet

JOB = "signatures.remind"


def remind() -> int:
    """Ask for the digests of today, and say how many. Safe to run twice, or beside itself: the digest of a day is one row."""
    now = clock.now()
    people = {person for step in near(Step.objects.waiting(), now) for person in mail.asked(step)}
    return sum(_ask_for(person, now.astimezone(UTC).date()) for person in sorted(people, key=str))


def near(steps: StepQuerySet, now: datetime) -> StepQuerySet:
    """Those that are late, or due before tomorrow ends (UTC); soonest first."""
    ends = datetime.combine(now.astimezone(UTC).date() + timedelta(days=2), time(), UTC)
    return steps.filter(due_at__lt=ends).select_related("version__record").order_by("due_at", "pk")


def _ask_for(person: User, today: date) -> bool:
    with transaction.atomic():
        _, made = Reminder.objects.get_or_create(user=person, day=today)
        if made:
            args = {"user": str(person.pk), "title": f"Remind {person.legal_name} by mail of what waits"}
            queue.enqueue(JOB, args=args, key=f"{person.pk}:{today}", by=trail.SYSTEM)
    return made


@queue.handler(JOB)
def tell(job: Job) -> dict[str, int]:
    """Send one person's digest, unless they have signed all of it meanwhile."""
    person, now = User.objects.get(pk=job.args["user"]), clock.now()
    steps = list(near(Step.objects.awaiting(person), now)) if person.usable_at(now) else []
    if steps:
        send_mail(*_digest(steps, person, now), settings.DEFAULT_FROM_EMAIL, [person.email])
    return {"mails": 1 if steps else 0}


def _digest(steps: list[Step], person: User, now: datetime) -> tuple[str, str]:
    """Subject and text."""
    late = sum(step.due_at <= now for step in steps if step.due_at)
    said = f"{len(steps)} signature{'' if len(steps) == 1 else 's'} asked of you"
    lines = "\n\n".join(_line(step, now) for step in steps)
    text = f"""{person.legal_name},

these wait for you:

{lines}

This mail is no part of the record. Nobody can sign from it, and nobody will ask you for a code by mail.
"""
    return f"{said}, {late} late" if late else f"{said}, due soon", text


def _line(step: Step, now: datetime) -> str:
    version, due = step.version, step.due_at
    when = f"{'LATE, was due' if due <= now else 'due'} {due:%d %b %Y %H:%M} UTC" if due else ""
    return f"""  {step.get_meaning_display()} of {version.label}, {" ".join(version.record.title.split())}
  {when}
  {settings.SITE_URL}{step.get_absolute_url()}"""
