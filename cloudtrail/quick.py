"""Read many small objects of S3 quickly: some connections kept open, one loop that serves all of them, a signature of our own.

Only a plain answer is read here: 200, a length that is stated once, no coding of the transfer, a few MiB at most. Whatever else
comes (a redirect, a refusal, a server that is busy, a large object, a proxy to be gone through) is left to boto3, with its
retries and its sentences. Where a bucket is, with which credentials it is asked and whom TLS trusts, boto3 decides as well.
"""

import asyncio
import hashlib
import hmac
import ssl
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple, Self, TypeVar
from urllib.parse import parse_qs, quote, urlsplit

from botocore.httpsession import get_cert_path
from botocore.session import get_session
from botocore.utils import get_environ_proxies

from cloudtrail import bucket
from storage import s3

Found = TypeVar("Found")
Look = Callable[["Fetched | None"], Found]

CONNECTIONS = 32
CAREFULLY = 16
"""Objects that boto3 reads at a time, where it has to."""
PLAIN = 4 * 1024 * 1024
"""Bytes of an object, as delivered, beyond which it is left to boto3: far fewer of them are held at a time."""
IN_THE_LOOP = 64 * 1024
"""Bytes of an object up to which looking at it takes less time than handing it to another thread."""
CONNECT_SECONDS, ANSWER_SECONDS = 5, 30
_UNSIGNED = "UNSIGNED-PAYLOAD"
_META = "x-amz-meta-"


class Fetched(NamedTuple):
    """An object's bytes and its user metadata."""

    data: bytes
    metadata: dict[str, str]


class _Odd(Exception):
    """The answer is not a plain one."""


@dataclass
class _Connection:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


@dataclass
class _Place:
    """A bucket's address: `path` stands in front of every key. Through a proxy (`direct` is false) only boto3 goes."""

    host: str
    name: str
    port: int
    path: str
    region: str
    tls: ssl.SSLContext | None
    direct: bool
    idle: list[_Connection] = field(default_factory=list)


class Reader:
    """Reads the newest versions of objects, many at a time. To be used in a `with`, which closes its connections."""

    def __init__(self) -> None:
        self._places: dict[str, _Place] = {}
        self._keys: dict[tuple[str, str, str], bytes] = {}
        self._client = s3.client()
        self._loop = asyncio.new_event_loop()
        self._others = ThreadPoolExecutor(CAREFULLY)
        self._loop.set_default_executor(self._others)
        # A thread of its own, for the caller may stand in a loop already.
        self._thread = threading.Thread(target=self._loop.run_forever, name="reads S3", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._leave(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._others.shutdown(cancel_futures=True)
        self._loop.close()

    def each(self, places: Sequence[tuple[str, str]], look: Look[Found]) -> list[Found]:
        """What `look` says of each object (bucket and key), in their order; it is given None where nothing lies.

        Only what it says is kept, so that memory does not grow with the objects. Raises `StorageError`.
        """
        return asyncio.run_coroutine_threadsafe(self._each(places, look), self._loop).result()

    async def _each(self, places: Sequence[tuple[str, str]], look: Look[Found]) -> list[Found]:
        said: dict[int, Found] = {}
        waiting = iter(enumerate(places))

        async def work() -> None:
            for number, (name, key) in waiting:
                said[number] = await self._looked(name, key, look)

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(CONNECTIONS, len(places))):
                    group.create_task(work())
        except BaseExceptionGroup as failed:
            raise failed.exceptions[0] from None
        return [said[number] for number in range(len(places))]

    async def _looked(self, name: str, key: str, look: Look[Found]) -> Found:
        place = self._places.get(name) or self._find(name)
        try:
            found = await self._ask(place, place.path + quote(key, safe="/~"))
        except (_Odd, OSError, EOFError, asyncio.LimitOverrunError):
            return await asyncio.to_thread(lambda: look(_carefully(name, key)))
        if len(found.data) > IN_THE_LOOP:
            return await asyncio.to_thread(look, found)
        return look(found)

    async def _ask(self, place: _Place, path: str) -> Fetched:
        """A plain answer. Raises `_Odd` where it is none, and OSError (TimeoutError among them) or EOFError."""
        if not place.direct:
            raise _Odd
        headers = "".join(f"{name}: {value}\r\n" for name, value in self._signed(place, path).items())
        open_ = place.idle.pop() if place.idle else await _connect(place)
        whole = False
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                open_.writer.write(f"GET {path} HTTP/1.1\r\n{headers}\r\n".encode())
                size, metadata, stays = _plain(await open_.reader.readuntil(b"\r\n\r\n"))
                data = await open_.reader.readexactly(size)
            whole = stays
        finally:
            if whole:
                place.idle.append(open_)
            else:
                open_.writer.close()
        return Fetched(data, metadata)

    async def _leave(self) -> None:
        for place in self._places.values():
            for connection in place.idle:
                connection.writer.close()
        await asyncio.sleep(0)  # so that they are closed before the loop is

    def _find(self, name: str) -> _Place:
        """Where boto3 would ask."""
        url = urlsplit(self._client.generate_presigned_url("get_object", Params={"Bucket": name, "Key": "x"}))
        scope = parse_qs(url.query).get("X-Amz-Credential", [""])[0].split("/")
        region = scope[2] if len(scope) > 2 else self._client.meta.region_name
        tls = _trust() if url.scheme == "https" else None
        self._places[name] = _Place(
            host=url.netloc,
            name=url.hostname or "",
            port=url.port or (443 if tls else 80),
            path=url.path.removesuffix("x"),
            region=region,
            tls=tls,
            direct=not get_environ_proxies(f"{url.scheme}://{url.netloc}"),
        )
        return self._places[name]

    def _signed(self, place: _Place, path: str) -> dict[str, str]:
        """The headers of a request, signed (AWS Signature Version 4)."""
        credentials = self._client._request_signer._credentials  # type: ignore[attr-defined]
        if credentials is None:
            return {"host": place.host}
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


async def _connect(place: _Place) -> _Connection:
    async with asyncio.timeout(CONNECT_SECONDS):
        return _Connection(*await asyncio.open_connection(place.name, place.port, ssl=place.tls, limit=PLAIN))


def _trust() -> ssl.SSLContext:
    """Whom boto3 trusts: what the machine's configuration of AWS names, else the authorities that it brings."""
    return ssl.create_default_context(cafile=get_cert_path(get_session().get_config_variable("ca_bundle") or True))


def _plain(head: bytes) -> tuple[int, dict[str, str], bool]:
    """Of a plain answer the length of its body, the object's user metadata, and whether the connection stays open."""
    status, *lines = head[:-4].decode("latin-1").split("\r\n")
    if not status.startswith("HTTP/1.1 200 "):
        raise _Odd
    lengths, metadata, stays = [], {}, True
    for line in lines:
        name, _, value = line.partition(":")
        name, value = name.lower(), value.strip()
        if name == "content-length":
            lengths.append(value)
        elif name == "transfer-encoding":
            raise _Odd
        elif name == "connection":
            stays = value.lower() != "close"
        elif name.startswith(_META):
            metadata[name[len(_META) :]] = value
    if len(lengths) != 1 or not (lengths[0].isascii() and lengths[0].isdigit()) or int(lengths[0]) > PLAIN:
        raise _Odd
    return int(lengths[0]), metadata, stays


def _carefully(name: str, key: str) -> Fetched | None:
    found: Any = bucket.newest(name, key)
    return Fetched(*found) if found else None
