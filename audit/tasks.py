from celery import shared_task

from audit import reading


@shared_task(name="audit.seal_access")
def seal_access() -> None:
    reading.seal()
