"""What is odd about a fire's local time, for tables that people read."""

from __future__ import annotations

from enum import StrEnum

from gcron.schedule.base import Schedule
from gcron.schedule.cron import CronSchedule
from gcron.schedule.delayed import DelayedSchedule
from gcron.schedule.zones import shifts

__all__ = ["Occurrence", "occurrence"]

_DAY = 86400


class Occurrence(StrEnum):
    """How a fire stands to the wall clock; empty, and so false, where nothing is odd."""

    ORDINARY = ""
    MADE_UP = "made up"  # the wall time was skipped: the fire stands at the shift instead
    FIRST_PASS = "first pass"  # the clock will show this wall time again
    SECOND_PASS = "second pass"  # the clock has shown this wall time before


def occurrence(schedule: Schedule, fire: int) -> Occurrence:
    """Tell whether one of a schedule's fires stands for a skipped wall time, or is in a repeated stretch.

    Of a fire that is put off, it is the time that it is put off from which counts.
    """
    if isinstance(schedule, DelayedSchedule):
        return occurrence(schedule.schedule, fire - schedule.delay)
    zone = schedule.zone
    wall = fire + zone.offset_at(fire)
    if isinstance(schedule, CronSchedule) and schedule.walls.at_or_after(wall) != wall:
        return Occurrence.MADE_UP
    # A stretch longer than a day is never repeated: no zone moves by more.
    for shift in shifts(zone, fire - _DAY, fire + _DAY):
        if shift.instant <= fire and wall < shift.instant + shift.before:
            return Occurrence.SECOND_PASS
        if shift.instant > fire and wall >= shift.instant + shift.after:
            return Occurrence.FIRST_PASS
    return Occurrence.ORDINARY
