"""What a signature can mean (21 CFR 11.50(a)(3)): a closed list, with the sentence that the signer puts their name to."""

from django.db.models import TextChoices


class Meaning(TextChoices):
    REVIEW = "review", "Review"
    APPROVAL = "approval", "Approval"
    REJECTION = "rejection", "Rejection"
    READING = "reading", "Read and understood"
    RESPONSIBILITY = "responsibility", "Responsibility for the report"
    WITHDRAWAL = "withdrawal", "Withdrawal"
    DISPOSITION = "disposition", "Disposition"
    RETIREMENT = "retirement", "Retirement"


class Outcome(TextChoices):
    """What a disposition decides about the signature that it is about."""

    STANDS = "stands", "Stands"
    FALLS = "does not stand", "Does not stand"


SENTENCES: dict[str, str] = {
    Meaning.REVIEW: "I have reviewed this version and find it ready for approval.",
    Meaning.APPROVAL: "I approve this version for its intended use.",
    Meaning.REJECTION: "I do not approve this version, for the reason given.",
    Meaning.READING: "I have read and understood this version.",
    Meaning.RESPONSIBILITY: "I have made this report and answer for its findings.",
    Meaning.WITHDRAWAL: "I withdraw my signature on this version, for the reason given.",
    Meaning.DISPOSITION: "I have examined the signature named here and decide on it, for the reason given.",
    Meaning.RETIREMENT: "I take this version out of effect, for the reason given.",
}

DECISIONS: dict[str, str] = {
    Outcome.STANDS: "I have examined the signature named here and decide that it stands, for the reason given.",
    Outcome.FALLS: "I have examined the signature named here and decide that it does not stand, for the reason given.",
}

# What the signer's role must include, by meaning.
PERMISSIONS: dict[str, str] = {
    Meaning.REVIEW: "sign.review",
    Meaning.APPROVAL: "sign.approve",
    Meaning.REJECTION: "sign.review",
    Meaning.READING: "sign.reading",
    Meaning.RESPONSIBILITY: "sign.responsibility",
    Meaning.WITHDRAWAL: "sign.reading",
    Meaning.DISPOSITION: "sign.disposition",
    Meaning.RETIREMENT: "document.retire",
}

# Those of a version's own course; the others speak about what was signed, or is in effect, already.
OF_THE_ROUTE = frozenset({Meaning.REVIEW, Meaning.APPROVAL, Meaning.REJECTION, Meaning.RESPONSIBILITY})
WITH_REASON = frozenset({Meaning.REJECTION, Meaning.WITHDRAWAL, Meaning.DISPOSITION, Meaning.RETIREMENT})
WITHDRAWABLE = frozenset({*OF_THE_ROUTE, Meaning.READING})

# One of these must be asked for: it is what makes the version approved. A report is answered for by whoever made it, and
# nobody whose acts it judges signs it.
DECIDING = frozenset({Meaning.APPROVAL, Meaning.RESPONSIBILITY})
