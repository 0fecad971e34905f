"""The definition in force: what a record type is, and the gate that it makes at registration (R1)."""

from datetime import datetime
from functools import lru_cache

from records.contract import Definition
from records.models import RecordType, Version
from records.queries import effective_version
from storage import worm

FILE = "definition.json"


def in_force(record_type: RecordType, when: datetime) -> tuple[Version, Definition] | None:
    """The effective version of the type's definition and what it says, or None where none is effective then."""
    if record_type.definition_id is None:
        return None
    version = effective_version(record_type.definition_id, when)
    return (version, read(version)) if version else None


def read(version: Version) -> Definition:
    """What a definition's version says, from its sealed bytes. Raises `worm.Altered` where they are not what was sealed."""
    file = next(file for file in version.files.all() if file.logical_key == FILE)
    return _read(worm.Pin(file.bucket, file.key, file.s3_version, file.size, file.sha256))


@lru_cache(maxsize=64)
def _read(pin: worm.Pin) -> Definition:
    """Sealed bytes stay the same, so what they say is kept in memory; they were hashed when they were read."""
    return Definition.from_json(worm.get(pin))
