"""Read many small objects of S3 quickly: pooled connections and a signature of our own, a tenth of a client's work for each.

Where a bucket is and with which credentials, boto3 decides once for each bucket; whatever is not a plain answer (a redirect, a
refusal, a server that is busy) is left to it as well, with its retries and its sentences.
"""

import hashlib
import hmac
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import urllib3

from cloudtrail import bucket
from storage import s3

CONNECTIONS = 32
_UNSIGNED = "UNSIGNED-PAYLOAD"
_META = "x-amz-meta-"


@dataclass(frozen=True)
class _Place:
    """A bucket's address: `path` stands in front of every key."""

    host: str
    path: str
    region: str
    pool: Any


class Reader:
    """Reads the newest versions of objects; may be used by many threads."""

    def __init__(self) -> None:
        self._places: dict[str, _Place] = {}
        self._keys: dict[tuple[str, str, str], bytes] = {}
        self._client = s3.client()
        self._lock = threading.Lock()

    def get(self, name: str, key: str) -> tuple[bytes, dict[str, str]] | None:
        """The bytes at a key and their user metadata; None where nothing is. Raises `StorageError`."""
        place = self._places.get(name) or self._find(name, key)
        path = place.path + quote(key, safe="/~")
        try:
            answer = place.pool.request(
                "GET", path, headers=self._signed(place, path), redirect=False, retries=False, decode_content=False
            )
        except urllib3.exceptions.HTTPError:
            return bucket.newest(name, key)
        if answer.status != 200:
            return bucket.newest(name, key)
        metadata = {
            header[len(_META) :].lower(): value
            for header, value in answer.headers.items()
            if header.lower().startswith(_META)
        }
        return answer.data, metadata

    def _find(self, name: str, key: str) -> _Place:
        """Where boto3 would ask."""
        url = urlsplit(self._client.generate_presigned_url("get_object", Params={"Bucket": name, "Key": "x"}))
        scope = parse_qs(url.query).get("X-Amz-Credential", [""])[0].split("/")
        region = scope[2] if len(scope) > 2 else self._client.meta.region_name
        make = urllib3.HTTPSConnectionPool if url.scheme == "https" else urllib3.HTTPConnectionPool
        pool = make(url.hostname or "", url.port, maxsize=CONNECTIONS, timeout=urllib3.Timeout(connect=5, read=30))
        place = _Place(url.netloc, url.path.removesuffix("x"), region, pool)
        with self._lock:
            return self._places.setdefault(name, place)

    def _signed(self, place: _Place, path: str) -> dict[str, str]:
        """The headers of a request, signed (AWS Signature Version 4)."""
        credentials = self._client._request_signer._credentials  # type: ignore[attr-defined]
        if credentials is None:
            return {}
        frozen = credentials.get_frozen_credentials()
        now = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        headers = {"host": place.host, "x-amz-content-sha256": _UNSIGNED, "x-amz-date": now}
        if frozen.token:
            headers["x-amz-security-token"] = frozen.token
        names = ";".join(headers)
        told = "".join(f"{name}:{value}\n" for name, value in headers.items())
        asked = f"GET\n{path}\n\n{told}\n{names}\n{_UNSIGNED}"
        scope = f"{now[:8]}/{place.region}/s3/aws4_request"
        text = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashlib.sha256(asked.encode()).hexdigest()}"
        signature = hmac.new(self._key(frozen.secret_key, now[:8], place.region), text.encode(), "sha256").hexdigest()
        headers["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={frozen.access_key}/{scope}, SignedHeaders={names}, Signature={signature}"
        )
        return headers

    def _key(self, secret: str, day: str, region: str) -> bytes:
        known = self._keys.get((secret, day, region))
        if known is None:
            known = f"AWS4{secret}".encode()
            for part in (day, region, "s3", "aws4_request"):
                known = hmac.new(known, part.encode(), "sha256").digest()
            self._keys[secret, day, region] = known
        return known
