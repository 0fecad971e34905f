"""Ninety days of the demo's CloudTrail about the objects of KRAS-001, loaded once for all tests, with their answer key."""

import pickle
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from audit import clock
from demo import trail as demo_trail
from records.models import File
from tests.cloudtrail import given
from tests.cloudtrail.test_ingest import load as load_files
from tests.firm import RECORDS_BUCKET, Firm

KEY = "history.pickle"


@dataclass(frozen=True)
class Told:
    """The files and their answer key, and when they were loaded (the database's clock)."""

    history: demo_trail.History
    loaded_at: datetime


def load(home: Path) -> None:
    """Into the database at hand; files and answer key go into `home`."""
    now = clock.now()
    objects = [
        demo_trail.Stored(file.bucket, file.key, file.s3_version, file.size, now - timedelta(days=85))
        for file in File.objects.filter(version__record=Firm().kras)
    ]
    built = demo_trail.build(objects, now=now, bucket=RECORDS_BUCKET)
    load_files(given.hand_over(home / "history", built.files))
    (home / KEY).write_bytes(pickle.dumps(Told(built, clock.now())))


def told(home: Path) -> Told:
    return pickle.loads((home / KEY).read_bytes())
