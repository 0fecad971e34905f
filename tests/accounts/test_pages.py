"""The pages about people: what each shows to whom, what a form answers, how many queries it takes."""

import html
import re

import pytest
from django.core import mail
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts import codes, tasks, transitions
from accounts.models import CodeDevice, User
from audit import clock
from audit.models import Entry
from jobs.models import Job
from tests.accounts.test_transitions import NEW, REASON, invite, last, mailed_token
from tests.cast import PASSWORD

INVITATION = {
    "username": "carol",
    "legal_name": "Carol Winter",
    "title": "QA specialist",
    "email": "carol@lab.example",
    "roles": ["author", "reviewer"],
}


@pytest.fixture
def office(people):
    """The administrator's browser."""
    return people.client(people.administrator)


def words(answer) -> str:
    return html.unescape(answer.content.decode())


def shown_code(page: str) -> str:
    """What an authenticator shows that was given the secret of the page."""
    [secret] = re.findall(r"<code>([A-Z2-7 ]{30,})</code>", page)
    device = CodeDevice()
    device.seed = codes.seeds.encrypt(codes.base64.b32decode(secret.replace(" ", "")), device.pk)
    return codes.code_at(device, clock.now())


# By mailed links


def test_a_person_enrols_by_the_link_and_logs_in(people, visitor, ticking):
    invite(people)
    address = f"/enrol/{mailed_token()}/"
    page = words(visitor.get(address))
    assert "Carol Winter" in page
    assert 'src="data:image/svg+xml' in page
    assert "style=" not in page
    again = visitor.post(address, {"new": "short", "again": "short", "code": shown_code(page)})
    assert again.status_code == 409
    assert shown_code(words(again)) == shown_code(page)
    done = visitor.post(address, {"new": NEW, "again": NEW, "code": shown_code(page)}, follow=True)
    assert "Your account is set up" in words(done)
    ticking.next_code()
    carol = User.objects.get(username="carol")
    answer = visitor.post("/login/", {"username": "carol", "password": NEW, "code": people.code(carol)})
    assert answer.status_code == 302
    assert visitor.get(address).status_code == 410


def test_the_device_that_is_shown_is_no_row_before_it_is_proved(people, visitor):
    invite(people)
    visitor.get(f"/enrol/{mailed_token()}/")
    assert not CodeDevice.objects.filter(user__username="carol").exists()


def test_two_passwords_that_differ_are_not_taken(people, visitor):
    invite(people)
    address = f"/enrol/{mailed_token()}/"
    page = words(visitor.get(address))
    answer = visitor.post(address, {"new": NEW, "again": NEW + "!", "code": shown_code(page)})
    assert answer.status_code == 400
    assert "do not agree" in words(answer)


def test_a_link_that_is_over_says_so_whatever_it_was(people, visitor):
    for address in ("/enrol/no-such-token/", "/password/no-such-token/"):
        answer = visitor.get(address)
        assert answer.status_code == 410
        assert "not valid any more" in words(answer)


def test_a_withdrawn_device_is_set_up_anew_by_the_link(people, visitor, ticking):
    transitions.withdraw_device(people.author, by=people.administrator, reason=REASON)
    address = f"/enrol/{mailed_token()}/"
    page = words(visitor.get(address))
    assert "Set up a new device" in page
    assert visitor.post(address, {"password": "x", "code": shown_code(page)}).status_code == 403
    assert visitor.post(address, {"password": PASSWORD, "code": shown_code(page)}).url == "/login/"
    ticking.next_code()
    assert codes.spend(people.author, people.code(people.author))


def test_asking_for_a_password_answers_the_same_to_everybody(people, visitor):
    answers = [
        words(visitor.post("/password/forgotten/", {"typed": typed}, follow=True))
        for typed in ("author", "author@lab.example", "nobody")
    ]
    told = [re.sub(r'value="\w{64}"|content="[^"]*"|<time.*?</time>', "", page) for page in answers]
    assert told[0] == told[1] == told[2]
    assert "If there is an account" in told[0]


def test_a_password_is_reset_by_the_link(people, visitor):
    visitor.post("/password/forgotten/", {"typed": "author"})
    address = f"/password/{mailed_token()}/"
    assert "Ana Lindqvist" in words(visitor.get(address))
    assert visitor.post(address, {"new": NEW, "again": NEW}).url == "/login/"
    assert visitor.get(address).status_code == 410
    answer = visitor.post("/login/", {"username": "author", "password": NEW, "code": people.code(people.author)})
    assert answer.status_code == 302


# One's own account


def test_ones_own_account_shows_where_one_is_logged_in(people):
    client = people.client(people.author)
    people.client(people.author)
    page = words(client.get("/account/"))
    assert page.count("This one") == 1
    assert "Sequencing laboratory" in page
    assert client.post("/account/sittings/end/").url == "/account/"
    assert people.author.sittings.filter(ended_at=None).count() == 1
    assert client.get("/account/").status_code == 200


def test_a_password_is_changed_and_this_browser_stays_logged_in(people):
    client, other = people.client(people.author), people.client(people.author)
    form = {"password": PASSWORD, "code": people.code(people.author), "new": NEW, "again": NEW}
    assert client.post("/account/password/", {**form, "password": "x"}).status_code == 403
    assert client.post("/account/password/", form).url == "/account/"
    assert client.get("/account/").status_code == 200
    assert other.get("/account/").status_code == 302


def test_a_device_is_replaced_in_the_browser(people, ticking):
    client = people.client(people.author)
    page = words(client.get("/account/device/"))
    form = {"password": PASSWORD, "code": people.code(people.author), "new_code": shown_code(page)}
    assert client.post("/account/device/", form).url == "/account/"
    assert CodeDevice.objects.filter(user=people.author, withdrawn_at=None).count() == 1
    ticking.next_code()
    assert shown_code(page) != form["new_code"]
    assert people.code(people.author) == shown_code(page)


# People


def test_an_administrator_invites_in_the_browser(people, office):
    page = words(office.get("/people/invite/"))
    assert "Sequencing laboratory" in page
    answer = office.post(
        "/people/invite/", {**INVITATION, "areas": [str(people.laboratory.pk)], "expires_at": "2099-12-31"}
    )
    assert answer.url == "/people/"
    carol = User.objects.get(username="carol")
    assert carol.roles == {"author", "reviewer"}
    assert f"{carol.expires_at:%Y-%m-%d %H:%M}" == "2100-01-01 00:00"
    mailed_token()
    assert mail.outbox[0].to == ["carol@lab.example"]


def test_a_refused_invitation_keeps_what_was_typed_and_says_what_is_wrong(people, office):
    answer = office.post("/people/invite/", {**INVITATION, "username": "Author"})
    assert answer.status_code == 409
    assert "no user name is used twice" in words(answer)
    assert 'value="Carol Winter"' in words(answer)
    assert last("user.refused").actor_name == "Dave Mbeki"
    assert office.post("/people/invite/", {**INVITATION, "email": "x"}).status_code == 400


@pytest.mark.parametrize(
    ("field", "typed", "sentence"),
    [
        ("expires_at", "9999-12-31", "too far away"),
        ("email", f"{'a' * 40}@{'b' * 60}.{'c' * 60}.{'d' * 60}.{'e' * 60}.example", "at most 254"),
    ],
)
def test_what_no_column_holds_is_said_at_the_field(people, office, field, typed, sentence):
    answer = office.post("/people/invite/", {**INVITATION, field: typed})
    assert answer.status_code == 400
    assert sentence in words(answer)


def test_what_a_person_is_called_is_shown_as_text(people, office):
    carol = invite(people, legal_name="<script>alert(1)</script>", title='"><img src=x>')
    for address in ("/people/", f"/people/{carol.pk}/", f"/people/{carol.pk}/roles/", f"/people/{carol.pk}/trail/"):
        page = office.get(address).content.decode()
        assert "<script>alert" not in page
        assert "<img src=x" not in page


def test_people_are_found_by_words_role_area_and_state(people, office):
    transitions.deactivate(people.scientist, by=people.administrator, reason=REASON)
    invite(people)
    for query, found in (
        ("q=lindq", ["Ana Lindqvist"]),
        ("q=approver@", ["Chidi Okafor"]),
        ("role=inspector", ["Ellen Marsh"]),
        ("state=inactive", ["Priya Raman"]),
        ("state=invited", ["Carol Winter"]),
        ("role=emperor&q=lindq", ["Ana Lindqvist"]),
    ):
        assert re.findall(r'class="title" href="[^"]*">([^<]+)', words(office.get(f"/people/?{query}"))) == found, query
    laboratory = words(office.get(f"/people/?area={people.laboratory.pk}"))
    assert "Omar Haddad" not in laboratory
    assert "Nobody fits" in words(office.get("/people/?q=zzz"))


def test_the_list_of_people_turns_its_pages(people, office, monkeypatch):
    monkeypatch.setattr("accounts.administration.PAGE", 4)
    seen, address = [], "/people/"
    while address:
        page = words(office.get(address))
        seen += re.findall(r'class="title" href="[^"]*">([^<]+)', page)
        following = re.search(r'rel="next" href="([^"]+)"', page)
        address = f"/people/{following[1]}" if following else ""
    assert len(seen) == len(set(seen)) == User.objects.count()
    for nonsense in ("0", "-1", "x", "9" * 30, "²"):
        assert office.get("/people/", {"page": nonsense}).status_code == 200


@pytest.mark.parametrize(
    ("act", "form", "action"),
    [
        ("details", {"legal_name": "Ana Berg", "email": "author@lab.example", "reason": REASON}, "user.changed"),
        ("roles", {"roles": ["reviewer"], "reason": REASON}, "user.roles_changed"),
        ("areas", {"areas": [], "reason": REASON}, "user.areas_changed"),
        ("identity", {"evidence": "Passport, ends in 1234"}, "user.identity_proved"),
        ("device", {"reason": REASON}, "code.reset"),
        ("deactivate", {"reason": REASON}, "user.deactivated"),
    ],
)
def test_an_administrator_acts_on_the_page_of_the_act(people, office, act, form, action):
    address = f"/people/{people.author.pk}/{act}/"
    assert office.get(address).status_code == 200
    answer = office.post(address, form)
    assert (answer.status_code, answer.url) == (302, f"/people/{people.author.pk}/")
    assert last(action).subject_id == str(people.author.pk)


@pytest.mark.parametrize("act", ["link", "unlock", "reactivate", "nonsense"])
def test_an_act_that_makes_no_sense_is_refused_with_a_sentence(people, office, act):
    answer = office.post(f"/people/{people.author.pk}/{act}/", {"reason": REASON})
    assert answer.status_code == (404 if act == "nonsense" else 409)


def test_a_locked_person_is_shown_and_unlocked(people, office, visitor):
    for _ in range(5):
        visitor.post("/login/", {"username": "author", "password": "x", "code": "0"})
    page = words(office.get(f"/people/{people.author.pk}/"))
    assert "Locked out" in page
    assert "/unlock/" in page
    assert office.post(f"/people/{people.author.pk}/unlock/", {"reason": REASON}).status_code == 302
    assert "Locked out" not in words(office.get(f"/people/{people.author.pk}/"))


def test_a_link_is_sent_again_to_who_has_not_enrolled(people, office):
    carol = invite(people)
    old = mailed_token()
    assert "/link/" in words(office.get(f"/people/{carol.pk}/"))
    assert office.post(f"/people/{carol.pk}/link/").status_code == 302
    assert mailed_token() != old


def test_one_record_is_granted_and_taken_back_in_the_browser(firm):
    from records.models import Record

    office = firm.client(firm.administrator)
    record = Record.objects.exclude(area__members=firm.outsider).first()
    address = f"/people/{firm.outsider.pk}/"
    assert office.post(f"{address}grant/", {"record": "NO-999", "reason": REASON}).status_code == 400
    assert office.post(f"{address}grant/", {"record": record.number, "reason": REASON}).status_code == 302
    page = words(office.get(address))
    assert record.number in page
    revoke = re.search(rf'href="({address}revoke/[^"]+)"', page)[1]
    assert f'value="{record.number}"' in words(office.get(revoke))
    assert office.post(revoke, {"record": record.number, "reason": REASON}).status_code == 302
    assert not Record.objects.visible_to(firm.outsider).filter(pk=record.pk).exists()


def test_ones_own_page_offers_no_act(people, office):
    page = words(office.get(f"/people/{people.administrator.pk}/"))
    assert "Nobody administers their own" in page
    assert "/deactivate/" not in page
    assert office.post(f"/people/{people.administrator.pk}/deactivate/", {"reason": REASON}).status_code == 403


def test_areas_are_created_and_changed_in_the_browser(people, office):
    assert office.post("/people/areas/", {"name": "Stability"}).url == "/people/areas/"
    page = words(office.get("/people/areas/"))
    [address] = re.findall(r'href="(/people/areas/[^"]+)">Stability<', page)
    form = {"name": "Stability laboratory", "description": "Long-term storage", "reason": REASON}
    assert office.post(address, form).status_code == 302
    assert "Long-term storage" in words(office.get("/people/areas/"))
    assert office.post("/people/areas/", {"name": "Stability LABORATORY"}).status_code == 409


MANAGED = ["/people/invite/", "/people/{pk}/roles/", "/people/{pk}/deactivate/", "/people/areas/{area}/"]
READ = ["/people/", "/people/{pk}/", "/people/{pk}/trail/", "/people/areas/"]


@pytest.mark.parametrize("role", ["author", "reviewer", "operator", "scientist"])
def test_who_may_not_read_about_people_is_refused_and_that_is_kept(people, role):
    client = people.client(getattr(people, role))
    for address in MANAGED + READ:
        answer = client.get(address.format(pk=people.operator.pk, area=people.laboratory.pk))
        assert answer.status_code == 403, address
    assert Entry.objects.filter(action="request.refused").count() == len(MANAGED + READ)


@pytest.mark.parametrize("role", ["approver", "inspector"])
def test_who_may_read_about_people_changes_nothing(people, role):
    client = people.client(getattr(people, role))
    values = {"pk": people.operator.pk, "area": people.laboratory.pk}
    for address in READ:
        assert client.get(address.format(**values)).status_code == 200, address
    for address in [*MANAGED, "/people/areas/"]:
        assert client.post(address.format(**values), {"name": "x", "reason": REASON}).status_code == 403, address
    page = words(client.get(f"/people/{people.operator.pk}/"))
    assert "/deactivate/" not in page


def test_the_founding_is_shown_while_it_lasts(people, office, empty_founding):
    assert "The founding ceremony is going on" in words(office.get("/people/"))


@pytest.fixture
def empty_founding(people):
    """As if the first e-signature SOP were not effective yet."""
    import os

    import psycopg

    with psycopg.connect(os.environ["MIGRATE_DATABASE_URL"]) as owner:
        owner.execute("ALTER TABLE accounts_founding DISABLE TRIGGER ALL")
        owner.execute("UPDATE accounts_founding SET ended_at = NULL")


def test_pages_take_as_many_queries_for_many_as_for_few(people, office):
    pages = ["/people/", "/people/{pk}/", "/people/{pk}/trail/", "/people/areas/", "/account/"]

    def queries(page: str) -> int:
        with CaptureQueriesContext(connection) as caught:
            assert office.get(page.format(pk=people.author.pk)).status_code == 200
        return len(caught)

    {page: queries(page) for page in pages}  # what a process asks once
    few = {page: queries(page) for page in pages}
    for number in range(12):
        carol = invite(people, username=f"carol{number}", email=f"carol{number}@lab.example")
        transitions.create_area(f"Room {number}", by=people.administrator)
        transitions.set_roles(
            people.author, [["author"], ["reviewer"]][number % 2], by=people.administrator, reason=REASON
        )
        people.sitting(people.administrator)
        transitions.set_areas(carol, [], by=people.administrator, reason=REASON)
    assert {page: queries(page) for page in pages} == few
    assert max(few.values()) <= 35
    assert Job.objects.filter(kind=tasks.SEND).count() == 12


def test_who_lost_their_device_finds_the_way_in_from_the_log_in_page(people, visitor):
    assert '<a href="/lost/">I lost my device</a>' in visitor.get("/login/").content.decode()
