"""What several tests of proof share: a time-stamp authority as a process, and programs that judge without the portal."""

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import ROOT


@dataclass(frozen=True)
class Authority:
    folder: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{(self.folder / 'port').read_text()}/"

    @property
    def certificate(self) -> Path:
        return self.folder / "tsa.pem"

    @property
    def asked(self) -> int:
        return len((self.folder / "asked").read_bytes())


@pytest.fixture(scope="session")
def tsa_process() -> Iterator[Authority]:
    folder = Path(tempfile.mkdtemp(prefix="tsa-"))
    process = subprocess.Popen([sys.executable, "-W", "ignore", "-m", "tests.signatures.tsa", str(folder)], cwd=ROOT)
    deadline = time.monotonic() + 30
    while not (folder / "port").exists():
        assert process.poll() is None and time.monotonic() < deadline, "the time-stamp authority did not start"
        time.sleep(0.05)
    yield Authority(folder)
    process.terminate()
    process.wait(10)
    shutil.rmtree(folder)


@pytest.fixture
def tsa(tsa_process, settings) -> Authority:
    """The portal asks it for time stamps in this test."""
    settings.TSA_URL, settings.TSA_CERTIFICATES = tsa_process.url, tsa_process.certificate
    return tsa_process
