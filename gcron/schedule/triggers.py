"""Schedules as Python programs write them: `cron("*/5 * * * *")`, `every(90)`, `at(datetime(…))`.

What a trigger leaves open (whose zone? whose `H`?) is filled in by the scheduler and the job that it is given to.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from gcron.schedule.base import Schedule
from gcron.schedule.durations import parse_duration
from gcron.schedule.every import EverySchedule
from gcron.schedule.once import OnceSchedule
from gcron.schedule.parsing import parse
from gcron.schedule.zones import FIRST_INSTANT, LAST_INSTANT, find_zone

__all__ = ["CronTrigger", "at", "cron", "every", "resolve"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class CronTrigger:
    """What `cron` returns: an expression whose zone may be left to the scheduler, and `H` and `~` to the job's name."""

    expression: str
    tz: str | tzinfo | None = None
    fields: str | None = None

    def schedule(self, timezone: str | tzinfo | None, seed: str) -> Schedule:
        """The schedule that it is in `timezone`, unless it names a zone itself, for the job named `seed`."""
        return parse(self.expression, self.tz or timezone, seed=seed, fields=self.fields)


def cron(expression: str, tz: str | tzinfo | None = None, *, fields: str | None = None) -> CronTrigger:
    """A cron expression or a nickname, as in a crontab; `tz` is the scheduler's unless given.

    `fields` says what six fields are, as `gcron.schedule.parse` does. Raises ScheduleError for what is wrong.
    """
    trigger = CronTrigger(expression, tz, fields)
    trigger.schedule(None, "")  # what is wrong is to be told here
    return trigger


def every(period: float | str | timedelta) -> EverySchedule:
    """Every so many whole seconds (also as `1h30m` or a timedelta), at multiples of the period since 1970.

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
    """Once, at an aware `moment`, or in the second after it when it is no full one.

    Raises ValueError when it has no zone, or lies outside the calendar.
    """
    if moment.tzinfo is None:
        raise ValueError(f"{moment!r} has no zone: at() needs an aware datetime")
    instant = -((_EPOCH - moment) // _SECOND)
    if not FIRST_INSTANT <= instant <= LAST_INSTANT:
        raise ValueError(f"{moment!r} is outside the calendar")
    return OnceSchedule(moment.isoformat(), find_zone(moment.tzinfo), instant)


def resolve(trigger: str | CronTrigger | Schedule, timezone: str | tzinfo | None, seed: str) -> Schedule:
    """The schedule that any of these stands for; see `CronTrigger.schedule`. Raises ScheduleError."""
    if isinstance(trigger, str):
        return parse(trigger, timezone, seed=seed)
    return trigger.schedule(timezone, seed) if isinstance(trigger, CronTrigger) else trigger
