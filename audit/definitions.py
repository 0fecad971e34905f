"""The database's own rules, held against what the migrations say: functions, triggers, and that nothing works around them.

What is expected is read out of the SQL of the migrations themselves, and what is found out of the catalogue, field by field: no
text that PostgreSQL writes anew is compared, so that one version's spelling is not another one's alarm.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.apps import apps
from django.db import connection, models
from django.db.migrations import RunSQL
from django.db.migrations.loader import MigrationLoader

from audit.canonical import canonical

FUNCTION = re.compile(r"CREATE (?:OR REPLACE )?FUNCTION (\w+)\((.*?)\)\s+RETURNS (.*?)\sAS\s+\$\$(.*?)\$\$", re.DOTALL)
TRIGGER = re.compile(
    r"CREATE (CONSTRAINT )?TRIGGER (\w+)\s+(BEFORE|AFTER)\s+((?:INSERT|UPDATE|DELETE|TRUNCATE| OR )+)\s+ON (\w+)\s+"
    r"(.*?)EXECUTE FUNCTION (\w+)\((.*?)\)\s*;",
    re.DOTALL,
)
ALWAYS = re.compile(r"ALTER TABLE (\w+) ENABLE ALWAYS TRIGGER (\w+)")
CONSTRAINT = re.compile(r"ALTER TABLE (\w+) ADD CONSTRAINT (\w+)")
SETTING = re.compile(r"SET (\w+) = (.*?)(?=\sSET\s|\s*$)", re.DOTALL)
BITS = {"BEFORE": 2, "INSERT": 4, "DELETE": 8, "UPDATE": 16, "TRUNCATE": 32}
ROW = 1

Rules = dict[str, dict[str, Any]]

FUNCTIONS = """
SELECT p.proname, count(*) OVER (PARTITION BY p.proname) > 1, p.prosrc, p.prosecdef, p.provolatile::text,
       coalesce(p.proconfig, '{}')
FROM pg_proc p WHERE p.pronamespace = 'public'::regnamespace AND p.prokind = 'f'
  AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype IN ('e', 'i'))
"""
TRIGGERS = """
SELECT c.relname, t.tgname, CASE WHEN p.pronamespace = 'public'::regnamespace THEN '' ELSE n.nspname || '.' END || p.proname,
       t.tgtype, t.tgenabled::text, t.tgdeferrable, t.tginitdeferred, t.tgargs, t.tgattr::text,
       t.tgqual IS NOT NULL, t.tgenabled = parent.tgenabled
FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
JOIN pg_proc p ON p.oid = t.tgfoid JOIN pg_namespace n ON n.oid = p.pronamespace
LEFT JOIN pg_trigger parent ON parent.oid = t.tgparentid
WHERE NOT t.tgisinternal AND c.relnamespace = 'public'::regnamespace
"""
# Ways around a trigger that leave it in its place.
AROUND = """
SELECT 'the rule ' || r.rulename || ' on ' || r.tablename FROM pg_rules r WHERE r.schemaname = 'public'
UNION ALL
SELECT 'row security on ' || c.relname FROM pg_class c
  WHERE c.relnamespace = 'public'::regnamespace AND (c.relrowsecurity OR c.relforcerowsecurity)
UNION ALL
SELECT 'foreign keys switched off on ' || c.relname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
  WHERE t.tgisinternal AND t.tgenabled <> 'O' AND c.relnamespace = 'public'::regnamespace
UNION ALL
SELECT 'the constraint ' || k.conname || ' on ' || c.relname || ', which old rows need not meet'
  FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
  WHERE k.connamespace = 'public'::regnamespace AND NOT k.convalidated
UNION ALL
SELECT 'the event trigger ' || e.evtname FROM pg_event_trigger e
UNION ALL
SELECT 'the setting ' || split_part(s.setting, '=', 1) || ' of ' || coalesce(r.rolname, 'every role')
  FROM pg_db_role_setting d CROSS JOIN unnest(d.setconfig) AS s(setting) LEFT JOIN pg_roles r ON r.oid = d.setrole
  WHERE d.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
    AND split_part(s.setting, '=', 1) IN ('session_replication_role', 'search_path', 'check_function_bodies', 'row_security')
ORDER BY 1
"""


@dataclass(frozen=True)
class Fingerprint:
    """SHA-256 of the rules that the code expects and of those that were found; what differs, as sentences."""

    expected: str
    found: str
    differences: tuple[str, ...]


def fingerprint() -> Fingerprint:
    """Compare the database's rules with those of the migrations; some ten milliseconds."""
    wanted, there = expected(), found()
    differences = [f"{name} is not what the code says: {_how(wanted[name], there[name])}."
                   for name in sorted(wanted.keys() & there.keys()) if wanted[name] != there[name]]  # fmt: skip
    differences += [f"{name} is missing." for name in sorted(wanted.keys() - there.keys())]
    differences += [f"{name} is there, and no migration made it." for name in sorted(there.keys() - wanted.keys())]
    return Fingerprint(_sha256(wanted), _sha256(there), tuple(differences))


def _how(wanted: dict[str, Any], there: dict[str, Any]) -> str:
    return ", ".join(sorted(name for name in wanted if wanted[name] != there.get(name)))


def _sha256(rules: Rules) -> str:
    return hashlib.sha256(canonical(rules)).hexdigest()


# Expected -------------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def expected() -> Rules:
    """What the migrations make, the last word of each counting."""
    rules: Rules = {}
    for sql in _statements():
        for name, _, head, body in FUNCTION.findall(sql):
            rules[f"function {name}"] = {
                "body": body.strip(),
                "rights": "of its owner" if "SECURITY DEFINER" in head else "of who calls it",
                "volatility": next((word[0].lower() for word in ("IMMUTABLE", "STABLE") if word in head), "v"),
                "settings": sorted(_plain(f"{key}={value}") for key, value in SETTING.findall(head)),
            }
        for constraint, name, when, events, table, rest, function, arguments in TRIGGER.findall(sql):
            rules[f"trigger {name} on {table}"] = {
                "function": function,
                "events": BITS.get(when, 0) + sum(BITS[event] for event in events.split(" OR "))
                + (ROW if "FOR EACH ROW" in rest else 0),
                "enabled": "O",
                "deferred": bool(constraint) and "INITIALLY DEFERRED" in rest,
                "arguments": "\0".join(re.findall(r"'([^']*)'", arguments)),
                "narrowed": " OF " in rest or "WHEN" in rest,
            }  # fmt: skip
        for table, name in ALWAYS.findall(sql):
            rules[f"trigger {name} on {table}"]["enabled"] = "A"
        for table, name in CONSTRAINT.findall(sql):
            rules[f"constraint {name} on {table}"] = {"there": True}
    return rules | {f"constraint {name} on {table}": {"there": True} for table, name in _constraints()}


def _statements() -> Iterator[str]:
    loader = MigrationLoader(None)
    seen = set()
    for leaf in sorted(loader.graph.leaf_nodes()):
        for node in loader.graph.forwards_plan(leaf):
            if node not in seen:
                seen.add(node)
                for operation in loader.graph.nodes[node].operations:
                    if isinstance(operation, RunSQL) and isinstance(operation.sql, str):
                        yield operation.sql


def _constraints() -> Iterator[tuple[str, str]]:
    """Constraints that models name and that PostgreSQL knows as such (a unique one with a condition is an index)."""
    for model in apps.get_models():
        for constraint in model._meta.constraints:
            if not (
                isinstance(constraint, models.UniqueConstraint) and (constraint.condition or constraint.expressions)
            ):
                yield model._meta.db_table, constraint.name


# Found ----------------------------------------------------------------------------------------------------------------


def found() -> Rules:
    """What the catalogue has. Triggers of partitions count where they are not switched as those of their table, and a function
    of another schema has another name."""
    rules: Rules = {}
    with connection.cursor() as cursor:
        cursor.execute(FUNCTIONS)
        for name, twins, body, definer, volatility, settings in cursor.fetchall():
            rules[f"function {name}"] = {
                "body": "there are several of this name" if twins else body.strip(),
                "rights": "of its owner" if definer else "of who calls it",
                "volatility": volatility,
                "settings": sorted(_plain(setting) for setting in settings),
            }
        cursor.execute(TRIGGERS)
        for (
            table,
            name,
            function,
            events,
            enabled,
            deferrable,
            deferred,
            arguments,
            columns,
            when,
            as_its_table,
        ) in cursor.fetchall():
            if as_its_table:
                continue
            rules[f"trigger {name} on {table}"] = {
                "function": function,
                "events": events,
                "enabled": enabled,
                "deferred": deferrable and deferred,
                "arguments": bytes(arguments).decode().removesuffix("\0"),
                "narrowed": bool(columns) or when,
            }
        cursor.execute("SELECT c.relname, k.conname FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid"
                       " WHERE k.connamespace = 'public'::regnamespace AND NOT c.relispartition")  # fmt: skip
        named = {key for key in expected() if key.startswith("constraint ")}
        there = {f"constraint {name} on {table}" for table, name in cursor.fetchall()}
        rules |= {key: {"there": True} for key in named & there}
        cursor.execute(AROUND)
        rules |= {name[0].upper() + name[1:]: {"there": True} for (name,) in cursor.fetchall()}
    return rules


def _plain(setting: str) -> str:
    """A setting as both sides spell it."""
    return re.sub(r"[\s'\"]", "", setting).lower()
