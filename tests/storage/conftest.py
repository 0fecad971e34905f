from collections.abc import Callable, Iterator
from typing import Any

import pytest

from standin.principals import PORTAL
from standin.process import StandIn, running
from tests.standin.conftest import client


@pytest.fixture(scope="module")
def standin() -> Iterator[StandIn]:
    with running(trail_every=0, tamper=True) as process:
        yield process


@pytest.fixture(autouse=True)
def portal_settings(standin: StandIn, settings: Any) -> Any:
    """The portal's S3 settings point at this module's stand-in."""
    settings.S3_ENDPOINT_URL = standin.url
    settings.S3_REGION = "eu-central-1"
    settings.S3_ACCESS_KEY_ID = PORTAL.access_key
    settings.S3_SECRET_ACCESS_KEY = PORTAL.secret
    settings.S3_PERSON_ROLE_ARN = None
    settings.WORM_BUCKET = "worm"
    return settings


@pytest.fixture
def owner(standin: StandIn) -> Any:
    """S3 as the owner of the buckets, not as the portal."""
    return client(standin.url)


@pytest.fixture
def bucket(owner: Any) -> Callable[..., str]:
    def make(name: str, lock: bool = False, versioned: bool = True) -> str:
        if name in {known["Name"] for known in owner.list_buckets()["Buckets"]}:
            return name
        owner.create_bucket(
            Bucket=name,
            ObjectLockEnabledForBucket=lock,
            CreateBucketConfiguration={"LocationConstraint": "eu-central-1"},
        )
        if versioned:
            owner.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        return name

    return make
