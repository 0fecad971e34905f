from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config

from standin.principals import OWNER, Principal
from standin.process import StandIn, running


def client(url: str, principal: Principal = OWNER, service: str = "s3") -> Any:
    return boto3.client(
        service,
        endpoint_url=url,
        region_name="eu-central-1",
        aws_access_key_id=principal.access_key,
        aws_secret_access_key=principal.secret,
        config=Config(retries={"max_attempts": 1}),
    )


@pytest.fixture(scope="module")
def standin() -> Iterator[StandIn]:
    with running(trail_every=0, tamper=True) as process:
        yield process


@pytest.fixture
def s3(standin: StandIn) -> Any:
    return client(standin.url)


@pytest.fixture
def bucket(s3: Any, request: Any) -> Callable[..., str]:
    """Make a bucket with Object Lock, named after the test."""

    def make(name: str = "", lock: bool = True, **default: Any) -> str:
        name = name or request.node.name.replace("_", "-")[:60].rstrip("-").lower()
        s3.create_bucket(
            Bucket=name,
            ObjectLockEnabledForBucket=lock,
            CreateBucketConfiguration={"LocationConstraint": "eu-central-1"},
        )
        if default:
            s3.put_object_lock_configuration(
                Bucket=name,
                ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": default}},
            )
        return name

    return make
