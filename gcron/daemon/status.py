"""The status that USR1 asks for: what runs, what is next, how the last reload went. For people and for machines."""

from __future__ import annotations

from gcron.daemon.formats.text import duration
from gcron.daemon.reloading import Reloader
from gcron.policy.services import is_chained
from gcron.scheduler import Run, Scheduler, ServiceStatus
from gcron.scheduler.records import Record, instant, run_record, service_record

__all__ = ["status_fields", "status_lines"]

_MOST_NEXT = 10


def status_lines(now: float, scheduler: Scheduler, reloader: Reloader) -> list[str]:
    """The status for people."""
    jobs = _runs_of_jobs(scheduler)
    count = len(scheduler.jobs)
    lines = [f"status: {count} job{'' if count == 1 else 's'}, {len(jobs)} running"]
    if counts := _counts(scheduler):
        lines.append("  so far   " + ", ".join(f"{number} {name.replace('_', '-')}" for name, number in counts.items()))
    lines += [f"  running  {run.job}: {_process(now, run)}, run {run.run_id}" for run in jobs]
    lines += [f"  service  {_service(now, service)}" for service in scheduler.services.values()]
    lines += [f"  next     {due:%Y-%m-%d %H:%M:%SZ}  {name}" for due, name in scheduler.upcoming(_MOST_NEXT)]
    lines += [f"  chain    {name}: {waits}" for name, waits in _chains(now, scheduler)]
    lines += [f"  files    {line}" for line in _files(reloader)]
    return lines + [f"  history  {line}" for line in _history_lines(scheduler)]


def status_fields(now: float, scheduler: Scheduler, reloader: Reloader) -> Record:
    """The status for machines."""
    return {
        "jobs": len(scheduler.jobs),
        "counts": _counts(scheduler),
        "running": [run_record(run, now) for run in _runs_of_jobs(scheduler)],
        "services": [service_record(service, now) for service in scheduler.services.values()],
        "next": [{"job": name, "due": instant(int(due.timestamp()))} for due, name in scheduler.upcoming(_MOST_NEXT)],
        "chains": [{"job": name, "waits": waits} for name, waits in _chains(now, scheduler)],
        "last_reload": instant(reloader.last_read),
        "reading_since": instant(reloader.reading_since),
        "problem": reloader.problem or None,
        "history": _history_fields(scheduler),
    }


def _runs_of_jobs(scheduler: Scheduler) -> list[Run]:
    services = scheduler.services
    return [run for run in scheduler.running() if run.job not in services]


def _chains(now: float, scheduler: Scheduler) -> list[tuple[str, str]]:
    """The jobs that run after others, and what each waits for."""
    from gcron.control.chain_words import waits_words  # no start needs it

    chained = scheduler.statuses(job.name for job in scheduler.jobs if is_chained(job))
    return [(status.name, waits_words(status, now)) for status in chained]


def _counts(scheduler: Scheduler) -> dict[str, int]:
    """How often each outcome came since the start, of all jobs; without zeros."""
    return {name: number for name, number in scheduler.counts.total.as_dict().items() if number}


def _process(now: float, run: Run) -> str:
    pid = "no process" if run.pid is None else f"pid {run.pid}"
    since = run.started_at or run.created_at
    return f"{pid}, since {instant(int(since))} ({duration(now - since)}), attempt {max(1, run.attempt)}"


def _service(now: float, service: ServiceStatus) -> str:
    reason = f": {service.reason}" if service.reason else ""
    life = "" if service.run is None else f"; {_process(now, service.run)}"
    since = f"since {instant(int(service.since))}, {service.restarts} restarts"
    return f"{service.name}: {service.state}{reason}, {since}{life}"


def _history_fields(scheduler: Scheduler) -> Record:
    health = scheduler.store.health
    return {"problem": health.problem or None, "since": instant(health.since), "lost": health.lost}


def _history_lines(scheduler: Scheduler) -> list[str]:
    """Nothing when all is well."""
    health = scheduler.store.health
    lost = [f"{health.lost} runs of it are lost since the start"] if health.lost else []
    if health.since is None:
        return lost
    return [f"does not work since {instant(int(health.since))}: {health.problem}", *lost]


def _files(reloader: Reloader) -> list[str]:
    at = "" if reloader.last_read is None else f" at {instant(int(reloader.last_read))}"
    state = f"read again{at}" if at else "as they were at the start"
    if reloader.reading_since is not None:
        state += f"; being read since {instant(int(reloader.reading_since))}"
    if not reloader.problem:
        return [state]
    return [f"{state}; what is on disk is wrong, and the jobs of before go on:", *reloader.problem.splitlines()]
