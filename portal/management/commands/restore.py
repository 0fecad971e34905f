"""Put a backup into the empty database that the settings name, and compare it with the anchors.

Exit 0 where they agree and nothing about them is in doubt; 1 where the database is behind them or tells another history (the
portal is then read-only until a restore report is signed), where there are none, where one of them is in doubt, where they could
not be read (the portal is then read-only until they can be), where the backup is of an older release and has to be migrated
before it is compared, where what was restored is not what was backed up, or where nothing was restored.
"""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from portal import backups
from portal.management.commands.compare_anchors import judge


class Command(BaseCommand):
    help = __doc__ or ""
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, metavar="FILE")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            done = backups.restore(options["file"])
        except backups.NotDone as error:
            raise CommandError(str(error)) from error
        told, compared = done.told, done.compared
        self.stdout.write(
            f"Restored: {told.links:,} links, head {told.head}. Backed up {told.made_at} by release {told.release}, as its file"
            f" says; this is release {settings.VERSION}."
        )
        if done.older:
            raise CommandError(
                "The database is of an older release: run manage.py migrate, then manage.py compare_anchors, and let nobody"
                " work before."
            )
        judge(self.stdout.write, compared)
