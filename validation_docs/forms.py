"""The form of a new validation document."""

from django import forms

from accounts.models import User
from records.area_field import AreaField


class NewDocumentForm(forms.Form):
    title = forms.CharField(max_length=200, help_text="As it stands on the first page.")
    system = forms.CharField(max_length=200, help_text="The computerised system that the document is about.")
    area = AreaField(help_text="Who belongs to it can read the document.")

    def __init__(self, data: object = None, *, user: User) -> None:
        super().__init__(data)  # type: ignore[arg-type]
        self.fields["area"].offer(user)  # type: ignore[attr-defined]
