"""The clock interface: what the scheduler asks about time, and the machine's answer.

`now` is the wall clock that schedules are about; `monotonic` never goes back and shows, held against `now`, when
somebody sets the clock.
"""

from __future__ import annotations

import os
import time
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Protocol
from zoneinfo import ZoneInfo

__all__ = ["Clock", "SystemClock", "local_timezone"]


class Clock(Protocol):
    """A source of time; `gcron.testing.VirtualClock` is another one."""

    longest_nap: float
    """Seconds after which to look at the clock again even when nothing is due: it may have been set."""

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
        """Seconds; stands still while the machine is suspended, on Linux."""
        return time.monotonic()


def local_timezone() -> tzinfo:
    """The machine's zone: `TZ`, or what /etc/localtime is (localtime(5)); UTC where neither says."""
    name = os.environ.get("TZ", "").lstrip(":")
    if name:
        return ZoneInfo(name)
    path = Path("/etc/localtime")
    try:
        key = str(path.resolve(strict=True)).partition("zoneinfo/")[2]
        if key:
            return ZoneInfo(key)
        with path.open("rb") as file:
            return ZoneInfo.from_file(file, key="localtime")
    except (OSError, ValueError):
        return UTC
