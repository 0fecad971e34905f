"""After a restore: the report that declares what was lost, signed by quality, which ends the read-only time (§4, F24)."""

from typing import Any

from accounts.models import User
from accounts.permissions import demand
from audit import checkpoints, trail
from audit.actions import Action
from audit.checkpoints import Restored
from audit.models import Entry
from records import lifecycle, reports
from records.models import Version
from records.reports import Section
from signatures import checking
from signatures.meanings import Meaning
from signatures.models import Signature
from signatures.requests import Asked, open_route

TYPE = "restore"


def report(*, by: User, reason: str) -> Version:
    """Make the report about the hold that stands, to be approved by a QA approver who did not make it. Raises Refused where
    nothing is held or a report already waits, StorageError."""
    demand(by, "restore.report", checkpoints.CHAIN)
    hold = trail.held()
    if hold is None:
        raise trail.Refused(
            "The portal is not read-only: there is nothing to report.", subject=checkpoints.CHAIN, by=by
        )
    if waiting(hold) is not None:
        raise trail.Refused("A restore report waits for its approval already.", subject=checkpoints.CHAIN, by=by)
    if not reason.strip():
        raise trail.Refused("Say what happened and why.", subject=checkpoints.CHAIN, by=by)
    told = _told(hold)

    def then(version: Version) -> None:
        subjects = [str(version.pk), str(version.record_id)]
        trail.record(
            Action.RESTORE_REPORTED, version, by=by, reason=reason, detail={"hold": hold.pk, "subjects": subjects}
        )
        open_route(version, [Asked(1, Meaning.APPROVAL, "approver")], by=by)

    with trail.judged_at_commit():
        return reports.seal_report(
            TYPE, title=f"Restored database, links {told['lost_from']} to {told['lost_to']} lost",
            sections=_sections(hold, told, reason.strip()), data=told, by=by, message=reason.strip()[:200], then=then,
        )  # fmt: skip


def waiting(hold: Entry) -> Version | None:
    """The report about this hold that is still to be signed."""
    said = Entry.objects.filter(action=Action.RESTORE_REPORTED, id__gt=hold.pk).values_list("subject_id", flat=True)
    return Version.objects.filter(pk__in=list(said), state=lifecycle.State.IN_REVIEW).select_related("record").first()


def _told(hold: Entry) -> dict[str, Any]:
    said = hold.detail
    behind = said["why"] == "behind"
    return {
        "hold": hold.pk,
        "why": said["why"],
        "agreed": said["agreed"],
        "size": said["size"],
        "anchor": said["anchor"],
        "anchor_head": said["anchor_head"],
        "lost_from": said["size"] + 1 if behind else said["agreed"] + 1,
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
        " declared as lost. What was signed in that time is proved by the statements under `signatures/` in the store of"
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


def answered(anchor: int) -> Restored | None:
    """What the next checkpoint says of the signed report that answers for this anchor; None where there is no such report,
    or where its approval is only an entry and no signature."""
    ended = Entry.objects.filter(action=Action.HOLD_ENDED).order_by("-id").first()
    if ended is None or trail.held() is not None or ended.detail.get("anchor") != anchor:
        return None
    version = (
        Version.objects.filter(pk=ended.detail.get("version_id"), record__type=TYPE).select_related("record").first()
    )
    if version is None or version.state != lifecycle.State.APPROVED or not _signed(version):
        return None
    told = reports.read(version)
    return Restored(
        version.record.number, version.ordinal, version.top_hash, told["agreed"], told["lost_from"], told["lost_to"]
    )


def _signed(version: Version) -> bool:
    made = Signature.objects.filter(version=version, meaning=Meaning.APPROVAL)
    rows = list(made.select_related("key", "version__record__type"))
    return bool(rows) and all(verdict.valid for verdict in checking.check_all(rows).values())
