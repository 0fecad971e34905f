"""What beat asks for and spans floors."""

from celery import shared_task

from portal import anchoring, posture, recertification, trail_reviews, watching


@shared_task(name="portal.anchor")
def anchor() -> None:
    anchoring.anchor_if_due()


@shared_task(name="portal.watch_over_trail")
def watch_over_trail() -> None:
    anchoring.watch_over()


@shared_task(name="portal.watch")
def watch() -> None:
    watching.watch()


@shared_task(name="portal.look_for_overdue_reviews")
def look_for_overdue_reviews() -> None:
    trail_reviews.look_for_overdue()
    recertification.look_for_overdue()


@shared_task(name="portal.read_posture")
def read_posture() -> None:
    posture.ask_if_due()
