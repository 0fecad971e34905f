"""After a restore: nobody is logged in any more; the report that declares what was lost, signed by quality, ends the read-only
time (§4, F24)."""

import uuid
from typing import Any

from django.contrib.sessions.models import Session
from django.db import transaction

from accounts.models import Sitting, User
from accounts.permissions import demand
from audit import checkpoints, trail
from audit.actions import Action
from audit.checkpoints import Comparison, Restored
from audit.clock import Now
from audit.models import Entry
from audit.reasons import demand_reason
from records import lifecycle, reports, sealed
from records.models import Version
from records.reports import Section
from signatures import checking
from signatures.meanings import Meaning
from signatures.models import Signature
from signatures.requests import Asked, open_route

TYPE = "restore"


def end_sittings() -> None:
    """Who was logged in when the backup was made may have left since: everybody logs in anew."""
    with transaction.atomic():
        Session.objects.all().delete()
        Sitting.objects.filter(ended_at__isnull=True).update(ended_at=Now())


# The report -------------------------------------------------------------------------------------------------------------


def report(*, by: User, reason: str) -> Version:
    """Make the report about the hold that stands, to be approved by a QA approver who did not make it. Raises Refused where
    nothing is held or a report already waits, StorageError."""
    demand(by, "restore.report", checkpoints.CHAIN)
    reason = demand_reason(reason, Action.REPORT_REFUSED, checkpoints.CHAIN, by)
    hold = trail.held()
    if hold is None:
        raise trail.Refused(
            "The portal is not read-only: there is nothing to report.", subject=checkpoints.CHAIN, by=by
        )
    if waiting(hold) is not None:
        raise trail.Refused("A restore report waits for its approval already.", subject=checkpoints.CHAIN, by=by)
    told = _told(hold, by)

    def then(version: Version) -> None:
        subjects = [str(version.pk), str(version.record_id)]
        trail.record(
            Action.RESTORE_REPORTED, version, by=by, reason=reason, detail={"hold": hold.pk, "subjects": subjects}
        )
        open_route(version, [Asked(1, Meaning.APPROVAL, "approver")], by=by)

    with trail.judged_at_commit():
        return reports.seal_report(
            TYPE, title=f"Restored database, links {told['lost_from']} to {told['lost_to']} lost",
            sections=_sections(hold, told, reason), data=told, by=by, message=reason[:200], then=then,
        )  # fmt: skip


def waiting(hold: Entry) -> Version | None:
    """The report about this hold that is still to be signed."""
    said = Entry.objects.filter(action=Action.RESTORE_REPORTED, id__gt=hold.pk).values_list("subject_id", flat=True)
    return Version.objects.filter(pk__in=list(said), state=lifecycle.State.IN_REVIEW).select_related("record").first()


def _told(hold: Entry, by: User) -> dict[str, Any]:
    """What is lost begins where the last agreement ends: what the database has beyond, nothing outside vouches for."""
    said = checkpoints.finding(hold)
    if said is None:
        raise trail.Refused(
            "The database was not compared with its anchors yet, so that nobody knows what is lost: see to it that the anchor"
            " bucket can be read. The portal then takes up its work, or says what it found.",
            subject=checkpoints.CHAIN, by=by,
        )  # fmt: skip
    return {
        "hold": hold.pk,
        "why": said["why"],
        "agreed": said["agreed"],
        "size": said["size"],
        "anchor": said["anchor"],
        "anchor_head": said["anchor_head"],
        "lost_from": said["agreed"] + 1,
        "lost_to": said["anchor_size"],
    }


def _sections(hold: Entry, told: dict[str, Any], reason: str) -> list[Section]:
    found = (
        f"{hold.detail['message']}\n\nThe portal was made read-only by entry {hold.pk}. Up to link {told['agreed']:,} the"
        f" database and the checkpoints tell the same. When it was compared, the database had {told['size']:,} links;"
        f" checkpoint {told['anchor']} speaks of {told['lost_to']:,}, with the hash `{told['anchor_head']}`."
    )
    lost = (
        f"Links {told['lost_from']:,} to {told['lost_to']:,} of the audit trail, with everything that they recorded, are"
        " declared as lost; what the database has under these numbers now is what was put back, or came since, and no checkpoint"
        " vouches for it. What was signed in that time is proved by the statements under `signatures/` in the store of"
        " frozen bytes, which no restore of the database touches. What was written after the newest checkpoint is known to"
        " nobody."
    )
    after = (
        "With the approval of this report the portal takes up its work. The next checkpoint names the report, and whoever"
        " checks the trail without the portal is told of the gap. The period is a deviation and is handled as one."
    )
    return [
        Section("What was found", found),
        Section("What is lost", lost),
        Section("What happened, and why", reason),
        Section("What follows", after),
    ]


# The approval -----------------------------------------------------------------------------------------------------------


def approved(version: Version, signer: User) -> None:
    """In the transaction of the last signature: the hold ends, if it is still the one that the report is about."""
    hold, told = trail.held(), reports.read(version)
    if hold is None or hold.pk != told["hold"]:
        raise trail.Refused(
            "This report is about another finding than the one that stands now: reject it, and have it made anew.",
            action=Action.SIGNATURE_REFUSED, subject=version, by=signer,
        )  # fmt: skip
    detail = told | {"report": version.record.number, "version": version.ordinal, "version_id": str(version.pk)}
    trail.record(Action.HOLD_ENDED, checkpoints.CHAIN, by=signer, detail=detail)


def answered(found: Comparison) -> Restored | None:
    """What the next checkpoint says of the signed report that declares what was found; None where there is none.

    The entry that ended the hold only names the report. What counts is what the report itself says, under its signatures: it
    is about the hold that was ended and about the newest checkpoint, and as far as it says that both agree, they still do.
    """
    version = _named()
    if version is None or found.newest is None or trail.held() is not None or not _signed(version):
        return None
    told, newest = reports.read(version), found.newest.note
    if (told["hold"], told["anchor"], told["lost_to"]) != (_begun(), newest.number, newest.size):
        return None
    if told["agreed"] > found.agreed:
        return None
    number = version.record.number
    return Restored(number, version.ordinal, version.top_hash, told["anchor"], told["lost_from"], told["lost_to"])


def _named() -> Version | None:
    """The report that the newest entry "hold ended" names."""
    ended = Entry.objects.filter(action=Action.HOLD_ENDED).order_by("-id").first()
    try:
        number = uuid.UUID(ended.detail["version_id"])  # type: ignore[union-attr]  # whoever wrote it may have written anything
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
    return Version.objects.filter(pk=number, record__type=TYPE).select_related("record").first()


def _begun() -> int | None:
    return Entry.objects.filter(action=Action.HOLD_BEGUN).order_by("-id").values_list("pk", flat=True).first()


def _signed(version: Version) -> bool:
    """Is it approved by signatures that hold, and are its files the ones that were signed?"""
    made = Signature.objects.filter(version=version, meaning=Meaning.APPROVAL)
    rows = list(made.select_related("key", "version__record__type"))
    valid = bool(rows) and all(verdict.valid for verdict in checking.check_all(rows).values())
    return valid and version.state == lifecycle.State.APPROVED and not sealed.contradictions(version)
