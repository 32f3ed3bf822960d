"""Constants and plain functions of the runtime's areas: what must be equal in every implementation."""

from __future__ import annotations

import random
from time import monotonic

TURN_TAKERS = 100
STREAM_ROOM = 100
POOL_WIDTH = 100

SLEEPERS_LEAD = 4.0
"""Seconds between the first spawn and the first wake-up: every sleeper must be asleep by then."""
SLEEPERS_SPREAD = 2.0
"""Seconds over which the wake-ups are spread."""


def increment(number: int) -> int:
    return number + 1


def wake_times(count: int) -> list[float]:
    """Instants on the monotonic clock, evenly spread and in an order that no timer queue can profit from."""
    start = monotonic() + SLEEPERS_LEAD
    times = [start + SLEEPERS_SPREAD * number / count for number in range(count)]
    random.Random(count).shuffle(times)
    return times


def delay_until(wake_time: float) -> float:
    """Seconds to sleep; an error when the start took so long that lateness would not be about timers."""
    delay = wake_time - monotonic()
    if delay < 0:
        raise RuntimeError(f"a sleeper started too late: SLEEPERS_LEAD of {SLEEPERS_LEAD} s is too short")
    return delay
