"""The letter of 21 CFR 11.100(c): its register, a template to print and sign by hand, and the copy of what was sent."""

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path
from django.views.decorators.http import require_GET, require_http_methods

from accounts import transitions
from accounts.http import PersonRequest
from accounts.models import Letter, LetterWaiver, User
from accounts.permissions import demand, may
from accounts.rights import WAIVED_FOR
from accounts.roles import Role
from accounts.views import FORM_METHODS, answered
from audit import clock, trail
from portal.pages import obstacles
from printing.letter import LetterToSign, render_letter
from printing.pages import Unreadable, page_count
from records import reports
from records.models import Version
from records.reports import Section
from signatures import requests
from signatures.meanings import Meaning
from signatures.requests import Asked
from signatures.signing import LETTER_WAIVER
from storage import worm
from storage.s3 import StorageError

LARGEST = 10 * 1024 * 1024
YEARS_KEPT = 30  # as long as electronic signatures are in use, and the longest retention after that
AGENCY = ("Food and Drug Administration", "Electronic Submissions (letters of non-repudiation agreement)")
SUBJECT = "Certification under 21 CFR 11.100(c)"


class Template(forms.Form):
    firm = forms.CharField(label="Firm", max_length=200, help_text="name and address, as on the letterhead")
    scope = forms.CharField(
        label="Scope",
        max_length=2000,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="one line each: sites, units, systems whose signatures are meant",
    )
    signatory = forms.CharField(label="Signed by hand by", max_length=200, help_text="name and position")

    def letter(self) -> bytes:
        typed = self.cleaned_data
        return render_letter(letter(typed["firm"], typed["scope"].splitlines(), typed["signatory"]))


class Waiver(forms.Form):
    reason = forms.CharField(
        label="Why there is no letter yet", max_length=2000, widget=forms.Textarea(attrs={"rows": 3})
    )
    meanwhile = forms.CharField(
        label="What is done meanwhile",
        max_length=2000,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="such as: no record of a regulated study is signed until the letter is sent",
    )
    approver = forms.ModelChoiceField(
        User.objects.filter(groups__name=Role.APPROVER, is_active=True),
        help_text="somebody else of quality, who signs it",
    )


class Filed(forms.Form):
    sent_on = forms.DateField(label="Sent on", widget=forms.DateInput(attrs={"type": "date"}))
    addressee = forms.CharField(max_length=300, initial=", ".join(AGENCY))
    scope = forms.CharField(max_length=2000, widget=forms.Textarea(attrs={"rows": 3}))
    copy = forms.FileField(
        label="Copy of the letter", help_text="the signed letter as PDF, with the proof of delivery if there is one"
    )

    def clean_copy(self) -> bytes:
        given = self.cleaned_data["copy"]
        if given.size > LARGEST:
            raise forms.ValidationError("The copy is larger than 10 MB.")
        data = given.read()
        try:
            page_count(data)
        except Unreadable:
            raise forms.ValidationError("This is no PDF that can be read.") from None
        return bytes(data)


def letter(firm: str, scope: list[str], signatory: str) -> LetterToSign:
    """The certification in the words of the e-signature SOP, with the scope as a list."""
    lines = [line.strip() for line in scope if line.strip()]
    return LetterToSign(
        sender=[line.strip() for line in firm.splitlines() if line.strip()],
        addressee=AGENCY,
        date="Date: ____________________",
        subject=SUBJECT,
        before=[
            "Pursuant to Section 11.100 of Title 21 of the Code of Federal Regulations, this is to certify that"
            f" {' '.join(firm.split())} intends that all electronic signatures executed by its employees, agents and"
            " representatives, located anywhere in the world, are the legally binding equivalent of traditional handwritten"
            " signatures.",
            "This certification covers:",
        ],
        scope=lines,
        after=["On request of the agency we certify the same for a single electronic signature (21 CFR 11.100(c)(2))."],
        signatory=signatory,
    )


def file_copy(data: bytes, **facts: object) -> Letter:
    """Keep the copy in the WORM store first, then put the letter into the register."""
    pin = worm.put(data, media_type="application/pdf", retain_until=worm.years_after(clock.now(), YEARS_KEPT))
    return transitions.file_letter(copy=pin.to_json(), **facts)  # type: ignore[arg-type]


@require_http_methods(FORM_METHODS)
def register(request: PersonRequest) -> HttpResponse:
    """The register; POST files a letter."""
    files = may(request.user, "letter.file")
    if request.method == "POST":
        demand(request.user, "letter.file")
    form = Filed(request.POST, request.FILES) if request.method == "POST" else Filed()

    def verb() -> None:
        typed = form.cleaned_data
        try:
            file_copy(
                typed["copy"],
                sent_on=typed["sent_on"],
                scope=typed["scope"],
                addressee=typed["addressee"],
                by=request.user,
            )
        except StorageError as error:
            raise trail.Refused(f"The copy could not be kept: {error}", by=request.user) from error

    status = answered(form, verb, request)
    if status == 302:
        messages.success(request, "The letter is filed, and its copy kept.")
        return redirect("portal:letter")
    context = {
        "letters": Letter.objects.select_related("filed_by"),
        "waivers": LetterWaiver.objects.all(),
        "now": clock.now(),
        "form": form if files else None,
        "crumbs": [{"label": "Letter to the agency"}],
    }
    return render(request, "portal/letter.html", context, status=status)


@require_http_methods(FORM_METHODS)
def waive(request: PersonRequest) -> HttpResponse:
    """Ask for a waiver: a report that says why, which another approver signs. It ends by itself."""
    demand(request.user, "letter.file")
    form = Waiver(request.POST or None)
    sealed: list[Version] = []
    status = answered(form, lambda: sealed.append(_waiver(request.user, form)), request)
    if status == 302:
        messages.success(request, "The waiver is written, and waits for its approval.")
        obstacles.tell(request, sealed[0])
        return redirect(sealed[0])
    context = {"form": form, "days": WAIVED_FOR.days}
    return render(request, "portal/letter_waive.html", context, status=status)


def _waiver(by: User, form: Waiver) -> Version:
    typed = form.cleaned_data
    approver: User = typed["approver"]
    asked = [Asked(1, Meaning.APPROVAL, Role.APPROVER, approver)]
    area = reports.area_of(by, User.objects.filter(pk=approver.pk))
    if area and not approver.areas.contains(area):
        raise trail.Refused(
            f"{approver} is in none of your areas, and could not see the waiver: ask somebody else.", by=by
        )
    try:
        return reports.seal_report(
            LETTER_WAIVER,
            title="Waiver of the letter under 21 CFR 11.100(c)",
            sections=[
                Section(
                    "What is waived",
                    f"Signing does not wait for the letter, for {WAIVED_FOR.days} days from the approval.",
                ),
                Section("Why", typed["reason"]),
                Section("What is done meanwhile", typed["meanwhile"]),
            ],
            data={"reason": typed["reason"], "meanwhile": typed["meanwhile"], "days": WAIVED_FOR.days},
            by=by,
            area=area,
            message=typed["reason"],
            contributors=[str(by.pk)],
            then=lambda version: requests.open_route(version, asked, by=by),
        )
    except StorageError as error:
        raise trail.Refused(f"The waiver could not be kept: {error}", by=by) from error


@require_GET
def template(request: PersonRequest) -> HttpResponse:
    """The letter to print and sign by hand, made from what is typed; nothing of it is kept."""
    demand(request.user, "letter.file")
    form = Template(request.GET or None)
    if not form.is_valid():
        return render(request, "portal/letter_template.html", {"form": form}, status=400 if form.is_bound else 200)
    name = "letter-21-CFR-11.100c.pdf"
    return HttpResponse(
        form.letter(),
        content_type="application/pdf",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


@require_GET
def copy(request: PersonRequest, pk: str) -> HttpResponse:
    """The copy that was kept, hashed again."""
    held = get_object_or_404(Letter, pk=pk)
    trail.access(request.user, "export", held)
    try:
        data = worm.get(worm.Pin.from_json(held.copy))
    except StorageError as error:
        return HttpResponse(str(error), status=502, content_type="text/plain; charset=utf-8")
    return HttpResponse(
        data,
        content_type="application/pdf",
        headers={"Content-Disposition": f'attachment; filename="letter-{held.sent_on}.pdf"'},
    )


URLS = [
    path("letter/", register, name="letter"),
    path("letter/waive/", waive, name="letter_waive"),
    path("letter/template/", template, name="letter_template"),
    path("letter/<uuid:pk>.pdf", copy, name="letter_copy"),
]
