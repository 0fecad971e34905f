"""What S3's calls do to an object, as an inspector would sort them. Pure."""

from enum import StrEnum
from typing import NamedTuple


class Kind(StrEnum):
    """The kinds that the audit view filters by. REFUSED is whatever S3 answered with an error."""

    READ = "read"
    WRITE = "write"
    DELETE = "delete"
    COPY = "copy"
    LIST = "list"
    CONTROL = "control"
    REFUSED = "refused"


class Verb(NamedTuple):
    """A call in words, in front of what it is done to: "read" and "to read"."""

    past: str
    infinitive: str


_READ, _WROTE = Verb("read", "read"), Verb("wrote", "write")
_LOOKED = Verb("looked at the properties of", "look at the properties of")

VERBS: dict[Kind, dict[str, Verb]] = {
    Kind.READ: {
        "GetObject": _READ,
        "HeadObject": _LOOKED,
        "GetObjectAttributes": _LOOKED,
        "GetObjectAcl": Verb("read the access list of", "read the access list of"),
        "GetObjectTagging": Verb("read the tags of", "read the tags of"),
        "GetObjectRetention": Verb("read the retention of", "read the retention of"),
        "GetObjectLegalHold": Verb("read the legal hold of", "read the legal hold of"),
        "GetObjectTorrent": _READ,
        "SelectObjectContent": Verb("queried", "query"),
    },
    Kind.WRITE: {
        "PutObject": _WROTE,
        "PostObject": _WROTE,
        "CreateMultipartUpload": Verb("began to write", "begin to write"),
        "UploadPart": Verb("wrote a part of", "write a part of"),
        "CompleteMultipartUpload": _WROTE,
        "AbortMultipartUpload": Verb("gave up writing", "give up writing"),
        "PutObjectTagging": Verb("changed the tags of", "change the tags of"),
        "DeleteObjectTagging": Verb("removed the tags of", "remove the tags of"),
        "PutObjectAcl": Verb("changed the access list of", "change the access list of"),
        "RestoreObject": Verb("restored", "restore"),
    },
    Kind.DELETE: {
        "DeleteObject": Verb("deleted", "delete"),
        "DeleteObjects": Verb("deleted in one batch", "delete in one batch"),
    },
    Kind.COPY: {
        "CopyObject": Verb("wrote by copying", "write by copying"),
        "UploadPartCopy": Verb("wrote by copying a part of", "write by copying a part of"),
    },
    Kind.LIST: {
        "ListObjects": Verb("listed", "list"),
        "ListObjectsV2": Verb("listed", "list"),
        "ListObjectVersions": Verb("listed the versions of", "list the versions of"),
        "ListMultipartUploads": Verb("listed the unfinished uploads of", "list the unfinished uploads of"),
        "ListParts": Verb("listed the parts of", "list the parts of"),
    },
}
"""What is said of each call. Any other call is of the kind CONTROL."""

NAMES: dict[Kind, tuple[str, ...]] = {kind: tuple(verbs) for kind, verbs in VERBS.items()}
_KINDS = {name: kind for kind, names in NAMES.items() for name in names}
_VERBS = {name: verb for verbs in VERBS.values() for name, verb in verbs.items()} | {
    "PutObjectRetention": Verb("set the retention of", "set the retention of"),
    "PutObjectLegalHold": Verb("set the legal hold of", "set the legal hold of"),
}


def kind_of(event_name: str, error_code: str = "") -> Kind:
    """The kind of a call, by its name and its outcome."""
    return Kind.REFUSED if error_code else _KINDS.get(event_name, Kind.CONTROL)


def verb_of(event_name: str) -> Verb:
    """The call in words; "called X on" when there is no better one."""
    return _VERBS.get(event_name) or Verb(f"called {event_name} on", f"call {event_name} on")


def denied(error_code: str) -> bool:
    """True if the error says that the caller was not allowed; others say that something was missing or wrong."""
    return any(
        word in error_code for word in ("Denied", "Unauthorized", "Forbidden", "NotAuthorized", "InvalidAccessKey")
    )
