from django.db import migrations

from audit.operations import Guard, NeverDeleted


class Migration(migrations.Migration):
    dependencies = [("validation_docs", "0001_initial"), ("audit", "0002_guards")]
    operations = [
        Guard("validation_docs_validationdocument", subject="record", key="record_id", primary_key="record_id"),
        NeverDeleted("validation_docs_validationdocument"),
    ]
