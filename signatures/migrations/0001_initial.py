# Generated from the models by tools/remake_migrations.sh.

import uuid

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import audit.clock


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("audit", "0000_clock"),
        ("accounts", "0001_initial"),
        ("records", "0001_initial"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Intent",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("meanings", models.JSONField(help_text="what may be signed with it: its own meaning, or a rejection")),
                ("top_hash", models.TextField()),
                ("rendition_sha256", models.TextField()),
                (
                    "reviewed_to",
                    models.BigIntegerField(help_text="the newest entry of the trail that the dialog showed", null=True),
                ),
                (
                    "list_sha256",
                    models.TextField(
                        default="", help_text="of the list that it belongs to, where several are signed at once"
                    ),
                ),
                ("opened_at", models.DateTimeField(db_default=audit.clock.Now())),
                ("expires_at", models.DateTimeField()),
                ("used_at", models.DateTimeField(null=True)),
            ],
        ),
        migrations.CreateModel(
            name="PortalCertificate",
            fields=[
                (
                    "id",
                    models.TextField(
                        help_text="SHA-256 of the DER certificate, hex", primary_key=True, serialize=False
                    ),
                ),
                ("name", models.TextField(help_text="common name of its subject")),
                ("chain_pem", models.TextField(help_text="the certificate, then those that vouch for it")),
                (
                    "for_tests",
                    models.BooleanField(help_text="made by this installation itself: nobody outside vouches for it"),
                ),
                ("not_after", models.DateTimeField()),
                ("registered_at", models.DateTimeField(db_default=audit.clock.Now())),
            ],
        ),
        migrations.CreateModel(
            name="PortalKey",
            fields=[
                (
                    "id",
                    models.TextField(help_text="SHA-256 of the DER public key, hex", primary_key=True, serialize=False),
                ),
                ("public_pem", models.TextField()),
                ("registered_at", models.DateTimeField(db_default=audit.clock.Now())),
            ],
        ),
        migrations.CreateModel(
            name="Signature",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("printed_name", models.TextField()),
                ("role", models.TextField()),
                (
                    "meaning",
                    models.TextField(
                        choices=[
                            ("review", "Review"),
                            ("approval", "Approval"),
                            ("rejection", "Rejection"),
                            ("reading", "Read and understood"),
                            ("responsibility", "Responsibility for the report"),
                            ("withdrawal", "Withdrawal"),
                            ("disposition", "Disposition"),
                            ("retirement", "Retirement"),
                        ]
                    ),
                ),
                ("sentence", models.TextField()),
                ("reason", models.TextField(default="")),
                ("signed_at", models.DateTimeField()),
                (
                    "components",
                    models.TextField(help_text="what the signer gave, such as password + one-time code (11.200(a)(1))"),
                ),
                ("top_hash", models.TextField()),
                ("rendition_sha256", models.TextField()),
                (
                    "reviewed_to",
                    models.BigIntegerField(
                        help_text="the last entry of the trail that the signer has reviewed", null=True
                    ),
                ),
                (
                    "list_sha256",
                    models.TextField(
                        default="", help_text="of the list that was signed with one code; empty: signed alone"
                    ),
                ),
                (
                    "outcome",
                    models.TextField(
                        blank=True,
                        choices=[("stands", "Stands"), ("does not stand", "Does not stand")],
                        default="",
                        help_text="what a disposition decided",
                    ),
                ),
                (
                    "accountability",
                    models.TextField(default="", help_text="revision of the statement that the signer acknowledged"),
                ),
                (
                    "statement",
                    models.BinaryField(
                        help_text="canonical JSON of all that is bound; the portal's key signs these bytes"
                    ),
                ),
                ("statement_sha256", models.TextField(unique=True)),
                ("previous_sha256", models.TextField(default="", help_text="the signer's statement before this one")),
                ("seal", models.BinaryField(help_text="ECDSA P-256 with SHA-256 over the statement, DER")),
                (
                    "about",
                    models.ForeignKey(
                        help_text="the signature withdrawn, or decided on",
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="later",
                        to="signatures.signature",
                    ),
                ),
                (
                    "signer",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="signatures",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "version",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="signatures", to="records.version"
                    ),
                ),
                (
                    "intent",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT, related_name="signature", to="signatures.intent"
                    ),
                ),
                (
                    "key",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="signatures.portalkey"
                    ),
                ),
            ],
            options={
                "ordering": ["signed_at"],
            },
        ),
        migrations.AddField(
            model_name="intent",
            name="about",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="signatures.signature"
            ),
        ),
        migrations.AddField(
            model_name="intent",
            name="sitting",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="+", to="accounts.sitting"
            ),
        ),
        migrations.AddField(
            model_name="intent",
            name="user",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.AddField(
            model_name="intent",
            name="version",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="+", to="records.version"
            ),
        ),
        migrations.CreateModel(
            name="Reminder",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("day", models.DateField(help_text="UTC")),
                ("at", models.DateTimeField(db_default=audit.clock.Now())),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="RouteTemplate",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                (
                    "applies_to",
                    models.TextField(
                        help_text="a kind of record (in small letters), or the code of a type (in capitals)"
                    ),
                ),
                ("label", models.TextField(help_text="what it applies to, as it was named then")),
                ("revision", models.IntegerField()),
                ("rows", models.JSONField(help_text="signatures.routes.Row, one after the other; empty: withdrawn")),
                ("reason", models.TextField()),
                ("made_at", models.DateTimeField(db_default=audit.clock.Now())),
                (
                    "made_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
            ],
            options={
                "ordering": ["applies_to", "revision"],
            },
        ),
        migrations.CreateModel(
            name="Request",
            fields=[
                (
                    "version",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="request",
                        serialize=False,
                        to="records.version",
                    ),
                ),
                ("opened_at", models.DateTimeField(db_default=audit.clock.Now())),
                (
                    "opened_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
                (
                    "template",
                    models.ForeignKey(
                        help_text="the revision that the route was made from",
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="signatures.routetemplate",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Step",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("place", models.IntegerField()),
                ("row", models.IntegerField(default=0, help_text="steps of a row share a quorum")),
                (
                    "needed",
                    models.IntegerField(help_text="how many signatures of the row are enough; nothing: all", null=True),
                ),
                (
                    "meaning",
                    models.TextField(
                        choices=[
                            ("review", "Review"),
                            ("approval", "Approval"),
                            ("rejection", "Rejection"),
                            ("reading", "Read and understood"),
                            ("responsibility", "Responsibility for the report"),
                            ("withdrawal", "Withdrawal"),
                            ("disposition", "Disposition"),
                            ("retirement", "Retirement"),
                        ]
                    ),
                ),
                ("sentence", models.TextField(help_text="what the signer puts their name to")),
                ("role", models.TextField(help_text="the role that may sign it")),
                ("due_at", models.DateTimeField(null=True)),
                (
                    "voided",
                    models.TextField(
                        default="",
                        help_text="why its signature counts no more and a step in its place asks for another one",
                    ),
                ),
                (
                    "lapsed_at",
                    models.DateTimeField(
                        help_text="enough others signed, and this one is asked for no more", null=True
                    ),
                ),
                (
                    "assignee",
                    models.ForeignKey(
                        help_text="nobody: anyone of the role",
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "signature",
                    models.OneToOneField(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="step",
                        to="signatures.signature",
                    ),
                ),
                (
                    "version",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="steps", to="records.version"
                    ),
                ),
            ],
            options={
                "ordering": ["version", "place", "id"],
            },
        ),
        migrations.AddField(
            model_name="intent",
            name="step",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="signatures.step"
            ),
        ),
        migrations.CreateModel(
            name="Archived",
            fields=[
                (
                    "signature",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="archived",
                        serialize=False,
                        to="signatures.signature",
                    ),
                ),
                ("pins", models.JSONField(help_text="file name -> bucket, key, version id, size, SHA-256")),
                ("archived_at", models.DateTimeField(db_default=audit.clock.Now())),
                (
                    "version",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="records.version"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Opened",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("rendition_sha256", models.TextField()),
                ("page", models.IntegerField()),
                ("at", models.DateTimeField(db_default=audit.clock.Now())),
                (
                    "sitting",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="accounts.sitting"
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("sitting", "rendition_sha256", "page"), name="page_opened_once")
                ],
            },
        ),
        migrations.AddIndex(
            model_name="signature",
            index=models.Index(fields=["signer", "signed_at"], name="signatures__signer__89fc36_idx"),
        ),
        migrations.AddConstraint(
            model_name="signature",
            constraint=models.UniqueConstraint(
                fields=("signer", "previous_sha256"), name="statements_of_a_signer_form_a_chain"
            ),
        ),
        migrations.AddConstraint(
            model_name="reminder",
            constraint=models.UniqueConstraint(fields=("user", "day"), name="one_digest_a_day"),
        ),
        migrations.AddConstraint(
            model_name="routetemplate",
            constraint=models.UniqueConstraint(fields=("applies_to", "revision"), name="route_revisions_count_up"),
        ),
    ]
