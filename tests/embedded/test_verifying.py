"""What was changed behind the portal's back is named by the commands that an operator runs, and they exit 1."""

import json
import os
import urllib.request

import psycopg
import pytest

from tests import firm as building
from tests.browser.site import Site
from tests.firm import Firm


@pytest.fixture
def site(firm: Firm, tmp_path) -> Site:
    """The commands on this test's own database; nothing is served."""
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        return Site(connection.info.dbname, tmp_path)


@pytest.mark.long
@pytest.mark.compliance("11.10(a)")
def test_where_nothing_was_changed_both_commands_say_so_and_exit_0(firm, site):
    walked = site.manage("verify_audit", "--json")
    assert walked.returncode == 0, walked.stderr
    assert json.loads(walked.stdout)["ok"] is True
    read = site.manage("verify_version", "KRAS-001", "1", "--json")
    assert read.returncode == 0, read.stderr
    assert json.loads(read.stdout)["outcome"] == "unchanged"


@pytest.mark.compliance("11.10(a)")
def test_one_column_of_one_entry_is_named(firm, site):
    as_superuser(site.database, "audit_entry", "UPDATE audit_entry SET actor_name = 'Somebody Else' WHERE id = 9")
    walked = site.manage("verify_audit", "--json")
    assert walked.returncode == 1
    assert json.loads(walked.stdout)["fault"]["sentence"] == "The column actor_name of entry 9 is not what was chained."


@pytest.mark.long
@pytest.mark.compliance("11.10(a)")
def test_one_column_of_a_version_is_named(firm, site):
    as_superuser(
        site.database,
        "records_version",
        "UPDATE records_version SET message = 'Run one' WHERE ordinal = 1 AND message = 'Run 1'",
    )
    read = site.manage("verify_version", "KRAS-001", "1", "--json")
    assert read.returncode == 1
    assert "message" in read.stdout


@pytest.mark.compliance("11.10(a)")
def test_one_byte_of_one_object_is_named(firm, site):
    version = building.register(firm.kras, 1, 3, by=firm.operator)
    file = version.files.get(logical_key="README.md")
    said = json.dumps({"bucket": file.bucket, "key": file.key, "version_id": file.s3_version, "offset": 11})
    url = f"{os.environ['S3_ENDPOINT_URL']}/standin/tamper"
    with urllib.request.urlopen(urllib.request.Request(url, said.encode(), method="POST"), timeout=30) as answer:
        assert answer.status == 200
    read = site.manage("verify_version", "KRAS-001", "3", "--json")
    assert read.returncode == 1
    assert "README.md" in read.stdout
    assert json.loads(read.stdout)["outcome"] == "changed"


def as_superuser(database: str, table: str, statement: str) -> None:
    """Behind the portal's back: with the triggers off, as only the owner of the server can."""
    from tests.conftest import superuser

    with superuser(database) as connection:
        connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
        assert connection.execute(statement).rowcount == 1
        connection.execute(f"ALTER TABLE {table} ENABLE TRIGGER ALL")
