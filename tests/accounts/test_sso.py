"""Single sign-on against a real OpenID provider: log-in, linking, enrolment and the step-up at a signing, and every answer of
the provider that proves nothing."""

import base64
import uuid
from urllib.parse import parse_qs, urlsplit

import pytest
from django.db import transaction
from django.test import Client

from accounts import codes, identity, links, openid, sso, tasks, transitions
from accounts.identity import Credentials
from accounts.models import CodeDevice, Sitting, SsoIdentity, SsoRequest, User
from audit import clock, trail
from audit.actions import Action
from audit.models import Entry
from jobs.models import Job
from signatures import intents
from signatures.models import Signature
from tests import acts
from tests.accounts import provider as providers
from tests.accounts.provider import SETTINGS, leads_to
from tests.accounts.test_rights import gaps, proved_anew
from tests.cast import PASSWORD, time_for_a_code

REASON = "Known at the provider by this subject"


@pytest.fixture(scope="session")
def process():
    with providers.provider() as running:
        yield running


@pytest.fixture
def offered(process, settings):
    """The provider, behaving, and the portal configured for it."""
    settings.OIDC_ISSUER = process.url
    for name, value in SETTINGS.items():
        setattr(settings, name, value)
    openid._known.clear()
    process.session.cookies.clear()
    return process


@pytest.fixture
def provider(offered, people):
    offered.misbehave()
    return offered


def linked(people, user: User, name: str) -> None:
    transitions.link_identity(user, subject=f"sub-{name}", by=people.administrator, reason=REASON)


def begin(browser: Client, address: str = "/login/sso/ask/", **fields) -> str:
    page = browser.post(address, fields)
    assert page.status_code == 200, page.content.decode()[:2000]
    return leads_to(page)


def come_back(browser: Client, address: str):
    parts = urlsplit(address)
    return browser.get(f"{parts.path}?{parts.query}")


def through(browser: Client, provider, name: str, address: str = "/login/sso/ask/", **fields):
    """There and back again; the answer of the page that the provider sends back to."""
    return come_back(browser, provider.visit(begin(browser, address, **fields), name))


def refusal() -> Entry:
    return Entry.objects.filter(action="sso.refused").latest("id")


# Log-in --------------------------------------------------------------------------------------------------------------------


@pytest.mark.compliance("11.200(a)(1)", "S9")
def test_compliance_single_sign_on_and_a_code_start_a_sitting(people, provider):
    linked(people, people.author, "marta")
    browser = Client()
    answer = through(browser, provider, "marta", next="/account/")
    assert (answer.status_code, answer.url) == (302, "/login/sso/")
    assert people.author.legal_name in browser.get("/login/sso/").content.decode()
    assert browser.get("/account/").status_code == 302  # nobody is logged in by the provider alone
    answer = browser.post("/login/sso/", {"code": people.code(people.author)})
    assert (answer.status_code, answer.url) == (302, "/account/")
    assert browser.get("/account/").status_code == 200
    entry = Entry.objects.get(action="login.succeeded")
    assert entry.detail["components"] == "single sign-on + one-time code"


@pytest.mark.compliance("11.200(a)(1)", "S9")
def test_compliance_single_sign_on_without_a_second_factor_lets_nobody_in(people, provider):
    linked(people, people.author, "marta")
    browser = Client()
    through(browser, provider, "marta")
    wrong = f"{(int(people.code(people.author)) + 1) % 1_000_000:06d}"
    assert browser.post("/login/sso/", {"code": wrong}).status_code == 403
    assert browser.post("/login/sso/", {"code": ""}).status_code == 400
    assert not Entry.objects.filter(action="login.succeeded").exists()


def test_a_proof_logs_in_once_and_within_two_minutes(people, provider, ticking):
    linked(people, people.author, "marta")
    browser = Client()
    through(browser, provider, "marta")
    kept = dict(browser.session["sso_proved"])
    assert browser.post("/login/sso/", {"code": people.code(people.author)}).status_code == 302
    again = Client()
    session = again.session
    session["sso_proved"] = kept
    session.save()
    assert again.post("/login/sso/", {"code": people.code(people.author)}).url == "/login/"
    browser = Client()
    provider.misbehave()
    through(browser, provider, "marta")
    ticking.advance(seconds=121)
    assert browser.post("/login/sso/", {"code": people.code(people.author)}).url == "/login/"


@pytest.mark.compliance("11.10(d)", "11.100(a)", "S9")
def test_compliance_an_identity_that_is_linked_to_nobody_makes_no_account(people, provider):
    people_before = User.objects.count()
    provider.misbehave(claims={"email": people.author.email, "email_verified": True, "preferred_username": "author"})
    answer = through(Client(), provider, "author")
    assert answer.status_code == 403
    assert "No account here is linked" in answer.content.decode()
    assert User.objects.count() == people_before and not SsoIdentity.objects.exists()
    assert refusal().actor == "anonymous"


def test_without_configuration_no_url_answers(people):
    mine = people.client(people.author)
    assert "single sign-on" not in Client().get("/login/").content.decode()
    assert [Client().get("/login/sso/").status_code, Client().post("/login/sso/ask/").status_code] == [404, 404]
    assert [mine.get("/account/sso/").status_code, Client().get("/sso/return/?state=a&code=b").status_code] == [
        404,
        404,
    ]


def test_the_question_asks_for_a_code_with_pkce_and_names_our_address(people, provider):
    asked = parse_qs(urlsplit(begin(Client())).query)
    assert (
        asked["response_type"] == ["code"]
        and asked["code_challenge_method"] == ["S256"]
        and asked["scope"] == ["openid"]
    )
    assert asked["redirect_uri"] == ["http://127.0.0.1:8000/sso/return/"]
    assert len(asked["nonce"][0]) == len(asked["code_challenge"][0]) + 21 == 64


# Answers that prove nothing ---------------------------------------------------------------------------------------------

WRONG = {
    "another audience": ({"claims": {"aud": "another-client"}}, "aud"),
    "several audiences": ({"claims": {"aud": ["countersign", "another"]}}, "azp"),
    "made at the asking of another": ({"claims": {"azp": "another"}}, "azp"),
    "another issuer": ({"claims": {"iss": "https://evil.example"}}, "iss"),
    "another nonce": ({"claims": {"nonce": "n"}}, "nonce"),
    "no nonce": ({"omit": ["nonce"]}, "nonce"),
    "expired": ({"shift": {"exp": -400}}, "exp"),
    "no expiry": ({"omit": ["exp"]}, "exp"),
    "from the future": ({"shift": {"iat": 60}}, "iat"),
    "no subject": ({"omit": ["sub"]}, "sub"),
    "alg none": ({"alg": "none"}, "signature"),
    "signed with the client's secret": ({"alg": "HS256"}, "signature"),
    "another key under the same id": ({"key": "another"}, "signature"),
    "refused there": ({"error": "access_denied"}, "access_denied"),
}


@pytest.mark.compliance("11.10(d)", "11.300(d)", "§2.22", "S9")
@pytest.mark.parametrize("name", WRONG)
def test_compliance_a_wrong_answer_of_the_provider_lets_nobody_in_and_is_on_the_trail(people, provider, name):
    linked(people, people.author, "marta")
    how, why = WRONG[name]
    browser, url = Client(), None
    url = begin(browser)
    provider.misbehave(**how)
    answer = come_back(browser, provider.visit(url, "marta") if "error" not in how else _refused_there(provider, url))
    assert answer.status_code == 403
    assert "Nothing was done" in answer.content.decode()
    assert why in refusal().detail["why"]
    assert not SsoRequest.objects.filter(proved_at__isnull=False).exists()


def _refused_there(provider, url: str) -> str:
    return provider.session.get(url, timeout=10, allow_redirects=False).headers["Location"]


def test_keys_that_were_rotated_are_fetched_again(people, provider):
    linked(people, people.author, "marta")
    assert through(Client(), provider, "marta").url == "/login/sso/"
    provider.misbehave(rotate=True)
    assert through(Client(), provider, "marta").url == "/login/sso/"


def test_a_discovery_document_of_another_issuer_is_not_used(people, provider):
    provider.misbehave(discovered="https://evil.example")
    answer = Client().post("/login/sso/ask/")
    assert answer.status_code == 403
    assert "another issuer" in refusal().detail["why"]


def test_a_provider_that_is_away_is_told(people, provider, settings):
    settings.OIDC_ISSUER = "http://127.0.0.1:9"
    answer = Client().post("/login/sso/ask/")
    assert answer.status_code == 403 and "cannot be reached" in answer.content.decode()


@pytest.mark.compliance("S9")
def test_compliance_an_answer_is_good_once_for_the_browser_that_asked(people, provider):
    linked(people, people.author, "marta")
    browser, thief = Client(), Client()
    back = provider.visit(begin(browser), "marta")
    assert come_back(thief, back).status_code == 403  # another browser
    assert come_back(Client(), back.replace("state=", "state=x")).status_code == 403
    assert come_back(browser, back).status_code == 302
    assert come_back(browser, back).status_code == 403  # a second time
    assert refusal().detail["why"] == "state"


# Linking --------------------------------------------------------------------------------------------------------------------


def _link(people, provider, user: User, name: str, **typed):
    browser = people.client(user)
    fields = {"password": PASSWORD, "code": people.code(user), **typed}
    return through(browser, provider, name, "/account/sso/", **fields)


@pytest.mark.compliance("11.100(a)", "11.100(b)", "S9")
def test_compliance_one_links_ones_own_identity_with_password_and_code(people, provider):
    answer = _link(people, provider, people.author, "marta")
    assert (answer.status_code, answer.url) == (302, "/account/")
    held = SsoIdentity.objects.get()
    assert (held.user, held.subject, held.issuer) == (people.author, "sub-marta", provider.url)
    assert Entry.objects.get(action="sso.linked").actor == str(people.author.pk)


def test_linking_asks_for_password_and_code_first(people, provider):
    browser = people.client(people.author)
    assert browser.post("/account/sso/", {"password": "x", "code": people.code(people.author)}).status_code == 403
    assert not SsoRequest.objects.exists()


def test_an_identity_belongs_to_one_person(people, provider):
    linked(people, people.reviewer, "marta")
    answer = _link(people, provider, people.author, "marta")
    assert answer.status_code == 403 and "another account" in answer.content.decode()
    with pytest.raises(trail.Refused, match="linked to an account already"):
        linked(people, people.author, "marta")


@pytest.mark.compliance("11.200(a)(3)")
def test_compliance_the_administrator_who_links_an_identity_does_not_also_withdraw_the_device(people, provider):
    linked(people, people.author, "dave")
    with pytest.raises(trail.Forbidden, match="same administrator"):
        transitions.withdraw_device(people.author, by=people.administrator, reason="Phone lost on a train")
    transitions.withdraw_device(people.author, by=people.administrator2, reason="Phone lost on a train")
    with pytest.raises(trail.Forbidden, match="same administrator"):
        transitions.link_identity(people.author, subject="sub-x", by=people.administrator2, reason=REASON)


@pytest.mark.compliance("11.300(c)", "S9")
@pytest.mark.parametrize("again", [False, True])
def test_compliance_a_proof_of_before_the_unlinking_starts_no_sitting_even_where_it_was_linked_again(
    people, provider, again
):
    reviewer, thief = people.reviewer, Client()
    linked(people, reviewer, "reviewer")
    assert through(thief, provider, "reviewer").headers["Location"] == "/login/sso/"
    transitions.unlink_identity(reviewer, by=people.administrator, reason="Seen at two places.")
    if again:
        linked(people, reviewer, "reviewer")
    assert thief.post("/login/sso/", {"code": people.code(reviewer)}).headers["Location"] == "/login/"
    assert not Sitting.objects.filter(user=reviewer, ended_at=None).exists()


@pytest.mark.compliance("11.300(c)", "S9")
def test_compliance_an_identity_is_not_linked_once_the_sitting_has_ended_meanwhile(people, provider, monkeypatch):
    reviewer, exchange = people.reviewer, openid.exchange
    thief = people.client(reviewer)

    def slowly(*given, **more):
        token = exchange(*given, **more)
        transitions.suspect(reviewer, since=clock.now(), by=people.administrator, reason="Seen at two places.")
        return token

    monkeypatch.setattr(openid, "exchange", slowly)
    answer = through(thief, provider, "thief", "/account/sso/", password=PASSWORD, code=people.code(reviewer))
    assert answer.status_code == 403
    assert sso.linked(reviewer) is None
    assert Entry.objects.get(action="confirmation.refused").detail["why"] == "sitting ended"


def test_an_identity_that_was_unlinked_opens_nothing(people, provider):
    linked(people, people.author, "marta")
    transitions.unlink_identity(people.author, by=people.administrator, reason="Left the directory")
    assert through(Client(), provider, "marta").status_code == 403


def test_nobody_links_an_identity_to_their_own_account_as_an_administrator(people, provider):
    with pytest.raises(trail.Forbidden, match="their own account"):
        linked(people, people.administrator, "dave")


# Enrolment ------------------------------------------------------------------------------------------------------------------


@pytest.mark.compliance("11.100(b)", "S9")
def test_compliance_an_invited_person_enrols_with_the_mailed_link_single_sign_on_and_a_device(people, provider):
    newcomer = transitions.invite(username="newcomer", legal_name="Noor Haile", email="noor@lab.example", roles=["scientist"],
                                  areas=[people.laboratory], by=people.administrator)  # fmt: skip
    with transaction.atomic():
        token = links.issue(newcomer, links.Purpose.ENROL, by=people.administrator)
    browser = Client()
    assert "Laboratory ID in the place of a password" in browser.get(f"/enrol/{token}/").content.decode()
    answer = through(browser, provider, "noor", f"/enrol/{token}/sso/")
    assert answer.url == f"/enrol/{token}/"
    page = browser.get(answer.url).content.decode()
    assert "confirmed as sub-noor" in page and "New password" not in page
    held = browser.session["new_device"]
    device = CodeDevice(pk=uuid.UUID(held["id"]), user=newcomer, seed=base64.b64decode(held["seed"]))
    code = codes.code_at(device, time_for_a_code())
    assert browser.post(answer.url, {"code": code}).url == "/login/"
    newcomer.refresh_from_db()
    assert not newcomer.has_usable_password() and SsoIdentity.objects.get().user == newcomer
    assert token not in str(list(SsoRequest.objects.values()))


def mailed(user: User, purpose: str, people) -> str:
    """What is in the mailbox."""
    with transaction.atomic():
        return links.issue(user, purpose, by=people.administrator)


def enrols(browser: Client, token: str, user: User):
    """Send the page of the link with a code of the device that it shows."""
    browser.get(f"/enrol/{token}/")
    held = browser.session["new_device"]
    device = CodeDevice(pk=uuid.UUID(held["id"]), user=user, seed=base64.b64decode(held["seed"]))
    return browser.post(f"/enrol/{token}/", {"code": codes.code_at(device, time_for_a_code())})


def without_device(people, user: User) -> str:
    transitions.withdraw_device(user, by=people.administrator2, reason="Phone lost on a train")
    return mailed(user, links.Purpose.CODE, people)


def proved(user: User, subject: str, token: str, provider) -> SsoRequest:
    """What the provider proved for the link, past every page of ours."""
    row = links.find(token, links.Purpose.CODE, links.Purpose.ENROL)
    return SsoRequest.objects.create(
        purpose="enrol", state_sha256=subject, user=user, bound=str(row.pk), since=clock.now(), expires_at=clock.now(),
        proved_at=clock.now(), issuer=provider.url, subject=subject,
    )  # fmt: skip


@pytest.mark.compliance("11.200(a)(1)", "11.200(a)(3)", "S9")
def test_compliance_a_link_for_a_device_alone_takes_no_identity_where_none_is_linked(people, provider):
    token, browser = without_device(people, people.author), Client()
    assert "in the place of a password" not in browser.get(f"/enrol/{token}/").content.decode()
    answer = browser.post(f"/enrol/{token}/sso/")
    assert answer.status_code == 403 and "with your password" in answer.content.decode()
    assert refusal().subject_id == str(people.author.pk)
    assert not SsoRequest.objects.exists()


@pytest.mark.compliance("11.200(a)(1)", "11.200(a)(3)", "S9")
@pytest.mark.parametrize("held", ["", "marta"])
def test_compliance_a_link_for_a_device_alone_is_used_by_the_linked_identity_and_no_other(people, provider, held):
    if held:
        linked(people, people.author, held)
    token, device = without_device(people, people.author), codes.new_device(people.author)
    given = {"device": device, "code": codes.code_at(device, time_for_a_code())}
    stranger = proved(people.author, "sub-mallory", token, provider)
    with pytest.raises(trail.Refused, match="not the identity"), trail.refusals():
        transitions.enrol(token, proof=stranger, **given)
    assert Entry.objects.filter(action="user.refused", subject_id=str(people.author.pk)).exists()
    assert not SsoIdentity.objects.filter(subject="sub-mallory").exists()
    assert codes.device_in_use(people.author) is None
    links.find(token, links.Purpose.CODE)  # still good for its owner


@pytest.mark.compliance("11.200(a)(1)", "S9")
def test_compliance_at_a_device_link_the_provider_confirms_the_linked_person_and_nobody_else(people, provider):
    linked(people, people.author, "marta")
    token, browser = without_device(people, people.author), Client()
    answer = through(browser, provider, "mallory", f"/enrol/{token}/sso/")
    assert answer.status_code == 403 and "Another identity is linked" in answer.content.decode()
    assert "sub-mallory" in refusal().detail["why"]
    assert not Entry.objects.filter(action="sso.confirmed").exists()
    through(browser, provider, "marta", f"/enrol/{token}/sso/")
    assert enrols(browser, token, people.author).url == "/login/"
    assert codes.device_in_use(people.author).by_link


@pytest.mark.compliance("11.10(i)", "S9")
def test_compliance_who_comes_with_single_sign_on_is_asked_to_read_as_everybody_is(people, provider):
    newcomer = transitions.invite(username="newcomer", legal_name="Noor Haile", email="noor@lab.example", roles=["scientist"],
                                  areas=[people.laboratory], by=people.administrator)  # fmt: skip
    token, browser = mailed(newcomer, links.Purpose.ENROL, people), Client()
    through(browser, provider, "noor", f"/enrol/{token}/sso/")
    assert enrols(browser, token, newcomer).url == "/login/"
    assert Job.objects.filter(kind=tasks.SETTLED, args__user=str(newcomer.pk)).count() == 1
    assert not codes.device_in_use(newcomer).by_link  # nothing was set anew


@pytest.mark.compliance("11.200(a)(3)")
def test_compliance_an_identity_linked_by_another_and_a_device_by_link_within_a_day_hold_signing(
    people, provider, ticking
):
    linked(people, people.reviewer, "maja")
    token, browser = without_device(people, people.reviewer), Client()
    through(browser, provider, "maja", f"/enrol/{token}/sso/")
    assert enrols(browser, token, people.reviewer).url == "/login/"
    proved_anew(people, people.reviewer)
    assert gaps(people.reviewer) == ["hold"]
    ticking.advance(hours=25)
    assert gaps(people.reviewer) == []


@pytest.mark.compliance("11.200(a)(3)")
def test_compliance_who_has_neither_password_nor_identity_left_comes_back_by_two_hands_and_is_held(
    people, provider, ticking
):
    reviewer = people.reviewer
    with transaction.atomic():
        reviewer.set_unusable_password()
        reviewer.save(update_fields=["password"])
        trail.record(Action.PASSWORD_CHANGED, reviewer, by=trail.SYSTEM)
    linked(people, reviewer, "maja")
    transitions.withdraw_device(reviewer, by=people.administrator2, reason="Phone lost on a train")
    transitions.unlink_identity(reviewer, by=people.administrator, reason="Left the directory")
    with pytest.raises(trail.Forbidden, match="same administrator"):
        transitions.send_link_again(reviewer, by=people.administrator)
    transitions.send_link_again(reviewer, by=people.administrator2)
    assert Entry.objects.filter(action="code.linked", actor=str(people.administrator2.pk)).exists()
    token, device = mailed(reviewer, links.Purpose.ENROL, people), codes.new_device(reviewer)
    code = codes.code_at(device, time_for_a_code())
    transitions.enrol(token, device=device, code=code, password="another horse battery")
    proved_anew(people, reviewer)
    assert gaps(reviewer) == ["hold"]
    ticking.advance(hours=25)
    assert gaps(reviewer) == []


# Step-up at a signing --------------------------------------------------------------------------------------------------------


@pytest.fixture
def reviewer(offered, firm):
    """The reviewer at a browser, linked, with the sign dialog of the validation plan open."""
    offered.misbehave()
    linked(firm, firm.reviewer, "maja")
    browser = firm.client(firm.reviewer)
    where = firm.reviewer.sittings.latest("started_at")
    version = firm.version("VP-0001")
    intent = acts.intend(version, firm.reviewer, where, acts.waiting_step(version, firm.reviewer))
    return browser, intent


def step_up(browser: Client, provider, intent, name: str = "maja"):
    return through(browser, provider, name, f"/sign/step-up/{intent.pk}/", next=intent.step.get_absolute_url())


def sign(browser: Client, firm, intent, **typed):
    fields = {"intent": intent.pk, "meaning": "review", "username": "reviewer", "sso": "1",
              "code": firm.code(firm.reviewer), "reason": "Fits the plan"}  # fmt: skip
    return browser.post(intent.step.get_absolute_url(), {**fields, **typed})


@pytest.mark.compliance("§2.22", "11.200(a)(1)", "S9")
def test_compliance_fresh_single_sign_on_and_a_code_sign(firm, offered, reviewer):
    browser, intent = reviewer
    asked = parse_qs(urlsplit(begin(browser, f"/sign/step-up/{intent.pk}/")).query)
    assert asked["max_age"] == ["0"] and asked["prompt"] == ["login"]
    answer = step_up(browser, offered, intent)
    assert answer.url == f"{intent.step.get_absolute_url()}#sign-card"
    page = browser.get(intent.step.get_absolute_url()).content.decode()
    assert "Laboratory ID confirmed you for this signing" in page and "sign-password" not in page
    assert sign(browser, firm, intent).status_code == 302
    signature = Signature.objects.get(version=intent.version, signer=firm.reviewer)
    assert signature.components == "single sign-on + one-time code"
    assert Entry.objects.filter(action="sso.confirmed", detail__bound=intents.list_digest([intent])).exists()


@pytest.mark.compliance("§2.22", "11.200(a)(1)")
def test_compliance_single_sign_on_alone_never_signs(firm, offered, reviewer):
    browser, intent = reviewer
    step_up(browser, offered, intent)
    assert sign(browser, firm, intent, code="").status_code == 400
    assert sign(browser, firm, intent, code="000000").status_code == 403
    assert not Signature.objects.filter(version=intent.version, signer=firm.reviewer).exists()


@pytest.mark.compliance("§2.22", "11.200(a)(1)")
def test_compliance_the_log_in_of_before_is_no_step_up(firm, offered, reviewer):
    browser, intent = reviewer
    assert sign(browser, firm, intent).status_code == 403  # a form that only says so
    SsoRequest.objects.create(purpose="login", state_sha256="s", user=firm.reviewer, bound="login", since=clock.now(),
                              expires_at=clock.now(), proved_at=clock.now())  # fmt: skip
    assert sign(browser, firm, intent).status_code == 403


STALE = {
    "no auth_time": ({"omit": ["auth_time"]}, "auth_time"),
    "authenticated before the dialog was opened": ({"shift": {"auth_time": -30}}, "auth_time"),
    "authenticated an hour ago": ({"shift": {"auth_time": -3600}}, "auth_time"),
    "authenticated in the future": ({"shift": {"auth_time": 30}}, "auth_time"),
    "auth_time that is no number": ({"claims": {"auth_time": "now"}}, "auth_time"),
    "another audience": ({"claims": {"aud": "another"}}, "aud"),
    "another nonce": ({"claims": {"nonce": "n"}}, "nonce"),
    "another person": ({"claims": {"sub": "sub-somebody"}}, "subject"),
    "alg none": ({"alg": "none"}, "signature"),
    "expired": ({"shift": {"exp": -400}}, "exp"),
}


@pytest.mark.compliance("§2.22", "§2.4", "S9")
@pytest.mark.parametrize("name", STALE)
def test_compliance_a_step_up_that_proves_nothing_is_refused_and_on_the_trail(firm, offered, reviewer, name):
    browser, intent = reviewer
    how, why = STALE[name]
    offered.misbehave(**how)
    answer = step_up(browser, offered, intent)
    assert answer.status_code == 403
    entry = refusal()
    assert why in entry.detail["why"] and entry.actor == str(firm.reviewer.pk)
    assert sign(browser, firm, intent).status_code == 403


@pytest.mark.compliance("§2.22")
def test_compliance_a_provider_that_asks_nobody_anew_is_refused(firm, offered, reviewer, ticking):
    browser, intent = reviewer
    step_up(browser, offered, intent)
    ticking.advance(seconds=90)
    later = acts.intend(intent.version, firm.reviewer, intent.sitting, intent.step)
    offered.misbehave(asks_nobody=True)
    assert step_up(browser, offered, later).status_code == 403
    assert "auth_time" in refusal().detail["why"]


@pytest.mark.compliance("§2.4", "§2.22")
def test_compliance_a_step_up_is_good_once_for_one_dialog_and_two_minutes(firm, offered, reviewer, ticking):
    browser, intent = reviewer
    step_up(browser, offered, intent)
    other = acts.intend(intent.version, firm.reviewer, intent.sitting, intent.step)
    assert sign(browser, firm, other).status_code == 403  # another dialog
    proof = intents.step_up([intent])
    assert proof is not None
    ticking.next_code()
    identity.confirm(firm.reviewer, Credentials("", firm.code(firm.reviewer), proof=proof))
    assert intents.step_up([intent]) is None  # used
    third = acts.intend(intent.version, firm.reviewer, intent.sitting, intent.step)
    offered.misbehave()
    step_up(browser, offered, third)
    assert intents.step_up([third]) is not None
    ticking.advance(seconds=121)
    assert intents.step_up([third]) is None


@pytest.mark.compliance("§2.22")
def test_compliance_a_bearer_token_never_signs(firm, offered, reviewer):
    browser, intent = reviewer
    step_up(browser, offered, intent)
    token = {"HTTP_AUTHORIZATION": "Bearer " + "a" * 40}
    fields = {
        "intent": intent.pk,
        "meaning": "review",
        "username": "reviewer",
        "sso": "1",
        "code": firm.code(firm.reviewer),
    }
    assert browser.post(intent.step.get_absolute_url(), fields, **token).status_code == 403
    assert Client().post(intent.step.get_absolute_url(), fields, **token).status_code in (302, 403)
    assert Client().post(f"/sign/step-up/{intent.pk}/", {}, **token).status_code in (302, 403)
    assert not Signature.objects.filter(version=intent.version, signer=firm.reviewer).exists()


def test_a_step_up_belongs_to_the_person_and_the_log_in_of_its_dialog(firm, offered, reviewer):
    browser, intent = reviewer
    back = offered.visit(begin(browser, f"/sign/step-up/{intent.pk}/", next="/"), "maja")
    assert come_back(firm.client(firm.reviewer), back).status_code == 403
    assert firm.client(firm.approver).post(f"/sign/step-up/{intent.pk}/").status_code in (404, 409)
