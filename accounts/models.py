"""People. Nobody is deleted, no user name is used twice, and there is no superuser."""

import unicodedata
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models.functions import Lower

from accounts import roles
from audit.clock import Now
from audit.trail import Actor, Subject

READ = "view_record"  # the one permission that is granted on single objects


@dataclass(frozen=True)
class Reach:
    """Keys of the areas that somebody belongs to, and of the records that were granted to them singly."""

    areas: tuple[uuid.UUID, ...]
    records: tuple[uuid.UUID, ...]


def folded(username: str) -> str:
    """The form under which a user name is unique: NFKC, case folded (11.100(a))."""
    return unicodedata.normalize("NFKC", username).casefold().strip()


def check_username(username: str) -> None:
    """ASCII only, so that no letter of another script can look like one of ours."""
    if not username.isascii() or not username.replace(".", "").replace("-", "").replace("_", "").isalnum():
        raise ValidationError("A user name holds letters a to z, digits, dot, hyphen and underscore.")


class Area(models.Model):
    """What a person's reading is scoped by: a laboratory, a quality unit, a project."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.TextField(unique=True)
    description = models.TextField(default="", blank=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def trail_subject(self) -> Subject:
        return Subject("area", str(self.pk), self.name)


class UserManager(BaseUserManager["User"]):
    def get_by_natural_key(self, username: str | None) -> "User":
        return self.get(username_folded=folded(username or ""))

    def usable_at(self, when: datetime) -> "models.QuerySet[User]":
        """Those whose account is `User.usable_at()` then."""
        unended = models.Q(expires_at__isnull=True) | models.Q(expires_at__gt=when)
        return self.filter(unended, is_active=True)


class User(AbstractBaseUser):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    username = models.TextField(validators=[check_username])
    username_folded = models.TextField(unique=True, editable=False)
    legal_name = models.TextField(help_text="as it is printed with a signature (21 CFR 11.50)")
    title = models.TextField(default="", blank=True, help_text="position, such as QA manager")
    email = models.EmailField()
    is_active = models.BooleanField(default=True)
    joined_at = models.DateTimeField(db_default=Now())
    invited_by = models.ForeignKey("self", models.PROTECT, null=True, related_name="+")
    expires_at = models.DateTimeField(null=True, blank=True, help_text="an inspector's access ends then (UTC)")
    identity_proved_by = models.ForeignKey("self", models.PROTECT, null=True, related_name="+")
    identity_proved_at = models.DateTimeField(null=True)
    identity_evidence = models.TextField(default="", help_text="what was seen, such as a passport's last four digits")
    password_reset_at = models.DateTimeField(null=True, help_text="last time that a mailed link set the password anew")
    dormant_at = models.DateTimeField(null=True, help_text="locked then, because nobody had logged in for long")
    awoken_at = models.DateTimeField(null=True, help_text="unlocked then; the days without a log-in count from here")
    groups = models.ManyToManyField(Group, related_name="users")
    areas = models.ManyToManyField(Area, through="Membership", related_name="members")

    USERNAME_FIELD = "username"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS = ["legal_name", "email"]
    # Libraries ask; the answer is a constant, not a column.
    is_superuser = False
    is_staff = False

    objects = UserManager()

    class Meta:
        ordering = ["legal_name"]
        constraints = [models.UniqueConstraint(Lower("email"), name="one_account_per_mailbox")]

    def __str__(self) -> str:
        return self.legal_name

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.username_folded = folded(self.username)
        super().save(*args, **kwargs)

    @cached_property
    def roles(self) -> frozenset[str]:
        return frozenset(group.name for group in self.groups.all())  # one query, or none where prefetched

    @cached_property
    def reach(self) -> Reach:
        """What the person's roles reach to: asked once, as the roles are, and not again by each question."""
        from guardian.models import UserObjectPermission

        areas = Membership.objects.filter(user=self).values_list("area_id", flat=True)
        single = UserObjectPermission.objects.filter(user=self, permission__codename=READ)
        keys = single.values_list("object_pk", flat=True)
        return Reach(tuple(areas), tuple(uuid.UUID(key) for key in keys))

    @property
    def role_label(self) -> str:
        """`Reviewer, QA approver`: the roles held now, in the order of the table."""
        return ", ".join(role.label for role in roles.Role if role in self.roles)

    def has_role(self, role: str) -> bool:
        return role in self.roles

    def holds(self, permission: str) -> bool:
        """True if a role held now includes the permission; whether it reaches a single thing is `permissions.may()`."""
        return self.is_active and bool(roles.PERMISSIONS[permission] & self.roles)

    def usable_at(self, when: datetime) -> bool:
        return self.is_active and (self.expires_at is None or when < self.expires_at)

    def trail_actor(self) -> Actor:
        return Actor(str(self.pk), self.legal_name, self.role_label)

    def trail_subject(self) -> Subject:
        return Subject("user", str(self.pk), self.legal_name)

    # What libraries ask of a user.

    def has_perm(self, permission: str, obj: Any = None) -> bool:
        from django.contrib.auth import get_backends

        return self.is_active and any(
            backend.has_perm(self, permission, obj) for backend in get_backends() if hasattr(backend, "has_perm")
        )

    def has_perms(self, permissions: Iterable[str], obj: Any = None) -> bool:
        return all(self.has_perm(permission, obj) for permission in permissions)

    def has_module_perms(self, app_label: str) -> bool:
        return False


class Membership(models.Model):
    user = models.ForeignKey(User, models.PROTECT)
    area = models.ForeignKey(Area, models.PROTECT)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "area"], name="member_once")]

    def __str__(self) -> str:
        return f"{self.user} in {self.area}"


class CodeDevice(models.Model):
    """The seed of a person's one-time codes (RFC 6238: 30 s, 6 digits, SHA-1 as authenticator apps have it)."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, models.PROTECT, related_name="devices")
    seed = models.BinaryField(help_text="encrypted, bound to the device's id")
    last_step = models.BigIntegerField(
        default=-1, help_text="time step of the last code that was accepted: codes are used once"
    )
    created_at = models.DateTimeField(db_default=Now())
    confirmed_at = models.DateTimeField(null=True, help_text="when one code proved the enrolment")
    tested_at = models.DateTimeField(null=True, help_text="last test of the device after its enrolment (11.300(e))")
    by_link = models.BooleanField(default=False, help_text="set up with a mailed link in the place of one withdrawn")
    withdrawn_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["user"],
                name="one_device_in_use",
                condition=models.Q(confirmed_at__isnull=False, withdrawn_at__isnull=True),
            ),
        ]

    def __str__(self) -> str:
        return f"device of {self.user}"

    @property
    def last_tested_at(self) -> datetime | None:
        return self.tested_at or self.confirmed_at

    @property
    def last_used_at(self) -> datetime | None:
        """The half minute of the last code that was accepted after its enrolment, UTC."""
        used = datetime.fromtimestamp(self.last_step * 30, UTC) if self.last_step > 0 else None
        return used if used and self.confirmed_at and used > self.confirmed_at else None


class Invitation(models.Model):
    """A link by mail with which a person sets password and second factor, once."""

    class Purpose(models.TextChoices):
        ENROL = "enrol", "set password and one-time code"
        PASSWORD = "password", "set a new password"
        CODE = "code", "set a new one-time code"
        LOST = "lost", "say that a device was lost"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, models.PROTECT, related_name="invitations")
    purpose = models.TextField(choices=Purpose)
    token_sha256 = models.TextField(unique=True)
    sent_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    sent_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.purpose} for {self.user}"


class Lockout(models.Model):
    """Failures in a row, for a user name whether it exists or not; log-in and signing are counted apart."""

    class Purpose(models.TextChoices):
        LOGIN = "login"
        SIGNING = "signing"

    username_folded = models.TextField()
    purpose = models.TextField(choices=Purpose)
    failures = models.IntegerField(default=0)
    locked_until = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["username_folded", "purpose"], name="one_count_per_purpose")]

    def __str__(self) -> str:
        return f"{self.username_folded} {self.purpose}: {self.failures}"


class Sitting(models.Model):
    """One log-in, from its start to its end. A continuous period of controlled access (11.200(a)(1)) is part of one."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, models.PROTECT, related_name="sittings")
    started_at = models.DateTimeField(db_default=Now())
    last_seen_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True)
    address = models.TextField(default="")
    agent = models.TextField(default="")
    signed_in_full_at = models.DateTimeField(null=True, help_text="last signing with user id, password and code")
    last_signed_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["user", "-started_at"])]

    def __str__(self) -> str:
        return f"{self.user} since {self.started_at}"


class Passkey(models.Model):
    """A public key of an authenticator (WebAuthn), a second factor beside one-time codes; never the only component."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, models.PROTECT, related_name="passkeys")
    name = models.TextField(help_text="what its owner calls it, such as Laptop")
    credential_id = models.BinaryField(unique=True)
    public_key = models.BinaryField(help_text="COSE key, CBOR")
    aaguid = models.UUIDField(help_text="the authenticator's model, as it says itself")
    sign_count = models.BigIntegerField(default=0, help_text="an authenticator that counts, counts up")
    last_challenge = models.BinaryField(
        default=b"", help_text="SHA-256 of the challenge it answered last: each is used once"
    )
    created_at = models.DateTimeField(db_default=Now())
    last_used_at = models.DateTimeField(null=True)
    withdrawn_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["created_at"]

    def __str__(self) -> str:
        return f"passkey {self.name} of {self.user}"


class SsoIdentity(models.Model):
    """Who a person is at the identity provider: issuer and subject, which stay when a name or an address changes."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, models.PROTECT, related_name="sso_identities")
    issuer = models.TextField()
    subject = models.TextField()
    linked_at = models.DateTimeField(db_default=Now())
    last_used_at = models.DateTimeField(null=True)
    withdrawn_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["issuer", "subject"],
                name="one_person_per_identity",
                condition=models.Q(withdrawn_at__isnull=True),
            ),
            models.UniqueConstraint(
                fields=["user"], name="one_identity_in_use", condition=models.Q(withdrawn_at__isnull=True)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user} as {self.subject}"


class SsoRequest(models.Model):
    """A question to the identity provider: asked by one browser for one purpose, answered once, its answer used once."""

    class Purpose(models.TextChoices):
        LOGIN = "login", "log in"
        LINK = "link", "link an identity"
        ENROL = "enrol", "enrol with single sign-on"
        SIGN = "sign", "confirm oneself for a signing"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    purpose = models.TextField(choices=Purpose)
    state_sha256 = models.TextField(unique=True)
    user = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    sitting = models.ForeignKey(Sitting, models.PROTECT, null=True, related_name="+")
    bound = models.TextField(default="", help_text="what the answer is good for, such as the digest of a sign dialog")
    since = models.DateTimeField(help_text="an authentication of before does not count")
    asked_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()
    answered_at = models.DateTimeField(null=True)
    issuer = models.TextField(default="")
    subject = models.TextField(default="")
    proved_at = models.DateTimeField(null=True)
    used_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["user", "purpose"], condition=models.Q(used_at__isnull=True), name="sso_proof_open")
        ]

    def __str__(self) -> str:
        return f"{self.purpose}, asked {self.asked_at}"


class Qualification(models.Model):
    """A fact that training writes and signing asks for: this person must have read this version by then (11.10(i))."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, models.PROTECT, related_name="qualifications")
    topic = models.TextField(help_text="number of the document, such as SOP-0001")
    version_id = models.UUIDField()
    ordinal = models.IntegerField(help_text="of the version: a later one settles an earlier one")
    label = models.TextField(help_text="SOP-0001 1.0, Electronic signatures")
    gate = models.TextField(default="", blank=True, help_text="'signing' where signing waits for it")
    assigned_at = models.DateTimeField(db_default=Now())
    due_at = models.DateTimeField()
    met_at = models.DateTimeField(null=True)
    lifted_at = models.DateTimeField(
        null=True, help_text="the version was retired: nothing waits for this reading, and it settles none"
    )

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "version_id"], name="qualified_once_per_version")]
        indexes = [
            models.Index(fields=["user", "gate"], condition=models.Q(met_at__isnull=True), name="qualification_open")
        ]

    def __str__(self) -> str:
        return f"{self.user}: {self.label}"


class Policy(models.Model):
    """A fact that SOPs write and signing asks for: this version of the e-signature SOP is in effect (11.10(j))."""

    version_id = models.UUIDField(primary_key=True)
    topic = models.TextField(help_text="number of the SOP, such as SOP-0001")
    label = models.TextField(help_text="SOP-0001 1.0, Electronic signatures")
    page = models.TextField(help_text="where it is read and signed as read")
    area = models.ForeignKey(Area, models.PROTECT, related_name="+", help_text="whose people work under it")
    begins_at = models.DateTimeField()
    ends_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.label


class Acknowledgement(models.Model):
    """A person took on what their electronic signature means, in this revision of the statement (11.10(j))."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, models.PROTECT, related_name="acknowledgements")
    revision = models.TextField()
    text_sha256 = models.TextField()
    at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "revision"], name="acknowledged_once_per_revision")]

    def __str__(self) -> str:
        return f"{self.user}: accountability, revision {self.revision}"


class Letter(models.Model):
    """A letter of 11.100(c) that was sent to the agency, with its copy in the WORM store."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    sent_on = models.DateField()
    scope = models.TextField(help_text="whose signatures it is about: sites, systems")
    addressee = models.TextField()
    copy = models.JSONField(help_text="pin of the PDF")
    filed_by = models.ForeignKey(User, models.PROTECT, related_name="+")
    filed_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["-filed_at"]

    def __str__(self) -> str:
        return f"letter of {self.sent_on} to {self.addressee}"

    def trail_subject(self) -> Subject:
        return Subject("letter", str(self.pk), str(self))


class LetterWaiver(models.Model):
    """A fact that an approved waiver report writes: until `expires_at` signing does not wait for the letter of 11.100(c). It ends
    sooner where an approval of the report is withdrawn or falls."""

    version_id = models.UUIDField(primary_key=True, help_text="the report that quality signed")
    label = models.TextField()
    page = models.TextField()
    reason = models.TextField()
    begins_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()

    class Meta:
        ordering = ["-expires_at"]

    def __str__(self) -> str:
        return f"{self.label} until {self.expires_at}"


class Suspicion(models.Model):
    """From `since` on somebody else may have acted under this account: nothing is signed with it until this has ended."""

    class Kind(models.TextChoices):
        COMPROMISED = "compromised", "account under suspicion"
        LOST = "lost", "device reported lost"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, models.PROTECT, related_name="suspicions")
    kind = models.TextField(choices=Kind)
    since = models.DateTimeField()
    raised_at = models.DateTimeField(db_default=Now())
    raised_by = models.ForeignKey(User, models.PROTECT, related_name="+")
    reason = models.TextField()
    ended_at = models.DateTimeField(null=True)
    ended_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")

    class Meta:
        ordering = ["raised_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["user"], name="one_open_suspicion", condition=models.Q(ended_at__isnull=True)
            )
        ]

    def __str__(self) -> str:
        return f"{self.user}: {self.get_kind_display()} since {self.since}"


class Founding(models.Model):
    """The first day, from `manage.py found` to the first effective e-signature SOP. There is one row."""

    id = models.IntegerField(primary_key=True, default=1)
    started_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.CheckConstraint(name="one_founding", condition=models.Q(id=1))]

    def __str__(self) -> str:
        return "founding ceremony"

    def trail_subject(self) -> Subject:
        return Subject("founding", "1", "the founding ceremony")


class Removal(models.Model):
    """A role that a recertification decided to take away. An administrator does it; it is open while the role is held by the
    grant of before (11.300(b))."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, models.PROTECT, related_name="removals")
    role = models.TextField(choices=roles.Role)
    report = models.TextField(help_text="number of the signed access review")
    why = models.TextField()
    decided_by = models.ForeignKey(User, models.PROTECT, related_name="+")
    decided_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["decided_at"]
        constraints = [models.UniqueConstraint(fields=["user", "role", "report"], name="removed_once_per_report")]

    def __str__(self) -> str:
        return f"{self.role} of {self.user}"
