# Generated from the models by tools/remake_migrations.sh.

import uuid

import django.db.models.deletion
from django.db import migrations, models

import audit.clock


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("audit", "0000_clock"),
        ("accounts", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="S3Request",
            fields=[
                (
                    "request_id",
                    models.TextField(
                        help_text="x-amz-request-id, as CloudTrail tells it too", primary_key=True, serialize=False
                    ),
                ),
                ("at", models.DateTimeField(db_default=audit.clock.Now())),
                ("person", models.TextField(help_text="source identity under which it was made")),
                (
                    "portal_request",
                    models.TextField(
                        blank=True, help_text="the portal's own request, as its entries and reading log name it"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Bucket",
            fields=[
                ("name", models.CharField(max_length=63, primary_key=True, serialize=False)),
                ("label", models.CharField(max_length=200)),
                (
                    "purpose",
                    models.CharField(
                        choices=[
                            ("records", "record bucket"),
                            ("worm", "store of frozen bytes"),
                            ("trail", "CloudTrail log files"),
                            ("anchor", "checkpoints of the audit trail"),
                        ],
                        max_length=10,
                    ),
                ),
                ("created_at", models.DateTimeField(db_default=audit.clock.Now(), editable=False)),
                (
                    "area",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="buckets",
                        to="accounts.area",
                    ),
                ),
            ],
            options={
                "ordering": ["name"],
            },
        ),
        migrations.CreateModel(
            name="PostureReading",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("read_at", models.DateTimeField(db_default=audit.clock.Now())),
                (
                    "baseline",
                    models.TextField(
                        help_text="number and version of the signed baseline; empty: what the portal recommends"
                    ),
                ),
                ("findings", models.JSONField()),
                ("by_key", models.TextField()),
                ("by_name", models.TextField()),
                (
                    "bucket",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="readings", to="storage.bucket"
                    ),
                ),
            ],
            options={
                "ordering": ["-read_at"],
            },
        ),
        migrations.AddConstraint(
            model_name="bucket",
            constraint=models.CheckConstraint(
                condition=models.Q(("purpose__in", ["records", "worm", "trail", "anchor"])),
                name="storage_bucket_known_purpose",
            ),
        ),
        migrations.AddConstraint(
            model_name="bucket",
            constraint=models.CheckConstraint(
                condition=models.Q(("name__regex", "^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")),
                name="storage_bucket_well_formed_name",
            ),
        ),
        migrations.AddIndex(
            model_name="posturereading",
            index=models.Index(fields=["bucket", "-read_at"], name="storage_pos_bucket__c0008a_idx"),
        ),
    ]
