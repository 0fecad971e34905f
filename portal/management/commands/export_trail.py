"""Write the whole audit trail as JSON Lines, for verifier/countersign_verify.py. Exit 0."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from audit import exporting


class Command(BaseCommand):
    help = __doc__ or ""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--output", type=Path, required=True, metavar="FILE")

    def handle(self, *args: Any, **options: Any) -> None:
        count = 0
        with options["output"].open("wb") as out:
            for count, line in enumerate(exporting.lines(settings.TRAIL_ORIGIN), 1):  # noqa: B007 counted for the sentence
                out.write(line)
        self.stdout.write(f"{count:,} lines are in {options['output']}.")
