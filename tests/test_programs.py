"""Programs that the tests ask are found, or fetched, or asked for in one sentence."""

import re
import time
from pathlib import Path

import pytest

from tests import programs

ROOT = Path(__file__).resolve().parents[1]
CALLED = re.compile(r'(?:\[|run\(|^\s+)"(pdf[a-z]+|qpdf|openssl)"', re.MULTILINE)


@pytest.fixture
def without(monkeypatch):
    """Nothing but apt is found, and what would be run is only noted."""
    ran: list[list[str]] = []
    monkeypatch.setattr(programs, "find", lambda: None)
    monkeypatch.setattr(programs, "which", lambda name: "/usr/bin/apt-get" if name == "apt-get" else None)
    monkeypatch.setattr(programs, "_run", lambda command, *_: ran.append(command))
    return ran


def test_what_is_named_in_the_environment_comes_first(monkeypatch, tmp_path):
    program = tmp_path / "my-chromium"
    program.write_text("")
    program.chmod(0o755)
    monkeypatch.setenv("CHROMIUM", str(program))
    assert programs.find() == str(program)


def test_all_is_found_on_this_machine():
    assert programs.find() and programs.missing() == []


def test_every_program_that_a_test_calls_is_listed():
    called = {name for path in (ROOT / "tests").rglob("*.py") for name in CALLED.findall(path.read_text())}
    assert called == set(programs.JUDGES)


def test_without_root_nothing_of_the_system_is_touched_and_one_sentence_says_what_to_install(
    without, monkeypatch, capsys
):
    monkeypatch.setattr(programs.os, "getuid", lambda: 1000)
    assert programs.main() == 1
    assert [command[1:] for command in without] == [["-m", "playwright", "install", "chromium"]]
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert "apt-get install chromium openssl poppler-utils qpdf`" in said and said.count(". ") == 0


def test_as_root_debians_are_installed_all_at_once(without, monkeypatch):
    monkeypatch.setattr(programs.os, "getuid", lambda: 0)
    assert programs.main() == 1
    update, install = without[1:]
    assert update[:2] == ["apt-get", "update"] and install[:2] == ["apt-get", "install"]
    assert install[-4:] == ["chromium", "openssl", "poppler-utils", "qpdf"]


def test_where_only_one_is_missing_the_others_are_left_alone(without, monkeypatch, capsys):
    monkeypatch.setattr(programs, "find", lambda: "/usr/bin/chromium")
    monkeypatch.setattr(programs, "which", lambda name: None if name == "qpdf" else f"/usr/bin/{name}")
    monkeypatch.setattr(programs.os, "getuid", lambda: 0)
    assert programs.main() == 1
    assert [command[-1] for command in without] == ["-qq", "qpdf"]
    assert "playwright" not in capsys.readouterr().err


def test_a_way_that_hangs_is_given_up(monkeypatch):
    begun = time.monotonic()
    programs._run(["sleep", "30"], 0.1)
    programs._run(["no-such-program"], 1)
    assert time.monotonic() - begun < 10
