"""A form made from the metadata schema of a record definition, and the metadata made from the form.

The form turns what people type into JSON of the right type, and nothing more: whether it is right, the schema alone decides
(`metadata_schema.check_metadata`, which also gives the sentences). What has a field of its own: text (with choices, a day, an
e-mail address), whole numbers, numbers, yes or no, lists of text, each also where null is allowed. Everything else that
JSON Schema can say gets a field for JSON. A field left empty means that the value is absent.
"""

import json
import math
from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.html import escape

from records import manifest
from records.metadata_schema import Failure, check_metadata

ABSENT: Any = object()
#: Name of the field for values that the schema allows, but does not list.
OTHERS = "other-values"
_LONG_TEXT = 200


class MetadataForm(forms.Form):
    """What `form_class` makes subclasses of. ``metadata()`` is the metadata as typed; valid means that the schema agrees."""

    schema: Mapping[str, Any] = {}
    #: Name of the field by name of the property.
    field_of: Mapping[str, str] = {}

    def metadata(self) -> dict[str, Any]:
        """The metadata with its types, in the order of the schema; after `full_clean`, also of a form with errors."""
        cleaned = getattr(self, "cleaned_data", {})
        given = {name: cleaned.get(field, ABSENT) for name, field in self.field_of.items()}
        others = cleaned.get(OTHERS, ABSENT)
        return {name: value for name, value in given.items() if value is not ABSENT} | (
            {} if others is ABSENT else {name: value for name, value in others.items() if name not in given}
        )

    def clean(self) -> dict[str, Any]:
        self.add_failures(check_metadata(self.schema, self.metadata()))
        return self.cleaned_data

    def add_failures(self, failures: Iterable[Failure]) -> None:
        """Put each failure of metadata at its field; what belongs to none stands above the form."""
        before = set(self.errors)
        for failure in failures:
            elsewhere = OTHERS if OTHERS in self.fields else None
            field = self.field_of.get(str(failure.path[0]), elsewhere) if failure.path else None
            if field in before and field is not None:
                continue  # what was typed could not be read; that it is missing now says nothing new
            self.add_error(field, failure.sentence)


def form_class(schema: Mapping[str, Any]) -> type[MetadataForm]:
    """The form for a schema that `metadata_schema.schema_problems` has nothing against."""
    properties: Mapping[str, Any] = schema.get("properties", {})
    required = set(schema.get("required", []))
    fields: dict[str, forms.Field] = {}
    field_of: dict[str, str] = {}
    for number, (name, described) in enumerate(properties.items(), start=1):
        # Names of properties are any text; names of fields are used in HTML.
        field_of[name] = name if name.isascii() and name.isidentifier() else f"property-{number}"
        fields[field_of[name]] = _field(name, _resolved(described, schema), name in required)
    if schema.get("additionalProperties", False) is not False:
        fields[OTHERS] = OthersField(label="Other values", required=False)
    made: type[MetadataForm] = type("SchemaForm", (MetadataForm,), {"schema": schema, "field_of": field_of})
    # Not as attributes of the class: a property may be called "schema" or "clean".
    made.base_fields = fields
    return made


def initial(schema: Mapping[str, Any], metadata: Mapping[str, Any]) -> dict[str, Any]:
    """What to fill the form with, so that it gives this metadata again."""
    form = form_class(schema)
    values: dict[str, Any] = {}
    others: dict[str, Any] = {}
    for name, value in metadata.items():
        field = form.base_fields.get(form.field_of.get(name, ""))
        if isinstance(field, _Typed):
            values[form.field_of[name]] = field.shown(value)
        else:
            others[name] = value
    if others and OTHERS in form.base_fields:
        values[OTHERS] = JsonField().shown(others)
    return values


class _Typed(forms.Field):
    """A field whose value is JSON, or `ABSENT` where nothing was typed."""

    def __init__(self, *, null: bool = False, **options: Any) -> None:
        # Where null is allowed and the value must be there, an empty field means null.
        self.empty = None if null else ABSENT
        super().__init__(**options)
        self.required = self.required and not null

    def clean(self, value: Any) -> Any:
        text = "" if value is None else str(value).strip()
        if not text:
            self.validate("")
            return self.empty
        if "\x00" in text:
            raise ValidationError("The character U+0000 cannot be kept.")
        return self.typed(text)

    def typed(self, value: str) -> Any:
        return value

    def shown(self, value: Any) -> str:
        """What stands in the field for this value."""
        return value if isinstance(value, str) else "" if value is None else json.dumps(value, ensure_ascii=False)


class TextField(_Typed):
    """One or several lines of text; blanks at both ends are dropped, line ends are line feeds."""

    def typed(self, value: str) -> str:
        return value.replace("\r\n", "\n")


class WholeNumberField(_Typed):
    widget = forms.NumberInput

    def typed(self, value: str) -> int:
        try:
            if len(value) > manifest.MAX_DIGITS or not value.isascii():
                raise ValueError
            return int(value.replace("_", "x"))
        except ValueError:
            raise ValidationError("Enter a whole number.") from None


class NumberField(_Typed):
    """A number as people write it. It is kept as JSON keeps it, so one with more digits than a double has is refused."""

    widget = forms.NumberInput

    def typed(self, value: str) -> int | float:
        try:
            number = Decimal(value.replace("_", "x")) if len(value) <= manifest.MAX_DIGITS else Decimal("nan")
        except InvalidOperation:
            number = Decimal("nan")
        if not number.is_finite() or not math.isfinite(float(number)):
            raise ValidationError("Enter a number, with a point before the decimals.")
        if number == number.to_integral_value() and "." not in value and abs(number.adjusted()) < manifest.MAX_DIGITS:
            return int(number)
        if Decimal(repr(float(number))) != number:
            raise ValidationError("This number has more digits than can be kept.")
        return float(number)


class DayField(_Typed):
    """A day, written as 2026-01-31, which is also what browsers send."""

    widget = forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")


class MailField(_Typed):
    widget = forms.EmailInput


class ChoiceField(_Typed):
    """One of the values of an enum, whatever their types: the options carry JSON."""

    widget = forms.Select

    def __init__(self, *, values: list[Any], **options: Any) -> None:
        super().__init__(**options)
        self.values = {_as_json(value): value for value in values}
        labels = [(text, value if isinstance(value, str) else text) for text, value in self.values.items()]
        self.widget.choices = [("", "Choose …" if self.required else "Not given"), *labels]

    def typed(self, value: str) -> Any:
        if value not in self.values:
            raise ValidationError("Choose one of the values that are listed.")
        return self.values[value]

    def shown(self, value: Any) -> str:
        return _as_json(value)


class YesNoField(ChoiceField):
    """True, false, or not given: a box to tick could not say the last."""

    def __init__(self, **options: Any) -> None:
        super().__init__(values=[True, False], **options)
        self.widget.choices = [
            (value, {"true": "Yes", "false": "No"}.get(value, text)) for value, text in self.widget.choices
        ]


class LinesField(_Typed):
    """A list of texts, one a line; empty lines are dropped."""

    widget = forms.Textarea(attrs={"rows": 4})

    def typed(self, value: str) -> list[str]:
        return [line.strip() for line in value.splitlines() if line.strip()]

    def shown(self, value: Any) -> str:
        return "\n".join(map(str, value)) if isinstance(value, list) else ""


class JsonField(_Typed):
    """A value as JSON, for what has no field of its own."""

    widget = forms.Textarea(attrs={"rows": 6, "class": "mono", "spellcheck": "false"})

    def typed(self, value: str) -> Any:
        try:
            read = manifest.read_json(value)
        except (ValueError, RecursionError) as error:
            raise ValidationError(f"This is not JSON: {error}.") from None
        if problem := manifest.json_problem(read):
            raise ValidationError(f"This cannot be kept: {problem}.")
        return read

    def shown(self, value: Any) -> str:
        return json.dumps(value, ensure_ascii=False, indent=2)


class OthersField(JsonField):
    """The values that the schema allows, but does not list."""

    def __init__(self, **options: Any) -> None:
        super().__init__(help_text="Values that the definition does not list, as a JSON object.", **options)

    def typed(self, value: str) -> dict[str, Any]:
        read = super().typed(value)
        if not isinstance(read, dict):
            raise ValidationError("This must be a JSON object, a set of named values.")
        return read


def _field(name: str, described: Mapping[str, Any], required: bool) -> forms.Field:
    title, description = described.get("title"), described.get("description")
    hints = [description] if isinstance(description, str) and description else []
    kind, null = _kind(described)
    options: dict[str, Any] = {
        "label": title if isinstance(title, str) and title.strip() else name,
        # An empty list, and the empty text, can be right where the value must be there.
        "required": required and not (kind == "array" and not described.get("minItems")),
        "null": null and required,
    }
    field: _Typed
    if "enum" in described or "const" in described:
        values = described["enum"] if "enum" in described else [described["const"]]
        field = ChoiceField(values=list(values), **options)
    elif kind == "boolean":
        field = YesNoField(**options)
    elif kind == "integer":
        field = WholeNumberField(**options)
    elif kind == "number":
        field = NumberField(**options)
    elif kind == "string":
        field = _text_field(described, options)
    elif kind == "array":
        field = LinesField(**options)
        field.empty = [] if required else ABSENT
        hints.append("One a line.")
    else:
        field = JsonField(**options)
        hints.append("As JSON.")
    # Templates print help as HTML; what a schema says is text.
    field.help_text = escape(" ".join(hints))
    _hint_to_browser(field, described)
    if "default" in described:
        field.initial = field.shown(described["default"])
    return field


def _text_field(described: Mapping[str, Any], options: Mapping[str, Any]) -> _Typed:
    if described.get("format") == "date":
        return DayField(**options)
    if described.get("format") == "email":
        return MailField(**options)
    many = described.get("maxLength", 0) > _LONG_TEXT and not {"pattern", "format"} & described.keys()
    return TextField(widget=forms.Textarea(attrs={"rows": 4}) if many else forms.TextInput, **options)


def _kind(described: Mapping[str, Any]) -> tuple[str, bool]:
    """Which type the field is for, "" where only JSON will do, and whether null is allowed beside it."""
    types = described.get("type", "")
    types = [types] if isinstance(types, str) else list(types)
    null = "null" in types
    types = [name for name in types if name != "null"]
    kind = types[0] if len(types) == 1 else ""
    if kind == "array":
        items = described.get("items")
        plain = isinstance(items, dict) and items.get("type") == "string" and "prefixItems" not in described
        return ("array", False) if plain and not null else ("", null)
    return (kind, null) if kind in ("string", "integer", "number", "boolean") else ("", null)


def _resolved(described: Any, schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """The description with its reference followed; what stands beside a reference goes before what it leads to."""
    for _ in range(manifest.MAX_DEPTH):
        if not isinstance(described, dict):
            return {}
        if "$ref" not in described:
            return described
        beside = {word: value for word, value in described.items() if word != "$ref"}
        target = schema.get("$defs", {}).get(str(described["$ref"]).removeprefix("#/$defs/"), {})
        described = {**target, **beside} if isinstance(target, dict) else beside
    return {}


def _hint_to_browser(field: _Typed, described: Mapping[str, Any]) -> None:
    """Bounds that a browser can tell about while one types; the schema decides."""
    attributes = field.widget.attrs
    if isinstance(field, WholeNumberField | NumberField):
        whole = isinstance(field, WholeNumberField)
        bounds = {name: described[word] for name, word in _BOUNDS.items() if word in described}
        # Browsers count steps from the lower bound; from one with decimals they would refuse every whole number.
        attributes.update({name: bound for name, bound in bounds.items() if isinstance(bound, int) or not whole})
        attributes["step"] = 1 if whole else "any"
    elif isinstance(field, TextField | MailField) and "maxLength" in described:
        attributes["maxlength"] = described["maxLength"]
    if isinstance(field, TextField) and isinstance(described.get("examples"), list) and described["examples"]:
        attributes["placeholder"] = str(described["examples"][0])


_BOUNDS = {"min": "minimum", "max": "maximum"}


def _as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)
