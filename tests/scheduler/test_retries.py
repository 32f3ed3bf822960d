"""Retries and jitter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gcron.greenlet import sleep
from gcron.policy import Policy
from gcron.scheduler import Outcome, Scheduler
from gcron.testing import VirtualClock
from tests.waiting import PATIENCE

Make = Callable[..., tuple[Scheduler, Any]]


class Flaky:
    """A job that fails a number of times, then succeeds. Records the times of its attempts."""

    def __init__(self, clock: VirtualClock, failures: int) -> None:
        self.clock = clock
        self.failures = failures
        self.times: list[float] = []

    def __call__(self) -> str:
        self.times.append(self.clock.now())
        if len(self.times) <= self.failures:
            raise RuntimeError(f"failure {len(self.times)}")
        return "done"


def test_a_failed_attempt_is_retried_with_growing_delays(clock: VirtualClock, make_scheduler: Make) -> None:
    scheduler, recorder = make_scheduler(clock=clock)
    job = Flaky(clock, failures=3)
    scheduler.job("@manual", name="job", retries=5, retry_delay=10, retry_backoff=3, retry_max_delay=60, greenlet=True)(
        job
    )
    scheduler.start()
    begin = clock.now()

    result = scheduler.trigger("job").result.get()

    assert result.succeeded
    assert result.value == "done"
    assert result.attempts == 4
    assert [round(time - begin) for time in job.times] == [0, 10, 40, 100]
    planned = recorder.of("retry-planned")
    assert [(event.attempt, event.delay, event.result.reason.text) for event in planned] == [
        (1, 10, "RuntimeError: failure 1"),
        (2, 30, "RuntimeError: failure 2"),
        (3, 60, "RuntimeError: failure 3"),
    ]
    assert len(recorder.of("run-started")) == len(recorder.of("run-finished")) == 1


def test_the_outcome_is_that_of_the_last_attempt(clock: VirtualClock, make_scheduler: Make) -> None:
    scheduler, _ = make_scheduler(clock=clock)
    job = Flaky(clock, failures=9)
    scheduler.job("@manual", name="job", retries=2, greenlet=True)(job)
    scheduler.start()

    result = scheduler.trigger("job").result.get()

    assert (result.outcome, result.reason.text, result.attempts) == (Outcome.FAILED, "RuntimeError: failure 3", 3)


def test_without_retries_there_is_one_attempt(clock: VirtualClock, make_scheduler: Make) -> None:
    scheduler, recorder = make_scheduler(clock=clock)
    scheduler.job("@manual", name="job", greenlet=True)(Flaky(clock, failures=1))
    scheduler.start()

    assert scheduler.trigger("job").result.get().attempts == 1
    assert recorder.of("retry-planned") == []


def test_a_new_fire_ends_the_wait_for_a_retry(clock: VirtualClock, make_scheduler: Make) -> None:
    """The wait must not count as a run: the new fire and all later ones would be skipped."""
    scheduler, recorder = make_scheduler(clock=clock)
    scheduler.job("* * * * *", name="job", retries=3, retry_delay=90, greenlet=True)(Flaky(clock, failures=99))
    scheduler.start()
    sleep(3 * 60 + 1)

    finished = recorder.of("run-finished")
    assert [event.result.reason.text.partition("; ")[2] for event in finished] == [
        "no further attempt: the job is due again"
    ] * len(finished)
    assert len(finished) >= 2
    assert {str(event.result.outcome) for event in finished} == {"failed"}


def test_a_stop_does_not_wait_for_retries(clock: VirtualClock, make_scheduler: Make) -> None:
    scheduler, _ = make_scheduler(clock=clock)
    scheduler.job("@manual", name="job", retries=3, retry_delay=3600, greenlet=True)(Flaky(clock, failures=9))
    scheduler.start()
    run = scheduler.trigger("job")
    sleep(1)
    before = clock.now()

    scheduler.stop(grace=30)

    assert clock.now() - before < 1
    result = run.result.get()
    assert (result.outcome, result.reason.text) == (
        Outcome.FAILED,
        "RuntimeError: failure 1; no further attempt: gcron is told to stop",
    )


def test_a_stopped_run_is_not_retried(clock: VirtualClock, make_scheduler: Make) -> None:
    scheduler, _ = make_scheduler(clock=clock)
    scheduler.job("@manual", name="job", retries=3, greenlet=True)(lambda: sleep(1000))
    scheduler.start()
    run = scheduler.trigger("job")
    sleep(1)
    run.stop()

    assert (run.result.get().outcome, run.result.get().attempts) == (Outcome.KILLED, 1)


def test_a_timeout_is_a_failed_attempt(clock: VirtualClock, make_scheduler: Make) -> None:
    scheduler, _ = make_scheduler(clock=clock)
    scheduler.job("@manual", name="job", retries=1, timeout=5, greenlet=True)(lambda: sleep(1000))
    scheduler.start()

    result = scheduler.trigger("job").result.get()

    assert (result.outcome, result.attempts) == (Outcome.TIMED_OUT, 2)


@pytest.mark.parametrize(("command", "attempts"), [("exit 1", 3), ("exit 125", 1), ("exit 0", 1)])
def test_a_command_is_retried_unless_it_exits_with_125(command: str, attempts: int, make_scheduler: Make) -> None:
    """env(1) and docker(1) exit with 125 when they fail themselves. A job can do the same."""
    scheduler, _ = make_scheduler()
    scheduler.command(command, "@manual", name="job", retries=2, retry_delay=0)
    scheduler.start()

    assert scheduler.trigger("job").result.get(timeout=PATIENCE).attempts == attempts


def test_an_attempt_knows_its_number(make_scheduler: Make) -> None:
    scheduler, _ = make_scheduler()
    scheduler.command(
        'test "$GCRON_ATTEMPT" = 3 && echo number "$GCRON_ATTEMPT"', "@manual", name="job", retries=5, retry_delay=0
    )
    scheduler.start()

    result = scheduler.trigger("job").result.get(timeout=PATIENCE)

    assert (result.attempts, result.output_tail or result.output_head) == (3, b"number 3\n")


@pytest.mark.parametrize(
    ("options", "delays"),
    [
        ({}, [None]),
        ({"retries": 4}, [10, 20, 40, 80, None]),
        ({"retries": 3, "retry_delay": 300}, [300, 600, 600, None]),
        ({"retries": 3, "retry_backoff": 1}, [10, 10, 10, None]),
        ({"retries": 3, "retry_delay": 0}, [0, 0, 0, None]),
        ({"retries": 2, "retry_delay": 60, "retry_max_delay": 5}, [5, 5, None]),
    ],
)
def test_the_delay_before_each_retry(options: dict[str, object], delays: list[float | None]) -> None:
    policy = Policy.from_options(options)

    assert [policy.delay_after(attempts) for attempts in range(1, len(delays) + 1)] == delays


def test_the_millionth_retry_has_a_delay() -> None:
    assert Policy.from_options({"retries": 999_999, "retry_backoff": 1e300}).delay_after(999_999) == 600


# -- jitter ------------------------------------------------------------------------------------------------------


def test_jitter_delays_each_fire_by_its_own_time(clock: VirtualClock, make_scheduler: Make) -> None:
    scheduler, recorder = make_scheduler(clock=clock)
    job = Flaky(clock, failures=0)
    scheduler.job("*/10 * * * *", name="job", jitter=300, greenlet=True)(job)
    scheduler.start()
    sleep(24 * 3600)

    due = [event.fire_at for event in recorder.of("run-started")]
    late = [time - fire_at for time, fire_at in zip(job.times, due, strict=False)]
    assert len(late) >= 140
    assert all(0 <= seconds <= 300 for seconds in late)
    assert len({round(seconds) for seconds in late}) > 70, "each its own"
    assert max(late) > 270
    assert min(late) < 30


def test_a_stop_does_not_wait_for_jitter(clock: VirtualClock, make_scheduler: Make) -> None:
    scheduler, recorder = make_scheduler(clock=clock)
    job = Flaky(clock, failures=0)
    scheduler.job("* * * * *", name="job", jitter=50_000, greenlet=True)(job)
    scheduler.start()
    sleep(61)
    before = clock.now()

    scheduler.stop(grace=30)

    assert clock.now() - before < 1
    assert job.times == []
    (finished, *_) = recorder.of("run-finished")
    assert (finished.result.outcome, finished.result.reason.text) == (
        Outcome.SKIPPED,
        "not begun: gcron is told to stop",
    )
