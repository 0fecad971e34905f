"""Sealed versions move by their table of steps alone; one effective version at any instant; every change is kept."""

from django.db import migrations

from audit.operations import AppendOnly, Guard, NeverDeleted
from records.lifecycle import guard_sql

# A range over the record's UUID gives the exclusion constraint its equality without the btree_gist extension.
ONE_EFFECTIVE = """
CREATE TYPE uuidrange AS RANGE (subtype = uuid);
ALTER TABLE records_effectivity ADD CONSTRAINT one_effective_version
  EXCLUDE USING gist (uuidrange(record_id, record_id, '[]') WITH &&, during WITH &&);
"""

VERSION_GUARD = (
    guard_sql()
    + """
CREATE TRIGGER lifecycle BEFORE INSERT OR UPDATE ON records_version FOR EACH ROW EXECUTE FUNCTION records_version_guard();
ALTER TABLE records_version ENABLE ALWAYS TRIGGER lifecycle;
"""
)


class Migration(migrations.Migration):
    dependencies = [("records", "0001_initial"), ("audit", "0002_guards")]
    operations = [
        migrations.RunSQL(ONE_EFFECTIVE),
        migrations.RunSQL(VERSION_GUARD),
        Guard("records_recordtype", subject="type", key="code", primary_key="code", ignore=["last_number"]),
        NeverDeleted("records_recordtype"),
        Guard("records_record", subject="record", key="id"),
        NeverDeleted("records_record"),
        Guard("records_version", subject="version", key="id"),
        NeverDeleted("records_version"),
        Guard("records_file", subject="version", key="version_id"),
        AppendOnly("records_file"),
        Guard("records_effectivity", subject="version", key="version_id", primary_key="version_id"),
        NeverDeleted("records_effectivity"),
        Guard("records_draft", subject="record", key="record_id", primary_key="record_id"),
        NeverDeleted("records_draft"),
        AppendOnly("records_draft_history"),
        Guard("records_attachment", subject="record", key="record_id"),
        AppendOnly("records_attachment"),
        Guard("records_verification", subject="version", key="version_id"),
        AppendOnly("records_verification"),
    ]
