"""The verbs about people. Each is one durable transaction with its entry on the trail.

Two rules hold throughout. Nobody administers their own account. And no administrator alone can come by both password and
one-time code of a person (21 CFR 11.200(a)(3)): nobody but the person sets or sees a password, and whoever gave the
address that links go to does not also withdraw the device. Who did what is asked under the lock of the person, so that two
requests side by side are one hand too.
"""

import uuid
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.models import Group
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.db.models import Q
from django.http import HttpRequest
from guardian.shortcuts import assign_perm, remove_perm

from accounts import accountability, codes, founding, identity, links, passkeys, sso, tasks
from accounts.identity import Credentials
from accounts.models import (
    Acknowledgement,
    Area,
    CodeDevice,
    Founding,
    Invitation,
    Letter,
    LetterWaiver,
    Lockout,
    Membership,
    Passkey,
    Sitting,
    SsoIdentity,
    SsoRequest,
    Suspicion,
    User,
    check_username,
    folded,
)
from accounts.permissions import demand
from accounts.roles import Role, conflict
from audit import clock, reasons, trail
from audit.actions import Action
from audit.clock import Now
from audit.models import Entry
from audit.reasons import demand_reason
from jobs import queue

Purpose = links.Purpose
OWN_ACCOUNT = "own account"  # why an administrator was refused; an alarm
EVIDENCE_LETTERS = 10
HANDS_APART_FOR = timedelta(days=30)
KNOWLEDGE = (Action.USER_CHANGED, Action.SSO_LINKED, Action.SSO_UNLINKED)
POSSESSION = (Action.CODE_RESET, Action.CODE_LINKED, Action.PASSKEY_WITHDRAWN, Action.USER_SUSPECTED)
SETS_A_PASSWORD = (Action.PASSWORD_CHANGED, Action.USER_ENROLLED)
ALLOWED_A_DEVICE = (Action.CODE_LINKED, Action.CODE_RESET)  # each mails a link for one
DETAILS = ("legal_name", "title", "email", "expires_at")
PROOF = ("identity_proved_at", "identity_proved_by", "identity_evidence")
READ = "records.view_record"


@dataclass(frozen=True)
class Founder:
    """One of the two administrators of the first day. `evidence` is what the other one saw to know who it is."""

    username: str
    legal_name: str
    email: str
    evidence: str
    title: str = ""


# The first day -----------------------------------------------------------------------------------------------------


def found(first: Founder, second: Founder) -> list[tuple[User, str]]:
    """Start the founding ceremony: two administrators who prove each other's identity. Returns each with the token of an
    enrolment link. Raises Refused where the ceremony was started before."""
    with transaction.atomic(durable=True):
        if Founding.objects.exists():
            raise trail.NotAllowed("The founding ceremony was started already: it happens once.", by=trail.SYSTEM)
        trail.record(Action.FOUNDING_STARTED, Founding.objects.create(), by=trail.SYSTEM)
        users = [_open_account(founder, [Role.ADMINISTRATOR], by=None) for founder in (first, second)]
        for founder, user, other in zip((first, second), users, reversed(users), strict=True):
            _prove(user, by=other, evidence=founder.evidence)
        return [(user, links.issue(user, Purpose.ENROL, by=None)) for user in users]


def founding_links() -> list[tuple[User, str]]:
    """New enrolment links for founders who have not enrolled yet; the old ones are over."""
    with transaction.atomic(durable=True):
        if not founding.is_open():
            raise trail.NotAllowed("There is no founding ceremony going on.", by=trail.SYSTEM)
        waiting = User.objects.filter(groups__name=Role.ADMINISTRATOR, invited_by=None, devices=None)
        made = [(user, links.issue(user, Purpose.ENROL, by=None)) for user in waiting]
        for user, _ in made:
            trail.record(Action.LINK_SENT, user, by=trail.SYSTEM, detail={"purpose": "enrol", **founding.mark()})
        return made


# Coming in ---------------------------------------------------------------------------------------------------------


def invite(
    *,
    username: str,
    legal_name: str,
    email: str,
    roles: Collection[str],
    areas: Iterable[Area],
    by: User,
    title: str = "",
    expires_at: datetime | None = None,
) -> User:
    """Open an account and mail its single-use enrolment link. Raises Refused, with everything that is wrong in one sentence
    each: user name (ASCII, never used before, whatever its case), mailbox, roles that exclude each other, a past end."""
    demand(by, "people.manage")
    with transaction.atomic(durable=True):
        user = _open_account(
            Founder(username, legal_name, email, "", title), roles, by=by, areas=areas, ends=expires_at
        )
        _mail_on_commit(user, Purpose.ENROL, by)
    return user


def send_link_again(user: User, *, by: User) -> None:
    """Another enrolment link, where the first was lost or has expired; a device link where the device was withdrawn. Whoever had
    a device once and has no password left sets both anew, which takes other hands as a device link does."""
    _demand_over(user, by)
    with transaction.atomic(durable=True):
        user = _locked(user)
        if codes.device_in_use(user):
            raise _refused("This account is set up: there is nothing to send a link for.", user, by)
        purpose = Purpose.CODE if user.has_usable_password() or sso.linked(user) else Purpose.ENROL
        if purpose == Purpose.CODE or _had_device(user):
            _demand_other_hand(user, by, *KNOWLEDGE)
            trail.record(Action.CODE_LINKED, user, by=by, detail=founding.mark())
        else:
            trail.record(Action.USER_INVITED, user, by=by, detail={"again": True, **founding.mark()})
        _mail_on_commit(user, purpose, by)


def enrol(token: str, *, device: CodeDevice, code: str, password: str = "", proof: SsoRequest | None = None) -> User:
    """Set password and device in one go, with the link that was mailed and one code of the device (`codes.new_device`). What
    the identity provider proved for this link (`proof`) may stand in the place of the password: it is linked then.

    With a link for a device alone, `password` is the one that the person has already, and `proof` is of the identity that is
    linked already. Raises Refused; nothing is set then and the link stays good, but for a wrong password, which counts as a
    failed log-in does.
    """
    invitation = links.find(token, Purpose.ENROL, Purpose.CODE)
    user, alone = invitation.user, invitation.purpose == Purpose.CODE
    if proof is not None:
        if proof.bound != str(invitation.pk):
            raise _refused("The identity provider confirmed you for something else.", user, user)
    elif alone:
        identity.confirm_password(user, password)
    else:
        _demand_password(user, password)
    with transaction.atomic(durable=True):
        user = _locked(user)
        links.use(invitation)
        links.withdraw(user, Purpose.ENROL, Purpose.CODE)
        again = device.by_link = _had_device(user)
        _confirm_device(user, device, code)
        if proof is not None:
            _link_proved(user, proof, known=alone)
        elif not alone:
            user.set_password(password)
            user.save(update_fields=["password"])
        anew = again and not alone
        if anew:
            _note_set_anew(user)
        action = Action.CODE_ENROLLED if alone else Action.USER_ENROLLED
        trail.record(action, user, by=user, detail={**({"by_link": True} if anew else {}), **founding.mark()})
        if not again:
            _settled(user)
    return user


# What people do with their own account -------------------------------------------------------------------------------


def ask_reset(typed: str) -> None:
    """Ask for a link for a new password, by user name or address. The same work is done for everybody, known or not: the
    rest happens in the background."""
    typed = typed.strip()[:254]
    with transaction.atomic(durable=True):
        about = trail.Subject("username", folded(typed), typed)
        trail.record(Action.PASSWORD_RESET_ASKED, about, by=trail.NOBODY)
        args = {"typed": typed, "title": "Mail a link for a new password"}
        queue.enqueue(tasks.RESET, args=args, key=folded(typed), by=trail.NOBODY)


def reset_password(token: str, password: str) -> User:
    """A new password by the mailed link. The device stays as it is, and every sitting ends. Raises Refused."""
    invitation = links.find(token, Purpose.PASSWORD)
    _demand_password(invitation.user, password)
    with transaction.atomic(durable=True):
        user = _locked(invitation.user)
        links.use(invitation)
        _set_password(user, password, by_link=True)
        _note_set_anew(user)
        identity.end_sittings(user)
    return user


def change_password(
    user: User, *, credentials: Credentials, new: str, sitting: Sitting, request: HttpRequest | None = None
) -> None:
    """Change one's own password. Other sittings end; this one stays, and its next signing asks for everything. Raises Refused."""
    _demand_password(user, new)
    if new == credentials.password:
        raise _refused("The new password is the old one.", user, user)
    identity.confirm(user, credentials)
    with transaction.atomic(durable=True):
        changed = _locked(user)
        identity.demand_open(sitting, changed)
        _set_password(changed, new, by_link=False)
        identity.end_sittings(changed, but=sitting)
    if request is not None:
        update_session_auth_hash(request, changed)


def replace_device(user: User, *, credentials: Credentials, device: CodeDevice, code: str, sitting: Sitting) -> None:
    """Move one's codes to another device, with the password and a code of the old one, which is withdrawn. Raises Refused."""
    identity.confirm(user, credentials)
    with transaction.atomic(durable=True):
        user = _locked(user)
        identity.demand_open(sitting, user)
        _withdraw_devices(user)
        _confirm_device(user, device, code)
        identity.end_sittings(user, but=sitting)
        trail.record(Action.CODE_ENROLLED, user, by=user, detail={"replaced": True, **founding.mark()})


def report_lost(user: User, *, since: datetime, invitation: Invitation | None = None, password: str = "") -> None:
    """The device is out of one's hands since then (11.300(c)): it counts no more at once, sittings and open dialogs end, and
    what was signed since is under review. With the mailed link, or logged in with the password. A new device takes an
    administrator. An account under suspicion already is so from an earlier time then, never from a later one. Raises Refused."""
    if invitation is None:
        identity.confirm_password(user, password)
    with transaction.atomic(durable=True):
        user = _locked(user)
        if invitation:
            links.use(invitation)
        told = _raise_suspicion(user, Suspicion.Kind.LOST, since, by=user, reason="Reported by the person.")
        trail.record(Action.CODE_LOST, user, by=user, detail=told)


def ask_lost(typed: str) -> None:
    """Ask for the link with which a loss is reported without the device. The same work is done for everybody, known or not."""
    typed = typed.strip()[:254]
    with transaction.atomic(durable=True):
        about = trail.Subject("username", folded(typed), typed)
        trail.record(Action.PASSWORD_RESET_ASKED, about, by=trail.NOBODY, detail={"purpose": str(Purpose.LOST)})
        args = {"typed": typed, "title": "Mail a link to report a lost device"}
        queue.enqueue(tasks.LOST, args=args, key=folded(typed), by=trail.NOBODY)


def acknowledge(user: User, *, credentials: Credentials) -> None:
    """Take on what one's signature means, in the current revision (11.10(j)), with password and code."""
    identity.confirm(user, credentials)
    with transaction.atomic(durable=True):
        user = _locked(user)
        if accountability.acknowledged(user):
            raise _refused("You have acknowledged this revision already.", user, user)
        revision, sha256 = accountability.REVISION, accountability.text_sha256()
        Acknowledgement.objects.create(user=user, revision=revision, text_sha256=sha256)
        detail = {"revision": revision, "text_sha256": sha256, **founding.mark()}
        trail.record(Action.USER_ACKNOWLEDGED, user, by=user, detail=detail)


def retest_device(user: User, *, credentials: Credentials) -> None:
    """Show that the device still gives the right codes (11.300(e)): its seed can be read, and it fits."""
    identity.confirm(user, credentials)
    with transaction.atomic(durable=True):
        CodeDevice.objects.filter(user=user, withdrawn_at__isnull=True).update(tested_at=Now())
        trail.record(Action.CODE_TESTED, user, by=user, detail=founding.mark())


def add_passkey(
    user: User, *, credentials: Credentials, made: str, challenge: bytes, name: str, sitting: Sitting
) -> Passkey:
    """Enrol a passkey beside the factors that there are, with password and one of those. `made` is the browser's answer to
    `challenge`, JSON. Raises Refused."""
    name = _line(name)
    known = passkeys.in_use(user)
    if name in {each.name for each in known}:
        raise _refused("You have a passkey of this name.", user, user)
    if len(known) >= passkeys.AT_MOST:
        raise _refused(f"Nobody holds more than {passkeys.AT_MOST} passkeys: withdraw one first.", user, user)
    try:
        passkey = passkeys.made(user, made, challenge, name)
    except passkeys.Wrong as wrong:
        raise trail.Refused(
            "The passkey could not be read. Make it again; it has to verify you with a PIN or the like.",
            action=Action.USER_REFUSED, subject=user, by=user, detail={"why": f"passkey: {wrong}"},
        ) from None  # fmt: skip
    if Passkey.objects.filter(credential_id=passkey.credential_id).exists():
        raise _refused("This passkey is enrolled already, or was withdrawn.", user, user)
    identity.confirm(user, credentials)
    with transaction.atomic(durable=True):
        user = _locked(user)
        identity.demand_open(sitting, user)
        passkey.save(force_insert=True)
        identity.end_sittings(user, but=sitting)
        trail.record(Action.PASSKEY_ENROLLED, user, by=user, detail={"passkey": passkey.name, **founding.mark()})
    return passkey


def link_my_identity(user: User, proof: SsoRequest, *, sitting: Sitting) -> None:
    """Link who the identity provider says one is. One confirmed oneself with password and second factor before, in this sitting.
    Raises Refused."""
    with transaction.atomic(durable=True):
        user = _locked(user)
        identity.demand_open(sitting, user)
        _link_proved(user, proof)


def withdraw_my_passkey(user: User, passkey: Passkey, *, credentials: Credentials, sitting: Sitting) -> None:
    """One's own passkey counts no more, at once. Raises Refused."""
    identity.confirm(user, credentials)
    with transaction.atomic(durable=True):
        user = _locked(user)
        identity.demand_open(sitting, user)
        _withdraw_passkey(user, passkey.pk, by=user)
        identity.end_sittings(user, but=sitting)


def end_other_sittings(user: User, *, sitting: Sitting) -> None:
    """Log out everywhere else."""
    with transaction.atomic(durable=True):
        identity.end_sittings(user, but=sitting)
        trail.record(Action.LOGIN_ENDED, user, by=user, detail={"why": "asked, in all other places"})


# What an administrator does with the account of somebody else ------------------------------------------------------------


def change_details(
    user: User,
    *,
    by: User,
    reason: str,
    legal_name: str,
    email: str,
    title: str = "",
    expires_at: datetime | None = None,
) -> None:
    """Name, position, mailbox, end of access. Signatures of before keep the name of their time. Papers that were seen prove who
    bears the name of before: with another name the identity is to be proved anew, and the sittings end. Raises Refused."""
    _demand_over(user, by, reason)
    with transaction.atomic(durable=True):
        user = _locked(user)
        was = {name: getattr(user, name) for name in (*DETAILS, *PROOF)}
        user.legal_name, user.title, user.email = _line(legal_name), _line(title), email.strip()
        user.expires_at = expires_at
        if user.legal_name != was["legal_name"]:
            user.identity_proved_at, user.identity_proved_by, user.identity_evidence = None, None, ""
        changed = [name for name, value in was.items() if getattr(user, name) != value]
        wrong = _wrong_name(user) + _wrong_email(user)
        if "expires_at" in changed:
            wrong += _wrong_end(expires_at)
        if wrong:
            raise _refused(" ".join(wrong), user, by)
        if not changed:
            return
        if "email" in changed:
            _demand_other_hand(user, by, *POSSESSION)
            links.withdraw(user)
        if "legal_name" in changed:
            identity.end_sittings(user)
        user.save(update_fields=changed)
        detail = {name: [_text(was[name]), _text(getattr(user, name))] for name in changed}
        trail.record(Action.USER_CHANGED, user, by=by, reason=reason, detail={**detail, **founding.mark()})


def set_roles(user: User, roles: Collection[str], *, by: User, reason: str) -> None:
    """The roles that the person holds from now on. Sittings end, so that nothing goes on under the old ones."""
    _demand_over(user, by, reason)
    wrong = _wrong_roles(roles)
    if wrong:
        raise _refused(" ".join(wrong), user, by)
    with transaction.atomic(durable=True):
        user = _locked(user)
        was = sorted(user.roles)
        if was == sorted(roles):
            return
        user.groups.set(Group.objects.filter(name__in=roles))
        del user.roles
        identity.end_sittings(user)
        detail = {"from": was, "to": sorted(roles), **founding.mark()}
        trail.record(Action.USER_ROLES_CHANGED, user, by=by, reason=reason, detail=detail)
        _settled(user)


def set_areas(user: User, areas: Iterable[Area], *, by: User, reason: str) -> None:
    """The areas whose records the person may read from now on."""
    _demand_over(user, by, reason)
    with transaction.atomic(durable=True):
        user = _locked(user)
        was, wanted = set(user.areas.all()), set(areas)
        if was == wanted:
            return
        Membership.objects.filter(user=user, area__in=was - wanted).delete()
        Membership.objects.bulk_create([Membership(user=user, area=area) for area in wanted - was])
        detail = {"from": _names(was), "to": _names(wanted), **founding.mark()}
        trail.record(Action.USER_AREAS_CHANGED, user, by=by, reason=reason, detail=detail)
        _settled(user)


def grant(user: User, record: models.Model, *, by: User, reason: str) -> None:
    """Let the person read one record that lies in none of their areas."""
    _demand_over(user, by, reason)
    with transaction.atomic(durable=True):
        assign_perm(READ, user, record)
        detail = {"grant": "read", "record": str(record), "record_id": str(record.pk), **founding.mark()}
        trail.record(Action.USER_GRANT_CHANGED, user, by=by, reason=reason, detail=detail)


def revoke(user: User, record: models.Model, *, by: User, reason: str) -> None:
    """Take a single grant back."""
    _demand_over(user, by, reason)
    with transaction.atomic(durable=True):
        remove_perm(READ, user, record)
        detail = {"revoke": "read", "record": str(record), "record_id": str(record.pk), **founding.mark()}
        trail.record(Action.USER_GRANT_CHANGED, user, by=by, reason=reason, detail=detail)


def withdraw_device(user: User, *, by: User, reason: str) -> None:
    """The device and all passkeys count no more, at once (11.300(c)), and the sittings end. A link for a new device is mailed;
    it asks for the person's password. Refused for whoever gave the person's mailbox, or changed single sign-on lately."""
    _demand_over(user, by, reason)
    with transaction.atomic(durable=True):
        user = _locked(user)
        _demand_other_hand(user, by, *KNOWLEDGE)
        if not _withdraw_devices(user):
            raise _refused("There is no device to withdraw.", user, by)
        gone = passkeys.withdraw(user)
        identity.end_sittings(user)
        links.withdraw(user)
        trail.record(Action.CODE_RESET, user, by=by, reason=reason, detail={"passkeys": gone, **founding.mark()})
        _mail_on_commit(user, Purpose.CODE, by)


def suspect(user: User, *, since: datetime, by: User, reason: str) -> None:
    """The account may have been somebody else's since then (§2 row 19). Nothing is signed with it from now on, sittings end, its
    device counts no more, and what was signed since is under review until quality has decided about each. A suspicion that is
    open already is moved back to that time, or becomes one of a compromise where it was of a loss. Raises Refused."""
    _demand_over(user, by, reason)
    with transaction.atomic(durable=True):
        user = _locked(user)
        told = _raise_suspicion(user, Suspicion.Kind.COMPROMISED, since, by=by, reason=reason)
        trail.record(Action.USER_SUSPECTED, user, by=by, reason=reason, detail=told)


def clear(user: User, *, by: User, reason: str) -> None:
    """End the suspicion, after a new proof of identity and a new device (and a new password where the account was compromised),
    by another administrator than those who allowed the device, proved the identity, or changed the mailbox or single sign-on
    lately: this is the last gate, and whoever opened one before it does not open it too. Signatures under review stay so until
    quality has decided. Raises Refused."""
    _demand_over(user, by, reason)
    with transaction.atomic(durable=True):
        user = _locked(user)
        row = _open_suspicion(user)
        if row is None:
            raise _refused("This account is not under suspicion.", user, by)
        _demand_anew(user, row, by)
        if user.identity_proved_by_id == by.pk or _has_done(user, by, *ALLOWED_A_DEVICE, *KNOWLEDGE):
            raise _refused("Whoever allowed the new device, proved the identity, or changed mailbox or single sign-on within 30"
                           " days does not also end the suspicion: ask another administrator.", user, by)  # fmt: skip
        row.ended_at, row.ended_by = clock.now(), by
        row.save(update_fields=["ended_at", "ended_by"])
        trail.record(Action.USER_CLEARED, user, by=by, reason=reason)


def link_identity(user: User, *, subject: str, by: User, reason: str) -> None:
    """Say who the person is at the identity provider that is configured. Never by whoever withdrew their device lately: single
    sign-on stands in the place of the password, and counts as a password that was set anew. Raises Refused."""
    _demand_over(user, by, reason)
    with transaction.atomic(durable=True):
        user = _locked(user)
        _demand_other_hand(user, by, *POSSESSION)
        _link(user, settings.OIDC_ISSUER, _line(subject), by=by, reason=reason)
        _note_set_anew(user)


def unlink_identity(user: User, *, by: User, reason: str) -> None:
    """Single sign-on opens nothing for the person any more, and the sittings end."""
    _demand_over(user, by, reason)
    with transaction.atomic(durable=True):
        user = _locked(user)
        held = sso.linked(user)
        if held is None:
            raise _refused("No identity is linked to this account.", user, by)
        SsoIdentity.objects.filter(pk=held.pk).update(withdrawn_at=Now())
        identity.end_sittings(user)
        detail = {"issuer": held.issuer, "subject": held.subject, **founding.mark()}
        trail.record(Action.SSO_UNLINKED, user, by=by, reason=reason, detail=detail)


def withdraw_passkey(user: User, passkey: uuid.UUID, *, by: User, reason: str) -> None:
    """A passkey counts no more, at once (11.300(c)), and the sittings end. The same hands apart as for the device."""
    _demand_over(user, by, reason)
    with transaction.atomic(durable=True):
        user = _locked(user)
        _demand_other_hand(user, by, *KNOWLEDGE)
        _withdraw_passkey(user, passkey, by=by, reason=reason)
        identity.end_sittings(user)


def deactivate(user: User, *, by: User, reason: str) -> None:
    """The person may do nothing from now on; sittings end at once, links are over. What they signed stays."""
    _demand_over(user, by, reason)
    with transaction.atomic(durable=True):
        user = _locked(user)
        if not user.is_active:
            raise _refused("This account is deactivated already.", user, by)
        user.is_active = False
        user.save(update_fields=["is_active"])
        identity.end_sittings(user)
        links.withdraw(user)
        trail.record(Action.USER_DEACTIVATED, user, by=by, reason=reason, detail=founding.mark())


def reactivate(user: User, *, by: User, reason: str) -> None:
    """The same person may come back, with the password and device of before."""
    _demand_over(user, by, reason)
    with transaction.atomic(durable=True):
        user = _locked(user)
        if user.is_active:
            raise _refused("This account is active already.", user, by)
        user.is_active = True
        user.save(update_fields=["is_active"])
        trail.record(Action.USER_REACTIVATED, user, by=by, reason=reason, detail=founding.mark())
        _settled(user)


def unlock(user: User, *, by: User, reason: str) -> None:
    """End a lock-out, and count failures from the start again: log-in and signing. Or wake an account that was locked because
    nobody had used it for long."""
    _demand_over(user, by, reason)
    with transaction.atomic(durable=True):
        user = _locked(user)
        locked_out = Lockout.objects.filter(username_folded=user.username_folded, locked_until__gt=Now()).exists()
        if not locked_out and not user.dormant_at:
            raise _refused("This account is not locked.", user, by)
        if user.dormant_at:
            user.dormant_at, user.awoken_at = None, clock.now()
            user.save(update_fields=["dormant_at", "awoken_at"])
        identity.unlock(user)
        trail.record(Action.USER_UNLOCKED, user, by=by, reason=reason, detail=founding.mark())


def prove_identity(user: User, *, by: User, evidence: str) -> None:
    """State that one has seen who the person is (11.100(b)). Not of oneself, and not by whoever opened the account or gave it the
    name that it has: an account with a proved identity takes two. Raises Refused."""
    _demand_over(user, by)
    with transaction.atomic(durable=True):
        user = _locked(user)
        if user.invited_by_id == by.pk or _gave(user, by, "legal_name"):
            raise _refused("Whoever invited a person, or changed their name last, does not also prove their identity: ask another"
                           " administrator.", user, by)  # fmt: skip
        _prove(user, by=by, evidence=evidence)


def create_area(name: str, *, by: User, description: str = "") -> Area:
    """A new area. Raises Refused where the name is taken."""
    demand(by, "people.manage")
    with transaction.atomic(durable=True):
        area = Area(name=_line(name), description=description.strip())
        _demand_free_name(area, by)
        area.save()
        trail.record(Action.AREA_CREATED, area, by=by, detail=founding.mark())
    return area


def change_area(area: Area, *, name: str, description: str, by: User, reason: str) -> None:
    """Another name or description. Its records and members stay as they are."""
    demand(by, "people.manage", area)
    reason = demand_reason(reason, Action.AREA_REFUSED, area, by)
    with transaction.atomic(durable=True):
        area = Area.objects.select_for_update(no_key=True).get(pk=area.pk)
        was = {"name": area.name, "description": area.description}
        area.name, area.description = _line(name), description.strip()
        _demand_free_name(area, by)
        area.save()
        trail.record(Action.AREA_CHANGED, area, by=by, reason=reason, detail={"from": was, **founding.mark()})


# The letter of 11.100(c) ---------------------------------------------------------------------------------------------


def file_letter(*, sent_on: date, scope: str, addressee: str, copy: Mapping[str, Any], by: User) -> Letter:
    """Put a letter that was sent into the register. `copy` is the pin of its PDF, whose bytes are kept already."""
    demand(by, "letter.file")
    if sent_on > clock.now().date():
        raise trail.Refused("The letter is sent first, and filed then.", action=Action.LETTER_REFUSED, by=by)
    with transaction.atomic(durable=True):
        letter = Letter(sent_on=sent_on, scope=scope.strip(), addressee=_line(addressee), copy=dict(copy), filed_by=by)
        letter.save(force_insert=True)
        detail = {"scope": letter.scope, "sha256": str(copy["sha256"]), **founding.mark()}
        trail.record(Action.LETTER_FILED, letter, by=by, detail=detail)
    return letter


def waive_letter(
    version: trail.HasSubject, *, label: str, page: str, reason: str, expires_at: datetime, by: User
) -> LetterWaiver:
    """Write the fact that an approved waiver report brings about. Must run in the transaction of its approval."""
    about = version.trail_subject()
    row = LetterWaiver.objects.create(version_id=about.id, label=label, page=page, reason=reason, expires_at=expires_at)
    trail.record(Action.LETTER_WAIVED, about, by=by, reason=reason, detail={"until": expires_at.isoformat()})
    return row


def end_waiver(version: trail.HasSubject, *, by: User, reason: str) -> None:
    """End the waiver that this report brought about: an approval of it counts no more. Must run in the transaction of the act
    that says so."""
    about, now = version.trail_subject(), clock.now()
    if LetterWaiver.objects.filter(version_id=about.id, expires_at__gt=now).update(expires_at=now):
        trail.record(Action.LETTER_WAIVER_ENDED, about, by=by, reason=reason)


# What the verbs are made of -----------------------------------------------------------------------------------------


def _settled(user: User) -> None:
    """Let what stands above know, after the commit, that the person came or took something on."""
    args = {"user": str(user.pk), "title": f"Ask {user.legal_name} to read what the roles ask for"}
    queue.enqueue(tasks.SETTLED, args=args, key=str(user.pk), by=trail.SYSTEM)


def _open_account(
    person: Founder,
    roles: Collection[str],
    *,
    by: User | None,
    areas: Iterable[Area] = (),
    ends: datetime | None = None,
) -> User:
    user = User(
        username=person.username.strip(),
        legal_name=_line(person.legal_name),
        title=_line(person.title),
        email=person.email.strip(),
        invited_by=by,
        expires_at=ends,
    )
    user.set_unusable_password()
    wrong = _wrong_username(user) + _wrong_name(user) + _wrong_email(user) + _wrong_roles(roles) + _wrong_end(ends)
    if wrong:
        about = trail.Subject("username", folded(user.username), user.username)
        raise trail.Refused(" ".join(wrong), action=Action.USER_REFUSED, subject=about, by=by or trail.SYSTEM)
    user.save(force_insert=True)
    user.groups.set(Group.objects.filter(name__in=roles))
    areas = list(areas)
    Membership.objects.bulk_create([Membership(user=user, area=area) for area in areas])
    detail = {"username": user.username, "roles": sorted(roles), "areas": _names(areas), **founding.mark()}
    trail.record(Action.USER_INVITED, user, by=by or trail.SYSTEM, detail=detail)
    return user


def _wrong_username(user: User) -> list[str]:
    try:
        check_username(user.username)
    except ValidationError as error:
        return list(error.messages)
    if User.objects.filter(username_folded=folded(user.username)).exists():
        return ["This user name is taken or was used before; no user name is used twice."]
    return []


def _wrong_name(user: User) -> list[str]:
    if not user.legal_name or not user.legal_name.isprintable():
        return ["The legal name is missing, or holds what cannot be printed."]
    return []


def _wrong_email(user: User) -> list[str]:
    try:
        User._meta.get_field("email").clean(user.email, user)
    except ValidationError:
        return ["The e-mail address is not valid."]
    if User.objects.filter(email__iexact=user.email).exclude(pk=user.pk).exists():
        return ["This e-mail address belongs to another account: a mailbox that is shared cannot be one person's."]
    return []


def _wrong_roles(roles: Collection[str]) -> list[str]:
    if not roles or not set(roles) <= set(Role.values):
        return ["Choose at least one role of the list."]
    return [sentence] if (sentence := conflict(set(roles))) else []


def _wrong_end(ends: datetime | None) -> list[str]:
    return ["The end of access has passed already."] if ends and ends <= clock.now() else []


def _prove(user: User, *, by: User, evidence: str) -> None:
    if reasons.fault(evidence, letters=EVIDENCE_LETTERS):
        raise _refused("Say what was seen, such as the kind of document and its last four digits.", user, by)
    user.identity_proved_at, user.identity_proved_by, user.identity_evidence = clock.now(), by, evidence.strip()
    user.save(update_fields=["identity_proved_at", "identity_proved_by", "identity_evidence"])
    detail = {"evidence": evidence.strip(), **founding.mark()}
    trail.record(Action.USER_IDENTITY_PROVED, user, by=by, detail=detail)


def _set_password(user: User, password: str, *, by_link: bool) -> None:
    user.set_password(password)
    user.save(update_fields=["password"])
    links.withdraw(user, Purpose.PASSWORD)
    trail.record(Action.PASSWORD_CHANGED, user, by=user, detail={"by_link": by_link, **founding.mark()})


def _note_set_anew(user: User) -> None:
    """Others or a mailed link set the password anew, or what stands in its place: the hold of signing asks for it."""
    user.password_reset_at = clock.now()
    user.save(update_fields=["password_reset_at"])


def _had_device(user: User) -> bool:
    """The person came in before: a device that is set up by a link now stands in the place of that one."""
    return CodeDevice.objects.filter(user=user).exists()


def _confirm_device(user: User, device: CodeDevice, code: str) -> None:
    """Keep an unproved device as the one in use, if `code` is what it shows now (11.300(e))."""
    if device.user_id != user.pk or not codes.prove(device, code):
        raise _refused("The code does not fit: type the one that the new device shows now.", user, user)
    device.save(force_insert=True)


def _withdraw_devices(user: User) -> int:
    return CodeDevice.objects.filter(user=user, withdrawn_at__isnull=True).update(withdrawn_at=Now())


def _withdraw_passkey(user: User, pk: uuid.UUID, *, by: User, reason: str = "") -> None:
    found = Passkey.objects.filter(user=user, pk=pk, withdrawn_at__isnull=True).first()
    if found is None:
        raise _refused("There is no such passkey in use.", user, by)
    passkeys.withdraw(user, found)
    detail = {"passkey": found.name, **founding.mark()}
    trail.record(Action.PASSKEY_WITHDRAWN, user, by=by, reason=reason, detail=detail)


def _link_proved(user: User, proof: SsoRequest, *, known: bool = False) -> None:
    """Link the identity of a proof, which is spent; one that is linked already stays as it is, and with `known` no other one
    counts."""
    if proof.user_id != user.pk or not sso.use(sso.Proof(proof.pk, proof.bound), user):
        raise _refused("The identity provider's confirmation is over. Confirm yourself there again.", user, user)
    held = sso.linked(user)
    if held is not None and (held.issuer, held.subject) == (proof.issuer, proof.subject):
        return
    if known:
        raise _refused("This is not the identity that is linked to the account: type your password, or ask an administrator.",
                       user, user)  # fmt: skip
    _link(user, proof.issuer, proof.subject, by=user)


def _link(user: User, issuer: str, subject: str, *, by: User, reason: str = "") -> None:
    if not issuer or not subject or len(subject) > 255:
        raise _refused("Give the identity's subject, as the identity provider names it (sub).", user, by)
    if SsoIdentity.objects.filter(issuer=issuer, subject=subject, withdrawn_at__isnull=True).exists():
        raise _refused("This identity is linked to an account already.", user, by)
    if SsoIdentity.objects.filter(user=user, withdrawn_at__isnull=True).exists():
        raise _refused("Another identity is linked to this account: an administrator unlinks it first.", user, by)
    SsoIdentity.objects.create(user=user, issuer=issuer, subject=subject)
    detail = {"issuer": issuer, "subject": subject, **founding.mark()}
    trail.record(Action.SSO_LINKED, user, by=by, reason=reason, detail=detail)


def _mail_on_commit(user: User, purpose: str, by: User) -> None:
    args = {"user": str(user.pk), "purpose": str(purpose), "by": str(by.pk)}
    queue.enqueue(tasks.SEND, args=args | {"title": f"Mail a link to {user.legal_name}"}, by=by)


def _locked(user: User) -> User:
    return User.objects.select_for_update(no_key=True).get(pk=user.pk)


def _refused(message: str, user: User, by: User) -> trail.Refused:
    return trail.Refused(message, action=Action.USER_REFUSED, subject=user, by=by)


def _demand_over(user: User, by: User, reason: str | None = None) -> None:
    """`by` may administer `user`, who is somebody else, and says why where a reason is asked for."""
    demand(by, "people.manage", user)
    if user.pk == by.pk:
        raise trail.Forbidden(
            "Nobody administers their own account: ask another administrator.",
            action=Action.USER_REFUSED,
            subject=user,
            by=by,
            detail={"why": OWN_ACCOUNT},
        )
    if reason is not None:
        demand_reason(reason, Action.USER_REFUSED, user, by)


def _demand_other_hand(user: User, by: User, *actions: Action) -> None:
    """Mailbox and device lead to password and code: one administrator touches only one of the two within 30 days. A mailbox opens
    the password for as long as it is in use, so whoever gave it does not touch the device, however long ago that was. Asked of a
    `_locked()` user alone: what is done at the same time has to wait, or has been seen."""
    if _has_done(user, by, *actions) or (Action.USER_CHANGED in actions and _gave(user, by, "email")):
        raise trail.Forbidden(
            "Mailbox (or single sign-on) and device of a person are not changed by the same administrator within 30 days, nor the"
            " device by whoever gave the mailbox, with the invitation or later: ask another administrator.",
            action=Action.USER_REFUSED,
            subject=user,
            by=by,
        )


def _has_done(user: User, by: User, *actions: Action) -> bool:
    """True if `by` did one of these to the person's account within 30 days. Of changed details, the mailbox counts."""
    acts = Entry.objects.filter(
        subject_kind="user",
        subject_id=str(user.pk),
        actor=str(by.pk),
        action__in=actions,
        at__gt=clock.now() - HANDS_APART_FOR,
    )
    return acts.exclude(Q(action=Action.USER_CHANGED) & ~Q(detail__has_key="email")).exists()


def _gave(user: User, by: User, what: str) -> bool:
    """True if the person's mailbox (`email`) or name (`legal_name`) is still the one that `by` gave, with the invitation or in
    the place of another."""
    changes = Entry.objects.filter(subject_kind="user", subject_id=str(user.pk), action=Action.USER_CHANGED)
    last = changes.filter(detail__has_key=what).order_by("-id").first()
    return last.actor == str(by.pk) if last else user.invited_by_id == by.pk


def _raise_suspicion(user: User, kind: str, since: datetime, *, by: User, reason: str) -> dict[str, Any]:
    """Raise a suspicion, or make the open one worse; returns what the entry tells of it. A worse one counts from now: what
    was set up, proved or decided after the first report was so by people who knew less, and is asked for again. Raises
    Refused."""
    now = clock.now()
    if since > now:
        raise _refused("This time is still to come.", user, by)
    row = _open_suspicion(user)
    told = {"since": since.isoformat()}
    if row is None:
        row = Suspicion(user=user, kind=kind, since=since)
    else:
        told = _worsen(row, kind, since, by)
    row.raised_at, row.raised_by, row.reason = now, by, reason.strip()
    row.save()
    _withdraw_devices(user)
    passkeys.withdraw(user)
    identity.end_sittings(user)
    links.withdraw(user)
    return told


def _open_suspicion(user: User) -> Suspicion | None:
    """Asked of a `_locked()` user."""
    return Suspicion.objects.select_for_update(no_key=True).filter(user=user, ended_at__isnull=True).first()


def _worsen(row: Suspicion, kind: str, since: datetime, by: User) -> dict[str, Any]:
    """Move the suspicion back, and never forward: whoever reports a loss late, or is the thief, takes nothing out of review.
    A compromise is worse than a loss. Refused where neither is said."""
    before, was = row.since, row.kind
    if kind == Suspicion.Kind.COMPROMISED:
        row.kind = kind
    row.since = min(before, since)
    if (row.since, row.kind) == (before, was):
        raise _refused(f"This account is under suspicion since {before:%d %b %Y %H:%M} UTC already: an earlier time moves that"
                       " back, a later one changes nothing.", row.user, by)  # fmt: skip
    return {"since": row.since.isoformat(), "since_before": before.isoformat(), "kind": [was, row.kind]}


def _demand_anew(user: User, row: Suspicion, by: User) -> None:
    """Nothing of before the suspicion opens the account after it. A lost device takes no password with it; a compromise may have
    begun with the password, and may have left an identity of somebody else linked."""
    device = codes.device_in_use(user)
    if user.identity_proved_at is None or user.identity_proved_at <= row.raised_at:
        raise _refused("First somebody proves the person's identity anew.", user, by)
    if device is None or device.confirmed_at is None or device.confirmed_at <= row.raised_at:
        raise _refused("First the person sets up a new device, with a link that an administrator sends.", user, by)
    if row.kind != Suspicion.Kind.COMPROMISED:
        return
    if user.has_usable_password() and not _password_set_since(user, row.raised_at):
        raise _refused("First the person sets a new password: somebody else may know the one of before.", user, by)
    linked = SsoIdentity.objects.filter(user=user, withdrawn_at__isnull=True)
    if linked.filter(linked_at__gte=row.since, linked_at__lte=row.raised_at).exists():
        raise _refused("Single sign-on was linked while the account may have been somebody else's: first an administrator unlinks"
                       " it.", user, by)  # fmt: skip


def _password_set_since(user: User, when: datetime) -> bool:
    acts = Entry.objects.filter(subject_kind="user", subject_id=str(user.pk), action__in=SETS_A_PASSWORD)
    return acts.filter(at__gt=when).exists()


def _demand_password(user: User, password: str) -> None:
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise _refused(" ".join(error.messages), user, user) from None


def _demand_free_name(area: Area, by: User) -> None:
    if not area.name:
        raise trail.Refused("An area has a name.", action=Action.AREA_REFUSED, subject=area, by=by)
    if Area.objects.filter(name__iexact=area.name).exclude(pk=area.pk).exists():
        raise trail.Refused("There is an area of this name.", action=Action.AREA_REFUSED, subject=area, by=by)


def _line(text: str) -> str:
    return " ".join(text.split())


def _names(areas: Iterable[Area]) -> list[str]:
    return sorted(area.name for area in areas)


def _text(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value or "")
