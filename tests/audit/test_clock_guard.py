"""The clocks: apart, behind or set, and nobody signs (§2 row 17; §4 Clock skew)."""

from datetime import UTC, datetime, timedelta

import pytest

from audit import clock_guard
from audit.alarms import Kind
from audit.clock_guard import Moment, Reading, Standing
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
def test_compliance_a_clock_behind_the_newest_time_on_record_is_one_alarm_however_often_it_is_seen(
    people, wall, ticking
):
    ticking.advance(hours=-1)
    for _ in range(2):
        assert clock_guard.observe("worker").standing == Standing.BACK
    alarm = Alarm.objects.get(kind=Kind.CLOCK_STEP)
    assert "behind the newest time on record. Nobody can sign." in alarm.sentence
    assert alarm.count == 1


@pytest.mark.compliance("F8", "§2.17")
@pytest.mark.parametrize(("since_start", "way"), [(-3600, "ahead"), (3600, "back")])
def test_compliance_a_database_clock_that_is_set_shows_against_the_time_that_passed(
    people, wall, monkeypatch, since_start, way
):
    monkeypatch.setattr(clock_guard, "SAMPLED_EVERY", timedelta(days=1))
    clock_guard.observe("worker")
    wall(0, since_start)
    stepped = clock_guard.observe("worker")
    assert stepped.standing == Standing.STEPPED
    kept = ClockReading.objects.latest("id")
    assert (kept.standing, kept.step_us) == (Standing.STEPPED, stepped.step // timedelta(microseconds=1))
    assert f"was set {way} by 3,600" in Alarm.objects.get(kind=Kind.CLOCK_STEP).sentence
    assert clock_guard.observe("worker").standing == Standing.WELL


@pytest.mark.compliance("§2.17")
def test_compliance_a_process_whose_clock_is_right_again_keeps_nobody_from_signing(people, wall):
    wall(5)
    clock_guard.observe("worker")
    wall(0)
    assert clock_guard.fault() == clock_guard.SENTENCES[Standing.APART]
    clock_guard.observe("worker")
    assert clock_guard.fault() == ""


def test_what_was_seen_is_kept_to_the_microsecond_and_told_with_the_alarm(people, wall):
    wall(-5)
    reading = clock_guard.observe("worker")
    assert timedelta(seconds=4.9) < reading.offset < timedelta(seconds=5.1)
    row = ClockReading.objects.get()
    assert (row.standing, row.offset_us) == ("apart", reading.offset // timedelta(microseconds=1))
    assert (row.within_us, row.step_us) == (reading.within // timedelta(microseconds=1), 0)
    alarm = Alarm.objects.get()
    behind = reading.behind // timedelta(microseconds=1)
    assert alarm.detail == {"offset_us": row.offset_us, "behind_us": behind, "step_us": 0}
    assert (alarm.subject_kind, alarm.subject_id, alarm.subject_label) == (
        "clock",
        row.source,
        f"the clocks of {row.source}",
    )
    assert alarm.sentence == f"The database's clock and that of {row.source} are 5.0 s apart. Nobody can sign."
    wall(0)
    reading = clock_guard.observe("worker")
    alarm.refresh_from_db()
    assert alarm.cleared_how == f"The clocks are {abs(reading.offset).total_seconds():,.1f} s apart."


SECOND = timedelta(seconds=1)
NONE = timedelta()
AT = datetime(2026, 11, 21, tzinfo=UTC)


@pytest.mark.parametrize(
    ("reading", "standing"),
    [
        (Reading(AT, NONE, NONE, 2 * SECOND, NONE), Standing.WELL),
        (Reading(AT, 9 * SECOND, NONE, 2.1 * SECOND, NONE), Standing.BACK),
        (Reading(AT, -2.5 * SECOND, 0.5 * SECOND, NONE, NONE), Standing.WELL),
        (Reading(AT, -2.6 * SECOND, 0.5 * SECOND, NONE, 9 * SECOND), Standing.APART),
        (Reading(AT, NONE, NONE, NONE, 2 * SECOND), Standing.WELL),
        (Reading(AT, NONE, NONE, NONE, -2.1 * SECOND), Standing.STEPPED),
    ],
)
def test_more_than_two_seconds_is_wrong_beyond_how_exactly_it_could_be_told(reading, standing):
    assert reading.standing == standing


def test_a_step_is_what_the_databases_clock_moved_beyond_the_time_that_passed(monkeypatch):
    monkeypatch.setattr(clock_guard, "_last", None)
    noon = datetime(2026, 11, 21, 12, tzinfo=UTC)
    assert clock_guard._step(noon, 100 * SECOND) == NONE
    assert clock_guard._step(noon + 60 * SECOND, 130 * SECOND) == 30 * SECOND
    assert clock_guard._step(noon + 50 * SECOND, 150 * SECOND) == -30 * SECOND
    assert clock_guard._step(noon + 700 * SECOND, 750 * SECOND) == 50 * SECOND
    assert clock_guard._step(noon, 1351 * SECOND) == NONE, "too long ago"
