"""The rights of the application's role and the rules of the database, held against the code (§4, DBA)."""

import json
from io import StringIO

import pytest
from django.core.management import call_command

from audit import definitions
from audit.models import Alarm
from portal import anchoring
from tests.conftest import ROOT, superuser
from tests.verifier.bench import database


@pytest.fixture
def clocked(people):
    """The tests replace the clock, which the check must find; here it is the real one again."""
    with superuser(database()) as raw:
        wanted = definitions.expected()["function audit_now"]["body"]
        raw.execute(
            f"CREATE OR REPLACE FUNCTION audit_now() RETURNS timestamptz LANGUAGE sql VOLATILE AS $$ {wanted} $$"
        )
    return people


def check():
    out = StringIO()
    try:
        call_command("check_database", "--json", stdout=out)
        return 0, json.loads(out.getvalue())
    except SystemExit as exit_:
        return exit_.code, json.loads(out.getvalue())


@pytest.mark.compliance("DBA", "11.10(e)")
def test_compliance_the_applications_role_owns_nothing_and_cannot_switch_a_trigger_off(clocked):
    code, said = check()
    assert said["rights"] and all(said["rights"].values()), said["rights"]
    assert (code, said["differences"], said["expected"]) == (0, [], said["found"])
    assert not Alarm.objects.exists()


def test_every_function_and_trigger_that_a_migration_writes_is_known(empty):
    """What the expressions do not read would be told as "no migration made it"; what they read wrongly, as different."""
    rules = definitions.expected()
    made = sum((ROOT / path).read_text().count("CREATE FUNCTION") for path in (
        "audit/migrations/0000_clock.py", "audit/migrations/0002_guards.py", "cloudtrail/migrations/0002_events.py",
        "cloudtrail/migrations/0003_proof.py"))  # fmt: skip
    assert len([name for name in rules if name.startswith("function ")]) > made > 15
    assert [said for said in definitions.fingerprint().differences if "audit_now" not in said] == []


SO_THAT_NOTHING_CAN_BE_WRITTEN = (
    "ALTER FUNCTION audit_capture() SECURITY INVOKER",
    "ALTER TABLE audit_entry ENABLE ROW LEVEL SECURITY",
    "ALTER TABLE audit_entry OWNER TO countersign_app",
)


@pytest.mark.parametrize(
    ("attack", "named"),
    [
        ("ALTER TABLE audit_entry DISABLE TRIGGER link", "Trigger link on audit_entry"),
        ("ALTER TABLE accounts_user DISABLE TRIGGER ALL", "trigger guard on accounts_user"),
        ("ALTER TABLE audit_link ENABLE TRIGGER append_only", "trigger append_only on audit_link"),
        ("ALTER TABLE audit_link ENABLE REPLICA TRIGGER append_only", "trigger append_only on audit_link"),
        ("ALTER TABLE cloudtrail_event_default DISABLE TRIGGER append_only", "trigger append_only on cloudtrail_event_default"),
        ("DROP TRIGGER guard ON records_version", "trigger guard on records_version is missing"),
        ("CREATE OR REPLACE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog"
         " AS $$ BEGIN RETURN NULL; END $$", "function audit_refuse"),
        ("ALTER FUNCTION audit_capture() SECURITY INVOKER", "function audit_capture is not what the code says: rights"),
        ("ALTER FUNCTION audit_capture() RESET search_path", "function audit_capture is not what the code says: settings"),
        ("CREATE SCHEMA other; CREATE FUNCTION other.audit_capture() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;"
         " CREATE OR REPLACE TRIGGER guard AFTER INSERT OR UPDATE OR DELETE ON accounts_area FOR EACH ROW"
         " EXECUTE FUNCTION other.audit_capture('area', 'id', 'id', '', ''); ALTER TABLE accounts_area ENABLE ALWAYS TRIGGER guard",
         "trigger guard on accounts_area is not what the code says: function"),
        ("CREATE FUNCTION audit_refuse(x integer) RETURNS void LANGUAGE sql AS $$ SELECT $$", "function audit_refuse"),
        ("ALTER TABLE cloudtrail_event_default ENABLE REPLICA TRIGGER append_only", "trigger append_only on cloudtrail_event_default"),
        ("GRANT INSERT (base) ON audit_era TO countersign_app", "writes no link and no row change"),
        ("GRANT UPDATE (reason) ON audit_entry TO countersign_app", "changes and removes nothing that is append-only"),
        ("GRANT INSERT (id) ON audit_entry TO countersign_app", "chooses neither number nor time nor transaction"),
        ("GRANT EXECUTE ON FUNCTION audit_capture() TO PUBLIC", "puts no function of the portal's triggers"),
        ("CREATE RULE hide AS ON UPDATE TO audit_entry DO INSTEAD NOTHING", "The rule hide on audit_entry"),
        ("ALTER TABLE audit_entry ENABLE ROW LEVEL SECURITY", "Row security on audit_entry"),
        ("ALTER TABLE audit_link DROP CONSTRAINT link_of_one_thing", "constraint link_of_one_thing on audit_link is missing"),
        ("ALTER TABLE records_effectivity DROP CONSTRAINT one_effective_version", "constraint one_effective_version"),
        ("ALTER TABLE records_version DISABLE TRIGGER ALL", "Foreign keys switched off on records_version"),
        ("ALTER DATABASE {} SET session_replication_role = replica", "The setting session_replication_role of every role"),
        ("ALTER TABLE audit_entry OWNER TO countersign_app", "It does not hold that the role countersign_app owns no table"),
        ("GRANT TRIGGER ON audit_entry TO countersign_app", "sets no trigger on any table"),
        ("GRANT UPDATE ON audit_entry TO countersign_app", "changes and removes nothing that is append-only"),
    ],
)  # fmt: skip
@pytest.mark.compliance("DBA")
def test_compliance_whoever_weakens_the_rules_of_the_database_raises_an_alarm(clocked, attack, named):
    with superuser(database()) as raw:
        raw.execute(attack.format(database()))
    code, said = check()
    assert (code, said["ok"]) == (1, False)
    checked = anchoring.check_database()
    assert named.lower() in " ".join(checked.wrong).lower()
    if attack not in SO_THAT_NOTHING_CAN_BE_WRITTEN:
        alarm = Alarm.objects.get(kind=Alarm.Kind.TRIGGER_DRIFT)
        assert named.lower() in alarm.sentence.lower()
        assert alarm.count == 1, "said once while it stands"


@pytest.mark.compliance("DBA")
def test_compliance_the_reader_reads_what_is_no_secret_and_writes_nothing(empty):
    with superuser(empty) as raw:
        usage = raw.execute("SELECT has_schema_privilege('countersign_reader', 'public', 'USAGE')").fetchone()
        rights = raw.execute(
            "SELECT bool_and(has_any_column_privilege('countersign_reader', oid, 'SELECT') OR relname = 'django_session'),"
            " bool_or(has_table_privilege('countersign_reader', oid, 'INSERT, UPDATE, DELETE, TRUNCATE')) FROM pg_class"
            " WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition"
            " AND relname <> 'test_clock'"
        ).fetchone()
        secrets = raw.execute(
            "SELECT c.relname, a.attname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid"
            " CROSS JOIN unnest(string_to_array(split_part(encode(t.tgargs, 'escape'), '\\000', 4), ',')) AS a(attname)"
            " WHERE t.tgname = 'guard' AND a.attname <> ''"
        ).fetchall()
        read = [
            (table, column)
            for table, column in [*secrets, ("django_session", "session_key")]
            if raw.execute(
                "SELECT has_column_privilege('countersign_reader', %s, %s, 'SELECT')", [table, column]
            ).fetchone()[0]
        ]
    assert usage == (True,) and rights == (True, False)
    assert ("accounts_user", "password") in secrets and len(secrets) > 1 and read == []
