"""`manage.py register_bucket NAME --purpose records`: let the portal use a bucket."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.models import Area
from audit import trail
from storage.models import Bucket, Purpose
from storage.s3 import StorageError
from storage.transitions import register_bucket


class Command(BaseCommand):
    help = "Register a bucket, after asking S3 whether it keeps versions and locks."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name")
        parser.add_argument("--purpose", choices=Purpose.values, required=True)
        parser.add_argument("--label", default="", help="what people call it; the name if left out")
        parser.add_argument("--area", default="", help="only people of this area may choose from it")
        parser.add_argument("--reason", default="")

    def handle(self, *, name: str, purpose: str, label: str, area: str, reason: str, **options: Any) -> None:
        if Bucket.objects.filter(pk=name).exists():
            raise CommandError(f"{name} is registered already.")
        owner = Area.objects.filter(name=area).first()
        if area and owner is None:
            raise CommandError(f"There is no area {area!r}.")
        try:
            with trail.refusals(trail.SYSTEM):
                register_bucket(name, label=label or name, purpose=purpose, area=owner, by=trail.SYSTEM, reason=reason)
        except (StorageError, trail.Refused) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{name} registered.")
