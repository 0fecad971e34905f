"""Another key for the seeds of one-time codes: every seed is encrypted anew with the first of SEED_KEYS.

Each seed goes in a transaction of its own with its entry, so that it can be cut off anywhere and run again; a seed that the first
key opens already is left alone.
"""

import uuid
from dataclasses import dataclass

from django.db import transaction

from accounts import seeds
from accounts.models import CodeDevice
from audit import trail
from audit.actions import Action


@dataclass(frozen=True)
class Outcome:
    """How many seeds were encrypted anew, how many needed nothing, and the devices whose seed no key opens."""

    encrypted: int
    kept: int
    lost: list[uuid.UUID]


def encrypt_all_anew(*, by: trail.HasActor | trail.Actor = trail.SYSTEM) -> Outcome:
    encrypted, kept, lost = 0, 0, []
    for device_id in list(CodeDevice.objects.order_by("pk").values_list("pk", flat=True)):
        try:
            done = _encrypt_anew(device_id, by)
        except ValueError:
            lost.append(device_id)
        else:
            encrypted, kept = encrypted + done, kept + (not done)
    return Outcome(encrypted, kept, lost)


def _encrypt_anew(device_id: uuid.UUID, by: trail.HasActor | trail.Actor) -> bool:
    """False where nothing had to be done. Raises ValueError where no key opens the seed."""
    with transaction.atomic(durable=True):
        device = (
            CodeDevice.objects.select_for_update(no_key=True, of=("self",)).select_related("user").get(pk=device_id)
        )
        if seeds.is_current(device.seed, device.pk):
            return False
        device.seed = seeds.encrypt(seeds.decrypt(device.seed, device.pk), device.pk)
        device.save(update_fields=["seed"])
        trail.record(Action.CODE_ENCRYPTED, device.user, by=by, detail={"device": str(device.pk)})
        return True
