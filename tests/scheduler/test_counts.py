"""Counters of outcomes, for each job and in total."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gcron.greenlet import sleep
from gcron.scheduler import Scheduler
from gcron.scheduler.status import JobCounts
from gcron.supervise.outcome import Outcome
from gcron.testing import VirtualClock

Make = Callable[..., tuple[Scheduler, Any]]


@pytest.mark.parametrize("outcome", Outcome)
def test_every_outcome_has_a_counter(outcome: Outcome) -> None:
    counts = JobCounts()
    counts.add(outcome, 2)
    assert counts.as_dict()[outcome.replace("-", "_")] == 2
    assert sum(counts.as_dict().values()) == 2


def test_the_repr_of_counts_leaves_out_zeros() -> None:
    counts = JobCounts()
    counts.add("missed", 2)
    counts.add("late", 1)
    assert repr(counts) == "JobCounts(missed=2, late=1)"


def test_counts_add_up_over_a_night_of_all_outcomes(clock: VirtualClock, make_scheduler: Make) -> None:
    scheduler, _ = make_scheduler(clock=clock)
    failures = iter([ValueError("once")] + [None] * 100)

    def flaky() -> None:
        if (error := next(failures)) is not None:
            raise error

    scheduler.job("@hourly", name="flaky", retries=1, greenlet=True)(flaky)
    scheduler.job("@hourly", name="slow", timeout="90m", overlap="skip", greenlet=True)(lambda: sleep(10**6))
    scheduler.job("@hourly", name="queued", overlap="queue", greenlet=True)(lambda: sleep(3610))
    scheduler.job("@every 10m", name="often", greenlet=True)(lambda: None)
    scheduler.job("@yearly", name="quiet", greenlet=True)(lambda: None)
    scheduler.start()
    sleep(3.55 * 3600)
    clock.jump(1.1 * 3600)
    sleep(1)

    assert (scheduler.counts.of("flaky").succeeded, scheduler.counts.of("flaky").retried) == (3, 1)
    assert (scheduler.counts.of("slow").timed_out, scheduler.counts.of("slow").skipped) == (2, 1)
    assert scheduler.counts.of("queued").late == 2
    assert (scheduler.counts.of("often").succeeded, scheduler.counts.of("often").missed) == (21, 6)
    assert "quiet" not in scheduler.counts.jobs
    assert scheduler.counts.of("quiet") == JobCounts()
    every = scheduler.counts.jobs.values()
    assert scheduler.counts.total.as_dict() == {
        name: sum(getattr(counts, name) for counts in every) for name in JobCounts().as_dict()
    }

    before = scheduler.counts.total.succeeded
    scheduler.remove("often")
    assert "often" not in scheduler.counts.jobs
    assert scheduler.counts.total.succeeded == before
