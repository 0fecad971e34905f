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


# What must be so -------------------------------------------------------------------------------------------------------

# Each a sentence of what must hold, and SQL that is true where it does, asked as the role itself.
MUST = {
    "is no superuser": "SELECT NOT rolsuper FROM pg_roles WHERE rolname = current_user",
    "passes no row security": "SELECT NOT rolbypassrls FROM pg_roles WHERE rolname = current_user",
    "makes no roles and no databases": "SELECT NOT (rolcreaterole OR rolcreatedb) FROM pg_roles WHERE rolname = current_user",
    "replicates nothing": "SELECT NOT rolreplication FROM pg_roles WHERE rolname = current_user",
    "is a member of no other role": "SELECT NOT EXISTS (SELECT 1 FROM pg_auth_members WHERE member = current_user::regrole)",
    "owns no table, function or schema": """
        SELECT NOT EXISTS (SELECT 1 FROM pg_class WHERE relowner = current_user::regrole AND relpersistence <> 't')
           AND NOT EXISTS (SELECT 1 FROM pg_proc WHERE proowner = current_user::regrole)
           AND NOT EXISTS (SELECT 1 FROM pg_namespace WHERE nspowner = current_user::regrole AND nspname !~ '^pg_')
           AND NOT EXISTS (SELECT 1 FROM pg_database WHERE datdba = current_user::regrole)""",
    "makes nothing in the schema": "SELECT NOT has_schema_privilege('public', 'CREATE')",
    "sets no trigger on any table": """
        SELECT NOT bool_or(has_table_privilege(oid, 'TRIGGER')) FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')""",
    "empties no table": """
        SELECT NOT bool_or(has_table_privilege(oid, 'TRUNCATE')) FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')""",
    "cannot switch triggers off for a session": "SELECT NOT has_parameter_privilege('session_replication_role', 'SET')",
    "changes and removes nothing that is append-only": """
        SELECT NOT coalesce(bool_or(has_table_privilege(tgrelid, 'UPDATE, DELETE')), true) FROM pg_trigger
        WHERE tgname = 'append_only'""",
    "removes nothing that is kept": """
        SELECT NOT coalesce(bool_or(has_table_privilege(tgrelid, 'DELETE')), true) FROM pg_trigger
        WHERE tgname = 'never_deleted'""",
    "writes no link and no row change": """
        SELECT NOT bool_or(has_table_privilege(name, 'INSERT, UPDATE, DELETE'))
        FROM unnest(ARRAY['audit_link', 'audit_rowchange', 'audit_era']) AS name""",
    "appends to the chain by the trigger alone": """
        SELECT NOT has_function_privilege('audit_link()', 'EXECUTE')""",
}


def findings(connection: BaseDatabaseWrapper) -> dict[str, bool]:
    """By sentence, whether it holds for the role of this connection."""
    with connection.cursor() as cursor:
        answers = {}
        for sentence, sql in MUST.items():
            cursor.execute(sql)
            answers[sentence] = bool(cursor.fetchone()[0])
    return answers
