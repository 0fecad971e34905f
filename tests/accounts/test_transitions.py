"""The verbs about people: what each does, what it refuses, and that both stand on the trail."""

from datetime import timedelta

import psycopg
import pytest
from django.core import mail
from django.db import IntegrityError, connection, transaction

from accounts import codes, identity, links, permissions, transitions
from accounts.identity import Credentials
from accounts.models import Area, CodeDevice, Invitation, Membership, User, folded
from accounts.roles import CONTENT_ROLES, PERMISSIONS, Role, conflict
from audit import clock, trail
from audit.models import Entry
from jobs import queue
from jobs.models import Job
from tests.cast import PASSWORD

NEW = "a long way to Odense"
REASON = "Asked for by the head of quality"


def invite(people, **changes) -> User:
    values = {
        "username": "carol",
        "legal_name": "Carol Winter",
        "email": "carol@lab.example",
        "title": "QA specialist",
        "roles": ["author"],
        "areas": [people.laboratory],
        "by": people.administrator,
    }
    return transitions.invite(**{**values, **changes})


def post() -> None:
    """Do the mail jobs that wait, as a worker does."""
    for job in Job.objects.filter(state="queued"):
        assert queue.run(job.pk).state == "done"


def mailed_token() -> str:
    """The token of the link in the last mail."""
    post()
    [line] = [line for line in mail.outbox[-1].body.splitlines() if line.startswith("http")]
    return line.rstrip("/").rsplit("/", 1)[1]


def enrol(token: str, user: User, password: str = NEW) -> User:
    device = codes.new_device(user)
    return transitions.enrol(token, password=password, device=device, code=codes.code_at(device, clock.now()))


def last(action: str) -> Entry:
    return Entry.objects.filter(action=action).latest("id")


# Coming in


def test_an_invitation_opens_an_account_and_mails_one_link(people):
    carol = invite(people)
    post()
    [message] = mail.outbox
    assert message.to == ["carol@lab.example"]
    assert "/enrol/" in message.body
    assert carol.roles == {"author"}
    assert list(carol.areas.all()) == [people.laboratory]
    entry = last("user.invited")
    assert (entry.actor_name, entry.subject_label, entry.detail["roles"]) == ("Dave Mbeki", "Carol Winter", ["author"])


def test_who_was_invited_cannot_log_in_before_enrolment(people):
    carol = invite(people)
    assert not carol.has_usable_password()
    with pytest.raises(identity.NotConfirmed):
        identity.confirm(carol, Credentials("", ""))


@pytest.mark.compliance("11.300(e)")
def test_enrolment_sets_password_and_device_in_one_go(people, ticking):
    carol = invite(people)
    enrol(mailed_token(), carol)
    ticking.next_code()
    carol = User.objects.get(pk=carol.pk)
    identity.confirm(carol, Credentials(NEW, people.code(carol)))
    assert last("user.enrolled").actor == str(carol.pk)


def test_the_code_that_proved_the_device_is_used(people):
    carol = invite(people)
    carol = enrol(mailed_token(), carol)
    with pytest.raises(identity.NotConfirmed, match="used already"):
        identity.confirm(carol, Credentials(NEW, people.code(carol)))


def test_an_invitation_works_once(people):
    carol = invite(people)
    token = mailed_token()
    enrol(token, carol)
    with pytest.raises(links.Over):
        enrol(token, carol, password="another long password")
    assert CodeDevice.objects.filter(user=carol).count() == 1


def test_an_invitation_ends_after_seven_days(people, ticking):
    carol = invite(people)
    token = mailed_token()
    ticking.advance(days=6, hours=23)
    links.find(token, links.Purpose.ENROL)
    ticking.advance(hours=2)
    with pytest.raises(links.Over):
        enrol(token, carol)


def test_a_newer_link_ends_the_older_one(people):
    carol = invite(people)
    old = mailed_token()
    transitions.send_link_again(carol, by=people.administrator)
    new = mailed_token()
    with pytest.raises(links.Over):
        enrol(old, carol)
    enrol(new, carol)


def test_a_mail_job_that_runs_twice_leaves_one_good_link(people):
    carol = invite(people)
    first = mailed_token()
    job = Job.objects.get()
    Job.objects.update(state="queued")
    queue.run(job.pk)
    second = mailed_token()
    assert Invitation.objects.filter(user=carol, used_at=None, expires_at__gt=clock.now()).count() == 1
    with pytest.raises(links.Over):
        links.find(first, links.Purpose.ENROL)
    links.find(second, links.Purpose.ENROL)


def test_setting_a_device_up_ends_the_other_link_that_would_set_one_up(people):
    carol = invite(people)
    with transaction.atomic():
        tokens = {each: links.issue(carol, each, by=None) for each in (links.Purpose.ENROL, links.Purpose.CODE)}
    enrol(tokens[links.Purpose.ENROL], carol)
    with pytest.raises(links.Over):
        enrol(tokens[links.Purpose.CODE], User.objects.get(pk=carol.pk))


def test_a_link_of_one_purpose_is_not_good_for_another(people):
    invite(people)
    with pytest.raises(links.Over):
        transitions.reset_password(mailed_token(), NEW)


def test_the_token_is_kept_as_its_hash_alone(people):
    invite(people)
    token = mailed_token()
    assert token not in dump()
    assert Invitation.objects.get().token_sha256 in dump()


def test_a_wrong_code_sets_nothing_and_the_link_stays_good(people):
    carol = invite(people)
    token, device = mailed_token(), codes.new_device(carol)
    wrong = f"{(int(codes.code_at(device, clock.now())) + 1) % 1_000_000:06d}"
    with pytest.raises(trail.Refused, match="does not fit"), trail.refusals():
        transitions.enrol(token, password=NEW, device=device, code=wrong)
    assert not CodeDevice.objects.filter(user=carol).exists()
    assert not User.objects.get(pk=carol.pk).has_usable_password()
    assert last("user.refused").subject_id == str(carol.pk)
    enrol(token, carol)


def test_a_device_of_somebody_else_is_refused(people):
    invite(people)
    token, device = mailed_token(), codes.new_device(people.author)
    with pytest.raises(trail.Refused):
        transitions.enrol(token, password=NEW, device=device, code=codes.code_at(device, clock.now()))


@pytest.mark.parametrize("weak", ["short", "carol winter lab", "123456789012345", "passwordpassword", ""])
def test_a_weak_password_is_refused(people, weak):
    carol = invite(people)
    if weak == "passwordpassword":
        weak = "password1234"
    with pytest.raises(trail.Refused):
        enrol(mailed_token(), carol, password=weak)


@pytest.mark.compliance("11.100(a)", "11.300(a)", "§2.18")
@pytest.mark.parametrize(
    "username", ["author", "AUTHOR", " Author ", "\uff41uthor", "\u0430uthor", "author\u200b", "a b", "", "a/b"]
)
def test_a_name_that_is_taken_or_looks_like_one_is_refused(people, username):
    with pytest.raises(trail.Refused), trail.refusals():
        invite(people, username=username)
    assert last("user.refused").actor_name == "Dave Mbeki"


@pytest.mark.compliance("11.100(a)", "§2.18")
def test_the_name_of_somebody_who_left_is_never_used_again(people):
    transitions.deactivate(people.author, by=people.administrator, reason=REASON)
    with pytest.raises(trail.Refused, match="no user name is used twice"):
        invite(people, username="Author")


def test_the_database_refuses_a_name_that_differs_by_case_alone(people):
    with pytest.raises(IntegrityError), transaction.atomic():
        User.objects.create(username="AUTHOR", legal_name="x", email="x@lab.example")


def test_names_are_folded_beyond_case():
    assert folded("\uff21\uff35thor") == folded("author") == folded(" Author ")


@pytest.mark.compliance("11.300(a)")
@pytest.mark.parametrize(
    "email", ["author@lab.example", "AUTHOR@lab.example", "not an address", "", f"{'a' * 60}@{'b.' * 98}example"]
)
def test_a_mailbox_that_is_taken_or_no_mailbox_is_refused(people, email):
    with pytest.raises(trail.Refused):
        invite(people, email=email)


def test_everything_that_is_wrong_with_an_invitation_is_said_at_once(people):
    with pytest.raises(trail.Refused) as refused:
        invite(people, username="author", email="author@lab.example", legal_name=" ", roles=["administrator", "author"])
    for words in ("user name is taken", "another account", "legal name is missing", "An administrator may not"):
        assert words in refused.value.message


@pytest.mark.parametrize("name", ["Evil\u202egnp.exe", "two\x00", "\u200b"])
def test_a_legal_name_that_cannot_be_printed_is_refused(people, name):
    with pytest.raises(trail.Refused, match="legal name"):
        invite(people, legal_name=name)


def test_an_end_of_access_that_has_passed_is_refused(people):
    with pytest.raises(trail.Refused, match="passed already"):
        invite(people, roles=["inspector"], expires_at=clock.now() - timedelta(days=1))


def test_a_refused_invitation_leaves_no_row_and_no_mail(people):
    before = User.objects.count()
    with pytest.raises(trail.Refused):
        invite(people, roles=[])
    assert User.objects.count() == before
    assert not Job.objects.exists()


# Roles


@pytest.mark.compliance("Administrator")
@pytest.mark.parametrize("role", sorted(CONTENT_ROLES))
def test_an_administrator_holds_no_content_role(people, role):
    assert conflict({Role.ADMINISTRATOR, role})
    with pytest.raises(trail.Refused, match="An administrator may not"):
        transitions.set_roles(people.author, ["administrator", role], by=people.administrator, reason=REASON)
    assert User.objects.get(username="author").roles == {"author"}


def test_an_inspector_holds_no_other_role(people):
    with pytest.raises(trail.Refused, match="inspector reads only"):
        transitions.set_roles(people.author, ["inspector", "author"], by=people.administrator, reason=REASON)


@pytest.mark.parametrize("roles", [[], ["emperor"], ["author", "emperor"]])
def test_roles_are_those_of_the_list(people, roles):
    with pytest.raises(trail.Refused, match="role of the list"):
        transitions.set_roles(people.author, roles, by=people.administrator, reason=REASON)


def test_a_change_of_roles_is_told_and_ends_the_sittings(people):
    client = people.client(people.author)
    transitions.set_roles(people.author, ["author", "reviewer"], by=people.administrator, reason=REASON)
    assert User.objects.get(username="author").roles == {"author", "reviewer"}
    entry = last("user.roles_changed")
    assert (entry.detail["from"], entry.detail["to"], entry.reason) == (["author"], ["author", "reviewer"], REASON)
    assert client.get("/account/").status_code == 302


def test_the_same_roles_again_change_nothing(people):
    transitions.set_roles(people.author, ["author"], by=people.administrator, reason=REASON)
    assert not Entry.objects.filter(action="user.roles_changed").exists()


OVER_OTHERS = {
    "set_roles": {"roles": ["author"], "reason": REASON},
    "set_areas": {"areas": [], "reason": REASON},
    "change_details": {"legal_name": "X", "email": "x@lab.example", "reason": REASON},
    "withdraw_device": {"reason": REASON},
    "deactivate": {"reason": REASON},
    "reactivate": {"reason": REASON},
    "unlock": {"reason": REASON},
    "prove_identity": {"evidence": "Passport, ends in 1234"},
    "send_link_again": {},
}


@pytest.mark.compliance("Administrator", "11.10(g)")
@pytest.mark.parametrize("verb", OVER_OTHERS)
def test_nobody_administers_their_own_account(people, verb):
    with pytest.raises(trail.Forbidden, match="their own account"), trail.refusals():
        getattr(transitions, verb)(people.administrator, by=people.administrator, **OVER_OTHERS[verb])
    assert last("user.refused").subject_id == str(people.administrator.pk)


@pytest.mark.parametrize("verb", OVER_OTHERS)
@pytest.mark.parametrize("who", ["author", "approver", "inspector"])
def test_nobody_but_an_administrator_administers(people, verb, who):
    with pytest.raises(trail.Forbidden, match=r"people\.manage"):
        getattr(transitions, verb)(people.operator, by=getattr(people, who), **OVER_OTHERS[verb])


@pytest.mark.parametrize("verb", [verb for verb, values in OVER_OTHERS.items() if "reason" in values])
def test_an_act_on_somebody_elses_account_has_a_reason(people, verb):
    with pytest.raises(trail.Refused, match="reason of at least 10 letters"):
        getattr(transitions, verb)(
            people.operator, by=people.administrator, **{**OVER_OTHERS[verb], "reason": " short  "}
        )


def test_an_administrator_who_was_deactivated_does_nothing(people):
    transitions.deactivate(people.administrator, by=people.administrator2, reason=REASON)
    with pytest.raises(trail.Forbidden):
        invite(people, by=User.objects.get(username="administrator"))


def test_every_permission_names_roles_that_exist():
    assert all(roles and roles <= set(Role) for roles in PERMISSIONS.values())


def test_an_administrator_reads_no_record(people):
    assert not permissions.may(people.administrator, "record.read")
    assert not permissions.may(people.administrator, "sign.approve")


# Areas and grants


def test_areas_are_set_and_told(people):
    other = Area.objects.get(name="Another site")
    transitions.set_areas(people.author, [other], by=people.administrator, reason=REASON)
    assert list(Membership.objects.filter(user=people.author).values_list("area__name", flat=True)) == ["Another site"]
    entry = last("user.areas_changed")
    assert (entry.detail["from"], entry.detail["to"]) == (["Sequencing laboratory"], ["Another site"])


def test_an_area_is_created_and_changed_with_its_entries(people):
    area = transitions.create_area("  Stability   laboratory ", by=people.administrator)
    assert area.name == "Stability laboratory"
    transitions.change_area(area, name="Stability", description="", by=people.administrator, reason=REASON)
    assert last("area.changed").detail["from"]["name"] == "Stability laboratory"


@pytest.mark.parametrize("name", ["", "sequencing LABORATORY"])
def test_an_area_has_a_name_of_its_own(people, name):
    with pytest.raises(trail.Refused):
        transitions.create_area(name, by=people.administrator)


def test_a_grant_opens_one_record_and_no_other(firm):
    from records.models import Record

    outsider = User.objects.get(username="outsider")
    administrator = User.objects.get(username="administrator")
    mine, other = Record.objects.exclude(area__members=outsider)[:2]

    def sees(record):
        """As their next request finds it."""
        return Record.objects.visible_to(User.objects.get(pk=outsider.pk)).filter(pk=record.pk).exists()

    assert not sees(mine)
    transitions.grant(outsider, mine, by=administrator, reason=REASON)
    assert sees(mine)
    assert not sees(other)
    assert last("user.grant_changed").detail["record_id"] == str(mine.pk)
    transitions.revoke(outsider, mine, by=administrator, reason=REASON)
    assert not sees(mine)


# Passwords and devices


def ask(typed: str) -> None:
    transitions.ask_reset(typed)
    post()


@pytest.mark.compliance("11.200(a)(2)")
@pytest.mark.parametrize("typed", ["author", " AUTHOR ", "author@lab.example", "Author@Lab.Example"])
def test_a_link_for_a_new_password_comes_by_mail_and_works_once(people, typed, ticking):
    client = people.client(people.author)
    ask(typed)
    token = mailed_token()
    transitions.reset_password(token, NEW)
    assert client.get("/account/").status_code == 302
    identity.confirm(User.objects.get(username="author"), Credentials(NEW, people.code(people.author)))
    with pytest.raises(links.Over):
        transitions.reset_password(token, "yet another password")


def test_a_link_for_a_new_password_lasts_an_hour(people, ticking):
    ask("author")
    token = mailed_token()
    ticking.advance(minutes=61)
    with pytest.raises(links.Over):
        transitions.reset_password(token, NEW)


def test_asking_for_a_password_leaves_the_same_traces_for_everybody(people):
    for typed in ("author", "nobody"):
        transitions.ask_reset(typed)
    asked = Entry.objects.filter(action="password.reset_asked")
    assert {entry.subject_label for entry in asked} == {"author", "nobody"}
    assert {entry.subject_kind for entry in asked} == {"username"}
    assert Job.objects.count() == 2
    post()
    assert len(mail.outbox) == 1
    assert [job.result for job in Job.objects.all()] == [None, None]


def test_no_reset_link_goes_to_who_left_or_never_came(people):
    invite(people)
    post()
    transitions.deactivate(people.author, by=people.administrator, reason=REASON)
    mail.outbox.clear()
    ask("author")
    ask("carol")
    assert mail.outbox == []


def test_a_reset_by_mail_leaves_the_device_as_it_is(people):
    device = CodeDevice.objects.get(user=people.author)
    ask("author")
    transitions.reset_password(mailed_token(), NEW)
    assert codes.device_in_use(people.author) == device


def test_a_change_of_password_keeps_this_sitting_and_ends_the_others(people):
    here, there = people.sitting(people.author), people.client(people.author)
    transitions.change_password(people.author, credentials=people.credentials(people.author), new=NEW, sitting=here)
    here.refresh_from_db()
    assert here.ended_at is None
    assert there.get("/account/").status_code == 302
    assert last("password.changed").actor == str(people.author.pk)


def test_after_a_change_of_password_the_next_signing_asks_for_everything(people, rf):
    here = people.sitting(people.author)
    here.signed_in_full_at = here.last_signed_at = clock.now()
    here.save()
    request = rf.get("/", HTTP_USER_AGENT="")
    assert not identity.asks_for_username(here, request)
    transitions.change_password(people.author, credentials=people.credentials(people.author), new=NEW, sitting=here)
    here.refresh_from_db()
    assert identity.asks_for_username(here, request)


def test_a_change_of_password_asks_for_the_old_one_and_a_code(people):
    sitting = people.sitting(people.author)
    for credentials in (Credentials("x", people.code(people.author)), Credentials(PASSWORD, "000000")):
        with pytest.raises(identity.NotConfirmed):
            transitions.change_password(people.author, credentials=credentials, new=NEW, sitting=sitting)
    with pytest.raises(trail.Refused, match="is the old one"):
        transitions.change_password(
            people.author, credentials=people.credentials(people.author), new=PASSWORD, sitting=sitting
        )


def test_a_device_is_replaced_with_a_code_of_each(people, ticking):
    old, new = CodeDevice.objects.get(user=people.author), codes.new_device(people.author)
    transitions.replace_device(
        people.author,
        credentials=people.credentials(people.author),
        device=new,
        code=codes.code_at(new, clock.now()),
        sitting=people.sitting(people.author),
    )
    old.refresh_from_db()
    assert old.withdrawn_at
    assert codes.device_in_use(people.author).pk == new.pk
    ticking.next_code()
    assert not codes.spend(old.user, codes.code_at(old, clock.now()))
    assert codes.spend(new.user, codes.code_at(new, clock.now()))


def test_a_new_device_that_is_not_proved_leaves_the_old_one_in_use(people):
    with pytest.raises(trail.Refused, match="does not fit"):
        transitions.replace_device(
            people.author,
            credentials=people.credentials(people.author),
            device=codes.new_device(people.author),
            code="000000",
            sitting=people.sitting(people.author),
        )
    assert codes.device_in_use(people.author)


def test_a_withdrawn_device_is_set_up_anew_with_mailed_link_and_password(people, ticking):
    client = people.client(people.author)
    transitions.withdraw_device(people.author, by=people.administrator, reason="Phone lost on the train")
    assert client.get("/account/").status_code == 302
    token = mailed_token()
    with pytest.raises(identity.NotConfirmed, match="password is not right"):
        enrol(token, people.author, password="whoever found the mailbox")
    enrol(token, people.author, password=PASSWORD)
    ticking.next_code()
    identity.confirm(people.author, people.credentials(people.author))
    assert last("code.reset").reason == "Phone lost on the train"


def test_guessing_the_password_at_a_device_link_locks(people):
    transitions.withdraw_device(people.author, by=people.administrator, reason="Phone lost on the train")
    token = mailed_token()
    for _ in range(5):
        with pytest.raises(identity.NotConfirmed):
            enrol(token, people.author, password="a guess of somebody")
    with pytest.raises(identity.NotConfirmed, match="Locked"):
        enrol(token, people.author, password=PASSWORD)


def change_mailbox(people, by: User, username: str = "author") -> None:
    person = User.objects.get(username=username)
    transitions.change_details(
        person, by=by, reason=REASON, legal_name=person.legal_name, title=person.title, email="elsewhere@lab.example"
    )


@pytest.mark.compliance("11.200(a)(3)")
def test_no_administrator_alone_comes_by_password_and_device(people, ticking):
    change_mailbox(people, people.administrator)
    with pytest.raises(trail.Forbidden, match="same administrator"), trail.refusals():
        transitions.withdraw_device(people.author, by=people.administrator, reason="Phone lost on the train")
    transitions.withdraw_device(people.author, by=people.administrator2, reason="Phone lost on the train")


@pytest.mark.compliance("11.200(a)(3)")
def test_whoever_withdrew_the_device_does_not_redirect_the_mailbox(people, ticking):
    transitions.withdraw_device(people.author, by=people.administrator, reason="Phone lost on the train")
    with pytest.raises(trail.Forbidden, match="same administrator"):
        change_mailbox(people, people.administrator)
    ticking.advance(days=31)
    change_mailbox(people, people.administrator)


@pytest.mark.compliance("11.200(a)(3)")
def test_whoever_invited_a_person_does_not_withdraw_the_device_until_somebody_else_changed_the_mailbox(people, ticking):
    carol = invite(people, email="carol@the-inviter.example")
    carol = enrol(mailed_token(), carol)
    ticking.advance(days=100)
    ask("carol")
    transitions.reset_password(mailed_token(), "another long password")  # the inviter reads the mail
    ticking.advance(hours=25)
    with pytest.raises(trail.Forbidden, match="same administrator"), trail.refusals():
        transitions.withdraw_device(carol, by=people.administrator, reason="Phone lost on the train")
    assert codes.device_in_use(carol)
    assert last("user.refused").actor == str(people.administrator.pk)
    change_mailbox(people, people.administrator2, "carol")
    transitions.withdraw_device(carol, by=people.administrator, reason="Phone lost on the train")


@pytest.mark.compliance("11.200(a)(3)")
def test_whoever_gave_the_mailbox_in_use_does_not_withdraw_the_device_however_long_ago_that_was(people, ticking):
    change_mailbox(people, people.administrator)
    ticking.advance(days=400)
    with pytest.raises(trail.Forbidden, match="same administrator"):
        transitions.withdraw_device(people.author, by=people.administrator, reason="Phone lost on the train")


@pytest.mark.compliance("11.200(a)(3)")
def test_whoever_invited_a_person_allows_no_new_device_after_a_loss(people):
    carol = invite(people)
    carol = enrol(mailed_token(), carol)
    transitions.report_lost(carol, since=clock.now(), password=NEW)
    with pytest.raises(trail.Forbidden, match="same administrator"):
        transitions.send_link_again(carol, by=people.administrator)
    transitions.send_link_again(carol, by=people.administrator2)


def test_another_mailbox_ends_the_links_that_were_sent(people):
    ask("author")
    token = mailed_token()
    change_mailbox(people, people.administrator)
    with pytest.raises(links.Over):
        transitions.reset_password(token, NEW)


# Details, leaving, coming back


def test_a_change_of_details_keeps_old_and_new_on_the_trail(people):
    change_mailbox(people, people.administrator)
    assert last("user.changed").detail["email"] == ["author@lab.example", "elsewhere@lab.example"]


def test_a_mailbox_of_somebody_else_is_refused_in_a_change_too(people):
    author = people.author
    with pytest.raises(trail.Refused, match="another account"):
        transitions.change_details(
            author, by=people.administrator, reason=REASON, legal_name=author.legal_name, email="Reviewer@lab.example"
        )


def test_who_leaves_is_out_at_once_and_may_come_back(people, ticking):
    client = people.client(people.author)
    ask("author")
    transitions.deactivate(people.author, by=people.administrator, reason=REASON)
    assert client.get("/account/").status_code == 302
    author = User.objects.get(username="author")
    with pytest.raises(identity.NotConfirmed):
        identity.confirm(author, people.credentials(author))
    with pytest.raises(trail.Refused, match="deactivated already"):
        transitions.deactivate(author, by=people.administrator, reason=REASON)
    transitions.reactivate(author, by=people.administrator, reason=REASON)
    ticking.next_code()
    author = User.objects.get(username="author")
    identity.confirm(author, people.credentials(author))


def test_a_locked_account_is_unlocked_by_an_administrator(people):
    for _ in range(5):
        with pytest.raises(identity.NotConfirmed):
            identity.confirm(people.author, Credentials("x", "000000"))
    transitions.unlock(people.author, by=people.administrator, reason="Caps lock, said on the phone")
    identity.confirm(people.author, people.credentials(people.author))
    with pytest.raises(trail.Refused, match="not locked"):
        transitions.unlock(people.author, by=people.administrator, reason=REASON)


@pytest.mark.compliance("11.100(b)")
def test_an_identity_is_proved_by_another_administrator_than_the_one_who_invited(people):
    carol = invite(people)
    with pytest.raises(trail.Refused, match="Whoever invited"):
        transitions.prove_identity(carol, by=people.administrator, evidence="Passport, ends in 1234")
    with pytest.raises(trail.Refused, match="what was seen"):
        transitions.prove_identity(carol, by=people.administrator2, evidence="ok")
    transitions.prove_identity(carol, by=people.administrator2, evidence="Passport, ends in 1234")
    carol.refresh_from_db()
    assert (carol.identity_proved_by, carol.identity_evidence) == (people.administrator2, "Passport, ends in 1234")


# What the database holds


def dump() -> str:
    """All that the tables hold, as text."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE'"
        )
        told = []
        for (table,) in cursor.fetchall():
            try:
                with transaction.atomic():
                    cursor.execute(f'SELECT t::text FROM "{table}" t')
                    told += [row for (row,) in cursor.fetchall()]
            except psycopg.Error:
                continue
    return "\n".join(told)


@pytest.mark.compliance("§2.21")
def test_a_copy_of_the_database_holds_no_seed_and_no_password(people):
    seeds = [codes.seeds.decrypt(device.seed, device.pk) for device in CodeDevice.objects.all()]
    told = dump()
    assert len(seeds) > 5
    assert "Ana Lindqvist" in told
    for seed in seeds:
        assert seed.hex() not in told
        assert codes.base64.b32encode(seed).decode().rstrip("=") not in told
    assert PASSWORD not in told


def test_a_seed_opens_for_its_own_device_alone(people):
    mine, other = CodeDevice.objects.all()[:2]
    with pytest.raises(ValueError, match="no seed key"):
        codes.seeds.decrypt(mine.seed, other.pk)


def test_a_seed_does_not_open_with_another_key_and_opens_with_an_older_one(people, settings):
    device = CodeDevice.objects.first()
    ours, other = settings.SEED_KEYS[0], bytes(32)
    settings.SEED_KEYS = [other]
    with pytest.raises(ValueError, match="no seed key"):
        codes.seeds.decrypt(device.seed, device.pk)
    settings.SEED_KEYS = [other, ours]
    assert codes.seeds.decrypt(device.seed, device.pk)


def test_secrets_are_not_in_the_row_changes(people):
    carol = invite(people)
    enrol(mailed_token(), carol)
    with connection.cursor() as cursor:
        cursor.execute("SELECT coalesce(new ->> 'password', new ->> 'seed') FROM audit_rowchange")
        assert {value for (value,) in cursor.fetchall()} == {None, "[secret]"}


@pytest.mark.compliance("§2.20")
@pytest.mark.parametrize(
    "table", ["accounts_user", "accounts_area", "accounts_codedevice", "accounts_sitting", "accounts_qualification"]
)
def test_nobody_is_deleted_by_sql_as_the_applications_role(people, table):
    for statement in (f"DELETE FROM {table}", f"TRUNCATE {table} CASCADE"):
        with pytest.raises(Exception, match="permission denied"), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)


def test_a_role_given_by_sql_without_an_entry_is_refused_at_commit(people):
    with pytest.raises(IntegrityError, match="unrecorded change"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO accounts_user_groups (user_id, group_id) SELECT %s, id FROM auth_group WHERE name = 'approver'",
            [people.author.pk],
        )


def test_nobody_fills_a_mailbox_by_asking_again_and_again(people, ticking):
    for _ in range(3):
        ask("author")
    assert len(mail.outbox) == 1
    ticking.advance(minutes=6)
    ask("author")
    assert len(mail.outbox) == 2


def test_a_mail_that_could_not_be_sent_leaves_no_link_and_can_be_tried_again(people, monkeypatch):
    def away(*arguments: object) -> None:
        raise OSError("the mail server is away")

    with monkeypatch.context() as broken:
        broken.setattr("accounts.links.send_mail", away)
        transitions.ask_reset("author")
        [job] = Job.objects.all()
        assert queue.run(job.pk).state == "failed"
    assert not Invitation.objects.filter(expires_at__gt=clock.now()).exists()
    queue.retry(job, by=people.administrator)
    post()
    assert len(mail.outbox) == 1


def test_the_sentence_of_an_entry_about_oneself_does_not_name_one_twice(people):
    sitting = people.sitting(people.author)
    transitions.end_other_sittings(people.author, sitting=sitting)
    assert last("login.ended").sentence == "Ana Lindqvist logged out"
    carol = invite(people)
    enrol(mailed_token(), carol)
    assert last("user.enrolled").sentence == "Carol Winter set password and one-time code of their own account"
    assert last("user.invited").sentence == "Dave Mbeki invited Carol Winter"
