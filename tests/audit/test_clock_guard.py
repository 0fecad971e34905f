"""The clocks: apart, behind or set, and nobody signs (§2 row 17; §4 Clock skew)."""

from datetime import timedelta

import pytest

from audit import clock_guard
from audit.alarms import Kind
from audit.clock_guard import Moment, Standing
from audit.models import Alarm, ClockReading
from signatures.models import Signature
from signatures.signing import SignatureRefused
from tests import acts


@pytest.fixture
def wall(monkeypatch):
    """Sets the process's wall clock, and how much time has passed since the machine started, off by so many seconds."""
    monkeypatch.setattr(clock_guard, "_last", None)
    true = clock_guard.moment

    def set_off(seconds: float = 0, since_start: float = 0) -> None:
        def moment() -> Moment:
            real = true()
            return Moment(real.wall + timedelta(seconds=seconds), real.since_start + timedelta(seconds=since_start))

        monkeypatch.setattr(clock_guard, "moment", moment)

    return set_off


def test_clocks_that_agree_are_kept_once_in_a_while(people, wall, ticking):
    assert clock_guard.observe().standing == Standing.WELL
    clock_guard.observe()
    (row,) = ClockReading.objects.all()
    assert row.source.startswith("web@") and abs(row.offset_us) < 2_000_000
    ticking.advance(minutes=11)
    clock_guard.observe()
    assert ClockReading.objects.count() == 2


@pytest.mark.compliance("§2.17", "§2.17", "11.10(e)")
@pytest.mark.parametrize("seconds", [3600, -3600, 2.5, -2.5])
def test_compliance_nobody_signs_while_clocks_are_more_than_two_seconds_apart(firm, wall, seconds):
    version = firm.version("VP-0001")
    wall(seconds)
    with pytest.raises(SignatureRefused, match="more than two seconds apart"):
        acts.sign(firm.reviewer, version)
    assert not Signature.objects.filter(version=version).exists()
    alarm = Alarm.objects.get(kind=Kind.CLOCK_SKEW)
    assert alarm.state == "standing" and "Nobody can sign" in alarm.sentence
    wall(0)
    acts.sign(firm.reviewer, version)
    alarm.refresh_from_db()
    assert alarm.state == "unacknowledged"
    told = list(ClockReading.objects.order_by("id").values_list("standing", flat=True))
    assert told[-2:] == ["apart", "well"]


def test_a_second_and_a_half_is_no_reason_to_stop(firm, wall):
    wall(1.5)
    acts.sign(firm.reviewer, firm.version("VP-0001"))
    assert not Alarm.objects.exists()


@pytest.mark.compliance("§2.17", "§2.17")
def test_compliance_what_the_worker_sees_keeps_people_from_signing_too(firm, wall, ticking):
    wall(5)
    clock_guard.observe("worker")
    wall(0)
    version = firm.version("VP-0001")
    with pytest.raises(SignatureRefused, match="apart"):
        acts.sign(firm.reviewer, version)
    ticking.advance(minutes=3)
    acts.sign(firm.reviewer, version)


@pytest.mark.compliance("§2.17", "F8", "§2.17")
def test_compliance_a_clock_behind_its_trail_signs_nothing_and_is_an_alarm(firm, wall, ticking):
    ticking.advance(hours=-1)
    with pytest.raises(SignatureRefused, match="behind its own trail"):
        acts.sign(firm.reviewer, firm.version("VP-0001"))
    alarm = Alarm.objects.get(kind=Kind.CLOCK_STEP)
    assert "behind the newest time on record" in alarm.sentence
    ticking.advance(hours=1)
    acts.sign(firm.reviewer, firm.version("VP-0001"))


@pytest.mark.compliance("F8", "§2.17")
@pytest.mark.parametrize(("since_start", "way"), [(-3600, "ahead"), (3600, "back")])
def test_compliance_a_database_clock_that_is_set_shows_against_the_time_that_passed(
    people, wall, monkeypatch, since_start, way
):
    monkeypatch.setattr(clock_guard, "SAMPLED_EVERY", timedelta(days=1))
    clock_guard.observe("worker")
    wall(0, since_start)
    assert clock_guard.observe("worker").standing == Standing.STEPPED
    assert f"was set {way} by 3,600" in Alarm.objects.get(kind=Kind.CLOCK_STEP).sentence
    assert clock_guard.observe("worker").standing == Standing.WELL
