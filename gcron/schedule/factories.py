"""`cron(…)`, `every(…)`, `after_end(…)`, `after_jobs(…)`, `at(…)`: schedules as Python programs write them.

What such a call leaves open (the zone, the values of `H`) is decided by the scheduler and the job that get it.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from gcron.frozen import frozen, replace
from gcron.schedule.errors import ScheduleError
from gcron.schedule.ics import read_file
from gcron.schedule.layouts import LAYOUTS
from gcron.schedule.limits import NO_LIMITS, Limits, limited, read_days, read_moment
from gcron.schedule.other_words import OF_CRON, OF_PERIODS, answering
from gcron.schedule.parsing import parse, parse_duration
from gcron.schedule.schedules import AfterJobsSchedule, EverySchedule, OnceSchedule, Schedule
from gcron.schedule.zones import FIRST_INSTANT, LAST_INSTANT, find_zone

__all__ = ["CronTrigger", "after_end", "after_jobs", "at", "cron", "every", "resolve"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)

Moment = str | date | datetime
Days = str | date | Iterable[str | date | tuple[date, date]]


@frozen
class CronTrigger:
    """What `cron`, `every` and `after_end` return: an expression. The scheduler may decide its zone.

    The job's name decides `H` and `~`.
    """

    expression: str
    tz: str | tzinfo | None = None
    fields: str | None = None
    limits: Limits = NO_LIMITS

    def schedule(self, timezone: str | tzinfo | None, seed: str) -> Schedule:
        """Return its schedule for the job named `seed`. `timezone` counts only if `tz` is None.

        Raises ScheduleError.
        """
        schedule = parse(self.expression, self.tz or timezone, seed=seed, fields=self.fields)
        return limited(schedule, self.limits, read_file)


@answering(OF_CRON)
def cron(
    expression: str,
    tz: str | tzinfo | None = None,
    *,
    fields: str | None = None,
    start: Moment | None = None,
    end: Moment | None = None,
    except_on: Days | None = None,
    now: bool = False,
) -> CronTrigger:
    """A cron expression or a nickname, as in a crontab: `cron("30 2 * * 1-5", "Europe/Berlin")`.

    Without `tz` the scheduler's zone counts. `fields` says which fields six are, as for `gcron.schedule.parse`.

    `start`, `end`: the first and the last moment of a fire: a date (for `end`, all of that day), a `datetime`, or a
    text such as `2026-01-05T09:30`. Without a zone of its own it is in that of the schedule. `except_on`: days of that
    zone without fires: dates, ranges (`2026-12-24..2027-01-01`, or a tuple of two dates), paths of .ics files. `now`:
    the job also runs when the scheduler starts.

        cron("0 9 * * mon-fri", except_on="holidays.ics,2026-12-24..2027-01-01")

    Raises ScheduleError for a wrong expression, for limits within which it never fires, and for a file that cannot be
    read.
    """
    if fields is not None and fields not in LAYOUTS:
        raise ScheduleError(f"fields cannot be {fields!r}", hint="one of " + ", ".join(LAYOUTS))
    return _checked(CronTrigger(expression, tz, fields, _limits(start, end, except_on, now)))


@answering(OF_PERIODS)
def every(
    period: float | str | timedelta,
    tz: str | tzinfo | None = None,
    *,
    start: Moment | None = None,
    end: Moment | None = None,
    except_on: Days | None = None,
    now: bool = False,
) -> EverySchedule | CronTrigger:
    """Every `period`, at its multiples since 1970: `every(90)`, `every("1h30m")`, `every(timedelta(minutes=5))`.

    So the fires are the same on every host and after every restart. With a `start`, the period is counted from there.
    If it is whole days, it follows the wall clock of `tz` or, without `tz`, of the scheduler's zone:

        every("2w", start="2026-01-05T09:00")       every other Monday at 9:00, in summer and in winter

    The other parameters are those of `cron`. Raises ScheduleError as `cron`, for a text that is no duration, and
    for a period that is not a whole number of seconds from 1 up.
    """
    seconds = _whole_seconds(period, "a period")
    limits = _limits(start, end, except_on, now)
    if tz is None and limits == NO_LIMITS:
        return EverySchedule(f"@every {seconds}s", find_zone(None), seconds)
    return _checked(CronTrigger(f"@every {seconds}s", tz, None, limits))


@answering(OF_PERIODS)
def after_end(
    delay: float | str | timedelta,
    tz: str | tzinfo | None = None,
    *,
    start: Moment | None = None,
    end: Moment | None = None,
    except_on: Days | None = None,
    now: bool = False,
) -> CronTrigger:
    """`delay` after the end of the job's last run, and the first time `delay` after the scheduler starts (`now`: then).

        after_end("5m")         five minutes of rest between two runs, however long they take

    The other parameters are those of `cron`. Raises as `every`.
    """
    seconds = _whole_seconds(delay, "a delay")
    return _checked(CronTrigger(f"@after-end {seconds}s", tz, None, _limits(start, end, except_on, now)))


def after_jobs(*jobs: str) -> AfterJobsSchedule:
    """When each of these jobs has succeeded since the last start of this one (docs/running.md, section 4).

        @scheduler.job(after_jobs("extract", "load"))
        def transform() -> None: ...

    `jobs`: their names. The jobs may be added later, but before the start of the scheduler. Raises ScheduleError
    without a name, TypeError for what is no name.
    """
    if wrong := [job for job in jobs if not isinstance(job, str)]:
        raise TypeError(f"after_jobs() takes names of jobs: after_jobs('extract', 'load'), not {wrong[0]!r}")
    if not jobs or "" in jobs:
        raise ScheduleError("after_jobs() needs the names of jobs", hint="such as after_jobs('extract', 'load')")
    names = tuple(dict.fromkeys(jobs))
    return AfterJobsSchedule(f"@after {','.join(names)}", find_zone(None), "after-jobs", names)


def at(moment: datetime) -> OnceSchedule:
    """Once, at an aware `moment`: `at(datetime(2027, 1, 1, tzinfo=UTC))`. Parts of a second are rounded up.

    Raises ScheduleError if it has no zone, or lies outside the calendar; TypeError for what is no datetime.
    """
    if not isinstance(moment, datetime):
        raise TypeError(f"at() needs an aware datetime, not {moment!r}; {_hint_of_moment(moment)}")
    if moment.tzinfo is None:
        raise ScheduleError(f"{moment!r} has no zone: at() needs an aware datetime")
    instant = -((_EPOCH - moment) // _SECOND)
    if not FIRST_INSTANT <= instant <= LAST_INSTANT:
        raise ScheduleError(f"{moment!r} is outside the calendar")
    return OnceSchedule(moment.isoformat(), find_zone(moment.tzinfo), instant)


def _hint_of_moment(given: object) -> str:
    if not isinstance(given, str):
        return "give its time of the day, too"
    with suppress(ValueError):
        daily = time.fromisoformat(given)
        return f"cron('{daily.minute} {daily.hour} * * *') is each day at {daily:%H:%M}"
    with suppress(ValueError):
        once = datetime.fromisoformat(given)
        zone = "" if once.tzinfo else ".replace(tzinfo=UTC)"
        return f"at(datetime.fromisoformat({given!r}){zone}) is once, then"
    return "at(datetime(2030, 1, 1, 10, 30, tzinfo=UTC)) is once, then"


def resolve(trigger: str | CronTrigger | Schedule, timezone: str | tzinfo | None, seed: str) -> Schedule:
    """Return the schedule of any of these, as `CronTrigger.schedule` does. Raises ScheduleError."""
    if isinstance(trigger, str):
        return parse(trigger, timezone, seed=seed)
    if isinstance(trigger, AfterJobsSchedule):
        return replace(trigger, zone=find_zone(timezone))
    return trigger.schedule(timezone, seed) if isinstance(trigger, CronTrigger) else trigger


def _checked(trigger: CronTrigger) -> CronTrigger:
    trigger.schedule(None, "")  # raises here, where the expression is written
    return trigger


def _whole_seconds(period: float | str | timedelta, what: str) -> int:
    seconds = parse_duration(period) if isinstance(period, str) else period
    if isinstance(seconds, timedelta):
        seconds = seconds.total_seconds()
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise TypeError(f"{what} is a number of seconds, a text such as '5m' or a timedelta, not {period!r}")
    if not 1 <= seconds <= LAST_INSTANT or seconds != int(seconds):
        raise ScheduleError(f"{what} is a whole number of seconds from 1 up, not {period!r}")
    return int(seconds)


def _limits(start: Moment | None, end: Moment | None, except_on: Days | None, now: bool) -> Limits:
    return Limits(read_moment(start), read_moment(end), read_days(except_on), bool(now))
