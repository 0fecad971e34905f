"""What came into a record's bucket, or went, without an event is told: lifecycle rules leave none."""

from datetime import timedelta

import pytest

from audit import clock
from audit.models import Alarm, Entry
from cloudtrail import ingest, reconciliation, transitions
from cloudtrail.models import ObjectVersion, Reconciliation
from storage import s3
from tests.cloudtrail import given

LATER = timedelta(hours=3)


@pytest.fixture
def firm_objects(firm):
    """A record with its objects, and the bucket that they lie in."""
    from records.models import File

    pins = list(File.objects.filter(version__record=firm.kras).order_by("key"))
    return firm, pins[0].bucket, pins


def told(tmp_path, name, events):
    """Events that CloudTrail delivers."""
    files = {given.log_key(abs(hash(name)) % 10**9): given.packed(events)}
    transitions.load(given.hand_over(tmp_path / name, files), progress=ingest.silent)


def answer(version):
    return {"x-amz-version-id": version}


def judged(column):
    return dict(ObjectVersion.objects.values_list("s3_version", column))


@pytest.mark.compliance("A5", "11.10(c)")
def test_compliance_what_vanished_without_an_event_raises_an_alarm_and_stands_on_the_audit_view(
    firm_objects, ticking, tmp_path, monkeypatch
):
    firm, bucket, pins = firm_objects
    written = {one.version_id: one.last_modified for one in s3.history(bucket, "")}
    events = [
        given.s3(
            "PutObject", pin.key, bucket=bucket, at=written[pin.s3_version], responseElements=answer(pin.s3_version)
        )
        for pin in pins
    ]
    told(tmp_path, "first", events)
    reconciliation.compare(bucket)
    assert {pin.s3_version for pin in pins} <= set(judged("appeared"))
    gone, deleted = pins[0], pins[1]
    history = s3.history

    def without(name, prefix):
        return (one for one in history(name, prefix) if one.version_id not in (gone.s3_version, deleted.s3_version))

    monkeypatch.setattr(s3, "history", without)
    reconciliation.compare(bucket)
    told(tmp_path, "second", [given.s3("DeleteObject", deleted.key, bucket=bucket, at=clock.now(),
                                       parameters={"versionId": deleted.s3_version})])  # fmt: skip
    assert reconciliation.judge() == 0  # the event may still come
    ticking.advance(hours=3)
    assert reconciliation.judge() >= 1
    assert judged("vanished")[gone.s3_version] == "unexplained"
    assert judged("vanished")[deleted.s3_version] == "explained"
    alarm = Alarm.objects.get(kind="objects_unexplained", subject_label__contains="KRAS-001")
    assert any(gone.key in finding and "lifecycle" in finding for finding in alarm.detail["findings"])
    assert Entry.objects.filter(action="bucket.reconciled").count() == 2
    body = firm.client(firm.inspector).get("/records/KRAS-001/audit/").content.decode()
    assert "vanished between" in body and gone.key in body
    assert reconciliation.judge() == 0  # once


@pytest.mark.compliance("A5")
def test_compliance_a_version_that_came_without_an_event_is_told_and_one_with_an_event_is_not(
    firm_objects, ticking, tmp_path
):
    _, bucket, pins = firm_objects
    now = clock.now()
    told(tmp_path, "first", [given.s3("GetObject", pins[0].key, bucket=bucket, at=now - 30 * LATER)])
    known, secret = pins[0], pins[1]
    put = {pin: s3.client().put_object(Bucket=bucket, Key=pin.key, Body=b"new") for pin in (known, secret)}
    told(tmp_path, "second", [given.s3("PutObject", known.key, bucket=bucket, at=clock.now(),
                                       responseElements={"x-amz-version-id": put[known]["VersionId"]})])  # fmt: skip
    reconciliation.compare(bucket)
    ticking.advance(hours=3)
    reconciliation.judge()
    found = judged("appeared")
    assert (found[put[known]["VersionId"]], found[put[secret]["VersionId"]]) == ("explained", "unexplained")


def test_each_bucket_is_listed_once_a_day(firm_objects, ticking):
    _, bucket, _ = firm_objects
    reconciliation.reconcile_due()
    first = Reconciliation.objects.get(bucket=bucket).listed_at
    ticking.advance(hours=3)
    reconciliation.reconcile_due()
    assert Reconciliation.objects.get(bucket=bucket).listed_at == first
    ticking.advance(days=1)
    reconciliation.reconcile_due()
    assert Reconciliation.objects.get(bucket=bucket).listed_at > first


def test_folders_are_listed_once_and_many_together():
    keys = ["runs/a/1", "runs/a/2", "runs/a/deep/3", "runs/b/1", "top"]
    assert reconciliation.prefixes(keys) == ["runs/a/", "runs/b/", "top"]
    many = [f"runs/x/{number}/file" for number in range(reconciliation.MANY + 1)]
    assert reconciliation.prefixes(many) == ["runs/x/"]
