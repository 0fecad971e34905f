"""People are reminded of what is due tomorrow or late: once a day, without content, and whatever becomes of the mail."""

import pytest
from django.core import mail

from jobs import queue
from jobs.models import Job
from records.models import Version
from signatures import reminders
from signatures.models import Reminder
from tests import acts, builders


def work() -> list[Job]:
    queued = Job.objects.filter(kind=reminders.JOB, state=Job.State.QUEUED).order_by("created_at")
    return [queue.run(job.pk) for job in queued]


@pytest.mark.compliance("S2")
def test_compliance_one_digest_a_day_names_what_is_due_tomorrow_or_late_and_no_content(people, ticking):
    late = builders.a_document_in_review(people, due_at=acts.in_days(1), text="A secret formula.")
    soon = builders.a_document_in_review(people, due_at=acts.in_days(2), text="Another formula.")
    builders.a_document_in_review(people, due_at=acts.in_days(9))
    ticking.advance(days=1, hours=1)
    assert reminders.remind() == 1
    assert reminders.remind() == 0  # the clock strikes twice
    assert [job.state for job in work()] == [Job.State.DONE]
    (told,) = mail.outbox
    assert told.to == ["reviewer@lab.example"]
    assert told.subject == "2 signatures asked of you, 1 late"
    for version in (late, soon):
        assert f"Review of {version.label}, User requirements" in told.body
        assert f"/sign/{version.steps.get(assignee=people.reviewer).pk}/" in told.body
    assert "LATE, was due" in told.body
    assert "formula" not in told.body
    ticking.advance(days=1)
    assert reminders.remind() == 1  # late: every day
    work()
    assert mail.outbox[1].subject == "2 signatures asked of you, 2 late"


def test_nobody_is_reminded_before_their_turn_or_of_what_they_signed_meanwhile(people, ticking):
    version = builders.a_document_in_review(people, due_at=acts.in_days(0.5))
    reminders.remind()
    acts.sign(people.reviewer, version)
    assert [job.result for job in work()] == [{"mails": 0}]
    assert list(Reminder.objects.values_list("user__username", flat=True)) == ["reviewer"]
    assert reminders.remind() == 1  # now it is the approver's turn
    work()
    assert [letter.to for letter in mail.outbox] == [["approver@lab.example"]]


@pytest.mark.compliance("F26")
def test_compliance_reminders_that_no_mail_server_takes_change_no_state(people, settings):
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9
    version = builders.a_document_in_review(people, due_at=acts.in_days(0.5))
    reminders.remind()
    (job,) = work()
    assert job.state == Job.State.FAILED
    acts.sign(people.reviewer, version)
    acts.sign(people.approver, version)
    assert Version.objects.get(pk=version.pk).state == "approved"
