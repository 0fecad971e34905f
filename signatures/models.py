"""Who is asked to sign what, and what they signed. A Signature is written by `signing()` alone and never changes."""

import uuid
from datetime import datetime, timedelta

from django.db import models

from accounts.models import Sitting, User
from audit.clock import Now
from audit.trail import Subject
from records.models import Version
from signatures.meanings import Meaning, Outcome
from signatures.queries import SignatureQuerySet, StepQuerySet

INTENT_LIVES = timedelta(seconds=120)


class RouteTemplate(models.Model):
    """One revision of which signatures a kind of record, or one type, asks for; the newest is in force. Revisions are added and
    never changed, so that each route can name the one it was made from."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    applies_to = models.TextField(help_text="a kind of record (in small letters), or the code of a type (in capitals)")
    label = models.TextField(help_text="what it applies to, as it was named then")
    revision = models.IntegerField()
    rows = models.JSONField(help_text="signatures.routes.Row, one after the other; empty: withdrawn")
    reason = models.TextField()
    made_by = models.ForeignKey(User, models.PROTECT, related_name="+")
    made_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["applies_to", "revision"]
        constraints = [models.UniqueConstraint(fields=["applies_to", "revision"], name="route_revisions_count_up")]

    def __str__(self) -> str:
        return f"{self.label}, revision {self.revision}"


class Request(models.Model):
    """Signatures asked for on one version, in order."""

    version = models.OneToOneField(Version, models.PROTECT, primary_key=True, related_name="request")
    opened_at = models.DateTimeField(db_default=Now())
    opened_by = models.ForeignKey(User, models.PROTECT, related_name="+")
    template = models.ForeignKey(
        RouteTemplate,
        models.PROTECT,
        null=True,
        related_name="+",
        help_text="the revision that the route was made from",
    )

    def __str__(self) -> str:
        return f"signatures on {self.version}"


class Step(models.Model):
    """One signature asked for. Steps of one `place` may be signed side by side, and a place waits for those before it. Where
    fewer signatures are `needed` than steps of the `row` ask for, the rest lapse when these are there."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    version = models.ForeignKey(Version, models.PROTECT, related_name="steps")
    place = models.IntegerField()
    row = models.IntegerField(default=0, help_text="steps of a row share a quorum")
    needed = models.IntegerField(null=True, help_text="how many signatures of the row are enough; nothing: all")
    meaning = models.TextField(choices=Meaning)
    sentence = models.TextField(help_text="what the signer puts their name to")
    role = models.TextField(help_text="the role that may sign it")
    assignee = models.ForeignKey(
        User, models.PROTECT, null=True, related_name="+", help_text="nobody: anyone of the role"
    )
    due_at = models.DateTimeField(null=True)
    signature = models.OneToOneField("Signature", models.PROTECT, null=True, related_name="step")
    voided = models.TextField(
        default="", help_text="why its signature counts no more and a step in its place asks for another one"
    )
    lapsed_at = models.DateTimeField(null=True, help_text="enough others signed, and this one is asked for no more")

    objects = StepQuerySet.as_manager()

    class Meta:
        ordering = ["version", "place", "id"]

    def __str__(self) -> str:
        return f"{self.meaning} of {self.version}"

    def get_absolute_url(self) -> str:
        return f"/sign/{self.pk}/"

    def overdue_at(self, when: datetime) -> bool:
        """Whether it should have been signed by then."""
        return self.due_at is not None and self.due_at <= when and not self.signature_id and self.lapsed_at is None


class Intent(models.Model):
    """Made when the sign dialog opens: bound to person, sitting, version, hashes and meaning, lives 120 s, is used once."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, models.PROTECT, related_name="+")
    sitting = models.ForeignKey(Sitting, models.PROTECT, related_name="+")
    version = models.ForeignKey(Version, models.PROTECT, related_name="+")
    step = models.ForeignKey(Step, models.PROTECT, null=True, related_name="+")
    about = models.ForeignKey("Signature", models.PROTECT, null=True, related_name="+")
    meanings = models.JSONField(help_text="what may be signed with it: its own meaning, or a rejection")
    top_hash = models.TextField()
    rendition_sha256 = models.TextField()
    reviewed_to = models.BigIntegerField(null=True, help_text="the newest entry of the trail that the dialog showed")
    list_sha256 = models.TextField(
        default="", help_text="of the list that it belongs to, where several are signed at once"
    )
    opened_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.user} to sign {self.version}"


class Opened(models.Model):
    """A page image of a rendition that was served to a person in a sitting."""

    sitting = models.ForeignKey(Sitting, models.PROTECT, related_name="+")
    rendition_sha256 = models.TextField()
    page = models.IntegerField()
    at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["sitting", "rendition_sha256", "page"], name="page_opened_once")]

    def __str__(self) -> str:
        return f"page {self.page} of {self.rendition_sha256[:8]}"


class Reminder(models.Model):
    """The digest of a day that reminds a person of signatures: one a day, however often the clock strikes."""

    user = models.ForeignKey(User, models.PROTECT, related_name="+")
    day = models.DateField(help_text="UTC")
    at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "day"], name="one_digest_a_day")]

    def __str__(self) -> str:
        return f"{self.user}, {self.day}"


class PortalKey(models.Model):
    """A public key of the portal (P-256). Statements name it by id; old keys stay, so that old signatures verify."""

    id = models.TextField(primary_key=True, help_text="SHA-256 of the DER public key, hex")
    public_pem = models.TextField()
    registered_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return self.id[:16]

    def trail_subject(self) -> Subject:
        return Subject("key", self.id, f"portal key {self.id[:16]}")


class Signature(models.Model):
    """What a person signed, with name, time and meaning as they were then (21 CFR 11.50, 11.70)."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    version = models.ForeignKey(Version, models.PROTECT, related_name="signatures")
    signer = models.ForeignKey(User, models.PROTECT, related_name="signatures")
    printed_name = models.TextField()
    role = models.TextField()
    meaning = models.TextField(choices=Meaning)
    sentence = models.TextField()
    reason = models.TextField(default="")
    signed_at = models.DateTimeField()
    components = models.TextField(help_text="what the signer gave, such as password + one-time code (11.200(a)(1))")
    top_hash = models.TextField()
    rendition_sha256 = models.TextField()
    intent = models.OneToOneField(Intent, models.PROTECT, related_name="signature")
    reviewed_to = models.BigIntegerField(
        null=True, help_text="the last entry of the trail that the signer has reviewed"
    )
    list_sha256 = models.TextField(
        default="", help_text="of the list that was signed with one code; empty: signed alone"
    )
    about = models.ForeignKey(
        "self", models.PROTECT, null=True, related_name="later", help_text="the signature withdrawn, or decided on"
    )
    outcome = models.TextField(choices=Outcome, default="", blank=True, help_text="what a disposition decided")
    accountability = models.TextField(default="", help_text="revision of the statement that the signer acknowledged")
    statement = models.BinaryField(help_text="canonical JSON of all that is bound; the portal's key signs these bytes")
    statement_sha256 = models.TextField(unique=True)
    previous_sha256 = models.TextField(default="", help_text="the signer's statement before this one")
    key = models.ForeignKey(PortalKey, models.PROTECT, related_name="+")
    seal = models.BinaryField(help_text="ECDSA P-256 with SHA-256 over the statement, DER")

    objects = SignatureQuerySet.as_manager()

    class Meta:
        ordering = ["signed_at"]
        indexes = [models.Index(fields=["signer", "signed_at"])]
        constraints = [
            models.UniqueConstraint(fields=["signer", "previous_sha256"], name="statements_of_a_signer_form_a_chain"),
        ]

    def __str__(self) -> str:
        return f"{self.printed_name}, {self.meaning} of {self.version}"

    def get_absolute_url(self) -> str:
        return f"/signatures/{self.pk}/"

    def concerns(self, user: User) -> bool:
        """Whether it is theirs, or speaks of theirs: a decision about a decision is one about what that was about."""
        told: Signature | None = self
        while told is not None and told.signer_id != user.pk:
            told = told.about
        return told is not None


class PortalCertificate(models.Model):
    """A certificate with which the portal sealed PDFs. Old ones stay, so that old copies are known as the portal's."""

    id = models.TextField(primary_key=True, help_text="SHA-256 of the DER certificate, hex")
    name = models.TextField(help_text="common name of its subject")
    chain_pem = models.TextField(help_text="the certificate, then those that vouch for it")
    for_tests = models.BooleanField(help_text="made by this installation itself: nobody outside vouches for it")
    not_after = models.DateTimeField()
    registered_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"{self.name} ({self.id[:16]})"

    def trail_subject(self) -> Subject:
        return Subject("certificate", self.id, f"portal certificate {self.name}")


class Archived(models.Model):
    """Where the proof of a signature lies under Object Lock: statement, seal, public key, time stamp. Written once."""

    signature = models.OneToOneField(Signature, models.PROTECT, primary_key=True, related_name="archived")
    version = models.ForeignKey(Version, models.PROTECT, related_name="+")
    pins = models.JSONField(help_text="file name -> bucket, key, version id, size, SHA-256")
    archived_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"archive of {self.signature_id}"
