"""Virtual time for tests: a year of a schedule takes milliseconds.

clock = VirtualClock(datetime(2026, 3, 29, tzinfo=UTC))
with clock.installed():
    scheduler = Scheduler(clock=clock)
    ...
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from gcron.errors import ArgumentError
from gcron.runtime.hub import RealTime, get_hub

__all__ = ["VirtualClock"]


class VirtualClock:
    """A clock that jumps to the next deadline as soon as every greenlet waits.

    It is the scheduler's wall clock and, while installed, this thread's time for `sleep` and time-outs. It does not
    jump while a greenlet waits for a descriptor, a process or a thread: those take real time.

    `longest_nap`: virtual seconds after which a scheduler looks whether the clock was `set`; 1 is what it does in
    real life, and costs a look for every second that passes.

    Raises ArgumentError for a datetime without a zone: it would be another instant on each machine.
    """

    def __init__(self, start: datetime | float, longest_nap: float = math.inf) -> None:
        self.longest_nap = longest_nap
        self._start = _instant(start)
        self._elapsed = 0.0

    def now(self) -> float:
        """Virtual seconds of UTC since 1970."""
        return self._start + self._elapsed

    def monotonic(self) -> float:
        """Virtual seconds since this clock was made."""
        return self._elapsed

    def jump(self, seconds: float) -> bool:
        """Let `seconds` pass at once."""
        self._elapsed += seconds
        return True

    def set(self, to: datetime | float) -> None:
        """Set the wall clock, as an administrator would; `monotonic` does not change. Raises as the class."""
        self._start = _instant(to) - self._elapsed

    @property
    def datetime(self) -> datetime:
        """`now()` as an aware datetime in UTC."""
        return datetime.fromtimestamp(self.now(), UTC)

    @contextmanager
    def installed(self) -> Iterator[VirtualClock]:
        """Use it as this thread's time until the block ends."""
        hub = get_hub()
        hub.use_time(self)
        try:
            yield self
        finally:
            hub.use_time(RealTime())


def _instant(moment: datetime | float) -> float:
    if not isinstance(moment, datetime):
        return float(moment)
    if moment.tzinfo is None:
        raise ArgumentError(f"a virtual clock needs an aware datetime, not {moment!r}")
    return moment.timestamp()
