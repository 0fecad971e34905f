"""Chromium is found, or fetched, or asked for in one sentence."""

import time

import pytest

from tests import chromium


@pytest.fixture
def without(monkeypatch):
    """Nothing is found, and what would be run is only noted."""
    ran: list[list[str]] = []
    monkeypatch.setattr(chromium, "find", lambda: None)
    monkeypatch.setattr(chromium, "_run", lambda command, *_: ran.append(command))
    return ran


def test_what_is_named_in_the_environment_comes_first(monkeypatch, tmp_path):
    program = tmp_path / "my-chromium"
    program.write_text("")
    program.chmod(0o755)
    monkeypatch.setenv("CHROMIUM", str(program))
    assert chromium.find() == str(program)


def test_a_chromium_of_this_machine_is_found():
    assert chromium.find()


def test_without_root_nothing_of_the_system_is_touched_and_one_sentence_says_what_to_install(
    without, monkeypatch, capsys
):
    monkeypatch.setattr(chromium.os, "getuid", lambda: 1000)
    assert chromium.main() == 1
    assert [command[1:] for command in without] == [["-m", "playwright", "install", "chromium"]]
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert "apt-get install chromium" in said and said.count(". ") == 0


def test_as_root_debians_is_installed(without, monkeypatch):
    monkeypatch.setattr(chromium.os, "getuid", lambda: 0)
    monkeypatch.setattr(chromium, "which", lambda name: f"/usr/bin/{name}")
    assert chromium.main() == 1
    assert [command[0] for command in without][1:] == ["apt-get", "apt-get"]


def test_a_way_that_hangs_is_given_up(monkeypatch):
    begun = time.monotonic()
    chromium._run(["sleep", "30"], 0.1)
    chromium._run(["no-such-program"], 1)
    assert time.monotonic() - begun < 10
