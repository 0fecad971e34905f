"""The buckets that the portal may look into."""

from __future__ import annotations

import uuid
from collections import Counter
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

    def posture_for(self, user: User) -> BucketQuerySet:
        """Buckets of every purpose whose posture the person may see: those of other areas are open to administrators alone."""
        if not user.is_active:
            return self.none()
        if user.has_role("administrator"):
            return self.all()
        return self.filter(Q(area__isnull=True) | Q(area__in=user.areas.all()))


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


class PostureReading(models.Model):
    """What one look at a bucket found, rule by rule (`storage.posture.Finding`). It is never changed (migration 0002)."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    bucket = models.ForeignKey(Bucket, models.PROTECT, related_name="readings")
    read_at = models.DateTimeField(db_default=Now())
    baseline = models.TextField(
        help_text="number and version of the signed baseline; empty: what the portal recommends"
    )
    findings = models.JSONField()
    by_key = models.TextField()
    by_name = models.TextField()

    class Meta:
        ordering = ["-read_at"]
        indexes = [models.Index(fields=["bucket", "-read_at"])]

    def __str__(self) -> str:
        return f"{self.bucket_id} {self.read_at:%Y-%m-%d %H:%M}"

    @property
    def counts(self) -> Counter[str]:
        """How many rules came to each verdict."""
        return Counter(finding["verdict"] for finding in self.findings)


class S3Request(models.Model):
    """A request that the portal made of S3 for one person: joins CloudTrail's `requestID` to what the person did here."""

    request_id = models.TextField(primary_key=True, help_text="x-amz-request-id, as CloudTrail tells it too")
    at = models.DateTimeField(db_default=Now())
    person = models.TextField(help_text="source identity under which it was made")
    portal_request = models.TextField(
        blank=True, help_text="the portal's own request, as its entries and reading log name it"
    )

    def __str__(self) -> str:
        return self.request_id
