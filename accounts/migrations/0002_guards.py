"""The roles, and control over people, grants and devices (guardian's and auth's tables among them)."""

from django.db import migrations

from accounts.roles import Role
from audit.operations import AppendOnly, Guard, NeverDeleted


def make_roles(apps, schema_editor):
    groups = apps.get_model("auth", "Group").objects.using(schema_editor.connection.alias)
    for role in Role:
        groups.get_or_create(name=role.value)


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0001_initial"),
        ("audit", "0002_guards"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("guardian", "0003_remove_groupobjectpermission_guardian_gr_content_ae6aec_idx_and_more"),
    ]
    operations = [
        migrations.RunPython(make_roles, migrations.RunPython.noop),
        Guard("accounts_user", subject="user", key="id", secret=["password"], ignore=["last_login"]),
        NeverDeleted("accounts_user"),
        Guard("accounts_user_groups", subject="user", key="user_id"),
        Guard("accounts_membership", subject="user", key="user_id"),
        Guard("accounts_area", subject="area", key="id"),
        NeverDeleted("accounts_area"),
        Guard("accounts_codedevice", subject="user", key="user_id", secret=["seed"], ignore=["last_step"]),
        NeverDeleted("accounts_codedevice"),
        Guard(
            "accounts_passkey", subject="user", key="user_id", ignore=["sign_count", "last_challenge", "last_used_at"]
        ),
        NeverDeleted("accounts_passkey"),
        Guard("accounts_ssoidentity", subject="user", key="user_id", ignore=["last_used_at"]),
        NeverDeleted("accounts_ssoidentity"),
        Guard("accounts_qualification", subject="user", key="user_id"),
        NeverDeleted("accounts_qualification"),
        Guard("accounts_policy", subject="version", key="version_id", primary_key="version_id"),
        NeverDeleted("accounts_policy"),
        Guard("accounts_acknowledgement", subject="user", key="user_id"),
        AppendOnly("accounts_acknowledgement"),
        Guard("accounts_letter", subject="letter", key="id"),
        AppendOnly("accounts_letter"),
        Guard("accounts_letterwaiver", subject="version", key="version_id", primary_key="version_id"),
        NeverDeleted("accounts_letterwaiver"),
        Guard("accounts_suspicion", subject="user", key="user_id"),
        NeverDeleted("accounts_suspicion"),
        Guard("accounts_founding", subject="founding", key="id"),
        NeverDeleted("accounts_founding"),
        NeverDeleted("accounts_sitting"),
        Guard("accounts_removal", subject="user", key="user_id"),
        AppendOnly("accounts_removal"),
        Guard("guardian_userobjectpermission", subject="user", key="user_id"),
        Guard("guardian_groupobjectpermission", subject="group", key="group_id"),
        Guard("auth_group", subject="group", key="id"),
        Guard("auth_group_permissions", subject="group", key="group_id"),
    ]
