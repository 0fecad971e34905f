import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, IntegrityError, transaction

from audit import trail
from audit.actions import Action
from audit.models import Entry
from storage.models import Bucket
from storage.transitions import register_bucket


def test_a_registered_bucket_is_on_the_trail_with_its_settings(people, bucket):
    bucket("gxp-records", lock=True)
    made = register_bucket("gxp-records", label="Records", purpose="records", by=trail.SYSTEM, reason="first day")
    entry = Entry.objects.get(action=Action.BUCKET_REGISTERED, subject_id=made.name)
    assert (entry.reason, entry.detail["lock_enabled"], entry.detail["versioned"]) == ("first day", True, True)


def test_a_bucket_without_versions_is_refused_and_the_refusal_stays(people, bucket):
    bucket("gxp-loose", versioned=False)
    with pytest.raises(CommandError, match="does not keep versions"):
        call_command("register_bucket", "gxp-loose", "--purpose", "records")
    assert not Bucket.objects.exists()
    assert Entry.objects.filter(action=Action.BUCKET_REFUSED, subject_id="gxp-loose").count() == 1


def test_the_store_of_frozen_bytes_needs_object_lock(people, bucket):
    bucket("gxp-lockless")
    with pytest.raises(trail.Refused, match="no Object Lock"):
        register_bucket("gxp-lockless", label="", purpose="worm", by=trail.SYSTEM)


def test_the_command_registers_once(people, bucket, capsys):
    bucket("gxp-once")
    call_command("register_bucket", "gxp-once", "--purpose", "records", "--label", "Once")
    with pytest.raises(CommandError, match="registered already"):
        call_command("register_bucket", "gxp-once", "--purpose", "records")
    assert Bucket.objects.get().label == "Once"


def test_a_bucket_row_cannot_be_changed_unrecorded_or_deleted(people, bucket):
    bucket("gxp-fixed")
    made = register_bucket("gxp-fixed", label="Fixed", purpose="records", by=trail.SYSTEM)
    with pytest.raises(DatabaseError), transaction.atomic():
        Bucket.objects.filter(pk=made.pk).update(label="Moved")
    with pytest.raises(DatabaseError), transaction.atomic():
        made.delete()
    assert Bucket.objects.get().label == "Fixed"


@pytest.mark.parametrize(("name", "purpose"), [("Not A Bucket", "records"), ("gxp-fine", "anything")])
def test_the_database_refuses_names_and_purposes_that_cannot_be(people, name, purpose):
    with pytest.raises(IntegrityError), transaction.atomic():
        Bucket.objects.create(name=name, label="x", purpose=purpose)


def test_people_choose_from_the_buckets_of_their_areas_and_of_none(people, bucket):
    for name, purpose, area in [
        ("gxp-open", "records", None), ("gxp-lab", "records", people.laboratory), ("gxp-trail", "trail", None)
    ]:  # fmt: skip
        bucket(name)
        register_bucket(name, label=name, purpose=purpose, area=area, by=trail.SYSTEM)
    assert {b.name for b in Bucket.objects.visible_to(people.operator)} == {"gxp-open", "gxp-lab"}
    assert {b.name for b in Bucket.objects.visible_to(people.outsider)} == {"gxp-open"}
    people.operator.is_active = False
    assert not Bucket.objects.visible_to(people.operator).exists()
