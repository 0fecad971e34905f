"""Who touched a record: the audit view of its page, for a terminal or a file."""

import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from audit import clock, trail
from cloudtrail.archive import Unanswerable
from portal import reports
from portal.pages.timeline import Asked
from records.models import Record


class Command(BaseCommand):
    help = __doc__ or ""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("number", help="the record's number, such as KRAS-001")
        parser.add_argument("--days", type=int, default=90, help="how far back (90)")
        parser.add_argument("--ordinal", type=int, help="of this version only")
        parser.add_argument("--format", choices=list(reports.MEDIA), default="json")
        parser.add_argument("--output", type=Path, metavar="FILE", help="instead of the standard output")

    def handle(self, *args: Any, **options: Any) -> None:
        if not 1 <= options["days"] <= 36500:
            raise CommandError("--days is a number of days, 1 to 36500")
        try:
            self._write(options)
        except Unanswerable as refused:
            raise CommandError(refused.message) from refused

    def _write(self, options: dict[str, Any]) -> None:
        asked = self._asked(options)
        made = reports.report(asked, "an operator of the system")
        trail.access(trail.SYSTEM, "export", asked.version or asked.record, {
            "part": "audit view", "format": options["format"], "lines": made.total, "by": "command"})  # fmt: skip
        pieces = reports.body(made, options["format"])
        if options["output"]:
            with options["output"].open("wb") as out:
                out.writelines(pieces)
            self.stderr.write(f"{made.total} lines in {options['output']}")
        else:
            for piece in pieces:
                sys.stdout.buffer.write(piece)
            sys.stdout.flush()

    def _asked(self, options: dict[str, Any]) -> Asked:
        record = Record.objects.select_related("type").filter(number=options["number"]).first()
        if record is None:
            raise CommandError(f"there is no record {options['number']}")
        version = None
        if options["ordinal"] is not None:
            version = record.versions.select_related("record__type").filter(ordinal=options["ordinal"]).first()
            if version is None:
                raise CommandError(f"{record.number} has no version {options['ordinal']}")
        now = clock.now()
        return Asked(record, now - timedelta(days=options["days"]), now, version)
