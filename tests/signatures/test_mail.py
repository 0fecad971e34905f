"""Whose turn it is is told by mail, after the commit; a mail server that is down disturbs no signing (F26)."""

import pytest
from django.core import mail

from accounts import transitions as people_verbs
from accounts.models import User
from jobs import queue
from jobs.models import Job
from records.models import Version
from signatures import tasks  # noqa: F401  makes the handler known, as a worker does
from signatures.mail import JOB
from signatures.models import Step
from tests import acts, builders


def work() -> list[Job]:
    """What a worker does with the mails that were asked for."""
    return [queue.run(job.pk) for job in Job.objects.filter(kind=JOB, state=Job.State.QUEUED).order_by("created_at")]


def test_each_is_told_when_it_is_their_turn_and_not_before(people):
    version = builders.a_document_in_review(people)
    work()
    (told,) = mail.outbox
    step = version.steps.get(assignee=people.reviewer)
    assert told.to == ["reviewer@lab.example"]
    assert told.subject == "Review asked for: URS-0001 version 1"
    assert f"http://127.0.0.1:8000/sign/{step.pk}/" in told.body
    assert "User requirements" in told.body
    acts.sign(people.reviewer, version)
    work()
    assert [letter.to for letter in mail.outbox[1:]] == [["approver@lab.example"]]
    acts.sign(people.approver, version)
    assert work() == []


def test_a_signature_asked_of_a_role_is_told_to_those_who_may_give_it(people):
    builders.a_package(people, contributors=[people.approver])
    work()
    assert [letter.to for letter in mail.outbox] == [["approver2@lab.example"]]


@pytest.mark.parametrize("by_name", [True, False])
def test_nobody_whose_access_has_expired_is_told(people, ticking, by_name):
    leaving = people.reviewer if by_name else people.approver2
    people_verbs.change_details(
        leaving, by=people.administrator, reason="Leaves the firm on Friday", legal_name=leaving.legal_name,
        title=leaving.title, email=leaving.email, expires_at=acts.in_days(1),
    )  # fmt: skip
    builders.a_document_in_review(people) if by_name else builders.a_package(people, contributors=[people.approver])
    ticking.advance(days=2)
    work()
    assert mail.outbox == []


def test_nobody_is_told_of_a_step_that_was_signed_meanwhile(people):
    acts.sign(people.reviewer, builders.a_document_in_review(people))
    work()
    assert [letter.to for letter in mail.outbox] == [["approver@lab.example"]]


@pytest.mark.compliance("F26")
def test_f26_a_mail_server_that_is_down_fails_a_job_and_no_signing(people, settings):
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9
    version = builders.a_document_in_review(people)
    (job,) = work()
    assert job.state == Job.State.FAILED
    acts.sign(people.reviewer, version)
    acts.sign(people.approver, version)
    assert Version.objects.get(pk=version.pk).state == "approved"
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    queue.retry(job, by=people.administrator)
    assert [done.state for done in work()] == [Job.State.DONE] * 2
    assert mail.outbox == []  # both steps were signed without it


def test_a_title_cannot_forge_a_header_or_a_line(people):
    record = builders.a_record(people, title="Requirements\nBcc: everybody@lab.example")
    builders.a_document_in_review(people, record=record)
    work()
    (told,) = mail.outbox
    assert "\n" not in told.subject
    assert told.recipients() == ["reviewer@lab.example"]
    assert "\nBcc:" not in told.body


def test_people_who_left_are_told_nothing(people):
    from django.db import transaction

    from audit import trail
    from audit.actions import Action

    version = builders.a_package(people)
    with transaction.atomic():
        User.objects.filter(pk=people.approver.pk).update(is_active=False)
        trail.record(Action.USER_DEACTIVATED, people.approver, by=people.administrator)
    work()
    assert [letter.to for letter in mail.outbox] == [["approver2@lab.example"]]
    assert Step.objects.filter(version=version).count() == 1
