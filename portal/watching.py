"""The watcher: reads the trail as it grows and raises what security and management must hear of (21 CFR 11.300(d)).

It goes on where it stopped, in the order of the chain, and moves its place in the transaction of the alarms that it raised: run
twice, or by two workers at once, it raises nothing twice.
"""

import logging
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

from django.db import transaction

from accounts.models import Lockout, User
from accounts.roles import Role
from accounts.transitions import OWN_ACCOUNT
from audit import alarms, clock, clock_guard, reading, trail
from audit.actions import Action
from audit.alarms import Kind, clear, raise_alarm
from audit.models import Entry, Link, Watch
from portal import alarm_mail, chain_walk
from records.models import Verification

log = logging.getLogger(__name__)
ALARMS = "alarms"
BATCH = 2000
IN_A_ROW, WITHIN = 3, timedelta(minutes=15)
REFUSED_SIGNINGS = (Action.SIGNATURE_REFUSED, Action.CONFIRMATION_REFUSED)
UNWALKED_FOR, UNSEALED_FOR = timedelta(days=2), timedelta(minutes=30)
SAID = 300  # letters of an error in an alarm
STRANGERS = trail.Subject("username", "", "user names that nobody has")


def watch() -> None:
    """One round. Each part by itself: one that fails is told, and keeps no other from looking."""
    parts: dict[str, Callable[[], Any]] = {
        "clocks": partial(clock_guard.observe, "worker"),
        "trail": read_on,
        "locks": look_at_locks,
        "walks": chain_walk.ask_if_due,
        "checks": look_at_checks,
        "mails": alarm_mail.ask,
    }
    for name, part in parts.items():
        about = trail.Subject("watch", name, f"the watch over {name}")
        try:
            part()
            clear(Kind.CHECK_MISSED, about, "It works again.")
        except Exception as error:
            log.exception("the watch over %s failed", name)
            _missed(about, f"The watch over {name} fails: {error}"[:SAID])


def _missed(about: trail.Subject, sentence: str) -> None:
    """Once, as long as it stands: who looks every few seconds need not say it every few seconds."""
    standing = alarms.open_alarms().filter(kind=Kind.CHECK_MISSED, subject_kind=about.kind, subject_id=about.id)
    if not standing.filter(cleared_at__isnull=True).exists():
        raise_alarm(Kind.CHECK_MISSED, about, sentence)


# The trail ------------------------------------------------------------------------------------------------------------


def read_on() -> int:
    """Look at the entries that are new since last time. A watcher that never ran begins with what comes from now on."""
    with transaction.atomic():
        Watch.objects.bulk_create([Watch(name=ALARMS, seq=_head())], ignore_conflicts=True)
        place = Watch.objects.select_for_update(no_key=True).get(name=ALARMS)
        links = list(Link.objects.filter(seq__gt=place.seq).order_by("seq").values_list("seq", "entry_id")[:BATCH])
        entries = Entry.objects.in_bulk([entry for _, entry in links if entry])
        for _, number in links:
            if number in entries:
                _judge(entries[number])
        if links:
            place.seq = links[-1][0]
            place.save(update_fields=["seq"])
    return len(links)


def _judge(entry: Entry) -> None:
    """What follows from one entry. One that no rule can read is told, and keeps none behind it from being read."""
    if (rule := RULES.get(entry.action)) is None:
        return
    try:
        with transaction.atomic():
            rule(entry)
    except Exception as error:
        log.exception("entry %s was not judged", entry.pk)
        about = trail.Subject("entry", str(entry.pk), f"entry {entry.pk}")
        _missed(about, f"Entry {entry.pk} could not be judged, look at it: {error}"[:SAID])
        clear(Kind.CHECK_MISSED, about, "It was passed over: whoever acknowledges this judges it.")


def _head() -> int:
    return Link.objects.order_by("-seq").values_list("seq", flat=True).first() or 0


def _refused_signing(entry: Entry) -> None:
    """The third refusal of one person without a signature between them, within a quarter of an hour."""
    mine = Entry.objects.filter(actor=entry.actor, id__lte=entry.pk, at__gt=entry.at - WITHIN)
    last = mine.filter(action=Action.SIGNATURE_APPLIED).order_by("-id").values_list("id", flat=True).first() or 0
    refused = mine.filter(action__in=REFUSED_SIGNINGS, id__gt=last).count()
    if refused >= IN_A_ROW:
        sentence = f"{entry.actor_name} was refused {refused} signings in a row within 15 minutes."
        _raise(Kind.REFUSED_SIGNINGS, _actor(entry), sentence, entry)


def _own_rights(entry: Entry) -> None:
    asked = entry.detail.get("permission") == "people.manage" or entry.detail.get("why") == OWN_ACCOUNT
    if asked and (entry.subject_kind, entry.subject_id) == ("user", entry.actor):
        _raise(Kind.SELF_GRANT, _actor(entry), f"{entry.actor_name} tried to change their own account.", entry)


def _roles_granted(entry: Entry) -> None:
    """Roles that a person did not hold before; on the first day the founders are the ones who would be told."""
    given = set(entry.detail.get("to") or entry.detail.get("roles") or ()) - set(entry.detail.get("from") or ())
    if given and "founding" not in entry.detail:
        roles = ", ".join(role.label for role in Role if role in given)
        sentence = f"{entry.actor_name} gave {entry.subject_label} the role {roles}."
        _raise(Kind.ROLES_GRANTED, _subject(entry), sentence, entry)


def _altered(entry: Entry) -> None:
    sentence = f"{entry.subject_label} is not what was sealed: its verification found a difference."
    _raise(Kind.VERSION_ALTERED, _subject(entry), sentence, entry)


def _verified(entry: Entry) -> None:
    if entry.detail.get("outcome") == Verification.Outcome.UNCHANGED:
        clear(Kind.VERSION_ALTERED, _subject(entry), f"A later verification found it unchanged (entry {entry.pk}).")


def _compromised(entry: Entry) -> None:
    sentence = f"{entry.sentence}: nothing is signed with it, and what was signed since is under review."
    _raise(Kind.ACCOUNT_COMPROMISED, _subject(entry), sentence, entry)


def _suspicion_ended(entry: Entry) -> None:
    clear(Kind.ACCOUNT_COMPROMISED, _subject(entry), f"The suspicion was ended (entry {entry.pk}).")


def _job_failed(entry: Entry) -> None:
    if entry.detail.get("kind") in alarm_mail.MAILS:
        error = str(entry.detail.get("error", ""))[:200]
        _raise(Kind.MAIL_UNDELIVERED, alarm_mail.SERVER, f"A mail of the portal was not delivered: {error}", entry)


RULES: dict[str, Callable[[Entry], None]] = {
    Action.SIGNATURE_REFUSED: _refused_signing,
    Action.CONFIRMATION_REFUSED: _refused_signing,
    Action.USER_REFUSED: _own_rights,
    Action.REQUEST_REFUSED: _own_rights,
    Action.USER_ROLES_CHANGED: _roles_granted,
    Action.USER_INVITED: _roles_granted,
    Action.USER_SUSPECTED: _compromised,
    Action.CODE_LOST: _compromised,
    Action.USER_CLEARED: _suspicion_ended,
    Action.VERSION_ALTERED: _altered,
    Action.VERSION_VERIFIED: _verified,
    Action.JOB_FAILED: _job_failed,
}


def _raise(kind: Kind, subject: trail.Subject, sentence: str, entry: Entry) -> None:
    raise_alarm(kind, subject, sentence, detail={"entry": entry.pk})


def _subject(entry: Entry) -> trail.Subject:
    return trail.Subject(entry.subject_kind, entry.subject_id, entry.subject_label)


def _actor(entry: Entry) -> trail.Subject:
    return trail.Subject("user", entry.actor, entry.actor_name)


# Locks ----------------------------------------------------------------------------------------------------------------


def look_at_locks() -> None:
    """Each lock-out once, and its end. Names that nobody has are one cause, so that guessing names floods no mailbox."""
    locked: dict[str, tuple[trail.Subject, str, str]] = {}
    for lock in Lockout.objects.filter(locked_until__gt=clock.now()).order_by("locked_until"):
        assert lock.locked_until is not None
        user = User.objects.filter(username_folded=lock.username_folded).first()
        about = user.trail_subject() if user else STRANGERS
        act = "signing" if lock.purpose == Lockout.Purpose.SIGNING else "log-in"
        sentence = f"{about.label}: locked out of {act} until {lock.locked_until:%H:%M:%S} UTC after failures in a row."
        locked[about.id] = (about, sentence, lock.locked_until.isoformat())
    standing = {alarm.subject_id: alarm for alarm in alarms.open_alarms().filter(kind=Kind.LOCK_OUT)}
    for key, (about, sentence, until) in locked.items():
        if key not in standing or standing[key].detail.get("until") != until:
            raise_alarm(Kind.LOCK_OUT, about, sentence, detail={"until": until})
    for key, alarm in standing.items():
        if key not in locked:
            about = trail.Subject(alarm.subject_kind, alarm.subject_id, alarm.subject_label)
            clear(Kind.LOCK_OUT, about, "The lock is over.")


# Checks that are due -----------------------------------------------------------------------------------------------------


def look_at_checks() -> None:
    """The walk of the chain and the seal of the reading log: what does not take place finds nothing, and says nothing either."""
    now = clock.now()
    first = Entry.objects.order_by("id").values_list("at", flat=True).first()
    _, last = chain_walk.latest()
    walked = last.at if last else first
    if walked and now - walked > UNWALKED_FOR:
        _missed(chain_walk.CHAIN, "For two days no walk of the audit trail has come to its end.")
    else:
        clear(Kind.CHECK_MISSED, chain_walk.CHAIN, "A walk came to its end.")
    unsealed = reading.unsealed_since()
    if unsealed and now - unsealed > UNSEALED_FOR:
        _missed(reading.SUBJECT, f"The reading log has not been sealed since {unsealed:%d %b %Y %H:%M} UTC.")
    else:
        clear(Kind.CHECK_MISSED, reading.SUBJECT, "The reading log is sealed.")
