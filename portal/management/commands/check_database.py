"""The application role's rights, and the database's functions and triggers against what the code expects.

Exit 0, or 1 where something differs; an alarm is raised then, as at every start and every hour.
"""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from portal import anchoring


class Command(BaseCommand):
    help = __doc__ or ""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="one object on standard output")

    def handle(self, *args: Any, **options: Any) -> None:
        found = anchoring.check_database()
        if options["json"]:
            self.stdout.write(json.dumps(found.to_json()))
        else:
            for sentence, holds in found.rights.items():
                self.stdout.write(f"  {'yes' if holds else 'NO '}  The role {found.role} {sentence}.")
            self.stdout.write(f"Expected {found.rules.expected}\nFound    {found.rules.found}")
            for difference in found.rules.differences:
                self.stdout.write(f"  NO   {difference}")
            self.stdout.write(
                "The database is as the code expects." if found.well else "The database is NOT as it must be."
            )
        if not found.well:
            raise SystemExit(1)
