"""Schedules as Python programs write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gcron.schedule import ScheduleError, at, cron, every, parse, resolve

BERLIN = ZoneInfo("Europe/Berlin")


def test_an_expression_takes_the_schedulers_zone_unless_it_has_one() -> None:
    assert resolve(cron("30 2 * * *"), BERLIN, "job") == parse("30 2 * * *", BERLIN)
    assert resolve(cron("30 2 * * *", "America/New_York"), BERLIN, "job") == parse("30 2 * * *", "America/New_York")
    assert resolve("30 2 * * *", BERLIN, "job") == parse("30 2 * * *", BERLIN)


def test_the_name_of_the_job_decides_h() -> None:
    assert resolve(cron("H H * * *"), None, "a") == parse("H H * * *", seed="a")
    assert resolve(cron("H H * * *"), None, "a") != resolve(cron("H H * * *"), None, "b")


def test_six_fields_are_declared() -> None:
    assert resolve(cron("*/5 * * * * *", fields="seconds-first"), None, "") == parse(
        "*/5 * * * * *", fields="seconds-first"
    )


@pytest.mark.parametrize("expression", ["61 * * * *", "* * * *", "@evry 5s", "0 0 31 2 *"])
def test_a_wrong_expression_raises_in_the_call(expression: str) -> None:
    with pytest.raises(ScheduleError):
        cron(expression)


@pytest.mark.parametrize("period", [90, 90.0, "90", "90s", "1m30s", timedelta(seconds=90)])
def test_a_period_fires_at_its_multiples_since_1970(period: Any) -> None:
    schedule = every(period)
    assert schedule == parse("@every 90s")
    assert resolve(schedule, BERLIN, "job") is schedule
    assert schedule.next_after(100) == 180


@pytest.mark.parametrize("period", [0, -5, 0.5, 1.5, "0s", timedelta(milliseconds=1), float("inf"), float("nan")])
def test_a_period_is_whole_seconds(period: Any) -> None:
    with pytest.raises(ValueError, match="whole number of seconds"):
        every(period)


@given(moment=st.datetimes(datetime(1971, 1, 1), datetime(2099, 1, 1), timezones=st.just(UTC)))
def test_one_instant_is_one_fire_never_early(moment: datetime) -> None:
    schedule = at(moment)
    fires = list(schedule.fires(moment - timedelta(days=1)))

    assert len(fires) == 1
    assert timedelta(0) <= fires[0] - moment < timedelta(seconds=1)
    instant = int(fires[0].timestamp())
    assert schedule.next_after(instant) is None
    assert schedule.previous_before(instant) is None
    assert schedule.previous_before(instant + 1) == instant


def test_a_moment_needs_a_zone() -> None:
    with pytest.raises(ValueError, match="has no zone"):
        at(datetime(2027, 1, 1))


def test_the_second_of_two_equal_wall_times_is_another_instant() -> None:
    first, second = (at(datetime(2027, 10, 31, 2, 30, tzinfo=BERLIN, fold=fold)) for fold in (0, 1))
    assert second.instant - first.instant == 3600
