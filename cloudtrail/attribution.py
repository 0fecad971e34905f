"""Actors and credentials in the database: admit those of new files, and draw older conclusions again when it helps.

One short transaction of its own, one at a time (an advisory lock), before events are stored. So no two workers can miss each
other's halves: whoever comes second sees the session, or the `AssumeRole`, that the first one brought. An actor without
events, left behind by a worker that was killed, is harmless.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any, TypeVar

import msgspec
from django.db import connection, transaction

from cloudtrail.actors import (
    ISSUERS,
    Attribution,
    Identity,
    Issue,
    Span,
    Standing,
    attribute,
    canonical,
    fingerprint,
    identity,
    issue,
    leads_back,
    led_by_key,
)
from cloudtrail.events import ParsedFile
from cloudtrail.models import Actor, Credential, Trail

LOCK = 7244118
REMEMBERED = 200_000
"""Distinct raw identities that a worker keeps in memory (some 100 MB at most)."""


OUTSIDE = b"outside "
"""In front of a raw identity whose event lies outside of the validity of its access key: no JSON begins like that."""


class Directory:
    """Actor ids by raw `userIdentity`. A worker keeps one, so that most identities cost a look into a dictionary."""

    def __init__(self) -> None:
        self.ids: dict[bytes, int] = {}
        self._keys: dict[bytes, str] = {}
        self._valid: dict[str, list[Span]] = {}

    def admit(self, files: Sequence[ParsedFile]) -> None:
        """Make sure that every identity of these files has an actor; afterwards `ids` holds them.

        Where it is known how long an access key was valid, the identities of events outside of that are marked in the files,
        and are actors of their own.
        """
        raws = {raw.removeprefix(OUTSIDE) for file in files for raw in set(file.identities)}
        issues = [
            found
            for file in files
            for event, time in zip(file.events, file.times, strict=True)
            if event.event_source in ISSUERS and (found := issue(event, time)) is not None
        ]
        if len(self.ids) > REMEMBERED:
            for known in (self.ids, self._keys, self._valid):
                known.clear()
        new = {raw: identity(raw) for raw in raws - self.ids.keys()}
        self._keys |= {raw: (who.access_key_id or "") if led_by_key(who) else "" for raw, who in new.items()}
        keyed = {raw: key for raw in raws if (key := self._keys[raw])}
        if new or issues or not self._valid.keys() >= set(keyed.values()) or uses(files, keyed, self._valid):
            self._admit(files, new, issues, keyed)

    def _admit(
        self, files: Sequence[ParsedFile], new: dict[bytes, Identity], issues: Sequence[Issue], keyed: dict[bytes, str]
    ) -> None:
        with transaction.atomic(durable=True):
            _alone()
            fresh = _unknown(issues)
            self._valid |= _validity(set(keyed.values()) - self._valid.keys(), fresh)
            used = uses(files, keyed, self._valid)
            outside = {raw: identity(raw.removeprefix(OUTSIDE)) for raw in used if raw.startswith(OUTSIDE)}
            new |= {raw.removeprefix(OUTSIDE): who for raw, who in outside.items()}
            spans = {
                fingerprint(new[raw] if raw in new else identity(raw)): used[raw] for raw in used if raw not in outside
            }
            spans |= {fingerprint(who, outside=True): used[raw] for raw, who in outside.items()}
            ids = admit(new.values(), fresh, outside.values(), spans)
        self.ids |= {raw: ids[fingerprint(who)] for raw, who in new.items()}
        self.ids |= {raw: ids[fingerprint(who, outside=True)] for raw, who in outside.items()}


def uses(files: Sequence[ParsedFile], keyed: dict[bytes, str], valid: dict[str, list[Span]]) -> dict[bytes, Span]:
    """When identities acted of whose access key no validity is known, or outside of it: these are marked in the files."""
    found: dict[bytes, Span] = {}
    for file in files:
        if file.first is None or file.last is None:
            continue
        span = (file.first, file.last)
        doubtful = {
            raw: valid.get(key, [])
            for raw in set(file.identities)
            if (key := keyed.get(raw.removeprefix(OUTSIDE))) and not _within(span, valid.get(key, []))
        }
        if not doubtful:
            continue
        for ordinal, raw in enumerate(file.identities):
            time, known = file.times[ordinal], doubtful.get(raw)
            if known is None or _within((time, time), known):
                continue
            if known and not raw.startswith(OUTSIDE):
                raw = file.identities[ordinal] = OUTSIDE + raw
            first, last = found.get(raw, (time, time))
            found[raw] = (min(first, time), max(last, time))
    return found


def _within(used: Span, valid: Iterable[Span]) -> bool:
    return any(since <= used[0] and used[1] <= until for since, until in valid)


def _validity(access_keys: Collection[str], fresh: Sequence[Issue]) -> dict[str, list[Span]]:
    """When access keys were valid, as far as any event tells."""
    found: dict[str, list[Span]] = defaultdict(list)
    stored = Credential.objects.filter(access_key__in=access_keys).select_related("holder") if access_keys else ()
    for one in [*(_issue(row) for row in stored), *fresh]:
        if one.access_key in access_keys and not one.signed_in:
            found[one.access_key].append(one.valid)
    return found


def admit(
    identities: Iterable[Identity],
    fresh: Sequence[Issue],
    outside: Iterable[Identity] = (),
    spans: Mapping[str, Span] = MappingProxyType({}),
) -> dict[str, int]:
    """Store what is new of identities and credentials, and heal what they explain; actor ids by fingerprint.

    `outside` are identities that acted outside of the validity of their keys; `spans` say, by fingerprint, when.
    """
    who = {fingerprint(one): one for one in [*identities, *(issue.holder for issue in fresh)]}
    apart = {fingerprint(one, outside=True): one for one in outside}
    ids = dict(Actor.objects.filter(fingerprint__in=[*who, *apart]).values_list("fingerprint", "pk"))
    known = set(ids)
    issues = _Issues(fresh)
    for marked, more in ((False, who), (True, apart)):
        # Concluded before they are stored: what they lead to may be among the credentials that name them as holders.
        new = [_actor(mark, one, spans.get(mark)) for mark, one in more.items() if mark not in known]
        for actor in new if marked else ():
            actor.inside_id = ids[fingerprint(more[actor.fingerprint])]
        _conclude(new, issues)
        ids |= {actor.fingerprint: actor.pk for actor in Actor.objects.bulk_create(new, batch_size=500)}
    widened = _widen({mark: span for mark, span in spans.items() if mark in known})
    explained = _store(fresh, ids)
    _draw(widened, explained, [pk for mark, pk in ids.items() if mark not in known])
    return ids


def _widen(spans: Mapping[str, Span]) -> list[int]:
    """Note on the actors that they acted at these times as well; returns those about whom that was not known."""
    if not spans:
        return []
    told = [{"mark": mark, "first": first, "last": last} for mark, (first, last) in spans.items()]
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE cloudtrail_actor SET used_from = least(used_from, told.first), used_until = greatest(used_until, told.last)"
            " FROM jsonb_to_recordset(%s) AS told(mark text, first timestamptz, last timestamptz) WHERE fingerprint = told.mark"
            " AND (used_from IS NULL OR told.first < used_from OR told.last > used_until) RETURNING id",
            [msgspec.json.encode(told).decode()],
        )
        return [pk for (pk,) in cursor.fetchall()]


def heal(account: str) -> int:
    """Draw again who the actors of an account are, after its configuration changed; returns how many are told otherwise."""
    with transaction.atomic():
        _alone()
        return _draw(list(Actor.objects.filter(account=account).values_list("pk", flat=True)), ())


def _alone() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])


def _actor(mark: str, who: Identity, used: Span | None) -> Actor:
    return Actor(
        fingerprint=mark,
        identity=printable(msgspec.json.decode(canonical(who))),
        access_key=printable(leads_back(who)),
        account=printable(who.account_id or ""),
        standing=Standing.UNRESOLVED,
        name="",
        used_from=used and used[0],
        used_until=used and used[1],
    )


def _unknown(issues: Sequence[Issue]) -> list[Issue]:
    """Those that are not stored yet, each once."""
    if not issues:
        return []
    asked = {one.access_key for one in issues}
    known = set(Credential.objects.filter(access_key__in=asked).values_list("access_key", "event_id"))
    new = {(one.access_key, one.event_id): one for one in issues}
    return [one for key, one in new.items() if key not in known]


def _store(fresh: Sequence[Issue], ids: dict[str, int]) -> set[str]:
    """Store new credentials; returns the access keys, and those of the same acts, that they may explain."""
    if not fresh:
        return set()
    Credential.objects.bulk_create([_credential(one, ids[fingerprint(one.holder)]) for one in fresh], batch_size=500)
    shared = {one.shared_event_id for one in fresh if one.shared_event_id}
    same_act = (
        Credential.objects.filter(shared_event_id__in=shared).values_list("access_key", flat=True) if shared else ()
    )
    return {one.access_key for one in fresh} | set(same_act)


def _credential(one: Issue, holder: int) -> Credential:
    """The row of an issue: every field but the holder is a column of the same name."""
    told = {name: printable(getattr(one, name)) for name in one.__dataclass_fields__ if name != "holder"}
    return Credential(holder_id=holder, **told)


def _draw(actors: Collection[int], access_keys: Collection[str], settled: Collection[int] = ()) -> int:
    """Conclude who these actors are, and the sessions of these access keys, and whoever depends on them.

    `settled` are those who were concluded already, with all that is known now.
    """
    done = set(settled)
    todo = _actors(pk__in=actors) | _actors(access_key__in=access_keys)
    issues = _Issues()
    changed: list[Actor] = []
    while todo := {pk: actor for pk, actor in todo.items() if pk not in done}:
        changed += _conclude(todo.values(), issues)
        done |= todo.keys()
        # A chain is followed to its root each time, so those who depend on these are the ones further down.
        handed = set(Credential.objects.filter(holder__in=todo).values_list("access_key", flat=True))
        todo = _actors(access_key__in=handed)
    _update(changed)
    return len(changed)


def _actors(**asked: Collection[object]) -> dict[int, Actor]:
    return {actor.pk: actor for actor in Actor.objects.filter(**asked)} if all(asked.values()) else {}


def _conclude(actors: Collection[Actor], issues: "_Issues") -> list[Actor]:
    """Conclude who these are, on the rows; returns those that are told otherwise now."""
    issues.expect({actor.access_key for actor in actors if actor.access_key})
    enforced = set(Trail.objects.filter(source_identity_enforced=True).values_list("account", flat=True))
    return [
        actor
        for actor in actors
        if _apply(actor, attribute(msgspec.convert(actor.identity, Identity), issues, enforced, _used(actor)))
    ]


def _used(actor: Actor) -> Span | None:
    return (actor.used_from, actor.used_until) if actor.used_from and actor.used_until else None


CONCLUDED = ("standing", "name", "role", "hops", "listed")


def _update(changed: Sequence[Actor]) -> None:
    """Write conclusions that were drawn again."""
    if not changed:
        return
    rows = [{"id": actor.pk} | {name: getattr(actor, name) for name in CONCLUDED} for actor in changed]
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE cloudtrail_actor SET ({', '.join(CONCLUDED)}, attributed_at)"  # noqa: S608 - names of our own
            f" = ({', '.join('told.' + name for name in CONCLUDED)}, audit_now())"
            " FROM jsonb_to_recordset(%s) AS told(id bigint, standing text, name text, role text, hops jsonb, listed text)"
            " WHERE cloudtrail_actor.id = told.id",
            [msgspec.json.encode(rows).decode()],
        )


def _apply(actor: Actor, found: Attribution) -> bool:
    hops = printable([hop._asdict() for hop in found.hops])
    told = (found.standing.value, printable(found.name), printable(found.role), hops, printable(found.listed))
    if (actor.standing, actor.name, actor.role, actor.hops, actor.listed) == told:
        return False
    actor.standing, actor.name, actor.role, actor.hops, actor.listed = told
    return True


class _Issues:
    """The lookup of `actors.attribute`, from the database; each question is asked once."""

    def __init__(self, fresh: Sequence[Issue] = ()) -> None:
        self._fresh = fresh
        self._by_key: dict[str, list[Issue]] = {}
        self._by_act: dict[str, list[Issue]] = {}

    def expect(self, access_keys: Collection[str]) -> None:
        """Fetch what is known of these keys at once."""
        missing = {key for key in access_keys if key not in self._by_key}
        if missing:
            found = defaultdict(list)
            for one in self._told(access_key__in=missing):
                found[one.access_key].append(one)
            for one in self._fresh:
                if one.access_key in missing:
                    found[one.access_key].append(one)
            self._by_key |= {key: sorted(found[key], key=_when) for key in missing}

    def __call__(self, access_key: str, shared_event_id: str) -> Sequence[Issue]:
        if access_key:
            self.expect([access_key])
            return self._by_key[access_key]
        if shared_event_id not in self._by_act:
            fresh = [one for one in self._fresh if one.shared_event_id == shared_event_id]
            self._by_act[shared_event_id] = sorted([*self._told(shared_event_id=shared_event_id), *fresh], key=_when)
        return self._by_act[shared_event_id]

    def _told(self, **asked: Any) -> list[Issue]:
        return [_issue(row) for row in Credential.objects.filter(**asked).select_related("holder")]


def _when(one: Issue) -> tuple[datetime, str]:
    return one.time, one.event_id


def _issue(row: Credential) -> Issue:
    return Issue(
        access_key=row.access_key,
        event_id=row.event_id,
        event_name=row.event_name,
        time=row.time,
        until=row.until,
        holder=msgspec.convert(row.holder.identity, Identity),
        role=row.role,
        session_name=row.session_name,
        source_identity=row.source_identity,
        shared_event_id=row.shared_event_id,
    )


Told = TypeVar("Told")


def printable(value: Told) -> Told:
    """The same value with NUL, which PostgreSQL's text cannot hold, shown as its symbol, at any depth."""
    shown: Any = value
    if isinstance(value, str):
        shown = value.replace("\0", "\N{SYMBOL FOR NULL}")
    elif isinstance(value, list):
        shown = [printable(item) for item in value]
    elif isinstance(value, dict):
        shown = {printable(name): printable(item) for name, item in value.items()}
    return shown
