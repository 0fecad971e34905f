"""Checkpoints: signed notes about the chain, kept where whoever writes the database cannot reach them (§4, P1 and P2).

A note has the form of C2SP's signed notes: lines of text, an empty line, a signature line. It names the origin, the number of
links, the hash of the last one, its own number, the time, and the SHA-256 of the note before it:

    records.example.org/trail
    1234
    k+1yJ...=                            (hash of link 1234, base64)
    number 17
    time 2026-11-21T09:30:00.000000Z
    previous 5f0c...                     (hex; "none" in the first)

    — records.example.org/trail dGhl...  (first four bytes of the key's SHA-256 and the signature, base64)

One that follows a restored database names the report that declares what was lost:

    restored RST-0001 version 1 a41f... anchor 16 lost 1201 1260

A chain alone cannot show that it was written anew as a whole; a note elsewhere can. A smaller checkpoint is never signed after
a larger one, unless a signed restore report says why.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from django.db import connection, transaction

from audit import clock, trail
from audit.actions import Action
from audit.models import Checkpoint, Entry, Link

INTERVAL = timedelta(minutes=5)
LOOKED_AT = timedelta(seconds=15)
"""How often it is asked whether a checkpoint is due; one is made so much early that none is ever late by it."""
ENTRIES = 1000
READ = 500  # notes that one comparison reads at most, newest first
CHAIN = trail.Subject("chain", "chain", "the audit trail")
LOCK, HOLDING = 7244114, 7244120  # who makes a checkpoint, who begins or ends a hold


class Store(Protocol):
    """Where notes are kept. `write` returns only when the note was found again as written, locked."""

    def write(self, number: int, note: bytes, *, now: datetime) -> Kept: ...

    def since(self, number: int) -> Iterator[Found]:
        """Every version of every note with this number or a higher one, by number; read when asked."""
        ...


class Key(Protocol):
    """Who signs. `sign` gives the SHA-256 of the public key in DER (hex) and the signature; `holds` knows all keys ever used."""

    def sign(self, data: bytes) -> tuple[str, bytes]: ...

    def holds(self, hint: str, data: bytes, signature: bytes) -> bool: ...


@dataclass(frozen=True)
class Kept:
    """Where a note went; `until` is the end of its lock."""

    place: str
    version: str
    until: datetime


@dataclass(frozen=True)
class Found:
    """A note as the store has it."""

    number: int
    place: str
    read: Callable[[], bytes]


@dataclass(frozen=True)
class Restored:
    """What a note says of the signed report after which it stands: the links `lost_from` to `lost_to`, of which checkpoints up
    to number `anchor` spoke, are declared as lost. Before them the chain is proved to be the one of before."""

    report: str
    version: int
    top_hash: str
    anchor: int
    lost_from: int
    lost_to: int

    def line(self) -> str:
        return (
            f"restored {self.report} version {self.version} {self.top_hash}"
            f" anchor {self.anchor} lost {self.lost_from} {self.lost_to}"
        )


Answered = Callable[["Comparison"], Restored | None]
"""What the signed report says that declares just what this comparison found; None without one."""


@dataclass(frozen=True)
class Note:
    """What a checkpoint says. `head` and `previous` are hex; `previous` is "" in the first."""

    origin: str
    size: int
    head: str
    number: int
    at: datetime
    previous: str
    restored: Restored | None = None

    def body(self) -> bytes:
        lines = [
            self.origin,
            str(self.size),
            base64.b64encode(bytes.fromhex(self.head)).decode(),
            f"number {self.number}",
            f"time {self.at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}",
            f"previous {self.previous or 'none'}",
            *([self.restored.line()] if self.restored else []),
        ]
        return "".join(f"{line}\n" for line in lines).encode()


@dataclass(frozen=True)
class Signed:
    """A note with its signature, as it is kept. `hint` is the hex of the key's first four bytes."""

    note: Note
    hint: str
    signature: bytes

    def data(self) -> bytes:
        sealed = base64.b64encode(bytes.fromhex(self.hint) + self.signature).decode()
        return self.note.body() + f"\n\u2014 {self.note.origin} {sealed}\n".encode()


WHOLE = re.compile(
    r"(?P<origin>\S+)\n(?P<size>[1-9]\d*)\n(?P<head>[A-Za-z0-9+/]{43}=)\nnumber (?P<number>[1-9]\d*)\n"
    r"time (?P<at>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z)\nprevious (?P<previous>none|[0-9a-f]{64})\n"
    r"(?:restored (?P<report>\S+) version (?P<version>\d+) (?P<top_hash>[0-9a-f]{64})"
    r" anchor (?P<anchor>\d+) lost (?P<lost_from>\d+) (?P<lost_to>\d+)\n)?"
    r"\n\u2014 (?P=origin) (?P<sealed>[A-Za-z0-9+/]+=*)\n"
)


def read(data: bytes) -> Signed:
    """The note in these bytes. Raises ValueError where they are none, or are written in another way than ours."""
    whole = WHOLE.fullmatch(data.decode())
    if whole is None:
        raise ValueError("this is not a checkpoint")
    told = whole.groupdict()
    sealed = base64.b64decode(told["sealed"], validate=True)
    restored = told["report"] and Restored(
        told["report"], int(told["version"]), told["top_hash"],
        int(told["anchor"]), int(told["lost_from"]), int(told["lost_to"]),
    )  # fmt: skip
    note = Note(
        origin=told["origin"],
        size=int(told["size"]),
        head=base64.b64decode(told["head"], validate=True).hex(),
        number=int(told["number"]),
        at=datetime.strptime(told["at"], "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC),
        previous="" if told["previous"] == "none" else told["previous"],
        restored=restored or None,
    )
    signed = Signed(note, sealed[:4].hex(), sealed[4:])
    if signed.data() != data:
        raise ValueError("this is not a checkpoint as the portal writes it")
    return signed


# Comparing ------------------------------------------------------------------------------------------------------------

STOPS = ("behind", "different")
FINDING = {"why", "message", "size", "agreed", "anchor", "anchor_size", "anchor_head"}
UNREAD = "It is not known whether this database is behind its anchors: since it was restored, they could not be read."


@dataclass(frozen=True)
class Comparison:
    """The database against the newest note of the store.

    `state` is agrees, behind (the database has fewer links), different (another hash at that link), none (no note yet) or
    missing (the database names notes, and the store has none).
    `agreed` is the largest checkpoint, known here or there, at which both tell the same; `doubts` are sentences about
    notes that no key of ours signed, that contradict each other, or that the store should have and has not.
    """

    state: str
    size: int
    newest: Signed | None
    agreed: int
    doubts: tuple[str, ...] = ()

    @property
    def stops(self) -> bool:
        """The portal must not go on writing as if nothing were."""
        return self.state in STOPS

    @property
    def sentence(self) -> str:
        if self.newest is None:
            if self.state == "missing":
                return "The anchor bucket has none of the checkpoints that the database names."
            return "There is no checkpoint in the anchor bucket yet."
        anchor = f"checkpoint {self.newest.note.number}, of {self.newest.note.size:,} links"
        if self.state == "behind":
            return f"The database has {self.size:,} links and is behind {anchor}: an earlier state was put in place."
        if self.state == "different":
            return f"The database tells another history than {anchor}: the hash of that link is a different one."
        return f"The database agrees with {anchor}."


def compare(store: Store, key: Key, origin: str) -> Comparison:
    """Hold the database against the newest note in the store. Reads; whether to stop is `judge()`'s matter."""
    size, _ = head()
    own, untrue = _own(key)
    listed = list(store.since(own.number if own else 1))
    notes, doubts = _notes(listed, key, origin)
    if own and not _kept(own, notes, listed):
        # A row that the store does not know proves nothing: look at everything that is there.
        notes, doubts = _notes(list(store.since(1)), key, origin)
        doubts.append(f"Checkpoint {own.number}, which the database names, is not in the anchor bucket.")
    doubts += untrue
    if not notes:
        return Comparison("missing" if own else "none", size, None, 0, tuple(doubts))
    newest = max(notes, key=lambda signed: (signed.note.number, signed.note.size))
    state = _fits(newest.note)
    agreed = newest.note.size if state == "agrees" else _agreed(notes, key)
    return Comparison(state, size, newest, agreed, tuple(doubts))


def _own(key: Key) -> tuple[Checkpoint | None, list[str]]:
    """The newest row whose note a key of the portal signed, and a sentence about newer ones. The application's role may add rows;
    one that holds no such note is nobody's word."""
    rows = Checkpoint.objects.order_by("-number")
    own = next((row for row in rows.iterator() if _signed(row, key)), None)
    newer = rows.filter(number__gt=own.number) if own else rows
    doubtful = list(newer.values_list("number", flat=True)[:2])
    if not doubtful:
        return own, []
    others = " The same is true of older ones." if len(doubtful) > 1 else ""
    return own, [
        f"The database's row of checkpoint {doubtful[0]} holds no note that a key of this portal signed.{others}"
    ]


def _signed(row: Checkpoint, key: Key) -> Signed | None:
    """The note of this row, if it is one and its signature holds."""
    try:
        signed = read(row.note.encode())
    except ValueError:
        return None
    return signed if key.holds(signed.hint, signed.note.body(), signed.signature) else None


def _kept(own: Checkpoint, notes: Sequence[Signed], listed: Sequence[Found]) -> bool:
    """Is the note of this row in the store? After a restore it may be older than all that were read, and is read by itself."""
    note = own.note.encode()
    return any(signed.data() == note for signed in notes) or any(
        found.number == own.number and found.read() == note for found in listed
    )


def _notes(listed: Sequence[Found], key: Key, origin: str) -> tuple[list[Signed], list[str]]:
    """The newest of these whose signature holds, and sentences about what is wrong with others. What is no note of ours does not
    count: whoever adds such objects hides no note behind them."""
    good: dict[int, Signed] = {}
    doubts = []
    for found in reversed(listed):
        if len(good) == READ and found.number not in good:
            break
        try:
            signed = read(found.read())
        except ValueError:
            doubts.append(f"{found.place} is not a checkpoint of this portal.")
            continue
        if signed.note.origin != origin or signed.note.number != found.number:
            doubts.append(f"{found.place} is a checkpoint of something else.")
        elif not key.holds(signed.hint, signed.note.body(), signed.signature):
            doubts.append(f"{found.place} is not signed with a key of this portal.")
        else:
            other = good.setdefault(found.number, signed)
            if other.note != signed.note:
                doubts.append(f"There are two checkpoints {found.number}: somebody tells two histories.")
                good[found.number] = max(other, signed, key=lambda one: one.note.size)
    return list(good.values()), doubts


def _fits(note: Note) -> str:
    link = Link.objects.filter(seq=note.size).values_list("hash", flat=True).first()
    if link is None:
        return "behind"
    return "agrees" if bytes(link).hex() == note.head else "different"


def _agreed(notes: Sequence[Signed], key: Key) -> int:
    """The largest size at which a signed note, there or on file here, and the database tell the same."""
    sizes = [signed.note.size for signed in notes if _fits(signed.note) == "agrees"]
    for row in Checkpoint.objects.order_by("-number").iterator():
        signed = _signed(row, key)
        if signed and _fits(signed.note) == "agrees":
            sizes.append(signed.note.size)
            break
    return max(sizes, default=0)


def head() -> tuple[int, str]:
    """Number of links and the hash of the last, as committed."""
    last = Link.objects.order_by("-seq").values_list("seq", "hash").first()
    return (last[0], bytes(last[1]).hex()) if last else (0, "")


# Read-only ------------------------------------------------------------------------------------------------------------


def judge(found: Comparison, answered: Answered) -> Entry | None:
    """Make the portal read-only where the database does not agree with its anchors, and no signed report answers for that;
    the entry that did it, if it is new. A hold without a finding is settled by this one."""
    stops = found.stops and not answered(found)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [HOLDING])
        hold = trail.held()
        if hold and finding(hold):
            return None
        if stops:
            return _hold(_finding(found))
        if hold and found.state != "missing":
            trail.record(Action.HOLD_ENDED, CHAIN, by=trail.SYSTEM, detail={"message": found.sentence})
        return None


def hold_unread() -> Entry | None:
    """Make the portal read-only until the anchors can be read: what was just restored may be behind them."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [HOLDING])
        return None if trail.held() else _hold({"why": "unread", "message": UNREAD})


def finding(hold: Entry) -> dict[str, Any] | None:
    """What the comparison found that made the portal read-only; None where there was none: the anchors could not be read, or
    somebody wrote the entry who compared nothing."""
    said = hold.detail
    told = isinstance(said, dict) and set(said) == FINDING and said["why"] in STOPS
    if not told or not all(type(said[name]) is int for name in ("size", "agreed", "anchor", "anchor_size")):
        return None
    return said


def _finding(found: Comparison) -> dict[str, Any]:
    assert found.newest is not None
    note = found.newest.note
    return {
        "why": found.state,
        "message": found.sentence,
        "size": found.size,
        "agreed": found.agreed,
        "anchor": note.number,
        "anchor_size": note.size,
        "anchor_head": note.head,
    }


def _hold(detail: dict[str, Any]) -> Entry:
    return Entry.objects.get(pk=trail.record(Action.HOLD_BEGUN, CHAIN, by=trail.SYSTEM, detail=detail))


# Making ---------------------------------------------------------------------------------------------------------------


class NotSigned(Exception):
    """No checkpoint was made; `str()` says why."""


def checkpoint(store: Store, key: Key, origin: str, answered: Answered) -> Checkpoint:
    """Sign the head of the chain as it is now and keep the note in the store; the row that says where.

    Raises NotSigned where the database does not agree with the newest note (a smaller one is never signed after a larger
    one), unless `answered` finds the signed report that declares it, and while the portal is read-only. What the store
    raises goes on; a note that was written and not entered here is found by the next comparison and counted on from.
    """
    with _alone():
        found = compare(store, key, origin)
        restored = answered(found) if found.stops else None
        if found.state == "missing" or (found.stops and restored is None):
            judge(found, answered)
            raise NotSigned(found.sentence)
        if trail.held():
            raise NotSigned("The portal is read-only: no checkpoint is signed before the restore report.")
        size, link = head()
        if not size:
            raise NotSigned("The trail has no entry yet.")
        before = found.newest
        now = clock.now()
        note = Note(
            origin=origin,
            size=size,
            head=link,
            number=before.note.number + 1 if before else 1,
            at=now,
            previous=hashlib.sha256(before.data()).hexdigest() if before else "",
            restored=restored,
        )
        key_id, signature = key.sign(note.body())
        data = Signed(note, key_id[:8], signature).data()
        kept = store.write(note.number, data, now=now)
        return Checkpoint.objects.create(
            number=note.number,
            size=size,
            head=bytes.fromhex(link),
            at=now,
            note=data.decode(),
            key=key_id,
            place=kept.place,
            object_version=kept.version,
            kept_until=kept.until,
        )


def due() -> bool:
    """Is it time? Five minutes or a thousand entries after the last one; silence is evidence, too. One that is dated in the
    future says nothing of what came since."""
    window = exposure()
    timely = timedelta() <= window.age < INTERVAL - 2 * LOOKED_AT
    return window.last is None or window.links >= ENTRIES or not timely


@dataclass(frozen=True)
class Exposure:
    """What no anchor covers yet: entries and row changes since the last checkpoint, and how old that is."""

    last: Checkpoint | None
    links: int
    age: timedelta


def exposure() -> Exposure:
    last = Checkpoint.objects.order_by("-number").first()
    size, _ = head()
    return Exposure(last, size - last.size if last else size, clock.now() - last.at if last else timedelta())


@contextmanager
def _alone() -> Iterator[None]:
    """One at a time, whichever process asks. The lock is held by a transaction on a connection of its own: no other transaction
    waits for the store, and a pooler that hands out a server for each transaction (PgBouncer) gives the lock back with it."""
    own = connection.copy()
    try:
        own.set_autocommit(False)
        with own.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        yield
    finally:
        own.close()
