"""The trail. No foreign keys: a log must outlive what it speaks of."""

import uuid
from typing import TYPE_CHECKING

from django.db import models
from django.db.models import Func
from django.db.models.lookups import Exact

from audit.actions import TOLD_BESIDES, Action
from audit.clock import Now

if TYPE_CHECKING:
    from audit.trail import Subject

# What begins and what ends the time in which the portal is read-only; the newer of the two counts.
HOLDS = (Action.HOLD_BEGUN, Action.HOLD_ENDED)
# How the names of acts and of kinds are written, whoever writes them.
ACTION, KIND = r"^[a-z_]+\.[a-z_]+$", r"^[a-z_]+$"


class Entry(models.Model):
    """One act. Written by `trail.record()` alone; time and transaction are the database's."""

    at = models.DateTimeField(db_default=Now())
    xact = models.BigIntegerField(help_text="PostgreSQL's transaction id: entries and row changes of one act share it")
    actor = models.TextField(help_text="key of a person, or 'system'")
    actor_name = models.TextField()
    actor_role = models.TextField()
    action = models.TextField()
    subject_kind = models.TextField()
    subject_id = models.TextField()
    subject_label = models.TextField()
    reason = models.TextField(default="")
    request_id = models.TextField(default="")
    detail = models.JSONField(default=dict)

    class Meta:
        indexes = [
            models.Index(fields=["xact", "subject_kind", "subject_id"]),
            models.Index(fields=["subject_kind", "subject_id", "id"]),
            models.Index(fields=["actor", "id"]),
            models.Index(fields=["action", "id"]),
            models.Index(fields=["at"]),
            models.Index(fields=["id"], name="audit_entry_holds", condition=models.Q(action__in=HOLDS)),
        ]
        constraints = [
            models.CheckConstraint(name="entry_action_is_a_name", condition=models.Q(action__regex=ACTION)),
            models.CheckConstraint(name="entry_kind_is_a_name", condition=models.Q(subject_kind__regex=KIND)),
        ]

    def __str__(self) -> str:
        return f"{self.id} {self.action} {self.subject_label}"

    @property
    def sentence(self) -> str:
        """`Maja Ruiz signed URS-0001 version 2`, without the time."""
        verb = Action(self.action).label if self.action in Action.values else self.action
        own = "their own account" if verb.endswith((" of", " for", " as", " to")) else ""
        about = own if self.subject_id == self.actor else self.subject_label
        besides = self.detail.get(TOLD_BESIDES.get(self.action, ""), "")
        return f"{self.actor_name} {verb} {about}".strip() + (f": {besides}" if besides else "")


class RowChange(models.Model):
    """A row of a controlled table as it was and as it became, kept by trigger on every path."""

    class Operation(models.TextChoices):
        INSERT = "insert"
        UPDATE = "update"
        DELETE = "delete"

    at = models.DateTimeField(db_default=Now())
    xact = models.BigIntegerField()
    table = models.TextField()
    row = models.TextField(help_text="the row's primary key")
    operation = models.TextField(choices=Operation)
    subject_kind = models.TextField()
    subject_id = models.TextField()
    old = models.JSONField(null=True)
    new = models.JSONField(null=True)

    class Meta:
        indexes = [models.Index(fields=["xact"]), models.Index(fields=["subject_kind", "subject_id", "id"])]

    def __str__(self) -> str:
        return f"{self.operation} {self.table} {self.row}"


class Link(models.Model):
    """One link of the chain over entries and row changes: hash = SHA-256(previous hash || leaf)."""

    seq = models.BigIntegerField(primary_key=True)
    entry_id = models.BigIntegerField(null=True, unique=True)
    change_id = models.BigIntegerField(null=True, unique=True)
    leaf = models.BinaryField(
        help_text="what the entry or row change said when it was chained: canonical JSON (RFC 8785)"
    )
    hash = models.BinaryField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="link_of_one_thing",
                condition=Exact(
                    Func("entry_id", "change_id", function="num_nonnulls", output_field=models.IntegerField()), 1
                ),
            )
        ]

    def __str__(self) -> str:
        return str(self.seq)


class Access(models.Model):
    """What was read: views, exports and refused reads. Append-only, sealed into the chain every five minutes."""

    at = models.DateTimeField(db_default=Now())
    xact = models.BigIntegerField()
    actor = models.TextField()
    actor_name = models.TextField()
    actor_role = models.TextField()
    what = models.TextField(help_text="view, export, refused ...")
    subject_kind = models.TextField()
    subject_id = models.TextField()
    subject_label = models.TextField()
    request_id = models.TextField(default="")
    detail = models.JSONField(default=dict)
    canonical = models.BinaryField()

    class Meta:
        indexes = [
            models.Index(fields=["xact"]),
            models.Index(fields=["subject_kind", "subject_id", "id"]),
            models.Index(fields=["actor", "id"]),
        ]

    def __str__(self) -> str:
        return f"{self.actor_name} {self.what} {self.subject_label}"


class Checkpoint(models.Model):
    """A signed note about the chain that was written to the anchor bucket and found there. Append-only; what counts as
    evidence is the note in the bucket, and this row says where it is."""

    number = models.BigIntegerField(primary_key=True, help_text="1, 2, 3 ... of one origin")
    size = models.BigIntegerField(help_text="links of the chain that the note speaks of")
    head = models.BinaryField(help_text="hash of the last of them")
    at = models.DateTimeField()
    note = models.TextField()
    key = models.TextField(help_text="SHA-256 of the public key in DER")
    place = models.TextField(help_text="bucket and key of the object")
    object_version = models.TextField()
    kept_until = models.DateTimeField()

    class Meta:
        ordering = ["-number"]

    def __str__(self) -> str:
        return f"checkpoint {self.number}"


class Era(models.Model):
    """Transaction ids start low again in a new database server. A restored database therefore counts on from `base`, so
    that no new transaction has the id of an old one."""

    base = models.BigIntegerField()
    at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return str(self.base)


class Alarm(models.Model):
    """Something that security and management must hear of. Written by `audit.alarms` alone; its history is the trail's."""

    class Kind(models.TextChoices):
        LOCK_OUT = "lock_out", "Account locked out"
        REFUSED_SIGNINGS = "refused_signings", "Signings refused in a row"
        SELF_GRANT = "self_grant", "Attempt on one's own rights"
        ROLES_GRANTED = "roles_granted", "Role granted"
        TRIGGER_DRIFT = "trigger_drift", "Database guards differ"
        CLOCK_STEP = "clock_step", "Clock stepped back"
        CLOCK_SKEW = "clock_skew", "Clocks apart"
        CHAIN_BROKEN = "chain_broken", "Audit trail broken"
        CHECK_MISSED = "check_missed", "Check of the trail missed"
        ANCHOR_BEHIND = "anchor_behind", "Database behind its anchor"
        ANCHOR_UNWRITABLE = "anchor_unwritable", "Checkpoint not written"
        STATEMENT_NOT_ARCHIVED = "statement_not_archived", "Signature not archived"
        MAIL_UNDELIVERED = "mail_undelivered", "Mail not delivered"
        VERSION_ALTERED = "version_altered", "Record altered"
        REVIEW_OVERDUE = "review_overdue", "Audit-trail review overdue"
        ACCESS_REVIEW_OVERDUE = "access_review_overdue", "Access review overdue"
        TRAIL_ALTERED = "trail_altered", "CloudTrail files not as delivered"
        TRAIL_GAP = "trail_gap", "CloudTrail digests missing"
        OBJECTS_UNEXPLAINED = "objects_unexplained", "Record's objects changed without an event"
        ACCOUNT_COMPROMISED = "account_compromised", "Account reported compromised"
        POSTURE_DRIFT = "posture_drift", "Storage posture drifted"
        LOGGING_CHANGED = "logging_changed", "CloudTrail's logging changed"
        PROTECTION_CHANGED = "protection_changed", "Protection of a bucket changed"
        KEY_ENDANGERED = "key_endangered", "Encryption key endangered"
        LOCK_BYPASSED = "lock_bypassed", "Retention bypassed"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.TextField(choices=Kind)
    subject_kind = models.TextField()
    subject_id = models.TextField()
    subject_label = models.TextField()
    sentence = models.TextField()
    detail = models.JSONField(default=dict)
    count = models.IntegerField(default=1, help_text="how often the cause came while the alarm was open")
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()
    cleared_at = models.DateTimeField(null=True, help_text="when the cause was found gone")
    cleared_how = models.TextField(default="")
    acknowledged_at = models.DateTimeField(null=True)
    acknowledged_by = models.TextField(default="")
    acknowledged_by_name = models.TextField(default="")
    comment = models.TextField(default="")

    class Meta:
        ordering = ["-last_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "subject_kind", "subject_id"],
                name="one_open_alarm_of_a_cause",
                condition=models.Q(acknowledged_at__isnull=True) | models.Q(cleared_at__isnull=True),
            )
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.subject_label}"

    def trail_subject(self) -> "Subject":
        from audit.trail import Subject

        return Subject("alarm", str(self.pk), str(self))

    def get_absolute_url(self) -> str:
        return f"/security/{self.pk}/"

    @property
    def state(self) -> str:
        """As the pill names it: standing, acknowledged (and standing), unacknowledged (and gone), closed."""
        if self.acknowledged_at is None:
            return "standing" if self.cleared_at is None else "unacknowledged"
        return "acknowledged" if self.cleared_at is None else "closed"


class AlarmMail(models.Model):
    """One try to mail an alarm to one person: kept, whether it went out or not (11.300(d))."""

    id = models.BigAutoField(primary_key=True)
    alarm = models.ForeignKey(Alarm, models.PROTECT, related_name="mails")
    person = models.TextField(help_text="key of the person")
    person_name = models.TextField()
    address = models.TextField()
    at = models.DateTimeField(db_default=Now())
    sent = models.BooleanField()
    error = models.TextField(default="")

    class Meta:
        ordering = ["-at"]
        indexes = [models.Index(fields=["alarm", "person"])]

    def __str__(self) -> str:
        return f"{self.address}: {'sent' if self.sent else 'not sent'}"


class ClockReading(models.Model):
    """What a process saw of the clocks: kept when it changes, and every ten minutes (clock source and drift)."""

    class Standing(models.TextChoices):
        WELL = "well", "Agree"
        APART = "apart", "Apart"
        BACK = "back", "Behind the trail"
        STEPPED = "stepped", "Stepped"

    id = models.BigAutoField(primary_key=True)
    at = models.DateTimeField(db_default=Now())
    source = models.TextField(help_text="role of the process and name of its machine, such as web@qa-1")
    standing = models.TextField(choices=Standing)
    offset_us = models.BigIntegerField(help_text="database clock less the process's, microseconds")
    within_us = models.BigIntegerField(help_text="how exactly that could be told, microseconds")
    step_us = models.BigIntegerField(default=0, help_text="what the database clock went beyond the time that passed")

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["source", "-id"]), models.Index(fields=["at"])]

    def __str__(self) -> str:
        return f"{self.source}: {self.standing}"


class Watch(models.Model):
    """How far the watcher has read the chain."""

    name = models.TextField(primary_key=True)
    seq = models.BigIntegerField()

    def __str__(self) -> str:
        return f"{self.name} up to link {self.seq}"


class ReviewFilter(models.Model):
    """What of the trail is reviewed together, and how often: chosen by risk (EU GMP Annex 11, 9). Empty lists narrow nothing."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.TextField(unique=True)
    why = models.TextField(help_text="the risk that it is about")
    actions = models.JSONField(default=list, help_text="actions, such as signature.applied")
    subject_kinds = models.JSONField(default=list, help_text="such as version, user, bucket")
    people = models.JSONField(default=list, help_text="keys of actors")
    records = models.JSONField(default=list, help_text="keys of records; their versions are meant, too")
    every_days = models.IntegerField(help_text="days from one review to the next")
    made_at = models.DateTimeField(db_default=Now())
    retired_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["every_days", "name"]

    def __str__(self) -> str:
        return self.name

    def trail_subject(self) -> "Subject":
        from audit.trail import Subject

        return Subject("review_filter", str(self.pk), f"“{self.name}”")

    def get_absolute_url(self) -> str:
        return f"/audit/reviews/{self.pk}/"


class Review(models.Model):
    """One review of a filter, sealed as a report. What it covers counts as reviewed from its signature on."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    filter = models.ForeignKey(ReviewFilter, models.PROTECT, related_name="reviews")
    first = models.BigIntegerField(help_text="the first entry that it covers")
    last = models.BigIntegerField()
    entries = models.IntegerField()
    version = models.TextField(unique=True, help_text="key of the sealed report")
    report = models.TextField(help_text="number of the report")
    findings = models.TextField(default="")
    reviewer = models.TextField()
    reviewer_name = models.TextField()
    made_at = models.DateTimeField(db_default=Now())
    signed_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-made_at"]

    def __str__(self) -> str:
        return f"{self.report}: entries {self.first} to {self.last}"


class Reviewed(models.Model):
    """One entry that a review covers."""

    review = models.ForeignKey(Review, models.PROTECT, related_name="covered")
    entry_id = models.BigIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["entry_id", "review"], name="covered_once")]

    def __str__(self) -> str:
        return str(self.entry_id)
