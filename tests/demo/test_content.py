"""The demo's words fit together: documents apply, metadata meets the definition, and everybody who is named exists."""

from __future__ import annotations

from datetime import date, timedelta

import jsonschema
import pytest

from demo import content
from records import contract


@pytest.mark.parametrize("document", content.DOCUMENTATION, ids=lambda document: document.title)
def test_each_document_is_filled_and_its_changes_apply(document: content.Document) -> None:
    assert "[FILL:" not in document.text()
    if document.changes:
        assert document.next_text() != document.text()


@pytest.mark.parametrize("sop", content.SOPS, ids=lambda sop: sop.name)
def test_each_sop_is_filled(sop: content.Sop) -> None:
    assert "[FILL:" not in sop.text()


def test_metadata_of_every_package_meets_the_definition() -> None:
    validator = jsonschema.Draft202012Validator(
        content.METADATA_SCHEMA, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
    )
    jsonschema.Draft202012Validator.check_schema(content.METADATA_SCHEMA)
    for package in content.PACKAGES:
        for version in (*package.versions, content.KRAS_001_V4):
            day = date(2026, 11, 20) - timedelta(days=version.run_days_ago)
            assert not list(validator.iter_errors({**version.metadata, "run_date": day.isoformat()}))
        assert {version.metadata["samples"] for version in package.versions} == {len(package.samples)}


def test_the_refused_registration_would_break_the_schema_as_well() -> None:
    wrong = {**content.BRCA_001.versions[0].metadata, "run_date": "2026-11-14", **content.WRONG_METADATA}
    assert list(jsonschema.Draft202012Validator(content.METADATA_SCHEMA).iter_errors(wrong))


def test_everybody_has_a_role_and_administrators_have_no_other() -> None:
    usernames = [someone.username for someone in content.PEOPLE]
    assert len(usernames) == len(set(usernames))
    for someone in content.PEOPLE:
        assert someone.roles
        assert set(someone.areas) <= set(content.FIRM.areas)
        if "administrator" in someone.roles:
            assert someone.roles == ("administrator",)
        assert someone.email.endswith(".example")
    roles = {role for someone in content.PEOPLE for role in someone.roles}
    assert roles == {"author", "reviewer", "approver", "operator", "scientist", "inspector", "administrator"}


def test_the_definition_is_one_that_can_be_approved() -> None:
    definition = contract.Definition.from_json(content.NGS_RUN_PACKAGE)
    assert contract.problems(definition) == []
