"""Registration: pinned object versions and metadata pass the contract, or are refused with every failure at once (R2, R3).

Nothing is stored before the contract is met. Bytes are read and hashed outside any transaction.
"""

import hashlib
from collections import Counter
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
from records.models import File, Record, RecordType, Version
from records.queries import wrote_since_approved
from records.transitions import Content, seal
from storage import s3
from storage.models import Bucket

Progress = Callable[[int, int, str], None]
HEAD_BYTES = 4096  # of a file, to tell its media type


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
    """What lies under a prefix: pinned, not yet hashed. `deleted` are keys that a delete marker hides, `modified` says by
    logical key when each version was written (UTC)."""

    entries: list[manifest.Entry]
    deleted: list[str]
    modified: Mapping[str, datetime]


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
    modified = {found.key[len(prefix) :]: found.last_modified for found in listing.objects}
    return Found(entries, listing.deleted, modified)


def belongs_to(entries: Sequence[manifest.Entry], record: Record, *, by: User) -> list[str]:
    """A sentence for each version that the person may see and that holds these object versions already: one of another record, or
    all of them one of this record. That a next version goes on with files of the one before is usual, and not told."""
    pinned = {(entry.bucket, entry.key, entry.version_id) for entry in entries}
    rows = File.objects.filter(bucket__in={bucket for bucket, _, _ in pinned}, key__in=[key for _, key, _ in pinned])
    found = Counter(
        version for version, *pin in rows.values_list("version", "bucket", "key", "s3_version") if tuple(pin) in pinned
    )
    known = Version.objects.visible_to(by).filter(pk__in=found).select_related("record").defer("manifest")
    return [
        f"{_of_these(found[version.pk], len(pinned))} to {version.record.number} version {version.ordinal} already."
        for version in known.order_by("record__number", "ordinal")
        if version.record_id != record.pk or found[version.pk] == len(pinned)
    ]


def with_reason(message: str, again: str) -> str:
    """The message of a version whose object versions another one holds already."""
    if not again.strip():
        return message
    first = f"{message.strip().rstrip('.')}. " if message.strip() else ""
    return f"{first}Registered again: {again.strip()}"


def _of_these(count: int, total: int) -> str:
    which = f"These {count}" if count == total else f"{count} of these {total}"
    return "This object version belongs" if total == 1 else f"{which} object versions belong{'s' * (count == 1)}"


def failures(
    record_type: RecordType, entries: Sequence[manifest.Entry], metadata: Mapping[str, Any], *, by: User, when: datetime
) -> list[Failure]:
    """Everything that keeps this from being registered now, as far as names, sizes and metadata tell; empty is a pass."""
    held = definitions.in_force(record_type, when)
    if held is None:
        return [Failure("definition", f"No definition of {record_type.name} is effective: it must be approved first.")]
    return [*_foreign_buckets(entries, by), *contract.check(held[1], list(entries), metadata)]


def _foreign_buckets(entries: Sequence[manifest.Entry], by: User) -> list[Failure]:
    """A manifest can name any bucket of the world; only bytes of buckets that are registered for the person are read."""
    known = set(Bucket.objects.visible_to(by).values_list("pk", flat=True))
    return [
        Failure("files", f"Bucket {name} is not registered for you, so its files cannot be part of a version.")
        for name in sorted({entry.bucket for entry in entries} - known)
    ]


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
    if broken := failures(record.type, entries, metadata, by=by, when=now):
        raise ContractFailed(broken, record, by)
    held = definitions.in_force(record.type, now)
    assert held is not None
    definition_version, definition = held
    hashed, media_types, broken = _read_all(entries, progress)
    # Once more, with what the bytes show: a report that is no PDF is not the report that is asked for.
    broken += contract.check(definition, hashed, metadata, media_types=media_types)
    if broken:
        raise ContractFailed(broken, record, by)
    rendition = renditions.of_package(record, hashed, metadata, definition, message=message, by=by, at=now)
    content = Content(
        entries=hashed,
        rendition=rendition.pin,
        rendition_pages=rendition.pages,
        message=message.strip(),
        metadata=metadata,
        media_types=media_types,
        definition=definition_version,
        package=package,
    )
    with transaction.atomic(durable=True):
        # Locked first, so that nobody registers another version between this look and the seal.
        Record.objects.select_for_update(no_key=True).get(pk=record.pk)
        wrote, _ = wrote_since_approved(record)
        version = seal(
            record, replace(content, contributors=sorted({str(by.pk), *wrote})), by=by, action=Action.VERSION_REGISTERED
        )
        if then:
            then(version, definition)
    return version


@dataclass(frozen=True)
class _Read:
    """A file as it was read: the entry with our SHA-256, its media type by its first bytes, and a sentence where it is not
    what was stated, or ""."""

    entry: manifest.Entry
    media_type: str
    problem: str


def _read(entry: manifest.Entry, on_bytes: Callable[[int], None]) -> _Read:
    """Read the bytes that the entry's version id names, and hash them.

    A hash of another type that came with a Quilt manifest is recomputed as well, where its type binds the content.
    """
    sha256, size, head = hashlib.sha256(), 0, b""
    foreign = (
        manifest.ChunkedSha256(entry.size) if entry.foreign and entry.foreign.type == manifest.SHA256_CHUNKED else None
    )
    for piece in s3.stream(entry.bucket, entry.key, entry.version_id):
        head = head or piece[:HEAD_BYTES]
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
    return _Read(
        replace(entry, sha256=sha256.hexdigest()),
        previews.media_type_of(entry.logical_key, head),
        f"{entry.logical_key} is not what was stated: {'; '.join(wrong)}." if wrong else "",
    )


def _read_all(
    entries: Sequence[manifest.Entry], progress: Progress | None
) -> tuple[list[manifest.Entry], dict[str, str], list[Failure]]:
    """Every entry hashed, media types by logical key, and what is not what was stated."""
    total, done = sum(entry.size for entry in entries), 0
    read = []
    for entry in entries:
        name = entry.logical_key

        def on_bytes(count: int, name: str = name) -> None:
            nonlocal done
            done += count
            if progress:
                progress(done, total, name)

        read.append(_read(entry, on_bytes))
    return (
        [one.entry for one in read],
        {one.entry.logical_key: one.media_type for one in read},
        [Failure(one.entry.logical_key, one.problem) for one in read if one.problem],
    )
