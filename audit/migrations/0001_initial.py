# Generated from the models by tools/remake_migrations.sh.

import uuid

import django.db.models.deletion
import django.db.models.lookups
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
            name="ReviewFilter",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("name", models.TextField(unique=True)),
                ("why", models.TextField(help_text="the risk that it is about")),
                ("actions", models.JSONField(default=list, help_text="actions, such as signature.applied")),
                ("subject_kinds", models.JSONField(default=list, help_text="such as version, user, bucket")),
                ("people", models.JSONField(default=list, help_text="keys of actors")),
                ("records", models.JSONField(default=list, help_text="keys of records; their versions are meant, too")),
                ("every_days", models.IntegerField(help_text="days from one review to the next")),
                ("made_at", models.DateTimeField(db_default=audit.clock.Now())),
                ("retired_at", models.DateTimeField(null=True)),
            ],
            options={
                "ordering": ["every_days", "name"],
            },
        ),
        migrations.CreateModel(
            name="Watch",
            fields=[
                ("name", models.TextField(primary_key=True, serialize=False)),
                ("seq", models.BigIntegerField()),
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
            name="Alarm",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                (
                    "kind",
                    models.TextField(
                        choices=[
                            ("lock_out", "Account locked out"),
                            ("refused_signings", "Signings refused in a row"),
                            ("self_grant", "Attempt on one's own rights"),
                            ("roles_granted", "Role granted"),
                            ("trigger_drift", "Database guards differ"),
                            ("clock_step", "Clock stepped back"),
                            ("clock_skew", "Clocks apart"),
                            ("chain_broken", "Audit trail broken"),
                            ("check_missed", "Check of the trail missed"),
                            ("anchor_behind", "Database behind its anchor"),
                            ("anchor_unwritable", "Checkpoint not written"),
                            ("statement_not_archived", "Signature not archived"),
                            ("mail_undelivered", "Mail not delivered"),
                            ("version_altered", "Record altered"),
                            ("review_overdue", "Audit-trail review overdue"),
                            ("access_review_overdue", "Access review overdue"),
                            ("trail_altered", "CloudTrail files not as delivered"),
                            ("trail_gap", "CloudTrail digests missing"),
                            ("objects_unexplained", "Record's objects changed without an event"),
                            ("account_compromised", "Account reported compromised"),
                            ("posture_drift", "Storage posture drifted"),
                            ("logging_changed", "CloudTrail's logging changed"),
                            ("protection_changed", "Protection of a bucket changed"),
                            ("key_endangered", "Encryption key endangered"),
                            ("lock_bypassed", "Retention bypassed"),
                        ]
                    ),
                ),
                ("subject_kind", models.TextField()),
                ("subject_id", models.TextField()),
                ("subject_label", models.TextField()),
                ("sentence", models.TextField()),
                ("detail", models.JSONField(default=dict)),
                (
                    "count",
                    models.IntegerField(default=1, help_text="how often the cause came while the alarm was open"),
                ),
                ("first_at", models.DateTimeField()),
                ("last_at", models.DateTimeField()),
                ("cleared_at", models.DateTimeField(help_text="when the cause was found gone", null=True)),
                ("cleared_how", models.TextField(default="")),
                ("acknowledged_at", models.DateTimeField(null=True)),
                ("acknowledged_by", models.TextField(default="")),
                ("acknowledged_by_name", models.TextField(default="")),
                ("comment", models.TextField(default="")),
            ],
            options={
                "ordering": ["-last_at"],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(
                            ("acknowledged_at__isnull", True), ("cleared_at__isnull", True), _connector="OR"
                        ),
                        fields=("kind", "subject_kind", "subject_id"),
                        name="one_open_alarm_of_a_cause",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="ClockReading",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("at", models.DateTimeField(db_default=audit.clock.Now())),
                ("source", models.TextField(help_text="role of the process and name of its machine, such as web@qa-1")),
                (
                    "standing",
                    models.TextField(
                        choices=[
                            ("well", "Agree"),
                            ("apart", "Apart"),
                            ("back", "Behind the trail"),
                            ("stepped", "Stepped"),
                        ]
                    ),
                ),
                ("offset_us", models.BigIntegerField(help_text="database clock less the process's, microseconds")),
                ("within_us", models.BigIntegerField(help_text="how exactly that could be told, microseconds")),
                (
                    "step_us",
                    models.BigIntegerField(
                        default=0, help_text="what the database clock went beyond the time that passed"
                    ),
                ),
            ],
            options={
                "ordering": ["-id"],
                "indexes": [
                    models.Index(fields=["source", "-id"], name="audit_clock_source_f9f605_idx"),
                    models.Index(fields=["at"], name="audit_clock_at_9338bb_idx"),
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
                    models.Index(fields=["xact", "subject_kind", "subject_id"], name="audit_entry_xact_b70f32_idx"),
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
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("action__regex", "^[a-z_]+\\.[a-z_]+$")), name="entry_action_is_a_name"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("subject_kind__regex", "^[a-z_]+$")), name="entry_kind_is_a_name"
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
                        condition=django.db.models.lookups.Exact(
                            models.Func(
                                "entry_id",
                                "change_id",
                                function="num_nonnulls",
                                output_field=models.IntegerField(),
                            ),
                            1,
                        ),
                        name="link_of_one_thing",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Review",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("first", models.BigIntegerField(help_text="the first entry that it covers")),
                ("last", models.BigIntegerField()),
                ("entries", models.IntegerField()),
                ("version", models.TextField(help_text="key of the sealed report", unique=True)),
                ("report", models.TextField(help_text="number of the report")),
                ("findings", models.TextField(default="")),
                ("reviewer", models.TextField()),
                ("reviewer_name", models.TextField()),
                ("made_at", models.DateTimeField(db_default=audit.clock.Now())),
                ("signed_at", models.DateTimeField(null=True)),
                (
                    "filter",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="reviews", to="audit.reviewfilter"
                    ),
                ),
            ],
            options={
                "ordering": ["-made_at"],
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
        migrations.CreateModel(
            name="AlarmMail",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("person", models.TextField(help_text="key of the person")),
                ("person_name", models.TextField()),
                ("address", models.TextField()),
                ("at", models.DateTimeField(db_default=audit.clock.Now())),
                ("sent", models.BooleanField()),
                ("error", models.TextField(default="")),
                (
                    "alarm",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="mails", to="audit.alarm"
                    ),
                ),
            ],
            options={
                "ordering": ["-at"],
                "indexes": [models.Index(fields=["alarm", "person"], name="audit_alarm_alarm_i_24cc25_idx")],
            },
        ),
        migrations.CreateModel(
            name="Reviewed",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("entry_id", models.BigIntegerField()),
                (
                    "review",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="covered", to="audit.review"
                    ),
                ),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("entry_id", "review"), name="covered_once")],
            },
        ),
    ]
