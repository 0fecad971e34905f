"""What the pages of trails show, made ready for their templates."""

import hashlib
import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import Count, Q, Sum
from django.db.models.functions import TruncHour
from django.urls import reverse

from accounts.models import User
from cloudtrail import ingest, proof_pages
from cloudtrail.bucket import TooLarge
from cloudtrail.directory import Register
from cloudtrail.events import Unreadable, gunzip, redacted
from cloudtrail.events import raw_event as raw_event_json
from cloudtrail.models import Actor, DirectoryEntry, Event, LogFile, Trail
from cloudtrail.queries import Match, Touched, events_of
from cloudtrail.sentences import actor as actor_words
from cloudtrail.sentences import amount, sentence, shown
from cloudtrail.touches import Reach
from jobs.models import Job
from storage.s3 import StorageError

Crumbs = list[dict[str, str]]


def tabs(active: str) -> list[dict[str, Any]]:
    """The three lists of this room."""
    found = (
        ("Trails", "cloudtrail:trails"),
        ("Who it was", "cloudtrail:actors"),
        ("Directory", "cloudtrail:directory"),
    )
    return [{"label": label, "url": reverse(name), "active": label == active} for label, name in found]


def crumbs(*places: Trail | LogFile | str) -> Crumbs:
    """The way to a page: the last place is the page itself."""
    found = [{"label": "Trails", "url": "/trails/" if places else ""}]
    for place in places:
        url = "" if isinstance(place, str) or place is places[-1] else place.get_absolute_url()
        found.append({"label": shown(str(place)), "url": url})
    return found


def number(text: str | None) -> int:
    """A whole number from a query string; -1 for anything else."""
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 18 else -1


# --- A trail ----------------------------------------------------------------------------------------------------------


def files_page(trail: Trail, state: str, after: str, limit: int) -> tuple[list[LogFile], str]:
    """Files of a trail, latest delivery first, and the cursor of the next page or ""."""
    files = trail.files.order_by("-delivered_at", "-id").filter(delivered_at__isnull=False)
    if state in LogFile.State:
        files = trail.files.filter(state=state).order_by("-delivered_at", "-id")
    delivered, _, pk = after.partition("|")
    if pk.isdigit():
        try:
            at = datetime.fromisoformat(delivered)
        except ValueError:
            at = None
        if at is not None and at.tzinfo is not None:
            files = files.filter(Q(delivered_at__lt=at) | Q(delivered_at=at, pk__lt=int(pk)))
    found = list(files[: limit + 1])
    if len(found) <= limit or found[limit - 1].delivered_at is None:
        return found[:limit], ""
    return found[:limit], f"{found[limit - 1].delivered_at:%Y-%m-%dT%H:%M:%S%z}|{found[limit - 1].pk}"


def latest_job(trail: Trail) -> Job | None:
    """The newest pull of a trail, if there was one."""
    return Job.objects.filter(kind="cloudtrail.pull", args__trail=str(trail.pk)).order_by("-created_at").first()


def verdict(trail: Any) -> dict[str, Any]:
    """What can be said of a trail's files, and what not yet. The trail comes `with_counts`."""
    aside, waiting = trail.files_quarantined, trail.files_waiting
    if aside:
        tone, say = "warn", f"{aside} of {trail.files_seen} files could not be read and are in quarantine."
    elif waiting:
        tone, say = "info", f"{waiting} of {trail.files_seen} files wait to be read."
    elif trail.files_seen:
        tone, say = "ok", "Every file that was seen was read to its end."
    else:
        tone, say = "mute", "No file was seen yet."
    return {
        "tone": tone,
        "say": say,
        "meta": f"Files stored: {trail.files_stored} · events: {trail.events_stored or 0}",
        "know": [
            "Each file is fetched by its version, unpacked within bounds, and decoded to its last event.",
            "Its events and its line in this ledger are stored in one transaction: once, or not at all.",
            "The SHA-256 of its bytes, packed and unpacked, is kept; no stored line is ever changed.",
        ],
        "cannot": [
            "Whether these are the bytes that AWS delivered, and all of them: that is what its signed digests prove, below.",
            "What happened while the trail was stopped, or which events its selectors left out.",
            "The last 15 minutes are provisional: CloudTrail delivers late, and in any order.",
        ],
    }


def trail_facts(trail: Any, now: datetime) -> list[dict[str, Any]]:
    """The facts at the side of a trail's page. The trail comes `with_counts`."""
    listed = trail.listing.last_listed_at if hasattr(trail, "listing") else None
    speed = throughput(trail, now)
    return [
        {"label": "Account", "value": trail.account or "not stated"},
        {"label": "Region", "value": trail.region or "all that it delivers"},
        {
            "label": "Bucket",
            "value": f"{trail.bucket}/{trail.prefix}" if trail.bucket else "none: files are handed over",
        },
        {"label": "Pulled from", "at": trail.started_from},
        {"label": "Last listed", "value": "never"} | ({"at": listed} if listed else {}),
        {"label": "Latest delivery", "value": "none"}
        | ({"at": trail.last_delivered_at} if trail.last_delivered_at else {}),
        {"label": "Behind", "value": lag(trail.last_delivered_at, now)},
        {"label": "Stored now", "value": speed["now"]},
        {"label": "From delivery to stored", "value": speed["took"]},
        {"label": "Source identity", "value": "enforced" if trail.source_identity_enforced else "counts as claimed"},
    ]


HOURS = 48  # of the picture of deliveries
RECENT = timedelta(minutes=5)


def rhythm(trail: Trail, now: datetime) -> dict[str, Any]:
    """Files by hour of delivery over the last two days, as bars: those stored, and those in quarantine or waiting."""
    first = now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=HOURS - 1)
    told = trail.files.filter(delivered_at__gte=first).order_by().annotate(hour=TruncHour("delivered_at", tzinfo=UTC))
    hours: dict[datetime, dict[str, int]] = {}
    for hour, state, count in told.values_list("hour", "state").annotate(Count("pk")):
        hours.setdefault(hour, {})[state] = count
    most = max((sum(states.values()) for states in hours.values()), default=0)
    bars = []
    for hour, states in sorted(hours.items()):
        total, stored = sum(states.values()), states.get(LogFile.State.STORED, 0)
        height, aside = 40 * total / most, 40 * (total - stored) / most
        place = int((hour - first) / timedelta(hours=1))
        bars.append(
            {
                "x": f"{place + 0.1:.1f}",
                "y": f"{40 - height:.2f}",
                "height": f"{height:.2f}",
                "aside": total - stored,
                "aside_y": f"{40 - aside:.2f}",
                "aside_height": f"{aside:.2f}",
                "hour": hour,
                "total": total,
            }
        )
    silent = sum(1 for place in range(HOURS) if first + timedelta(hours=place) not in hours)
    return {"bars": bars, "width": HOURS, "most": most, "silent": silent, "first": first}


def throughput(trail: Trail, now: datetime) -> dict[str, Any]:
    """What was stored in the last five minutes, and how long files took from their delivery in the last day."""
    recent = trail.files.filter(settled_at__gte=now - RECENT, state=LogFile.State.STORED).aggregate(
        files=Count("pk"), events=Sum("events")
    )
    with connection.cursor() as cursor:
        cursor.execute(_TOOK, [trail.pk, now - timedelta(days=1)])
        middle, most = cursor.fetchone()
    rate = (recent["events"] or 0) / RECENT.total_seconds()
    words = (
        f"{recent['events'] or 0:,} events in 5 minutes ({rate:,.0f} a second)"
        if recent["files"]
        else "nothing in 5 minutes"
    )
    took = (
        "no file in the last day"
        if middle is None
        else f"half within {_minutes(middle)}, 95 of 100 within {_minutes(most)}"
    )
    return {"now": words, "took": took}


_TOOK = """
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY took), percentile_cont(0.95) WITHIN GROUP (ORDER BY took)
FROM (SELECT extract(epoch FROM settled_at - delivered_at)::float AS took FROM cloudtrail_logfile
      WHERE trail_id = %s AND settled_at >= %s AND state = 'stored' AND delivered_at IS NOT NULL) took
"""


def _minutes(seconds: float) -> str:
    """Names of files tell minutes, so nothing here is finer."""
    minutes = max(0, round(seconds / 60))
    return (
        f"{minutes} min" if minutes < 120 else f"{minutes // 60} h" if minutes < 48 * 60 else f"{minutes // 1440} days"
    )


def lag(delivered: datetime | None, now: datetime) -> str:
    """How old the newest delivery is, in words."""
    if delivered is None:
        return "nothing was delivered"
    minutes = max(0, int((now - delivered) / timedelta(minutes=1)))
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 48 * 60 else f"{minutes // 1440} days"


# --- A file -----------------------------------------------------------------------------------------------------------


def file_facts(file: LogFile) -> list[dict[str, Any]]:
    """The facts at the side of a file's page."""
    return [
        {"label": "Bucket", "value": file.bucket or "handed over offline"},
        {"label": "Version id", "value": file.s3_version or "none"},
        {"label": "Delivered", "at": file.delivered_at},
        {"label": "Seen", "at": file.seen_at},
        {"label": "Settled", "at": file.settled_at},
        {"label": "Size", "value": f"{amount(file.size)}, {amount(file.content_size)} unpacked"},
        {"label": "SHA-256 as delivered", "hash": file.sha256_raw or " "},
        {"label": "SHA-256 unpacked", "hash": file.sha256_content or " "},
        {"label": "Proof", "value": proof_pages.of_file(file)},
        {"label": "Events", "value": f"{file.events}, of these {file.seen_before} seen before"},
        {"label": "Contradictions", "value": str(file.conflicts)},
    ]


def events_page(file: LogFile, user: User, after: int, limit: int) -> tuple[list[dict[str, Any]], str]:
    """Events of a file that the person may see, in its order, and the cursor of the next page or ""."""
    found, register = events_of(file, user, after, limit + 1), Register()
    rows = [
        {"event": event, "sentence": event_sentence(event, register), "standing": event.actor.standing}
        for event in found[:limit]
    ]
    return rows, str(found[limit - 1].ordinal) if len(found) > limit else ""


# --- An event ---------------------------------------------------------------------------------------------------------


def as_touched(event: Event, register: Register | None = None) -> Touched:
    """An event by itself as a line of a timeline, with the match that its own reach gives it."""
    matches = {Reach.OBJECT: Match.EXACT if event.s3_version else Match.UNNAMED, Reach.PREFIX: Match.PREFIX}
    reach = Reach(event.reach)
    match = matches.get(reach) or (Match.BUCKET if event.bucket else Match.ALL)
    actor = event.actor
    entry = register.entry_for(actor, event.time.astimezone(UTC).date()) if register else None
    return Touched(
        time=event.time,
        file_id=event.file_id,
        ordinal=event.ordinal,
        event_id=event.event_id,
        event_source=event.event_source,
        event_name=event.event_name,
        error_code=event.error_code,
        bytes_in=event.bytes_in,
        bytes_out=event.bytes_out,
        presigned=event.presigned,
        source_ip=event.source_ip,
        request_id=event.request_id,
        target=event.target,
        bucket=event.bucket,
        key=event.key,
        s3_version=event.s3_version,
        match=match,
        actor_id=actor.pk,
        standing=actor.standing,
        name=entry.person if entry and entry.kind != entry.Kind.SERVICE else actor.name,
        role=actor.role,
        listed=actor.listed,
    )


def event_sentence(event: Event, register: Register | None = None) -> str:
    """The event in one sentence; plain text. With the directory, people are named as the firm knows them."""
    return sentence(as_touched(event, register))


def event_facts(event: Event) -> list[dict[str, Any]]:
    """The facts at the side of an event's page."""
    return [
        {"label": "Time", "at": event.time},
        {"label": "Call", "value": shown(f"{event.event_source} {event.event_name}")},
        {"label": "Outcome", "value": shown(event.error_code) or "no error"},
        {"label": "Region", "value": shown(event.region) or "not stated"},
        {"label": "Account", "value": shown(event.account) or "not stated"},
        {"label": "From", "value": shown(event.source_ip) or "not stated"},
        {"label": "Request id", "value": shown(event.request_id) or "not stated"},
        {"label": "Event id", "value": shown(event.event_id)},
    ]


ICONS = {
    "session": "people",
    "key": "key",
    "relay": "shuffle",
    "person": "person",
    "provider": "shield-check",
    "service": "gear",
    "claim": "chat-left-text",
    "nobody": "question-circle",
    "expired": "question-circle",
    "directory": "journal-check",
}
WHAT = {
    "session": "Session of a role",
    "key": "Access key handed out",
    "relay": "Passed on",
    "person": "Signed by",
    "provider": "Signed in by a provider",
    "service": "A service",
    "claim": "Only claimed",
    "nobody": "Leads no further",
    "expired": "Not valid then",
    "directory": "By the firm's directory",
}


def chain(actor: Actor, user: User, day: date | None = None, register: Register | None = None) -> list[dict[str, Any]]:
    """The way from an event to whoever is behind it, as cards: each with the event that proves it, where one does.

    With a day, the firm's directory has its say as of then.
    """
    evidence = _evidence(actor, user)
    cards = [
        {
            "icon": ICONS.get(hop["kind"], "question-circle"),
            "what": WHAT.get(hop["kind"], ""),
            "text": shown(hop["text"]),
            "event": shown(hop["event"]),
            "url": evidence.get(hop["event"], ""),
        }
        for hop in actor.hops
    ]
    entry = (register or Register()).entry_for(actor, day) if day else None
    if entry is not None:
        role = "answers for it" if entry.kind == entry.Kind.SERVICE else "is this person"
        text = f"{entry.person} {role} since {entry.since}" + (f", until {entry.until}" if entry.until else "")
        url = reverse("cloudtrail:directory-entry", args=[entry.pk])
        cards.append(
            {"icon": ICONS["directory"], "what": WHAT["directory"], "text": shown(text), "event": "", "url": url}
        )
    return cards


def _evidence(actor: Actor, user: User) -> dict[str, str]:
    """Where the events stand that prove the hops, by their ids; an event about something out of sight is left out."""
    told = {hop["event"]: datetime.fromisoformat(hop["time"]) for hop in actor.hops if hop["event"]}
    if not told:
        return {}
    events = Event.objects.filter(time__in=set(told.values()), event_id__in=told).visible_to(user)
    return {event.event_id: event.get_absolute_url() for event in events}


def ending(actor: Actor) -> str:
    """Who it was, as well as that is known, in words."""
    return actor_words(actor.standing, actor.name)


def raw_event(file: LogFile, ordinal: int) -> dict[str, Any]:
    """The event's JSON as its file tells it now, redacted, and whether the file is still the one that was stored."""
    try:
        raw = ingest.raw_bytes(file)
        text = readable(raw_event_json(gunzip(raw), ordinal))
    except (StorageError, TooLarge, Unreadable, IndexError) as error:
        return {"raw": "", "unread": str(error) or "The file has no such event now.", "same": False}
    return {"raw": text, "unread": "", "same": hashlib.sha256(raw).hexdigest() == file.sha256_raw}


def readable(event: bytes) -> str:
    """An event's JSON, indented, with session tokens and signatures blanked out."""
    return json.dumps(redacted(json.loads(event)), indent=2, ensure_ascii=False)


# --- Who it was -------------------------------------------------------------------------------------------------------


def actor_facts(actor: Actor) -> list[dict[str, Any]]:
    """The facts at the side of an actor's page."""
    identity = actor.identity
    return [
        {"label": "Type", "value": shown(str(identity.get("type") or "not stated"))},
        {"label": "Account", "value": shown(actor.account) or "not stated"},
        {"label": "Role used", "value": shown(actor.role) or "none"},
        {"label": "Access key", "value": shown(actor.access_key) or "none"},
        {"label": "Concluded", "at": actor.attributed_at},
    ]


def entry_facts(entry: DirectoryEntry) -> list[dict[str, Any]]:
    """The facts at the side of an entry of the directory."""
    never = entry.until is not None and entry.until < entry.since
    return [
        {"label": "What", "value": entry.get_kind_display()},
        {"label": "Person", "value": shown(entry.person)},
        {"label": "Account here", "value": entry.user.legal_name if entry.user else "none"},
        {"label": "First day", "at": entry.since},
        {"label": "Last day", "value": "it never was so" if never else "still so"}
        | ({"at": entry.until} if entry.until and not never else {}),
        {"label": "Entered", "at": entry.made_at},
    ]
