"""Clocks: the interface through which the scheduler reads the time, and the machine's own clocks and zone.

`now` is the wall clock, which schedules are about. `monotonic` never goes back: compared with `now`, it shows when the
wall clock was set.
"""

from __future__ import annotations

import contextlib
import os
import time
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Protocol

from gcron.schedule.errors import ScheduleError
from gcron.schedule.zone_data import load_zone, read_zone

__all__ = ["LAST_SECOND", "Clock", "SystemClock", "local_timezone"]

LAST_SECOND = (2**63 - 1) // 10**9
"""The last one that clocks can show: they count nanoseconds in 64 bits."""
_STEADY_CLOCK: int = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class Clock(Protocol):
    """A source of time; `gcron.testing.VirtualClock` is another one."""

    longest_nap: float
    """Seconds after which the clock is read again where the kernel does not report that it was set."""

    def now(self) -> float:
        """Seconds of UTC since 1970."""

    def monotonic(self) -> float:
        """Seconds on a clock that never goes back and cannot be set."""


class SystemClock:
    """The machine's clocks."""

    longest_nap = 1.0

    def now(self) -> float:
        """Seconds of UTC since 1970. After April 2262, of which Python cannot tell the time, always its last second."""
        try:
            return time.time()
        except OverflowError:
            return float(LAST_SECOND)

    def monotonic(self) -> float:
        """Seconds, also those of a suspend where the machine counts them (CLOCK_BOOTTIME, clock_gettime(2)).

        So a machine that slept is like a process that was stopped: time has passed, and the clock was not set.
        """
        return time.clock_gettime(_STEADY_CLOCK)


def local_timezone() -> tzinfo:
    """Return the machine's zone: that of `TZ`, else of /etc/localtime (localtime(5)), else UTC.

    Raises ScheduleError if TZ is neither a zone of the IANA data base nor a file with one (tzset(3)).
    """
    name = os.environ.get("TZ")
    if name is None:
        try:
            return _zone_of_file(Path("/etc/localtime"))
        except (OSError, ValueError):
            return UTC
    name = name.removeprefix(":")
    try:
        if name.startswith("/"):
            return _zone_of_file(Path(name))
        return load_zone(name) if name else UTC
    except (OSError, ValueError):
        raise ScheduleError(f"unknown time zone {name!r}, want one such as Europe/Berlin") from None


def _zone_of_file(path: Path) -> tzinfo:
    key = str(path.resolve(strict=True)).partition("zoneinfo/")[2]
    if key:
        with contextlib.suppress(ValueError):  # of a data base that zoneinfo does not know
            return load_zone(key)
    return read_zone(str(path))
