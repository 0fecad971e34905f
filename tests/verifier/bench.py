"""What the tests of the trail and of its verifier lay side by side: the portal's own verdict, and the verifier's on an export."""

import importlib.util
import time
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings
from django.core.management import call_command
from django.db import connection, transaction

from accounts.models import Area
from audit import chain, exporting, reading, trail
from audit.actions import Action
from audit.models import Access
from portal import anchoring
from signatures.models import PortalKey
from tests import firm as building
from tests.conftest import ROOT, TestClock, clone, point_at, superuser

VERIFIER = ROOT / "verifier" / "countersign_verify.py"
TABLES = ("audit_entry", "audit_rowchange", "audit_link", "audit_access", "audit_checkpoint")


def load_verifier():
    spec = importlib.util.spec_from_file_location("countersign_verify", VERIFIER)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


verifier = load_verifier()


def database() -> str:
    return connection.settings_dict["NAME"]


def act(people, name="Renamed"):
    with transaction.atomic():
        Area.objects.filter(pk=people.laboratory.pk).update(name=name)
        trail.record(Action.AREA_CHANGED, people.laboratory, by=people.administrator, detail={"to": name})


def anchor(people):
    """A trail with entries, row changes and a sealed piece of reading log, under three checkpoints."""
    building.make_buckets()
    anchoring.checkpoint()
    for page in range(3):
        trail.access(people.inspector, "view", people.laboratory, {"page": page})
    # Transactions of other tests on the same server hold the horizon of the seal back.
    deadline = time.monotonic() + 60
    while sum(span.count for _, span in reading.spans()) < Access.objects.count():
        assert time.monotonic() < deadline
        reading.seal()
        time.sleep(0.02)
    anchoring.checkpoint()
    act(people)
    anchoring.checkpoint()


@contextmanager
def dba(name=""):
    """A database administrator who has switched the triggers off."""
    with superuser(name or database()) as raw:
        for table in TABLES:
            raw.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
        yield raw


@contextmanager
def on_copy(of: str):
    """This process on a copy of a database whose trail has the same origin, as if a backup had been restored."""
    origin = settings.TRAIL_ORIGIN
    point_at("postgres")  # a database that is in use cannot be copied
    copy = clone(of)
    at(copy, origin)
    try:
        yield copy
    finally:
        at(of, origin)
        with superuser() as raw:
            raw.execute(f'DROP DATABASE "{copy}" WITH (FORCE)')


@contextmanager
def restore(firm, acts: int = 3):
    """The firm on an earlier state of its database, of which the anchors know more."""
    anchoring.checkpoint()
    here, origin = database(), settings.TRAIL_ORIGIN
    with on_copy(here) as copy:
        at(here, origin)
        for number in range(acts):
            act(firm, f"Name {number}")
        anchoring.checkpoint()
        at(copy, origin)
        TestClock().next_code()
        anchoring.at_start()
        yield


def at(name: str, origin: str) -> None:
    point_at(name)
    settings.TRAIL_ORIGIN = origin


def portal_says() -> list[str]:
    """What the portal itself finds: the walk of the chain, and the comparison with the anchors."""
    fault = chain.walk().fault
    compared = anchoring.compare()
    said = [fault.sentence] if fault else []
    return said + ([compared.sentence] if compared.state != "agrees" else []) + list(compared.doubts)


class Files:
    """An export, the checkpoints and the key, in a folder."""

    def __init__(self, folder: Path) -> None:
        self.export, self.notes, self.key = folder / "trail.jsonl", folder / "checkpoints", folder / "key.pem"
        call_command("export_checkpoints", output=self.notes, verbosity=0, stdout=(folder / "said").open("w"))
        self.key.write_text(PortalKey.objects.get().public_pem)
        self.write(exporting.lines(settings.TRAIL_ORIGIN))

    def write(self, lines) -> None:
        self.export.write_bytes(b"".join(lines))

    @property
    def lines(self) -> list[bytes]:
        return self.export.read_bytes().splitlines(keepends=True)

    def verify(self):
        return verifier.verify(self.export, self.notes, [self.key])

    def says(self) -> list[str]:
        return [fault["sentence"] for fault in self.verify()["faults"]]
