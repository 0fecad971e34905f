"""The intent to sign: opened with the dialog, bound to what it shows, lived for 120 s, used once (§2 row 4)."""

import hashlib
import uuid
from collections.abc import Iterable, Sequence

from django.db import transaction
from django.db.models import Count
from django.http import HttpRequest
from django.utils.crypto import salted_hmac

from accounts import sso
from accounts.models import Sitting, User
from audit import clock, trail
from audit.actions import Action
from audit.canonical import canonical
from audit.clock import Now
from records.models import Version
from signatures import review
from signatures.meanings import Meaning
from signatures.models import INTENT_LIVES, Intent, Opened, Signature, Step

AT_ONCE = 20  # versions that one code may sign


class IntentRefused(trail.Refused):
    """The sign dialog is no longer good for a signature; opening it again makes a new intent."""


def open_for(
    version: Version,
    *,
    user: User,
    sitting: Sitting,
    step: Step | None = None,
    about: Signature | None = None,
    meaning: str = Meaning.READING,
) -> Intent:
    """A fresh intent for the step's meaning, or without a step for `meaning`; `about` is the signature it will speak of."""
    meanings = [step.meaning, Meaning.REJECTION] if step else [meaning]
    with transaction.atomic():
        intent = _made(version, meanings, user=user, sitting=sitting, step=step, about=about)
        _open(intent)
    return intent


def open_list(steps: Sequence[Step], *, user: User, sitting: Sitting) -> list[Intent]:
    """Fresh intents for several steps of one meaning, bound to each other: they sign together, with one code, or not at all
    (§2 row 16). A rejection has its own reason, so none is offered."""
    if not 1 <= len(steps) <= AT_ONCE:
        raise trail.Refused(f"Sign 1 to {AT_ONCE} different versions at once.", subject=user, by=user)
    with transaction.atomic():
        listed = [_made(step.version, [step.meaning], user=user, sitting=sitting, step=step) for step in steps]
        digest = list_digest(listed)
        for intent in listed:
            intent.list_sha256 = digest
            _open(intent)
    return listed


def list_digest(listed: Iterable[Intent]) -> str:
    """SHA-256, hex, over what a list of intents asks to sign: canonical JSON, in the order of the versions' ids."""
    items = [
        {
            "intent": str(intent.pk),
            "version_id": str(intent.version_id),
            "step": str(intent.step_id),
            "meanings": intent.meanings,
            "top_hash": intent.top_hash,
            "rendition_sha256": intent.rendition_sha256,
        }
        for intent in listed
    ]
    return hashlib.sha256(canonical(sorted(items, key=lambda item: str(item["version_id"])))).hexdigest()


def challenge(held: Sequence[Intent], meaning: str, outcome: str = "") -> bytes:
    """What a passkey has to answer to sign these intents with this meaning (and, for a disposition, this outcome), 32 bytes:
    its answer is good for nothing else."""
    signed = {
        "user": str(held[0].user_id),
        "meaning": str(meaning),
        "outcome": str(outcome),
        "intents": list_digest(held),
        "about": sorted(str(intent.about_id or "") for intent in held),
    }
    return salted_hmac("countersign.signing.passkey", canonical(signed), algorithm="sha256").digest()


def listed_with(intent: Intent) -> list[Intent]:
    """The intents that sign together with this one: itself, and those of its list."""
    if not intent.list_sha256:
        return [intent]
    rows = Intent.objects.filter(user=intent.user_id, sitting=intent.sitting_id, list_sha256=intent.list_sha256)
    return list(rows.order_by("version_id"))


def ask_step_up(request: HttpRequest, held: Sequence[Intent], return_to: str) -> str:
    """Where the browser goes for the identity provider to confirm the signer anew, for these intents alone."""
    return sso.ask(
        request, sso.Purpose.SIGN, return_to=return_to, user=held[0].user, sitting=held[0].sitting,
        bound=list_digest(held), since=max(intent.opened_at for intent in held),
    )  # fmt: skip


def step_up(held: Sequence[Intent]) -> sso.Proof | None:
    """What the identity provider proved of the signer for exactly these intents, if it is still good."""
    bound = list_digest(held)
    found = sso.proof(sso.Purpose.SIGN, bound=bound, user=held[0].user, sitting=held[0].sitting)
    return sso.Proof(found.pk, bound) if found else None


def _made(
    version: Version,
    meanings: Iterable[str],
    *,
    user: User,
    sitting: Sitting,
    step: Step | None,
    about: Signature | None = None,
) -> Intent:
    return Intent(
        user=user,
        sitting=sitting,
        version=version,
        step=step,
        about=about,
        meanings=[str(meaning) for meaning in meanings],
        top_hash=version.top_hash,
        rendition_sha256=version.rendition_sha256,
        reviewed_to=review.newest(version),
        expires_at=clock.now() + INTENT_LIVES,
    )


def _open(intent: Intent) -> None:
    intent.save(force_insert=True)
    detail = {"intent": str(intent.pk), "meanings": intent.meanings}
    if intent.list_sha256:
        detail["list_sha256"] = intent.list_sha256
    trail.record(Action.INTENT_OPENED, intent.version, by=intent.user, detail=detail)


def fetch(intent_id: uuid.UUID, user: User, sitting: Sitting) -> Intent:
    """The person's own open intent of this sitting. Raises IntentRefused."""
    intent = (
        Intent.objects.select_related("version", "step")
        .annotate(now=Now())
        .filter(pk=intent_id, user=user, sitting=sitting, sitting__ended_at__isnull=True)
        .first()
    )
    if intent is None:
        raise IntentRefused(
            "This sign dialog is not yours, or belongs to another sitting. Open it again.",
            action=Action.SIGNATURE_REFUSED,
            by=user,
            subject=user,
            detail={"why": "intent"},
        )
    if intent.used_at is not None or intent.now >= intent.expires_at:
        raise _too_late(intent, user)
    return intent


def current(
    version: Version,
    user: User,
    sitting: Sitting,
    step: Step | None = None,
    *,
    about: Signature | None = None,
    meaning: str = Meaning.READING,
) -> Intent | None:
    """The sign dialog that the person has open for this step (or, without one, for this meaning) in this sitting, if it is
    still good."""
    of_it = {"step": step} if step else {"step": None, "about": about, "meanings__contains": [str(meaning)]}
    return (
        Intent.objects.filter(
            user=user,
            sitting=sitting,
            version=version,
            list_sha256="",
            used_at__isnull=True,
            expires_at__gt=Now(),
            **of_it,
        )
        .order_by("-expires_at")
        .first()
    )


def current_list(steps: Sequence[Step], user: User, sitting: Sitting) -> list[Intent]:
    """The intents of the dialog that the person has open for exactly these steps in this sitting, if it is still good."""
    live = Intent.objects.filter(user=user, sitting=sitting, used_at__isnull=True, expires_at__gt=Now())
    newest = live.filter(step__in=steps).exclude(list_sha256="").order_by("-expires_at").first()
    held = list(live.filter(list_sha256=newest.list_sha256)) if newest else []
    return held if {intent.step_id for intent in held} == {step.pk for step in steps} else []


def use(intent: Intent) -> None:
    """Spend the intent, committed at once, so that twenty parallel posts make one signature. Raises IntentRefused."""
    used = Intent.objects.filter(pk=intent.pk, used_at__isnull=True, expires_at__gt=Now()).update(used_at=Now())
    if not used:
        raise _too_late(intent, intent.user)


def serve(version: Version, page: int, *, user: User, sitting: Sitting) -> None:
    """Note that a page image (from 1) of the rendition was served in the sitting; the first one is a view in the reading log."""
    of_rendition = Opened.objects.filter(sitting=sitting, rendition_sha256=version.rendition_sha256)
    first = not of_rendition.exists()
    Opened.objects.bulk_create(
        [Opened(sitting=sitting, rendition_sha256=version.rendition_sha256, page=page)], ignore_conflicts=True
    )
    if first:
        trail.access(user, "view", version, {"rendition": version.rendition_sha256})


def opened_pages(version: Version, sitting_id: uuid.UUID) -> set[int]:
    """Pages of the rendition (from 1) that were served in the sitting."""
    return set(
        Opened.objects.filter(sitting=sitting_id, rendition_sha256=version.rendition_sha256).values_list(
            "page", flat=True
        )
    )


def opened_counts(versions: Sequence[Version], sitting_id: uuid.UUID) -> dict[str, int]:
    """How many pages of each rendition were served in the sitting, by the rendition's SHA-256."""
    rows = Opened.objects.filter(
        sitting=sitting_id, rendition_sha256__in=[version.rendition_sha256 for version in versions]
    )
    return dict(rows.values_list("rendition_sha256").annotate(Count("page")))


def unopened_pages(intent: Intent, version: Version) -> list[int]:
    """Pages that were not served to the person in this sitting."""
    seen = opened_pages(version, intent.sitting_id)
    return [page for page in range(1, version.rendition_pages + 1) if page not in seen]


def _too_late(intent: Intent, user: User) -> IntentRefused:
    return IntentRefused(
        "This sign dialog was used, or is older than two minutes. Open it again: nothing was signed.",
        action=Action.SIGNATURE_REFUSED,
        subject=intent.version,
        by=user,
        detail={"why": "intent"},
    )
