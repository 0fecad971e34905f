"""The kinds of record: a closed list, with what differs between them as plain data."""

from dataclasses import dataclass

from django.db.models import TextChoices


class Kind(TextChoices):
    DATA = "data", "Data package"
    DEFINITION = "definition", "Record definition"
    DOCUMENT = "document", "Validation document"
    SOP = "sop", "SOP"
    REPORT = "report", "Report"


@dataclass(frozen=True)
class KindFacts:
    """`lifecycle`: which table of steps its versions follow. `section`: where its pages live, /records/ or /documents/.
    `writing`: the permission that makes a new version."""

    lifecycle: str
    section: str
    writing: str


FACTS: dict[str, KindFacts] = {
    Kind.DATA: KindFacts("data", "records", "record.register"),
    Kind.DEFINITION: KindFacts("document", "documents", "definition.write"),
    Kind.DOCUMENT: KindFacts("document", "documents", "document.write"),
    Kind.SOP: KindFacts("document", "documents", "document.write"),
    Kind.REPORT: KindFacts("document", "documents", "report.write"),
}
