"""The form that registers a bucket. Whether the bucket can be used, the verb asks S3."""

from django import forms

from accounts.models import Area
from storage.models import Bucket, Purpose


class BucketForm(forms.Form):
    name = forms.RegexField(
        r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$",
        label="Name on S3",
        widget=forms.TextInput(attrs={"spellcheck": "false", "autocapitalize": "none"}),
        error_messages={"invalid": "A bucket's name has 3 to 63 small letters, digits, dots and hyphens."},
    )
    label = forms.CharField(label="What people call it", max_length=200)
    purpose = forms.ChoiceField(choices=Purpose.choices, widget=forms.RadioSelect, initial=Purpose.RECORDS)
    area = forms.ModelChoiceField(
        Area.objects.all(),
        required=False,
        empty_label="Everybody who registers",
        help_text="Only people of this area choose from a record bucket.",
    )
    reason = forms.CharField(max_length=500, help_text="It stands on the audit trail.", widget=forms.TextInput)

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        if Bucket.objects.filter(pk=name).exists():
            raise forms.ValidationError(f"{name} is registered already.")
        return name
