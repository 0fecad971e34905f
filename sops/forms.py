"""The forms of a new SOP, and of who must read it."""

from django import forms

from accounts.models import User
from accounts.roles import CONTENT_ROLES, Role
from audit.reasons import LETTERS
from records.area_field import AreaField
from sops.models import Sop
from sops.transitions import STARTER


def starters() -> list[tuple[str, str]]:
    """The starter texts that ship, by name, with the title that each begins with."""
    return [
        (path.stem, path.open(encoding="utf-8").readline().lstrip("# ").strip())
        for path in sorted(STARTER.glob("*.md"))
    ]


def reading_roles() -> forms.MultipleChoiceField:
    return forms.MultipleChoiceField(
        label="Who must read each version",
        choices=[(role.value, role.label) for role in Role if role in CONTENT_ROLES],
        required=False,
        widget=forms.CheckboxSelectMultiple,
    )


def reading_days() -> forms.IntegerField:
    return forms.IntegerField(
        label="Days to read it", min_value=0, max_value=365, initial=14, help_text="From the day it becomes effective."
    )


class RuleForm(forms.Form):
    reading_roles = reading_roles()
    reading_days = reading_days()
    reason = forms.CharField(
        label="Reason",
        max_length=500,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text=f"At least {LETTERS} letters. It stands on the trail.",
    )


class NewSopForm(forms.Form):
    title = forms.CharField(max_length=200, help_text="As it stands on the first page.")
    area = AreaField(help_text="Who belongs to it can read the SOP.")
    starter = forms.ChoiceField(label="Begin with", required=False)
    gate = forms.ChoiceField(
        label="What waits for its reading",
        choices=Sop.Gate.choices,
        required=False,
        help_text="The e-signature SOP is one that signing waits for.",
    )
    reading_roles = reading_roles()
    reading_days = reading_days()

    def __init__(self, data: object = None, *, user: User) -> None:
        super().__init__(data)  # type: ignore[arg-type]
        self.fields["area"].offer(user)  # type: ignore[attr-defined]
        self.fields["starter"].choices = [("", "Empty sections"), *starters()]  # type: ignore[attr-defined]
