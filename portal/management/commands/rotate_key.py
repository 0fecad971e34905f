"""`manage.py rotate_key signing|seeds`: a new key in use, with its entry; what the old one sealed still verifies."""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from accounts import seed_keys
from audit import trail
from signatures import sealing


class Command(BaseCommand):
    help = (
        "signing: make a new key that seals statements, register it, put it in the place of the old one. "
        "seeds: encrypt every seed of one-time codes anew with the first of SEED_KEYS. Both may be cut off and run again."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("which", choices=["signing", "seeds"])

    def handle(self, *, which: str, **options: Any) -> None:
        try:
            with trail.refusals(trail.SYSTEM):
                self.stdout.write(_signing() if which == "signing" else _seeds())
        except trail.Refused as refused:
            raise CommandError(refused.message) from refused


def _signing() -> str:
    old, new = sealing.rotate()
    return (
        f"In use now: {new.pk}\nBefore:     {old.pk}\n"
        f"The new key is in {settings.SIGNING_KEY_FILE}. Put it into your sealed backup, note its id in your validation file,\n"
        "and destroy the copies of the old one. What the old key sealed still verifies with its public key."
    )


def _seeds() -> str:
    found = seed_keys.encrypt_all_anew()
    if found.lost:
        raise CommandError(
            f"No key of SEED_KEYS opens the seeds of {len(found.lost)} devices: "
            f"{', '.join(map(str, found.lost))}. Add the key that does, or withdraw these devices."
        )
    rest = len(settings.SEED_KEYS) - 1
    after = f" The {rest} older of SEED_KEYS can be taken away now." if rest else ""
    return f"Encrypted anew: {found.encrypted}. Already so: {found.kept}.{after}"
