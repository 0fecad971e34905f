"""What the application's role and the read-only role may do. Granted by the owner after each migration, from what the
triggers say: an append-only table is insert-only for the application, a table whose rows are kept is never deleted from.
"""

from django.db.backends.base.base import BaseDatabaseWrapper

# Written by triggers and functions of the owner alone.
READ_ONLY = ("audit_rowchange", "audit_link", "audit_era", "django_migrations")

TABLES = """
SELECT c.relname,
       bool_or(t.tgname = 'append_only') AS append_only,
       bool_or(t.tgname = 'never_deleted') AS never_deleted
FROM pg_class c LEFT JOIN pg_trigger t ON t.tgrelid = c.oid
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
GROUP BY c.relname
"""


def grant(connection: BaseDatabaseWrapper, application: str, reader: str) -> None:
    """Give both roles exactly their rights on every table and sequence. Partitions are reached through their parent."""
    name = connection.ops.quote_name
    with connection.cursor() as cursor:
        cursor.execute("SELECT rolname FROM pg_roles")
        known = {role for (role,) in cursor.fetchall()}
        cursor.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
        cursor.execute(f"GRANT USAGE ON SCHEMA public TO {name(application)}")
        cursor.execute(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {name(application)}")
        if reader in known:
            cursor.execute(f"GRANT USAGE ON SCHEMA public TO {name(reader)}")
            cursor.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {name(reader)}")
        cursor.execute(TABLES)
        for table, append_only, never_deleted in cursor.fetchall():
            rights = _rights(table, append_only, never_deleted)
            cursor.execute(f"REVOKE ALL ON {name(table)} FROM {name(application)}")
            cursor.execute(f"GRANT {rights} ON {name(table)} TO {name(application)}")


def _rights(table: str, append_only: bool | None, never_deleted: bool | None) -> str:
    if table in READ_ONLY:
        return "SELECT"
    if append_only:
        return "SELECT, INSERT"
    if never_deleted:
        return "SELECT, INSERT, UPDATE"
    return "SELECT, INSERT, UPDATE, DELETE"
