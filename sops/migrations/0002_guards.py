from django.db import migrations

from audit.operations import Guard, NeverDeleted


class Migration(migrations.Migration):
    dependencies = [("sops", "0001_initial"), ("audit", "0002_guards")]
    operations = [
        Guard("sops_sop", subject="record", key="record_id", primary_key="record_id"),
        NeverDeleted("sops_sop"),
    ]
