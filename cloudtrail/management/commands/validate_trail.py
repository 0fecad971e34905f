"""`manage.py validate_trail`: prove CloudTrail's files by its signed digests. Exit code 0 only if everything holds."""

import json
from argparse import ArgumentParser, ArgumentTypeError
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from audit import clock
from cloudtrail import validation
from cloudtrail.models import Trail
from cloudtrail.reread import Outcome
from storage.s3 import StorageError


def _time(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is no day and no time such as 2026-03-02 or 2026-03-02T14:00:00Z") from None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


class Command(BaseCommand):
    help = (
        "Validate the digests of every trail (or of one) and the log files that they list, by reading the bucket anew."
        " Says what `aws cloudtrail validate-logs` says, and more: every missing hour, and links that do not fit."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", nargs="?", default="", help="name of one trail; without it all")
        parser.add_argument("--from", dest="since", type=_time, metavar="TIME", help="UTC; else the first day pulled")
        parser.add_argument("--to", dest="until", type=_time, metavar="TIME", help="UTC; else now")
        parser.add_argument(
            "--ledger", action="store_true", help="fetch nothing: judge files by the hashes that ingest made of them"
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")

    def handle(self, *, name: str, json: bool, **options: Any) -> None:
        trails = Trail.objects.filter(name=name) if name else Trail.objects.all()
        if not trails:
            raise CommandError(f"There is no trail {name!r}." if name else "No trail is registered.")
        outcomes = []
        for of in trails:
            since, until = validation.period(of, options["since"], options["until"], clock.now())
            if since > until:
                raise CommandError("The period ends before it begins.")
            by_ledger = options["ledger"] or of.offline
            try:
                outcome = (validation.as_ingested if by_ledger else validation.anew)(of, since, until)
            except StorageError as error:
                raise CommandError(f"{of}: {error}") from error
            outcomes.append((of, since, until, by_ledger, outcome))
        if json:
            self.stdout.write(_object(outcomes))
        else:
            for told in outcomes:
                self._tell(*told)
        if not all(outcome.valid for *_, outcome in outcomes):
            raise CommandError("Not everything is proved.")

    def _tell(self, of: Trail, since: datetime, until: datetime, by_ledger: bool, outcome: Outcome) -> None:
        how = "as ingested" if by_ledger else "read anew"
        self.stdout.write(f"{of}, {since:%Y-%m-%d %H:%M:%S} to {until:%Y-%m-%d %H:%M:%S} UTC, {how}:")
        self.stdout.write(f"  digests: {_counts(outcome.digests)}")
        self.stdout.write(f"  log files: {_counts(outcome.files)}")
        for finding in outcome.findings:
            place = f"s3://{finding.bucket}/{finding.key}" if finding.bucket else finding.key
            self.stdout.write(f"  {place}: {finding.said}")
        if not outcome.digests:
            self.stdout.write("  There are no digests: nothing is proved.")


def _counts(found: dict[str, int]) -> str:
    return ", ".join(f"{count} {what}" for what, count in sorted(found.items())) or "none"


def _object(outcomes: list[tuple[Trail, datetime, datetime, bool, Outcome]]) -> str:
    told = [
        {
            "trail": of.name,
            "from": since.isoformat(),
            "to": until.isoformat(),
            "read": "as ingested" if by_ledger else "anew",
            "valid": outcome.valid,
            "digests": dict(outcome.digests),
            "files": dict(outcome.files),
            "findings": [finding._asdict() for finding in outcome.findings],
        }
        for of, since, until, by_ledger, outcome in outcomes
    ]
    return json.dumps({"valid": all(one["valid"] for one in told), "trails": told})
