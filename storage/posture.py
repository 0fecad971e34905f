"""The rules of storage posture: what is wanted of a bucket and of what stands around it, and how it is read and compared (R6).

Each rule is a row of `RULES`. Reading changes nothing in AWS. What could not be read is never taken for good: a missing
permission and a service that is away are findings of their own. Settings are promises; `manage.py s3_probe` tries them.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from django.conf import settings

from storage import policies, worm
from storage.models import Bucket, Purpose
from storage.observing import NotRead, Questions

Value = str | int | list[str]
Wanted = Mapping[str, Value | None]
"""By rule; None: this rule is not asked for."""


class Group(StrEnum):
    LOCKS = "Versions and locks"
    ENCRYPTION = "Encryption"
    PUBLIC = "Public access"
    WRITERS = "Who may write and delete"
    COPIES = "Copies and lifecycle"
    TRAIL = "CloudTrail"


class Compare(StrEnum):
    IS = "is"
    AT_LEAST = "at least"  # a number, or a step of the rule's scale
    ALL_OF = "all of"  # everything that is wanted is found
    ONLY = "only"  # nothing is found that no wanted name or pattern meets


class Verdict(StrEnum):
    PASSES = "passes"
    FAILS = "fails"
    UNREAD = "unread"
    NOT_ASKED = "not_asked"


@dataclass(frozen=True)
class Rule:
    """One thing that a bucket must be, for whom, and by which question to AWS it is known."""

    id: str
    group: Group
    asks: str
    why: str
    serves: tuple[str, ...]
    permission: str  # what the portal's role needs to ask
    compare: Compare
    read: Callable[[Questions], Value]
    recommended: Mapping[
        str, Value | Callable[[], Value]
    ]  # by purpose of the bucket; a purpose that is missing has no such rule
    scale: tuple[str, ...] = ()
    nothing: str = "nothing"  # an empty list in words

    def applies_to(self, bucket: Bucket) -> bool:
        return bucket.purpose in self.recommended

    def recommends(self, purpose: str) -> Value:
        value = self.recommended[purpose]
        return value() if callable(value) else value

    def holds(self, found: Value, wanted: Value) -> bool:
        """Whether what was found is what is wanted, or more than that."""
        if self.compare is Compare.ALL_OF:
            return isinstance(found, list) and isinstance(wanted, list) and set(wanted) <= set(found)
        if self.compare is Compare.ONLY:
            return (
                isinstance(found, list)
                and isinstance(wanted, list)
                and all(any(policies.matches(one, pattern) for pattern in wanted) for one in found)
            )
        if self.compare is Compare.AT_LEAST:
            return self._step(found) >= self._step(wanted)
        return found == wanted

    def more_than(self, wanted: Value | None) -> bool:
        """Whether something that is more than this would pass as well."""
        return self.compare is Compare.AT_LEAST and wanted is not None and wanted != (self.scale or (None,))[-1]

    def _step(self, value: Value) -> int:
        if isinstance(value, int):
            return value
        return self.scale.index(value) if isinstance(value, str) and value in self.scale else -1

    def words(self, value: Value | None) -> str:
        if value is None:
            return "not asked for"
        if isinstance(value, list):
            return ", ".join(value) or self.nothing
        return f"{value:,} days" if isinstance(value, int) else value


@dataclass(frozen=True)
class Finding:
    """What one rule came to. `said` is why it could not be read."""

    rule: str
    wanted: Value | None
    found: Value | None
    verdict: str
    said: str = ""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def recommended(bucket: Bucket) -> dict[str, Value]:
    """The values that the portal recommends for a bucket of this purpose."""
    return {rule.id: rule.recommends(bucket.purpose) for rule in RULES if rule.applies_to(bucket)}


def read(bucket: Bucket, wanted: Wanted) -> list[Finding]:
    """Ask AWS about every rule of the bucket. A rule that `wanted` does not name is held to what is recommended.

    Raises nothing: what is not answered is a finding.
    """
    questions = Questions(bucket)
    return [_find(rule, questions, wanted) for rule in RULES if rule.applies_to(bucket)]


def _find(rule: Rule, questions: Questions, wanted: Wanted) -> Finding:
    value = wanted.get(rule.id, rule.recommends(questions.bucket.purpose))
    try:
        found = rule.read(questions)
    except NotRead as error:
        return Finding(rule.id, value, None, Verdict.UNREAD if value is not None else Verdict.NOT_ASKED, str(error))
    if value is None:
        return Finding(rule.id, None, found, Verdict.NOT_ASKED)
    return Finding(rule.id, value, found, Verdict.PASSES if rule.holds(found, value) else Verdict.FAILS)


# Versions and locks ---------------------------------------------------------------------------------------------------


def _versioning(ask: Questions) -> str:
    return str(ask.setting("get_bucket_versioning").get("Status", "never on"))


def _lock(ask: Questions, bucket: str = "") -> dict[str, Any]:
    more = {"Bucket": bucket} if bucket else {}
    found: dict[str, Any] = ask.setting("get_object_lock_configuration", **more).get("ObjectLockConfiguration", {})
    return found


def _lock_enabled(ask: Questions) -> str:
    return "Enabled" if _lock(ask).get("ObjectLockEnabled") == "Enabled" else "off"


def _retention(ask: Questions) -> dict[str, Any]:
    found: dict[str, Any] = _lock(ask).get("Rule", {}).get("DefaultRetention", {})
    return found


def _lock_mode(ask: Questions) -> str:
    return str(_retention(ask).get("Mode", "none"))


def _lock_days(ask: Questions) -> int:
    kept = _retention(ask)
    return int(kept.get("Days", 0)) + 365 * int(kept.get("Years", 0))  # the least that a year can be


def _days_of_documents() -> int:
    return worm.days_that_suffice(settings.DOCUMENT_RETENTION_YEARS)


def _days_of_anchors() -> int:
    return worm.days_that_suffice(settings.ANCHOR_RETENTION_YEARS)


# Encryption -----------------------------------------------------------------------------------------------------------


def _encrypted(ask: Questions) -> dict[str, Any]:
    rules = ask.setting("get_bucket_encryption").get("ServerSideEncryptionConfiguration", {}).get("Rules", [])
    first: dict[str, Any] = next(iter(rules), {})
    return dict(first.get("ApplyServerSideEncryptionByDefault", {}))


def _encryption(ask: Questions) -> str:
    return str(_encrypted(ask).get("SSEAlgorithm", "none"))


def _key(ask: Questions) -> tuple[str, str]:
    """Id and region of the bucket's own key; "" where S3 takes one of its own."""
    name = str(_encrypted(ask).get("KMSMasterKeyID", ""))
    return name, name.split(":")[3] if name.startswith("arn:") else ""


def _key_state(ask: Questions) -> str:
    name, region = _key(ask)
    if not name:
        return "no key of one's own"
    kept = ask.ask("kms", "describe_key", region=region, KeyId=name)["KeyMetadata"]
    return str(kept["KeyState"]) if kept.get("KeyManager", "CUSTOMER") == "CUSTOMER" else "a key that AWS manages"


def _key_rotation(ask: Questions) -> str:
    name, region = _key(ask)
    if not name:
        return "no key of one's own"
    return "on" if ask.ask("kms", "get_key_rotation_status", region=region, KeyId=name)["KeyRotationEnabled"] else "off"


# Public access --------------------------------------------------------------------------------------------------------

FOUR_WAYS = ["BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"]


def _blocked(answer: Mapping[str, Any]) -> list[str]:
    block = answer.get("PublicAccessBlockConfiguration", {})
    return [way for way in FOUR_WAYS if block.get(way)]


def _blocked_for_bucket(ask: Questions) -> list[str]:
    return _blocked(ask.setting("get_public_access_block"))


def _blocked_for_account(ask: Questions) -> list[str]:
    account = ask.ask("sts", "get_caller_identity")["Account"]
    return _blocked(ask.ask("s3control", "get_public_access_block", AccountId=account))


def _ownership(ask: Questions) -> str:
    rules = ask.setting("get_bucket_ownership_controls").get("OwnershipControls", {}).get("Rules", [])
    return str(next((rule["ObjectOwnership"] for rule in rules), "not set"))


# Who may write --------------------------------------------------------------------------------------------------------

WRITES = ("s3:PutObject", "s3:DeleteObject", "s3:DeleteObjectVersion")
UNLOCKS = ("s3:BypassGovernanceRetention",)
# A program acts in a role of its own or is a service of AWS.
PROGRAMS = ["arn:aws:iam::*:role/*", "*.amazonaws.com"]
# Checkpoints are written with an access key, by a user in another account that does nothing else.
ANCHOR_USER = "arn:aws:iam::*:user/countersign-anchor"
# A person acts as root, as a user, or in a role that single sign-on gives.
SINGLE_SIGN_ON = "arn:aws:iam::*:role/aws-reserved/sso.amazonaws.com/*"
PEOPLE = (
    "root", "user/somebody", "role/aws-reserved/sso.amazonaws.com/eu-central-1/AWSReservedSSO_Somebody_0123456789abcdef",
)  # fmt: skip


def _policy(ask: Questions) -> dict[str, Any]:
    text = ask.setting("get_bucket_policy").get("Policy", "")
    found: dict[str, Any] = json.loads(text) if text else {}
    return found


def _writers(ask: Questions) -> list[str]:
    policy = _policy(ask)
    return sorted({name for action in WRITES for name in policies.exempt(policy, action, ask.name)})


def _people_who_write(ask: Questions) -> list[str]:
    """Of those, whoever is or may be a person: a pattern that meets any role meets people's roles as well."""
    return [name for name in _writers(ask) if _may_be_a_person(name)]


def _may_be_a_person(name: str) -> bool:
    if policies.matches(name, SINGLE_SIGN_ON) or not any(policies.matches(name, pattern) for pattern in PROGRAMS):
        return True
    account = name.split(":")[4] if name.startswith("arn:") else ""
    one = account if account.isdigit() else "111122223333"
    return any(policies.matches(f"arn:aws:iam::{one}:{person}", name) for person in PEOPLE)


def _unlockers(ask: Questions) -> list[str]:
    """Who may end a governance lock early, by the bucket's policy and by IAM; IAM is asked where the policy leaves it open."""
    policy = _policy(ask)
    found: set[str] = set()
    for action in UNLOCKS:
        open_to = policies.exempt(policy, action, ask.name)
        if not open_to:
            continue
        details = ask.ask("iam", "get_account_authorization_details")
        let = policies.let_by_iam(details, action, ask.name) + policies.let_by_policy(policy, action, ask.name)
        anybody = any(map(policies.vague, open_to))
        found |= {name for name in let if anybody or any(policies.matches(name, one) for one in open_to)}
    return sorted(found)


def _tls(ask: Questions) -> str:
    return "demanded" if policies.demands_tls(_policy(ask), ask.name) else "not demanded"


# Copies and lifecycle -------------------------------------------------------------------------------------------------


def _replicas(ask: Questions) -> list[dict[str, Any]]:
    rules = ask.setting("get_bucket_replication").get("ReplicationConfiguration", {}).get("Rules", [])
    return [rule for rule in rules if rule.get("Status") == "Enabled"]


def _whole(rule: Mapping[str, Any]) -> bool:
    narrow = rule.get("Filter") or {}
    return not (rule.get("Prefix") or narrow.get("Prefix") or narrow.get("Tag") or narrow.get("And"))


def _replication(ask: Questions) -> str:
    rules = _replicas(ask)
    return "none" if not rules else "whole bucket" if any(map(_whole, rules)) else "part of the bucket"


def _replica_lock(ask: Questions) -> str:
    """The lock of the weakest copy."""
    places = [rule["Destination"]["Bucket"].rpartition(":")[2] for rule in _replicas(ask) if _whole(rule)]
    if not places:
        return "no copy"
    return "Enabled" if all(_lock(ask, place).get("ObjectLockEnabled") == "Enabled" for place in places) else "off"


def _expiring(ask: Questions) -> list[str]:
    """Lifecycle rules that remove versions of objects. One that only breaks off uploads removes none."""
    rules = ask.setting("get_bucket_lifecycle_configuration").get("Rules", [])
    return sorted(
        str(rule.get("ID", "without a name")) for rule in rules if rule.get("Status") == "Enabled" and _expires(rule)
    )


def _expires(rule: Mapping[str, Any]) -> bool:
    end = rule.get("Expiration", {})
    return bool(end.get("Days") or end.get("Date") or rule.get("NoncurrentVersionExpiration"))


# CloudTrail -----------------------------------------------------------------------------------------------------------

EVENTS = ("none", "part of them", "ReadOnly", "WriteOnly", "All")


def _trails(ask: Questions) -> list[dict[str, Any]]:
    """The account's trails as the portal's region knows them, those of other regions and of the organisation included."""
    found: list[dict[str, Any]] = ask.ask("cloudtrail", "describe_trails", includeShadowTrails=True).get(
        "trailList", []
    )
    return found


def _about_trail(ask: Questions, trail: Mapping[str, Any], operation: str, name: str) -> dict[str, Any]:
    return ask.ask("cloudtrail", operation, region=str(trail.get("HomeRegion", "")), **{name: trail["TrailARN"]})


def _logging(ask: Questions, trail: Mapping[str, Any]) -> bool:
    return bool(_about_trail(ask, trail, "get_trail_status", "Name").get("IsLogging"))


def _data_events(ask: Questions) -> str:
    """The most that one running trail keeps of what happens to objects of this bucket."""
    kept = [_kept_by(ask, trail, ask.name) for trail in _trails(ask) if _logging(ask, trail)]
    if {"ReadOnly", "WriteOnly"} <= set(kept):
        return "All"
    return max(kept, key=EVENTS.index, default="none")


def _kept_by(ask: Questions, trail: Mapping[str, Any], bucket: str) -> str:
    answer = _about_trail(ask, trail, "get_event_selectors", "TrailName")
    found = [_by_selector(one, bucket) for one in answer.get("EventSelectors", [])]
    found += [_by_fields(one.get("FieldSelectors", []), bucket) for one in answer.get("AdvancedEventSelectors", [])]
    if {"ReadOnly", "WriteOnly"} <= set(found):
        return "All"
    return max(found, key=EVENTS.index, default="none")


def _by_selector(selector: Mapping[str, Any], bucket: str) -> str:
    """Of a basic selector: its values are beginnings of ARNs."""
    arn = f"arn:aws:s3:::{bucket}/"
    values = [
        value
        for resource in selector.get("DataResources", [])
        if resource.get("Type") == "AWS::S3::Object"
        for value in resource.get("Values", [])
    ]
    if any(arn.startswith(value) for value in values):
        return str(selector.get("ReadWriteType", "All"))
    return "part of them" if any(value.startswith(arn) for value in values) else "none"


def _by_fields(fields: list[dict[str, Any]], bucket: str) -> str:
    """Of an advanced selector: all of its fields must fit. One that narrows in a way not known here keeps a part."""
    arn = f"arn:aws:s3:::{bucket}/"
    by_name = {field["Field"]: field for field in fields}
    if by_name.get("eventCategory", {}).get("Equals") != ["Data"]:
        return "none"
    if "AWS::S3::Object" not in by_name.get("resources.type", {}).get("Equals", []):
        return "none"
    place = by_name.get("resources.ARN", {})
    begins = [*place.get("StartsWith", []), *place.get("Equals", [])]
    if any(arn.startswith(value) for value in place.get("NotStartsWith", [])):
        return "none"
    if begins and not any(arn.startswith(value) for value in place.get("StartsWith", [])):
        return "part of them" if any(value.startswith(arn) for value in begins) else "none"
    known = {"eventCategory", "resources.type", "resources.ARN", "readOnly"}
    left_out = [
        value for name in ("NotStartsWith", "NotEquals") for value in place.get(name, []) if value.startswith(arn)
    ]
    endings = place.get("EndsWith") or place.get("NotEndsWith")
    if set(by_name) - known or left_out or endings:
        return "part of them"
    reads = by_name.get("readOnly", {}).get("Equals")
    return "All" if reads is None else "ReadOnly" if reads == ["true"] else "WriteOnly"


def _delivering(ask: Questions) -> list[dict[str, Any]]:
    """Trails that put their files into this bucket. Raises NotRead where this account has none: it may be another's."""
    found = [trail for trail in _trails(ask) if trail.get("S3BucketName") == ask.name]
    if not found:
        raise NotRead("No trail that this account knows of delivers into this bucket.")
    return found


def _each(ask: Questions, good: str, poor: str, judge: Callable[[dict[str, Any]], bool]) -> str:
    """`good` where it is so of every trail of this bucket, else `poor` with the names of the others."""
    names = [str(trail["Name"]) for trail in _delivering(ask) if not judge(trail)]
    return f"{poor}: {', '.join(names)}" if names else good


def _trail_logging(ask: Questions) -> str:
    return _each(ask, "on", "stopped", lambda trail: _logging(ask, trail))


def _trail_regions(ask: Questions) -> str:
    return _each(ask, "all regions", "one region", lambda trail: bool(trail.get("IsMultiRegionTrail")))


def _trail_validation(ask: Questions) -> str:
    return _each(ask, "on", "off", lambda trail: bool(trail.get("LogFileValidationEnabled")))


def _trail_own(ask: Questions) -> str:
    return _each(ask, "left out", "logged", lambda trail: _kept_by(ask, trail, ask.name) == "none")


# The table ------------------------------------------------------------------------------------------------------------

RECORDS, WORM, TRAIL, ANCHOR = Purpose.RECORDS.value, Purpose.WORM.value, Purpose.TRAIL.value, Purpose.ANCHOR.value
OF_EACH = (RECORDS, WORM, TRAIL, ANCHOR)


def _all(value: Value | Callable[[], Value], *purposes: str) -> dict[str, Value | Callable[[], Value]]:
    return dict.fromkeys(purposes or OF_EACH, value)


RULES: tuple[Rule, ...] = (
    Rule(
        "versioning", Group.LOCKS, "Versions of objects",
        "Without versions an object is overwritten and the earlier bytes are gone.",
        ("11.10(c)", "11.10(e)"), "s3:GetBucketVersioning", Compare.IS, _versioning, _all("Enabled"),
    ),
    Rule(
        "lock", Group.LOCKS, "Object Lock",
        "Only a locked version cannot be deleted before its date.",
        ("11.10(c)",), "s3:GetBucketObjectLockConfiguration", Compare.IS, _lock_enabled, _all("Enabled"),
    ),
    Rule(
        "lock_mode", Group.LOCKS, "Mode of the lock by default",
        "Governance can be bypassed by whoever has that permission, compliance by nobody.",
        ("11.10(c)",), "s3:GetBucketObjectLockConfiguration", Compare.AT_LEAST, _lock_mode, _all("COMPLIANCE"),
        scale=("none", "GOVERNANCE", "COMPLIANCE"),
    ),
    Rule(
        "lock_days", Group.LOCKS, "Length of the lock by default",
        "A record is kept throughout its retention time, and what tells of it as long.",
        ("11.10(c)", "11.10(e)"), "s3:GetBucketObjectLockConfiguration", Compare.AT_LEAST, _lock_days,
        _all(_days_of_documents, RECORDS, WORM, TRAIL) | _all(_days_of_anchors, ANCHOR),
    ),
    Rule(
        "bypass", Group.LOCKS, "Who may end a governance lock early",
        "Whoever bypasses the lock can delete a version for good.",
        ("11.10(c)", "11.10(g)"), "s3:GetBucketPolicy, iam:GetAccountAuthorizationDetails", Compare.ONLY, _unlockers, _all([]),
        nothing="nobody",
    ),
    Rule(
        "encryption", Group.ENCRYPTION, "Encryption by default",
        "Data at rest is read by nobody who has the disk and not the key.",
        ("11.30",), "s3:GetEncryptionConfiguration", Compare.AT_LEAST, _encryption, _all("aws:kms"),
        scale=("none", "AES256", "aws:kms", "aws:kms:dsse"),
    ),
    Rule(
        "key", Group.ENCRYPTION, "State of the KMS key",
        "A key that is disabled or waits for deletion makes locked objects unreadable: no lock helps against that.",
        ("11.10(c)", "11.30"), "kms:DescribeKey", Compare.IS, _key_state, _all("Enabled"),
    ),
    Rule(
        "key_rotation", Group.ENCRYPTION, "Rotation of the KMS key",
        "New material each year limits what one lost key opens.",
        ("11.30",), "kms:GetKeyRotationStatus", Compare.IS, _key_rotation, _all("on"),
    ),
    Rule(
        "public_bucket", Group.PUBLIC, "Public access blocked for the bucket",
        "A policy or an ACL that opens the bucket to everybody has no effect.",
        ("11.10(d)",), "s3:GetBucketPublicAccessBlock", Compare.ALL_OF, _blocked_for_bucket, _all(FOUR_WAYS),
    ),
    Rule(
        "public_account", Group.PUBLIC, "Public access blocked for the account",
        "It holds for buckets of tomorrow too, and for this one if its own block is taken away.",
        ("11.10(d)",), "s3:GetAccountPublicAccessBlock, sts:GetCallerIdentity", Compare.ALL_OF, _blocked_for_account,
        _all(FOUR_WAYS),
    ),
    Rule(
        "ownership", Group.PUBLIC, "ACLs",
        "With ACLs switched off, rights are told by policies alone, which can be read here.",
        ("11.10(d)",), "s3:GetBucketOwnershipControls", Compare.IS, _ownership, _all("BucketOwnerEnforced"),
    ),
    Rule(
        "writers", Group.WRITERS, "Whom the policy lets write and delete",
        "A denial to all but named programs holds whatever IAM gives to others.",
        ("11.10(d)", "11.10(g)"), "s3:GetBucketPolicy", Compare.ONLY, _writers,
        _all(PROGRAMS, RECORDS, WORM, TRAIL) | _all([*PROGRAMS, ANCHOR_USER], ANCHOR), nothing="nobody",
    ),
    Rule(
        "people", Group.WRITERS, "People among them",
        "People make records through the systems that are validated for it, never by hand in the bucket.",
        ("11.10(d)", "11.10(g)", "11.10(h)"), "s3:GetBucketPolicy", Compare.ONLY, _people_who_write,
        _all([], RECORDS, WORM, TRAIL), nothing="nobody",
    ),
    Rule(
        "tls", Group.WRITERS, "TLS",
        "What comes without TLS can be read and altered on its way.",
        ("11.30",), "s3:GetBucketPolicy", Compare.IS, _tls, _all("demanded"),
    ),
    Rule(
        "replication", Group.COPIES, "Copies in another bucket",
        "The loss of one bucket or region is not the loss of the records.",
        ("11.10(c)",), "s3:GetReplicationConfiguration", Compare.AT_LEAST, _replication,
        _all("whole bucket", RECORDS, WORM), scale=("none", "part of the bucket", "whole bucket"),
    ),
    Rule(
        "replica_lock", Group.COPIES, "Object Lock of the copies",
        "A copy that can be deleted is no second copy.",
        ("11.10(c)",), "s3:GetReplicationConfiguration, s3:GetBucketObjectLockConfiguration (of the copy)", Compare.IS,
        _replica_lock, _all("Enabled", RECORDS, WORM),
    ),
    Rule(
        "expiry", Group.COPIES, "Lifecycle rules that remove versions",
        "What lifecycle removes is gone, and CloudTrail does not tell of it.",
        ("11.10(c)", "11.10(e)"), "s3:GetLifecycleConfiguration", Compare.ONLY, _expiring, _all([]), nothing="none",
    ),
    Rule(
        "data_events", Group.TRAIL, "What a running trail keeps of its objects",
        "Who read or wrote an object is told by data events alone, and they are off unless asked for.",
        ("11.10(e)",), "cloudtrail:DescribeTrails, GetTrailStatus, GetEventSelectors", Compare.AT_LEAST, _data_events,
        _all("All", RECORDS, WORM), scale=EVENTS,
    ),
    Rule(
        "trail_logging", Group.TRAIL, "The trail of this bucket",
        "While a trail is stopped, nothing tells who touched a record.",
        ("11.10(e)",), "cloudtrail:DescribeTrails, GetTrailStatus", Compare.IS, _trail_logging, _all("on", TRAIL),
    ),
    Rule(
        "trail_regions", Group.TRAIL, "Regions of the trail",
        "Roles are often assumed in another region: without these events nobody can be named.",
        ("11.10(e)",), "cloudtrail:DescribeTrails", Compare.IS, _trail_regions, _all("all regions", TRAIL),
    ),
    Rule(
        "trail_validation", Group.TRAIL, "Validation of log files",
        "Without digest files nobody can prove that a log file is as CloudTrail wrote it.",
        ("11.10(a)", "11.10(e)"), "cloudtrail:DescribeTrails", Compare.IS, _trail_validation, _all("on", TRAIL),
    ),
    Rule(
        "trail_own", Group.TRAIL, "Data events of the trail's own bucket",
        "A trail that logs its own deliveries writes a log of its log without end.",
        ("11.10(e)",), "cloudtrail:DescribeTrails, GetEventSelectors", Compare.IS, _trail_own, _all("left out", TRAIL),
    ),
)  # fmt: skip
BY_ID = {rule.id: rule for rule in RULES}

KNOW = (
    "Each setting was asked of AWS with the portal's own credentials, at the time that is told; nothing was changed.",
    "What is wanted is the signed baseline's, as far as one is signed; the rule names the paragraph that it serves.",
    "What the portal may not ask, or AWS did not answer, is told as not read. It never counts as passed.",
)
CANNOT = (
    "That S3 enforces what is set: manage.py s3_probe tries it with a throw-away object.",
    "That it was so between two readings. CloudTrail tells of changes in between, as far as it is covered.",
    "That each object is locked as the bucket is by default: a verification reads the lock of each pinned version.",
    "That no person can take on a role that the policy names: its trust policy says who may, and CloudTrail who did.",
    "Whoever administers the account can replace a bucket policy. No policy tells that; the next reading does.",
)
