"""The page Checkpoints says what its own row says, and is not green where something else is known or cannot be."""

import pytest
from django.conf import settings

from accounts.models import User
from audit import alarms, checkpoints, clock
from audit.models import Alarm, Checkpoint
from jobs.models import Job
from portal import anchoring
from portal.pages.checkpoints import ASKED, RESTS, verdict
from tests.firm import make_buckets
from tests.verifier.bench import act

pytestmark = pytest.mark.compliance("DBA", "11.10(e)")


@pytest.fixture
def anchored(people):
    make_buckets()
    anchoring.checkpoint()
    return people


def shown():
    return verdict(checkpoints.exposure(), None)


def checkpoint_from_the_future(ticking) -> None:
    """The database's clock went wrong by a month, and was set right."""
    ticking.advance(days=30)
    anchoring.checkpoint()
    ticking.advance(days=-30)


def test_compliance_the_page_says_on_what_it_rests_that_links_are_covered(anchored):
    found = shown()
    assert found["tone"] == "ok" and "own row" in found["meta"]
    assert found["know"][:2] == (RESTS, ASKED)


@pytest.mark.parametrize("kind", [Alarm.Kind.ANCHOR_BEHIND, Alarm.Kind.ANCHOR_UNWRITABLE])
def test_compliance_the_page_is_not_green_while_an_alarm_about_the_anchors_stands(anchored, kind):
    alarms.raise_alarm(kind, checkpoints.CHAIN, "Something is not as it was.")
    found = shown()
    assert found["tone"] != "ok" and found["rows"][0]["tone"] != "ok"
    assert found["findings"] == ["Something is not as it was."]
    assert "anchored" not in found["say"].lower()
    alarms.acknowledge(
        Alarm.objects.get(), by=User.objects.get(username="approver"), comment="I look at it now, on site"
    )
    assert shown()["tone"] != "ok", "its cause stands all the same"
    alarms.clear(kind, checkpoints.CHAIN, "It was mended.")
    assert shown()["tone"] == "ok"


def test_compliance_a_row_from_the_future_does_not_make_the_page_green(anchored, ticking):
    checkpoint_from_the_future(ticking)
    found = shown()
    assert found["tone"] == "bad" and found["say"] == "The newest checkpoint is dated in the future."
    act(anchored)
    page = anchored.client(anchored.administrator).get("/audit/checkpoints/").content.decode()
    assert "dated in the future" in page and "anchored" not in page.lower()


def test_compliance_what_a_comparison_found_makes_the_page_say_so(anchored, monkeypatch):
    monkeypatch.setattr(settings, "TRAIL_ORIGIN", settings.TRAIL_ORIGIN + "-mistyped")
    anchoring.watch_over()
    found = shown()
    assert found["tone"] == "bad" and "none of the checkpoints" in found["findings"][0]


def test_compliance_a_row_from_the_future_stands_for_no_checkpoint_that_a_signature_asked_for(anchored, ticking):
    checkpoint_from_the_future(ticking)
    job = Job(created_at=clock.now())
    made = anchoring.anchor(job)["checkpoint"]
    assert made == 3 and Checkpoint.objects.get(pk=3).at > job.created_at
    assert anchoring.anchor(job)["checkpoint"] == 3, "one that was made since covers it"
    assert anchoring.anchor(Job(created_at=clock.now()))["checkpoint"] == 4


def test_compliance_the_public_key_that_the_page_names_is_there(anchored):
    page = anchored.client(anchored.inspector).get("/audit/checkpoints/")
    assert anchored.client(anchored.inspector).get(page.context["key_url"]).status_code == 200


def test_compliance_one_is_due_where_the_newest_is_dated_in_the_future(anchored, ticking):
    checkpoint_from_the_future(ticking)
    assert checkpoints.due()
