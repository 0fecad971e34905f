# Generated from the models by tools/remake_migrations.sh.

from django.db import migrations, models

import audit.clock


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("audit", "0000_clock"),
    ]

    operations = [
        migrations.CreateModel(
            name="Checkpoint",
            fields=[
                (
                    "number",
                    models.BigIntegerField(help_text="1, 2, 3 ... of one origin", primary_key=True, serialize=False),
                ),
                ("size", models.BigIntegerField(help_text="links of the chain that the note speaks of")),
                ("head", models.BinaryField(help_text="hash of the last of them")),
                ("at", models.DateTimeField()),
                ("note", models.TextField()),
                ("key", models.TextField(help_text="SHA-256 of the public key in DER")),
                ("place", models.TextField(help_text="bucket and key of the object")),
                ("object_version", models.TextField()),
                ("kept_until", models.DateTimeField()),
            ],
            options={
                "ordering": ["-number"],
            },
        ),
        migrations.CreateModel(
            name="Era",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("base", models.BigIntegerField()),
                ("at", models.DateTimeField(db_default=audit.clock.Now())),
            ],
        ),
        migrations.CreateModel(
            name="Access",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("at", models.DateTimeField(db_default=audit.clock.Now())),
                ("xact", models.BigIntegerField()),
                ("actor", models.TextField()),
                ("actor_name", models.TextField()),
                ("actor_role", models.TextField()),
                ("what", models.TextField(help_text="view, export, refused ...")),
                ("subject_kind", models.TextField()),
                ("subject_id", models.TextField()),
                ("subject_label", models.TextField()),
                ("request_id", models.TextField(default="")),
                ("detail", models.JSONField(default=dict)),
                ("canonical", models.BinaryField()),
            ],
            options={
                "indexes": [
                    models.Index(fields=["xact"], name="audit_acces_xact_f849e6_idx"),
                    models.Index(fields=["subject_kind", "subject_id", "id"], name="audit_acces_subject_932575_idx"),
                    models.Index(fields=["actor", "id"], name="audit_acces_actor_c54deb_idx"),
                ],
            },
        ),
        migrations.CreateModel(
            name="Entry",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("at", models.DateTimeField(db_default=audit.clock.Now())),
                (
                    "xact",
                    models.BigIntegerField(
                        help_text="PostgreSQL's transaction id: entries and row changes of one act share it"
                    ),
                ),
                ("actor", models.TextField(help_text="key of a person, or 'system'")),
                ("actor_name", models.TextField()),
                ("actor_role", models.TextField()),
                ("action", models.TextField()),
                ("subject_kind", models.TextField()),
                ("subject_id", models.TextField()),
                ("subject_label", models.TextField()),
                ("reason", models.TextField(default="")),
                ("request_id", models.TextField(default="")),
                ("detail", models.JSONField(default=dict)),
            ],
            options={
                "indexes": [
                    models.Index(fields=["xact"], name="audit_entry_xact_672d60_idx"),
                    models.Index(fields=["subject_kind", "subject_id", "id"], name="audit_entry_subject_3bd1f9_idx"),
                    models.Index(fields=["actor", "id"], name="audit_entry_actor_bd4146_idx"),
                    models.Index(fields=["action", "id"], name="audit_entry_action_fd0519_idx"),
                    models.Index(fields=["at"], name="audit_entry_at_06beca_idx"),
                    models.Index(
                        condition=models.Q(("action__in", ("hold.begun", "hold.ended"))),
                        fields=["id"],
                        name="audit_entry_holds",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Link",
            fields=[
                ("seq", models.BigIntegerField(primary_key=True, serialize=False)),
                ("entry_id", models.BigIntegerField(null=True, unique=True)),
                ("change_id", models.BigIntegerField(null=True, unique=True)),
                (
                    "leaf",
                    models.BinaryField(
                        help_text="what the entry or row change said when it was chained: canonical JSON (RFC 8785)"
                    ),
                ),
                ("hash", models.BinaryField()),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("entry_id__isnull", True), ("change_id__isnull", True), _connector="XOR"),
                        name="link_of_one_thing",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="RowChange",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("at", models.DateTimeField(db_default=audit.clock.Now())),
                ("xact", models.BigIntegerField()),
                ("table", models.TextField()),
                ("row", models.TextField(help_text="the row's primary key")),
                (
                    "operation",
                    models.TextField(choices=[("insert", "Insert"), ("update", "Update"), ("delete", "Delete")]),
                ),
                ("subject_kind", models.TextField()),
                ("subject_id", models.TextField()),
                ("old", models.JSONField(null=True)),
                ("new", models.JSONField(null=True)),
            ],
            options={
                "indexes": [
                    models.Index(fields=["xact"], name="audit_rowch_xact_7264a7_idx"),
                    models.Index(fields=["subject_kind", "subject_id", "id"], name="audit_rowch_subject_f7cab0_idx"),
                ],
            },
        ),
    ]
