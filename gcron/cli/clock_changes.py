"""What a clock change (daylight saving time) does to a schedule: in words, and the times that it skips.

The schedule itself is asked which of its times run, so that the words cannot differ from what happens.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice

from gcron.cli.times import clock_text, offset_text, wall_datetime
from gcron.crontab import Entry
from gcron.frozen import frozen
from gcron.schedule import (
    CronSchedule,
    DelayedSchedule,
    LimitedSchedule,
    Occurrence,
    Schedule,
    Shift,
    core_of,
    occurrence,
    shifts,
)
from gcron.schedule.wording import join_words
from gcron.schedule.wrapped import WrappedSchedule

__all__ = ["Gap", "Gaps", "change_title", "change_words", "coming_changes", "mark_words"]

_DAY = 86400
# Seconds to look ahead for a zone's next changes: some zones had their last one decades ago.
_HORIZON = 3 * 366 * _DAY
_MOST_LISTED = 4


def coming_changes(schedule: Schedule, start: int, count: int) -> list[Shift]:
    """Return the next clock changes in the schedule's zone; fewer than `count` if three years have no more."""
    return list(islice(shifts(schedule.zone, start, start + _HORIZON), count))


def change_title(shift: Shift) -> str:
    """Return `2027-03-28 02:00 → 03:00`."""
    before, after = shift.instant + shift.before, shift.instant + shift.after
    days = [f"{wall_datetime(wall):%Y-%m-%d} " for wall in (before, after)]
    return f"{days[0]}{clock_text(before)} → {days[1] if days[1] != days[0] else ''}{clock_text(after)}"


def mark_words(schedule: Schedule, fire: int) -> str:
    """Return what is special about the local time of a fire: `made up: 02:30 is skipped`, or an empty string."""
    if isinstance(schedule, DelayedSchedule):
        mark = mark_words(schedule.schedule, fire - schedule.delay)
        return f"{mark}; RANDOM_DELAY".removeprefix("; ") + f" +{schedule.delay // 60} min"
    if isinstance(schedule, WrappedSchedule):
        return mark_words(schedule.schedule, fire)
    kind = occurrence(schedule, fire)
    if kind is Occurrence.ORDINARY:
        return ""
    if not isinstance(schedule, CronSchedule):
        return str(kind)
    if kind is Occurrence.MADE_UP:
        shift = next(shifts(schedule.zone, fire - 1, fire))
        return f"made up: {clock_text(_skipped_walls(schedule, shift)[0])} is skipped"
    mark = f"{kind} of {clock_text(fire + schedule.zone.offset_at(fire))}"
    return mark if schedule.wildcard else f"{mark}, the only one to run"


# -- a change in words --------------------------------------------------------------------------------------------


def change_words(schedule: Schedule, shift: Shift) -> str:
    """Return what `shift` does to the schedule: `02:30 does not exist; runs at 03:00 instead`."""
    core = core_of(schedule)
    if not isinstance(core, CronSchedule):
        return "no difference: the schedule does not follow the wall clock"
    if not _allows(schedule, shift, shift.instant + shift.before):
        return "no difference: nothing is due within the limits of the schedule"
    if shift.after > shift.before:
        return _forward_words(core, shift)
    return _backward_words(core, shift)


def _forward_words(schedule: CronSchedule, shift: Shift) -> str:
    walls = _skipped_walls(schedule, shift)
    begin, end = clock_text(shift.instant + shift.before), clock_text(shift.instant + shift.after)
    if not walls:
        return f"no difference: nothing is due from {begin} to {end}"
    skipped = f"{_listed(walls)} {'does' if len(walls) == 1 else 'do'} not exist"
    if schedule.next_after(shift.instant - 1) != shift.instant:
        return f"{skipped}; does not run that day"
    if schedule.wildcard:
        return f"{skipped}; continues at {end}"
    if occurrence(schedule, shift.instant) is not Occurrence.MADE_UP:
        return f"{skipped}; runs once at {end}, when it is due anyway"
    return f"{skipped}; runs {'once ' if len(walls) > 1 else ''}at {end} instead"


def _backward_words(schedule: CronSchedule, shift: Shift) -> str:
    begin, end = shift.instant + shift.after, shift.instant + shift.before
    walls = list(_walls(schedule, begin, end))
    if not walls:
        return f"no difference: nothing is due from {clock_text(begin)} to {clock_text(end)}"
    repeated = f"{_listed(walls)} {'comes' if len(walls) == 1 else 'come'} twice"
    second_pass = schedule.next_after(shift.instant - 1)
    if second_pass is not None and second_pass < shift.instant + shift.before - shift.after:
        return f"{repeated}; runs both times"
    return f"{repeated}; runs the first time only, at {offset_text(shift.before)}"


def _allows(schedule: Schedule, shift: Shift, wall: int) -> bool:
    """Whether the limits of the schedule leave room for a wall time at this shift."""
    while isinstance(schedule, WrappedSchedule):
        if isinstance(schedule, LimitedSchedule):
            is_excluded = schedule.excluded.range_of(wall // _DAY) is not None
            if is_excluded or not schedule.start <= shift.instant <= schedule.end:
                return False
        schedule = schedule.schedule
    return True


def _skipped_walls(schedule: CronSchedule, shift: Shift) -> list[int]:
    return list(_walls(schedule, shift.instant + shift.before, shift.instant + shift.after))


def _walls(schedule: CronSchedule, begin: int, end: int) -> Iterator[int]:
    """Yield the schedule's wall times from `begin` to before `end`."""
    wall = schedule.pattern.at_or_after(begin)
    while wall is not None and wall < end:
        yield wall
        wall = schedule.pattern.at_or_after(wall + 1)


def _listed(walls: list[int]) -> str:
    if len(walls) <= _MOST_LISTED:
        return join_words([clock_text(wall) for wall in walls])
    return f"{clock_text(walls[0])}, {clock_text(walls[1])} … {clock_text(walls[-1])} ({len(walls)} times)"


# -- skipped times ------------------------------------------------------------------------------------------------


@frozen
class Gap:
    """The wall times of a wildcard entry that the clock change `shift` skips: they do not run."""

    shift: Shift
    entry: Entry
    walls: tuple[int, ...]


class Gaps:
    """The gaps of `entries` from `start` to `end` (UTC seconds; None: no end), handed out in order between the fires.

    They are searched in ever larger pieces, because nobody knows how far the fires will be followed.
    """

    def __init__(self, entries: Sequence[Entry], start: int, end: int | None) -> None:
        self._entries = entries
        self._start = start
        self._end = end
        self._found: deque[Gap] = deque()
        self._searched_to = start - 1

    def until(self, instant: int) -> Iterator[Gap]:
        """Yield the gaps up to `instant` that were not yielded before."""
        self._search(instant)
        while self._found and self._found[0].shift.instant <= instant:
            yield self._found.popleft()

    def _search(self, instant: int) -> None:
        if instant <= self._searched_to:
            return
        end = instant + max(_DAY, instant - self._start)
        if self._end is not None:
            end = max(instant, min(end, self._end))
        found = [gap for entry in self._entries for gap in _gaps_of(entry, self._searched_to, end)]
        self._found += sorted(found, key=lambda gap: gap.shift.instant)
        self._searched_to = end


def _gaps_of(entry: Entry, after: int, end: int) -> Iterator[Gap]:
    schedule = core_of(entry.schedule)
    if not isinstance(schedule, CronSchedule) or not schedule.wildcard or not entry.policy.enabled:
        return
    for shift in shifts(schedule.zone, after, end):
        walls = _skipped_walls(schedule, shift) if shift.after > shift.before else []
        if walls := [wall for wall in walls if _allows(entry.schedule, shift, wall)]:
            yield Gap(shift, entry, tuple(walls))
