"""How a fire relates to the wall clock: whether its time is skipped, or shown twice."""

from __future__ import annotations

from enum import StrEnum

from gcron.schedule.schedules import CronSchedule, Schedule
from gcron.schedule.wall_clock import SECONDS_IN_DAY
from gcron.schedule.wrapped import DelayedSchedule, WrappedSchedule
from gcron.schedule.zones import shifts

__all__ = ["Occurrence", "occurrence"]


class Occurrence(StrEnum):
    """How a fire relates to the wall clock. Empty, and so false, where nothing is odd."""

    ORDINARY = ""
    MADE_UP = "made up"  # the wall time was skipped: the fire is at the shift instead
    FIRST_PASS = "first pass"  # the clock will show this wall time again
    SECOND_PASS = "second pass"  # the clock has shown this wall time before


def occurrence(schedule: Schedule, fire: int) -> Occurrence:
    """Return whether a fire of `schedule` makes up for a skipped wall time, or lies in a repeated stretch.

    For a delayed schedule, the time before the delay counts.
    """
    if isinstance(schedule, DelayedSchedule):
        return occurrence(schedule.schedule, fire - schedule.delay)
    if isinstance(schedule, WrappedSchedule):
        return occurrence(schedule.schedule, fire)
    zone = schedule.zone
    wall = fire + zone.offset_at(fire)
    if isinstance(schedule, CronSchedule) and schedule.pattern.at_or_after(wall) != wall:
        return Occurrence.MADE_UP
    # A stretch longer than a day is never repeated: no zone moves by more.
    for shift in shifts(zone, fire - SECONDS_IN_DAY, fire + SECONDS_IN_DAY):
        if shift.instant <= fire and wall < shift.instant + shift.before:
            return Occurrence.SECOND_PASS
        if shift.instant > fire and wall >= shift.instant + shift.after:
            return Occurrence.FIRST_PASS
    return Occurrence.ORDINARY
