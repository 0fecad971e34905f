"""What workers do for signatures; importing this makes the handlers known."""

from celery import shared_task

from signatures import archive, mail, reminders

__all__ = ["archive_pending", "mail", "remind"]


@shared_task(name="signatures.archive_pending")
def archive_pending() -> int:
    """Proof that did not get under Object Lock is asked for again."""
    return archive.ask_for_pending()


@shared_task(name="signatures.remind")
def remind() -> int:
    """The digests of today, for those who have none yet."""
    return reminders.remind()
