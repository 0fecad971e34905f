import os
import shutil
import subprocess

import pytest

from tests import conftest


@pytest.fixture
def small_disk(tmp_path_factory):
    """A file system of a few megabytes that the database may use. Needs root, as `make test-long` says."""
    assert os.getuid() == 0, "this test mounts a small file system: run it as root"
    folder = conftest.SERVERS.private / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", folder], check=True)
    try:
        shutil.chown(folder, conftest.SERVERS.private.stat().st_uid)
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)
        folder.rmdir()
