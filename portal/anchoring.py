"""The audit trail and its anchors: who signs a checkpoint, where it goes, when one is due, and what a comparison leads to."""

import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import DatabaseError, connection

from audit import alarms, checkpoints, clock, definitions, rights, trail
from audit.checkpoints import Comparison
from audit.models import Alarm, Checkpoint, Era
from jobs import queue
from jobs.models import Job
from portal import restoring
from signatures import sealing
from signatures.models import PortalKey, Signature
from storage import anchors, s3

log = logging.getLogger(__name__)
ANCHOR = "audit.checkpoint"
SENTENCE = 2000  # letters of an alarm
SELDOM = timedelta(hours=1)  # what keeps failing is tried no more seldom than this


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


def checkpoint() -> Checkpoint:
    """Sign and keep a checkpoint now. Raises `checkpoints.NotSigned`, `s3.StorageError`, `sealing.NoKey`."""
    sealing.ensure_key()  # a key that is registered first is an entry that the checkpoint covers
    made = checkpoints.checkpoint(anchors.configured(), PortalKeys(), settings.TRAIL_ORIGIN, restoring.answered)
    alarms.clear(Alarm.Kind.ANCHOR_UNWRITABLE, checkpoints.CHAIN, f"Checkpoint {made.number} was made.")
    return made


def compare() -> Comparison:
    """The database against the newest anchor. Raises `s3.StorageError`."""
    return checkpoints.compare(anchors.configured(), PortalKeys(), settings.TRAIL_ORIGIN)


# When -----------------------------------------------------------------------------------------------------------------


def anchor_if_due() -> None:
    hold = trail.held()
    if hold and checkpoints.finding(hold):
        return
    if not _too_soon():
        if hold:
            watch_over()
        elif checkpoints.due():
            _try_to_anchor()


def _too_soon() -> bool:
    """Each try that failed doubles the wait for the next one: a note that was written before the fault stays for years."""
    standing = Alarm.objects.filter(alarms.OPEN, kind=Alarm.Kind.ANCHOR_UNWRITABLE, subject_id=checkpoints.CHAIN.id)
    alarm = standing.filter(cleared_at__isnull=True).first()
    if alarm is None:
        return False
    wait = min(checkpoints.LOOKED_AT * 2 ** min(alarm.count, 10), SELDOM)
    return timedelta() <= clock.now() - alarm.last_at < wait


def asked(signature: Signature) -> queue.Asked:
    """A checkpoint that covers this signature, as a job after the commit."""
    args = {"title": "Checkpoint of the audit trail", "page": "/audit/checkpoints/"}
    return queue.Asked(ANCHOR, args, key=str(signature.pk))


@queue.handler(ANCHOR)
def anchor(job: Job) -> dict[str, Any]:
    """One checkpoint covers everything before it, so that jobs of a batch that come later find theirs made. One that is dated in
    the future may be from before the job for all that its date says."""
    since = Checkpoint.objects.filter(at__gt=job.created_at, at__lte=clock.now())
    made = since.order_by("-number").first() or checkpoint()
    return {"checkpoint": made.number, "size": made.size, "page": "/audit/checkpoints/"}


# Watching over --------------------------------------------------------------------------------------------------------

GUARDS = trail.Subject("database", "rules", "the database's rules")


@dataclass(frozen=True)
class Checked:
    """The role that the portal works as, what it may not be able to do, and the rules of the database."""

    role: str
    rights: dict[str, bool]
    rules: definitions.Fingerprint

    @property
    def well(self) -> bool:
        return all(self.rights.values()) and not self.rules.differences

    @property
    def wrong(self) -> list[str]:
        return [
            *(
                f"It does not hold that the role {self.role} {sentence}."
                for sentence, so in self.rights.items()
                if not so
            ),
            *self.rules.differences,
        ]

    def to_json(self) -> dict[str, Any]:
        return {
            "ok": self.well,
            "role": self.role,
            "rights": self.rights,
            "expected": self.rules.expected,
            "found": self.rules.found,
            "differences": list(self.rules.differences),
        }


def check_database() -> Checked:
    """Rights and rules as they are now; an alarm stands while they are not as they must be."""
    checked = Checked(settings.DATABASES["default"]["USER"], rights.findings(connection), definitions.fingerprint())
    if checked.well:
        alarms.clear(Alarm.Kind.TRIGGER_DRIFT, GUARDS, "The database was compared with the code and is as it expects.")
    else:
        _alarm(Alarm.Kind.TRIGGER_DRIFT, GUARDS, " ".join(checked.wrong)[:SENTENCE])
    return checked


def at_start() -> None:
    """Before the web or a worker serves: transaction ids that no earlier row has, and the database against its anchors.

    A database or a bucket that is away does not keep the portal from starting: nothing can be written without the one, and
    the hourly look asks the other again. A database that was just restored is read-only until it could be asked.
    """
    for part in (begin_era, lambda: watch_over(restored=_restored())):
        try:
            part()
        except (DatabaseError, sealing.NoKey):
            log.exception("the trail was not compared with its anchors")
    connection.close()


def begin_era() -> None:
    """Transaction ids go on where those of another server ended, if this database comes from there; then nobody is logged in."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT audit_begin_era()")
        if cursor.fetchone()[0]:
            restoring.end_sittings()


def _restored() -> bool:
    """Was the database put into this server after its newest checkpoint was made? Before each one it was compared."""
    newest = Checkpoint.objects.order_by("-number").values_list("at", flat=True).first()
    return Era.objects.filter(at__gt=newest).exists() if newest else Era.objects.exists()


def watch_over(*, restored: bool = False) -> Comparison | None:
    """Compare the database with its anchors and its rules with the code; make the portal read-only where it must be: where they
    do not agree, and where they cannot be compared although it was just restored. None where they could not be."""
    try:
        found = compare()
        checkpoints.judge(found, restoring.answered)
    except s3.StorageError as error:
        log.warning("the anchors cannot be read: %s", error)
        _failed(f"The anchors cannot be read. {error}")
        if restored:
            checkpoints.hold_unread()
        check_database()
        return None
    wrong = [found.sentence] if found.stops or found.state == "missing" else []
    if said := " ".join([*wrong, *found.doubts]):
        _alarm(Alarm.Kind.ANCHOR_BEHIND, checkpoints.CHAIN, said[:SENTENCE])
    else:
        alarms.clear(Alarm.Kind.ANCHOR_BEHIND, checkpoints.CHAIN, found.sentence)
    check_database()
    return found


def _try_to_anchor() -> None:
    try:
        checkpoint()
    except (checkpoints.NotSigned, s3.StorageError, sealing.NoKey) as error:
        log.warning("no checkpoint was made: %s", error)
        if checkpoints.exposure().age > 2 * checkpoints.INTERVAL:
            _failed(f"No checkpoint was made for ten minutes. {error}")
    except DatabaseError as error:
        log.exception("a checkpoint was not entered in the database")
        _failed(f"A checkpoint could not be entered in the database. {error}")


def _failed(sentence: str) -> None:
    """The alarm about the anchors, which counts the tries that failed."""
    log.critical("%s", sentence)
    try:
        alarms.raise_alarm(Alarm.Kind.ANCHOR_UNWRITABLE, checkpoints.CHAIN, sentence[:SENTENCE])
    except DatabaseError:
        log.exception("the alarm could not be written")


def _alarm(kind: Alarm.Kind, subject: trail.Subject, sentence: str) -> None:
    """Once, as long as the alarm is open: who looks every few seconds need not say it every few seconds. A database whose
    rules were changed so that nothing can be written any more is told in the log."""
    log.critical("%s", sentence)
    try:
        standing = Alarm.objects.filter(alarms.OPEN, kind=kind, subject_id=subject.id, cleared_at__isnull=True)
        if not standing.filter(sentence=sentence).exists():
            alarms.raise_alarm(kind, subject, sentence)
    except DatabaseError:
        log.exception("the alarm could not be written")
