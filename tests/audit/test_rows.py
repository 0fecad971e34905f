"""Rows held against the trail: each column that is not what was recorded, and each row that is gone, is said."""

import pytest
from django.db import transaction

from accounts.models import Area
from audit import rows, trail
from audit.actions import Action
from audit.canonical import canonical
from tests.conftest import superuser
from tests.verifier.bench import database


def rename(people, *names: str) -> None:
    for name in names:
        with transaction.atomic():
            Area.objects.filter(pk=people.laboratory.pk).update(name=name)
            trail.record(Action.AREA_CHANGED, people.laboratory, by=people.administrator)


def said(people, **more) -> list[str]:
    return rows.differences("area", str(people.laboratory.pk), **more)


def test_what_was_changed_behind_the_portals_back_is_said_by_its_column(people):
    rename(people, "One", "Two")
    assert said(people) == []
    key = people.laboratory.pk
    with superuser(database()) as raw:
        raw.execute("ALTER TABLE accounts_area DISABLE TRIGGER ALL")
        raw.execute("UPDATE accounts_area SET name = 'One' WHERE id = %s", [key])
    assert said(people) == [f"accounts_area: the column name of row {key} is not what the trail recorded."]
    assert said(people, leave=["accounts_area"]) == []
    assert rows.differences("area", "another") == rows.differences("user", str(key)) == []


def test_a_row_that_is_gone_is_said_and_one_that_the_trail_saw_go_is_not(people):
    rename(people, "One")
    key = people.laboratory.pk
    with superuser(database()) as raw:
        raw.execute("SET session_replication_role = replica")
        raw.execute("ALTER TABLE accounts_area DISABLE TRIGGER ALL")
        raw.execute("DELETE FROM accounts_area WHERE id = %s", [key])
        assert said(people) == [f"accounts_area: the row {key} that the trail recorded is gone."]
        raw.execute("ALTER TABLE audit_rowchange DISABLE TRIGGER ALL")
        raw.execute("UPDATE audit_rowchange SET operation = 'delete' WHERE id = (SELECT max(id) FROM audit_rowchange)")
    assert said(people) == []


@pytest.mark.parametrize(
    "value", [None, True, -(2**53) + 1, 2**53 - 1, "ä", [], (1, "a"), {"a": {"b": [None]}}], ids=str
)
def test_what_canonical_json_holds_is_written(value):
    assert canonical(value)


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (2**53, "integer out of range for canonical JSON, write it as a string: 9007199254740992"),
        (-(2**53), "integer out of range for canonical JSON, write it as a string: -9007199254740992"),
        ([{"a": 1.5}], "canonical JSON holds no float: 1.5"),
        ({1: "a"}, "not a key of canonical JSON: 1"),
        ({"\U0001f600": 1}, "not a key of canonical JSON: '\U0001f600'"),
        ([b"a"], "canonical JSON holds no bytes: b'a'"),
    ],
)
def test_what_canonical_json_does_not_hold_is_refused_in_words(value, sentence):
    with pytest.raises(ValueError) as caught:
        canonical(value)
    assert str(caught.value) == sentence
    assert canonical({"b": 1, "a": "\uffff"}) == '{"a":"\uffff","b":1}'.encode()
