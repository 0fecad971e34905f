"""Quilt v0 package manifests: the bytes a Version is made of, and the two digests that sum it up.

A manifest is JSON Lines. Line 1 is the header (``version``, ``message``, ``user_meta``, sometimes ``workflow``);
every further line is a file (``logical_key``, ``physical_keys``, ``size``, ``hash``, ``meta``) or, without
``physical_keys`` and with a key that ends in "/", the metadata of a directory.

Sources: the format as https://docs.quilt.bio describes it, and ``quilt3`` 8.0 itself (``packages.py``: ``_load``,
``_dump``, ``walk``, ``_calculate_top_hash``; ``util.py``: ``PhysicalKey``; ``checksums.py``). What we write, ``quilt3``
reads and writes again byte for byte; what ``quilt3`` hashes, we hash to the same value. We refuse more than it does:
nothing here may mean two things, point at an object version that can change, or name a file outside its package.

What the top hash covers: the header, and of each file its logical key, size, hash and metadata. It leaves out where the
bytes lie (see `pins_sha256`) and the metadata of directories (Quilt's own choice; nothing here makes up for it).
"""

import base64
import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit

from audit.canonical import canonical

SHA256 = "SHA256"
SHA256_CHUNKED = "sha2-256-chunked"
CRC64NVME = "CRC64NVME"

#: quilt3 refuses to write a longer line (its ``DEFAULT_MANIFEST_MAX_RECORD_SIZE``); bytes, without the line end.
MAX_LINE_BYTES = 1_000_000
MAX_MANIFEST_BYTES = 256 * 1024 * 1024
#: Levels of nesting in metadata; far below what Python's JSON reader and writer can take.
MAX_DEPTH = 64
#: Digits of a whole number in metadata.
MAX_DIGITS = 300
#: The longest key of an S3 object, in bytes of UTF-8.
MAX_KEY_BYTES = 1024

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]")
_HEX_SHA256 = re.compile(r"[0-9a-f]{64}")
_DRIVE = re.compile(r"[A-Za-z]:")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
# Characters that turn the direction of the text around them: a signer would read another name than the one signed.
_BIDI = re.compile(r"[\u202a-\u202e\u2066-\u2069]")

_CHUNK_BYTES = 8 * 1024 * 1024
_MAX_CHUNKS = 10_000

_write_line = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode
_write_hashed = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


class ManifestError(ValueError):
    """A manifest that is refused. ``str()`` is a sentence; ``line`` counts from 1, None when nothing was read."""

    def __init__(self, problem: str, *, field: str = "", line: int | None = None, key: str = "") -> None:
        place = ", ".join(part for part in (f"line {line}" if line else key, field) if part)
        sentence = f"{place}: {problem}" if place else problem
        super().__init__(sentence[0].upper() + sentence[1:] if line or not place else sentence)
        self.problem, self.field, self.line, self.key = problem, field, line, key


@dataclass(frozen=True)
class Hash:
    """The hash of one file as the manifest states it: ``type`` is one of quilt3's names, ``value`` in its spelling."""

    type: str
    value: str


@dataclass(frozen=True)
class Entry:
    """One file: what it is called in the package, which object version holds its bytes, and what those bytes hash to.

    ``sha256`` is ours, in hex, and empty while nobody has read the bytes. ``foreign`` is a hash of another type that
    came with the manifest; it is then the one that the top hash covers, and stays as it came. ``meta`` is Quilt's
    whole dictionary of the entry (what people gave is under ``user_meta``).
    """

    logical_key: str
    bucket: str
    key: str
    version_id: str
    size: int
    sha256: str
    meta: dict[str, Any] = field(default_factory=dict)
    foreign: Hash | None = None

    @property
    def hash(self) -> Hash:
        """The hash that stands in the manifest and that the top hash covers."""
        return self.foreign or Hash(SHA256, self.sha256)

    @property
    def binds_content(self) -> bool:
        """False for a checksum (CRC64NVME) that guards against accidents only: other bytes can be made to match it."""
        return self.hash.type != CRC64NVME


@dataclass(frozen=True)
class Manifest:
    """A manifest that has been checked. ``header`` is line 1 as it came, without the obsolete ``top_hash`` member."""

    header: dict[str, Any]
    entries: tuple[Entry, ...]
    directories: tuple[tuple[str, dict[str, Any]], ...] = ()

    @property
    def message(self) -> str:
        return self.header.get("message") or ""

    @property
    def user_meta(self) -> dict[str, Any]:
        return self.header.get("user_meta") or {}

    @property
    def workflow(self) -> Any:
        return self.header.get("workflow")

    def to_bytes(self) -> bytes:
        """The manifest as ``quilt3`` would write it: one line each, UTF-8, files in the order of `walk_order`."""
        lines: list[Mapping[str, Any]] = [self.header]
        lines += [{"logical_key": key, "meta": meta} for key, meta in self.directories]
        lines += [_as_line(entry) for entry in self.entries]
        return b"".join(_encoded(line) for line in lines)


def walk_order(logical_key: str) -> list[str]:
    """The sort key of ``quilt3``: folder by folder, names by code point ("a/b" comes before "a!b")."""
    return logical_key.split("/")


def compose(
    entries: Iterable[Entry],
    message: str | None,
    user_meta: Mapping[str, Any],
    *,
    workflow: Mapping[str, Any] | None = None,
) -> Manifest:
    """A checked manifest of these files; raises `ManifestError` naming the file and the field."""
    header: dict[str, Any] = {"version": "v0", "message": message, "user_meta": dict(user_meta)}
    if workflow is not None:
        header["workflow"] = dict(workflow)
    _check_header(header, line=None)
    listed = list(entries)
    for entry in listed:
        _check_entry(entry, line=None)
        if not entry.hash.value:
            problem = "the SHA-256 is not known yet; read the bytes first"
            raise ManifestError(problem, field="hash", key=entry.logical_key)
    return Manifest(header, _in_order(listed, {}))


def build(
    entries: Iterable[Entry],
    message: str | None,
    user_meta: Mapping[str, Any],
    *,
    workflow: Mapping[str, Any] | None = None,
) -> bytes:
    """The bytes of a manifest of these files; raises `ManifestError` naming the file and the field."""
    return compose(entries, message, user_meta, workflow=workflow).to_bytes()


def parse(data: bytes) -> Manifest:
    """Read a manifest; raises `ManifestError` naming the line and the field that is wrong."""
    if len(data) > MAX_MANIFEST_BYTES:
        raise ManifestError(f"The manifest is {len(data):,} bytes long; at most {MAX_MANIFEST_BYTES:,} are read.")
    lines = data.split(b"\n")
    if lines[-1] == b"":
        lines.pop()
    if not lines:
        raise ManifestError("The manifest is empty; it needs at least its header line.")
    header = _read_line(lines[0], 1)
    header.pop("top_hash", None)  # obsolete; quilt3 drops it before it hashes
    _check_header(header, line=1)

    entries: list[Entry] = []
    directories: list[tuple[str, dict[str, Any]]] = []
    line_of: dict[str, int] = {}
    for number, raw in enumerate(lines[1:], start=2):
        row = _read_line(raw, number)
        if row.get("physical_keys") in (None, []):
            item = _directory(row, number)
            directories += [item] if item[1] else []  # quilt3 forgets empty ones
            key = item[0]
        else:
            entry = _entry(row, number)
            entries.append(entry)
            key = entry.logical_key
        if key in line_of:
            raise ManifestError(f"{key!r} is already on line {line_of[key]}", field="logical_key", line=number)
        line_of[key] = number
    for folder, _ in directories:
        parts = walk_order(folder.removesuffix("/"))
        if files := [name for end in range(len(parts)) if (name := "/".join(parts[: end + 1])) in line_of]:
            raise ManifestError(
                f"{files[0]!r} is a file and a folder at once", field="logical_key", line=line_of[folder]
            )
    directories.sort(key=lambda item: walk_order(item[0].removesuffix("/")))
    return Manifest(header, _in_order(entries, line_of), tuple(directories))


def top_hash(manifest: Manifest) -> str:
    """The package's top hash, in hex, exactly as ``quilt3`` computes it (``Package._calculate_top_hash``).

    SHA-256 over the header and then each file as compact JSON with sorted members and everything outside ASCII escaped,
    one right after the other.
    """
    digest = hashlib.sha256(_write_hashed(manifest.header).encode())
    for entry in manifest.entries:
        part = {
            "hash": {"type": entry.hash.type, "value": entry.hash.value},
            "logical_key": entry.logical_key,
            "meta": entry.meta,
            "size": entry.size,
        }
        digest.update(_write_hashed(part).encode())
    return digest.hexdigest()


def pins_sha256(entries: Iterable[Entry]) -> str:
    """SHA-256, in hex, of where the bytes lie: what Quilt's top hash leaves out.

    Hashed is the RFC 8785 form of a list of ``[logical_key, bucket, key, version_id]``, in the order of `walk_order`.
    """
    ordered = sorted(entries, key=lambda entry: walk_order(entry.logical_key))
    pins = [[entry.logical_key, entry.bucket, entry.key, entry.version_id] for entry in ordered]
    return hashlib.sha256(canonical(pins)).hexdigest()


def physical_key(bucket: str, key: str, version_id: str) -> str:
    """``s3://bucket/key?versionId=...``, quoted as ``quilt3`` quotes it (``PhysicalKey.__str__``)."""
    return f"s3://{bucket}{quote('/' + key)}?{urlencode({'versionId': version_id})}"


def read_physical_key(url: str) -> tuple[str, str, str]:
    """Bucket, key and version id of ``s3://bucket/key?versionId=...`` as ``quilt3`` reads it; ValueError with a reason.

    Refused besides: what that reader drops without a word (a fragment, a second version id, line ends), bytes that are
    not UTF-8, and addresses that name no fixed version.
    """
    if _CONTROL.search(url) or url != url.strip():
        raise ValueError("the address holds a blank or control character at a place where it is not quoted")
    parts = urlsplit(url)
    if parts.scheme != "s3":
        raise ValueError(f'the address must begin with "s3://", this one is {_short(url)}')
    if "#" in url:
        raise ValueError('a "#" in a key must be written %23')
    try:
        key = unquote(parts.path, errors="strict")[1:]
        query = parse_qs(parts.query, keep_blank_values=True, errors="strict")
    except UnicodeDecodeError:
        raise ValueError("the quoted bytes are not UTF-8") from None
    versions = query.pop("versionId", [])
    if query:
        raise ValueError(f"nothing but versionId may follow the question mark, this address has {_short(parts.query)}")
    if not versions or versions == [""]:
        raise ValueError("the version id is missing (?versionId=...); without it the bytes could change")
    if len(versions) > 1:
        raise ValueError("the address names more than one version id")
    return parts.netloc, key, versions[0]


class ChunkedSha256:
    """Quilt's ``sha2-256-chunked`` over a stream whose size is known: base64 of SHA-256 over the SHA-256 of each part.

    Parts are 8 MiB, doubled until there are at most 10,000 (``checksums.get_checksum_chunksize``).
    """

    def __init__(self, size: int) -> None:
        part = _CHUNK_BYTES
        while math.ceil(size / part) > _MAX_CHUNKS:
            part *= 2
        self._part_bytes, self._in_part = part, 0
        self._part, self._parts = hashlib.sha256(), hashlib.sha256()

    def update(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            taken = view[: self._part_bytes - self._in_part]
            self._part.update(taken)
            self._in_part += len(taken)
            view = view[len(taken) :]
            if self._in_part == self._part_bytes:
                self._close_part()

    def value(self) -> str:
        """The hash as the manifest writes it; call it once, when all bytes are in."""
        if self._in_part:
            self._close_part()
        return base64.b64encode(self._parts.digest()).decode()

    def _close_part(self) -> None:
        self._parts.update(self._part.digest())
        self._part, self._in_part = hashlib.sha256(), 0


def _as_line(entry: Entry) -> dict[str, Any]:
    return {
        "logical_key": entry.logical_key,
        "physical_keys": [physical_key(entry.bucket, entry.key, entry.version_id)],
        "size": entry.size,
        "hash": {"type": entry.hash.type, "value": entry.hash.value},
        "meta": entry.meta,
    }


def _encoded(line: Mapping[str, Any]) -> bytes:
    encoded = _write_line(line).encode()
    if len(encoded) > MAX_LINE_BYTES:
        raise ManifestError(
            f"its line would be {len(encoded):,} bytes long; Quilt allows {MAX_LINE_BYTES:,}, mind the metadata",
            key=line.get("logical_key", "the package's metadata"),
        )
    return encoded + b"\n"


def _in_order(entries: Sequence[Entry], line_of: Mapping[str, int]) -> tuple[Entry, ...]:
    """The entries in quilt3's order; refuses a name that stands twice, or for a file and a folder at once."""
    ordered = sorted(entries, key=lambda entry: walk_order(entry.logical_key))
    before: list[str] | None = None
    for entry in ordered:
        parts = walk_order(entry.logical_key)
        # In this order a folder's files follow directly after a file of the folder's name.
        if before is not None and parts[: len(before)] == before:
            name = "/".join(before)
            problem = f"{name!r} stands twice" if parts == before else f"{name!r} is a file and a folder at once"
            line = line_of.get(entry.logical_key)
            raise ManifestError(problem, field="logical_key", line=line, key=entry.logical_key)
        before = parts
    return tuple(ordered)


def _read_line(raw: bytes, number: int) -> dict[str, Any]:
    if len(raw) > MAX_LINE_BYTES:
        raise ManifestError(f"the line is {len(raw):,} bytes long; Quilt allows {MAX_LINE_BYTES:,}", line=number)
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise ManifestError(f"byte {error.start + 1} of the line is not UTF-8", line=number) from None
    if text.startswith("\ufeff"):
        raise ManifestError("the file begins with a byte order mark; save it as UTF-8 without one", line=number)
    if "\r" in text.rstrip("\r"):
        raise ManifestError("a carriage return stands inside the line; lines end with a line feed", line=number)
    if not text.strip():
        raise ManifestError("the line is empty; every line is one JSON object", line=number)
    try:
        row = read_json(text)
    except json.JSONDecodeError as error:
        raise ManifestError(f"this is not JSON: {error.msg} at character {error.pos + 1}", line=number) from None
    except RecursionError:
        raise ManifestError(f"the JSON is nested more than {MAX_DEPTH} levels deep", line=number) from None
    except ValueError as error:
        raise ManifestError(str(error), line=number) from None
    if not isinstance(row, dict):
        raise ManifestError("the line must be a JSON object", line=number)
    return row


def read_json(text: str | bytes) -> Any:
    """JSON without what readers differ on: doubled members, NaN, numbers beyond a double. Raises ValueError.

    Nesting beyond Python's own limit raises RecursionError; bytes are UTF-8.
    """
    return json.loads(
        text.decode() if isinstance(text, bytes) else text,
        object_pairs_hook=_without_doubles,
        parse_constant=_no_constant,
        parse_float=_finite,
        parse_int=_whole,
    )


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for name, value in pairs:
        if name in members:
            raise ValueError(f"the member {_short(name)} stands twice in one object")
        members[name] = value
    return members


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _whole(literal: str) -> int:
    if len(literal) > MAX_DIGITS:
        raise ValueError(f"the number {_short(literal)} is too large")
    return int(literal)


def _finite(literal: str) -> float:
    number = float(literal)
    if not math.isfinite(number):
        raise ValueError(f"the number {_short(literal)} is too large")
    return number


def _directory(row: Mapping[str, Any], line: int) -> tuple[str, dict[str, Any]]:
    key = row.get("logical_key")
    if not isinstance(key, str):
        raise ManifestError("the logical key is missing or is not text", field="logical_key", line=line)
    if not key.endswith("/"):
        raise ManifestError(f"the address of {_short(key)} on S3 is missing", field="physical_keys", line=line)
    if problem := _logical_key_problem(key.removesuffix("/")):
        raise ManifestError(problem, field="logical_key", line=line)
    if unknown := sorted(row.keys() - {"logical_key", "physical_keys", "meta"}):
        raise ManifestError("the metadata of a folder has no such member", field=unknown[0], line=line)
    return key, _meta(row, line)


def _entry(row: Mapping[str, Any], line: int) -> Entry:
    for name in ("logical_key", "physical_keys", "size", "hash", "meta"):
        if name not in row:
            raise ManifestError("is missing", field=name, line=line)
    if unknown := sorted(row.keys() - {"logical_key", "physical_keys", "size", "hash", "meta"}):
        raise ManifestError("an entry has no such member", field=unknown[0], line=line)
    addresses = row["physical_keys"]
    if not isinstance(addresses, list) or len(addresses) != 1 or not isinstance(addresses[0], str):
        raise ManifestError("must be a list of exactly one address", field="physical_keys", line=line)
    try:
        bucket, key, version_id = read_physical_key(addresses[0])
    except ValueError as error:
        raise ManifestError(str(error), field="physical_keys", line=line) from None
    stated = row["hash"]
    if not isinstance(stated, dict) or set(stated) != {"type", "value"}:
        raise ManifestError('must be an object with "type" and "value", and nothing else', field="hash", line=line)
    ours = stated["type"] == SHA256
    entry = Entry(
        logical_key=row["logical_key"],
        bucket=bucket,
        key=key,
        version_id=version_id,
        size=row["size"],
        sha256=stated["value"] if ours else "",
        meta=_meta(row, line),
        foreign=None if ours else Hash(stated["type"], stated["value"]),
    )
    _check_entry(entry, line)
    if ours and not entry.sha256:
        raise ManifestError("the value is empty", field="hash", line=line)
    return entry


def _meta(row: Mapping[str, Any], line: int) -> dict[str, Any]:
    meta = row.get("meta")
    if meta is None:
        return {}  # as quilt3 does
    if not isinstance(meta, dict):
        raise ManifestError("must be an object", field="meta", line=line)
    if problem := json_problem(meta):
        raise ManifestError(problem, field="meta", line=line)
    return meta


def _check_header(header: Mapping[str, Any], line: int | None) -> None:
    problems = [
        ("version", None if header.get("version") == "v0" else 'must be "v0", the only version of the format'),
        ("message", None if isinstance(header.get("message"), str | None) else "must be text or null"),
        ("user_meta", None if isinstance(header.get("user_meta"), dict | None) else "must be an object"),
        *((name, json_problem({name: value})) for name, value in header.items()),
    ]
    for name, problem in problems:
        if problem:
            raise ManifestError(problem, field=_cut(name), line=line, key="" if line else "header")


def entry_problems(entry: Entry) -> list[tuple[str, str]]:
    """Why this file cannot stand in a manifest: name of the field and what is wrong with it; empty when it can."""
    size = entry.size
    whole = isinstance(size, int) and not isinstance(size, bool) and 0 <= size < 2**63
    problems = [
        ("logical_key", _logical_key_problem(entry.logical_key)),
        ("physical_keys", _pin_problem(entry)),
        ("size", None if whole else f"must be a whole number of bytes, not {_short(size)}"),
        ("hash", _hash_problem(entry)),
        ("meta", json_problem(entry.meta) if isinstance(entry.meta, dict) else "must be an object"),
    ]
    return [(name, problem) for name, problem in problems if problem]


def _check_entry(entry: Entry, line: int | None) -> None:
    for name, problem in entry_problems(entry):
        raise ManifestError(problem, field=name, line=line, key=str(entry.logical_key))


def _logical_key_problem(key: Any) -> str | None:
    if not isinstance(key, str) or not key:
        return "the logical key is missing or is not text"
    if problem := _text_problem(key):
        return problem
    if _CONTROL.search(key):
        return f"{_short(key)} holds a control character"
    if _BIDI.search(key):
        return f"{_short(key)} holds a character that turns the direction of text; it would be read as another name"
    if len(key.encode()) > MAX_KEY_BYTES:
        return f"{_short(key)} is longer than {MAX_KEY_BYTES} bytes"
    parts = key.split("/")
    if key.startswith("/") or _DRIVE.fullmatch(parts[0]):
        return f"{_short(key)} is an absolute path; a logical key is relative to the package"
    if "\\" in key:
        return f'{_short(key)} holds a backslash; folders are parted by "/"'
    if any(part in ("", ".", "..") for part in parts):
        return f'{_short(key)} has a folder or file named "", "." or ".."'
    return None


def _pin_problem(entry: Entry) -> str | None:
    if not all(isinstance(text, str) for text in (entry.bucket, entry.key, entry.version_id)):
        return "bucket, key and version id must be text"
    if not _BUCKET.fullmatch(entry.bucket):
        return f"{_short(entry.bucket)} is not the name of a bucket"
    if not entry.key:
        return "the address names a bucket, but no object in it"
    if problem := _text_problem(entry.key) or _text_problem(entry.version_id):
        return problem
    if len(entry.key.encode()) > MAX_KEY_BYTES or len(entry.version_id) > MAX_KEY_BYTES:
        return f"a key or version id of more than {MAX_KEY_BYTES} bytes cannot exist on S3"
    if not entry.version_id:
        return "the version id is missing; without it the bytes could change"
    if entry.version_id == "null":
        return 'the version id "null" means written without versioning; such an object can be overwritten in place'
    if _CONTROL.search(entry.version_id):
        return "the version id holds a control character"
    return None


def _hash_problem(entry: Entry) -> str | None:
    if not isinstance(entry.sha256, str) or (entry.sha256 and not _HEX_SHA256.fullmatch(entry.sha256)):
        return f"a SHA-256 is 64 lower-case hexadecimal digits, not {_short(entry.sha256)}"
    if entry.foreign is None:
        return None
    lengths = {SHA256_CHUNKED: 32, CRC64NVME: 8}
    if not isinstance(entry.foreign.type, str) or entry.foreign.type not in lengths:
        known = ", ".join((SHA256, *lengths))
        return f"the hash type {_short(entry.foreign.type)} is unknown; known are {known}"
    try:
        raw = base64.b64decode(entry.foreign.value, validate=True)
    except (TypeError, ValueError):
        raw = b""
    # Written again it must be the same text: base64 has several spellings of one value.
    if len(raw) != lengths[entry.foreign.type] or base64.b64encode(raw).decode() != entry.foreign.value:
        return f"the value of a {entry.foreign.type} hash is {lengths[entry.foreign.type]} bytes in base64"
    return None


def json_problem(value: Any, depth: int = 0) -> str | None:
    """Why this value cannot stand in a manifest, or None: it must survive JSON, UTF-8 and PostgreSQL unchanged."""
    if depth > MAX_DEPTH:
        return f"is nested more than {MAX_DEPTH} levels deep"
    if isinstance(value, str):
        return _text_problem(value)
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, int):
        return None if abs(value) < 10**MAX_DIGITS else f"a number has more than {MAX_DIGITS} digits"
    if isinstance(value, float):
        return None if math.isfinite(value) else f"{value} is not a JSON number"
    if isinstance(value, dict):
        if strange := [name for name in value if not isinstance(name, str)]:
            return f"the member name {_short(strange[0])} is not text"
        children: Iterable[Any] = (*value.keys(), *value.values())
    elif isinstance(value, list):
        children = value
    else:
        return f"a {type(value).__name__} cannot be written as JSON"
    return next((problem for child in children if (problem := json_problem(child, depth + 1))), None)


def _text_problem(text: str) -> str | None:
    if "\x00" in text:
        return f"{_short(text)} holds the character U+0000, which the database cannot keep"
    try:
        text.encode()
    except UnicodeEncodeError:
        return f"{_short(text)} holds half of a character pair (a lone surrogate)"
    return None


def _cut(name: str) -> str:
    return name if name.isidentifier() and len(name) < 40 else _short(name)


def _short(value: Any) -> str:
    """The value for a sentence: quoted, bounded, in plain ASCII where it could mislead."""
    text = ascii(value) if not isinstance(value, str) or not value.isprintable() else repr(value)
    return text if len(text) <= 80 else text[:76] + "...'"
