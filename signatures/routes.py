"""Which signatures a version asks for: as its record's definition says (R1), as the template of its type or kind says, or, where
there is none, as its author asks.

A template is configuration under control: each change is a new revision, with who, when and why. A route that is open was made
from the revision of its day and keeps it; no change reaches it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction

from accounts.models import User
from accounts.permissions import demand
from accounts.roles import Role
from audit import clock, reasons, trail
from audit.actions import Action
from records.contract import SIGNERS, Definition
from records.kinds import Kind
from records.models import RecordType, Version
from signatures.meanings import SENTENCES, Meaning
from signatures.models import RouteTemplate
from signatures.requests import Asked, open_route, review_then_approval

ROWS, AT_ONE_ROW, DAYS = 20, 20, 365
# Kinds whose routes are templates. A data package takes its own from the signed definition, a report's follows from what it is.
KINDS = (Kind.DEFINITION, Kind.DOCUMENT, Kind.SOP)


@dataclass(frozen=True)
class Row:
    """`asked` people of a role are asked, side by side with the other rows of the `place`; `needed` signatures are enough, and
    the rest lapse. Due `days` after the version was submitted; 0: no date."""

    place: int
    role: str
    meaning: str
    sentence: str
    asked: int = 1
    needed: int = 1
    days: int = 0


class RouteRefused(trail.Refused):
    """The template, or what was asked under it, makes no route."""


def of_definition(version: Version, definition: Definition, *, by: User) -> None:
    """Open the route of a data package as its definition says (R1), in the transaction that registers it."""
    rows = [
        Row(place, signer.role, signer.meaning, signer.sentence)
        for place, signer in enumerate(definition.signers, start=1)
    ]
    open_route(version, asked(rows, clock.now()), by=by)


def of_document(
    version: Version, reviewers: Sequence[User], approvers: Sequence[User], due_at: datetime | None, *, by: User
) -> None:
    """Open the route of a document, in the transaction that submits it: the template decides what is asked, in which order; the
    people named take its places, and where nobody is named anyone of the role may sign. Raises RouteRefused."""
    template = in_force(version.record.type)
    if template is None:
        open_route(version, review_then_approval(reviewers, approvers, due_at), by=by)
        return
    named = {str(Meaning.REVIEW): list(reviewers), str(Meaning.APPROVAL): list(approvers)}
    steps = list(asked(rows_of(template), clock.now(), named, due_at))
    if left := [person for people in named.values() for person in people]:
        raise RouteRefused(
            f"The route of {template.label} has no place for {left[0]}: it asks {told(rows_of(template))}.",
            subject=version,
            by=by,
        )
    open_route(version, steps, by=by, template=template)


def asked(
    rows: Sequence[Row],
    opened_at: datetime,
    named: dict[str, list[User]] | None = None,
    due_at: datetime | None = None,
) -> Iterator[Asked]:
    """The signatures that the rows ask for. Takes people out of `named` (by meaning) as they get a place."""
    for number, row in enumerate(rows, start=1):
        due = opened_at + timedelta(days=row.days) if row.days else None
        waiting = (named or {}).get(row.meaning, [])
        for _ in range(row.asked):
            person = next((person for person in waiting if row.role in person.roles), None)
            if person:
                waiting.remove(person)
            yield Asked(
                row.place,
                row.meaning,
                row.role,
                person,
                row.sentence,
                min(filter(None, (due, due_at)), default=None),
                row=number,
                needed=row.needed if row.needed < row.asked else None,
            )


def in_force(record_type: RecordType) -> RouteTemplate | None:
    """The template that a new version of the type follows: the type's own, else the kind's, else none."""
    for key in (record_type.code, record_type.kind):
        latest = current(key)
        if latest and latest.rows:
            return latest
    return None


def current(applies_to: str) -> RouteTemplate | None:
    """The newest revision; without rows it is withdrawn."""
    return RouteTemplate.objects.filter(applies_to=applies_to).order_by("-revision").first()


def rows_of(template: RouteTemplate) -> list[Row]:
    return [Row(**row) for row in template.rows]


def change(applies_to: str, rows: Sequence[Row], *, by: User, reason: str, on_top_of: int) -> RouteTemplate:
    """A new revision of the template of a kind or a type's code; no rows withdraw it. `on_top_of`: the revision that was edited,
    0 for none. Routes that are open stay as they are. Raises RouteRefused with everything that is wrong."""
    subject = trail.Subject("route", applies_to, f"the route of {label_of(applies_to)}")
    demand(by, "route.manage", subject)
    wrong = problems(rows) if rows else []
    if no_reason := reasons.fault(reason):
        wrong.append(no_reason)
    if applies_to not in targets():
        wrong.append("There is no such type of record.")
    if wrong:
        raise RouteRefused(" ".join(wrong), subject=subject, by=by)
    try:
        with transaction.atomic(durable=True):
            before = current(applies_to)
            if (before.revision if before else 0) != on_top_of:
                raise _overtaken(subject, by)
            made = RouteTemplate.objects.create(
                applies_to=applies_to,
                label=label_of(applies_to),
                revision=on_top_of + 1,
                rows=[asdict(row) for row in rows],
                reason=reason.strip(),
                made_by=by,
            )
            detail = {"revision": made.revision, "from": before.rows if before else [], "to": made.rows}
            trail.record(Action.ROUTE_CHANGED, subject, by=by, reason=made.reason, detail=detail)
    except IntegrityError:
        raise _overtaken(subject, by) from None
    return made


def _overtaken(subject: trail.Subject, by: User) -> RouteRefused:
    return RouteRefused(
        "Somebody else changed this route while you were at it. Look at it again.", subject=subject, by=by
    )


def targets() -> dict[str, str]:
    """What a template can apply to, with its name: kinds first, then the types of those kinds."""
    types = RecordType.objects.filter(kind__in=KINDS).exclude(kind=Kind.DEFINITION).order_by("kind", "code")
    return {kind.value: f"every {kind.label}" for kind in KINDS} | {
        row.code: f"{row.name} ({row.code})" for row in types
    }


def label_of(applies_to: str) -> str:
    return targets().get(applies_to, applies_to)


def problems(rows: Sequence[Row]) -> list[str]:
    """Everything that keeps these rows from being a route, in sentences."""
    return [*_problems(rows)]


def _problems(rows: Sequence[Row]) -> Iterator[str]:
    if not 1 <= len(rows) <= ROWS:
        yield f"A route has 1 to {ROWS} rows."
        return
    for number, row in enumerate(rows, start=1):
        yield from (f"Row {number}: {sentence}" for sentence in _row_problems(row))
    places = [row.place for row in rows]
    if places != sorted(places) or set(places) != set(range(1, max(places) + 1)):
        yield "Places are counted 1, 2, 3, in the order of the rows; rows of one place are signed side by side."
    elif not any(row.meaning == Meaning.APPROVAL for row in rows if row.place == max(places)):
        yield "The last place must hold an approval."


def _row_problems(row: Row) -> Iterator[str]:
    if row.meaning not in SIGNERS:
        yield f"“{row.meaning}” is no meaning that can be asked for."
    elif row.role not in SIGNERS[row.meaning]:
        able = " or ".join(Role(role).label for role in SIGNERS[row.meaning])
        yield f"{Meaning(row.meaning).label} takes the role {able}."
    if not row.sentence.strip():
        yield "the sentence that is signed is empty."
    if not 1 <= row.needed <= row.asked <= AT_ONE_ROW:
        yield f"ask 1 to {AT_ONE_ROW} people, and need at least one and at most all of them."
    if not 0 <= row.days <= DAYS:
        yield f"it is due within {DAYS} days, or 0 for no date."


def told(rows: Sequence[Row]) -> str:
    """`1 Reviewer for review, then 2 of 3 QA approvers for approval`."""
    places: dict[int, list[str]] = {}
    for row in rows:
        places.setdefault(row.place, []).append(f"{many(row)} for {Meaning(row.meaning).label.lower()}")
    return ", then ".join(" and ".join(words) for words in places.values())


def many(row: Row) -> str:
    """`1 Reviewer`, `2 of 3 QA approvers`."""
    role = f"{Role(row.role).label}{'s' if row.asked > 1 else ''}"
    return f"{row.needed} of {row.asked} {role}" if row.needed < row.asked else f"{row.asked} {role}"


def first_rows() -> list[Row]:
    """What a new template begins with: a review, then an approval."""
    return [
        Row(1, Role.REVIEWER, Meaning.REVIEW, SENTENCES[Meaning.REVIEW], days=7),
        Row(2, Role.APPROVER, Meaning.APPROVAL, SENTENCES[Meaning.APPROVAL], days=14),
    ]
