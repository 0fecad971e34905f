"""A pytest plugin (`-p tools.reach`): which lines of `REACH_OF` (files, by colon) each test runs through, and how long it takes.

Each process writes what it saw into the folder `REACH_TO`. Only tests that passed are told of.
"""

import json
import os
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
from coverage import Coverage

FILES = os.environ["REACH_OF"].split(":")
_coverage = Coverage(data_file=None, include=[str(Path(name).resolve()) for name in FILES], config_file=False)
_seconds: dict[str, float] = {}
_failed: set[str] = set()


def pytest_configure() -> None:
    _coverage.start()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    _coverage.switch_context(item.nodeid)
    began = time.monotonic()
    result = yield
    _seconds[item.nodeid] = time.monotonic() - began
    _coverage.switch_context("")
    return result


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.failed:
        _failed.add(report.nodeid)


def pytest_sessionfinish() -> None:
    _coverage.stop()
    data = _coverage.get_data()
    lines: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for name in FILES:
        for line, contexts in data.contexts_by_lineno(str(Path(name).resolve())).items():
            for test in contexts:
                lines[test][name].append(line)
    told = {
        test: {"seconds": round(seconds, 2), "lines": lines[test]}
        for test, seconds in _seconds.items()
        if test not in _failed
    }
    Path(os.environ["REACH_TO"], f"{os.getpid()}.json").write_text(json.dumps(told))
