"""Schedules: what it costs to find the next fire.

    python benchmarks/schedule.py --impl cronsim --only next-fire

An implementation is a function: from an expression and a starting instant to its fires, in order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from time import perf_counter
from typing import Any
from zoneinfo import ZoneInfo

import harness
from harness import Area, Measure

ZONE = "Europe/Berlin"
TZ = ZoneInfo(ZONE)
MONTHS = [*(datetime(2026, month, 1, tzinfo=TZ) for month in range(1, 13)), datetime(2027, 1, 1, tzinfo=TZ)]

AREAS = (
    Area("next-fire", "the next fire, 30 expressions over a year in Europe/Berlin", 40, (Measure("each", "µs"),)),
    Area("first-fire", "from an expression's text to its first fire", 20, (Measure("each", "µs"),)),
    Area("rare-fire", "the next fire of days a year or four apart", 8, (Measure("each", "µs"),)),
)

# As in real crontabs, from every minute to once a year. None has both a day of the month and a weekday: the peers
# disagree on what that means.
EXPRESSIONS = (
    "* * * * *", "*/5 * * * *", "*/10 * * * *", "*/15 * * * *", "0 * * * *", "17 * * * *", "5,35 * * * *",
    "0 */2 * * *", "30 */6 * * *", "0 0 * * *", "15 3 * * *", "30 2 * * *", "25 6 * * *", "47 6 * * 0",
    "0 9-17 * * *", "*/5 9-17 * * 1-5", "0 9 * * 1-5", "30 18 * * 5", "0 4 * * 6", "0 22 * * 1-5", "0 0,12 * * *",
    "0 1,5,9,13,17,21 * * *", "52 6 1 * *", "0 0 1 * *", "0 0 15 * *", "0 3 1,15 * *", "0 8 1-7 * *",
    "0 0 1 1,4,7,10 *", "0 0 25 12 *", "0 5 31 * *",
)  # fmt: skip
RARE = ("0 0 29 2 *", "0 12 29 2 *", "30 4 31 12 *", "0 0 1 1 *")

Fires = Callable[[str, datetime], Iterator[Any]]
"""From an expression and an aware start to its fires after it, in the type that the implementation has."""


@dataclass(frozen=True, slots=True)
class Engine:
    """An implementation of schedules."""

    fires: Fires

    def next_fire(self, count: int) -> float:
        """Up to `count` fires of each expression in each month of the year; parsing is not timed."""
        asked, spent = 0, 0.0
        for expression in EXPRESSIONS:
            for start, end in pairwise(MONTHS):
                fires = self.fires(expression, start)
                found, seconds = _timed_fires(fires, end, count)
                asked += found
                spent += seconds
        return spent / asked

    def first_fire(self, count: int) -> float:
        start = perf_counter()
        for number in range(count):
            instant = MONTHS[0] + timedelta(hours=number * 87)
            for expression in EXPRESSIONS:
                next(self.fires(expression, instant))
        return (perf_counter() - start) / (count * len(EXPRESSIONS))

    def rare_fire(self, count: int) -> float:
        iterators = [self.fires(expression, MONTHS[0]) for expression in RARE]
        start = perf_counter()
        for fires in iterators:
            harness.check(sum(1 for _ in islice(fires, count)) == count, "a schedule ended")
        return (perf_counter() - start) / (count * len(RARE))


def _timed_fires(fires: Iterator[Any], end: datetime, count: int) -> tuple[int, float]:
    """Take fires until one comes after `end`; return how many were asked for, and the seconds it took."""
    asked, spent = 0, 0.0
    for _ in range(count):
        start = perf_counter()
        fire = next(fires)
        spent += perf_counter() - start
        asked += 1
        if (fire if isinstance(fire, int) else fire.timestamp()) >= end.timestamp():
            break
    return asked, spent


def _gcron() -> Engine:
    from gcron.schedule import parse

    def fires(expression: str, start: datetime) -> Iterator[int]:
        schedule = parse(expression, ZONE)
        fire: int | None = int(start.timestamp())
        while fire is not None:
            fire = schedule.next_after(fire)
            if fire is not None:
                yield fire

    return Engine(fires)


def _gcron_datetimes() -> Engine:
    integers = _gcron()

    def fires(expression: str, start: datetime) -> Iterator[datetime]:
        return (datetime.fromtimestamp(fire, TZ) for fire in integers.fires(expression, start))

    return Engine(fires)


def _cronsim() -> Engine:
    from cronsim import CronSim

    return Engine(CronSim)


def _croniter() -> Engine:
    from croniter import croniter

    return Engine(lambda expression, start: croniter(expression, start, ret_type=datetime))


def _apscheduler() -> Engine:
    from apscheduler.triggers.cron import CronTrigger

    def fires(expression: str, start: datetime) -> Iterator[datetime]:
        trigger = CronTrigger.from_crontab(expression, timezone=TZ)
        # It answers "at or after". With the previous fire, it begins at the instant after that.
        fire = trigger.get_next_fire_time(None, start + timedelta(microseconds=1))
        while fire is not None:
            yield fire
            fire = trigger.get_next_fire_time(fire, fire)

    return Engine(fires)


def _crontab() -> Engine:
    from crontab import CronTab

    def fires(expression: str, start: datetime) -> Iterator[datetime]:
        entry = CronTab(expression)
        while True:
            # Seconds from then: version 0.22, which yacron needs, gives nothing else.
            seconds = entry.next(now=start, default_utc=False)
            start = (start.astimezone(UTC) + timedelta(seconds=seconds)).astimezone(start.tzinfo)
            yield start

    return Engine(fires)


PROGRAM = harness.Program(
    "schedule",
    AREAS,
    {
        "gcron": _gcron,
        "gcron-datetimes": _gcron_datetimes,
        "cronsim": _cronsim,
        "croniter": _croniter,
        "apscheduler": _apscheduler,
        "crontab": _crontab,
    },
)

if __name__ == "__main__":
    harness.main(PROGRAM)
