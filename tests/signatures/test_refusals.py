"""Each check of the ceremony alone, without a database: what it refuses, with which words for the signer and for the trail, about what,
to whom and with which status; and that it lets pass what is only nearly so (21 CFR 11.10(f), (g), (i))."""

import datetime as dt
import uuid
from types import SimpleNamespace as Like

import pytest

from accounts import founding, rights
from audit import clock, clock_guard, trail
from audit.actions import Action
from records import sealed
from signatures import intents, signing, standing
from signatures.meanings import PERMISSIONS, Meaning
from signatures.models import Signature
from signatures.signing import Act, SignatureRefused

VERSION, SIGNER = uuid.UUID(int=1), uuid.UUID(int=2)
PERSON = trail.Subject("user", "2", "Maja Ruiz")
SUBJECT, ACTOR = trail.Subject("version", str(VERSION), "URS-0001 version 1"), trail.Actor("2", "Maja Ruiz", "Reviewer")
NOW = dt.datetime(2026, 11, 21, tzinfo=dt.UTC)


def a_version(
    state: str = "in_review", *, kind: str = "document", code: str = "URS", signed: bool = False, author: int = 5
) -> Like:
    counting = Like(filter=lambda signer: Like(exists=lambda: signed and signer.pk == SIGNER))
    return Like(
        pk=VERSION, state=state, lifecycle="document", record=Like(type=Like(kind=kind, code=code)),
        get_state_display=lambda: state.replace("_", " ").capitalize(), trail_subject=lambda: SUBJECT,
        signatures=Like(counting=lambda: counting), top_hash="a", rendition_sha256="b", rendition_pages=4,
        author_id=uuid.UUID(int=author), contributors=[],
    )  # fmt: skip


def a_step(**differs: object) -> Like:
    step = {
        "pk": 7,
        "place": 2,
        "version_id": VERSION,
        "signature_id": None,
        "voided": False,
        "lapsed_at": None,
        "assignee_id": SIGNER,
    }
    return Like(**(step | {"role": "Reviewer", "meaning": "review", "sentence": "I reviewed it."} | differs))


def an_act(meaning: str = Meaning.REVIEW, *, version=None, step=None, about=None, outcome="", reviewed=True) -> Act:
    intent = Like(meanings=["review", "approval"], top_hash="a", rendition_sha256="b", about=about)
    return Act(version or a_version(), intent, meaning, step, NOW, reviewed, outcome)


@pytest.fixture
def signer() -> Like:
    return Like(
        pk=SIGNER, roles=["Reviewer"], usable_at=lambda when: when == NOW, trail_actor=lambda: ACTOR, trail_subject=lambda: PERSON
    )  # fmt: skip


@pytest.fixture(autouse=True)
def surroundings(monkeypatch) -> Like:
    """Everything is as it should be; a test spoils one thing."""
    now = Like(
        place=2, may=True, part=(), fault="", over=True, gaps=[], wrong=[], missing=[], spared=None,
        stands=Like(withdrawn=False, state="standing", to_decide=True),
    )  # fmt: skip
    earlier = Like(before=lambda version, place: Like(exists=lambda: version.pk == VERSION and place > now.place))
    monkeypatch.setattr(signing, "Step", Like(objects=Like(unsigned=lambda: earlier)))
    monkeypatch.setattr(
        signing, "may", lambda person, right, version: now.may and right in PERMISSIONS.values() and version is not None
    )
    monkeypatch.setattr(signing, "had_part", lambda version, person, meaning: meaning in now.part)
    monkeypatch.setattr(clock, "now", lambda: NOW)
    monkeypatch.setattr(clock_guard, "fault", lambda: now.fault)
    monkeypatch.setattr(founding, "is_over", lambda: now.over)
    monkeypatch.setattr(sealed, "contradictions", lambda version: now.wrong)
    monkeypatch.setattr(
        intents, "unopened_pages", lambda intent, version: now.missing if intent.top_hash and version.pk else None
    )
    monkeypatch.setattr(standing, "of", lambda signature: now.stands if signature else None)

    def gaps(person, when, *, founded, spared):
        now.spared = spared
        return now.gaps if founded is now.over and (person.pk, when) == (SIGNER, NOW) else None

    monkeypatch.setattr(rights, "gaps", gaps)
    return now


def refused(check, act: Act, signer: Like) -> tuple[str, str, int]:
    """Words, the word for the trail, and status; subject and person are always those of the act."""
    with pytest.raises(SignatureRefused) as caught:
        check(act, signer)
    told = caught.value
    assert (told.action, told.subject, told.by) == (Action.SIGNATURE_REFUSED, SUBJECT, ACTOR)
    assert list(told.detail) == ["why"] and str(told) == told.message
    return told.message, told.detail["why"], told.status


def let_pass(check, act: Act, signer: Like) -> bool:
    """Whether the check refuses nothing; a refusal raises, and fails the test with its own words."""
    check(act, signer)
    return True


STATES = [
    ("reading", "in_review", "Only an approved version can be read and understood."),
    ("retirement", "retired", "Only an approved version can be retired."),
    ("review", "approved", "This version is approved: it waits for no signature."),
    ("approval", "rejected", "This version is rejected: it waits for no signature."),
]


@pytest.mark.parametrize(("meaning", "state", "sentence"), STATES)
def test_what_is_signed_is_in_the_state_for_it(signer, meaning, state, sentence):
    assert refused(signing._state, an_act(meaning, version=a_version(state)), signer) == (sentence, "state", 403)


@pytest.mark.parametrize(
    ("meaning", "state"),
    [("withdrawal", "rejected"), ("disposition", "recalled"), ("reading", "approved"), ("retirement", "approved"),
     ("review", "in_review"), ("rejection", "in_review")],
)  # fmt: skip
def test_the_state_for_it_is_enough(signer, meaning, state):
    assert let_pass(signing._state, an_act(meaning, version=a_version(state)), signer)


TURNS = [
    ({"version_id": uuid.UUID(int=9)}, "This step asks for a signature on another version.", "step", 409),
    ({"signature_id": 5}, "This step was signed already.", "signed already", 403),
    ({"voided": True}, "This step was signed already.", "signed already", 403),
    ({"lapsed_at": NOW}, "Enough others signed at this place: this signature is asked for no more.", "lapsed", 403),
    ({"place": 3}, "It is not this step's turn: a signature before it is still missing.", "order", 403),
    ({"assignee_id": uuid.UUID(int=3)}, "This signature is asked of somebody else.", "assignee", 403),
    ({"role": "Approver"}, "This signature is asked of a Approver.", "role", 403),
]


@pytest.mark.parametrize(("differs", "sentence", "why", "status"), TURNS)
def test_a_step_is_signed_in_its_turn_by_whom_it_asks(signer, differs, sentence, why, status):
    assert refused(signing._turn, an_act(step=a_step(**differs)), signer) == (sentence, why, status)


def test_a_step_of_nobody_in_particular_is_anybodys_of_the_role(signer):
    for act in (an_act(step=a_step()), an_act(step=a_step(assignee_id=None)), an_act("reading")):
        assert let_pass(signing._turn, act, signer)


def test_the_meaning_was_offered(signer):
    signing._meaning(an_act("approval"), signer)
    told = refused(signing._meaning, an_act("retirement"), signer)
    assert told == ("This meaning was not offered by the sign dialog.", "meaning", 400)


def test_the_role_includes_the_signature_and_the_account_can_be_used(signer, surroundings):
    signing._authority(an_act(), signer)
    words = ("Your role does not include this signature.", "authority", 403)
    surroundings.may = False
    assert refused(signing._authority, an_act(), signer) == words
    surroundings.may, signer.usable_at = True, lambda when: False
    assert refused(signing._authority, an_act(), signer) == words


def test_who_wrote_it_or_signed_it_already_does_not_sign_it(signer, surroundings):
    surroundings.part = ("review",)
    words = ("You wrote this version, or part of it: somebody else must sign it.", "author", 403)
    assert refused(signing._separation, an_act("review"), signer) == words
    assert refused(signing._separation, an_act("rejection", step=a_step()), signer) == words
    signing._separation(an_act("rejection"), signer)
    signing._separation(an_act("reading"), signer)
    surroundings.part = ()
    told = refused(signing._separation, an_act(version=a_version(signed=True)), signer)
    assert told == ("You signed this version already: each signature is another person's.", "signed already", 403)


class ASignature(Like):
    concerns = Signature.concerns


def a_signature(
    mine: bool, *, version_id: uuid.UUID = VERSION, meaning: str = "review", about: Like | None = None, author: int = 5
) -> Like:
    return ASignature(
        signer_id=SIGNER if mine else uuid.UUID(int=4), version_id=version_id, meaning=meaning, about=about,
        version=a_version(author=author),
    )  # fmt: skip


MINE, THEIRS, ELSEWHERE = a_signature(True), a_signature(False), a_signature(True, version_id=uuid.UUID(int=9))
NO_MORE = ("This signature cannot be withdrawn (any more).", "about", 409)
NOT_ONES_OWN = ("Somebody else decides about your signature, or your text.", "about", 403)
ABOUT = [
    ("withdrawal", None, {}, "", ("This speaks of no signature on this version.", "about", 409)),
    ("disposition", ELSEWHERE, {}, "stands", ("This speaks of no signature on this version.", "about", 409)),
    ("withdrawal", THEIRS, {}, "", ("Everybody withdraws their own signatures alone.", "about", 403)),
    ("withdrawal", a_signature(True, meaning="withdrawal"), {}, "", NO_MORE),
    ("withdrawal", MINE, {"withdrawn": True}, "", NO_MORE),
    ("withdrawal", MINE, {"state": standing.FALLEN}, "", NO_MORE),
    ("disposition", MINE, {}, "stands", NOT_ONES_OWN),
    ("disposition", a_signature(False, about=a_signature(False, about=MINE)), {}, "stands", NOT_ONES_OWN),
    ("disposition", a_signature(False, author=2), {}, "stands", NOT_ONES_OWN),
    ("disposition", THEIRS, {}, "perhaps", ("Say whether the signature stands.", "outcome", 400)),
    ("disposition", THEIRS, {"to_decide": False}, "stands", ("Nothing is to be decided about this signature.", "about", 409)),
]  # fmt: skip


@pytest.mark.parametrize(("meaning", "about", "differs", "outcome", "told"), ABOUT)
def test_a_later_act_speaks_of_a_signature_that_one_may_speak_of(
    signer, surroundings, meaning, about, differs, outcome, told
):
    vars(surroundings.stands).update(differs)
    assert refused(signing._about, an_act(meaning, about=about, outcome=outcome), signer) == told


def test_ones_own_signature_is_withdrawn_and_quality_decides_about_another_persons(signer):
    decided = an_act("disposition", about=THEIRS, outcome=signing.Outcome.values[0])
    of_another = an_act("disposition", about=a_signature(False, about=THEIRS), outcome=signing.Outcome.values[1])
    for act in (an_act("withdrawal", about=MINE), decided, of_another, an_act("review")):
        assert let_pass(signing._about, act, signer)


def test_what_is_missing_for_the_right_to_sign_is_said_with_its_condition(signer, surroundings):
    signing._right(an_act(), signer)
    assert surroundings.spared == set()
    surroundings.gaps = [Like(finding=Like(sentence="Your training is overdue."), condition=Like(name="training"))]
    assert refused(signing._right, an_act(), signer) == ("Your training is overdue.", "training", 403)
    surroundings.over = False
    told = refused(signing._right, an_act(), signer)
    assert told == ("Signing opens when the first e-signature SOP is effective.", "founding", 403)


MENDING = {"training", "policy", "letter"}


@pytest.mark.parametrize(
    ("meaning", "version", "conditions"),
    [("review", a_version(), set()), ("reading", a_version(), MENDING), ("withdrawal", a_version(), MENDING),
     ("review", a_version(kind=sorted(founding.SIGNABLE)[0]), {"policy"}), ("review", a_version(code="letter_waiver"), {"letter"})],
)  # fmt: skip
def test_only_what_an_act_mends_is_spared(meaning, version, conditions):
    assert signing.spared(meaning, version) == conditions


@pytest.mark.parametrize(
    ("missing", "named"),
    [([3], "page 3"), ([1, 2], "pages 1 and 2"), ([1, 2, 5], "pages 1, 2 and 5"),
     (range(1, 11), "pages 1, 2, 3, 4, 5, 6, 7, 8, 9 and 10"), (range(1, 13), "pages 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 2 more")],
)  # fmt: skip
def test_pages_that_were_not_opened_are_named(signer, surroundings, missing, named):
    surroundings.missing = missing
    sentence = f"Open every page before you sign. Not opened in this sitting: {named} of 4."
    for meaning in ("review", "approval", "rejection", "reading"):
        assert refused(signing._shown, an_act(meaning), signer) == (sentence, "not opened", 409)
    signing._shown(an_act("withdrawal"), signer)


def test_an_approval_needs_the_tick(signer):
    sentence = "Look through what the trail says of this version, and tick that you have reviewed it."
    assert refused(signing._reviewed, an_act("approval", reviewed=False), signer) == (sentence, "not reviewed", 400)
    signing._reviewed(an_act("approval"), signer)
    signing._reviewed(an_act("review", reviewed=False), signer)


def test_clocks_that_disagree_stop_everybody(signer, surroundings):
    signing._clock(an_act(), signer)
    surroundings.fault = "The clocks are apart."
    assert refused(signing._clock, an_act(), signer) == ("The clocks are apart.", "clock", 503)


def test_what_is_signed_is_what_was_shown_and_is_whole(signer, surroundings):
    signing._digests(an_act(), signer)
    changed = ("The content changed while the dialog was open. Review it again.", "digest", 409)
    for column in ("top_hash", "rendition_sha256"):
        version = a_version()
        setattr(version, column, "c")
        assert refused(signing._digests, an_act(version=version), signer) == changed
    surroundings.wrong = ["the manifest is another.", "and more"]
    told = refused(signing._digests, an_act(), signer)
    assert told == ("This version contradicts its own seal: the manifest is another.", "seal", 403)


# A list


def held(*versions: int, listed: str = "") -> list[Like]:
    return [Like(version_id=number, list_sha256=listed, version=a_version()) for number in versions]


@pytest.fixture
def of_three(monkeypatch) -> str:
    monkeypatch.setattr(intents, "list_digest", lambda them: f"digest of {len(them)}")
    return "digest of 3"


def test_one_alone_or_a_whole_list_is_signed(signer, of_three):
    signing._check_list(held(1), signer)
    signing._check_list(held(1, 2, 3, listed=of_three), signer)
    signing._check_list(held(1, listed="digest of 1"), signer)


@pytest.mark.parametrize("them", [held(), held(1, 1), held(*range(21))], ids=["none", "one twice", "too many"])
def test_a_list_holds_1_to_20_different_versions(signer, of_three, them):
    with pytest.raises(trail.Refused) as caught:
        signing._check_list(them, signer)
    assert caught.value.message == "Sign 1 to 20 different versions at once."
    assert (caught.value.action, caught.value.subject, caught.value.by) == (Action.SIGNATURE_REFUSED, PERSON, ACTOR)


@pytest.mark.parametrize("them", [held(1, 2, listed="digest of 3"), held(1, 2), held(1, listed="digest of 3")])
def test_a_part_of_a_list_or_another_one_is_not_signed(signer, of_three, them):
    told = refused(signing._check_list, them, signer)
    assert told == ("This is not the list that was opened. Open the list again.", "list", 409)


@pytest.mark.parametrize("meaning", sorted(signing.WITH_REASON))
def test_what_takes_something_back_needs_a_reason(signer, meaning):
    with pytest.raises(SignatureRefused) as caught:
        signing._check_reason(a_version(), signer, meaning, " ")
    told = caught.value
    assert told.message.startswith(f"A {Meaning(meaning).label.lower()} needs a reason. ")
    assert (told.subject, told.by, told.detail, told.status) == (SUBJECT, ACTOR, {"why": "no reason"}, 400)
    signing._check_reason(a_version(), signer, meaning, "The wrong version was shown.")
    signing._check_reason(a_version(), signer, "review", "")


def test_the_sentence_is_the_steps_for_its_meaning_else_the_meanings():
    assert signing._sentence(an_act("review", step=a_step())) == "I reviewed it."
    assert signing._sentence(an_act("rejection", step=a_step())) == signing.SENTENCES["rejection"]
    assert signing._sentence(an_act("reading")) == signing.SENTENCES["reading"]
    for outcome, sentence in signing.DECISIONS.items():
        assert signing._sentence(an_act("disposition", outcome=outcome)) == sentence
