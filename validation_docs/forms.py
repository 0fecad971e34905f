"""The form of a new validation document."""

from django import forms

from accounts.models import Area, User


class NewDocumentForm(forms.Form):
    title = forms.CharField(max_length=200, help_text="As it stands on the first page.")
    system = forms.CharField(max_length=200, help_text="The computerised system that the document is about.")
    area = forms.ModelChoiceField(
        Area.objects.none(), empty_label=None, help_text="Who belongs to it can read the document."
    )

    def __init__(self, data: object = None, *, user: User) -> None:
        super().__init__(data)  # type: ignore[arg-type]
        self.fields["area"].queryset = Area.objects.filter(members=user)  # type: ignore[attr-defined]
