"""The types of reports, which stand in code: what the portal finds, and a person signs."""

from django.db import migrations

from audit.operations import Recorded

TYPES = [
    ("access_review", "Access review", "ACR"),
    ("trail_review", "Audit-trail review", "ATR"),
    ("restore", "Restore report", "RST"),
    ("letter_waiver", "Waiver of the 11.100(c) letter", "LTW"),
    ("posture_baseline", "Storage posture baseline", "SPB"),
    ("posture_snapshot", "Storage posture snapshot", "SPS"),
]


def make_types(apps, schema_editor):
    types = apps.get_model("records", "RecordType").objects.using(schema_editor.connection.alias)
    for code, name, prefix in TYPES:
        types.create(code=code, name=name, kind="report", prefix=prefix)


class Migration(migrations.Migration):
    dependencies = [("records", "0003_types")]
    operations = [Recorded(make_types, "the types of reports")]
