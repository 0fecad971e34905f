"""Forms of the pages about people. They ask whether what was typed can be read; whether it may be done, the verbs say."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django import forms
from django.conf import settings
from django.contrib.contenttypes.models import ContentType
from django.db import models

from accounts.models import Area, User
from accounts.queries import STATES
from accounts.roles import Role

ANSWER_LETTERS = 10_000  # of a passkey's answer, JSON


class TypedOnce(forms.TextInput):
    """Shows nothing of what was typed before."""

    def format_value(self, value: Any) -> None:
        return None


class Code(forms.CharField):
    """Six digits; spaces between them are forgiven."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("label", "One-time code")
        attributes = {"inputmode": "numeric", "autocomplete": "one-time-code", "spellcheck": "false"}
        super().__init__(max_length=12, widget=TypedOnce(attrs=attributes), **kwargs)


class Password(forms.CharField):
    """A password as typed: not stripped, not shown again."""

    def __init__(self, *, autocomplete: str = "current-password", **kwargs: Any) -> None:
        kwargs.setdefault("label", "Password")
        widget = forms.PasswordInput(attrs={"autocomplete": autocomplete})
        super().__init__(max_length=1024, strip=False, widget=widget, **kwargs)


class LastDay(forms.DateField):
    """A day in UTC, whose end is the end of access."""

    def __init__(self) -> None:
        super().__init__(
            label="Last day of access",
            required=False,
            widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
            help_text="for an inspector or a guest; access ends with that day in UTC",
        )

    def prepare_value(self, value: Any) -> Any:
        return (value - timedelta(microseconds=1)).date() if isinstance(value, datetime) else value

    def clean(self, value: Any) -> datetime | None:
        day = super().clean(value)
        if day == date.max:  # there is no day after it
            raise forms.ValidationError("This day is too far away. Leave it empty where access has no end.")
        return datetime.combine(day + timedelta(days=1), time(), UTC) if day else None


class Reason(forms.Form):
    """Asked for with every act on somebody else's account."""

    reason = forms.CharField(max_length=2000, widget=forms.Textarea(attrs={"rows": 3}))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.order_fields([name for name in self.fields if name != "reason"] + ["reason"])


class SecondFactor(forms.Form):
    """A one-time code, or what a passkey answered in its place."""

    code = Code()
    passkey = forms.CharField(max_length=ANSWER_LETTERS, required=False, widget=forms.HiddenInput)
    offers_passkey = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["code"].required = not self.data.get("passkey")
        self.passkey_origin = settings.PASSKEY_ORIGIN


class LogIn(SecondFactor):
    username = forms.CharField(
        label="User name",
        max_length=150,
        widget=forms.TextInput(attrs={"autocomplete": "username", "autocapitalize": "none", "spellcheck": "false"}),
    )
    password = Password()
    field_order = ["username", "password", "code"]


class NewPassword(forms.Form):
    """A password that one chooses, typed twice."""

    new = Password(autocomplete="new-password", label="New password", help_text="at least 12 characters")
    again = Password(autocomplete="new-password", label="The new password again")

    def clean(self) -> dict[str, Any]:
        typed = super().clean() or self.cleaned_data
        if typed.get("new") and typed.get("again") and typed["new"] != typed["again"]:
            self.add_error("again", "The two do not agree.")
        return typed


class Enrol(NewPassword):
    code = Code(label="Code that the authenticator shows now")


class EnrolConfirmed(forms.Form):
    """For whom the identity provider has confirmed: no password is asked for."""

    code = Code(label="Code that the authenticator shows now")


class EnrolDevice(forms.Form):
    password = Password(label="Your password")
    code = Code(label="Code that the new device shows now")


class Forgotten(forms.Form):
    typed = forms.CharField(
        label="User name or e-mail address",
        max_length=254,
        widget=forms.TextInput(attrs={"autocomplete": "username", "autocapitalize": "none", "spellcheck": "false"}),
    )


class ChangePassword(NewPassword, SecondFactor):
    password = Password(label="Password that you have now")
    field_order = ["password", "code", "new", "again"]


class ReplaceDevice(SecondFactor):
    password = Password(label="Your password")
    code = Code(label="Code of the device that you have now")
    new_code = Code(label="Code that the new device shows now")


class Confirm(forms.Form):
    """Password and code, for an act that asks for nothing else."""

    password = Password(label="Your password")
    code = Code()


class ConfirmMyself(SecondFactor):
    password = Password(label="Your password")


class NewPasskey(ConfirmMyself):
    name = forms.CharField(max_length=60, help_text="what you call the device that holds it, such as Laptop")
    made = forms.CharField(
        max_length=ANSWER_LETTERS,
        widget=forms.HiddenInput,
        error_messages={"required": "Make the passkey first."},
    )


class OnePasskey(forms.Form):
    passkey = forms.UUIDField(widget=forms.HiddenInput)


class Filters(forms.Form):
    """Of the list of people. What cannot be read is left out."""

    q = forms.CharField(label="Words", required=False, widget=forms.TextInput(attrs={"type": "search"}))
    role = forms.ChoiceField(required=False, choices=[("", "Any role"), *Role.choices])
    area = forms.ModelChoiceField(Area.objects.all(), required=False, empty_label="Any area", blank=True)
    state = forms.ChoiceField(required=False, choices=[("", "Any state"), *STATES.items()])


class Roles(forms.Form):
    roles = forms.MultipleChoiceField(
        choices=Role.choices,
        widget=forms.CheckboxSelectMultiple,
        help_text="An administrator and an inspector each hold no other role.",
    )


class Areas(forms.Form):
    areas = forms.ModelMultipleChoiceField(
        Area.objects.all(),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text="whose records the person may read",
    )


class PersonDetails(forms.Form):
    legal_name = forms.CharField(
        label="Legal name", max_length=200, help_text="as it is printed with a signature (21 CFR 11.50)"
    )
    title = forms.CharField(label="Position", max_length=200, required=False, help_text="such as QA manager")
    email = forms.EmailField(
        label="E-mail address",
        max_length=User._meta.get_field("email").max_length,
        help_text="of nobody else: links go there",
    )
    expires_at = LastDay()


class Invite(PersonDetails, Roles, Areas):
    username = forms.CharField(
        label="User name", max_length=150, help_text="letters a to z, digits, dot, hyphen, underscore; for good"
    )
    field_order = ["username", "legal_name", "title", "email", "roles", "areas", "expires_at"]


class ChangeDetails(Reason, PersonDetails):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields[
            "legal_name"
        ].help_text += (
            "; another name ends the sittings, and the proof of identity: another administrator proves it anew"
        )


class ChangeRoles(Reason, Roles):
    pass


class ChangeAreas(Reason, Areas):
    pass


class Identity(forms.Form):
    evidence = forms.CharField(
        label="What you saw",
        max_length=500,
        help_text="such as the kind of document and its last four digits; not a copy of it",
    )


class OneRecord(Reason):
    """One record by its number. Which table records stand in, guardian's permission says."""

    record = forms.CharField(label="Record", max_length=100, help_text="its number, such as KRAS-001")

    def clean_record(self) -> models.Model:
        kind = ContentType.objects.get_by_natural_key("records", "record").model_class()
        record = kind._default_manager.filter(number=self.cleaned_data["record"].strip()).first() if kind else None
        if record is None:
            raise forms.ValidationError("There is no record of this number.")
        return record


class Moment(forms.DateTimeField):
    """A moment in UTC."""

    def __init__(self, label: str) -> None:
        widget = forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")
        formats = ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M"]
        super().__init__(label=label, widget=widget, input_formats=formats, help_text="in UTC")

    def clean(self, value: Any) -> datetime:
        found: datetime = super().clean(value)
        return found.replace(tzinfo=UTC)


class Lost(forms.Form):
    """With the mailed link, which stands for the device."""

    since = Moment("Out of my hands since")


class LostKnown(Lost):
    password = Password(label="Your password")


class Suspect(Reason):
    since = Moment("Under suspicion since")


class WithdrawPasskey(Reason, OnePasskey):
    pass


class LinkIdentity(Reason):
    subject = forms.CharField(
        max_length=255, help_text="the person's identifier at the identity provider (sub), not an address"
    )


class NewArea(forms.Form):
    name = forms.CharField(max_length=120)
    description = forms.CharField(max_length=1000, required=False, widget=forms.Textarea(attrs={"rows": 2}))


class ChangeArea(Reason, NewArea):
    pass


class Nothing(forms.Form):
    """For an act that asks for nothing but a click."""


def initial_details(user: User) -> dict[str, Any]:
    return {name: getattr(user, name) for name in ("legal_name", "title", "email", "expires_at")}
