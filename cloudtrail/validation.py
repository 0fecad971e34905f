"""Validate a registered trail: anew, by what lies in its bucket; or by what ingest has hashed, without fetching anything.

Both judge every digest anew, by its bytes and signature. Of a trail that was handed over counts what was hashed then: it has no
bucket.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from django.db import connection

from cloudtrail import bucket, digests, keys, proof, public_keys, reread
from cloudtrail.digests import HOUR, Judged, Key, Line, Verdict
from cloudtrail.keys import DigestName
from cloudtrail.models import DigestFile, Trail
from cloudtrail.quick import Found, Look, Reader
from cloudtrail.reread import PORTION, Outcome, Told, portions, silent
from storage.s3 import StorageError


class InBucket:
    """A trail's bucket as it is now. Public keys are asked of AWS; of the archive, where AWS gives none."""

    def __init__(self, of: Trail, reader: Reader) -> None:
        self._of = of
        self._reader = reader

    def digest_keys(self, since: datetime, until: datetime) -> Iterator[tuple[str, str]]:
        of = self._of
        root = keys.digest_prefix(of.prefix, of.organisation, of.account)
        for region in [of.region] if of.region else bucket.folders(of.bucket, root):
            after = f"{root}{region}/{since:%Y/%m/%d}/"
            for key in bucket.list_newest(of.bucket, f"{root}{region}/", after):
                name = keys.parse_digest(key)
                if name is not None and since <= name.end <= until and of.aws_name in ("", name.trail):
                    yield of.bucket, key

    def each(self, places: Sequence[tuple[str, str]], look: Look[Found]) -> list[Found]:
        return self._reader.each(places, look)

    def public_keys(self, name: DigestName, since: datetime, until: datetime) -> list[Key]:
        try:
            found = public_keys.listed(name.region, since, until)
        except StorageError:
            found = []
        return found or proof.archived(self._of, name.region)


def anew(of: Trail, since: datetime, until: datetime, told: Told = silent) -> Outcome:
    """Read everything again. Raises `StorageError`."""
    if of.offline:
        return as_ingested(of, since, until, told)
    with Reader() as reader:
        return reread.validate(InBucket(of, reader), since, until, told)


READ = ("bucket", "key", "region", "data", "metadata", "starts_at", "ends_at")


def as_ingested(of: Trail, since: datetime, until: datetime, told: Told = silent) -> Outcome:
    """Judge the digests by their kept bytes, and the files by the hashes that the ledger holds of them.

    It says what ingest saw, in a hundredth of the time; what was altered or removed in the bucket since, it does not see.
    """
    outcome = Outcome()
    archives: dict[str, list[Key]] = {}
    before: dict[tuple[object, ...], Judged] = {}
    rows = DigestFile.objects.filter(trail=of, ends_at__gte=since, ends_at__lte=until + HOUR)
    newest = rows.order_by("ends_at", "key", "-id").distinct("ends_at", "key").values_list(*READ, named=True)
    # A digest that was handed over may need the one after it (`proof.signed_by_successors`): those are taken all at once.
    for portion in portions(newest.iterator(chunk_size=PORTION), 10**6 if of.offline else PORTION):
        lines: list[Line] = []
        for row, digest in zip(portion, proof.signed_by_successors(portion), strict=True):
            if row.region not in archives:
                archives[row.region] = proof.archived(of, row.region)
            fault = digests.verify(digest, archives[row.region])
            judged = digests.follow(digest, fault, before.get(digest.name.chain), begins=since)
            before[digest.name.chain] = judged
            reread.count(judged, outcome, told)
            lines += () if fault else digest.lines
        times = [row.starts_at for row in portion] + [row.ends_at for row in portion]
        found = _in_ledger(of, lines, min(times), max(times))
        sound = 0
        for line in lines:
            if told is silent and found.get(line.key) == line.sha256:  # nearly all of very many
                sound += 1
            else:
                reread.count_file(line, digests.held(line, found.get(line.key, Verdict.MISSING)), outcome, told)
        if sound:
            outcome.files[Verdict.VALID.value] += sound
    return outcome


_DELIVERED = """
SELECT key,
       CASE WHEN sha256_raw = '' THEN 'missing' WHEN sha256_content = '' THEN 'unreadable' ELSE sha256_content END
FROM cloudtrail_logfile WHERE trail_id = %s AND delivered_at >= %s AND delivered_at <= %s ORDER BY id
"""
_NEWEST = """
SELECT DISTINCT ON (key) key,
       CASE WHEN sha256_raw = '' THEN 'missing' WHEN sha256_content = '' THEN 'unreadable' ELSE sha256_content END
FROM cloudtrail_logfile WHERE trail_id = %s AND bucket = ANY(%s) AND key = ANY(%s) ORDER BY key, id DESC
"""


def _in_ledger(of: Trail, lines: list[Line], since: datetime, until: datetime) -> dict[str, str]:
    """By key what ingest made of the newest version of each file, as `digests.hashed` says it.

    Nearly all were delivered in their digests' hours; the others are looked up.
    """
    with connection.cursor() as cursor:
        cursor.execute(_DELIVERED, [of.pk, since, until])
        found: dict[str, str] = dict(cursor.fetchall())
        others = [line for line in lines if line.key not in found]
        if others:
            cursor.execute(_NEWEST, [of.pk, ["", *{line.bucket for line in others}], [line.key for line in others]])
            found.update(cursor.fetchall())
    return found


def period(of: Trail, since: datetime | None, until: datetime | None, now: datetime) -> tuple[datetime, datetime]:
    """What is validated where nothing else is said: from the first day that is pulled, until now."""
    begin = datetime.combine(of.started_from, datetime.min.time(), UTC)
    return since or begin, until or now
