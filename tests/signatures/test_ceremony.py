"""The ceremony, row by row of what naive e-signatures get wrong (21 CFR 11.10(f), (g), 11.50, 11.70, 11.200)."""

import json
import threading
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from django.db import connections, transaction

from accounts import identity, links
from accounts import transitions as people_verbs
from accounts.identity import Credentials
from accounts.models import CodeDevice, Founding, Sitting, User
from audit import trail
from audit.actions import Action
from audit.models import Entry
from portal.consequences import approved, signed
from records import transitions as records
from records.models import Version
from signatures import intents
from signatures.checking import check_all
from signatures.models import Intent, Opened, Signature, Step
from signatures.signing import signing
from signatures.transitions import sign, sign_all
from tests import acts, builders
from tests.cast import PASSWORD, time_for_a_code


class Table:
    """A person before a version: what signing needs, ready to be spoilt one by one."""

    def __init__(self, version: Version, user: User, where: Sitting | None = None) -> None:
        self.version, self.user = version, user
        self.sitting = where or acts.sitting(user)
        self.step = Step.objects.filter(version=version, assignee=user).first() or version.steps.first()
        acts.open_pages(version, self.sitting)
        self.intent = intents.open_for(version, user=user, sitting=self.sitting, step=self.step)

    def sign(
        self,
        meaning: str = "",
        *,
        reason: str = "",
        intent=None,
        request=None,
        reviewed: bool = True,
        **credentials: str,
    ) -> Signature:
        typed = Credentials(
            username=credentials.get("username", self.user.username),
            password=credentials.get("password", PASSWORD),
            code=credentials.get("code") or acts.code(self.user),
        )
        with trail.refusals(self.user):
            return sign(
                intent or self.intent.pk,
                meaning or self.step.meaning,
                signer=User.objects.get(pk=self.user.pk),
                credentials=typed,
                sitting=Sitting.objects.get(pk=self.sitting.pk),
                reason=reason,
                request=request,
                reviewed=reviewed,
                approved=approved,
                signed=signed,
            )


def sign_list(people, intents_, *, meaning: str = "review", reviewed: bool = True) -> list[Signature]:
    """What `people.reviewer` does on the page of a list."""
    with trail.refusals(people.reviewer):
        return sign_all(
            [intent.pk for intent in intents_], meaning, signer=people.reviewer, sitting=intents_[0].sitting,
            credentials=acts.credentials(people.reviewer), reviewed=reviewed, approved=approved,
        )  # fmt: skip


def a_list(people, versions: Sequence[Version]) -> list[Intent]:
    """The versions opened as a list by `people.reviewer`, ready to be signed with one code."""
    where = acts.sitting(people.reviewer)
    for version in versions:
        acts.open_pages(version, where)
    steps = [acts.waiting_step(version, people.reviewer) for version in versions]
    return intents.open_list(steps, user=people.reviewer, sitting=where)


def refused(why: str) -> Entry:
    """The newest entry of the trail is the refusal, for that reason."""
    entry = Entry.objects.order_by("-id").first()
    assert entry.action in {Action.SIGNATURE_REFUSED, Action.CONFIRMATION_REFUSED}, entry
    assert entry.detail["why"] == why
    return entry


def current(version: Version) -> Version:
    return Version.objects.select_related("record__type").get(pk=version.pk)


@pytest.fixture
def version(people) -> Version:
    return builders.a_document_in_review(people)


@pytest.fixture
def reviewing(version, people) -> Table:
    return Table(version, people.reviewer)


def test_a_review_and_an_approval_make_the_version_effective(version, people):
    review = Table(version, people.reviewer).sign()
    assert (review.printed_name, review.role, review.meaning) == ("Maja Ruiz", "Reviewer", "review")
    assert current(version).state == "in_review"
    approval = Table(version, people.approver).sign()
    assert current(version).state == "approved"
    assert current(version).revision == "1.0"
    assert current(version).status_at(approval.signed_at.replace(year=2099)) == "effective"
    actions = list(Entry.objects.filter(subject_id=str(version.pk)).order_by("id").values_list("action", flat=True))
    assert actions.count(Action.SIGNATURE_APPLIED) == 2
    assert Action.VERSION_EFFECTIVE in actions


# Components (rows 1 to 6)


class Browser:
    """What a signing asks of a request: from where, and with which browser."""

    def __init__(self, address: str = "127.0.0.1", agent: str = "") -> None:
        self.META = {"REMOTE_ADDR": address}
        self.headers = {"User-Agent": agent}


@pytest.mark.compliance("§2.1", "11.200(a)(1)(i)")
def test_row_1_the_first_signing_asks_user_name_password_and_code_and_later_ones_password_and_code(people, ticking):
    first, second, third = (builders.a_document_in_review(people) for _ in range(3))
    table = Table(first, people.reviewer)
    with pytest.raises(trail.Refused, match="own user name"):
        table.sign(request=Browser(), username="")
    refused("user name")
    table.sign(request=Browser())
    ticking.next_code()
    Table(second, people.reviewer, table.sitting).sign(request=Browser(), username="")
    ticking.next_code()
    with pytest.raises(identity.NotConfirmed):
        Table(third, people.reviewer, table.sitting).sign(request=Browser(), username="", password="")
    with pytest.raises(identity.NotConfirmed):
        Table(third, people.reviewer, table.sitting).sign(request=Browser(), username="", code="000000")
    assert Signature.objects.count() == 2


@pytest.mark.compliance("§2.2", "11.200(a)(1)(ii)")
@pytest.mark.parametrize(
    ("minutes", "browser", "asks"),
    [(1, Browser(), False), (11, Browser(), True), (1, Browser("10.0.0.9"), True), (1, Browser(agent="Other"), True)],
)
def test_row_2_a_continuous_period_ends_with_idling_another_address_or_browser(
    reviewing, ticking, minutes, browser, asks
):
    reviewing.sign(request=Browser())
    ticking.advance(minutes=minutes)
    assert identity.asks_for_username(Sitting.objects.get(pk=reviewing.sitting.pk), browser) is asks


@pytest.mark.compliance("§2.2", "11.200(a)(1)(ii)")
def test_row_2_a_continuous_period_ends_after_thirty_minutes_however_busy(people, ticking):
    where = acts.sitting(people.reviewer)
    for minutes in (0, 9, 9, 9):
        ticking.advance(minutes=minutes)
        assert identity.asks_for_username(Sitting.objects.get(pk=where.pk), Browser()) is (minutes == 0)
        Table(builders.a_document_in_review(people), people.reviewer, where).sign(request=Browser(), username=
                                                                                  "reviewer" if minutes == 0 else "")  # fmt: skip
    ticking.advance(minutes=4)
    assert identity.asks_for_username(Sitting.objects.get(pk=where.pk), Browser())


@pytest.mark.compliance("§2.2", "11.200(a)(1)(ii)")
def test_row_2_another_sitting_asks_for_everything(reviewing, people):
    reviewing.sign(request=Browser())
    assert identity.asks_for_username(acts.sitting(people.reviewer), Browser())


@pytest.mark.compliance("§2.3")
def test_row_3_a_code_signs_once_and_its_second_use_says_when_the_next_one_comes(people):
    time_for_a_code(20)
    first, second = builders.a_document_in_review(people), builders.a_document_in_review(people)
    Table(first, people.reviewer).sign()
    again = Table(second, people.reviewer)
    with pytest.raises(identity.NotConfirmed, match=r"used|next"):
        again.sign()
    refused("code used before")
    assert Intent.objects.get(pk=again.intent.pk).used_at is None
    assert Signature.objects.count() == 1


def in_parallel(count: int, act) -> list[BaseException]:
    """What `count` threads were refused with, each having done `act` at the same moment."""
    failures: list[BaseException] = []
    gate = threading.Barrier(count)

    def run() -> None:
        try:
            gate.wait()
            act()
        except Exception as failure:
            failures.append(failure)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return failures


@pytest.mark.compliance("§2.3")
def test_row_3_twenty_parallel_posts_of_one_code_give_exactly_one_signature(reviewing):
    time_for_a_code(25)
    code = acts.code(reviewing.user)
    failures = in_parallel(20, lambda: reviewing.sign(code=code))
    assert len(failures) == 19, failures
    assert Signature.objects.count() == 1
    assert all(isinstance(failure, trail.Refused) for failure in failures), failures
    assert Entry.objects.filter(action=Action.SIGNATURE_APPLIED).count() == 1


@pytest.mark.compliance("§2.3")
def test_row_3_one_code_posted_to_many_versions_in_parallel_signs_one_of_them(people):
    tables = iter([Table(builders.a_document_in_review(people), people.reviewer) for _ in range(8)])
    time_for_a_code(25)
    code, lock = acts.code(people.reviewer), threading.Lock()

    def act() -> None:
        with lock:
            table = next(tables)
        table.sign(code=code)

    assert len(in_parallel(8, act)) == 7
    assert Signature.objects.count() == 1


@pytest.mark.compliance("§2.4", "S1")
def test_row_4_an_intent_opened_for_another_version_is_refused_and_both_are_logged(people):
    mine, other = builders.a_document_in_review(people), builders.a_document_in_review(people)
    table = Table(mine, people.reviewer)
    Intent.objects.filter(pk=table.intent.pk).update(version=other)
    with pytest.raises(trail.Refused):
        table.sign()
    refused("step")
    assert Entry.objects.filter(action=Action.INTENT_OPENED).count() == 1
    assert not Signature.objects.exists()


@pytest.mark.compliance("§2.4", "S1")
def test_row_4_an_intent_of_another_person_is_refused(version, people):
    theirs = Table(version, people.approver)
    with pytest.raises(intents.IntentRefused, match="not yours"):
        Table(version, people.reviewer).sign(intent=theirs.intent.pk)
    refused("intent")


@pytest.mark.compliance("§2.4", "S1")
def test_row_4_an_intent_of_another_sitting_is_refused(reviewing):
    reviewing.sitting = acts.sitting(reviewing.user)
    with pytest.raises(intents.IntentRefused, match="another sitting"):
        reviewing.sign()


@pytest.mark.compliance("§2.4", "S1")
def test_row_4_an_intent_lives_two_minutes(reviewing, ticking):
    ticking.advance(seconds=121)
    with pytest.raises(intents.IntentRefused, match="older than two minutes"):
        reviewing.sign()
    refused("intent")


@pytest.mark.compliance("§2.4", "S1")
def test_row_4_an_intent_signs_once(people, version, ticking):
    table = Table(version, people.reviewer)
    table.sign()
    ticking.next_code()
    with pytest.raises(intents.IntentRefused, match="was used"):
        table.sign()
    assert Signature.objects.count() == 1


@pytest.mark.compliance("§2.4", "S1", "11.50(a)(3)")
def test_row_4_a_meaning_that_was_not_offered_is_refused(reviewing):
    with pytest.raises(trail.Refused, match="not offered") as caught:
        reviewing.sign("approval")
    assert caught.value.status == 400
    refused("meaning")


@pytest.mark.compliance("§2.5")
def test_row_5_nobody_can_be_sent_a_code():
    assert not [field for field in CodeDevice._meta.get_fields() if field.name in {"phone", "email", "channel"}]


@pytest.mark.compliance("11.200(a)(1)")
def test_11_200_a_wrong_password_and_a_wrong_code_are_told_apart_by_nobody(reviewing):
    with pytest.raises(identity.NotConfirmed) as wrong_password:
        reviewing.sign(password="not the password")
    with pytest.raises(identity.NotConfirmed) as wrong_code:
        reviewing.sign(code="123456")
    assert wrong_password.value.message == wrong_code.value.message
    assert Intent.objects.get(pk=reviewing.intent.pk).used_at is None


@pytest.mark.compliance("Stolen session", "11.300(c)", "11.300(d)")
def test_compliance_a_sitting_that_ended_after_the_confirmation_signs_nothing(reviewing, monkeypatch):
    confirm = identity.confirm

    def confirmed(*given, **more):
        found = confirm(*given, **more)
        with transaction.atomic():
            token = links.issue(reviewing.user, links.Purpose.PASSWORD, by=None)
        people_verbs.reset_password(token, "a long way to Odense")
        return found

    monkeypatch.setattr(identity, "confirm", confirmed)
    with pytest.raises(trail.Refused, match="log-in has ended"):
        reviewing.sign()
    assert refused("sitting ended").subject_id == str(reviewing.version.pk)
    assert not Signature.objects.exists()


@pytest.mark.compliance("§2.6", "11.300(d)")
def test_row_6_five_wrong_codes_lock_signing_and_leave_log_in_open(reviewing):
    for _ in range(5):
        with pytest.raises(identity.NotConfirmed):
            reviewing.sign(code="123456")
    with pytest.raises(identity.NotConfirmed, match="Locked"):
        reviewing.sign()
    assert identity.locked_until("reviewer", "login") is None


# What is shown, who may sign, and when (rows 10, 11, 13, 15 to 17, 25)


@pytest.mark.compliance("§2.10")
def test_row_10_every_page_must_have_been_opened_and_the_refusal_names_those_that_were_not(people):
    version = builders.a_document_in_review(people, pages=4)
    where = acts.sitting(people.reviewer)
    Opened.objects.create(sitting=where, rendition_sha256=version.rendition_sha256, page=2)
    step = version.steps.get(assignee=people.reviewer)
    intent = intents.open_for(version, user=people.reviewer, sitting=where, step=step)
    time_for_a_code(20)
    code = acts.code(people.reviewer)
    with trail.refusals(people.reviewer), pytest.raises(trail.Refused, match=r"pages 1, 3 and 4 of 4"):
        sign(
            intent.pk, "review", signer=people.reviewer, sitting=where,
            credentials=Credentials(username="reviewer", password=PASSWORD, code=code),
        )  # fmt: skip
    acts.open_pages(version, where)
    sign(
        intent.pk, "review", signer=people.reviewer, sitting=where,
        credentials=Credentials(username="reviewer", password=PASSWORD, code=code),
    )  # fmt: skip  # the refusal spent neither code nor intent


@pytest.mark.compliance("§2.10")
def test_row_10_pages_opened_in_another_sitting_do_not_count(reviewing, people):
    elsewhere = acts.sitting(people.reviewer)
    intent = intents.open_for(reviewing.version, user=people.reviewer, sitting=elsewhere, step=reviewing.step)
    reviewing.sitting, reviewing.intent = elsewhere, intent
    with pytest.raises(trail.Refused, match="pages 1 and 2 of 2"):
        reviewing.sign()
    refused("not opened")


@pytest.mark.compliance("§2.10")
def test_row_10_content_that_is_not_what_the_dialog_showed_is_refused(reviewing):
    Intent.objects.filter(pk=reviewing.intent.pk).update(top_hash="0" * 64)
    with pytest.raises(trail.Refused, match="Review it again") as caught:
        reviewing.sign()
    assert caught.value.status == 409
    refused("digest")


@pytest.mark.compliance("§2.11")
def test_row_11_the_author_is_never_asked_to_sign(people):
    with pytest.raises(trail.Refused, match="wrote part"), transaction.atomic():
        builders.a_document_in_review(people, reviewers=[people.author])


@pytest.mark.compliance("§2.11")
def test_row_11_who_edited_a_comma_has_lost_the_right_to_approve(people):
    with pytest.raises(trail.Refused, match="wrote part"):
        builders.a_document_in_review(people, contributors=[people.approver])
    version = builders.a_document_in_review(people, approvers=[people.approver2], contributors=[people.approver])
    Table(version, people.reviewer).sign()
    step = version.steps.get(assignee=people.approver2)
    table = Table(version, people.approver)
    Intent.objects.filter(pk=table.intent.pk).update(step=step)
    with pytest.raises(trail.Refused):
        table.sign("approval")


@pytest.mark.compliance("§2.11")
def test_row_11_a_contributor_is_refused_also_where_anybody_of_the_role_may_sign(people):
    version = builders.a_package(people, contributors=[people.approver])
    with pytest.raises(trail.Refused, match="somebody else must sign"):
        Table(version, people.approver).sign()
    refused("author")
    assert not Step.objects.awaiting(people.approver).exists()
    Table(version, people.approver2).sign()
    assert current(version).state == "approved"


@pytest.mark.compliance("§2.11")
def test_row_11_one_person_gives_one_signature_of_a_route(people, ticking):
    version = builders.a_document_in_review(people, reviewers=[people.approver], approvers=[people.approver])
    review, approval = version.steps.all()
    table = Table(version, people.approver)
    table.sign("review")
    ticking.next_code()
    intent = intents.open_for(version, user=people.approver, sitting=table.sitting, step=approval)
    with pytest.raises(trail.Refused, match="another person"):
        table.sign("approval", intent=intent.pk)
    assert review.pk != approval.pk


@pytest.mark.compliance("§2.13")
def test_row_13_signatures_on_a_recalled_version_stay_and_the_next_version_has_none(version, people, ticking):
    signature = Table(version, people.reviewer).sign()
    records.recall(current(version), by=people.author, reason="One sentence was missing.")
    again = builders.a_document_in_review(people, record=current(version).record, text="The system shall keep all.")
    assert list(again.signatures.all()) == []
    assert list(current(version).signatures.all()) == [signature]
    with pytest.raises(trail.Refused, match="waits for no signature"):
        Table(version, people.approver).sign()
    ticking.next_code()
    Table(again, people.reviewer).sign()


@pytest.mark.compliance("§2.15", "S3")
def test_row_15_a_rejection_is_signed_and_needs_a_reason(version, people):
    table = Table(version, people.reviewer)
    with pytest.raises(trail.Refused, match="needs a reason") as caught:
        table.sign("rejection", reason="  no     ")
    assert caught.value.status == 400
    refused("no reason")
    signature = table.sign("rejection", reason="Requirement 12 cannot be tested.")
    assert (signature.meaning, signature.reason) == ("rejection", "Requirement 12 cannot be tested.")
    assert current(version).state == "rejected"
    assert Entry.objects.get(action=Action.VERSION_REJECTED).reason == "Requirement 12 cannot be tested."
    with pytest.raises(trail.Refused, match="waits for no signature"):
        Table(version, people.approver).sign()


@pytest.mark.compliance("§2.16", "S8")
def test_compliance_a_list_whose_second_item_changes_mid_way_is_not_signed_at_all(people):
    versions = [builders.a_document_in_review(people) for _ in range(3)]
    listed = a_list(people, versions)
    records.recall(current(versions[1]), by=people.author, reason="Changed my mind about it.")
    with pytest.raises(trail.Refused, match="waits for no signature"):
        sign_list(people, listed)
    assert not Signature.objects.exists()
    assert not Intent.objects.filter(used_at__isnull=False).exists()  # and no code was spent in vain
    refused("state")


@pytest.mark.compliance("§2.16", "S8")
def test_compliance_a_list_that_breaks_in_its_transaction_signs_nothing(people, monkeypatch):
    listed = a_list(people, [builders.a_document_in_review(people) for _ in range(3)])
    from signatures import signing as ceremony

    written: list[Signature] = []
    write = ceremony._write

    def breaks(*given):
        if len(written) == 2:
            raise RuntimeError("the plug was pulled")
        written.append(write(*given))
        return written[-1]

    monkeypatch.setattr(ceremony, "_write", breaks)
    with pytest.raises(RuntimeError):
        sign_list(people, listed)
    assert len(written) == 2
    assert not Signature.objects.exists()


@pytest.mark.compliance("§2.16", "S8")
def test_compliance_each_item_of_a_list_has_its_own_statement_in_one_chain_and_binds_the_hash_of_the_list(people):
    versions = [builders.a_document_in_review(people) for _ in range(4)]
    listed = a_list(people, versions)
    signatures = sign_list(people, listed)
    assert {signature.version_id for signature in signatures} == {version.pk for version in versions}
    assert len({signature.intent_id for signature in signatures}) == 4
    hashes = [signature.statement_sha256 for signature in signatures]
    assert [signature.previous_sha256 for signature in signatures] == ["", *hashes[:-1]]
    assert {json.loads(bytes(row.statement))["list_sha256"] for row in signatures} == {intents.list_digest(listed)}
    assert {row.top_hash for row in signatures} == {version.top_hash for version in versions}
    assert all(
        verdict.valid for verdict in check_all(Signature.objects.select_related("version__record", "key")).values()
    )


@pytest.mark.compliance("§2.16", "S8")
@pytest.mark.parametrize("kept", [slice(1), slice(2), slice(1, 3)])
def test_compliance_a_part_of_the_list_that_was_opened_is_refused(people, kept):
    listed = a_list(people, [builders.a_document_in_review(people) for _ in range(3)])
    with pytest.raises(trail.Refused, match="not the list that was opened") as caught:
        sign_list(people, listed[kept])
    assert caught.value.status == 409
    assert not Signature.objects.exists()


@pytest.mark.compliance("§2.16", "S8")
def test_compliance_dialogs_that_were_opened_one_by_one_are_no_list(people):
    tables = [Table(builders.a_document_in_review(people), people.reviewer)]
    tables.append(Table(builders.a_document_in_review(people), people.reviewer, tables[0].sitting))
    with pytest.raises(trail.Refused, match="not the list that was opened"):
        sign_list(people, [table.intent for table in tables])
    refused("list")


@pytest.mark.compliance("§2.16", "S8")
def test_compliance_an_item_of_a_list_that_was_not_opened_keeps_all_of_it_unsigned(people):
    versions = [builders.a_document_in_review(people) for _ in range(3)]
    where = acts.sitting(people.reviewer)
    for version in versions[:2]:
        acts.open_pages(version, where)
    steps = [acts.waiting_step(version, people.reviewer) for version in versions]
    listed = intents.open_list(steps, user=people.reviewer, sitting=where)
    with pytest.raises(trail.Refused, match="Open every page"):
        sign_list(people, listed)
    assert not Signature.objects.exists()


@pytest.mark.compliance("§2.16", "S8")
def test_compliance_a_list_has_at_most_twenty_different_versions(reviewing):
    with pytest.raises(trail.Refused, match="1 to 20"):
        sign_all(
            [reviewing.intent.pk] * 2, "review", signer=reviewing.user, sitting=reviewing.sitting,
            credentials=acts.credentials(reviewing.user),
        )  # fmt: skip
    with pytest.raises(trail.Refused, match="1 to 20"):
        intents.open_list([reviewing.step] * 21, user=reviewing.user, sitting=reviewing.sitting)


# The trail is reviewed with the record


@pytest.mark.compliance("11.10(e)", "A6")
def test_compliance_an_approval_needs_the_trail_to_be_reviewed_and_binds_its_last_entry(version, people):
    Table(version, people.reviewer).sign(reviewed=False)  # asked for with an approval alone
    newest = Entry.objects.filter(subject_id=str(version.pk)).order_by("-id").first()
    table = Table(version, people.approver)
    with pytest.raises(trail.Refused, match="tick that you have reviewed it") as caught:
        table.sign(reviewed=False)
    assert caught.value.status == 400
    refused("not reviewed")
    signature = table.sign()
    assert signature.reviewed_to == newest.pk
    assert json.loads(bytes(signature.statement))["reviewed_to"] == str(newest.pk)


@pytest.mark.compliance("11.10(e)", "A6")
def test_compliance_a_rejection_needs_no_review_of_the_trail(version, people):
    signature = Table(version, people.reviewer).sign("rejection", reason="It cannot be tested.", reviewed=False)
    assert signature.reviewed_to is None


@pytest.mark.compliance("§2.17", "11.50(a)(2)", "F8")
def test_row_17_a_clock_that_went_back_lets_nobody_sign(reviewing, ticking):
    ticking.advance(hours=-1)
    for _ in range(2):
        with pytest.raises(trail.Refused, match="clock is behind"):
            reviewing.sign()
        refused("clock")
    assert not Signature.objects.exists()


@pytest.mark.compliance("§2.17", "11.50(a)(2)")
def test_row_17_the_time_is_the_databases(reviewing, ticking):
    ticking.advance(days=300)
    table = Table(reviewing.version, reviewing.user)
    assert (table.sign().signed_at - datetime.now(UTC)).days in {299, 300}


@pytest.mark.compliance("§2.25", "11.10(f)", "S2")
def test_row_25_an_approval_before_the_review_is_refused(version, people):
    with pytest.raises(trail.Refused, match="not this step's turn"):
        Table(version, people.approver).sign()
    refused("order")
    assert not Step.objects.awaiting(people.approver).exists()
    assert Step.objects.awaiting(people.reviewer).get().meaning == "review"


def test_reviewers_side_by_side_sign_in_any_order(people):
    version = builders.a_document_in_review(people, reviewers=[people.reviewer, people.approver2])
    for person in (people.approver2, people.reviewer, people.approver):
        Table(version, person).sign()
    assert current(version).state == "approved"


@pytest.mark.compliance("11.200(a)(2)", "§2.12")
def test_a_signature_asked_of_somebody_else_is_refused(people):
    version = builders.a_document_in_review(people, reviewers=[people.approver2])
    with pytest.raises(trail.Refused, match="somebody else"):
        Table(version, people.reviewer).sign("review")
    refused("assignee")


@pytest.mark.compliance("11.10(g)")
def test_11_10_g_a_role_lost_while_the_dialog_is_open_signs_nothing(reviewing, people):
    with transaction.atomic():
        reviewing.user.groups.clear()
        trail.record(Action.USER_ROLES_CHANGED, reviewing.user, by=people.administrator)
    with pytest.raises(trail.Refused, match="asked of a reviewer"):
        reviewing.sign()
    refused("role")


def test_who_may_not_see_the_version_cannot_sign_it(people):
    version = builders.a_package(people)
    with pytest.raises(trail.Refused, match="does not include"):
        Table(version, people.outsider).sign()
    assert not Step.objects.awaiting(people.outsider).exists()


# Training and the first day (11.10(i), (j))


@pytest.mark.compliance("11.10(i)")
def test_11_10_i_overdue_training_blocks_signing_until_it_is_read(people, ticking):
    sop = builders.an_sop(people, gate="signing", days=3)
    acts.sign(people.reviewer, sop)
    acts.sign(people.approver, sop)
    version = builders.a_document_in_review(people)
    ticking.advance(days=2)
    acts.sign(people.reviewer, builders.a_document_in_review(people))
    ticking.advance(days=2)
    with pytest.raises(trail.Refused, match=r"Training is overdue: SOP-0001 1\.0"):
        Table(version, people.reviewer).sign()
    refused("training")
    ticking.next_code()
    acts.read(people.reviewer, current(sop))
    ticking.next_code()
    signature = Table(version, people.reviewer).sign()
    assert b"SOP-0001 1.0, Electronic signatures" in bytes(signature.statement)


@pytest.mark.compliance("S6")
def test_while_the_founding_lasts_only_an_sop_can_be_signed(people, ticking):
    with transaction.atomic():
        Founding.objects.update(ended_at=None)
        trail.record(Action.FOUNDING_STARTED, Founding.objects.get(), by=trail.SYSTEM)
    version = builders.a_document_in_review(people)
    with pytest.raises(trail.Refused, match="when the first e-signature SOP is effective"):
        Table(version, people.reviewer).sign()
    refused("founding")
    ticking.next_code()
    sop = builders.an_sop(people, gate="signing")
    acts.sign(people.reviewer, sop)
    acts.sign(people.approver, sop)
    signed = Entry.objects.filter(action=Action.SIGNATURE_APPLIED, subject_id=str(sop.pk))
    assert signed.count() == 2 and all(entry.detail["founding"] for entry in signed)
    assert Founding.objects.get().ended_at is not None
    assert Entry.objects.get(action=Action.FOUNDING_ENDED, actor=str(people.approver.pk))


# Broken in the middle (row 24), and the portal's key (F27)


@pytest.mark.compliance("§2.24")
def test_row_24_a_body_that_raises_leaves_no_signature_and_its_code_stays_spent(reviewing, ticking):
    time_for_a_code(20)
    credentials = acts.credentials(reviewing.user)
    with pytest.raises(RuntimeError), signing(
        [reviewing.intent.pk], "review", signer=reviewing.user, credentials=credentials, sitting=reviewing.sitting
    ):  # fmt: skip
        raise RuntimeError("the plug was pulled")
    assert not Signature.objects.exists()
    assert not Entry.objects.filter(action=Action.SIGNATURE_APPLIED).exists()
    assert Step.objects.get(pk=reviewing.step.pk).signature_id is None
    assert Sitting.objects.get(pk=reviewing.sitting.pk).last_signed_at is None
    again = Table(reviewing.version, reviewing.user)
    with pytest.raises(identity.NotConfirmed):
        again.sign(code=credentials.code)
    refused("code used before")
    ticking.next_code()
    again.sign()


@pytest.mark.compliance("F27")
def test_f27_without_the_portals_key_nobody_signs_and_no_code_is_spent(reviewing, settings, tmp_path):
    at_hand = settings.SIGNING_KEY_FILE
    settings.SIGNING_KEY_FILE, settings.EMBEDDED = tmp_path / "away.pem", False
    time_for_a_code(20)
    code = acts.code(reviewing.user)
    with pytest.raises(trail.Refused, match="key is not at") as caught:
        reviewing.sign(code=code)
    assert caught.value.status == 503
    settings.SIGNING_KEY_FILE = at_hand
    assert reviewing.sign(code=code)
