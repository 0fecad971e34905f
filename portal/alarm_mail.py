"""Alarms go by mail to those who may acknowledge them. Each try is kept; what did not go out is tried again (11.300(d))."""

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.mail import send_mail
from django.db import transaction

from accounts import tasks
from accounts.models import User
from audit import clock, trail
from audit.actions import Action
from audit.alarms import Kind, clear, raise_alarm
from audit.models import Alarm, AlarmMail
from jobs import queue
from jobs.models import Job
from portal.hearers import hearers
from signatures import mail

JOB = "alarms.mail"
MAILS = frozenset({JOB, mail.JOB, tasks.SEND, tasks.RESET})
SERVER = trail.Subject("mail", "server", "the mail server")
AGAIN_AFTER = timedelta(minutes=5)
TRIED_FOR = timedelta(days=7)


def ask() -> None:
    """A job for each alarm that somebody has not been told of, and nobody has acknowledged. Safe to repeat."""
    now = clock.now()
    for alarm in Alarm.objects.filter(acknowledged_at__isnull=True, first_at__gt=now - TRIED_FOR):
        tried = alarm.mails.filter(sent=False, at__gt=now - AGAIN_AFTER).exists()
        if not tried and owed(alarm):
            title = f"Mail the alarm: {alarm}"
            args = {"alarm": str(alarm.pk), "title": title, "page": alarm.get_absolute_url()}
            queue.enqueue(JOB, args=args, key=str(alarm.pk))


def owed(alarm: Alarm) -> list[User]:
    """Those who should know, and to whom no mail went out yet."""
    told = set(alarm.mails.filter(sent=True).values_list("person", flat=True))
    return [user for user in hearers(alarm) if str(user.pk) not in told]


@queue.handler(JOB)
def send(job: Job) -> dict[str, Any]:
    """Mail the alarm to everybody who is owed it, and keep each try."""
    alarm = Alarm.objects.get(pk=job.args["alarm"])
    people = owed(alarm)
    tries = []
    for number, person in enumerate(people):
        job.progress(number, len(people))
        tries.append(_try(alarm, person))
    failed = [row for row in tries if not row.sent]
    if failed:
        raise_alarm(Kind.MAIL_UNDELIVERED, SERVER, f"An alarm could not be mailed: {failed[0].error}")
    elif tries:
        clear(Kind.MAIL_UNDELIVERED, SERVER, "A mail went out.")
    return {"sent": len(tries) - len(failed), "failed": len(failed), "page": alarm.get_absolute_url()}


def _try(alarm: Alarm, person: User) -> AlarmMail:
    error = ""
    try:
        send_mail(*_letter(alarm, person), settings.DEFAULT_FROM_EMAIL, [person.email])
    except Exception as problem:  # whatever the mail server does, the others are told, and this try is kept
        error = f"{problem}" or type(problem).__name__
    row = AlarmMail(
        alarm=alarm, person=str(person.pk), person_name=person.legal_name, address=person.email, sent=not error,
        error=error[:500])  # fmt: skip
    with transaction.atomic():
        row.save(force_insert=True)
        detail = {"to": person.legal_name, "address": person.email, "sent": not error, "error": row.error}
        trail.record(Action.ALARM_MAILED, alarm, by=trail.SYSTEM, detail=detail)
    return row


def _letter(alarm: Alarm, person: User) -> tuple[str, str]:
    """Subject and text."""
    text = f"""{person.legal_name},

{alarm.sentence}

  {alarm.get_kind_display()}, first seen {alarm.first_at:%d %b %Y %H:%M:%S} UTC
  {settings.SITE_URL}{alarm.get_absolute_url()}

Read it there, and acknowledge it with what you do about it.
"""
    return f"Alarm: {alarm}", text
