"""When: from a schedule's text and a time zone to instants.

Pure: no clock and no greenlets; the only files read are the time zones', by the standard library.
"""

from gcron.schedule.base import Schedule
from gcron.schedule.cron import CronSchedule
from gcron.schedule.delayed import DelayedSchedule, put_off
from gcron.schedule.durations import parse_duration
from gcron.schedule.errors import ScheduleError, ScheduleWarning
from gcron.schedule.every import EverySchedule, Unscheduled
from gcron.schedule.kinds import LAYOUTS
from gcron.schedule.occurrences import Occurrence, occurrence
from gcron.schedule.once import OnceSchedule
from gcron.schedule.parsing import check, parse, split_schedule
from gcron.schedule.triggers import CronTrigger, at, cron, every, resolve
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
