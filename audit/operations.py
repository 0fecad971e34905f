"""Migration operations that put a table under control."""

from collections.abc import Callable, Sequence

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

WRITTEN_ALIKE = (
    "SET timezone = 'UTC' SET datestyle = 'ISO' SET intervalstyle = 'iso_8601' SET extra_float_digits = 1"
    " SET bytea_output = 'hex'"
)
"""For a function that compares rows by how they are written: the same for every session, and no two values alike."""


class Guard(migrations.RunSQL):
    """Keep old and new of every row change of `table`, and refuse the commit unless an entry of the same transaction names
    the subject `(subject, row[key])`. Columns in `secret` are kept as "[secret]"; an update of columns in `ignore` alone is
    no change of the record (the step of the last one-time code, say)."""

    def __init__(
        self,
        table: str,
        *,
        subject: str,
        key: str,
        primary_key: str = "id",
        secret: Sequence[str] = (),
        ignore: Sequence[str] = (),
    ) -> None:
        texts = (subject, key, primary_key, ",".join(secret), ",".join(ignore))
        arguments = ", ".join(f"'{text}'" for text in texts)
        super().__init__(
            f"CREATE TRIGGER guard AFTER INSERT OR UPDATE OR DELETE ON {table} FOR EACH ROW"
            f" EXECUTE FUNCTION audit_capture({arguments});"
            f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER guard;"
            f"CREATE TRIGGER guard_truncate BEFORE TRUNCATE ON {table} FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();",
            f"DROP TRIGGER guard ON {table}; DROP TRIGGER guard_truncate ON {table};",
        )


class AppendOnly(migrations.RunSQL):
    """Rows of `table` are added and never changed or removed, whoever asks."""

    def __init__(self, table: str) -> None:
        super().__init__(
            f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION audit_refuse();"
            f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER append_only;"
            f"CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON {table} FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();"
            f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER append_only_truncate;",
            f"DROP TRIGGER append_only ON {table}; DROP TRIGGER append_only_truncate ON {table};",
        )


class NeverDeleted(migrations.RunSQL):
    """Rows of `table` may change, but none is removed."""

    def __init__(self, table: str) -> None:
        super().__init__(
            f"CREATE TRIGGER never_deleted BEFORE DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION audit_refuse();"
            f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER never_deleted;",
            f"DROP TRIGGER never_deleted ON {table};",
        )


class Recorded(migrations.RunPython):
    """A data migration that writes its own entry, which stands for every row that it changes. Keep it apart from schema
    operations: rows of guarded tables wait for their check until the commit, and DDL cannot wait with them."""

    def __init__(self, code: Callable[..., None], what: str) -> None:
        def run(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
            with schema_editor.connection.cursor() as cursor:
                cursor.execute(
                    "INSERT INTO audit_entry (actor, actor_name, actor_role, action, subject_kind, subject_id, subject_label,"
                    " reason, request_id, detail)"
                    " VALUES ('system', 'Countersign', 'system', 'system.migrated', 'migration', %s, %s, '', '', '{}')",
                    [what, what],
                )
            code(apps, schema_editor)

        super().__init__(run, migrations.RunPython.noop)
