"""Whom the firm knows under an id of IAM Identity Center, and who answers for a service, on a given day.

An actor is the same for all time, but an id may pass to somebody else: so an entry of the directory holds from day to day (UTC),
and is laid over what CloudTrail tells when it is read. The conclusion about the actor stays as the events give it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cloudtrail.models import Actor, DirectoryEntry

DAY = timedelta(days=1)
SERVICE = "service"


class Register:
    """The directory as it is now, read once for a page."""

    def __init__(self) -> None:
        from cloudtrail.models import DirectoryEntry

        self._entries: dict[str, list[DirectoryEntry]] = defaultdict(list)
        for entry in DirectoryEntry.objects.select_related("user").order_by("since"):
            self._entries[f"{entry.kind}|{entry.identifier}"].append(entry)

    def known(self, listed: str, day: date) -> DirectoryEntry | None:
        """The entry under which an actor is `listed` on that day; None where there is none."""
        entries = self._entries.get(listed, ()) if listed else ()
        return next((entry for entry in entries if entry.since <= day and (entry.until or day) >= day), None)

    def owner(self, principal: str, day: date) -> DirectoryEntry | None:
        """Who answers for a service on that day."""
        return self.known(f"{SERVICE}|{principal}", day)

    def entry_for(self, actor: Actor, day: date) -> DirectoryEntry | None:
        """Who the actor was, or who answered for it, on that day."""
        return self.owner(actor.name, day) if actor.standing == "SERVICE" else self.known(actor.listed, day)

    def listed(self) -> Iterator[tuple[str, DirectoryEntry]]:
        """Every entry about a person, with what an actor is listed under."""
        for listed, entries in self._entries.items():
            if not listed.startswith(SERVICE):
                yield from ((listed, entry) for entry in entries)

    def stretches(self, listed: str) -> list[tuple[DirectoryEntry | None, datetime, datetime]]:
        """All time cut where the entry changes, [since, until) in UTC: with each stretch the entry that holds in it."""
        found: list[tuple[DirectoryEntry | None, datetime, datetime]] = []
        at = FIRST
        for entry in self._entries.get(listed, ()):
            since, until = _midnight(entry.since), _midnight(entry.until + DAY) if entry.until else LAST
            if until <= since:
                continue
            found += [(None, at, since)] if at < since else []
            found.append((entry, since, until))
            at = until
        return [*found, (None, at, LAST)] if at < LAST else found


FIRST, LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
