"""What changed between two versions: of a text line by line and word by word, of metadata, and of the list of files.

A text is compared twice: by lines over the whole, then by words inside the lines that changed (rapidfuzz's Indel distance,
the longest common subsequence). Nothing is lost: `old_text` and `new_text` give both texts back from the blocks.
"""

import json
import re
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, zip_longest
from typing import Any, Literal, Protocol

from rapidfuzz.distance import Indel

from records.manifest import walk_order

#: Lines (or words) of the one times those of the other that are compared; the matrix takes a bit each. Beyond this, and
#: after a common beginning and end are taken off, all of the one is shown as replaced by all of the other.
MAX_LINE_PAIRS = 400_000_000
MAX_WORD_PAIRS = 25_000_000

Op = Literal["equal", "insert", "delete", "replace"]
_WORD = re.compile(r"\w+|\s+|[^\w\s]")


@dataclass(frozen=True)
class Span:
    """A run of words: "equal" in both texts, "delete" only in the old one, "insert" only in the new one."""

    op: Literal["equal", "insert", "delete"]
    text: str


@dataclass(frozen=True)
class Block:
    """A run of whole lines. ``old_line`` and ``new_line`` count from 1; ``spans`` say by words what ``op`` says by lines."""

    op: Op
    old_line: int
    new_line: int
    spans: tuple[Span, ...]

    @property
    def old(self) -> str:
        return "".join(span.text for span in self.spans if span.op != "insert")

    @property
    def new(self) -> str:
        return "".join(span.text for span in self.spans if span.op != "delete")


@dataclass(frozen=True)
class Part:
    """A piece of one line, as `templates/components/diff.html` draws it."""

    op: Literal["same", "del", "ins"]
    text: str


@dataclass(frozen=True)
class Row:
    """One line of both texts side by side; a "skip" stands for ``count`` equal lines that are left out."""

    kind: Literal["same", "change", "del", "ins", "skip"]
    left_no: int | None = None
    right_no: int | None = None
    left: tuple[Part, ...] = ()
    right: tuple[Part, ...] = ()
    count: int = 0


@dataclass(frozen=True)
class MetadataChange:
    """One value that was added, removed or changed, with its path; ``old`` and ``new`` are None where there is none."""

    op: Literal["added", "removed", "changed"]
    path: tuple[str | int, ...]
    old: Any = None
    new: Any = None

    @property
    def name(self) -> str:
        """The path in words: "samples, item 2, id"."""
        return ", ".join(f"item {step + 1}" if isinstance(step, int) else step for step in self.path)


class FileFact(Protocol):
    """What is compared of a file; a `manifest.Entry` has it, a row of the file table as well."""

    @property
    def logical_key(self) -> str: ...
    @property
    def size(self) -> int: ...
    @property
    def sha256(self) -> str: ...
    @property
    def bucket(self) -> str: ...
    @property
    def key(self) -> str: ...
    @property
    def version_id(self) -> str: ...


@dataclass(frozen=True)
class FileChange:
    """What happened to one file. "renamed": the same bytes under another name; "repinned": the same bytes and name, but
    another object version holds them.
    """

    op: Literal["added", "removed", "changed", "renamed", "repinned"]
    old: FileFact | None
    new: FileFact | None

    @property
    def logical_key(self) -> str:
        """The name in the new version, or the old one if the file is gone."""
        file = self.new or self.old
        return file.logical_key if file else ""


def redline(old: str, new: str) -> list[Block]:
    """The two texts as runs of lines that are equal, inserted, deleted or replaced; equal texts give one block or none."""
    blocks: list[Block] = []
    old_line = new_line = 1
    for op, before, after in _runs(old.splitlines(keepends=True), new.splitlines(keepends=True), MAX_LINE_PAIRS):
        gone, come = "".join(before), "".join(after)
        spans = tuple(_words(gone, come)) if op == "replace" else (Span(op, gone or come),)
        blocks.append(Block(op, old_line, new_line, spans))
        old_line += len(before)
        new_line += len(after)
    return blocks


def old_text(blocks: Iterable[Block]) -> str:
    return "".join(block.old for block in blocks)


def new_text(blocks: Iterable[Block]) -> str:
    return "".join(block.new for block in blocks)


def rows(blocks: Sequence[Block], context: int | None = 3) -> list[Row]:
    """The blocks line by line, for a page. Of equal lines only ``context`` beside each change are kept (None: all)."""
    drawn: list[Row] = []
    for at, block in enumerate(blocks):
        if block.op == "equal":
            lines = block.new.splitlines()
            same = [_same_row(block, index, line) for index, line in enumerate(lines)]
            if context is not None:
                same = _folded(same, 0 if at == 0 else context, 0 if at == len(blocks) - 1 else context)
            drawn += same
        else:
            drawn += _changed_rows(block)
    return drawn


def compare_metadata(a: Any, b: Any) -> list[MetadataChange]:
    """What is different in ``b``, value by value; lists are compared item by item. 1, 1.0 and true are three values."""
    return list(_metadata_changes(a, b, ()))


def compare_files(a: Iterable[FileFact], b: Iterable[FileFact]) -> list[FileChange]:
    """What is different in ``b``, in the order of a package. An empty file never counts as renamed: all of them are alike."""
    before, after = {file.logical_key: file for file in a}, {file.logical_key: file for file in b}
    changes: list[FileChange] = []
    for key in before.keys() & after.keys():
        old, new = before[key], after[key]
        if (old.sha256, old.size) != (new.sha256, new.size):
            changes.append(FileChange("changed", old, new))
        elif (old.bucket, old.key, old.version_id) != (new.bucket, new.key, new.version_id):
            changes.append(FileChange("repinned", old, new))
    gone: dict[str, list[FileFact]] = {}
    for key in sorted(before.keys() - after.keys(), key=walk_order, reverse=True):
        gone.setdefault(before[key].sha256 if before[key].size else key, []).append(before[key])
    for key in sorted(after.keys() - before.keys(), key=walk_order):
        twins = gone.get(after[key].sha256, []) if after[key].size else []
        changes.append(
            FileChange("renamed", twins.pop(), after[key]) if twins else FileChange("added", None, after[key])
        )
    changes += [FileChange("removed", file, None) for files in gone.values() for file in files]
    return sorted(changes, key=lambda change: walk_order(change.logical_key))


def _runs(old: Sequence[str], new: Sequence[str], limit: int) -> Iterator[tuple[Op, Sequence[str], Sequence[str]]]:
    """Runs of items that are equal, inserted, deleted or replaced, in order."""
    start = _common(old, new)
    end = _common(old[: start - 1 if start else None : -1], new[: start - 1 if start else None : -1])
    middle_old, middle_new = old[start : len(old) - end], new[start : len(new) - end]
    if start:
        yield "equal", old[:start], new[:start]
    if len(middle_old) * len(middle_new) > limit:
        yield "replace", middle_old, middle_new
    else:
        yield from _aligned(middle_old, middle_new)
    if end:
        yield "equal", old[len(old) - end :], new[len(new) - end :]


def _common(old: Sequence[str], new: Sequence[str]) -> int:
    """How many items the two have in common at their beginning."""
    count = 0
    for left, right in zip(old, new, strict=False):
        if left != right:
            break
        count += 1
    return count


def _aligned(old: Sequence[str], new: Sequence[str]) -> Iterator[tuple[Op, Sequence[str], Sequence[str]]]:
    # Numbers in place of texts: equal means equal then, and not only of equal hash.
    numbers: dict[str, int] = {}
    left: list[Hashable] = [numbers.setdefault(item, len(numbers)) for item in old]
    right: list[Hashable] = [numbers.setdefault(item, len(numbers)) for item in new]
    steps = Indel.opcodes(left, right)
    for same, group in groupby(steps, key=lambda step: step.tag == "equal"):
        run = list(group)
        before = old[run[0].src_start : run[-1].src_end]
        after = new[run[0].dest_start : run[-1].dest_end]
        op: Op = "equal" if same else "replace" if before and after else "delete" if before else "insert"
        yield op, before, after


def _words(old: str, new: str) -> Iterator[Span]:
    """The words of two texts; white space between two changes belongs to the change, or a redline is all gaps."""
    runs = list(_runs(_WORD.findall(old), _WORD.findall(new), MAX_WORD_PAIRS))
    last = len(runs) - 1
    changed = [
        op != "equal" or (0 < at < last and "".join(before).isspace()) for at, (op, before, _) in enumerate(runs)
    ]
    for is_change, group in groupby(zip(changed, runs, strict=True), key=lambda item: item[0]):
        members = [run for _, run in group]
        gone = "".join(word for _, before, _ in members for word in before)
        come = "".join(word for _, _, after in members for word in after)
        if not is_change:
            yield Span("equal", gone)
            continue
        if gone:
            yield Span("delete", gone)
        if come:
            yield Span("insert", come)


def _same_row(block: Block, index: int, line: str) -> Row:
    part = (Part("same", line),)
    return Row("same", block.old_line + index, block.new_line + index, part, part)


def _folded(same: list[Row], head: int, tail: int) -> list[Row]:
    left_out = len(same) - head - tail
    if left_out < 2:
        return same
    return [*same[:head], Row("skip", count=left_out), *same[len(same) - tail :]]


def _changed_rows(block: Block) -> Iterator[Row]:
    left, right = list(_lines(block, "delete")), list(_lines(block, "insert"))
    for index, (before, after) in enumerate(zip_longest(left, right)):
        yield Row(
            "ins" if before is None else "del" if after is None else "change",
            None if before is None else block.old_line + index,
            None if after is None else block.new_line + index,
            before or (),
            after or (),
        )


def _lines(block: Block, side: Literal["insert", "delete"]) -> Iterator[tuple[Part, ...]]:
    """The block's lines of one side, each as its parts."""
    line: list[Part] = []
    for span in block.spans:
        if span.op not in ("equal", side):
            continue
        op: Literal["same", "del", "ins"] = "same" if span.op == "equal" else "del" if side == "delete" else "ins"
        for piece in span.text.splitlines(keepends=True):
            text = piece.splitlines()[0]
            if text or not line:
                line.append(Part(op, text))
            if text != piece:
                yield tuple(line)
                line = []
    if line:
        yield tuple(line)


def _metadata_changes(old: Any, new: Any, path: tuple[str | int, ...]) -> Iterator[MetadataChange]:
    if isinstance(old, dict) and isinstance(new, dict):
        for name in [*old, *(name for name in new if name not in old)]:
            yield from _member_changes(name, name in old, name in new, old.get(name), new.get(name), path)
    elif isinstance(old, list) and isinstance(new, list):
        for index in range(max(len(old), len(new))):
            left, right = old[index : index + 1], new[index : index + 1]
            yield from _member_changes(
                index, bool(left), bool(right), left[0] if left else None, right[0] if right else None, path
            )
    elif json.dumps(old, sort_keys=True) != json.dumps(new, sort_keys=True):
        yield MetadataChange("changed", path, old, new)


def _member_changes(
    step: str | int, was: bool, is_there: bool, old: Any, new: Any, path: tuple[str | int, ...]
) -> Iterator[MetadataChange]:
    if was and is_there:
        yield from _metadata_changes(old, new, (*path, step))
    elif was:
        yield MetadataChange("removed", (*path, step), old=old)
    else:
        yield MetadataChange("added", (*path, step), new=new)
