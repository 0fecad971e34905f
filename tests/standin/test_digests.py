"""The stand-in delivers digests as CloudTrail does: hourly, also empty ones, signed by a key that it hands out."""

from datetime import UTC, datetime, timedelta

import boto3
import pytest
from botocore.config import Config

from standin import events
from standin.principals import OWNER
from standin.process import running

BUCKET, REGION = "gxp-trail", "eu-central-1"
BEGIN = datetime(2026, 3, 2, 4, tzinfo=UTC)
HOUR = timedelta(hours=1)


def client(url, service):
    return boto3.client(
        service, endpoint_url=url, region_name=REGION, aws_access_key_id=OWNER.access_key, aws_secret_access_key=OWNER.secret,
        config=Config(retries={"max_attempts": 1}),
    )  # fmt: skip


def digests(s3):
    found = s3.list_objects_v2(Bucket=BUCKET, Prefix="AWSLogs/111122223333/CloudTrail-Digest/")
    return [one["Key"] for one in found.get("Contents", [])]


@pytest.mark.compliance("A3")
def test_compliance_digests_of_the_stand_in_hold_for_aws_and_go_on_after_a_restart(tmp_path):
    from tests.cloudtrail import aws_cli

    with running(trail_every=0, data=tmp_path) as first:
        s3 = client(first.url, "s3")
        for hour in (0, 2, 2, 5):
            key = events.log_file_key("111122223333", REGION, BEGIN + hour * HOUR, f"{hour:015d}{len(digests(s3))}")
            s3.put_object(Bucket=BUCKET, Key=key, Body=events.log_file([]))
        assert first.digest(BEGIN, BEGIN + 3 * HOUR) == 3
        assert first.digest(BEGIN, BEGIN + 3 * HOUR) == 0  # each hour once
        keys = client(first.url, "cloudtrail").list_public_keys()["PublicKeyList"]
    with running(trail_every=0, data=tmp_path) as second:
        assert second.digest(BEGIN, BEGIN + 7 * HOUR, [(BEGIN + 3 * HOUR, BEGIN + 5 * HOUR)]) == 2
        assert client(second.url, "cloudtrail").list_public_keys()["PublicKeyList"] == keys
        assert len(digests(client(second.url, "s3"))) == 5
        asking = (OWNER.access_key, OWNER.secret)
        said = aws_cli.validate(second.url, BUCKET, BEGIN, BEGIN + 7 * HOUR, asking)
    assert (said.code, said.gaps) == (0, 1)
    assert list(said.digests.values()) == ["valid"] * 5 and set(said.files.values()) == {"valid"}
