"""The right to sign: the one list of what must hold before anybody's signature counts (21 CFR 11.10(g), (i), (j), 11.100,
11.200(a)(3), 11.300). The ceremony asks it, the pages show it, and each gap says how to mend it.

Each condition is a question about one person at one moment. What cannot exist on the first day is not asked for while the
founding ceremony lasts.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import product

from django.db.models import Max, Q

from accounts import accountability, codes, founding, passkeys, qualifications
from accounts.models import CodeDevice, Letter, LetterWaiver, Suspicion, User
from audit.actions import Action
from audit.models import Entry

TESTED_WITHIN = timedelta(days=366)
RESETS_APART = timedelta(hours=24)
HELD_FOR = timedelta(hours=24)
WAIVED_FOR = timedelta(days=90)  # a waiver of the letter ends by itself, so that nobody forgets it
GATE = "signing"


@dataclass(frozen=True)
class Finding:
    """How one condition stands. `sentence` says what is there, or what is missing; a gap has a link for the person (`url`,
    `words`), and `act` names the act by which an administrator mends it on the person's page."""

    met: bool
    sentence: str
    url: str = ""
    words: str = ""
    act: str = ""


@dataclass(frozen=True)
class Condition:
    """`name` is the word that a refusal leaves on the trail."""

    name: str
    title: str
    paragraph: str
    look: Callable[[User, datetime], Finding]
    in_founding: bool = True


@dataclass(frozen=True)
class Checked:
    condition: Condition
    finding: Finding


def look(user: User, now: datetime) -> list[Checked]:
    """Every condition that is asked for now, in the order of the list, each as it stands for the person."""
    return [Checked(condition, condition.look(user, now)) for condition in _asked(founding.is_over())]


def gaps(user: User, now: datetime, *, spared: Collection[str] = (), founded: bool | None = None) -> Iterator[Checked]:
    """What is missing. `spared` names conditions that the act at hand does not wait for; `founded` says, to whom knows it, that
    the founding ceremony is over."""
    for condition in _asked(founding.is_over() if founded is None else founded):
        if condition.name not in spared:
            finding = condition.look(user, now)
            if not finding.met:
                yield Checked(condition, finding)


def held_until(user: User, now: datetime) -> datetime | None:
    """The end of the hold that follows when password and device were both set anew within a day (11.200(a)(3)).

    Every such act counts, whatever came after it: nobody ends a hold by putting another device in the place of that one, nor by
    one more new password.
    """
    if not user.password_reset_at:
        return None
    since = now - RESETS_APART - HELD_FOR
    rows = CodeDevice.objects.filter(user=user, by_link=True, confirmed_at__gt=since)
    devices = [row.confirmed_at for row in rows if row.confirmed_at]
    pairs = product(devices, _passwords_set_anew(user, since))
    ends = [max(pair) + HELD_FOR for pair in pairs if abs(pair[0] - pair[1]) <= RESETS_APART]
    return max(ends, default=None)


def _passwords_set_anew(user: User, since: datetime) -> list[datetime]:
    """When a mailed link set the password, or somebody else linked the single sign-on that stands in its place. The row keeps
    the last time alone, the trail each."""
    by_others = Q(action=Action.SSO_LINKED) & ~Q(actor=str(user.pk))
    acts = Entry.objects.filter(
        by_others | Q(detail__by_link=True), subject_kind="user", subject_id=str(user.pk), at__gt=since
    )
    return list(acts.values_list("at", flat=True))


def _asked(founded: bool) -> list[Condition]:
    return [condition for condition in CONDITIONS if founded or condition.in_founding]


def _suspicion(user: User, now: datetime) -> Finding:
    found = Suspicion.objects.filter(user=user, ended_at__isnull=True).first()
    if found is None:
        return Finding(True, "Nothing is reported against this account.")
    sentence = (
        f"This account is under suspicion since {found.since:%d %b %Y %H:%M} UTC ({found.get_kind_display()}): an"
        " administrator ends that, after a new proof of identity and a new device."
    )
    return Finding(False, sentence, "/account/", "See your account", "clear")


def _hold(user: User, now: datetime) -> Finding:
    until = held_until(user, now)
    if until is None or until <= now:
        return Finding(True, "Password and device were not both set anew within a day.")
    sentence = f"Password and device were both set anew within a day: signing opens again {until:%d %b %Y %H:%M} UTC."
    return Finding(False, sentence, "/account/", "See your account")


def _identity(user: User, now: datetime) -> Finding:
    proved, replaced = user.identity_proved_at, _replaced_by_link(user)
    who = "an administrator who neither sent the invitation nor changed the name sees the papers and says so"
    if proved is None or user.identity_proved_by_id in (None, user.pk):
        sentence = f"The identity is not proved, or not since the name was changed: {who}."
    elif replaced and proved <= replaced:
        sentence = (
            f"The device of before was withdrawn {replaced:%d %b %Y %H:%M} UTC and another one set up by a mailed link, and the"
            f" identity is not proved since: {who}."
        )
    else:
        return Finding(True, f"Proved {proved:%d %b %Y} by {user.identity_proved_by}.")
    return Finding(False, sentence, "/account/", "Who you are to the portal", "identity")


def _replaced_by_link(user: User) -> datetime | None:
    """When the device was withdrawn, or reported lost, that a device by a mailed link stands in for; the last time, if any.

    Whatever replaced that one since changes nothing: nobody comes by another device with it to be spared the proof.
    """
    linked = CodeDevice.objects.filter(user=user, by_link=True, confirmed_at__isnull=False)
    last: datetime | None = linked.aggregate(last=Max("confirmed_at"))["last"]
    if last is None:
        return None
    earlier = CodeDevice.objects.filter(user=user, withdrawn_at__lte=last)
    found: datetime | None = earlier.aggregate(found=Max("withdrawn_at"))["found"]
    return found


def _acknowledgement(user: User, now: datetime) -> Finding:
    found = accountability.acknowledged(user)
    if found:
        return Finding(True, f"Revision {found.revision} acknowledged {found.at:%d %b %Y}.")
    sentence = f"Revision {accountability.REVISION} of what a signature means is not acknowledged yet."
    return Finding(False, sentence, "/account/accountability/", "Read and acknowledge it")


def _letter(user: User, now: datetime) -> Finding:
    if found := Letter.objects.first():
        return Finding(True, f"Sent {found.sent_on:%d %b %Y} to {found.addressee}.")
    if waiver := LetterWaiver.objects.filter(expires_at__gt=now).first():
        return Finding(True, f"Waived until {waiver.expires_at:%d %b %Y} by {waiver.label}.")
    sentence = "The letter to the agency (21 CFR 11.100(c)) is neither filed nor waived: quality does one or the other."
    return Finding(False, sentence, "/letter/", "See the letter")


def _policy(user: User, now: datetime) -> Finding:
    found = qualifications.policy_in_effect(user, now)
    if found:
        return Finding(True, f"{found.label}.")
    return Finding(
        False, "No e-signature SOP is in effect: its author and quality issue one.", "/documents/", "Documents"
    )


def _training(user: User, now: datetime) -> Finding:
    policy = qualifications.policy_in_effect(user, now)
    late = qualifications.overdue(user, GATE, now)
    if late:
        # What is late may be superseded meanwhile, and is then settled by the version in effect.
        what = policy.label if policy and policy.topic == late[0].topic else late[0].label
        return Finding(False, f"Training is overdue: {what} is to be read first.", "/training/", "Your training")
    trained_on = qualifications.policy_in_force(user, now)
    if not trained_on:
        what = policy.label if policy else "the e-signature SOP"
        url = policy.page if policy else "/training/"
        return Finding(False, f"Not trained yet: {what} is to be read and signed first.", url, "Read it")
    return Finding(True, f"Trained on {trained_on}.")


def _device(user: User, now: datetime) -> Finding:
    """A device for one-time codes, or else a passkey (tested as it is made), that showed lately that it works."""
    device = codes.device_in_use(user)
    tested = device.last_tested_at if device else None
    if tested is None or now - tested > TESTED_WITHIN:
        tests = [tested, *(passkey.last_used_at or passkey.created_at for passkey in passkeys.in_use(user))]
        tested = max((when for when in tests if when), default=None)
    if tested is None:
        return Finding(False, "You have no device for one-time codes.", "/account/", "See your account", "link")
    if now - tested > TESTED_WITHIN:
        sentence = f"Your device was last tested {tested:%d %b %Y}: test it first."
        return Finding(False, sentence, "/account/device/test/", "Test your device")
    return Finding(True, f"Tested {tested:%d %b %Y}.")


CONDITIONS: tuple[Condition, ...] = (
    Condition("suspicion", "Account free of suspicion", "11.300(c), (d)", _suspicion),
    Condition("identity", "Identity proved by somebody else", "11.100(b)", _identity),
    Condition("accountability", "Accountability acknowledged", "11.10(j)", _acknowledgement),
    Condition("letter", "Letter to the agency filed or waived", "11.100(c)", _letter, in_founding=False),
    Condition("policy", "E-signature SOP in effect", "11.10(j)", _policy, in_founding=False),
    Condition("training", "Trained on it", "11.10(i)", _training, in_founding=False),
    Condition("device", f"Device tested within {TESTED_WITHIN.days} days", "11.300(e)", _device),
    Condition("hold", "No hold after a double reset", "11.200(a)(3)", _hold),
)
