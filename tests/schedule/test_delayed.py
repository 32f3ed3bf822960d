"""Delayed schedules: the fires of a schedule, moved."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gcron.schedule import DelayedSchedule, Occurrence, occurrence, parse, put_off

BERLIN = "Europe/Berlin"


@given(instant=st.integers(0, 2**31), delay=st.integers(1, 100_000))
def test_fires_are_moved_and_none_is_lost(instant: int, delay: int) -> None:
    schedule = parse("30 2 * * *", BERLIN)
    delayed = DelayedSchedule(schedule, delay)

    fire = delayed.next_after(instant)

    assert fire is not None
    assert fire > instant
    assert schedule.next_after(fire - delay - 1) == fire - delay
    assert delayed.previous_before(fire + 1) == fire
    before = delayed.previous_before(fire)
    assert before is not None
    assert before <= instant
    assert delayed.next_after(before) == fire


def test_a_delayed_made_up_fire_is_marked_as_made_up() -> None:
    schedule = parse("30 2 * * *", BERLIN)
    shift = 1774746000  # 2026-03-29 03:00+02:00, which makes up for 02:30
    assert occurrence(schedule, shift) is Occurrence.MADE_UP

    assert occurrence(DelayedSchedule(schedule, 600), shift + 600) is Occurrence.MADE_UP


def test_a_schedule_without_clock_times_is_not_delayed() -> None:
    reboot = parse("@reboot")

    assert put_off(reboot, 60, "a") is reboot


def test_no_delay_exceeds_the_given_minutes() -> None:
    schedule = parse("0 0 * * *", "UTC")

    fires = {put_off(schedule, 3, f"job {number}").next_after(-1) for number in range(200)}

    assert fires == {0, 60, 120, 180}
