"""Schedules: from a text and a time zone to instants.

Pure: nothing here reads a clock (but `clock`, which is the clock) or starts anything. The only files read are those of
time zones, by the standard library.
"""

from gcron.schedule.checks import check
from gcron.schedule.errors import ScheduleError, ScheduleWarning
from gcron.schedule.factories import CronTrigger, at, cron, every, resolve
from gcron.schedule.layouts import LAYOUTS
from gcron.schedule.parsing import parse, parse_duration, split_schedule
from gcron.schedule.schedules import (
    CronSchedule,
    DelayedSchedule,
    EverySchedule,
    Occurrence,
    OnceSchedule,
    Schedule,
    Unscheduled,
    occurrence,
    put_off,
)
from gcron.schedule.zones import Shift, Zone, find_zone, shifts

__all__ = [
    "LAYOUTS",
    "CronSchedule",
    "CronTrigger",
    "DelayedSchedule",
    "EverySchedule",
    "Occurrence",
    "OnceSchedule",
    "Schedule",
    "ScheduleError",
    "ScheduleWarning",
    "Shift",
    "Unscheduled",
    "Zone",
    "at",
    "check",
    "cron",
    "every",
    "find_zone",
    "occurrence",
    "parse",
    "parse_duration",
    "put_off",
    "resolve",
    "shifts",
    "split_schedule",
]
