"""Alarms: what security and management must hear of at once (21 CFR 11.300(d); draft Annex 11, 8).

An alarm stands while its cause does, and waits until somebody has acknowledged it: the two are facts of their own. It is
closed when both are given, and only then does the same cause raise a new one. What happens at an instant (`MOMENTARY`)
leaves no cause standing, so that acknowledging it closes it. Where the cause that somebody acknowledged tells something else now,
in an alarm about what is evidence (`TOLD_ANEW`), they have not acknowledged that: it is a new alarm, and mailed as one.
"""

from collections.abc import Mapping
from typing import Any, Protocol

from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet

from audit import clock, trail
from audit.actions import Action
from audit.models import Alarm
from audit.reasons import demand_reason

Kind = Alarm.Kind
MOMENTARY = frozenset(
    {
        Kind.REFUSED_SIGNINGS,
        Kind.SELF_GRANT,
        Kind.ROLES_GRANTED,
        Kind.CLOCK_STEP,
        Kind.LOGGING_CHANGED,
        Kind.PROTECTION_CHANGED,
        Kind.KEY_ENDANGERED,
        Kind.LOCK_BYPASSED,
        Kind.TRAIL_ALTERED,
        Kind.TRAIL_GAP,
        Kind.OBJECTS_UNEXPLAINED,
    }
)
TOLD_ANEW = frozenset({Kind.CHAIN_BROKEN, Kind.ANCHOR_BEHIND, Kind.TRIGGER_DRIFT, Kind.VERSION_ALTERED})
OPEN = Q(acknowledged_at__isnull=True) | Q(cleared_at__isnull=True)


class Acknowledger(trail.HasActor, Protocol):
    """A person whose rights can be asked for."""

    def holds(self, permission: str) -> bool: ...


def raise_alarm(
    kind: Alarm.Kind,
    subject: trail.HasSubject | trail.Subject,
    sentence: str,
    *,
    detail: Mapping[str, Any] | None = None,
) -> Alarm:
    """Raise an alarm, or count once more the open one of this kind and subject.

    In the caller's transaction where there is one, else in its own. `detail` as for `trail.record()`.
    """
    about = trail.subject_of(subject)
    with transaction.atomic():
        alarm = _held(kind, about)
        if alarm and kind in TOLD_ANEW and alarm.acknowledged_at and alarm.sentence != sentence:
            _clear(alarm, "Another finding took its place.")
            alarm = None
        if alarm is None:
            try:
                with transaction.atomic():
                    return _new(kind, about, sentence, dict(detail or {}))
            except IntegrityError:  # another transaction raised it meanwhile, and has committed
                alarm = _held(kind, about)
                assert alarm is not None
        return _again(alarm, sentence, dict(detail or {}))


def acknowledge(alarm: Alarm, *, by: Acknowledger, comment: str) -> Alarm:
    """An authorised person says that they know and what they do about it. Raises Refused, Forbidden."""
    if not by.holds("alarms.acknowledge"):
        raise trail.Forbidden(
            "Your role does not include this (alarms.acknowledge).", action=Action.ALARM_REFUSED, subject=alarm, by=by
        )
    comment = demand_reason(comment, Action.ALARM_REFUSED, alarm, by, what="comment")
    with transaction.atomic():
        alarm = Alarm.objects.select_for_update(no_key=True).get(pk=alarm.pk)
        if alarm.acknowledged_at is not None:
            raise trail.NotAllowed(
                f"{alarm.acknowledged_by_name} acknowledged this alarm already.",
                action=Action.ALARM_REFUSED,
                subject=alarm,
                by=by,
            )
        actor = trail.actor_of(by)
        alarm.acknowledged_at, alarm.comment = clock.now(), comment
        alarm.acknowledged_by, alarm.acknowledged_by_name = actor.key, actor.name
        alarm.save(update_fields=["acknowledged_at", "comment", "acknowledged_by", "acknowledged_by_name"])
        trail.record(Action.ALARM_ACKNOWLEDGED, alarm, by=by, reason=comment, detail={"kind": alarm.kind})
    return alarm


def clear(kind: Alarm.Kind, subject: trail.HasSubject | trail.Subject, how: str) -> Alarm | None:
    """Note that the cause is gone, and how that is known; None where no such alarm stands. Safe to repeat."""
    with transaction.atomic():
        alarm = _held(kind, trail.subject_of(subject))
        if alarm is None or alarm.cleared_at is not None:
            return None
        _clear(alarm, how)
    return alarm


def _clear(alarm: Alarm, how: str) -> None:
    alarm.cleared_at, alarm.cleared_how = clock.now(), how
    alarm.save(update_fields=["cleared_at", "cleared_how"])
    trail.record(Action.ALARM_CLEARED, alarm, by=trail.SYSTEM, reason=how, detail={"kind": alarm.kind})


def open_alarms() -> QuerySet[Alarm]:
    """Those that somebody must still acknowledge, or whose cause still stands; newest first."""
    return Alarm.objects.filter(OPEN)


def _held(kind: Alarm.Kind, about: trail.Subject) -> Alarm | None:
    """The open alarm of this cause, locked."""
    rows = Alarm.objects.select_for_update(no_key=True).filter(OPEN)
    return rows.filter(kind=kind, subject_kind=about.kind, subject_id=about.id).first()


def _new(kind: Alarm.Kind, about: trail.Subject, sentence: str, detail: dict[str, Any]) -> Alarm:
    now = clock.now()
    alarm = Alarm.objects.create(
        kind=kind,
        subject_kind=about.kind,
        subject_id=about.id,
        subject_label=about.label,
        sentence=sentence,
        detail=detail,
        first_at=now,
        last_at=now,
        cleared_at=now if kind in MOMENTARY else None,
    )
    trail.record(Action.ALARM_RAISED, alarm, by=trail.SYSTEM, reason=sentence, detail=detail)
    return alarm


def _again(alarm: Alarm, sentence: str, detail: dict[str, Any]) -> Alarm:
    """The cause came once more: count it. One that was thought gone stands again."""
    alarm.count, alarm.last_at, alarm.sentence, alarm.detail = alarm.count + 1, clock.now(), sentence, detail
    alarm.cleared_at = alarm.last_at if alarm.kind in MOMENTARY else None
    alarm.cleared_how = ""
    alarm.save(update_fields=["count", "last_at", "sentence", "detail", "cleared_at", "cleared_how"])
    trail.record(Action.ALARM_REPEATED, alarm, by=trail.SYSTEM, reason=sentence, detail=detail | {"count": alarm.count})
    return alarm
