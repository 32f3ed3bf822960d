"""Simulates a crontab: which jobs fire in a period of time, and what becomes of each fire.

The scheduler is the real one, with its overlap rules, groups, retries and time-outs; time is virtual, and no command is
executed: the test says how long each takes, and whether it fails.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from math import inf
from typing import Any

from gcron.crontab import CrontabError, load, parse
from gcron.errors import ArgumentError
from gcron.policy.services import is_service
from gcron.runtime.greenlet import sleep
from gcron.scheduler import Job, Outcome, RunFinished, RunStarted, Scheduler
from gcron.scheduler.job import jobs_of
from gcron.supervise.outcome import Reason
from gcron.supervise.python_call import PythonCall
from gcron.testing.clock import VirtualClock

__all__ = ["SimulatedRun", "Simulation", "simulate"]

_RUN_ID = re.compile("[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class SimulatedRun:
    """The outcome of one fire."""

    job: str
    due: datetime | None
    """In the zone of its schedule; None for `@reboot` and the lives of services."""
    ended: datetime
    """In UTC."""
    outcome: Outcome
    reason: Reason
    attempts: int


@dataclass(frozen=True, slots=True)
class Simulation:
    """All runs of a period of time, in the order in which they ended."""

    runs: tuple[SimulatedRun, ...]

    def of(self, job: str) -> tuple[SimulatedRun, ...]:
        """The runs of one job."""
        return tuple(run for run in self.runs if run.job == job)

    def fires(self, job: str) -> list[str]:
        """When one job was due, as its own wall clock shows it: `2027-03-28 02:30`, with seconds if there are any."""
        dues = [run.due for run in self.runs if run.job == job and run.due is not None]
        return [due.strftime("%Y-%m-%d %H:%M:%S").removesuffix(":00") for due in sorted(dues)]


def simulate(
    jobs: str | os.PathLike[str] | Iterable[Job],
    start: datetime,
    end: datetime,
    *,
    timezone: str | tzinfo | None = None,
    takes: Mapping[str, float] | None = None,
    fails: Collection[str] = (),
) -> Simulation:
    """Run jobs from `start` (included) to `end` (excluded), both aware, and return what became of each fire.

    `jobs` is the text of a crontab (with a newline in it), the path of one, or jobs of a `Scheduler`; `timezone` is for
    schedules that name none (UTC). `takes` are the seconds that the commands of jobs take, by name (0 by default);
    those of jobs in `fails` end with an error. What still runs at the end is listed as killed.

    The same arguments give the same runs.

    Raises CrontabError for what is wrong in the crontab, ArgumentError for bounds without a zone or in the wrong order,
    a job that is not there and a time below 0, TypeError for what is no time or no collection.
    """
    if start.tzinfo is None or end.tzinfo is None or end <= start:
        raise ArgumentError(f"a simulation needs an aware start and a later end, not {start} and {end}")
    table = _jobs(jobs, timezone)
    if isinstance(fails, str):
        raise TypeError(f"fails is a collection of names, such as {{{fails!r}}}, not a text")
    _check_names([*(takes or {}), *fails], table)
    _check_times(takes or {})
    played = [_played(job, (takes or {}).get(job.name, 0.0), job.name in fails) for job in table]
    seen: list[RunStarted | RunFinished] = []
    # In a thread with a hub of its own: time does not pass for what waits in this one.
    _in_a_thread(lambda: _play(played, start.timestamp(), end.timestamp(), seen.append))
    zones = {job.name: job.schedule.zone.tz for job in table}
    numbers = _numbers(seen)
    ends = [event for event in seen if isinstance(event, RunFinished)]
    return Simulation(tuple(_told(event, zones[event.job], numbers) for event in ends))


def _jobs(jobs: str | os.PathLike[str] | Iterable[Job], timezone: str | tzinfo | None) -> list[Job]:
    if not isinstance(jobs, str | os.PathLike):
        return list(jobs)
    timezone = timezone or UTC
    if isinstance(jobs, str) and "\n" in jobs:
        return jobs_of(parse(jobs, timezone=timezone))
    try:
        return jobs_of(load(jobs, timezone=timezone))
    except CrontabError as error:
        if not isinstance(jobs, str) or os.path.exists(jobs):
            raise
        hint = "a text without a line end is taken for a path: the text of a crontab ends with \\n"
        raise CrontabError([problem._replace(hint=hint) for problem in error.problems]) from None


def _check_names(names: Iterable[str], jobs: Iterable[Job]) -> None:
    known = {job.name for job in jobs}
    for name in names:
        if name not in known:
            raise ArgumentError(f"there is no job named {name!r}; known are {', '.join(sorted(known))}")


def _check_times(takes: Mapping[str, float]) -> None:
    for name, seconds in takes.items():
        if isinstance(seconds, bool) or not isinstance(seconds, int | float):
            raise TypeError(f"what {name!r} takes is a number of seconds, not {seconds!r}")
        if not seconds >= 0:
            raise ArgumentError(f"what {name!r} takes is a number of seconds, 0 or more, not {seconds!r}")


def _played(job: Job, seconds: float, fails: bool) -> Job:
    """The job with a function in place of its command, which takes that long, and raises if the job fails."""
    if is_service(job) and not seconds:
        seconds = inf

    def act() -> None:
        if seconds:
            sleep(min(seconds, threading.TIMEOUT_MAX))
        if fails:
            raise RuntimeError("it is to fail in this simulation")

    return replace(job, action=PythonCall(act, greenlet=True))


def _play(jobs: Iterable[Job], start: float, end: float, tell: Callable[[Any], None]) -> None:
    clock = VirtualClock(start - 1)  # what is due at the start itself is still to come
    with clock.installed():
        scheduler = Scheduler(logger=None, clock=clock)
        for job in jobs:
            scheduler.add(job)
        scheduler.on(RunStarted, tell)
        scheduler.on(RunFinished, tell)
        scheduler.start()
        sleep(end - start + 0.999)
        scheduler.stop(grace=0)


def _in_a_thread(function: Callable[[], None]) -> None:
    errors: list[BaseException] = []

    def call() -> None:
        try:
            function()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=call, name="gcron-simulation")
    thread.start()
    thread.join()
    for error in errors:
        raise error


def _numbers(events: Iterable[RunStarted | RunFinished]) -> dict[str, str]:
    """Numbers for the random ids of runs that reasons name, so that two simulations can be compared."""
    ids = dict.fromkeys(event.run_id for event in events if isinstance(event, RunStarted))
    return {run_id: f"number {number}" for number, run_id in enumerate(ids, 1)}


def _told(event: RunFinished, timezone: tzinfo, numbers: Mapping[str, str]) -> SimulatedRun:
    due = None if event.fire_at is None else datetime.fromtimestamp(event.fire_at, timezone)
    result = event.result
    text = _RUN_ID.sub(lambda found: numbers.get(found[0], found[0]), result.reason.text)
    reason = Reason(result.reason.code, text)
    ended = datetime.fromtimestamp(event.time, UTC)
    return SimulatedRun(event.job, due, ended, result.outcome, reason, result.attempts)
