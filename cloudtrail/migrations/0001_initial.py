# Generated from the models by tools/remake_migrations.sh.

import datetime
import uuid

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import audit.clock


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("audit", "0000_clock"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Event",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "time", "file", "ordinal", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("time", models.DateTimeField()),
                ("bytes_in", models.BigIntegerField()),
                ("bytes_out", models.BigIntegerField()),
                ("ordinal", models.IntegerField(help_text="index in the file, from 0")),
                ("read_only", models.BooleanField()),
                ("data", models.BooleanField(help_text="a data event; else a management event")),
                ("presigned", models.BooleanField(help_text="sent with a presigned link")),
                (
                    "reach",
                    models.TextField(
                        blank=True,
                        choices=[
                            ("o", "object"),
                            ("s", "source"),
                            ("p", "prefix"),
                            ("b", "bucket"),
                            ("a", "all"),
                            ("", "none"),
                        ],
                    ),
                ),
                ("event_id", models.TextField()),
                ("event_source", models.TextField()),
                ("event_name", models.TextField()),
                ("region", models.TextField()),
                ("account", models.TextField()),
                ("source_ip", models.TextField()),
                ("request_id", models.TextField()),
                ("error_code", models.TextField()),
                ("bucket", models.TextField()),
                ("key", models.TextField()),
                ("s3_version", models.TextField(help_text="as request or answer names it")),
                (
                    "target",
                    models.TextField(
                        help_text="what an event outside S3 was about: a role, a trail, an encryption key"
                    ),
                ),
                ("corrects", models.TextField(help_text="id of the event that this one corrects")),
            ],
            options={
                "db_table": "cloudtrail_event",
                "managed": False,
            },
        ),
        migrations.CreateModel(
            name="Touch",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "time",
                        "file",
                        "ordinal",
                        "reach",
                        "bucket",
                        "key",
                        "s3_version",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("time", models.DateTimeField()),
                ("ordinal", models.IntegerField()),
                (
                    "reach",
                    models.TextField(
                        choices=[
                            ("o", "object"),
                            ("s", "source"),
                            ("p", "prefix"),
                            ("b", "bucket"),
                            ("a", "all"),
                            ("", "none"),
                        ]
                    ),
                ),
                ("bucket", models.TextField()),
                ("key", models.TextField()),
                ("s3_version", models.TextField()),
            ],
            options={
                "db_table": "cloudtrail_touch",
                "managed": False,
            },
        ),
        migrations.CreateModel(
            name="ArchivedMonth",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("month", models.DateField(help_text="its first day")),
                ("bucket", models.TextField()),
                ("key", models.TextField()),
                ("s3_version", models.TextField()),
                ("size", models.BigIntegerField(help_text="bytes")),
                ("sha256", models.CharField(help_text="of the file", max_length=64, unique=True)),
                ("rows_sha256", models.CharField(max_length=64)),
                ("events", models.BigIntegerField()),
                ("touches", models.BigIntegerField(help_text="what events touched besides their first object")),
                ("columns", models.JSONField(help_text="names, in the order of the file")),
                ("buckets", models.JSONField(help_text="of which the events tell, with the time of the first")),
                ("archived_at", models.DateTimeField(db_default=audit.clock.Now())),
            ],
            options={
                "ordering": ["month", "archived_at"],
            },
        ),
        migrations.CreateModel(
            name="DigestFile",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("bucket", models.TextField(blank=True, help_text="empty for one that was handed over")),
                ("key", models.TextField()),
                ("s3_version", models.TextField(blank=True)),
                (
                    "etag",
                    models.TextField(blank=True, help_text="as S3 gives it; SHA-256 for one that was handed over"),
                ),
                ("region", models.TextField()),
                ("aws_name", models.TextField(help_text="name of the trail at AWS")),
                ("home_region", models.TextField()),
                ("backfill", models.BooleanField(default=False)),
                ("starts_at", models.DateTimeField(help_text="as the digest says, else an hour before its name does")),
                ("ends_at", models.DateTimeField(help_text="as its name says")),
                ("data", models.BinaryField(help_text="the bytes as delivered")),
                ("sha256_raw", models.TextField()),
                ("sha256_content", models.TextField(blank=True)),
                (
                    "metadata",
                    models.JSONField(default=dict, help_text="user fields of the object, the signature among them"),
                ),
                ("fingerprint", models.TextField(blank=True, help_text="of the public key that it names")),
                ("seen_at", models.DateTimeField(db_default=audit.clock.Now())),
                (
                    "state",
                    models.TextField(
                        blank=True, choices=[("", "Waiting"), ("valid", "Valid"), ("invalid", "Not valid")], default=""
                    ),
                ),
                ("reason", models.TextField(blank=True, default="", help_text="why it is not valid")),
                ("leads", models.BooleanField(default=False, help_text="of several versions, the one that counts")),
                ("link", models.TextField(blank=True, default="", help_text="how it stands to the digest before it")),
                ("missing", models.IntegerField(default=0, help_text="digests that are missing right before it")),
                (
                    "gap_since",
                    models.DateTimeField(
                        help_text="end of the digest before it, where that is not its own beginning", null=True
                    ),
                ),
                ("listed", models.IntegerField(default=0, help_text="log files that it lists")),
                ("absent", models.IntegerField(default=0, help_text="of these, not there")),
                ("unread", models.IntegerField(default=0, help_text="of these, not read yet")),
                ("mismatched", models.IntegerField(default=0, help_text="of these, not what was delivered")),
                ("judged_at", models.DateTimeField(null=True)),
            ],
            options={
                "ordering": ["-ends_at", "-id"],
            },
        ),
        migrations.CreateModel(
            name="LogFile",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("bucket", models.TextField(blank=True, help_text="empty for a file that was handed over")),
                ("key", models.TextField()),
                ("s3_version", models.TextField(blank=True)),
                (
                    "etag",
                    models.TextField(blank=True, help_text="as S3 gives it; SHA-256 for a file that was handed over"),
                ),
                ("delivered_at", models.DateTimeField(help_text="as the file's name says, to the minute", null=True)),
                ("size", models.BigIntegerField(help_text="bytes as delivered")),
                (
                    "state",
                    models.TextField(
                        choices=[("seen", "Waiting"), ("stored", "Stored"), ("quarantined", "Quarantined")],
                        default="seen",
                    ),
                ),
                ("reason", models.TextField(default="", help_text="why it is in quarantine, or could not be fetched")),
                ("attempts", models.IntegerField(default=0)),
                ("content_size", models.BigIntegerField(default=0, help_text="bytes unpacked")),
                ("sha256_raw", models.TextField(default="", help_text="of the bytes as delivered")),
                (
                    "sha256_content",
                    models.TextField(default="", help_text="of the unpacked bytes: what a digest file names"),
                ),
                ("events", models.IntegerField(default=0, help_text="events in the file")),
                ("seen_before", models.IntegerField(default=0, help_text="of these, told by an earlier file already")),
                (
                    "conflicts",
                    models.IntegerField(
                        default=0, help_text="of these, told otherwise by an earlier file under the same id; kept"
                    ),
                ),
                ("first_event_at", models.DateTimeField(null=True)),
                ("last_event_at", models.DateTimeField(null=True)),
                ("seen_at", models.DateTimeField(db_default=audit.clock.Now())),
                ("settled_at", models.DateTimeField(help_text="when it was stored or put into quarantine", null=True)),
                ("leased_by", models.TextField(blank=True, default="", help_text="the worker that reads it now")),
                (
                    "leased_until",
                    models.DateTimeField(
                        help_text="nobody else reads it before; of a file that could not be fetched, its next try",
                        null=True,
                    ),
                ),
            ],
            options={
                "ordering": ["-id"],
            },
        ),
        migrations.CreateModel(
            name="Trail",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("name", models.TextField(unique=True)),
                ("account", models.TextField(help_text="account that the events belong to: 12 digits")),
                (
                    "organisation",
                    models.TextField(blank=True, default="", help_text="o-…, if it is an organisation's trail"),
                ),
                (
                    "region",
                    models.TextField(blank=True, default="", help_text="empty: every region that the trail delivers"),
                ),
                ("bucket", models.TextField(blank=True, default="")),
                (
                    "prefix",
                    models.TextField(
                        blank=True, default="", help_text="in front of AWSLogs/; empty, or ends with a slash"
                    ),
                ),
                (
                    "aws_name",
                    models.TextField(
                        blank=True,
                        default="",
                        help_text="the trail's name at AWS, as its digests name it; empty: every trail that delivers here",
                    ),
                ),
                ("enabled", models.BooleanField(default=True, help_text="pulled on a schedule")),
                (
                    "started_from",
                    models.DateField(default=datetime.date(2013, 11, 13), help_text="first day of delivery to pull"),
                ),
                (
                    "source_identity_enforced",
                    models.BooleanField(
                        default=False,
                        help_text="the trust policies of all roles of this account demand a source identity set by the identity provider",
                    ),
                ),
                ("created_at", models.DateTimeField(db_default=audit.clock.Now())),
            ],
            options={
                "ordering": ["name"],
            },
        ),
        migrations.CreateModel(
            name="Reconciliation",
            fields=[
                ("bucket", models.TextField(primary_key=True, serialize=False)),
                ("listed_at", models.DateTimeField()),
                ("versions", models.IntegerField(default=0, help_text="of records, that the listing showed")),
            ],
        ),
        migrations.CreateModel(
            name="Actor",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("fingerprint", models.TextField(help_text="SHA-256 of the canonical identity", unique=True)),
                ("identity", models.JSONField(help_text="the fields of userIdentity that tell identities apart")),
                (
                    "access_key",
                    models.TextField(
                        blank=True,
                        default="",
                        help_text="by which another event may tell who it was; else its credential id",
                    ),
                ),
                ("account", models.TextField(blank=True, default="")),
                (
                    "standing",
                    models.TextField(
                        choices=[
                            ("PROVEN", "PROVEN"),
                            ("CLAIMED", "CLAIMED"),
                            ("SERVICE", "SERVICE"),
                            ("UNRESOLVED", "UNRESOLVED"),
                        ]
                    ),
                ),
                ("name", models.TextField(blank=True, help_text="a person, a claimed name or a service; never a role")),
                ("role", models.TextField(blank=True, default="", help_text="the role that was used")),
                (
                    "hops",
                    models.JSONField(default=list, help_text="the way from the event to the person (`actors.Hop`)"),
                ),
                (
                    "listed",
                    models.TextField(
                        blank=True, default="", help_text="what the directory may know the person by, such as user_id|…"
                    ),
                ),
                ("attributed_at", models.DateTimeField(db_default=audit.clock.Now())),
                (
                    "used_from",
                    models.DateTimeField(
                        help_text="first use, where that was not held against the validity of the access key at ingest",
                        null=True,
                    ),
                ),
                ("used_until", models.DateTimeField(help_text="last use, likewise", null=True)),
                (
                    "inside",
                    models.ForeignKey(
                        db_index=False,
                        help_text="the same identity within the validity of its access key; this one is outside of that",
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="outside",
                        to="cloudtrail.actor",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Credential",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("access_key", models.TextField()),
                ("event_id", models.TextField()),
                ("event_name", models.TextField()),
                ("time", models.DateTimeField(help_text="handed out, and valid from")),
                ("until", models.DateTimeField(null=True)),
                ("role", models.TextField(blank=True, default="", help_text="ARN of the role")),
                ("session_name", models.TextField(blank=True, default="")),
                ("source_identity", models.TextField(blank=True, default="")),
                (
                    "shared_event_id",
                    models.TextField(
                        blank=True, default="", help_text="the same act, as another account's trail tells it"
                    ),
                ),
                (
                    "holder",
                    models.ForeignKey(
                        help_text="whom they were handed to",
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="credentials",
                        to="cloudtrail.actor",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="DigestLine",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("bucket", models.TextField()),
                ("key", models.TextField()),
                ("sha256", models.TextField(help_text="of the unpacked bytes")),
                (
                    "digest",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="lines", to="cloudtrail.digestfile"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="DirectoryEntry",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                (
                    "kind",
                    models.TextField(
                        choices=[
                            ("user_id", "Identity Center user id"),
                            ("user_name", "Identity Center user name"),
                            ("service", "Service principal"),
                        ]
                    ),
                ),
                ("identifier", models.TextField(help_text="as CloudTrail writes it, to the letter")),
                ("person", models.TextField(help_text="legal name of the person, or of who answers for the service")),
                ("since", models.DateField()),
                ("until", models.DateField(blank=True, help_text="last day; empty: still so", null=True)),
                ("made_at", models.DateTimeField(db_default=audit.clock.Now())),
                (
                    "user",
                    models.ForeignKey(
                        blank=True,
                        help_text="if the person has an account here",
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "ordering": ["kind", "identifier", "-since"],
            },
        ),
        migrations.CreateModel(
            name="HandedOver",
            fields=[
                (
                    "file",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="handed_over",
                        serialize=False,
                        to="cloudtrail.logfile",
                    ),
                ),
                ("data", models.BinaryField()),
            ],
        ),
        migrations.CreateModel(
            name="Proof",
            fields=[
                (
                    "file",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="proof",
                        serialize=False,
                        to="cloudtrail.logfile",
                    ),
                ),
                (
                    "state",
                    models.TextField(
                        choices=[
                            ("valid", "Proved"),
                            ("mismatch", "Not as delivered"),
                            ("not_covered", "Not covered"),
                            ("undigested", "No digests then"),
                        ]
                    ),
                ),
                ("decided_at", models.DateTimeField(db_default=audit.clock.Now())),
            ],
        ),
        migrations.CreateModel(
            name="Listing",
            fields=[
                (
                    "trail",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="listing",
                        serialize=False,
                        to="cloudtrail.trail",
                    ),
                ),
                (
                    "listed_through",
                    models.DateField(help_text="every day of delivery up to this one was listed to its end", null=True),
                ),
                ("last_listed_at", models.DateTimeField(null=True)),
                (
                    "tried_at",
                    models.DateTimeField(help_text="when the latest pull began, whatever came of it", null=True),
                ),
                (
                    "summarised_at",
                    models.DateTimeField(
                        help_text="files settled up to here are told in an entry of the trail", null=True
                    ),
                ),
                ("last_error", models.TextField(default="")),
                (
                    "digests_through",
                    models.DateField(help_text="digests of every hour up to this day were listed", null=True),
                ),
                ("digest_error", models.TextField(default="", help_text="why digests or public keys could not be had")),
                (
                    "proved_at",
                    models.DateTimeField(help_text="files settled up to here were held against the digests", null=True),
                ),
            ],
        ),
        migrations.AddField(
            model_name="logfile",
            name="trail",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="files", to="cloudtrail.trail"
            ),
        ),
        migrations.AddField(
            model_name="digestfile",
            name="trail",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="digests", to="cloudtrail.trail"
            ),
        ),
        migrations.CreateModel(
            name="ObjectVersion",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("bucket", models.TextField()),
                ("key", models.TextField()),
                ("s3_version", models.TextField()),
                ("marker", models.BooleanField(help_text="a delete marker")),
                ("written_at", models.DateTimeField(help_text="as S3 says")),
                ("seen_at", models.DateTimeField(help_text="first listing that showed it")),
                ("last_seen_at", models.DateTimeField(help_text="latest listing that showed it")),
                ("gone_at", models.DateTimeField(help_text="first listing that did not show it any longer", null=True)),
                (
                    "appeared",
                    models.TextField(
                        blank=True,
                        choices=[
                            ("", "Events may still come"),
                            ("explained", "An event tells of it"),
                            ("unexplained", "No event tells of it"),
                            ("before", "From before the events"),
                        ],
                        default="",
                    ),
                ),
                (
                    "vanished",
                    models.TextField(
                        blank=True,
                        choices=[
                            ("", "Events may still come"),
                            ("explained", "An event tells of it"),
                            ("unexplained", "No event tells of it"),
                            ("before", "From before the events"),
                        ],
                        default="",
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(
                            ("appeared", ""), models.Q(("gone_at__isnull", False), ("vanished", "")), _connector="OR"
                        ),
                        fields=["bucket"],
                        name="object_version_open",
                    )
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("bucket", "key", "s3_version"), name="object_version_once")
                ],
            },
        ),
        migrations.CreateModel(
            name="PublicKey",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("region", models.TextField()),
                ("fingerprint", models.TextField()),
                ("value", models.BinaryField(help_text="DER of PKCS #1, as ListPublicKeys gives it")),
                ("begins", models.DateTimeField(help_text="valid from")),
                ("ends", models.DateTimeField(help_text="valid until")),
                ("source", models.TextField(help_text="ListPublicKeys, or handed over")),
                ("archived_at", models.DateTimeField(db_default=audit.clock.Now())),
                (
                    "trail",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="public_keys", to="cloudtrail.trail"
                    ),
                ),
            ],
            options={
                "ordering": ["-begins", "region"],
            },
        ),
        migrations.AddIndex(
            model_name="actor",
            index=models.Index(
                condition=models.Q(("access_key", ""), _negated=True), fields=["access_key"], name="actor_access_key"
            ),
        ),
        migrations.AddIndex(
            model_name="actor",
            index=models.Index(fields=["name"], name="actor_name"),
        ),
        migrations.AddIndex(
            model_name="credential",
            index=models.Index(
                condition=models.Q(("shared_event_id", ""), _negated=True),
                fields=["shared_event_id"],
                name="credential_shared",
            ),
        ),
        migrations.AddConstraint(
            model_name="credential",
            constraint=models.UniqueConstraint(fields=("access_key", "event_id"), name="credential_once"),
        ),
        migrations.AddConstraint(
            model_name="digestline",
            constraint=models.UniqueConstraint(fields=("key", "digest", "bucket"), name="digest_line_once"),
        ),
        migrations.AddIndex(
            model_name="directoryentry",
            index=models.Index(fields=["kind", "identifier"], name="cloudtrail__kind_b739fe_idx"),
        ),
        migrations.AddField(
            model_name="proof",
            name="digest",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="proofs",
                to="cloudtrail.digestfile",
            ),
        ),
        migrations.AddIndex(
            model_name="logfile",
            index=models.Index(fields=["trail", "-delivered_at", "-id"], name="log_file_of_trail"),
        ),
        migrations.AddIndex(
            model_name="logfile",
            index=models.Index(fields=["trail", "settled_at"], name="log_file_settled"),
        ),
        migrations.AddIndex(
            model_name="logfile",
            index=models.Index(
                condition=models.Q(("state", "stored"), _negated=True), fields=["trail", "id"], name="log_file_open"
            ),
        ),
        migrations.AddIndex(
            model_name="logfile",
            index=models.Index(
                condition=models.Q(("state", "seen")), fields=["trail", "delivered_at", "id"], name="log_file_waiting"
            ),
        ),
        migrations.AddConstraint(
            model_name="logfile",
            constraint=models.UniqueConstraint(fields=("bucket", "key", "s3_version", "etag"), name="log_file_once"),
        ),
        migrations.AddIndex(
            model_name="digestfile",
            index=models.Index(fields=["trail", "ends_at"], name="digest_file_of_trail"),
        ),
        migrations.AddIndex(
            model_name="digestfile",
            index=models.Index(condition=models.Q(("judged_at", None)), fields=["trail"], name="digest_file_new"),
        ),
        migrations.AddConstraint(
            model_name="digestfile",
            constraint=models.UniqueConstraint(fields=("bucket", "key", "s3_version", "etag"), name="digest_file_once"),
        ),
        migrations.AddConstraint(
            model_name="publickey",
            constraint=models.UniqueConstraint(
                fields=("trail", "region", "fingerprint", "value", "begins", "ends"), name="public_key_once"
            ),
        ),
    ]
