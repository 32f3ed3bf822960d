"""What a change of the clock does to a schedule, in words, seen from the schedule's own fires.

The rules are not told a second time here: which times ran is asked of the schedule, so that the words cannot drift
away from what happens.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from gcron.cli.spans import clock_text, offset_text, wall_datetime
from gcron.schedule import CronSchedule, DelayedSchedule, Occurrence, Schedule, Shift, occurrence, shifts
from gcron.schedule.wording import join_words

__all__ = ["change_title", "change_words", "coming_changes", "mark_words", "skipped_walls"]

_YEAR = 366 * 86400
# How far to look for a zone's next changes: some zones had their last one decades ago.
_HORIZON = 3 * _YEAR
_MOST_LISTED = 4


def coming_changes(schedule: Schedule, start: int, count: int) -> list[Shift]:
    """The next changes of the offset in the schedule's zone; fewer when there are none in three years."""
    return list(islice(shifts(schedule.zone, start, start + _HORIZON), count))


def change_title(shift: Shift) -> str:
    """`2027-03-28 02:00 → 03:00`."""
    shown = wall_datetime(shift.instant + shift.before)
    then = wall_datetime(shift.instant + shift.after)
    after = clock_text(shift.instant + shift.after)
    if then.date() != shown.date():
        after = f"{then:%Y-%m-%d} {after}"
    return f"{shown:%Y-%m-%d} {clock_text(shift.instant + shift.before)} → {after}"


def skipped_walls(schedule: CronSchedule, shift: Shift) -> list[int]:
    """The wall times of the schedule that `shift` skips, in order."""
    return list(_walls(schedule, shift.instant + shift.before, shift.instant + shift.after))


def mark_words(schedule: Schedule, fire: int) -> str:
    """What is odd about the local time of a fire: `made up: 02:30 is skipped`, `second pass of 02:30`, or nothing."""
    if isinstance(schedule, DelayedSchedule):
        mark = mark_words(schedule.schedule, fire - schedule.delay)
        return f"{mark}; RANDOM_DELAY".removeprefix("; ") + f" +{schedule.delay // 60} min"
    kind = occurrence(schedule, fire)
    if kind is Occurrence.ORDINARY:
        return ""
    if not isinstance(schedule, CronSchedule):
        return str(kind)
    if kind is Occurrence.MADE_UP:
        shift = next(shifts(schedule.zone, fire - 1, fire))
        return f"made up: {clock_text(skipped_walls(schedule, shift)[0])} is skipped"
    mark = f"{kind} of {clock_text(fire + schedule.zone.offset_at(fire))}"
    return mark if schedule.wildcard else f"{mark}, the only one to run"


def change_words(schedule: Schedule, shift: Shift) -> str:
    """What `shift` does to the schedule: `02:30 does not exist; runs at 03:00`."""
    if not isinstance(schedule, CronSchedule):
        return "no difference: the schedule knows no wall clock"
    if shift.after > shift.before:
        return _forward_words(schedule, shift)
    return _backward_words(schedule, shift)


def _forward_words(schedule: CronSchedule, shift: Shift) -> str:
    walls = skipped_walls(schedule, shift)
    begin, end = clock_text(shift.instant + shift.before), clock_text(shift.instant + shift.after)
    if not walls:
        return f"no difference: nothing is due from {begin} to {end}"
    verb = "does not exist" if len(walls) == 1 else "do not exist"
    lost = f"{_listed(walls)} {verb}"
    if schedule.next_after(shift.instant - 1) != shift.instant:
        return f"{lost}; not run that day"
    if schedule.wildcard:
        return f"{lost}; goes on at {end}"
    if occurrence(schedule, shift.instant) is not Occurrence.MADE_UP:
        return f"{lost}; runs once at {end}, which is a time of its own"
    return f"{lost}; runs {'once ' if len(walls) > 1 else ''}at {end} instead"


def _backward_words(schedule: CronSchedule, shift: Shift) -> str:
    begin, end = shift.instant + shift.after, shift.instant + shift.before
    walls = list(_walls(schedule, begin, end))
    if not walls:
        return f"no difference: nothing is due from {clock_text(begin)} to {clock_text(end)}"
    comes = "comes" if len(walls) == 1 else "come"
    second_pass = schedule.next_after(shift.instant - 1)
    if second_pass is not None and second_pass < shift.instant + shift.before - shift.after:
        return f"{_listed(walls)} {comes} twice; runs both times"
    return f"{_listed(walls)} {comes} twice; runs the first time only, at {offset_text(shift.before)}"


def _walls(schedule: CronSchedule, begin: int, end: int) -> Iterator[int]:
    """The schedule's wall times from `begin` to before `end`."""
    wall = schedule.pattern.at_or_after(begin)
    while wall is not None and wall < end:
        yield wall
        wall = schedule.pattern.at_or_after(wall + 1)


def _listed(walls: list[int]) -> str:
    if len(walls) <= _MOST_LISTED:
        return join_words([clock_text(wall) for wall in walls])
    return f"{clock_text(walls[0])}, {clock_text(walls[1])} … {clock_text(walls[-1])} ({len(walls)} times)"
