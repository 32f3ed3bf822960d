"""The kernel's timer on the wall clock: timerfd_create(2), which Python's `os` has from 3.13 on, Linux alone.

It expires at an instant of the wall clock, to the fraction of a millisecond, and also as soon as that clock is set or
the machine has slept. May not know who waits for it.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys
import time

__all__ = ["WallTimer"]

# <sys/timerfd.h>; its two flags of creation are those of open(2).
_ABSTIME, _CANCEL_ON_SET = 1, 2
# An instant that never comes: without one the kernel would not tell that the clock was set.
_NEVER = 1 << 40


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Itimerspec(ctypes.Structure):
    _fields_ = (("interval", _Timespec), ("value", _Timespec))


class WallTimer:
    """One timer; its descriptor `fd` is readable once it has expired.

    Raises OSError where the kernel has no such timer.
    """

    def __init__(self) -> None:
        if sys.maxsize < 1 << 32:
            raise OSError(errno.ENOSYS, "the C library has two sizes of time_t on this architecture")
        try:
            library = ctypes.CDLL(None, use_errno=True)
            self._settime = library.timerfd_settime
            self.fd = _checked(library.timerfd_create(time.CLOCK_REALTIME, os.O_NONBLOCK | os.O_CLOEXEC))
        except (AttributeError, TypeError):
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS)) from None
        try:
            self.set(None)
        except OSError:
            self.close()
            raise

    def set(self, instant: float | None) -> bool:
        """Expire at `instant`, in seconds of UTC (None: only when the clock is set), and forget an expiry of before.

        False when the clock was set since the last call: the timer is set all the same.
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

    def close(self) -> None:
        """Give the descriptor back."""
        os.close(self.fd)


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
