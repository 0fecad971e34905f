# Generated from the models by tools/remake_migrations.sh.

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("audit", "0000_clock"),
        ("records", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="Sop",
            fields=[
                (
                    "record",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="sop",
                        serialize=False,
                        to="records.record",
                    ),
                ),
                (
                    "gate",
                    models.TextField(
                        blank=True,
                        choices=[
                            ("", "Nothing waits for it"),
                            ("signing", "Nobody signs while their reading of it is overdue"),
                        ],
                        default="",
                    ),
                ),
                (
                    "reading_roles",
                    models.JSONField(default=list, help_text="roles whose holders must read each version"),
                ),
                (
                    "reading_days",
                    models.IntegerField(default=14, help_text="days from approval until the reading is due"),
                ),
            ],
        ),
    ]
