"""What S3's calls do to an object, as an inspector would sort them. Pure."""

from enum import StrEnum


class Kind(StrEnum):
    """The kinds that the audit view filters by. REFUSED is whatever S3 answered with an error."""

    READ = "read"
    WRITE = "write"
    DELETE = "delete"
    COPY = "copy"
    LIST = "list"
    CONTROL = "control"
    REFUSED = "refused"


VERBS: dict[Kind, dict[str, str]] = {
    Kind.READ: {
        "GetObject": "read",
        "HeadObject": "looked at the properties of",
        "GetObjectAttributes": "looked at the properties of",
        "GetObjectAcl": "read the access list of",
        "GetObjectTagging": "read the tags of",
        "GetObjectRetention": "read the retention of",
        "GetObjectLegalHold": "read the legal hold of",
        "GetObjectTorrent": "read",
        "SelectObjectContent": "queried",
    },
    Kind.WRITE: {
        "PutObject": "wrote",
        "PostObject": "wrote",
        "CreateMultipartUpload": "began to write",
        "UploadPart": "wrote a part of",
        "CompleteMultipartUpload": "wrote",
        "AbortMultipartUpload": "gave up writing",
        "PutObjectTagging": "changed the tags of",
        "DeleteObjectTagging": "removed the tags of",
        "PutObjectAcl": "changed the access list of",
        "RestoreObject": "restored",
    },
    Kind.DELETE: {"DeleteObject": "deleted", "DeleteObjects": "deleted in one batch"},
    Kind.COPY: {"CopyObject": "copied", "UploadPartCopy": "copied a part of"},
    Kind.LIST: {
        "ListObjects": "listed",
        "ListObjectsV2": "listed",
        "ListObjectVersions": "listed the versions of",
        "ListMultipartUploads": "listed the unfinished uploads of",
        "ListParts": "listed the parts of",
    },
}
"""What is said of each call. Any other call is of the kind CONTROL."""

NAMES: dict[Kind, tuple[str, ...]] = {kind: tuple(verbs) for kind, verbs in VERBS.items()}
_KINDS = {name: kind for kind, names in NAMES.items() for name in names}
_VERBS = {name: verb for verbs in VERBS.values() for name, verb in verbs.items()} | {
    "PutObjectRetention": "set the retention of",
    "PutObjectLegalHold": "set the legal hold of",
}


def kind_of(event_name: str, error_code: str = "") -> Kind:
    """The kind of a call, by its name and its outcome."""
    return Kind.REFUSED if error_code else _KINDS.get(event_name, Kind.CONTROL)


def verb_of(event_name: str) -> str:
    """The call in the past tense, in front of what it was done to; "called X on" when there is no better word."""
    return _VERBS.get(event_name, f"called {event_name} on")
