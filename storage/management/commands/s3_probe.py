"""`manage.py s3_probe BUCKET`: what the bucket is set to, and what it enforces when it is tried."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from storage import probe
from storage.s3 import StorageError


class Command(BaseCommand):
    help = "Try a bucket with a throw-away object (GOVERNANCE, 1 day); exit code 1 if it does not enforce what it must."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("bucket")
        parser.add_argument(
            "--compliance",
            action="store_true",
            help="also try COMPLIANCE; leaves an object that nobody can delete for five minutes",
        )
        parser.add_argument("--settings-only", action="store_true", help="read the settings and write nothing")
        parser.add_argument("--json", action="store_true")

    def handle(self, *, bucket: str, compliance: bool, settings_only: bool, json: bool, **options: Any) -> None:
        try:
            kept = probe.settings_of(bucket)
            findings = [] if settings_only else probe.enforcement_of(bucket, compliance=compliance)
        except StorageError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(_as_json(kept, findings) if json else _as_text(bucket, kept, findings))
        if not kept.versioned or not all(finding.holds for finding in findings):
            raise CommandError(f"{bucket} does not enforce what regulated records need.")


def _as_json(kept: probe.Kept, findings: list[probe.Finding]) -> str:
    return json.dumps({"settings": kept.to_json(), "findings": [vars(finding) for finding in findings]}, indent=2)


def _as_text(bucket: str, kept: probe.Kept, findings: list[probe.Finding]) -> str:
    default = f"{kept.default_mode} for {kept.default_days} days" if kept.default_mode else "no default"
    lines = [
        f"Bucket {bucket}",
        f"  versions             {'kept' if kept.versioned else 'NOT KEPT'}",
        f"  Object Lock          {f'on, {default}' if kept.lock_enabled else 'OFF'}",
        f"  encryption           {kept.encryption or 'NONE'}",
        f"  public access block  {'complete' if kept.public_access_blocked else 'NOT COMPLETE'}",
    ]
    lines += [f"  {'holds ' if finding.holds else 'FAILS '} {finding.trial} ({finding.said})" for finding in findings]
    return "\n".join(lines)
