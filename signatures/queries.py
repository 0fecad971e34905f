"""Questions about who is asked to sign, and who signed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db.models import Exists, OuterRef, Q, QuerySet

from audit import clock
from records.lifecycle import State
from records.queries import readable
from signatures.meanings import OF_THE_ROUTE, Meaning

if TYPE_CHECKING:
    from accounts.models import User
    from records.models import Version
    from signatures.models import Signature, Step  # noqa: F401

OPEN_STATES = (State.IN_REVIEW, State.REGISTERED)


class StepQuerySet(QuerySet["Step"]):
    def visible_to(self, user: User) -> StepQuerySet:
        return self.filter(readable(user, "version__record__"))

    def unsigned(self) -> StepQuerySet:
        """Steps that are still asked for: not signed, and not lapsed."""
        return self.filter(signature__isnull=True, lapsed_at__isnull=True)

    def before(self, version: Version | OuterRef, place: int | OuterRef) -> StepQuerySet:
        """Steps of the version that come before the place."""
        return self.filter(version=version, place__lt=place)

    def waiting(self) -> StepQuerySet:
        """Steps whose turn it is: unsigned, on a version that is still open, with no unsigned step before them."""
        from signatures.models import Step

        earlier = Step.objects.unsigned().before(OuterRef("version"), OuterRef("place"))
        return self.unsigned().filter(~Exists(earlier), version__state__in=OPEN_STATES)

    def awaiting(self, user: User) -> StepQuerySet:
        """Steps that wait for this person: asked by name, or of anyone with a role they hold on a version that they may see
        and had no part in writing."""
        from signatures.models import Signature

        mine = Q(assignee=user) | Q(assignee__isnull=True, role__in=user.roles)
        return (
            self.waiting()
            .filter(mine)
            .filter(readable(user, "version__record__"))
            .exclude(~Q(meaning=Meaning.RESPONSIBILITY), version__author=user)
            .exclude(version__contributors__contains=[str(user.pk)])
            .exclude(Exists(Signature.objects.counting().filter(signer=user, version=OuterRef("version"))))
        )


def who_could_sign(step: Step) -> QuerySet[User]:
    """People of the step's role in the record's area, with access now, who had no part in the version, and are not asked to sign
    it, nor have signed it, at another step."""
    from accounts.models import User

    version = step.version
    steps = type(step).objects.filter(version=version)
    had_part = {*version.contributors, str(version.author_id)}
    return (
        User.objects.usable_at(clock.now())
        .filter(groups__name=step.role, areas=version.record.area_id)
        .exclude(pk__in=had_part)
        .exclude(
            pk__in=steps.exclude(pk=step.pk).filter(assignee__isnull=False, lapsed_at__isnull=True).values("assignee")
        )
        .exclude(pk__in=version.signatures.counting().values("signer"))
        .order_by("legal_name")
    )


def who_else_could_sign(step: Step) -> QuerySet[User]:
    """Whom the step can be asked of instead of the person it is asked of now."""
    return who_could_sign(step).exclude(pk=step.assignee_id) if step.assignee_id else who_could_sign(step)


class SignatureQuerySet(QuerySet["Signature"]):
    def visible_to(self, user: User) -> SignatureQuerySet:
        return self.filter(readable(user, "version__record__"))

    def counting(self) -> SignatureQuerySet:
        """Signatures of a version's route that count: whoever gave one gives no second. One whose step was opened again
        counts no more, and its signer may be asked once more."""
        return self.filter(meaning__in=OF_THE_ROUTE, step__voided="")
