"""Work in the background, one row a piece. The row is the truth; a broker message is a wake-up."""

import uuid
from datetime import timedelta
from typing import Any

from django.db import models

from audit.clock import Now
from audit.trail import Subject

LEASE = timedelta(minutes=2)
OPERATES = "administrator"


class JobQuerySet(models.QuerySet["Job"]):
    def visible_to(self, user: Any) -> "JobQuerySet":
        """What the person asked for; for an administrator, who keeps the work going, all of it."""
        return self.all() if user.has_role(OPERATES) else self.filter(requested_by=user.trail_actor().key)


class Job(models.Model):
    class State(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.TextField()
    args = models.JSONField(default=dict)
    key = models.TextField(unique=True, help_text="natural key: asking twice for the same work makes one row")
    state = models.TextField(choices=State, default=State.QUEUED)
    done = models.BigIntegerField(default=0)
    total = models.BigIntegerField(default=0)
    message = models.TextField(default="")
    error = models.TextField(default="")
    result = models.JSONField(null=True)
    requested_by = models.TextField()
    requested_by_name = models.TextField()
    created_at = models.DateTimeField(db_default=Now())
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    lease_until = models.DateTimeField(null=True)
    attempts = models.IntegerField(default=0)

    objects = JobQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["-created_at"]),
            models.Index(
                fields=["state", "lease_until"], condition=models.Q(state__in=["queued", "running"]), name="job_open"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.state}"

    def trail_subject(self) -> Subject:
        return Subject("job", str(self.id), f"“{self.title}”")

    @property
    def open(self) -> bool:
        return self.state in (self.State.QUEUED, self.State.RUNNING)

    @property
    def title(self) -> str:
        """What it does, in words, as whoever asked for it said under `args["title"]`."""
        return str(self.args.get("title") or self.kind)

    @property
    def page(self) -> str:
        """The path of the page that it is about: the one its result names, or its arguments, or ""."""
        return str((self.result or {}).get("page") or self.args.get("page") or "")

    @property
    def percent(self) -> int:
        return 100 if self.state == self.State.DONE else min(99, self.done * 100 // self.total) if self.total else 0

    def progress(self, done: int, total: int, message: str = "") -> None:
        """Show how far the work is and hold the lease for another while. Raises LeaseLost if another worker has it now."""
        held = Job.objects.filter(pk=self.pk, state=Job.State.RUNNING, attempts=self.attempts).update(
            done=done, total=total, message=message, lease_until=Now() + LEASE
        )
        if not held:
            raise LeaseLost(str(self.pk))
        self.done, self.total, self.message = done, total, message


class LeaseLost(Exception):
    """The work took longer than its lease without a sign of life, and somebody else does it now."""
