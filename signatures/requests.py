"""Who is asked to sign a version, in which order: the route opened with the version, and what is left of it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from accounts.models import User
from accounts.permissions import may
from audit import trail
from audit.actions import Action
from audit.clock import Now
from records.kinds import Kind
from records.models import Version
from signatures import mail, standing
from signatures.meanings import DECIDING, SENTENCES, Meaning
from signatures.models import Request, RouteTemplate, Signature, Step


@dataclass(frozen=True)
class Asked:
    """One signature to ask for. Those of one `place` may be signed side by side. Without `assignee`, anyone of the role."""

    place: int
    meaning: str
    role: str
    assignee: User | None = None
    sentence: str = ""
    due_at: datetime | None = None
    row: int = 0
    needed: int | None = None


def open_route(
    version: Version, asked: Iterable[Asked], *, by: User, template: RouteTemplate | None = None
) -> list[Step]:
    """Ask for the signatures, in the transaction that seals the version; `template` is what they come from. Raises
    Refused where the route approves nothing, or asks somebody to sign what they wrote."""
    asked = list(asked)
    if not any(step.meaning in DECIDING for step in asked):
        raise trail.Refused("A route needs an approval.", subject=version, by=by)
    for step in asked:
        if step.meaning == Meaning.RESPONSIBILITY and version.record.type.kind != Kind.REPORT:
            raise trail.Refused("Only a report is answered for by its maker.", subject=version, by=by)
        if step.assignee and had_part(version, step.assignee, step.meaning):
            raise trail.Refused(
                f"{step.assignee} wrote part of this version and cannot be asked to sign it.", subject=version, by=by
            )
        if step.assignee and step.role not in step.assignee.roles:
            raise trail.Refused(f"{step.assignee} is no {step.role}.", subject=version, by=by)
    Request.objects.create(version=version, opened_by=by, template=template)
    steps = Step.objects.bulk_create(
        [
            Step(
                version=version,
                place=step.place,
                meaning=step.meaning,
                role=step.role,
                assignee=step.assignee,
                sentence=step.sentence or SENTENCES[step.meaning],
                due_at=step.due_at,
                row=step.row,
                needed=step.needed,
            )
            for step in asked
        ]
    )
    trail.record(
        Action.SIGNATURES_REQUESTED,
        version,
        by=by,
        detail={
            **({"route": str(template)} if template else {}),
            "steps": [
                {
                    "place": step.place,
                    "meaning": str(step.meaning),
                    "role": step.role,
                    "assignee": step.assignee.legal_name if step.assignee else None,
                }
                for step in asked
            ],
        },
    )
    mail.tell_next(version)
    return steps


def had_part(version: Version, user: User, meaning: str) -> bool:
    """True for whoever wrote any of it, and so does not sign it. A report's maker answers for it; those whose acts it judges
    (its contributors) do not."""
    wrote = user.pk == version.author_id and meaning != Meaning.RESPONSIBILITY
    return wrote or str(user.pk) in version.contributors


def may_decide(about: Signature, user: User) -> bool:
    """Quality other than those whom it concerns: not the signer, and nobody who wrote what was signed."""
    return not about.concerns(user) and not had_part(about.version, user, Meaning.APPROVAL)


def to_decide_by(user: User, limit: int) -> list[Signature]:
    """Signatures under review that the person may decide about, oldest first."""
    if not may(user, "sign.disposition"):
        return []
    seen = Signature.objects.visible_to(user).order_by().values("pk")
    rows = standing.to_decide().filter(pk__in=seen).select_related("version__record", "about__about")
    return [row for row in rows[:limit] if may_decide(row, user)]


def complete(version: Version) -> bool:
    """True when no signature that was asked for is missing."""
    return not Step.objects.unsigned().filter(version=version).exists()


def missing(steps: Iterable[Step]) -> int:
    """How many signatures these steps of one version still wait for; of a quorum, as many as are needed."""
    rows: dict[tuple[int, int], list[Step]] = {}
    for step in steps:
        if not step.voided:
            rows.setdefault((step.place, step.row), []).append(step)
    return sum(
        max(0, (row[0].needed or len(row)) - sum(step.signature_id is not None for step in row))
        for row in rows.values()
    )


def lapse_rest(step: Step, *, by: User) -> None:
    """Once enough of a row have signed, ask the others for nothing more. In the transaction of the signature, which holds the
    version's lock."""
    row = Step.objects.filter(version=step.version_id, place=step.place, row=step.row)
    if step.needed is None or row.filter(signature__isnull=False, voided="").count() < step.needed:
        return
    lapsed = row.unsigned().update(lapsed_at=Now())
    if lapsed:
        detail = {"needed": step.needed, "lapsed": lapsed, "place": step.place}
        trail.record(Action.STEPS_LAPSED, step.version, by=by, detail=detail)


def review_then_approval(reviewers: Sequence[User], approvers: Sequence[User], due_at: datetime | None) -> list[Asked]:
    """The route of a document: reviewers side by side, then approvers side by side."""
    return [
        Asked(1, Meaning.REVIEW, "reviewer" if user.has_role("reviewer") else "approver", user, due_at=due_at)
        for user in reviewers
    ] + [Asked(2, Meaning.APPROVAL, "approver", user, due_at=due_at) for user in approvers]
