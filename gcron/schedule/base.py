"""What every schedule can be asked."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from gcron.schedule.zones import Zone

__all__ = ["Schedule"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)


class Schedule(ABC):
    """A fixed ordered set of instants. `text` is the schedule as written, `zone` where its wall clock hangs.

    Instants are integer seconds of UTC since 1970. A schedule never changes; equal ones have equal fires.
    """

    __slots__ = ()
    text: str
    zone: Zone

    @abstractmethod
    def next_after(self, instant: int) -> int | None:
        """Return the first fire strictly after `instant`, or None when there is none."""

    @abstractmethod
    def previous_before(self, instant: int) -> int | None:
        """Return the last fire strictly before `instant`, or None when there is none."""

    def fires(self, start: datetime, end: datetime | None = None) -> Iterator[datetime]:
        """Iterate over the fires after `start` up to and including `end`, as datetimes in the schedule's zone.

        Without `end` the iteration goes on to the end of the calendar. Raises ValueError when a bound has no time zone.
        """
        if start.tzinfo is None or (end is not None and end.tzinfo is None):
            raise ValueError("the bounds of fires() must be aware datetimes: give them a tzinfo")
        last = None if end is None else (end - _EPOCH) // _SECOND
        return self._fires((start - _EPOCH) // _SECOND, last)

    def _fires(self, instant: int, last: int | None) -> Iterator[datetime]:
        while (fire := self.next_after(instant)) is not None and (last is None or fire <= last):
            yield datetime.fromtimestamp(fire, self.zone.tz)
            instant = fire
