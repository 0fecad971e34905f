"""`manage.py pull_trail`: pull trails from S3 now, in this process."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from audit import trail
from cloudtrail import ingest, transitions
from cloudtrail.models import Trail
from storage.s3 import StorageError


class Command(BaseCommand):
    help = "Pull new log files of every enabled trail (or of one) from S3. Safe to repeat; beside workers it shares their work."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", nargs="?", default="", help="name of one trail; without it all that are enabled")
        parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")

    def handle(self, *, name: str, json: bool, **options: Any) -> None:
        trails = list(Trail.objects.exclude(bucket="").filter(**({"name": name} if name else {"enabled": True})))
        if not trails:
            raise CommandError(f"There is no trail {name!r} with a bucket." if name else "No trail is enabled.")
        told, faults = [], []
        for one in trails:
            try:
                with trail.refusals(trail.SYSTEM):
                    tally = transitions.pull(one, ingest.silent if json else self._shown)
            except StorageError as error:
                faults.append(f"{one}: {error}")
                continue
            told.append(_told(one, tally))
            if not json:
                self.stdout.write(
                    f"{one}: {tally.files} files, {tally.stored} events stored, {tally.quarantined} quarantined."
                )
        if json:
            self.stdout.write(_text({"trails": told, "errors": faults}))
        if faults:
            raise CommandError(" ".join(faults))

    def _shown(self, done: int, total: int, message: str) -> None:
        self.stdout.write(message)


def _told(one: Trail, tally: ingest.Tally) -> dict[str, Any]:
    return {
        "trail": one.name,
        "files_found": tally.found,
        "files": tally.files,
        "events_stored": tally.stored,
        "events_seen_before": tally.seen_before,
        "quarantined": tally.quarantined,
        "unreachable": tally.unreachable,
        "actors": ingest.standings(tally),
    }


def _text(value: dict[str, Any]) -> str:
    return json.dumps(value)
