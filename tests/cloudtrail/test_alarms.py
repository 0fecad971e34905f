"""What happens to trails, locks and keys raises an alarm, once for each event, with the way to it."""

import json
from datetime import timedelta

import pytest

from audit.models import Alarm, Entry
from cloudtrail import transitions
from cloudtrail.alarms import kind_of
from cloudtrail.events import parse
from portal.pages.security import event_url
from tests.cloudtrail import given
from tests.firm import RECORDS_BUCKET

TRAIL = {"bucket": "", "eventSource": "cloudtrail.amazonaws.com", "resources": None, "readOnly": False}
BYPASS = {"x-amz-bypass-governance-retention": "true", "versionId": "v1"}


def of_trail(name, **more):
    return given.s3(name, "", parameters={"name": "gxp"}, **TRAIL | more)


def of_key(name, **more):
    return given.s3(name, "", parameters={"keyId": "k-1"}, **TRAIL | {"eventSource": "kms.amazonaws.com"} | more)


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        *((of_trail(name), "logging_changed") for name in ("StopLogging", "DeleteTrail", "UpdateTrail", "PutEventSelectors")),
        *((of_key(name), "key_endangered") for name in ("ScheduleKeyDeletion", "DisableKey")),
        *((given.s3(name, ""), "protection_changed")
          for name in ("PutBucketLifecycle", "DeleteBucketLifecycle", "PutObjectLockConfiguration", "PutBucketVersioning")),
        (given.s3("DeleteObject", parameters=BYPASS), "lock_bypassed"),
        (given.s3("PutObjectRetention", parameters=BYPASS), "lock_bypassed"),
        (given.s3("DeleteObject", parameters={"x-amz-bypass-governance-retention": "false"}), None),
        (given.s3("DeleteObject"), None),
        (given.s3("PutBucketPolicy", ""), None),
        (of_trail("StartLogging"), None),
        (of_trail("DescribeTrails"), None),
        (given.s3("StopLogging", ""), None),
    ],
)  # fmt: skip
def test_which_events_raise_which_alarm(event, kind):
    assert kind_of(parse(given.packed([event])).events[0]) == kind


def load(folder, number, *events):
    transitions.load(given.hand_over(folder / str(number), {given.log_key(number): given.packed(list(events))}))


@pytest.mark.compliance("AWS admin", "11.300(d)", "F19")
def test_compliance_each_event_raises_its_alarm_once_and_leads_to_it(firm, tmp_path):
    stopped = of_trail("StopLogging")
    load(tmp_path, 1, given.s3(), stopped, given.s3("PutBucketLifecycle", "", bucket=RECORDS_BUCKET))
    load(tmp_path, 2, stopped, given.s3())
    assert sorted(Alarm.objects.values_list("kind", "count")) == [("logging_changed", 1), ("protection_changed", 1)]
    again = of_trail("StopLogging", at=given.NOON + timedelta(minutes=5), errorCode="AccessDenied")
    load(tmp_path, 3, again)
    alarm = Alarm.objects.get(kind="logging_changed")
    assert alarm.count == 2
    assert alarm.sentence == "maja called StopLogging on gxp at 2026-04-12 12:05:00 UTC".replace("called", "tried to call") + (
        "; AWS answered AccessDenied."
    )  # fmt: skip
    details = [
        entry.detail for entry in Entry.objects.filter(subject_kind="alarm", subject_id=str(alarm.pk)).order_by("id")
    ]
    assert [detail["event"] for detail in details] == [stopped["eventID"], again["eventID"]]
    client = firm.client(firm.approver)
    page = client.get(alarm.get_absolute_url()).content.decode()
    for detail in details:
        url = event_url(detail)
        assert f'href="{url}"' in page
        assert json.dumps(detail["event"])[1:-1] in client.get(url).content.decode()


def test_what_concerns_a_bucket_of_somebody_else_raises_none_and_keys_of_objects_are_not_told(firm, tmp_path):
    load(tmp_path, 1, given.s3("PutBucketLifecycle", "", bucket="somebody-elses"),
         given.s3("DeleteObject", "kras-001/secret", bucket=RECORDS_BUCKET, parameters=BYPASS))  # fmt: skip
    (alarm,) = Alarm.objects.all()
    assert alarm.kind == "lock_bypassed"
    assert "secret" not in alarm.sentence + alarm.subject_label + json.dumps(alarm.detail)
    assert RECORDS_BUCKET in alarm.sentence


def test_hostile_names_are_inert_in_an_alarm(empty, tmp_path):
    load(tmp_path, 1, of_trail("StopLogging") | {"requestParameters": {"name": "\u202e\0<script>" + "x" * 900}})
    (alarm,) = Alarm.objects.all()
    assert "\u202e" not in alarm.sentence + alarm.subject_label
    assert "\0" not in alarm.sentence
