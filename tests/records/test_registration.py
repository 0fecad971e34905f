"""The gate: what is refused stores nothing and says everything; what is admitted names what admitted it (R1, R2, R3)."""

import itertools
import json
import os

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction

from accounts import transitions as people
from accounts.models import User
from audit import trail
from audit.actions import Action
from audit.models import Entry
from demo.packages import metadata
from portal import handlers
from records import definitions, lifecycle, manifest, numbers, registration, renditions, transitions
from records.models import File, Record, RecordType, Version
from signatures import routes
from signatures.models import Step
from storage import s3, worm
from tests.acts import sign
from tests.firm import RECORDS_BUCKET, next_code, put_package


def offer(firm, prefix, said, *, record=None, **more):
    """Register what lies under the prefix, as the operator."""
    found = registration.look(RECORDS_BUCKET, prefix, by=firm.operator)
    return registration.register(
        record or firm.kras, found.entries, said, by=firm.operator,
        then=lambda made, definition: routes.of_definition(made, definition, by=firm.operator), **more,
    )  # fmt: skip


def stored():
    return Version.objects.count(), File.objects.count(), Step.objects.count()


def test_a_refusal_stores_nothing_and_is_on_the_trail_with_all_its_failures(firm):
    before = stored()
    wrong = metadata(1, 3) | {"run_id": "2217"}
    with pytest.raises(registration.ContractFailed) as refused, trail.refusals(firm.operator):
        offer(firm, put_package(1, 3, complete=False), wrong)
    assert stored() == before
    sentences = [failure.sentence for failure in refused.value.failures]
    assert len(sentences) == 2
    assert sentences[0].startswith("Quality control report (qc/report.pdf) is missing")
    assert "run_id" in sentences[1]
    entry = Entry.objects.get(action=Action.VERSION_REFUSED)
    assert entry.detail["failures"] == sentences
    assert (entry.subject_label, entry.actor_name) == ("KRAS-001", firm.operator.legal_name)


def test_what_is_admitted_names_the_version_of_the_definition_and_asks_for_its_signatures(firm):
    version = offer(firm, put_package(1, 3), metadata(1, 3), message="Made again")
    assert (version.ordinal, version.state, version.definition.label) == (3, "registered", "DEF-0001 1.0")
    assert [(step.role, step.meaning) for step in version.steps.all()] == [("approver", "approval")]
    entry = Entry.objects.get(action=Action.VERSION_REGISTERED, subject_id=str(version.pk))
    assert entry.reason == "Made again" and entry.detail["top_hash"] == version.top_hash


@pytest.mark.compliance("11.1")
def test_old_records_keep_the_definition_that_admitted_them(firm):
    from records import defining, drafts
    from signatures import requests

    kind = RecordType.objects.get(pk="NGS")
    draft = drafts.check_out(kind.definition.draft, by=firm.author)
    stricter = defining.definition_of(draft).to_json()
    stricter["required_files"].append({"pattern": "consent.pdf", "label": "Consent"})
    draft = defining.save(draft, stricter, by=firm.author, message="Consent", on_top_of=draft.revision)
    made = defining.submit(draft, by=firm.author, message="Consent is asked for", then=lambda version: requests.open_route(
        version, requests.review_then_approval([firm.reviewer], [firm.approver], None), by=firm.author))  # fmt: skip
    next_code()
    for signer in (firm.reviewer, firm.approver):
        sign(signer, made)
    assert firm.version("KRAS-001", 1).definition.revision == "1.0"
    with pytest.raises(registration.ContractFailed, match="Consent"):
        offer(firm, put_package(1, 3), metadata(1, 3))
    from portal.pages.definitions import failures

    held = definitions.in_force(kind, made.created_at.replace(year=made.created_at.year + 1))
    assert held[0].revision == "2.0"
    assert [one.where for one in failures(held[1], firm.version("KRAS-001", 1))] == ["consent.pdf"]


def test_what_was_seen_is_what_is_registered_whatever_lies_on_top_of_it_by_then(firm):
    prefix = put_package(1, 3)
    found = registration.look(RECORDS_BUCKET, prefix, by=firm.operator)
    pinned = {entry.logical_key: entry.version_id for entry in found.entries}
    s3.client().put_object(Bucket=RECORDS_BUCKET, Key=f"{prefix}README.md", Body=b"# Something else\n")
    s3.client().delete_object(Bucket=RECORDS_BUCKET, Key=f"{prefix}qc/report.pdf")
    version = registration.register(firm.kras, found.entries, metadata(1, 3), by=firm.operator)
    assert {file.logical_key: file.s3_version for file in version.files.all()} == pinned
    assert "Something else" not in str(worm.get(_pin(version.files.get(logical_key="README.md"))))


def _pin(file):
    return worm.Pin(file.bucket, file.key, file.s3_version, file.size, file.sha256)


def test_a_file_that_is_not_what_its_name_says_is_refused_by_its_bytes(firm):
    prefix = put_package(1, 3)
    s3.client().put_object(Bucket=RECORDS_BUCKET, Key=f"{prefix}qc/report.pdf", Body=b"no PDF at all")
    before = stored()
    with pytest.raises(registration.ContractFailed) as refused:
        offer(firm, prefix, metadata(1, 3))
    assert [one.where for one in refused.value.failures] == ["qc/report.pdf"]
    assert "must be application/pdf" in str(refused.value) and stored() == before


@pytest.mark.compliance("11.10(h)")
def test_a_bucket_that_is_not_registered_for_the_person_is_never_read(firm):
    entry = manifest.Entry("README.md", "gxp-countersign", "sha256/aa", "v1", 3, "", {})
    with pytest.raises(registration.ContractFailed, match="Bucket gxp-countersign is not registered for you"):
        registration.register(firm.kras, [entry], metadata(1, 3), by=firm.operator)
    with pytest.raises(trail.Refused, match="not registered for you"):
        registration.look("gxp-countersign", "", by=firm.operator)


def test_nothing_is_registered_while_no_definition_is_effective(firm):
    from records import defining

    kind = defining.create_type("CELL", name="Cell images", prefix="CELL", numbering="counted", digits=3,
                                area=firm.laboratory, by=firm.author)  # fmt: skip
    record = numbers.create(kind, title="Plate 1", area=firm.laboratory, by=firm.operator)
    with pytest.raises(registration.ContractFailed, match="No definition of Cell images is effective"):
        offer(firm, put_package(1, 3), {}, record=record)


@pytest.mark.parametrize("number", ["KRAS-\uff10\uff10\uff17", "KRAS-\u0660\u0660\u0667"], ids=["fullwidth", "arabic"])
def test_a_number_that_reads_like_another_one_is_refused(firm, number):
    with pytest.raises(numbers.NumberRefused, match="looks like KRAS-001"):
        numbers.create(
            RecordType.objects.get(pk="NGS"), title="Twin", area=firm.laboratory, by=firm.operator, number=number
        )


def test_only_operators_and_scientists_register(firm):
    found = registration.look(RECORDS_BUCKET, put_package(1, 3), by=firm.operator)
    for who in (firm.author, firm.approver, firm.inspector, firm.outsider, firm.administrator):
        with pytest.raises(trail.Forbidden):
            registration.register(firm.kras, found.entries, metadata(1, 3), by=who)


@pytest.mark.compliance("§2.11")
def test_compliance_whoever_registered_a_rejected_version_does_not_approve_the_same_files_of_somebody_else(firm):
    sign(firm.approver, firm.version("KRAS-001", 2), meaning="rejection", reason="The report is of another run.")
    next_code()
    found = registration.look(RECORDS_BUCKET, put_package(1, 2), by=firm.scientist)

    def again():
        return registration.register(
            firm.kras, found.entries, metadata(1, 2), by=firm.scientist,
            then=lambda made, definition: routes.of_definition(made, definition, by=firm.scientist),
        )  # fmt: skip

    version = again()
    assert version.contributors == sorted([str(firm.operator.pk), str(firm.scientist.pk)])
    people.set_roles(firm.operator, ["approver"], by=firm.administrator, reason="He takes a post in quality")
    assert not Step.objects.awaiting(User.objects.get(pk=firm.operator.pk)).filter(version=version).exists()
    sign(firm.approver, version)
    assert again().contributors == [str(firm.scientist.pk)]


def test_the_rendition_is_kept_as_long_as_the_definition_says(firm):
    version = offer(firm, put_package(1, 3), metadata(1, 3))
    lock = s3.head(version.rendition["bucket"], version.rendition["key"], version.rendition["version_id"]).lock
    until = renditions.retained_until(version, definitions.read(version.definition))
    assert lock.mode == "COMPLIANCE"
    assert abs((lock.until - until).total_seconds()) < 120


def test_a_quilt_manifest_keeps_its_top_hash(firm):
    stated = manifest.parse(bytes(firm.version("KRAS-001", 1).manifest))
    version = registration.register(
        firm.kras, list(stated.entries), stated.user_meta, by=firm.operator, package=stated, message="From Quilt"
    )
    assert version.top_hash == firm.version("KRAS-001", 1).top_hash == manifest.top_hash(stated)
    assert bytes(version.manifest) == stated.to_bytes()


def test_a_quilt_manifest_whose_hash_does_not_fit_the_bytes_is_refused(firm):
    stated = manifest.parse(bytes(firm.version("KRAS-001", 1).manifest))
    from dataclasses import replace

    wrong = replace(stated.entries[0], sha256="0" * 64)
    with pytest.raises(registration.ContractFailed, match=f"{wrong.logical_key} is not what was stated"):
        registration.register(firm.kras, [wrong, *stated.entries[1:]], stated.user_meta, by=firm.operator)


# The commands --------------------------------------------------------------------------------------------------------


def register_by_command(tmp_path, prefix, said, *more, number="KRAS-001"):
    (tmp_path / "metadata.json").write_text(json.dumps(said))
    call_command("register_version", "NGS", number, "--from", f"s3://{RECORDS_BUCKET}/{prefix}",
                 "--metadata", str(tmp_path / "metadata.json"), "--by", "operator", *more)  # fmt: skip


def test_the_command_registers_and_exports_what_it_registered(firm, tmp_path, capsys):
    register_by_command(tmp_path, put_package(1, 3), metadata(1, 3), "--message", "By script")
    version = firm.version("KRAS-001", 3)
    assert version.top_hash in capsys.readouterr().out
    call_command("export_manifest", "KRAS-001", "3", "--output", str(tmp_path / "m.jsonl"))
    assert (tmp_path / "m.jsonl").read_bytes() == bytes(version.manifest)
    call_command("register_version", "NGS", "KRAS-002", "--manifest", str(tmp_path / "m.jsonl"), "--by", "operator",
                 "--title", "The same again", "--again", "Copied for the comparison of laboratories")  # fmt: skip
    assert firm.version("KRAS-002", 1).top_hash == version.top_hash


def test_the_command_registers_the_same_object_versions_again_only_with_a_reason(firm, tmp_path):
    same = ("--manifest", str(tmp_path / "m.jsonl"), "--by", "operator", "--title", "The same again")
    (tmp_path / "m.jsonl").write_bytes(bytes(firm.version("KRAS-001").manifest))
    with pytest.raises(
        CommandError, match=r"15 object versions belong to KRAS-001 version 1 already\. Say with --again"
    ):
        call_command("register_version", "NGS", "KRAS-002", *same)
    call_command("register_version", "NGS", "KRAS-002", *same, "--again", "Copied for the comparison of laboratories")
    version = firm.version("KRAS-002")
    assert version.message.endswith("Registered again: Copied for the comparison of laboratories")
    entry = Entry.objects.get(action=Action.VERSION_REGISTERED, subject_id=str(version.pk))
    assert "comparison of laboratories" in json.dumps([entry.reason, entry.detail])


def test_the_command_tells_every_failure_and_makes_no_record_for_a_refused_package(firm, tmp_path):
    wrong = metadata(1, 3) | {"samples": 0}
    with pytest.raises(CommandError) as refused:
        register_by_command(tmp_path, put_package(1, 3, complete=False), wrong, "--title", "New", number="KRAS-009")
    assert "qc/report.pdf" in str(refused.value) and "samples" in str(refused.value)
    assert not Record.objects.filter(number="KRAS-009").exists()
    assert Entry.objects.get(action=Action.VERSION_REFUSED).subject_label == "KRAS-009"


@pytest.mark.parametrize(("arguments", "said"), [
    (["--by", "nobody"], "nobody is no active user"),
    (["--from", "gxp/x"], "--from takes s3://bucket/prefix/"),
])  # fmt: skip
def test_the_command_says_what_is_wrong_with_its_arguments(firm, tmp_path, arguments, said):
    with pytest.raises(CommandError, match=said):
        register_by_command(tmp_path, "x/", {}, *arguments)


# The lifecycle of data, from its table -------------------------------------------------------------------------------

STATES = [state.value for state in lifecycle.State]
STEPS = sorted({step.name for steps in (lifecycle.steps("data"), lifecycle.steps("document")) for step in steps})
OPEN = {(step.name, source) for step in lifecycle.steps("data") for source in step.sources}
MOVES = {(source, target) for kind, source, target in lifecycle.moves() if kind == "data"}
REACHED = sorted({lifecycle.birth("data")} | {target for _, target in MOVES})
ILLEGAL_STEPS = [(step, state) for step, state in itertools.product(STEPS, REACHED) if (step, state) not in OPEN]
ILLEGAL_MOVES = [(a, b) for a, b in itertools.product(REACHED, STATES) if a != b and (a, b) not in MOVES]


def in_state(firm, state):
    """A version of data in the state, brought there by a step of the table."""
    version = firm.version("KRAS-001", 2)
    step = next((step.name for step in lifecycle.steps("data") if step.target == state), None)
    if step:
        with transaction.atomic():
            transitions.move(version, step, by=firm.approver, reason="for the test")
    version.refresh_from_db()
    assert version.state == state
    return version


@pytest.mark.compliance("11.10(f)")
@pytest.mark.parametrize(("step", "state"), ILLEGAL_STEPS)
def test_a_step_that_is_not_in_the_table_is_refused_by_the_verb_and_kept(firm, step, state):
    version = in_state(firm, state)
    with pytest.raises(trail.NotAllowed), trail.refusals(firm.approver), transaction.atomic(durable=True):
        transitions.move(version, step, by=firm.approver)
    version.refresh_from_db()
    assert version.state == state
    assert Entry.objects.filter(action=Action.STEP_REFUSED, subject_id=str(version.pk)).count() == 1


def by_save(version, target):
    version.state = target
    version.save(update_fields=["state"])


def by_update(version, target):
    Version.objects.filter(pk=version.pk).update(state=target)


def by_bulk_update(version, target):
    version.state = target
    Version.objects.bulk_update([version], ["state"])


def by_sql(version, target):
    with connection.cursor() as cursor:
        cursor.execute("UPDATE records_version SET state = %s WHERE id = %s", [target, version.pk])


@pytest.mark.compliance("11.10(f)")
@pytest.mark.parametrize("path", [by_save, by_update, by_bulk_update, by_sql])
@pytest.mark.parametrize(("source", "target"), ILLEGAL_MOVES)
def test_a_move_that_is_not_in_the_table_is_refused_on_every_path(firm, path, source, target):
    version = in_state(firm, source)
    with pytest.raises(DatabaseError, match="no step leads"), transaction.atomic():
        # The entry that a verb would write is there: it is the table that refuses.
        trail.record(Action.STEP_REFUSED, version, by=firm.approver)
        path(version, target)
    assert Version.objects.get(pk=version.pk).state == source


def test_a_move_of_the_table_without_its_entry_is_refused_at_commit(firm):
    version = firm.version("KRAS-001", 2)
    with pytest.raises(DatabaseError, match="unrecorded change"), transaction.atomic():
        by_update(version, "approved")


@pytest.mark.compliance("11.10(c)")
def test_a_version_cannot_be_born_approved_or_be_removed(firm):
    with psycopg.connect(os.environ["DATABASE_URL"]) as application:
        with pytest.raises(psycopg.Error, match="cannot begin as"), application.transaction():
            application.execute(
                "INSERT INTO records_version SELECT (jsonb_populate_record(v, jsonb_build_object('id', gen_random_uuid(),"
                " 'ordinal', 99, 'revision', ''))).* FROM records_version v WHERE state = 'approved' AND lifecycle = 'data'"
            )
        with pytest.raises(psycopg.Error), application.transaction():
            application.execute("DELETE FROM records_version")


# Jobs ----------------------------------------------------------------------------------------------------------------


def asked(firm, *, complete=True, said=None):
    found = registration.look(RECORDS_BUCKET, put_package(1, 3, complete=complete), by=firm.operator)
    return handlers.ask_to_register(
        firm.kras, found.entries, said or metadata(1, 3), message="By job", by=firm.operator
    )


def test_a_registration_by_job_ends_at_its_version(firm):
    from jobs import queue

    job = queue.run(asked(firm).pk)
    assert (job.state, job.page) == ("done", "/records/KRAS-001/v3/")
    assert firm.version("KRAS-001", 3).author == firm.operator


def test_a_registration_that_runs_twice_makes_one_version(firm):
    job = asked(firm)
    job.refresh_from_db()
    job.state, job.attempts = "running", 1
    job.save()
    first = handlers.register(job)
    assert handlers.register(job) == first
    assert firm.kras.versions.count() == 3


def test_whoever_lost_the_lease_seals_nothing(firm):
    from jobs.models import Job, LeaseLost

    job = asked(firm)
    Job.objects.filter(pk=job.pk).update(state="running", attempts=2)  # somebody else has it now
    job.state, job.attempts = "running", 1
    with pytest.raises(LeaseLost):
        handlers.register(job)
    assert firm.kras.versions.count() == 2


def test_a_refusal_inside_a_job_is_on_the_trail_in_the_name_of_who_asked(firm):
    from jobs import queue

    job = queue.run(asked(firm, complete=False).pk)
    assert job.state == "failed" and "qc/report.pdf" in job.error
    entry = Entry.objects.get(action=Action.VERSION_REFUSED)
    assert entry.actor_name == firm.operator.legal_name and len(entry.detail["failures"]) == 1
    assert firm.kras.versions.count() == 2


def test_a_verification_that_runs_twice_is_kept_once(firm):
    from records.models import Verification

    job = handlers.ask_to_verify(firm.version("KRAS-001"), by=firm.inspector)
    job.refresh_from_db()
    job.state, job.attempts = "running", 1
    job.save()
    assert handlers.verify(job) == handlers.verify(job)
    assert Verification.objects.count() == 1
