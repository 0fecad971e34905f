"""Tags and filters that draw the components of `templates/components/`, and say times, sizes and states in words.

Tags that draw a component are inclusion tags, so that a page reads `{% pill version.state %}`; what each component
takes is written at the top of its template. Nothing here touches the database.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from typing import Any, NamedTuple

from django import template
from django.forms import BoundField, CheckboxInput, ClearableFileInput, RadioSelect
from django.forms.widgets import CheckboxSelectMultiple
from django.templatetags.static import static
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from printing.markdown import to_html

register = template.Library()


class Tone(NamedTuple):
    """How a state looks (a class of look.css) and reads."""

    tone: str
    words: str


OK, WARN, BAD, INFO, MUTE = "ok", "warn", "bad", "info", "mute"

STATES: Mapping[str, Tone] = {
    # a document, a version
    "draft": Tone(MUTE, "Draft"),
    "in_review": Tone(INFO, "In review"),
    "approved": Tone(OK, "Approved"),
    "approved_in_doubt": Tone(WARN, "Approved, in doubt"),
    "approval_void": Tone(BAD, "Approval void"),
    "rejected": Tone(BAD, "Rejected"),
    "recalled": Tone(MUTE, "Recalled"),
    "retired": Tone(MUTE, "Retired"),
    "registered": Tone(INFO, "Registered"),
    "effective": Tone(OK, "Effective"),
    "scheduled": Tone(INFO, "Approved, not yet effective"),
    "superseded": Tone(MUTE, "Superseded"),
    # a signature
    "valid": Tone(OK, "Valid"),
    "invalid": Tone(BAD, "Not valid"),
    "withdrawn": Tone(BAD, "Withdrawn"),
    "under_review": Tone(WARN, "Under review"),
    "fallen": Tone(BAD, "Does not stand"),
    "void": Tone(MUTE, "Void"),
    "seal_pending": Tone(WARN, "Valid, seal pending"),
    "waiting": Tone(MUTE, "Waiting"),
    "lifted": Tone(MUTE, "Lifted"),
    "lapsed": Tone(MUTE, "Lapsed"),
    "signed": Tone(OK, "Signed"),
    # a comparison
    "matches": Tone(OK, "matches"),
    "differs": Tone(BAD, "differs"),
    "missing": Tone(BAD, "missing"),
    "locked": Tone(OK, "locked"),
    "unlocked": Tone(BAD, "not locked"),
    "unchecked": Tone(MUTE, "not checked"),
    "unchanged": Tone(OK, "Unchanged"),
    "changed": Tone(BAD, "Changed"),
    "unreadable": Tone(WARN, "could not be read"),
    # work
    "queued": Tone(MUTE, "Queued"),
    "running": Tone(INFO, "Running"),
    "done": Tone(OK, "Done"),
    "failed": Tone(BAD, "Failed"),
    "open": Tone(INFO, "Open"),
    "closed": Tone(MUTE, "Closed"),
    "due": Tone(WARN, "Due"),
    "overdue": Tone(BAD, "Overdue"),
    "pending": Tone(WARN, "Pending"),
    "refused": Tone(BAD, "Refused"),
    # an alarm
    "standing": Tone(BAD, "Standing"),
    "unacknowledged": Tone(WARN, "Not acknowledged"),
    "acknowledged": Tone(INFO, "Acknowledged, standing"),
    # storage posture
    "passes": Tone(OK, "Passes"),
    "fails": Tone(BAD, "Fails"),
    "unread": Tone(WARN, "Could not be read"),
    "not_asked": Tone(MUTE, "Not asked for"),
    # clocks
    "well": Tone(OK, "Agree"),
    "apart": Tone(BAD, "Apart"),
    "back": Tone(BAD, "Behind the trail"),
    "stepped": Tone(WARN, "Set"),
    # training
    "trained": Tone(OK, "Trained"),
    "not_trained": Tone(BAD, "Not trained"),
    # people
    "active": Tone(OK, "Active"),
    "invited": Tone(INFO, "Invited"),
    "suspected": Tone(BAD, "Under suspicion"),
    "dormant": Tone(WARN, "Locked: not used"),
    "locked_out": Tone(BAD, "Locked out"),
    "inactive": Tone(MUTE, "Deactivated"),
    "expired": Tone(MUTE, "Expired"),
    # trace and tests
    "covered": Tone(OK, "Covered"),
    "uncovered": Tone(BAD, "Not covered"),
    "suspect": Tone(WARN, "Suspect"),
    "passed": Tone(OK, "Passed"),
    "not_run": Tone(MUTE, "Not run"),
    # how well an actor is known
    "proven": Tone(OK, "PROVEN"),
    "claimed": Tone(INFO, "CLAIMED"),
    "service": Tone(MUTE, "SERVICE"),
    "unresolved": Tone(WARN, "UNRESOLVED"),
    # what the portal cannot say
    "unknown": Tone(MUTE, "Unknown"),
}

VERDICT_ICONS: Mapping[str, str] = {
    OK: "check-circle",
    WARN: "exclamation-triangle",
    BAD: "x-circle",
    INFO: "info-circle",
    MUTE: "question-circle",
}

MESSAGE_TONES: Mapping[str, str] = {"success": OK, "warning": WARN, "error": BAD, "info": INFO, "debug": MUTE}

SOURCES: Mapping[str, str] = {
    "portal": "Portal",
    "signature": "Signature",
    "s3": "CloudTrail",
    "system": "System",
    "refused": "Refused",
}

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
FULL_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip


def tone_of(state: object) -> Tone:
    """Tone and words of a state, whatever its case; a state that the table lacks is shown muted, in its own words."""
    name = str(state or "unknown").strip()
    known = STATES.get(name.lower().replace(" ", "_").replace("-", "_"))
    return known or Tone(MUTE, name.replace("_", " ").capitalize())


@register.filter
def state_tone(state: object) -> str:
    """`ok`, `warn`, `bad`, `info` or `mute`."""
    return tone_of(state).tone


@register.filter
def state_words(state: object) -> str:
    """A state as people say it: `in_review` is "In review"."""
    return tone_of(state).words


@register.filter
def message_tone(tags: str) -> str:
    """The tone of a message of django.contrib.messages, by its tags."""
    return next((MESSAGE_TONES[tag] for tag in (tags or "").split() if tag in MESSAGE_TONES), MUTE)


@register.filter
def verdict_icon(tone: str) -> str:
    """The sprite's icon for a tone: never colour alone."""
    return VERDICT_ICONS.get(tone, "info-circle")


@register.filter
def source_words(source: str) -> str:
    """Where an entry of a timeline comes from, in words."""
    return SOURCES.get(source, "Entry")


def in_utc(moment: datetime) -> datetime:
    """The same moment in UTC. A naive datetime is a fault in the caller, and is said so (ValueError)."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment!r} has no time zone")
    return moment.astimezone(UTC)


@register.filter
def utc(moment: datetime | date | None, precision: str = "m") -> str:
    """A time in UTC in words that every reader reads alike: `12 Apr 2026 14:22 UTC`.

    `precision`: `date`, `m` (minutes), `s`, `ms`, `us`, or `clock` for `14:22:07` alone. Nothing for None.
    """
    if moment is None or moment == "":
        return ""
    if not isinstance(moment, datetime):
        return f"{moment.day} {MONTHS[moment.month - 1]} {moment.year}"
    at = in_utc(moment)
    day = f"{at.day} {MONTHS[at.month - 1]} {at.year}"
    clock = {
        "m": f"{at:%H:%M}",
        "s": f"{at:%H:%M:%S}",
        "ms": f"{at:%H:%M:%S}.{at.microsecond // 1000:03d}",
        "us": f"{at:%H:%M:%S.%f}",
    }
    if precision == "date":
        return day
    if precision == "clock":
        return clock["s"]
    return f"{day} {clock[precision]} UTC"


@register.filter
def weekday(day: datetime | date) -> str:
    """`Thursday 19 November 2026`, the heading of a day in a timeline (a datetime counts in UTC)."""
    if isinstance(day, datetime):
        day = in_utc(day).date()
    return f"{WEEKDAYS[day.weekday()]} {day.day} {FULL_MONTHS[day.month - 1]} {day.year}"


@register.filter
def iso(moment: datetime | date | None) -> str:
    """RFC 3339 in UTC with `Z`, for machines and for the datetime attribute."""
    if moment is None:
        return ""
    if not isinstance(moment, datetime):
        return moment.isoformat()
    return in_utc(moment).isoformat().replace("+00:00", "Z")


@register.simple_tag
def utc_now() -> datetime:
    """When this page was made, to be shown only: facts take their time from the database's clock."""
    return datetime.now(UTC)


@register.filter
def moment(written: str) -> datetime | None:
    """A time that is kept as ISO 8601, for the tags and filters that say times; None for ""."""
    return datetime.fromisoformat(written) if written else None


@register.filter
def short_hash(value: object) -> str:
    """`9f3c41d7 … e02b`: the first eight and last four digits, after the algorithm's name if it has one."""
    text = str(value or "")
    name, colon, digits = text.rpartition(":")
    if len(digits) <= 14:
        return text
    return f"{name}{colon}{digits[:8]} … {digits[-4:]}"


@register.filter
def filesize(size: int | None) -> str:
    """Bytes in decimal units, three figures, as storage consoles and invoices count them: `1.42 GB`, `17 B`."""
    if size is None:
        return ""
    amount = float(size)
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if abs(amount) < 999.5 or unit == "TB":
            break
        amount /= 1000
    if unit == "B":
        return f"{size} B"
    places = 2 if amount < 9.995 else 1 if amount < 99.95 else 0
    return f"{amount:.{places}f} {unit}"


@register.filter
def initials(name: object) -> str:
    """First letters of the first and last word: `Chidi Okafor` is `CO`; `?` for nobody."""
    words = re.findall(r"[^\W_]+", str(name or ""))
    if not words:
        return "?"
    return (words[0][0] + (words[-1][0] if len(words) > 1 else "")).upper()


@register.filter
def markdown(text: str | None) -> SafeString:
    """Markdown as safe HTML (rendered and cleaned by `printing.markdown`)."""
    return mark_safe(to_html(text or ""))  # noqa: S308 - to_html cleans what it returns


@register.simple_tag
def icon(name: str, label: str = "", size: str = "") -> SafeString:
    """An icon of the sprite, hidden from screen readers unless it has a `label`; `size="big"` is 22 px."""
    return format_html(
        '<svg class="icon{}" {}><use href="{}#{}"></use></svg>',
        f" {size}" if size else "",
        format_html('role="img" aria-label="{}"', label) if label else mark_safe('aria-hidden="true"'),
        static("icons.svg"),
        name,
    )


@register.inclusion_tag("components/pill.html")
def pill(state: object, label: str = "", tone: str = "") -> dict[str, Any]:
    return {"state": state, "label": label, "tone": tone}


@register.inclusion_tag("components/hash.html", name="hash")
def hash_tag(value: object, what: str = "hash", copy: bool = True) -> dict[str, Any]:
    return {"value": value, "what": what, "copy": copy}


@register.inclusion_tag("components/time.html", name="time")
def time_tag(at: datetime | date | None, precision: str = "m") -> dict[str, Any]:
    return {"at": at, "precision": precision}


@register.inclusion_tag("components/person.html")
def person(name: object, note: str = "", size: str = "") -> dict[str, Any]:
    return {"name": name, "note": note, "size": size}


def kind_of(bound: BoundField) -> str:
    """Which of the four forms a field takes on the page: `group`, `check`, `file` or `line`."""
    widget = bound.field.widget
    if isinstance(widget, RadioSelect | CheckboxSelectMultiple):
        return "group"
    if isinstance(widget, CheckboxInput):
        return "check"
    return "file" if isinstance(widget, ClearableFileInput) else "line"


@register.inclusion_tag("components/field.html")
def field(bound: BoundField, extra: str = "") -> dict[str, Any]:
    """One bound form field with label, help and errors. `extra`: more classes, such as `code` for a one-time code."""
    return {"field": bound, "kind": kind_of(bound), "extra": extra}


@register.inclusion_tag("components/form_errors.html")
def form_errors(form: Any) -> dict[str, Any]:
    return {"form": form}


class Stretch(NamedTuple):
    """A part of a coverage bar; `x` and `width` are percentages with a sign, ready for SVG."""

    state: str
    x: str
    width: str
    words: str


def read(item: Any, name: str, default: Any = None) -> Any:
    """A key of a mapping or an attribute of an object, as templates read them."""
    return item.get(name, default) if isinstance(item, Mapping) else getattr(item, name, default)


def stretches(segments: Iterable[Any]) -> list[Stretch]:
    """Lay segments of any unit (`amount`) end to end over 100 %."""
    parts = [(read(part, "state"), float(read(part, "amount", 0)), read(part, "words", "")) for part in segments]
    whole = sum(amount for _, amount, _ in parts) or 1.0
    laid, start = [], 0.0
    for state, amount, words in parts:
        share = 100 * amount / whole
        laid.append(Stretch(state, f"{start:.3f}%", f"{share:.3f}%", words))
        start += share
    return laid


@register.inclusion_tag("components/coverage.html")
def coverage(segments: Iterable[Any], label: str, legend: Iterable[Any] = ()) -> dict[str, Any]:
    return {"stretches": stretches(segments), "label": label, "legend": legend}
