"""What beat asks for and spans floors."""

from celery import shared_task

from portal import anchoring, watching


@shared_task(name="portal.anchor")
def anchor() -> None:
    anchoring.anchor_if_due()


@shared_task(name="portal.watch_over_trail")
def watch_over_trail() -> None:
    anchoring.watch_over()


@shared_task(name="portal.watch")
def watch() -> None:
    watching.watch()
