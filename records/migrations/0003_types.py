"""The record types of documents, which stand in code: VP, URS, FS, DS, RA, IQ, OQ, PQ, VSR, SOP and record definition."""

from django.db import migrations

from audit.operations import Recorded

TYPES = [
    ("VP", "Validation plan", "document"),
    ("URS", "User requirements specification", "document"),
    ("FS", "Functional specification", "document"),
    ("DS", "Design specification", "document"),
    ("RA", "Risk assessment", "document"),
    ("IQ", "Installation qualification", "document"),
    ("OQ", "Operational qualification", "document"),
    ("PQ", "Performance qualification", "document"),
    ("VSR", "Validation summary report", "document"),
    ("SOP", "Standard operating procedure", "sop"),
    ("DEF", "Record definition", "definition"),
]


def make_types(apps, schema_editor):
    types = apps.get_model("records", "RecordType").objects.using(schema_editor.connection.alias)
    for code, name, kind in TYPES:
        types.create(code=code, name=name, kind=kind, prefix=code)


class Migration(migrations.Migration):
    dependencies = [("records", "0002_guards")]
    operations = [Recorded(make_types, "the record types of documents")]
