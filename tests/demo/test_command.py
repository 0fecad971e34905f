"""`make demo` itself: where it says that it answers."""

import os

from django.core.management import call_command

from portal import embedded
from portal.management.commands import demo


def test_links_of_the_demo_name_the_port_that_it_answers_at(settings, monkeypatch, tmp_path):
    settings.DEMO, settings.HOME_DIR = True, tmp_path
    monkeypatch.setenv("SITE_URL", "http://127.0.0.1:8000")
    named = []
    for act in ("_worker", "_web", "_fill", "_say_ready"):
        monkeypatch.setattr(demo.Command, act, lambda *_: named.append((os.environ["SITE_URL"], settings.SITE_URL)))
    monkeypatch.setattr(demo, "_wait_for", lambda url, _: None)
    monkeypatch.setattr(demo, "_end", lambda _: None)
    monkeypatch.setattr(demo, "call_command", lambda *_, **__: None)
    monkeypatch.setattr(demo.signal, "signal", lambda *_: None)
    call_command("demo", port=8031, until_ready=True)
    assert named == [("http://127.0.0.1:8031",) * 2] * 4
    assert embedded.own_secrets(tmp_path)["SITE_URL"] == "http://127.0.0.1:8031"
