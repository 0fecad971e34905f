"""The buckets that the portal may look into."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import models
from django.db.models import Q

from audit.clock import Now
from audit.trail import Subject

if TYPE_CHECKING:
    from accounts.models import User


class Purpose(models.TextChoices):
    RECORDS = "records", "record bucket"
    WORM = "worm", "store of frozen bytes"
    TRAIL = "trail", "CloudTrail log files"
    ANCHOR = "anchor", "checkpoints of the audit trail"


class BucketQuerySet(models.QuerySet["Bucket"]):
    def visible_to(self, user: User) -> BucketQuerySet:
        """Record buckets that belong to no area or to one of the person's, if the person is active."""
        if not user.is_active:
            return self.none()
        return self.filter(Q(area__isnull=True) | Q(area__in=user.areas.all()), purpose=Purpose.RECORDS)


class Bucket(models.Model):
    """A registered S3 bucket. Its name is its key: names are unique in all of AWS and are never given twice here."""

    name = models.CharField(max_length=63, primary_key=True)
    label = models.CharField(max_length=200)
    purpose = models.CharField(max_length=10, choices=Purpose.choices)
    area = models.ForeignKey("accounts.Area", on_delete=models.PROTECT, null=True, blank=True, related_name="buckets")
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    objects = BucketQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(name="storage_bucket_known_purpose", condition=Q(purpose__in=Purpose.values)),
            models.CheckConstraint(
                name="storage_bucket_well_formed_name",
                condition=Q(name__regex=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$"),
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def trail_subject(self) -> Subject:
        return Subject("bucket", self.name, self.name)
