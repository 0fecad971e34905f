"""Recertification of access (21 CFR 11.300(b)): quality decides on every role of every person, signs it, and a second
approver approves. Removals are asked of administrators: quality changes no rights, and administrators decide none."""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings

from accounts import access
from accounts.access import Access
from accounts.models import Founding, Removal, User
from accounts.permissions import demand
from audit import clock, reasons, trail
from audit.actions import Action
from audit.alarms import Kind, clear, open_alarms, raise_alarm
from portal.trail_reviews import plain, table
from printing.templatetags.look import iso, utc
from records import reports
from records.lifecycle import State
from records.models import Version
from records.reports import Section, seal_report
from signatures.meanings import Meaning
from signatures.models import Signature
from signatures.requests import Asked, open_route

TYPE = "access_review"
NAMED = 20  # undecided roles that a refusal names
SUBJECT = trail.Subject("access_review", "portal", "the access of everybody")
SENTENCE = "I have decided on each role that this report lists, and answer for these decisions."
SECOND = "I have looked at these decisions, those about their maker among them, and approve them."


def to_decide() -> list[Access]:
    """Every role of everybody whose account could be used."""
    return [line for line in access.as_of(clock.now()) if line.role and line.state in ("active", "dormant")]


def make(removals: Mapping[str, str], lines: list[str], *, by: User, undecided: Collection[str] = ()) -> Version:
    """Seal the decisions and ask for their signatures. `lines` are the keys that were shown, `removals` the reason by key of
    each role that is taken away, `undecided` the keys without a decision, of which there may be none; everything else is kept.
    Raises Refused."""
    demand(by, "sign.approve", SUBJECT)
    shown = to_decide()
    if sorted(line.key for line in shown) != sorted(lines):
        raise _refused("Somebody's roles changed meanwhile. Look at the list again.", by)
    if Version.objects.filter(record__type=TYPE, state=State.IN_REVIEW).exists():
        raise _refused("A recertification waits for its signatures already.", by)
    if left := [f"{line.name}, {line.role_label}" for line in shown if line.key in undecided]:
        more = f"; and {len(left) - NAMED} more" if len(left) > NAMED else ""
        raise _refused(f"Decide on each role, to keep or to remove it. Undecided: {'; '.join(left[:NAMED])}{more}.", by)
    named = {line.key: line for line in shown}
    for key, why in removals.items():
        if told := reasons.fault(why):
            raise _refused(f"{named[key].name}, {named[key].role_label}: {told}", by)
    # The second approver signs where the report is filed: one of another area would not even see it.
    area = reports.area_of(by)
    second = reports.others_who_approve(by).filter(areas=area)
    asked = [Asked(1, Meaning.RESPONSIBILITY, "approver", by, sentence=SENTENCE)]
    asked += [Asked(2, Meaning.APPROVAL, "approver", sentence=SECOND)] if second.exists() else []
    return seal_report(
        TYPE,
        title=f"Recertification of access, {clock.now():%d %b %Y}",
        sections=_sections(shown, removals, alone=not second.exists()),
        data={"lines": [_told(line, removals) for line in shown]},
        by=by,
        area=area,
        message=f"Recertification of {len(shown)} roles",
        then=lambda version: open_route(version, asked, by=by),
    )


def approved(version: Version, signer: User) -> None:
    """Ask administrators for each removal; in the transaction of the last signature."""
    for line in reports.read(version)["lines"]:
        if line["decision"] == "remove":
            user = User.objects.get(pk=line["person"])
            Removal.objects.create(
                user=user, role=line["role"], report=version.record.number, why=line["why"], decided_by=signer
            )
            detail = {"report": version.record.number, "remove": line["role"]}
            trail.record(Action.USER_ACCESS_REVIEWED, user, by=signer, reason=line["why"], detail=detail)
    clear(Kind.ACCESS_REVIEW_OVERDUE, SUBJECT, f"{version.record.number} was approved.")


def last() -> tuple[Version, datetime] | None:
    """The newest approved recertification, and when it was approved."""
    found = Signature.objects.filter(version__record__type=TYPE, version__state=State.APPROVED).order_by("-signed_at")
    signature = found.exclude(meaning=Meaning.REJECTION).select_related("version__record__type").first()
    return (signature.version, signature.signed_at) if signature else None


def due_at() -> datetime | None:
    """When the next one is due; None before the portal was founded."""
    every, made = timedelta(days=settings.ACCESS_REVIEWED_EVERY), last()
    if made:
        return made[1] + every
    began = Founding.objects.filter(ended_at__isnull=False).values_list("ended_at", flat=True).first()
    return began + every if began else None


def look_for_overdue() -> None:
    due = due_at()
    if due and due < clock.now():
        if not _standing():
            days = settings.ACCESS_REVIEWED_EVERY
            raise_alarm(
                Kind.ACCESS_REVIEW_OVERDUE,
                SUBJECT,
                f"Access is recertified every {days} days, and that was due on {due:%d %b %Y}.",
            )
    else:
        clear(Kind.ACCESS_REVIEW_OVERDUE, SUBJECT, "Access was recertified.")


def _standing() -> bool:
    return open_alarms().filter(kind=Kind.ACCESS_REVIEW_OVERDUE, cleared_at__isnull=True).exists()


def _refused(message: str, by: User) -> trail.Refused:
    return trail.Refused(message, action=Action.REVIEW_REFUSED, subject=SUBJECT, by=by)


def _told(line: Access, removals: Mapping[str, str]) -> dict[str, Any]:
    return {
        "person": line.person, "name": line.name, "username": line.username, "state": line.state, "role": line.role,
        "areas": list(line.areas), "approver": line.approver, "granted_at": iso(line.granted_at) if line.granted_at else "",
        "last_login": iso(line.last_login) if line.last_login else "", "stale": line.stale,
        "decision": "remove" if line.key in removals else "keep", "why": removals.get(line.key, "").strip(),
    }  # fmt: skip


def _sections(lines: list[Access], removals: Mapping[str, str], *, alone: bool) -> list[Section]:
    taken = [line for line in lines if line.key in removals]
    rows = [
        (line.name, line.role_label, ", ".join(line.areas), line.approver or "not on the trail",
         utc(line.granted_at, "date") if line.granted_at else "", utc(line.last_login, "date") if line.last_login else "never",
         "REMOVE" if line.key in removals else "keep")
        for line in lines
    ]  # fmt: skip
    people = len({line.person for line in lines})
    scope = f"{len(lines)} roles of {people} people, as the trail tells them. Service principals follow."
    if alone:
        scope += " There is no second approver in the area: nobody else looked at the roles of its maker."
    taken_rows = [(line.name, line.role_label, removals[line.key]) for line in taken]
    services = [(one.name, one.kind, one.note) for one in access.principals()]
    return [
        Section("Scope", plain(scope)),
        Section("Removals", table(("Who", "Role", "Why"), taken_rows) if taken else "None: every role is kept."),
        Section("Decisions", table(("Who", "Role", "Areas", "Given by", "On", "Last log-in", "Decision"), rows)),
        Section("Service principals", table(("Name", "Kind", "Note"), services)),
    ]
