"""Programs that the tests ask, but that are no part of the portal, each in an environment of its own below `.run/`."""

import fcntl
import hashlib
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def python_with(name: str) -> Path:
    """The Python that has what `tests/<name>/requirements.txt` pins, made on first use; other test processes wait for it."""
    requirements = ROOT / "tests" / name / "requirements.txt"
    environment = ROOT / ".run" / f"{name}-env"
    python, stamp = environment / "bin/python", environment / "requirements.sha256"
    wanted = hashlib.sha256(requirements.read_bytes()).hexdigest()
    environment.parent.mkdir(exist_ok=True)
    with environment.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text() != wanted:
            subprocess.run([sys.executable, "-m", "venv", "--clear", environment], check=True)
            # As `make install` does: by uv, ten times as fast, or by pip where uv finds no way.
            by_uv = [Path(sys.executable).with_name("uv"), "pip", "install", "-q", "--python", python]
            by_pip = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
            for install in (by_uv, by_pip):
                wanted_set = [*install, "--require-hashes", "-r", requirements]
                done = subprocess.run(wanted_set, capture_output=True, text=True)
                if done.returncode == 0:
                    break
            assert done.returncode == 0, f"{name} could not be installed for the tests:\n{done.stderr}"
            stamp.write_text(wanted)
    return python
