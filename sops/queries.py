"""Who has read which version of an SOP, and who has not (T2)."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, F, Q, QuerySet

from accounts.models import Qualification, User
from records.lifecycle import State
from records.models import Version
from signatures.meanings import Meaning
from signatures.models import Signature
from sops.models import Sop


@dataclass(frozen=True)
class Reading:
    """One person and one version. `state`: done, due, overdue, or lifted with the SOP."""

    row: Qualification
    state: str
    version: Version | None = None
    signature_id: uuid.UUID | None = None


@dataclass(frozen=True)
class Tally:
    """How far the reading of one SOP's newest approved version has come."""

    sop: Sop
    version: Version | None
    asked: int = 0
    done: int = 0
    overdue: int = 0


def state_of(row: Qualification, now: datetime) -> str:
    if row.met_at:
        return "done"
    if row.lifted_at:
        return "lifted"
    return "overdue" if row.due_at <= now else "due"


def readings_of(user: User, now: datetime, limit: int) -> list[Reading]:
    """All that a person is or was asked to read and may see, open ones first, soonest first."""
    rows = list(Qualification.objects.filter(user=user).order_by(F("met_at").desc(nulls_first=True), "due_at")[:limit])
    versions = Version.objects.visible_to(user).select_related("record").in_bulk([row.version_id for row in rows])
    signed = _signed(Signature.objects.filter(signer=user, version__in=versions))
    return [
        Reading(row, state_of(row, now), versions[row.version_id], signed.get((user.pk, row.version_id)))
        for row in rows
        if row.version_id in versions
    ]


def readings_on(version: Version, now: datetime) -> list[Reading]:
    """Everybody who is asked to read this version: who has not first, then by name."""
    rows = Qualification.objects.filter(version_id=version.pk).select_related("user").order_by("user__legal_name")
    signed = _signed(Signature.objects.filter(version=version))
    readings = [Reading(row, state_of(row, now), version, signed.get((row.user_id, version.pk))) for row in rows]
    return sorted(readings, key=lambda reading: ("overdue", "due", "done", "lifted").index(reading.state))


def readers(sop: Sop) -> QuerySet[User]:
    """Who must read the SOP by its rule, as things stand: holders of its reading roles in its area."""
    return User.objects.filter(is_active=True, groups__name__in=sop.reading_roles, areas=sop.record.area_id).distinct()


def not_asked(sop: Sop, version: Version) -> QuerySet[User]:
    """Readers by the rule who were not asked to read this version: they came later, or took on a role."""
    asked = Qualification.objects.filter(version_id=version.pk).values("user")
    return readers(sop).exclude(pk__in=asked)


def approved_versions(sop: Sop) -> QuerySet[Version]:
    """Versions that can have been read, newest first."""
    return Version.objects.filter(record=sop.record_id, state__in=[State.APPROVED, State.RETIRED]).order_by("-ordinal")


def tallies(sops: Sequence[Sop], now: datetime) -> list[Tally]:
    """For each SOP its newest approved version and how many have read it, in two queries."""
    newest: dict[uuid.UUID, Version] = {}
    approved = Version.objects.filter(record__in=[sop.record_id for sop in sops], state=State.APPROVED)
    for version in approved.select_related("record", "effectivity").order_by("ordinal"):
        newest[version.record_id] = version
    counted = {
        row["version_id"]: row
        for row in Qualification.objects.filter(version_id__in=[version.pk for version in newest.values()])
        .values("version_id")
        .annotate(
            asked=Count("pk"),
            done=Count("pk", filter=Q(met_at__isnull=False)),
            overdue=Count("pk", filter=Q(met_at__isnull=True, lifted_at__isnull=True, due_at__lte=now)),
        )
    }
    found = []
    for sop in sops:
        latest = newest.get(sop.record_id)
        told = counted.get(latest.pk) if latest else None
        found.append(Tally(sop, latest, told["asked"], told["done"], told["overdue"]) if told else Tally(sop, latest))
    return found


def people_of(user: User, now: datetime) -> QuerySet[User]:
    """People of the areas that the user belongs to, with what they were asked to read, have read and are late with."""
    open_rows = Q(qualifications__met_at__isnull=True, qualifications__lifted_at__isnull=True)
    return (
        User.objects.filter(is_active=True, areas__in=user.areas.all())
        .annotate(
            asked=Count("qualifications", distinct=True, filter=Q(qualifications__lifted_at__isnull=True)),
            done=Count("qualifications", distinct=True, filter=Q(qualifications__met_at__isnull=False)),
            overdue=Count("qualifications", distinct=True, filter=open_rows & Q(qualifications__due_at__lte=now)),
        )
        .order_by("legal_name")
    )


def _signed(signatures: QuerySet[Signature]) -> dict[tuple[uuid.UUID, uuid.UUID], uuid.UUID]:
    """Reading signatures by signer and version."""
    rows = signatures.filter(meaning=Meaning.READING).values_list("signer_id", "version_id", "pk")
    return {(signer, version): pk for signer, version, pk in rows}
