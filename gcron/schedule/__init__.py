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
from gcron.schedule.parsing import check, parse, split_schedule
from gcron.schedule.zones import Shift, Zone, find_zone, shifts

__all__ = [
    "LAYOUTS",
    "CronSchedule",
    "DelayedSchedule",
    "EverySchedule",
    "Occurrence",
    "Schedule",
    "ScheduleError",
    "ScheduleWarning",
    "Shift",
    "Unscheduled",
    "Zone",
    "check",
    "find_zone",
    "occurrence",
    "parse",
    "parse_duration",
    "put_off",
    "shifts",
    "split_schedule",
]
