"""Write the whole database to a file, in one snapshot, and beside it (FILE.json) its SHA-256 and the head of the trail."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from portal import backups


class Command(BaseCommand):
    help = __doc__ or ""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, metavar="FILE")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            made = backups.backup(options["file"])
        except backups.NotDone as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{options['file']}: {made.size:,} bytes, {made.links:,} links, head {made.head}.")
