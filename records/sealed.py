"""What a version says of itself, held against itself: manifest, top hash, pins and file rows must tell one story."""

from records import manifest
from records.models import File, Version


def contradictions(version: Version) -> list[str]:
    """Sentences, one for each way in which the sealed row contradicts itself; empty when all agrees. Reads no bytes."""
    try:
        read = manifest.parse(bytes(version.manifest))
    except manifest.ManifestError as error:
        return [f"The manifest cannot be read: {error}"]
    found = []
    if manifest.top_hash(read) != version.top_hash:
        found.append(f"The manifest's top hash is {manifest.top_hash(read)}, the version says {version.top_hash}.")
    if manifest.pins_sha256(read.entries) != version.pins_sha256:
        found.append("The manifest's pins (bucket, key, version id) do not hash to what the version says.")
    if read.user_meta != version.metadata:
        found.append("The metadata in the manifest differ from the metadata of the version.")
    rows = {file.logical_key: file for file in version.files.all()}
    stated = {entry.logical_key: entry for entry in read.entries}
    for name in sorted(rows.keys() | stated.keys()):
        if name not in rows or name not in stated or not _agree(rows[name], stated[name]):
            found.append(f"The row of file {name} differs from the manifest.")
    return found


def _agree(row: File, entry: manifest.Entry) -> bool:
    """A manifest that came with another type of hash states no SHA-256; the row keeps ours beside it."""
    pins = (row.bucket, row.key, row.s3_version, row.size) == (entry.bucket, entry.key, entry.version_id, entry.size)
    return pins and (entry.foreign is not None or row.sha256 == entry.sha256)
