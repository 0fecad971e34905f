"""Questions with names. `visible_to(user)` is the one access rule: lists, details, exports and search all go through it."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.db.models import Exists, OuterRef, Q, QuerySet

from accounts.permissions import may
from records.lifecycle import State

if TYPE_CHECKING:
    from accounts.models import User
    from records.models import Draft, Record, Version  # noqa: F401


def readable(user: User, record: str) -> Q:
    """Where the path `record` leads to a record that the user may read: one in an area of theirs, or one granted singly."""
    if not may(user, "record.read"):
        return Q(pk__in=[])
    return Q(**{f"{record}area__in": user.reach.areas}) | Q(**{f"{record}pk__in": user.reach.records})


class RecordQuerySet(QuerySet["Record"]):
    def visible_to(self, user: User) -> RecordQuerySet:
        return self.filter(readable(user, ""))

    def of_kind(self, *kinds: str) -> RecordQuerySet:
        return self.filter(type__kind__in=kinds)

    def matching(self, words: str) -> RecordQuerySet:
        """Number or title holds the words, or a version's top hash begins with them."""
        words = words.strip()
        found = Q(number__icontains=words) | Q(title__icontains=words)
        if len(words) >= 4 and all(letter in "0123456789abcdef" for letter in words.lower()):
            found |= Q(versions__top_hash__startswith=words.lower())
        return self.filter(found).distinct()

    def standing(self, status: str, when: datetime) -> RecordQuerySet:
        """Records with a version of that status then (`Version.status_at`); "draft": those edited since the last version."""
        from records.models import Draft, Version

        if status == "draft":
            return self.filter(Exists(Draft.objects.filter(record=OuterRef("pk")).exclude(contributors=[])))
        approved = Version.objects.filter(record=OuterRef("pk"), state="approved")
        begins_later = Q(effectivity__during__startswith__gt=when)
        found = {
            "effective": approved.effective_on(when),
            "scheduled": approved.filter(begins_later),
            "superseded": approved.exclude(effectivity__during__contains=when).exclude(begins_later),
        }
        return self.filter(Exists(found.get(status, Version.objects.filter(record=OuterRef("pk"), state=status))))


class VersionQuerySet(QuerySet["Version"]):
    def visible_to(self, user: User) -> VersionQuerySet:
        return self.filter(readable(user, "record__"))

    def effective_on(self, when: datetime) -> VersionQuerySet:
        """Versions that were, are or will be the effective ones of their records at that instant."""
        return self.filter(effectivity__during__contains=when)


class DraftQuerySet(QuerySet["Draft"]):
    def visible_to(self, user: User) -> DraftQuerySet:
        return self.filter(readable(user, "record__"))


def wrote_since_approved(record: Record) -> tuple[set[str], Version | None]:
    """Keys of everybody who wrote or registered a version since the last approved one, and that one. Whoever made what came back
    does not approve what follows on it."""
    found: set[str] = set()
    for version in record.versions.order_by("-ordinal").only("record", "state", "author", "contributors"):
        if version.state in (State.APPROVED, State.RETIRED):
            return found, version
        found |= {str(version.author_id), *version.contributors}
    return found, None


def effective_version(record_id: uuid.UUID | Any, when: datetime) -> Version | None:
    from records.models import Version

    return (
        Version.objects.effective_on(when).filter(record_id=record_id).select_related("record", "effectivity").first()
    )
