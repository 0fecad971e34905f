"""Each rule of posture, green and red, on buckets of the stand-in; what cannot be read never passes."""

import json
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from standin.filling import CLOUDTRAIL, FOUR_WAYS, Keeper, make_bucket
from standin.principals import PORTAL
from storage import observing, policies, posture
from storage.models import Bucket, Purpose
from storage.posture import BY_ID, RULES, Group, Verdict
from tests.standin.conftest import client

ROLE = "arn:aws:iam::111122223333:role/countersign-portal"
NAMES = {
    Purpose.RECORDS: "kept-records",
    Purpose.WORM: "kept-worm",
    Purpose.TRAIL: "kept-trail",
    Purpose.ANCHOR: "kept-anchors",
}

WRITERS = {Purpose.TRAIL: CLOUDTRAIL, Purpose.ANCHOR: "user/countersign-anchor"}


@pytest.fixture(scope="module")
def keeper(standin) -> Keeper:
    keeper = Keeper(standin.url)
    for name in NAMES.values():
        make_bucket(standin.url, name)
    return keeper


@pytest.fixture(autouse=True)
def everything_asked_of_the_standin(settings, standin, portal_settings) -> None:
    settings.AWS_ENDPOINT_URL = settings.ANCHOR_ENDPOINT_URL = standin.url
    settings.ANCHOR_ACCESS_KEY_ID, settings.ANCHOR_SECRET_ACCESS_KEY = PORTAL.access_key, PORTAL.secret


def set_all(keeper: Keeper) -> None:
    keeper.close_account()
    for purpose, name in NAMES.items():
        writer = WRITERS.get(purpose, "role/countersign-portal")
        copied = purpose in (Purpose.RECORDS, Purpose.WORM)
        keeper.keep(name, writer=writer, days=3660, copy=f"{name}-copy" if copied else "")
    keeper.trail("kept-events", NAMES[Purpose.TRAIL])


def bucket_of(purpose: str) -> Bucket:
    return Bucket(name=NAMES[Purpose(purpose)], label="Kept", purpose=purpose)


def read(purpose: str, wanted: dict[str, Any] | None = None) -> dict[str, posture.Finding]:
    return {one.rule: one for one in posture.read(bucket_of(purpose), wanted or {})}


# What somebody would have to do to break each rule, and for which bucket. `k` is the owner of the account, `b` the bucket.


def _without_default(k: Keeper, b: str) -> None:
    k.s3.put_object_lock_configuration(Bucket=b, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled"})


def _loose_copy(k: Keeper, b: str) -> None:
    make_bucket(k.url, f"{b}-loose", lock=False)
    k._copy(b, f"{b}-loose")


def _open(k: Keeper, b: str, *left: str) -> None:
    """Take statements of the policy away."""
    policy = k.policy(b, "role/countersign-portal")
    policy["Statement"] = [one for one in policy["Statement"] if one["Sid"] not in left]
    k.s3.put_bucket_policy(Bucket=b, Policy=json.dumps(policy))


def _let_iam_bypass(k: Keeper, b: str) -> None:
    iam = client(k.url, service="iam")
    if "gxp-admin" not in [user["UserName"] for user in iam.list_users()["Users"]]:
        iam.create_user(UserName="gxp-admin")
        allow = {"Effect": "Allow", "Action": "s3:Bypass*", "Resource": f"arn:aws:s3:::{b}/*"}
        iam.put_user_policy(
            UserName="gxp-admin",
            PolicyName="unlock",
            PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [allow]}),
        )
    _open(k, b, "NoBypass")


def _encrypt(k: Keeper, b: str, key: str = "") -> None:
    default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key} if key else {"SSEAlgorithm": "AES256"}
    rules = [{"ApplyServerSideEncryptionByDefault": default}]
    k.s3.put_bucket_encryption(Bucket=b, ServerSideEncryptionConfiguration={"Rules": rules})


def _key(k: Keeper, b: str, *, deleted: bool) -> None:
    made = k.kms.create_key()["KeyMetadata"]
    if deleted:
        k.kms.schedule_key_deletion(KeyId=made["KeyId"], PendingWindowInDays=7)
    _encrypt(k, b, made["Arn"])


def _expire(k: Keeper, b: str) -> None:
    rule = {
        "ID": "clean-up",
        "Status": "Enabled",
        "Filter": {"Prefix": ""},
        "NoncurrentVersionExpiration": {"NoncurrentDays": 30},
    }
    k.s3.put_bucket_lifecycle_configuration(Bucket=b, LifecycleConfiguration={"Rules": [rule]})


def _select(k: Keeper, *fields: dict[str, Any]) -> None:
    base = [{"Field": "eventCategory", "Equals": ["Data"]}, {"Field": "resources.type", "Equals": ["AWS::S3::Object"]}]
    k.cloudtrail.put_event_selectors(
        TrailName="kept-events", AdvancedEventSelectors=[{"FieldSelectors": [*base, *fields]}]
    )


def _without_block(k: Keeper, b: str) -> None:
    block = dict.fromkeys(FOUR_WAYS, True) | {"BlockPublicPolicy": False}
    k.s3.put_public_access_block(Bucket=b, PublicAccessBlockConfiguration=block)


def _person_writes(k: Keeper, b: str) -> None:
    policy = k.policy(b, "role/countersign-portal")
    policy["Statement"][1]["Condition"]["ArnNotLike"]["aws:PrincipalArn"] = [ROLE, "arn:aws:iam::111122223333:user/ana"]
    k.s3.put_bucket_policy(Bucket=b, Policy=json.dumps(policy))


def _never_versioned(k: Keeper, b: str) -> None:
    """No request does it while the lock is on: the stand-in's guard refuses it, as AWS does."""
    with pytest.raises(ClientError, match="versioning state cannot be changed"):
        k.s3.put_bucket_versioning(Bucket=b, VersioningConfiguration={"Status": "Suspended"})


BREAK: dict[str, tuple[Purpose, Any]] = {
    "lock_mode": (Purpose.RECORDS, _without_default),
    "lock_days": (Purpose.TRAIL, lambda k, b: k.keep(b, writer=CLOUDTRAIL, days=30)),
    "bypass": (Purpose.WORM, _let_iam_bypass),
    "encryption": (Purpose.RECORDS, _encrypt),
    "key": (Purpose.ANCHOR, lambda k, b: _key(k, b, deleted=True)),
    "key_rotation": (Purpose.WORM, lambda k, b: _key(k, b, deleted=False)),
    "public_bucket": (Purpose.RECORDS, _without_block),
    "public_account": (Purpose.TRAIL, lambda k, b: k.s3control.delete_public_access_block(AccountId=k.account)),
    "ownership": (Purpose.WORM, lambda k, b: k.s3.delete_bucket_ownership_controls(Bucket=b)),
    "writers": (Purpose.RECORDS, lambda k, b: _open(k, b, "OneWriter")),
    "people": (Purpose.RECORDS, _person_writes),
    "tls": (Purpose.ANCHOR, lambda k, b: _open(k, b, "Tls")),
    "replication": (Purpose.RECORDS, lambda k, b: k.s3.delete_bucket_replication(Bucket=b)),
    "replica_lock": (Purpose.WORM, _loose_copy),
    "expiry": (Purpose.RECORDS, _expire),
    "data_events": (Purpose.RECORDS, lambda k, b: _select(k, {"Field": "readOnly", "Equals": ["false"]})),
    "trail_logging": (Purpose.TRAIL, lambda k, b: k.cloudtrail.stop_logging(Name="kept-events")),
    "trail_regions": (Purpose.TRAIL, lambda k, b: k.cloudtrail.update_trail(Name="kept-events", IsMultiRegionTrail=False)),
    "trail_validation": (
        Purpose.TRAIL, lambda k, b: k.cloudtrail.update_trail(Name="kept-events", EnableLogFileValidation=False),
    ),
    "trail_own": (Purpose.TRAIL, lambda k, b: _select(k)),
}  # fmt: skip


def mend(keeper: Keeper, name: str) -> None:
    keeper.s3.delete_bucket_lifecycle(Bucket=name)
    keeper.cloudtrail.update_trail(Name="kept-events", IsMultiRegionTrail=True, EnableLogFileValidation=True)
    set_all(keeper)


@pytest.mark.compliance("11.10(c)", "11.10(d)", "11.30", "R6")
@pytest.mark.parametrize("purpose", list(NAMES))
def test_compliance_a_bucket_and_trail_set_as_recommended_pass_every_rule(keeper, purpose):
    set_all(keeper)
    found = read(purpose)
    assert set(found) == {rule.id for rule in RULES if purpose in rule.recommended}
    assert {one.rule: (one.found, one.said) for one in found.values() if one.verdict != Verdict.PASSES} == {}
    writer = WRITERS.get(purpose, "role/countersign-portal")
    assert found["writers"].found == [writer if writer == CLOUDTRAIL else f"arn:aws:iam::111122223333:{writer}"]


@pytest.mark.compliance("11.10(c)", "11.10(d)", "11.10(e)", "11.30", "R6")
@pytest.mark.parametrize("rule", list(BREAK))
def test_compliance_a_rule_that_somebody_breaks_does_not_pass(keeper, rule):
    set_all(keeper)
    purpose, act = BREAK[rule]
    act(keeper, NAMES[purpose])
    try:
        broken, good = read(purpose)[rule], read(purpose, {rule: None})[rule]
    finally:
        mend(keeper, NAMES[purpose])
    assert (broken.verdict, broken.said) == (Verdict.FAILS, "")
    assert (good.verdict, good.found) == (Verdict.NOT_ASKED, broken.found)
    assert read(purpose)[rule].verdict == Verdict.PASSES


@pytest.mark.compliance("11.10(c)", "R6")
def test_compliance_a_bucket_without_versions_and_lock_fails_both_rules(keeper, bucket, owner):
    name = bucket("loose-bucket", versioned=False)
    found = {one.rule: one for one in posture.read(Bucket(name=name, purpose="records"), {})}
    assert (found["versioning"].found, found["versioning"].verdict) == ("never on", Verdict.FAILS)
    assert (found["lock"].found, found["lock"].verdict) == ("off", Verdict.FAILS)
    _never_versioned(keeper, NAMES[Purpose.RECORDS])


def test_every_rule_is_broken_by_a_test_and_says_what_it_serves():
    assert set(BREAK) | {"versioning", "lock"} == set(BY_ID)
    assert len(BY_ID) == len(RULES)
    for rule in RULES:
        assert rule.serves and rule.permission and rule.why.endswith("."), rule.id
        assert all(one.startswith("11.") for one in rule.serves)
    assert {rule.group for rule in RULES} == set(Group)


@pytest.mark.compliance("R6", "11.10(a)")
def test_compliance_what_may_not_be_asked_is_not_read_and_never_passes(monkeypatch):
    def refused(*_: Any, **__: Any) -> Any:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "Get")

    class Nobody:
        def __getattr__(self, name: str) -> Any:
            return (lambda _: False) if name == "can_paginate" else refused

    monkeypatch.setattr(observing, "_client", lambda *_: Nobody())
    for purpose in NAMES:
        found = read(purpose)
        assert {one.verdict for one in found.values()} == {Verdict.UNREAD}
        assert all("may not ask" in one.said and one.found is None for one in found.values())


def test_a_service_that_is_away_is_asked_once_and_not_read(settings):
    settings.S3_ENDPOINT_URL = settings.AWS_ENDPOINT_URL = "http://127.0.0.1:9"
    found = read(Purpose.RECORDS)
    assert {one.verdict for one in found.values()} == {Verdict.UNREAD}
    assert "could not be reached" in found["versioning"].said


def test_a_trail_bucket_into_which_no_trail_of_the_account_delivers_is_not_judged(keeper, bucket):
    name = bucket("nobodys-trail", lock=True)
    found = {one.rule: one for one in posture.read(Bucket(name=name, purpose="trail"), {})}
    assert found["trail_logging"].verdict == Verdict.UNREAD and "delivers into" in found["trail_logging"].said


def test_more_than_is_wanted_passes_and_less_does_not():
    mode, days, writers = BY_ID["lock_mode"], BY_ID["lock_days"], BY_ID["writers"]
    assert mode.holds("COMPLIANCE", "GOVERNANCE") and not mode.holds("GOVERNANCE", "COMPLIANCE")
    assert not mode.holds("SOMETHING", "none")
    assert days.holds(4000, 3660) and not days.holds(3659, 3660)
    # Ten years of 365 days end before the same day of the tenth year.
    assert [days.recommends(purpose) for purpose in ("records", "worm", "trail", "anchor")] == [3660] * 4
    assert writers.holds([ROLE], [ROLE]) and writers.holds([], [ROLE]) and not writers.holds([ROLE, "x"], [ROLE])


# Policies -------------------------------------------------------------------------------------------------------------


def denial(
    *, condition: Any = None, action: Any = "s3:PutObject", resource: str = "arn:aws:s3:::b/*", **more: Any
) -> Any:
    made = {"Effect": "Deny", "Principal": "*", "Action": action, "Resource": resource} | more
    return made | ({"Condition": condition} if condition else {})


NO_TLS = {"Bool": {"aws:SecureTransport": "false"}}
ALL_BUT_PORTAL = {"ArnNotLike": {"aws:PrincipalArn": ROLE}}


@pytest.mark.parametrize(
    ("statements", "exempt"),
    [
        ([], [policies.ANYBODY]),
        ([denial()], []),
        ([denial(action="s3:Put*")], []),
        ([denial(action=["s3:GetObject"])], [policies.ANYBODY]),
        ([denial(resource="arn:aws:s3:::b/runs/*")], [policies.ANYBODY]),
        ([denial(resource="arn:aws:s3:::other/*")], [policies.ANYBODY]),
        ([denial(Effect="Allow")], [policies.ANYBODY]),
        ([denial(Principal={"AWS": "arn:aws:iam::1:user/x"})], [policies.ANYBODY]),
        ([denial(condition=ALL_BUT_PORTAL)], [ROLE]),
        ([denial(condition={"StringNotEqualsIfExists": {"AWS:principalarn": [ROLE, "y"]}})], [ROLE, "y"]),
        ([denial(condition=ALL_BUT_PORTAL), denial(condition={"ArnNotEquals": {"aws:PrincipalArn": [ROLE, "z"]}})], [ROLE]),
        ([denial(condition=ALL_BUT_PORTAL), denial()], []),
        ([denial(condition=NO_TLS), denial(condition=ALL_BUT_PORTAL)], [ROLE]),
        ([denial(condition=ALL_BUT_PORTAL), denial(condition=NO_TLS, action="s3:*")], [ROLE]),
        ([denial(condition=NO_TLS), denial(condition=NO_TLS)], ["whoever is not met by bool of aws:securetransport"]),
        ([denial(condition=NO_TLS), denial()], []),
        ([denial(condition=NO_TLS)], ["whoever is not met by bool of aws:securetransport"]),
        ([denial(condition={"StringNotEquals": {"aws:PrincipalServiceName": "a.amazonaws.com"}})], ["a.amazonaws.com"]),
        ([denial(condition={"Bool": {"aws:PrincipalIsAWSService": "false"}})], [policies.ANY_SERVICE]),
    ],
)  # fmt: skip
def test_a_policy_keeps_from_writing_whom_its_denials_meet(statements, exempt):
    assert policies.exempt({"Statement": statements}, "s3:PutObject", "b") == exempt


@pytest.mark.parametrize(
    ("name", "person"),
    [
        (ROLE, False), ("cloudtrail.amazonaws.com", False), (policies.ANY_SERVICE, False), (policies.ANYBODY, True),
        ("arn:aws:iam::111122223333:user/ana", True), ("arn:aws:iam::111122223333:root", True),
        ("arn:aws:iam::111122223333:role/*", True), ("arn:aws:iam::111122223333:role/gxp-*", False),
        ("arn:aws:iam::111122223333:role/aws-reserved/sso.amazonaws.com/eu-west-1/AWSReservedSSO_Admin_1", True),
        ("arn:aws:iam::*:role/aws-reserved/*", True), ("whoever is not met by bool of aws:securetransport", True), ("*", True),
    ],
)  # fmt: skip
def test_who_may_be_a_person_is_told_as_one(name, person):
    assert posture._may_be_a_person(name) is person


def test_iam_is_asked_for_users_roles_and_groups_with_every_kind_of_policy():
    allow = {"Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
    keep = {"Statement": [{"Effect": "Deny", "Action": "s3:Bypass*", "Resource": "*"}]}
    details = {
        "UserDetailList": [
            {"Arn": "own", "UserPolicyList": [{"PolicyDocument": allow}]},
            {"Arn": "by-group", "GroupList": ["g"]},
            {"Arn": "kept-from", "UserPolicyList": [{"PolicyDocument": allow}, {"PolicyDocument": keep}]},
            {"Arn": "nobody", "UserPolicyList": []},
        ],
        "GroupDetailList": [{"GroupName": "g", "GroupPolicyList": [{"PolicyDocument": allow}]}],
        "RoleDetailList": [{"Arn": "managed", "AttachedManagedPolicies": [{"PolicyArn": "p"}]}],
        "Policies": [{"Arn": "p", "PolicyVersionList": [{"IsDefaultVersion": True, "Document": allow}]}],
    }
    assert policies.let_by_iam(details, posture.UNLOCKS[0], "b") == ["by-group", "managed", "own"]


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        (None, ["arn:aws:iam::1:user/own", "arn:aws:iam::2:root"]),
        ({"Condition": NO_TLS}, ["arn:aws:iam::1:user/own", "arn:aws:iam::2:root"]),
        ({"Condition": {"ArnNotLike": {"aws:PrincipalArn": "arn:aws:iam::1:*"}}}, ["arn:aws:iam::1:user/own"]),
        ({}, []),
    ],
)
def test_who_ends_a_lock_is_whom_iam_or_the_policy_lets_and_no_denial_meets(statement, found):
    allow = {
        "Effect": "Allow",
        "Principal": {"AWS": "arn:aws:iam::2:root"},
        "Action": "s3:*",
        "Resource": "arn:aws:s3:::b/*",
    }
    own = {"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    users = [{"Arn": "arn:aws:iam::1:user/own", "UserPolicyList": [{"PolicyDocument": own}]}]
    denials = [] if statement is None else [denial(action="s3:BypassGovernanceRetention") | statement]
    asked = SimpleNamespace(
        name="b",
        setting=lambda _: {"Policy": json.dumps({"Statement": [allow, *denials]})},
        ask=lambda *_: {"UserDetailList": users},
    )
    assert posture._unlockers(asked) == found


SELECTED = [
    ([{"Field": "eventCategory", "Equals": ["Management"]}], "none"),
    ([{"Field": "resources.ARN", "StartsWith": ["arn:aws:s3:::b/"]}], "All"),
    ([{"Field": "resources.ARN", "StartsWith": ["arn:aws:s3:::b/runs/"]}], "part of them"),
    ([{"Field": "resources.ARN", "StartsWith": ["arn:aws:s3:::other/"]}], "none"),
    ([{"Field": "resources.ARN", "NotStartsWith": ["arn:aws:s3:::b/"]}], "none"),
    ([{"Field": "resources.ARN", "NotStartsWith": ["arn:aws:s3:::b/tmp/"]}], "part of them"),
    ([{"Field": "eventName", "Equals": ["GetObject"]}], "part of them"),
    ([{"Field": "readOnly", "Equals": ["true"]}], "ReadOnly"),
]


@pytest.mark.parametrize(("fields", "kept"), SELECTED)
def test_what_a_trail_keeps_of_a_bucket_follows_from_its_selectors(fields, kept):
    base = [{"Field": "eventCategory", "Equals": ["Data"]}, {"Field": "resources.type", "Equals": ["AWS::S3::Object"]}]
    named = {field["Field"] for field in fields}
    assert posture._by_fields([one for one in base if one["Field"] not in named] + fields, "b") == kept


def test_basic_selectors_are_understood_as_well():
    def told(*values: str, kind: str = "All") -> str:
        resource = {"Type": "AWS::S3::Object", "Values": list(values)}
        return posture._by_selector({"ReadWriteType": kind, "DataResources": [resource]}, "b")

    assert (told("arn:aws:s3"), told("arn:aws:s3:::b/", kind="WriteOnly")) == ("All", "WriteOnly")
    assert (told("arn:aws:s3:::b/runs/"), told("arn:aws:s3:::bb/"), told()) == ("part of them", "none", "none")


def test_a_denial_of_the_standin_meets_whom_it_names(keeper, standin):
    """An independent reading of the same policy: the stand-in refuses whom the rule does not name."""
    set_all(keeper)
    name = NAMES[Purpose.WORM]
    body = {"Bucket": name, "Key": "x", "Body": b"1", "ChecksumAlgorithm": "SHA256"}
    with pytest.raises(ClientError, match="403"):
        keeper.s3.put_object(**body)
    version = client(standin.url, PORTAL).put_object(**body)["VersionId"]
    with pytest.raises(ClientError):
        client(standin.url, PORTAL).delete_object(
            Bucket=name, Key="x", VersionId=version, BypassGovernanceRetention=True
        )
    assert SimpleNamespace(**keeper.s3.head_object(Bucket=name, Key="x")).ObjectLockMode == "COMPLIANCE"
