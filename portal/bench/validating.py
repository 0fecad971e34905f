"""How fast a trail is validated, anew and by the ledger: against `aws cloudtrail validate-logs` in the same run."""

import os
import resource
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path

from django.conf import settings

from audit import trail
from cloudtrail import ingest, proof, transitions, validation
from cloudtrail.models import Trail
from cloudtrail.reread import Outcome
from demo import digested
from portal.bench.figures import Figure, ratio, seconds
from storage import s3

HOURS, FILES_EACH = 720, 10
SLOW_HOURS, SLOW_MILLISECONDS = 72, 10


def validate() -> list[Figure]:
    """Both ways of validating a month, and a tenth of it with ten milliseconds added to each request.

    The server answers from memory in a process of its own. What is compared is the work of the two clients: requests,
    signatures, hashes.
    """
    figures = []
    with _served("slow", SLOW_HOURS, SLOW_MILLISECONDS) as (of, until):
        theirs, (slow, small) = _aws(until), _anew(of, until, SLOW_HOURS)
        figures.append(_ratio(f"validate at {SLOW_MILLISECONDS} ms a request", theirs, slow, SLOW_HOURS))
    with _served("digested", HOURS, 0) as (of, until):
        theirs, (ours, large) = _aws(until), _anew(of, until, HOURS)
        figures.append(_ratio("validate a trail anew", theirs, ours, HOURS))
        ingest.pull(of)
        proof.gather(of)
        proof.prove(of)
        ledger = seconds(lambda: _demand(validation.as_ingested(of, digested.BEGIN, until), HOURS))
        figures.append(_ratio("validate a trail by the ledger", theirs, ledger, HOURS))
    said = f"{HOURS * FILES_EACH:,} files; {small} MiB with {SLOW_HOURS * FILES_EACH}"
    figures.append(Figure("memory added by validating anew", large, "MiB", said))
    return figures


def _ratio(name: str, theirs: float, ours: float, hours: int) -> Figure:
    said = f"{ours:.3f} s, aws-cli {theirs:.2f} s; {hours} digests, {hours * FILES_EACH:,} files"
    return ratio(name, theirs, ours, "times as fast as aws-cli", said)


def _anew(of: Trail, until: datetime, hours: int) -> tuple[float, float]:
    """Seconds (the median of three), and MiB that the process grew by at its largest the first time."""
    taken = []
    before, largest = _memory(), 0.0
    for _ in range(3):
        began = time.perf_counter()
        _demand(validation.anew(of, digested.BEGIN, until), hours)
        taken.append(time.perf_counter() - began)
        largest = largest or _memory() - before
    return statistics.median(taken), round(max(0.0, largest), 1)


def _memory() -> float:
    """MiB that the process held at its largest."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _demand(outcome: Outcome, hours: int) -> None:
    if not outcome.valid or (outcome.digests["valid"], outcome.files["valid"]) != (hours, hours * FILES_EACH):
        raise SystemExit(f"the trail is sound, and was found otherwise: {outcome.digests}, {outcome.files}")


def _aws(until: datetime) -> float:
    """Seconds that the other takes, its start left out."""
    if find_spec("awscli") is None:
        raise SystemExit("awscli is not installed: there is nothing to be held against (requirements-dev.txt)")
    command = [sys.executable, "-m", "awscli"]
    began = time.perf_counter()
    subprocess.run([*command, "--version"], check=True, capture_output=True)
    start = time.perf_counter() - began
    asked = ["--trail-arn", digested.ARN, "--s3-bucket", digested.BUCKET, "--region", digested.REGION]
    asked += ["--start-time", f"{digested.BEGIN:%Y-%m-%dT%H:%M:%SZ}", "--end-time", f"{until:%Y-%m-%dT%H:%M:%SZ}"]
    nobody = {
        "AWS_ACCESS_KEY_ID": "AKIABENCH",
        "AWS_SECRET_ACCESS_KEY": "bench",
        "AWS_ENDPOINT_URL": str(settings.S3_ENDPOINT_URL),
    }
    quiet = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    began = time.perf_counter()
    subprocess.run(
        [*command, "cloudtrail", "validate-logs", *asked],
        check=True,
        capture_output=True,
        env={**os.environ, **nobody, **quiet},
    )
    return time.perf_counter() - began - start


@contextmanager
def _served(name: str, hours: int, milliseconds: int) -> Iterator[tuple[Trail, datetime]]:
    """A made trail behind a thin server, which is where S3 is asked in this block."""
    folder = Path(settings.HOME_DIR) / name
    until = digested.BEGIN + hours * digested.HOUR
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # It makes the trail as well: what that takes of memory is none of ours.
    command = [sys.executable, "-m", "demo.digested", *map(str, (folder, port, milliseconds, hours, FILES_EACH))]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=settings.BASE_DIR)
    before = settings.S3_ENDPOINT_URL
    settings.S3_ENDPOINT_URL = f"http://127.0.0.1:{port}"
    try:
        assert server.stdout is not None
        server.stdout.readline()
        s3.client().meta.config  # noqa: B018 - made before anything is measured
        values = {"name": name, "account": digested.ACCOUNT, "bucket": digested.BUCKET, "region": digested.REGION,
                  "started_from": digested.BEGIN.date(), "enabled": False}  # fmt: skip
        yield transitions._create(values, by=trail.SYSTEM), until
    finally:
        settings.S3_ENDPOINT_URL = before
        server.terminate()
        server.wait(10)
