"""Passkeys: a second factor beside one-time codes, with user verification, each answer good for one thing and once."""

import base64
import json
import threading

import pytest
from django.db import connections
from django.test import Client
from fido2.utils import websafe_decode
from fido2.webauthn import AuthenticatorData

from accounts import identity, passkeys, transitions
from accounts.identity import Credentials
from accounts.models import Lockout, Passkey, User
from audit import trail
from audit.models import Entry, RowChange
from signatures import intents
from signatures.meanings import Meaning
from signatures.models import Intent, Signature
from tests import acts
from tests.accounts.authenticator import PRESENT, Authenticator
from tests.cast import PASSWORD

CHALLENGE, OTHER = b"c" * 32, b"o" * 32


def enrol(people, user: User, authenticator: Authenticator, name: str = "Laptop") -> Passkey:
    return transitions.add_passkey(
        user, credentials=people.credentials(user), made=authenticator.make(CHALLENGE, user=user.pk.bytes),
        challenge=CHALLENGE, name=name, sitting=people.sitting(user),
    )  # fmt: skip


def credentials(user: User, answer: str, challenge: bytes = CHALLENGE, password: str = PASSWORD) -> Credentials:
    return Credentials(password, username=user.username, passkey=answer, challenge=challenge)


def asked_of(browser: Client) -> bytes:
    told = browser.post("/passkeys/challenge/").json()
    assert told["userVerification"] == "required"
    return websafe_decode(told["challenge"])


# Enrolment -------------------------------------------------------------------------------------------------------------


@pytest.mark.compliance("11.200(a)(1)", "S9")
def test_compliance_a_passkey_is_enrolled_with_password_and_a_factor_that_one_has(people):
    passkey = enrol(people, people.author, Authenticator())
    entry = Entry.objects.get(action="passkey.enrolled")
    assert (entry.subject_id, entry.detail["passkey"]) == (str(people.author.pk), "Laptop")
    assert RowChange.objects.filter(table="accounts_passkey", row=str(passkey.pk)).exists()
    assert passkeys.in_use(people.author) == [passkey]


@pytest.mark.parametrize(
    ("password", "code", "sentence"), [("x", "right", "do not fit"), (PASSWORD, "000000", "do not fit")]
)
def test_a_passkey_is_not_enrolled_without_both(people, password, code, sentence):
    typed = Credentials(password, people.code(people.author) if code == "right" else code)
    with pytest.raises(identity.NotConfirmed, match=sentence):
        transitions.add_passkey(
            people.author, credentials=typed, made=Authenticator().make(CHALLENGE), challenge=CHALLENGE, name="Laptop",
            sitting=people.sitting(people.author),
        )  # fmt: skip
    assert not Passkey.objects.exists()


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (lambda: Authenticator().make(OTHER), "challenge"),
        (lambda: Authenticator().make(CHALLENGE, flags=PRESENT), "User Verified"),
        (lambda: Authenticator().make(CHALLENGE, origin="https://evil.example"), "origin"),
        (lambda: "{}", "passkey"),
        (lambda: "[1, 2]", "passkey"),
        (lambda: "nonsense", "passkey"),
        (lambda: "[" * 9999, "recursion"),
    ],
)
def test_what_is_no_new_passkey_is_refused_and_spends_no_code(people, made, why):
    with pytest.raises(trail.Refused, match="could not be read") as refused:
        transitions.add_passkey(
            people.author, credentials=people.credentials(people.author), made=made(), challenge=CHALLENGE, name="Laptop",
            sitting=people.sitting(people.author),
        )  # fmt: skip
    assert why in refused.value.detail["why"]
    identity.confirm(people.author, people.credentials(people.author))


def test_a_name_is_taken_once_and_a_key_is_enrolled_once(people, ticking):
    key = Authenticator()
    enrol(people, people.author, key)
    ticking.next_code()
    with pytest.raises(trail.Refused, match="passkey of this name"):
        enrol(people, people.author, Authenticator())
    with pytest.raises(trail.Refused, match="enrolled already"):
        enrol(people, people.author, key, "Again")
    with pytest.raises(trail.Refused, match="enrolled already"):
        enrol(people, people.reviewer, key)


# Log-in ------------------------------------------------------------------------------------------------------------------


def attempt(browser: Client, username: str, answer: str, password: str = PASSWORD):
    return browser.post("/login/", {"username": username, "password": password, "passkey": answer})


@pytest.mark.compliance("11.200(a)(1)", "S9")
def test_compliance_password_and_passkey_start_a_sitting(people):
    key, browser = Authenticator(), Client()
    passkey = enrol(people, people.author, key)
    assert attempt(browser, "author", key.answer(asked_of(browser))).status_code == 302
    assert browser.get("/account/").status_code == 200
    passkey.refresh_from_db()
    assert passkey.last_used_at is not None
    assert b"Passkey Laptop" in browser.get("/account/").content


@pytest.mark.compliance("11.200(a)(1)", "S9")
def test_compliance_a_passkey_without_the_password_is_refused_with_the_same_words(people):
    key, browser = Authenticator(), Client()
    enrol(people, people.author, key)
    for password in ("", "x"):
        answer = attempt(browser, "author", key.answer(asked_of(browser)), password)
        assert answer.status_code in (400, 403)
    assert b"do not fit together" in answer.content
    assert not people.author.sittings.filter(ended_at=None).exclude(address="127.0.0.1", agent="").exists()


def test_the_same_challenge_does_not_let_in_twice(people):
    key, browser = Authenticator(), Client()
    enrol(people, people.author, key)
    answer = key.answer(asked_of(browser))
    assert attempt(browser, "author", answer).status_code == 302
    session = browser.session
    browser.post("/logout/")
    again = attempt(browser, "author", answer)
    assert again.status_code == 403
    assert session.session_key != browser.session.session_key


def test_somebody_elses_passkey_does_not_let_in(people):
    key, browser = Authenticator(), Client()
    enrol(people, people.reviewer, key)
    assert attempt(browser, "author", key.answer(asked_of(browser))).status_code == 403


def test_who_is_not_logged_in_is_not_told_whose_keys_there_are(people):
    enrol(people, people.author, Authenticator())
    assert "allowCredentials" not in Client().post("/passkeys/challenge/").json()
    assert len(people.client(people.author).post("/passkeys/challenge/").json()["allowCredentials"]) == 1


def test_a_challenge_is_over_after_five_minutes(people, ticking):
    key, browser = Authenticator(), Client()
    enrol(people, people.author, key)
    answer = key.answer(asked_of(browser))
    ticking.advance(minutes=6)
    assert attempt(browser, "author", answer).status_code == 403


# Answers that are not -----------------------------------------------------------------------------------------------------

WRONG = {
    "another challenge": (lambda key: key.answer(OTHER), "challenge"),
    "no user verification": (lambda key: key.answer(CHALLENGE, flags=PRESENT), "user verified"),
    "nobody present": (lambda key: key.answer(CHALLENGE, flags=AuthenticatorData.FLAG(0)), "Present"),
    "another origin": (lambda key: key.answer(CHALLENGE, origin="https://countersign.evil.example"), "origin"),
    "another port": (lambda key: key.answer(CHALLENGE, origin="http://localhost:8001"), "origin"),
    "another party": (lambda key: key.answer(CHALLENGE, host="evil.example"), "RP ID"),
    "in a frame": (lambda key: key.answer(CHALLENGE, crossOrigin=True), "frame"),
    "a registration": (lambda key: key.answer(CHALLENGE, kind="webauthn.create"), "type"),
    "an unknown key": (lambda key: Authenticator().answer(CHALLENGE), "unknown"),
    "the key's id with another key": (lambda key: Authenticator(key.credential_id).answer(CHALLENGE), "signature"),
    "somebody else's handle": (lambda key: Authenticator(key.credential_id, key.key, user=b"x" * 16).answer(CHALLENGE), "somebody else"),
    "no JSON": (lambda key: "answer", ""),
    "JSON of another kind": (lambda key: "[]", ""),
    "JSON without an end": (lambda key: "[" * 9999, "recursion"),
    "objects without an end": (lambda key: '{"a":' * 1900, "recursion"),
    "what no entry can keep": (lambda key: '{"id": "AA", "rawId": "AA", "response": {}, "type": "\\u0000"}', ""),
}  # fmt: skip


@pytest.mark.compliance("11.200(a)(1)", "11.300(d)", "S9")
@pytest.mark.parametrize("name", WRONG)
def test_compliance_a_wrong_answer_of_a_passkey_is_refused_counted_and_on_the_trail(people, name):
    key = Authenticator()
    enrol(people, people.author, key)
    answer, why = WRONG[name]
    with pytest.raises(identity.NotConfirmed, match="do not fit together") as refused, trail.refusals(people.author):
        identity.confirm(people.author, credentials(people.author, answer(key)))
    entry = Entry.objects.get(action="confirmation.refused")
    assert why in entry.detail["why"] and "failure 1 of 5" in entry.detail["why"]
    assert refused.value.status == 403
    assert Lockout.objects.get(purpose="signing").failures == 1


@pytest.mark.compliance("S9", "Stolen OTP seed")
def test_compliance_a_copied_passkey_is_found_by_its_counter(people):
    key = Authenticator(counter=7)
    enrol(people, people.author, key)
    identity.confirm(people.author, credentials(people.author, key.answer(CHALLENGE)))
    copy = Authenticator(key.credential_id, key.key, counter=7, user=key.user)  # as it was when it was copied
    with pytest.raises(identity.NotConfirmed) as refused:
        identity.confirm(people.author, credentials(people.author, copy.answer(OTHER), OTHER))
    assert "copied" in refused.value.detail["why"]
    later = b"l" * 32
    identity.confirm(people.author, credentials(people.author, key.answer(later), later))


@pytest.mark.compliance("§2.3", "S9")
def test_compliance_one_answer_in_twenty_threads_makes_one_success(people):
    key, outcomes, start = Authenticator(), [], threading.Barrier(20)
    enrol(people, people.author, key)
    author, given = people.author, credentials(people.author, key.answer(CHALLENGE))

    def try_it() -> None:
        start.wait()
        try:
            outcomes.append(identity.confirm(author, given).components)
        except identity.NotConfirmed as refused:
            outcomes.append(refused.detail["why"])
        finally:
            connections.close_all()

    threads = [threading.Thread(target=try_it) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count("password + passkey") == 1
    assert set(outcomes) <= {"password + passkey", "passkey's answer used before", "locked"}


# When it was used last --------------------------------------------------------------------------------------------------------


@pytest.mark.compliance("11.300(e)")
def test_compliance_the_day_on_which_each_factor_worked_last_is_kept_and_shown(people, ticking):
    key = Authenticator()
    enrol(people, people.author, key)
    assert (
        people.client(people.author).get("/account/").content.count(b"not since") == 1
    )  # the code was given to enrol the passkey
    ticking.advance(days=3)
    identity.confirm(people.author, credentials(people.author, key.answer(CHALLENGE)))
    device, passkey = people.author.devices.get(), people.author.passkeys.get()
    assert (passkey.last_used_at - device.last_used_at).days >= 2
    shown = people.client(people.administrator).get(f"/people/{people.author.pk}/").content.decode()
    assert f"{passkey.last_used_at:%Y-%m-%dT%H:%M}" in shown and f"{device.last_used_at:%Y-%m-%dT%H:%M}" in shown


# Withdrawal ----------------------------------------------------------------------------------------------------------------


@pytest.mark.compliance("11.300(c)", "S9")
def test_compliance_a_withdrawn_passkey_counts_no_more_whoever_withdrew_it(people, ticking):
    key, other = Authenticator(), Authenticator()
    mine, lost = enrol(people, people.author, key), None
    ticking.next_code()
    lost = enrol(people, people.author, other, "Key ring")
    transitions.withdraw_passkey(people.author, lost.pk, by=people.administrator, reason="Key ring lost on a train")
    ticking.next_code()
    transitions.withdraw_my_passkey(
        people.author, mine, credentials=people.credentials(people.author), sitting=people.sitting(people.author)
    )
    for authenticator in (key, other):
        with pytest.raises(identity.NotConfirmed):
            identity.confirm(people.author, credentials(people.author, authenticator.answer(CHALLENGE)))
    assert Entry.objects.filter(action="passkey.withdrawn").count() == 2
    with pytest.raises(trail.Refused, match="enrolled already, or was withdrawn"):
        ticking.next_code()
        enrol(people, people.author, key, "Back again")


@pytest.mark.compliance("11.200(a)(3)", "11.300(c)")
def test_compliance_a_reset_of_the_device_takes_all_passkeys_with_it(people):
    key = Authenticator()
    enrol(people, people.author, key)
    transitions.withdraw_device(people.author, by=people.administrator, reason="Bag stolen with phone and laptop")
    assert passkeys.in_use(people.author) == []


@pytest.mark.compliance("11.200(a)(3)")
def test_compliance_whoever_changed_the_mailbox_does_not_withdraw_a_passkey_nor_the_other_way_round(people):
    mine = enrol(people, people.author, Authenticator())
    details = {"legal_name": people.author.legal_name, "title": "", "reason": "Changed at her wish"}
    transitions.change_details(people.author, by=people.administrator, email="new@lab.example", **details)
    with pytest.raises(trail.Forbidden, match="same administrator"):
        transitions.withdraw_passkey(people.author, mine.pk, by=people.administrator, reason="Lost on the train")
    transitions.withdraw_passkey(people.author, mine.pk, by=people.administrator2, reason="Lost on the train")
    with pytest.raises(trail.Forbidden, match="same administrator"):
        transitions.change_details(people.author, by=people.administrator2, email="newer@lab.example", **details)


def test_nobody_withdraws_their_own_passkey_as_an_administrator(people):
    mine = enrol(people, people.administrator, Authenticator())
    with pytest.raises(trail.Forbidden, match="their own account"):
        transitions.withdraw_passkey(people.administrator, mine.pk, by=people.administrator, reason="Lost on the train")


# Signing -------------------------------------------------------------------------------------------------------------------


def challenge_of(intent: Intent, meaning: str = Meaning.REVIEW) -> bytes:
    return intents.challenge([intent], meaning)


@pytest.fixture
def asked(firm):
    """The reviewer holds a passkey, and the sign dialog of the validation plan is open."""
    key = Authenticator()
    enrol(firm, firm.reviewer, key)
    where = acts.sitting(firm.reviewer)
    version = firm.version("VP-0001")
    return key, where, acts.intend(version, firm.reviewer, where, acts.waiting_step(version, firm.reviewer))


def sign(firm, intent, where, answer: str, meaning: str = Meaning.REVIEW, password: str = PASSWORD):
    given = Credentials(password, username="reviewer", passkey=answer)
    with trail.refusals(firm.reviewer):
        return acts.sign_all([intent.pk], meaning, signer=firm.reviewer, credentials=given, sitting=where,
                             reason="For the test", approved=acts.approved)[0]  # fmt: skip


@pytest.mark.compliance("11.200(a)(1)", "§2.4", "S9", "S1")
def test_compliance_password_and_passkey_sign_and_the_statement_says_so(firm, asked):
    key, where, intent = asked
    signature = sign(firm, intent, where, key.answer(challenge_of(intent)))
    assert json.loads(bytes(signature.statement))["components"] == "password + passkey"
    assert signature.components == "password + passkey"


@pytest.mark.compliance("11.200(a)(1)", "§2.1")
def test_compliance_a_signature_with_a_code_says_so(firm):
    version = firm.version("VP-0001")
    (signature,) = acts.sign(firm.reviewer, version)
    assert json.loads(bytes(signature.statement))["components"] == "password + one-time code"


@pytest.mark.compliance("11.200(a)(1)", "S9")
def test_compliance_a_passkey_alone_never_signs(firm, asked):
    key, where, intent = asked
    with pytest.raises(identity.NotConfirmed, match="do not fit"):
        sign(firm, intent, where, key.answer(challenge_of(intent)), password="")
    assert not Signature.objects.filter(signer=firm.reviewer, version=intent.version).exists()


@pytest.mark.compliance("§2.4", "S1", "S9")
def test_compliance_an_answer_is_good_for_one_version_one_meaning_and_one_dialog(firm, asked):
    key, where, intent = asked
    again = acts.intend(intent.version, firm.reviewer, where, intent.step)
    wrong = {
        "the same dialog, opened again": challenge_of(again),
        "another meaning": challenge_of(intent, Meaning.REJECTION),
        "a log-in": CHALLENGE,
    }
    for name, challenge in wrong.items():
        with pytest.raises(identity.NotConfirmed):
            sign(firm, intent, where, key.answer(challenge))
        assert Entry.objects.filter(action="confirmation.refused", detail__why__icontains="challenge").exists(), name
    assert sign(firm, intent, where, key.answer(challenge_of(intent))).version == intent.version


@pytest.mark.compliance("§2.4", "§2.3", "S9")
def test_compliance_an_answer_signs_once_and_no_later_than_its_dialog(firm, asked, ticking):
    key, where, intent = asked
    answer = key.answer(challenge_of(intent))
    sign(firm, intent, where, answer)
    with pytest.raises(intents.IntentRefused):
        sign(firm, intent, where, answer)
    late = acts.intend(firm.version("KRAS-001", 2), firm.reviewer, where)
    ticking.advance(seconds=121)
    with pytest.raises(intents.IntentRefused):
        sign(firm, late, where, key.answer(challenge_of(late, Meaning.REVIEW)), Meaning.REVIEW)


@pytest.mark.compliance("S1")
def test_compliance_the_challenge_follows_from_every_hash_of_the_intent(firm, asked):
    _, _, intent = asked
    was = challenge_of(intent)
    for name in ("top_hash", "rendition_sha256"):
        before = getattr(intent, name)
        setattr(intent, name, "0" * 64)
        assert challenge_of(intent) != was, name
        setattr(intent, name, before)
    assert challenge_of(intent) == was
    assert len(was) == 32
    assert base64.b64encode(was)
