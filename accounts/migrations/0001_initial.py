# Generated from the models by tools/remake_migrations.sh.

import uuid

import django.db.models.deletion
import django.db.models.functions.text
from django.conf import settings
from django.db import migrations, models

import accounts.models
import audit.clock


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("audit", "0000_clock"),
        ("auth", "0012_alter_user_first_name_max_length"),
    ]

    operations = [
        migrations.CreateModel(
            name="Area",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("name", models.TextField(unique=True)),
                ("description", models.TextField(blank=True, default="")),
            ],
            options={
                "ordering": ["name"],
            },
        ),
        migrations.CreateModel(
            name="LetterWaiver",
            fields=[
                (
                    "version_id",
                    models.UUIDField(help_text="the report that quality signed", primary_key=True, serialize=False),
                ),
                ("label", models.TextField()),
                ("page", models.TextField()),
                ("reason", models.TextField()),
                ("begins_at", models.DateTimeField(db_default=audit.clock.Now())),
                ("expires_at", models.DateTimeField()),
            ],
            options={
                "ordering": ["-expires_at"],
            },
        ),
        migrations.CreateModel(
            name="Policy",
            fields=[
                ("version_id", models.UUIDField(primary_key=True, serialize=False)),
                ("topic", models.TextField(help_text="number of the SOP, such as SOP-0001")),
                ("label", models.TextField(help_text="SOP-0001 1.0, Electronic signatures")),
                ("page", models.TextField(help_text="where it is read and signed as read")),
                ("begins_at", models.DateTimeField()),
                ("ends_at", models.DateTimeField(null=True)),
                (
                    "area",
                    models.ForeignKey(
                        help_text="whose people work under it",
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="accounts.area",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="User",
            fields=[
                ("password", models.CharField(max_length=128, verbose_name="password")),
                ("last_login", models.DateTimeField(blank=True, null=True, verbose_name="last login")),
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("username", models.TextField(validators=[accounts.models.check_username])),
                ("username_folded", models.TextField(editable=False, unique=True)),
                ("legal_name", models.TextField(help_text="as it is printed with a signature (21 CFR 11.50)")),
                ("title", models.TextField(blank=True, default="", help_text="position, such as QA manager")),
                ("email", models.EmailField(max_length=254)),
                ("is_active", models.BooleanField(default=True)),
                ("joined_at", models.DateTimeField(db_default=audit.clock.Now())),
                (
                    "expires_at",
                    models.DateTimeField(blank=True, help_text="an inspector's access ends then (UTC)", null=True),
                ),
                ("identity_proved_at", models.DateTimeField(null=True)),
                (
                    "identity_evidence",
                    models.TextField(default="", help_text="what was seen, such as a passport's last four digits"),
                ),
                (
                    "password_reset_at",
                    models.DateTimeField(help_text="last time that a mailed link set the password anew", null=True),
                ),
                (
                    "dormant_at",
                    models.DateTimeField(help_text="locked then, because nobody had logged in for long", null=True),
                ),
                (
                    "awoken_at",
                    models.DateTimeField(
                        help_text="unlocked then; the days without a log-in count from here", null=True
                    ),
                ),
                ("groups", models.ManyToManyField(related_name="users", to="auth.group")),
                (
                    "identity_proved_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "invited_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "ordering": ["legal_name"],
            },
        ),
        migrations.CreateModel(
            name="Founding",
            fields=[
                ("id", models.IntegerField(default=1, primary_key=True, serialize=False)),
                ("started_at", models.DateTimeField(db_default=audit.clock.Now())),
                ("ended_at", models.DateTimeField(null=True)),
            ],
            options={
                "constraints": [models.CheckConstraint(condition=models.Q(("id", 1)), name="one_founding")],
            },
        ),
        migrations.CreateModel(
            name="Invitation",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                (
                    "purpose",
                    models.TextField(
                        choices=[
                            ("enrol", "set password and one-time code"),
                            ("password", "set a new password"),
                            ("code", "set a new one-time code"),
                            ("lost", "say that a device was lost"),
                        ]
                    ),
                ),
                ("token_sha256", models.TextField(unique=True)),
                ("sent_at", models.DateTimeField(db_default=audit.clock.Now())),
                ("expires_at", models.DateTimeField()),
                ("used_at", models.DateTimeField(null=True)),
                (
                    "sent_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="invitations",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Letter",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("sent_on", models.DateField()),
                ("scope", models.TextField(help_text="whose signatures it is about: sites, systems")),
                ("addressee", models.TextField()),
                ("copy", models.JSONField(help_text="pin of the PDF")),
                ("filed_at", models.DateTimeField(db_default=audit.clock.Now())),
                (
                    "filed_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
            ],
            options={
                "ordering": ["-filed_at"],
            },
        ),
        migrations.CreateModel(
            name="Lockout",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("username_folded", models.TextField()),
                ("purpose", models.TextField(choices=[("login", "Login"), ("signing", "Signing")])),
                ("failures", models.IntegerField(default=0)),
                ("locked_until", models.DateTimeField(null=True)),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("username_folded", "purpose"), name="one_count_per_purpose")
                ],
            },
        ),
        migrations.CreateModel(
            name="Membership",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("area", models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to="accounts.area")),
                ("user", models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to=settings.AUTH_USER_MODEL)),
            ],
        ),
        migrations.AddField(
            model_name="user",
            name="areas",
            field=models.ManyToManyField(related_name="members", through="accounts.Membership", to="accounts.area"),
        ),
        migrations.CreateModel(
            name="Passkey",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("name", models.TextField(help_text="what its owner calls it, such as Laptop")),
                ("credential_id", models.BinaryField(unique=True)),
                ("public_key", models.BinaryField(help_text="COSE key, CBOR")),
                ("aaguid", models.UUIDField(help_text="the authenticator's model, as it says itself")),
                ("sign_count", models.BigIntegerField(default=0, help_text="an authenticator that counts, counts up")),
                (
                    "last_challenge",
                    models.BinaryField(
                        default=b"", help_text="SHA-256 of the challenge it answered last: each is used once"
                    ),
                ),
                ("created_at", models.DateTimeField(db_default=audit.clock.Now())),
                ("last_used_at", models.DateTimeField(null=True)),
                ("withdrawn_at", models.DateTimeField(null=True)),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="passkeys",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "ordering": ["created_at"],
            },
        ),
        migrations.CreateModel(
            name="Qualification",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("topic", models.TextField(help_text="number of the document, such as SOP-0001")),
                ("version_id", models.UUIDField()),
                ("ordinal", models.IntegerField(help_text="of the version: a later one settles an earlier one")),
                ("label", models.TextField(help_text="SOP-0001 1.0, Electronic signatures")),
                ("gate", models.TextField(blank=True, default="", help_text="'signing' where signing waits for it")),
                ("assigned_at", models.DateTimeField(db_default=audit.clock.Now())),
                ("due_at", models.DateTimeField()),
                ("met_at", models.DateTimeField(null=True)),
                (
                    "lifted_at",
                    models.DateTimeField(
                        help_text="the version was retired: nothing waits for this reading, and it settles none",
                        null=True,
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="qualifications",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Removal",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                (
                    "role",
                    models.TextField(
                        choices=[
                            ("author", "Author"),
                            ("reviewer", "Reviewer"),
                            ("approver", "QA approver"),
                            ("operator", "Operator"),
                            ("scientist", "Scientist"),
                            ("inspector", "Inspector"),
                            ("administrator", "Administrator"),
                        ]
                    ),
                ),
                ("report", models.TextField(help_text="number of the signed access review")),
                ("why", models.TextField()),
                ("decided_at", models.DateTimeField(db_default=audit.clock.Now())),
                (
                    "decided_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="removals",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "ordering": ["decided_at"],
            },
        ),
        migrations.CreateModel(
            name="Sitting",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("started_at", models.DateTimeField(db_default=audit.clock.Now())),
                ("last_seen_at", models.DateTimeField(db_default=audit.clock.Now())),
                ("ended_at", models.DateTimeField(null=True)),
                ("address", models.TextField(default="")),
                ("agent", models.TextField(default="")),
                (
                    "signed_in_full_at",
                    models.DateTimeField(help_text="last signing with user id, password and code", null=True),
                ),
                ("last_signed_at", models.DateTimeField(null=True)),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="sittings",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="SsoIdentity",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("issuer", models.TextField()),
                ("subject", models.TextField()),
                ("linked_at", models.DateTimeField(db_default=audit.clock.Now())),
                ("last_used_at", models.DateTimeField(null=True)),
                ("withdrawn_at", models.DateTimeField(null=True)),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="sso_identities",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="SsoRequest",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                (
                    "purpose",
                    models.TextField(
                        choices=[
                            ("login", "log in"),
                            ("link", "link an identity"),
                            ("enrol", "enrol with single sign-on"),
                            ("sign", "confirm oneself for a signing"),
                        ]
                    ),
                ),
                ("state_sha256", models.TextField(unique=True)),
                (
                    "bound",
                    models.TextField(
                        default="", help_text="what the answer is good for, such as the digest of a sign dialog"
                    ),
                ),
                ("since", models.DateTimeField(help_text="an authentication of before does not count")),
                ("asked_at", models.DateTimeField(db_default=audit.clock.Now())),
                ("expires_at", models.DateTimeField()),
                ("answered_at", models.DateTimeField(null=True)),
                ("issuer", models.TextField(default="")),
                ("subject", models.TextField(default="")),
                ("proved_at", models.DateTimeField(null=True)),
                ("used_at", models.DateTimeField(null=True)),
                (
                    "sitting",
                    models.ForeignKey(
                        null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="accounts.sitting"
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Suspicion",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                (
                    "kind",
                    models.TextField(
                        choices=[("compromised", "account under suspicion"), ("lost", "device reported lost")]
                    ),
                ),
                ("since", models.DateTimeField()),
                ("raised_at", models.DateTimeField(db_default=audit.clock.Now())),
                ("reason", models.TextField()),
                ("ended_at", models.DateTimeField(null=True)),
                (
                    "ended_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "raised_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="suspicions",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "ordering": ["raised_at"],
            },
        ),
        migrations.CreateModel(
            name="Acknowledgement",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("revision", models.TextField()),
                ("text_sha256", models.TextField()),
                ("at", models.DateTimeField(db_default=audit.clock.Now())),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="acknowledgements",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("user", "revision"), name="acknowledged_once_per_revision")
                ],
            },
        ),
        migrations.CreateModel(
            name="CodeDevice",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("seed", models.BinaryField(help_text="encrypted, bound to the device's id")),
                (
                    "last_step",
                    models.BigIntegerField(
                        default=-1, help_text="time step of the last code that was accepted: codes are used once"
                    ),
                ),
                ("created_at", models.DateTimeField(db_default=audit.clock.Now())),
                ("confirmed_at", models.DateTimeField(help_text="when one code proved the enrolment", null=True)),
                (
                    "tested_at",
                    models.DateTimeField(
                        help_text="last test of the device after its enrolment (11.300(e))", null=True
                    ),
                ),
                (
                    "by_link",
                    models.BooleanField(
                        default=False, help_text="set up with a mailed link in the place of one withdrawn"
                    ),
                ),
                ("withdrawn_at", models.DateTimeField(null=True)),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="devices", to=settings.AUTH_USER_MODEL
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("confirmed_at__isnull", False), ("withdrawn_at__isnull", True)),
                        fields=("user",),
                        name="one_device_in_use",
                    )
                ],
            },
        ),
        migrations.AddConstraint(
            model_name="membership",
            constraint=models.UniqueConstraint(fields=("user", "area"), name="member_once"),
        ),
        migrations.AddConstraint(
            model_name="user",
            constraint=models.UniqueConstraint(
                django.db.models.functions.text.Lower("email"), name="one_account_per_mailbox"
            ),
        ),
        migrations.AddIndex(
            model_name="qualification",
            index=models.Index(
                condition=models.Q(("met_at__isnull", True)), fields=["user", "gate"], name="qualification_open"
            ),
        ),
        migrations.AddConstraint(
            model_name="qualification",
            constraint=models.UniqueConstraint(fields=("user", "version_id"), name="qualified_once_per_version"),
        ),
        migrations.AddConstraint(
            model_name="removal",
            constraint=models.UniqueConstraint(fields=("user", "role", "report"), name="removed_once_per_report"),
        ),
        migrations.AddIndex(
            model_name="sitting",
            index=models.Index(fields=["user", "-started_at"], name="accounts_si_user_id_028053_idx"),
        ),
        migrations.AddConstraint(
            model_name="ssoidentity",
            constraint=models.UniqueConstraint(
                condition=models.Q(("withdrawn_at__isnull", True)),
                fields=("issuer", "subject"),
                name="one_person_per_identity",
            ),
        ),
        migrations.AddConstraint(
            model_name="ssoidentity",
            constraint=models.UniqueConstraint(
                condition=models.Q(("withdrawn_at__isnull", True)), fields=("user",), name="one_identity_in_use"
            ),
        ),
        migrations.AddIndex(
            model_name="ssorequest",
            index=models.Index(
                condition=models.Q(("used_at__isnull", True)), fields=["user", "purpose"], name="sso_proof_open"
            ),
        ),
        migrations.AddConstraint(
            model_name="suspicion",
            constraint=models.UniqueConstraint(
                condition=models.Q(("ended_at__isnull", True)), fields=("user",), name="one_open_suspicion"
            ),
        ),
    ]
