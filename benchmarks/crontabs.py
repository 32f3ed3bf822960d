"""Crontabs: what it costs to load a large one, until each entry has its first fire.

    python benchmarks/crontabs.py --impl cronsim

The peers read no files of this kind themselves (`crontab` of PyPI reads expressions): for them the lines are split
in the simplest way there is, without users, percent signs or errors. The name of this program is a plural, because
`crontab` is a peer's.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from time import perf_counter
from zoneinfo import ZoneInfo

import harness
from harness import Area, Measure

AREAS = (
    Area("load", "from text to first fires, each entry of 20,000", 20_000, (Measure("each", "µs"),), warm_up=False),
)

ZONE = "Europe/Berlin"
NOW = datetime(2026, 3, 3, 12, 0, 30, tzinfo=ZoneInfo(ZONE))
_FREQUENT = ("*/5 * * * *", "*/15 * * * *", "0 * * * *", "0 0 * * *", "0 0 1 * *", "30 4 * * 0")

FirstFire = Callable[[str], object]
"""From an expression to its first fire after NOW."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A library that reads expressions."""

    first_fire: FirstFire

    def load(self, count: int) -> float:
        text = crontab(count)
        start = perf_counter()
        entries = [(command, self.first_fire(expression)) for expression, command in _split(text)]
        seconds = perf_counter() - start
        harness.check(len(entries) == count and all(fire is not None for _, fire in entries), "an entry has no fire")
        return seconds / count


class Gcron:
    """Reads the text as it stands."""

    def load(self, count: int) -> float:
        from gcron.crontab import parse

        text, now = crontab(count), int(NOW.timestamp())
        start = perf_counter()
        entries = parse(text, timezone=ZONE).entries
        # As the daemon does: entries share schedules, and each schedule is asked once.
        schedules = {id(entry.schedule): entry.schedule for entry in entries}
        fires = {key: schedule.next_after(now) for key, schedule in schedules.items()}
        due = [(entry, fires[id(entry.schedule)]) for entry in entries]
        seconds = perf_counter() - start
        harness.check(len(due) == count and all(fire is not None for _, fire in due), "an entry has no fire")
        return seconds / count


def crontab(count: int) -> str:
    """A crontab of `count` entries: most at a time of their own, once a day or a week, some at a common one."""
    draw = random.Random(count)
    lines = []
    for number in range(count):
        own = f"{draw.randrange(60)} {draw.randrange(24)} * * {draw.choice(('*', '*', '1-5', '6'))}"
        expression = own if draw.random() < 0.7 else draw.choice(_FREQUENT)
        lines.append(f"{expression} /usr/local/bin/job-{number} --customer {number % 500} >> /var/log/job.log 2>&1\n")
    return "".join(lines)


def _split(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        *fields, command = line.split(None, 5)
        yield " ".join(fields), command


def _croniter() -> Peer:
    from croniter import croniter

    return Peer(lambda expression: croniter(expression, NOW).get_next(datetime))


def _cronsim() -> Peer:
    from cronsim import CronSim

    return Peer(lambda expression: next(CronSim(expression, NOW)))


def _apscheduler() -> Peer:
    from apscheduler.triggers.cron import CronTrigger

    def first_fire(expression: str) -> object:
        return CronTrigger.from_crontab(expression, NOW.tzinfo).get_next_fire_time(None, NOW)

    return Peer(first_fire)


def _crontab() -> Peer:
    from crontab import CronTab

    return Peer(lambda expression: CronTab(expression).next(NOW, default_utc=True))


PROGRAM = harness.Program(
    "crontabs",
    AREAS,
    {"gcron": Gcron, "cronsim": _cronsim, "croniter": _croniter, "apscheduler": _apscheduler, "crontab": _crontab},
)

if __name__ == "__main__":
    harness.main(PROGRAM)
