"""Validate a trail anew, by what lies in its bucket now: every digest, and every file that a digest lists.

Nothing that ingest has stored is asked, so that the answer stands by itself, as that of `aws cloudtrail validate-logs` does.
Digests and files are fetched a portion at a time, and of a file only the verdict is kept: memory does not grow with their
number.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import NamedTuple, Protocol, TypeVar

from cloudtrail import digests
from cloudtrail.digests import Digest, Judged, Key, Line, Link, Verdict
from cloudtrail.keys import DigestName
from cloudtrail.quick import Found, Look

Item = TypeVar("Item")

PORTION = 96
"""Digests that are held at a time."""
FILES = 2000
"""Files that are named at a time."""


class Source(Protocol):
    """Where digests, files and public keys come from."""

    def digest_keys(self, since: datetime, until: datetime) -> Iterator[tuple[str, str]]:
        """Bucket and key of the digests whose hours end in [since, until], in the order of their keys."""
        ...

    def each(self, places: Sequence[tuple[str, str]], look: Look[Found]) -> list[Found]:
        """What `look` says of the newest version of each object, or of None where there is none. It may run in any thread."""
        ...

    def public_keys(self, name: DigestName, since: datetime, until: datetime) -> list[Key]:
        """CloudTrail's public keys of the digest's region that were valid between two times."""
        ...


class Finding(NamedTuple):
    """Something that is not as it should be, about one object; `said` is a sentence."""

    bucket: str
    key: str
    kind: str
    said: str


@dataclass
class Outcome:
    """What a validation came to. `findings` holds all that is not valid."""

    digests: Counter[str] = field(default_factory=Counter)
    files: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    first: datetime | None = None
    last: datetime | None = None

    @property
    def valid(self) -> bool:
        """Something was there to be validated, and all of it holds."""
        return bool(self.digests["valid"]) and not self.findings


Told = Callable[[str, str, str, str], None]
"""Hears of every object: "digest" or "file", bucket, key, and what it was found to be."""


def silent(what: str, bucket: str, key: str, verdict: str) -> None:
    """For callers that want the outcome alone."""


def validate(source: Source, since: datetime, until: datetime, told: Told = silent) -> Outcome:
    """Validate all digests whose hours end in [since, until], and the files that they list. Raises `StorageError`.

    As `aws cloudtrail validate-logs` does, it looks an hour further: files delivered at the end stand in the next digest.
    """
    outcome = Outcome()
    known: dict[str, list[Key]] = {}
    before: dict[tuple[object, ...], Judged] = {}
    for places in portions(source.digest_keys(since, until + digests.HOUR), PORTION):
        sound: list[Line] = []
        for (bucket, key), found in zip(places, source.each(places, lambda found: found), strict=True):
            if found is None:  # gone since it was listed: the next one in its chain tells
                continue
            digest = digests.read(found.data, bucket, key, found.metadata)
            judged = digests.follow(digest, _fault(source, digest, known), before.get(digest.name.chain), begins=since)
            before[digest.name.chain] = judged
            count(judged, outcome, told)
            if judged.fault is None:
                sound += digest.lines
        for lines in portions(sound, FILES):
            for line, verdict in zip(lines, _verdicts(source, lines), strict=True):
                count_file(line, verdict, outcome, told)
    return outcome


def _fault(source: Source, digest: Digest, known: dict[str, list[Key]]) -> digests.Fault | None:
    """What is wrong with a digest; keys are asked for once where one answer serves all."""
    region = digest.name.region
    fault = digests.verify(digest, known.get(region, ()))
    if fault is digests.Fault.KEY:
        known[region] = known.get(region, []) + source.public_keys(digest.name, *digest.key_window)
        fault = digests.verify(digest, known[region])
    return fault


def _verdicts(source: Source, lines: Sequence[Line]) -> list[Verdict]:
    """What lies at the places of these lines, held against them."""
    places = [(line.bucket, line.key) for line in lines]
    found = source.each(places, lambda found: digests.hashed(found.data if found else None))
    return [digests.held(line, one) for line, one in zip(lines, found, strict=True)]


def count(judged: Judged, outcome: Outcome, told: Told = silent) -> None:
    """Add a digest to the outcome, with what is missing before it."""
    digest = judged.digest
    if judged.link is Link.MISSING:
        for end in judged.missing:
            named = judged.fault is None and end == judged.missing[-1]
            key = digest.previous_key if named else _name(digest, end)
            outcome.digests["missing"] += 1
            told("digest", digest.bucket, key, "missing")
            said = f"The digest of the hour that ended {end:%Y-%m-%d %H:%M:%S} UTC is missing."
            outcome.findings.append(Finding(digest.bucket, key, "missing", said))
    elif judged.link is Link.RESTARTED and judged.since is not None:
        outcome.digests["gaps"] += 1
        start = digest.start or digest.name.end
        said = (
            f"No digests from {judged.since:%Y-%m-%d %H:%M:%S} to {start:%Y-%m-%d %H:%M:%S} UTC: CloudTrail began a new"
            " chain, so the trail or its validation was stopped."
        )
        outcome.findings.append(Finding(digest.bucket, digest.key, "gap", said))
    elif judged.link is Link.BROKEN:
        outcome.digests["broken links"] += 1
        said = "It does not fit the digest before it: place, hash, signature or time differ."
        outcome.findings.append(Finding(digest.bucket, digest.key, "link", said))
    verdict = "invalid" if judged.fault else "valid"
    outcome.digests[verdict] += 1
    told("digest", digest.bucket, digest.key, verdict)
    if judged.fault:
        outcome.findings.append(Finding(digest.bucket, digest.key, judged.fault.value, judged.fault.said))
    else:
        outcome.first = min(filter(None, (outcome.first, digest.start)), default=None)
        outcome.last = max(filter(None, (outcome.last, digest.end)), default=None)


def _name(digest: Digest, end: datetime) -> str:
    name = digest.name
    return DigestName(
        name.account, name.region, name.trail, name.home, end, name.backfill, name.prefix, name.organisation
    ).key


def count_file(line: Line, verdict: Verdict, outcome: Outcome, told: Told = silent) -> None:
    """Add a listed log file to the outcome."""
    outcome.files[verdict.value] += 1
    told("file", line.bucket, line.key, verdict.value)
    if verdict is not Verdict.VALID:
        outcome.findings.append(Finding(line.bucket, line.key, verdict.value, f"The file {verdict.said}."))


def portions(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """The items in lists of at most `size`."""
    waiting = iter(items)
    while portion := list(islice(waiting, size)):
        yield portion
