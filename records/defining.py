"""The verbs of a record definition: a type with its definition's draft, the draft's content, its submission (R1).

A definition is written as data (`contract.Definition`), read by people as the document that is made from it, and sealed as
both: `definition.json` is the gate, the rendition is what is signed.
"""

import json
import re
from collections.abc import Callable
from typing import Any

from django.db import transaction

from accounts import founding
from accounts.models import Area, User
from accounts.permissions import demand
from audit import trail
from audit.actions import Action
from records import contract, documents, drafts, numbers
from records.contract import Definition
from records.definitions import FILE
from records.drafts import Section
from records.kinds import Kind
from records.models import Draft, RecordType, Version

SECTION = "definition"


class DefinitionRefused(trail.Refused):
    """The definition has problems; the message names each."""

    status = 422


def create_type(code: str, *, name: str, prefix: str, numbering: str, digits: int, area: Area, by: User) -> RecordType:
    """A new type of data record, with a definition to be written and signed before anything can be registered."""
    demand(by, "definition.write")
    code, prefix = code.strip().upper(), prefix.strip().upper()
    word = re.compile(r"[A-Z][A-Z0-9]{1,11}")
    if not word.fullmatch(code) or not (
        word.fullmatch(prefix) or (not prefix and numbering == RecordType.Numbering.TYPED)
    ):
        raise DefinitionRefused(
            "Code and prefix are 2 to 12 capital letters and digits, such as NGS. A typed number may do without a prefix.",
            by=by,
        )
    if RecordType.objects.filter(pk=code).exists() or (prefix and RecordType.objects.filter(prefix=prefix).exists()):
        raise DefinitionRefused(f"The code {code} or the prefix {prefix} is taken.", by=by)
    if numbering not in RecordType.Numbering.values or not 1 <= digits <= 8 or not name.strip():
        raise DefinitionRefused("A type needs a name, and numbers of 1 to 8 digits, counted or typed.", by=by)
    with transaction.atomic(durable=True):
        record = numbers.create(
            RecordType.objects.get(pk="DEF"), title=name.strip(), area=area, by=by, permission="definition.write"
        )
        made = RecordType.objects.create(
            code=code,
            name=name.strip(),
            kind=Kind.DATA,
            prefix=prefix,
            numbering=numbering,
            digits=digits,
            definition=record,
        )
        drafts.open_draft(record, [_section(blank(name.strip()))], by=by)
        trail.record(Action.TYPE_CREATED, made, by=by, detail={"definition": record.number, **founding.mark()})
    return made


def blank(name: str) -> Definition:
    """What a new definition begins with."""
    return Definition(
        name=name, description="", part11=True, part11_reason="", predicate_rule="", owner="", retention_years=10,
        metadata_schema={"$schema": contract.DIALECT, "type": "object", "properties": {}, "required": []},
        signers=(contract.Signer("approver", "approval", "I approve this package for its intended use."),),
    )  # fmt: skip


def definition_of(draft: Draft) -> Definition:
    """What the draft says now. Raises `contract.DefinitionError` with every reason."""
    return Definition.from_json(next(s["text"] for s in draft.sections if s["id"] == SECTION))


def save(draft: Draft, values: dict[str, Any], *, by: User, message: str, on_top_of: int) -> Draft:
    """Save the draft's content. It may still have problems, but must be readable as a definition."""
    try:
        definition = Definition.from_json(values)
    except contract.DefinitionError as error:
        raise DefinitionRefused(str(error), subject=draft.record, by=by) from error
    return drafts.save(draft, [_section(definition)], by=by, message=message, on_top_of=on_top_of)


def submit(draft: Draft, *, by: User, message: str, then: Callable[[Version], Any]) -> Version:
    """Freeze the definition as a version in review. Raises DefinitionRefused naming every problem, NotReady."""
    definition = definition_of(draft)
    if problems := contract.problems(definition):
        raise DefinitionRefused(" ".join(problems), subject=draft.record, by=by)
    return documents.submit(
        draft, by=by, message=message, then=then, sections=as_sections(definition),
        facts=[("Record type", draft.record.defines.code), ("Owner", definition.owner)],
        extra=[(FILE, definition.to_bytes(), "application/json")],
    )  # fmt: skip


def as_sections(definition: Definition) -> list[Section]:
    """The definition as people read and sign it."""
    kind = "is" if definition.part11 else "is not"
    files = ["| File | Pattern | At least | At most |", "|---|---|---|---|"]
    files += [_file_row(file) for file in definition.required_files]
    others = "Other files are allowed." if definition.other_files else "No other files are allowed."
    required = set(definition.metadata_schema.get("required", []))
    fields = ["| Field | Meaning | Required |", "|---|---|---|"]
    fields += [
        _field_row(name, spec, name in required)
        for name, spec in definition.metadata_schema.get("properties", {}).items()
        if isinstance(spec, dict)
    ]
    signers = [
        f"{place}. {signer.role}, {signer.meaning}: “{signer.sentence}”"
        for place, signer in enumerate(definition.signers, 1)
    ]
    schema = json.dumps(definition.metadata_schema, indent=2, ensure_ascii=False)
    texts = {
        "What it is": f"{definition.description}\n\nOwner: {definition.owner}.",
        "Part 11 decision": f"This {kind} a record under 21 CFR Part 11. {definition.part11_reason}\n\n"
        f"Predicate rule: {definition.predicate_rule or 'none'}.",
        "Retention": f"{definition.retention_years} years from registration.",
        "Required files": "\n".join(files) + f"\n\n{others}",
        "Metadata": "\n".join(fields) + f"\n\nThe JSON Schema that is the gate:\n\n```json\n{schema}\n```",
        "Signatures": "\n".join(signers),
    }
    return [
        {"id": f"s{number}", "title": title, "guidance": "", "text": text}
        for number, (title, text) in enumerate(texts.items(), 1)
    ]


def _file_row(file: contract.RequiredFile) -> str:
    most = "any number" if file.max_count is None else file.max_count
    return f"| {_cell(file.label)} | `{file.pattern}` | {file.min_count} | {most} |"


def _field_row(name: str, spec: dict[str, Any], required: bool) -> str:
    meaning = " ".join(f"{_cell(str(spec[part]))}." for part in ("title", "description") if spec.get(part))
    return f"| `{name}` | {meaning} | {'yes' if required else 'no'} |"


def _section(definition: Definition) -> Section:
    return {"id": SECTION, "title": "Definition", "guidance": "", "text": definition.to_bytes().decode()}


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
