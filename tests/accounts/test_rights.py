"""The right to sign: each condition, missing, is named with what mends it, and nobody signs without (21 CFR 11.10(i), (j),
11.100, 11.200(a)(3), 11.300)."""

import json
import os
import secrets
import threading
import uuid
from datetime import timedelta

import psycopg
import pytest
from django.db import connection, connections, transaction
from django.test import Client

from accounts import accountability, codes, dormancy, identity, links, qualifications, rights, tasks, transitions
from accounts.identity import Credentials
from accounts.models import (
    Acknowledgement,
    CodeDevice,
    Invitation,
    Letter,
    LetterWaiver,
    Lockout,
    Policy,
    Qualification,
    Sitting,
    SsoIdentity,
    Suspicion,
    User,
)
from audit import clock, trail
from audit.actions import Action
from audit.models import Entry
from records.models import Version
from signatures import standing
from signatures.models import Signature
from tests import acts, builders
from tests.accounts.authenticator import Authenticator
from tests.cast import time_for_a_code
from tests.signatures.test_ceremony import Table, refused

EARLIER = "now() - interval '400 days'"
# What takes each condition away, as the owner of the database.
SPOILT = {
    "identity": "UPDATE accounts_user SET identity_proved_by_id = NULL, identity_proved_at = NULL",
    "accountability": "DELETE FROM accounts_acknowledgement",
    "letter": "DELETE FROM accounts_letter",
    "policy": "DELETE FROM accounts_policy",
    "training": "UPDATE accounts_qualification SET met_at = NULL",
    "device": f"UPDATE accounts_codedevice SET confirmed_at = {EARLIER}",
    "hold": "UPDATE accounts_codedevice SET by_link = true; UPDATE accounts_user SET password_reset_at = now();"
    " INSERT INTO audit_entry (action, reason, actor, actor_name, actor_role, subject_kind, subject_id, subject_label, request_id,"
    " detail) SELECT 'password.changed', '', id, legal_name, '', 'user', id, legal_name, '', '{\"by_link\": true}' FROM accounts_user",
    "suspicion": "INSERT INTO accounts_suspicion (id, user_id, kind, since, reason, raised_by_id) SELECT gen_random_uuid(), id,"
    " 'lost', now() - interval '1 hour', 'Told.', id FROM accounts_user",
}  # fmt: skip


TABLES = (
    "user",
    "acknowledgement",
    "letter",
    "policy",
    "qualification",
    "codedevice",
    "passkey",
    "suspicion",
    "founding",
)


def as_owner(sql: str) -> None:
    """What no verb does: the owner of the database, with the triggers off."""
    with psycopg.connect(os.environ["MIGRATE_DATABASE_URL"], autocommit=True) as owner:
        for table in TABLES:
            owner.execute(f"ALTER TABLE accounts_{table} DISABLE TRIGGER USER")
        owner.execute(sql)
        for table in TABLES:
            owner.execute(f"ALTER TABLE accounts_{table} ENABLE TRIGGER USER")


def gaps(user: User) -> list[str]:
    return [gap.condition.name for gap in rights.gaps(User.objects.get(pk=user.pk), clock.now())]


@pytest.mark.compliance("11.10(g)", "11.10(i)", "11.10(j)", "11.100(b)", "11.100(c)", "11.300(e)", "§2.23")
@pytest.mark.parametrize("condition", [condition.name for condition in rights.CONDITIONS])
def test_compliance_a_missing_condition_refuses_the_signature_and_is_named_with_a_link(people, condition):
    table = Table(builders.a_document_in_review(people), people.reviewer)
    assert gaps(people.reviewer) == []
    as_owner(SPOILT[condition])
    assert gaps(people.reviewer) == [condition]
    with pytest.raises(trail.Refused):
        table.sign()
    refused(condition)
    assert not Signature.objects.exists()
    gap = next(rights.gaps(User.objects.get(pk=people.reviewer.pk), clock.now()))
    page = people.client(people.reviewer).get(f"/sign/{table.step.pk}/").content.decode()
    assert gap.condition.title in page and gap.finding.url in page
    assert 'name="password"' not in page
    assert gap.condition.title in people.client(people.reviewer).get("/account/").content.decode()
    assert (
        gap.condition.title
        in people.client(people.administrator).get(f"/people/{people.reviewer.pk}/").content.decode()
    )


@pytest.mark.compliance("11.10(j)")
def test_compliance_the_accountability_statement_is_acknowledged_with_both_components_and_named_by_the_signature(
    people, ticking
):
    as_owner("DELETE FROM accounts_acknowledgement")
    with pytest.raises(identity.NotConfirmed):
        transitions.acknowledge(people.reviewer, credentials=Credentials("wrong", people.code(people.reviewer)))
    transitions.acknowledge(people.reviewer, credentials=people.credentials(people.reviewer))
    row = Acknowledgement.objects.get()
    assert (row.revision, row.text_sha256) == (accountability.REVISION, accountability.text_sha256())
    ticking.next_code()
    signature = acts.sign(people.reviewer, builders.a_document_in_review(people))[0]
    assert signature.accountability == accountability.REVISION
    assert b'"accountability":"1"' in bytes(signature.statement)


@pytest.mark.compliance("11.300(e)")
def test_compliance_a_device_is_tested_again_after_a_year(people, ticking):
    as_owner(SPOILT["device"])
    assert gaps(people.reviewer) == ["device"]
    transitions.retest_device(people.reviewer, credentials=people.credentials(people.reviewer))
    assert gaps(people.reviewer) == []
    assert Entry.objects.filter(action=Action.CODE_TESTED).count() == 1


@pytest.mark.compliance("11.300(e)")
def test_compliance_a_passkey_alone_is_a_tested_device_for_a_year_too(people, ticking):
    reviewer, challenge = people.reviewer, secrets.token_bytes(32)
    made = Authenticator().make(challenge, user=reviewer.pk.bytes)
    told = {"credentials": people.credentials(reviewer), "sitting": acts.sitting(reviewer)}
    transitions.add_passkey(reviewer, made=made, challenge=challenge, name="Security key", **told)
    as_owner("UPDATE accounts_codedevice SET withdrawn_at = now()")
    assert gaps(reviewer) == []
    as_owner(f"UPDATE accounts_passkey SET created_at = {EARLIER}")
    assert gaps(reviewer) == ["device"]
    as_owner("UPDATE accounts_passkey SET last_used_at = now()")
    assert gaps(reviewer) == []
    as_owner("UPDATE accounts_passkey SET withdrawn_at = now()")
    assert gaps(reviewer) == ["device"]


@pytest.mark.compliance("11.100(c)")
def test_compliance_a_waiver_of_the_letter_counts_until_it_expires(people, ticking):
    as_owner("DELETE FROM accounts_letter")
    about = trail.Subject("version", "00000000-0000-4000-8000-000000000009", "Waiver")
    version = type("Waiver", (), {"trail_subject": lambda self: about})()
    with transaction.atomic():
        transitions.waive_letter(version, label="WAI-1", page="/", reason="The letter is at the printer's.",
                                 expires_at=acts.in_days(5), by=people.approver)  # fmt: skip
    assert LetterWaiver.objects.get().reason and gaps(people.reviewer) == []
    ticking.advance(days=6)
    assert gaps(people.reviewer) == ["letter"]


@pytest.mark.compliance("11.100(c)")
def test_compliance_the_letter_is_filed_by_quality_alone_and_its_template_names_firm_and_scope(people):
    client = people.client(people.approver)
    asked = {"firm": "Firm Ltd", "scope": "Site A\nSite B", "signatory": "The head"}
    made = client.get("/letter/template/", asked)
    assert made["Content-Type"] == "application/pdf" and made.content.startswith(b"%PDF")
    with pytest.raises(trail.Forbidden):
        transitions.file_letter(sent_on=clock.now().date(), scope="All", addressee="FDA", copy={"sha256": "0"},
                                by=people.reviewer)  # fmt: skip
    with pytest.raises(trail.Refused, match="sent first"):
        transitions.file_letter(sent_on=acts.in_days(3).date(), scope="All", addressee="FDA", copy={"sha256": "0"},
                                by=people.approver)  # fmt: skip
    assert Letter.objects.count() == 1


@pytest.mark.compliance("11.300(d)", "§2.6")
def test_compliance_a_burst_of_wrong_tries_side_by_side_is_looked_at_five_times(people, monkeypatch):
    looked = []
    real = identity.check_password
    monkeypatch.setattr(identity, "check_password", lambda *given: looked.append(1) or real(*given))
    start, author = threading.Barrier(20), people.author

    def burst() -> None:
        start.wait()
        try:
            identity.confirm(author, Credentials("wrong", "000000"))
        except identity.NotConfirmed:
            pass
        finally:
            connections.close_all()

    threads = [threading.Thread(target=burst) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(looked) == identity.FAILURES_ALLOWED
    assert Lockout.objects.get().locked_until


@pytest.mark.compliance("11.300(b)")
def test_compliance_an_account_not_used_for_ninety_days_is_locked_until_an_administrator_wakes_it(people, ticking):
    acts.sitting(people.author)
    ticking.advance(days=91)
    acts.sitting(people.reviewer)
    with pytest.raises(identity.NotConfirmed, match="90 days"):
        identity.confirm(people.author, people.credentials(people.author), purpose=Lockout.Purpose.LOGIN)
    identity.confirm(people.reviewer, people.credentials(people.reviewer), purpose=Lockout.Purpose.LOGIN)
    assert tasks.lock_dormant() > 3
    assert not dormancy.sleepers(clock.now()).exists()
    assert User.objects.get(username="reviewer").dormant_at is None
    assert Entry.objects.filter(action=Action.USER_DORMANT, subject_id=str(people.author.pk)).count() == 1
    transitions.unlock(people.author, by=people.administrator, reason="Back from parental leave.")
    ticking.next_code()
    identity.confirm(User.objects.get(pk=people.author.pk), people.credentials(people.author))


def re_enable(people, ticking, user: User) -> CodeDevice:
    """New device by one administrator's link; new proof and end of the suspicion are to come."""
    ticking.advance(seconds=30)
    transitions.send_link_again(user, by=people.administrator)
    return enrolled_by_link(user)


def enrolled_by_link(user: User) -> CodeDevice:
    """With a link for a device alone, and the password."""
    with transaction.atomic():
        token = links.issue(user, links.Purpose.CODE, by=None)
    device = codes.new_device(user)
    code = codes.code_at(device, time_for_a_code())
    transitions.enrol(token, password="correct horse battery", device=device, code=code)
    return device


@pytest.mark.compliance("11.300(c)", "§2.19")
def test_compliance_a_reported_loss_ends_device_sittings_and_dialogs_at_once_and_a_new_one_takes_two(people, ticking):
    table = Table(builders.a_document_in_review(people), people.reviewer)
    code = people.code(people.reviewer)
    transitions.report_lost(people.reviewer, since=clock.now(), password="correct horse battery")
    assert not CodeDevice.objects.filter(user=people.reviewer, withdrawn_at=None).exists()
    assert not Sitting.objects.filter(user=people.reviewer, ended_at=None).exists()
    with pytest.raises(trail.Refused):
        table.sign(code=code)
    reviewer = User.objects.get(pk=people.reviewer.pk)
    with pytest.raises(identity.NotConfirmed):
        identity.confirm(reviewer, Credentials("correct horse battery", code))
    reason = "Seen in person with a new phone."
    with pytest.raises(trail.Refused, match="identity anew"):
        transitions.clear(reviewer, by=people.administrator2, reason=reason)
    re_enable(people, ticking, reviewer)
    transitions.prove_identity(reviewer, by=people.administrator, evidence="Passport, last digits 1234")
    with pytest.raises(trail.Refused, match="another administrator"):
        transitions.clear(reviewer, by=people.administrator, reason=reason)
    assert "suspicion" in gaps(people.reviewer)
    transitions.clear(reviewer, by=people.administrator2, reason=reason)
    assert gaps(people.reviewer) == []
    assert Suspicion.objects.get().ended_by == people.administrator2


@pytest.mark.compliance("11.300(c)")
def test_compliance_a_loss_is_reported_from_the_log_in_page_by_a_link_that_works_once(people):
    token = "a-token-for-a-loss"
    Invitation.objects.create(
        user=people.author, purpose="lost", token_sha256=links._digest(token), expires_at=acts.in_days(1)
    )
    since = f"{clock.now():%Y-%m-%dT%H:%M}"
    assert Client().post(f"/lost/{token}/", {"since": since}).status_code == 302
    assert not CodeDevice.objects.filter(user=people.author, withdrawn_at=None).exists()
    assert Client().post(f"/lost/{token}/", {"since": since}).status_code == 410


@pytest.mark.compliance("11.200(a)(3)")
def test_compliance_whoever_changed_the_mailbox_allows_no_new_device(people, ticking):
    author = people.author
    transitions.change_details(author, by=people.administrator, reason="A new mailbox of the firm.", legal_name="Ana",
                               email="ana@lab.example")  # fmt: skip
    transitions.report_lost(author, since=clock.now(), password="correct horse battery")
    with pytest.raises(trail.Forbidden, match="same administrator"):
        transitions.send_link_again(author, by=people.administrator)
    transitions.send_link_again(author, by=people.administrator2)
    with pytest.raises(trail.Forbidden, match="same administrator"):
        transitions.change_details(author, by=people.administrator2, reason="Another mailbox again.", legal_name="Ana",
                                   email="other@lab.example")  # fmt: skip


@pytest.mark.compliance("11.200(a)(3)", "11.300(c)")
def test_compliance_whoever_put_an_account_under_suspicion_does_not_change_its_mailbox(people):
    author = people.author
    transitions.suspect(author, since=clock.now(), by=people.administrator, reason="Seen at two places.")
    with pytest.raises(trail.Forbidden, match="same administrator"):
        transitions.change_details(author, by=people.administrator, reason="A new mailbox of the firm.", legal_name="Ana",
                                   email="ana@lab.example")  # fmt: skip
    with pytest.raises(trail.Forbidden, match="same administrator"):
        transitions.link_identity(author, subject="sub-x", by=people.administrator, reason="Known by this subject")


@pytest.mark.compliance("11.200(a)(3)", "11.300(c)")
@pytest.mark.parametrize("act", ["identity", "mailbox"])
def test_compliance_whoever_proved_the_identity_or_changed_the_mailbox_does_not_end_the_suspicion(people, ticking, act):
    reviewer, reason = people.reviewer, "Seen in person with a new phone."
    transitions.suspect(reviewer, since=clock.now(), by=people.administrator, reason=reason)
    re_enable(people, ticking, reviewer)
    new_password(reviewer)
    prover = people.administrator2 if act == "identity" else people.administrator
    transitions.prove_identity(reviewer, by=prover, evidence="Passport, last digits 1234")
    if act == "mailbox":
        transitions.change_details(reviewer, by=people.administrator2, reason=reason, legal_name=reviewer.legal_name,
                                   email="maja@elsewhere.example")  # fmt: skip
    with pytest.raises(trail.Refused, match="another administrator"):
        transitions.clear(reviewer, by=people.administrator2, reason=reason)


@pytest.mark.compliance("11.200(a)(3)", "11.300(c)")
def test_compliance_whoever_allowed_the_new_device_by_withdrawing_another_does_not_end_the_suspicion(people, ticking):
    reviewer, reason = people.reviewer, "Seen in person with a new phone."
    transitions.report_lost(reviewer, since=clock.now(), password="correct horse battery")
    ticking.advance(seconds=30)
    transitions.send_link_again(reviewer, by=people.administrator2)
    enrolled_by_link(reviewer)
    ticking.advance(seconds=30)
    transitions.withdraw_device(reviewer, by=people.administrator, reason=reason)  # which mails a link
    enrolled_by_link(reviewer)
    transitions.prove_identity(reviewer, by=people.administrator2, evidence="Passport, last digits 1234")
    with pytest.raises(trail.Refused, match="another administrator"), trail.refusals():
        transitions.clear(reviewer, by=people.administrator, reason=reason)
    assert Entry.objects.filter(action=Action.USER_REFUSED, actor=str(people.administrator.pk)).exists()
    assert "suspicion" in gaps(reviewer)


@pytest.mark.compliance("11.300(c)", "11.300(d)")
def test_compliance_after_a_compromise_the_password_of_before_ends_no_suspicion(people, ticking):
    reviewer, reason = people.reviewer, "Seen in person with a new phone."
    transitions.suspect(reviewer, since=clock.now(), by=people.administrator2, reason="Password seen in a mail.")
    re_enable(people, ticking, reviewer)
    transitions.prove_identity(reviewer, by=people.administrator, evidence="Passport, last digits 1234")
    with pytest.raises(trail.Refused, match="new password"):
        transitions.clear(reviewer, by=people.administrator2, reason=reason)
    new_password(reviewer)
    transitions.clear(reviewer, by=people.administrator2, reason=reason)
    assert gaps(reviewer) == ["hold"]


@pytest.mark.compliance("11.300(c)", "11.300(d)", "S9")
def test_compliance_an_identity_that_was_linked_during_the_compromise_is_unlinked_before_the_suspicion_ends(
    people, ticking, settings
):
    settings.OIDC_ISSUER, settings.OIDC_CLIENT_ID = "https://id.example", "portal"
    reviewer, reason, since = people.reviewer, "Seen in person with a new phone.", clock.now()
    ticking.advance(minutes=1)
    with transaction.atomic():
        SsoIdentity.objects.create(user=reviewer, issuer=settings.OIDC_ISSUER, subject="sub-thief")
        trail.record(Action.SSO_LINKED, reviewer, by=reviewer)
    ticking.advance(minutes=1)
    transitions.suspect(reviewer, since=since, by=people.administrator2, reason="Seen at two places.")
    re_enable(people, ticking, reviewer)
    new_password(reviewer)
    transitions.prove_identity(reviewer, by=people.administrator, evidence="Passport, last digits 1234")
    with pytest.raises(trail.Refused, match="Single sign-on was linked"):
        transitions.clear(reviewer, by=people.administrator2, reason=reason)
    transitions.unlink_identity(reviewer, by=people.administrator, reason=reason)
    transitions.clear(reviewer, by=people.administrator2, reason=reason)


@pytest.mark.compliance("11.300(c)", "§2.19")
def test_compliance_a_suspicion_is_moved_back_and_never_forward_and_a_compromise_is_worse_than_a_loss(people, ticking):
    version, reviewer = builders.a_document_in_review(people), people.reviewer
    forged = acts.sign(reviewer, version)[0]
    ticking.advance(hours=3)
    reported = clock.now()
    transitions.report_lost(
        reviewer, since=reported, password="correct horse battery"
    )  # the thief, who has the password
    assert standing.of(forged).state == standing.VALID
    enrolled = re_enable(people, ticking, reviewer)
    earlier = clock.now() - timedelta(hours=4)
    transitions.suspect(reviewer, since=earlier, by=people.administrator2, reason="Seen at two places.")
    row = Suspicion.objects.get()
    assert (row.kind, row.since, row.raised_by) == (Suspicion.Kind.COMPROMISED, earlier, people.administrator2)
    told = Entry.objects.get(action=Action.USER_SUSPECTED).detail
    assert (told["since"], told["since_before"]) == (earlier.isoformat(), reported.isoformat())
    assert told["kind"] == ["lost", "compromised"]
    assert standing.of(forged).to_decide
    enrolled.refresh_from_db()
    assert enrolled.withdrawn_at  # what the thief set up meanwhile
    with pytest.raises(trail.Refused, match="a later one changes nothing"), trail.refusals():
        transitions.suspect(reviewer, since=clock.now(), by=people.administrator2, reason="Seen at two places.")
    with pytest.raises(trail.Refused, match="a later one changes nothing"):
        transitions.report_lost(reviewer, since=earlier, password="correct horse battery")
    before = earlier - timedelta(hours=1)
    transitions.report_lost(reviewer, since=before, password="correct horse battery")
    row.refresh_from_db()
    assert (row.kind, row.since) == (Suspicion.Kind.COMPROMISED, before)


def test_a_compromise_that_is_said_with_a_later_time_keeps_the_time_of_the_loss(people, ticking):
    since = clock.now()
    transitions.report_lost(people.reviewer, since=since, password="correct horse battery")
    ticking.advance(hours=1)
    transitions.suspect(people.reviewer, since=clock.now(), by=people.administrator, reason="Seen at two places.")
    row = Suspicion.objects.get()
    assert (row.kind, row.since) == (Suspicion.Kind.COMPROMISED, since)


def test_the_page_of_a_person_under_suspicion_offers_to_move_it_back(people):
    transitions.report_lost(people.reviewer, since=clock.now(), password="correct horse battery")
    page = people.client(people.administrator).get(f"/people/{people.reviewer.pk}/").content.decode()
    assert f"/people/{people.reviewer.pk}/suspect/" in page


@pytest.mark.compliance("11.300(c)")
def test_compliance_two_administrators_end_a_suspicion_about_somebody_whom_one_of_them_invited(people, ticking):
    reviewer, reason = people.reviewer, "Seen in person with a new phone."
    as_owner(f"UPDATE accounts_user SET invited_by_id = '{people.administrator2.pk}' WHERE id = '{reviewer.pk}'")
    transitions.report_lost(reviewer, since=clock.now(), password="correct horse battery")
    re_enable(people, ticking, reviewer)
    transitions.prove_identity(reviewer, by=people.administrator, evidence="Passport, last digits 1234")
    transitions.clear(reviewer, by=people.administrator2, reason=reason)
    assert not Suspicion.objects.filter(user=reviewer, ended_at=None).exists()


@pytest.mark.compliance("11.100(b)", "11.300(c)")
def test_compliance_a_device_by_link_in_the_place_of_another_signs_after_a_new_proof_of_identity_alone(people, ticking):
    reviewer = people.reviewer
    new_device(people, reviewer, "correct horse battery")
    [gap] = rights.gaps(User.objects.get(pk=reviewer.pk), clock.now())
    assert gap.condition.name == "identity" and "The device of before was withdrawn" in gap.finding.sentence
    ticking.next_code()
    replace(people, reviewer)  # whoever came by the device spares themselves nothing by another one
    assert gaps(reviewer) == ["identity"]
    proved_anew(people, reviewer)
    assert gaps(reviewer) == []


@pytest.mark.compliance("11.100(b)")
def test_compliance_a_device_that_one_replaces_oneself_needs_no_new_proof_of_identity(people, ticking):
    replace(people, people.reviewer)
    assert gaps(people.reviewer) == []


def replace(people, user: User) -> None:
    """With the password and a code of the device that is in use."""
    device = codes.new_device(user)
    given = {"credentials": people.credentials(user), "sitting": acts.sitting(user)}
    transitions.replace_device(user, device=device, code=codes.code_at(device, clock.now()), **given)


@pytest.mark.compliance("11.100(b)", "11.50(a)(1)")
def test_compliance_another_name_ends_sittings_and_the_proof_of_identity_and_takes_another_hand_to_prove(people):
    reviewer, browser = people.reviewer, people.client(people.reviewer)
    table = Table(builders.a_document_in_review(people), reviewer)
    proved = reviewer.identity_proved_at
    transitions.change_details(reviewer, by=people.administrator, reason="Spelling of the name", legal_name="Someone Else",
                               title=reviewer.title, email=reviewer.email)  # fmt: skip
    assert browser.get("/account/").status_code == 302
    with pytest.raises(trail.Refused):
        table.sign()
    renamed = User.objects.get(pk=reviewer.pk)
    assert (renamed.identity_proved_at, renamed.identity_proved_by, renamed.identity_evidence) == (None, None, "")
    assert Entry.objects.get(action=Action.USER_CHANGED).detail["identity_proved_at"] == [proved.isoformat(), ""]
    assert gaps(reviewer) == ["identity"]
    with pytest.raises(trail.Refused, match="changed their name last"):
        transitions.prove_identity(reviewer, by=people.administrator, evidence="Passport, last digits 1234")
    proved_anew(people, reviewer)
    assert gaps(reviewer) == []


def test_another_position_keeps_the_proof_of_identity_and_the_sittings(people):
    reviewer, browser = people.reviewer, people.client(people.reviewer)
    transitions.change_details(reviewer, by=people.administrator, reason="A new position", title="Head of quality",
                               legal_name=reviewer.legal_name, email=reviewer.email)  # fmt: skip
    assert browser.get("/account/").status_code == 200
    assert gaps(reviewer) == []


def test_the_page_where_details_are_changed_says_what_another_name_brings_about(people):
    page = people.client(people.administrator).get(f"/people/{people.reviewer.pk}/details/").content.decode()
    assert "another name ends the sittings, and the proof of identity" in page


def wait_for(thread: threading.Thread) -> None:
    """Until it waits for what this transaction holds, or is done."""
    with connection.cursor() as cursor:
        while thread.is_alive():
            cursor.execute(
                "SELECT 1 FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid))"
            )
            if cursor.fetchone():
                return


MEANWHILE = {
    "withdraw_device": (Action.USER_CHANGED, {"reason": "Phone lost on a train"}),
    "withdraw_passkey": (Action.USER_CHANGED, {"reason": "Key lost on a train", "passkey": uuid.uuid4()}),
    "send_link_again": (Action.USER_CHANGED, {}),
    "link_identity": (Action.CODE_RESET, {"reason": "Known by this subject", "subject": "sub-x"}),
}


@pytest.mark.compliance("11.200(a)(3)")
@pytest.mark.parametrize("verb", MEANWHILE)
def test_compliance_one_administrator_with_two_requests_side_by_side_is_one_hand(people, settings, verb):
    settings.OIDC_ISSUER = "https://id.example"
    author, administrator, said = people.author, people.administrator, []
    if verb == "send_link_again":
        transitions.report_lost(author, since=clock.now(), password="correct horse battery")
    action, given = MEANWHILE[verb]

    def second() -> None:
        try:
            getattr(transitions, verb)(author, by=administrator, **given)
        except trail.Refused as refused:
            said.append(refused.message)
        finally:
            connections.close_all()

    thread = threading.Thread(target=second)
    with transaction.atomic():
        User.objects.select_for_update(no_key=True).get(pk=author.pk)
        trail.record(action, author, by=administrator, reason="The first of two.", detail={"email": ["a", "b"]})
        thread.start()
        wait_for(thread)
    thread.join()
    assert said and "same administrator" in said[0]


@pytest.mark.compliance("11.200(a)(3)")
def test_compliance_after_both_components_were_reset_within_a_day_signing_is_held_for_a_day(people, ticking):
    as_owner(SPOILT["hold"])
    assert gaps(people.reviewer) == ["hold"]
    ticking.advance(hours=25)
    assert gaps(people.reviewer) == []


def new_password(user: User) -> None:
    """By the mailed link."""
    with transaction.atomic():
        token = links.issue(user, links.Purpose.PASSWORD, by=None)
    transitions.reset_password(token, "another horse battery")


def new_device(people, user: User, password: str = "another horse battery") -> None:
    """By the mailed link, in the place of one that an administrator withdrew."""
    transitions.withdraw_device(user, by=people.administrator, reason="Phone lost on a train")
    with transaction.atomic():
        token = links.issue(user, links.Purpose.CODE, by=people.administrator)
    device = codes.new_device(user)
    transitions.enrol(token, device=device, code=codes.code_at(device, time_for_a_code()), password=password)


def proved_anew(people, user: User) -> None:
    transitions.prove_identity(user, by=people.administrator2, evidence="Passport, last digits 1234")


@pytest.mark.compliance("11.200(a)(3)")
def test_compliance_a_hold_is_not_lifted_by_replacing_the_device_oneself(people, ticking):
    reviewer = people.reviewer
    new_password(reviewer)
    new_device(people, reviewer)
    proved_anew(people, reviewer)
    ticking.next_code()
    reviewer, device = User.objects.get(pk=reviewer.pk), codes.new_device(reviewer)
    given = Credentials("another horse battery", people.code(reviewer))
    transitions.replace_device(
        reviewer,
        credentials=given,
        device=device,
        code=codes.code_at(device, clock.now()),
        sitting=acts.sitting(reviewer),
    )
    assert gaps(reviewer) == ["hold"]
    ticking.advance(hours=25)
    assert gaps(reviewer) == []


@pytest.mark.compliance("11.200(a)(3)")
def test_compliance_a_hold_is_not_lifted_by_yet_another_new_password(people, ticking):
    reviewer = people.reviewer
    new_device(people, reviewer, "correct horse battery")
    proved_anew(people, reviewer)
    ticking.advance(hours=23)
    new_password(reviewer)
    ticking.advance(hours=2)
    new_password(reviewer)  # more than a day after the device, less than one after the first of the two
    assert gaps(reviewer) == ["hold"]
    ticking.advance(hours=23)
    assert gaps(reviewer) == []


@pytest.mark.compliance("11.200(a)(3)")
def test_compliance_a_device_and_a_password_of_different_days_hold_nothing(people, ticking):
    new_device(people, people.reviewer, "correct horse battery")
    proved_anew(people, people.reviewer)
    ticking.advance(hours=25)
    new_password(people.reviewer)
    assert gaps(people.reviewer) == []


@pytest.mark.compliance("11.100(c)", "11.10(j)")
def test_compliance_on_the_first_day_what_cannot_exist_yet_is_not_asked_for(people):
    as_owner("DELETE FROM accounts_letter; DELETE FROM accounts_policy; DELETE FROM accounts_qualification;"
             " UPDATE accounts_founding SET ended_at = NULL")  # fmt: skip
    assert gaps(people.reviewer) == []
    assert not Policy.objects.exists() and not Qualification.objects.exists()
    sop = builders.an_sop(people, gate="signing")
    acts.sign(people.reviewer, sop)


# The e-signature SOP in effect, and training on that one


def an_sop_in_effect(people, ticking, **more):
    sop = builders.an_sop(people, gate="signing", **more)
    acts.sign(people.reviewer, sop)
    acts.sign(people.approver, sop)
    ticking.next_code()
    return Version.objects.select_related("record__type", "effectivity").get(pk=sop.pk)


def finding(user: User, name: str) -> rights.Finding:
    return next(each.finding for each in rights.look(user, clock.now()) if each.condition.name == name)


@pytest.mark.compliance("11.10(i)", "11.10(j)")
def test_compliance_having_read_another_e_signature_sop_is_no_training_on_the_one_in_effect(people, ticking):
    sop = an_sop_in_effect(people, ticking, roles=["reviewer"], days=10)  # asks nothing of approvers
    assert finding(people.approver, "policy").sentence == "SOP-0001 1.0, Electronic signatures."
    assert gaps(people.approver) == ["training"]
    gap = finding(people.approver, "training")
    assert gap.sentence.startswith("Not trained yet: SOP-0001 1.0") and str(sop.pk) in gap.url
    acts.read(people.approver, sop)
    ticking.next_code()
    assert finding(people.approver, "training").sentence == "Trained on SOP-0001 1.0, Electronic signatures."
    signature = acts.sign(people.approver, builders.a_document_in_review(people, reviewers=[]))[0]
    assert json.loads(bytes(signature.statement))["policy"] == "SOP-0001 1.0, Electronic signatures"


@pytest.mark.compliance("11.10(i)")
def test_compliance_training_on_the_sop_of_before_serves_until_the_reading_of_the_next_one_is_due(people, ticking):
    an_sop_in_effect(people, ticking, days=10)
    assert qualifications.policy_in_force(people.approver) == "SOP-0000 1.0, Electronic signatures"
    assert gaps(people.approver) == []
    ticking.advance(days=10)
    assert qualifications.policy_in_force(people.approver) == ""
    assert finding(people.approver, "training").sentence.startswith("Training is overdue: SOP-0001 1.0")


@pytest.mark.compliance("11.10(i)")
def test_compliance_what_is_late_and_superseded_is_settled_by_the_version_in_effect_and_the_sentence_names_that(
    people, ticking
):
    sop = an_sop_in_effect(people, ticking, days=10)
    later = builders.a_document_in_review(people, record=sop.record, text="Sign with care.")
    acts.sign(people.reviewer, later)
    acts.sign(people.approver, later)
    ticking.advance(days=11)
    assert finding(people.approver2, "training").sentence.startswith("Training is overdue: SOP-0001 2.0")


@pytest.mark.compliance("11.10(i)")
def test_compliance_the_e_signature_sop_of_another_site_asks_nothing_of_people_who_have_their_own(people, ticking):
    with transaction.atomic():
        Policy.objects.create(version_id=uuid.uuid4(), topic="SOP-0009", label="SOP-0009 1.0, Signing elsewhere", page="/training/",
                              area=people.outsider.areas.get(), begins_at=clock.now())  # fmt: skip
        theirs = Policy.objects.get(topic="SOP-0009")
        subject = trail.Subject("version", str(theirs.pk), theirs.label)
        trail.record(Action.VERSION_EFFECTIVE, subject, by=trail.SYSTEM)
    assert qualifications.policy_in_effect(people.outsider, clock.now()) == theirs
    assert gaps(people.outsider) == ["training"]
    assert gaps(people.reviewer) == []
    assert finding(people.reviewer, "policy").sentence == "SOP-0000 1.0, Electronic signatures."


@pytest.mark.compliance("11.10(i)")
def test_compliance_the_next_e_signature_sop_is_approved_by_people_trained_on_the_one_that_was_retired(people, ticking):
    sop = an_sop_in_effect(people, ticking)
    acts.read(people.reviewer, sop)
    acts.read(people.approver, sop)
    as_owner(
        "DELETE FROM accounts_policy WHERE topic = 'SOP-0000'; DELETE FROM accounts_qualification WHERE topic = 'SOP-0000'"
    )
    ticking.next_code()
    acts.retire(people.approver, sop, "Written anew from the start.")
    assert qualifications.policy_in_effect(people.reviewer, clock.now()) is None
    assert gaps(people.reviewer) == ["policy"]
    ticking.next_code()
    again = builders.a_document_in_review(people, record=sop.record, text="Sign with care.")
    acts.sign(people.reviewer, again)
    acts.sign(people.approver, again)
    policy = qualifications.policy_in_effect(people.reviewer, clock.now())
    assert policy and policy.version_id == again.pk
