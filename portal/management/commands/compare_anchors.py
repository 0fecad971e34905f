"""Compare a restored database with the anchors: what `restore` does itself where the backup is of this release.

Exit 0 where they agree and nothing about them is in doubt; 1, with the reason, where not. A database that is behind them or tells
another history is read-only until a restore report is signed, one that could not be compared until it can be.
"""

from collections.abc import Callable
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from audit.checkpoints import Comparison
from portal import anchoring


class Command(BaseCommand):
    help = __doc__ or ""
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        judge(self.stdout.write, anchoring.watch_over(restored=True))


def judge(say: Callable[[str], object], compared: Comparison | None) -> None:
    """Say what was found. Raises CommandError where it is not well."""
    if compared is None:
        raise CommandError("The anchors could not be read. The portal is read-only until they can be.")
    for sentence in (compared.sentence, *compared.doubts):
        say(sentence)
    if compared.stops:
        raise CommandError("The portal is read-only until a restore report is signed: see Audit, Checkpoints.")
    if compared.state != "agrees" or compared.doubts:
        raise CommandError("The anchors do not vouch for this database. Let nobody work before it is known why.")
