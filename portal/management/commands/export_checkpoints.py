"""Copy the checkpoints from the anchor bucket into a folder, each as it lies there. Exit 0, or 1 if it cannot be read."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from storage import anchors, s3


class Command(BaseCommand):
    help = __doc__ or ""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--output", type=Path, required=True, metavar="FOLDER")

    def handle(self, *args: Any, **options: Any) -> None:
        folder: Path = options["output"]
        folder.mkdir(parents=True, exist_ok=True)
        names: dict[int, int] = {}
        try:
            for found in anchors.configured().since(1):
                # A second version of a number is a second history: both are copied.
                names[found.number] = names.get(found.number, 0) + 1
                again = f"-{names[found.number]}" if names[found.number] > 1 else ""
                (folder / f"{found.number:012}{again}.txt").write_bytes(found.read())
        except s3.StorageError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{sum(names.values()):,} checkpoints are in {folder}.")
