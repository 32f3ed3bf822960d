"""Alarms, which wake the scheduler, on the clock of the machine."""

from __future__ import annotations

import ctypes
import os
import sys
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from gcron.event import Event
from gcron.greenlet import sleep, spawn
from gcron.schedule.clock import SystemClock
from gcron.scheduler import Scheduler
from gcron.scheduler.alarm import Alarm, KernelAlarm, NapAlarm, WallTimer, new_alarm
from gcron.testing import VirtualClock
from tests.waiting import SLACK, takes, until

pytestmark = pytest.mark.realtime
on_linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="timerfd_create(2) is Linux's")


class _NoTimers:
    """A C library without timerfd."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        pass


@pytest.fixture(params=["kernel", "naps"])
def alarm(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Alarm:
    if request.param == "kernel":
        if not sys.platform.startswith("linux"):
            pytest.skip("timerfd_create(2) is Linux's")
        return KernelAlarm()
    monkeypatch.setattr(ctypes, "CDLL", _NoTimers)
    return new_alarm(SystemClock())


def test_an_alarm_wakes_at_its_instant_with_at_most_one_early_wake(alarm: Alarm) -> None:
    instant = int(time.time()) + 1
    wakes = 0
    while time.time() < instant:
        alarm.wait(instant, Event())
        wakes += 1
    assert time.time() < instant + 1 + SLACK
    assert wakes <= 2
    alarm.close()


def test_an_instant_in_the_past_does_not_wait(alarm: Alarm) -> None:
    for instant in (int(time.time()) - 5, 0, -10):
        with takes(at_most=0.5):
            alarm.wait(instant, Event())
    alarm.close()


def test_an_alarm_wakes_when_the_job_table_changes(alarm: Alarm) -> None:
    changed = Event()
    spawn(changed.set)
    with takes(at_most=0.5):
        alarm.wait(None, changed)
    alarm.close()


def test_without_a_kernel_timer_the_alarm_naps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", _NoTimers)
    assert isinstance(new_alarm(SystemClock()), NapAlarm)


def test_without_a_c_library_the_alarm_naps(monkeypatch: pytest.MonkeyPatch) -> None:
    """CDLL(None) raises TypeError on systems without a global name space of symbols."""

    def refuse(*args: object, **kwargs: object) -> None:
        raise TypeError("bad argument type for built-in operation")

    monkeypatch.setattr(ctypes, "CDLL", refuse)
    assert isinstance(new_alarm(SystemClock()), NapAlarm)


@on_linux
def test_a_kernel_timer_that_does_not_report_steps_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sandbox may implement timerfd_settime without TFD_TIMER_CANCEL_ON_SET. The descriptor is closed."""
    library = ctypes.CDLL(None, use_errno=True)

    def refuse(*args: object) -> int:
        ctypes.set_errno(22)
        return -1

    half = SimpleNamespace(timerfd_create=library.timerfd_create, timerfd_settime=refuse)
    monkeypatch.setattr(ctypes, "CDLL", lambda *args, **kwargs: half)
    before = len(os.listdir("/proc/self/fd"))
    assert isinstance(new_alarm(SystemClock()), NapAlarm)
    assert len(os.listdir("/proc/self/fd")) == before


@on_linux
def test_only_the_system_clock_uses_the_kernel_timer() -> None:
    class Shifted(SystemClock):
        def now(self) -> float:
            return super().now() + 3600

    ours = new_alarm(SystemClock())
    assert isinstance(ours, KernelAlarm)
    ours.close()
    assert isinstance(new_alarm(Shifted()), NapAlarm)
    virtual = VirtualClock(0.0)
    assert isinstance(new_alarm(virtual), NapAlarm)
    with virtual.installed():  # while a hub waits for a descriptor, virtual time does not pass
        assert isinstance(new_alarm(SystemClock()), NapAlarm)


@on_linux
def test_a_job_does_not_inherit_the_timer() -> None:
    timer = WallTimer()
    assert not os.get_inheritable(timer.fd)
    timer.close()


@on_linux
def test_a_stopped_scheduler_closes_its_timer() -> None:
    def timers() -> int:
        links = (os.path.realpath(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd"))
        return sum("timerfd" in link for link in links)

    before = timers()
    scheduler = Scheduler()
    scheduler.job("@yearly", name="far", greenlet=True)(lambda: None)
    scheduler.start()
    sleep(0.01)
    assert timers() == before + 1
    scheduler.stop()
    assert timers() == before


@on_linux
def test_an_idle_gcron_does_not_wake(gcron_run: Callable[..., Any]) -> None:
    """It read the clock each second, and so woke 3 times in 3 s."""
    daemon = gcron_run("0 0 29 2 *  true\n")
    daemon.wait_for("1 job from")
    process = psutil.Process(daemon.process.pid)

    def wakes_within(seconds: float) -> int:
        before = process.num_ctx_switches().voluntary
        time.sleep(seconds)
        return int(process.num_ctx_switches().voluntary - before)

    # Half a second after the start it looks for what an earlier gcron has left.
    until(lambda: wakes_within(0.8) == 0, "the end of the start")
    assert wakes_within(3) < 3
    assert daemon.stop() == 0


@pytest.mark.parametrize("has_timers", [True, False])
def test_no_start_is_early_repeated_or_lost(monkeypatch: pytest.MonkeyPatch, has_timers: bool) -> None:
    if not has_timers:
        monkeypatch.setattr(ctypes, "CDLL", _NoTimers)
    scheduler = Scheduler()
    starts: list[tuple[int, float]] = []
    scheduler.on("run-started", lambda event: starts.append((event.fire_at, time.time())))
    for number in range(20):
        scheduler.job("* * * * * * *", name=str(number), greenlet=True)(lambda: None)
    scheduler.start()
    until(lambda: len(starts) >= 3 * 20)
    scheduler.stop()
    seconds = sorted({fire_at for fire_at, _ in starts})
    assert seconds == list(range(seconds[0], seconds[0] + len(seconds)))
    assert len(starts) == 20 * len(seconds)
    assert all(fire_at <= started < fire_at + SLACK for fire_at, started in starts)


def test_a_job_added_later_starts_on_time() -> None:
    scheduler = Scheduler()
    scheduler.job("@yearly", name="far", greenlet=True)(lambda: None)
    scheduler.start()
    late: list[float] = []
    scheduler.on("run-started", lambda event: late.append(event.time - event.fire_at))
    sleep(0.01)
    scheduler.job("@every 1s", name="soon", greenlet=True)(lambda: None)
    until(lambda: late)
    scheduler.stop()
    assert late[0] < SLACK
