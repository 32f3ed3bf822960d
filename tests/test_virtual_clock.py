"""The virtual clock: time passes when all greenlets wait."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest

from gcron.greenlet import sleep, spawn
from gcron.runtime.hub import get_hub
from gcron.subprocess import Popen
from gcron.testing import VirtualClock
from gcron.timeout import Timeout, with_timeout
from tests.waiting import takes

START = datetime(2026, 3, 29, tzinfo=UTC)


@pytest.mark.realtime
def test_a_year_of_virtual_time_passes_at_once() -> None:
    with takes(at_most=1), VirtualClock(START).installed() as clock:
        sleep(365 * 86400)
        assert clock.datetime == datetime(2027, 3, 29, tzinfo=UTC)
        assert clock.monotonic() == 365 * 86400


def test_sleeping_greenlets_wake_in_the_order_of_their_deadlines() -> None:
    woken = []
    with VirtualClock(START).installed():
        for seconds in (30, 10, 20):
            spawn(lambda seconds=seconds: (sleep(seconds), woken.append(seconds)))
        sleep(60)
    assert woken == [10, 20, 30]


def test_timeouts_use_virtual_time() -> None:
    with VirtualClock(START).installed() as clock:
        with pytest.raises(Timeout):
            with_timeout(3600, sleep, 7200)
        assert clock.monotonic() == 3600


def test_virtual_time_stands_still_while_a_process_is_waited_for() -> None:
    with VirtualClock(START).installed() as clock:
        slept = spawn(sleep, 3600)
        assert Popen(["sleep", "0.05"]).wait() == 0
        assert clock.monotonic() == 0
        assert not slept.ready()
        slept.join()


def test_setting_the_clock_moves_only_the_wall_clock() -> None:
    clock = VirtualClock(START.timestamp())
    clock.jump(5)
    clock.set(datetime(2030, 1, 1, tzinfo=UTC))
    assert (clock.datetime, clock.monotonic()) == (datetime(2030, 1, 1, tzinfo=UTC), 5)
    clock.jump(1)
    assert clock.datetime.second == 1


def test_a_datetime_without_a_zone_is_refused() -> None:
    """It was read in the zone of the machine: a test that passes in Berlin failed in UTC."""
    with pytest.raises(ValueError, match="aware datetime"):
        VirtualClock(datetime(2027, 1, 1))
    with pytest.raises(ValueError, match="aware datetime"):
        VirtualClock(START).set(datetime(2027, 1, 1))


def test_real_time_returns_when_the_block_ends() -> None:
    with pytest.raises(ZeroDivisionError), VirtualClock(START).installed():
        raise ZeroDivisionError
    assert abs(get_hub().monotonic() - time.monotonic()) < 1
