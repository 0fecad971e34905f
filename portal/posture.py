"""Storage posture across the floors: the signed baseline, the reading as a job, the sealed snapshot (R6).

The baseline is one record; each change of what is wanted is a new version of it, which counts once an approver has signed it.
A snapshot is a report of its own: evidence for an installation qualification.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from django.db.models import QuerySet

from accounts.models import User
from accounts.permissions import demand, may
from audit import clock, trail
from audit.actions import Action
from audit.reasons import demand_reason
from jobs import queue
from jobs.models import Job
from portal.trail_reviews import plain, table
from printing.templatetags.look import iso, utc
from records import reports
from records.lifecycle import State
from records.models import Record, Version
from records.reports import Section, seal_report
from signatures.meanings import Meaning
from signatures.requests import Asked, open_route
from storage import posture, queries
from storage.models import Bucket, PostureReading
from storage.posture import BY_ID, RULES, Rule, Value, Verdict, Wanted
from storage.transitions import keep_reading

BASELINE, SNAPSHOT = "posture_baseline", "posture_snapshot"
READ = "posture.read"
EVERY = timedelta(days=1)
SUBJECT = trail.Subject("posture", "portal", "the storage posture")
SENTENCE = "I have looked at these readings of the storage, and answer for what this snapshot says of them."
WORDS = {
    Verdict.PASSES: "passes",
    Verdict.FAILS: "does not pass",
    Verdict.UNREAD: "could not be read",
    Verdict.NOT_ASKED: "not asked for",
}


# The baseline ---------------------------------------------------------------------------------------------------------


def current() -> Version | None:
    """The newest approved baseline."""
    return _baselines().filter(state=State.APPROVED).first()


def waiting() -> Version | None:
    """A proposal whose signature is still asked for."""
    return _baselines().filter(state=State.IN_REVIEW).first()


def _baselines() -> QuerySet[Version]:
    return (
        Version.objects.filter(record__type=BASELINE)
        .select_related("record__type")
        .order_by("-record__created_at", "-ordinal")
    )


def label(version: Version) -> str:
    return f"{version.record.number} version {version.ordinal}"


def wanted_by(version: Version | None) -> dict[str, Wanted]:
    """By bucket what the baseline wants, from its sealed bytes. Raises StorageError, `worm.Altered` among them."""
    return dict(reports.read(version)["buckets"]) if version else {}


def proposed(buckets: Iterable[Bucket]) -> dict[str, dict[str, Value | None]]:
    """What a new baseline would say unless somebody chooses otherwise: the signed one's value; where there is none, what was
    found if it is as good as what is recommended (and more exact), else what is recommended."""
    signed, found = wanted_by(current()), queries.latest_of(buckets)
    made: dict[str, dict[str, Value | None]] = {}
    for bucket in buckets:
        last = found_in(found.get(bucket.pk))
        made[bucket.pk] = {
            rule.id: signed.get(bucket.pk, {}).get(rule.id, _proposed(rule, bucket, last.get(rule.id)))
            for rule in RULES
            if rule.applies_to(bucket)
        }
    return made


def _proposed(rule: Rule, bucket: Bucket, found: Value | None) -> Value:
    usual = rule.recommends(bucket.purpose)
    return found if found is not None and rule.holds(found, usual) else usual


def found_in(reading: PostureReading | None) -> dict[str, Value | None]:
    """By rule what a reading found."""
    return {one["rule"]: one["found"] for one in reading.findings} if reading else {}


def propose(chosen: Mapping[str, Wanted], *, by: User, why: str) -> Version:
    """Seal what is wanted of each bucket, and ask an approver who did not make it to approve it. Buckets that are not named keep
    what the signed baseline says of them. Raises Refused, StorageError."""
    demand(by, "posture.baseline", SUBJECT)
    why = demand_reason(why, Action.POSTURE_REFUSED, SUBJECT, by)
    if waiting() is not None:
        raise _refused("A baseline waits for its signature already: sign or reject it first.", by)
    before = current()
    values = wanted_by(before) | {name: dict(wanted) for name, wanted in chosen.items()}
    _demand_sense(values, by)
    return seal_report(
        BASELINE,
        title="Storage posture baseline",
        sections=_of_baseline(values, wanted_by(before), why),
        data={"why": why, "buckets": values},
        by=by,
        message=why[:200],
        record=before.record if before else Record.objects.filter(type=BASELINE).order_by("created_at").first(),
        then=lambda version: open_route(version, [Asked(1, Meaning.APPROVAL, "approver")], by=by),
    )


def approved(version: Version, signer: User) -> None:
    """In the transaction of the last signature: the buckets are read against the new baseline."""
    ask()


def _demand_sense(values: Mapping[str, Wanted], by: User) -> None:
    if not values:
        raise _refused("There is no bucket to make a baseline for.", by)
    for name, wanted in values.items():
        if unknown := sorted(set(wanted) - set(BY_ID)):
            raise _refused(f"There is no rule {unknown[0]} (bucket {name}).", by)


def _refused(message: str, by: User) -> trail.Refused:
    return trail.Refused(message, action=Action.POSTURE_REFUSED, subject=SUBJECT, by=by)


# The reading ----------------------------------------------------------------------------------------------------------


def ask(*, by: User | trail.Actor = trail.SYSTEM) -> Job:
    """The job that reads every bucket; one at a time."""
    return queue.enqueue(READ, args={"title": "Read the storage posture", "page": "/posture/"}, key="all", by=by)


def ask_now(*, by: User) -> Job:
    """Somebody wants to know. Raises Forbidden."""
    demand(by, "posture.read", SUBJECT)
    return ask(by=by)


def ask_if_due() -> Job | None:
    """A reading each day, and at once of a bucket that was never read."""
    buckets = list(Bucket.objects.all())
    read, now = queries.latest_of(buckets), clock.now()
    due = [one for one in buckets if one.pk not in read or now - read[one.pk].read_at >= EVERY]
    return ask() if due else None


@queue.handler(READ)
def read_all(job: Job) -> dict[str, Any]:
    """Every bucket once; run again, those that were read since the job was asked for are left alone."""
    buckets, against = list(Bucket.objects.order_by("pk")), current()
    wanted = wanted_by(against)
    asker = trail.Actor(job.requested_by, job.requested_by_name, "")
    for count, bucket in enumerate(buckets):
        job.progress(count, len(buckets), f"Reading {bucket.pk}")
        if not PostureReading.objects.filter(bucket=bucket, read_at__gte=job.created_at).exists():
            read_one(bucket, wanted, against, by=asker)
    return {"buckets": len(buckets), "page": "/posture/"}


def read_one(
    bucket: Bucket, wanted: Mapping[str, Wanted], against: Version | None, *, by: trail.Actor
) -> PostureReading:
    """Ask AWS, then keep what it said. A baseline that does not name the bucket says nothing of it."""
    named = against is not None and bucket.pk in wanted
    found = posture.read(bucket, wanted.get(bucket.pk, {}))
    return keep_reading(bucket, found, baseline=label(against) if against and named else "", by=by)


def read_now(*, by: trail.Actor = trail.SYSTEM) -> list[PostureReading]:
    """Read every bucket at once, without a job. Raises StorageError where the baseline cannot be read."""
    against = current()
    wanted = wanted_by(against)
    return [read_one(bucket, wanted, against, by=by) for bucket in Bucket.objects.order_by("pk")]


# The snapshot ---------------------------------------------------------------------------------------------------------


def seal_snapshot(*, by: User) -> Version:
    """Seal the newest reading of each bucket that the person may see. Whoever may approve answers for it; an approver approves
    what somebody else sealed. Raises Refused, StorageError."""
    demand(by, "posture.baseline", SUBJECT)
    buckets = list(Bucket.objects.posture_for(by))
    readings = queries.latest_of(buckets)
    if not readings:
        raise _refused("No bucket was read yet: read them first.", by)
    chosen = [readings[bucket.pk] for bucket in buckets if bucket.pk in readings]
    maker = may(by, "sign.approve")
    asked = (
        Asked(1, Meaning.RESPONSIBILITY, "approver", by, sentence=SENTENCE)
        if maker
        else Asked(1, Meaning.APPROVAL, "approver")
    )
    return seal_report(
        SNAPSHOT,
        title=f"Storage posture, {utc(clock.now(), 'date')}",
        sections=_of_snapshot(chosen, [bucket.pk for bucket in buckets if bucket.pk not in readings]),
        data={"readings": [_told(reading) for reading in chosen]},
        by=by,
        message=f"Snapshot of {len(chosen)} buckets",
        then=lambda version: open_route(version, [asked], by=by),
    )


def answered_for(version: Version, signer: User) -> None:
    """A signed snapshot stands for itself."""


def _told(reading: PostureReading) -> dict[str, Any]:
    return {
        "reading": str(reading.pk),
        "bucket": reading.bucket_id,
        "read_at": iso(reading.read_at),
        "baseline": reading.baseline,
        "findings": reading.findings,
    }


# On paper -------------------------------------------------------------------------------------------------------------


def rows_of(reading: PostureReading) -> list[dict[str, Any]]:
    """The findings with their rules and words, in the order of the rules; of a rule that there is no longer, what was kept."""
    told = {one["rule"]: one for one in reading.findings}
    known = [rule.id for rule in RULES if rule.id in told]
    return [row(told[name]) for name in [*known, *(name for name in told if name not in BY_ID)]]


def row(told: Mapping[str, Any]) -> dict[str, Any]:
    rule = BY_ID.get(told["rule"])
    words = rule.words if rule else str
    unread = told["found"] is None
    return {
        "rule": rule,
        "id": told["rule"],
        "asks": rule.asks if rule else told["rule"],
        "serves": ", ".join(rule.serves) if rule else "",
        "wanted": words(told["wanted"]),
        "at_least": rule is not None and rule.more_than(told["wanted"]),
        "found": told["said"] if unread else words(told["found"]),
        "verdict": told["verdict"],
        "words": WORDS[Verdict(told["verdict"])],
    }


def _of_baseline(values: Mapping[str, Wanted], before: Mapping[str, Wanted], why: str) -> list[Section]:
    sections = [Section("What it is for", plain(why)), Section("What it changes", _changes(values, before))]
    for name, wanted in sorted(values.items()):
        bucket = Bucket.objects.filter(pk=name).first()
        rows = [
            (rule.asks, ", ".join(rule.serves), rule.words(wanted[rule.id]),
             rule.words(rule.recommends(bucket.purpose)) if bucket and rule.applies_to(bucket) else "")
            for rule in RULES if rule.id in wanted
        ]  # fmt: skip
        title = f"{name}, {bucket.get_purpose_display()}" if bucket else name
        sections.append(Section(title, table(("Rule", "Serves", "Wanted", "Recommended"), rows)))
    return sections


def _changes(values: Mapping[str, Wanted], before: Mapping[str, Wanted]) -> str:
    if not before:
        return "It is the first one."
    rows = [
        (name, rule.asks, rule.words(before[name].get(rule.id)) if name in before else "", rule.words(wanted[rule.id]))
        for name, wanted in sorted(values.items())
        for rule in RULES
        if rule.id in wanted and (name not in before or before[name].get(rule.id) != wanted[rule.id])
    ]
    return table(("Bucket", "Rule", "Before", "Wanted now"), rows) if rows else "Nothing: it is confirmed as it was."


def _of_snapshot(readings: Sequence[PostureReading], unread: Sequence[str]) -> list[Section]:
    scope = [f"{plain(one.bucket_id)}: read on {utc(one.read_at, 's')} by {plain(one.by_name)}, held against "
             f"{plain(one.baseline) or 'what the portal recommends'}." for one in readings]  # fmt: skip
    scope += [f"{plain(name)}: never read." for name in unread]
    limits = [plain(line) for line in (*posture.KNOW, *posture.CANNOT)]
    poor = [
        (one.bucket_id, told["asks"], told["wanted"], told["found"])
        for one in readings for told in rows_of(one) if told["verdict"] in queries.NOT_GOOD
    ]  # fmt: skip
    sections = [
        Section("Scope", "\n\n".join(scope)),
        Section(
            "What does not pass",
            table(("Bucket", "Rule", "Wanted", "Found"), poor) if poor else "None: every rule passes.",
        ),
    ]
    for one in readings:
        rows = [(told["asks"], told["serves"], told["wanted"], told["found"], told["words"]) for told in rows_of(one)]
        sections.append(Section(one.bucket_id, table(("Rule", "Serves", "Wanted", "Found", "Verdict"), rows)))
    return [*sections, Section("How it is known, and what it does not say", "\n".join(f"- {line}" for line in limits))]
