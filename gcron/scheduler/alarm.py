"""What wakes the scheduler: an instant of the wall clock, a change of its table, or a step of the wall clock.

Where the kernel has a timer for that (timerfd_create(2)), the scheduler sleeps as long as nothing happens. Elsewhere,
and on virtual time, it naps: it reads the clock at least every `longest_nap` seconds.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys
import time
from math import inf
from typing import Protocol

from gcron.runtime.event import Event
from gcron.runtime.hub import READ, get_hub
from gcron.schedule.clock import LAST_SECOND, Clock, SystemClock

__all__ = ["Alarm", "new_alarm"]

# Seconds before an instant at which the kernel's timer already wakes the processor: when the instant comes, its caches
# hold what is needed, and jobs start a fifth of a millisecond sooner (benchmarks/lateness.py).
_EARLY = 0.001
# <sys/timerfd.h>; its two flags of creation are those of open(2).
_ABSTIME, _CANCEL_ON_SET = 1, 2
# Seconds after which it looks at Python's clock, which a test may have set without the kernel's knowing.
_LONGEST_SLEEP = 60.0
# The shortest time (seconds) between two looks at a clock that stands.
_SHORTEST_NAP = 0.05
# Seconds by which Python's clock and the kernel's may differ.
_SAME = 1.0
# An instant that never comes: without one the kernel would not report a step of the clock.
_NEVER = 1 << 40


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
        if abs(time.time() - self._timer.now()) > _SAME:
            # freezegun, time-machine and the like show another time. By the kernel's timer, a job would be dead until
            # its date in real life, or the loop would spin.
            left = inf if until is None else until - time.time()
            changed.wait(max(_SHORTEST_NAP, min(left, SystemClock.longest_nap)))
            return
        # The clock cannot show a later instant than the last one, so it never comes.
        if not self._timer.set(None if until is None or until > LAST_SECOND else _wake_at(until)):
            return  # the clock was set while nobody waited
        watch = get_hub().io.watch(self._timer.fd, READ, changed.set)
        try:
            changed.wait(_LONGEST_SLEEP)
        finally:
            watch.cancel()

    def close(self) -> None:
        """See `Alarm.close`."""
        get_hub().io.closing(self._timer.fd, OSError())
        self._timer.close()


def _wake_at(until: int) -> float:
    early = until - _EARLY
    return early if SystemClock().now() < early else until


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


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Itimerspec(ctypes.Structure):
    _fields_ = (("interval", _Timespec), ("value", _Timespec))


class WallTimer:
    """A timer of the kernel on the wall clock; its descriptor `fd` is readable once it has expired.

    It expires at an instant, to the fraction of a millisecond, and also when the clock is set or the machine has slept.
    Python's `os` has it from 3.13 on. Raises OSError where the kernel has none.
    """

    def __init__(self) -> None:
        if sys.maxsize < 1 << 32:
            raise OSError(errno.ENOSYS, "the C library has two sizes of time_t on this architecture")
        try:
            library = ctypes.CDLL(None, use_errno=True)
            self._settime = library.timerfd_settime
            self._gettime = library.clock_gettime
            self.fd = _checked(library.timerfd_create(time.CLOCK_REALTIME, os.O_NONBLOCK | os.O_CLOEXEC))
        except (AttributeError, TypeError):
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS)) from None
        try:
            self.set(None)
        except OSError:
            self.close()
            raise

    def set(self, instant: float | None) -> bool:
        """Expire at `instant`, in seconds of UTC; None: only when the clock is set. An earlier expiry is dropped.

        Returns False when the clock was set since the last call. The timer is set in any case.
        """
        seconds, fraction = divmod(_NEVER if instant is None else max(1, instant), 1)
        when = _Timespec(int(seconds), int(fraction * 1e9))
        setting = _Itimerspec(_Timespec(0, 0), when)
        try:
            _checked(self._settime(self.fd, _ABSTIME | _CANCEL_ON_SET, ctypes.byref(setting), None))
        except OSError as error:
            if error.errno != errno.ECANCELED:
                raise
            return False
        return True

    def now(self) -> float:
        """Seconds of UTC, as the kernel has them, and not as Python shows them in a test."""
        moment = _Timespec()
        _checked(self._gettime(time.CLOCK_REALTIME, ctypes.byref(moment)))
        return float(moment.seconds + moment.nanoseconds * 1e-9)

    def close(self) -> None:
        """Give the descriptor back."""
        os.close(self.fd)


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
