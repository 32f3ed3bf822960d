"""`expect-within`: one report when a success is overdue, and one when the job succeeds again."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gcron.greenlet import sleep
from gcron.policy import Policy
from gcron.schedule import parse
from gcron.scheduler import Job, Scheduler
from gcron.supervise.python_call import PythonCall
from gcron.testing import VirtualClock

Make = Callable[..., tuple[Scheduler, Any]]
HOUR = 3600


class Flaky:
    """A job that fails while it is broken."""

    def __init__(self) -> None:
        self.is_broken = False

    def __call__(self) -> None:
        if self.is_broken:
            raise ValueError("broken")


def told(recorder: Any, clock: VirtualClock) -> list[tuple[str, float]]:
    """Return the kinds of the reports with their times, in hours since midnight."""
    midnight = 1767225600
    return [
        (event.kind.removeprefix("success-"), round((event.time - midnight) / HOUR, 2))
        for event in recorder.events
        if event.kind in ("success-overdue", "success-resumed")
    ]


@pytest.fixture
def flaky() -> Flaky:
    return Flaky()


def test_a_missing_success_is_reported_once_and_its_end_once(
    clock: VirtualClock, make_scheduler: Make, flaky: Flaky
) -> None:
    scheduler, recorder = make_scheduler(clock=clock)
    scheduler.job("@hourly", name="job", expect_within="90m", greenlet=True)(flaky)
    scheduler.start()
    sleep(2.5 * HOUR)
    assert told(recorder, clock) == []
    flaky.is_broken = True
    sleep(6 * HOUR)
    assert told(recorder, clock) == [("overdue", 3.5)]
    (alarm,) = recorder.of("success-overdue")
    assert (alarm.job, alarm.within) == ("job", 5400)
    assert alarm.last_success == pytest.approx(recorder.of("run-finished")[1].time)
    flaky.is_broken = False
    sleep(3 * HOUR)
    assert told(recorder, clock) == [("overdue", 3.5), ("resumed", 9)]
    assert recorder.of("success-resumed")[0].silence == pytest.approx(7 * HOUR)
    flaky.is_broken = True
    sleep(12 * HOUR)
    assert told(recorder, clock)[2:] == [("overdue", 12.5)], "the next silence is told again"


def test_without_a_success_the_time_counts_from_the_start_or_the_addition_of_the_job(
    clock: VirtualClock, make_scheduler: Make
) -> None:
    scheduler, recorder = make_scheduler(clock=clock)
    sleep(HOUR)
    scheduler.job("@manual", name="first", expect_within="2h", greenlet=True)(lambda: None)
    sleep(HOUR)
    scheduler.start()
    sleep(HOUR)
    scheduler.job("@manual", name="second", expect_within="2h", greenlet=True)(lambda: None)
    sleep(4 * HOUR)
    assert [(event.job, event.last_success) for event in recorder.of("success-overdue")] == [
        ("first", None),
        ("second", None),
    ]
    assert told(recorder, clock) == [("overdue", 4), ("overdue", 5)]


def test_a_reload_does_not_restart_the_time_without_success(
    clock: VirtualClock, make_scheduler: Make, flaky: Flaky
) -> None:
    flaky.is_broken = True
    scheduler, recorder = make_scheduler(clock=clock)
    job = Job("job", parse("@hourly", "UTC"), PythonCall(flaky, greenlet=True), Policy(expect_within=2.0 * HOUR))
    scheduler.replace([job])
    scheduler.start()
    for _ in range(6):
        sleep(0.5 * HOUR)
        scheduler.replace([replace(job, source="elsewhere")])
    assert told(recorder, clock) == [("overdue", 2)]
    scheduler.replace([replace(job, policy=Policy(expect_within=5.0 * HOUR))])
    sleep(3 * HOUR)
    assert told(recorder, clock) == [("overdue", 2), ("overdue", 5)], "it was given more time"
    scheduler.replace([])
    sleep(HOUR)
    scheduler.replace([job])
    sleep(HOUR)
    assert told(recorder, clock)[2:] == [], "removed and added again, it is another job"
    scheduler.remove("job")
    sleep(9 * HOUR)
    assert told(recorder, clock)[2:] == []


def test_no_success_is_expected_of_a_disabled_job(clock: VirtualClock, make_scheduler: Make, flaky: Flaky) -> None:
    scheduler, recorder = make_scheduler(clock=clock)
    scheduler.job("@hourly", name="job", expect_within="2h", enabled=False, greenlet=True)(flaky)
    scheduler.start()
    sleep(9 * HOUR)
    assert told(recorder, clock) == []


@pytest.mark.parametrize("step", [2 * HOUR, 9 * HOUR, -2 * HOUR, -9 * HOUR])
def test_a_clock_step_reports_no_missing_success(
    step: int, steady_clock: VirtualClock, make_scheduler: Make, flaky: Flaky
) -> None:
    scheduler, recorder = make_scheduler(clock=steady_clock)
    scheduler.job("@every 30m", name="job", expect_within="90m", greenlet=True)(flaky)
    scheduler.start()
    sleep(HOUR)
    steady_clock.set(steady_clock.now() + step)
    sleep(2 * HOUR)
    assert recorder.of("success-overdue") == []
    flaky.is_broken = True
    sleep(1.6 * HOUR)
    assert len(recorder.of("success-overdue")) == 1, "and none is late for it"


def test_a_suspend_counts_as_time_without_success(clock: VirtualClock, make_scheduler: Make, flaky: Flaky) -> None:
    scheduler, recorder = make_scheduler(clock=clock)
    scheduler.job("@hourly", name="job", expect_within="90m", greenlet=True)(flaky)
    scheduler.start()
    sleep(1.5 * HOUR)
    clock.jump(8 * HOUR)
    sleep(1)
    assert told(recorder, clock) == [("overdue", 9.5)]
    sleep(HOUR)
    assert told(recorder, clock) == [("overdue", 9.5), ("resumed", 10)]


def test_jobs_without_expect_within_cost_nothing(clock: VirtualClock, make_scheduler: Make, flaky: Flaky) -> None:
    scheduler, _ = make_scheduler(clock=clock)
    hourly = parse("@hourly", "UTC")
    jobs = [Job(f"job{number}", hourly, PythonCall(flaky, greenlet=True), Policy()) for number in range(2000)]
    scheduler.replace(jobs)
    scheduler.start()
    tracemalloc.start()
    try:
        scheduler.replace(jobs)
        kept = tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(True, "*/expectations.py")])
    finally:
        tracemalloc.stop()
    assert sum(trace.size for trace in kept.statistics("filename")) < 2000


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(1, 500), st.booleans()), max_size=15), st.integers(1, 400))
def test_the_reports_agree_with_a_simple_model_of_successes(runs: list[tuple[int, bool]], within: int) -> None:
    clock = VirtualClock(0)
    events: list[Any] = []
    with clock.installed():
        scheduler = Scheduler(clock=clock)
        scheduler.on("success-overdue", events.append)
        scheduler.on("success-resumed", events.append)
        flaky = Flaky()
        scheduler.job("@manual", name="job", expect_within=within, greenlet=True)(flaky)
        scheduler.start()
        successes = [0.0]
        for pause, succeeds in runs:
            sleep(pause + 1 / 64)  # no sum of these is a whole second, at which a report may be due
            flaky.is_broken = not succeeds
            result = scheduler.trigger("job").result.get()
            successes += [clock.now()] if result.succeeded else []
        end = clock.now() + 1 / 64
        sleep(1 / 64)
        scheduler.stop(grace=0)
    expected = []
    for before, after in pairwise([*successes, end + 1]):
        if before + within < min(after, end):
            expected.append(("success-overdue", before + within))
            expected += [("success-resumed", after)] if after <= end else []
    assert [event.kind for event in events] == [kind for kind, _ in expected]
    assert [event.time for event in events] == pytest.approx([time for _, time in expected])
