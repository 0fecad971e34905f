"""Trails, the ledger of their files, and what the files tell: events, actors, credentials, touches.

`Event` is written by COPY and asked by SQL; its table is partitioned by month of the event's time (migration 0002). What a
file tells is never changed. Who an actor was is a conclusion, and may be drawn better when a late file arrives: it stands on
`Actor`, one row for all events of an identity, so that healing it leaves every event as it was.
"""

import uuid
from datetime import date

from django.db import models
from django.urls import reverse

from accounts.models import User
from audit.clock import Now
from audit.trail import Subject
from cloudtrail.actors import Standing
from cloudtrail.queries import EventQuerySet, LogFileQuerySet, TrailQuerySet
from cloudtrail.touches import Reach
from storage.worm import Pin

STANDINGS = [(standing.value, standing.value) for standing in Standing]
REACHES = [(reach.value, reach.name.lower()) for reach in Reach]


class Trail(models.Model):
    """One trail of one account, as configuration. A trail without a bucket takes files that are handed over offline."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.TextField(unique=True)
    account = models.TextField(help_text="account that the events belong to: 12 digits")
    organisation = models.TextField(blank=True, default="", help_text="o-…, if it is an organisation's trail")
    region = models.TextField(blank=True, default="", help_text="empty: every region that the trail delivers")
    bucket = models.TextField(blank=True, default="")
    prefix = models.TextField(blank=True, default="", help_text="in front of AWSLogs/; empty, or ends with a slash")
    aws_name = models.TextField(
        blank=True,
        default="",
        help_text="the trail's name at AWS, as its digests name it; empty: every trail that delivers here",
    )
    enabled = models.BooleanField(default=True, help_text="pulled on a schedule")
    started_from = models.DateField(default=date(2013, 11, 13), help_text="first day of delivery to pull")
    source_identity_enforced = models.BooleanField(
        default=False,
        help_text="the trust policies of all roles of this account demand a source identity set by the identity provider",
    )
    created_at = models.DateTimeField(db_default=Now())

    objects = TrailQuerySet.as_manager()

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def trail_subject(self) -> Subject:
        return Subject("trail", str(self.id), self.name)

    def get_absolute_url(self) -> str:
        return reverse("cloudtrail:trail", args=[self.pk])

    @property
    def offline(self) -> bool:
        """Files of this trail are handed over; there is no bucket to pull from."""
        return not self.bucket


class Listing(models.Model):
    """How far a trail was listed: operational, no record. Losing it costs one long listing."""

    trail = models.OneToOneField(Trail, models.PROTECT, primary_key=True, related_name="listing")
    listed_through = models.DateField(null=True, help_text="every day of delivery up to this one was listed to its end")
    last_listed_at = models.DateTimeField(null=True)
    tried_at = models.DateTimeField(null=True, help_text="when the latest pull began, whatever came of it")
    summarised_at = models.DateTimeField(
        null=True, help_text="files settled up to here are told in an entry of the trail"
    )
    last_error = models.TextField(default="")
    digests_through = models.DateField(null=True, help_text="digests of every hour up to this day were listed")
    digest_error = models.TextField(default="", help_text="why digests or public keys could not be had")
    proved_at = models.DateTimeField(null=True, help_text="files settled up to here were held against the digests")

    def __str__(self) -> str:
        return f"listing of {self.trail}"


class LogFile(models.Model):
    """The ledger: one row for each version of a log file's object. A stored one never changes (migration 0002)."""

    class State(models.TextChoices):
        SEEN = "seen", "Waiting"
        STORED = "stored", "Stored"
        QUARANTINED = "quarantined", "Quarantined"

    id = models.BigAutoField(primary_key=True)
    trail = models.ForeignKey(Trail, models.PROTECT, related_name="files")
    bucket = models.TextField(blank=True, help_text="empty for a file that was handed over")
    key = models.TextField()
    s3_version = models.TextField(blank=True)
    etag = models.TextField(blank=True, help_text="as S3 gives it; SHA-256 for a file that was handed over")
    delivered_at = models.DateTimeField(null=True, help_text="as the file's name says, to the minute")
    size = models.BigIntegerField(help_text="bytes as delivered")
    state = models.TextField(choices=State, default=State.SEEN)
    reason = models.TextField(default="", help_text="why it is in quarantine, or could not be fetched")
    attempts = models.IntegerField(default=0)
    content_size = models.BigIntegerField(default=0, help_text="bytes unpacked")
    sha256_raw = models.TextField(default="", help_text="of the bytes as delivered")
    sha256_content = models.TextField(default="", help_text="of the unpacked bytes: what a digest file names")
    events = models.IntegerField(default=0, help_text="events in the file")
    seen_before = models.IntegerField(default=0, help_text="of these, told by an earlier file already")
    conflicts = models.IntegerField(
        default=0, help_text="of these, told otherwise by an earlier file under the same id; kept"
    )
    first_event_at = models.DateTimeField(null=True)
    last_event_at = models.DateTimeField(null=True)
    seen_at = models.DateTimeField(db_default=Now())
    settled_at = models.DateTimeField(null=True, help_text="when it was stored or put into quarantine")
    leased_by = models.TextField(default="", blank=True, help_text="the worker that reads it now")
    leased_until = models.DateTimeField(
        null=True, help_text="nobody else reads it before; of a file that could not be fetched, its next try"
    )

    objects = LogFileQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["bucket", "key", "s3_version", "etag"], name="log_file_once"),
        ]
        indexes = [
            models.Index(fields=["trail", "-delivered_at", "-id"], name="log_file_of_trail"),
            models.Index(fields=["trail", "settled_at"], name="log_file_settled"),
            models.Index(fields=["trail", "id"], condition=~models.Q(state="stored"), name="log_file_open"),
            models.Index(
                fields=["trail", "delivered_at", "id"], condition=models.Q(state="seen"), name="log_file_waiting"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("cloudtrail:file", args=[self.pk])

    @property
    def name(self) -> str:
        """The last part of the key."""
        return self.key.rpartition("/")[2]

    @property
    def events_stored(self) -> int:
        """Events of which this file's telling is the one that was stored."""
        return self.events - self.seen_before


class HandedOver(models.Model):
    """The bytes of a file that was handed over offline: no bucket holds them, so they are kept here."""

    file = models.OneToOneField(LogFile, models.PROTECT, primary_key=True, related_name="handed_over")
    data = models.BinaryField()

    def __str__(self) -> str:
        return f"bytes of {self.file}"


class PublicKey(models.Model):
    """A public key with which CloudTrail signs digests, archived: it must outlive access to AWS."""

    id = models.BigAutoField(primary_key=True)
    trail = models.ForeignKey(Trail, models.PROTECT, related_name="public_keys")
    region = models.TextField()
    fingerprint = models.TextField()
    value = models.BinaryField(help_text="DER of PKCS #1, as ListPublicKeys gives it")
    begins = models.DateTimeField(help_text="valid from")
    ends = models.DateTimeField(help_text="valid until")
    source = models.TextField(help_text="ListPublicKeys, or handed over")
    archived_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["-begins", "region"]
        constraints = [
            models.UniqueConstraint(
                fields=["trail", "region", "fingerprint", "value", "begins", "ends"], name="public_key_once"
            )
        ]

    def __str__(self) -> str:
        return self.fingerprint


class DigestFile(models.Model):
    """One version of a digest file's object, with its bytes. What it is never changes; what it is worth is a conclusion."""

    class State(models.TextChoices):
        WAITING = "", "Waiting"
        VALID = "valid", "Valid"
        INVALID = "invalid", "Not valid"

    id = models.BigAutoField(primary_key=True)
    trail = models.ForeignKey(Trail, models.PROTECT, related_name="digests")
    bucket = models.TextField(blank=True, help_text="empty for one that was handed over")
    key = models.TextField()
    s3_version = models.TextField(blank=True)
    etag = models.TextField(blank=True, help_text="as S3 gives it; SHA-256 for one that was handed over")
    region = models.TextField()
    aws_name = models.TextField(help_text="name of the trail at AWS")
    home_region = models.TextField()
    backfill = models.BooleanField(default=False)
    starts_at = models.DateTimeField(help_text="as the digest says, else an hour before its name does")
    ends_at = models.DateTimeField(help_text="as its name says")
    data = models.BinaryField(help_text="the bytes as delivered")
    sha256_raw = models.TextField()
    sha256_content = models.TextField(blank=True)
    metadata = models.JSONField(default=dict, help_text="user fields of the object, the signature among them")
    fingerprint = models.TextField(blank=True, help_text="of the public key that it names")
    seen_at = models.DateTimeField(db_default=Now())
    state = models.TextField(choices=State, default=State.WAITING, blank=True)
    reason = models.TextField(default="", blank=True, help_text="why it is not valid")
    leads = models.BooleanField(default=False, help_text="of several versions, the one that counts")
    link = models.TextField(default="", blank=True, help_text="how it stands to the digest before it")
    missing = models.IntegerField(default=0, help_text="digests that are missing right before it")
    gap_since = models.DateTimeField(
        null=True, help_text="end of the digest before it, where that is not its own beginning"
    )
    listed = models.IntegerField(default=0, help_text="log files that it lists")
    absent = models.IntegerField(default=0, help_text="of these, not there")
    unread = models.IntegerField(default=0, help_text="of these, not read yet")
    mismatched = models.IntegerField(default=0, help_text="of these, not what was delivered")
    judged_at = models.DateTimeField(null=True)

    objects = LogFileQuerySet.as_manager()

    class Meta:
        ordering = ["-ends_at", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["bucket", "key", "s3_version", "etag"], name="digest_file_once"),
        ]
        indexes = [
            models.Index(fields=["trail", "ends_at"], name="digest_file_of_trail"),
            models.Index(fields=["trail"], condition=models.Q(judged_at=None), name="digest_file_new"),
        ]

    def __str__(self) -> str:
        return self.key.rpartition("/")[2]

    @property
    def chain(self) -> tuple[str, str, str, bool]:
        """Digests of one chain of a trail have this in common."""
        return self.region, self.aws_name, self.home_region, self.backfill


class DigestLine(models.Model):
    """A log file as a valid digest lists it."""

    id = models.BigAutoField(primary_key=True)
    digest = models.ForeignKey(DigestFile, models.PROTECT, related_name="lines")
    bucket = models.TextField()
    key = models.TextField()
    sha256 = models.TextField(help_text="of the unpacked bytes")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["key", "digest", "bucket"], name="digest_line_once")]

    def __str__(self) -> str:
        return self.key


class Proof(models.Model):
    """What the digests say of a log file; no row means that this is pending. What is proved or disproved stays so."""

    class State(models.TextChoices):
        VALID = "valid", "Proved"
        MISMATCH = "mismatch", "Not as delivered"
        NOT_COVERED = "not_covered", "Not covered"
        UNDIGESTED = "undigested", "No digests then"

    file = models.OneToOneField(LogFile, models.PROTECT, primary_key=True, related_name="proof")
    state = models.TextField(choices=State)
    digest = models.ForeignKey(DigestFile, models.PROTECT, null=True, related_name="proofs")
    decided_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"{self.file}: {self.get_state_display()}"


class Reconciliation(models.Model):
    """When a bucket of records was last compared with CloudTrail's events: operational."""

    bucket = models.TextField(primary_key=True)
    listed_at = models.DateTimeField()
    versions = models.IntegerField(default=0, help_text="of records, that the listing showed")

    def __str__(self) -> str:
        return self.bucket


class ObjectVersion(models.Model):
    """A version (or delete marker) of a record's object, as listings of its bucket showed it: from when, and until when."""

    class Judgement(models.TextChoices):
        WAITING = "", "Events may still come"
        EXPLAINED = "explained", "An event tells of it"
        UNEXPLAINED = "unexplained", "No event tells of it"
        BEFORE = "before", "From before the events"

    id = models.BigAutoField(primary_key=True)
    bucket = models.TextField()
    key = models.TextField()
    s3_version = models.TextField()
    marker = models.BooleanField(help_text="a delete marker")
    written_at = models.DateTimeField(help_text="as S3 says")
    seen_at = models.DateTimeField(help_text="first listing that showed it")
    last_seen_at = models.DateTimeField(help_text="latest listing that showed it")
    gone_at = models.DateTimeField(null=True, help_text="first listing that did not show it any longer")
    appeared = models.TextField(choices=Judgement, default=Judgement.WAITING, blank=True)
    vanished = models.TextField(choices=Judgement, default=Judgement.WAITING, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["bucket", "key", "s3_version"], name="object_version_once")]
        indexes = [
            models.Index(
                fields=["bucket"],
                condition=models.Q(appeared="") | models.Q(vanished="", gone_at__isnull=False),
                name="object_version_open",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.bucket}/{self.key} ({self.s3_version})"


class Actor(models.Model):
    """One identity, as events give it, and who is behind it as far as is known."""

    id = models.BigAutoField(primary_key=True)
    fingerprint = models.TextField(unique=True, help_text="SHA-256 of the canonical identity")
    identity = models.JSONField(help_text="the fields of userIdentity that tell identities apart")
    access_key = models.TextField(
        blank=True, default="", help_text="by which another event may tell who it was; else its credential id"
    )
    account = models.TextField(blank=True, default="")
    standing = models.TextField(choices=STANDINGS)
    name = models.TextField(blank=True, help_text="a person, a claimed name or a service; never a role")
    role = models.TextField(blank=True, default="", help_text="the role that was used")
    hops = models.JSONField(default=list, help_text="the way from the event to the person (`actors.Hop`)")
    listed = models.TextField(
        blank=True, default="", help_text="what the directory may know the person by, such as user_id|…"
    )
    attributed_at = models.DateTimeField(db_default=Now())
    used_from = models.DateTimeField(
        null=True, help_text="first use, where that was not held against the validity of the access key at ingest"
    )
    used_until = models.DateTimeField(null=True, help_text="last use, likewise")
    inside = models.ForeignKey(
        "self",
        models.PROTECT,
        null=True,
        db_index=False,
        related_name="outside",
        help_text="the same identity within the validity of its access key; this one is outside of that",
    )

    class Meta:
        indexes = [
            models.Index(fields=["access_key"], condition=~models.Q(access_key=""), name="actor_access_key"),
            models.Index(fields=["name"], name="actor_name"),
        ]

    def __str__(self) -> str:
        return self.printed

    @property
    def printed(self) -> str:
        """What a page prints for this actor."""
        return self.name or "somebody who could not be resolved"

    def get_absolute_url(self) -> str:
        return reverse("cloudtrail:actor", args=[self.pk])


class DirectoryEntry(models.Model):
    """Whom the firm knows under an id or a user name of IAM Identity Center, or who answers for a service; from when to when.

    Days are whole days in UTC, both included. An entry that ends on the day before it begins never was valid.
    """

    class Kind(models.TextChoices):
        USER_ID = "user_id", "Identity Center user id"
        USER_NAME = "user_name", "Identity Center user name"
        SERVICE = "service", "Service principal"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.TextField(choices=Kind)
    identifier = models.TextField(help_text="as CloudTrail writes it, to the letter")
    person = models.TextField(help_text="legal name of the person, or of who answers for the service")
    user = models.ForeignKey(
        User, models.PROTECT, null=True, blank=True, related_name="+", help_text="if the person has an account here"
    )
    since = models.DateField()
    until = models.DateField(null=True, blank=True, help_text="last day; empty: still so")
    made_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["kind", "identifier", "-since"]
        indexes = [models.Index(fields=["kind", "identifier"])]

    def __str__(self) -> str:
        return f"{self.identifier}: {self.person}"

    def trail_subject(self) -> Subject:
        return Subject("directory_entry", str(self.id), str(self))


class Credential(models.Model):
    """Temporary credentials, as an event told that handed them out. The session token is never kept."""

    id = models.BigAutoField(primary_key=True)
    access_key = models.TextField()
    event_id = models.TextField()
    event_name = models.TextField()
    time = models.DateTimeField(help_text="handed out, and valid from")
    until = models.DateTimeField(null=True)
    holder = models.ForeignKey(Actor, models.PROTECT, related_name="credentials", help_text="whom they were handed to")
    role = models.TextField(blank=True, default="", help_text="ARN of the role")
    session_name = models.TextField(blank=True, default="")
    source_identity = models.TextField(blank=True, default="")
    shared_event_id = models.TextField(
        blank=True, default="", help_text="the same act, as another account's trail tells it"
    )

    class Meta:
        constraints = [models.UniqueConstraint(fields=["access_key", "event_id"], name="credential_once")]
        indexes = [
            models.Index(fields=["shared_event_id"], condition=~models.Q(shared_event_id=""), name="credential_shared"),
        ]

    def __str__(self) -> str:
        return self.access_key


class Event(models.Model):
    """One event. An empty text or zero bytes say "not stated". `file` and `ordinal` point to its JSON."""

    pk = models.CompositePrimaryKey("time", "file", "ordinal")
    time = models.DateTimeField()
    file = models.ForeignKey(LogFile, models.DO_NOTHING, db_constraint=False, related_name="+")
    actor = models.ForeignKey(Actor, models.DO_NOTHING, db_constraint=False, related_name="+")
    bytes_in = models.BigIntegerField()
    bytes_out = models.BigIntegerField()
    ordinal = models.IntegerField(help_text="index in the file, from 0")
    read_only = models.BooleanField()
    data = models.BooleanField(help_text="a data event; else a management event")
    presigned = models.BooleanField(help_text="sent with a presigned link")
    reach = models.TextField(choices=REACHES, blank=True)
    event_id = models.TextField()
    event_source = models.TextField()
    event_name = models.TextField()
    region = models.TextField()
    account = models.TextField()
    source_ip = models.TextField()
    request_id = models.TextField()
    error_code = models.TextField()
    bucket = models.TextField()
    key = models.TextField()
    s3_version = models.TextField(help_text="as request or answer names it")
    target = models.TextField(help_text="what an event outside S3 was about: a role, a trail, an encryption key")
    corrects = models.TextField(help_text="id of the event that this one corrects")

    objects = EventQuerySet.as_manager()

    class Meta:
        managed = False
        db_table = "cloudtrail_event"

    def __str__(self) -> str:
        return f"{self.event_name} at {self.time:%Y-%m-%d %H:%M:%S} UTC"

    def get_absolute_url(self) -> str:
        return reverse("cloudtrail:event", args=[self.file_id, self.ordinal])


class Touch(models.Model):
    """What an event touched besides its first object: the source of a copy, further resources. In partitions by month, as the
    events are (migration 0002)."""

    pk = models.CompositePrimaryKey("time", "file", "ordinal", "reach", "bucket", "key", "s3_version")
    time = models.DateTimeField()
    file = models.ForeignKey(LogFile, models.DO_NOTHING, db_constraint=False, related_name="+")
    ordinal = models.IntegerField()
    reach = models.TextField(choices=REACHES)
    bucket = models.TextField()
    key = models.TextField()
    s3_version = models.TextField()

    class Meta:
        managed = False
        db_table = "cloudtrail_touch"

    def __str__(self) -> str:
        return f"{self.bucket}/{self.key}"


class ArchivedMonth(models.Model):
    """A month of events that has left the database: the Parquet file that holds them, under Object Lock.

    A month may have several: events that were delivered after the first was written go into another. `rows_sha256` is that of
    the rows themselves (`archive.hash_of`), so that another writer of the same rows could be held against it.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    month = models.DateField(help_text="its first day")
    bucket = models.TextField()
    key = models.TextField()
    s3_version = models.TextField()
    size = models.BigIntegerField(help_text="bytes")
    sha256 = models.CharField(max_length=64, unique=True, help_text="of the file")
    rows_sha256 = models.CharField(max_length=64)
    events = models.BigIntegerField()
    touches = models.BigIntegerField(help_text="what events touched besides their first object")
    columns = models.JSONField(help_text="names, in the order of the file")
    buckets = models.JSONField(help_text="of which the events tell, with the time of the first")
    archived_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["month", "archived_at"]

    def __str__(self) -> str:
        return f"CloudTrail events of {self.month:%Y-%m}"

    def trail_subject(self) -> Subject:
        return Subject("archived_month", str(self.id), str(self))

    @property
    def pin(self) -> Pin:
        return Pin(self.bucket, self.key, self.s3_version, self.size, self.sha256)
