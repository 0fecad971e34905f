"""What the sign dialog sends. Whether it may be signed is decided by the ceremony, not here."""

from typing import Any

from django import forms

from accounts.forms import ANSWER_LETTERS
from accounts.identity import Credentials


class SignForm(forms.Form):
    """`meaning` may carry what a disposition decides: `disposition:stands`."""

    intent = forms.UUIDField()
    meaning = forms.CharField(max_length=40)
    reason = forms.CharField(max_length=2000, required=False)
    reviewed = forms.BooleanField(required=False)
    username = forms.CharField(max_length=150, required=False)
    password = forms.CharField(max_length=1000, strip=False)
    code = forms.CharField(max_length=20)
    passkey = forms.CharField(max_length=ANSWER_LETTERS, required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["code"].required = not self.data.get("passkey")

    def clean(self) -> dict[str, Any]:
        typed = super().clean() or self.cleaned_data
        typed["meaning"], _, typed["outcome"] = typed.get("meaning", "").partition(":")
        return typed

    def credentials(self) -> Credentials:
        typed = self.cleaned_data
        return Credentials(typed["password"], typed["code"], typed["username"], typed["passkey"])
