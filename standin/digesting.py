"""Hourly digests of the stand-in's trail: which hours are due, what was delivered in them, and the key that signs.

A chain goes on from the last digest in the bucket, so that nothing but the key has to be kept between two starts.
"""

import gzip
import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from standin.digests import Chain, Digest, Listed, Signer, new_private_key, read

HOUR = timedelta(hours=1)
_LOG = re.compile(r"AWSLogs/\d{12}/CloudTrail/(?P<region>[a-z0-9-]+)/.*_(?P<time>\d{8}T\d{4})Z_\w{16}\.json\.gz")
_DIGEST = re.compile(r"AWSLogs/\d{12}/CloudTrail-Digest/(?P<region>[a-z0-9-]+)/.*_(?P<time>\d{8}T\d{6})Z\.json\.gz")
Stop = tuple[datetime, datetime]


class Store(Protocol):
    """The trail's bucket."""

    def held(self) -> Iterable[str]: ...

    def get(self, key: str) -> tuple[bytes, dict[str, str]]: ...

    def put(self, key: str, data: bytes, metadata: dict[str, str]) -> None: ...


class Digests:
    """Makes the digests of one trail, region by region."""

    def __init__(
        self, store: Store, *, account: str, bucket: str, trail: str, folder: Path | None, now: datetime
    ) -> None:
        self._store = store
        self._chain: Callable[[str], Chain] = lambda region: Chain(account, region, bucket, trail)
        self._bucket = bucket
        self._folder = folder
        self._began = now

    @cached_property
    def signer(self) -> Signer:
        return Signer(_kept_key(self._folder), datetime(2020, 1, 1, tzinfo=UTC), datetime(2040, 1, 1, tzinfo=UTC))

    def public_keys(self, asked: dict[str, Any]) -> dict[str, Any]:
        """The answer to CloudTrail's `ListPublicKeys`."""
        since, until = float(asked.get("StartTime", 0)), float(asked.get("EndTime", 2**40))
        key = self.signer
        fits = key.begins.timestamp() <= until and key.ends.timestamp() >= since
        return {"PublicKeyList": [key.told()] if fits else []}

    def catch_up(self, now: datetime) -> int:
        """Make what is due: from the last digest on, or from the first whole hour that this stand-in was running."""
        first = _floor(self._began) + HOUR
        return self.make(first, now) if now >= first + HOUR else 0

    def make(self, since: datetime, until: datetime, stops: Iterable[Stop] = ()) -> int:
        """Digests of the whole hours of [since, until) that have none, left out while the trail was stopped; how many."""
        delivered: dict[tuple[str, datetime], list[str]] = defaultdict(list)
        last: dict[str, tuple[datetime, str]] = {}
        regions = set()
        for key in self._store.held():
            if found := _LOG.search(key):
                regions.add(found["region"])
                delivered[found["region"], _floor(_time(found["time"], "%Y%m%dT%H%M"))].append(key)
            elif found := _DIGEST.search(key):
                end = _time(found["time"], "%Y%m%dT%H%M%S")
                last[found["region"]] = max(last.get(found["region"], (end, key)), (end, key))
        return sum(
            self._region(region, since, until, list(stops), delivered, last.get(region)) for region in sorted(regions)
        )

    def _region(
        self,
        region: str,
        since: datetime,
        until: datetime,
        stops: list[Stop],
        delivered: dict[tuple[str, datetime], list[str]],
        last: tuple[datetime, str] | None,
    ) -> int:
        chain, hour, made = self._chain(region), _floor(since), 0
        previous: Digest | None = None
        if last is not None:
            hour = last[0]
            previous = read(self._bucket, last[1], *self._store.get(last[1]), last[0])
        while hour + HOUR <= until:
            if any(begin <= hour and hour + HOUR <= end for begin, end in stops):
                previous = None
            else:
                files = [self._listed(key) for key in sorted(delivered[region, hour])]
                previous = chain.digest(self.signer, hour, hour + HOUR, files, previous)
                self._store.put(previous.key, previous.data, previous.metadata)
                made += 1
            hour += HOUR
        return made

    def _listed(self, key: str) -> Listed:
        content = gzip.decompress(self._store.get(key)[0])
        return Listed(self._bucket, key, hashlib.sha256(content).hexdigest())


def asked(body: bytes) -> tuple[datetime, datetime, list[Stop]]:
    """What `POST /standin/digest` says: since, until, and stops."""
    said = json.loads(body)
    stops = [(datetime.fromisoformat(begin), datetime.fromisoformat(end)) for begin, end in said.get("stops", [])]
    return datetime.fromisoformat(said["since"]), datetime.fromisoformat(said["until"]), stops


def _kept_key(folder: Path | None) -> RSAPrivateKey:
    """The key of this data folder; a new one where there is none."""
    path = folder / "digest-key.pem" if folder else None
    if path is not None and path.exists():
        kept = load_pem_private_key(path.read_bytes(), None)
        assert isinstance(kept, RSAPrivateKey)
        return kept
    made = new_private_key()
    if path is not None:
        path.touch(mode=0o600)
        path.write_bytes(made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return made


def _floor(when: datetime) -> datetime:
    return when.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def _time(text: str, form: str) -> datetime:
    return datetime.strptime(text, form).replace(tzinfo=UTC)
