"""Lists of rows in a form: they grow by one at a button, and the browser sends back their number and order."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.forms import BaseFormSet, formset_factory

MOST = 200


def of_form(form: type[forms.Form], data: Any, prefix: str, initial: Sequence[dict[str, Any]]) -> Any:
    """The rows as they were sent, with one more where the button `add` asks for it; else as they are on file."""
    kind: type[BaseFormSet[Any]] = formset_factory(form, extra=0 if initial else 1, can_delete=True, max_num=MOST)
    if data is None:
        return kind(prefix=prefix, initial=list(initial))
    if data.get("add") == prefix:
        data, count = data.copy(), number(data.get(f"{prefix}-TOTAL_FORMS", ""))
        data[f"{prefix}-TOTAL_FORMS"] = str(count + 1)
        for name, field in form.base_fields.items():
            if field.initial is not None:
                data[f"{prefix}-{count}-{name}"] = str(field.initial)
    return kind(data, prefix=prefix, initial=list(initial))


def kept(formset: Any, *told: str) -> list[dict[str, Any]]:
    """The rows that say something and are not to be removed."""
    found = [form.cleaned_data for form in formset if form.cleaned_data and not form.cleaned_data.get("DELETE")]
    return [row for row in found if any(row.get(name) for name in told)]


def only(row: dict[str, Any], shape: Any) -> dict[str, Any]:
    """What of the row the dataclass has a field for."""
    return {name: row[name] for name in shape.__dataclass_fields__ if name in row}


def number(text: str) -> int:
    """A count that came with a form; 0 for what is none."""
    return int(text) if text.isdecimal() and len(text) < 9 else 0
