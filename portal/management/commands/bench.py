"""Measure, each figure against its own limit in the same run. On embedded servers of its own, thrown away afterwards."""

import json
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandParser


class Command(BaseCommand):
    help = __doc__ or ""
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        from portal.bench.measures import MEASURES

        parser.add_argument(
            "names", nargs="*", metavar="NAME", help=f"which ones: {', '.join(MEASURES)}; none means all"
        )
        parser.add_argument("--json", action="store_true", help="one object a line: name, value, unit, against")

    def handle(self, *args: Any, **options: Any) -> None:
        from portal.bench.measures import MEASURES

        call_command("migrate", verbosity=0)
        for name in options["names"] or MEASURES:
            if name not in MEASURES:
                raise SystemExit(f"No measurement is called {name}; there are {', '.join(MEASURES)}.")
            for figure in MEASURES[name]():
                if options["json"]:
                    self.stdout.write(json.dumps(figure.to_json()))
                else:
                    self.stdout.write(f"{figure.name:<42} {figure.value:>10,} {figure.unit:<26} {figure.against}")
                self.stdout.flush()
