"""A redline loses nothing, finds what changed, and takes about as long as `diff -u`."""

import random
import subprocess
import time
from itertools import chain, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from records import redline as module
from records.manifest import Entry
from records.redline import compare_files, compare_metadata, new_text, old_text, redline, rows

word = st.sampled_from(
    ["the", "run", "must", "é", " ", "  ", "\n", "\r\n", "\n\n", "\t", ".", ",", "\u2028", "\r", "", "\x85"]
)
text = st.one_of(st.lists(word, max_size=30).map("".join), st.text(max_size=40))


@settings(max_examples=150)
@given(text, text)
def test_both_texts_can_be_rebuilt_from_the_blocks(old, new):
    blocks = redline(old, new)
    assert old_text(blocks) == old
    assert new_text(blocks) == new
    for block in blocks:
        assert block.op == (
            "equal"
            if block.old == block.new
            else "insert"
            if not block.old
            else "delete"
            if not block.new
            else "replace"
        )
    assert all((before.op == "equal") != (after.op == "equal") for before, after in pairwise(blocks))


@settings(max_examples=150)
@given(text, text)
def test_the_rows_hold_every_line_of_both_texts_with_its_number(old, new):
    drawn = rows(redline(old, new), context=None)
    for side, number, full in (("left", "left_no", old), ("right", "right_no", new)):
        lines = [
            (getattr(row, number), "".join(part.text for part in getattr(row, side)))
            for row in drawn
            if getattr(row, number)
        ]
        assert lines == list(enumerate(full.splitlines(), start=1))
    folded = rows(redline(old, new), context=1)
    assert sum(row.count or 1 for row in folded) == len(drawn)


def test_equal_texts_are_one_block_and_empty_ones_none():
    assert [block.op for block in redline("a\nb\n", "a\nb\n")] == ["equal"]
    assert redline("", "") == []


def test_changed_words_are_found_inside_changed_lines():
    old = "1 Purpose\nThe operator signs the form.\nKeep it.\n"
    new = "1 Purpose\nThe approver signs the electronic form.\nKeep it.\nNew line.\n"
    blocks = redline(old, new)
    assert [(block.op, block.old_line, block.new_line) for block in blocks] == [
        ("equal", 1, 1),
        ("replace", 2, 2),
        ("equal", 3, 3),
        ("insert", 4, 4),
    ]
    assert [(span.op, span.text) for span in blocks[1].spans] == [
        ("equal", "The "),
        ("delete", "operator"),
        ("insert", "approver"),
        ("equal", " signs the"),
        ("insert", " electronic"),
        ("equal", " form.\n"),
    ]


def test_words_changed_side_by_side_are_one_change():
    (block,) = redline("one two three", "four five six")
    assert [(span.op, span.text) for span in block.spans] == [("delete", "one two three"), ("insert", "four five six")]


def test_rows_leave_out_equal_lines_far_from_a_change():
    lines = [f"line {number}\n" for number in range(1, 21)]
    new = lines.copy()
    new[9] = "line ten\n"
    drawn = rows(redline("".join(lines), "".join(new)))
    assert [(row.kind, row.count) for row in drawn] == [
        ("skip", 6),
        *[("same", 0)] * 3,
        ("change", 0),
        *[("same", 0)] * 3,
        ("skip", 7),
    ]
    change = drawn[4]
    assert (change.left_no, change.right_no) == (10, 10)
    assert [(part.op, part.text) for part in change.left] == [("same", "line "), ("del", "10")]
    assert [(part.op, part.text) for part in change.right] == [("same", "line "), ("ins", "ten")]


def test_texts_too_large_to_align_are_shown_as_replaced_and_still_rebuilt(monkeypatch):
    monkeypatch.setattr(module, "MAX_LINE_PAIRS", 10)
    monkeypatch.setattr(module, "MAX_WORD_PAIRS", 10)
    old, new = "same\na\nb\nc\nd\nend\n", "same\n1\n2\n3\nend\n"
    blocks = redline(old, new)
    assert [block.op for block in blocks] == ["equal", "replace", "equal"]
    assert (old_text(blocks), new_text(blocks)) == (old, new)


def hundred_pages():
    chance = random.Random(8)
    words = [f"word{number}" for number in range(4_000)]
    lines = [
        " ".join(chance.choices(words, k=chance.randint(15, 35))) if chance.random() > 0.2 else "" for _ in range(2_000)
    ]
    changed = lines.copy()
    for at in chance.sample(range(2_000), 60):
        parts = changed[at].split() or ["new"]
        parts[chance.randrange(len(parts))] = "EDITED"
        changed[at] = " ".join(parts)
    del changed[700:703]
    changed[1_200:1_200] = ["an inserted line"] * 4
    return "\n".join(lines) + "\n", "\n".join(changed) + "\n"


def best_of(times, act):
    measured = []
    for _ in range(times):
        started = time.perf_counter()
        act()
        measured.append(time.perf_counter() - started)
    return min(measured)


def test_a_hundred_pages_take_about_as_long_as_diff(tmp_path):
    old, new = hundred_pages()
    (tmp_path / "old").write_text(old)
    (tmp_path / "new").write_text(new)
    diff = best_of(5, lambda: subprocess.run(["diff", "-u", tmp_path / "old", tmp_path / "new"], capture_output=True))
    ours = best_of(5, lambda: redline(old, new))
    print(f"redline {ours * 1000:.1f} ms, diff -u {diff * 1000:.1f} ms")
    assert ours < 10 * diff
    assert old_text(redline(old, new)) == old


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("a\n" * 30_000, "b\n" * 30_000),
        ("x " * 60_000, "y " * 60_000),
        (
            "".join(chain.from_iterable(("a\n", "b\n") for _ in range(8_000))),
            "".join(chain.from_iterable(("b\n", "a\n") for _ in range(8_000))),
        ),
        (" \n" * 20_000, "\t\n" * 20_000),
    ],
)
def test_no_pair_of_texts_takes_long(old, new):
    started = time.perf_counter()
    blocks = redline(old, new)
    rows(blocks)
    assert time.perf_counter() - started < 5
    assert (old_text(blocks), new_text(blocks)) == (old, new)


def test_metadata_is_compared_value_by_value():
    old = {"run": "1", "samples": [{"id": "a"}, {"id": "b"}], "q30": 92, "gone": None}
    new = {"run": "2", "samples": [{"id": "a"}, {"id": "c"}, {"id": "d"}], "q30": 92, "come": {"x": 1}}
    assert [(change.op, change.name, change.old, change.new) for change in compare_metadata(old, new)] == [
        ("changed", "run", "1", "2"),
        ("changed", "samples, item 2, id", "b", "c"),
        ("added", "samples, item 3", None, {"id": "d"}),
        ("removed", "gone", None, None),
        ("added", "come", None, {"x": 1}),
    ]
    assert compare_metadata(old, old) == []


@pytest.mark.parametrize(("old", "new"), [(1, True), (0, False), (1, 1.0), (None, ""), ([], {}), ("1", 1), (None, 0)])
def test_values_of_different_types_are_different(old, new):
    assert [change.op for change in compare_metadata({"a": old}, {"a": new})] == ["changed"]


def entry(name, content="a", version="v1", size=1):
    return Entry(name, "records", f"k/{name}", version, size, content * 64)


def test_files_are_added_removed_changed_renamed_and_repinned():
    old = [
        entry("same"),
        entry("changed"),
        entry("old name", "b"),
        entry("gone", "c"),
        entry("pin", "d"),
        entry("empty old", "e", size=0),
    ]
    new = [
        entry("same"),
        entry("changed", "f"),
        entry("new name", "b"),
        entry("come", "1"),
        entry("pin", "d", "v2"),
        entry("empty new", "e", size=0),
    ]
    assert [
        (change.op, change.old and change.old.logical_key, change.new and change.new.logical_key)
        for change in compare_files(old, new)
    ] == [
        ("changed", "changed", "changed"),
        ("added", None, "come"),
        ("added", None, "empty new"),
        ("removed", "empty old", None),
        ("removed", "gone", None),
        ("renamed", "old name", "new name"),
        ("repinned", "pin", "pin"),
    ]


names = st.lists(
    st.tuples(st.sampled_from("abcdef"), st.sampled_from("123"), st.sampled_from([0, 5])),
    unique_by=lambda item: item[0],
)


@given(names, names)
def test_every_file_of_both_lists_is_accounted_for_once(a, b):
    old, new = ([entry(name, content, size=size) for name, content, size in listed] for listed in (a, b))
    changes = compare_files(old, new)
    touched_old = [change.old.logical_key for change in changes if change.old]
    touched_new = [change.new.logical_key for change in changes if change.new]
    same = {one.logical_key for one in old if one in new}
    assert sorted([*touched_old, *same]) == sorted(one.logical_key for one in old)
    assert sorted([*touched_new, *same]) == sorted(one.logical_key for one in new)
