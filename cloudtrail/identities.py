"""Pages about who it was: every identity that events named, the way back to a person, and the firm's directory."""

import uuid

from django.contrib import messages
from django.db.models import Count, Q
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods

from accounts.http import PersonRequest
from accounts.permissions import demand, may
from audit import clock
from cloudtrail import pages, transitions
from cloudtrail.actors import Standing
from cloudtrail.forms import DirectoryForm, EndForm
from cloudtrail.models import Actor, DirectoryEntry

PAGE = 50


@require_GET
def actors(request: PersonRequest) -> HttpResponse:
    """Every identity, those that lead to nobody counted and first."""
    demand(request.user, "cloudtrail.read")
    standing = request.GET.get("standing", "")
    counted = dict(Actor.objects.order_by().values_list("standing").annotate(Count("pk")))
    wanted = Actor.objects.filter(standing=standing) if standing in set(Standing) else Actor.objects.all()
    if about := request.GET.get("about", "").replace("\0", ""):
        wanted = wanted.filter(Q(name__icontains=about) | Q(role__icontains=about) | Q(access_key=about))
    after = pages.number(request.GET.get("after"))
    found = list((wanted.filter(pk__lt=after) if after > 0 else wanted).order_by("-pk")[: PAGE + 1])
    context = {
        "actors": found[:PAGE],
        "after": found[PAGE - 1].pk if len(found) > PAGE else "",
        "standings": [(one.value, counted.get(one.value, 0), one.value == standing) for one in Standing],
        "standing": standing,
        "about": about,
        "total": sum(counted.values()),
        "unresolved": counted.get(Standing.UNRESOLVED.value, 0),
        "tabs": pages.tabs("Who it was"),
        "crumbs": pages.crumbs("Who it was"),
    }
    return render(request, "cloudtrail/actors.html", context)


@require_GET
def actor_page(request: PersonRequest, actor_id: int) -> HttpResponse:
    """One identity and the way back to a person, drawn."""
    demand(request.user, "cloudtrail.read")
    actor = get_object_or_404(Actor, pk=actor_id)
    context = {
        "actor": actor,
        "ending": pages.ending(actor),
        "chain": pages.chain(actor, request.user, clock.now().date()),
        "facts": pages.actor_facts(actor),
        "crumbs": pages.crumbs("Who it was"),
    }
    return render(request, "cloudtrail/actor.html", context)


@require_http_methods(["GET", "POST"])
def directory(request: PersonRequest) -> HttpResponse:
    """The directory, and a form for whoever keeps it."""
    demand(request.user, "cloudtrail.read")
    form = None
    if request.method == "POST":
        demand(request.user, "directory.manage")
    if may(request.user, "directory.manage"):
        form = DirectoryForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            reason = form.cleaned_data.pop("reason")
            made = transitions.enter_in_directory(form.cleaned_data, by=request.user, reason=reason)
            messages.success(request, f"{made.person} is in the directory.")
            return redirect("cloudtrail:directory")
    context = {
        "entries": DirectoryEntry.objects.select_related("user"),
        "form": form,
        "today": clock.now().date(),
        "tabs": pages.tabs("Directory"),
        "crumbs": pages.crumbs("Directory"),
    }
    return render(request, "cloudtrail/directory.html", context, status=400 if form and form.errors else 200)


@require_http_methods(["GET", "POST"])
def entry_page(request: PersonRequest, entry_id: uuid.UUID) -> HttpResponse:
    """One entry; whoever keeps the directory may end it."""
    demand(request.user, "cloudtrail.read")
    entry = get_object_or_404(DirectoryEntry.objects.select_related("user"), pk=entry_id)
    form = None
    if request.method == "POST":
        demand(request.user, "directory.manage", entry)
    if may(request.user, "directory.manage"):
        form = EndForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            asked = form.cleaned_data
            transitions.end_in_directory(entry_id, asked["until"], by=request.user, reason=asked["reason"])
            messages.success(request, "The entry has its last day.")
            return redirect("cloudtrail:directory-entry", entry_id)
    crumbs = [*pages.crumbs("Directory")[:1], {"label": "Directory", "url": reverse("cloudtrail:directory")}]
    context = {
        "entry": entry,
        "form": form,
        "facts": pages.entry_facts(entry),
        "crumbs": [*crumbs, {"label": entry.identifier}],
    }
    return render(request, "cloudtrail/directory_entry.html", context, status=400 if form and form.errors else 200)
