"""What `aws cloudtrail validate-logs` says of a trail, object by object. It runs in this process: a start of it takes a second."""

import contextlib
import io
import logging
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest import mock

from tests.cloudtrail import trails

_LINE = re.compile(r"^(?:\(backfill\) )?(Digest|Log) file\ts3://([^/]+)/(\S+)\t(.+)$")


@dataclass
class Said:
    """By key: "valid", "missing" or "invalid"; of what is missing or invalid in the tool's own words as well."""

    code: int = 0
    digests: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    words: dict[str, str] = field(default_factory=dict)
    gaps: int = 0


@cache
def _driver() -> Any:
    from awscli.clidriver import create_clidriver  # here, where its changes to the environment do not last
    from awscli.customizations.cloudtrail.validation import CloudTrailValidateLogs

    class Anew(CloudTrailValidateLogs):
        """The command keeps its counts from one run to the next, which no user of it would see."""

        def _run_main(self, args: Any, parsed_globals: Any) -> int:
            CloudTrailValidateLogs.__init__(self, self._session)
            code: int = super()._run_main(args, parsed_globals)
            return code

    logging.getLogger("awscli").setLevel(logging.ERROR)
    driver = create_clidriver()

    def put(command_table: dict[str, Any], session: Any, **_: Any) -> None:
        command_table["validate-logs"] = Anew(session)

    driver.session.register("building-command-table.cloudtrail", put)
    return driver


@contextlib.contextmanager
def speaking_to(url: str, credentials: tuple[str, str]) -> Iterator[None]:
    """The tool asks this address for everything, and finds nothing of the machine's own configuration."""
    asked = {
        "AWS_ENDPOINT_URL": url,
        "AWS_DATA_PATH": str(Path(find_spec("awscli").origin).with_name("data")),
        "AWS_ACCESS_KEY_ID": credentials[0],
        "AWS_SECRET_ACCESS_KEY": credentials[1],
        "AWS_DEFAULT_REGION": trails.REGION,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    with mock.patch.dict(os.environ, asked):
        yield


def validate(
    url: str, bucket: str, since: datetime, until: datetime, credentials: tuple[str, str] = ("AKIATEST", "test")
) -> Said:
    """Run the command over one bucket."""
    out, err = io.StringIO(), io.StringIO()
    arguments = ["cloudtrail", "validate-logs", "--trail-arn", trails.ARN, "--s3-bucket", bucket, "--verbose"]
    arguments += ["--start-time", f"{since:%Y-%m-%dT%H:%M:%SZ}", "--end-time", f"{until:%Y-%m-%dT%H:%M:%SZ}"]
    with speaking_to(url, credentials), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = _driver().main([*arguments, "--endpoint-url", url, "--region", trails.REGION])
    said = Said(code)
    for line in (out.getvalue() + "\n" + err.getvalue()).splitlines():
        said.gaps += "No log files were delivered by CloudTrail between" in line
        if found := _LINE.match(line):
            what, _, key, words = found.groups()
            verdict = "valid" if words == "valid" else "missing" if "not found" in words else "invalid"
            (said.digests if what == "Digest" else said.files)[key] = verdict
            said.words[key] = words
    assert said.digests or "No digests found" in out.getvalue(), out.getvalue() + err.getvalue()
    return said
