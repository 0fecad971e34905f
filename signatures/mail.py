"""Tells people by mail that a signature waits for them. Mail goes out as jobs after the commit: a mail server that is down
fails a job, which can be tried again, and no signing."""

from django.conf import settings
from django.core.mail import send_mail
from django.db.models import QuerySet

from accounts.models import User
from audit import clock, trail
from jobs import queue
from jobs.models import Job
from records.models import Version
from signatures.meanings import Meaning
from signatures.models import Step

JOB = "signatures.tell"


def tell_next(version: Version) -> None:
    """Ask for mails to those whose turn it is now. In the transaction that makes it their turn; safe to repeat."""
    for step in Step.objects.waiting().filter(version=version):
        args = {"step": str(step.pk), "title": f"Mail whose turn it is to sign {version.label}"}
        queue.enqueue(JOB, args=args, key=str(step.pk), by=trail.SYSTEM)


@queue.handler(JOB)
def tell(job: Job) -> dict[str, int]:
    """Send the mails of one step, unless it was signed meanwhile."""
    step = Step.objects.waiting().select_related("version__record").filter(pk=job.args["step"]).first()
    if step is None:
        return {"mails": 0}
    people = list(asked(step))
    for number, person in enumerate(people):
        job.progress(number, len(people))
        send_mail(*_letter(step, person), settings.DEFAULT_FROM_EMAIL, [person.email])
    return {"mails": len(people)}


def asked(step: Step) -> QuerySet[User]:
    """Who may sign the step: the one it is asked of, or anyone of its role in the record's area who had no part in it. Nobody
    whose access is over is written to."""
    people = User.objects.usable_at(clock.now())
    if step.assignee_id:
        return people.filter(pk=step.assignee_id)
    had_part = set(step.version.contributors)
    if step.meaning != Meaning.RESPONSIBILITY:
        had_part.add(str(step.version.author_id))
    return (
        people.filter(groups__name=step.role, areas=step.version.record.area_id)
        .exclude(pk__in=had_part)
        .exclude(signatures__version=step.version_id)
    )


def _letter(step: Step, person: User) -> tuple[str, str]:
    """Subject and text."""
    version = step.version
    due = f" by {step.due_at:%d %b %Y %H:%M} UTC" if step.due_at else ""
    text = f"""{person.legal_name},

your signature is asked for{due}:

  {step.get_meaning_display()} of {version.label}, {" ".join(version.record.title.split())}
  {settings.SITE_URL}{step.get_absolute_url()}

You read it there page by page, and sign with your password and a one-time code.
This mail is no part of the record. Nobody can sign from it, and nobody will ask you for a code by mail.
"""
    return f"{step.get_meaning_display()} asked for: {version.label}", text
