"""What the digests prove of a trail: gather digests and public keys, judge the chains, hold every log file against them.

Gathering is remote and safe to repeat. Judging is one transaction: what it comes to stands on `DigestFile` and `Proof`, and as
an entry on the audit trail; what is not as CloudTrail delivered it raises an alarm.
"""

import base64
import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from django.db import connection, transaction
from django.db.models import Q

from audit import clock, trail
from audit.actions import Action
from audit.alarms import Kind, raise_alarm
from cloudtrail import bucket, digests, ingest, keys, public_keys
from cloudtrail.digests import ALGORITHM, HOUR, Digest, Fault, Judged, Key, Link
from cloudtrail.ingest import FETCHERS
from cloudtrail.models import DigestFile, DigestLine, Listing, Proof, PublicKey, Trail
from cloudtrail.reread import portions
from storage.s3 import ObjectGone

LOOK_BACK = timedelta(days=30)
"""How far behind the newest digest the bucket is listed again: a backfill digest comes days late."""
NOT_COVERED_AFTER = timedelta(hours=48)
"""After its delivery, a log file that no digest lists is no longer pending."""
PORTION = 64
TOLD = 50
"""Findings that an entry names one by one."""
FROM_AWS, HANDED_OVER = "ListPublicKeys", "handed over"


# --- Gathering --------------------------------------------------------------------------------------------------------


def gather(pulled: Trail) -> int:
    """Fetch the digests that are new in the trail's bucket, and archive their keys; how many. Raises `StorageError`.

    It goes before the listing of log files: then every file that a digest lists was there to be listed.
    """
    listing, _ = Listing.objects.get_or_create(trail=pulled)
    first = max(pulled.started_from, (listing.digests_through or pulled.started_from) - LOOK_BACK)
    today = clock.now().astimezone(UTC).date()
    root = keys.digest_prefix(pulled.prefix, pulled.organisation, pulled.account)
    new = 0
    for region in [pulled.region] if pulled.region else bucket.folders(pulled.bucket, root):
        after = f"{root}{region}/{first:%Y/%m/%d}/"
        found = bucket.list_versions(pulled.bucket, f"{root}{region}/", after)
        for portion in portions(_of(pulled, found), 1000):
            new += _fetch(pulled, _unknown(pulled, portion))
    _look_again(pulled)
    archive_keys(pulled)
    Listing.objects.filter(trail=pulled).update(digests_through=today, digest_error="")
    return new


def _of(pulled: Trail, found: Iterable[bucket.Listed]) -> Iterator[bucket.Listed]:
    for listed in found:
        name = keys.parse_digest(listed.key)
        if name is not None and pulled.aws_name in ("", name.trail):
            yield listed


def _unknown(pulled: Trail, listed: list[bucket.Listed]) -> list[bucket.Listed]:
    known = set(
        DigestFile.objects.filter(bucket=pulled.bucket, key__in=[one.key for one in listed]).values_list(
            "key", "s3_version", "etag"
        )
    )
    return [one for one in listed if (one.key, one.version_id, one.etag) not in known]


def _fetch(pulled: Trail, listed: list[bucket.Listed]) -> int:
    with ThreadPoolExecutor(FETCHERS) as pool:
        for portion in portions(listed, PORTION):
            fetched = zip(portion, pool.map(lambda one: _get(pulled, one), portion), strict=True)
            rows = [_row(pulled, pulled.bucket, one.key, *got, one.version_id, one.etag) for one, got in fetched if got]
            DigestFile.objects.bulk_create(rows, ignore_conflicts=True)
    return len(listed)


def _get(pulled: Trail, listed: bucket.Listed) -> tuple[bytes, dict[str, str]] | None:
    """A digest's bytes and fields; none where it is gone already. One too large to be a digest is kept as no bytes at all."""
    try:
        return bucket.fetch_whole(listed, pulled.bucket)
    except bucket.TooLarge:
        return b"", {}
    except ObjectGone:
        return None


def _row(of: Trail, place: str, key: str, data: bytes, metadata: dict[str, str], version: str, etag: str) -> DigestFile:
    digest = digests.read(data, place, key, metadata)
    name = digest.name
    return DigestFile(
        trail=of,
        bucket=place,
        key=key,
        s3_version=version,
        etag=etag,
        region=name.region,
        aws_name=name.trail,
        home_region=name.home,
        backfill=name.backfill,
        starts_at=digest.start or name.end - HOUR,
        ends_at=name.end,
        data=data,
        sha256_raw=hashlib.sha256(data).hexdigest(),
        sha256_content=digest.sha256,
        metadata=metadata,
        fingerprint=digest.fingerprint,
        listed=len(digest.lines),
    )


_ABSENT = """
SELECT l.key FROM cloudtrail_digestline l JOIN cloudtrail_digestfile d ON d.id = l.digest_id
WHERE d.trail_id = %s AND d.absent > 0 AND l.bucket = %s
  AND NOT EXISTS (SELECT 1 FROM cloudtrail_logfile f WHERE f.key = l.key AND f.bucket = l.bucket AND f.trail_id = d.trail_id)
ORDER BY l.id DESC LIMIT 100
"""


def _look_again(pulled: Trail) -> None:
    """A file that a digest lists and that was not there may have come back: its day is not listed any longer."""
    with connection.cursor() as cursor:
        cursor.execute(_ABSENT, [pulled.pk, pulled.bucket])
        absent = [key for (key,) in cursor.fetchall()]
    for key in absent:
        ingest.note(pulled, bucket.list_versions(pulled.bucket, key))


def archive_keys(of: Trail) -> None:
    """Ask AWS for the keys that signed the digests whose key is not archived yet. Raises `StorageError`."""
    windows: dict[str, list[tuple[datetime, datetime]]] = defaultdict(list)
    wanted = DigestFile.objects.filter(trail=of, state__in=[DigestFile.State.WAITING, DigestFile.State.INVALID])
    known = set(PublicKey.objects.filter(trail=of).values_list("region", "fingerprint"))
    for row in wanted.filter(Q(judged_at=None) | Q(reason=Fault.KEY)).iterator():
        if row.fingerprint and (row.region, row.fingerprint) not in known:
            windows[row.region].append(digest_of(row).key_window)
    for region, spans in windows.items():
        for since, until in _joined(spans):
            _archive(of, region, public_keys.listed(region, since, until), FROM_AWS)


def _joined(spans: list[tuple[datetime, datetime]]) -> list[tuple[datetime, datetime]]:
    """The spans, those that touch made one."""
    found: list[tuple[datetime, datetime]] = []
    for since, until in sorted(spans):
        if found and since <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], until))
        else:
            found.append((since, until))
    return found


def _archive(of: Trail, region: str, found: Iterable[Key], source: str) -> None:
    rows = [
        PublicKey(
            trail=of, region=region, fingerprint=key.fingerprint, value=key.value, begins=key.begins, ends=key.ends,
            source=source,
        )
        for key in found
    ]  # fmt: skip
    PublicKey.objects.bulk_create(rows, ignore_conflicts=True)


# --- Handed over offline ----------------------------------------------------------------------------------------------


def take_over(of: Trail, root: Path, found: Iterable[tuple[Path, str]]) -> int:
    """Keep digests (path and key) that were handed over, with the public keys of `public-keys.json` below `root`; how many.

    The signature is a field of the object and no part of the file: it is taken from `NAME.metadata.json` beside it (the answer
    of `aws s3api head-object`), or from the digest after it, which repeats it.
    """
    count = 0
    for portion in portions(found, PORTION):
        rows = []
        for path, key in portion:
            data = path.read_bytes()
            rows.append(_row(of, "", key, data, _metadata(path), "", hashlib.sha256(data).hexdigest()))
        DigestFile.objects.bulk_create(rows, ignore_conflicts=True)
        count += len(rows)
    regions = set(DigestFile.objects.filter(trail=of).values_list("region", flat=True))
    for path in sorted(root.rglob("public-keys*.json")):
        told = [
            Key(
                key["Fingerprint"],
                base64.b64decode(key["Value"]),
                _when(key["ValidityStartTime"]),
                _when(key["ValidityEndTime"]),
            )
            for key in json.loads(path.read_bytes())["PublicKeyList"]
        ]
        for region in regions:
            _archive(of, region, told, HANDED_OVER)
    return count


def _metadata(path: Path) -> dict[str, str]:
    beside = path.with_name(path.name + ".metadata.json")
    if not beside.is_file():
        return {}
    told = json.loads(beside.read_bytes())
    return {str(name).lower(): str(value) for name, value in told.get("Metadata", told).items()}


def _when(value: str | float) -> datetime:
    if isinstance(value, str):
        return datetime.fromisoformat(value).astimezone(UTC)
    return datetime.fromtimestamp(value, UTC)


# --- Judging ----------------------------------------------------------------------------------------------------------


@dataclass
class Proved:
    """What a round came to, counted, and its findings in sentences: what was altered, and where hours are missing."""

    counts: Counter[str] = field(default_factory=Counter)
    altered: list[str] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)

    def entry(self) -> dict[str, Any]:
        """For the audit trail."""
        found = [*self.altered, *self.gaps]
        return {**dict(sorted(self.counts.items())), "findings": found[:TOLD], "findings_in_all": len(found)}


def prove(of: Trail) -> Proved:
    """Judge what is new, in one transaction; safe to repeat, and to run by two workers at once."""
    proved = Proved()
    with transaction.atomic(durable=True):
        Listing.objects.get_or_create(trail=of)
        listing = Listing.objects.select_for_update(no_key=True).get(trail=of)
        now = clock.now()
        new = _judge(of, proved, now)
        decided, altered = _settle(of, new, listing.proved_at, now)
        _recount(of, altered | {row.pk for row in new}, proved)
        if listing.proved_at is None or now - listing.proved_at >= HOUR or now.hour != listing.proved_at.hour:
            _give_up(of, now, decided)
        listing.proved_at = now
        listing.save(update_fields=["proved_at"])
        proved.counts.update({f"files_{state}": count for state, count in decided.items()})
        if proved.counts:
            trail.record(Action.TRAIL_PROVED, of, by=trail.SYSTEM, detail=proved.entry())
        _alarm(of, Kind.TRAIL_ALTERED, proved.altered)
        _alarm(of, Kind.TRAIL_GAP, proved.gaps)
    return proved


def _alarm(of: Trail, kind: Kind, found: list[str]) -> None:
    if found:
        more = f" And {len(found) - 1} more." if len(found) > 1 else ""
        raise_alarm(kind, of, f"{of}: {found[0]}{more}", detail={"findings": found[:TOLD]})


class Kept(Protocol):
    """What is needed of a `DigestFile` to read it."""

    bucket: Any
    key: Any
    data: Any
    metadata: Any


def digest_of(row: Kept) -> Digest:
    """The digest as it was delivered. One that was handed over is taken to lie where it says."""
    digest = digests.read(bytes(row.data), row.bucket, row.key, row.metadata)
    return digest if row.bucket else replace(digest, bucket=digest.said_bucket)


def archived(of: Trail, region: str) -> list[Key]:
    """The public keys of one region."""
    rows = PublicKey.objects.filter(trail=of, region=region)
    return [Key(row.fingerprint, bytes(row.value), row.begins, row.ends) for row in rows]


def _judge(of: Trail, proved: Proved, now: datetime) -> list[DigestFile]:
    """Judge the digests that are new, or whose key is known by now, and the links from there on; returns the valid ones."""
    open_rows = DigestFile.objects.filter(trail=of).filter(
        Q(judged_at=None)
        | Q(reason=Fault.KEY, fingerprint__in=PublicKey.objects.filter(trail=of).values("fingerprint"))
    )
    earliest: dict[tuple[str, str, str, bool], datetime] = {}
    ends = open_rows.values_list("region", "aws_name", "home_region", "backfill", "ends_at")
    for region, name, home, backfill, end in ends:
        place = (region, name, home, backfill)
        earliest[place] = min(end, earliest.get(place, end))
    valid: list[DigestFile] = []
    for place, end in sorted(earliest.items()):
        valid += _judge_chain(of, place, end, proved, now)
    return valid


JUDGED = ("state", "reason", "leads", "link", "missing", "gap_since", "judged_at")


def _judge_chain(
    of: Trail, place: tuple[str, str, str, bool], since: datetime, proved: Proved, now: datetime
) -> list[DigestFile]:
    region, name, home, backfill = place
    chain = DigestFile.objects.filter(trail=of, region=region, aws_name=name, home_region=home, backfill=backfill)
    before = chain.filter(ends_at__lt=since, leads=True).order_by("-ends_at").first()
    rows = list(chain.filter(ends_at__gte=before.ends_at if before else since).order_by("ends_at", "key", "id"))
    read = signed_by_successors(rows)
    known = archived(of, region)
    faults = [digests.verify(digest, known) for digest in read]
    begins = datetime.combine(of.started_from, datetime.min.time(), UTC)
    last: Judged | None = None
    valid = []
    for row, digest, fault, leads in zip(rows, read, faults, _leading(rows, faults), strict=True):
        judged = digests.follow(digest, fault, last, begins=begins) if leads else Judged(digest, fault, Link.FOLLOWS)
        first_time = row.judged_at is None or row.reason == Fault.KEY
        if before is not None and row.pk == before.pk:
            last = replace(judged, fault=fault)
            continue
        _conclude(row, judged, leads, now)
        if leads:
            last = judged
        if first_time:
            _tell(row, judged, proved)
            if fault is None:
                valid.append(row)
                row.lines.bulk_create(
                    [DigestLine(digest=row, bucket=line.bucket, key=line.key, sha256=line.sha256) for line in digest.lines],
                    ignore_conflicts=True,
                )  # fmt: skip
    DigestFile.objects.bulk_update(rows, JUDGED, batch_size=500)
    return valid


def signed_by_successors(rows: Sequence[Kept]) -> list[Digest]:
    """The digests. Of one handed over without its object's fields, the digest after it repeats the signature."""
    chain = [digest_of(row) for row in rows]
    told = {(one.previous_bucket, one.previous_key): one.previous_signature for one in chain if one.previous_key}
    return [
        replace(one, signature=told.get((one.bucket, one.key), ""), algorithm=ALGORITHM)
        if not row.bucket and not one.signature
        else one
        for row, one in zip(rows, chain, strict=True)
    ]


def _leading(rows: Sequence[DigestFile], faults: Sequence[Fault | None]) -> list[bool]:
    """Of several versions under one key the first that is valid counts, else the latest."""
    chosen: dict[str, int] = {}
    for place, row in enumerate(rows):
        if row.key not in chosen or faults[chosen[row.key]] is not None:
            chosen[row.key] = place
    return [chosen[row.key] == place for place, row in enumerate(rows)]


def _conclude(row: DigestFile, judged: Judged, leads: bool, now: datetime) -> None:
    row.state = DigestFile.State.INVALID if judged.fault else DigestFile.State.VALID
    row.reason = judged.fault or ""
    row.leads, row.judged_at = leads, now
    row.link = judged.link.value if leads else ""
    row.missing = len(judged.missing) if leads else 0
    row.gap_since = judged.since if leads else None


def _tell(row: DigestFile, judged: Judged, proved: Proved) -> None:
    """Count a digest that was judged for the first time, and say what is wrong with it."""
    proved.counts["digests_invalid" if judged.fault else "digests_valid"] += 1
    if judged.fault:
        proved.altered.append(f"Digest {row}: {judged.fault.said}")
    if judged.link is Link.BROKEN:
        proved.altered.append(f"Digest {row} does not fit the one before it.")
    if judged.link is Link.MISSING:
        proved.counts["digests_missing"] += len(judged.missing)
        since = f"{judged.missing[0] - HOUR:%Y-%m-%d %H:%M:%S}"
        count = len(judged.missing)
        said = "digest is" if count == 1 else "digests are"
        proved.gaps.append(f"{count} {said} missing, from {since} to {judged.missing[-1]:%Y-%m-%d %H:%M:%S} UTC.")
    if judged.link is Link.RESTARTED and judged.since is not None:
        proved.counts["stops"] += 1
        proved.gaps.append(
            f"Digests stopped at {judged.since:%Y-%m-%d %H:%M:%S} and began anew at {row.starts_at:%Y-%m-%d %H:%M:%S} UTC."
        )


# --- Files ------------------------------------------------------------------------------------------------------------

_SETTLE = """
INSERT INTO cloudtrail_proof (file_id, state, digest_id, decided_at)
SELECT DISTINCT ON (f.id) f.id, CASE WHEN f.sha256_content = l.sha256 THEN 'valid' ELSE 'mismatch' END, d.id, %(now)s
FROM cloudtrail_logfile f
JOIN cloudtrail_digestline l ON l.key = f.key AND f.bucket IN (l.bucket, '')
JOIN cloudtrail_digestfile d ON d.id = l.digest_id AND d.trail_id = f.trail_id
WHERE f.trail_id = %(trail)s AND f.sha256_raw <> ''
  AND ({which})
  AND NOT EXISTS (SELECT 1 FROM cloudtrail_proof p WHERE p.file_id = f.id AND p.state IN ('valid', 'mismatch'))
ORDER BY f.id, f.sha256_content = l.sha256 DESC, d.id
ON CONFLICT (file_id) DO UPDATE SET state = excluded.state, digest_id = excluded.digest_id, decided_at = excluded.decided_at
RETURNING state, digest_id
"""


def _settle(
    of: Trail, new: list[DigestFile], proved_at: datetime | None, now: datetime
) -> tuple[Counter[str], set[int]]:
    """Hold against their lines the files that new digests list, and the files that were read since last time.

    Returns how many were decided in which way, and the digests of those that are not as delivered.
    """
    found: list[tuple[str, int]] = []
    values: dict[str, Any] = {"trail": of.pk, "now": now, "new": [row.pk for row in new], "since": proved_at}
    with connection.cursor() as cursor:
        if new:
            cursor.execute(_SETTLE.format(which="l.digest_id = ANY(%(new)s)"), values)
            found += cursor.fetchall()
        if proved_at is not None:
            # With a margin: a file's row may have been committed a little after the time on it.
            values["since"] = proved_at - HOUR
            cursor.execute(_SETTLE.format(which="f.settled_at > %(since)s"), values)
            found += cursor.fetchall()
    return Counter(state for state, _ in found), {digest for state, digest in found if state == Proof.State.MISMATCH}


_RECOUNT = """
SELECT d.id, l.key, f.state, p.state
FROM cloudtrail_digestfile d JOIN cloudtrail_digestline l ON l.digest_id = d.id
LEFT JOIN cloudtrail_logfile f ON f.key = l.key AND f.bucket IN (l.bucket, '') AND f.trail_id = d.trail_id
LEFT JOIN cloudtrail_proof p ON p.file_id = f.id
WHERE d.trail_id = %s AND (d.id = ANY(%s) OR d.absent > 0 OR d.unread > 0)
"""


def _recount(of: Trail, changed: set[int], proved: Proved) -> None:
    """For digests that are new or changed, or not at rest: how many of their files are absent, unread, not as delivered."""
    counted: dict[int, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    with connection.cursor() as cursor:
        cursor.execute(_RECOUNT, [of.pk, sorted(changed)])
        for digest, key, file_state, proof in cursor.fetchall():
            kinds = counted[digest]
            if proof == Proof.State.MISMATCH:
                kinds["mismatched"].add(key)
            elif file_state is None and not _too_early(of, key):
                kinds["absent"].add(key)
            elif file_state is not None and proof is None:
                kinds["unread"].add(key)
    rows = list(DigestFile.objects.filter(pk__in=counted).defer("data"))
    for row in rows:
        kinds = counted[row.pk]
        was = (row.absent, row.mismatched)
        row.absent, row.unread, row.mismatched = (len(kinds[kind]) for kind in ("absent", "unread", "mismatched"))
        if row.absent > was[0]:
            proved.counts["files_absent"] += row.absent - was[0]
            proved.altered += [f"{_short(key)} was delivered, and is not there." for key in sorted(kinds["absent"])]
        if row.mismatched > was[1]:
            proved.altered += [f"{_short(key)} is not what was delivered." for key in sorted(kinds["mismatched"])]
    DigestFile.objects.bulk_update(rows, ("absent", "unread", "mismatched"), batch_size=500)


def _too_early(of: Trail, key: str) -> bool:
    """A file from before the day since which the trail is pulled: nobody looked for it."""
    name = keys.parse(key)
    return name is not None and name.delivered.date() < of.started_from


def _short(key: str) -> str:
    return "File " + key.rpartition("/")[2]


_UNPROVED = """
SELECT f.id, f.key, f.delivered_at FROM cloudtrail_logfile f
WHERE f.trail_id = %s AND f.delivered_at < %s AND f.sha256_raw <> ''
  AND NOT EXISTS (SELECT 1 FROM cloudtrail_proof p WHERE p.file_id = f.id)
"""


def _give_up(of: Trail, now: datetime, decided: Counter[str]) -> None:
    """What no digest lists after two days is not covered; where no digest was made at that time, that is the reason."""
    with connection.cursor() as cursor:
        cursor.execute(_UNPROVED, [of.pk, now - NOT_COVERED_AFTER])
        waiting = cursor.fetchall()
    if not waiting:
        return
    spans = _digested(of)
    rows = []
    for file, key, delivered in waiting:
        name = keys.parse(key)
        region = name.region if name else ""
        covered = any(since <= delivered <= until for since, until in spans.get(region, ()))
        state = Proof.State.NOT_COVERED if covered else Proof.State.UNDIGESTED
        rows.append(Proof(file_id=file, state=state))
        decided[state.value] += 1
    Proof.objects.bulk_create(rows, ignore_conflicts=True, batch_size=2000)


def _digested(of: Trail) -> dict[str, list[tuple[datetime, datetime]]]:
    """By region, from when to when digests were made; a stop ends a span, a missing digest does not."""
    spans: dict[str, list[tuple[datetime, datetime]]] = defaultdict(list)
    rows = DigestFile.objects.filter(trail=of, leads=True, backfill=False).order_by("region", "aws_name", "ends_at")
    chain: tuple[str, str] | None = None
    for region, name, link, starts, ends in rows.values_list("region", "aws_name", "link", "starts_at", "ends_at"):
        if (region, name) == chain and link != Link.RESTARTED:
            spans[region][-1] = (spans[region][-1][0], ends)
        else:
            spans[region].append((starts, ends))
        chain = (region, name)
    return spans
