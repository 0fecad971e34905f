"""What the sign dialogs send. Whether it may be signed is decided by the ceremony, not here."""

from typing import Any

from django import forms

from accounts.forms import ANSWER_LETTERS
from accounts.identity import Credentials


class Components(forms.Form):
    """What a signer gives: password and second factor. `sso` says that the identity provider confirmed them in the place of the
    password, and `passkey` is an answer in the place of a code; whether either is so, the ceremony finds out."""

    username = forms.CharField(max_length=150, required=False)
    password = forms.CharField(max_length=1000, strip=False)
    sso = forms.BooleanField(required=False)
    code = forms.CharField(max_length=20)
    passkey = forms.CharField(max_length=ANSWER_LETTERS, required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["password"].required = not self.data.get("sso")
        self.fields["code"].required = not self.data.get("passkey")

    def credentials(self) -> Credentials:
        typed = self.cleaned_data
        return Credentials(typed["password"], typed["code"], typed["username"], typed["passkey"])


class SignForm(Components):
    """`meaning` may carry what a disposition decides: `disposition:stands`."""

    intent = forms.UUIDField()
    meaning = forms.CharField(max_length=40)
    reason = forms.CharField(max_length=2000, required=False)
    reviewed = forms.BooleanField(required=False)

    def clean(self) -> dict[str, Any]:
        typed = super().clean() or self.cleaned_data
        typed["meaning"], _, typed["outcome"] = typed.get("meaning", "").partition(":")
        return typed
