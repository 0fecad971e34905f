"""The definition of a record type, and the gate it makes: which files and which metadata a version must have.

A definition is data (`Definition`), so that it can be a Version itself: written, signed and reviewed like any other.
`problems` says what keeps it from being approved; `check` says everything that keeps a package from being registered.

Sources: 21 CFR 11.50(a)(3) for what a signature may mean; 11.10(h) (device checks of the input) and EU GMP Annex 11,
clauses 5 and 6, for the gate; JSON Schema draft 2020-12 for metadata (see `records.metadata_schema`).
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Protocol

from accounts.roles import PERMISSIONS
from records import manifest, previews
from records.metadata_schema import DIALECT, Failure, check_metadata, schema_problems

#: What a signature under a package can mean (21 CFR 11.50(a)(3)), and which roles may then sign: a definition that asks
#: another one would open a route that nobody can finish.
SIGNERS: dict[str, list[str]] = {
    "review": sorted(map(str, PERMISSIONS["sign.review"])),
    "approval": sorted(map(str, PERMISSIONS["sign.approve"])),
}


class DefinitionError(ValueError):
    """A definition that cannot even be read; ``problems`` holds a sentence for each reason."""

    def __init__(self, reasons: Sequence[str]) -> None:
        super().__init__(" ".join(reasons))
        self.problems = list(reasons)


class FileFact(Protocol):
    """What the contract asks of a file; a `manifest.Entry` has it, a row of the file table as well."""

    @property
    def logical_key(self) -> str: ...

    @property
    def size(self) -> int: ...


@dataclass(frozen=True)
class RequiredFile:
    """Files that a package must have. ``pattern``: "*" and "?" stay within a folder, "**" is any number of folders."""

    pattern: str
    label: str
    min_count: int = 1
    max_count: int | None = None
    media_type: str = ""


@dataclass(frozen=True)
class Signer:
    """Who must sign a version, what that means, and the sentence they put their name to."""

    role: str
    meaning: str
    sentence: str


@dataclass(frozen=True)
class Definition:
    """What a type of record is, and what a version of it must hold. ``retention_years`` counts from registration."""

    name: str
    description: str
    part11: bool
    part11_reason: str
    predicate_rule: str
    owner: str
    retention_years: int
    required_files: tuple[RequiredFile, ...] = ()
    other_files: bool = False
    metadata_schema: dict[str, Any] = field(default_factory=lambda: {"type": "object"})
    signers: tuple[Signer, ...] = ()

    @classmethod
    def from_json(cls, data: bytes | str | Mapping[str, Any]) -> "Definition":
        """Read a definition; raises `DefinitionError` with every reason. What it says may still have `problems`."""
        try:
            values: Any = manifest.read_json(data) if isinstance(data, bytes | str) else data
        except (ValueError, RecursionError) as error:
            raise DefinitionError([f"The definition is not JSON: {error}."]) from None
        if failures := check_metadata(DEFINITION_SCHEMA, values, whole="The definition"):
            raise DefinitionError([failure.sentence for failure in failures])
        values = dict(values)
        values["required_files"] = tuple(RequiredFile(**item) for item in values.get("required_files", []))
        values["signers"] = tuple(Signer(**item) for item in values.get("signers", []))
        return cls(**values)

    def to_json(self) -> dict[str, Any]:
        """The definition as JSON data; `from_json` gives the same definition again."""
        values: dict[str, Any] = json.loads(self.to_bytes())
        return values

    def to_bytes(self) -> bytes:
        """The same definition always gives the same bytes: members in the order of the fields, no white space, UTF-8. The
        metadata schema keeps its own order, which is that of the form at registration."""
        return json.dumps(asdict(self), ensure_ascii=False, separators=(",", ":")).encode()


_TEXT = {"type": "string", "maxLength": 10_000}
_NAME = {"type": "string", "minLength": 1, "maxLength": 200}
_COUNT = {"type": "integer", "minimum": 0, "maximum": 1_000_000}

#: What every definition must look like. It stands in code, since no definition can admit the first one.
DEFINITION_SCHEMA: dict[str, Any] = {
    "$schema": DIALECT,
    "title": "Record definition",
    "type": "object",
    "additionalProperties": False,
    "required": [
        "name", "description", "part11", "part11_reason", "predicate_rule", "owner", "retention_years",
        "required_files", "other_files", "metadata_schema", "signers",
    ],
    "properties": {
        "name": {"title": "Name", **_NAME},
        "description": {"title": "What it is", **_TEXT},
        "part11": {"title": "Part 11 record", "type": "boolean"},
        "part11_reason": {"title": "Why it is, or is not, a Part 11 record", **_TEXT},
        "predicate_rule": {"title": "Predicate rule", **_TEXT},
        "owner": {"title": "Owner", "type": "string", "maxLength": 200},
        "retention_years": {"title": "Retention in years", "type": "integer", "minimum": 1, "maximum": 200},
        "other_files": {"title": "Other files allowed", "type": "boolean"},
        "metadata_schema": {"title": "Metadata schema", "type": "object"},
        "required_files": {
            "title": "Required files",
            "type": "array",
            "maxItems": 200,
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["pattern", "label"],
                "properties": {
                    "pattern": {"title": "Pattern", "type": "string", "minLength": 1, "maxLength": 500},
                    "label": {"title": "Label", **_NAME},
                    "min_count": {"title": "At least", **_COUNT},
                    "max_count": {"title": "At most", **_COUNT, "type": ["integer", "null"]},
                    "media_type": {"title": "Media type", "type": "string", "maxLength": 200},
                },
            },
        },
        "signers": {
            "title": "Signers",
            "type": "array",
            "maxItems": 20,
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["role", "meaning", "sentence"],
                "properties": {
                    "role": {"title": "Role", "enum": sorted({role for roles in SIGNERS.values() for role in roles})},
                    "meaning": {"title": "Meaning", "enum": list(SIGNERS)},
                    "sentence": {"title": "Sentence", "type": "string", "maxLength": 1_000},
                },
            },
        },
    },
}  # fmt: skip


def problems(definition: Definition) -> list[str]:
    """Everything that keeps this definition from being approved, in sentences; empty when there is nothing."""
    found = [
        f"{title} is empty."
        for title, text in [
            ("The name", definition.name),
            ("The description of what the record is", definition.description),
            ("The owner", definition.owner),
            ("The reason why this is, or is not, a Part 11 record,", definition.part11_reason),
        ]
        if not text.strip()
    ]
    if definition.part11 and not definition.predicate_rule.strip():
        found.append("A Part 11 record needs its predicate rule: the regulation that asks for this record.")
    if definition.retention_years < 1:
        found.append("The retention must be at least one year.")
    found += _file_problems(definition)
    found += _signer_problems(definition.signers)
    return found + schema_problems(definition.metadata_schema)


def check(
    definition: Definition,
    files: Iterable[FileFact],
    metadata: Any,
    *,
    media_types: Mapping[str, str] | None = None,
) -> list[Failure]:
    """All reasons at once why a package with these files and this metadata is refused; empty when it is admitted.

    Of a `manifest.Entry` it is checked as well whether it can stand in a manifest.
    ``media_types`` tells a file's media type by logical key where somebody has looked inside; else its name decides.
    """
    listed = list(files)
    known = media_types or {}
    return [
        *_file_failures(definition, listed, known),
        *check_metadata(definition.metadata_schema, metadata),
    ]


def glob_matches(pattern: str, logical_key: str) -> bool:
    """Whether a logical key fits a pattern. Case counts; "*", "?" and "[...]" stay in a folder, "**" spans folders."""
    wanted, parts = pattern.split("/"), logical_key.split("/")
    # The greedy walk with one way back, to the last "**": the work is bounded by the product of the two lengths.
    at = part = 0
    star, resume = -1, 0
    while part < len(parts):
        if at < len(wanted) and wanted[at] == "**":
            star, resume = at, part
            at += 1
        elif at < len(wanted) and fnmatchcase(parts[part], wanted[at]):
            at, part = at + 1, part + 1
        elif star >= 0:
            resume += 1
            at, part = star + 1, resume
        else:
            return False
    return all(rest == "**" for rest in wanted[at:])


# Files


def _file_problems(definition: Definition) -> Iterator[str]:
    patterns = Counter(required.pattern for required in definition.required_files)
    yield from (f'The file pattern "{pattern}" is listed twice.' for pattern, count in patterns.items() if count > 1)
    for required in definition.required_files:
        name = f'The required file "{required.label}" ({required.pattern})'
        if not required.label.strip():
            yield f'The required file with the pattern "{required.pattern}" has no label.'
        if any(part in ("", ".", "..") for part in required.pattern.split("/")) or "\\" in required.pattern:
            yield f'{name} has a pattern that no file can fit: folders are parted by single "/", without "." or "..".'
        if required.min_count < 0 or (required.max_count is not None and required.max_count < 1):
            yield f"{name} has a count below what makes sense: at least 0, at most 1 or more."
        if required.max_count is not None and required.max_count < required.min_count:
            yield f"{name} must be there at least {required.min_count} and at most {required.max_count} times."
        if required.media_type and not re.fullmatch(r"[a-z]+/[a-z0-9.+-]+", required.media_type):
            yield f'{name} has "{required.media_type}", which is not a media type such as "text/csv".'
    if not definition.required_files and not definition.other_files:
        yield "No file is required and no other file is allowed, so that nothing could ever be registered."


def _file_failures(
    definition: Definition, files: Sequence[FileFact], media_types: Mapping[str, str]
) -> Iterator[Failure]:
    if not files:
        yield Failure("files", "The package has no files.")
    counts = Counter(file.logical_key for file in files)
    for key, count in counts.items():
        if count > 1:
            yield Failure(key, f"{key} is listed {count} times; a name stands for one file.")
    yield from _unfit_for_a_manifest(files)
    expected: set[str] = set()
    for required in definition.required_files:
        found = [file for file in files if glob_matches(required.pattern, file.logical_key)]
        expected.update(file.logical_key for file in found)
        yield from _count_failure(required, len({file.logical_key for file in found}))
        for file in found:
            if file.size == 0:
                yield Failure(file.logical_key, f"{required.label} ({file.logical_key}) is empty: it has 0 bytes.")
            media_type = media_types.get(file.logical_key) or previews.media_type_of(file.logical_key)
            if required.media_type and media_type != required.media_type:
                yield Failure(
                    file.logical_key,
                    f"{required.label} ({file.logical_key}) must be {required.media_type}; this is {media_type}.",
                )
    if not definition.other_files:
        for key in counts:
            if key not in expected:
                yield Failure(key, f"{key} is not expected: the definition names no such file and allows no others.")


def _unfit_for_a_manifest(files: Sequence[FileFact]) -> Iterator[Failure]:
    """What S3 can hold and a package cannot: odd names, objects without a fixed version, a file that is a folder too."""
    for file in files:
        if isinstance(file, manifest.Entry):
            for _, problem in manifest.entry_problems(file):
                yield Failure(file.logical_key, f"{file.logical_key} cannot be in a package: {problem}.")
    keys = {file.logical_key for file in files}
    folders = {key[:at] for key in keys for at, letter in enumerate(key) if letter == "/"}
    for key in sorted(keys & folders):
        yield Failure(key, f"{key} is a file and a folder at once; a package cannot hold both.")


def _count_failure(required: RequiredFile, found: int) -> Iterator[Failure]:
    name = f"{required.label} ({required.pattern})"
    if found < required.min_count:
        verb = "is missing" if found == 0 else "is incomplete"
        needed = f"at least {required.min_count} {'is' if required.min_count == 1 else 'are'} required"
        yield Failure(required.pattern, f"{name} {verb}: {needed}, {found} found.")
    elif required.max_count is not None and found > required.max_count:
        allowed = f"at most {required.max_count} {'is' if required.max_count == 1 else 'are'} allowed"
        yield Failure(required.pattern, f"{name} is there too often: {allowed}, {found} found.")


# Signers


def _signer_problems(signers: Sequence[Signer]) -> Iterator[str]:
    if not any(signer.role == "approver" and signer.meaning == "approval" for signer in signers):
        yield 'No approver signs: at least one signer must have the role "approver" and the meaning "approval".'
    elif signers[-1].meaning != "approval":
        yield "The last signature must be an approval: it is what makes the version approved."
    pairs = Counter((signer.role, signer.meaning) for signer in signers)
    yield from (
        f"The {role} is asked to sign {count} times with the meaning {meaning}; once is enough."
        for (role, meaning), count in pairs.items()
        if count > 1
    )
    for signer in signers:
        if signer.meaning not in SIGNERS:
            yield f'"{signer.meaning}" is no meaning of a signature; meanings are {", ".join(SIGNERS)}.'
        elif signer.role not in SIGNERS[signer.meaning]:
            able = " or ".join(SIGNERS[signer.meaning])
            yield f'The role "{signer.role}" cannot sign with the meaning {signer.meaning}; that takes: {able}.'
        if not signer.sentence.strip():
            yield f"The sentence that the {signer.role} signs is empty."
