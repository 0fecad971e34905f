# Generated from the models by tools/remake_migrations.sh.

import uuid

import django.contrib.postgres.fields.ranges
import django.db.models.deletion
import simple_history.models
from django.conf import settings
from django.db import migrations, models

import audit.clock


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("audit", "0000_clock"),
        ("accounts", "0001_initial"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Record",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("number", models.TextField(unique=True)),
                ("title", models.TextField()),
                ("created_at", models.DateTimeField(db_default=audit.clock.Now())),
                (
                    "area",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="records", to="accounts.area"
                    ),
                ),
                (
                    "created_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
            ],
            options={
                "ordering": ["number"],
            },
        ),
        migrations.CreateModel(
            name="Version",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("ordinal", models.IntegerField()),
                ("revision", models.TextField(default="", help_text="1.0, 2.0: given at approval")),
                ("lifecycle", models.TextField()),
                (
                    "state",
                    models.TextField(
                        choices=[
                            ("in_review", "In review"),
                            ("registered", "Registered"),
                            ("approved", "Approved"),
                            ("rejected", "Rejected"),
                            ("recalled", "Recalled"),
                            ("retired", "Retired"),
                        ]
                    ),
                ),
                (
                    "contributors",
                    models.JSONField(
                        default=list, help_text="keys of everybody who edited it: none of them may approve it"
                    ),
                ),
                ("created_at", models.DateTimeField(db_default=audit.clock.Now())),
                ("message", models.TextField(default="", help_text="why this version, for the change history")),
                ("metadata", models.JSONField(default=dict)),
                ("manifest", models.BinaryField(help_text="Quilt v0, JSON Lines")),
                ("top_hash", models.TextField(help_text="as quilt3 computes it, hex")),
                (
                    "pins_sha256",
                    models.TextField(
                        help_text="over bucket, key and versionId of every file, which the top hash leaves out"
                    ),
                ),
                ("rendition", models.JSONField(help_text="where the rendition's bytes are: a storage.worm.Pin")),
                ("rendition_sha256", models.TextField()),
                ("rendition_pages", models.IntegerField()),
                (
                    "author",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="authored",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "definition",
                    models.ForeignKey(
                        help_text="the version of the definition that admitted it",
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="admitted",
                        to="records.version",
                    ),
                ),
                (
                    "record",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="versions", to="records.record"
                    ),
                ),
            ],
            options={
                "ordering": ["record", "-ordinal"],
            },
        ),
        migrations.CreateModel(
            name="Draft",
            fields=[
                (
                    "record",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        serialize=False,
                        to="records.record",
                    ),
                ),
                ("sections", models.JSONField(default=list, help_text='[{"id", "title", "guidance", "text"}]')),
                (
                    "message",
                    models.TextField(blank=True, default="", help_text="summary of the change, for the change history"),
                ),
                ("saved_at", models.DateTimeField(db_default=audit.clock.Now())),
                (
                    "contributors",
                    models.JSONField(
                        default=list, help_text="keys of everybody who saved it since the last submission"
                    ),
                ),
                ("checked_out_at", models.DateTimeField(null=True)),
                (
                    "revision",
                    models.IntegerField(default=1, help_text="counts the saves: a save on top of another's is refused"),
                ),
                (
                    "checked_out_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="checked_out",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "saved_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="File",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("ordinal", models.IntegerField()),
                ("logical_key", models.TextField()),
                ("bucket", models.TextField()),
                ("key", models.TextField()),
                ("s3_version", models.TextField()),
                ("size", models.BigIntegerField(help_text="bytes")),
                ("sha256", models.TextField()),
                ("media_type", models.TextField(default="")),
                (
                    "version",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="files", to="records.version"
                    ),
                ),
            ],
            options={
                "ordering": ["version", "ordinal"],
            },
        ),
        migrations.CreateModel(
            name="HistoricalDraft",
            fields=[
                ("sections", models.JSONField(default=list, help_text='[{"id", "title", "guidance", "text"}]')),
                (
                    "message",
                    models.TextField(blank=True, default="", help_text="summary of the change, for the change history"),
                ),
                ("saved_at", models.DateTimeField(db_default=audit.clock.Now())),
                (
                    "contributors",
                    models.JSONField(
                        default=list, help_text="keys of everybody who saved it since the last submission"
                    ),
                ),
                ("checked_out_at", models.DateTimeField(null=True)),
                (
                    "revision",
                    models.IntegerField(default=1, help_text="counts the saves: a save on top of another's is refused"),
                ),
                ("history_id", models.AutoField(primary_key=True, serialize=False)),
                ("history_date", models.DateTimeField(db_index=True)),
                ("history_change_reason", models.CharField(max_length=100, null=True)),
                (
                    "history_type",
                    models.CharField(choices=[("+", "Created"), ("~", "Changed"), ("-", "Deleted")], max_length=1),
                ),
                (
                    "checked_out_by",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "history_user",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "record",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="records.record",
                    ),
                ),
                (
                    "saved_by",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "verbose_name": "historical draft",
                "verbose_name_plural": "historical drafts",
                "db_table": "records_draft_history",
                "ordering": ("-history_date", "-history_id"),
                "get_latest_by": ("history_date", "history_id"),
            },
            bases=(simple_history.models.HistoricalChanges, models.Model),
        ),
        migrations.CreateModel(
            name="RecordType",
            fields=[
                ("code", models.TextField(primary_key=True, serialize=False)),
                ("name", models.TextField()),
                (
                    "kind",
                    models.TextField(
                        choices=[
                            ("data", "Data package"),
                            ("definition", "Record definition"),
                            ("document", "Validation document"),
                            ("sop", "SOP"),
                            ("report", "Report"),
                        ]
                    ),
                ),
                (
                    "prefix",
                    models.TextField(help_text="what a number begins with, such as URS; empty: typed with the number"),
                ),
                (
                    "numbering",
                    models.TextField(
                        choices=[("counted", "Counted by the portal"), ("typed", "Typed by the person")],
                        default="counted",
                    ),
                ),
                ("digits", models.IntegerField(default=4)),
                ("last_number", models.IntegerField(default=0)),
                (
                    "definition",
                    models.OneToOneField(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="defines",
                        to="records.record",
                    ),
                ),
            ],
            options={
                "ordering": ["kind", "code"],
            },
        ),
        migrations.AddField(
            model_name="record",
            name="type",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="records", to="records.recordtype"
            ),
        ),
        migrations.CreateModel(
            name="Verification",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("started_at", models.DateTimeField()),
                ("finished_at", models.DateTimeField(db_default=audit.clock.Now())),
                (
                    "outcome",
                    models.TextField(
                        choices=[
                            ("unchanged", "Unchanged"),
                            ("changed", "Changed"),
                            ("unreachable", "Could not be read"),
                        ]
                    ),
                ),
                ("findings", models.JSONField(default=list, help_text="sentences: what differs, or could not be read")),
                (
                    "files",
                    models.JSONField(
                        default=list, help_text='[{"logical_key", "sha256", "size", "lock_mode", "retain_until", ...}]'
                    ),
                ),
                ("bytes_read", models.BigIntegerField(default=0)),
                ("by_name", models.TextField()),
                ("by_key", models.TextField()),
                (
                    "version",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="verifications", to="records.version"
                    ),
                ),
            ],
            options={
                "ordering": ["-finished_at"],
            },
        ),
        migrations.CreateModel(
            name="Buffer",
            fields=[
                (
                    "draft",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        serialize=False,
                        to="records.draft",
                    ),
                ),
                ("sections", models.JSONField()),
                (
                    "on_top_of",
                    models.IntegerField(default=1, help_text="the revision of the draft that it was typed over"),
                ),
                ("kept_at", models.DateTimeField(db_default=audit.clock.Now())),
            ],
        ),
        migrations.CreateModel(
            name="Attachment",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("name", models.TextField()),
                ("media_type", models.TextField()),
                ("pin", models.JSONField()),
                ("sha256", models.TextField()),
                ("size", models.BigIntegerField()),
                ("added_at", models.DateTimeField(db_default=audit.clock.Now())),
                (
                    "added_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
                (
                    "record",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="attachments", to="records.record"
                    ),
                ),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("record", "name"), name="attachment_named_once")],
            },
        ),
        migrations.CreateModel(
            name="Effectivity",
            fields=[
                (
                    "version",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        serialize=False,
                        to="records.version",
                    ),
                ),
                ("during", django.contrib.postgres.fields.ranges.DateTimeRangeField()),
                (
                    "record",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="effectivities", to="records.record"
                    ),
                ),
            ],
        ),
        migrations.AddIndex(
            model_name="version",
            index=models.Index(fields=["top_hash"], name="records_ver_top_has_18938a_idx"),
        ),
        migrations.AddIndex(
            model_name="version",
            index=models.Index(fields=["state"], name="records_ver_state_58b96a_idx"),
        ),
        migrations.AddConstraint(
            model_name="version",
            constraint=models.UniqueConstraint(fields=("record", "ordinal"), name="version_counted_once"),
        ),
        migrations.AddConstraint(
            model_name="version",
            constraint=models.UniqueConstraint(
                condition=models.Q(("state", "in_review")), fields=("record",), name="one_version_in_review"
            ),
        ),
        migrations.AddConstraint(
            model_name="version",
            constraint=models.UniqueConstraint(
                condition=models.Q(("revision", ""), _negated=True),
                fields=("record", "revision"),
                name="revision_given_once",
            ),
        ),
        migrations.AddIndex(
            model_name="file",
            index=models.Index(fields=["bucket", "key"], name="records_fil_bucket_0b78fa_idx"),
        ),
        migrations.AddConstraint(
            model_name="file",
            constraint=models.UniqueConstraint(fields=("version", "logical_key"), name="file_named_once"),
        ),
        migrations.AddIndex(
            model_name="verification",
            index=models.Index(fields=["version", "-finished_at"], name="records_ver_version_dfb342_idx"),
        ),
        migrations.AddField(
            model_name="buffer",
            name="user",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
            ),
        ),
    ]
