"""Fills the stand-in for the demo: as the program that owns the data, and with objects that have an age."""

import json
from datetime import UTC, datetime
from typing import Any

import boto3
from botocore.config import Config

from standin.principals import OWNER, PIPELINE, Principal


class Filler:
    """A client that can say when an object was created (see `standin.tampering`)."""

    def __init__(self, url: str, *, principal: Principal = PIPELINE, region: str = "eu-central-1") -> None:
        self._region = region
        self._created: datetime | None = None
        self.s3: Any = boto3.client(
            "s3", endpoint_url=url, region_name=region, aws_access_key_id=principal.access_key,
            aws_secret_access_key=principal.secret, config=Config(retries={"max_attempts": 2}),
        )  # fmt: skip
        self.s3.meta.events.register("before-call.s3.PutObject", self._date)

    def put(self, bucket: str, key: str, body: bytes, *, created: datetime | None = None, **asked: Any) -> str:
        """Write an object and return its version id; with `created` it is as old as that and stands in no log file."""
        self._created = created
        try:
            answer = self.s3.put_object(Bucket=bucket, Key=key, Body=body, ChecksumAlgorithm="SHA256", **asked)
        finally:
            self._created = None
        version: str = answer.get("VersionId", "null")
        return version

    def _date(self, params: dict[str, Any], **_: Any) -> None:
        if self._created is not None:
            params["headers"]["x-standin-created"] = self._created.astimezone(UTC).isoformat()


def make_bucket(url: str, name: str, *, lock: bool = True, region: str = "eu-central-1") -> None:
    """A versioned bucket as a regulated firm would have it: Object Lock, encrypted, closed to the public; once."""
    s3 = Filler(url, principal=OWNER, region=region).s3
    if name in {known["Name"] for known in s3.list_buckets()["Buckets"]}:
        return
    s3.create_bucket(
        Bucket=name, ObjectLockEnabledForBucket=lock, CreateBucketConfiguration={"LocationConstraint": region}
    )
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    closed = dict.fromkeys(("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True)
    s3.put_public_access_block(Bucket=name, PublicAccessBlockConfiguration=closed)


# As the portal recommends ---------------------------------------------------------------------------------------------

FOUR_WAYS = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
KEY_ALIAS = "alias/gxp-records"
CLOUDTRAIL = "cloudtrail.amazonaws.com"


class Keeper:
    """The owner of the account, who sets buckets and trail as the portal recommends."""

    def __init__(self, url: str, *, account: str = "111122223333", region: str = "eu-central-1") -> None:
        self.url, self.account, self.region = url, account, region
        self.s3, self.kms, self.cloudtrail = self._client("s3"), self._client("kms"), self._client("cloudtrail")
        self.s3control = self._client("s3control")

    def _client(self, service: str) -> Any:
        own = Config(retries={"max_attempts": 2})
        client = boto3.client(  # type: ignore[call-overload]
            service, endpoint_url=self.url, region_name=self.region, aws_access_key_id=OWNER.access_key,
            aws_secret_access_key=OWNER.secret, config=own,
        )  # fmt: skip
        # S3 Control puts the account in front of the host, and 127.0.0.1 has no other names.
        client.meta.events.register("before-call.s3-control", self._without_account)
        return client

    def _without_account(self, params: dict[str, Any], **_: Any) -> None:
        params["url"] = params["url"].replace(f"//{self.account}.", "//")

    def close_account(self) -> None:
        closed = dict.fromkeys(FOUR_WAYS, True)
        self.s3control.put_public_access_block(AccountId=self.account, PublicAccessBlockConfiguration=closed)

    def key(self) -> str:
        """The ARN of the one key, which rotates; made at the first call."""
        for alias in self.kms.list_aliases()["Aliases"]:
            if alias["AliasName"] == KEY_ALIAS:
                return str(self.kms.describe_key(KeyId=KEY_ALIAS)["KeyMetadata"]["Arn"])
        made = self.kms.create_key(Description="Records, frozen bytes, log files")["KeyMetadata"]
        self.kms.create_alias(AliasName=KEY_ALIAS, TargetKeyId=made["KeyId"])
        self.kms.enable_key_rotation(KeyId=made["KeyId"])
        return str(made["Arn"])

    def keep(self, name: str, *, writer: str, days: int, copy: str = "") -> None:
        """Lock, encrypt and close a bucket. `writer` (role/name, user/name, or a service) alone may write and delete."""
        kept = {"Mode": "COMPLIANCE", "Days": days}
        self.s3.put_object_lock_configuration(
            Bucket=name,
            ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": kept}},
        )
        default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": self.key()}
        self.s3.put_bucket_encryption(
            Bucket=name,
            ServerSideEncryptionConfiguration={
                "Rules": [{"ApplyServerSideEncryptionByDefault": default, "BucketKeyEnabled": True}]
            },
        )
        self.s3.put_public_access_block(Bucket=name, PublicAccessBlockConfiguration=dict.fromkeys(FOUR_WAYS, True))
        self.s3.put_bucket_ownership_controls(
            Bucket=name, OwnershipControls={"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
        )
        self.s3.put_bucket_policy(Bucket=name, Policy=json.dumps(self.policy(name, writer)))
        if copy:
            self._copy(name, copy)

    def policy(self, name: str, writer: str) -> dict[str, Any]:
        """TLS for everybody, writing for one, and nobody ends a governance lock."""
        arn = f"arn:aws:s3:::{name}"
        if writer.endswith(".amazonaws.com"):
            condition = {"StringNotEquals": {"aws:PrincipalServiceName": writer}}
        else:
            condition = {"ArnNotLike": {"aws:PrincipalArn": f"arn:aws:iam::{self.account}:{writer}"}}
        closed: dict[str, Any] = {"Effect": "Deny", "Principal": "*"}
        return {
            "Version": "2012-10-17",
            "Statement": [
                closed
                | {
                    "Sid": "Tls",
                    "Action": "s3:*",
                    "Resource": [arn, f"{arn}/*"],
                    "Condition": {"Bool": {"aws:SecureTransport": "false"}},
                },
                closed
                | {
                    "Sid": "OneWriter",
                    "Action": ["s3:PutObject", "s3:DeleteObject", "s3:DeleteObjectVersion"],
                    "Resource": f"{arn}/*",
                    "Condition": condition,
                },
                closed | {"Sid": "NoBypass", "Action": "s3:BypassGovernanceRetention", "Resource": f"{arn}/*"},
            ],
        }

    def _copy(self, name: str, copy: str) -> None:
        """The setting alone: the stand-in copies nothing."""
        make_bucket(self.url, copy, region=self.region)
        rule = {
            "ID": "all",
            "Status": "Enabled",
            "Priority": 1,
            "Filter": {"Prefix": ""},
            "DeleteMarkerReplication": {"Status": "Enabled"},
            "Destination": {"Bucket": f"arn:aws:s3:::{copy}"},
        }
        role = f"arn:aws:iam::{self.account}:role/gxp-replication"
        self.s3.put_bucket_replication(Bucket=name, ReplicationConfiguration={"Role": role, "Rules": [rule]})

    def trail(self, name: str, bucket: str, *, validation: bool = True) -> None:
        """A running trail of all regions that keeps every object event but those of its own bucket."""
        if name not in {known["Name"] for known in self.cloudtrail.describe_trails()["trailList"]}:
            self.cloudtrail.create_trail(
                Name=name, S3BucketName=bucket, IsMultiRegionTrail=True, EnableLogFileValidation=validation
            )
        fields = [
            {"Field": "eventCategory", "Equals": ["Data"]},
            {"Field": "resources.type", "Equals": ["AWS::S3::Object"]},
            {"Field": "resources.ARN", "NotStartsWith": [f"arn:aws:s3:::{bucket}/"]},
        ]
        of_settings = {"Name": "settings", "FieldSelectors": [{"Field": "eventCategory", "Equals": ["Management"]}]}
        self.cloudtrail.put_event_selectors(
            TrailName=name, AdvancedEventSelectors=[of_settings, {"Name": "objects", "FieldSelectors": fields}]
        )
        self.cloudtrail.start_logging(Name=name)
