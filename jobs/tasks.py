from celery import shared_task

from jobs import queue


@shared_task(name="jobs.run")
def run_job(job_id: str) -> None:
    queue.run(job_id)


@shared_task(name="jobs.sweep")
def sweep() -> None:
    queue.sweep()
