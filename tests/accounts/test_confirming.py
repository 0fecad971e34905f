"""What a person who could not be confirmed is told, and what the trail keeps of it: about whom, by whom, why, until when."""

import re
import secrets
import uuid
from datetime import timedelta
from types import SimpleNamespace as Like

import pytest
from django.db import transaction

from accounts import codes, identity, links, transitions
from accounts.identity import LOCKED_FOR, WRONG, Credentials, NotConfirmed
from accounts.models import Lockout, Passkey, Sitting, User
from audit import clock, trail
from audit.actions import Action
from audit.models import Entry
from tests import acts
from tests.accounts.authenticator import Authenticator
from tests.cast import PASSWORD, time_for_a_code

LOGIN, SIGNING = Lockout.Purpose.LOGIN, Lockout.Purpose.SIGNING


def typed(people, user: User, **differs: str) -> Credentials:
    time_for_a_code()
    return Credentials(**({"password": PASSWORD, "code": people.code(user), "username": user.username} | differs))


def told(act) -> NotConfirmed:
    with pytest.raises(NotConfirmed) as caught:
        act()
    assert str(caught.value) == caught.value.message
    return caught.value


def about(refused: NotConfirmed) -> tuple[trail.Subject, trail.Actor | None, dict]:
    return refused.subject, refused.by, refused.detail


@pytest.mark.compliance("11.300(d)")
def test_compliance_a_refused_signing_is_the_persons_own_and_a_refused_log_in_is_nobodys(people):
    user, laboratory = people.reviewer, people.laboratory
    at_signing = told(lambda: identity.confirm(user, typed(people, user, code="x"), subject=laboratory))
    at_log_in = told(lambda: identity.confirm(user, typed(people, user, password="x"), purpose=LOGIN))
    assert (at_signing.message, at_log_in.message, at_signing.status, at_log_in.until) == (WRONG, WRONG, 403, None)
    assert (at_signing.action, at_log_in.action) == (Action.CONFIRMATION_REFUSED, Action.LOGIN_REFUSED)
    assert about(at_signing) == (laboratory.trail_subject(), user.trail_actor(), {"why": "failure 1 of 5"})
    assert about(at_log_in) == (user.trail_subject(), trail.NOBODY, {"why": "failure 1 of 5"})


@pytest.mark.compliance("§2.3")
def test_compliance_a_code_used_before_is_told_with_the_time_of_the_next_and_counts_as_no_failure(people):
    user, both = people.reviewer, typed(people, people.reviewer)
    assert identity.confirm(user, both).components == "password + one-time code"
    used = told(lambda: identity.confirm(user, both))
    assert (used.detail, used.by) == ({"why": "code used before"}, user.trail_actor())
    assert re.fullmatch(r"This code was used already\. Wait for the next one, in \d+ s\.", used.message)
    assert used.until is not None and timedelta() < used.until - clock.now() <= timedelta(seconds=30)
    assert Lockout.objects.get(purpose=SIGNING).failures == 0


@pytest.mark.compliance("11.300(d)", "§2.6")
def test_compliance_a_locked_name_is_told_until_when_whoever_asks(people):
    user = people.reviewer
    ways = {
        "signing": lambda **more: identity.confirm(user, typed(people, user, **more)),
        "password": lambda **more: identity.confirm_password(user, more.get("password", PASSWORD)),
        "stranger": lambda **more: identity.log_in(Like(), Credentials(username=" Nobody ", password="x")),
    }
    for way, act in ways.items():
        for count in range(1, 6):
            refused = told(lambda: act(password="x"))  # noqa: B023
            assert (refused.detail, refused.until) == ({"why": f"failure {count} of 5"}, None), way
        refused = told(act)
        assert refused.detail == {"why": "locked"} and refused.until is not None, way
        assert LOCKED_FOR - timedelta(minutes=1) < refused.until - clock.now() <= LOCKED_FOR, way
        assert (
            refused.message
            == f"Locked after 5 failed attempts in a row until {refused.until:%H:%M:%S} UTC. Wait, or ask an administrator."
        )
    assert identity.locked_until(user.username, LOGIN) and identity.locked_until("nobody ", LOGIN)
    assert identity.locked_until("somebody", LOGIN) is None
    identity.unlock(user)
    assert identity.confirm(user, typed(people, user)).at <= clock.now()


@pytest.mark.compliance("§2.6")
def test_compliance_a_stranger_is_on_the_trail_under_the_name_that_was_typed(people):
    for attempt in ("x", "y"):
        refused = told(lambda: identity.log_in(Like(), Credentials(username="Straßer", password=attempt)))  # noqa: B023
    assert (refused.message, refused.action, refused.until) == (WRONG, Action.LOGIN_REFUSED, None)
    assert about(refused) == (trail.Subject("username", "strasser", "Straßer"), trail.NOBODY, {"why": "failure 2 of 5"})
    long = told(lambda: identity.log_in(Like(), Credentials(username="n" * 151, password="x")))
    assert long.subject.label == "n" * 150


def test_the_password_alone_is_refused_with_words_of_its_own_and_counts_as_log_in_does(people):
    user = people.reviewer
    refused = told(lambda: identity.confirm_password(user, "x"))
    assert (refused.message, refused.action) == ("The password is not right.", Action.CONFIRMATION_REFUSED)
    assert about(refused) == (user.trail_subject(), trail.NOBODY, {"why": "failure 1 of 5"})
    identity.confirm_password(user, PASSWORD)
    assert Lockout.objects.get(purpose=LOGIN).failures == 0


def test_who_was_locked_starts_to_count_anew_when_it_is_over(people, ticking):
    user = people.reviewer
    for _ in range(5):
        told(lambda: identity.confirm_password(user, "x"))
    ticking.advance(minutes=15, seconds=1)
    assert told(lambda: identity.confirm_password(user, "x")).detail == {"why": "failure 1 of 5"}


@pytest.mark.compliance("11.200(a)(1)(ii)")
def test_compliance_sittings_end_for_one_person_and_the_one_that_is_kept_asks_for_everything(people):
    user = people.reviewer
    ended, kept, anothers = (acts.sitting(person) for person in (user, user, people.author))
    Sitting.objects.update(signed_in_full_at=clock.now())
    identity.end_sittings(user, but=kept)
    for sitting in (ended, kept, anothers):
        sitting.refresh_from_db()
    assert [sitting.ended_at is None for sitting in (ended, kept, anothers)] == [False, True, True]
    assert [sitting.signed_in_full_at is None for sitting in (ended, kept, anothers)] == [False, True, False]
    before = ended.ended_at
    identity.end_sittings(user)
    for sitting in (ended, kept, anothers):
        sitting.refresh_from_db()
    assert (ended.ended_at, kept.ended_at is None, anothers.ended_at) == (before, False, None)


def test_an_address_or_a_browser_that_is_not_told_is_empty_and_a_long_name_is_cut():
    assert identity._address(Like(META={"REMOTE_ADDR": "10.0.0.9"})) == "10.0.0.9"
    assert identity._address(Like(META={})) == identity._address(Like(META={"REMOTE_ADDR": None})) == ""
    assert identity.agent_of(Like(headers={})) == ""
    assert identity.agent_of(Like(headers={"User-Agent": "a" * 299 + "bc"})) == "a" * 299 + "b"


# What happens between the confirmation and the act -------------------------------------------------------------------------


def replaces_the_device(user: User, given: Credentials, where: Sitting) -> None:
    device = codes.new_device(user)
    code = codes.code_at(device, clock.now())
    transitions.replace_device(user, credentials=given, device=device, code=code, sitting=where)


def changes_the_password(user: User, given: Credentials, where: Sitting) -> None:
    transitions.change_password(user, credentials=given, new="the thief's own password", sitting=where)


def adds_a_passkey(user: User, given: Credentials, where: Sitting) -> None:
    challenge = secrets.token_bytes(32)
    made = Authenticator().make(challenge, user=user.pk.bytes)
    transitions.add_passkey(user, credentials=given, made=made, challenge=challenge, name="Mine", sitting=where)


def withdraws_a_passkey(user: User, given: Credentials, where: Sitting) -> None:
    passkey = Passkey(user=user, name="Hers", credential_id=b"1", public_key=b"1", aaguid=uuid.uuid4())
    with transaction.atomic():
        passkey.save(force_insert=True)
        trail.record(Action.PASSKEY_ENROLLED, user, by=user)
    transitions.withdraw_my_passkey(user, passkey, credentials=given, sitting=where)


def is_suspected(people, user: User) -> None:
    transitions.suspect(user, since=clock.now(), by=people.administrator, reason="Seen at two places.")


def loses_the_device(people, user: User) -> None:
    transitions.withdraw_device(user, by=people.administrator, reason="Phone lost on a train")


def resets_the_password(people, user: User) -> None:
    with transaction.atomic():
        token = links.issue(user, links.Purpose.PASSWORD, by=None)
    transitions.reset_password(token, "a long way to Odense")


@pytest.mark.compliance("Stolen session", "11.300(c)", "11.300(d)")
@pytest.mark.parametrize("meanwhile", [is_suspected, loses_the_device, resets_the_password])
@pytest.mark.parametrize("act", [replaces_the_device, changes_the_password, adds_a_passkey, withdraws_a_passkey])
def test_compliance_a_sitting_that_ended_after_the_confirmation_changes_nothing_of_the_account(
    people, monkeypatch, act, meanwhile
):
    user, where, confirm = people.author, people.sitting(people.author), identity.confirm

    def confirmed(*given, **more):
        found = confirm(*given, **more)
        meanwhile(people, User.objects.get(pk=user.pk))
        return found

    monkeypatch.setattr(identity, "confirm", confirmed)
    caught = told(lambda: act(user, typed(people, user), where))
    assert caught.message == "Your log-in has ended meanwhile, so nothing was done. Log in again."
    assert about(caught) == (user.trail_subject(), user.trail_actor(), {"why": "sitting ended"})
    mine = Entry.objects.filter(subject_id=str(user.pk), actor=str(user.pk))
    assert not mine.filter(action__in=(Action.CODE_ENROLLED, Action.PASSKEY_WITHDRAWN)).exists()
    assert not User.objects.get(pk=user.pk).check_password("the thief's own password")
    assert not Passkey.objects.filter(user=user, name="Mine").exists()
    if meanwhile is not resets_the_password:
        assert codes.device_in_use(user) is None


def test_a_sitting_of_somebody_else_is_none_of_ones_own(people):
    assert told(lambda: identity.demand_open(people.sitting(people.reviewer), people.author)).status == 403
    identity.demand_open(people.sitting(people.author), people.author)
