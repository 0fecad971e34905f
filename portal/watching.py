"""The watcher: reads the trail as it grows and raises what security and management must hear of (21 CFR 11.300(d)).

It goes on where it stopped, in the order of the chain, and moves its place in the transaction of the alarms that it raised: run
twice, or by two workers at once, it raises nothing twice.
"""

from collections.abc import Callable
from datetime import timedelta

from django.db import transaction

from accounts.models import Lockout, User
from accounts.roles import Role
from accounts.transitions import OWN_ACCOUNT
from audit import alarms, clock, clock_guard, trail
from audit.actions import Action
from audit.alarms import Kind, clear, raise_alarm
from audit.models import Entry, Link, Watch
from portal import alarm_mail, chain_walk
from records.models import Verification

ALARMS = "alarms"
BATCH = 2000
IN_A_ROW, WITHIN = 3, timedelta(minutes=15)
REFUSED_SIGNINGS = (Action.SIGNATURE_REFUSED, Action.CONFIRMATION_REFUSED)
STRANGERS = trail.Subject("username", "", "user names that nobody has")


def watch() -> int:
    """One round: clocks, what is new on the trail, locks, mails. Returns how many links were read."""
    clock_guard.observe("worker")
    read = read_on()
    look_at_locks()
    chain_walk.ask_if_due()
    alarm_mail.ask()
    return read


# The trail ------------------------------------------------------------------------------------------------------------


def read_on() -> int:
    """Look at the entries that are new since last time. A watcher that never ran begins with what comes from now on."""
    with transaction.atomic():
        Watch.objects.bulk_create([Watch(name=ALARMS, seq=_head())], ignore_conflicts=True)
        place = Watch.objects.select_for_update(no_key=True).get(name=ALARMS)
        links = list(Link.objects.filter(seq__gt=place.seq).order_by("seq").values_list("seq", "entry_id")[:BATCH])
        entries = Entry.objects.in_bulk([entry for _, entry in links if entry])
        for _, entry in links:
            if entry in entries and (rule := RULES.get(entries[entry].action)):
                rule(entries[entry])
        if links:
            place.seq = links[-1][0]
            place.save(update_fields=["seq"])
    return len(links)


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
