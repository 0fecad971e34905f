"""`manage.py export_manifest NUMBER VERSION`: the Quilt manifest, which `quilt3` opens with the same top hash."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from audit import trail
from records.models import Version


class Command(BaseCommand):
    help = "Write a version's manifest (Quilt v0, JSON Lines) to standard output or a file."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("number", help="of the record, such as KRAS-001")
        parser.add_argument("version", type=int, help="1, 2, 3 ...")
        parser.add_argument("--output", type=Path, metavar="FILE", help="instead of standard output")

    def handle(self, *, number: str, version: int, output: Path | None, **options: Any) -> None:
        held = Version.objects.filter(record__number__iexact=number, ordinal=version).select_related("record").first()
        if held is None:
            raise CommandError(f"There is no version {version} of {number}.")
        data = bytes(held.manifest)
        trail.access(trail.SYSTEM, "export", held, {"what": "manifest", "by": "command"})
        if output is None:
            # As bytes where standard output is a real one: a manifest's line ends are its own.
            binary = getattr(getattr(self.stdout, "_out", None), "buffer", None)
            if binary is not None:
                binary.write(data)
            else:
                self.stdout.write(data.decode(), ending="")
            return
        try:
            output.write_bytes(data)
        except OSError as error:
            raise CommandError(f"{output} cannot be written: {error.strerror}.") from error
        self.stdout.write(f"{output}: {len(data)} bytes, top hash {held.top_hash}")
