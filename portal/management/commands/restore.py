"""Put a backup into the empty database that the settings name, and compare it with the anchors.

Exit 0 where they agree and nothing about them is in doubt; 1 where the database is behind them or tells another history (the
portal is then read-only until a restore report is signed), where there are none, where one of them is in doubt, where they could
not be read, where what was restored is not what was backed up, or where nothing was restored.
"""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from portal import backups


class Command(BaseCommand):
    help = __doc__ or ""
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, metavar="FILE")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            told, compared = backups.restore(options["file"])
        except backups.NotDone as error:
            raise CommandError(str(error)) from error
        self.stdout.write(
            f"Restored: {told.links:,} links, head {told.head}. Backed up {told.made_at}, as its file says."
        )
        if compared is None:
            raise CommandError("The anchors could not be read: compare before you let anybody work.")
        for sentence in (compared.sentence, *compared.doubts):
            self.stdout.write(sentence)
        if compared.stops:
            raise CommandError("The portal is read-only until a restore report is signed: see Audit, Checkpoints.")
        if compared.state != "agrees" or compared.doubts:
            raise CommandError("The anchors do not vouch for this database. Let nobody work before it is known why.")
