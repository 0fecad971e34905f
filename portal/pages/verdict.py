"""The verdict card of a data package: unchanged since it was signed, or not, or unknown; what that rests on, and its limits.

Bytes are read by a job (`records.verification`); the card tells what the last reading found and how old it is. The sealed
rows and the signatures are checked each time the card is drawn.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from printing.templatetags.look import filesize, utc
from records import manifest, sealed
from records.models import Verification, Version
from signatures import standing
from signatures.checking import Verdict
from signatures.meanings import OF_THE_ROUTE
from signatures.models import Signature

Card = dict[str, Any]
FRESH = timedelta(hours=25)  # the night's reading, with an hour to do it in


def card(
    version: Version,
    last: Verification | None,
    signatures: Sequence[tuple[Signature, Verdict]],
    *,
    until: datetime | None = None,
    now: datetime,
) -> Card:
    """The card for `components/verdict.html`. Select the version with its files; `last` is its newest verification, `until` the
    end of its retention where that is known."""
    contradictions = sealed.contradictions(version)
    broken = [
        f"The signature of {signature.printed_name}: {problem}"
        for signature, verdict in signatures
        for problem in verdict.problems
    ]
    doubts = [
        f"The {signature.get_meaning_display().lower()} of {signature.printed_name}: {verdict.stands.sentence}"
        for signature, verdict in signatures
        if verdict.in_doubt
    ]
    tone, say = _sentence(version, last, signatures, bool(contradictions), bool(broken))
    return {
        "tone": tone,
        "say": say,
        "meta": _meta(last, now),
        "findings": [*contradictions, *broken, *doubts, *_findings(last)],
        "newer": _newer(last),
        "rows": _rows(version, last, signatures, bool(contradictions), until, now),
        "know": _know(version, last, signatures),
        "cannot": _cannot(version, last, now),
    }


def _sentence(
    version: Version, last: Verification | None, signatures: Sequence[Any], contradicts: bool, broken: bool
) -> tuple[str, str]:
    since = "signed" if signatures else "registered"
    if contradicts:
        return "bad", "This version contradicts its own seal."
    if last is not None and last.outcome == Verification.Outcome.CHANGED:
        return "bad", f"This is not what was {since}."
    if broken:
        return "bad", "A signature does not fit this version."
    if last is None:
        return "mute", "Not verified yet."
    if last.outcome == Verification.Outcome.UNREACHABLE:
        return "warn", "It could not be read, so nobody can say whether it changed."
    if any(verdict.stands.state == standing.SUSPECT for _, verdict in signatures):
        return "warn", f"Unchanged since it was {since}; a signature on it is under review."
    if any(verdict.in_doubt for _, verdict in signatures):
        return "warn", f"Unchanged since it was {since}; a signature on it counts no more."
    return "ok", f"Unchanged since it was {since}."


def _meta(last: Verification | None, now: datetime) -> str:
    if last is None:
        return "Its bytes have not been read again since it was registered."
    seconds = (last.finished_at - last.started_at).total_seconds()
    took = f"{seconds:.0f} s" if seconds >= 1 else "under a second"
    files = len(last.files)
    what = f"{files} file{'' if files == 1 else 's'}, {filesize(last.bytes_read)} read by version id in {took}"
    return f"Read {utc(last.finished_at, 's')} by {last.by_name} · {what}"


def _findings(last: Verification | None) -> list[str]:
    return [str(line) for line in last.findings] if last else []


def _newer(last: Verification | None) -> list[str]:
    return (
        [f"{file['logical_key']}: {file['newer']} lies on top of it." for file in last.files if file["newer"]]
        if last
        else []
    )


def _rows(
    version: Version,
    last: Verification | None,
    signatures: Sequence[tuple[Signature, Verdict]],
    contradicts: bool,
    until: datetime | None,
    now: datetime,
) -> list[Card]:
    rows: list[Card] = []
    if signatures:
        rows.append(_signed_row(version, signatures))
    rows.append(
        {
            "what": "Registered",
            "hash": version.top_hash,
            "at": version.created_at,
            "state": "differs" if contradicts else "matches",
        }
    )
    if last is None:
        return [*rows, {"what": "Bytes on S3", "value": "not read yet", "state": "unchecked"}]
    return [*rows, _bytes_row(version, last, now), _lock_row(last, until, now)]


def _signed_row(version: Version, signatures: Sequence[tuple[Signature, Verdict]]) -> Card:
    """The last signature that the version rests on: a withdrawal or a decision since is none."""
    row: Card = {"what": "Signed"}
    route = [(one, verdict) for one, verdict in signatures if one.meaning in OF_THE_ROUTE]
    counting = [one for one, verdict in route if verdict.state == standing.VALID]
    if all(one.top_hash == version.top_hash and verdict.valid for one, verdict in signatures):
        if not counting:
            return row | {"value": "no signature counts", "state": "withdrawn", "label": "none counts", "tone": "warn"}
        return row | {"hash": counting[-1].top_hash, "at": counting[-1].signed_at, "state": "matches"}
    last = route[-1][0] if route else signatures[-1][0]
    return row | {"hash": last.top_hash, "at": last.signed_at, "state": "differs"}


def _bytes_row(version: Version, last: Verification, now: datetime) -> Card:
    row: Card = {"what": "Bytes on S3", "at": last.finished_at}
    if last.outcome == Verification.Outcome.UNREACHABLE:
        return row | {"value": "could not be read", "state": "unreadable"}
    found = hash_of_bytes(version, last)
    row |= {"hash": found} if found else {"value": f"{len(last.files)} files, each by its SHA-256"}
    wrong = any(file["problem"] for file in last.files) or (found and found != version.top_hash)
    return row | {"state": "differs" if wrong else "matches"}


def hash_of_bytes(version: Version, last: Verification) -> str:
    """The top hash that follows from the bytes as they were read, or "" where the manifest states hashes of another type."""
    read = {file["logical_key"]: file for file in last.files}
    try:
        stated = manifest.parse(bytes(version.manifest))
    except manifest.ManifestError:
        return ""
    if any(entry.foreign or entry.logical_key not in read for entry in stated.entries):
        return ""
    entries = tuple(
        replace(entry, sha256=read[entry.logical_key]["sha256"], size=read[entry.logical_key]["size"])
        for entry in stated.entries
    )
    return manifest.top_hash(replace(stated, entries=entries))


def _lock_row(last: Verification, until: datetime | None, now: datetime) -> Card:
    files = [file for file in last.files if file["reachable"]]
    locked = [file for file in files if file["lock_mode"] and file["retain_until"] > now.isoformat()]
    row: Card = {"what": "Object Lock", "at": last.finished_at}
    if not locked:
        return row | {"value": "none", "state": "unlocked", "label": "no file is locked", "tone": "warn"}
    modes = sorted({file["lock_mode"].capitalize() for file in locked})
    ends = datetime.fromisoformat(min(file["retain_until"] for file in locked))
    row |= {
        "value": f"{' and '.join(modes)} until {utc(ends, 'date')}",
        "label": f"{len(locked)} of {len(files)} locked",
    }
    whole = len(locked) == len(files) and modes == ["Compliance"]
    if until and (short := (until.date() - ends.date()).days) > 0:
        days = f"{short:,} day{'' if short == 1 else 's'}"
        return row | {
            "label": f"{row['label']}, but {days} short of the retention",
            "state": "partly_locked",
            "tone": "warn",
        }
    return row | {"state": "locked" if whole else "partly_locked", "tone": "" if whole else "warn"}


def _know(version: Version, last: Verification | None, signatures: Sequence[Any]) -> list[str]:
    known = [
        "The manifest, the file list and the metadata were held against the top hash when this page was made.",
    ]
    if signatures:
        known.append(
            "Each signature's statement names this top hash, the object versions and the PDF that was shown; the portal's"
            " key sealed it, and openssl checks it without the portal."
        )
    if last is not None:
        known += [
            f"On {utc(last.finished_at, 's')} each object was fetched by its version id, hashed as it streamed, and compared"
            " with the SHA-256 that was sealed; the PDF that signers saw as well.",
            "Every row about this version was held against the audit trail, column by column.",
            "A newer object version or a delete marker on the same key does not touch the sealed one; it is told here.",
        ]
    return known


def _cannot(version: Version, last: Verification | None, now: datetime) -> list[str]:
    if last is None:
        return ["Whether the bytes on S3 are still those that were registered: nobody has read them again."]
    told = [
        f"What happened to the bytes since {utc(last.finished_at, 's')}. Ask again to know it as of now.",
        "Whether the content was right when it was registered: that is what the signers answer for.",
        "Who read the objects directly on S3, or copied them: see the audit tab.",
    ]
    if now - last.finished_at > FRESH:
        told.insert(0, "This reading is more than a day old: the nightly one has not happened, or failed.")
    weak = [entry.logical_key for entry in _weak(version)]
    if weak:
        told.append(
            f"The manifest states only a checksum for {', '.join(weak[:5])}; our SHA-256 stands beside it, outside the top hash."
        )
    if any(file["lock_mode"] == "GOVERNANCE" for file in last.files):
        told.append(
            "A GOVERNANCE lock can be lifted by somebody with the bypass permission; the version would then be gone."
        )
    if not any(file["lock_mode"] for file in last.files):
        told.append("No Object Lock holds these object versions: somebody with the permission can delete them.")
    return told


def _weak(version: Version) -> list[manifest.Entry]:
    try:
        return [entry for entry in manifest.parse(bytes(version.manifest)).entries if not entry.binds_content]
    except manifest.ManifestError:
        return []
