"""Ask somebody else for a signature: another person of the role, who signs as themselves."""

import uuid

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods

from accounts.http import PersonRequest
from accounts.models import User
from accounts.roles import Role
from audit import trail
from portal.pages import obstacles
from records.lifecycle import State
from signatures.meanings import Meaning
from signatures.models import Step
from signatures.queries import who_else_could_sign
from signatures.transitions import ReassignRefused, may_reassign, reassign


class PersonField(forms.ModelChoiceField):
    def label_from_instance(self, obj: User) -> str:
        return f"{obj.legal_name}, {obj.title}" if obj.title else obj.legal_name


class ReassignForm(forms.Form):
    to = PersonField(User.objects.none(), label="Ask instead", empty_label="Choose a person")
    reason = forms.CharField(
        label="Reason",
        max_length=500,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text="At least 10 letters, such as “out of office until Monday”. It stands on the trail.",
    )

    def __init__(self, data: object, *, step: Step) -> None:
        super().__init__(data)  # type: ignore[arg-type]
        self.fields["to"].queryset = who_else_could_sign(step)  # type: ignore[attr-defined]


def nobody_else(step: Step) -> str:
    """Why there is nobody to ask instead, and what is left to do; "" where there is somebody."""
    if who_else_could_sign(step).exists():
        return ""
    version = step.version
    verb = "approve" if step.meaning == Meaning.APPROVAL else "review"
    recall = "Its author can recall the version, or " if version.state == State.IN_REVIEW else ""
    ask = f"{recall}an administrator gives somebody the role {Role(step.role).label}."
    return f"Nobody else in {version.record.area} may {verb} this version. {ask[0].upper()}{ask[1:]}"


@require_http_methods(["GET", "POST"])
def page(request: PersonRequest, pk: uuid.UUID) -> HttpResponse:
    """Whom to ask, and why."""
    steps = Step.objects.visible_to(request.user).select_related(
        "version__record__type", "version__record__area", "version__request", "assignee"
    )
    step = get_object_or_404(steps, pk=pk)
    if not may_reassign(step, request.user):
        raise ReassignRefused(
            "Who asked for the signature, whom it is asked of, or an approver may ask somebody else.",
            step.version,
            request.user,
            403,
        )
    form, status = ReassignForm(request.POST or None, step=step), 200
    if request.method == "POST":
        status = 400
        if form.is_valid():
            try:
                with trail.refusals(request.user):
                    to = form.cleaned_data["to"]
                    reassign(step, to, by=request.user, reason=form.cleaned_data["reason"])
            except ReassignRefused as refused:
                form.add_error(None, refused.message)
                status = refused.status
            else:
                messages.success(request, f"{to} is asked now, and is told by mail when it is their turn.")
                obstacles.tell(request, step.version)
                return redirect(step.version)
    context = {
        "step": step,
        "version": step.version,
        "form": form,
        "nobody_else": nobody_else(step),
        "role": Role(step.role).label,
        "crumbs": [
            {"label": step.version.record.number, "url": step.version.record.get_absolute_url()},
            {"label": f"Version {step.version.ordinal}", "url": step.version.get_absolute_url()},
            {"label": "Ask somebody else"},
        ],
    }
    return render(request, "portal/reassign.html", context, status=status)
