"""What the application's role and the read-only role may do. Granted by the owner after each migration, from what the
triggers say: an append-only table is insert-only for the application, a table whose rows are kept is never deleted from.
"""

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper

# Written by triggers and functions of the owner alone.
READ_ONLY = ("audit_rowchange", "audit_link", "audit_era", "django_migrations")
# What the database gives to a row, and nobody who inserts one.
GIVEN = {
    "audit_entry": {"id", "at", "xact"},
    "audit_access": {"id", "at", "xact", "canonical"},
    "audit_clockreading": {"id", "at"},
}
# Called by the portal, and by nobody else who may log in.
OF_APPLICATION = ("audit_begin_era()",)
# Whoever reads these could go on in somebody's session. The columns that guards keep secret are left out as well.
NOT_READ = ("django_session",)

TABLES = """
SELECT c.relname,
       coalesce(bool_or(t.tgname = 'append_only'), false),
       coalesce(bool_or(t.tgname = 'never_deleted'), false),
       (SELECT array_agg(a.attname::text ORDER BY a.attnum) FROM pg_attribute a
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
       coalesce(string_agg(encode(t.tgargs, 'escape'), '') FILTER (WHERE t.tgname = 'guard'), '')
FROM pg_class c LEFT JOIN pg_trigger t ON t.tgrelid = c.oid
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
GROUP BY c.oid, c.relname
"""
# A function of a trigger is called by its trigger. Nobody puts it to a table of their own.
OF_TRIGGERS = """
SELECT p.oid::regprocedure::text FROM pg_proc p
WHERE p.pronamespace = 'public'::regnamespace AND p.prorettype = 'trigger'::regtype
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
        cursor.execute(OF_TRIGGERS)
        for (function,) in cursor.fetchall():
            cursor.execute(f"REVOKE ALL ON FUNCTION {function} FROM PUBLIC")
        for function in OF_APPLICATION:
            cursor.execute(f"REVOKE ALL ON FUNCTION {function} FROM PUBLIC")
            cursor.execute(f"GRANT EXECUTE ON FUNCTION {function} TO {name(application)}")
        if reader in known:
            cursor.execute(f"GRANT USAGE ON SCHEMA public TO {name(reader)}")
        cursor.execute(TABLES)
        for table, append_only, never_deleted, columns, guard in cursor.fetchall():
            _give(cursor, table, application, _rights(table, append_only, never_deleted, columns))
            if reader in known:
                _give(cursor, table, reader, _readable(table, columns, guard))


def _give(cursor: CursorWrapper, table: str, role: str, rights: str) -> None:
    table, role = f'"{table}"', f'"{role}"'
    cursor.execute(f"REVOKE ALL ON {table} FROM {role}")
    if rights:
        cursor.execute(f"GRANT {rights} ON {table} TO {role}")


def _rights(table: str, append_only: bool, never_deleted: bool, columns: list[str]) -> str:
    if table in READ_ONLY:
        return "SELECT"
    if table in GIVEN:
        return f"SELECT, INSERT ({_listed(columns, GIVEN[table])})"
    if append_only:
        return "SELECT, INSERT"
    if never_deleted:
        return "SELECT, INSERT, UPDATE"
    return "SELECT, INSERT, UPDATE, DELETE"


def _readable(table: str, columns: list[str], guard: str) -> str:
    """Of a table, what the read-only role reads. `guard` holds the arguments of its guard, the fourth the secret columns."""
    if table in NOT_READ:
        return ""
    secret = set(guard.split("\\000")[3].split(",")) - {""} if guard else set()
    return f"SELECT ({_listed(columns, secret)})" if secret else "SELECT"


def _listed(columns: list[str], but: set[str]) -> str:
    return ", ".join(f'"{column}"' for column in columns if column not in but)


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
        SELECT NOT coalesce(bool_or(has_any_column_privilege(tgrelid, 'UPDATE') OR has_table_privilege(tgrelid, 'DELETE')), true)
        FROM pg_trigger WHERE tgname = 'append_only'""",
    "removes nothing that is kept": """
        SELECT NOT coalesce(bool_or(has_table_privilege(tgrelid, 'DELETE')), true) FROM pg_trigger
        WHERE tgname = 'never_deleted'""",
    "writes no link and no row change": """
        SELECT NOT bool_or(has_any_column_privilege(name, 'INSERT, UPDATE') OR has_table_privilege(name, 'DELETE'))
        FROM unnest(ARRAY['audit_link', 'audit_rowchange', 'audit_era']) AS name""",
    "chooses neither number nor time nor transaction of an entry or a reading": """
        SELECT NOT bool_or(has_column_privilege(name, given, 'INSERT'))
        FROM unnest(ARRAY['audit_entry', 'audit_access']) AS name, unnest(ARRAY['id', 'at', 'xact']) AS given""",
    "chooses neither number nor time of what a clock said": """
        SELECT NOT bool_or(has_column_privilege('audit_clockreading', given, 'INSERT'))
        FROM unnest(ARRAY['id', 'at']) AS given""",
    "puts no function of the portal's triggers to a table of its own": """
        SELECT NOT bool_or(has_function_privilege(oid, 'EXECUTE')) FROM pg_proc
        WHERE pronamespace = 'public'::regnamespace AND prorettype = 'trigger'::regtype""",
}


def findings(connection: BaseDatabaseWrapper) -> dict[str, bool]:
    """By sentence, whether it holds for the role of this connection."""
    with connection.cursor() as cursor:
        answers = {}
        for sentence, sql in MUST.items():
            cursor.execute(sql)
            answers[sentence] = bool(cursor.fetchone()[0])
    return answers
