"""Forms of the pages about trails. They ask whether what was typed makes sense; whether it may be done, the verbs say."""

from typing import Any

from django import forms

from accounts.models import User
from cloudtrail.faults import faults
from cloudtrail.models import DirectoryEntry, Trail


class TrailForm(forms.ModelForm):
    class Meta:
        model = Trail
        fields = (
            "name",
            "account",
            "bucket",
            "prefix",
            "region",
            "organisation",
            "aws_name",
            "started_from",
            "enabled",
            "source_identity_enforced",
        )
        labels = {
            "organisation": "Organisation id",
            "prefix": "Prefix in the bucket",
            "aws_name": "The trail's name at AWS",
            "started_from": "Pull from this day on",
            "enabled": "Pull it on a schedule",
            "source_identity_enforced": "Trust policies enforce the source identity",
        }
        widgets = {
            **{
                name: forms.TextInput()
                for name in ("name", "account", "bucket", "prefix", "region", "organisation", "aws_name")
            },
            "started_from": forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        }
        help_texts = {
            "account": "The account whose events the trail records: 12 digits.",
            "bucket": "Where CloudTrail delivers. Leave it empty for files that are handed over offline.",
            "prefix": "What stands in front of AWSLogs/, with a slash at its end; usually nothing.",
            "region": "Leave it empty to pull every region.",
            "organisation": "Only for an organisation's trail: o- and letters and digits.",
            "aws_name": "As its digests name it. Leave it empty unless several trails deliver into this place.",
            "started_from": "Files delivered earlier stay where they are.",
            "enabled": "New files come in by themselves; else only when somebody asks.",
            "source_identity_enforced": (
                "Say so only if every role's trust policy in this account demands a source identity that the identity "
                "provider sets: then a source identity alone proves who it was. Else it counts as claimed."
            ),
        }

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        if not self.errors:
            typed = {name: values[name] for name in self.Meta.fields}
            for name, fault in faults(Trail(pk=self.instance.pk, **typed)).items():
                self.add_error(name, fault)
        return values


class ChangeTrailForm(TrailForm):
    reason = forms.CharField(label="Reason for the change", widget=forms.Textarea(attrs={"rows": 2}))


def _day(**more: Any) -> forms.DateField:
    return forms.DateField(widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"), **more)


class DirectoryForm(forms.ModelForm):
    since = _day(label="First day (UTC)")
    until = _day(label="Last day (UTC)", required=False, help_text="Empty: still so.")
    reason = forms.CharField(
        label="How this is known",
        help_text="Such as: export of the directory of 2 May, ticket 1234.",
        widget=forms.Textarea(attrs={"rows": 2}),
    )

    class Meta:
        model = DirectoryEntry
        fields = ("kind", "identifier", "person", "user", "since", "until")
        labels = {"identifier": "Id, name or principal", "person": "Legal name", "user": "Account in this portal"}
        widgets = {name: forms.TextInput() for name in ("identifier", "person")}
        help_texts = {
            "identifier": "To the letter as CloudTrail writes it: 906755f1-…, anna@firm.example, batch.amazonaws.com.",
            "person": "Of the person, or of whoever answers for the service.",
            "user": "Only if the person has one.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        user: Any = self.fields["user"]
        user.queryset, user.required = User.objects.order_by("legal_name"), False
        user.label_from_instance = lambda one: one.legal_name


class EndForm(forms.Form):
    until = _day(label="Last day (UTC)")
    reason = forms.CharField(label="Reason", widget=forms.Textarea(attrs={"rows": 2}))
