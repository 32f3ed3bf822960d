"""`cron(…)`, `every(…)`, `at(…)`: schedules as Python programs write them.

What such a call leaves open (the zone, the values of `H`) is decided by the scheduler and the job that get it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo

from gcron.frozen import frozen
from gcron.schedule.parsing import parse, parse_duration
from gcron.schedule.schedules import EverySchedule, OnceSchedule, Schedule
from gcron.schedule.zones import FIRST_INSTANT, LAST_INSTANT, find_zone

__all__ = ["CronTrigger", "at", "cron", "every", "resolve"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)


@frozen
class CronTrigger:
    """What `cron` returns: an expression. The scheduler may decide its zone; the job's name decides `H` and `~`."""

    expression: str
    tz: str | tzinfo | None = None
    fields: str | None = None

    def schedule(self, timezone: str | tzinfo | None, seed: str) -> Schedule:
        """Return its schedule for the job named `seed`. `timezone` counts only if `tz` is None."""
        return parse(self.expression, self.tz or timezone, seed=seed, fields=self.fields)


def cron(expression: str, tz: str | tzinfo | None = None, *, fields: str | None = None) -> CronTrigger:
    """A cron expression or a nickname, as in a crontab: `cron("30 2 * * 1-5", "Europe/Berlin")`.

    Without `tz` the scheduler's zone counts. `fields` says which fields six are, as for `gcron.schedule.parse`. Raises
    ScheduleError for a wrong expression.
    """
    trigger = CronTrigger(expression, tz, fields)
    trigger.schedule(None, "")  # raises here, where the expression is written
    return trigger


def every(period: float | str | timedelta) -> EverySchedule:
    """Every `period`, at its multiples since 1970: `every(90)`, `every("1h30m")`, `every(timedelta(minutes=5))`.

    So the fires are the same on every host and after every restart. Raises ScheduleError for a text that is no
    duration, ValueError for a period that is not a whole number of seconds from 1 up.
    """
    seconds = parse_duration(period) if isinstance(period, str) else period
    if isinstance(seconds, timedelta):
        seconds = seconds.total_seconds()
    if not 1 <= seconds <= LAST_INSTANT or seconds != int(seconds):
        raise ValueError(f"a period is a whole number of seconds from 1 up, not {period!r}")
    return EverySchedule(f"@every {int(seconds)}s", find_zone(None), int(seconds))


def at(moment: datetime) -> OnceSchedule:
    """Once, at an aware `moment`: `at(datetime(2027, 1, 1, tzinfo=UTC))`. Parts of a second are rounded up.

    Raises ValueError if it has no zone, or lies outside the calendar.
    """
    if moment.tzinfo is None:
        raise ValueError(f"{moment!r} has no zone: at() needs an aware datetime")
    instant = -((_EPOCH - moment) // _SECOND)
    if not FIRST_INSTANT <= instant <= LAST_INSTANT:
        raise ValueError(f"{moment!r} is outside the calendar")
    return OnceSchedule(moment.isoformat(), find_zone(moment.tzinfo), instant)


def resolve(trigger: str | CronTrigger | Schedule, timezone: str | tzinfo | None, seed: str) -> Schedule:
    """Return the schedule of any of these, as `CronTrigger.schedule` does. Raises ScheduleError."""
    if isinstance(trigger, str):
        return parse(trigger, timezone, seed=seed)
    return trigger.schedule(timezone, seed) if isinstance(trigger, CronTrigger) else trigger
