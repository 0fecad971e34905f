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
    """One person and one version. `state`: done, due, overdue, or lifted with the version; `signable`: it can be signed now."""

    row: Qualification
    state: str
    version: Version | None = None
    signature_id: uuid.UUID | None = None
    signable: bool = False


@dataclass(frozen=True)
class Tally:
    """How far the reading of one SOP's newest version has come, as long as one is effective or scheduled."""

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
    signable = set(to_read(now).filter(pk__in=versions).order_by().values_list("pk", flat=True))
    return [
        Reading(row, state_of(row, now), versions[row.version_id], signed.get(_act(row)), row.version_id in signable)
        for row in rows
        if row.version_id in versions
    ]


def readings_on(version: Version, now: datetime) -> list[Reading]:
    """Everybody who is asked to read this version: who has not first, then by name."""
    rows = Qualification.objects.filter(version_id=version.pk).select_related("user").order_by("user__legal_name")
    signed = _signed(Signature.objects.filter(version=version))
    readings = [Reading(row, state_of(row, now), version, signed.get(_act(row))) for row in rows]
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


def to_read(now: datetime) -> QuerySet[Version]:
    """Versions that are read and understood now, newest first: those that are effective or scheduled."""
    going_on = Q(effectivity__during__upper_inf=True) | Q(effectivity__during__endswith__gt=now)
    versions = Version.objects.filter(going_on, state=State.APPROVED).order_by("-ordinal")
    return versions.select_related("record", "effectivity")


def newest_to_read(sop: Sop, now: datetime) -> Version | None:
    """The version of the SOP that people are asked to read, if there is one."""
    return to_read(now).filter(record=sop.record_id).first()


def reading_fault(version: Version, now: datetime) -> str:
    """The sentence that says why nobody signs now that they have read and understood this version, or ""."""
    if to_read(now).filter(pk=version.pk).exists():
        return ""
    status = version.status_at(now).replace("_", " ")
    return f"Only a version that is effective or scheduled can be read and understood; this one is {status}."


def tallies(sops: Sequence[Sop], now: datetime) -> list[Tally]:
    """For each SOP the newest version that is read now, and how many have read it, in two queries."""
    newest: dict[uuid.UUID, Version] = {}
    for version in to_read(now).filter(record__in=[sop.record_id for sop in sops]):
        newest.setdefault(version.record_id, version)
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
    asked = Q(qualifications__lifted_at__isnull=True)
    read = asked & Q(qualifications__met_at__isnull=False)
    late = asked & Q(qualifications__met_at__isnull=True, qualifications__due_at__lte=now)
    return (
        User.objects.filter(is_active=True, areas__in=user.areas.all())
        .annotate(
            asked=Count("qualifications", distinct=True, filter=asked),
            done=Count("qualifications", distinct=True, filter=read),
            overdue=Count("qualifications", distinct=True, filter=late),
        )
        .order_by("legal_name")
    )


def signature_of(row: Qualification) -> Signature | None:
    """The signature by which the version was read, if it was: one that was withdrawn or fell is none."""
    signatures = Signature.objects.filter(signer=row.user_id, version=row.version_id, meaning=Meaning.READING)
    return signatures.filter(signed_at=row.met_at).first() if row.met_at else None


Act = tuple[uuid.UUID, uuid.UUID, datetime | None]


def _act(row: Qualification) -> Act:
    """Who read which version, and when: `met_at` is the time of the signature that counts."""
    return row.user_id, row.version_id, row.met_at


def _signed(signatures: QuerySet[Signature]) -> dict[Act, uuid.UUID]:
    """Reading signatures by signer, version and time."""
    rows = signatures.filter(meaning=Meaning.READING).values_list("signer_id", "version_id", "signed_at", "pk")
    return {(signer, version, at): pk for signer, version, at, pk in rows}
