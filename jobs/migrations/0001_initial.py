# Generated from the models by tools/remake_migrations.sh.

import uuid

from django.db import migrations, models

import audit.clock


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("audit", "0000_clock"),
    ]

    operations = [
        migrations.CreateModel(
            name="Job",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("kind", models.TextField()),
                ("args", models.JSONField(default=dict)),
                (
                    "key",
                    models.TextField(
                        help_text="natural key: asking twice for the same work makes one row", unique=True
                    ),
                ),
                (
                    "state",
                    models.TextField(
                        choices=[("queued", "Queued"), ("running", "Running"), ("done", "Done"), ("failed", "Failed")],
                        default="queued",
                    ),
                ),
                ("done", models.BigIntegerField(default=0)),
                ("total", models.BigIntegerField(default=0)),
                ("message", models.TextField(default="")),
                ("error", models.TextField(default="")),
                ("result", models.JSONField(null=True)),
                ("requested_by", models.TextField()),
                ("requested_by_name", models.TextField()),
                ("created_at", models.DateTimeField(db_default=audit.clock.Now())),
                ("started_at", models.DateTimeField(null=True)),
                ("finished_at", models.DateTimeField(null=True)),
                ("lease_until", models.DateTimeField(null=True)),
                ("attempts", models.IntegerField(default=0)),
            ],
            options={
                "indexes": [
                    models.Index(fields=["-created_at"], name="jobs_job_created_77460a_idx"),
                    models.Index(
                        condition=models.Q(("state__in", ["queued", "running"])),
                        fields=["state", "lease_until"],
                        name="job_open",
                    ),
                ],
            },
        ),
    ]
