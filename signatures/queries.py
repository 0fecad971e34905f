"""Questions about who is asked to sign, and who signed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db.models import Exists, OuterRef, Q, QuerySet

from records.lifecycle import State
from records.queries import readable
from signatures.meanings import OF_THE_ROUTE, Meaning

if TYPE_CHECKING:
    from accounts.models import User
    from signatures.models import Signature, Step  # noqa: F401

OPEN_STATES = (State.IN_REVIEW, State.REGISTERED)


class StepQuerySet(QuerySet["Step"]):
    def visible_to(self, user: User) -> StepQuerySet:
        return self.filter(readable(user, "version__record__"))

    def waiting(self) -> StepQuerySet:
        """Steps whose turn it is: unsigned, on a version that is still open, with no unsigned step before them."""
        from signatures.models import Step

        earlier = Step.objects.filter(version=OuterRef("version"), place__lt=OuterRef("place"), signature__isnull=True)
        return self.filter(~Exists(earlier), signature__isnull=True, version__state__in=OPEN_STATES)

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


class SignatureQuerySet(QuerySet["Signature"]):
    def visible_to(self, user: User) -> SignatureQuerySet:
        return self.filter(readable(user, "version__record__"))

    def counting(self) -> SignatureQuerySet:
        """Signatures of a version's route that count: whoever gave one gives no second. One whose step was opened again
        counts no more, and its signer may be asked once more."""
        return self.filter(meaning__in=OF_THE_ROUTE, step__voided="")
