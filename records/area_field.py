"""The area of what is made anew, as forms ask for it."""

from django import forms

from accounts.models import Area, User


class AreaField(forms.ModelChoiceField):
    """It decides who may read, so none is chosen beforehand for who belongs to several."""

    def __init__(self, *, help_text: str) -> None:
        super().__init__(Area.objects.none(), help_text=help_text)

    def offer(self, user: User) -> None:
        self.queryset = Area.objects.filter(members=user)
        self.empty_label = "Choose …" if self.queryset.count() > 1 else None
