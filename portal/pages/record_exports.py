"""Copies of a data package to take away (21 CFR 11.10(b)): manifest, file list, metadata, record sheet, issued copy, ZIP."""

import io
import json
import zipfile
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import TypeVar

from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.utils.http import content_disposition_header

from accounts.models import User
from audit import clock
from audit.requests import request_id
from portal.pages import issuing
from printing import csv, issued
from printing.issued import Tone
from records import copies
from records.models import File, Version
from storage import s3, worm
from storage.s3 import StorageError

Answer = TypeVar("Answer", bound=HttpResponseBase)
ZIP_FILE_BYTES = 8 * 1024 * 1024
ZIP_BYTES = 256 * 1024 * 1024
COLUMNS = ("Logical key", "Bytes", "SHA-256", "Media type", "Bucket", "Key", "S3 version id")


def manifest_jsonl(version: Version, user: User) -> HttpResponse:
    """The Quilt manifest, as it was sealed."""
    return _file(version, "manifest.jsonl", bytes(version.manifest), "application/jsonl")


def files_csv(version: Version, user: User) -> StreamingHttpResponse:
    answer = StreamingHttpResponse(csv.write_rows(COLUMNS, _rows(version)), content_type="text/csv; charset=utf-8")
    return _named(answer, version, "files.csv")


def metadata_json(version: Version, user: User) -> HttpResponse:
    return _file(version, "metadata.json", _metadata(version), "application/json")


def rendition_pdf(version: Version, user: User) -> HttpResponse:
    """The record sheet that signers saw, byte for byte."""
    data = worm.get(worm.Pin.from_json(version.rendition))
    return _file(version, "record-sheet.pdf", data, "application/pdf")


def issued_pdf(version: Version, user: User) -> HttpResponse:
    """The record sheet with watermark by state and the signature page (11.50(b)), under the portal's seal."""
    copy, _ = issued_copy(version, printed_by=user.legal_name, at=clock.now())
    return _file(version, "issued-copy.pdf", copy, "application/pdf")


def issued_copy(version: Version, *, printed_by: str, at: datetime) -> tuple[bytes, str]:
    """The sealed copy of a data package's record sheet, and its mark. Raises as `issuing.issued_copy` does."""
    words, tone = issuing.doubt(version) or {
        "registered": ("REGISTERED, NOT APPROVED", Tone.CAUTION),
        "approved": ("APPROVED", Tone.GOOD),
        "rejected": ("REJECTED", Tone.BAD),
    }.get(version.state, (version.get_state_display().upper(), Tone.NEUTRAL))
    facts = [
        ("Number", version.record.number),
        ("Version", str(version.ordinal)),
        ("State when printed", words.capitalize()),
        ("Registered by", version.author.legal_name),
        ("Registered", issued.utc(version.created_at)),
        ("Top hash", version.top_hash),
    ]
    return issuing.issued_copy(version, watermark=words, tone=tone, facts=facts, printed_by=printed_by, at=at)


def small_zip(version: Version, user: User) -> StreamingHttpResponse:
    """Everything small, hashed on the way; what is left out is listed inside."""
    answer = StreamingHttpResponse(_zipped(version, user, request_id.get()), content_type="application/zip")
    return _named(answer, version, "copy.zip")


def _zipped(version: Version, user: User, request: str) -> Iterator[bytes]:
    """The ZIP piece by piece: one file in memory at a time, each asked of S3 for the person."""
    stream = _Pieces()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("manifest.jsonl", bytes(version.manifest))
        archive.writestr("metadata.json", _metadata(version))
        archive.writestr("files.csv", "".join(csv.write_rows(COLUMNS, _rows(version))))
        left_out: list[str] = []
        for file in _within_bounds(version.files.all(), left_out):
            try:
                with s3.asking_for(user.username, user.username, request):
                    data = copies.whole(file)
                archive.writestr(f"files/{file.logical_key}", data)
            except StorageError as error:
                left_out.append(f"{file.logical_key}: {error}")
            yield stream.taken()
        if left_out:
            archive.writestr("LEFT-OUT.txt", "Not in this copy:\n" + "".join(f"{line}\n" for line in left_out))
    yield stream.taken()


def _within_bounds(files: Iterable[File], left_out: list[str]) -> Iterator[File]:
    total = 0
    for file in files:
        if file.size > ZIP_FILE_BYTES:
            left_out.append(
                f"{file.logical_key}: {file.size} bytes, more than a copy holds of one file ({ZIP_FILE_BYTES})"
            )
        elif total + file.size > ZIP_BYTES:
            left_out.append(f"{file.logical_key}: the copy is full ({ZIP_BYTES} bytes)")
        else:
            total += file.size
            yield file


class _Pieces(io.RawIOBase):
    """What is written to it can be taken away; it cannot be rewound, so the ZIP is written as a stream."""

    def __init__(self) -> None:
        self._kept = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        piece = bytes(data)  # type: ignore[call-overload]
        self._kept += piece
        return len(piece)

    def taken(self) -> bytes:
        piece, self._kept = bytes(self._kept), bytearray()
        return piece


def _rows(version: Version) -> Iterator[tuple[object, ...]]:
    for file in version.files.all():
        yield file.logical_key, file.size, file.sha256, file.media_type, file.bucket, file.key, file.s3_version


def _metadata(version: Version) -> bytes:
    return (json.dumps(version.metadata, indent=2, ensure_ascii=False) + "\n").encode()


def _file(version: Version, name: str, data: bytes, media_type: str) -> HttpResponse:
    return _named(HttpResponse(data, content_type=media_type), version, name)


def _named(answer: Answer, version: Version, name: str) -> Answer:
    full = f"{version.record.number}-v{version.ordinal}-{name}"
    answer["Content-Disposition"] = content_disposition_header(True, full) or "attachment"
    return answer


#: What can be taken away: the end of its address, and what the page calls it.
NAMES = [
    ("issued-copy.pdf", "Issued copy with signatures, sealed PDF"),
    ("record-sheet.pdf", "Record sheet as signed, PDF"),
    ("manifest.jsonl", "Manifest, opens with quilt3"),
    ("files.csv", "File list, CSV"),
    ("metadata.json", "Metadata, JSON"),
    ("copy.zip", "Files up to 8 MiB each, ZIP"),
]
MAKERS: dict[str, Callable[[Version, User], HttpResponseBase]] = dict(
    zip(
        [name for name, _ in NAMES],
        [issued_pdf, rendition_pdf, manifest_jsonl, files_csv, metadata_json, small_zip],
        strict=True,
    )
)
