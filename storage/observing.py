"""What AWS says of a bucket and of what stands around it: each question is asked once, and one without an answer says so."""

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.exceptions import ConnectionError as NoConnection
from django.conf import settings

from storage import anchors, s3
from storage.models import Bucket, Purpose

# What S3 answers where a setting was never made.
NOTHING_SET = {
    "ObjectLockConfigurationNotFoundError",
    "ServerSideEncryptionConfigurationNotFoundError",
    "NoSuchPublicAccessBlockConfiguration",
    "NoSuchBucketPolicy",
    "NoSuchLifecycleConfiguration",
    "ReplicationConfigurationNotFoundError",
    "OwnershipControlsNotFoundError",
}
# One reading asks some twenty questions: a service that is away must not hold it up for long.
CONFIG = Config(connect_timeout=5, read_timeout=15, retries={"mode": "standard", "max_attempts": 3})


class NotRead(Exception):
    """The question was not answered; `str()` says why. Nothing may be concluded from it."""


class Questions:
    """Asks about one bucket, with the credentials that the portal uses for it."""

    def __init__(self, bucket: Bucket) -> None:
        self.bucket = bucket
        self.name = bucket.name
        self._account = account_of(bucket)
        self._answers: dict[str, dict[str, Any] | NotRead] = {}
        self._away: dict[str, NotRead] = {}

    def setting(self, operation: str, **more: Any) -> dict[str, Any]:
        """What S3 has set for the bucket; {} where it says that there is nothing. Raises NotRead."""
        return self.ask("s3", operation, **({"Bucket": self.name} | more))

    def ask(self, service: str, operation: str, *, region: str = "", **asked: Any) -> dict[str, Any]:
        """The answer of a service, each asked once. Raises NotRead."""
        key = f"{service} {operation} {region} {json.dumps(asked, sort_keys=True)}"
        if key not in self._answers:
            try:
                self._answers[key] = self._ask(service, operation, region or self._account.region, asked)
            except NotRead as error:
                self._answers[key] = error
        answer = self._answers[key]
        if isinstance(answer, NotRead):
            raise answer
        return answer

    def _ask(self, service: str, operation: str, region: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        if service in self._away:
            raise self._away[service]
        client = _client(service, region, self._endpoint(service), self._account.key_id, self._account.secret)
        try:
            return self._all_of(client, operation, asked)
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            if code in NOTHING_SET:
                return {}
            said = str(error.response.get("Error", {}).get("Message", "")).rstrip(".")
            refused = code in s3.DENIED or "AccessDenied" in code
            raise NotRead(
                f"The portal may not ask this ({code} from {operation})."
                if refused
                else f"AWS did not answer {operation}: {said} ({code})."
            ) from error
        except (NoConnection, BotoCoreError, OSError) as error:
            self._away[service] = NotRead(f"AWS could not be reached while asking {operation}.")
            raise self._away[service] from error

    @staticmethod
    def _all_of(client: Any, operation: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Every page of the answer."""
        if client.can_paginate(operation):
            answer = client.get_paginator(operation).paginate(**asked).build_full_result()
        else:
            answer = getattr(client, operation)(**asked)
        return {name: value for name, value in answer.items() if name != "ResponseMetadata"}

    def _endpoint(self, service: str) -> str | None:
        if service == "s3":
            return self._account.endpoint
        if service == "kms" and settings.KMS_ENDPOINT_URL:
            return str(settings.KMS_ENDPOINT_URL)
        return settings.AWS_ENDPOINT_URL


def account_of(bucket: Bucket) -> s3.Account:
    """Where the bucket is asked for, and as whom: the anchors have credentials of their own."""
    if bucket.purpose == Purpose.ANCHOR:
        return anchors.configured().account
    return s3.Account(
        settings.S3_ENDPOINT_URL, settings.S3_REGION, settings.S3_ACCESS_KEY_ID, settings.S3_SECRET_ACCESS_KEY
    )


@lru_cache(maxsize=64)
def _client(service: str, region: str, endpoint: str | None, key_id: str | None, secret: str | None) -> Any:
    session = boto3.session.Session(aws_access_key_id=key_id, aws_secret_access_key=secret, region_name=region)
    client = session.client(service, endpoint_url=endpoint, config=CONFIG)  # type: ignore[call-overload]
    if service == "s3control" and endpoint:
        client.meta.events.register("before-call.s3-control", without_account)
    return client


def without_account(params: dict[str, Any], **_: Any) -> None:
    """S3 Control puts the account in front of the host; an endpoint of one's own has one name."""
    params["url"] = re.sub(r"//\d{12}\.", "//", params["url"])
