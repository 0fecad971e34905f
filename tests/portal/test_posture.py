"""Storage posture across the floors: baseline, readings, drift, snapshot, command and pages (R6)."""

import csv
import io
import json
import uuid

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, transaction

from accounts import transitions as people_verbs
from audit import trail
from audit.actions import Action
from audit.alarms import Kind
from audit.models import Alarm, Entry
from inspections.queries import suggestions
from jobs import queue
from jobs.models import Job
from portal import posture
from records import reports
from records.models import Version
from standin.filling import Keeper, make_bucket
from storage import queries
from storage.models import Bucket, PostureReading
from storage.posture import RULES, Verdict
from storage.transitions import register_bucket
from tests import acts
from tests.firm import make_buckets

WHY = "The settings that were qualified in IQ-0001"


@pytest.fixture
def keeper(settings) -> Keeper:
    return Keeper(settings.S3_ENDPOINT_URL)


@pytest.fixture
def bucket(people, keeper) -> Bucket:
    """One bucket of its own, registered for everybody."""
    make_buckets()
    name = f"posture-{uuid.uuid4()}"
    make_bucket(keeper.url, name)
    return register_bucket(name, label="Runs", purpose="records", by=people.administrator)


def break_it(keeper: Keeper, bucket: Bucket) -> None:
    rule = {"ID": "clean-up", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 30}}
    keeper.s3.put_bucket_lifecycle_configuration(Bucket=bucket.pk, LifecycleConfiguration={"Rules": [rule]})


def mend_it(keeper: Keeper, bucket: Bucket) -> None:
    keeper.s3.delete_bucket_lifecycle(Bucket=bucket.pk)


def as_found(bucket: Bucket) -> dict:
    """What is wanted is what is there: whatever else changes is drift."""
    (reading,) = posture.read_now()
    return {bucket.pk: posture.found_in(reading)}


def signed(people, bucket: Bucket) -> Version:
    version = posture.propose(as_found(bucket), by=people.administrator, why=WHY)
    acts.sign(people.approver, version)
    version.refresh_from_db()
    return version


def verdict(reading: PostureReading, rule: str) -> str:
    return next(one["verdict"] for one in reading.findings if one["rule"] == rule)


@pytest.mark.compliance("R6", "11.10(k)")
def test_compliance_a_baseline_counts_once_an_approver_has_signed_it_and_each_change_is_a_version(people, bucket):
    version = posture.propose(as_found(bucket), by=people.administrator, why=WHY)
    assert (posture.current(), posture.waiting()) == (None, version)
    assert [one.baseline for one in posture.read_now()] == [""]
    with pytest.raises(trail.Refused, match="waits for its signature already"):
        posture.propose(as_found(bucket), by=people.approver, why=WHY)
    acts.sign(people.approver, version)
    assert posture.current() == version and posture.waiting() is None
    assert Job.objects.get(kind=posture.READ).state == "queued"
    assert [one.baseline for one in posture.read_now()] == ["SPB-0001 version 1"]
    second = posture.propose(
        {bucket.pk: {"lock": None}}, by=people.approver, why="Object Lock comes with the new account"
    )
    assert (second.record, second.ordinal) == (version.record, 2)
    assert posture.current() == version
    assert people.client(people.approver).get("/").context is not None
    acts.sign(people.approver2, second)
    assert posture.current() == second
    assert reports.read(second)["buckets"] == {bucket.pk: {"lock": None}}
    assert reports.read(version)["buckets"][bucket.pk]["lock"] == "Enabled"
    (reading,) = posture.read_now()
    assert verdict(reading, "lock") == Verdict.NOT_ASKED


@pytest.mark.compliance("R6", "11.10(g)")
def test_compliance_nobody_signs_a_baseline_that_they_proposed(people, bucket):
    version = posture.propose(as_found(bucket), by=people.approver, why=WHY)
    with pytest.raises(Exception, match=r"wrote|author|DoesNotExist|does not exist"):
        acts.sign(people.approver, version)
    assert posture.current() is None
    with pytest.raises(trail.Forbidden):
        posture.propose({}, by=people.inspector, why=WHY)
    with pytest.raises(trail.Refused, match="Give a reason"):
        acts.sign(people.approver2, version) and posture.propose(as_found(bucket), by=people.approver, why=" ")


@pytest.mark.compliance("R6", "11.300(d)", "11.10(e)")
def test_compliance_drift_from_the_baseline_is_an_alarm_that_clears_visibly(people, bucket, keeper):
    signed(people, bucket)
    posture.read_now()
    assert not Alarm.objects.exists()
    break_it(keeper, bucket)
    (reading,) = posture.read_now()
    assert verdict(reading, "expiry") == Verdict.FAILS
    alarm = Alarm.objects.get(kind=Kind.POSTURE_DRIFT)
    assert (alarm.subject_id, alarm.count, alarm.cleared_at) == (bucket.pk, 1, None)
    assert "SPB-0001 version 1" in alarm.sentence and "Lifecycle rules that remove versions" in alarm.sentence
    entry = Entry.objects.filter(action=Action.POSTURE_READ).latest("id")
    assert (entry.detail["fails"], entry.detail["changed"]) == (["expiry"], ["expiry"])
    posture.read_now()
    alarm.refresh_from_db()
    assert alarm.count == 1, "the same drift, read again, is no news"
    mend_it(keeper, bucket)
    posture.read_now()
    alarm.refresh_from_db()
    assert alarm.cleared_at is not None and "nothing drifts" in alarm.cleared_how
    told = [entry.action for entry in Entry.objects.filter(subject_kind="alarm").order_by("id")]
    assert told == [Action.ALARM_RAISED, Action.ALARM_CLEARED]


@pytest.mark.compliance("R6")
def test_compliance_without_a_baseline_only_what_passed_before_can_drift(people, bucket, keeper):
    posture.read_now()
    (reading,) = posture.read_now()
    assert reading.counts[Verdict.FAILS], "this bucket is not as recommended"
    assert not Alarm.objects.exists()
    break_it(keeper, bucket)
    posture.read_now()
    posture.read_now()
    alarm = Alarm.objects.get(kind=Kind.POSTURE_DRIFT)
    assert (alarm.detail["rules"], alarm.count) == (["expiry"], 1)
    assert "no baseline is signed" in alarm.sentence
    mend_it(keeper, bucket)
    posture.read_now()
    alarm.refresh_from_db()
    assert alarm.cleared_at is not None


@pytest.mark.compliance("R6", "DBA")
def test_compliance_a_reading_is_never_changed_nor_removed(people, bucket):
    (reading,) = posture.read_now()
    for act in (
        lambda: PostureReading.objects.update(baseline="SPB-0001 version 1"),
        PostureReading.objects.all().delete,
    ):
        with pytest.raises(DatabaseError), transaction.atomic():
            act()
    reading.refresh_from_db()
    assert reading.baseline == ""


@pytest.mark.compliance("R6", "11.10(a)")
def test_compliance_the_command_ends_with_0_only_when_every_rule_passes(people, bucket, keeper, capsys):
    with pytest.raises(CommandError, match="do not pass"):
        call_command("posture")
    assert "COULD NOT BE READ" in (said := capsys.readouterr().out) or "DOES NOT PASS" in said
    signed(people, bucket)
    call_command("posture", "--json")
    (told,) = json.loads(capsys.readouterr().out)["readings"]
    assert (told["bucket"], told["baseline"]) == (bucket.pk, "SPB-0001 version 1")
    assert {one["verdict"] for one in told["findings"]} <= {Verdict.PASSES, Verdict.NOT_ASKED}
    break_it(keeper, bucket)
    with pytest.raises(CommandError, match="1 rule does not pass"):
        call_command("posture")
    assert (
        "DOES NOT PASS      Lifecycle rules that remove versions [11.10(c), 11.10(e)]: clean-up"
        in capsys.readouterr().out
    )


def test_the_command_says_that_there_is_nothing_to_read(people):
    with pytest.raises(CommandError, match="No bucket is registered"):
        call_command("posture")


@pytest.mark.compliance("R6", "11.10(b)")
def test_compliance_a_snapshot_is_a_sealed_version_that_somebody_answers_for(people, bucket):
    with pytest.raises(trail.Refused, match="No bucket was read yet"):
        posture.seal_snapshot(by=people.approver)
    (reading,) = posture.read_now()
    version = posture.seal_snapshot(by=people.approver)
    (told,) = reports.read(version)["readings"]
    assert (told["bucket"], told["findings"]) == (bucket.pk, reading.findings)
    acts.sign(people.approver, version)
    version.refresh_from_db()
    assert (version.record.number, version.state) == ("SPS-0001", "approved")
    page = people.client(people.approver).get(version.get_absolute_url()).content.decode()
    assert "What does not pass" in page and "Object Lock" in page
    assert suggestions(people.approver) == [], "an inspector is not offered reports as what to ask about"
    theirs = posture.seal_snapshot(by=people.administrator)
    acts.sign(people.approver2, theirs)
    theirs.refresh_from_db()
    assert theirs.state == "approved"


def test_a_reading_each_day_and_run_twice_a_job_reads_once(people, bucket, ticking):
    job = posture.ask_if_due()
    assert job is not None and posture.ask_if_due().pk == job.pk
    assert queue.run(job.pk).state == "done"
    Job.objects.filter(pk=job.pk).update(state="queued")  # as after a worker that died before it could say so
    assert queue.run(job.pk).state == "done"
    assert PostureReading.objects.count() == 1
    assert posture.ask_if_due() is None
    ticking.advance(hours=25)
    assert posture.ask_if_due() is not None


def test_the_pages_tell_rules_history_and_copies(people, bucket, keeper):
    client = people.client(people.inspector)
    assert "Nothing was read yet" in client.get("/posture/").content.decode()
    assert "Not read yet" in client.get(f"/posture/buckets/{bucket.pk}/").content.decode()
    assert client.get(f"/posture/buckets/{bucket.pk}/export/").status_code == 404
    posture.read_now()
    break_it(keeper, bucket)
    posture.read_now()
    page = client.get(f"/posture/buckets/{bucket.pk}/").content.decode()
    assert "Something else than at the reading before" in page and "clean-up" in page and "11.10(c)" in page
    first = bucket.readings.earliest("read_at")
    assert (
        "This is an earlier reading" in client.get(f"/posture/buckets/{bucket.pk}/?reading={first.pk}").content.decode()
    )
    assert client.get(f"/posture/buckets/{bucket.pk}/?reading=x").status_code == 404
    rows = list(
        csv.DictReader(io.StringIO(client.get(f"/posture/buckets/{bucket.pk}/export/").content.decode("utf-8-sig")))
    )
    assert [row["rule"] for row in rows] == [rule.id for rule in RULES if "records" in rule.recommended]
    assert client.get(f"/posture/buckets/{bucket.pk}/export/?as=pdf").content.startswith(b"%PDF")
    assert "Who may bypass retention?" in client.get("/posture/retention/").content.decode()
    assert client.post("/posture/read/").status_code == 302
    assert "Reading the storage posture" in client.get("/posture/progress/").content.decode()


@pytest.mark.compliance("R6")
def test_compliance_who_may_bypass_retention_is_told_by_name_or_as_unknown(people, bucket, keeper):
    client = people.client(people.inspector)
    assert "Not known for" in client.get("/posture/retention/").content.decode()
    keeper.keep(bucket.pk, writer="role/ngs-pipeline", days=1)
    posture.read_now()
    assert "Nobody, by the policies" in client.get("/posture/retention/").content.decode()


def test_nobody_is_led_to_a_page_that_they_may_not_open(people, bucket):
    for person, opens in ((people.inspector, 200), (people.operator, 403), (people.administrator, 403)):
        client = people.client(person)
        assert client.get("/inspection/").status_code == opens
        main = client.get("/posture/retention/").content.decode().split("<main")[1]
        assert ('href="/inspection/"' in main) == (opens == 200), person


def test_the_form_seals_what_was_chosen(people, bucket):
    posture.read_now()
    client = people.client(people.administrator)
    page = client.get("/posture/baseline/")
    assert page.status_code == 200 and "as found, as recommended" in page.content.decode()
    field = f"{bucket.pk}:replication"
    assert "Give a reason" in client.post("/posture/baseline/", {field: "none"}).content.decode()
    assert client.post("/posture/baseline/", {field: "none", "why": WHY}).status_code == 302
    version = posture.waiting()
    wanted = reports.read(version)["buckets"][bucket.pk]
    assert (wanted["replication"], wanted["versioning"]) == (None, "Enabled")
    assert Entry.objects.filter(action=Action.POSTURE_REFUSED).count() == 1
    assert "Waits for its signature" in client.get("/posture/").content.decode()


def test_a_baseline_is_filed_where_an_approver_can_sign_it_and_whoever_proposes_hears_what_stands_in_the_way(
    people, bucket
):
    acts.area_of_their_own(people.administrator)
    client = people.client(people.administrator)
    posture.read_now()
    answer = client.post("/posture/baseline/", {"why": WHY}, follow=True).content.decode()
    version = posture.waiting()
    assert version.record.area == people.laboratory and "Nobody in the area" not in answer
    acts.sign(people.approver, version)
    for quality in (people.approver, people.approver2):
        people_verbs.set_roles(quality, ["reviewer"], by=people.administrator2, reason="Their post in quality is over")
    answer = client.post("/posture/baseline/", {"why": WHY}, follow=True).content.decode()
    assert "Nobody in the area may sign as QA approver now" in answer


def test_a_bucket_of_another_area_is_out_of_sight(people, bucket, keeper):
    name = f"posture-{uuid.uuid4()}"
    make_bucket(keeper.url, name)
    register_bucket(name, label="Theirs", purpose="records", area=people.laboratory, by=people.administrator)
    posture.read_now()
    seen = {user.username: set(Bucket.objects.posture_for(user)) for user in (people.approver, people.outsider)}
    assert {one.pk for one in seen[people.approver.username]} == {bucket.pk, name}
    assert {one.pk for one in seen[people.outsider.username]} == {bucket.pk}
    assert people.client(people.outsider).get(f"/posture/buckets/{name}/").status_code == 404
    assert queries.latest(bucket) is not None
