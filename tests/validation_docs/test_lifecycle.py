"""A document moves by its table of steps alone, on every path; one version is effective at any instant, asked when read."""

import itertools
import threading
from datetime import timedelta

import psycopg
import pytest
from django.db import DatabaseError, connection, connections, transaction

from audit import clock, trail
from audit.models import Entry
from records import documents, drafts, lifecycle, numbers, transitions
from records.lifecycle import State
from records.models import Draft, Effectivity, Record, RecordType, Version
from tests import acts, builders
from tests.firm import make_buckets
from validation_docs import transitions as validation_docs

STATES = [State.IN_REVIEW, State.APPROVED, State.REJECTED, State.RECALLED, State.RETIRED]
STEPS = {step.name: step for step in lifecycle.steps("document")}
ILLEGAL_STEPS = [
    (name, state) for name, state in itertools.product(STEPS, STATES) if lifecycle.find("document", name, state) is None
]
LEGAL_MOVES = {(source, target) for kind, source, target in lifecycle.moves() if kind == "document"}
ILLEGAL_MOVES = [pair for pair in itertools.permutations(STATES, 2) if pair not in LEGAL_MOVES]
PATHS = ("save", "update", "bulk_update", "sql")


def version_in(people, state: str) -> Version:
    """A document's version in that state, led there by the table's own steps."""
    version = builders.a_document_in_review(people)
    way = {
        State.IN_REVIEW: [],
        State.APPROVED: ["approve"],
        State.REJECTED: ["reject"],
        State.RECALLED: ["recall"],
        State.RETIRED: ["approve", "retire"],
    }[State(state)]
    for step in way:
        with transaction.atomic():
            version = transitions.move(version, step, by=people.approver, reason="On the way there")
    return Version.objects.get(pk=version.pk)


@pytest.mark.compliance("11.10(f)")
@pytest.mark.parametrize(("step", "state"), ILLEGAL_STEPS)
def test_the_verb_refuses_a_step_that_the_table_does_not_have(people, step, state):
    version = version_in(people, state)
    with pytest.raises(trail.NotAllowed, match="is not open to it"), transaction.atomic():
        transitions.move(version, step, by=people.approver)
    assert Version.objects.get(pk=version.pk).state == state


@pytest.mark.compliance("11.10(f)")
@pytest.mark.parametrize(("state", "target"), ILLEGAL_MOVES)
def test_no_path_around_the_verb_takes_a_step_that_the_table_does_not_have(people, state, target):
    version = version_in(people, state)
    for path in PATHS:
        with pytest.raises(DatabaseError, match="no step leads"), transaction.atomic():
            _force(version, target, path)
        assert Version.objects.get(pk=version.pk).state == state, path


def _force(version: Version, target: str, path: str) -> None:
    # The entry is there, so that nothing but the lifecycle stands in the way.
    trail.record(lifecycle_action(), version, by=trail.SYSTEM)
    version.state = target
    if path == "save":
        version.save(update_fields=["state"])
    elif path == "update":
        Version.objects.filter(pk=version.pk).update(state=target)
    elif path == "bulk_update":
        Version.objects.bulk_update([version], ["state"])
    else:
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_user")
            assert cursor.fetchone() == ("countersign_app",)
            cursor.execute("UPDATE records_version SET state = %s WHERE id = %s", [target, version.pk])


def lifecycle_action():
    from audit.actions import Action

    return Action.VERSION_APPROVED


def test_a_version_is_born_in_review_and_nowhere_else(people):
    version = builders.a_document_in_review(people)
    for state in set(STATES) - {State.IN_REVIEW}:
        columns = "record_id, lifecycle, author_id, manifest, top_hash, pins_sha256, rendition, rendition_sha256, rendition_pages, "
        columns += "revision, contributors, created_at, message, metadata, definition_id"
        with pytest.raises(DatabaseError, match="cannot begin as"), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(
                f"INSERT INTO records_version (id, ordinal, state, {columns}) SELECT gen_random_uuid(), 99, %s, {columns}"
                " FROM records_version WHERE id = %s",
                [state, version.pk],
            )


@pytest.mark.compliance("11.10(c)", "§2.9")
def test_what_is_sealed_cannot_be_changed_by_the_application(people):
    version = builders.a_document_in_review(people)
    for column, value in (("message", "other"), ("top_hash", "0" * 64), ("rendition_sha256", "0" * 64), ("ordinal", 7)):
        with pytest.raises(DatabaseError, match="is sealed"), transaction.atomic():
            trail.record(lifecycle_action(), version, by=trail.SYSTEM)
            Version.objects.filter(pk=version.pk).update(**{column: value})


def test_a_revision_label_is_given_at_approval_only(people):
    version = builders.a_document_in_review(people)
    with pytest.raises(DatabaseError, match="given at approval"), transaction.atomic():
        trail.record(lifecycle_action(), version, by=trail.SYSTEM)
        Version.objects.filter(pk=version.pk).update(revision="7.0")


# Effective, superseded ------------------------------------------------------------------------------------------------


def approve(people, version: Version, ticking) -> Version:
    acts.sign(people.reviewer, version)
    acts.sign(people.approver, version)
    ticking.next_code()
    return Version.objects.select_related("effectivity", "record").get(pk=version.pk)


@pytest.mark.compliance("11.10(k)")
def test_effective_on_its_date_without_any_job_and_its_predecessor_superseded_at_that_instant(people, ticking):
    first = approve(people, builders.a_document_in_review(people), ticking)
    begins = acts.in_days(10)
    second = builders.a_document_in_review(people, record=first.record, text="Second.", effective_on=begins)
    second = approve(people, second, ticking)
    assert [each.status_at(clock.now()) for each in _fresh(first, second)] == ["effective", "scheduled"]
    ticking.advance(days=10)
    assert [each.status_at(clock.now()) for each in _fresh(first, second)] == ["superseded", "effective"]
    just_before = begins - timedelta(microseconds=1)
    assert [each.status_at(just_before) for each in _fresh(first, second)] == ["effective", "scheduled"]
    assert [
        list(Version.objects.effective_on(at).values_list("revision", flat=True)) for at in (just_before, begins)
    ] == [
        ["1.0"],
        ["2.0"],
    ]


def _fresh(*versions: Version) -> list[Version]:
    return [Version.objects.select_related("effectivity").get(pk=version.pk) for version in versions]


def test_a_version_overtaken_before_its_date_was_never_effective(people, ticking):
    first = builders.a_document_in_review(people, effective_on=acts.in_days(10))
    first = approve(people, first, ticking)
    second = approve(people, builders.a_document_in_review(people, record=first.record, text="Second."), ticking)
    ticking.advance(days=20)
    assert [each.status_at(clock.now()) for each in _fresh(first, second)] == ["superseded", "effective"]


def test_two_effective_versions_at_one_instant_are_refused_by_the_database(people, ticking):
    first = approve(people, builders.a_document_in_review(people), ticking)
    second = builders.a_document_in_review(people, record=first.record, text="Second.")
    with pytest.raises(DatabaseError, match="one_effective_version"), transaction.atomic():
        trail.record(lifecycle_action(), second, by=trail.SYSTEM)
        Effectivity.objects.create(version=second, record=first.record, during=(acts.clock.now(), None))


def test_two_approvals_racing_leave_one_effective_version(people):
    record = builders.a_record(people)
    versions = []
    for text in ("One.", "Two."):
        version = builders.a_version(record, by=people.author, text=text)
        with transaction.atomic():
            versions.append(transitions.move(version, "approve", by=people.approver))
    barrier, failures = threading.Barrier(2), []

    def take(version: Version) -> None:
        try:
            barrier.wait()
            with transaction.atomic(durable=True):
                transitions.take_effect(version, by=people.approver)
        except DatabaseError as error:
            failures.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=take, args=[version]) for version in versions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Version.objects.effective_on(clock.now()).filter(record=record).count() == 1
    assert len(failures) <= 1


def test_a_retired_document_is_effective_no_more_and_was_effective_before(people, ticking):
    version = approve(people, builders.a_document_in_review(people), ticking)
    ticking.advance(days=5)
    while_effective = clock.now()
    ticking.advance(days=5)
    with pytest.raises(trail.Refused, match="10 letters"):
        acts.retire(people.approver, version, "old")
    with pytest.raises(trail.Refused, match="role does not include"):
        acts.retire(people.author, version, "Replaced by the new system.")
    acts.retire(people.approver, version, "Replaced by the new system.")
    [version] = _fresh(version)
    assert (version.status_at(clock.now()), version.status_at(while_effective)) == ("retired", "effective")
    assert not Version.objects.effective_on(clock.now()).exists()
    assert Version.objects.effective_on(while_effective).get() == version
    told = Entry.objects.get(action="version.retired")
    assert (told.actor_name, told.reason) == ("Chidi Okafor", "Replaced by the new system.")


def test_a_superseded_version_is_not_retired(people, ticking):
    first = approve(people, builders.a_document_in_review(people), ticking)
    approve(people, builders.a_document_in_review(people, record=first.record, text="Second."), ticking)
    with pytest.raises(trail.NotAllowed, match="superseded already"):
        acts.retire(people.approver, first, "Replaced by the new system.")


@pytest.mark.compliance("11.10(f)")
def test_compliance_a_document_in_effect_is_not_retired_before_the_version_that_is_scheduled(people, ticking):
    first = approve(people, builders.a_document_in_review(people), ticking)
    second = builders.a_document_in_review(people, record=first.record, text="Second.", effective_on=acts.in_days(10))
    second = approve(people, second, ticking)
    with pytest.raises(trail.NotAllowed, match=r"URS-0001 2\.0 takes effect on .* retire URS-0001 2\.0 first"):
        acts.retire(people.approver, first, "Replaced by the new system.")
    ticking.next_code()
    acts.retire(people.approver, second, "The new system is not bought.")
    ticking.advance(days=20)
    assert [each.status_at(clock.now()) for each in _fresh(first, second)] == ["effective", "retired"]
    told = Entry.objects.filter(action="version.effective", subject_id=str(first.pk)).latest("id")
    assert "from" in told.detail and "until" not in told.detail
    acts.retire(people.approver, first, "Replaced by the old system.")
    assert not Version.objects.effective_on(clock.now()).exists()


def test_only_its_author_recalls_a_version_and_says_why(people):
    version = builders.a_document_in_review(people)
    with pytest.raises(trail.Forbidden):
        transitions.recall(version, by=people.approver, reason="Not mine, but I would like to.")
    with pytest.raises(trail.Refused, match="10 letters"):
        transitions.recall(version, by=people.author, reason="oops")
    transitions.recall(version, by=people.author, reason="Submitted with the wrong annex.")
    assert Version.objects.get(pk=version.pk).state == State.RECALLED


@pytest.mark.compliance("§2.13")
def test_an_edit_in_review_leaves_the_signed_version_as_it_was(people, ticking):
    make_buckets()
    record = builders.a_record(people)
    first = validation_docs.submit(
        record.draft, by=people.author, message="First issue", reviewers=[people.reviewer], approvers=[people.approver]
    )
    acts.sign(people.reviewer, first)
    draft = Draft.objects.get(pk=record.pk)
    drafts.check_out(draft, by=people.author)
    later = [{"id": "s1", "title": "Purpose", "guidance": "", "text": "Edited in review."}]
    drafts.save(draft, later, by=people.author, message="", on_top_of=draft.revision)
    approved = approve_last(people, first, ticking)
    assert documents.sections_of(approved)[0]["text"] == "Why."


def approve_last(people, version: Version, ticking) -> Version:
    acts.sign(people.approver, version)
    ticking.next_code()
    return Version.objects.get(pk=version.pk)


# Numbers --------------------------------------------------------------------------------------------------------------


def test_a_number_is_never_given_twice_and_a_gap_stays_a_gap(people):
    urs = RecordType.objects.get(pk="URS")

    def make(title: str) -> Record:
        return numbers.create(urs, title=title, area=people.laboratory, by=people.author, permission="document.write")

    first = make("First")
    # A document whose making failed after its number was counted: the transaction takes the number back with it.
    with pytest.raises(RuntimeError), transaction.atomic():
        make("Lost")
        raise RuntimeError
    second = make("Second")
    assert (first.number, second.number) == ("URS-0001", "URS-0002")
    with pytest.raises(DatabaseError), transaction.atomic():
        Record.objects.filter(pk=second.pk).delete()
    RecordType.objects.filter(pk="URS").update(last_number=40)
    assert make("After a gap").number == "URS-0041"
    RecordType.objects.filter(pk="URS").update(last_number=1)
    with pytest.raises(DatabaseError):
        make("Counted back by hand")


def test_twenty_documents_made_at_once_get_twenty_numbers(people):
    urs, made, lock = RecordType.objects.get(pk="URS"), [], threading.Lock()

    def make() -> None:
        try:
            record = numbers.create(
                RecordType.objects.get(pk=urs.pk), title="At once", area=people.laboratory, by=people.author,
                permission="document.write",
            )  # fmt: skip
            with lock:
                made.append(record.number)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=make) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(made) == [f"URS-{number:04}" for number in range(1, 21)]


def test_the_application_role_cannot_drop_the_guards(people):
    for statement in (
        "ALTER TABLE records_version DISABLE TRIGGER ALL",
        "ALTER TABLE records_effectivity DROP CONSTRAINT one_effective_version",
        "TRUNCATE records_version CASCADE",
    ):
        with pytest.raises(DatabaseError) as refused, transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)
        assert isinstance(refused.value.__cause__, psycopg.Error)
