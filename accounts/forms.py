"""Forms of the pages about people. They ask whether what was typed can be read; whether it may be done, the verbs say."""

from typing import Any

from django import forms


class Code(forms.CharField):
    """Six digits; spaces between them are forgiven."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("label", "One-time code")
        attributes = {"inputmode": "numeric", "autocomplete": "one-time-code", "spellcheck": "false"}
        super().__init__(max_length=12, widget=forms.TextInput(attrs=attributes), **kwargs)


class Password(forms.CharField):
    """A password as typed: not stripped, not shown again."""

    def __init__(self, *, autocomplete: str = "current-password", **kwargs: Any) -> None:
        kwargs.setdefault("label", "Password")
        widget = forms.PasswordInput(attrs={"autocomplete": autocomplete})
        super().__init__(max_length=1024, strip=False, widget=widget, **kwargs)


class LogIn(forms.Form):
    username = forms.CharField(
        label="User name",
        max_length=150,
        widget=forms.TextInput(attrs={"autocomplete": "username", "autocapitalize": "none", "spellcheck": "false"}),
    )
    password = Password()
    code = Code()
