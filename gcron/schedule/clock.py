"""The clock interface: what the scheduler asks about time, and the machine's answer.

`now` is the wall clock that schedules are about; `monotonic` never goes back and shows, held against `now`, when
somebody sets the clock.
"""

from __future__ import annotations

import contextlib
import os
import time
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

__all__ = ["Clock", "SystemClock", "local_timezone"]

_STEADY_CLOCK: int = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class Clock(Protocol):
    """A source of time; `gcron.testing.VirtualClock` is another one."""

    longest_nap: float
    """Seconds after which to look at the clock again where nothing else tells that it was set."""

    def now(self) -> float:
        """Seconds of UTC since 1970."""

    def monotonic(self) -> float:
        """Seconds on a clock that never goes back and that nobody sets."""


class SystemClock:
    """The machine's clocks."""

    longest_nap = 1.0

    def now(self) -> float:
        """Seconds of UTC since 1970."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds, those of a suspend included where the machine counts them (CLOCK_BOOTTIME, clock_gettime(2)).

        So a machine that slept is like a process that was stopped: time has passed, and nobody has set the clock.
        """
        return time.clock_gettime(_STEADY_CLOCK)


def local_timezone() -> tzinfo:
    """The machine's zone: `TZ`, or what /etc/localtime is (localtime(5)); UTC where neither says.

    Raises ValueError when TZ is no zone of the IANA data base, nor a file of one (tzset(3)).
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
        return ZoneInfo(name) if name else UTC
    except (ZoneInfoNotFoundError, OSError, ValueError):
        raise ValueError(f"unknown time zone {name!r}, want one such as Europe/Berlin") from None


def _zone_of_file(path: Path) -> tzinfo:
    key = str(path.resolve(strict=True)).partition("zoneinfo/")[2]
    if key:
        with contextlib.suppress(ZoneInfoNotFoundError, ValueError):  # a data base of its own
            return ZoneInfo(key)
    with path.open("rb") as file:
        return ZoneInfo.from_file(file, key=str(path))
