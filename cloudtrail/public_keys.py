"""The public keys with which CloudTrail signs digests, asked of AWS. Each region has its own."""

from datetime import datetime
from functools import lru_cache
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from django.conf import settings

from cloudtrail.digests import Key
from storage.s3 import CONFIG, AccessDenied, StorageError, StorageUnavailable


def listed(region: str, since: datetime, until: datetime) -> list[Key]:
    """CloudTrail's `ListPublicKeys`: the keys of `region` that were in use between two times. Raises `StorageError`."""
    client = _client(region, settings.S3_ENDPOINT_URL, settings.S3_ACCESS_KEY_ID, settings.S3_SECRET_ACCESS_KEY)
    asked: dict[str, Any] = {"StartTime": since, "EndTime": until}
    found = []
    try:
        while True:
            answer = client.list_public_keys(**asked)
            found += [
                Key(key["Fingerprint"], bytes(key["Value"]), key["ValidityStartTime"], key["ValidityEndTime"])
                for key in answer.get("PublicKeyList", [])
            ]
            if not answer.get("NextToken"):
                return found
            asked["NextToken"] = answer["NextToken"]
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        if "Denied" in code or "Unauthorized" in code:
            raise AccessDenied(
                f"AWS denies cloudtrail:ListPublicKeys in {region} ({code}): without the keys nothing is proved."
            ) from error
        raise StorageError(f"The public keys of CloudTrail in {region} could not be had ({code}).") from error
    except BotoCoreError as error:
        raise StorageUnavailable(f"CloudTrail in {region} could not be reached for its public keys.") from error


@lru_cache(maxsize=64)
def _client(region: str, endpoint: str | None, key_id: str | None, secret: str | None) -> Any:
    own = boto3.session.Session(aws_access_key_id=key_id, aws_secret_access_key=secret, region_name=region)
    return own.client("cloudtrail", endpoint_url=endpoint, config=CONFIG)
