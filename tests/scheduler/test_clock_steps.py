"""Clock steps, and pauses of the process (promise 9)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gcron.greenlet import sleep
from gcron.scheduler import Scheduler
from gcron.scheduler.due import StepDetector
from gcron.testing import VirtualClock

Make = Callable[..., tuple[Scheduler, Any]]
HOUR = 3600


class Watched:
    """A scheduler on a virtual clock, and its fires."""

    def __init__(self, scheduler: Scheduler, recorder: Any, clock: VirtualClock) -> None:
        self.scheduler = scheduler
        self.recorder = recorder
        self.clock = clock
        self.midnight = clock.now()

    def add(self, *schedules: str) -> None:
        for schedule in schedules:
            self.scheduler.job(schedule, name=schedule, greenlet=True)(lambda: None)

    def pass_until(self, hours: float) -> None:
        sleep(self.midnight + hours * HOUR - self.clock.now())

    def set_to(self, hours: float) -> None:
        self.clock.set(self.midnight + hours * HOUR)

    def fired(self, schedule: str) -> list[float]:
        """Return the due instants of its fires, in hours since midnight."""
        return [(event.fire_at - self.midnight) / HOUR for event in self.recorder.of("run-started", schedule)]

    def started(self, schedule: str) -> list[float]:
        """Return the starts of its fires, in hours since midnight."""
        return [round((event.time - self.midnight) / HOUR, 2) for event in self.recorder.of("run-started", schedule)]

    def missed(self, schedule: str) -> list[tuple[float, float]]:
        return [
            ((event.first - self.midnight) / HOUR, (event.last - self.midnight) / HOUR)
            for event in self.recorder.of("fires-missed", schedule)
        ]


@pytest.fixture
def watched(steady_clock: VirtualClock, make_scheduler: Make) -> Watched:
    return Watched(*make_scheduler(clock=steady_clock), steady_clock)


DAILY, OFTEN, EVERY = "30 1 * * *", "*/30 * * * *", "@every 20m"


def test_after_a_small_step_forward_fixed_times_fire_and_wildcards_continue(watched: Watched) -> None:
    watched.add(DAILY, OFTEN, EVERY)
    watched.scheduler.start()
    watched.pass_until(1.1)
    watched.set_to(2.25)
    watched.pass_until(3.05)
    assert watched.fired(DAILY) == [1.5]
    assert watched.started(DAILY) == [2.25]
    assert watched.missed(DAILY) == []
    assert watched.fired(OFTEN) == [0.5, 1, 2.5, 3]
    assert watched.missed(OFTEN) == [(1.5, 2)]
    assert watched.fired(EVERY) == pytest.approx([1 / 3, 2 / 3, 1, 2 + 1 / 3, 2 + 2 / 3, 3])


def test_of_several_skipped_fires_the_newest_is_made_up(watched: Watched) -> None:
    schedule = "0,20,40 1 * * *"
    watched.add(schedule)
    watched.scheduler.start()
    watched.pass_until(0.9)
    watched.set_to(2.5)
    watched.pass_until(3)
    assert watched.fired(schedule) == pytest.approx([1 + 2 / 3])
    assert watched.missed(schedule) == [pytest.approx((1, 1 + 1 / 3))]


def test_after_a_large_step_forward_all_skipped_fires_are_missed(watched: Watched) -> None:
    watched.add(DAILY, OFTEN)
    watched.scheduler.start()
    watched.pass_until(1.1)
    watched.set_to(4.6)
    watched.pass_until(25.6)
    assert watched.fired(DAILY) == [25.5]
    assert watched.missed(DAILY) == [(1.5, 1.5)]
    assert watched.missed(OFTEN) == [(1.5, 4.5)]
    assert watched.fired(OFTEN)[:4] == [0.5, 1, 5, 5.5]


def test_after_a_small_step_back_only_wildcards_repeat(watched: Watched) -> None:
    watched.add(DAILY, OFTEN, EVERY)
    watched.scheduler.start()
    watched.pass_until(1.6)
    watched.set_to(0.75)
    watched.pass_until(2.1)
    assert watched.fired(DAILY) == [1.5]
    assert watched.fired(OFTEN) == [0.5, 1, 1.5, 1, 1.5, 2]
    assert watched.fired(EVERY) == pytest.approx([1 / 3, 2 / 3, 1, 4 / 3, 1, 4 / 3, 5 / 3, 2])
    assert watched.recorder.of("fires-missed") == []


def test_a_future_fixed_time_fires_once_after_a_step_back(watched: Watched) -> None:
    watched.add(DAILY)
    watched.scheduler.start()
    watched.pass_until(1.4)
    watched.set_to(0.2)
    watched.pass_until(2)
    assert watched.fired(DAILY) == [1.5]
    assert watched.started(DAILY) == [1.5]


def test_after_a_large_step_back_all_jobs_follow_the_new_clock(watched: Watched) -> None:
    watched.add(DAILY, OFTEN)
    watched.scheduler.start()
    watched.pass_until(5.1)
    watched.set_to(1.4)
    watched.pass_until(2.1)
    assert watched.fired(DAILY) == [1.5, 1.5]
    assert watched.fired(OFTEN)[-2:] == [1.5, 2]


def test_a_wrong_clock_that_is_corrected_costs_no_fixed_time(watched: Watched) -> None:
    watched.add(DAILY)
    watched.scheduler.start()
    watched.pass_until(1.1)
    watched.set_to(3)
    sleep(60)
    watched.set_to(1.2)
    watched.pass_until(25.6)
    assert watched.fired(DAILY) == [1.5, 25.5]


def stop_the_process_for(clock: VirtualClock, seconds: float) -> None:
    """Let time pass while the scheduler cannot run, as after SIGSTOP."""
    clock.jump(seconds)


def test_after_a_pause_no_job_fires_in_a_burst(watched: Watched) -> None:
    watched.add("@every 1s", "* * * * *", DAILY, "0 1-2 * * *")
    watched.scheduler.start()
    watched.pass_until(0.9)
    before = {schedule: len(watched.fired(schedule)) for schedule in ("@every 1s", "* * * * *")}
    stop_the_process_for(watched.clock, 1.4 * HOUR + 0.5)
    sleep(0.2)
    assert len(watched.fired("@every 1s")) == before["@every 1s"] + 1
    assert len(watched.fired("* * * * *")) == before["* * * * *"] + 1
    assert watched.fired(DAILY) == [1.5]
    assert watched.fired("0 1-2 * * *") == [2]
    assert watched.missed("0 1-2 * * *") == [(1, 1)]
    sleep(3)
    assert len(watched.fired("@every 1s")) == before["@every 1s"] + 4


def test_after_a_pause_of_more_than_three_hours_fixed_times_are_missed(watched: Watched) -> None:
    watched.add(DAILY)
    watched.scheduler.start()
    watched.pass_until(1)
    stop_the_process_for(watched.clock, 4 * HOUR)
    sleep(1)
    assert watched.fired(DAILY) == []
    assert watched.missed(DAILY) == [(1.5, 1.5)]


def test_after_a_long_suspend_fixed_times_of_its_last_hours_are_made_up(watched: Watched) -> None:
    """A suspend of eight hours is not a wrong clock. The newest fire is 90 minutes old."""
    watched.add("30 1,7 * * *")
    watched.scheduler.start()
    watched.pass_until(1)
    stop_the_process_for(watched.clock, 8 * HOUR)
    sleep(1)
    assert watched.fired("30 1,7 * * *") == [7.5]
    assert watched.missed("30 1,7 * * *") == [(1.5, 1.5)]


def test_a_wildcard_that_is_noticed_within_a_minute_still_fires(watched: Watched) -> None:
    watched.add(OFTEN)
    watched.scheduler.start()
    watched.pass_until(0.49)
    stop_the_process_for(watched.clock, 80)
    sleep(1)
    assert watched.fired(OFTEN) == [0.5]
    assert watched.missed(OFTEN) == []


def test_a_stop_of_the_machine_between_two_clock_readings_is_no_step(steady_clock: VirtualClock) -> None:
    """It looked like a step back of 5 s, and 5 fires of a job of each second were dropped without a report."""

    stops = 0

    class Stopping:
        def now(self) -> float:
            nonlocal stops
            shown = steady_clock.now()
            if stops:
                stops -= 1
                steady_clock.jump(5)
            return shown

        def monotonic(self) -> float:
            return steady_clock.monotonic()

    steps = StepDetector(Stopping())
    stops = 2
    assert steps.step() == 0
    steady_clock.set(steady_clock.now() - 5)
    assert steps.step() == -5
