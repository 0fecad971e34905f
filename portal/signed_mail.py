"""Tells the author by mail what became of a version: who signed it, when, and with what meaning (21 CFR 11.50(b))."""

from typing import Any

from django.conf import settings
from django.core.mail import send_mail

from jobs import queue
from jobs.models import Job
from portal.pages import manifestation
from printing.templatetags.look import utc
from records.models import Version
from signatures.models import Signature
from signatures.queries import OPEN_STATES

JOB = "signatures.digest"


def asked(signature: Signature) -> list[queue.Asked]:
    """The mail, once no more signatures are asked for on the version."""
    version = signature.version
    if version.state in OPEN_STATES:
        return []
    args = {"version": str(version.pk), "title": "Mail of the signatures", "page": version.get_absolute_url()}
    return [queue.Asked(JOB, args, key=f"{version.pk}:{version.state}")]


@queue.handler(JOB)
def send(job: Job) -> dict[str, Any]:
    version = Version.objects.select_related("record__type", "author").get(pk=job.args["version"])
    if not version.author.is_active or not version.author.email:
        return {"mails": 0}
    send_mail(*letter(version), settings.DEFAULT_FROM_EMAIL, [version.author.email])
    return {"mails": 1}


def letter(version: Version) -> tuple[str, str]:
    """Subject and text; each signature with printed name, meaning, and time in UTC."""
    told = "\n".join(
        f"  {block.printed_name}, {block.role}: {block.meaning}, {utc(block.signed_at, 's')}\n    {block.validity}"
        for block in manifestation.blocks(version)
    )
    title = " ".join(version.record.title.split())
    state = version.get_state_display().lower()
    text = f"""{version.author.legal_name},

{version.label}, {title}, is {state}. It was signed by:

{told}

  {settings.SITE_URL}{version.get_absolute_url()}

This mail is no part of the record, and shows the signatures as they were when it was sent.
"""
    return f"{version.get_state_display()}: {version.label}", text
