"""Mails with links. A token is made when its mail is, so that no queue ever holds one."""

from django.db import transaction

from accounts import codes, links
from accounts.models import User, folded
from audit import clock, trail
from audit.actions import Action
from jobs import queue
from jobs.models import Job

SEND, RESET = "accounts.send_link", "accounts.reset_link"


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
    if user and user.has_usable_password():
        _send(user, links.Purpose.PASSWORD, None)


def _send(user: User, purpose: str, by: User | None) -> None:
    if not user.usable_at(clock.now()) or (purpose != links.Purpose.PASSWORD and codes.device_in_use(user)):
        return
    with transaction.atomic(durable=True):
        token = links.issue(user, purpose, by=by)
        trail.record(Action.LINK_SENT, user, by=by or trail.SYSTEM, detail={"purpose": str(purpose)})
    links.mail(user, purpose, token)
