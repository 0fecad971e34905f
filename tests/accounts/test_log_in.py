"""Log-in: password and one-time code together, the same words for everybody, a sitting from its start to its end."""

import re
import statistics
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.hashers import Argon2PasswordHasher
from django.db import connections, transaction
from django.test import Client
from django.urls import URLResolver, get_resolver

from accounts import codes, identity, transitions
from accounts.identity import Credentials
from accounts.models import CodeDevice, Lockout, Sitting, User
from audit import clock, trail
from audit.actions import Action
from audit.models import Entry
from jobs import queue
from jobs.models import Job
from tests.cast import PASSWORD
from tests.test_floors import ROOT

WRONG = "do not fit together"


def attempt(visitor, username, password=PASSWORD, code="000000", **more):
    return visitor.post("/login/", {"username": username, "password": password, "code": code, **more})


def wrong_code(people, user) -> str:
    return f"{(int(people.code(user)) + 1) % 1_000_000:06d}"


def test_password_and_code_start_a_sitting(people, visitor):
    answer = attempt(visitor, "Author", code=people.code(people.author), next="/account/")
    assert (answer.status_code, answer.url) == (302, "/account/")
    assert people.author.sittings.get().ended_at is None
    assert visitor.get("/account/").status_code == 200
    assert Entry.objects.filter(action="login.succeeded", actor=str(people.author.pk)).count() == 1


def test_a_page_that_is_not_ours_is_not_where_log_in_leads(people, visitor):
    answer = attempt(visitor, "author", code=people.code(people.author), next="https://evil.example/")
    assert answer.url == "/"


def test_every_page_asks_for_log_in_first(people, visitor):
    for address in ("/account/", "/people/", "/people/invite/", f"/people/{people.author.pk}/", "/people/areas/"):
        answer = visitor.get(address)
        assert (answer.status_code, answer.url) == (302, f"/login/?next={address}"), address


@pytest.mark.compliance("Stolen session")
@pytest.mark.compliance("Stolen session")
def test_compliance_the_session_key_changes_at_log_in(people, visitor):
    visitor.get("/password/forgotten/")
    session = visitor.session
    session["before"] = True
    session.save()
    visitor.cookies["session"] = before = session.session_key
    attempt(visitor, "author", code=people.code(people.author))
    assert visitor.session.session_key != before
    assert visitor.session["sitting"]


@pytest.mark.compliance("11.200(a)(1)", "§2.6")
@pytest.mark.parametrize("wrong", ["password", "code"])
def test_a_wrong_password_and_a_wrong_code_get_the_same_words(people, visitor, wrong):
    code = people.code(people.author) if wrong == "password" else wrong_code(people, people.author)
    answer = attempt(visitor, "author", password="x" if wrong == "password" else PASSWORD, code=code)
    assert answer.status_code == 403
    assert WRONG in answer.content.decode()
    assert Entry.objects.get(action="login.refused").subject_id == str(people.author.pk)
    assert not Sitting.objects.exists()


def test_who_was_refused_at_log_in_is_not_said_to_be_the_person(people, visitor):
    attempt(visitor, "author")
    assert Entry.objects.get(action="login.refused").actor == "anonymous"


@pytest.mark.compliance("§2.6")
def test_an_unknown_name_gets_the_same_words_and_is_on_the_trail(people, visitor):
    known, unknown = attempt(visitor, "author", password="x"), attempt(visitor, "nobody", password="x")
    assert known.status_code == unknown.status_code == 403
    assert WRONG in unknown.content.decode()
    assert Entry.objects.filter(action="login.refused", subject_label="nobody").count() == 1


def test_an_unknown_name_is_locked_as_a_known_one_is(people, visitor):
    for name in ("author", "nobody"):
        told = [attempt(visitor, name, password="x").content.decode() for _ in range(6)]
        assert all(WRONG in page for page in told[:5]), name
        assert "Locked after 5 failed attempts" in told[5], name


@pytest.fixture
def full_price(people, monkeypatch):
    """What a password costs outside of tests, for the author too."""
    for name, value in (("time_cost", 2), ("memory_cost", 102_400), ("parallelism", 8)):
        monkeypatch.setattr(Argon2PasswordHasher, name, value)
    with transaction.atomic():
        people.author.set_password(PASSWORD)
        people.author.save(update_fields=["password"])
        trail.record(Action.PASSWORD_CHANGED, people.author, by=people.author)


@pytest.mark.compliance("§2.6")
def test_known_and_unknown_names_take_about_as_long(full_price):
    def seconds(name: str) -> float:
        Lockout.objects.all().delete()
        started = time.perf_counter()
        attempt(Client(), name, password="x")
        return time.perf_counter() - started

    seconds("author")
    times = {name: statistics.median(seconds(name) for _ in range(9)) for name in ("author", "nobody")}
    assert 0.6 < times["author"] / times["nobody"] < 1.6, times


@pytest.mark.compliance("11.300(d)", "S7")
def test_five_failures_lock_and_a_right_log_in_is_refused_until_it_is_over(people, visitor, ticking):
    for _ in range(5):
        attempt(visitor, "author", password="x")
    answer = attempt(visitor, "author", code=people.code(people.author))
    assert answer.status_code == 403
    assert "data-countdown" in answer.content.decode()
    ticking.advance(minutes=16)
    assert attempt(visitor, "author", code=people.code(people.author)).status_code == 302


def test_a_success_forgets_failures(people, visitor, ticking):
    for _ in range(4):
        attempt(visitor, "author", password="x")
    assert attempt(visitor, "author", code=people.code(people.author)).status_code == 302
    assert Lockout.objects.get().failures == 0


def test_log_in_and_signing_are_counted_apart(people, visitor):
    for _ in range(5):
        with pytest.raises(identity.NotConfirmed):
            identity.confirm(people.author, Credentials("x", "000000"))
    with pytest.raises(identity.NotConfirmed, match="Locked"):
        identity.confirm(people.author, people.credentials(people.author))
    assert attempt(visitor, "author", code=people.code(people.author)).status_code == 302


def test_a_code_that_was_used_says_to_wait_and_is_not_counted(people, visitor):
    code = people.code(people.author)
    assert attempt(visitor, "author", code=code).status_code == 302
    again = Client()
    for _ in range(6):
        page = attempt(again, "author", code=code).content.decode()
        assert "Wait for the next one" in page
        assert "data-countdown" in page
    assert not Lockout.objects.filter(failures__gt=0).exists()
    assert not Lockout.objects.filter(locked_until__isnull=False).exists()


def test_the_wait_for_the_next_code_ends_when_the_step_does(people, ticking):
    device = CodeDevice.objects.get(user=people.author)
    code = people.code(people.author)
    assert codes.spend(device.user, code)
    with pytest.raises(codes.CodeReused) as reused:
        codes.spend(device.user, code)
    assert reused.value.until.timestamp() % 30 == 0
    assert 0 < (reused.value.until - clock.now()).total_seconds() <= 30
    ticking.next_code()
    assert codes.spend(device.user, people.code(people.author))


def test_the_code_of_the_step_before_or_after_is_wrong(people):
    device, now = CodeDevice.objects.get(user=people.author), clock.now()
    for seconds in (-30, 30, 60):
        when = now + timedelta(seconds=seconds)
        assert codes.code_at(device, when) != people.code(people.author)
        assert not codes.spend(device.user, codes.code_at(device, when))


def test_spaces_in_a_code_are_forgiven_and_letters_are_wrong(people):
    device, code = CodeDevice.objects.get(user=people.author), people.code(people.author)
    for nonsense in ("", "abcdef", "١٢٣٤٥٦", code + "0", code[:5]):
        assert not codes.spend(device.user, nonsense)
    assert codes.spend(device.user, f"{code[:3]} {code[3:]}")


def test_a_code_stays_spent_when_the_transaction_after_it_fails(people):
    def sign_and_fail() -> None:
        identity.confirm(people.author, people.credentials(people.author))
        with transaction.atomic():
            raise RuntimeError("the disk is full")

    with pytest.raises(RuntimeError):
        sign_and_fail()
    with pytest.raises(identity.NotConfirmed, match="used already"):
        identity.confirm(people.author, people.credentials(people.author))


def test_a_code_cannot_be_spent_inside_a_transaction_that_could_roll_back(people):
    with pytest.raises(RuntimeError, match="durable"), transaction.atomic():
        identity.confirm(people.author, people.credentials(people.author))


@pytest.mark.compliance("§2.3")
def test_twenty_threads_with_one_code_make_one_success(people):
    credentials, outcomes, start = people.credentials(people.author), [], threading.Barrier(20)
    author = people.author

    def try_it() -> None:
        start.wait()
        try:
            identity.confirm(author, credentials)
            outcomes.append("confirmed")
        except identity.NotConfirmed as refused:
            outcomes.append(refused.detail["why"])
        finally:
            connections.close_all()

    threads = [threading.Thread(target=try_it) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count("confirmed") == 1
    # No more than five are looked at side by side, and what was no failure leaves no lock behind.
    assert outcomes.count("code used before") >= 4
    assert outcomes.count("code used before") + outcomes.count("locked") == 19
    assert identity.locked_until("author", Lockout.Purpose.SIGNING) is None


def test_a_withdrawn_device_shows_nothing_that_counts(people):
    device, code = CodeDevice.objects.get(user=people.author), people.code(people.author)
    transitions.withdraw_device(people.author, by=people.administrator, reason="Phone lost on the train")
    assert not codes.spend(device.user, code)


def test_a_sitting_that_stays_idle_ends_and_the_next_request_logs_out(people, ticking):
    client = people.client(people.author)
    ticking.advance(minutes=14)
    assert client.get("/account/").status_code == 200
    ticking.advance(minutes=14)
    assert client.get("/account/").status_code == 200
    ticking.advance(minutes=16)
    answer = client.get("/account/")
    assert (answer.status_code, answer.url) == (302, "/login/?next=/account/")
    assert "without a sign of life" in client.get(answer.url).content.decode()
    assert people.author.sittings.get().ended_at
    assert Entry.objects.get(action="login.ended").detail == {"why": "idle"}


def a_job(people) -> Job:
    with transaction.atomic():
        args = {"user": str(people.author.pk), "purpose": "code", "by": "", "title": "Mail a link"}
        queue.enqueue("accounts.send_link", args=args, by=people.author)
    return Job.objects.get()


@pytest.mark.compliance("Stolen session", "11.10(d)")
def test_compliance_a_page_that_asks_how_far_a_job_is_keeps_nobody_logged_in(people, ticking):
    client, job = people.client(people.author), a_job(people)
    for _ in range(2):
        ticking.advance(minutes=7)
        assert client.get(f"/jobs/{job.pk}/progress/").status_code == 200
    ticking.advance(minutes=2)
    asked = client.get(f"/jobs/{job.pk}/progress/", headers={"hx-request": "true"})
    assert (asked.headers["HX-Refresh"], asked.content) == ("true", b"")  # the page goes on to the log-in
    assert client.get(f"/jobs/{job.pk}/progress/").status_code == 302
    assert Entry.objects.get(action="login.ended").detail == {"why": "idle"}


def test_the_page_of_a_job_that_a_person_opens_is_a_sign_of_life(people, ticking):
    client, job = people.client(people.author), a_job(people)
    for _ in range(3):
        ticking.advance(minutes=10)
        assert client.get(f"/jobs/{job.pk}/").status_code == 200


POLLED = {
    "components/progress.html": "progress",
    "portal/record_verdict.html": "verdict",
    "signatures/_card.html": "my_live_code",
    "portal/_list_card.html": "my_live_code",
    "accounts/log_in.html": "live_codes",
}


def test_each_address_that_a_page_asks_by_itself_is_marked_as_that():
    every = {
        str(path.relative_to(ROOT / "templates"))
        for path in (ROOT / "templates").rglob("*.html")
        if re.search(r'hx-trigger="[^"]*every ', path.read_text())
    }
    assert every == set(POLLED)
    marked = {name for name, view in views() if getattr(view, "polled", False)}
    assert {name.split("-")[-1] for name in marked} == set(POLLED.values())
    assert {name for name, _ in views() if name.split("-")[-1] in POLLED.values()} == marked


def views(patterns=None) -> Iterator[tuple[str, Any]]:
    """The name and the view of each address."""
    for pattern in get_resolver().url_patterns if patterns is None else patterns:
        if isinstance(pattern, URLResolver):
            yield from views(pattern.url_patterns)
        else:
            yield pattern.name or "", pattern.callback


def test_a_sitting_that_was_ended_logs_out_at_the_next_request(people):
    client = people.client(people.author)
    assert client.get("/account/").status_code == 200
    identity.end_sittings(people.author)
    assert client.get("/account/").status_code == 302


def test_a_session_without_a_sitting_is_nobodys(people):
    client = Client()
    client.force_login(people.author, backend="accounts.backends.PasswordBackend")
    assert client.get("/account/").status_code == 302


def test_a_sitting_of_somebody_else_does_not_count(people):
    client = people.client(people.author)
    session = client.session
    session["sitting"] = str(people.sitting(people.reviewer).pk)
    session.save()
    assert client.get("/account/").status_code == 302


def test_an_account_whose_time_is_over_is_logged_out_and_stays_out(people, visitor, ticking):
    inspector, ends = people.inspector, clock.now() + timedelta(minutes=10)
    transitions.change_details(
        inspector, by=people.administrator, reason="Inspection ends today", legal_name=inspector.legal_name,
        email=inspector.email, title=inspector.title, expires_at=ends,
    )  # fmt: skip
    client = people.client(inspector)
    assert client.get("/account/").status_code == 200
    ticking.advance(minutes=11)
    assert client.get("/account/").status_code == 302
    assert attempt(visitor, "inspector", code=people.code(inspector)).status_code == 403


def test_logging_out_ends_the_sitting(people):
    client = people.client(people.author)
    assert client.get("/logout/").status_code == 405
    assert client.post("/logout/").url == "/login/"
    assert people.author.sittings.get().ended_at
    assert client.get("/account/").status_code == 302


def test_a_password_is_never_shown_again(people, visitor):
    page = attempt(visitor, "author", password="my secret words")
    assert "my secret words" not in page.content.decode()


def test_live_codes_exist_in_the_demo_alone(people, visitor, settings):
    assert visitor.get("/login/codes/").status_code == 404
    assert people.client(people.author).get("/account/code/").status_code == 404
    assert "live-codes" not in visitor.get("/login/").content.decode()
    settings.DEMO, settings.DEMO_PASSWORD = True, PASSWORD
    page = visitor.get("/login/codes/").content.decode()
    assert people.code(people.author) in page
    assert people.code(people.approver) in page
    mine = people.client(people.author).get("/account/code/").content.decode()
    assert people.code(people.author) in mine
    assert people.code(people.approver) not in mine


def test_a_live_code_that_was_used_is_not_shown(people, visitor, settings):
    settings.DEMO = True
    code = people.code(people.author)
    codes.spend(people.author, code)
    assert code not in visitor.get("/login/codes/").content.decode()


def test_what_cannot_be_read_is_refused_with_400(people, visitor):
    assert attempt(visitor, "", password="").status_code == 400
    assert attempt(visitor, "a\x00b").status_code == 400
    assert attempt(visitor, "a" * 200).status_code == 400


@pytest.mark.parametrize(
    ("wanted", "leads"),
    [
        ("/account/?a=b", "/account/?a=b"),
        ("foo", "/"),
        ("accounts:login", "/"),
        ("http://testserver/account/", "/"),
        ("//testserver/account/", "/"),
        ("//evil.example/", "/"),
        ("///evil.example/", "/"),
        ("/\\evil.example/", "/"),
        ("https://evil.example/", "/"),
        ("javascript:alert(1)", "/"),
        ("", "/"),
    ],
)
def test_log_in_leads_to_a_path_of_ours_and_else_to_the_desk(people, visitor, wanted, leads):
    fields = {"username": "author", "password": PASSWORD, "code": people.code(people.author), "next": wanted}
    assert visitor.post("/login/", fields).url == leads
    assert visitor.get("/login/", {"next": wanted}).url == leads


def test_there_is_no_superuser_column(people):
    assert not {"is_superuser", "is_staff"} & {field.name for field in User._meta.get_fields()}
    assert not any(user.is_superuser for user in User.objects.all())
