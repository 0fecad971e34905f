"""What a signature can mean (21 CFR 11.50(a)(3)): a closed list, with the sentence that the signer puts their name to."""

from django.db.models import TextChoices


class Meaning(TextChoices):
    REVIEW = "review", "Review"
    APPROVAL = "approval", "Approval"
    REJECTION = "rejection", "Rejection"
    READING = "reading", "Read and understood"
    RESPONSIBILITY = "responsibility", "Responsibility for the report"


SENTENCES: dict[str, str] = {
    Meaning.REVIEW: "I have reviewed this version and find it ready for approval.",
    Meaning.APPROVAL: "I approve this version for its intended use.",
    Meaning.REJECTION: "I do not approve this version, for the reason given.",
    Meaning.READING: "I have read and understood this version.",
    Meaning.RESPONSIBILITY: "I have made this report and answer for its findings.",
}

# What the signer's role must include, by meaning.
PERMISSIONS: dict[str, str] = {
    Meaning.REVIEW: "sign.review",
    Meaning.APPROVAL: "sign.approve",
    Meaning.REJECTION: "sign.review",
    Meaning.READING: "sign.reading",
    Meaning.RESPONSIBILITY: "sign.responsibility",
}

# One of these must be asked for: it is what makes the version approved. A report is answered for by whoever made it, and
# nobody whose acts it judges signs it.
DECIDING = frozenset({Meaning.APPROVAL, Meaning.RESPONSIBILITY})
