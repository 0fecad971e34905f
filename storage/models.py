"""The buckets that the portal may look into."""

from __future__ import annotations

from django.db import models

from audit.trail import Subject


class Purpose(models.TextChoices):
    RECORDS = "records", "record bucket"
    WORM = "worm", "store of frozen bytes"
    TRAIL = "trail", "CloudTrail log files"
    ANCHOR = "anchor", "checkpoints of the audit trail"


class Bucket(models.Model):
    """A registered S3 bucket. Its name is its key: names are unique in all of AWS and are never given twice here."""

    name = models.CharField(max_length=63, primary_key=True)
    label = models.CharField(max_length=200)
    purpose = models.CharField(max_length=10, choices=Purpose.choices)
    area = models.ForeignKey("accounts.Area", on_delete=models.PROTECT, null=True, blank=True, related_name="buckets")
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                name="storage_bucket_known_purpose", condition=models.Q(purpose__in=Purpose.values)
            ),
            models.CheckConstraint(
                name="storage_bucket_well_formed_name",
                condition=models.Q(name__regex=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$"),
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def trail_subject(self) -> Subject:
        return Subject("bucket", self.name, self.name)
