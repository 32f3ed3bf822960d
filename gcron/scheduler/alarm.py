"""What wakes the scheduler: an instant of the wall clock, a change of its table, or somebody setting the clock.

The kernel's timer where there is one: the scheduler then sleeps for as long as nothing happens. Elsewhere, and on
virtual time, by naps: it looks at the clock at least every `longest_nap` seconds.
"""

from __future__ import annotations

import time
from math import inf
from typing import Protocol

from gcron.runtime.event import Event
from gcron.runtime.hub import READ, get_hub
from gcron.schedule.clock import Clock, SystemClock
from gcron.scheduler.timerfd import WallTimer

__all__ = ["Alarm", "new_alarm"]

# Seconds before an instant at which the kernel's timer wakes for nothing: when the instant comes, the processor is
# awake and its caches hold what it takes, so that jobs start a fifth of a millisecond sooner (benchmarks/lateness.py).
_EARLY = 0.001


class Alarm(Protocol):
    """Waits for one scheduler; it may wake early, and for nothing."""

    def wait(self, until: int | None, changed: Event) -> None:
        """Park until the wall clock shows `until` (seconds of UTC; None: never) or was set, or `changed` is set."""

    def close(self) -> None:
        """Give back what it holds."""


def new_alarm(clock: Clock) -> Alarm:
    """The best alarm for this clock here."""
    # A clock that is derived from it may show another time than the kernel's; and in a hub on virtual time, naps pass.
    if type(clock) is SystemClock and get_hub().monotonic is time.monotonic:
        try:
            return KernelAlarm()
        except OSError:
            pass  # not Linux, or a sandbox
    return NapAlarm(clock)


class KernelAlarm:
    """Wakes by a timer of the kernel. Raises OSError where there is none."""

    def __init__(self) -> None:
        self._timer = WallTimer()

    def wait(self, until: int | None, changed: Event) -> None:
        """See `Alarm.wait`."""
        if not self._timer.set(None if until is None else _wake_at(until)):
            return  # the clock was set while nobody waited
        watch = get_hub().io.watch(self._timer.fd, READ, changed.set)
        try:
            changed.wait()
        finally:
            watch.cancel()

    def close(self) -> None:
        """See `Alarm.close`."""
        get_hub().io.closing(self._timer.fd, OSError())
        self._timer.close()


def _wake_at(until: int) -> float:
    early = until - _EARLY
    return early if time.time() < early else until


class NapAlarm:
    """Wakes at least every `longest_nap` seconds of its clock, which may have been set."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def wait(self, until: int | None, changed: Event) -> None:
        """See `Alarm.wait`."""
        delay = inf if until is None else max(0.0, until - self._clock.now())
        nap = min(delay, self._clock.longest_nap)
        changed.wait(None if nap == inf else nap)

    def close(self) -> None:
        """See `Alarm.close`."""
