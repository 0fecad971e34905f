"""What a firm reviews of its trail to begin with, by risk; it adds its own and retires these as its SOP says."""

from django.db import migrations

from audit.operations import Recorded

FILTERS = [
    # name, why, actions (those that end with a dot: all that begin so), days
    ("Refusals", "Attempts to do what one may not are where misuse begins.", [
        "login.refused", "confirmation.refused", "signature.refused", "step.refused", "request.refused", "user.refused",
        "area.refused", "version.refused", "bucket.refused", "alarm.refused", "report.refused", "review.refused",
    ], 7),
    ("Privileges and accounts", "Whoever gives rights can give too many.", [
        "user.", "area.", "code.", "password.", "link.", "founding.", "qualification.",
    ], 30),
    ("Signatures", "A signature stands for a person's word.", ["signature.", "signatures.", "step.", "key."], 30),
    ("Deletions and withdrawals", "What is taken out of effect may be missed later.", [
        "version.recalled", "version.rejected", "version.retired", "version.altered", "user.deactivated", "user.grant_changed",
        "draft.taken_over", "signature.withdrawn",
    ], 30),
    ("Everything", "What no other review looks for.", [], 90),
]  # fmt: skip


def make_filters(apps, schema_editor):
    filters = apps.get_model("audit", "ReviewFilter").objects.using(schema_editor.connection.alias)
    for name, why, actions, days in FILTERS:
        filters.create(name=name, why=why, actions=actions, every_days=days)


class Migration(migrations.Migration):
    dependencies = [("audit", "0002_guards")]
    operations = [Recorded(make_filters, "the filters of audit-trail reviews")]
