"""The fires of many entries in one order, and the times that are not there."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import tzinfo

from gcron.cli.changes import skipped_walls
from gcron.crontab import Entry
from gcron.schedule import CronSchedule, DelayedSchedule, Shift, Unscheduled, shifts

__all__ = ["Fire", "Gap", "Gaps", "Window", "fires_in", "named_entries", "why_never"]

_DAY = 86400
_UNSCHEDULED = {
    "reboot": "runs once when gcron starts, at no time of the clock",
    "service": "is kept running, at no time of the clock",
    "manual": "runs only when it is triggered",
}

Fire = tuple[int, Entry]


@dataclass(frozen=True, slots=True)
class Window:
    """What of time is looked at: from `start` to `end` (UTC seconds, both included), or open where that is None.

    `is_now` when the start is the present; `read_in` is the zone in which bounds without one were read, else None.
    """

    start: int
    end: int | None
    is_now: bool
    read_in: tzinfo | None


@dataclass(frozen=True, slots=True)
class Gap:
    """Times of a wildcard entry that a change of the clock at `shift` skips: they are not there, and not run."""

    shift: Shift
    entry: Entry
    walls: tuple[int, ...]


def named_entries(entries: Sequence[Entry], name: str | None) -> list[Entry]:
    """The entries of this name; all when it is None."""
    return [entry for entry in entries if name in (None, entry.name)]


def fires_in(entries: Sequence[Entry], window: Window) -> Iterator[Fire]:
    """All fires of all entries in the window; ties in the order of the files."""
    heap: list[tuple[int, int]] = []
    for index, entry in enumerate(entries):
        fire = entry.schedule.next_after(window.start - 1) if entry.policy.enabled else None
        if fire is not None:
            heap.append((fire, index))
    heapq.heapify(heap)
    while heap:
        fire, index = heap[0]
        if window.end is not None and fire > window.end:
            return
        yield fire, entries[index]
        following = entries[index].schedule.next_after(fire)
        if following is None:
            heapq.heappop(heap)
        else:
            heapq.heapreplace(heap, (following, index))


class Gaps:
    """The times that are not there, handed out in order beside the fires: only wildcard entries have such times.

    Looked for piece by piece, ever larger ones, for nobody knows how far the fires will be followed.
    """

    def __init__(self, entries: Sequence[Entry], window: Window) -> None:
        self._entries = entries
        self._window = window
        self._found: deque[Gap] = deque()
        self._searched_to = window.start - 1

    def until(self, instant: int) -> Iterator[Gap]:
        """Those up to `instant` that were not handed out before."""
        self._search(instant)
        while self._found and self._found[0].shift.instant <= instant:
            yield self._found.popleft()

    def _search(self, instant: int) -> None:
        if instant <= self._searched_to:
            return
        end = instant + max(_DAY, instant - self._window.start)
        if self._window.end is not None:
            end = max(instant, min(end, self._window.end))
        found = [gap for entry in self._entries for gap in _gaps_of(entry, self._searched_to, end)]
        self._found += sorted(found, key=lambda gap: gap.shift.instant)
        self._searched_to = end


def why_never(entry: Entry) -> str:
    """Why an entry without any fire to come has none."""
    if not entry.policy.enabled:
        return "is switched off (enabled=no)"
    if isinstance(entry.schedule, Unscheduled):
        return _UNSCHEDULED[entry.schedule.kind]
    return "is over: its schedule names no year to come"


def _gaps_of(entry: Entry, after: int, end: int) -> Iterator[Gap]:
    schedule = entry.schedule.schedule if isinstance(entry.schedule, DelayedSchedule) else entry.schedule
    if not isinstance(schedule, CronSchedule) or not schedule.wildcard or not entry.policy.enabled:
        return
    for shift in shifts(schedule.zone, after, end):
        if shift.after > shift.before and (walls := skipped_walls(schedule, shift)):
            yield Gap(shift, entry, tuple(walls))
