"""The row is the truth: whatever happens to messages and workers, work is done once and its end is told."""

from datetime import timedelta

import pytest

from audit import trail
from audit.actions import Action
from audit.models import Entry
from jobs import queue
from jobs.models import LEASE, Job, LeaseLost

done = []


@queue.handler("tests.add")
def add(job):
    job.progress(1, 2, "half of it")
    done.append(job.args["what"])
    return {"page": "/result/"}


@queue.handler("tests.fail")
def fail(job):
    raise ValueError("the reason")


@queue.handler("tests.refuse")
def refuse(job):
    raise trail.Refused("It may not be.", action=Action.VERSION_REFUSED, detail={"why": "because"})


@queue.handler("tests.vanish")
def vanish(job):
    """As if the worker were killed: nothing is told any more."""
    Job.objects.filter(pk=job.pk).update(attempts=99)
    job.progress(1, 2)


@pytest.fixture(autouse=True)
def nothing_done():
    done.clear()


def ask(people, kind="tests.add", **more):
    return queue.enqueue(kind, args={"what": "one", "title": "Add one", "page": "/asked/"}, by=people.operator, **more)


def test_a_job_is_done_and_names_the_page_of_its_result(people):
    job = queue.run(ask(people).pk)
    assert (job.state, job.done, job.total, job.title, job.page) == ("done", 2, 2, "Add one", "/result/")
    assert done == ["one"] and job.requested_by_name == "Tomasz Nowak"


def test_a_job_that_is_done_is_not_done_again(people):
    job = ask(people)
    assert queue.run(job.pk).state == "done"
    assert queue.run(job.pk) is None
    assert done == ["one"]


def test_asking_twice_for_the_same_work_makes_one_job_until_it_is_finished(people):
    first = ask(people, key="same")
    assert ask(people, key="same").pk == first.pk
    queue.run(first.pk)
    assert ask(people, key="same").pk != first.pk


def test_a_failure_is_told_and_kept(people):
    job = queue.run(ask(people, "tests.fail").pk)
    assert (job.state, job.error, job.page) == ("failed", "the reason", "/asked/")
    assert Entry.objects.get(action=Action.JOB_FAILED).detail["error"] == "the reason"


def test_a_refusal_inside_a_job_is_on_the_trail_in_the_name_of_who_asked(people):
    job = queue.run(ask(people, "tests.refuse").pk)
    assert job.state == "failed"
    entry = Entry.objects.get(action=Action.VERSION_REFUSED)
    assert (entry.actor_name, entry.detail["why"]) == ("Tomasz Nowak", "because")


def test_a_failed_job_is_tried_again_when_somebody_asks_and_that_is_kept(people):
    job = queue.run(ask(people, "tests.fail").pk)
    queue.retry(job, by=people.administrator)
    job.refresh_from_db()
    assert (job.state, job.attempts) == ("queued", 0)
    assert Entry.objects.get(action=Action.JOB_RETRIED).actor_name == people.administrator.legal_name
    queue.retry(job, by=people.administrator)  # it is queued already: nothing happens
    assert Entry.objects.filter(action=Action.JOB_RETRIED).count() == 1


def test_the_work_of_a_killed_worker_is_taken_up_when_its_lease_is_over(people, ticking):
    job = ask(people)
    Job.objects.filter(pk=job.pk).update(state="running", attempts=1, lease_until=job.created_at + LEASE)
    assert queue.run(job.pk) is None and done == []
    ticking.advance(seconds=LEASE.total_seconds() + 1)
    assert queue.sweep() == 1
    assert queue.run(job.pk).state == "done"
    assert done == ["one"]


def test_a_worker_that_lost_its_lease_stops_and_tells_nothing(people):
    job = ask(people, "tests.vanish")
    assert queue.run(job.pk) is None
    job.refresh_from_db()
    assert (job.state, job.attempts) == ("running", 99)


def test_progress_without_the_lease_is_refused(people):
    job = ask(people)
    with pytest.raises(LeaseLost):
        job.progress(1, 2)


def test_work_that_keeps_being_cut_off_is_given_up(people):
    job = ask(people)
    past = job.created_at - timedelta(minutes=1)
    Job.objects.filter(pk=job.pk).update(state="running", attempts=queue.ATTEMPTS, lease_until=past)
    queue.sweep()
    job.refresh_from_db()
    assert job.state == "failed" and "given up" in job.error


def test_a_lost_message_changes_nothing(people, monkeypatch):
    from jobs import tasks

    def no_broker(*args, **kwargs):
        raise ConnectionError("nobody there")

    monkeypatch.setattr(tasks.run_job, "apply_async", no_broker)
    job = ask(people)
    assert Job.objects.get(pk=job.pk).state == "queued"
    assert queue.run(job.pk).state == "done"
