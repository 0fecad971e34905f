"""Walk the chain of the audit trail and compare its columns. Exit 0, or 1 with the first bad entry and some further ones."""

import json
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from audit import chain


class Command(BaseCommand):
    help = __doc__ or ""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="one object on standard output")
        parser.add_argument("--hashes-only", action="store_true", help="do not compare columns; faster")

    def handle(self, *args: Any, **options: Any) -> None:
        walk = chain.walk(columns=not options["hashes_only"])
        if options["json"]:
            self.stdout.write(json.dumps({"ok": walk.fault is None, **asdict(walk)}))
        elif walk.fault is None:
            self.stdout.write(f"The chain holds: {walk.links} links, head {walk.head}.")
        else:
            self.stdout.write(f"The chain is broken after {walk.links} links. {walk.fault.sentence}")
            for fault in walk.further:
                self.stdout.write(f"  {fault.sentence}")
        if walk.fault is not None:
            raise SystemExit(1)
