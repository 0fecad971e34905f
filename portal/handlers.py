"""Jobs that span floors: verifying a version, registering a package. Imported when the portal is ready, so that every worker
can do them. Each is safe to run twice: what the first run made is found, and not made again."""

import hashlib
import json
import time
from collections.abc import Callable
from typing import Any

from accounts.models import User
from accounts.tasks import SETTLED
from audit import trail
from jobs import queue
from jobs.models import Job
from records import manifest, registration, verification
from records.models import Record, Verification, Version
from signatures import routes
from sops import transitions as sops
from storage import s3

TELL_EVERY = 0.5  # seconds between two signs of life
VERIFY, REGISTER = "records.verify", "records.register"
Progress = Callable[[int, int, str], None]


def ask_to_verify(version: Version, *, by: User) -> Job:
    """The job that reads the version again; one at a time for a version."""
    args = {"version": str(version.pk), "title": f"Verify {version.trail_subject().label}", "page": _page(version)}
    return queue.enqueue(VERIFY, args=args, key=str(version.pk), by=by)


def ask_to_register(
    record: Record,
    entries: list[manifest.Entry],
    metadata: dict[str, Any],
    *,
    message: str,
    package: str = "",
    by: User,
) -> Job:
    """The job that hashes these pinned object versions and makes them the record's next version. `package` is the Quilt
    manifest that they came from, as text. Asking for the same twice makes one job."""
    said = json.dumps([manifest.pins_sha256(entries), metadata, message], sort_keys=True)
    args = {
        "record": str(record.pk),
        "entries": [[e.logical_key, e.bucket, e.key, e.version_id, e.size] for e in entries],
        "metadata": metadata,
        "message": message,
        "package": package,
        "title": f"Register {record.number}",
        "page": f"{record.get_absolute_url()}register/",
    }
    return queue.enqueue(REGISTER, args=args, key=f"{record.pk}:{hashlib.sha256(said.encode()).hexdigest()}", by=by)


@queue.handler(VERIFY)
def verify(job: Job) -> dict[str, Any]:
    version = Version.objects.select_related("record__type").get(pk=job.args["version"])
    found = Verification.objects.filter(
        version=version, by_key=job.requested_by, started_at__gte=job.created_at
    ).first()
    if found is None:
        user = _asker(job)
        with s3.asking_for(*_names(user)):
            found = verification.verify(version, by=user or trail.SYSTEM, progress=paced(job))
    return {"outcome": found.outcome, "verification": str(found.pk), "page": _page(version)}


@queue.handler(REGISTER)
def register(job: Job) -> dict[str, Any]:
    record = Record.objects.select_related("type", "area").get(pk=job.args["record"])
    user = User.objects.get(pk=job.requested_by)
    package = manifest.parse(job.args["package"].encode()) if job.args["package"] else None
    entries = list(package.entries) if package else [_entry(*row) for row in job.args["entries"]]
    metadata = job.args["metadata"]
    version = Version.objects.filter(
        record=record,
        author=user,
        created_at__gte=job.created_at,
        pins_sha256=manifest.pins_sha256(entries),
        metadata=metadata,
    ).first()
    if version is None:

        def then(made: Version, definition: registration.contract.Definition) -> None:
            routes.of_definition(made, definition, by=user)
            # In the transaction that seals: whoever lost the lease makes no version.
            job.progress(job.total, job.total, "Sealed")

        with s3.asking_for(*_names(user)):
            version = registration.register(
                record,
                entries,
                metadata,
                by=user,
                message=job.args["message"],
                package=package,
                progress=paced(job),
                then=then,
            )
    return {"version": str(version.pk), "top_hash": version.top_hash, "page": _page(version)}


@queue.handler(SETTLED)
def ask_to_read(job: Job) -> dict[str, int]:
    """Whoever joined, or took on a role or an area, is asked to read the SOPs that name them."""
    return {"readings": len(sops.ask_newcomer(User.objects.get(pk=job.args["user"])))}


def _entry(name: str, bucket: str, key: str, version_id: str, size: int) -> manifest.Entry:
    return manifest.Entry(name, bucket, key, version_id, size, "", {})


def paced(job: Job) -> Progress:
    """`job.progress`, but at most twice a second: one tells it every piece that is read."""
    last = float("-inf")

    def tell(done: int, total: int, message: str) -> None:
        nonlocal last
        if time.monotonic() - last >= TELL_EVERY:
            last = time.monotonic()
            job.progress(done, total, message)

    return tell


def _asker(job: Job) -> User | None:
    """Who asked for the job; None for the portal itself."""
    return None if job.requested_by == trail.SYSTEM.key else User.objects.get(pk=job.requested_by)


def _names(user: User | None) -> tuple[str, str]:
    """Source identity and session name under which S3 is asked: CloudTrail then names the person."""
    name = user.username if user else "countersign"
    return name, name


def _page(version: Version) -> str:
    return version.get_absolute_url()
