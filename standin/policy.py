"""Whether a bucket's policy denies a request: by principal, action, resource and condition (moto leaves out the conditions).

The stand-in has no TLS and listens on the loopback address alone, which stands for TLS here (`aws:SecureTransport`).
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from standin.call import Call
from standin.principals import Principal

# What moto asks for, as AWS names it.
ACTIONS = {"s3:HeadObject": "s3:GetObject", "s3:PostObject": "s3:PutObject"}
Statement = Mapping[str, Any]


def denies(policy: bytes, action: str, resource: str, *, call: Call, caller: Principal | None, account: str) -> bool:
    """Whether a Deny of the policy meets this request; an ended lock needs a permission of its own."""
    asked = [ACTIONS.get(action, action)]
    if asked == ["s3:DeleteObject"] and call.version_id:
        asked = ["s3:DeleteObjectVersion"]
    if call.headers.get("x-amz-bypass-governance-retention", "").lower() == "true":
        asked.append("s3:BypassGovernanceRetention")
    facts = {"aws:securetransport": "true", "aws:principalisawsservice": "false"}
    if caller is not None:
        facts["aws:principalarn"] = arn_of(caller, account)
    return any(
        statement.get("Effect") == "Deny" and _meets(statement, one, resource, facts)
        for statement in _statements(policy)
        for one in asked
    )


def arn_of(caller: Principal, account: str) -> str:
    """`aws:PrincipalArn`: of a session it is its role's."""
    return f"arn:aws:iam::{account}:{'role' if caller.is_role else 'user'}/{caller.name}"


def _statements(policy: bytes) -> Iterator[Statement]:
    found = json.loads(policy).get("Statement", [])
    yield from [found] if isinstance(found, dict) else found


def _meets(statement: Statement, action: str, resource: str, facts: Mapping[str, str]) -> bool:
    who = facts.get("aws:principalarn", "")
    excluded = "NotPrincipal" in statement
    named = _names(statement["NotPrincipal" if excluded else "Principal"], who) != excluded
    actions = _list(statement.get("Action"))
    resources = _list(statement.get("Resource"))
    return (
        named
        and any(_like(action.lower(), one.lower()) for one in actions)
        and any(_like(resource, one) for one in resources)
        and all(
            _holds(operator.lower(), facts.get(key.lower()), _list(values))
            for operator, keys in statement.get("Condition", {}).items()
            for key, values in keys.items()
        )
    )


def _names(principal: Any, who: str) -> bool:
    if principal == "*":
        return True
    return isinstance(principal, dict) and any(one in ("*", who) for one in _list(principal.get("AWS")))


def _holds(operator: str, value: str | None, wanted: list[str]) -> bool:
    """One condition; an operator that is not known here is never met."""
    name = operator.removesuffix("ifexists")
    if value is None:
        return "not" in name or name != operator
    if name == "bool":
        return value in [one.lower() for one in wanted]
    if name in ("stringequals", "arnequals", "stringlike", "arnlike"):
        return any(_like(value, one) for one in wanted)
    return name in ("stringnotequals", "arnnotequals", "stringnotlike", "arnnotlike") and not any(
        _like(value, one) for one in wanted
    )


def _like(text: str, pattern: str) -> bool:
    expression = "".join(".*" if c == "*" else "." if c == "?" else re.escape(c) for c in pattern)
    return re.fullmatch(expression, text, re.DOTALL) is not None


def _list(value: Any) -> list[str]:
    return [] if value is None else [str(one) for one in value] if isinstance(value, list) else [str(value)]
