"""Run the stand-in as a child process: for tests, and for the demo's launcher."""

import json
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class StandIn:
    """A running stand-in; `url` is what S3_ENDPOINT_URL takes. `StandIn(url)` speaks to one that runs already."""

    url: str
    process: "subprocess.Popen[str] | None" = None

    def deliver(self) -> int:
        """Have the trail deliver now; returns the number of records."""
        return int(self._post("/standin/deliver", b""))

    def digest(self, since: datetime, until: datetime, stops: Iterable[tuple[datetime, datetime]] = ()) -> int:
        """Have CloudTrail deliver the digests of the hours between, but for those in which it was stopped; how many."""
        told = [[begin.isoformat(), end.isoformat()] for begin, end in stops]
        said = {"since": since.isoformat(), "until": until.isoformat(), "stops": told}
        return int(self._post("/standin/digest", json.dumps(said).encode(), timeout=120))

    def tamper(self, bucket: str, key: str, version_id: str = "", offset: int = 0) -> None:
        """Change one stored byte, as no client can (needs `tamper=True` at the start)."""
        said = {"bucket": bucket, "key": key, "version_id": version_id or None, "offset": offset}
        self._post("/standin/tamper", json.dumps(said).encode())

    def stop(self, timeout: float = 10) -> None:
        """Ask it to end, as Ctrl-C does, and wait for it."""
        if self.process is None:
            return  # somebody else's
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(timeout)

    def _post(self, path: str, body: bytes, timeout: float = 10) -> str:
        assert urlsplit(self.url).hostname == "127.0.0.1"
        request = urllib.request.Request(self.url + path, data=body, method="POST")  # noqa: S310
        with urllib.request.urlopen(request, timeout=timeout) as answer:  # noqa: S310
            text: str = answer.read().decode()
            return text


def start(
    *,
    port: int = 0,
    trail_bucket: str = "gxp-trail",
    trail_account: str = "111122223333",
    trail_every: float = 10,
    data: Path | None = None,
    tamper: bool = False,
    **popen: Any,
) -> StandIn:
    """Start the stand-in and wait until it answers. Raises `RuntimeError` with its own words if it does not."""
    command = [sys.executable, "-m", "standin", "--port", str(port), "--trail-bucket", trail_bucket]
    command += ["--trail-account", trail_account, "--trail-every", str(trail_every)]
    command += ["--data", str(data)] if data else []
    command += ["--allow-tampering"] if tamper else []
    with tempfile.TemporaryFile("w+") as complaints:
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=complaints, text=True, **popen)
        assert process.stdout is not None
        line = process.stdout.readline()
        if "ready" not in line:
            process.wait(10)
            complaints.seek(0)
            raise RuntimeError(complaints.read().strip() or "the stand-in did not start")
    return StandIn(line.split()[-1], process)


@contextmanager
def running(**options: Any) -> Iterator[StandIn]:
    """A stand-in for the length of a block, with the options of `start`."""
    standin = start(**options)
    try:
        yield standin
    finally:
        standin.stop()
