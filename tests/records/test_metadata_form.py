"""A form made from a schema gives metadata of the right types, and puts what the schema says at the right field."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from records.metadata_form import OTHERS, form_class, initial
from records.metadata_schema import Failure, schema_problems

SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["run_id", "run_date", "passed", "samples", "assay"],
    "properties": {
        "run_id": {
            "title": "Run ID",
            "description": "As on the <b>label</b>.",
            "type": "string",
            "pattern": "^RUN-[0-9]{4}$",
            "examples": ["RUN-0001"],
        },
        "run_date": {"title": "Run date", "type": "string", "format": "date"},
        "operator": {"type": "string", "format": "email"},
        "assay": {"$ref": "#/$defs/assay", "title": "Assay"},
        "lanes": {"type": "integer", "minimum": 1, "maximum": 8},
        "q30": {"type": "number", "minimum": 0, "maximum": 100},
        "passed": {"title": "Passed", "type": "boolean"},
        "samples": {"title": "Samples", "type": "array", "items": {"type": "string", "minLength": 2}, "minItems": 1},
        "notes": {"type": "string", "maxLength": 5000},
        "plate": {"type": "object", "properties": {"rows": {"type": "integer"}}},
        "priority": {"enum": [1, 2, "urgent"]},
        "reviewed": {"type": ["string", "null"]},
        "odd name!": {"type": "string", "default": "x"},
        "schema": {"type": "string"},
    },
    "$defs": {"assay": {"type": "string", "enum": ["KRAS", "EGFR"]}},
}
TYPED = {
    "run_id": " RUN-0001 ",
    "run_date": "2026-02-28",
    "operator": "ada@lab.example",
    "assay": '"KRAS"',
    "lanes": "4",
    "q30": "92.3",
    "passed": "true",
    "samples": "S-1\r\n\r\n S-2 \r\n",
    "notes": "one\r\ntwo",
    "plate": '{"rows": 8}',
    "priority": "2",
    "reviewed": "",
    "property-13": "y",
    "schema": "v2",
}
METADATA = {
    "run_id": "RUN-0001",
    "run_date": "2026-02-28",
    "operator": "ada@lab.example",
    "assay": "KRAS",
    "lanes": 4,
    "q30": 92.3,
    "passed": True,
    "samples": ["S-1", "S-2"],
    "notes": "one\ntwo",
    "plate": {"rows": 8},
    "priority": 2,
    "odd name!": "y",
    "schema": "v2",
}


def filled(schema, typed):
    form = form_class(schema)(typed)
    form.is_valid()
    return form


def one(described, typed, *, required=False):
    schema = {"type": "object", "properties": {"a": described}, "required": ["a"] if required else []}
    assert schema_problems(schema) == []
    return filled(schema, {"a": typed})


def test_what_is_typed_becomes_metadata_of_the_right_types():
    assert schema_problems(SCHEMA) == []
    form = filled(SCHEMA, TYPED)
    assert form.errors == {}
    assert form.metadata() == METADATA
    assert [type(form.metadata()[name]) for name in ("lanes", "q30", "passed", "priority")] == [int, float, bool, int]


def test_the_form_filled_from_metadata_gives_the_same_metadata():
    shown = initial(SCHEMA, METADATA)
    assert filled(SCHEMA, shown).metadata() == METADATA
    html = form_class(SCHEMA)(initial=shown).as_div()
    assert 'value="2026-02-28"' in html
    assert '<option value="true" selected>Yes</option>' in html


def test_labels_help_and_hints_come_from_the_schema_as_text_never_as_html():
    form = form_class(SCHEMA)()
    assert form.fields["run_id"].label == "Run ID"
    assert form.fields["operator"].label == "operator"
    assert form.fields["run_id"].required
    assert not form.fields["lanes"].required
    assert str(form.fields["run_id"].help_text) == "As on the &lt;b&gt;label&lt;/b&gt;."
    html = form.as_div()
    assert "<b>label</b>" not in html
    assert "style=" not in html
    assert 'placeholder="RUN-0001"' in html
    assert 'min="1"' in html
    assert form.fields["property-13"].initial == "x"


def test_a_hostile_title_and_choice_stay_text():
    evil = "<script>alert(1)</script>"
    html = form_class(
        {"type": "object", "properties": {evil: {"title": evil, "description": evil, "enum": [evil], "default": evil}}}
    )().as_div()
    assert "<script>" not in html


def test_everything_wrong_is_said_at_its_field_in_the_words_of_the_gate():
    form = filled(
        SCHEMA,
        {
            **TYPED,
            "run_id": "run 1",
            "run_date": "28.2.2026",
            "lanes": "9",
            "samples": "S-1\nx",
            "passed": "",
            "plate": '{"rows": "x"}',
            "assay": '"BRAF"',
        },
    )
    assert {field: list(errors) for field, errors in form.errors.items()} == {
        "run_id": ['Run ID (run_id) must look like "RUN-0001"; it is "run 1".'],
        "run_date": ['Run date (run_date) must be a day written as 2026-01-31; it is "28.2.2026".'],
        "lanes": ['"lanes" must be at most 8; it is 9.'],
        "passed": ["This field is required."],
        "samples": ['"samples, item 2" must have at least 2 characters; it has 1.'],
        "plate": ['"plate, rows" must be a whole number, not "x".'],
        "assay": ["Choose one of the values that are listed."],
    }


def test_a_failure_without_a_field_stands_above_the_form():
    form = filled(SCHEMA, TYPED)
    form.add_failures(
        [Failure("metadata", "The metadata is odd."), Failure("metadata.x", '"x" is not expected.', ("x",))]
    )
    assert list(form.non_field_errors()) == ["The metadata is odd.", '"x" is not expected.']


def test_empty_fields_are_absent_unless_the_value_must_be_there():
    schema = {
        "type": "object",
        "properties": {name: words for name, words in SCHEMA["properties"].items() if name != "assay"},
    }
    assert filled(schema, {}).metadata() == {}
    listed = {"type": "array", "items": {"type": "string"}}
    assert one(listed, "", required=True).metadata() == {"a": []}
    assert one(listed, "").metadata() == {}
    assert one({"type": ["string", "null"]}, "", required=True).metadata() == {"a": None}
    assert one({"type": ["integer", "null"]}, "7", required=True).metadata() == {"a": 7}
    assert one({"type": "boolean"}, "false", required=True).metadata() == {"a": False}


@pytest.mark.parametrize(
    ("typed", "value"),
    [
        ("3", 3),
        ("3.0", 3.0),
        ("-0.5", -0.5),
        ("1e3", 1000),
        ("1e-3", 0.001),
        ("0.1", 0.1),
        ("12345678901234567890", 12345678901234567890),
        ("92.30", 92.3),
    ],
)
def test_numbers_are_kept_as_typed(typed, value):
    kept = one({"type": "number"}, typed).metadata()["a"]
    assert (kept, type(kept)) == (value, type(value))


@pytest.mark.parametrize(
    "typed",
    [
        "x",
        "nan",
        "inf",
        "-Infinity",
        "1,5",
        "1_000",
        "0.1234567890123456789",
        "1e999",
        "9" * 400,
        "\u0663\u0664x",
        "1e300000",
    ],
)
def test_numbers_that_cannot_be_kept_are_refused(typed):
    assert "a" in one({"type": "number"}, typed).errors


@pytest.mark.parametrize("typed", ["x", "1.5", "1_000", "9" * 5000, "\u0663", "", " "])
def test_whole_numbers_that_are_none_are_refused(typed):
    assert "a" in one({"type": "integer"}, typed, required=True).errors


@pytest.mark.parametrize("typed", ["{", '{"a": 1, "a": 2}', "NaN", '"\\ud800"', '"\\u0000"', "[" * 100_000, "1e999"])
def test_json_that_cannot_be_kept_is_refused(typed):
    assert "a" in one({"type": "object"}, typed).errors


def test_values_that_the_schema_allows_but_does_not_list_have_a_field_of_their_own():
    schema = {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": {"type": "integer"}}
    form = filled(schema, {"a": "x", OTHERS: '{"b": 2}'})
    assert form.metadata() == {"a": "x", "b": 2}
    assert filled(schema, initial(schema, form.metadata())).metadata() == form.metadata()
    assert filled(schema, {OTHERS: '{"b": "x"}'}).errors == {OTHERS: ['"b" must be a whole number, not "x".']}
    assert OTHERS in filled(schema, {OTHERS: "[]"}).errors


def test_a_form_with_a_prefix_keeps_its_fields_apart_from_others():
    form = form_class(SCHEMA)({f"metadata-{name}": value for name, value in TYPED.items()}, prefix="metadata")
    assert form.is_valid()
    assert form.metadata() == METADATA


line = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=8)
number = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**30), 10**30)
scalar = st.none() | st.booleans() | number | line
anything = st.recursive(
    scalar, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(line, inner, max_size=3), max_leaves=6
)
FREE = {
    "type": "object",
    "properties": {
        "text": {"type": "string"},
        "whole": {"type": "integer"},
        "number": {"type": "number"},
        "yes": {"type": "boolean"},
        "list": {"type": "array", "items": {"type": "string"}},
        "any": {},
        "choice": {"enum": [1, 1.5, "1", None, True, ["x"]]},
    },
}


@settings(deadline=None)
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "text": line,
            "whole": st.integers(-(10**30), 10**30),
            "number": number,
            "yes": st.booleans(),
            "list": st.lists(line, min_size=1, max_size=4),
            "any": anything,
            "choice": st.sampled_from(FREE["properties"]["choice"]["enum"]),
        },
    )
)
def test_any_metadata_goes_through_the_form_unchanged(metadata):
    form = filled(FREE, {name: str(value) for name, value in initial(FREE, metadata).items()})
    assert form.errors == {}
    assert form.metadata() == metadata


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(list(TYPED)), st.text(max_size=20)))
def test_nothing_typed_makes_the_form_fail_otherwise_than_by_its_errors(typed):
    form = filled(SCHEMA, typed)
    assert form.errors or form.metadata()
