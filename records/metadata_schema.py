"""JSON Schema as the gate for metadata: which schemas may be one, and what is wrong with a value, in plain words.

Source: JSON Schema draft 2020-12 (json-schema.org/draft/2020-12), in the part that `_KEYWORDS` lists. A word that is
misspelt, or that nothing here checks, would silently admit everything; `schema_problems` refuses it instead. Patterns
are read by RE2, whose time grows with the text and not with the cunning of the pattern; nothing is ever fetched, no
schema may lead back to itself, and sizes are bounded: no schema and no metadata can hold up the portal.
"""

import json
import math
import re
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from fractions import Fraction
from functools import lru_cache
from typing import Any
from uuid import UUID

import re2
from django.core.exceptions import ValidationError as DjangoValidationError
from django.core.validators import validate_email
from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend
from referencing import Registry
from rfc3986_validator import validate_rfc3986

from records import manifest

DIALECT = "https://json-schema.org/draft/2020-12/schema"

#: Bounds that keep the work of one check within seconds, whatever the schema and the metadata are.
MAX_SCHEMA_NODES = 500
MAX_METADATA_NODES = 5_000
#: Parts of the schema times values of the metadata; the largest check takes about 4 s on one core.
MAX_WORK = 500_000
MAX_FAILURES = 1_000
#: It stands in the first line of the manifest, beside a message.
MAX_METADATA_BYTES = manifest.MAX_LINE_BYTES * 9 // 10


@dataclass(frozen=True)
class Failure:
    """One reason why a package is refused: where (a pattern, a file, or "metadata" with its path) and a sentence."""

    where: str
    sentence: str
    path: tuple[str | int, ...] = ()


def schema_problems(schema: Any) -> list[str]:
    """Why this JSON Schema cannot be the gate for metadata, in sentences; empty when it can."""
    if not isinstance(schema, dict):
        return ["The metadata schema must be a JSON object."]
    if reason := manifest.json_problem(schema):
        return [f"The metadata schema {reason}."]
    parts = 1 + sum(1 for _ in _all_subschemas(schema))
    if parts > MAX_SCHEMA_NODES:
        return [_too_large(parts)]
    if words := list(_word_problems(schema, "")):
        return words
    invalid = [
        f"The metadata schema is not valid at {_pointer(error.absolute_path)}: {_sentence(error, 'the value')}"
        for error in _META.iter_errors(schema)
    ]
    if invalid:
        return sorted(set(invalid))
    found = []
    if schema.get("type") != "object":
        found.append('The metadata schema must begin with "type": "object"; metadata is a set of named values.')
    described = schema.get("properties", {})
    found += [
        f'The metadata schema requires "{name}", but does not describe it under "properties".'
        for name in schema.get("required", [])
        if name not in described
    ]
    found += _contradictions(schema, "")
    if not (reasons := list(_reference_problems(schema))):
        parts, depth = _expanded(schema, schema.get("$defs", {}), {})
        if parts > MAX_SCHEMA_NODES:
            reasons = [_too_large(parts)]
        elif depth > manifest.MAX_DEPTH:
            reasons = [f"The metadata schema is too deep: with its references, more than {manifest.MAX_DEPTH} levels."]
    return found + reasons


def check_metadata(schema: Mapping[str, Any], metadata: Any, *, whole: str = "The metadata") -> list[Failure]:
    """All reasons why this metadata does not satisfy the schema, each with the path of the value it is about."""
    if reason := manifest.json_problem(metadata):
        return [Failure("metadata", f"{whole} cannot be kept: {reason}.")]
    if not isinstance(metadata, dict):
        return [Failure("metadata", f"{whole} must be a JSON object, a set of named values.")]
    size = len(json.dumps(metadata, ensure_ascii=False).encode())
    if size > MAX_METADATA_BYTES:
        return [Failure("metadata", f"{whole} takes {size:,} bytes; at most {MAX_METADATA_BYTES:,} can be kept.")]
    nodes = _nodes(metadata)
    if nodes > MAX_METADATA_NODES:
        return [Failure("metadata", f"{whole} has {nodes:,} values; at most {MAX_METADATA_NODES:,} can be checked.")]
    failures: list[Failure] = []
    try:
        parts, _ = _expanded(schema, schema.get("$defs", {}), {})
        if parts * nodes > MAX_WORK:
            return [Failure("metadata", f"{whole} has {nodes:,} values, too many for a schema of {parts:,} parts.")]
        for error in _validator(schema).iter_errors(metadata):
            failures += [item for item in _failures_of(error, whole) if item not in failures]
            if len(failures) >= MAX_FAILURES:
                failures.append(
                    Failure("metadata", f"There are more than {MAX_FAILURES:,} failures; the rest is not listed.")
                )
                break
    except Exception as error:
        # `schema_problems` keeps such schemas from being approved; a gate that cannot decide stays shut.
        failures.append(
            Failure("metadata", f"{whole} could not be checked: the schema fails ({type(error).__name__}).")
        )
    return sorted(
        failures, key=lambda failure: [(str(step), 0) if isinstance(step, str) else ("", step) for step in failure.path]
    )


def pattern_matches(pattern: str, text: str) -> bool:
    """Whether a pattern of the schema is found anywhere in the text. ValueError for a pattern that RE2 refuses."""
    return bool(_compiled(pattern).search(text))


# The schema language


_MAPS = ("properties", "$defs", "dependentSchemas")
_LISTS = ("allOf", "anyOf", "oneOf", "prefixItems")
_SINGLE = ("items", "contains", "not", "if", "then", "else", "additionalProperties", "propertyNames")
_CHECKED = (
    "type", "enum", "const", "multipleOf", "maximum", "exclusiveMaximum", "minimum", "exclusiveMinimum",
    "maxLength", "minLength", "pattern", "format", "maxItems", "minItems", "uniqueItems", "maxContains", "minContains",
    "maxProperties", "minProperties", "required", "dependentRequired", "$ref",
)  # fmt: skip
_ANNOTATIONS = (
    "$schema",
    "$comment",
    "title",
    "description",
    "default",
    "examples",
    "deprecated",
    "readOnly",
    "writeOnly",
)
_KEYWORDS = frozenset((*_MAPS, *_LISTS, *_SINGLE, *_CHECKED, *_ANNOTATIONS))
_REFERENCE = re.compile(r"#/\$defs/([A-Za-z0-9_.-]+)")


def _subschemas(schema: Any) -> Iterator[tuple[str, Any]]:
    """The schemas directly inside this one, each with its place."""
    if not isinstance(schema, dict):
        return
    for word, value in schema.items():
        if word in _MAPS and isinstance(value, dict):
            yield from ((f"{word}/{name}", child) for name, child in value.items())
        elif word in _LISTS and isinstance(value, list):
            yield from ((f"{word}/{index}", child) for index, child in enumerate(value))
        elif word in _SINGLE:
            yield word, value


def _all_subschemas(schema: Any) -> Iterator[Any]:
    for _, child in _subschemas(schema):
        yield child
        yield from _all_subschemas(child)


def _word_problems(schema: Any, place: str) -> Iterator[str]:
    """Words that would be ignored, could reach out of the schema, or could take any length of time."""
    if not isinstance(schema, dict):
        return
    at = _at(place)
    for word in schema:
        if word not in _KEYWORDS:
            yield f'The metadata schema has the word "{_cut(word)}"{at}, which is misspelt or not supported here.'
    if place and ("$defs" in schema or "$schema" in schema):
        yield f'The metadata schema has "$defs" or "$schema"{at}; they belong at its top.'
    if schema.get("$schema", DIALECT) != DIALECT:
        yield f'The metadata schema must be written in draft 2020-12 ("$schema": "{DIALECT}").'
    reference = schema.get("$ref")
    if "$ref" in schema and not (isinstance(reference, str) and _REFERENCE.fullmatch(reference)):
        yield f'The metadata schema refers to {_value(reference)}{at}; only "#/$defs/NAME" within it is allowed.'
    if isinstance(pattern := schema.get("pattern"), str):
        try:
            _compiled(pattern)
        except ValueError as error:
            yield f"The pattern {_value(pattern)}{at} is refused: {error}. Patterns are written for RE2."
    if isinstance(form := schema.get("format"), str) and form not in _FORMATS:
        yield f"The format {_value(form)}{at} would not be checked; formats that are: {', '.join(_FORMATS)}."
    for step, child in _subschemas(schema):
        yield from _word_problems(child, f"{place}/{step}")


def _contradictions(schema: Any, place: str) -> Iterator[str]:
    """Pairs of bounds that no value can satisfy."""
    if not isinstance(schema, dict):
        return
    for low, high in [("minimum", "maximum"), *((f"min{what}", f"max{what}") for what in _SIZED)]:
        if low in schema and high in schema and schema[low] > schema[high]:
            yield f'No value can satisfy "{low}" {schema[low]} and "{high}" {schema[high]}{_at(place)}.'
    for step, child in _subschemas(schema):
        yield from _contradictions(child, f"{place}/{step}")


def _reference_problems(schema: dict[str, Any]) -> Iterator[str]:
    """References to nothing, and references that lead back to themselves."""
    definitions = schema.get("$defs", {})
    for name in sorted(_references(schema) | {name for part in definitions.values() for name in _references(part)}):
        if name not in definitions:
            yield f'The metadata schema refers to "#/$defs/{name}", which is not there.'
    done: set[str] = set()

    def circle(name: str, path: tuple[str, ...]) -> Iterator[str]:
        if name in path:
            yield f'The metadata schema refers to itself by way of "#/$defs/{name}"; this is not supported.'
        elif name in definitions and name not in done:
            for next_name in sorted(_references(definitions[name])):
                yield from circle(next_name, (*path, name))
            done.add(name)

    for name in definitions:
        yield from circle(name, ())


def _references(schema: Any) -> set[str]:
    """Names of the definitions that this schema refers to, those inside "$defs" left aside."""
    if not isinstance(schema, dict):
        return set()
    found = {match[1]} if (match := _REFERENCE.fullmatch(str(schema.get("$ref", "")))) else set()
    return found.union(*(_references(child) for step, child in _subschemas(schema) if not step.startswith("$defs/")))


def _expanded(schema: Any, definitions: Mapping[str, Any], known: dict[str, tuple[int, int]]) -> tuple[int, int]:
    """How many schemas, and levels of them, this one stands for with its references (in no circle) written out."""
    if not isinstance(schema, dict):
        return 1, 1
    children = [child for step, child in _subschemas(schema) if not step.startswith("$defs/")]
    sizes = [_expanded(child, definitions, known) for child in children]
    if match := _REFERENCE.fullmatch(schema.get("$ref", "")):
        name = match[1]
        if name not in known:
            known[name] = _expanded(definitions[name], definitions, known)
        sizes.append(known[name])
    return 1 + sum(parts for parts, _ in sizes), 1 + max((depth for _, depth in sizes), default=0)


def _too_large(parts: int) -> str:
    shown = f"{parts:,}" if parts < 1_000_000 else "over a million"
    return f"The metadata schema is too large: {shown} parts, at most {MAX_SCHEMA_NODES} are allowed."


@lru_cache(maxsize=512)
def _compiled(pattern: str) -> Any:
    options = re2.Options()
    options.log_errors = False
    options.never_capture = True
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        reason = error.args[0] if error.args else ""
        raise ValueError(reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)) from None


def _nodes(value: Any) -> int:
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + sum(_nodes(child) for child in children)


# The validator


def _pattern(validator: Any, pattern: str, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if isinstance(instance, str) and not pattern_matches(pattern, instance):
        yield ValidationError("pattern")


def _multiple_of(validator: Any, divisor: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    # By decimal digits: 0.3 is a multiple of 0.1, which binary fractions deny.
    number = isinstance(instance, int | float) and not isinstance(instance, bool)
    if number and Fraction(str(instance)) % Fraction(str(divisor)):
        yield ValidationError("multipleOf")


def _unique_items(validator: Any, wanted: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    # The library compares each item with each other one.
    if wanted and isinstance(instance, list) and len({_identity(item) for item in instance}) < len(instance):
        yield ValidationError("uniqueItems")


def _identity(value: Any) -> Hashable:
    """The same for values that JSON Schema holds for equal: 1 and 1.0 are, 1 and true are not."""
    if isinstance(value, dict):
        return "object", frozenset((name, _identity(member)) for name, member in value.items())
    if isinstance(value, list):
        return "array", tuple(_identity(item) for item in value)
    return isinstance(value, bool), value


def _is_day(text: str) -> bool:
    return bool(re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII)) and date.fromisoformat(text) is not None


def _is_moment(text: str) -> bool:
    """RFC 3339: day, time and offset, the offset never left out."""
    form = r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)"
    return bool(re.fullmatch(form, text, re.ASCII)) and datetime.fromisoformat(text.upper()) is not None


def _is_email(text: str) -> bool:
    try:
        validate_email(text)
    except DjangoValidationError:
        return False
    return True


def _is_uuid(text: str) -> bool:
    return str(UUID(text)) == text.lower()


#: The formats that are checked, each with what a person would call it.
_FORMATS: dict[str, tuple[Callable[[str], bool], str]] = {
    "date": (_is_day, "a day written as 2026-01-31"),
    "date-time": (_is_moment, "a time with its offset, written as 2026-01-31T14:05:00Z"),
    "email": (_is_email, "an e-mail address"),
    "uri": (lambda text: bool(validate_rfc3986(text, rule="URI")), "a web address or other URI"),
    "uuid": (_is_uuid, "a UUID"),
}


def _format_checker() -> FormatChecker:
    checker = FormatChecker(formats=())
    for name, (accepts, _) in _FORMATS.items():
        checker.checkers[name] = (_for_text(accepts), (ValueError,))
    return checker


def _for_text(accepts: Callable[[str], bool]) -> Callable[[object], bool]:
    return lambda value: not isinstance(value, str) or accepts(value)


_FORMAT_CHECKER = _format_checker()
_META = Draft202012Validator(Draft202012Validator.META_SCHEMA)
_Validator = extend(
    Draft202012Validator, {"pattern": _pattern, "multipleOf": _multiple_of, "uniqueItems": _unique_items}
)


def _validator(schema: Mapping[str, Any]) -> Any:
    # An empty registry: nothing is ever fetched.
    return _Validator(schema, format_checker=_FORMAT_CHECKER, registry=Registry())


# Sentences


def _failures_of(error: ValidationError, whole: str) -> Iterator[Failure]:
    """One failure for each thing that is wrong: a missing member is a failure of that member."""
    path = tuple(error.absolute_path)
    wanted: Any = error.validator_value
    value: Any = error.instance
    schema = error.schema if isinstance(error.schema, dict) else {}
    if error.validator == "required":
        for name in wanted:
            if name not in value:
                yield _failure((*path, name), _title(schema, name), "is missing.", whole)
    elif error.validator == "dependentRequired":
        for given, needed in wanted.items():
            for name in needed if given in value else ():
                if name not in value:
                    yield _failure((*path, name), _title(schema, name), f'is missing; "{given}" asks for it.', whole)
    elif error.validator == "additionalProperties" and wanted is False:
        for name in value:
            if name not in schema.get("properties", {}):
                yield _failure((*path, name), "", "is not expected.", whole)
    else:
        name = _name(path, schema.get("title", ""), whole)
        yield Failure(_where(path), _sentence(error, name), path)


def _failure(path: tuple[str | int, ...], title: str, rest: str, whole: str) -> Failure:
    return Failure(_where(path), f"{_name(path, title, whole)} {rest}", path)


def _sentence(error: ValidationError, name: str) -> str:
    """What is wrong with the value that is called ``name``."""
    word, wanted, given = str(error.validator), error.validator_value, error.instance
    if error.validator is None:
        return f"{name} is not expected."  # the schema is `false`
    if word == "pattern" and (form := _form_in_words(error.schema)):
        return f"{name} {form}; it is {_value(given)}."
    if word in _RULES:
        return f"{name} {_RULES[word](wanted, given)}."
    if word in ("anyOf", "oneOf", "contains", "propertyNames", "not", "if"):
        return f"{name} {_composed(error)}."
    return f'{name} does not satisfy the rule "{_cut(word)}" of the schema.'


def _form_in_words(schema: Any) -> str:
    """What a text has to look like, as the definition says it to people: by an example, or else by its description."""
    examples, description = schema.get("examples"), schema.get("description")
    if isinstance(examples, list) and examples and isinstance(examples[0], str):
        return f"must look like {_value(examples[0])}"
    if isinstance(description, str) and description.strip():
        return f"must be as described ({_cut(description.strip().rstrip('.'), 200)})"
    return ""


def _composed(error: ValidationError) -> str:
    if error.validator == "oneOf" and not error.context:
        return "fits more than one of the forms that exclude each other"
    if error.validator in ("anyOf", "oneOf"):
        forms: dict[Any, str] = {}
        for part in error.context or ():
            # A form that is `false` lies at no path of its own.
            form = part.schema_path[0] if part.schema_path else None
            forms.setdefault(form, _sentence(part, _name(tuple(part.path), "", "it")).rstrip("."))
        return f"fits none of the allowed forms: {'; or '.join(list(forms.values())[:4])}"
    if error.validator == "not":
        return f"has a value that is not allowed: {_value(error.instance)}"
    schema = error.schema if isinstance(error.schema, dict) else {}
    low, high = schema.get("minContains", 1), schema.get("maxContains")
    return f"must have at least {low} {'item' if low == 1 else 'items'} of the kind described" + (
        f", and at most {high}" if high is not None else ""
    )


_TYPES = {
    "string": "text", "integer": "a whole number", "number": "a number", "boolean": "true or false",
    "array": "a list", "object": "a set of named values", "null": "null",
}  # fmt: skip
_SIZED = {"Length": "character", "Items": "item", "Properties": "member"}


def _must_be_type(wanted: Any, given: Any) -> str:
    types = [wanted] if isinstance(wanted, str) else wanted
    return f"must be {' or '.join(_TYPES.get(name, str(name)) for name in types)}, not {_value(given)}"


def _sized(limit: str, noun: str) -> Callable[[Any, Any], str]:
    def rule(wanted: Any, given: Any) -> str:
        return f"must have at {limit} {wanted} {noun}{'' if wanted == 1 else 's'}; it has {len(given)}"

    return rule


_RULES: dict[str, Callable[[Any, Any], str]] = {
    "type": _must_be_type,
    "enum": lambda wanted, given: f"must be one of {_choices(wanted)}, not {_value(given)}",
    "const": lambda wanted, given: f"must be {_value(wanted)}, not {_value(given)}",
    "minimum": lambda wanted, given: f"must be at least {wanted}; it is {_value(given)}",
    "maximum": lambda wanted, given: f"must be at most {wanted}; it is {_value(given)}",
    "exclusiveMinimum": lambda wanted, given: f"must be more than {wanted}; it is {_value(given)}",
    "exclusiveMaximum": lambda wanted, given: f"must be less than {wanted}; it is {_value(given)}",
    "multipleOf": lambda wanted, given: f"must be a multiple of {wanted}; it is {_value(given)}",
    "pattern": lambda wanted, given: f"must have the form {_cut(wanted)}; it is {_value(given)}",
    "format": lambda wanted, given: f"must be {_format_words(wanted)}; it is {_value(given)}",
    "uniqueItems": lambda wanted, given: "holds the same item more than once",
    **{f"min{what}": _sized("least", noun) for what, noun in _SIZED.items()},
    **{f"max{what}": _sized("most", noun) for what, noun in _SIZED.items()},
}


def _format_words(name: str) -> str:
    return _FORMATS[name][1] if name in _FORMATS else f"of the format {_cut(name)}"


def _choices(values: Sequence[Any]) -> str:
    shown = [_value(value) for value in values[:12]]
    return ", ".join(shown) + (f" and {len(values) - 12} more" if len(values) > 12 else "")


def _title(schema: Mapping[str, Any], name: str) -> str:
    described = schema.get("properties", {}).get(name)
    title = described.get("title", "") if isinstance(described, dict) else ""
    return title if isinstance(title, str) else ""


def _name(path: tuple[str | int, ...], title: str, whole: str) -> str:
    """What to call a value: title and path, "Sample ID (samples, item 2, id)"; without a path the whole thing."""
    if not path:
        return whole
    steps = ", ".join(f"item {step + 1}" if isinstance(step, int) else _cut(step) for step in path)
    return f"{_cut(title)} ({steps})" if title else f'"{steps}"'


def _where(path: tuple[str | int, ...]) -> str:
    return "metadata" + "".join(f"[{step}]" if isinstance(step, int) else f".{_cut(step)}" for step in path)


def _pointer(path: Iterable[Any]) -> str:
    return _cut("/" + "/".join(str(step) for step in path))


def _at(place: str) -> str:
    return f" at {_cut(place)}" if place else ""


def _value(value: Any) -> str:
    """A value as JSON, short enough for a sentence."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return _cut(json.dumps(value, ensure_ascii=False, default=str))


def _cut(text: str, length: int = 60) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
