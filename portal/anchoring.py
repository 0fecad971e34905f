"""The audit trail and its anchors: who signs a checkpoint, where it goes, when one is due, and what a comparison leads to."""

import logging
from typing import Any

from django.conf import settings
from django.db import DatabaseError, connection

from audit import checkpoints, trail
from audit.checkpoints import Comparison, Restored
from audit.models import Checkpoint
from jobs import queue
from jobs.models import Job
from signatures import sealing
from signatures.models import PortalKey, Signature
from storage import anchors, s3

log = logging.getLogger(__name__)
ANCHOR = "audit.checkpoint"


class PortalKeys:
    """The portal's key, as `audit.checkpoints` asks for it. Notes of earlier keys hold, too."""

    def sign(self, data: bytes) -> tuple[str, bytes]:
        key = sealing.ensure_key()
        return key.pk, sealing.seal(data, key)

    def holds(self, hint: str, data: bytes, signature: bytes) -> bool:
        keys = list(PortalKey.objects.filter(pk__startswith=hint))
        if not keys:  # after a restore the key in use may be younger than every row
            keys = [sealing.ensure_key()]
        return any(sealing.holds(key.public_pem, data, signature) for key in keys)


def checkpoint(*, restored: Restored | None = None) -> Checkpoint:
    """Sign and keep a checkpoint now. Raises `checkpoints.NotSigned`, `s3.StorageError`, `sealing.NoKey`."""
    sealing.ensure_key()  # a key that is registered first is an entry that the checkpoint covers
    return checkpoints.checkpoint(anchors.configured(), PortalKeys(), settings.TRAIL_ORIGIN, restored=restored)


def compare() -> Comparison:
    """The database against the newest anchor. Raises `s3.StorageError`."""
    return checkpoints.compare(anchors.configured(), PortalKeys(), settings.TRAIL_ORIGIN)


# When -----------------------------------------------------------------------------------------------------------------


def anchor_if_due() -> None:
    if checkpoints.due() and not trail.held():
        _try_to_anchor()


def ask_for(signature: Signature) -> Job:
    """A checkpoint that covers this signature, as a job after the commit."""
    return queue.enqueue(ANCHOR, args={"title": "Checkpoint of the audit trail", "page": "/audit/checkpoints/"},
                         key=str(signature.pk))  # fmt: skip


@queue.handler(ANCHOR)
def anchor(job: Job) -> dict[str, Any]:
    """One checkpoint covers everything before it, so that jobs of a batch that come later find theirs made."""
    last = Checkpoint.objects.order_by("-number").first()
    made = last if last and last.at > job.created_at else checkpoint()
    return {"checkpoint": made.number, "size": made.size, "page": "/audit/checkpoints/"}


# Watching over --------------------------------------------------------------------------------------------------------


def at_start() -> None:
    """Before the web or a worker serves: transaction ids that no earlier row has, and the database against its anchors.

    A database or a bucket that is away does not keep the portal from starting: nothing can be written without the one, and
    the hourly look asks the other again.
    """
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT audit_begin_era()")
        watch_over()
    except (DatabaseError, sealing.NoKey):
        log.exception("the trail was not compared with its anchors")
    finally:
        connection.close()


def watch_over() -> Comparison | None:
    """Compare, and make the portal read-only where it must be. None where the anchors could not be read."""
    try:
        found = compare()
    except s3.StorageError as error:
        log.warning("the anchors cannot be read: %s", error)
        return None
    checkpoints.judge(found)
    return found


def _try_to_anchor() -> None:
    try:
        checkpoint()
    except (checkpoints.NotSigned, s3.StorageError, sealing.NoKey) as error:
        log.warning("no checkpoint was made: %s", error)
