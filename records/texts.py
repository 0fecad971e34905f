"""The text of a section as safe HTML, the same in the editor's preview and on the pages of a document."""

from collections.abc import Mapping

from django.utils.safestring import SafeString, mark_safe

from printing.markdown import headings, to_html
from records import open_places
from records.models import Record

SECTION_LEVEL = 2  # a section's own heading on a page; its text's headings begin one below


def html_of(record: Record, section: Mapping[str, str], *, prefix: str = "", marks: bool = False) -> SafeString:
    """The section with the record's own images; `marks` shows the places that are still open."""
    text = section["text"]
    highest = min((heading.level for heading in headings(text)), default=1)
    html = to_html(
        text,
        lambda name: f"{record.get_absolute_url()}images/{name}",
        prefix=prefix or f"{section.get('id', '')}-",
        shift=SECTION_LEVEL + 1 - highest,
    )
    return mark_safe(open_places.marked(html) if marks else html)  # noqa: S308 - cleaned; the marks are ours
