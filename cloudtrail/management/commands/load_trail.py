"""`manage.py load_trail DIRECTORY`: store CloudTrail log files that were handed over offline."""

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from audit import trail
from cloudtrail import ingest, transitions


class Command(BaseCommand):
    help = "Store CloudTrail log files from a directory laid out as CloudTrail delivers them. Safe to repeat."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("directory", type=Path)
        parser.add_argument("--trail", default="", help="name of the trail that they belong to; made if it is missing")
        parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")

    def handle(self, *, directory: Path, json: bool, **options: Any) -> None:
        if not directory.is_dir():
            raise CommandError(f"{directory} is not a directory.")
        with trail.refusals(trail.SYSTEM):
            tally, aside = transitions.load(
                directory, name=options["trail"], progress=self._shown if not json else ingest.silent
            )
        if not tally.files:
            raise CommandError(f"There is no CloudTrail log file below {directory}.")
        if json:
            self.stdout.write(_object(tally))
        else:
            self._tell(tally)
        for row in aside:
            self.stderr.write(f"quarantined: {row.key}: {row.reason}")
        if aside:
            raise CommandError(f"{len(aside)} of {tally.files} files could not be read and are in quarantine.")

    def _shown(self, done: int, total: int, message: str) -> None:
        self.stdout.write(message)

    def _tell(self, tally: ingest.Tally) -> None:
        self.stdout.write(f"{tally.files} files: {tally.stored} events stored, {tally.seen_before} seen before.")
        for standing, count in ingest.standings(tally).items():
            self.stdout.write(f"  {standing:<10} {count}")


def _object(tally: ingest.Tally) -> str:
    return json.dumps(
        {
            "files": tally.files,
            "events_stored": tally.stored,
            "events_seen_before": tally.seen_before,
            "actors": ingest.standings(tally),
        }
    )
