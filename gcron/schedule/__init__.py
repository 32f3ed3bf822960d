"""Schedules: from a text and a time zone to instants.

Pure: nothing here reads a clock (but `clock`, which is the clock) or starts anything. The only files read are those of
time zones, by the standard library, and the .ics files that a program names.
"""

from gcron.schedule.checks import check
from gcron.schedule.errors import ScheduleError, ScheduleWarning
from gcron.schedule.factories import CronTrigger, after_end, after_jobs, at, cron, every, resolve
from gcron.schedule.layouts import LAYOUTS
from gcron.schedule.limits import NO_LIMITS, Limits, limited
from gcron.schedule.occurrences import Occurrence, occurrence
from gcron.schedule.parsing import parse, parse_duration, split_schedule
from gcron.schedule.schedules import (
    AfterEndSchedule,
    AfterJobsSchedule,
    CronSchedule,
    EverySchedule,
    OnceSchedule,
    Schedule,
    Unscheduled,
)
from gcron.schedule.wrapped import DelayedSchedule, LimitedSchedule, core_of, put_off
from gcron.schedule.zones import Shift, Zone, find_zone, shifts

__all__ = [
    "LAYOUTS",
    "NO_LIMITS",
    "AfterEndSchedule",
    "AfterJobsSchedule",
    "CronSchedule",
    "CronTrigger",
    "DelayedSchedule",
    "EverySchedule",
    "LimitedSchedule",
    "Limits",
    "Occurrence",
    "OnceSchedule",
    "Schedule",
    "ScheduleError",
    "ScheduleWarning",
    "Shift",
    "Unscheduled",
    "Zone",
    "after_end",
    "after_jobs",
    "at",
    "check",
    "core_of",
    "cron",
    "every",
    "find_zone",
    "limited",
    "occurrence",
    "parse",
    "parse_duration",
    "put_off",
    "resolve",
    "shifts",
    "split_schedule",
]
