"""Seeded trails to validate: hours of log files with signed digests, and what may have been done to them since.

`Bucket` is what lies there; `serve` lets programs that speak to AWS read it: S3's listings and objects, CloudTrail's keys.
"""

import gzip
import hashlib
import itertools
import json
import random
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

from cloudtrail.digests import Key
from cloudtrail.keys import DigestName, LogName
from cloudtrail.quick import Fetched
from standin import digests as signing

ACCOUNT, REGION, NAME = "111122223333", "eu-central-1", "gxp-trail"
ARN = f"arn:aws:cloudtrail:{REGION}:{ACCOUNT}:trail/{NAME}"
BEGIN = datetime(2026, 3, 2, 4, tzinfo=UTC)
HOUR = timedelta(hours=1)
_LONG_AGO, _LATER = datetime(2020, 1, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC)


@cache
def signer(number: int = 0) -> signing.Signer:
    """One of a few key pairs; making one costs more than all else here."""
    return signing.Signer(signing.new_private_key(), _LONG_AGO, _LATER)


@dataclass
class Trail:
    """A trail as it lies in its bucket, newest first in `digests` and `files` never: they are in the order of delivery."""

    bucket: str
    objects: dict[tuple[str, str], Fetched] = field(default_factory=dict)
    keys: list[signing.Signer] = field(default_factory=list)
    digests: list[signing.Digest] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    begin: datetime = BEGIN
    end: datetime = BEGIN
    done: list[str] = field(default_factory=list)
    previous: signing.Digest | None = None

    @property
    def chain(self) -> signing.Chain:
        return signing.Chain(ACCOUNT, REGION, self.bucket, NAME)

    def hour(self, files: int, *, by: signing.Signer | None = None, delivered: bool = True) -> None:
        """Another hour passes, with that many log files; `delivered` says whether its digest arrives as well."""
        start, self.end = self.end, self.end + HOUR
        listed = [self.log_file(start + timedelta(minutes=5 * place)) for place in range(files)]
        by = by or signer()
        if by not in self.keys:
            self.keys.append(by)
        digest = self.chain.digest(by, start, self.end, listed, self.previous)
        if delivered:
            self.deliver(digest)
        self.previous = digest

    def log_file(self, at: datetime) -> signing.Listed:
        unique = f"{len(self.files):016d}"
        key = LogName(ACCOUNT, REGION, at, unique).key
        content = json.dumps({"Records": [], "file": unique, "of": self.bucket}).encode()
        self.put(key, gzip.compress(content, mtime=0))
        self.files.append(key)
        return signing.Listed(self.bucket, key, hashlib.sha256(content).hexdigest())

    def deliver(self, digest: signing.Digest) -> None:
        self.put(digest.key, digest.data, digest.metadata)
        self.digests.append(digest)

    def stop(self, hours: int) -> None:
        """Logging is stopped; what comes later begins a new chain."""
        self.end += hours * HOUR
        self.previous = None

    def put(self, key: str, data: bytes, metadata: dict[str, str] | None = None) -> None:
        self.objects[self.bucket, key] = Fetched(data, metadata or {})

    def alter(self, key: str, change: Callable[[bytes], bytes]) -> None:
        """Change the unpacked bytes of an object."""
        found = self.objects[self.bucket, key]
        try:
            content = gzip.decompress(found.data)
        except (OSError, EOFError):  # something else was done to it before
            content = found.data
        self.put(key, gzip.compress(change(content), mtime=0), found.metadata)

    def remove(self, key: str) -> None:
        del self.objects[self.bucket, key]

    # As `cloudtrail.reread.Source`

    def digest_keys(self, since: datetime, until: datetime) -> Iterator[tuple[str, str]]:
        for bucket, key in sorted(self.objects):
            if "/CloudTrail-Digest/" in key and since <= _end(key) <= until:
                yield bucket, key

    def each(self, places: Sequence[tuple[str, str]], look: Callable[[Fetched | None], Any]) -> list[Any]:
        return [look(self.objects.get(place)) for place in places]

    def public_keys(self, name: DigestName, since: datetime, until: datetime) -> list[Key]:
        return [
            Key(one.fingerprint, one.value, one.begins, one.ends)
            for one in self.keys
            if one.begins <= until and one.ends >= since
        ]


def _end(key: str) -> datetime:
    stamp = key.removesuffix(".json.gz").removesuffix("_backfill")[-16:]
    return datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


def sound(bucket: str = "trail", hours: int = 5, files: int = 2) -> Trail:
    """A trail to which nothing was done."""
    trail = Trail(bucket)
    for _ in range(hours):
        trail.hour(files)
    return trail


def random_trail(seed: int, bucket: str, begin: datetime = BEGIN) -> Trail:
    """A trail of some hours, to which a few things were done that both validators must see alike."""
    pick = random.Random(seed)
    trail = Trail(bucket, begin=begin, end=begin)
    for hour in range(pick.randrange(4, 9)):
        if hour and pick.random() < 0.12:
            trail.done.append("stopped")
            trail.stop(pick.randrange(1, 4))
        by = signer(1) if pick.random() < 0.1 else signer()
        trail.hour(pick.choice((0, 1, 2, 2, 3)), by=by)
    for act in pick.sample(sorted(ACTS), pick.choice((0, 1, 1, 2, 3))):
        if ACTS[act](trail, pick):
            trail.done.append(act)
    return trail


# --- What may be done to a trail ----------------------------------------------------------------------------------------


def _file_altered(trail: Trail, pick: random.Random) -> bool:
    return _on_a_file(trail, pick, lambda key: trail.alter(key, lambda content: content + b" "))


def _file_removed(trail: Trail, pick: random.Random) -> bool:
    return _on_a_file(trail, pick, trail.remove)


def _file_truncated(trail: Trail, pick: random.Random) -> bool:
    return _on_a_file(trail, pick, lambda key: trail.put(key, trail.objects[trail.bucket, key].data[:-12]))


def _file_of_two_members(trail: Trail, pick: random.Random) -> bool:
    more = gzip.compress(b'{"Records":[]}', mtime=0)
    return _on_a_file(trail, pick, lambda key: trail.put(key, trail.objects[trail.bucket, key].data + more))


def _file_no_gzip(trail: Trail, pick: random.Random) -> bool:
    return _on_a_file(trail, pick, lambda key: trail.put(key, b'{"Records":[]}'))


def _files_swapped(trail: Trail, pick: random.Random) -> bool:
    there = _files(trail)
    if len(there) < 2:
        return False
    one, other = pick.sample(there, 2)
    first, second = (trail.objects[trail.bucket, key] for key in (one, other))
    trail.put(one, *second)
    trail.put(other, *first)
    return True


def _file_not_listed(trail: Trail, pick: random.Random) -> bool:
    trail.put(LogName(ACCOUNT, REGION, trail.end, "Z" * 16).key, gzip.compress(b'{"Records":[]}', mtime=0))
    return True


def _digest_altered(trail: Trail, pick: random.Random) -> bool:
    return _on_a_digest(trail, pick, lambda key: trail.alter(key, lambda content: content + b" "))


def _digest_without_signature(trail: Trail, pick: random.Random) -> bool:
    return _on_a_digest(trail, pick, lambda key: trail.put(key, trail.objects[trail.bucket, key].data))


def _digest_of_no_json(trail: Trail, pick: random.Random) -> bool:
    def change(key: str) -> None:
        trail.put(key, gzip.compress(b"{", mtime=0), trail.objects[trail.bucket, key].metadata)

    return _on_a_digest(trail, pick, change)


def _digest_signed_by_another(trail: Trail, pick: random.Random) -> bool:
    """The signature is another key's, but the fingerprint in the digest is that of CloudTrail's."""

    def change(key: str) -> None:
        found = trail.objects[trail.bucket, key]
        trail.put(key, found.data, found.metadata | {"signature": signer(2).sign(b"anything")})

    return _on_a_digest(trail, pick, change)


def _last_digest_by_an_unknown_key(trail: Trail, pick: random.Random) -> bool:
    """As somebody would make it who has a key of their own."""
    key = _digests(trail)[-1]
    stranger = signer(2)
    told = json.loads(gzip.decompress(trail.objects[trail.bucket, key].data))
    if key != trail.digests[-1].key or not told["previousDigestS3Object"]:
        return False
    previous = trail.digests[-2]
    made = trail.chain.digest(stranger, trail.end - HOUR, trail.end, [], previous)
    trail.put(made.key, made.data, made.metadata)
    return True


def _digest_removed(trail: Trail, pick: random.Random) -> bool:
    """Not the last one: of that nobody tells, neither here nor there."""
    there = _digests(trail)
    if len(there) < 3:
        return False
    trail.remove(pick.choice(there[:-1]))
    return True


def _digest_moved(trail: Trail, pick: random.Random) -> bool:
    """One takes the place of another."""
    there = _digests(trail)
    if len(there) < 2:
        return False
    one, other = pick.sample(there, 2)
    trail.put(one, *trail.objects[trail.bucket, other])
    return True


def _digests_reordered(trail: Trail, pick: random.Random) -> bool:
    there = _digests(trail)
    if len(there) < 2:
        return False
    one, other = pick.sample(there, 2)
    first, second = (trail.objects[trail.bucket, key] for key in (one, other))
    trail.put(one, *second)
    trail.put(other, *first)
    return True


def _backfilled(trail: Trail, pick: random.Random) -> bool:
    """Files of an hour that was digested days later, by a key of those days."""
    late = replace(trail.chain, backfill=True)
    previous = None
    if signer(3) not in trail.keys:
        trail.keys.append(signer(3))
    for hour in range(pick.choice((1, 2))):
        start = trail.begin + hour * HOUR
        listed = [trail.log_file(start + timedelta(minutes=33))]
        previous = late.digest(signer(3), start, start + HOUR, listed, previous, start + timedelta(days=4))
        trail.put(previous.key, previous.data, previous.metadata)
    return True


ACTS: dict[str, Callable[[Trail, random.Random], bool]] = {
    act.__name__: act
    for act in (
        _file_altered,
        _file_removed,
        _file_truncated,
        _file_of_two_members,
        _file_no_gzip,
        _files_swapped,
        _file_not_listed,
        _digest_altered,
        _digest_without_signature,
        _digest_of_no_json,
        _digest_signed_by_another,
        _last_digest_by_an_unknown_key,
        _digest_removed,
        _digest_moved,
        _digests_reordered,
        _backfilled,
    )
}


def _files(trail: Trail) -> list[str]:
    return [key for key in trail.files if (trail.bucket, key) in trail.objects]


def _digests(trail: Trail) -> list[str]:
    return [digest.key for digest in trail.digests if (trail.bucket, digest.key) in trail.objects]


def _on_a_file(trail: Trail, pick: random.Random, act: Callable[[str], Any]) -> bool:
    there = _files(trail)
    if there:
        act(pick.choice(there))
    return bool(there)


def _on_a_digest(trail: Trail, pick: random.Random, act: Callable[[str], Any]) -> bool:
    there = _digests(trail)
    if there:
        act(pick.choice(there))
    return bool(there)


# --- As AWS answers -----------------------------------------------------------------------------------------------------


@contextmanager
def serve(*trails: Trail) -> Iterator[str]:
    """A server on the loopback address that answers for these trails' buckets, and for CloudTrail; gives its URL."""

    class Answering(_Handler):
        of = {trail.bucket: trail for trail in trails}
        keys = list({id(key): key for trail in trails for key in trail.keys}.values())

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    of: dict[str, Trail] = {}
    keys: list[signing.Signer] = []

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"{}")
        assert self.headers["X-Amz-Target"].endswith(".ListPublicKeys")
        since, until = asked.get("StartTime", 0), asked.get("EndTime", 2**40)
        keys = [key for key in self.keys if key.begins.timestamp() <= until and key.ends.timestamp() >= since]
        self._answer(200, json.dumps({"PublicKeyList": [key.told() for key in keys]}).encode())

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        bucket, _, key = unquote(url.path).lstrip("/").partition("/")
        query = {name: values[0] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
        if key:
            self._object(bucket, key)
        elif "location" in query:
            said = f"<LocationConstraint>{REGION}</LocationConstraint>"
            self._answer(200, said.encode())
        else:
            self._answer(200, self._listing(bucket, query))

    def _object(self, bucket: str, key: str) -> None:
        found = self.of[bucket].objects.get((bucket, key))
        if found is None:
            self._answer(
                404, b"<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message></Error>"
            )
        else:
            headers = {f"x-amz-meta-{name}": value for name, value in found.metadata.items()}
            self._answer(200, found.data, headers)

    def _listing(self, bucket: str, query: dict[str, str]) -> bytes:
        after = query.get("marker") or query.get("start-after") or query.get("key-marker") or ""
        keys = [
            key for _, key in sorted(self.of[bucket].objects) if key.startswith(query.get("prefix", "")) and key > after
        ]
        rows = "".join(f"<Contents><Key>{escape(key)}</Key></Contents>" for key in itertools.islice(keys, 1000))
        more = str(len(keys) > 1000).lower()
        return f"<ListBucketResult><IsTruncated>{more}</IsTruncated>{rows}</ListBucketResult>".encode()

    def _answer(self, code: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(code)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
