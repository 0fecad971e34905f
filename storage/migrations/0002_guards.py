"""Control over the list of buckets."""

from django.db import migrations

from audit.operations import AppendOnly, Guard, NeverDeleted


class Migration(migrations.Migration):
    dependencies = [("storage", "0001_initial"), ("audit", "0002_guards")]
    operations = [
        Guard("storage_bucket", subject="bucket", key="name", primary_key="name"),
        NeverDeleted("storage_bucket"),
        Guard("storage_posturereading", subject="bucket", key="bucket_id"),
        AppendOnly("storage_posturereading"),
        AppendOnly("storage_s3request"),
    ]
