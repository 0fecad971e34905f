"""What a signer looks at beside the content: what the trail says about a version since the approval before it.

Source of the rule: FDA, Data Integrity Q&A (2018), questions 7 and 8: the trail is reviewed with the record, before its approval.
"""

from django.db.models import Q, QuerySet

from audit.actions import Action
from audit.models import Entry
from records.lifecycle import State
from records.models import Version


def last_approved(version: Version) -> Version | None:
    """The version of the record that was approved last before this one."""
    earlier = Version.objects.filter(record=version.record_id, ordinal__lt=version.ordinal)
    return earlier.filter(state__in=[State.APPROVED, State.RETIRED]).order_by("-ordinal").first()


def trail_since(version: Version, before: Version | None) -> QuerySet[Entry]:
    """Entries about the version, and about its record since the approval before."""
    of_record = Q(subject_kind="record", subject_id=str(version.record_id))
    since = before and Entry.objects.filter(
        subject_kind="version", subject_id=str(before.pk), action=Action.VERSION_APPROVED
    ).order_by("id").values_list("id", flat=True).first()  # fmt: skip
    if since:
        of_record &= Q(id__gt=since)
    return Entry.objects.filter(of_record | Q(subject_kind="version", subject_id=str(version.pk)))


def newest(version: Version) -> int | None:
    """The id of the newest entry that a signer has to look at."""
    entries = trail_since(version, last_approved(version))
    return entries.order_by("-id").values_list("id", flat=True).first()


def entries_to(version: Version, last: int | None) -> int:
    """How many entries there are to look at, up to that one."""
    return trail_since(version, last_approved(version)).filter(id__lte=last or 0).count()
