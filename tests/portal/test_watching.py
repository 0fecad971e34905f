"""The watcher: what on the trail, in the locks and in the clocks becomes an alarm, who hears of it, and that nothing does twice."""

import os
import time
from datetime import timedelta

import psycopg
import pytest
from django.core import mail
from django.db import transaction

from accounts import identity
from accounts import transitions as people_verbs
from accounts.identity import Credentials
from accounts.models import Founding
from audit import clock, reading, trail
from audit.actions import Action
from audit.alarms import Kind, acknowledge, raise_alarm
from audit.models import Alarm, AlarmMail, Entry, Watch
from jobs import queue
from jobs.models import Job
from portal import alarm_mail, chain_walk, watching
from portal.hearers import alarms_for, hearers
from records import verification
from tests.cast import PASSWORD

WHY = "She takes the post of a QA manager"


@pytest.fixture
def watched(people):
    """The watcher has read everything there is."""
    assert watching.read_on() == 0
    return people


def alarms(kind: Kind) -> list[Alarm]:
    return list(Alarm.objects.filter(kind=kind))


def refuse(person, count: int) -> None:
    """So many signings that were refused."""
    for _ in range(count):
        refused = trail.Refused("No.", action=Action.SIGNATURE_REFUSED, subject=person, by=person)
        trail.record_refusal(refused, person)


def test_a_watcher_that_never_ran_begins_with_what_comes_from_now_on(people):
    refuse(people.author, 5)
    watching.read_on()
    assert not Alarm.objects.exists()
    refuse(people.author, 3)
    assert watching.read_on() == 3
    assert len(alarms(Kind.REFUSED_SIGNINGS)) == 1


@pytest.mark.compliance("11.300(d)", "§2.6")
def test_compliance_a_lock_out_is_an_alarm_within_one_round_and_clears_when_the_lock_is_over(watched, ticking):
    person = watched.author
    for _ in range(identity.FAILURES_ALLOWED):
        with pytest.raises(identity.NotConfirmed), trail.refusals():
            identity.confirm(person, Credentials(username="author", password=PASSWORD, code="000000"), subject=person)
    watching.look_at_locks()
    watching.look_at_locks()
    (alarm,) = alarms(Kind.LOCK_OUT)
    assert (alarm.subject_label, alarm.count, alarm.state) == ("Ana Lindqvist", 1, "standing")
    ticking.advance(hours=24)
    watching.look_at_locks()
    alarm.refresh_from_db()
    assert alarm.state == "unacknowledged"


def test_locks_of_names_that_nobody_has_are_one_alarm(watched):
    for name in ("zoe", "xavier"):
        for _ in range(identity.FAILURES_ALLOWED):
            with pytest.raises(identity.NotConfirmed):
                identity._refuse_stranger(Credentials(username=name, password=PASSWORD, code="000000"))
    watching.look_at_locks()
    assert [alarm.subject_label for alarm in alarms(Kind.LOCK_OUT)] == ["user names that nobody has"]


@pytest.mark.compliance("11.300(d)")
def test_compliance_three_refused_signings_in_a_row_are_an_alarm_and_two_are_none(watched, ticking):
    refuse(watched.author, 2)
    ticking.advance(minutes=16)
    refuse(watched.author, 2)
    refuse(watched.approver, 2)
    watching.read_on()
    assert not alarms(Kind.REFUSED_SIGNINGS)
    refuse(watched.author, 1)
    watching.read_on()
    (alarm,) = alarms(Kind.REFUSED_SIGNINGS)
    assert alarm.subject_id == str(watched.author.pk) and "3 signings" in alarm.sentence
    with transaction.atomic():
        trail.record(Action.SIGNATURE_APPLIED, watched.author, by=watched.author)
    refuse(watched.author, 2)
    watching.read_on()
    alarm.refresh_from_db()
    assert alarm.count == 1


@pytest.mark.compliance("Administrator", "11.300(d)")
def test_compliance_an_attempt_on_ones_own_rights_is_refused_and_an_alarm(watched):
    dave = watched.administrator
    with pytest.raises(trail.Forbidden, match="own account"), trail.refusals(dave):
        people_verbs.set_roles(dave, ["approver"], by=dave, reason=WHY)
    with pytest.raises(trail.Forbidden), trail.refusals(watched.author):
        people_verbs.set_roles(watched.author, ["approver"], by=watched.author, reason=WHY)
    watching.read_on()
    assert {alarm.subject_label for alarm in alarms(Kind.SELF_GRANT)} == {"Dave Mbeki", "Ana Lindqvist"}


@pytest.mark.compliance("11.10(g)", "11.300(d)")
def test_compliance_a_role_that_is_granted_is_told_and_one_that_is_taken_is_not(watched):
    people_verbs.set_roles(watched.reviewer, ["reviewer", "approver"], by=watched.administrator, reason=WHY)
    people_verbs.set_roles(watched.reviewer, ["approver"], by=watched.administrator, reason=WHY)
    watching.read_on()
    (alarm,) = alarms(Kind.ROLES_GRANTED)
    assert alarm.sentence == "Dave Mbeki gave Maja Ruiz the role QA approver."
    assert alarm.count == 1 and Entry.objects.get(pk=alarm.detail["entry"]).reason == WHY


def test_roles_of_the_founding_ceremony_are_no_alarm(watched):
    with transaction.atomic():
        detail = {"roles": ["author"], "founding": True}
        trail.record(Action.USER_INVITED, watched.author, by=watched.administrator, detail=detail)
    watching.read_on()
    assert Founding.objects.exists() and not Alarm.objects.exists()


@pytest.mark.compliance("11.10(a)", "11.10(e)")
def test_compliance_an_altered_version_stands_as_an_alarm_until_it_is_found_unchanged(firm, monkeypatch):
    watching.read_on()
    version = firm.version("KRAS-001")
    with monkeypatch.context() as bent:
        bent.setattr(verification.sealed, "contradictions", lambda version: ["The manifest is another one."])
        verification.verify(version, by=trail.SYSTEM)
    watching.read_on()
    (alarm,) = alarms(Kind.VERSION_ALTERED)
    assert alarm.state == "standing"
    assert alarm in alarms_for(firm.approver) and alarm in alarms_for(firm.administrator)
    assert alarm not in alarms_for(firm.outsider) and not alarms_for(firm.author)
    assert firm.outsider not in hearers(alarm) and firm.approver2 in hearers(alarm)
    verification.verify(version, by=trail.SYSTEM)
    watching.read_on()
    alarm.refresh_from_db()
    assert alarm.state == "unacknowledged"


@pytest.mark.compliance("11.10(e)")
def test_compliance_a_broken_chain_is_an_alarm_of_the_daily_walk(people, monkeypatch):
    chain_walk.ask_if_due()
    chain_walk.ask_if_due()
    (job,) = Job.objects.filter(kind=chain_walk.WALK)
    fault = chain_walk.chain.Fault("entry 3", 5, "Link 5 speaks of entry 3, which is gone.")
    with monkeypatch.context() as bent:
        bent.setattr(chain_walk.chain, "walk", lambda **_: chain_walk.chain.Walk(4, "00", fault))
        queue.run(job.pk)
    (alarm,) = alarms(Kind.CHAIN_BROKEN)
    assert alarm.sentence == fault.sentence
    chain_walk.walk(job)
    alarm.refresh_from_db()
    assert alarm.state == "unacknowledged"


@pytest.mark.compliance("F3", "11.300(d)")
def test_compliance_a_round_that_is_cut_off_is_made_again_and_raises_nothing_twice(watched, monkeypatch):
    refuse(watched.author, 3)
    with monkeypatch.context() as bent:
        bent.setattr(Watch, "save", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            watching.read_on()
    assert not Alarm.objects.exists()
    watching.read_on()
    watching.read_on()
    assert Alarm.objects.get().count == 1


@pytest.mark.compliance("11.300(d)", "11.10(e)")
def test_compliance_a_part_of_the_watch_that_fails_stops_no_other_and_is_an_alarm(watched, monkeypatch):
    refuse(watched.author, 3)
    with monkeypatch.context() as bent:
        bent.setattr(watching, "look_at_locks", lambda: 1 / 0)
        watching.watch()
        watching.watch()
    (alarm,) = alarms(Kind.CHECK_MISSED)
    assert alarm.sentence == "The watch over locks fails: division by zero" and alarm.count == 1
    assert alarms(Kind.REFUSED_SIGNINGS) and Job.objects.filter(kind=chain_walk.WALK).exists()
    assert Job.objects.filter(kind=alarm_mail.JOB).exists()
    watching.watch()
    alarm.refresh_from_db()
    assert alarm.cleared_at is not None


@pytest.mark.compliance("11.300(d)", "DBA")
@pytest.mark.parametrize("detail", ['{"to": 5}', '{"to": [["approver"]]}', '{"from": {"a": 1}, "to": true}'])
def test_compliance_an_entry_that_no_rule_can_read_is_told_and_hides_none_behind_it(watched, detail):
    with psycopg.connect(os.environ["DATABASE_URL"]) as raw:
        raw.execute(
            "INSERT INTO audit_entry (action, actor, actor_name, actor_role, subject_kind, subject_id, subject_label, reason,"
            " request_id, detail) VALUES ('user.roles_changed', 'x', 'x', '', 'user', 'x', 'x', '', '', %s)",
            [detail],
        )
    refuse(watched.author, 3)
    watching.read_on()
    (alarm,) = alarms(Kind.CHECK_MISSED)
    assert "could not be judged, look at it" in alarm.sentence and alarm.state == "unacknowledged"
    assert len(alarms(Kind.REFUSED_SIGNINGS)) == 1


# Walks and seals ------------------------------------------------------------------------------------------------------


FORGED = (
    "INSERT INTO jobs_job (id, kind, args, key, state, done, total, message, error, result, requested_by, requested_by_name,"
    " created_at, finished_at, attempts) VALUES (gen_random_uuid(), 'audit.verify', '{}', 'x', 'done', 1, 1, '', '',"
    """ '{"links": 9, "head": "ab", "fault": null, "further": []}', 'system', 'Countersign', '2099-01-01', '2099-01-01', 1)"""
)


@pytest.mark.compliance("11.10(e)", "DBA")
def test_compliance_a_row_about_a_walk_that_never_was_steers_nothing(people):
    with psycopg.connect(os.environ["DATABASE_URL"]) as raw:
        raw.execute(FORGED)
    assert chain_walk.latest() == (None, None)
    chain_walk.ask_if_due()
    asked = Job.objects.get(kind=chain_walk.WALK, state=Job.State.QUEUED)
    assert queue.run(asked.pk).state == Job.State.DONE
    told = Entry.objects.get(action=Action.CHAIN_WALKED)
    assert told.detail == asked_result(asked) | {"by": "Countersign"} and told.detail["fault"] is None
    assert chain_walk.latest()[1].links == told.detail["links"]
    chain_walk.ask_if_due()
    assert not Job.objects.filter(kind=chain_walk.WALK, state=Job.State.QUEUED).exists()


def asked_result(job: Job) -> dict:
    job.refresh_from_db()
    return job.result


@pytest.mark.parametrize("detail", ["{}", '{"by": 1, "links": "9", "head": 1, "fault": 5, "further": 5}'])
def test_an_entry_about_a_walk_that_is_none_of_the_portals_is_passed_over(people, detail):
    queue.run(chain_walk.ask_for(trail.SYSTEM).pk)
    known = chain_walk.latest()[1]
    with psycopg.connect(os.environ["DATABASE_URL"]) as raw:
        raw.execute(
            "INSERT INTO audit_entry (action, actor, actor_name, actor_role, subject_kind, subject_id, subject_label, reason,"
            " request_id, detail) VALUES ('chain.walked', 'x', 'x', '', 'trail', 'x', 'x', '', '', %s)",
            [detail],
        )
    assert chain_walk.latest()[1] == known


@pytest.mark.compliance("11.10(e)")
def test_compliance_walks_that_do_not_come_to_their_end_are_an_alarm_after_two_days(people, ticking, monkeypatch):
    watching.look_at_checks()
    assert not alarms(Kind.CHECK_MISSED)
    with monkeypatch.context() as bent:
        bent.setattr(chain_walk.chain, "walk", lambda **_: 1 / 0)
        assert queue.run(chain_walk.ask_for(trail.SYSTEM).pk).state == Job.State.FAILED
    ticking.advance(days=2, minutes=1)
    watching.look_at_checks()
    watching.look_at_checks()
    (alarm,) = alarms(Kind.CHECK_MISSED)
    assert alarm.sentence == "For two days no walk of the audit trail has come to its end." and alarm.count == 1
    assert queue.run(chain_walk.ask_for(trail.SYSTEM).pk).state == Job.State.DONE
    watching.look_at_checks()
    alarm.refresh_from_db()
    assert alarm.cleared_at is not None


@pytest.mark.compliance("11.10(e)")
def test_compliance_a_reading_log_that_is_not_sealed_is_an_alarm_after_half_an_hour(people, ticking):
    trail.access(people.inspector, "view", people.laboratory)
    watching.look_at_checks()
    assert not alarms(Kind.CHECK_MISSED)
    ticking.advance(minutes=31)
    watching.look_at_checks()
    (alarm,) = alarms(Kind.CHECK_MISSED)
    assert "has not been sealed since" in alarm.sentence
    deadline = time.monotonic() + 30
    while reading.unsealed_since():
        assert time.monotonic() < deadline
        reading.seal()
    watching.look_at_checks()
    alarm.refresh_from_db()
    assert alarm.cleared_at is not None


def test_a_walk_keeps_its_lease_while_one_question_takes_long(people, ticking, monkeypatch):
    job, real = chain_walk.ask_for(trail.SYSTEM), chain_walk.chain._differing_links
    monkeypatch.setattr(chain_walk, "TELL_EVERY", 0.05)
    left = []

    def slowly(links):
        """Seen from beside: the walk sees what was before it."""
        ticking.advance(minutes=3)
        time.sleep(1)
        with psycopg.connect(os.environ["DATABASE_URL"]) as raw:
            left.append(
                raw.execute("SELECT lease_until - audit_now() FROM jobs_job WHERE id = %s", [job.pk]).fetchone()[0]
            )
        return real(links)

    monkeypatch.setattr(chain_walk.chain, "_differing_links", slowly)
    assert queue.run(job.pk).state == Job.State.DONE
    assert left[0] > timedelta(minutes=1)


# Mail -----------------------------------------------------------------------------------------------------------------


def deliver() -> None:
    alarm_mail.ask()
    for job in Job.objects.filter(kind=alarm_mail.JOB, state=Job.State.QUEUED):
        queue.run(job.pk)


@pytest.mark.compliance("11.300(d)")
def test_compliance_security_and_management_are_mailed_once_and_the_delivery_is_kept(people, settings):
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    mail.outbox = []
    alarm = raise_alarm(Kind.ANCHOR_BEHIND, trail.PORTAL, "The database is behind its anchor.")
    deliver()
    deliver()
    told = {"approver@lab.example", "approver2@lab.example", "outsider@lab.example", "administrator@lab.example",
            "administrator2@lab.example"}  # fmt: skip
    assert sorted(letter.to[0] for letter in mail.outbox) == sorted(told)
    assert (
        "The database is behind its anchor." in mail.outbox[0].body and alarm.get_absolute_url() in mail.outbox[0].body
    )
    assert AlarmMail.objects.filter(alarm=alarm, sent=True).count() == len(told)
    assert Entry.objects.filter(action="alarm.mailed", subject_id=str(alarm.pk)).count() == len(told)


@pytest.mark.compliance("11.300(d)")
def test_compliance_a_job_that_mails_and_fails_is_an_alarm(watched, settings):
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9
    people_verbs.ask_reset("author")
    assert queue.run(Job.objects.get(kind="accounts.reset_link").pk).state == "failed"
    watching.read_on()
    (alarm,) = alarms(Kind.MAIL_UNDELIVERED)
    assert "A mail of the portal was not delivered" in alarm.sentence and "refused" in alarm.sentence


@pytest.mark.compliance("11.300(d)", "11.300(c)", "§2.19")
def test_compliance_a_suspicion_is_an_alarm_until_it_has_ended(watched):
    person = watched.author
    people_verbs.suspect(person, since=clock.now(), by=watched.administrator, reason="Password seen in a mail.")
    watching.read_on()
    (alarm,) = alarms(Kind.ACCOUNT_COMPROMISED)
    assert "raised a suspicion about the account of Ana Lindqvist" in alarm.sentence and alarm.cleared_at is None
    with transaction.atomic():
        trail.record(Action.USER_CLEARED, person, by=watched.administrator)
    watching.read_on()
    alarm.refresh_from_db()
    assert alarm.cleared_at is not None


@pytest.mark.compliance("11.300(d)", "11.300(c)")
def test_compliance_a_lost_device_is_an_alarm(watched):
    people_verbs.report_lost(watched.author, since=clock.now(), password=PASSWORD)
    watching.read_on()
    (alarm,) = alarms(Kind.ACCOUNT_COMPROMISED)
    assert "Ana Lindqvist reported their one-time code device lost" in alarm.sentence


@pytest.mark.compliance("11.300(d)")
def test_compliance_a_mail_that_does_not_go_out_is_an_alarm_and_tried_again(people, settings, ticking):
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9
    alarm = raise_alarm(Kind.ANCHOR_BEHIND, trail.PORTAL, "The database is behind its anchor.")
    deliver()
    tries = AlarmMail.objects.filter(alarm=alarm)
    assert {row.sent for row in tries} == {False} and "refused" in tries[0].error
    (undelivered,) = alarms(Kind.MAIL_UNDELIVERED)
    alarm_mail.ask()
    assert not Job.objects.filter(kind=alarm_mail.JOB, state="queued", args__alarm=str(alarm.pk)).exists()
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    ticking.advance(minutes=6)
    deliver()
    undelivered.refresh_from_db()
    assert undelivered.cleared_at is not None and tries.filter(sent=True).count() == 5


def test_an_alarm_that_somebody_acknowledged_is_mailed_no_more(people, settings):
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    mail.outbox = []
    alarm = raise_alarm(Kind.ANCHOR_BEHIND, trail.PORTAL, "The database is behind its anchor.")
    acknowledge(alarm, by=people.approver, comment="We are looking into it now")
    deliver()
    assert mail.outbox == []
