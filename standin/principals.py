"""Who stands behind an access key. The demo's keys are listed here; `AssumeRole` adds the keys that it hands out."""

import hashlib
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any


@dataclass(frozen=True)
class Principal:
    """An IAM user, or a session of a role (`session` names it) that `service` or another principal began."""

    access_key: str
    secret: str
    name: str
    session: str = ""
    source_identity: str = ""
    service: str = ""
    created: datetime = datetime(2026, 1, 1, tzinfo=UTC)

    @property
    def is_role(self) -> bool:
        return bool(self.session)

    @property
    def principal_id(self) -> str:
        unique = hashlib.sha256(self.name.encode()).hexdigest()[:17].upper()
        return f"AROA{unique}:{self.session}" if self.is_role else f"AIDA{unique}"

    def arn(self, account: str) -> str:
        if self.is_role:
            return f"arn:aws:sts::{account}:assumed-role/{self.name}/{self.session}"
        return f"arn:aws:iam::{account}:user/{self.name}"

    def identity(self, account: str) -> dict[str, Any]:
        """CloudTrail's `userIdentity` of this principal."""
        identity: dict[str, Any] = {
            "type": "AssumedRole" if self.is_role else "IAMUser",
            "principalId": self.principal_id,
            "arn": self.arn(account),
            "accountId": account,
            "accessKeyId": self.access_key,
        }
        if not self.is_role:
            return identity | {"userName": self.name}
        context: dict[str, Any] = {
            "sessionIssuer": {
                "type": "Role",
                "principalId": self.principal_id.split(":")[0],
                "arn": f"arn:aws:iam::{account}:role/{self.name}",
                "accountId": account,
                "userName": self.name,
            },
            "attributes": {"creationDate": f"{self.created:%Y-%m-%dT%H:%M:%SZ}", "mfaAuthenticated": "false"},
        }
        if self.source_identity:
            context["sourceIdentity"] = self.source_identity
        return identity | {"sessionContext": context}


# Demo keys, without any worth: the stand-in listens on the loopback address only.
PORTAL = Principal(
    "ASIACOUNTERSIGNPORTL",
    "demo-secret-of-the-portal",
    "countersign-portal",
    "portal",
    service="ecs-tasks.amazonaws.com",
)
PIPELINE = Principal(
    "ASIANGSPIPELINE00001", "demo-secret-of-the-pipeline", "ngs-pipeline", "ngs-pipeline", service="batch.amazonaws.com"
)
OWNER = Principal("AKIASTORAGEOWNER0001", "demo-secret-of-the-owner", "storage-owner")
ANCHOR = Principal("AKIACOUNTERSIGNANCHR", "demo-secret-of-the-anchors", "countersign-anchor")
KNOWN = (PORTAL, PIPELINE, OWNER, ANCHOR)


class Directory:
    """The access keys that are valid now."""

    def __init__(self, now: datetime) -> None:
        self._by_key = {known.access_key: replace(known, created=now) for known in KNOWN}

    def find(self, access_key: str) -> Principal | None:
        return self._by_key.get(access_key)

    def add(self, principal: Principal) -> None:
        self._by_key[principal.access_key] = principal

    def restore(self, earlier: "Directory") -> None:
        """Take over the sessions that were handed out before a restart."""
        for principal in earlier._by_key.values():
            if principal.access_key not in self._by_key:
                self.add(principal)

    def service_sessions(self) -> list[Principal]:
        """The role sessions that an AWS service began."""
        return [principal for principal in self._by_key.values() if principal.service]
