"""The definition of a record type as a gate: everything wrong is said at once, and nothing hostile gets through or holds it up."""

import json
import time
from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from records import contract, metadata_schema
from records.contract import Definition, DefinitionError, RequiredFile, Signer
from records.manifest import Entry


@dataclass(frozen=True)
class File:
    logical_key: str
    size: int = 10


SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "additionalProperties": False,
    "required": ["run_id", "operator", "run_date"],
    "properties": {
        "run_id": {"title": "Run ID", "type": "string", "pattern": "^RUN-[0-9]{4}$"},
        "operator": {"title": "Operator", "type": "string", "format": "email"},
        "run_date": {"title": "Run date", "type": "string", "format": "date"},
        "q30": {"title": "Q30", "type": "number", "minimum": 0, "maximum": 100, "multipleOf": 0.1},
        "assay": {"title": "Assay", "enum": ["KRAS", "EGFR"]},
        "samples": {
            "title": "Samples",
            "type": "array",
            "minItems": 1,
            "uniqueItems": True,
            "items": {
                "type": "object",
                "required": ["id"],
                "properties": {"id": {"title": "Sample ID", "type": "string", "minLength": 3}},
            },
        },
    },
}

NGS = Definition(
    name="NGS run package",
    description="Reads and results of one sequencing run.",
    part11=True,
    part11_reason="It supports the release of a diagnostic result.",
    predicate_rule="21 CFR 820.180",
    owner="Sequencing laboratory",
    retention_years=15,
    required_files=(
        RequiredFile("README.md", "README", max_count=1),
        RequiredFile("qc/*.pdf", "QC report", media_type="application/pdf"),
        RequiredFile("reads/**/*.fastq.gz", "Reads", min_count=2),
    ),
    metadata_schema=SCHEMA,
    signers=(
        Signer("reviewer", "review", "I have reviewed this package."),
        Signer("approver", "approval", "I approve this package."),
    ),
)
FILES = [File("README.md"), File("qc/report.pdf"), File("reads/a.fastq.gz"), File("reads/lane 2/b.fastq.gz")]
METADATA = {
    "run_id": "RUN-0001",
    "operator": "ada@lab.example",
    "run_date": "2026-02-28",
    "q30": 92.3,
    "assay": "KRAS",
    "samples": [{"id": "S-1"}],
}


def sentences(failures):
    return [failure.sentence for failure in failures]


def with_schema(**words):
    return replace(NGS, metadata_schema={"type": "object", **words})


def test_a_complete_package_has_no_failures_and_the_definition_no_problems():
    assert contract.problems(NGS) == []
    assert contract.check(NGS, FILES, METADATA) == []


def test_all_failures_are_told_at_once_in_plain_words():
    files = [File("README.md", 0), File("reads/a.fastq.gz"), File("notes.txt"), File("notes.txt")]
    metadata = {
        "run_id": "run 1",
        "run_date": "2026-02-30",
        "q30": 101,
        "assay": "BRAF",
        "samples": [{"id": "S1"}, {}],
        "colour": "red",
    }
    assert sentences(contract.check(NGS, files, metadata)) == [
        "notes.txt is listed 2 times; a name stands for one file.",
        "README (README.md) is empty: it has 0 bytes.",
        "QC report (qc/*.pdf) is missing: at least 1 is required, 0 found.",
        "Reads (reads/**/*.fastq.gz) is incomplete: at least 2 are required, 1 found.",
        "notes.txt is not expected: the definition names no such file and allows no others.",
        'Assay (assay) must be one of "KRAS", "EGFR", not "BRAF".',
        '"colour" is not expected.',
        "Operator (operator) is missing.",
        "Q30 (q30) must be at most 100; it is 101.",
        'Run date (run_date) must be a day written as 2026-01-31; it is "2026-02-30".',
        'Run ID (run_id) must have the form ^RUN-[0-9]{4}$; it is "run 1".',
        "Sample ID (samples, item 1, id) must have at least 3 characters; it has 2.",
        "Sample ID (samples, item 2, id) is missing.",
    ]


def test_a_failure_of_metadata_carries_its_path_for_a_form():
    failures = contract.check(NGS, FILES, {**METADATA, "samples": [{"id": 7}]})
    assert [(failure.where, failure.path) for failure in failures] == [("metadata.samples[0].id", ("samples", 0, "id"))]
    assert sentences(failures) == ["Sample ID (samples, item 1, id) must be text, not 7."]


def test_too_many_files_a_wrong_media_type_and_no_files_are_failures():
    extra = [*FILES, File("qc/second.pdf"), File("README.md")]
    assert "README.md is listed 2 times; a name stands for one file." in sentences(contract.check(NGS, extra, METADATA))
    one = replace(NGS, required_files=(RequiredFile("*", "Report", max_count=1, media_type="application/pdf"),))
    assert sentences(contract.check(one, [File("a.pdf"), File("b.csv")], METADATA)) == [
        "Report (*) is there too often: at most 1 is allowed, 2 found.",
        "Report (b.csv) must be application/pdf; this is text/csv.",
    ]
    assert contract.check(one, [File("b.csv")], METADATA, media_types={"b.csv": "application/pdf"}) == []
    assert sentences(contract.check(replace(NGS, required_files=(), other_files=True), [], METADATA)) == [
        "The package has no files."
    ]


def test_an_empty_file_that_nobody_asked_for_is_admitted_where_other_files_are():
    assert contract.check(replace(NGS, other_files=True), [*FILES, File("_SUCCESS", 0)], METADATA) == []


def test_what_a_manifest_could_not_hold_is_a_failure_like_any_other():
    free = replace(NGS, required_files=(), other_files=True)
    entries = [
        Entry("a\nb", "records", "k", "v", 1, "", {}),
        Entry("c", "records", "k", "null", 1, "", {}),
        Entry("d", "records", "k", "v", 1, "", {}),
        Entry("d/e", "records", "k", "v", 1, "", {}),
    ]
    assert sentences(contract.check(free, entries, METADATA)) == [
        "a\nb cannot be in a package: 'a\\nb' holds a control character.",
        'c cannot be in a package: the version id "null" means written without versioning; such an object can be overwritten in place.',
        "d is a file and a folder at once; a package cannot hold both.",
    ]


def test_metadata_too_large_for_a_manifest_is_a_failure():
    (said,) = sentences(contract.check_metadata({"type": "object"}, {"a": "x" * 1_000_000}))
    assert said == "The metadata takes 1,000,009 bytes; at most 900,000 can be kept."


@pytest.mark.parametrize(
    ("pattern", "key", "fits"),
    [
        ("qc/*.pdf", "qc/a.pdf", True),
        ("qc/*.pdf", "qc/deep/a.pdf", False),
        ("qc/*.pdf", "QC/a.pdf", False),
        ("**/*.pdf", "a.pdf", True),
        ("**/*.pdf", "x/y/a.pdf", True),
        ("reads/**", "reads/a/b", True),
        ("reads/**", "reads", True),
        ("reads/**", "other", False),
        ("a/**/b/**/c", "a/x/b/y/b/z/c", True),
        ("a/**/b/**/c", "a/x/c", False),
        ("?.txt", "é.txt", True),
        ("?.txt", "/.txt", False),
        ("**", "anything/at/all", True),
        ("[ab].txt", "b.txt", True),
        ("*", "a\nb", True),
    ],
)
def test_patterns_of_files(pattern, key, fits):
    assert contract.glob_matches(pattern, key) is fits


def test_a_hostile_file_pattern_takes_no_time():
    started = time.perf_counter()
    assert not contract.glob_matches("/".join(["**", "*a*a*a*a*a*a*a*b"] * 20), "/".join(["a" * 40] * 25))
    assert time.perf_counter() - started < 1


part = st.text("ab*?", min_size=1, max_size=3)


@given(
    st.lists(st.sampled_from(["**"]) | part, min_size=1, max_size=4),
    st.lists(st.text("ab", min_size=1, max_size=3), min_size=1, max_size=5),
)
def test_patterns_mean_what_their_regular_expression_means(pattern, key):
    import re

    steps = [
        "(?:[^/]+/)*" if step == "**" else re.escape(step).replace(r"\*", "[^/]*").replace(r"\?", "[^/]") + "/"
        for step in pattern
    ]
    assert contract.glob_matches("/".join(pattern), "/".join(key)) == bool(
        re.fullmatch("".join(steps), "/".join(key) + "/")
    )


@pytest.mark.compliance("11.1")
def test_every_problem_of_a_definition_is_told():
    bad = Definition(
        name=" ",
        description="",
        part11=True,
        part11_reason="",
        predicate_rule=" ",
        owner="",
        retention_years=0,
        required_files=(
            RequiredFile("/a", " "),
            RequiredFile("b", "B", min_count=3, max_count=2, media_type="pdf"),
            RequiredFile("b", "B", min_count=0, max_count=0),
        ),
        signers=(
            Signer("reviewer", "review", " "),
            Signer("reviewer", "review", "x"),
            Signer("administrator", "fun", "x"),
            Signer("operator", "review", "x"),
        ),
    )
    assert contract.problems(bad) == [
        "The name is empty.",
        "The description of what the record is is empty.",
        "The owner is empty.",
        "The reason why this is, or is not, a Part 11 record, is empty.",
        "A Part 11 record needs its predicate rule: the regulation that asks for this record.",
        "The retention must be at least one year.",
        'The file pattern "b" is listed twice.',
        'The required file with the pattern "/a" has no label.',
        'The required file " " (/a) has a pattern that no file can fit: folders are parted by single "/", without "." or "..".',
        'The required file "B" (b) must be there at least 3 and at most 2 times.',
        'The required file "B" (b) has "pdf", which is not a media type such as "text/csv".',
        'The required file "B" (b) has a count below what makes sense: at least 0, at most 1 or more.',
        'No approver signs: at least one signer must have the role "approver" and the meaning "approval".',
        "The reviewer is asked to sign 2 times with the meaning review; once is enough.",
        "The sentence that the reviewer signs is empty.",
        '"fun" is no meaning of a signature; meanings are review, approval.',
        'The role "operator" cannot sign with the meaning review; that takes: approver or reviewer.',
    ]


def test_the_last_signature_of_a_data_package_is_an_approval():
    signers = tuple(reversed(NGS.signers))
    assert contract.problems(replace(NGS, signers=signers)) == [
        "The last signature must be an approval: it is what makes the version approved."
    ]


@pytest.mark.compliance("11.1")
def test_a_record_that_is_no_part_11_record_needs_no_predicate_rule_but_its_reason():
    assert contract.problems(replace(NGS, part11=False, predicate_rule="")) == []
    assert len(contract.problems(replace(NGS, part11=False, part11_reason=""))) == 1


def test_a_definition_that_admits_nothing_is_a_problem():
    assert contract.problems(replace(NGS, required_files=())) == [
        "No file is required and no other file is allowed, so that nothing could ever be registered."
    ]


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"type": "object", "requred": ["a"]}, 'has the word "requred", which is misspelt or not supported'),
        ({"type": "object", "properties": {"a": {"maxLenght": 3}}}, 'has the word "maxLenght" at /properties/a'),
        ({"type": "object", "$ref": "https://evil.example/s.json"}, 'refers to "https://evil.example/s.json"'),
        ({"type": "object", "$ref": "#"}, 'refers to "#"'),
        ({"type": "object", "$ref": 7}, "refers to 7"),
        ({"type": "object", "$id": "https://evil.example/"}, 'has the word "$id"'),
        ({"type": "object", "$dynamicRef": "#x"}, 'has the word "$dynamicRef"'),
        ({"type": "object", "unevaluatedProperties": False}, 'has the word "unevaluatedProperties"'),
        ({"type": "object", "patternProperties": {"(a+)+$": {}}}, 'has the word "patternProperties"'),
        ({"type": "object", "$schema": "http://json-schema.org/draft-07/schema#"}, "must be written in draft 2020-12"),
        ({"type": "object", "properties": {"a": {"$defs": {}}}}, "belong at its top"),
        (
            {"type": "object", "properties": {"a": {"format": "ipv4"}}},
            'The format "ipv4" at /properties/a would not be checked',
        ),
        ({"type": "object", "properties": {"a": {"pattern": "(?=a)"}}}, "is refused: invalid perl operator"),
        ({"type": "object", "properties": {"a": {"pattern": r"(a)\1"}}}, "is refused: invalid escape sequence"),
        ({"type": "object", "properties": {"a": {"pattern": "["}}}, "is refused: missing ]"),
        ({"type": "object", "properties": {"a": {"pattern": "((a{1,900}){1,900}){1,900}"}}}, "is refused"),
        ({"type": "object", "properties": {"a": {"type": "text"}}}, "is not valid at /properties/a/type"),
        ({"type": "object", "properties": []}, "is not valid at /properties"),
        ({"type": "object", "required": "a"}, "is not valid at /required: the value must be a list"),
        ({"type": "array"}, 'must begin with "type": "object"'),
        ({}, 'must begin with "type": "object"'),
        ({"type": "object", "required": ["a"]}, 'requires "a", but does not describe it'),
        (
            {"type": "object", "properties": {"a": {"minLength": 3, "maxLength": 2}}},
            'No value can satisfy "minLength" 3 and "maxLength" 2 at /properties/a',
        ),
        ({"type": "object", "$ref": "#/$defs/x"}, 'refers to "#/$defs/x", which is not there'),
        ({"type": "object", "$defs": {"x": {"items": {"$ref": "#/$defs/x"}}}}, "refers to itself"),
        (
            {"type": "object", "$defs": {"x": {"$ref": "#/$defs/y"}, "y": {"not": {"$ref": "#/$defs/x"}}}},
            "refers to itself",
        ),
        ({"type": "object", "title": "\0"}, "U+0000"),
        ({"type": "object", "minProperties": float("nan")}, "is not a JSON number"),
        ([], "must be a JSON object"),
        (True, "must be a JSON object"),
    ],
)
def test_schemas_that_cannot_be_a_gate_are_refused(schema, said):
    found = metadata_schema.schema_problems(schema)
    assert any(said in problem for problem in found), found


def nested(depth, word="items"):
    schema = {}
    for _ in range(depth):
        schema = {word: schema}
    return {"type": "object", "properties": {"a": schema}}


def doubling(levels):
    parts = {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(levels)}
    return {"type": "object", "$defs": {**parts, f"d{levels}": {"type": "object"}}, "$ref": "#/$defs/d0"}


@pytest.mark.parametrize(
    "schema",
    [
        nested(100),
        nested(5_000),
        nested(100, "not"),
        doubling(12),
        doubling(400),
        {"type": "object", "properties": {f"p{n}": {} for n in range(600)}},
    ],
)
def test_schemas_that_would_take_long_are_refused_at_once(schema):
    started = time.perf_counter()
    assert metadata_schema.schema_problems(schema)
    assert time.perf_counter() - started < 2


def test_a_catastrophic_pattern_is_harmless():
    schema = {"type": "object", "properties": {"a": {"pattern": "^(a+)+$"}}}
    assert metadata_schema.schema_problems(schema) == []
    started = time.perf_counter()
    assert contract.check_metadata(schema, {"a": "a" * 50_000 + "!"})
    assert time.perf_counter() - started < 1


def test_even_a_schema_with_problems_fails_shut_and_quickly():
    deep = {}
    for _ in range(5_000):
        deep = {"a": deep}
    for schema, metadata in [
        ({"$ref": "#"}, {"a": 1}),
        ({"$ref": "https://evil.example/s.json"}, {"a": 1}),
        ({"properties": {"a": {"pattern": "["}}}, {"a": "x"}),
        ({"type": "object"}, deep),
        ({"type": "object"}, {"a": list(range(6_000))}),
        ({"type": "object"}, {"a": float("inf")}),
        ({"type": "object"}, {"a": "\ud800"}),
        ({"type": "object"}, {"a": "\0"}),
        ({"type": "object"}, {1: 2}),
        ({"type": "object"}, []),
        ({"properties": {"a": {"multipleOf": 0}}}, {"a": 1}),
    ]:
        started = time.perf_counter()
        assert contract.check_metadata(schema, metadata), schema
        assert time.perf_counter() - started < 1


def test_a_list_of_distinct_objects_is_checked_within_its_bound():
    schema = {"type": "object", "properties": {"a": {"uniqueItems": True}}}
    started = time.perf_counter()
    assert contract.check_metadata(schema, {"a": [{"n": n} for n in range(2_000)]}) == []
    assert contract.check_metadata(schema, {"a": [{"n": n % 1_999} for n in range(2_000)]})
    assert time.perf_counter() - started < 2


def test_much_metadata_under_a_large_schema_is_refused_before_it_takes_long():
    schema = {"type": "object", "properties": {"a": {"items": {"allOf": [{"type": "integer"}] * 400}}}}
    assert metadata_schema.schema_problems(schema) == []
    assert contract.check_metadata(schema, {"a": list(range(1_000))}) == []
    (said,) = sentences(contract.check_metadata(schema, {"a": list(range(4_000))}))
    assert said == "The metadata has 4,002 values, too many for a schema of 403 parts."


@pytest.mark.parametrize(
    ("items", "unique"),
    [
        ([1, 1.0], False),
        ([1, True], True),
        ([0, False], True),
        ([[1], [True]], True),
        ([{"a": 1, "b": 2}, {"b": 2, "a": 1.0}], False),
        (["1", 1], True),
        ([None, None], False),
        ([{}, []], True),
    ],
)
def test_items_are_the_same_where_json_schema_says_so(items, unique):
    assert (contract.check_metadata({"properties": {"a": {"uniqueItems": True}}}, {"a": items}) == []) is unique


@pytest.mark.parametrize(
    ("words", "value", "said"),
    [
        ({"type": "string"}, None, "Thing (a) must be text, not null."),
        ({"type": "integer"}, 1.5, "Thing (a) must be a whole number, not 1.5."),
        ({"type": "integer"}, True, "Thing (a) must be a whole number, not true."),
        ({"type": ["string", "null"]}, 3, "Thing (a) must be text or null, not 3."),
        ({"const": 3}, 4, "Thing (a) must be 3, not 4."),
        ({"exclusiveMinimum": 3}, 3, "Thing (a) must be more than 3; it is 3."),
        ({"exclusiveMaximum": 3}, 3, "Thing (a) must be less than 3; it is 3."),
        ({"minimum": 3}, 2.5, "Thing (a) must be at least 3; it is 2.5."),
        ({"multipleOf": 0.1}, 0.35, "Thing (a) must be a multiple of 0.1; it is 0.35."),
        ({"maxLength": 1}, "ab", "Thing (a) must have at most 1 character; it has 2."),
        ({"minItems": 2}, [1], "Thing (a) must have at least 2 items; it has 1."),
        ({"maxProperties": 1}, {"x": 1, "y": 2}, "Thing (a) must have at most 1 member; it has 2."),
        ({"uniqueItems": True}, [1, 1], "Thing (a) holds the same item more than once."),
        ({"contains": {"const": 1}}, [2], "Thing (a) must have at least 1 item of the kind described."),
        ({"not": {"const": 1}}, 1, "Thing (a) has a value that is not allowed: 1."),
        (
            {"anyOf": [{"type": "string"}, {"minimum": 3}]},
            1,
            "Thing (a) fits none of the allowed forms: it must be text, not 1; or it must be at least 3; it is 1.",
        ),
        (
            {"oneOf": [{"type": "integer"}, {"minimum": 3}]},
            4,
            "Thing (a) fits more than one of the forms that exclude each other.",
        ),
        ({"if": {"minimum": 3}, "then": {"multipleOf": 2}}, 5, '"a" must be a multiple of 2; it is 5.'),
        (
            {"pattern": "^RUN-[0-9]{4}$", "examples": ["RUN-2217"], "description": "The run."},
            "run 1",
            'Thing (a) must look like "RUN-2217"; it is "run 1".',
        ),
        (
            {"pattern": "^RUN-[0-9]{4}$", "description": "The run, for example RUN-2217."},
            "run 1",
            'Thing (a) must be as described (The run, for example RUN-2217); it is "run 1".',
        ),
        ({"propertyNames": {"pattern": "^x"}}, {"y": 1}, '"a" must have the form ^x; it is "y".'),
        ({"format": "email"}, "ada", 'Thing (a) must be an e-mail address; it is "ada".'),
        (
            {"format": "date-time"},
            "2026-01-31T14:05:00",
            'Thing (a) must be a time with its offset, written as 2026-01-31T14:05:00Z; it is "2026-01-31T14:05:00".',
        ),
        ({"format": "uuid"}, "x", 'Thing (a) must be a UUID; it is "x".'),
        ({"format": "uri"}, "no scheme", 'Thing (a) must be a web address or other URI; it is "no scheme".'),
        ({"pattern": "^a$"}, "a\n", 'Thing (a) must have the form ^a$; it is "a\\n".'),
        ({"dependentRequired": {"x": ["y"]}}, {"x": 1}, '"a, y" is missing; "x" asks for it.'),
        ({"oneOf": [False]}, None, "Thing (a) fits none of the allowed forms: it is not expected."),
        ({"prefixItems": [{"type": "string"}], "items": False}, [1, 2], '"a, item 1" must be text, not 1.'),
    ],
)
def test_what_is_wrong_is_said_in_our_words(words, value, said):
    definition = with_schema(properties={"a": {"title": "Thing", **words}})
    assert contract.problems(definition) == []
    assert said in sentences(contract.check(definition, FILES, {"a": value}))


@pytest.mark.parametrize(("words", "value"), [
    ({"multipleOf": 0.1}, 0.3), ({"multipleOf": 0.01}, 1e300), ({"type": "integer"}, 3.0), ({"format": "date"}, "2024-02-29"),
    ({"format": "date-time"}, "2026-01-31T14:05:00.123+02:00"), ({"format": "uuid"}, "6f9619ff-8b86-d011-b42d-00c04fc964ff"),
    ({"format": "uri"}, "https://example.org/a?b"), ({"format": "date"}, 7), ({"minLength": 1}, "😀"), ({"maxLength": 1}, "😀"),
])  # fmt: skip
def test_what_is_right_passes(words, value):
    assert contract.check(with_schema(properties={"a": words}), FILES, {"a": value}) == []


def test_the_schema_of_definitions_passes_its_own_gate():
    assert metadata_schema.schema_problems(contract.DEFINITION_SCHEMA) == []
    assert contract.check_metadata(contract.DEFINITION_SCHEMA, NGS.to_json()) == []


def test_a_definition_survives_json_and_its_bytes_do_not_depend_on_order():
    assert Definition.from_json(NGS.to_bytes()) == NGS
    assert Definition.from_json(NGS.to_json()) == NGS
    turned = json.dumps(dict(reversed(NGS.to_json().items())), indent=2)
    assert Definition.from_json(turned).to_bytes() == NGS.to_bytes()


def test_a_definition_that_cannot_be_read_is_refused_with_every_reason():
    with pytest.raises(DefinitionError) as refused:
        Definition.from_json(
            {"name": "", "part11": "yes", "colour": 1, "signers": [{"role": "king", "meaning": "approval"}]}
        )
    reasons = refused.value.problems
    for said in ["Name (name) must have at least 1 character; it has 0.", 'Part 11 record (part11) must be true or false, not "yes".',
                 '"colour" is not expected.', "Owner (owner) is missing.", "Sentence (signers, item 1, sentence) is missing."]:  # fmt: skip
        assert said in reasons
    for broken in [b"", b"[]", b"\xff", b'{"name": 1, "name": 2}', b"[" * 100_000, b'{"a": NaN}']:
        with pytest.raises(DefinitionError):
            Definition.from_json(broken)


json_value = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)
words = st.sampled_from(sorted(metadata_schema._KEYWORDS))
schema_like = st.recursive(
    json_value | st.sampled_from(["object", "#/$defs/a", "date"]),
    lambda inner: st.dictionaries(
        words,
        inner | st.dictionaries(st.sampled_from("ab"), inner, max_size=2) | st.lists(inner, max_size=2),
        max_size=4,
    ),
    max_leaves=12,
)


@settings(max_examples=100, deadline=None)
@given(schema_like, json_value)
def test_no_schema_and_no_metadata_make_it_fail_otherwise_than_in_sentences(schema, value):
    found = metadata_schema.schema_problems(schema)
    assert all(isinstance(problem, str) for problem in found)
    for part in (schema, {"type": "object", "properties": {"a": schema}}):
        if not metadata_schema.schema_problems(part):
            failures = contract.check_metadata(part, {"a": value})
            assert not any("could not be checked" in failure.sentence for failure in failures), (part, value)
