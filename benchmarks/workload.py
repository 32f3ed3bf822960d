"""What is the same in every implementation of the runtime's areas: constants and plain functions."""

from __future__ import annotations

import random
from collections.abc import Callable
from time import monotonic
from types import ModuleType
from typing import Any

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
    """Instants on the monotonic clock, evenly spread, in an order that helps no timer queue."""
    start = monotonic() + SLEEPERS_LEAD
    times = [start + SLEEPERS_SPREAD * number / count for number in range(count)]
    random.Random(count).shuffle(times)
    return times


def delay_until(wake_time: float) -> float:
    """Seconds to sleep. Raises RuntimeError when the start took too long: lateness would say nothing about timers."""
    delay = wake_time - monotonic()
    if delay < 0:
        raise RuntimeError(f"a sleeper started too late: SLEEPERS_LEAD of {SLEEPERS_LEAD} s is too short")
    return delay


class CoroutineAreas:
    """The areas of a module that has a coroutine function for each.

    The functions take the time, so that neither the start of a loop nor its end is counted.
    """

    def __init__(self, work: ModuleType, run: Callable[..., Any]) -> None:
        """`run(function, *args)` starts a loop, runs `function(*args)` in it and ends it."""
        self._work = work
        self._run = run

    def spawn_join(self, count: int) -> float:
        return self._seconds("spawn_join", count)

    def sleep0(self, count: int) -> float:
        return self._seconds("sleep0", count, TURN_TAKERS)

    def sleep0_alone(self, count: int) -> float:
        return self._seconds("sleep0", count, 1)

    def queue(self, count: int) -> float:
        return self._seconds("queue", count, 1)

    def queue_stream(self, count: int) -> float:
        return self._seconds("queue", count, STREAM_ROOM)

    def queue_reply(self, count: int) -> float:
        return self._seconds("queue_reply", count)

    def async_result(self, count: int) -> float:
        return self._seconds("async_result", count)

    def semaphore(self, count: int) -> float:
        return self._seconds("semaphore", count)

    def pool_map(self, count: int) -> float:
        return self._seconds("pool_map", count)

    def event(self, count: int) -> float:
        return self._seconds("event", count)

    def sleepers(self, count: int) -> tuple[float, float]:
        cpu_and_lateness: tuple[float, float] = self._run(self._work.sleepers, count)
        return cpu_and_lateness

    def _seconds(self, area: str, *args: int) -> float:
        seconds: float = self._run(getattr(self._work, area), *args)
        return seconds
