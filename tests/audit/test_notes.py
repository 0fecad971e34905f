"""Checkpoints as notes, without a database: their form, what is read out of them, and what is said of notes that are not right."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from types import SimpleNamespace as Like

import pytest

from audit import checkpoints
from audit.checkpoints import Comparison, Found, Note, Restored, Signed

ORIGIN = "records.example.org/trail"
AT = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
FIRST = Note(ORIGIN, 1234, "93" * 32, 1, AT, "")
SECOND = replace(FIRST, number=2, previous="5f" * 32)
RESTORED = replace(SECOND, restored=Restored("RST-0001", 1, "a4" * 32, 1, 1201, 1260))


def signed(note: Note, signature: bytes = b"good") -> Signed:
    return Signed(note, "74686c21", signature)


def test_a_note_has_the_form_of_signed_notes():
    assert signed(SECOND).data().decode() == (
        "records.example.org/trail\n"
        "1234\n"
        "k5OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5M=\n"
        "number 2\n"
        "time 2026-11-21T09:30:00.000000Z\n"
        f"previous {'5f' * 32}\n"
        "\n"
        "\u2014 records.example.org/trail dGhsIWdvb2Q=\n"
    )
    assert b"\nprevious none\n\n" in signed(FIRST).data()
    line = f"\nrestored RST-0001 version 1 {'a4' * 32} anchor 1 lost 1201 1260\n\n"
    assert line.encode() in signed(RESTORED).data()
    elsewhere = replace(SECOND, at=AT.astimezone(timezone(timedelta(hours=9))))
    assert elsewhere.body() == SECOND.body()


@pytest.mark.parametrize("note", [FIRST, SECOND, RESTORED], ids=["first", "second", "restored"])
def test_a_note_is_read_as_it_was_written(note):
    assert checkpoints.read(signed(note).data()) == signed(note)


def test_a_note_that_tells_the_same_in_another_way_is_refused():
    data = signed(SECOND).data()
    with pytest.raises(ValueError, match=r"^this is not a checkpoint$"):
        checkpoints.read(data + b"\n")
    with pytest.raises(ValueError, match=r"^this is not a checkpoint as the portal writes it$"):
        checkpoints.read(data.replace(b"5M=\n", b"5N=\n"))


def shelf(*kept: tuple[int, bytes]) -> Like:
    """A store with these notes under these numbers."""

    def since(number: int) -> Iterator[Found]:
        for place, (under, data) in enumerate(kept):
            if under >= number:
                yield Found(under, f"note {place}", lambda data=data: data)

    return Like(since=since)


KEY = Like(holds=lambda hint, data, signature: (hint, signature) == ("74686c21", b"good") and data in {
    note.body() for note in (FIRST, SECOND, RESTORED, LONGER)})  # fmt: skip
LONGER = replace(SECOND, size=2000)


def test_notes_that_hold_are_counted_newest_first_and_what_is_wrong_with_others_is_said():
    elsewhere = signed(replace(SECOND, origin="other/trail"))
    store = shelf(
        (1, signed(FIRST).data()), (1, signed(FIRST).data()), (2, signed(SECOND).data()), (3, signed(SECOND).data()),
        (4, elsewhere.data()), (5, b"x"), (6, signed(replace(SECOND, number=6)).data()), (2, signed(SECOND, b"bad").data()),
    )  # fmt: skip
    good, doubts = checkpoints._notes(list(store.since(1)), KEY, ORIGIN)
    assert good == [signed(SECOND), signed(FIRST)]
    assert doubts == [
        "note 7 is not signed with a key of this portal.",
        "note 6 is not signed with a key of this portal.",
        "note 5 is not a checkpoint of this portal.",
        "note 4 is a checkpoint of something else.",
        "note 3 is a checkpoint of something else.",
    ]
    assert checkpoints._notes(list(store.since(3)), KEY, ORIGIN)[0] == []


@pytest.mark.compliance("P2")
@pytest.mark.parametrize("order", [(SECOND, LONGER), (LONGER, SECOND)])
def test_compliance_two_notes_of_one_number_are_said_and_the_longer_counts(order):
    store = shelf(*((note.number, signed(note).data()) for note in order))
    good, doubts = checkpoints._notes(list(store.since(1)), KEY, ORIGIN)
    assert good == [signed(LONGER)]
    assert doubts == ["There are two checkpoints 2: somebody tells two histories."]


def test_only_the_newest_notes_are_read(monkeypatch):
    monkeypatch.setattr(checkpoints, "READ", 1)
    kept = list(shelf((1, b"never read"), (2, signed(SECOND).data())).since(1))
    assert checkpoints._notes(kept, KEY, ORIGIN) == ([signed(SECOND)], [])


@pytest.mark.compliance("P2")
def test_compliance_no_note_is_hidden_behind_objects_that_are_none(monkeypatch):
    monkeypatch.setattr(checkpoints, "READ", 2)
    junk = [(number, b"junk") for number in range(10, 15)]
    good, doubts = checkpoints._notes(
        list(shelf((1, signed(FIRST).data()), (2, signed(SECOND).data()), *junk).since(1)), KEY, ORIGIN
    )
    assert good == [signed(SECOND), signed(FIRST)] and len(doubts) == 5


@pytest.mark.parametrize(
    ("state", "newest", "stops", "sentence"),
    [
        ("none", None, False, "There is no checkpoint in the anchor bucket yet."),
        ("missing", None, False, "The anchor bucket has none of the checkpoints that the database names."),
        ("agrees", SECOND, False, "The database agrees with checkpoint 2, of 1,234 links."),
        ("behind", SECOND, True, "The database has 1,000 links and is behind checkpoint 2, of 1,234 links: an earlier state was put in place."),
        ("different", SECOND, True, "The database tells another history than checkpoint 2, of 1,234 links: the hash of that link is a different one."),
    ],
)  # fmt: skip
def test_a_comparison_says_what_it_found_and_whether_to_stop(state, newest, stops, sentence):
    found = Comparison(state, 1000, newest and signed(newest), 0)
    assert (found.stops, found.sentence) == (stops, sentence)


def test_a_store_without_notes_is_compared_with_nothing(people):
    size, head = checkpoints.head()
    assert size > 0 and len(head) == 64
    assert checkpoints.compare(shelf(), KEY, ORIGIN) == Comparison("none", size, None, 0, ())
    found = checkpoints.compare(shelf((2, signed(SECOND).data())), KEY, ORIGIN)
    assert found == Comparison("behind", size, signed(SECOND), 0, ())
    agreed = replace(SECOND, size=size, head=head)
    true = Like(holds=lambda *_: True)
    assert checkpoints.compare(shelf((2, signed(agreed).data())), true, ORIGIN) == Comparison(
        "agrees", size, signed(agreed), size, ()
    )
    forged = replace(agreed, head="00" * 32)
    assert checkpoints.compare(shelf((2, signed(forged).data())), true, ORIGIN) == Comparison(
        "different", size, signed(forged), 0, ()
    )
