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
            name="ValidationDocument",
            fields=[
                (
                    "record",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="validation_document",
                        serialize=False,
                        to="records.record",
                    ),
                ),
                ("system", models.TextField(help_text="name of the computerised system that the document is about")),
            ],
        ),
    ]
