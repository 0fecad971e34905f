"""What an approved SOP brings about: it takes effect, its readers are asked to read it, and the first e-signature SOP ends
the founding ceremony."""

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from django.db import transaction
from django.http import HttpRequest

from accounts import founding, qualifications
from accounts.identity import Credentials
from accounts.models import Area, Policy, Qualification, Sitting, User
from accounts.permissions import demand
from audit import clock, trail
from audit.actions import Action
from audit.reasons import demand_reason
from records import documents, drafts, numbers, starter
from records.documents import effective_from
from records.models import Draft, Effectivity, Record, RecordType, Version
from records.transitions import take_effect
from signatures import routes
from signatures.meanings import Meaning
from signatures.models import Signature
from signatures.signing import SignatureRefused, signing
from sops import queries
from sops.models import Sop

EMPTY = [
    {"id": f"s{number}", "title": title, "guidance": "", "text": ""}
    for number, title in enumerate(("Purpose", "Scope", "Responsibilities", "Procedure", "Records"), start=1)
]
STARTER = Path(__file__).parent / "starter"


def create(
    *,
    starter_name: str,
    title: str,
    area: Area,
    by: User,
    gate: str = Sop.Gate.NONE,
    reading_roles: Sequence[str] = (),
    reading_days: int = 14,
) -> Record:
    """A new SOP with the starter content of that name ("" for an empty one), its draft checked out by the author."""
    sections = starter.read(STARTER / f"{starter_name}.md")[1] if starter_name else EMPTY
    with transaction.atomic(durable=True):
        record = numbers.create(
            RecordType.objects.get(pk="SOP"), title=title, area=area, by=by, permission="document.write"
        )
        Sop.objects.create(record=record, gate=gate, reading_roles=sorted(reading_roles), reading_days=reading_days)
        drafts.open_draft(record, sections, by=by)
        trail.record(Action.DOCUMENT_CREATED, record, by=by, detail={"gate": str(gate), **founding.mark()})
    return record


def submit(
    draft: Draft,
    *,
    by: User,
    message: str,
    reviewers: Sequence[User],
    approvers: Sequence[User],
    due_at: datetime | None = None,
    effective_on: datetime | None = None,
) -> Version:
    """Freeze the draft as a version and ask for its signatures. The SOP that ends the founding takes effect at approval."""
    if effective_on and founding.is_open() and Sop.objects.get(pk=draft.record_id).gate == Sop.Gate.SIGNING:
        raise documents.NotReady(
            "The first e-signature SOP takes effect when it is approved: leave the date empty.",
            subject=draft.record,
            by=by,
        )

    def then(version: Version) -> None:
        routes.of_document(version, reviewers, approvers, due_at, by=by)

    return documents.submit(
        draft, by=by, message=message, then=then, effective_on=effective_on, facts=[("Area", draft.record.area.name)]
    )


def approved(version: Version, signer: User) -> None:
    effect = take_effect(version, by=signer, at=effective_from(version))
    sop = Sop.objects.get(pk=version.record_id)
    assign_reading(sop, version, by=signer, due_at=effect.during.lower + timedelta(days=sop.reading_days))
    if sop.gate == Sop.Gate.SIGNING:
        _begin_policy(version, effect.during.lower)
        _end_policies(version.record)
        founding.end(by=signer, because=f"{version.label} is approved")


def retired(version: Version, signer: User) -> None:
    """A retired e-signature SOP is in effect no more: nobody signs anything but an SOP until there is another. Nobody reads a
    retired SOP either: readings of it, and of what came before it, are lifted, and nothing waits for them. A version that never
    took effect leaves its predecessor to be read."""
    sop = _locked(version.record.sop)
    never_effective = Effectivity.objects.get(version=version).during.isempty
    earlier = Version.objects.filter(record=version.record_id, ordinal__lte=version.ordinal).values_list(
        "pk", flat=True
    )
    qualifications.lift(
        [version.pk] if never_effective else list(earlier),
        by=signer,
        reason=f"{version.label} is retired",
        read_too=never_effective,
    )
    _end_policies(version.record)
    if newest := queries.newest_to_read(sop, clock.now()):
        assign_reading(sop, newest, by=signer, due_at=_due(sop, newest))


def _begin_policy(version: Version, begins: datetime) -> None:
    """The fact that signing asks for."""
    Policy.objects.create(
        version_id=version.pk,
        topic=version.record.number,
        label=_label(version),
        page=f"/training/read/{version.pk}/",
        area=version.record.area,
        begins_at=begins,
    )


def _end_policies(record: Record) -> None:
    """A policy ends when its version does: what approval or retirement has written of the versions (and has put on the trail) is
    written of the policies."""
    during = dict(Effectivity.objects.filter(record=record).values_list("version_id", "during"))
    for policy in Policy.objects.filter(version_id__in=during):
        time = during[policy.version_id]
        ends_at = policy.begins_at if time.isempty else time.upper
        if policy.ends_at != ends_at:
            policy.ends_at = ends_at
            policy.save(update_fields=["ends_at"])


def assign_reading(
    sop: Sop, version: Version, *, by: User | trail.Actor, due_at: datetime, only: User | None = None
) -> list[Qualification]:
    """Ask everybody with a reading role who may see the SOP (or `only` this one) to read this version by then; whoever was
    asked is not asked again. A reading of an older version that is still open gives way to this one."""
    assigned = []
    readers = queries.not_asked(sop, version)
    for reader in readers.filter(pk=only.pk) if only else readers:
        row = Qualification.objects.create(user=reader, version_id=version.pk, due_at=due_at, **_asked(sop, version))
        trail.record(Action.READING_ASSIGNED, reader, by=by, detail={"version": row.label, "due": due_at.isoformat()})
        assigned.append(row)
    return assigned


def ask_newcomers(sop: Sop, *, by: User) -> list[Qualification]:
    """Ask those whom the rule names and nobody asked yet: they joined, or took on a role, after the approval. Raises Forbidden,
    and NotAllowed where no version is effective or scheduled."""
    demand(by, "training.manage", sop.record, sop.record)
    with transaction.atomic(durable=True):
        sop = _locked(sop)
        version = queries.newest_to_read(sop, clock.now())
        if version is None:
            raise trail.NotAllowed(
                f"No version of {sop.record.number} is effective or scheduled: nobody is asked to read it.",
                subject=sop.record,
                by=by,
            )
        return assign_reading(sop, version, by=by, due_at=_due(sop, version))


def ask_newcomer(user: User) -> list[Qualification]:
    """Ask a person who joined, or took on a role or an area, to read what the rules name, in its newest version. Safe to run
    twice: whoever was asked is not asked again."""
    asked = []
    for sop in Sop.objects.select_related("record"):
        version = queries.newest_to_read(sop, clock.now())
        if version is None or not queries.not_asked(sop, version).filter(pk=user.pk).exists():
            continue
        with transaction.atomic(durable=True):
            sop = _locked(sop)
            if newest := queries.newest_to_read(sop, clock.now()):  # retired meanwhile, perhaps
                asked += assign_reading(sop, newest, by=trail.SYSTEM, due_at=_due(sop, newest), only=user)
    return asked


def _locked(sop: Sop) -> Sop:
    """The SOP as it is now, so that nobody is asked twice, nor asked to read what is being retired."""
    return Sop.objects.select_for_update(no_key=True, of=("self",)).select_related("record").get(pk=sop.pk)


def _due(sop: Sop, version: Version) -> datetime:
    """When somebody who is asked now should have read the version."""
    return max(version.effectivity.during.lower, clock.now()) + timedelta(days=sop.reading_days)


def _asked(sop: Sop, version: Version) -> dict[str, Any]:
    topic, label = version.record.number, _label(version)
    return {"topic": topic, "ordinal": version.ordinal, "label": label, "gate": sop.gate}


def _label(version: Version) -> str:
    return f"{version.label}, {version.record.title}"


def read(
    intent: uuid.UUID, *, signer: User, credentials: Credentials, sitting: Sitting, request: HttpRequest | None = None
) -> Signature:
    """Sign that one has read and understood this version (T2). Raises `Refused`, as `signing()` does, and for a version that is
    neither effective nor scheduled."""
    with signing(
        [intent], Meaning.READING, signer=signer, credentials=credentials, sitting=sitting, request=request
    ) as [signature]:
        version = signature.version
        if told := queries.reading_fault(version, signature.signed_at):
            raise SignatureRefused(version, signer, told, "state")
        sop = Sop.objects.get(pk=version.record_id)
        row, _ = Qualification.objects.get_or_create(
            user=signer, version_id=version.pk, defaults={"due_at": signature.signed_at, **_asked(sop, version)}
        )
        if row.met_at is None:  # who signs it once more was trained from the first time on
            row.met_at = signature.signed_at
            row.save(update_fields=["met_at"])
        trail.record(Action.READING_SIGNED, version, by=signer, detail={"signature": str(signature.pk)})
        trail.record(Action.QUALIFICATION_SET, signer, by=signer, detail={"version": row.label})
    return signature


def change_rule(sop: Sop, *, by: User, reading_roles: list[str], reading_days: int, reason: str) -> None:
    """Who must read it, and how soon. Nobody's reading is asked for or moved by this: who is named anew can be asked, and the
    days count for whoever is asked from now on. Raises Forbidden, Refused."""
    demand(by, "training.manage", sop.record, sop.record)
    reason = demand_reason(reason, Action.REQUEST_REFUSED, sop.record, by)
    with transaction.atomic(durable=True):
        sop = _locked(sop)
        sop.reading_roles, sop.reading_days = sorted(reading_roles), reading_days
        sop.save(update_fields=["reading_roles", "reading_days"])
        trail.record(Action.SOP_CHANGED, sop.record, by=by, reason=reason)
