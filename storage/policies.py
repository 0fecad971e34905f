"""What policies say of an action on all objects of a bucket: whom a bucket's policy leaves out of its denials, and whom IAM lets.

Only a denial closes a bucket: whatever an Allow elsewhere gives, a Deny takes away. What a condition says that is not
understood here is told as an exception, never passed over. A bucket's owner can replace its policy; no policy tells that.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

Policy = Mapping[str, Any]

ANYBODY = "anybody whom IAM allows it"
ANY_SERVICE = "*.amazonaws.com"
# Conditions that hold for everybody but those who are named; a key that a request does not have makes them hold.
ALL_BUT = {"stringnotequals", "stringnotlike", "arnnotequals", "arnnotlike"}
NAMES = {"aws:principalarn", "aws:principalservicename"}


def exempt(policy: Policy, action: str, bucket: str) -> list[str]:
    """Whom no statement of the bucket's policy keeps from `action` on each of its objects: names and patterns of ARNs, services,
    or `ANYBODY`. Empty: it is denied to everybody."""
    left: list[str] | None = None
    for statement in _statements(policy):
        if statement.get("Effect") == "Deny" and _about(statement, action, f"arn:aws:s3:::{bucket}/*"):
            names = _exceptions(statement)
            left = names if left is None else _both(left, names)
    return sorted(set(left)) if left is not None else [ANYBODY]


def demands_tls(policy: Policy, bucket: str) -> bool:
    """Whether everything is denied to everybody who comes without TLS."""
    arn = f"arn:aws:s3:::{bucket}"
    return any(
        statement.get("Effect") == "Deny"
        and _everybody(statement.get("Principal"))
        and _plain(statement.get("Condition")) == {"bool": {"aws:securetransport": ["false"]}}
        and all(_about(statement, action, f"{arn}/*") for action in ("s3:GetObject", "s3:PutObject", "s3:DeleteObject"))
        and _about(statement, "s3:ListBucket", arn)
        for statement in _statements(policy)
    )


def let_by_policy(policy: Policy, action: str, bucket: str) -> list[str]:
    """Principals whom the bucket's own policy lets do it; conditions are left out of account, so it may name too many."""
    found: set[str] = set()
    for statement in _statements(policy):
        if statement.get("Effect") == "Allow" and _touches(statement, action, bucket):
            found.update(_principals(statement))
    return sorted(found)


def let_by_iam(details: Mapping[str, Any], action: str, bucket: str) -> list[str]:
    """ARNs of users and roles whose own, managed or group policies let them do it on some object of the bucket.

    `details` is what `iam:GetAccountAuthorizationDetails` answered. Conditions, permission boundaries and the policies of
    the organisation are left out of account: they can only take away, so it may name too many and never too few.
    """
    managed = {policy["Arn"]: _default_version(policy) for policy in details.get("Policies", [])}
    groups = {
        group["GroupName"]: _policies(group, "GroupPolicyList", managed) for group in details.get("GroupDetailList", [])
    }
    found = []
    for kind, own in (("UserDetailList", "UserPolicyList"), ("RoleDetailList", "RolePolicyList")):
        for holder in details.get(kind, []):
            policies = _policies(holder, own, managed)
            policies += [policy for name in holder.get("GroupList", []) for policy in groups.get(name, [])]
            if _lets(policies, action, bucket):
                found.append(str(holder["Arn"]))
    return sorted(found)


def matches(name: str, pattern: str) -> bool:
    """Whether an ARN or an action is met by a pattern with `*` and `?`."""
    expression = "".join(".*" if c == "*" else "." if c == "?" else re.escape(c) for c in pattern)
    return re.fullmatch(expression, name, re.DOTALL) is not None


# Statements -----------------------------------------------------------------------------------------------------------


def _statements(policy: Policy) -> Iterator[Mapping[str, Any]]:
    found = policy.get("Statement", [])
    yield from [found] if isinstance(found, Mapping) else found


def _list(value: Any) -> list[str]:
    if value is None:
        return []
    return [str(one) for one in value] if isinstance(value, list) else [str(value)]


def _about(statement: Mapping[str, Any], action: str, resource: str) -> bool:
    """Whether it speaks of this action on all that `resource` stands for."""
    if "NotResource" in statement:
        return False
    return _names_action(statement, action) and any(matches(resource, one) for one in _list(statement.get("Resource")))


def _names_action(statement: Mapping[str, Any], action: str) -> bool:
    if "NotAction" in statement:
        return not any(matches(action.lower(), one.lower()) for one in _list(statement["NotAction"]))
    return any(matches(action.lower(), one.lower()) for one in _list(statement.get("Action")))


def _touches(statement: Mapping[str, Any], action: str, bucket: str) -> bool:
    """Whether it speaks of this action on some object of the bucket."""
    if not _names_action(statement, action):
        return False
    if "NotResource" in statement:
        return True
    begin = f"arn:aws:s3:::{bucket}/"
    return any(matches(f"{begin}*", one) or one.startswith(begin) for one in _list(statement.get("Resource")))


def _everybody(principal: Any) -> bool:
    return principal == "*" or (isinstance(principal, Mapping) and "*" in _list(principal.get("AWS")))


def _principals(statement: Mapping[str, Any]) -> list[str]:
    principal = statement.get("Principal")
    if "NotPrincipal" in statement or _everybody(principal):
        return ["anybody"]
    return (
        [name for names in (principal or {}).values() for name in _list(names)]
        if isinstance(principal, Mapping)
        else []
    )


def _exceptions(statement: Mapping[str, Any]) -> list[str]:
    """Whom a denial does not meet."""
    names: list[str] = []
    if "NotPrincipal" in statement:
        names += [name for group in dict(statement["NotPrincipal"]).values() for name in _list(group)]
    elif not _everybody(statement.get("Principal")):
        return [ANYBODY]
    for operator, keys in _plain(statement.get("Condition")).items():
        for key, values in keys.items():
            if operator.removesuffix("ifexists") in ALL_BUT and key in NAMES:
                names += values
            elif operator.startswith("bool") and key == "aws:principalisawsservice" and values == ["false"]:
                names.append(ANY_SERVICE)
            else:
                names.append(f"whoever is not met by {operator} of {key}")
    return names


def _plain(condition: Any) -> dict[str, dict[str, list[str]]]:
    """Operators and keys in small letters; they have no case."""
    return {
        operator.lower(): {
            key.lower(): [one.lower() if operator.lower() == "bool" else one for one in _list(values)]
            for key, values in keys.items()
        }
        for operator, keys in dict(condition or {}).items()
    }


def _both(one: list[str], other: list[str]) -> list[str]:
    """Whom neither of two denials meets. Whoever is not known exactly may be anybody: rather too many than too few."""
    kept = [name for name in one if not vague(name) and _may_be_among(name, other)]
    kept += [name for name in other if not vague(name) and _may_be_among(name, one)]
    return kept or ([*one, *other] if any(map(vague, one)) and any(map(vague, other)) else [])


def _may_be_among(name: str, names: list[str]) -> bool:
    return any(vague(one) or matches(name, one) or ("*" in name and "*" in one) for one in names)


def vague(name: str) -> bool:
    """An exception that no ARN and no service tells: its words have spaces."""
    return " " in name


# IAM ------------------------------------------------------------------------------------------------------------------


def _default_version(policy: Mapping[str, Any]) -> Policy:
    versions = policy.get("PolicyVersionList", [])
    return next((one["Document"] for one in versions if one.get("IsDefaultVersion")), {})


def _policies(holder: Mapping[str, Any], own: str, managed: Mapping[str, Policy]) -> list[Policy]:
    attached = [managed.get(one["PolicyArn"], {}) for one in holder.get("AttachedManagedPolicies", [])]
    return [one["PolicyDocument"] for one in holder.get(own, [])] + attached


def _lets(policies: list[Policy], action: str, bucket: str) -> bool:
    statements = [statement for policy in policies for statement in _statements(policy)]
    denied = any(
        one.get("Effect") == "Deny" and not one.get("Condition") and _about(one, action, f"arn:aws:s3:::{bucket}/*")
        for one in statements
    )
    return not denied and any(one.get("Effect") == "Allow" and _touches(one, action, bucket) for one in statements)
