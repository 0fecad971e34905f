"""The proof of each signature, out of the database's reach: statement, seal, public key and time stamp under Object Lock.

A job writes them to `signatures/<id of the signature>/` in the store of frozen bytes after the commit. It may run twice, and is
asked for again until it is done; what does not get there within `LATE` raises an alarm.
"""

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from audit import alarms, clock, trail
from audit.actions import Action
from jobs import queue
from jobs.models import Job
from records.definitions import read
from signatures import timestamps
from signatures.models import Archived, Signature
from storage import worm

JOB = "signatures.archive"
LATE = timedelta(minutes=15)
SELDOM = timedelta(hours=1)  # between two tries of what fails for long
AT_ONCE = 200
STATEMENT, SEAL, KEY, STAMP, AUTHORITY = (
    "statement.json", "seal.der", "portal-key.pem", "timestamp.der", "timestamp-authority.pem",
)  # fmt: skip
MEDIA_TYPES = {
    STATEMENT: "application/json",
    SEAL: "application/octet-stream",
    KEY: "application/x-pem-file",
    STAMP: "application/cms",
    AUTHORITY: "application/x-pem-file",
}


def ask(signature: Signature) -> Job:
    """The job that archives this signature's proof; one at a time."""
    return queue.enqueue_all([asked(signature)])[0]


def asked(signature: Signature) -> queue.Asked:
    args = {
        "signature": str(signature.pk),
        "title": f"Archive of the signature of {signature.printed_name}",
        "page": signature.get_absolute_url(),
    }
    return queue.Asked(JOB, args, key=str(signature.pk))


@queue.handler(JOB)
def archive(job: Job) -> dict[str, Any]:
    """Write what is not there yet, and note where everything lies."""
    rows = Signature.objects.select_related("version__record__type", "version__definition", "key")
    signature = rows.get(pk=job.args["signature"])
    kept = Archived.objects.filter(pk=signature.pk).first() or _archive(signature)
    return {"signature": str(signature.pk), "files": sorted(kept.pins)}


def prefix(signature: Signature) -> str:
    return f"signatures/{signature.pk}/"


def pending() -> QuerySet[Signature]:
    """Signatures whose proof is not archived yet, oldest first."""
    return Signature.objects.filter(archived__isnull=True).order_by("signed_at")


def late(now: datetime) -> QuerySet[Signature]:
    return pending().filter(signed_at__lt=now - LATE)


def state(signature: Signature, now: datetime) -> dict[str, Any]:
    """What a card says: since when the proof lies under Object Lock, or that it is on its way. Select `archived` along."""
    held = getattr(signature, "archived", None)
    return {"at": held.archived_at if held else None, "late": not held and now - signature.signed_at > LATE}


def pins(signature: Signature) -> list[worm.Pin]:
    """Where each file of the proof lies; nothing while it is on its way."""
    held = getattr(signature, "archived", None)
    return [worm.Pin.from_json(pin) for _, pin in sorted(held.pins.items())] if held else []


def _archive(signature: Signature) -> Archived:
    until = _until(signature)
    pins = {
        name: _keep(f"{prefix(signature)}{name}", data, MEDIA_TYPES[name], until) for name, data in _proof(signature)
    }
    with transaction.atomic(durable=True):
        row, made = Archived.objects.get_or_create(
            signature=signature,
            defaults={"version": signature.version, "pins": {name: pin.to_json() for name, pin in pins.items()}},
        )
        if made:
            detail = {"signature": str(signature.pk), "files": {name: pin.sha256 for name, pin in pins.items()}}
            trail.record(Action.SIGNATURE_ARCHIVED, signature.version, by=trail.SYSTEM, detail=detail)
        if not late(clock.now()).filter(version=signature.version).exists():
            alarms.clear(alarms.Kind.STATEMENT_NOT_ARCHIVED, signature.version, "Every proof is under Object Lock now.")
    return row


def _proof(signature: Signature) -> list[tuple[str, bytes]]:
    """Name and bytes of each file. Raises NoTimeStamp where an authority is configured and gives none."""
    seal = bytes(signature.seal)
    files = [(STATEMENT, bytes(signature.statement)), (SEAL, seal), (KEY, signature.key.public_pem.encode())]
    stamp = timestamps.stamp(seal)
    if stamp is not None and settings.TSA_CERTIFICATES is not None:
        files += [(STAMP, stamp), (AUTHORITY, settings.TSA_CERTIFICATES.read_bytes())]
    return files


def _keep(key: str, data: bytes, media_type: str, until: datetime) -> worm.Pin:
    """Where these bytes lie under this key: found, as an earlier run wrote them, or written now."""
    bucket = settings.WORM_BUCKET
    return worm.found_at(key, data, retain_until=until, bucket=bucket) or worm.put_at(
        key, data, media_type=media_type, retain_until=until, bucket=bucket
    )


def _until(signature: Signature) -> datetime:
    """As long as the version itself is kept."""
    version = signature.version
    years = settings.DOCUMENT_RETENTION_YEARS
    if version.definition:
        years = max(years, read(version.definition).retention_years)
    return worm.years_after(signature.signed_at, years)


def ask_for_pending() -> int:
    """Ask for what is not archived yet, the longer it fails the less often. Returns how many were asked for."""
    now = clock.now()
    failed = Job.objects.filter(kind=JOB, state=Job.State.FAILED, finished_at__gt=now - SELDOM)
    tried = dict(failed.order_by("finished_at").values_list("args__signature", "finished_at"))
    due = [
        signature
        for signature in pending().select_related("version__record")[:AT_ONCE]
        if (last := tried.get(str(signature.pk))) is None or now - last > min(SELDOM, (now - signature.signed_at) / 4)
    ]
    for signature in due:
        ask(signature)
        if now - signature.signed_at > LATE:
            alarms.raise_alarm(
                alarms.Kind.STATEMENT_NOT_ARCHIVED,
                signature.version,
                f"The proof of the signature of {signature.printed_name} is not under Object Lock yet: see the jobs that failed.",
                detail={"signature": str(signature.pk)},
            )
    return len(due)
