"""Has it changed? Every byte of a version read again from S3 by version id, hashed, and held against the seal; every row
about it held against the trail (R4)."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from django.db import transaction

from audit import clock, rows, trail
from audit.actions import Action
from records import sealed
from records.models import File, Verification, Version
from storage import s3, worm
from storage.s3 import StorageError

Progress = Callable[[int, int, str], None]
Outcome = Verification.Outcome
OWN_TABLE = Verification._meta.db_table


@dataclass(frozen=True)
class FileProof:
    """One file as it was found. `problem` is a sentence, or "" where it is what was sealed."""

    logical_key: str
    sha256: str
    size: int
    lock_mode: str
    retain_until: str
    newer: str
    problem: str
    reachable: bool = True


def verify(version: Version, *, by: trail.HasActor | trail.Actor, progress: Progress | None = None) -> Verification:
    """Read all of the version's bytes and keep the result. Takes as long as the bytes do; holds no transaction meanwhile."""
    started = clock.now()
    files = list(version.files.all())
    total, done = sum(file.size for file in files), 0
    contradictions = sealed.contradictions(version) + rows.differences("version", str(version.pk), leave=[OWN_TABLE])
    proofs, tops = [], _tops(files)
    for file in files:
        top = tops.get((file.bucket, file.key))
        proofs.append(_prove(file, top, lambda count: progress and progress(done + count, total, file.logical_key)))  # noqa: B023
        done += file.size
    rendition_problem, rendition_reachable = _prove_rendition(version)
    findings = contradictions + [proof.problem for proof in proofs if proof.problem]
    findings += [rendition_problem] if rendition_problem else []
    unreachable = not rendition_reachable or any(not proof.reachable for proof in proofs)
    changed = (
        bool(contradictions)
        or any(proof.problem and proof.reachable for proof in proofs)
        or (bool(rendition_problem) and rendition_reachable)
    )
    outcome = Outcome.CHANGED if changed else Outcome.UNREACHABLE if unreachable else Outcome.UNCHANGED
    return _keep(version, started, outcome, findings, proofs, by)


def _prove(file: File, top: s3.StoredVersion | None, on_total: Callable[[int], Any]) -> FileProof:
    read = 0

    def on_bytes(count: int) -> None:
        nonlocal read
        read += count
        on_total(read)

    try:
        digest = s3.digest(file.bucket, file.key, file.s3_version, on_bytes)
        head = s3.head(file.bucket, file.key, file.s3_version)
        newer = _newer(file, top)
    except s3.ObjectGone:
        return FileProof(
            file.logical_key, "", 0, "", "", "", f"{file.logical_key}: the sealed object version is gone from S3."
        )
    except StorageError as error:
        return FileProof(file.logical_key, "", 0, "", "", "", f"{file.logical_key}: {error}", reachable=False)
    problem = ""
    if (digest.sha256, digest.size) != (file.sha256, file.size):
        problem = (
            f"{file.logical_key}: {digest.size} bytes with SHA-256 {digest.sha256} on S3, but {file.size} bytes with "
            f"SHA-256 {file.sha256} were sealed."
        )
    until = head.lock.until.isoformat() if head.lock.until else ""
    return FileProof(file.logical_key, digest.sha256, digest.size, head.lock.mode, until, newer, problem)


def _tops(files: Sequence[File]) -> dict[tuple[str, str], s3.StoredVersion]:
    """The newest version or delete marker of each key, by one listing of each folder; empty where S3 does not list them
    (then the files themselves tell whether they can be read)."""
    folders = {(file.bucket, file.key[: file.key.rfind("/") + 1] or file.key) for file in files}
    tops: dict[tuple[str, str], s3.StoredVersion] = {}
    for bucket, folder in sorted(folders):
        with suppress(StorageError):
            tops |= {(bucket, held.key): held for held in s3.history(bucket, folder) if held.is_latest}
    return tops


def _newer(file: File, top: s3.StoredVersion | None) -> str:
    """What now lies on top of the sealed version under the same key: it does not change it, but a reader should know."""
    if top is None or top.version_id == file.s3_version:
        return ""
    return (
        "a delete marker"
        if top.is_delete_marker
        else f"a newer object version of {top.last_modified:%d %b %Y %H:%M} UTC"
    )


def _prove_rendition(version: Version) -> tuple[str, bool]:
    try:
        worm.get(worm.Pin.from_json(version.rendition))
    except (worm.Altered, s3.ObjectGone) as error:
        return f"The rendition that was signed: {error}", True
    except StorageError as error:
        return f"The rendition that was signed: {error}", False
    return "", True


def _keep(
    version: Version,
    started: datetime,
    outcome: str,
    findings: list[str],
    proofs: list[FileProof],
    by: trail.HasActor | trail.Actor,
) -> Verification:
    actor = trail.actor_of(by)
    with transaction.atomic():
        row = Verification.objects.create(
            version=version,
            started_at=started,
            outcome=outcome,
            findings=findings,
            files=[asdict(proof) for proof in proofs],
            bytes_read=sum(proof.size for proof in proofs),
            by_key=actor.key,
            by_name=actor.name,
        )
        row.refresh_from_db()
        action = Action.VERSION_ALTERED if outcome == Outcome.CHANGED else Action.VERSION_VERIFIED
        trail.record(
            action, version, by=by, detail={"outcome": str(outcome), "findings": findings[:20], "bytes": row.bytes_read}
        )
    return row
