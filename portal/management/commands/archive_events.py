"""Move closed months of CloudTrail events out of the database, into Parquet files under Object Lock. Views go on answering."""

import tempfile
from argparse import ArgumentParser
from datetime import UTC, date, datetime
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from accounts.models import User, folded
from audit import clock, trail
from cloudtrail import archive
from storage.s3 import StorageError


class Command(BaseCommand):
    help = __doc__ or ""

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--before", required=True, metavar="YYYY-MM", help="months before this one, oldest first")
        parser.add_argument("--by", required=True, metavar="USERNAME", help="who decides so; an administrator")
        parser.add_argument("--reason", required=True, help="why, for the audit trail")

    def handle(self, *, before: str, by: str, reason: str, **options: Any) -> None:
        user = User.objects.filter(username_folded=folded(by)).first()
        if user is None or not user.usable_at(clock.now()):
            raise CommandError(f"{by} is no active user of the portal.")
        try:
            with trail.refusals(user):
                for month in archive.months(_month(before)):
                    made = archive.close(month, by=user, reason=reason)
                    self.stdout.write(
                        f"{month:%Y-%m}: {made.events:,} events and {made.touches:,} further touches, {made.size:,} bytes in"
                        f" s3://{made.bucket}/{made.key} (version {made.s3_version}), rows SHA-256 {made.rows_sha256}"
                    )
                    self.stdout.flush()
        except (trail.Refused, StorageError) as error:
            raise CommandError(str(error)) from error
        except OSError as error:
            raise CommandError(
                f"The month could not be written on this machine ({error.strerror}); nothing was dropped. Make room in"
                f" {tempfile.gettempdir()} or in {settings.CACHE_DIR}, and run this again."
            ) from error


def _month(text: str) -> date:
    try:
        return datetime.strptime(text, "%Y-%m").replace(tzinfo=UTC).date()
    except ValueError as error:
        raise CommandError("--before is a month, such as 2026-04") from error
