"""Audit-trail reviews: what waits under each filter, one review at work, a filter of the firm's own."""

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.http import PersonRequest
from accounts.models import User
from accounts.permissions import demand, may
from audit import queries, reasons, reviews, trail
from audit.models import ReviewFilter
from portal import trail_reviews
from portal.hearers import colleagues
from portal.pages import obstacles
from portal.pages.audit import entries_for, tabs
from records.models import Record
from signatures.models import Step

SHOWN = 100  # entries that the page of a review shows
Context = dict[str, Any]


class FilterForm(forms.Form):
    """A filter of the firm's own: which acts, of whom, about what, and how often."""

    name = forms.CharField(max_length=100, label="Name")
    why = forms.CharField(
        max_length=1000,
        label="The risk that it is about",
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="For whoever asks why just this is looked at.",
    )
    acts = forms.MultipleChoiceField(
        required=False,
        label="Acts",
        choices=[(name, name) for name in queries.GROUPS],
        widget=forms.CheckboxSelectMultiple,
        help_text="None chosen: every act.",
    )
    people = forms.ModelMultipleChoiceField(
        required=False, queryset=User.objects.none(), label="People", help_text="None chosen: everybody."
    )
    records = forms.CharField(
        required=False,
        max_length=2000,
        label="Records",
        help_text="Numbers with commas between. Empty: every record, and what is no record.",
    )
    every_days = forms.IntegerField(
        min_value=1, max_value=reviews.MOST_DAYS, initial=30, label="Days from one review to the next"
    )

    def __init__(self, *args: Any, user: User, **more: Any) -> None:
        super().__init__(*args, **more)
        self.user = user
        self.fields["people"].queryset = colleagues(user).distinct().order_by("legal_name")  # type: ignore[attr-defined]

    def clean_records(self) -> list[str]:
        numbers = {number.strip().upper() for number in self.cleaned_data["records"].split(",") if number.strip()}
        found = dict(Record.objects.visible_to(self.user).filter(number__in=numbers).values_list("number", "pk"))
        if missing := sorted(numbers - set(found)):
            raise forms.ValidationError(f"There is no record {', '.join(missing)}.")
        return [str(key) for key in found.values()]


@require_GET
def listing(request: PersonRequest) -> HttpResponse:
    """Each filter with its last review, what waits since then, and whether it is overdue."""
    demand(request.user, "access.read")
    rows = sorted(
        trail_reviews.backlogs(request.user), key=lambda row: (not row.overdue, row.filter.every_days, row.filter.name)
    )
    context = {
        "rows": rows,
        "verdict": verdict(rows),
        "reviews_it": may(request.user, "trail.review"),
        "tabs": tabs("Reviews", True),
        "crumbs": [{"label": "Audit", "url": "/audit/"}, {"label": "Reviews"}],
    }
    return render(request, "portal/reviews.html", context)


def verdict(rows: list[reviews.Backlog]) -> Context:
    late = [row.filter.name for row in rows if row.overdue]
    say = f"Overdue: {', '.join(late)}." if late else "No review is overdue."
    return {
        "tone": "bad" if late else "ok",
        "say": say,
        "know": [
            "An entry counts as reviewed under a filter once a signed review covers it. It is a sealed report that lists them.",
            "Nobody reviews their own acts: the portal leaves them out, and they wait here for somebody else.",
        ],
        "cannot": ["What you may not see is not counted here; whoever may see it reviews it."],
    }  # fmt: skip


@require_GET
def review(request: PersonRequest, pk: Any) -> HttpResponse:
    """One filter: what one has before one, and the reviews that were made."""
    demand(request.user, "access.read")
    return _page(request, get_object_or_404(ReviewFilter, pk=pk))


def _page(
    request: PersonRequest, chosen: ReviewFilter, *, findings: str = "", fault: str = "", status: int = 200
) -> HttpResponse:
    mine = list(trail_reviews.before(chosen, request.user)[: trail_reviews.AT_ONCE])
    backlog = reviews.backlog(chosen, trail_reviews.entries_of(chosen, entries_for(request.user)))
    context = {
        "filter": chosen,
        "backlog": backlog,
        "narrowed": trail_reviews.narrowed(chosen),
        "entries": mine[:SHOWN],
        "count": len(mine),
        "more": max(len(mine) - SHOWN, 0),
        "until": mine[-1].pk if mine else 0,
        "own": backlog.count - len(mine)
        if len(mine) < trail_reviews.AT_ONCE and backlog.count < reviews.COUNTED
        else 0,
        "made": chosen.reviews.order_by("-made_at")[:20],
        "reviews_it": may(request.user, "trail.review") and chosen.retired_at is None,
        "findings": findings,
        "fault": fault,
        "facts": [
            {"label": "Reviewed", "value": f"every {chosen.every_days} days"},
            {"label": "Narrowed to", "value": trail_reviews.narrowed(chosen)},
            {"label": "Not reviewed", "value": f"{backlog.counted} entries"},
            {"label": "Oldest of these", "at": backlog.oldest}
            if backlog.oldest
            else {"label": "Oldest of these", "value": "none"},
            {"label": "Due", "at": backlog.due_at} if backlog.due_at else {"label": "Due", "value": "nothing waits"},
        ],
        "crumbs": [
            {"label": "Audit", "url": "/audit/"},
            {"label": "Reviews", "url": "/audit/reviews/"},
            {"label": chosen.name},
        ],
    }
    return render(request, "portal/review.html", context, status=status)


@require_POST
def make(request: PersonRequest, pk: Any) -> HttpResponse:
    """Seal the review, and go to its signature."""
    demand(request.user, "access.read")
    chosen = get_object_or_404(ReviewFilter, pk=pk)
    until, findings = request.POST.get("until", ""), request.POST.get("findings", "")
    try:
        with trail.refusals(request.user):
            version = trail_reviews.make(chosen, by=request.user, findings=findings[:20_000],
                                         until=int(until) if until.isdecimal() and len(until) < 19 else 0)  # fmt: skip
    except trail.Forbidden:
        raise
    except trail.Refused as refused:
        return _page(request, chosen, findings=findings, fault=refused.message, status=reasons.ReasonRefused.status)
    messages.success(
        request, f"{version.record.number} is sealed. Read it, and sign it: it counts from your signature on."
    )
    obstacles.tell(request, version)
    return redirect(Step.objects.get(version=version))


@require_http_methods(["GET", "POST"])
def new(request: PersonRequest) -> HttpResponse:
    demand(request.user, "trail.review")
    form = FilterForm(request.POST or None, user=request.user)
    if request.method == "POST" and form.is_valid():
        given = form.cleaned_data
        try:
            with trail.refusals(request.user):
                made = reviews.make_filter(
                    given["name"], why=given["why"], every_days=given["every_days"], by=request.user, records=given["records"],
                    actions=[begin for group in given["acts"] for begin in queries.GROUPS[group]],
                    people=[str(person.pk) for person in given["people"]],
                )  # fmt: skip
            messages.success(request, f"“{made.name}” is reviewed every {made.every_days} days from now on.")
            return redirect(made)
        except trail.Refused as refused:
            form.add_error(None, refused.message)
    crumbs = [
        {"label": "Audit", "url": "/audit/"},
        {"label": "Reviews", "url": "/audit/reviews/"},
        {"label": "New filter"},
    ]
    status = 400 if form.errors or request.method == "POST" else 200
    return render(request, "portal/review_new.html", {"form": form, "crumbs": crumbs}, status=status)


@require_POST
def retire(request: PersonRequest, pk: Any) -> HttpResponse:
    demand(request.user, "trail.review")
    chosen = get_object_or_404(ReviewFilter, pk=pk)
    with trail.refusals(request.user):
        reviews.retire_filter(chosen, by=request.user, reason=request.POST.get("reason", ""))
    messages.success(request, f"“{chosen.name}” is reviewed no more.")
    return redirect("portal:reviews")


URLS = [
    path("audit/reviews/", listing, name="reviews"),
    path("audit/reviews/new/", new, name="review-new"),
    path("audit/reviews/<uuid:pk>/", review, name="review"),
    path("audit/reviews/<uuid:pk>/make/", make, name="review-make"),
    path("audit/reviews/<uuid:pk>/retire/", retire, name="review-retire"),
]
