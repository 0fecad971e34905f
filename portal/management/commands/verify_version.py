"""`manage.py verify_version NUMBER VERSION`: every byte read again, every row and signature held against its seal."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from audit import trail
from records import verification
from records.models import Verification, Version
from signatures import checking
from signatures.models import Signature


class Command(BaseCommand):
    help = "Verify a version: exit 0 if unchanged, 1 naming what differs or could not be read. Kept in its history."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("number", help="of the record, such as KRAS-001")
        parser.add_argument("version", type=int, help="1, 2, 3 ...")
        parser.add_argument("--json", action="store_true", help="one object on standard output")

    def handle(self, *, number: str, version: int, json: bool, **options: Any) -> None:
        held = _find(number, version)
        signatures = list(Signature.objects.filter(version=held).select_related("version__record", "key", "about"))
        broken = [
            f"Signature of {verdict.signature.printed_name} ({verdict.signature.meaning}): {problem}"
            for verdict in checking.check_all(signatures).values()
            for problem in verdict.problems
        ]
        found = verification.verify(held, by=trail.SYSTEM)
        self.stdout.write(_as_json(found, broken) if json else _as_text(found, broken))
        if found.outcome != Verification.Outcome.UNCHANGED or broken:
            raise SystemExit(1)


def _find(number: str, ordinal: int) -> Version:
    rows = Version.objects.select_related("record__type")
    version = rows.filter(record__number__iexact=number, ordinal=ordinal).first()
    if version is None:
        raise CommandError(f"There is no version {ordinal} of {number}.")
    return version


def _outcome(found: Verification, broken: list[str]) -> str:
    return str(Verification.Outcome.CHANGED if broken else found.outcome)


def _as_json(found: Verification, broken: list[str]) -> str:
    version = found.version
    return json.dumps(
        {
            "record": version.record.number,
            "version": version.ordinal,
            "outcome": _outcome(found, broken),
            "findings": [*found.findings, *broken],
            "top_hash": version.top_hash,
            "bytes_read": found.bytes_read,
            "started_at": found.started_at.isoformat(),
            "finished_at": found.finished_at.isoformat(),
            "files": found.files,
        },
        indent=2,
    )


def _as_text(found: Verification, broken: list[str]) -> str:
    version = found.version
    name = f"{version.record.number} version {version.ordinal}"
    said = {
        "unchanged": f"{name} is unchanged: {len(found.files)} files, {found.bytes_read} bytes read by version id, "
        f"top hash {version.top_hash}.",
        "changed": f"{name} is not what was sealed.",
        "unreachable": f"{name} could not be read, which says nothing about its bytes.",
    }[_outcome(found, broken)]
    newer = [f"{file['logical_key']}: {file['newer']} lies on top of it." for file in found.files if file["newer"]]
    return "\n".join([said, *(f"  {line}" for line in [*found.findings, *broken, *newer])])
