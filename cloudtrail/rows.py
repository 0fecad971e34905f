"""From parsed events to the text that COPY takes: one line for each event, in the order of `COLUMNS`. Pure.

Speed matters here (a busy account has millions of events a day): a line is one formatted string, and a file is looked over
once as a whole. Only where any value holds a tab, a line break, a backslash or NUL are its lines written again, escaped.
"""

from collections.abc import Iterable, Mapping

from cloudtrail.events import Event, Extra, Parameters, ParsedFile
from cloudtrail.touches import Touch, further_touches, main_touch

COLUMNS = (
    "time", "file_id", "actor_id", "bytes_in", "bytes_out", "ordinal", "read_only", "data", "presigned", "reach", "event_id",
    "event_source", "event_name", "region", "account", "source_ip", "request_id", "error_code", "bucket", "key", "s3_version",
    "target", "corrects",
)  # fmt: skip
TOUCH_COLUMNS = ("time", "file_id", "ordinal", "reach", "bucket", "key", "s3_version")

_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r", "\0": "\N{SYMBOL FOR NULL}"})
TAB = "\t"
_MOST = 2**63 - 1


def lines(file: ParsedFile, file_id: int, actor_ids: Mapping[bytes, int]) -> tuple[list[str], dict[int, str]]:
    """One line for each event of a file, in the file's order; and the lines of further touches, by index of the event."""
    texts, touches = _lines(file, file_id, actor_ids, escaped=False)
    whole = "".join(texts)
    if (
        "\\" in whole
        or "\0" in whole
        or "\r" in whole
        or whole.count("\n") != len(texts)
        or whole.count("\t") != len(texts) * (len(COLUMNS) - 1)
    ):
        return _lines(file, file_id, actor_ids, escaped=True)
    return texts, touches


def _lines(
    file: ParsedFile, file_id: int, actor_ids: Mapping[bytes, int], *, escaped: bool
) -> tuple[list[str], dict[int, str]]:
    stamps = {time: time.isoformat() for time in set(file.times)}
    texts: list[str] = []
    touches: dict[int, str] = {}
    for ordinal, event in enumerate(file.events):
        stamp = stamps[file.times[ordinal]]
        touch = main_touch(event)
        extra = event.extra
        received, sent, presigned = _transfer(extra) if type(extra) is Extra else (0, 0, "f")
        words = _words(event, touch)
        texts.append(
            f"{stamp}\t{file_id}\t{actor_ids[file.identities[ordinal]]}\t{received}\t{sent}\t{ordinal}"
            f"\t{'t' if event.read_only is True else 'f'}\t{'t' if event.event_category == 'Data' else 'f'}\t{presigned}"
            f"\t{touch.reach}\t{TAB.join(_escaped(words) if escaped else words)}\n"
        )
        further = further_touches(event, touch)
        if further:
            touches[ordinal] = "".join(_touch_line(one, stamp, file_id, ordinal) for one in further)
    return texts, touches


def _words(event: Event, touch: Touch) -> tuple[str, ...]:
    return (
        event.event_id,
        event.event_source,
        event.event_name,
        event.aws_region or "",
        event.recipient_account or "",
        event.source_ip or "",
        event.request_id or "",
        event.error_code or "",
        touch.bucket,
        touch.key,
        touch.version,
        "" if touch.bucket else target(event),
        "" if event.addendum is None else corrected(event),
    )


def told(event: Event, actor: int) -> tuple[object, ...]:
    """What two tellings of one event must agree in; the same columns as `TOLD_COLUMNS`."""
    words = dict(zip(COLUMNS[10:], _words(event, main_touch(event)), strict=True))
    return (actor, *(words[name].replace("\0", "\N{SYMBOL FOR NULL}") for name in TOLD_COLUMNS[1:]))


TOLD_COLUMNS = ("actor_id", "event_source", "event_name", "request_id", "error_code", "bucket", "key", "s3_version")


def _escaped(values: Iterable[str]) -> list[str]:
    return [value.translate(_ESCAPES) for value in values]


def _touch_line(touch: Touch, time: str, file_id: int, ordinal: int) -> str:
    return f"{time}\t{file_id}\t{ordinal}\t" + TAB.join(_escaped((touch.reach, *touch[:3]))) + "\n"


def _transfer(extra: Extra) -> tuple[int, int, str]:
    """Bytes received and sent by S3, and whether the request came with a presigned link."""
    return _bytes(extra.received), _bytes(extra.sent), "t" if extra.method == "QueryString" else "f"


def _bytes(value: object) -> int:
    """CloudTrail writes amounts as whole or broken numbers; anything else, or out of range, is "not stated"."""
    if type(value) is int and 0 <= value <= _MOST:
        return value
    return int(value) if type(value) is float and 0 <= value < _MOST else 0


def target(event: Event) -> str:
    """What an event outside S3 was about: the role, key or trail that its request names."""
    request = event.request
    if type(request) is Parameters:
        for value in (request.role, request.key_id, request.name):
            if value and isinstance(value, str):
                return value
    return ""


def corrected(event: Event) -> str:
    """The id of the event that this one corrects, or ""."""
    original = getattr(event.addendum, "original_event_id", None)
    return original if isinstance(original, str) else ""
