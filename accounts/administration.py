"""The pages about people and areas. Reading asks for `people.read`, every act for `people.manage` (the verbs ask again)."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.db.models import Count, QuerySet
from django.forms import Form
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods

from accounts import codes, forms, openid, passkeys, queries, rights, sso, transitions
from accounts.http import PersonRequest
from accounts.models import Area, Sitting, User
from accounts.permissions import demand, may
from accounts.views import FORM_METHODS, answered
from audit import clock
from audit.actions import REFUSALS
from audit.models import Entry

PAGE = 50
ENTRIES_SHOWN = 12


@dataclass(frozen=True)
class Act:
    """One thing that an administrator does with somebody else's account: a page with a form, and a verb."""

    title: str
    says: str
    button: str
    done: str
    form: type[Form]
    verb: Callable[..., object]
    danger: bool = False
    initial: Callable[[User], dict[str, Any]] = lambda user: {}


ACTS: dict[str, Act] = {
    "details": Act(
        "Change details",
        "Signatures of before keep the name of their time. A new address ends links that were sent to the old one.",
        "Change", "The details are changed.", forms.ChangeDetails, transitions.change_details,
        initial=forms.initial_details,
    ),
    "roles": Act(
        "Change roles", "Sittings of the person end, so that nothing goes on under the old roles.",
        "Change roles", "The roles are changed.", forms.ChangeRoles, transitions.set_roles,
        initial=lambda user: {"roles": sorted(user.roles)},
    ),
    "areas": Act(
        "Change areas", "Records of other areas do not exist for the person.",
        "Change areas", "The areas are changed.", forms.ChangeAreas, transitions.set_areas,
        initial=lambda user: {"areas": user.areas.all()},
    ),
    "identity": Act(
        "Prove identity", "You state that you have seen who the person is (21 CFR 11.100(b)). Your name stays with it.",
        "I have seen who it is", "The proof of identity is kept.", forms.Identity, transitions.prove_identity,
    ),
    "link": Act(
        "Send the link again", "A new link goes to the person's mailbox; an older one is over.",
        "Send", "A new link is on its way.", forms.Nothing, transitions.send_link_again,
    ),
    "unlock": Act(
        "Unlock", "Ask the person first what happened. Failures are counted from the start again.",
        "Unlock", "The account is unlocked.", forms.Reason, transitions.unlock,
    ),
    "device": Act(
        "Withdraw the device",
        "Its codes, and all passkeys, count no more, at once, and sittings end. A link for a new device goes to the person's"
        " mailbox.",
        "Withdraw", "The device is withdrawn.", forms.Reason, transitions.withdraw_device, danger=True,
    ),
    "suspect": Act(
        "Put under suspicion",
        "Nothing is signed with this account from now on; sittings end, and its device counts no more. What was signed since the"
        " time you name is under review until quality has decided about each signature. A suspicion that is open already is moved"
        " back by an earlier time, never forward.",
        "Put under suspicion", "The account is under suspicion.", forms.Suspect, transitions.suspect, danger=True,
    ),
    "clear": Act(
        "End the suspicion",
        "After a new proof of identity and a new device, and a new password where the account was compromised, by an"
        " administrator who had no hand in them. Signatures under review stay so until quality has decided.",
        "End the suspicion", "The suspicion is ended.", forms.Reason, transitions.clear,
    ),
    "passkey": Act(
        "Withdraw a passkey", "It counts no more, at once, and sittings end. The person keeps their other factors.",
        "Withdraw", "The passkey is withdrawn.", forms.WithdrawPasskey, transitions.withdraw_passkey, danger=True,
    ),
    "sso": Act(
        "Link single sign-on",
        "Say who the person is at the identity provider. It stands in the place of the password, never in that of the"
        " one-time code or passkey.",
        "Link", "The identity is linked.", forms.LinkIdentity, transitions.link_identity,
    ),
    "unlink": Act(
        "Unlink single sign-on", "The identity opens nothing any more, and sittings end.",
        "Unlink", "The identity is unlinked.", forms.Reason, transitions.unlink_identity, danger=True,
    ),
    "grant": Act(
        "Grant one record", "The person may read one record that lies in none of their areas.",
        "Grant", "The person may read the record.", forms.OneRecord, transitions.grant,
    ),
    "revoke": Act(
        "Take a grant back", "The record does not exist for the person any more, unless it lies in one of their areas.",
        "Take back", "The grant is taken back.", forms.OneRecord, transitions.revoke, danger=True,
    ),
    "deactivate": Act(
        "Deactivate", "The person can do nothing from now on; sittings end at once. What they signed stays as it is.",
        "Deactivate", "The account is deactivated.", forms.Reason, transitions.deactivate, danger=True,
    ),
    "reactivate": Act(
        "Reactivate", "The same person may come back, with the password and the device of before.",
        "Reactivate", "The account is active again.", forms.Reason, transitions.reactivate,
    ),
}  # fmt: skip


def open_acts(user: User, state: str, by: User) -> list[tuple[str, Act]]:
    """The acts that make sense now, for the buttons. The verbs decide."""
    if user.pk == by.pk or not may(by, "people.manage"):
        return []
    closed = {
        "link": not (state in ("invited", "no_device") or (state == "suspected" and codes.device_in_use(user) is None)),
        "unlock": state not in ("locked_out", "dormant"),
        "suspect": state == "invited",
        "clear": state != "suspected",
        "device": codes.device_in_use(user) is None,
        "identity": user.invited_by_id == by.pk,
        "deactivate": not user.is_active,
        "reactivate": user.is_active,
        "revoke": True,  # each grant has its own button
        "passkey": True,  # and each passkey
        "sso": not openid.configured() or sso.linked(user) is not None,
        "unlink": sso.linked(user) is None,
    }
    return [(name, act) for name, act in ACTS.items() if not closed.get(name)]


@require_GET
def people(request: PersonRequest) -> HttpResponse:
    demand(request.user, "people.read")
    filters = forms.Filters(request.GET)
    filters.is_valid()
    rows = queries.matching(queries.people(clock.now()), filters.cleaned_data)
    context = {
        "form": filters,
        "filtered": any(filters.cleaned_data.values()),
        "may_manage": may(request.user, "people.manage"),
        **page_of(rows, request),
    }
    return render(request, "accounts/people.html", context)


@require_http_methods(FORM_METHODS)
def invite(request: PersonRequest) -> HttpResponse:
    demand(request.user, "people.manage")
    form = forms.Invite(request.POST or None)
    status = answered(form, lambda: transitions.invite(by=request.user, **form.cleaned_data), request)
    if status == 302:
        messages.success(request, f"{form.cleaned_data['legal_name']} is invited; a link is on its way.")
        return redirect("accounts:people")
    return render(request, "accounts/invite.html", {"form": form}, status=status)


@require_GET
def person(request: PersonRequest, pk: UUID) -> HttpResponse:
    demand(request.user, "people.read")
    now = clock.now()
    user = get_object_or_404(queries.people(now).select_related("identity_proved_by", "invited_by"), pk=pk)
    context = {
        "person": user,
        "me_too": user.pk == request.user.pk,
        "acts": open_acts(user, getattr(user, "state", ""), request.user),
        "device": codes.device_in_use(user),
        "right": rights.look(user, now) if may(user, "sign.reading") else [],
        "passkeys": passkeys.in_use(user),
        "sso": sso.linked(user),
        "locks": queries.locks(user, now),
        "suspicions": user.suspicions.select_related("raised_by", "ended_by"),
        "granted": queries.granted(user),
        "sittings": Sitting.objects.filter(user=user, ended_at=None).order_by("-started_at")[:ENTRIES_SHOWN],
        "days": by_day(queries.about(user)[:ENTRIES_SHOWN]),
    }
    return render(request, "accounts/person.html", context)


@require_GET
def person_trail(request: PersonRequest, pk: UUID) -> HttpResponse:
    demand(request.user, "people.read")
    user = get_object_or_404(User, pk=pk)
    page = page_of(queries.about(user), request)
    return render(request, "accounts/person_trail.html", {"person": user, "days": by_day(page["rows"]), **page})


@require_http_methods(FORM_METHODS)
def person_act(request: PersonRequest, pk: UUID, act: str) -> HttpResponse:
    demand(request.user, "people.manage")
    user = get_object_or_404(User, pk=pk)
    if act not in ACTS:
        raise Http404
    what = ACTS[act]
    sent = request.POST if request.method == "POST" else None
    form = what.form(sent, initial={**what.initial(user), **request.GET.dict()})
    status = answered(form, lambda: what.verb(user, by=request.user, **form.cleaned_data), request)
    if status == 302:
        messages.success(request, what.done)
        return redirect("accounts:person", pk=pk)
    return render(request, "accounts/person_act.html", {"person": user, "act": what, "form": form}, status=status)


@require_http_methods(FORM_METHODS)
def areas(request: PersonRequest) -> HttpResponse:
    demand(request.user, "people.read")
    if request.method == "POST":
        demand(request.user, "people.manage")
    form = forms.NewArea(request.POST or None)
    status = answered(form, lambda: transitions.create_area(by=request.user, **form.cleaned_data), request)
    if status == 302:
        messages.success(request, "The area is created.")
        return redirect("accounts:areas")
    rows = Area.objects.annotate(people=Count("members"))
    context = {"form": form, "areas": rows, "may_manage": may(request.user, "people.manage")}
    return render(request, "accounts/areas.html", context, status=status)


@require_http_methods(FORM_METHODS)
def area(request: PersonRequest, pk: UUID) -> HttpResponse:
    demand(request.user, "people.manage")
    found = get_object_or_404(Area, pk=pk)
    form = forms.ChangeArea(request.POST or None, initial={"name": found.name, "description": found.description})
    status = answered(form, lambda: transitions.change_area(found, by=request.user, **form.cleaned_data), request)
    if status == 302:
        messages.success(request, "The area is changed.")
        return redirect("accounts:areas")
    return render(request, "accounts/area.html", {"area": found, "form": form}, status=status)


def page_of(rows: QuerySet[Any], request: PersonRequest) -> dict[str, Any]:
    """One page of rows, with the addresses of the pages beside it; nothing is counted."""
    number = request.GET.get("page", "1")
    page = min(int(number), 10_000) if number.isascii() and number.isdigit() and int(number) else 1
    first = (page - 1) * PAGE
    found: Sequence[Any] = list(rows[first : first + PAGE + 1])
    shown = found[:PAGE]
    return {
        "rows": shown,
        "previous_url": _page_url(request, page - 1) if page > 1 else "",
        "next_url": _page_url(request, page + 1) if len(found) > PAGE else "",
        "words": f"{first + 1} to {first + len(shown)}" if shown else "",
    }


def _page_url(request: PersonRequest, page: int) -> str:
    asked = request.GET.copy()
    asked["page"] = str(page)
    return f"?{asked.urlencode()}"


def by_day(entries: Iterable[Entry]) -> list[dict[str, Any]]:
    """Entries as the timeline component takes them."""
    return [
        {"day": day, "entries": [_told(entry) for entry in group]}
        for day, group in groupby(entries, key=lambda entry: entry.at.date())
    ]


def _told(entry: Entry) -> dict[str, Any]:
    refused = entry.action in REFUSALS
    detail = entry.detail.get("message", "") if refused else entry.reason
    return {
        "at": entry.at,
        "source": "refused" if refused else "portal",
        "sentence": entry.sentence,
        "detail": f"{detail} (founding act)".strip() if entry.detail.get("founding") else detail,
    }
