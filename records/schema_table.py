"""A metadata schema as a table of fields, for people who write definitions, and back again without losing a word.

What has no column of its own (bounds, nested values, `$ref`) stays as JSON beside the row; what is not about one field
(`$defs`, `additionalProperties`) stays as JSON beside the table.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from records import manifest
from records.metadata_schema import DIALECT

LIST = "list"
#: What a field can be, and what people call it. "" leaves the type to the JSON beside the row.
TYPES = {
    "string": "Text",
    "integer": "Whole number",
    "number": "Number",
    "boolean": "Yes or no",
    LIST: "List of texts",
    "": "As the JSON says",
}
FORMATS = ("", "date", "date-time", "email", "uri", "uuid")
_OWN = ("properties", "required")


class TableError(ValueError):
    """A row that makes no schema; ``str()`` is a sentence."""


@dataclass(frozen=True)
class FieldRow:
    """One property. ``choices``: a text a line; ``more``: every other keyword, as JSON, or ""."""

    name: str
    title: str = ""
    type: str = "string"
    required: bool = False
    description: str = ""
    choices: str = ""
    pattern: str = ""
    format: str = ""
    more: str = ""


def rows_of(schema: Mapping[str, Any]) -> list[FieldRow] | None:
    """The rows, or None where the schema says something that no table can (a property that is `true`, say)."""
    properties = schema.get("properties", {})
    required = schema.get("required", [])
    if not isinstance(properties, dict) or not isinstance(required, list) or set(required) - set(properties):
        return None
    if not all(isinstance(described, dict) for described in properties.values()):
        return None
    return [_row(name, described, name in required) for name, described in properties.items()]


def rest_of(schema: Mapping[str, Any]) -> dict[str, Any]:
    """What stands beside the table."""
    return {word: value for word, value in schema.items() if word not in _OWN}


def schema_of(rows: Iterable[FieldRow], rest: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of these rows. Raises TableError naming the row."""
    properties: dict[str, Any] = {}
    required = []
    for row in rows:
        name = row.name.strip()
        if not name:
            raise TableError("A metadata field has no name.")
        if name in properties:
            raise TableError(f'The metadata field "{name}" stands twice.')
        properties[name] = _described(row)
        required += [name] if row.required else []
    return {"$schema": DIALECT, "type": "object", **rest, "properties": properties, "required": required}


def read_object(text: str, what: str) -> dict[str, Any]:
    """A JSON object from text, {} from nothing. Raises TableError with the reason."""
    if not text.strip():
        return {}
    try:
        value = manifest.read_json(text)
    except (ValueError, RecursionError) as error:
        raise TableError(f"{what} is not JSON: {error}.") from None
    if not isinstance(value, dict):
        raise TableError(f"{what} must be a JSON object.")
    return value


def _row(name: str, described: Mapping[str, Any], required: bool) -> FieldRow:
    more = dict(described)

    def text(word: str) -> str:
        return more.pop(word) if isinstance(more.get(word), str) else ""

    title, description, pattern = text("title"), text("description"), text("pattern")
    form = text("format") if more.get("format") in FORMATS else ""
    choices = ""
    if isinstance(more.get("enum"), list) and all(_is_a_line(value) for value in more["enum"]):
        choices = "\n".join(more.pop("enum"))
    kind = ""
    if more.get("type") == "array" and more.get("items") == {"type": "string"}:
        kind = LIST
        del more["type"], more["items"]
    elif isinstance(more.get("type"), str) and more["type"] in TYPES:
        kind = more.pop("type")
    said = json.dumps(more, ensure_ascii=False) if more else ""
    return FieldRow(name, title, kind, required, description, choices, pattern, form, said)


def _is_a_line(value: Any) -> bool:
    return isinstance(value, str) and value == value.strip() != "" and "\n" not in value and "\r" not in value


def _described(row: FieldRow) -> dict[str, Any]:
    described: dict[str, Any] = {}
    if row.type == LIST:
        described |= {"type": "array", "items": {"type": "string"}}
    elif row.type:
        described["type"] = row.type
    for word in ("title", "description", "pattern", "format"):
        if value := getattr(row, word).strip():
            described[word] = value
    if choices := [line.strip() for line in row.choices.splitlines() if line.strip()]:
        described["enum"] = choices
    return described | read_object(row.more, f'What stands beside the field "{row.name.strip()}"')
