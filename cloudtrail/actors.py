"""Who was it? From the identity in an event to a person, hop by hop. Pure: what was issued is handed in.

CloudTrail names a person directly only for IAM users. A role's session has to be led back: through the access key that an
earlier `AssumeRole` handed out, to whoever asked for it, and so on. Every step is kept as a sentence, so that a reader can
go the same way. What is not proved is said: a session name alone is a *claim* (the caller chose it), and a bare role is
never printed as a person.
"""

import hashlib
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

from cloudtrail.events import Event, Extra, Parameters, read


class Standing(StrEnum):
    """How well an actor is known."""

    PROVEN = "PROVEN"
    CLAIMED = "CLAIMED"
    SERVICE = "SERVICE"
    UNRESOLVED = "UNRESOLVED"


Text = str | None
Anything = Any


class SessionIssuer(Struct, gc=False, omit_defaults=True, rename="camel"):
    """The role, or the user, whose session it is."""

    type: Text = None
    arn: Text = None
    account_id: Text = None
    user_name: Text = None


class WebFederation(Struct, gc=False, omit_defaults=True, rename="camel"):
    """The identity provider behind a session."""

    federated_provider: Text = None


class SessionContext(Struct, gc=False, omit_defaults=True, rename="camel"):
    """What a session says about its making. Its creation date is left out: the access key already tells sessions apart."""

    session_issuer: SessionIssuer | None = None
    web_id_federation_data: WebFederation | None = None
    source_identity: Text = None


class OnBehalfOf(Struct, gc=False, omit_defaults=True, rename="camel"):
    """The IAM Identity Center user for whom a service acts."""

    user_id: Text = None
    identity_store_arn: Text = None


class Identity(Struct, gc=False, omit_defaults=True, rename="camel"):
    """`userIdentity`, as far as it says who it was. Equal identities are one actor."""

    type: Text = None
    principal_id: Text = None
    arn: Text = None
    account_id: Text = None
    access_key_id: Text = None
    user_name: Text = None
    invoked_by: Text = None
    identity_provider: Text = None
    credential_id: Text = None
    session_context: SessionContext | None = None
    on_behalf_of: OnBehalfOf | None = None

    @property
    def issuer(self) -> SessionIssuer:
        """The session's issuer; an empty one when there is none."""
        return (self.session_context and self.session_context.session_issuer) or SessionIssuer()

    @property
    def source_identity(self) -> str:
        """The source identity of the session, or ""."""
        return (self.session_context and self.session_context.source_identity) or ""

    @property
    def session_name(self) -> str:
        """The name of an assumed role's session, which its caller chose; "" for everything else."""
        if self.type == "AssumedRole" and self.arn:
            return self.arn.rpartition("/")[2]
        return (self.principal_id or "").partition(":")[2]

    @property
    def role(self) -> str:
        """The name of the role that is used; "" when none is."""
        if self.issuer.type == "Role" and self.issuer.user_name:
            return self.issuer.user_name
        if self.type == "AssumedRole" and self.arn:
            return self.arn.rpartition("/")[0].rpartition("/")[2]
        return ""


_IDENTITY = msgspec.json.Decoder(Identity)
_ENCODER = msgspec.json.Encoder(order="sorted")


def identity(raw: bytes) -> Identity:
    """Decode `userIdentity`. One of another shape than CloudTrail's becomes an empty one, which stays unresolved."""
    try:
        return _IDENTITY.decode(raw)
    except (ValueError, RecursionError):
        return Identity()


def canonical(who: Identity) -> bytes:
    """One text for equal identities: JSON with sorted names, absent fields left out."""
    return _ENCODER.encode(who)


def fingerprint(who: Identity, *, outside: bool = False) -> str:
    """SHA-256 of the canonical text, in hex: the key under which an actor is kept once.

    `outside`: of those events of the identity that lie outside of the validity of its access key. They are an actor apart.
    """
    return hashlib.sha256(canonical(who) + (b" outside" if outside else b"")).hexdigest()


Span = tuple[datetime, datetime]
"""From the first time to the last one, both included."""


@dataclass(frozen=True)
class Issue:
    """A set of temporary credentials, as the event tells it that handed them out."""

    access_key: str
    event_id: str
    event_name: str
    time: datetime
    until: datetime | None
    holder: Identity
    role: str = ""
    session_name: str = ""
    source_identity: str = ""
    shared_event_id: str = ""

    @property
    def valid(self) -> Span:
        """When the credentials may be used. Where no event says until when, as long as any credentials may live."""
        return self.time - AHEAD, self.until or self.time + LONGEST

    @property
    def signed_in(self) -> bool:
        """Somebody signed in to IAM Identity Center: `access_key` is the id of what they act with from then on."""
        return self.event_name in SIGN_INS

    def covers(self, used: Span) -> bool:
        """True if all of that time lies within the validity; how long a sign-in holds is not told."""
        since, until = self.valid
        return self.signed_in or (since <= used[0] and used[1] <= until)


LONGEST = timedelta(hours=36)
"""What GetSessionToken and GetFederationToken give at most; nothing temporary lives longer."""
AHEAD = timedelta(minutes=5)
"""How far the clocks of two services may differ: what was used that shortly before it was handed out was used after it."""
SIGN_INS = frozenset({"UserAuthentication", "Authenticate", "Federate"})
"""Events of IAM Identity Center by which a person signs in, or opens a role or an application."""
HIDDEN = "HIDDEN_DUE_TO_SECURITY_REASONS"
"""Written by AWS instead of a user name that may be a mistyped password."""
ISSUERS = frozenset(
    {"sts.amazonaws.com", "sso.amazonaws.com", "cognito-identity.amazonaws.com", "signin.amazonaws.com"}
)
"""Services that hand out temporary credentials."""


def issue(event: Event, time: datetime) -> Issue | None:
    """The credentials that this event handed out, or None for every other event."""
    if event.event_source not in ISSUERS or event.error_code:
        return None
    if event.event_name in SIGN_INS:
        return _sign_in(event, time)
    credentials = getattr(event.response, "credentials", None)
    access_key = getattr(credentials, "access_key", None)
    if not isinstance(access_key, str) or not access_key:
        return None
    request = event.request if isinstance(event.request, Parameters) else Parameters()
    asked, answered = request.source_identity, getattr(event.response, "source_identity", None)
    return Issue(
        access_key=access_key,
        event_id=event.event_id,
        event_name=event.event_name,
        time=time,
        until=expiration(getattr(credentials, "expiration", None)) or _after(time, read(request.duration)),
        holder=identity(bytes(event.user_identity)),
        role=_text(request.role),
        session_name=_text(request.session_name),
        source_identity=_text(answered) or _text(asked),
        shared_event_id=event.shared_event_id or "",
    )


def _sign_in(event: Event, time: datetime) -> Issue | None:
    """A sign-in that succeeded, if it says who it was and what they act with from then on."""
    holder = identity(bytes(event.user_identity))
    name = _text(read(event.extra.user_name)) if isinstance(event.extra, Extra) else ""
    name = name or holder.user_name or ""
    outcome = read(event.outcome)
    failed = isinstance(outcome, dict) and "Failure" in outcome.values()
    if failed or not holder.credential_id or name in ("", HIDDEN):
        return None
    return Issue(holder.credential_id, event.event_id, event.event_name, time, None, holder, session_name=name)


def _after(time: datetime, seconds: object) -> datetime | None:
    """So many seconds later, as far as that may be: what a request asked for, where its answer says no end."""
    if type(seconds) is not int or not 0 < seconds <= LONGEST.total_seconds():
        return None
    return time + timedelta(seconds=seconds)


def expiration(value: object) -> datetime | None:
    """CloudTrail writes "Jul 10, 2023, 12:31:14 PM" here, other makers ISO 8601; None when it is neither."""
    if not isinstance(value, str):
        return None
    for form in ("%b %d, %Y, %I:%M:%S %p", "%b %d, %Y %I:%M:%S %p"):
        try:
            return datetime.strptime(value.replace("\u202f", " ") + " +0000", form + " %z")
        except ValueError:
            continue
    try:
        instant = msgspec.convert(value, datetime)
    except msgspec.ValidationError:
        return None
    return instant if instant.tzinfo else None


class Hop(NamedTuple):
    """One step from an event towards whoever is behind it.

    `kind` is what stands there: session, key (handed out by an event), expired (a key that was not valid then), relay, person,
    provider, service, claim, nobody.
    `event` is the id of the event that proves the step, `time` when that was (ISO 8601); both "" where the identity says
    it by itself.
    """

    kind: str
    text: str
    event: str = ""
    time: str = ""


@dataclass(frozen=True)
class Attribution:
    """Who it was, how well that is known, and the way there.

    `name` is a person for PROVEN, a claimed name for CLAIMED, a service principal for SERVICE; for UNRESOLVED it says
    what is known instead ("root user of account ...") and is never a role. `role` is the role that was used, if any.
    `listed` is under what the firm's directory may know the person: "user_id|..." or "user_name|..." of IAM Identity Center.
    """

    standing: Standing
    name: str
    role: str = ""
    hops: tuple[Hop, ...] = ()
    listed: str = ""


Lookup = Callable[[str, str], Sequence[Issue]]
"""Issues of an access key, or (second argument) those that share an event with it, seen from another account."""

DEEPEST = 12
"""Longest chain that is followed. AWS allows chaining without end, but each session lives an hour."""


def attribute(who: Identity, issues: Lookup, enforced: Collection[str] = (), used: Span | None = None) -> Attribution:
    """Lead an identity back to a person or a service.

    `enforced` are the accounts whose trust policies demand a source identity set by the identity provider: only there does
    a source identity prove something on its own. `used` is when it acted: what was handed out explains it only from then
    until it expired; None where that was held against each event already.
    """
    found = _trace(who, issues, enforced, (), used)
    return Attribution(found.standing, found.name, who.role, found.hops, found.listed)


def led_by_key(who: Identity) -> bool:
    """True if only its access key can say who it was: then it matters when that was valid."""
    return bool(who.access_key_id) and _direct(who, None) is None


def leads_back(who: Identity) -> str:
    """The id of what it acted with, by which another event may tell who it was; "" where there is none."""
    return who.access_key_id or who.credential_id or ""


def _trace(
    who: Identity, issues: Lookup, enforced: Collection[str], walked: tuple[str, ...], used: Span | None
) -> Attribution:
    direct = _direct(who, _signed_in(who, issues))
    if direct is not None:
        return direct
    handed = None
    if who.access_key_id and who.access_key_id not in walked and len(walked) < DEEPEST:
        handed = _through_key(who, issues, enforced, (*walked, who.access_key_id), used)
    # A program that took a role for a person says so by the source identity: then the person acted, not the program.
    if handed is not None and (handed.standing is Standing.PROVEN or (handed.name and not who.source_identity)):
        return handed
    if handed is not None and handed.hops[-1].kind == EXPIRED:
        return handed
    return _claim(who, enforced, handed.hops if handed is not None else ())


def _signed_in(who: Identity, issues: Lookup) -> Issue | None:
    """The sign-in to IAM Identity Center that gave what it acted with; None unless all that tell of it name one person."""
    told = [one for one in issues(who.credential_id, "") if one.signed_in] if who.credential_id else []
    return told[0] if len({one.session_name for one in told}) == 1 else None


def _direct(who: Identity, signed: Issue | None) -> Attribution | None:
    """What the identity says by itself, or a sign-in says of it; None when it has to be led back."""
    issuer = who.issuer
    match who.type:
        case "IAMUser" if who.user_name:
            return _proven(
                who.user_name, "person", f"IAM user {who.user_name} of account {_account(who)} signed the request", who
            )
        case "FederatedUser" if issuer.type == "IAMUser" and issuer.user_name:
            text = f"Federated session {_tail(who.arn)} made with the credentials of IAM user {issuer.user_name}"
            return _proven(issuer.user_name, "person", f"{text} of account {issuer.account_id or _account(who)}", who)
        case "SAMLUser" if who.user_name:
            provider = who.identity_provider or "an identity provider"
            return _proven(who.user_name, "provider", f"{who.user_name} was signed in by SAML provider {provider}", who)
        case "WebIdentityUser" if who.user_name or who.principal_id:
            return _web_identity(who)
        case "IdentityCenterUser" if who.on_behalf_of and who.on_behalf_of.user_id:
            return _identity_center(who, signed)
        case "AWSService":
            return _service(who, who.invoked_by or "an AWS service")
        case None | "" if who.invoked_by:
            return _service(who, who.invoked_by)
        case "AssumedRole" | "Role":
            return _direct_role(who, signed)
    if who.type == "AWSAccount" and "anonymous" in f"{who.account_id} {who.principal_id}".lower():
        unsigned = Hop("nobody", "The request was not signed: anyone may have sent it")
        return Attribution(Standing.UNRESOLVED, "anonymous", "", (unsigned,))
    return _identity_center(who, signed) if signed else None


def _direct_role(who: Identity, signed: Issue | None) -> Attribution | None:
    arn = who.issuer.arn or ""
    if "/aws-service-role/" in arn:
        principal = arn.partition("/aws-service-role/")[2].partition("/")[0]
        return _service(
            who, who.invoked_by or principal, f"Service-linked role {who.role}, which only {principal} can use"
        )
    if "/aws-reserved/sso.amazonaws.com/" in arn and who.session_name:
        text = f"IAM Identity Center opened session {who.session_name} of its own role {who.role} and named it after the user"
        return _proven(who.session_name, "provider", text, who, f"user_name|{who.session_name}")
    if signed or (who.on_behalf_of and who.on_behalf_of.user_id):
        return _identity_center(who, signed)
    return None


def _through_key(
    who: Identity, issues: Lookup, enforced: Collection[str], walked: tuple[str, ...], used: Span | None
) -> Attribution | None:
    """Follow the access key to whoever it was handed to; None when no event tells."""
    key = who.access_key_id or ""
    told = _seen_from_all_accounts(key, issues)
    if not told:
        return None
    handed = [one for one in told if used is None or one.covers(used)]
    if not handed:
        return Attribution(Standing.UNRESOLVED, "", who.role, (*_own_hops(who), _not_valid(key, told, used)))
    found = [(one, _trace(one.holder, issues, enforced, walked, (one.time, one.time))) for one in handed]
    known = [(one, back) for one, back in found if back.standing in (Standing.PROVEN, Standing.SERVICE)]
    if len({(back.standing, back.name) for _, back in known}) > 1:
        hop = Hop(
            "nobody", f"Access key {key} was handed out by several events to different callers, so it proves nothing"
        )
        return Attribution(Standing.UNRESOLVED, "", hops=(hop,))
    one, back = (known or found)[0]
    text = f"Access key {key} was handed out by {one.event_name} at {one.time:%Y-%m-%d %H:%M:%S} UTC"
    if one.until:
        text += f", valid until {one.until:%Y-%m-%d %H:%M:%S} UTC"
    if one.shared_event_id:
        text += f"; other accounts tell the same act as shared event {one.shared_event_id}"
    hop = Hop("key", text, one.event_id, one.time.isoformat())
    return Attribution(back.standing, back.name, who.role, (*_own_hops(who), hop, *back.hops), back.listed)


EXPIRED = "expired"
"""What stands at the end of a way that ends with a key which was not valid then."""


def _not_valid(key: str, told: Sequence[Issue], used: Span | None) -> Hop:
    """Why a key explains nothing: it was used before it was handed out, or after it expired."""
    one = told[-1]
    until = one.valid[1]
    late = used is not None and used[1] > until
    when = (used[1] if late else used[0]) if used else one.time
    text = (
        f"Access key {key} was used at {when:%Y-%m-%d %H:%M:%S} UTC, but was valid only from {one.time:%Y-%m-%d %H:%M:%S}, when"
        f" {one.event_name} handed it out, until {until:%Y-%m-%d %H:%M:%S} UTC: so that does not say who used it then"
    )
    return Hop(EXPIRED, text, one.event_id, one.time.isoformat())


def _seen_from_all_accounts(key: str, issues: Lookup) -> list[Issue]:
    """Issues of one key.

    Assuming a role of another account leaves one event in each account, with one sharedEventID: only the caller's says who.
    """
    handed = list(issues(key, ""))
    for shared in sorted({one.shared_event_id for one in handed if one.shared_event_id}):
        handed += [one for one in issues("", shared) if one not in handed]
    return sorted(handed, key=lambda one: (one.time, one.event_id))


def _claim(who: Identity, enforced: Collection[str], led: tuple[Hop, ...]) -> Attribution:
    """What is left when no event leads to a person: a source identity, a name that the caller chose, or nothing."""
    source = who.source_identity
    if source and who.account_id in enforced:
        text = f"Source identity {source}, which the trust policies of account {who.account_id} demand of the provider"
        return Attribution(Standing.PROVEN, source, who.role, (*led, Hop("person", text)))
    if source:
        text = f"Source identity {source}; nothing here proves that the account's trust policies enforce it"
        return Attribution(Standing.CLAIMED, source, who.role, (*led, Hop("claim", text)))
    hops = led or _own_hops(who) or (_unnamed(who),)
    if who.type == "Root":
        return Attribution(Standing.UNRESOLVED, f"root user of account {_account(who)}", "", hops)
    name = who.session_name
    if name and not _MADE_UP_BY_SOFTWARE.fullmatch(name):
        chosen = Hop("claim", f"The caller chose the session name {name}")
        return Attribution(Standing.CLAIMED, name, who.role, (*hops, chosen))
    nobody = Hop("nobody", "No event seen so far leads further back")
    return Attribution(Standing.UNRESOLVED, "", who.role, (*hops, nobody))


# Session names that tools make up when nobody gave one: they claim no person.
_MADE_UP_BY_SOFTWARE = re.compile(
    r"i-[0-9a-f]{8,17}|(?:botocore|aws-sdk|aws-go-sdk|awscli|AWSCLI|aws-cli|session|Session|terraform)[-_.A-Za-z]*[-_.]?[0-9]*"
    r"|[0-9._-]+|[0-9a-f]{16,}|[0-9a-f-]{36}"
)


def _web_identity(who: Identity) -> Attribution:
    subject = who.user_name or (who.principal_id or "").rpartition(":")[2]
    provider = who.identity_provider or (who.principal_id or "").rpartition(":")[0]
    if subject.startswith(("system:serviceaccount:", "repo:")) or "token.actions.githubusercontent.com" in provider:
        return _service(who, subject, f"{subject} is a workload that {provider} vouches for")
    return _proven(subject, "provider", f"{subject} was signed in by {provider}", who)


def _identity_center(who: Identity, signed: Issue | None) -> Attribution:
    """A user of IAM Identity Center, by the id that the event gives, and by the user name that their sign-in gives."""
    behalf = who.on_behalf_of or (signed and signed.holder.on_behalf_of) or OnBehalfOf()
    store = behalf.identity_store_arn or "an identity store that is not named"
    name = f"Identity Center user {behalf.user_id}"
    if signed is None:
        return _proven(name, "provider", f"{name} of {store} was signed in", who, f"user_id|{behalf.user_id}")
    user = signed.session_name
    listed = f"user_id|{behalf.user_id}" if behalf.user_id else f"user_name|{user}"
    text = f"{user} signed in to IAM Identity Center at {signed.time:%Y-%m-%d %H:%M:%S} UTC ({signed.event_name})"
    text += f", and acted with what that gave: credential {signed.access_key}"
    hops = [Hop("key", text, signed.event_id, signed.time.isoformat())]
    hops += [Hop("provider", f"{user} is {name} of {store}")] if behalf.user_id else []
    return Attribution(Standing.PROVEN, user, who.role, (*_relay(who), *hops), listed)


def _proven(name: str, kind: str, text: str, who: Identity, listed: str = "") -> Attribution:
    return Attribution(Standing.PROVEN, name, who.role, (*_relay(who), Hop(kind, text)), listed)


def _service(who: Identity, principal: str, text: str = "") -> Attribution:
    hop = Hop("service", text or f"AWS service {principal} acted on its own")
    return Attribution(Standing.SERVICE, principal, who.role, (hop,))


def _own_hops(who: Identity) -> tuple[Hop, ...]:
    if not who.role:
        return _relay(who)
    text = f"Session {who.session_name or '(unnamed)'} of role {who.role} in account {_account(who)}"
    return (*_relay(who), Hop("session", text))


def _relay(who: Identity) -> tuple[Hop, ...]:
    """A service that passed the caller's request on (the caller stays the actor)."""
    if not who.invoked_by or who.type == "AWSService":
        return ()
    return (Hop("relay", f"Passed on by {who.invoked_by}"),)


def _unnamed(who: Identity) -> Hop:
    what = who.arn or who.principal_id or "an identity that names nobody"
    return Hop("nobody", f"{who.type or 'Identity without a type'}: {what} of account {_account(who)}")


def _account(who: Identity) -> str:
    return who.account_id or "(not stated)"


def _tail(arn: str | None) -> str:
    return (arn or "").rpartition("/")[2] or "(unnamed)"


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
