"""Jobs that are due a delay after the end of their last run, and jobs that also run at the start."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gcron.crontab import parse
from gcron.greenlet import sleep
from gcron.schedule import after_end, cron, every
from gcron.scheduler import Scheduler
from gcron.scheduler.job import job_of
from gcron.testing import VirtualClock

Make = Callable[..., tuple[Scheduler, Any]]


def seconds(recorder: Any, clock: VirtualClock, begin: float, kind: str = "run-started") -> list[int]:
    return [round(event.time - begin) for event in recorder.of(kind)]


@pytest.fixture
def whole(clock: VirtualClock) -> VirtualClock:
    """A clock at a whole second."""
    sleep(1 - clock.now() % 1 if clock.now() % 1 else 0)
    return clock


def test_a_job_rests_for_the_delay_between_its_runs(whole: VirtualClock, make_scheduler: Make) -> None:
    scheduler, recorder = make_scheduler(clock=whole)
    begin = whole.now()
    scheduler.job(after_end("5m"), name="slow", greenlet=True)(lambda: sleep(700))
    scheduler.start()
    sleep(3600)

    assert seconds(recorder, whole, begin) == [300, 1300, 2300, 3300]
    assert recorder.of("fires-missed") == []
    assert {event.result.outcome for event in recorder.of("run-finished")} == {"succeeded"}


def test_with_now_the_first_run_is_at_the_start(whole: VirtualClock, make_scheduler: Make) -> None:
    scheduler, recorder = make_scheduler(clock=whole)
    begin = whole.now()
    scheduler.job(after_end(60, now=True), name="job", greenlet=True)(lambda: sleep(30))
    scheduler.start()
    sleep(200)

    assert seconds(recorder, whole, begin) == [0, 90, 180]


def test_a_triggered_run_counts_too(whole: VirtualClock, make_scheduler: Make) -> None:
    scheduler, recorder = make_scheduler(clock=whole)
    begin = whole.now()
    scheduler.job(after_end(60), name="job", greenlet=True)(lambda: sleep(10))
    scheduler.start()
    sleep(40)
    scheduler.trigger("job")
    sleep(100)

    assert seconds(recorder, whole, begin) == [40, 110]


def test_a_run_that_fails_is_followed_by_the_next(whole: VirtualClock, make_scheduler: Make) -> None:
    def fail() -> None:
        raise ValueError("no")

    scheduler, recorder = make_scheduler(clock=whole)
    begin = whole.now()
    scheduler.job(after_end(60), name="job", retries=1, retry_delay=5, greenlet=True)(fail)
    scheduler.start()
    sleep(200)

    assert seconds(recorder, whole, begin) == [60, 125, 190]


@pytest.mark.parametrize("hours", [2, 20])
def test_what_is_late_runs_at_once_and_is_not_missed(whole: VirtualClock, make_scheduler: Make, hours: int) -> None:
    """A fire that is late by more than a minute is missed, but here nothing else would ever be due again."""
    whole.longest_nap = 1
    scheduler, recorder = make_scheduler(clock=whole)
    scheduler.job(after_end(60), name="job", greenlet=True)(lambda: None)
    scheduler.start()
    sleep(50)
    whole.set(whole.now() + hours * 3600)
    sleep(5)

    assert len(recorder.of("run-started")) == 1
    assert recorder.of("fires-missed") == []


def test_a_clock_that_is_set_back_delays_by_no_more_than_the_delay(whole: VirtualClock, make_scheduler: Make) -> None:
    whole.longest_nap = 1
    scheduler, recorder = make_scheduler(clock=whole)
    scheduler.job(after_end(60), name="job", greenlet=True)(lambda: None)
    scheduler.start()
    sleep(50)
    whole.set(whole.now() - 3600)
    sleep(62)

    assert len(recorder.of("run-started")) == 1


def test_a_paused_job_rests_from_its_resumption_on(whole: VirtualClock, make_scheduler: Make) -> None:
    scheduler, recorder = make_scheduler(clock=whole)
    begin = whole.now()
    scheduler.job(after_end(60), name="job", greenlet=True)(lambda: sleep(10))
    scheduler.start()
    sleep(65)
    scheduler.pause("job")
    sleep(100)
    scheduler.resume("job")
    sleep(100)

    assert seconds(recorder, whole, begin) == [60, 225]


def test_a_job_that_is_paused_before_the_start_follows_its_ends(whole: VirtualClock, make_scheduler: Make) -> None:
    scheduler, recorder = make_scheduler(clock=whole)
    begin = whole.now()
    scheduler.job(after_end(60), name="job", greenlet=True)(lambda: sleep(10))
    scheduler.pause("job")
    scheduler.start()
    scheduler.resume("job")
    sleep(200)

    assert seconds(recorder, whole, begin) == [60, 130]


def test_a_reload_keeps_what_is_due_and_takes_a_new_delay(whole: VirtualClock, make_scheduler: Make) -> None:
    def jobs(delay: str) -> list[Any]:
        return [job_of(entry) for entry in parse(f"# gcron: after-end={delay}\n@daily true\n").entries]

    scheduler, recorder = make_scheduler(clock=whole)
    scheduler.replace(jobs("60s"))
    scheduler.start()
    begin = whole.now()
    sleep(50)
    assert tuple(map(len, scheduler.replace(jobs("60s")))) == (0, 0, 0)
    sleep(5)
    assert seconds(recorder, whole, begin) == []
    assert tuple(map(len, scheduler.replace(jobs("30s")))) == (0, 1, 0)
    due = scheduler.status("true").next_fire
    assert due is not None
    assert round(due.timestamp() - begin) == 85
    scheduler.replace([])
    assert scheduler.next_due() is None


def test_a_removed_job_is_not_due_when_its_run_ends(whole: VirtualClock, make_scheduler: Make) -> None:
    scheduler, _ = make_scheduler(clock=whole)
    scheduler.job(after_end(60), name="job", greenlet=True)(lambda: sleep(30))
    scheduler.start()
    sleep(65)
    scheduler.remove("job")
    sleep(60)

    assert scheduler.next_due() is None


def test_after_its_end_a_job_is_due_no_more(whole: VirtualClock, make_scheduler: Make) -> None:
    scheduler, recorder = make_scheduler(clock=whole)
    end = datetime.fromtimestamp(whole.now(), UTC) + timedelta(seconds=130)
    scheduler.job(after_end(60, end=end), name="job", greenlet=True)(lambda: None)
    scheduler.start()
    sleep(600)

    assert len(recorder.of("run-started")) == 2
    assert scheduler.next_due() is None


# -- now --------------------------------------------------------------------------------------------------------------


def test_run_now_and_then_every(whole: VirtualClock, make_scheduler: Make) -> None:
    """Asked most often: the job of every hour waited for its first hour."""
    scheduler, recorder = make_scheduler(clock=whole)
    scheduler.job(every("1h", now=True), name="hourly", greenlet=True)(lambda: None)
    scheduler.job(cron("0 0 * * *", now=True), name="daily", greenlet=True)(lambda: None)
    scheduler.job(every("1h", now=True), name="off", enabled=False, greenlet=True)(lambda: None)
    scheduler.job(every("1h"), name="later", greenlet=True)(lambda: None)
    scheduler.start()
    sleep(1)

    assert {event.job for event in recorder.of("run-started")} == {"hourly", "daily"}
    sleep(3600)
    assert len(recorder.of("run-started", "hourly")) == 2


def test_a_job_that_is_added_later_runs_then(whole: VirtualClock, make_scheduler: Make) -> None:
    scheduler, recorder = make_scheduler(clock=whole)
    scheduler.start()
    scheduler.job(every("1h", now=True), name="job", greenlet=True)(lambda: None)
    scheduler.job("@reboot", name="reboot", greenlet=True)(lambda: None)
    sleep(1)

    assert [event.job for event in recorder.of("run-started")] == ["job"]


def test_a_reload_runs_nothing_now(whole: VirtualClock, make_scheduler: Make) -> None:
    """As `@reboot`: whoever edits a crontab does not start all its jobs."""
    scheduler, recorder = make_scheduler(clock=whole)
    scheduler.start()
    scheduler.replace([job_of(entry) for entry in parse("# gcron: now=yes\n@daily true\n").entries])
    sleep(1)

    assert recorder.of("run-started") == []
