"""Forms of the pages about documents. They ask whether what was typed makes sense; whether it may be done, the verbs say."""

from datetime import UTC, date, datetime, time
from typing import Any

from django import forms

from accounts.models import Area, User
from portal.pages.document_parts import KINDS
from records import documents
from records.models import Draft, RecordType
from signatures import routes

STATUSES = [
    ("effective", "Effective"),
    ("scheduled", "Approved, not yet effective"),
    ("in_review", "In review"),
    ("draft", "With an open draft"),
    ("rejected", "With a rejected version"),
    ("superseded", "With a superseded version"),
    ("retired", "Retired"),
]


class Filters(forms.Form):
    """What the list is narrowed by; a value that makes no sense narrows nothing."""

    text = forms.CharField(required=False, max_length=200)
    type = forms.ModelChoiceField(RecordType.objects.none(), required=False, empty_label="All types")
    status = forms.ChoiceField(choices=[("", "Any status"), *STATUSES], required=False)
    area = forms.ModelChoiceField(Area.objects.none(), required=False, empty_label="All areas")
    on = forms.DateField(required=False, widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"))

    def __init__(self, data: Any, *, user: User) -> None:
        super().__init__(data, auto_id="f-%s")
        self.fields["type"].queryset = RecordType.objects.filter(kind__in=KINDS)  # type: ignore[attr-defined]
        self.fields["area"].queryset = Area.objects.filter(members=user)  # type: ignore[attr-defined]
        self.full_clean()


class SubmitForm(forms.Form):
    """Who signs, by when, and from when it shall be effective."""

    message = forms.CharField(
        label="What changed, and why",
        max_length=500,
        min_length=5,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text="It stands in the change history of the document, and is sealed with it.",
    )
    reviewers = forms.ModelMultipleChoiceField(
        User.objects.none(),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text="They sign side by side, before the approvers.",
    )
    approvers = forms.ModelMultipleChoiceField(
        User.objects.none(),
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": "A document needs at least one approver."},
    )
    due_on = forms.DateField(
        label="Signatures due",
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        help_text="The end of that day, UTC.",
    )
    effective_on = forms.DateField(
        label="Effective from",
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        help_text="The beginning of that day, UTC. Empty: from the moment of approval.",
    )

    def __init__(self, data: Any, *, draft: Draft, by: User, today: date) -> None:
        super().__init__(data)
        self.today = today
        people = (
            User.objects.filter(is_active=True, areas=draft.record.area)
            .exclude(pk=by.pk)
            .exclude(pk__in=documents.writers(draft))
            .order_by("legal_name")
        )
        self._offer("reviewers", people.filter(groups__name__in=["reviewer", "approver"]).distinct())
        self._offer("approvers", people.filter(groups__name="approver").distinct())
        if template := routes.in_force(draft.record.type):
            self.fields["approvers"].required = False
            asks = f"The route asks for {routes.told(routes.rows_of(template))}."
            for name in ("reviewers", "approvers"):
                self.fields[
                    name
                ].help_text = f"{asks} Whom you name takes a place; where you name nobody, anyone of the role."

    def _offer(self, name: str, people: Any) -> None:
        offered: Any = self.fields[name]
        offered.queryset = people
        offered.label_from_instance = lambda user: f"{user.legal_name}, {user.title}" if user.title else user.legal_name

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        twice = set(values.get("reviewers") or []) & set(values.get("approvers") or [])
        for user in sorted(twice, key=str):
            self.add_error("reviewers", f"{user} signs once: as reviewer or as approver.")
        for name in ("due_on", "effective_on"):
            if values.get(name) and values[name] < self.today:
                self.add_error(name, "This day is over.")
        return values

    @property
    def due_at(self) -> datetime | None:
        day = self.cleaned_data["due_on"]
        return datetime.combine(day, time(23, 59, 59), UTC) if day else None

    @property
    def effective_from(self) -> datetime | None:
        day = self.cleaned_data["effective_on"]
        return datetime.combine(day, time(), UTC) if day and day > self.today else None


class PurposeForm(forms.Form):
    purpose = forms.CharField(
        label="What is this copy for?",
        min_length=5,
        max_length=200,
        help_text="Such a version is handed out for a stated purpose only. It is printed on the copy, and kept.",
    )
