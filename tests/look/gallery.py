"""Every component with sample data, drawn on the real shell: what the tests of the look render, and what one looks at while changing it.

All names, numbers and hashes here are made up.
"""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from django import forms
from django.contrib.auth.models import AnonymousUser
from django.template import engines
from django.test import RequestFactory
from django.utils.html import format_html

from printing.templatetags import look

FOLDER = Path(__file__).parent
HASH = "9f3c41d7a6b05f1e88c2d4470b1c9e3f5a6d7788990011aabbccddeeff00e02b"
OTHER = "41be09aa77d0c3f15e2b8890aa12bc34de56f7089a1b2c3d4e5f60718293a477"
NOON = datetime(2026, 11, 20, 14, 22, 7, 408000, tzinfo=UTC)

NAV = [
    {"label": "Desk", "url": "#desk", "icon": "inbox", "badge": 4},
    {"label": "Records", "url": "#records", "icon": "archive", "active": True},
    {"label": "Documents", "url": "#documents", "icon": "file-earmark-text"},
    {"label": "Training", "url": "#training", "icon": "mortarboard"},
    {"label": "Audit", "url": "#audit", "icon": "clock-history"},
    {"label": "Inspection", "url": "#inspection", "icon": "clipboard-check"},
    {"divider": True},
    {"label": "Jobs", "url": "#jobs", "icon": "list-task"},
    {"label": "Administration", "url": "#people", "icon": "gear"},
]


class Sample(forms.Form):
    """One field of each form, and enough wrong with it to show errors."""

    title = forms.CharField(help_text="As it shall stand on the first page.")
    number = forms.CharField(required=False, help_text="Left empty, the next one is taken: <code>URS-0005</code>.")
    area = forms.ChoiceField(choices=[("seq", "Sequencing laboratory"), ("qa", "Quality assurance")])
    summary = forms.CharField(widget=forms.Textarea(attrs={"rows": 3}), required=False)
    due = forms.DateField(widget=forms.DateInput(attrs={"type": "date"}))
    route = forms.ChoiceField(
        choices=[("one", "Reviewer, then approver"), ("two", "Two reviewers, then approver")], widget=forms.RadioSelect
    )
    lab = forms.BooleanField(label="This record is made under a predicate rule", required=False)
    manifest = forms.FileField(required=False, help_text="A Quilt manifest, JSON Lines.")
    code = forms.CharField(
        label="One-time code", widget=forms.TextInput(attrs={"inputmode": "numeric", "autocomplete": "one-time-code"})
    )

    def clean(self) -> dict[str, Any]:
        raise forms.ValidationError("The author of a document cannot be its approver.")


def part(op: str, text: str) -> dict[str, str]:
    return {"op": op, "text": text}


DIFF = {
    "left_label": "1.0, effective",
    "right_label": "version 4, in review",
    "rows": [
        {"kind": "same", "left_no": 11, "right_no": 11, "left": [part("same", "## URS-012 Signature with a second factor")], "right": [part("same", "## URS-012 Signature with a second factor")]},
        {
            "kind": "change", "left_no": 12, "right_no": 12,
            "left": [part("same", "The system shall ask for a password "), part("del", "or"), part("same", " a one-time code at the moment of signing.")],
            "right": [part("same", "The system shall ask for a password "), part("ins", "and"), part("same", " a "), part("ins", "fresh "), part("same", "one-time code at the moment of signing.")],
        },
        {"kind": "del", "left_no": 13, "right_no": None, "left": [part("del", "A code may be used again within its thirty seconds.")], "right": []},
        {"kind": "skip", "count": 42},
        {"kind": "add", "left_no": None, "right_no": 56, "left": [], "right": [part("ins", "A code that was used shall be refused, and the refusal shall be on the audit trail.")]},
        {"kind": "same", "left_no": 56, "right_no": 57, "left": [part("same", "Each signature shall carry the printed name of the signer.")], "right": [part("same", "Each signature shall carry the printed name of the signer.")]},
    ],
}  # fmt: skip

SIGNATURES = [
    {"printed_name": "Chidi Okafor", "role": "QA approver", "meaning": "Approval", "sentence": "I approve this package for submission use.", "signed_at": NOON, "top_hash": HASH, "state": "valid", "url": "#sig"},
    {"printed_name": "Maja Ruiz", "role": "Reviewer", "meaning": "Review", "sentence": "I reviewed manifest, QC report and pipeline version.", "signed_at": NOON - timedelta(hours=3), "top_hash": HASH, "state": "seal_pending"},
    {
        "printed_name": "Anna Lindqvist", "role": "Scientist", "meaning": "Authorship", "sentence": "I made this package.", "signed_at": NOON - timedelta(days=1), "top_hash": OTHER, "state": "valid",
        "withdrawn": {"by": "Anna Lindqvist", "at": NOON - timedelta(hours=20), "reason": "signed the wrong run"},
    },
    {"role": "QA approver", "meaning": "Approval", "state": "waiting", "due": "asked of the QA approvers, due 24 Nov 2026"},
]  # fmt: skip

VERDICTS = [
    {
        "tone": "ok", "say": "Unchanged since it was signed.", "meta": "Proved 20 Nov 2026 14:22:07 UTC · 7 files, 1.42 GB read by version id in 41 s",
        "rows": [
            {"what": "Signed", "hash": HASH, "at": NOON - timedelta(days=200), "state": "matches"},
            {"what": "Registered", "hash": HASH, "at": NOON - timedelta(days=201), "state": "matches"},
            {"what": "Bytes on S3 now", "hash": HASH, "when": "just now", "state": "matches"},
            {"what": "Object Lock", "value": "Compliance until 12 Apr 2036", "when": "just now", "state": "locked", "label": "7 of 7 locked"},
        ],
        "know": ["Each object was fetched by its version id and hashed as it streamed.", "A newer object version or a delete marker on the same key would be listed here: there is none."],
        "cannot": ["Who read copies outside this bucket."], "open": True,
    },
    {"tone": "bad", "say": "Changed: one file differs from what was signed.", "meta": "qc_report.json, version id 3HL4kqtJ", "rows": [{"what": "qc_report.json", "hash": OTHER, "when": "just now", "state": "differs"}], "know": ["The bytes were hashed twice."]},
    {"tone": "warn", "say": "Two of 7 files could not be read.", "meta": "The bucket refused with AccessDenied; what could be read is unchanged."},
]  # fmt: skip

DAYS = [
    {
        "day": date(2026, 11, 19),
        "entries": [
            {"at": NOON.replace(day=19, hour=16), "source": "s3", "sentence": format_html("A. Lindqvist read <b>4 files</b> (1.2 GB) through role <code>ngs-analyst</code>"), "detail": "CloudTrail · version named in the event · from 10.2.4.17", "who": "PROVEN"},
            {"at": NOON.replace(day=19), "source": "refused", "sentence": format_html("<b>Delete refused</b> on <code>reads_R1.fastq.gz</code>: the object is locked"), "detail": "CloudTrail · AccessDenied · session cleanup-job", "who": "UNRESOLVED"},
            {"at": NOON.replace(day=19, hour=11), "source": "signature", "sentence": "C. Okafor approved version 3", "detail": "Signature · bound to 9f3c41d7 … e02b", "who": "PROVEN", "url": "#entry"},
            {"at": NOON.replace(day=19, hour=9), "source": "portal", "sentence": "M. Ruiz opened version 3 and exported the audit trail as PDF", "detail": "Portal · job 4821", "who": "PROVEN"},
        ],
    },
    {"day": date(2026, 11, 18), "entries": [{"at": NOON.replace(day=18), "source": "system", "sentence": "Nightly verification read 7 files: all unchanged", "detail": "System"}]},
]  # fmt: skip

FACTS = [
    {"label": "Top hash", "hash": HASH},
    {"label": "Admitted by", "value": "DEF-0002 rev 2.0, NGS run package", "url": "#def"},
    {"label": "Registered", "at": NOON},
    {"label": "By", "person": "Anna Lindqvist", "note": "Scientist"},
    {"label": "Study / project", "value": "ST-114 / ONC-2"},
    {"label": "Retention", "at": date(2036, 4, 12)},
    {"label": "State", "state": "effective"},
]

HOURS = [
    {"state": "proved", "amount": 1318, "words": "1,318 h proved"},
    {"state": "gap", "amount": 64, "words": "64 h not covered"},
    {"state": "proved", "amount": 763, "words": "763 h proved"},
    {"state": "pending", "amount": 15, "words": "15 h pending"},
]
LEGEND = [
    {"state": "proved", "words": "2,081 h proved"},
    {"state": "gap", "words": "64 h not covered (trail stopped 3 Sep)"},
    {"state": "pending", "words": "15 h pending"},
]

STEPS = [
    {"label": "Submitted", "state": "done", "detail": "A. Lindqvist", "at": NOON - timedelta(days=3)},
    {"label": "Review", "state": "done", "detail": "M. Ruiz", "at": NOON - timedelta(days=1)},
    {"label": "Approval", "state": "now", "detail": "C. Okafor, due tomorrow"},
    {"label": "Effective", "state": "todo", "detail": "on 1 Dec 2026"},
]

ROWS = [
    {"number": "KRAS-001", "title": "Lung panel, run 2026-04", "type": "NGS run package", "version": 3, "state": "approved", "owner": "Anna Lindqvist", "at": NOON, "size": 1_420_000_000},
    {"number": "KRAS-004", "title": "Lung panel, run 2026-11", "type": "NGS run package", "version": 1, "state": "registered", "owner": "Anna Lindqvist", "at": NOON - timedelta(days=4), "size": 88_213_311},
    {"number": "URS-0001", "title": "User requirements, S3 records system", "type": "User requirements", "version": 4, "state": "in_review", "owner": "Maja Ruiz", "at": NOON - timedelta(days=9), "size": 48_211},
    {"number": "SOP-0007", "title": "Electronic signatures", "type": "Procedure", "version": 2, "state": "superseded", "owner": "Chidi Okafor", "at": NOON - timedelta(days=90), "size": 912},
]  # fmt: skip

PROSE = """# Purpose

This document states what the records system must do for **regulated data packages** kept on Amazon S3.

| Item | Requirement |
|---|---|
| URS-012 | The system shall ask for a password and a fresh one-time code. |

1. Each signature shall carry the printed name of the signer.
2. Any later change shows, by `SHA-256`.
"""


def context() -> dict[str, Any]:
    wrong = Sample({"title": "", "area": "nowhere", "due": ""})
    return {
        "nav": NAV,
        "me": {"name": "Chidi Okafor", "role": "QA approver, Sequencing laboratory"},
        "product_version": "0.1.0",
        "told": [("ok", "check-circle", "Version 3 was approved and is effective from 1 December 2026."), ("bad", "x-circle", "The code is wrong, or its thirty seconds are over. Wait for the next one."), ("warn", "exclamation-triangle", "Your reading of SOP-0007 is due in 3 days."), ("info", "info-circle", "The evidence pack is being made.")],
        "now": NOON,
        "soon": datetime.now(UTC) + timedelta(seconds=102),
        "top_hash": HASH,
        "states": ["draft", "in_review", "approved", "effective", "superseded", "rejected", "due", "registered", "withdrawn", "not_run"],
        "crumbs": [{"label": "Records", "url": "#records"}, {"label": "NGS run package", "url": "#type"}, {"label": "KRAS-001"}],
        "tabs": [{"label": "Overview", "url": "#", "active": True}, {"label": "Files", "url": "#f", "count": 7}, {"label": "Signatures", "url": "#s", "count": 3}, {"label": "Audit", "url": "#a"}, {"label": "Trace", "url": "#t"}, {"label": "Versions", "url": "#v", "count": 0}],
        "signatures": SIGNATURES,
        "verdicts": VERDICTS,
        "days": DAYS,
        "facts": FACTS,
        "hours": HOURS,
        "legend": LEGEND,
        "steps": STEPS,
        "rows": ROWS,
        "diff": DIFF,
        "form": Sample(),
        "wrong": wrong,
        "prose": PROSE,
        "prose_html": look.markdown(PROSE),
        "jobs": [
            {"id": "a", "state": "running", "done": 4, "total": 7, "message": "reads_R2.fastq.gz, 512 MB of 690 MB"},
            {"id": "b", "state": "queued", "done": 0, "total": 0},
            {"id": "c", "state": "failed", "done": 1, "total": 7, "error": "The bucket refused to give qc_report.json (AccessDenied)."},
            {"id": "d", "state": "done", "done": 7, "total": 7},
        ],
    }  # fmt: skip


def page(name: str = "gallery.html") -> str:
    """The gallery, or another page of this folder, as HTML."""
    request = RequestFactory().get("/")
    request.user = AnonymousUser()
    return engines["django"].from_string((FOLDER / name).read_text()).render(context() | {"hold": None}, request)
