"""What USR1 asks for: what runs, what is next, how the last reload went. As lines for people and as one object."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from gcron.daemon.formats import duration
from gcron.daemon.reloading import Reloader
from gcron.scheduler import Event, ProcessStarted, RetryPlanned, RunFinished, RunStarted, Scheduler, ServiceStatus

__all__ = ["Current", "Roll", "fields_of", "lines_of"]

_MOST_NEXT = 10


@dataclass(frozen=True, slots=True)
class Current:
    """A run under way."""

    job: str
    run_id: str
    since: float
    """Seconds of UTC."""
    pid: int | None = None
    """Of its present attempt; None between two of them, and for Python jobs."""
    attempt: int = 1


class Roll:
    """An observer that keeps the runs under way."""

    def __init__(self) -> None:
        self._runs: dict[str, Current] = {}

    def __call__(self, event: Event) -> None:
        """Take note of an event."""
        if isinstance(event, RunStarted):
            self._runs[event.run_id] = Current(event.job, event.run_id, event.time)
        elif isinstance(event, RunFinished):
            self._runs.pop(event.run_id, None)
        elif isinstance(event, ProcessStarted) and (run := self._runs.get(event.run_id)):
            self._runs[event.run_id] = replace(run, pid=event.pid)
        elif isinstance(event, RetryPlanned) and (run := self._runs.get(event.run_id)):
            self._runs[event.run_id] = replace(run, pid=None, attempt=event.attempt + 1)

    def current(self) -> list[Current]:
        """The runs under way, oldest first."""
        return list(self._runs.values())


def lines_of(now: float, roll: Roll, scheduler: Scheduler, reloader: Reloader) -> list[str]:
    """The status for people."""
    jobs, services = _parted(roll, scheduler)
    count = len(scheduler.jobs)
    lines = [f"status: {count} job{'' if count == 1 else 's'}, {len(jobs)} running"]
    if counts := _counts(scheduler):
        lines.append("  so far   " + ", ".join(f"{number} {name.replace('_', '-')}" for name, number in counts.items()))
    lines += [f"  running  {run.job}: {_process(now, run)}, run {run.run_id}" for run in jobs]
    for service, run in services:
        reason = f": {service.reason}" if service.reason else ""
        life = "" if run is None else f"; {_process(now, run)}"
        since = f"since {_instant(service.since)}, {service.restarts} restarts"
        lines.append(f"  service  {service.name}: {service.state}{reason}, {since}{life}")
    lines += [f"  next     {due:%Y-%m-%d %H:%M:%SZ}  {name}" for due, name in scheduler.upcoming(_MOST_NEXT)]
    return lines + [f"  files    {line}" for line in _files(reloader)]


def fields_of(now: float, roll: Roll, scheduler: Scheduler, reloader: Reloader) -> dict[str, object]:
    """The status for machines."""
    jobs, services = _parted(roll, scheduler)
    return {
        "jobs": len(scheduler.jobs),
        "counts": _counts(scheduler),
        "running": [{"job": run.job, **_process_fields(now, run)} for run in jobs],
        "services": [
            {
                "job": service.name,
                "state": str(service.state),
                "reason": service.reason,
                "since": _instant(service.since),
                "restarts": service.restarts,
                "life": None if run is None else _process_fields(now, run),
            }
            for service, run in services
        ],
        "next": [{"job": name, "due": _instant(due.timestamp())} for due, name in scheduler.upcoming(_MOST_NEXT)],
        "last_reload": None if reloader.last_read is None else _instant(reloader.last_read),
        "reading_since": None if reloader.reading_since is None else _instant(reloader.reading_since),
        "problem": reloader.problem or None,
    }


def _counts(scheduler: Scheduler) -> dict[str, int]:
    """How often each outcome came since the start, of all jobs; those that came."""
    return {name: number for name, number in scheduler.counts.total.as_dict().items() if number}


def _parted(roll: Roll, scheduler: Scheduler) -> tuple[list[Current], list[tuple[ServiceStatus, Current | None]]]:
    """The runs of jobs, and the services with their present lives."""
    services = scheduler.services
    current = roll.current()
    lives = {run.run_id: run for run in current}
    jobs = [run for run in current if run.job not in services]
    return jobs, [(each, lives.get(each.run.id) if each.run else None) for each in services.values()]


def _process(now: float, run: Current) -> str:
    pid = "no process" if run.pid is None else f"pid {run.pid}"
    return f"{pid}, since {_instant(run.since)} ({duration(now - run.since)}), attempt {run.attempt}"


def _process_fields(now: float, run: Current) -> dict[str, object]:
    return {
        "run": run.run_id,
        "pid": run.pid,
        "since": _instant(run.since),
        "seconds": round(now - run.since, 3),
        "attempt": run.attempt,
    }


def _files(reloader: Reloader) -> list[str]:
    at = "" if reloader.last_read is None else f" at {_instant(reloader.last_read)}"
    told = f"read again{at}" if at else "as they were at the start"
    if reloader.reading_since is not None:
        told += f"; being read since {_instant(reloader.reading_since)}"
    if not reloader.problem:
        return [told]
    return [f"{told}; what is on disk is wrong, and what was there before goes on:", *reloader.problem.splitlines()]


def _instant(time: float) -> str:
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
