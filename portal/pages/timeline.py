"""Everything that happened to a record, in one order and in sentences: acts and signatures in the portal, views and exports,
and what CloudTrail tells of its objects on S3.

Three sources are asked, each by its own index, and merged by time, newest first. A page is cut by the place of its last line,
so that every line is shown once however many come meanwhile. Nothing is folded in the data: that is the page's matter.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from heapq import merge
from itertools import islice
from typing import Any

from django.conf import settings
from django.db.models import Count, Max, Min, Q, QuerySet
from django.db.models.functions import Lower, TruncDate

from accounts.models import User
from accounts.permissions import may
from audit import trail
from audit.actions import REFUSALS, Action
from audit.models import Access, Entry
from cloudtrail import queries as s3_events
from cloudtrail import sentences
from cloudtrail.actors import Standing
from cloudtrail.directory import Register
from cloudtrail.kinds import Kind as S3Kind
from cloudtrail.models import Actor, DirectoryEntry
from cloudtrail.proof_pages import by_file, in_short
from cloudtrail.queries import Object, Touched
from records.models import File, Record, Version
from storage.models import S3Request

PAGE = 100
CHUNK = 1000  # lines that an export asks for at a time
_PERMISSION_SET = re.compile(r"AWSReservedSSO_(.+)_[0-9a-f]{16}")
FOLDED_WITHIN = timedelta(minutes=30)  # the longest pause in a run of lines that are shown as one
MICROSECOND = timedelta(microseconds=1)


class Kind(StrEnum):
    """What a reader sorts lines by."""

    PORTAL = "portal"
    SIGNATURE = "signature"
    READ = "read"
    EXPORT = "export"
    WRITE = "write"
    DELETE = "delete"
    COPY = "copy"
    LIST = "list"
    CONTROL = "control"
    REFUSED = "refused"

    @property
    def label(self) -> str:
        return LABELS[self]


LABELS = {
    Kind.PORTAL: "Acts in the portal",
    Kind.SIGNATURE: "Signatures",
    Kind.READ: "Reads",
    Kind.EXPORT: "Exports",
    Kind.WRITE: "Writes",
    Kind.DELETE: "Deletes",
    Kind.COPY: "Copies",
    Kind.LIST: "Listings",
    Kind.CONTROL: "Settings and control",
    Kind.REFUSED: "Refused",
}
SIGNING = (
    Action.SIGNATURES_REQUESTED,
    Action.SIGNATURE_APPLIED,
    Action.INTENT_OPENED,
    Action.STEP_REASSIGNED,
    Action.READING_ASSIGNED,
    Action.READING_SIGNED,
)
READING = {"view": Kind.READ, "export": Kind.EXPORT, "refused": Kind.REFUSED}
READ_WORDS = {
    "view": "viewed",
    "export": "exported",
    "refused": "asked for, and was told that it does not exist:",
    "verify": "checked a signature on",
}


class Rank:
    """Which source comes first where times are equal; a place names it."""

    S3, READING, PORTAL = 0, 1, 2


Place = tuple[datetime, int, int, int]
"""Where a line stands: time, rank of its source, and two numbers of the source's own order."""


@dataclass(frozen=True)
class Person:
    """Whoever acted, as well as it is known. `key` is what a filter takes."""

    key: str
    name: str
    standing: str


@dataclass(frozen=True)
class Line:
    """One thing that happened. `alike` tells lines that a page may fold into one; the rest is for reading and exports."""

    place: Place
    source: str
    kind: Kind
    who: Person
    sentence: str
    known: str
    url: str
    reference: str
    alike: tuple[object, ...]
    role: str = ""
    subject: str = ""
    reason: str = ""
    touched: Touched | None = None
    proof: str = ""  # of the log file that tells of it: a `Proof.State`, or pending

    @property
    def at(self) -> datetime:
        return self.place[0]

    @property
    def proved(self) -> str:
        """What the digests say of the log file that tells of it, in a few words; "" for acts in the portal."""
        return in_short([self.proof])

    @property
    def cursor(self) -> str:
        return "~".join((self.at.isoformat(), *(str(number) for number in self.place[1:])))


@dataclass(frozen=True)
class Page:
    """Lines, newest first; `after` is "" on the last page."""

    lines: list[Line]
    after: str


@dataclass(frozen=True)
class Asked:
    """What is asked of the timeline of `record`: [since, until), and what it is narrowed to.

    `reader` is for whom: what they may not read is left out. None asks for the operator of a command, who sees all.
    """

    record: Record
    since: datetime
    until: datetime
    version: Version | None = None
    person: str = ""
    standing: str = ""
    kind: str = ""
    reader: User | None = None

    @property
    def narrowed(self) -> bool:
        return bool(self.person or self.standing or self.kind)

    def whole(self) -> Asked:
        """The same period and version, of everybody and every kind."""
        return replace(self, person="", standing="", kind="")


@dataclass(frozen=True, slots=True)
class Cell:
    """How often one person did things of one kind on one day (UTC)."""

    day: date
    who: Person
    kind: Kind
    count: int
    first: datetime
    last: datetime
    bytes_out: int = 0


@dataclass
class Told:
    """What a timeline needs to know of its record before it asks the sources; made once, in four queries."""

    asked: Asked
    versions: dict[str, Version]
    objects: list[Object]
    names: dict[tuple[str, str], str]
    directory: dict[str, Person] = field(default_factory=dict)
    register: Register = field(default_factory=Register)
    role: str = field(default_factory=lambda: person_role())
    met: dict[tuple[str, str, str], Person] = field(default_factory=dict)

    @property
    def sees_reading(self) -> bool:
        reader = self.asked.reader
        return reader is None or may(reader, "access.read")

    @property
    def sees_s3(self) -> bool:
        reader = self.asked.reader
        return reader is None or may(reader, "cloudtrail.read")


def tell(asked: Asked) -> Told:
    versions = {str(version.pk): version for version in _versions(asked)}
    pins = File.objects.filter(version__in=list(versions.values())).order_by("version__ordinal", "ordinal")
    pinned: dict[tuple[str, str], set[str]] = {}
    names: dict[tuple[str, str], str] = {}
    for bucket, key, s3_version, logical_key in pins.values_list("bucket", "key", "s3_version", "logical_key"):
        pinned.setdefault((bucket, key), set()).add(s3_version)
        names[bucket, key] = logical_key
    objects = [Object(bucket, key, frozenset(held)) for (bucket, key), held in sorted(pinned.items())]
    return Told(asked, versions, objects, names, directory())


def _versions(asked: Asked) -> Iterable[Version]:
    if asked.version is not None:
        return [asked.version]
    return asked.record.versions.only("pk", "ordinal", "record_id").order_by("ordinal")


def directory() -> dict[str, Person]:
    """The portal's people by what CloudTrail can prove of them: a mail address, or the user name (which the portal gives as
    source identity when it asks S3 for a person)."""
    found: dict[str, Person] = {}
    for pk, name, username, email in User.objects.values_list("pk", "legal_name", "username_folded", "email"):
        found[username] = found[email.lower()] = Person(str(pk), name, Standing.PROVEN)
    return found


# --- Pages ------------------------------------------------------------------------------------------------------------


def page(asked: Asked, after: str = "", limit: int = PAGE, told: Told | None = None) -> Page:
    """Up to `limit` lines after the cursor, newest first, in a constant number of queries. Raises ValueError for a cursor
    that is none."""
    told = told or tell(asked)
    place = _place(after) if after else None
    sources = [_acts(told, place, limit), _reading(told, place, limit), _s3(told, place, limit)]
    lines = list(islice(merge(*sources, key=lambda line: line.place, reverse=True), limit + 1))
    return Page(lines[:limit], lines[limit - 1].cursor if len(lines) > limit else "")


def lines(asked: Asked) -> Iterator[Line]:
    """All lines, newest first, asked for piece by piece."""
    told, after = tell(asked), ""
    while True:
        found = page(asked, after, CHUNK, told)
        yield from found.lines
        if not found.after:
            return
        after = found.after


def _place(cursor: str) -> Place:
    at, *numbers = cursor.split("~")
    moment = datetime.fromisoformat(at)
    if moment.tzinfo is None:
        raise ValueError("a cursor names its time zone")
    rank, first, second = (int(number) for number in numbers)
    if not all(0 <= number < 2**63 for number in (rank, first, second)):
        raise ValueError("no place of a timeline")
    return moment, rank, first, second


def _acts(told: Told, after: Place | None, limit: int) -> list[Line]:
    asked = told.asked
    if asked.kind not in ("", Kind.PORTAL, Kind.SIGNATURE, Kind.REFUSED):
        return []
    rows = _of_person(_entries(told), asked)
    if asked.kind == Kind.SIGNATURE:
        rows = rows.filter(action__in=SIGNING)
    elif asked.kind == Kind.REFUSED:
        rows = rows.filter(action__in=REFUSALS)
    elif asked.kind == Kind.PORTAL:
        rows = rows.exclude(action__in=[*SIGNING, *REFUSALS])
    return [_act(row) for row in _in_order(rows, Rank.PORTAL, after)[: limit + 1]]


def _reading(told: Told, after: Place | None, limit: int) -> list[Line]:
    asked = told.asked
    rows = _of_person(_accesses(told), asked)
    if asked.kind:
        whats = [what for what, kind in READING.items() if kind == asked.kind]
        if not whats:
            return []
        rows = rows.filter(what__in=whats)
    return [_view(row) for row in _in_order(rows, Rank.READING, after)[: limit + 1]]


def _s3(told: Told, after: Place | None, limit: int) -> list[Line]:
    asked = told.asked
    if not told.sees_s3 or not told.objects or asked.kind not in ("", *S3Kind):
        return []
    until, cursor = asked.until, ""
    if after and after[1] == Rank.S3:
        cursor = f"{after[0].isoformat()}|{after[2]}|{after[3]}"
    elif after:
        until = min(until, after[0] + MICROSECOND)
    actors, spans = _actors(told)
    found = s3_events.touching(
        told.objects, asked.since, until, actors=actors, spans=spans, kind=asked.kind or None, after=cursor, limit=limit + 1
    )  # fmt: skip
    through = _through_the_portal(told, found.lines)
    proofs = by_file(touched.file_id for touched in found.lines)
    return [
        _event(touched, told, through.get(touched.request_id, UNKNOWN), proofs[touched.file_id])
        for touched in found.lines
    ]


UNKNOWN = "in the portal's role, but the portal knows of no such request"


def _through_the_portal(told: Told, lines: Iterable[Touched]) -> dict[str, str]:
    """What the portal itself knows of the requests in the role that only it should use, by S3's request id."""
    role = told.role
    wanted = [line.request_id for line in lines if role and line.role == role and line.request_id]
    if not wanted:
        return {}
    asked = dict(S3Request.objects.filter(request_id__in=wanted).values_list("request_id", "portal_request"))
    rows = Access.objects.filter(_about(told), request_id__in=[one for one in asked.values() if one])
    acts = {
        row.request_id: f" when {row.actor_name} {READ_WORDS.get(row.what, row.what)} {row.subject_label}"
        for row in rows.only("request_id", "actor_name", "what", "subject_label")
    }
    return {one: f"asked by the portal{acts.get(request, '')}" for one, request in asked.items()}


def person_role() -> str:
    """The name of the role in which the portal asks S3 for a person; "" where none is configured."""
    return (settings.S3_PERSON_ROLE_ARN or "").rpartition("/")[2]


def _entries(told: Told) -> QuerySet[Entry]:
    asked = told.asked
    return Entry.objects.filter(_about(told), at__gte=asked.since, at__lt=asked.until)


def _accesses(told: Told) -> QuerySet[Access]:
    asked = told.asked
    url = asked.version.get_absolute_url() if asked.version else asked.record.get_absolute_url()
    refused = Q(what="refused", subject_kind="url", subject_id__startswith=url)
    rows = Access.objects.filter(_about(told) | refused, at__gte=asked.since, at__lt=asked.until).defer("canonical")
    if asked.reader is not None and not told.sees_reading:
        rows = rows.filter(actor=str(asked.reader.pk))
    return rows


def _about(told: Told) -> Q:
    """Rows about the versions asked for; of a whole record also those about the record and the buckets of its objects."""
    about = Q(subject_kind="version", subject_id__in=list(told.versions))
    if told.asked.version is None:
        about |= Q(subject_kind="record", subject_id=str(told.asked.record.pk))
        about |= Q(subject_kind="bucket", subject_id__in=sorted({one.bucket for one in told.objects}))
    return about


def _in_order(rows: QuerySet[Any], rank: int, after: Place | None) -> QuerySet[Any]:
    """Newest first, from the place on: of equal times, a source of higher rank was shown before."""
    if after:
        at, shown, number, _ = after
        if shown == rank:
            rows = rows.filter(Q(at__lt=at) | Q(at=at, pk__lt=number))
        else:
            rows = rows.filter(at__lt=at) if shown < rank else rows.filter(at__lte=at)
    return rows.order_by("-at", "-pk")


def _of_person(rows: QuerySet[Any], asked: Asked) -> QuerySet[Any]:
    if asked.person:
        rows = rows.filter(actor=asked.person)
    if asked.standing:
        others = {trail.SYSTEM.key: Standing.SERVICE, trail.NOBODY.key: Standing.UNRESOLVED}
        if asked.standing == Standing.PROVEN:
            return rows.exclude(actor__in=others)
        return rows.filter(actor__in=[key for key, standing in others.items() if standing == asked.standing])
    return rows


Spans = list[tuple[int, datetime, datetime]]


def _actors(told: Told) -> tuple[list[int] | None, Spans]:
    """Keys of the actors that CloudTrail's lines are narrowed to (None: no matter whom), and those meant for a time only:
    an id of the directory may pass from one person to another."""
    asked, people = told.asked, told.directory
    if not asked.person and not asked.standing:
        return None, []
    actors = Actor.objects.all()
    if asked.standing:
        actors = actors.filter(standing=asked.standing)
    if not asked.person:
        return list(actors.values_list("pk", flat=True)), []
    standing, bar, name = asked.person.partition("|")
    aliases = [name.lower()] if bar else [alias for alias, person in people.items() if person.key == asked.person]
    listed = {under for under, entry in told.register.listed() if listed_person(entry).key == asked.person}
    actors = actors.filter(standing=standing if bar and standing in set(Standing) else Standing.PROVEN)
    rows = actors.annotate(spelled=Lower("name")).filter(Q(spelled__in=aliases) | Q(listed__in=listed))
    whole: list[int] = []
    spans: Spans = []
    for pk, known, called, role, under in rows.values_list("pk", "standing", "name", "role", "listed"):
        base = s3_person(known, called, role, people)
        if not under:
            whole += [pk] if base.key == asked.person else []
            continue
        for entry, since, until in told.register.stretches(under):
            if (listed_person(entry) if entry else base).key == asked.person:
                spans.append((pk, since, until))
    return whole, spans


def listed_person(entry: DirectoryEntry) -> Person:
    """Whom an entry of the directory names: the portal's own person where it says so."""
    if entry.user is not None:
        return Person(str(entry.user_id), entry.user.legal_name, Standing.PROVEN)
    return Person(f"DIRECTORY|{entry.person}", entry.person, Standing.PROVEN)


# --- Lines ------------------------------------------------------------------------------------------------------------


def _act(entry: Entry) -> Line:
    kind = _kind_of_act(entry.action)
    sentence = entry.sentence
    if kind == Kind.REFUSED and (said := entry.detail.get("message")):
        sentence = f"{sentence}: {said}"
    known = ["Portal", entry.actor_role, f"“{entry.reason}”" if entry.reason else ""]
    if entry.subject_kind == "bucket":
        known.append("affects every record in the bucket")
    return Line(
        place=(entry.at, Rank.PORTAL, entry.pk, 0),
        source="portal",
        kind=kind,
        who=_portal_person(entry.actor, entry.actor_name),
        sentence=sentences.shown(sentence),
        known=sentences.shown(" · ".join(part for part in known if part)),
        url=f"/audit/entries/{entry.pk}/",
        reference=f"entry {entry.pk}",
        alike=(entry.actor, entry.action, entry.subject_id, entry.pk if kind != Kind.SIGNATURE else entry.xact),
        role=entry.actor_role,
        subject=entry.subject_label,
        reason=entry.reason,
    )


def _view(row: Access) -> Line:
    part = row.detail.get("part") or row.detail.get("what") or row.detail.get("as")
    subject = (
        f"the {part} of {row.subject_label}" if isinstance(part, str) and row.what != "refused" else row.subject_label
    )
    return Line(
        place=(row.at, Rank.READING, row.pk, 0),
        source="reading",
        kind=READING.get(row.what, Kind.READ),
        who=_portal_person(row.actor, row.actor_name),
        sentence=sentences.shown(f"{row.actor_name} {READ_WORDS.get(row.what, row.what)} {subject}"),
        known=sentences.shown(" · ".join(part for part in ("Portal, reading log", row.actor_role) if part)),
        url="",
        reference=f"access {row.pk}",
        alike=(row.actor, row.what, row.subject_id, str(part)),
        role=row.actor_role,
        subject=row.subject_label,
    )


def _event(touched: Touched, told: Told, through: str = UNKNOWN, proof: str = "") -> Line:
    day = touched.time.astimezone(UTC).date()
    entry = told.register.known(touched.listed, day)
    who = listed_person(entry) if entry else _met(touched, told)
    in_portal = who is told.directory.get(touched.name.lower())
    named = replace(touched, name=who.name if entry or in_portal else touched.name, role=role_name(touched.role))
    known = [sentences.small_print(sentences.Run((named,)))]
    if entry:
        known.append(f"{touched.name}, whom the directory knows")
    elif in_portal and "@" in touched.name:
        known.append(touched.name)
    if touched.standing == Standing.SERVICE and (owner := told.register.owner(touched.name, day)):
        known.append(f"{owner.person} answers for it")
    if touched.role and touched.role == told.role:
        known.append(through)
    return Line(
        place=(touched.time, Rank.S3, touched.file_id, touched.ordinal),
        source="cloudtrail",
        kind=Kind(sentences.Run((named,)).kind.value),
        who=who,
        sentence=begun(sentences.sentence(named, told.names)),
        known=sentences.shown(" · ".join(known)),
        url=f"/trails/files/{touched.file_id}/{touched.ordinal}/",
        reference=f"event {touched.event_id}",
        alike=(
            who.key or touched.actor_id, touched.event_name, touched.error_code, touched.match, touched.source_ip,
            touched.presigned, touched.target, touched.role, touched.listed, day if entry else None,
        ),
        role=touched.role,
        subject=told.names.get((touched.bucket, touched.key), ""),
        touched=named,
        proof=proof,
    )  # fmt: skip


def role_name(role: str) -> str:
    """`GxPReader` for the role that IAM Identity Center makes of a permission set of that name."""
    made = _PERMISSION_SET.fullmatch(role)
    return made[1] if made else role


def begun(sentence: str) -> str:
    """With a capital letter, unless it begins with a name."""
    return sentence[0].upper() + sentence[1:] if sentence.startswith(("somebody ", "the ")) else sentence


def _kind_of_act(action: str) -> Kind:
    return Kind.REFUSED if action in REFUSALS else Kind.SIGNATURE if action in SIGNING else Kind.PORTAL


def _portal_person(key: str, name: str) -> Person:
    """Whoever is logged in has shown a password and a code; a printed name stands as it was then."""
    standing = Standing.SERVICE if key == trail.SYSTEM.key else Standing.UNRESOLVED if key == trail.NOBODY.key else None
    return Person(key, name, standing or Standing.PROVEN)


def s3_person(standing: str, name: str, role: str, people: dict[str, Person]) -> Person:
    """Whom CloudTrail names. One of the portal's people only where a role's session is proved to be theirs: by the mail address
    that the identity provider vouches for, or by the source identity of the role in which the portal asks S3 for a person.
    A user of IAM who merely bears such a name is somebody else, and so is a name that is only claimed."""
    vouched = "@" in name or role == (person_role() or None)
    known = people.get(name.lower()) if standing == Standing.PROVEN and role and vouched else None
    return known or Person(f"{standing}|{name}", begun(sentences.actor(standing, name)), standing)


# --- Folding ----------------------------------------------------------------------------------------------------------


@dataclass
class Group:
    """Lines alike, newest first: one line for a reader, which may open."""

    lines: list[Line]

    @property
    def newest(self) -> Line:
        return self.lines[0]

    @property
    def proof(self) -> str:
        """As that of one line, counted where they differ."""
        return in_short(line.proof for line in self.lines)

    def told(self, names: sentences.Names) -> tuple[str, str]:
        """The sentence of them all, and how they are known."""
        line, many = self.newest, len(self.lines)
        touched = tuple(one.touched for one in self.lines if one.touched)
        if many == 1:
            return line.sentence, line.known
        if touched:
            run = sentences.Run(touched)
            return begun(sentences.sentence(run, names)), sentences.small_print(run)
        return f"{line.sentence}, {many} times", f"{line.known} · since {self.lines[-1].at:%H:%M:%S} UTC"


def fold(lines: Iterable[Line]) -> Iterator[Group]:
    """Lines alike become one group, while no longer pause lies between two. Other reading may stand in between, since a program
    that reads, looks at and lists file after file did three things, not thirty; any other act ends the runs of its source.
    Groups come in the order of their newest lines."""
    waiting: list[Group] = []
    running: dict[str, dict[tuple[object, ...], Group]] = defaultdict(dict)
    for line in lines:
        runs = running[line.source]
        run = runs.get(line.alike)
        if run and run.lines[-1].at - line.at <= FOLDED_WITHIN:
            run.lines.append(line)
            continue
        if line.kind not in (Kind.READ, Kind.LIST):
            runs.clear()
        runs[line.alike] = Group([line])
        waiting.append(runs[line.alike])
        while waiting and waiting[0].lines[-1].at - line.at > FOLDED_WITHIN:
            yield waiting.pop(0)
    yield from waiting


# --- Counting ---------------------------------------------------------------------------------------------------------


def cells(asked: Asked, told: Told | None = None) -> list[Cell]:
    """Everything of the period counted by day, person and kind, whatever else is asked for: filters choose among these."""
    told = told or tell(asked)
    found = [
        Cell(day, _portal_person(key, name), _kind_of_act(action), *counted)
        for key, name, action, day, *counted in _counted(_entries(told), "action")
    ]
    found += [
        Cell(day, _portal_person(key, name), READING.get(what, Kind.READ), *counted)
        for key, name, what, day, *counted in _counted(_accesses(told), "what")
    ]
    if told.sees_s3 and told.objects:
        found += [
            Cell(one.day, _counted_person(one, told), Kind(one.kind.value), one.events, one.first, one.last, one.bytes_out)
            for one in s3_events.tallies(told.objects, asked.since, asked.until)
        ]  # fmt: skip
    return found


def _counted_person(one: s3_events.Tally, told: Told) -> Person:
    entry = told.register.known(one.listed, one.day)
    return listed_person(entry) if entry else _met(one, told)


def _met(one: Touched | s3_events.Tally, told: Told) -> Person:
    """Whom CloudTrail names, concluded once for all lines of theirs."""
    key = (one.standing, one.name, one.role)
    if key not in told.met:
        told.met[key] = s3_person(*key, told.directory)
    return told.met[key]


def _counted(rows: QuerySet[Any], column: str) -> Iterable[Any]:
    """Groups by actor, printed name, column and day, each with its number, first and last time."""
    grouped = rows.annotate(day=TruncDate("at")).order_by().values_list("actor", "actor_name", column, "day")
    return grouped.annotate(Count("pk"), Min("at"), Max("at"))


def chosen(found: Sequence[Cell], asked: Asked) -> list[Cell]:
    """Those of the cells that the filters let through: their sum is the number of lines that `page` gives in all."""
    return [
        cell
        for cell in found
        if asked.person in ("", cell.who.key)
        and asked.standing in ("", cell.who.standing)
        and asked.kind in ("", cell.kind)
    ]
