"""Keeps the stand-in's state on disk: content by digest, and an append-only journal of what each request left behind.

After every writing request the state of what it touched (a bucket's settings, all versions of a key, one service's
resources, the sessions handed out) is appended as one checked record. Loading takes the last record of each; a record
that was cut off by a kill is dropped. Version ids, times and locks are part of that state, so they survive. Records are
pickles of moto's own objects: a data folder is good for one version of moto and for nobody else's eyes.
"""

import fcntl
import hashlib
import io
import pickle
import struct
import zlib
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from moto.backends import get_backend
from moto.s3.models import FakeBucket, FakeDeleteMarker, FakeKey, S3Backend, s3_backends

from standin.call import Call, elements
from standin.principals import Directory

HEADER = struct.Struct(">II")
SERVICES = ("kms", "cloudtrail", "iam", "s3control")
READS = ("Get", "List", "Describe", "Head")  # how the names of requests begin that change nothing
Name = tuple[str, ...]


class WrongData(Exception):
    """The data folder was written by another version, or another stand-in is using it."""


class Journal:
    """The journal of one data folder; open it before the first request is served."""

    def __init__(self, folder: Path, account: str) -> None:
        self.account = account
        self._content = folder / "content"
        self._content.mkdir(parents=True, exist_ok=True)
        self._path = folder / "journal"
        self._held = (folder / "lock").open("w")
        try:
            fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise WrongData(f"{folder} is in use by another stand-in.") from None
        self._stamp = f"moto {version('moto')}"

    @property
    def s3(self) -> S3Backend:
        return s3_backends[self.account]["aws"]

    def open(self, directory: Directory) -> None:
        """Bring back what the journal holds, and write it anew without what is outdated."""
        live = dict(self._records())
        if live and live.pop(("stamp",), None) != self._stamp:
            raise WrongData(f"{self._path} was written by another version; remove the folder to start over.")
        self._restore(live, directory)
        self._sweep(live)
        fresh = self._path.with_suffix(".new")
        with fresh.open("wb") as file:
            for name, state in [(("stamp",), self._stamp), *live.items()]:
                file.write(_framed(name, state))
        fresh.replace(self._path)
        self._file = self._path.open("ab")

    def close(self) -> None:
        self._file.close()
        self._held.close()

    def saw(self, call: Call, directory: Directory) -> None:
        """Keep what a successful request changed."""
        if call.service == "s3" and call.writes and call.key:
            self.keep_key(call.bucket, call.key)
        elif call.service == "s3" and call.operation == "DeleteObjects":
            for name, text in elements(call.body):
                if name == "Key":
                    self.keep_key(call.bucket, text)
        elif call.service == "s3" and call.writes:
            self.keep_bucket(call.bucket)
        elif call.service == "sts":
            self._append(("sessions",), directory)
        elif call.service in SERVICES and not call.operation.startswith(READS):
            self._append(("service", call.service, call.region), _backend(call.service, self.account, call.region))

    def keep_key(self, bucket: str, key: str) -> None:
        """Append all versions of a key; their bytes are stored first."""
        versions = self.s3.buckets[bucket].keys.getlist(key, [])
        self._append(("key", bucket, key), [self._version(version) for version in versions])

    def keep_bucket(self, name: str) -> None:
        bucket = self.s3.buckets.get(name)
        if bucket is None:
            return self._append(("bucket", name), None)
        settings = {key: value for key, value in vars(bucket).items() if key not in ("keys", "multiparts")}
        tags = self.s3.tagger.get_tag_dict_for_resource(bucket.arn)
        return self._append(("bucket", name), (settings, tags))

    def _version(self, version: FakeKey | FakeDeleteMarker) -> dict[str, Any]:
        if isinstance(version, FakeDeleteMarker):
            return {"marker": version.version_id, "at": version.last_modified}
        state = version.__getstate__() | {"multipart": None}
        value: bytes = state.pop("value")
        digest = hashlib.sha256(value).hexdigest()
        path = self._content / digest
        if not path.exists():
            part = path.with_suffix(".part")
            part.write_bytes(value)
            part.replace(path)
        return {"state": state, "content": digest, "tags": self.s3.tagger.get_tag_dict_for_resource(version.arn)}

    def _append(self, name: Name, state: Any) -> None:
        self._file.write(_framed(name, state))
        self._file.flush()

    def _records(self) -> Iterator[tuple[Name, Any]]:
        """Every whole record, in order."""
        if not self._path.exists():
            return
        data = self._path.read_bytes()
        at = 0
        while at + HEADER.size <= len(data):
            length, check = HEADER.unpack_from(data, at)
            payload = data[at + HEADER.size : at + HEADER.size + length]
            if len(payload) < length or zlib.crc32(payload) != check:
                return
            yield pickle.loads(payload)  # noqa: S301
            at += HEADER.size + length

    def _restore(self, live: dict[Name, Any], directory: Directory) -> None:
        for name, state in [item for item in live.items() if item[0][0] == "bucket"]:
            if state is None:
                del live[name]
            else:
                self._restore_bucket(name[1], *state)
        for name, state in [item for item in live.items() if item[0][0] == "key"]:
            if not state or ("bucket", name[1]) not in live:
                del live[name]
            else:
                self._restore_key(name[1], name[2], state)
        for name, state in live.items():
            if name[0] == "service":
                _backend(name[1], self.account, name[2]).__dict__.update(vars(state))
            elif name[0] == "sessions":
                directory.restore(state)

    def _restore_bucket(self, name: str, settings: dict[str, Any], tags: dict[str, str]) -> None:
        bucket: FakeBucket = FakeBucket(  # type: ignore[abstract]  # moto leaves it so
            name, self.account, settings["region_name"]
        )
        vars(bucket).update(settings)
        self.s3.buckets[name] = bucket
        if tags:
            self.s3.put_bucket_tagging(name, tags)

    def _restore_key(self, bucket: str, name: str, versions: list[dict[str, Any]]) -> None:
        restored: list[Any] = []
        for kept in versions:
            if "marker" in kept:
                marker = FakeDeleteMarker(restored[-1] if restored else FakeKey(name, b"", self.account, "us-east-1"))
                marker.last_modified, marker._version_id = kept["at"], kept["marker"]
                restored.append(marker)
                continue
            key: Any = FakeKey.__new__(FakeKey)
            key.__setstate__(kept["state"] | {"value": (self._content / kept["content"]).read_bytes()})
            restored.append(key)
            if kept["tags"]:
                pairs = [{"Key": tag, "Value": value} for tag, value in kept["tags"].items()]
                self.s3.tagger.tag_resource(key.arn, pairs)
        self.s3.buckets[bucket].keys.setlist(name, restored)

    def _sweep(self, live: dict[Name, Any]) -> None:
        """Remove content that no version refers to any longer."""
        used = {kept.get("content") for name, state in live.items() if name[0] == "key" for kept in state}
        for path in self._content.iterdir():
            if path.name not in used:
                path.unlink()


def _private_key(pem: bytes) -> Any:
    return load_pem_private_key(pem, None)


class _Pickler(pickle.Pickler):
    """Also keeps the private keys of the KMS, which have no pickle of their own."""

    def reducer_override(self, value: Any) -> Any:
        if not isinstance(value, (RSAPrivateKey, EllipticCurvePrivateKey)):
            return NotImplemented
        pem = value.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return _private_key, (pem,)


def _framed(name: Name, state: Any) -> bytes:
    buffer = io.BytesIO()
    _Pickler(buffer, protocol=pickle.HIGHEST_PROTOCOL).dump((name, state))
    payload = buffer.getvalue()
    return HEADER.pack(len(payload), zlib.crc32(payload)) + payload


def _backend(service: Any, account: str, region: str) -> Any:
    regions = get_backend(service)[account]
    return regions[region] if region in regions else regions["aws"]
