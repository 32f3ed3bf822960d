"""Schedules in a scheduler on a virtual clock: each fire once, never early, none lost."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gcron.greenlet import sleep
from gcron.schedule import parse
from gcron.scheduler import Scheduler
from gcron.testing import VirtualClock
from tests.waiting import takes

Make = Callable[..., tuple[Scheduler, Any]]
DAY = 86400


def utc(*when: int) -> float:
    return datetime(*when, tzinfo=UTC).timestamp()  # type: ignore[misc, arg-type]


@pytest.mark.realtime
def test_a_year_of_a_daily_job_takes_no_real_time(clock: VirtualClock, make_scheduler: Make) -> None:
    scheduler, recorder = make_scheduler(clock=clock)
    fired: list[float] = []
    scheduler.job("30 2 * * *", name="daily", greenlet=True)(lambda: fired.append(clock.now()))
    with takes(at_most=2):
        scheduler.start()
        sleep(365 * DAY)
    assert fired == [clock.now() - 365 * DAY + day * DAY + 9000 for day in range(365)]
    assert recorder.outcomes() == ["succeeded"] * 365
    assert [event.fire_at for event in recorder.of("run-started")] == fired


@pytest.mark.parametrize(
    ("zone", "night", "schedule", "fires"),
    [
        # 2026-03-29: 02:00 CET becomes 03:00 CEST, at 01:00 UTC.
        ("Europe/Berlin", (2026, 3, 28, 12), "30 2 * * *", [(2026, 3, 29, 1, 0)]),
        ("Europe/Berlin", (2026, 3, 29, 0), "*/30 * * * *", [(2026, 3, 29, 0, 30), (2026, 3, 29, 1, 0)]),
        # 2026-10-25: 03:00 CEST becomes 02:00 CET, at 01:00 UTC.
        ("Europe/Berlin", (2026, 10, 24, 12), "30 2 * * *", [(2026, 10, 25, 0, 30), (2026, 10, 26, 1, 30)]),
        ("Europe/Berlin", (2026, 10, 24, 23, 45), "0 * * * *", [(2026, 10, 25, h) for h in range(4)]),
        ("America/New_York", (2026, 3, 8, 0), "30 2 * * *", [(2026, 3, 8, 7, 0), (2026, 3, 9, 6, 30)]),
    ],
)
def test_jobs_fire_as_documented_when_the_clocks_change(
    make_scheduler: Make, zone: str, night: tuple[int, ...], schedule: str, fires: list[tuple[int, ...]]
) -> None:
    start = datetime(*night, tzinfo=UTC)  # type: ignore[misc, arg-type]
    with VirtualClock(start).installed() as clock:
        scheduler, recorder = make_scheduler(zone, clock=clock)
        scheduler.job(schedule, name="job", greenlet=True)(lambda: None)
        scheduler.start()
        sleep(utc(*fires[-1]) - clock.now())
        sleep(1)
        assert [event.fire_at for event in recorder.of("run-started")] == [utc(*fire) for fire in fires]
        assert [event.time for event in recorder.of("run-started")] == [utc(*fire) for fire in fires]
        scheduler.stop()


EXPRESSIONS = ("*/7 * * * *", "0 */6 * * *", "30 2 * * *", "@every 45m", "0 0 1 * *", "15 1-4 * * sun", "@daily")


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    expressions=st.lists(st.sampled_from(EXPRESSIONS), min_size=1, max_size=4, unique=True),
    start=st.integers(1_700_000_000, 1_800_000_000),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "Australia/Lord_Howe", "America/New_York"]),
)
def test_the_scheduler_starts_exactly_the_fires_of_the_schedule(
    make_scheduler: Make, expressions: list[str], start: int, zone: str
) -> None:
    end = start + 3 * DAY
    with VirtualClock(start + 0.5).installed() as clock:
        scheduler, recorder = make_scheduler(zone, clock=clock)
        for expression in expressions:
            scheduler.job(expression, name=expression, greenlet=True)(lambda: None)
        scheduler.start()
        sleep(end - start)
        scheduler.stop()
    for expression in expressions:
        expected, instant = [], start
        while (instant := parse(expression, zone).next_after(instant) or end + 1) <= end:
            expected.append(instant)
        started = recorder.of("run-started", expression)
        assert [event.fire_at for event in started] == expected
        assert all(0 <= event.time - event.fire_at < 0.001 for event in started)


def test_jobs_due_at_one_instant_start_in_the_order_of_their_addition(
    clock: VirtualClock, make_scheduler: Make
) -> None:
    scheduler, recorder = make_scheduler(clock=clock)
    names = [f"job-{number}" for number in range(500)]
    for name in names:
        scheduler.job("@hourly", name=name, greenlet=True)(lambda: None)
    scheduler.start()
    sleep(3601)
    assert [event.job for event in recorder.of("run-started")] == names


def test_next_due_is_the_earliest_of_all_jobs(clock: VirtualClock, make_scheduler: Make) -> None:
    scheduler, _ = make_scheduler(clock=clock)
    assert scheduler.next_due() is None
    scheduler.job("0 5 * * *", name="later", greenlet=True)(lambda: None)
    scheduler.job("0 4 * * *", name="sooner", greenlet=True)(lambda: None)
    scheduler.job("@manual", name="never", greenlet=True)(lambda: None)
    scheduler.start()
    assert scheduler.next_due() == clock.datetime + timedelta(hours=4)
    sleep(4.5 * 3600)
    assert scheduler.next_due() == datetime(2026, 1, 1, 5, tzinfo=UTC)
