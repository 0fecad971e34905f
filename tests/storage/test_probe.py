import json

import pytest
from django.core.management import CommandError, call_command

from storage import probe


def test_settings_are_read(bucket, owner):
    name = bucket("settings", lock=True)
    assert probe.settings_of(name) == probe.Kept(True, True, "", 0, "AES256", False)
    rule = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 7}}
    owner.put_object_lock_configuration(
        Bucket=name, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule}
    )
    blocked = dict.fromkeys(["BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"], True)
    owner.put_public_access_block(Bucket=name, PublicAccessBlockConfiguration=blocked)
    assert probe.settings_of(name) == probe.Kept(True, True, "GOVERNANCE", 7, "AES256", True)


def test_a_bucket_that_enforces_everything_passes(bucket, capsys):
    call_command("s3_probe", bucket("probed", lock=True), "--compliance", "--json")
    told = json.loads(capsys.readouterr().out)
    assert len(told["findings"]) == 11
    assert all(finding["holds"] for finding in told["findings"])


def test_the_probe_cleans_up_what_governance_allows(bucket, owner, capsys):
    call_command("s3_probe", bucket("cleaned", lock=True))
    assert "FAILS" not in capsys.readouterr().out
    assert not owner.list_object_versions(Bucket="cleaned").get("Versions")


def test_a_bucket_without_versions_fails_with_exit_code_one(bucket, capsys):
    with pytest.raises(CommandError, match="does not enforce"):
        call_command("s3_probe", bucket("loose", versioned=False), "--settings-only")
    assert "NOT KEPT" in capsys.readouterr().out


def test_a_bucket_without_object_lock_is_told_in_a_sentence(bucket):
    with pytest.raises(CommandError, match=r"Object ?Lock"):
        call_command("s3_probe", bucket("lockless"))


def test_a_bucket_that_is_not_there_is_told_in_a_sentence():
    with pytest.raises(CommandError, match="no such bucket"):
        call_command("s3_probe", "absent-bucket")
