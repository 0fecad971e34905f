"""The verbs: set a trail up, change it, ask for another try of a file, pull it, load what was handed over."""

import uuid
from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Count, F, Max, Q, Sum

from accounts.models import User
from accounts.permissions import demand
from audit import clock, trail
from audit.actions import Action
from audit.reasons import demand_reason
from cloudtrail import ingest, ledger, proof
from cloudtrail.attribution import heal
from cloudtrail.bucket import TooLarge
from cloudtrail.faults import faults
from cloudtrail.ingest import Progress, Tally, silent
from cloudtrail.models import DirectoryEntry, Listing, LogFile, Trail
from jobs import queue
from jobs.models import Job
from storage.s3 import StorageError

FIELDS = (
    "name",
    "account",
    "organisation",
    "region",
    "bucket",
    "prefix",
    "aws_name",
    "enabled",
    "started_from",
    "source_identity_enforced",
)
"""What a person sets; where files lie (`PLACE`) stays as it is once there are files."""
PLACE = ("account", "organisation", "bucket", "prefix")
FILES_A_READER = 200
READER_SECONDS = 60
"""Then a reader makes room for other jobs; beat asks for it again while many files wait."""


def add_trail(values: Mapping[str, Any], *, by: User) -> Trail:
    """Register a trail. Raises `Forbidden`, or `NotAllowed` where the values make no trail."""
    demand(by, "cloudtrail.manage")
    return _create(values, by=by)


def change_trail(trail_id: uuid.UUID, values: Mapping[str, Any], *, by: User, reason: str) -> Trail:
    """Change a trail's configuration, with a reason. Who its actors are is concluded again where that changes it."""
    demand(by, "cloudtrail.manage")
    with transaction.atomic(durable=True):
        changed = Trail.objects.select_for_update(no_key=True).get(pk=trail_id)
        reason = demand_reason(reason, Action.REQUEST_REFUSED, changed, by)
        before = {name: getattr(changed, name) for name in FIELDS}
        for name in FIELDS:
            setattr(changed, name, values.get(name, before[name]))
        _demand_sense(changed, by)
        if changed.files.exists() and any(getattr(changed, name) != before[name] for name in PLACE):
            raise trail.NotAllowed(
                "This trail has files: account and place stay as they are. Add another trail for the new place.",
                subject=changed,
                by=by,
            )
        changed.save()
        told = {name: str(getattr(changed, name)) for name in FIELDS if getattr(changed, name) != before[name]}
        trail.record(Action.TRAIL_CHANGED, changed, by=by, reason=reason, detail=told)
        if "source_identity_enforced" in told:
            heal(changed.account)
    return changed


def ask_for_pull(pulled: Trail, *, by: User) -> Job:
    """Pull a trail now. Raises `Forbidden`, or `NotAllowed` for one that has no bucket."""
    demand(by, "cloudtrail.manage", pulled)
    if pulled.offline:
        raise trail.NotAllowed("This trail has no bucket: its files are handed over.", subject=pulled, by=by)
    return enqueue_pull(pulled, by=by)


def enqueue_pull(pulled: Trail, *, by: trail.HasActor | trail.Actor = trail.SYSTEM) -> Job:
    """One job for each trail: asking again while it is open gives the open one."""
    args = {"trail": str(pulled.pk), "title": f"Pull files of {pulled}", "page": pulled.get_absolute_url()}
    return queue.enqueue("cloudtrail.pull", args=args, key=str(pulled.pk), by=by)


def enqueue_readers(pulled: Trail) -> None:
    """A job beside the pull for each so many files that wait; asking again while they are open changes nothing."""
    waiting = ledger.waiting(pulled, FILES_A_READER * settings.CLOUDTRAIL_READERS)
    for number in range(waiting // FILES_A_READER):
        enqueue_reader(pulled, number)


def enqueue_reader(pulled: Trail, number: int = 0) -> Job:
    """A job that reads what waits for a while, without listing the bucket; it has that number among those of its trail."""
    args = {"trail": str(pulled.pk), "title": f"Read files of {pulled}"}
    return queue.enqueue("cloudtrail.read", args=args, key=f"{pulled.pk}:{number}")


def try_again(file_id: int, *, by: User) -> Job:
    """Take a file out of quarantine, to be read once more. Raises `NotAllowed` if it is not there."""
    with transaction.atomic(durable=True):
        file = LogFile.objects.select_for_update(no_key=True).select_related("trail").get(pk=file_id)
        demand(by, "cloudtrail.manage", file.trail)
        if file.state != LogFile.State.QUARANTINED:
            raise trail.NotAllowed("Only a file in quarantine can be tried again.", subject=file.trail, by=by)
        detail = {"key": file.key, "reason": file.reason}
        file.state, file.attempts, file.settled_at = LogFile.State.SEEN, 0, None
        file.leased_by, file.leased_until = "", None
        file.save()
        trail.record(Action.TRAIL_FILE_RETRIED, file.trail, by=by, detail=detail)
        return enqueue_pull(file.trail, by=by)


# --- The directory ----------------------------------------------------------------------------------------------------

DIRECTORY_LOCK = 7244116
KNOWN_BY = ("kind", "identifier", "person", "user", "since", "until")


def enter_in_directory(values: Mapping[str, Any], *, by: User, reason: str) -> DirectoryEntry:
    """Say whom an id of IAM Identity Center belongs to, or who answers for a service, from a day on.

    Raises `Forbidden`; `NotAllowed` where the id belongs to somebody already in that time, or nothing sensible was said.
    """
    demand(by, "directory.manage")
    with transaction.atomic(durable=True):
        _directory_alone()
        entry = DirectoryEntry(**{name: values.get(name) for name in KNOWN_BY})
        reason = demand_reason(reason, Action.REQUEST_REFUSED, entry, by)
        if not entry.identifier.strip() or not entry.person.strip():
            raise trail.NotAllowed("Say the id, and whom it belongs to.", subject=entry, by=by)
        _demand_sole(entry, by)
        entry.save(force_insert=True)
        trail.record(Action.DIRECTORY_ENTERED, entry, by=by, reason=reason, detail=_told(entry))
    return entry


def end_in_directory(entry_id: uuid.UUID, until: date, *, by: User, reason: str) -> DirectoryEntry:
    """Set the last day of an entry; the day before its first one says that it never was right."""
    demand(by, "directory.manage")
    with transaction.atomic(durable=True):
        _directory_alone()
        entry = DirectoryEntry.objects.select_for_update(no_key=True, of=("self",)).get(pk=entry_id)
        reason = demand_reason(reason, Action.REQUEST_REFUSED, entry, by)
        if until < entry.since - timedelta(days=1):
            raise trail.NotAllowed(
                f"It began on {entry.since}. To say that it never was right, let it end on the day before.",
                subject=entry, by=by)  # fmt: skip
        before, entry.until = str(entry.until or ""), until
        _demand_sole(entry, by)
        entry.save(update_fields=["until"])
        trail.record(
            Action.DIRECTORY_CHANGED, entry, by=by, reason=reason, detail=_told(entry) | {"until before": before}
        )
    return entry


def _directory_alone() -> None:
    """One change of the directory at a time, so that no two entries made side by side overlap."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [DIRECTORY_LOCK])


def _demand_sole(entry: DirectoryEntry, by: User) -> None:
    same = DirectoryEntry.objects.filter(kind=entry.kind, identifier=entry.identifier).exclude(pk=entry.pk)
    if entry.until is not None:
        same = same.filter(since__lte=entry.until)
    for other in same.filter(Q(until__isnull=True) | Q(until__gte=entry.since)):
        if other.until is None or other.until >= other.since:
            raise trail.NotAllowed(
                f"{entry.identifier} belongs to {other.person} from {other.since} to {other.until or 'today'}: end that first.",
                subject=entry, by=by)  # fmt: skip


def _told(entry: DirectoryEntry) -> dict[str, str]:
    return {name: str(getattr(entry, name) or "") for name in KNOWN_BY}


# --- Pulling, loading -------------------------------------------------------------------------------------------------


def pull(pulled: Trail, progress: Progress = silent) -> Tally:
    """Pull a trail, and tell the audit trail what came of it. Raises `StorageError`; what was stored before stays.

    Without its digests a trail is read all the same: then nothing of it is proved.
    """
    Listing.objects.update_or_create(trail=pulled, defaults={"tried_at": clock.now()})
    try:
        _gather(pulled)
        return ingest.pull(pulled, progress)
    except StorageError as error:
        Listing.objects.update_or_create(trail=pulled, defaults={"last_error": str(error)})
        raise
    finally:
        summarise(pulled, Action.TRAIL_PULLED)
        proof.prove(pulled)


def _gather(pulled: Trail) -> None:
    """Fetch new digests and keys, before the log files are listed: what a digest lists is there by then."""
    if pulled.offline:
        return
    try:
        proof.gather(pulled)
    except (StorageError, TooLarge) as error:
        Listing.objects.update_or_create(trail=pulled, defaults={"digest_error": str(error)})


def read(pulled: Trail, progress: Progress = silent) -> Tally:
    """Read what waits for a minute, beside the pull and others; the next pull tells the audit trail what came of it."""
    tally = Tally()
    ingest.read(pulled, tally, progress, READER_SECONDS)
    return tally


def load(root: Path, *, name: str = "", progress: Progress = silent) -> tuple[Tally, list[LogFile]]:
    """Load files handed over offline into the trail `name`, or into one for each account; tally, and what was set aside."""
    trails: dict[str, Trail] = {}
    tally = Tally()

    def trail_for(account: str) -> Trail:
        if account not in trails:
            trails[account] = _trail_handed_over(name, account)
        return trails[account]

    try:
        return tally, ingest.load(root, trail_for, tally, progress)
    finally:
        for account, found in ingest.digests_below(root).items():
            proof.take_over(trail_for(account), root, found)
            tally.trails.add(trail_for(account).pk)
        for loaded in Trail.objects.filter(pk__in=tally.trails):
            summarise(loaded, Action.TRAIL_LOADED)
            proof.prove(loaded)


def summarise(told: Trail, action: Action) -> None:
    """One entry for everything that was settled since the last one; none when nothing was.

    It counts ledger rows and not what one run did, so that the next run tells what a killed one has stored.
    """
    until = ledger.settled_until()
    with transaction.atomic():
        listing, _ = Listing.objects.select_for_update(no_key=True).get_or_create(trail=told)
        settled = told.files.filter(settled_at__lte=until)
        if listing.summarised_at is not None:
            settled = settled.filter(settled_at__gt=listing.summarised_at)
        aside = Q(state=LogFile.State.QUARANTINED)
        came_to = settled.aggregate(
            last=Max("settled_at"),
            files_stored=Count("pk", filter=~aside),
            events_stored=Sum(F("events") - F("seen_before")),
            events_seen_before=Sum("seen_before"),
            contradictions=Sum("conflicts"),
            files_quarantined=Count("pk", filter=aside),
        )
        if (last := came_to.pop("last")) is None:
            return
        first = settled.filter(aside).order_by("settled_at", "id").values("key", "reason")[:50]
        trail.record(action, told, by=trail.SYSTEM, detail=came_to | {"quarantined": list(first)})
        listing.summarised_at = last
        listing.save(update_fields=["summarised_at"])


def due(pulled: Trail, every: timedelta) -> bool:
    """True if no pull of the trail was begun for that long."""
    listing = Listing.objects.filter(trail=pulled).first()
    return listing is None or listing.tried_at is None or clock.now() - listing.tried_at >= every


def _trail_handed_over(name: str, account: str) -> Trail:
    wanted = name or (f"Handed over: account {account}" if account else "Handed over")
    found = Trail.objects.filter(name=wanted).first()
    return found or _create({"name": wanted, "account": account, "enabled": False}, by=trail.SYSTEM)


def _create(values: Mapping[str, Any], *, by: trail.HasActor | trail.Actor) -> Trail:
    with transaction.atomic(durable=True):
        made = Trail(**{name: value for name, value in values.items() if name in FIELDS})
        _demand_sense(made, by)
        made.save()
        detail = {name: str(getattr(made, name)) for name in FIELDS}
        trail.record(Action.TRAIL_CREATED, made, by=by, detail=detail)
        Listing.objects.create(trail=made)
    return made


def _demand_sense(made: Trail, by: trail.HasActor | trail.Actor) -> None:
    """Raises `NotAllowed` with every fault of a configuration at once."""
    found = faults(made)
    if found:
        raise trail.NotAllowed(" ".join(found.values()), subject=made, by=by)
