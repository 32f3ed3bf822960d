"""Jobs that run once: `at()`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gcron import at
from gcron.greenlet import sleep
from gcron.scheduler import Scheduler
from gcron.testing import VirtualClock


def after(clock: VirtualClock, seconds: float) -> Any:
    return at(datetime.fromtimestamp(clock.now(), UTC) + timedelta(seconds=seconds))


def test_a_moment_that_has_passed_is_refused_at_the_call(clock: VirtualClock, make_scheduler: Any) -> None:
    """The job never ran, had no event and no count, and stayed in the table for ever."""
    scheduler, _ = make_scheduler(clock=clock)
    past = after(clock, -3600)
    scheduler.command("true", after(clock, 60), name="there")
    with pytest.raises(ValueError, match="is over: that moment has passed"):
        scheduler.command("true", past)
    with pytest.raises(ValueError, match="is over"):
        scheduler.job(past)(print)
    with pytest.raises(ValueError, match="is over"):
        scheduler.reschedule("there", past)
    assert [job.name for job in scheduler.jobs] == ["there"]


@pytest.mark.parametrize(("catchup", "outcome"), [("none", "missed"), ("last", "succeeded")])
def test_a_moment_that_passes_before_the_start_is_missed_or_made_up(
    clock: VirtualClock, make_scheduler: Any, catchup: str, outcome: str
) -> None:
    scheduler, recorder = make_scheduler(clock=clock)
    scheduler.job(after(clock, 60), name="job", catchup=catchup, greenlet=True)(lambda: None)
    sleep(600)
    scheduler.start()
    sleep(1)
    counts = scheduler.counts.of("job")
    assert (counts.missed, counts.succeeded) == ((1, 0) if outcome == "missed" else (0, 1))
    assert len(recorder.of("fires-missed")) == (outcome == "missed")


def test_a_job_that_is_over_leaves_the_table_and_its_last_run_stays_known(
    clock: VirtualClock, make_scheduler: Any
) -> None:
    """It stayed in the table, and its name was taken for ever."""
    scheduler, _ = make_scheduler(clock=clock)
    scheduler.start()
    scheduler.job(after(clock, 60), name="job", greenlet=True)(lambda: sleep(10))
    scheduler.trigger("job").result.get(timeout=60)
    assert [job.name for job in scheduler.jobs] == ["job"], "a run before its moment does not end it"
    sleep(55)
    assert scheduler.status("job").running
    sleep(10)
    assert scheduler.jobs == ()
    status = scheduler.status("job")
    assert (status.next_fire, status.running, status.counts.succeeded) == (None, (), 2)
    assert status.last.result.succeeded
    with pytest.raises(KeyError):
        scheduler.trigger("job")
    scheduler.job(after(clock, 60), name="job", greenlet=True)(lambda: None)
    assert scheduler.status("job").last is None


def test_only_the_latest_thousand_that_are_over_are_kept(clock: VirtualClock) -> None:
    scheduler = Scheduler(clock=clock)
    scheduler.start()
    for number in range(1005):
        scheduler.job(after(clock, 60), name=str(number), greenlet=True)(lambda: None)
    sleep(61)
    with pytest.raises(KeyError):
        scheduler.status("3")
    assert scheduler.status("1004").last is not None
    assert len(scheduler.counts.jobs) == 1000
    assert scheduler.stop(0).killed == ()
