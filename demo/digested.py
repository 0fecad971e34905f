"""A month of a trail with its digests, for measurements: laid down in a folder, and served as S3 and CloudTrail would, thinly.

`python -m demo.digested FOLDER PORT MILLISECONDS HOURS FILES` makes one with so many files in each hour, and answers every
request after so long, from memory; it checks no signature.
"""

import asyncio
import gzip
import hashlib
import json
import random
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from standin.digests import Chain, Digest, Listed, Signer, new_private_key
from standin.events import log_file_key

ACCOUNT, REGION, BUCKET, TRAIL = "111122223333", "eu-central-1", "bench-digested", "bench-trail"
ARN = f"arn:aws:cloudtrail:{REGION}:{ACCOUNT}:trail/{TRAIL}"
BEGIN = datetime(2026, 5, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def write(folder: Path, hours: int, files_each: int, seed: int = 7) -> datetime:
    """Lay down a trail of that many hours from `BEGIN`; returns its end. Every file is small: requests are what counts."""
    chance = random.Random(seed)
    signer = Signer(new_private_key(), BEGIN - HOUR, BEGIN + timedelta(days=400))
    chain = Chain(ACCOUNT, REGION, BUCKET, TRAIL)
    objects: dict[str, tuple[bytes, dict[str, str]]] = {}
    previous: Digest | None = None
    for hour in range(hours):
        start = BEGIN + hour * HOUR
        listed = []
        for place in range(files_each):
            key = log_file_key(
                ACCOUNT, REGION, start + timedelta(minutes=5 * place), f"{hour * files_each + place:016d}"
            )
            content = json.dumps({"Records": [], "noise": f"{chance.getrandbits(8000):x}"}).encode()
            objects[key] = (gzip.compress(content, mtime=0), {})
            listed.append(Listed(BUCKET, key, hashlib.sha256(content).hexdigest()))
        previous = chain.digest(signer, start, start + HOUR, listed, previous)
        objects[previous.key] = (previous.data, previous.metadata)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "objects").open("wb") as bodies:
        index = {}
        for key, (data, metadata) in sorted(objects.items()):
            index[key] = (bodies.tell(), len(data), metadata)
            bodies.write(data)
    (folder / "index.json").write_text(json.dumps({"keys": [signer.told()], "objects": index}))
    return BEGIN + hours * HOUR


class _Connection(asyncio.Protocol):
    """Answers one request after the other."""

    waiting: bytes

    def __init__(self, folder: Path, delay: float) -> None:
        told = json.loads((folder / "index.json").read_text())
        bodies = (folder / "objects").read_bytes()
        self.keys = json.dumps({"PublicKeyList": told["keys"]}).encode()
        self.names = sorted(told["objects"])
        self.answers = {
            key: _answer(200, bodies[start : start + size], metadata)
            for key, (start, size, metadata) in told["objects"].items()
        }
        self.delay = delay

    def __call__(self) -> "_Connection":
        made = object.__new__(type(self))
        made.__dict__.update(vars(self))
        made.waiting = b""
        return made

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.waiting += data
        while b"\r\n\r\n" in self.waiting:
            head, _, rest = self.waiting.partition(b"\r\n\r\n")
            low = head.lower()
            at = low.find(b"content-length:")
            size = int(low[at + 15 :].split(b"\r\n")[0]) if at >= 0 else 0
            if len(rest) < size:
                return
            self.waiting = rest[size:]
            answer = self.answer(head)
            if self.delay:
                asyncio.get_running_loop().call_later(self.delay, self._write, answer)
            else:
                self._write(answer)

    def _write(self, answer: bytes) -> None:
        if isinstance(self.transport, asyncio.WriteTransport) and not self.transport.is_closing():
            self.transport.write(answer)

    def answer(self, head: bytes) -> bytes:
        method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ", 2)
        if method == "POST":
            return _answer(200, self.keys, {})
        url = urlsplit(target)
        key = unquote(url.path).lstrip("/").partition("/")[2]
        if key:
            return self.answers.get(key) or _answer(404, b"<Error><Code>NoSuchKey</Code></Error>", {})
        asked = {name: values[0] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
        if "location" in asked:
            return _answer(200, f"<LocationConstraint>{REGION}</LocationConstraint>".encode(), {})
        return _answer(200, self._listing(asked), {})

    def _listing(self, asked: dict[str, str]) -> bytes:
        prefix = asked.get("prefix", "")
        after = max(asked.get(name, "") for name in ("marker", "start-after", "continuation-token"))
        keys = [name for name in self.names if name.startswith(prefix) and name > after]
        if "delimiter" in asked:
            folders = sorted({prefix + name[len(prefix) :].split("/")[0] + "/" for name in keys})
            rows = "".join(f"<CommonPrefixes><Prefix>{folder}</Prefix></CommonPrefixes>" for folder in folders)
            return f"<ListBucketResult><IsTruncated>false</IsTruncated>{rows}</ListBucketResult>".encode()
        if "versions" in asked:
            return self._versions([name for name in keys if name > asked.get("key-marker", "")])
        page = keys[:1000]
        more = "true" if len(keys) > len(page) else "false"
        token = f"<NextContinuationToken>{page[-1]}</NextContinuationToken>" if len(keys) > len(page) else ""
        rows = "".join(f"<Contents><Key>{name}</Key></Contents>" for name in page)
        return f"<ListBucketResult><IsTruncated>{more}</IsTruncated>{token}{rows}</ListBucketResult>".encode()

    def _versions(self, keys: list[str]) -> bytes:
        """Each object as its only version, in a bucket without versioning."""
        page = keys[:1000]
        rows = "".join(
            f"<Version><Key>{name}</Key><VersionId>null</VersionId><ETag>&quot;{place}&quot;</ETag><Size>1</Size></Version>"
            for place, name in enumerate(page)
        )
        more = f"<NextKeyMarker>{page[-1]}</NextKeyMarker>" if len(keys) > len(page) else ""
        said = "true" if more else "false"
        return f"<ListVersionsResult><IsTruncated>{said}</IsTruncated>{more}{rows}</ListVersionsResult>".encode()


def _answer(code: int, body: bytes, metadata: dict[str, str]) -> bytes:
    fields = "".join(f"x-amz-meta-{name}: {value}\r\n" for name, value in metadata.items())
    return f"HTTP/1.1 {code} Answer\r\nContent-Length: {len(body)}\r\n{fields}\r\n".encode() + body


async def _serve(folder: Path, port: int, delay: float) -> None:
    server = await asyncio.get_running_loop().create_server(_Connection(folder, delay), "127.0.0.1", port)
    print("ready", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    _folder, (_port, _milliseconds, _hours, _files) = Path(sys.argv[1]), map(int, sys.argv[2:])
    write(_folder, _hours, _files)
    asyncio.run(_serve(_folder, _port, _milliseconds / 1000))
