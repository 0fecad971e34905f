"""What a signature counts for now, beyond the question whether it is what was signed (`checking.py`): valid, withdrawn, decided
to fall, under review, superseded or void. Nothing is stored: each answer is drawn from what was signed and reported since.

A withdrawal or a decision is a signature as well, and says something only while it counts itself: one that fell is as if it had
never been, and one under review has said nothing yet. From the signatures of its route follows in turn what the approval of a
version counts for.
"""

import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Exists, F, OuterRef, Q, QuerySet

from accounts.models import Suspicion
from records.lifecycle import State
from records.models import Version
from signatures.meanings import DECIDING, OF_THE_ROUTE, Meaning, Outcome
from signatures.models import Signature, Step

VALID, WITHDRAWN, FALLEN, SUSPECT, SUPERSEDED, VOID = (
    "valid",
    "withdrawn",
    "fallen",
    "under_review",
    "superseded",
    "void",
)
IN_DOUBT = frozenset({WITHDRAWN, FALLEN, SUSPECT})
# What the approval of an approved version counts for, as the pills name it; nothing: it counts.
APPROVED_IN_DOUBT, APPROVAL_VOID = "approved_in_doubt", "approval_void"
VOID_BECAUSE = {
    State.RECALLED: "Void: content changed. The version was recalled; the next one is signed anew.",
    State.REJECTED: "Void: content changed. The version was rejected; the next one is signed anew.",
}


Later = Mapping[Any, Sequence[Signature]]  # by the id of the signature that they speak of, oldest first
Suspicions = Mapping[Any, Sequence[Suspicion]]  # by the id of the person


@dataclass(frozen=True)
class Stands:
    """`state` as the pills name it, with a sentence for people ("" for a valid one). `to_decide`: quality owes a signed
    disposition. `withdrawal` and `decision` are the signatures that say so, each of which counts itself. `replaced`: its step
    was asked for again, so that the version rests on it no more."""

    state: str = VALID
    sentence: str = ""
    to_decide: bool = False
    withdrawal: Signature | None = None
    decision: Signature | None = None
    replaced: bool = False

    @property
    def withdrawn(self) -> bool:
        return self.withdrawal is not None

    @property
    def decided(self) -> bool:
        """Whether quality has decided on what speaks against it now."""
        if self.to_decide or self.decision is None:
            return False
        return self.withdrawal is None or self.decision.signed_at >= self.withdrawal.signed_at

    @property
    def lost(self) -> bool:
        """Whether quality has decided that it does not stand, withdrawn or not."""
        return self.decided and self.decision is not None and self.decision.outcome == Outcome.FALLS


def of(signature: Signature) -> Stands:
    return of_all([signature])[signature.pk]


def of_all(signatures: Sequence[Signature]) -> dict[uuid.UUID, Stands]:
    """How each stands, by id, in three queries; select the version along with the rows."""
    later = defaultdict(list)
    # Who speaks of a signature speaks of it on its own version, and so does whoever speaks of that in turn.
    acts = Signature.objects.filter(version__in={signature.version_id for signature in signatures}, about__isnull=False)
    for row in acts.order_by("signed_at"):
        later[row.about_id].append(row)
    signers = {row.signer_id for rows in (signatures, *later.values()) for row in rows}
    suspicions = defaultdict(list)
    for suspicion in Suspicion.objects.filter(user__in=signers):
        suspicions[suspicion.user_id].append(suspicion)
    voided = dict(
        Step.objects.filter(signature__in=signatures).exclude(voided="").values_list("signature_id", "voided")
    )
    return {
        signature.pk: _stands(signature, later, suspicions, voided.get(signature.pk, "")) for signature in signatures
    }


def _stands(signature: Signature, later: Later, suspicions: Suspicions, voided: str = "") -> Stands:
    acts = [(row, _stands(row, later, suspicions).state) for row in later.get(signature.pk, ())]
    counting = [row for row, state in acts if state == VALID]
    withdrawal = next((row for row in counting if row.meaning == Meaning.WITHDRAWAL), None)
    decision = next((row for row in reversed(counting) if row.meaning == Meaning.DISPOSITION), None)
    doubted = next((row for row, state in acts if row.meaning == Meaning.WITHDRAWAL and state == SUSPECT), None)
    doubts = [
        row for row in suspicions.get(signature.signer_id, ()) if row.since <= signature.signed_at < row.raised_at
    ]
    open_doubts = [row for row in doubts if decision is None or decision.signed_at < row.raised_at]
    left = (
        withdrawal is not None
        and signature.meaning in OF_THE_ROUTE
        and signature.version.state == State.APPROVED
        and not voided
        and (decision is None or decision.signed_at < withdrawal.signed_at)
    )
    to_decide = bool(open_doubts) or left
    if withdrawal:
        said = f"Withdrawn by {withdrawal.printed_name}: {withdrawal.reason}"
        return Stands(WITHDRAWN, said, to_decide, withdrawal, decision, bool(voided))
    if open_doubts:
        doubt = open_doubts[0]
        said = (
            f"Under review: {doubt.get_kind_display()} since {doubt.since:%d %b %Y %H:%M} UTC. Quality has to decide."
        )
        return Stands(SUSPECT, said, True, None, decision, bool(voided))
    if decision and decision.outcome == Outcome.FALLS:
        said = f"Does not stand, as {decision.printed_name} decided: {decision.reason}"
        return Stands(FALLEN, said, False, None, decision, bool(voided))
    if doubted:
        said = (
            f"Under review: the withdrawal of {doubted.signed_at:%d %b %Y %H:%M} UTC is under review itself. Quality has to"
            " decide about that first."
        )
        return Stands(SUSPECT, said, False, None, decision, bool(voided))
    if voided:
        return Stands(SUPERSEDED, voided, False, None, decision, True)
    if signature.meaning in (Meaning.REVIEW, Meaning.APPROVAL) and signature.version.state in VOID_BECAUSE:
        return Stands(VOID, VOID_BECAUSE[State(signature.version.state)], False, None, decision)
    said = f"Under review once; {decision.printed_name} decided that it stands: {decision.reason}" if decision else ""
    return Stands(VALID, said, False, None, decision)


def approvals(versions: Collection[Any]) -> dict[Any, str]:
    """Of these versions, or ids of versions, those that are approved and whose approval does not simply count: by id, what it
    counts for. Four queries at most, however many they are."""
    rows = Signature.objects.filter(version__in=versions, version__state=State.APPROVED, meaning__in=OF_THE_ROUTE)
    signatures = list(rows.select_related("version").defer("statement", "seal", "version__manifest"))
    stands, by_version = of_all(signatures), defaultdict(list)
    for signature in signatures:
        by_version[signature.version_id].append((signature, stands[signature.pk]))
    found = {version: approval(signed) for version, signed in by_version.items()}
    return {version: counts for version, counts in found.items() if counts}


def shown_states(versions: Collection[Version]) -> dict[Any, str]:
    """The state of each as a pill names it, by id."""
    counts = approvals([version.pk for version in versions])
    return {version.pk: counts.get(version.pk, version.state) for version in versions}


def approval(signed: Iterable[tuple[Signature, Stands]]) -> str:
    """What the approval of an approved version counts for, by its signatures: it is void where quality has decided that none
    stands of those that made it approved, and in doubt where any signature of its route is."""
    route = [(one.meaning, stands) for one, stands in signed if one.meaning in OF_THE_ROUTE and not stands.replaced]
    deciding = [stands for meaning, stands in route if meaning in DECIDING]
    if deciding and all(stands.lost for stands in deciding):
        return APPROVAL_VOID
    return APPROVED_IN_DOUBT if any(stands.state in IN_DOUBT for _, stands in route) else ""


def to_decide() -> QuerySet[Signature]:
    """Signatures that wait for a disposition, oldest first: those under suspicion, and those withdrawn from a version that is
    approved and that no later approved version has overtaken."""
    # A decision on which no suspicion ever fell counts. Where one did, the database cannot follow the line of decisions:
    # those few are held against the rule above.
    waiting = _waiting().filter(_may_wait())
    later = Signature.objects.filter(Exists(_suspicions()), about=OuterRef("pk"))
    unclear = list(waiting.filter(Exists(later)).select_related("version").defer("statement", "seal"))
    return waiting.exclude(pk__in=[pk for pk, stands in of_all(unclear).items() if not stands.to_decide])


def _may_wait() -> Q:
    """Few signatures can: those of people who were under suspicion once, and those that somebody withdrew. Asked first and given
    as keys, so that the question does not grow with the archive."""
    suspects = Suspicion.objects.values_list("user", flat=True).distinct()
    withdrawn = Signature.objects.filter(about__isnull=False, meaning=Meaning.WITHDRAWAL).values_list(
        "about", flat=True
    )
    return Q(signer__in=list(suspects)) | Q(pk__in=list(withdrawn))


def _waiting() -> QuerySet[Signature]:
    decided = Signature.objects.filter(
        ~Exists(_suspicions()), about=OuterRef(OuterRef("pk")), meaning=Meaning.DISPOSITION
    )
    doubts = _suspicions().filter(~Exists(decided.filter(signed_at__gte=OuterRef("raised_at"))))
    withdrawals = Signature.objects.filter(
        ~Exists(decided.filter(signed_at__gte=OuterRef("signed_at"))),
        about=OuterRef("pk"),
        meaning=Meaning.WITHDRAWAL,
    )
    overtaken = Version.objects.filter(
        record=OuterRef("version__record"), ordinal__gt=OuterRef("version__ordinal"), state=State.APPROVED
    )
    of_approved = Q(meaning__in=OF_THE_ROUTE, version__state=State.APPROVED, step__voided="")
    left = Q(Exists(withdrawals)) & ~Q(Exists(overtaken)) & of_approved
    return Signature.objects.filter(Q(Exists(doubts)) | left).order_by(F("signed_at"))


def _suspicions() -> QuerySet[Suspicion]:
    """Those that fell on a signature: for a subquery about one."""
    return Suspicion.objects.filter(
        user=OuterRef("signer"), since__lte=OuterRef("signed_at"), raised_at__gt=OuterRef("signed_at")
    )
