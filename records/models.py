"""Record and Version: everything under control, and each state of it that anyone may rely on.

What is sealed (Version, File) never changes; the database refuses it. What moves has one column, `Version.state`, and moves by
`transitions.py` alone. Effective and superseded are questions about `Effectivity`, not states.
"""

import uuid
from datetime import datetime

from django.contrib.postgres.fields import DateTimeRangeField
from django.db import models
from simple_history.models import HistoricalRecords

from accounts.models import Area, User
from audit.clock import Now
from audit.trail import Subject
from records.kinds import FACTS, Kind
from records.lifecycle import State, Step, open_steps
from records.queries import DraftQuerySet, RecordQuerySet, VersionQuerySet


class RecordType(models.Model):
    """A type of record, such as "NGS run package" or "URS". A data type's definition is itself a Record."""

    class Numbering(models.TextChoices):
        COUNTED = "counted", "Counted by the portal"
        TYPED = "typed", "Typed by the person"

    code = models.TextField(primary_key=True)
    name = models.TextField()
    kind = models.TextField(choices=Kind)
    prefix = models.TextField(help_text="what a number begins with, such as URS; empty: typed with the number")
    numbering = models.TextField(choices=Numbering, default=Numbering.COUNTED)
    digits = models.IntegerField(default=4)
    last_number = models.IntegerField(default=0)
    definition = models.OneToOneField("Record", models.PROTECT, null=True, related_name="defines")

    @property
    def is_typed(self) -> bool:
        """Whether a person types the numbers of its records; else the portal counts them."""
        return self.numbering == self.Numbering.TYPED

    class Meta:
        ordering = ["kind", "code"]

    def __str__(self) -> str:
        return self.name

    def trail_subject(self) -> Subject:
        return Subject("type", self.code, self.name)


class Record(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    type = models.ForeignKey(RecordType, models.PROTECT, related_name="records")
    number = models.TextField(unique=True)
    title = models.TextField()
    area = models.ForeignKey(Area, models.PROTECT, related_name="records")
    created_at = models.DateTimeField(db_default=Now())
    created_by = models.ForeignKey(User, models.PROTECT, related_name="+")

    objects = RecordQuerySet.as_manager()

    class Meta:
        ordering = ["number"]

    def __str__(self) -> str:
        return f"{self.number} {self.title}"

    def trail_subject(self) -> Subject:
        return Subject("record", str(self.pk), self.number)

    @property
    def section(self) -> str:
        return FACTS[self.type.kind].section

    @property
    def writing(self) -> str:
        """The permission that makes a new version of it."""
        return FACTS[self.type.kind].writing

    def get_absolute_url(self) -> str:
        return f"/{self.section}/{self.number}/"

    def latest(self) -> "Version | None":
        return self.versions.order_by("-ordinal").first()


class Version(models.Model):
    """One frozen state of a record: a manifest of pinned files, metadata, and the rendition that people read and sign."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    record = models.ForeignKey(Record, models.PROTECT, related_name="versions")
    ordinal = models.IntegerField()
    revision = models.TextField(default="", help_text="1.0, 2.0: given at approval")
    lifecycle = models.TextField()
    state = models.TextField(choices=State)
    author = models.ForeignKey(User, models.PROTECT, related_name="authored")
    contributors = models.JSONField(
        default=list, help_text="keys of everybody who edited it: none of them may approve it"
    )
    created_at = models.DateTimeField(db_default=Now())
    message = models.TextField(default="", help_text="why this version, for the change history")
    metadata = models.JSONField(default=dict)
    manifest = models.BinaryField(help_text="Quilt v0, JSON Lines")
    top_hash = models.TextField(help_text="as quilt3 computes it, hex")
    pins_sha256 = models.TextField(
        help_text="over bucket, key and versionId of every file, which the top hash leaves out"
    )
    rendition = models.JSONField(help_text="where the rendition's bytes are: a storage.worm.Pin")
    rendition_sha256 = models.TextField()
    rendition_pages = models.IntegerField()
    definition = models.ForeignKey(
        "self",
        models.PROTECT,
        null=True,
        related_name="admitted",
        help_text="the version of the definition that admitted it",
    )

    objects = VersionQuerySet.as_manager()

    class Meta:
        ordering = ["record", "-ordinal"]
        constraints = [
            models.UniqueConstraint(fields=["record", "ordinal"], name="version_counted_once"),
            models.UniqueConstraint(
                fields=["record"], condition=models.Q(state="in_review"), name="one_version_in_review"
            ),
            models.UniqueConstraint(
                fields=["record", "revision"], condition=~models.Q(revision=""), name="revision_given_once"
            ),
        ]
        indexes = [models.Index(fields=["top_hash"]), models.Index(fields=["state"])]

    def __str__(self) -> str:
        return self.label

    @property
    def label(self) -> str:
        """`URS-0001 1.0` once approved, `URS-0001 version 2` before."""
        return (
            f"{self.record.number} {self.revision}" if self.revision else f"{self.record.number} version {self.ordinal}"
        )

    def trail_subject(self) -> Subject:
        return Subject("version", str(self.pk), f"{self.record.number} version {self.ordinal}")

    def get_absolute_url(self) -> str:
        return f"{self.record.get_absolute_url()}v{self.ordinal}/"

    def open_steps(self) -> list[Step]:
        return open_steps(self.lifecycle, self.state)

    def status_at(self, when: datetime) -> str:
        """What a reader calls it then: a state, or for an approved document effective, superseded or approved (not yet
        effective). Reads `effectivity`; select it along with the version."""
        during = getattr(getattr(self, "effectivity", None), "during", None)
        if during is None or self.state not in (State.APPROVED, State.RETIRED):
            return self.state
        over = "superseded" if self.state == State.APPROVED else self.state
        if during.isempty:  # overtaken or retired before its day came
            return over
        if when < during.lower:
            return "scheduled"
        return "effective" if during.upper is None or when < during.upper else over


class File(models.Model):
    """A file of a version, pinned by bucket, key and versionId."""

    id = models.BigAutoField(primary_key=True)
    version = models.ForeignKey(Version, models.PROTECT, related_name="files")
    ordinal = models.IntegerField()
    logical_key = models.TextField()
    bucket = models.TextField()
    key = models.TextField()
    s3_version = models.TextField()
    size = models.BigIntegerField(help_text="bytes")
    sha256 = models.TextField()
    media_type = models.TextField(default="")

    class Meta:
        ordering = ["version", "ordinal"]
        constraints = [models.UniqueConstraint(fields=["version", "logical_key"], name="file_named_once")]
        indexes = [models.Index(fields=["bucket", "key"])]

    def __str__(self) -> str:
        return self.logical_key


class Effectivity(models.Model):
    """When a version is the effective one of its record. Outside the seal: approval writes it, its successor closes it.

    An exclusion constraint keeps one effective version at any instant.
    """

    version = models.OneToOneField(Version, models.PROTECT, primary_key=True)
    record = models.ForeignKey(Record, models.PROTECT, related_name="effectivities")
    during = DateTimeRangeField()

    def __str__(self) -> str:
        return f"{self.version} during {self.during}"


class Draft(models.Model):
    """A document's live row. It is no record: submitting it makes a Version, and the draft goes on."""

    record = models.OneToOneField(Record, models.PROTECT, primary_key=True)
    sections = models.JSONField(default=list, help_text='[{"id", "title", "guidance", "text"}]')
    message = models.TextField(default="", blank=True, help_text="summary of the change, for the change history")
    saved_at = models.DateTimeField(db_default=Now())
    saved_by = models.ForeignKey(User, models.PROTECT, related_name="+")
    contributors = models.JSONField(default=list, help_text="keys of everybody who saved it since the last submission")
    checked_out_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="checked_out")
    checked_out_at = models.DateTimeField(null=True)
    revision = models.IntegerField(default=1, help_text="counts the saves: a save on top of another's is refused")

    history = HistoricalRecords(table_name="records_draft_history", cascade_delete_history=False)
    objects = DraftQuerySet.as_manager()

    def __str__(self) -> str:
        return f"draft of {self.record.number}"


class Buffer(models.Model):
    """What the editor autosaves: no record, lost without harm, gone with the next Save."""

    draft = models.OneToOneField(Draft, models.CASCADE, primary_key=True)
    user = models.ForeignKey(User, models.PROTECT, related_name="+")
    sections = models.JSONField()
    on_top_of = models.IntegerField(default=1, help_text="the revision of the draft that it was typed over")
    kept_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"buffer of {self.draft}"


class Attachment(models.Model):
    """An image of a draft; its bytes are in the WORM store, and each version that shows it lists it among its files."""

    id = models.BigAutoField(primary_key=True)
    record = models.ForeignKey(Record, models.PROTECT, related_name="attachments")
    name = models.TextField()
    media_type = models.TextField()
    pin = models.JSONField()
    sha256 = models.TextField()
    size = models.BigIntegerField()
    added_at = models.DateTimeField(db_default=Now())
    added_by = models.ForeignKey(User, models.PROTECT, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["record", "name"], name="attachment_named_once")]

    def __str__(self) -> str:
        return self.name


class Verification(models.Model):
    """One re-reading of a version's bytes from S3, kept for good."""

    class Outcome(models.TextChoices):
        UNCHANGED = "unchanged", "Unchanged"
        CHANGED = "changed", "Changed"
        UNREACHABLE = "unreachable", "Could not be read"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    version = models.ForeignKey(Version, models.PROTECT, related_name="verifications")
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(db_default=Now())
    outcome = models.TextField(choices=Outcome)
    findings = models.JSONField(default=list, help_text="sentences: what differs, or could not be read")
    files = models.JSONField(
        default=list, help_text='[{"logical_key", "sha256", "size", "lock_mode", "retain_until", ...}]'
    )
    bytes_read = models.BigIntegerField(default=0)
    by_name = models.TextField()
    by_key = models.TextField()

    class Meta:
        ordering = ["-finished_at"]
        indexes = [models.Index(fields=["version", "-finished_at"])]

    def __str__(self) -> str:
        return f"{self.version} {self.outcome}"
