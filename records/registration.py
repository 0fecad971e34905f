"""Registration: pinned object versions and metadata pass the contract, or are refused with every failure at once (R2, R3).

Nothing is stored before the contract is met. Bytes are read and hashed outside any transaction.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.db import transaction

from accounts.models import User
from accounts.permissions import demand
from audit import clock, trail
from audit.actions import Action
from records import contract, definitions, manifest, previews, renditions
from records.contract import Failure
from records.models import Record, Version
from records.transitions import Content, seal
from storage import s3
from storage.models import Bucket

Progress = Callable[[int, int, str], None]


class ContractFailed(trail.Refused):
    """The package does not meet its definition; `failures` are all the reasons."""

    status = 422

    def __init__(self, failures: Sequence[Failure], record: Record, by: User) -> None:
        sentences = [failure.sentence for failure in failures]
        super().__init__(
            f"{record.number} was not registered: " + " ".join(sentences),
            action=Action.VERSION_REFUSED,
            subject=record,
            by=by,
            detail={"failures": sentences},
        )
        self.failures = list(failures)


@dataclass(frozen=True)
class Found:
    """What lies under a prefix: pinned, not yet hashed. `deleted` are keys that a delete marker hides."""

    entries: list[manifest.Entry]
    deleted: list[str]

    @property
    def total_bytes(self) -> int:
        return sum(entry.size for entry in self.entries)


def look(bucket: str, prefix: str, *, by: User) -> Found:
    """The newest object versions under the prefix, as entries named relative to it. Raises Refused, `s3.StorageError`."""
    if not Bucket.objects.visible_to(by).filter(pk=bucket).exists():
        raise trail.Refused(
            f"Bucket {bucket} is not registered for you; an administrator registers buckets.",
            action=Action.VERSION_REFUSED,
            by=by,
            subject=trail.Subject("bucket", bucket, bucket),
        )
    listing = s3.list_prefix(bucket, prefix)
    entries = [
        manifest.Entry(found.key[len(prefix) :], bucket, found.key, found.version_id, found.size, "", {})
        for found in listing.objects
        if found.key[len(prefix) :] and not found.key.endswith("/")
    ]
    return Found(entries, listing.deleted)


def failures(
    record: Record, entries: Sequence[manifest.Entry], metadata: Mapping[str, Any], when: datetime
) -> list[Failure]:
    """Everything that keeps this from being registered now; an empty list is a pass."""
    held = definitions.in_force(record.type, when)
    if held is None:
        return [Failure("definition", f"No definition of {record.type.name} is effective: it must be approved first.")]
    found = contract.check(held[1], list(entries), metadata)
    if not entries:
        found.insert(0, Failure("files", "Nothing lies under this prefix."))
    return found


def register(
    record: Record,
    entries: Sequence[manifest.Entry],
    metadata: Mapping[str, Any],
    *,
    by: User,
    message: str = "",
    package: manifest.Manifest | None = None,
    progress: Progress | None = None,
    then: Callable[[Version, contract.Definition], None] | None = None,
) -> Version:
    """Hash the pinned bytes, check the contract and seal the next version; `then` (the route of signatures) runs in the same
    transaction. `package` is the Quilt manifest that the entries came from, kept as it is. Raises ContractFailed with every
    failure, Refused, `s3.StorageError`; then nothing is stored.
    """
    demand(by, "record.register", record, record)
    now = clock.now()
    broken = failures(record, entries, metadata, now)
    if broken:
        raise ContractFailed(broken, record, by)
    held = definitions.in_force(record.type, now)
    assert held is not None
    definition_version, definition = held
    hashed, broken = _hash_all(entries, progress)
    if broken:
        raise ContractFailed(broken, record, by)
    rendition = renditions.of_package(record, hashed, metadata, definition, message=message, by=by, at=now)
    content = Content(
        entries=hashed,
        rendition=rendition.pin,
        rendition_pages=rendition.pages,
        message=message.strip(),
        metadata=metadata,
        media_types={entry.logical_key: previews.media_type_of(entry.logical_key, b"") for entry in hashed},
        definition=definition_version,
        contributors=[str(by.pk)],
        package=package,
    )
    with transaction.atomic(durable=True):
        version = seal(record, content, by=by, action=Action.VERSION_REGISTERED)
        if then:
            then(version, definition)
    return version


def _hashed(entry: manifest.Entry, on_bytes: Callable[[int], None]) -> tuple[manifest.Entry, str]:
    """The entry with our SHA-256 of the bytes that its version id names, and a sentence where they are not what was stated.

    A hash of another type that came with a Quilt manifest is recomputed as well, where its type binds the content.
    """
    sha256, size = hashlib.sha256(), 0
    foreign = (
        manifest.ChunkedSha256(entry.size) if entry.foreign and entry.foreign.type == manifest.SHA256_CHUNKED else None
    )
    for piece in s3.stream(entry.bucket, entry.key, entry.version_id):
        sha256.update(piece)
        size += len(piece)
        if foreign:
            foreign.update(piece)
        on_bytes(len(piece))
    wrong = []
    if size != entry.size:
        wrong.append(f"{size} bytes on S3, {entry.size} were stated")
    if entry.sha256 and entry.sha256 != sha256.hexdigest():
        wrong.append(f"SHA-256 {sha256.hexdigest()} on S3, {entry.sha256} was stated")
    if not wrong and foreign and entry.foreign and foreign.value() != entry.foreign.value:
        wrong.append(f"its {entry.foreign.type} is {foreign.value()}, {entry.foreign.value} was stated")
    problem = f"{entry.logical_key} is not what was stated: {'; '.join(wrong)}." if wrong else ""
    return replace(entry, sha256=sha256.hexdigest()), problem


def _hash_all(
    entries: Sequence[manifest.Entry], progress: Progress | None
) -> tuple[list[manifest.Entry], list[Failure]]:
    total, done = sum(entry.size for entry in entries), 0
    hashed, broken = [], []

    for entry in entries:
        name = entry.logical_key

        def on_bytes(count: int, name: str = name) -> None:
            nonlocal done
            done += count
            if progress:
                progress(done, total, name)

        row, problem = _hashed(entry, on_bytes)
        hashed.append(row)
        if problem:
            broken.append(Failure(name, problem))
    return hashed, broken
