"""Sheets and signatures that the tests of printing share."""

import io
from datetime import UTC, datetime
from typing import Any

from PIL import Image

from printing.document import DocumentSheet, HistoryRow, Section
from printing.issued import SignatureBlock, Standing

MOMENT = datetime(2026, 11, 20, 14, 3, 22, 123456, tzinfo=UTC)
HASH = "3fa9c1e2b47d" + "0" * 52


def png(size: tuple[int, int] = (40, 20)) -> bytes:
    stream = io.BytesIO()
    Image.new("RGBA", size, (11, 94, 111, 200)).save(stream, "PNG")
    return stream.getvalue()


def sheet(markdown: str = "The system shall ask for a *password*.", **changes: Any) -> DocumentSheet:
    told: dict[str, Any] = {
        "number": "URS-0001",
        "title": "User requirements, S3 records system",
        "type_name": "User requirements specification",
        "version": "4",
        "facts": [("Author", "Mara Lindqvist"), ("System", "S3 records system")],
        "sections": [Section("Purpose", "Why it exists."), Section("Requirements", markdown)],
        "history": [HistoryRow("4", "2026-11-18", "M. Lindqvist", "Second factor added")],
        "images": {"cov.png": png()},
    }
    return DocumentSheet(**{**told, **changes})


def signature(**changes: Any) -> SignatureBlock:
    told: dict[str, Any] = {
        "printed_name": "Chidi Okafor",
        "role": "QA approver",
        "meaning": "Approval",
        "sentence": "I approve this document for use.",
        "signed_at": MOMENT,
        "bound_hash": HASH,
        "validity": "Valid: signer, meaning, time and hash agree.",
        "standing": Standing.SIGNED,
    }
    return SignatureBlock(**{**told, **changes})
