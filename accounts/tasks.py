"""Mails with links. A token is made when its mail is, so that no queue ever holds one."""

from datetime import timedelta

from celery import shared_task
from django.db import transaction

from accounts import codes, dormancy, links
from accounts.models import User, folded
from audit import clock, trail
from audit.actions import Action
from audit.clock import Now
from jobs import queue
from jobs.models import Job

NOT_AGAIN_FOR = timedelta(minutes=5)
SEND, RESET, LOST = "accounts.send_link", "accounts.reset_link", "accounts.lost_link"
ASKED_BY_ANYBODY = (links.Purpose.PASSWORD, links.Purpose.LOST)
# A person has come, or has taken on a role or an area; what that brings about is told above (`portal/handlers.py`).
SETTLED = "accounts.settled"


@queue.handler(SEND)
def send_link(job: Job) -> None:
    """Mail a link for `purpose` to the person; a second run sends a newer one that ends the first."""
    by = User.objects.filter(pk=job.args["by"]).first()
    _send(User.objects.get(pk=job.args["user"]), job.args["purpose"], by)


@queue.handler(RESET)
def reset_link(job: Job) -> None:
    """Mail a link for a new password to whoever has that user name or address. Says nothing where nobody has."""
    typed = str(job.args["typed"])
    user = (
        User.objects.filter(username_folded=folded(typed)).first() or User.objects.filter(email__iexact=typed).first()
    )
    if user and user.has_usable_password() and not _sent_lately(user):
        _send(user, links.Purpose.PASSWORD, None)


@queue.handler(LOST)
def lost_link(job: Job) -> None:
    """Mail a link with which a lost device is reported, to whoever has that user name or address."""
    typed = str(job.args["typed"])
    user = (
        User.objects.filter(username_folded=folded(typed)).first() or User.objects.filter(email__iexact=typed).first()
    )
    if user and codes.device_in_use(user) and not _sent_lately(user, links.Purpose.LOST):
        _send(user, links.Purpose.LOST, None)


@shared_task(name="accounts.lock_dormant")
def lock_dormant() -> int:
    """Lock the accounts that nobody has used for long; returns how many."""
    return len(dormancy.lock(dormancy.sleepers(clock.now())))


def _sent_lately(user: User, purpose: str = links.Purpose.PASSWORD) -> bool:
    """True while a link of this purpose is fresh: nobody fills a mailbox by asking again and again."""
    links_sent = user.invitations.filter(purpose=purpose, used_at__isnull=True, expires_at__gt=Now())
    return links_sent.filter(sent_at__gt=clock.now() - NOT_AGAIN_FOR).exists()


def _send(user: User, purpose: str, by: User | None) -> None:
    if not user.usable_at(clock.now()) or (purpose not in ASKED_BY_ANYBODY and codes.device_in_use(user)):
        return
    with transaction.atomic(durable=True):
        token = links.issue(user, purpose, by=by)
        trail.record(Action.LINK_SENT, user, by=by or trail.SYSTEM, detail={"purpose": str(purpose)})
    try:
        links.mail(user, purpose, token)
    except Exception:
        links.withdraw(user, purpose)  # nobody has it, and the next try makes another
        raise
