"""The first day: two administrators, each vouched for by the other; it starts once and ends once."""

import re

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from accounts import codes, founding, links, transitions
from accounts.models import Founding, Invitation, User
from audit import clock, trail
from audit.models import Entry

OPTIONS = {
    "first_username": "jonas",
    "first_legal_name": "Jonas Bergström",
    "first_email": "jonas@lab.example",
    "first_evidence": "Passport, ends in 4711",
    "second_username": "leila",
    "second_legal_name": "Leila Haddad",
    "second_email": "leila@lab.example",
    "second_evidence": "Identity card, ends in 0815",
}


def enrol_by(url: str) -> User:
    """Do what the page behind the link does."""
    token = url.rstrip("/").rsplit("/", 1)[1]
    device = codes.new_device(links.find(token, links.Purpose.ENROL).user)
    code = codes.code_at(device, clock.now())
    return transitions.enrol(token, password="a long way to Odense", device=device, code=code)


def test_found_prints_two_links_with_which_the_founders_enrol(empty, capsys):
    call_command("found", **OPTIONS)
    printed = re.findall(r"http\S+/enrol/\S+/", capsys.readouterr().out)
    users = [enrol_by(url) for url in printed]
    assert [user.username for user in users] == ["jonas", "leila"]
    assert all(user.roles == {"administrator"} for user in users)


def test_each_founder_vouches_for_the_other(empty):
    call_command("found", **OPTIONS)
    jonas, leila = User.objects.order_by("username")
    assert (jonas.identity_proved_by, leila.identity_proved_by) == (leila, jonas)
    assert jonas.identity_evidence == "Passport, ends in 4711"
    entry = Entry.objects.get(action="user.identity_proved", subject_id=str(jonas.pk))
    assert (entry.actor_name, entry.actor_role) == ("Leila Haddad", "Administrator")


def test_every_founding_act_is_marked(empty):
    call_command("found", **OPTIONS)
    acts = Entry.objects.exclude(action__in=["founding.started", "system.migrated"])
    assert acts.count() == 4
    assert all(entry.detail["founding"] for entry in acts)


def test_founding_is_refused_the_second_time_and_the_refusal_is_kept(empty):
    call_command("found", **OPTIONS)
    with pytest.raises(CommandError, match="it happens once"):
        call_command("found", **{**OPTIONS, "first_username": "mallory", "first_email": "m@lab.example"})
    assert User.objects.count() == 2
    assert Entry.objects.filter(action="request.refused").count() == 1


def test_founding_is_refused_where_it_is_over(people):
    with pytest.raises(CommandError, match="it happens once"):
        call_command("found", **OPTIONS)


def test_two_founders_with_one_name_or_mailbox_are_refused_and_nothing_is_kept(empty):
    for change in ({"second_username": "JONAS"}, {"second_email": "Jonas@lab.example"}):
        with pytest.raises(CommandError):
            call_command("found", **{**OPTIONS, **change})
    assert not User.objects.exists()
    assert not Founding.objects.exists()


def test_an_option_that_is_missing_is_named(empty):
    with pytest.raises(CommandError, match="--second-evidence is missing"):
        call_command("found", **{**OPTIONS, "second_evidence": None})


def test_lost_links_are_made_anew_for_those_who_have_not_enrolled(empty, capsys):
    call_command("found", **OPTIONS)
    old = re.findall(r"http\S+/enrol/\S+/", capsys.readouterr().out)
    enrol_by(old[0])
    call_command("found", links=True)
    fresh = re.findall(r"http\S+/enrol/\S+/", capsys.readouterr().out)
    assert len(fresh) == 1
    with pytest.raises(links.Over):
        enrol_by(old[1])
    assert enrol_by(fresh[0]).username == "leila"


def test_links_are_refused_once_the_founding_is_over(people):
    with pytest.raises(CommandError, match="no founding ceremony going on"):
        call_command("found", links=True)


def test_the_founding_ends_once(empty):
    call_command("found", **OPTIONS)
    assert founding.is_open()
    founding.end(by=trail.SYSTEM, because="SOP-0001 version 1 is approved")
    founding.end(by=trail.SYSTEM, because="SOP-0001 version 2 is approved")
    assert founding.is_over()
    assert not founding.is_open()
    assert founding.mark() == {}
    assert Entry.objects.filter(action="founding.ended").count() == 1


def test_a_link_is_kept_as_a_hash_alone(empty, capsys):
    call_command("found", **OPTIONS)
    printed = capsys.readouterr().out
    assert not any(row.token_sha256 in printed for row in Invitation.objects.all())
    assert all(len(row.token_sha256) == 64 for row in Invitation.objects.all())
