"""Time stamps of an authority outside the portal (RFC 3161), where one is configured."""

import asyncio
import hashlib
from collections.abc import Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, TypeVar

import requests
from asn1crypto import cms, tsp
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from django.conf import settings
from pyhanko.sign.general import SigningError
from pyhanko.sign.timestamps import TimeStamper
from pyhanko.sign.validation.errors import SignatureValidationError
from pyhanko.sign.validation.generic_cms import validate_tst_signed_data
from pyhanko_certvalidator import ValidationContext

Result = TypeVar("Result")
SECONDS = 5
REPLY_BYTES = 64 * 1024


class NoTimeStamp(Exception):
    """There is no time stamp that counts; `str()` is a sentence."""


class Authority(TimeStamper):
    """The configured time-stamp authority: asked over HTTP within a few seconds, and believed if its token leads to one of
    `TSA_CERTIFICATES`."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url

    async def async_request_tsa_response(self, req: tsp.TimeStampReq) -> tsp.TimeStampResp:
        headers = {"Content-Type": "application/timestamp-query", "Accept": "application/timestamp-reply"}
        try:
            with requests.post(self.url, req.dump(), headers=headers, timeout=SECONDS, stream=True) as answer:
                body = answer.raw.read(REPLY_BYTES, decode_content=True)
        except (requests.RequestException, OSError) as error:
            raise NoTimeStamp(f"The time-stamp authority does not answer ({type(error).__name__}).") from error
        if answer.status_code != 200 or answer.headers.get("Content-Type") != "application/timestamp-reply":
            raise NoTimeStamp(f"The time-stamp authority answers {answer.status_code}, and not with a time stamp.")
        return tsp.TimeStampResp.load(body)

    async def async_timestamp(self, message_digest: bytes, md_algorithm: str) -> cms.ContentInfo:
        try:
            token = await super().async_timestamp(message_digest, md_algorithm)
        except (OSError, ValueError, TypeError, SigningError) as error:
            raise NoTimeStamp(f"The time-stamp authority gave no time stamp: {error}") from error
        await _time_of(token["content"], message_digest)
        return token


def finished(work: Coroutine[Any, Any, Result]) -> Result:
    """What the coroutine returns, waited for; pyHanko speaks async alone. Where a loop runs in this thread already, another
    thread waits."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    with ThreadPoolExecutor(1) as aside:
        return aside.submit(asyncio.run, work).result()


def authority() -> Authority | None:
    """The configured authority, or None where there is none."""
    return Authority(settings.TSA_URL) if settings.TSA_URL else None


def stamp(data: bytes) -> bytes | None:
    """A time-stamp token (CMS, DER) over the SHA-256 of `data`, or None where no authority is configured. Raises NoTimeStamp."""
    asked = authority()
    if asked is None:
        return None
    return bytes(finished(asked.async_timestamp(hashlib.sha256(data).digest(), "sha256")).dump())


def time_of(token: cms.SignedData, digest: bytes) -> datetime:
    """When the token says that this SHA-256 digest existed. Raises NoTimeStamp where the token does not hold."""
    return finished(_time_of(token, digest))


async def _time_of(token: cms.SignedData, digest: bytes) -> datetime:
    try:
        when: datetime = token["encap_content_info"]["content"].parsed["gen_time"].native
        found = await validate_tst_signed_data(token, _trusted(when), {"sha256": digest}.__getitem__)
    except (SignatureValidationError, SigningError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise NoTimeStamp(f"The time stamp cannot be read ({type(error).__name__}).") from error
    if not (found.get("intact") and found.get("valid")):
        raise NoTimeStamp("The time stamp does not fit.")
    if found.get("trust_problem_indic") is not None or found.get("validation_path") is None:
        raise NoTimeStamp("The time stamp is not one of the authority that this portal trusts.")
    return when.astimezone(UTC)


def _trusted(when: datetime) -> ValidationContext:
    """What a token must lead to. Nothing is fetched; a certificate that ended later does not end its stamps."""
    roots: Sequence[asn1_x509.Certificate] = []
    if settings.TSA_CERTIFICATES is not None:
        try:
            found = x509.load_pem_x509_certificates(settings.TSA_CERTIFICATES.read_bytes())
        except (OSError, ValueError) as error:
            raise NoTimeStamp(f"TSA_CERTIFICATES cannot be read: {error}.") from error
        roots = [asn1_x509.Certificate.load(one.public_bytes(serialization.Encoding.DER)) for one in found]
    return ValidationContext(trust_roots=roots, allow_fetching=False, moment=when, best_signature_time=when)
