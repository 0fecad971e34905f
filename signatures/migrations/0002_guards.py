"""Signatures are added and never changed; who is asked is kept with old and new."""

from django.db import migrations

from audit.operations import AppendOnly, Guard, NeverDeleted


class Migration(migrations.Migration):
    dependencies = [("signatures", "0001_initial"), ("audit", "0002_guards")]
    operations = [
        Guard("signatures_routetemplate", subject="route", key="applies_to"),
        AppendOnly("signatures_routetemplate"),
        AppendOnly("signatures_reminder"),
        Guard("signatures_request", subject="version", key="version_id", primary_key="version_id"),
        NeverDeleted("signatures_request"),
        Guard("signatures_step", subject="version", key="version_id"),
        NeverDeleted("signatures_step"),
        Guard("signatures_signature", subject="version", key="version_id"),
        AppendOnly("signatures_signature"),
        Guard("signatures_portalkey", subject="key", key="id"),
        AppendOnly("signatures_portalkey"),
        Guard("signatures_portalcertificate", subject="certificate", key="id"),
        AppendOnly("signatures_portalcertificate"),
        Guard("signatures_archived", subject="version", key="version_id", primary_key="signature_id"),
        AppendOnly("signatures_archived"),
        AppendOnly("signatures_opened"),
        NeverDeleted("signatures_intent"),
    ]
