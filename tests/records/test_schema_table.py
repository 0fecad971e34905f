"""A metadata schema becomes a table of fields and comes back as it was."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demo import content
from records import metadata_schema, schema_table
from records.schema_table import FieldRow, TableError

DEMO = content.NGS_RUN_PACKAGE["metadata_schema"]


def back(schema):
    return schema_table.schema_of(schema_table.rows_of(schema), schema_table.rest_of(schema))


def same(a, b):
    return {**a, "required": sorted(a.get("required", []))} == {**b, "required": sorted(b.get("required", []))}


def test_the_demos_schema_survives_and_every_field_has_its_row():
    assert same(back(DEMO), DEMO)
    assert [row.name for row in schema_table.rows_of(DEMO)] == list(DEMO["properties"])


def test_what_has_no_column_stays_beside_the_row():
    schema = {
        "$schema": metadata_schema.DIALECT, "type": "object", "additionalProperties": False, "$defs": {"a": {"type": "string"}},
        "properties": {
            "n": {"type": "integer", "minimum": 1}, "l": {"type": "array", "items": {"type": "string"}, "minItems": 1},
            "m": {"type": ["string", "null"]}, "r": {"$ref": "#/$defs/a"}, "e": {"enum": ["a", 1]},
        },
        "required": ["n"],
    }  # fmt: skip
    assert back(schema) == schema
    rows = {row.name: row for row in schema_table.rows_of(schema)}
    assert (rows["n"].type, rows["n"].required, rows["n"].more) == ("integer", True, '{"minimum": 1}')
    assert (rows["l"].type, rows["m"].type, rows["r"].type) == ("list", "", "")


text = st.text(alphabet=st.characters(categories=("L", "N", "Zs", "P")), max_size=12)
properties = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["string", "integer", "number", "boolean", "array", "object", ["string", "null"]]),
        "title": text.map(str.strip).filter(bool), "description": text.map(str.strip).filter(bool),
        "enum": st.lists(st.one_of(text, st.integers()), min_size=1, max_size=3, unique_by=str),
        "format": st.sampled_from(["date", "email", "hostname"]), "items": st.just({"type": "string"}),
        "minimum": st.integers(), "maxLength": st.integers(0, 9),
    },
)  # fmt: skip


@given(st.dictionaries(text.map(str.strip).filter(bool), properties, max_size=4), st.data())
def test_any_table_of_fields_comes_back_as_it_was(described, data):
    required = data.draw(st.lists(st.sampled_from(sorted(described)), unique=True)) if described else []
    schema = {"$schema": metadata_schema.DIALECT, "type": "object", "properties": described, "required": required}
    assert same(back(schema), schema)


@pytest.mark.parametrize("schema", [
    {"properties": {"a": True}}, {"properties": []}, {"properties": {}, "required": ["a"]}, {"required": "a"},
])  # fmt: skip
def test_what_no_table_can_say_is_left_to_the_json(schema):
    assert schema_table.rows_of(schema) is None


@pytest.mark.parametrize(("rows", "said"), [
    ([FieldRow("")], "has no name"),
    ([FieldRow("a"), FieldRow(" a ")], '"a" stands twice'),
    ([FieldRow("a", more="{")], 'beside the field "a" is not JSON'),
    ([FieldRow("a", more="[1]")], "must be a JSON object"),
])  # fmt: skip
def test_a_row_that_makes_no_schema_is_named(rows, said):
    with pytest.raises(TableError, match=said):
        schema_table.schema_of(rows, {})
