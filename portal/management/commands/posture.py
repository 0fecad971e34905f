"""`manage.py posture`: read the storage posture of every registered bucket now, and say what does not pass."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from portal import posture
from printing.templatetags.look import iso, utc
from storage.models import PostureReading
from storage.posture import Verdict
from storage.s3 import StorageError


class Command(BaseCommand):
    help = "Read the storage posture of every registered bucket; exit code 0 if every rule passes, else 1."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true")

    def handle(self, *, json: bool, **options: Any) -> None:
        try:
            readings = posture.read_now()
        except StorageError as error:
            raise CommandError(f"The signed baseline cannot be read: {error}") from error
        if not readings:
            raise CommandError("No bucket is registered: nothing was read.")
        self.stdout.write(_as_json(readings) if json else "\n\n".join(map(_as_text, readings)))
        poor = sum(one.counts[Verdict.FAILS] + one.counts[Verdict.UNREAD] for one in readings)
        if poor:
            raise CommandError(f"{poor} {'rule does' if poor == 1 else 'rules do'} not pass.")


def _as_json(readings: list[PostureReading]) -> str:
    told = [
        {"bucket": one.bucket_id, "read_at": iso(one.read_at), "baseline": one.baseline, "findings": one.findings}
        for one in readings
    ]
    return json.dumps({"readings": told}, indent=2)


def _as_text(reading: PostureReading) -> str:
    against = reading.baseline or "what the portal recommends: no baseline is signed for it"
    lines = [f"{reading.bucket_id}, read {utc(reading.read_at, 's')}, against {against}"]
    for told in posture.rows_of(reading):
        least = "at least " if told["at_least"] else ""
        found = (
            f"{told['found']} (wanted: {least}{told['wanted']})" if told["verdict"] != Verdict.PASSES else told["found"]
        )
        lines.append(f"  {told['words'].upper():18} {told['asks']} [{told['serves']}]: {found}")
    return "\n".join(lines)
