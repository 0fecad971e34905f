"""Keys that AWS KMS holds: it signs for the portal, and nobody can take the key away with the server.

A KMS that cannot be asked is an error that says so; what hangs on its answer is refused, never done without it.
"""

import hashlib
from functools import lru_cache
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from django.conf import settings

PREFIX = "kms:"
RAW_BYTES = 4096  # more must be hashed by whoever asks
# A signing waits for the answer, so it is not waited for long.
CONFIG = Config(connect_timeout=2, read_timeout=3, retries={"mode": "standard", "max_attempts": 2})


class Unavailable(Exception):
    """KMS did not sign; `str()` is a sentence for the person who waits."""


def sign(arn: str, data: bytes, algorithm: str = "ECDSA_SHA_256") -> bytes:
    """KMS' signature over `data` (DER where the key is one of an elliptic curve). Raises Unavailable."""
    short = len(data) <= RAW_BYTES
    message = data if short else hashlib.new(algorithm[-7:].replace("_", ""), data).digest()
    answer = _asked("sign", arn, Message=message, MessageType="RAW" if short else "DIGEST", SigningAlgorithm=algorithm)
    return bytes(answer["Signature"])


def public_key(arn: str) -> bytes:
    """The public key, DER; asked once for a process. Raises Unavailable."""
    return _public_key(settings.KMS_ENDPOINT_URL, arn)


@lru_cache(maxsize=8)
def _public_key(endpoint: str | None, arn: str) -> bytes:
    return bytes(_asked("get_public_key", arn)["PublicKey"])


def _asked(what: str, arn: str, **values: Any) -> dict[str, Any]:
    try:
        return dict(getattr(_client(settings.KMS_ENDPOINT_URL, _region(arn)), what)(KeyId=arn, **values))
    except ClientError as error:
        said = error.response.get("Error", {}).get("Message") or str(error)
        raise Unavailable(f"AWS KMS refuses the portal's key: {said}") from error
    except BotoCoreError as error:
        raise Unavailable(f"AWS KMS does not answer: {error}") from error


@lru_cache(maxsize=4)
def _client(endpoint: str | None, region: str) -> Any:
    session = boto3.session.Session(
        aws_access_key_id=settings.S3_ACCESS_KEY_ID, aws_secret_access_key=settings.S3_SECRET_ACCESS_KEY
    )
    return session.client("kms", region_name=region, endpoint_url=endpoint, config=CONFIG)


def _region(arn: str) -> str:
    """`arn:aws:kms:REGION:account:key/id`"""
    parts = arn.split(":")
    return parts[3] if len(parts) > 3 else settings.S3_REGION
