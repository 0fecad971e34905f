"""Names of what CloudTrail delivers into its bucket: log files to read, and the siblings that are not log files.

Source of the forms: the CloudTrail user guide, "Finding your log files" and "Digest file structure". The time in a name is
the time of *delivery*: a file may hold older events, so nothing here says when its events happened.
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum

_ROOM = r"(?P<prefix>(?:.*?/)?)AWSLogs/(?:(?P<organisation>o-[a-z0-9]{10,32})/)?(?P<account>[0-9]{12})/"
_DAY = r"(?P<region>[a-z0-9-]+)/(?P<day>[0-9]{4}/[0-9]{2}/[0-9]{2})/"
_LOG = re.compile(
    _ROOM + r"CloudTrail/" + _DAY + r"(?P<owner>[0-9]{12})_CloudTrail_(?P=region)_(?P<time>[0-9]{8}T[0-9]{4})Z"
    r"_(?P<unique>[A-Za-z0-9]{16})\.json\.gz"
)
_DIGEST = re.compile(
    _ROOM
    + r"CloudTrail-Digest/"
    + _DAY
    + r"(?P<owner>[0-9]{12})_CloudTrail-Digest_(?P=region)_(?P<trail>[A-Za-z0-9._-]+)"
    r"_(?P<home>[a-z]{2}(?:-[a-z0-9]+)+)_(?P<time>[0-9]{8}T[0-9]{6})Z(?P<backfill>_backfill)?\.json\.gz"
)
_FOLDER = re.compile(_ROOM + r"(?P<folder>CloudTrail(?:-[A-Za-z]+)*)/")


class Kind(StrEnum):
    """What a key in a trail's bucket names."""

    LOG = "log"
    DIGEST = "digest"
    INSIGHT = "insight"
    SIBLING = "sibling"
    STRANGER = "stranger"


_SIBLINGS = {"CloudTrail-Digest": Kind.DIGEST, "CloudTrail-Insight": Kind.INSIGHT}


@dataclass(frozen=True)
class LogName:
    """The parts of a log file's key. `prefix` is empty or ends with a slash; `delivered` is in UTC, to the minute."""

    account: str
    region: str
    delivered: datetime
    unique: str
    prefix: str = ""
    organisation: str = ""

    @property
    def key(self) -> str:
        """The key under which CloudTrail delivers this file."""
        name = f"{self.account}_CloudTrail_{self.region}_{self.delivered:%Y%m%dT%H%MZ}_{self.unique}.json.gz"
        return day_prefix(self.prefix, self.organisation, self.account, self.region, self.delivered.date()) + name


def parse(key: str) -> LogName | None:
    """The parts of a log file's name, or None if `key` is not one (ask `kind` what it is instead).

    The account in the file name may differ from that of the folder in data sets made anonymous; the folder's counts.
    """
    found = _LOG.fullmatch(key)
    if found is None:
        return None
    try:
        delivered = datetime.strptime(found["time"], "%Y%m%dT%H%M").replace(tzinfo=UTC)
        datetime.strptime(found["day"], "%Y/%m/%d")
    except ValueError:
        return None
    return LogName(
        account=found["account"],
        region=found["region"],
        delivered=delivered,
        unique=found["unique"],
        prefix=found["prefix"],
        organisation=found["organisation"] or "",
    )


@dataclass(frozen=True)
class DigestName:
    """The parts of a digest file's key. `end` is the end of its hour in UTC, to the second; `home` the trail's home region."""

    account: str
    region: str
    trail: str
    home: str
    end: datetime
    backfill: bool = False
    prefix: str = ""
    organisation: str = ""

    @property
    def key(self) -> str:
        """The key under which CloudTrail delivers this digest."""
        root = digest_prefix(self.prefix, self.organisation, self.account) + f"{self.region}/{self.end:%Y/%m/%d}/"
        suffix = "_backfill" if self.backfill else ""
        return (
            f"{root}{self.account}_CloudTrail-Digest_{self.region}_{self.trail}_{self.home}_{self.end:%Y%m%dT%H%M%SZ}"
            f"{suffix}.json.gz"
        )

    @property
    def chain(self) -> tuple[str, str, str, str, bool]:
        """Digests of one chain have this in common; backfill digests are a chain of their own."""
        return self.account, self.region, self.trail, self.home, self.backfill


def parse_digest(key: str) -> DigestName | None:
    """The parts of a digest file's name, or None if `key` is not one."""
    found = _DIGEST.fullmatch(key)
    if found is None:
        return None
    try:
        end = datetime.fromisoformat(found["time"]).replace(tzinfo=UTC)
    except ValueError:
        return None
    return DigestName(
        account=found["account"],
        region=found["region"],
        trail=found["trail"],
        home=found["home"],
        end=end,
        backfill=bool(found["backfill"]),
        prefix=found["prefix"],
        organisation=found["organisation"] or "",
    )


def kind(key: str) -> Kind:
    """Where a key belongs: a log file, a digest, an Insight file, another CloudTrail sibling, or a stranger."""
    if parse(key) is not None:
        return Kind.LOG
    found = _FOLDER.match(key)
    if found is None or found["folder"] == "CloudTrail":
        return Kind.STRANGER
    return _SIBLINGS.get(found["folder"], Kind.SIBLING)


def account_prefix(prefix: str, organisation: str, account: str) -> str:
    """The folder in which the regions of one account lie; ends with a slash."""
    middle = f"{organisation}/" if organisation else ""
    return f"{prefix}AWSLogs/{middle}{account}/CloudTrail/"


def digest_prefix(prefix: str, organisation: str, account: str) -> str:
    """The folder in which the regions' digests of one account lie; ends with a slash."""
    return account_prefix(prefix, organisation, account).removesuffix("CloudTrail/") + "CloudTrail-Digest/"


def day_prefix(prefix: str, organisation: str, account: str, region: str, day: date) -> str:
    """The folder in which the log files delivered on `day` (UTC) lie; ends with a slash."""
    return f"{account_prefix(prefix, organisation, account)}{region}/{day:%Y/%m/%d}/"


def days(first: date, last: date) -> list[date]:
    """Every day from `first` to `last`, both included; empty when `first` is later."""
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]
