"""What can be asked. Each function returns plain data; all are for the thread of the scheduler, and may park.

A list comes in pages: at most `limit` items, and a cursor that asks for the next page, or None. Long work is done in
small parts, with a turn for others in between: no question delays a fire. The history is read in threads, by the store.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TypeVar

from gcron.control.chain_words import waits_words
from gcron.control.errors import ControlError
from gcron.control.instance import AT_ONCE, Instance
from gcron.control.messages import counts_record
from gcron.control.nodes import nodes, others_up, runs_elsewhere, why_not_here
from gcron.control.records import full_run_record, job_details, job_record, live_run_record, remote_run_record
from gcron.runtime.greenlet import sleep
from gcron.scheduler.door import StoreUnavailable
from gcron.scheduler.history import JobSummary, OutputPart, RunQuery, StoredRun
from gcron.scheduler.job import Job
from gcron.scheduler.records import Record, instant
from gcron.scheduler.status import JobStatus
from gcron.supervise.run import Run
from gcron.version import __version__

__all__ = [
    "ask_history",
    "find_jobs",
    "groups",
    "instance",
    "job",
    "jobs",
    "jobs_without_history",
    "live_run",
    "output_part",
    "run",
    "runs",
    "services",
    "some_jobs",
    "upcoming",
]

T = TypeVar("T")

_FIRES_SHOWN = 10
# A run that has just ended is written within a moment: seconds between two looks, and how many.
_PAUSE, _TRIES = 0.1, 4


def ask_history(ask: Callable[[], T]) -> T:
    """What the store answers. Raises ControlError when it does not."""
    try:
        return ask()
    except StoreUnavailable as error:
        raise ControlError("no-history", f"the history cannot be read now: {error}") from None


# -- the instance -------------------------------------------------------------------------------------------------


def instance(gcron: Instance) -> Record:
    """This gcron: version, process, crontabs, how the last reload went, whether its store works, and some counts."""
    scheduler = gcron.scheduler
    jobs = scheduler.jobs
    record: Record = {
        "instance": gcron.name,
        "version": __version__,
        "pid": gcron.pid,
        "since": instant(gcron.since),
        "now": instant(gcron.clock.now()),
        "crontabs": list(gcron.crontabs),
        "jobs": len(jobs),
        "services": len(scheduler.services),
        "running": len(scheduler.running()),
        "stopping": scheduler.is_stopping,
        "counts": scheduler.counts.total.as_dict(),
        "messages": [counts_record(counts) for counts in scheduler.message_counts],
        "store": _store(gcron),
        "reload": None,
        "nodes": nodes(gcron),
    }
    if gcron.reload is not None:
        record["reload"] = {
            "last_reload": instant(gcron.reload.last_read),
            "reading_since": instant(gcron.reload.reading_since),
            "problem": gcron.reload.problem or None,
        }
    return record


def _store(gcron: Instance) -> Record:
    store = gcron.scheduler.store
    health = store.health
    record: Record = {
        "where": None,
        "runs": None,
        "oldest": None,
        "size": None,
        "output_size": None,
        "problem": health.problem or None,
        "problem_since": instant(health.since),
        "lost": health.lost,
    }
    try:
        facts = store.facts()
    except StoreUnavailable as error:
        return record | {"problem": health.problem or str(error)}
    return record | {
        "where": facts.where,
        "runs": facts.runs,
        "oldest": instant(facts.oldest),
        "size": facts.size,
        "output_size": facts.output_size,
    }


# -- jobs ---------------------------------------------------------------------------------------------------------


def jobs(gcron: Instance, limit: int = 100, cursor: str = "") -> tuple[list[Record], str | None]:
    """How the jobs stand, services too, in the order of the crontabs."""
    everyone = gcron.scheduler.jobs
    first = _position(everyone, cursor)
    page = everyone[first : first + limit]
    following = first + len(page)
    return _job_records(gcron, page), f"{following}:{page[-1].name}" if following < len(everyone) and page else None


def _position(everyone: Sequence[Job], cursor: str) -> int:
    """Where the page after the one that ended with this cursor begins, also when jobs have come or gone since."""
    if not cursor:
        return 0
    number, found, name = cursor.partition(":")
    if not (found and number.isascii() and number.isdigit() and len(number) < 10):
        raise ControlError("bad-cursor", f"{cursor!r} is no cursor: take the one that came with the page before")
    position = int(number)
    if 0 < position <= len(everyone) and everyone[position - 1].name == name:
        return position
    return next((index + 1 for index, job in enumerate(everyone) if job.name == name), position)


def find_jobs(gcron: Instance, text: str) -> list[Record]:
    """The one job that a person means by its name, by a part of it, or by `crontab:12`."""
    return _job_records(gcron, [gcron.find(text)])


def some_jobs(gcron: Instance, names: Sequence[str]) -> list[Record]:
    """How the jobs of these names stand; those that are gone are left out."""
    return _job_records(gcron, [job for name in names if (job := gcron.scheduler.get_job(name)) is not None])


def job(gcron: Instance, name: str) -> Record:
    """All about one job: how it stands, its definition, its next fires."""
    found = gcron.job(name)
    (record,) = _job_records(gcron, [found])
    fires = [] if why_not_here(gcron, found) else [instant(fire) for fire in _next_fires(gcron, found)]
    waits = why_not_here(gcron, found) or waits_words(gcron.scheduler.status(found.name), gcron.clock.now())
    return record | job_details(found) | {"next_fires": fires, "waits": waits}


def _next_fires(gcron: Instance, job: Job) -> Iterable[int]:
    if not job.policy.enabled:
        return ()
    begin = gcron.clock.now()
    status = gcron.scheduler.status(job.name)
    if status.is_paused:
        if status.pause is None or status.pause.until is None:
            return ()
        begin = max(begin, status.pause.until)
    return islice(_fires(job, int(begin), None), _FIRES_SHOWN)


def jobs_without_history(gcron: Instance) -> list[Record]:
    """How all jobs stand, without what only the history knows: for when it does not answer."""
    return _records_of(gcron, [job.name for job in gcron.scheduler.jobs], {}, {})


def _job_records(gcron: Instance, page: Sequence[Job]) -> list[Record]:
    names = [job.name for job in page]
    summaries = ask_history(lambda: gcron.scheduler.store.summaries(names)) if names else {}
    return _records_of(gcron, names, summaries, runs_elsewhere(gcron))


def _records_of(
    gcron: Instance,
    names: Sequence[str],
    summaries: Mapping[str, JobSummary],
    elsewhere: Mapping[str, Sequence[StoredRun]],
) -> list[Record]:
    records = []
    now = gcron.clock.now()
    for status in _statuses(gcron, names):
        summary: JobSummary | None = summaries.get(status.name)
        records.append(job_record(status, summary, now, elsewhere.get(status.name, ())))
    return records


def _statuses(gcron: Instance, names: Sequence[str]) -> Iterator[JobStatus]:
    for start in range(0, len(names), AT_ONCE):
        if start:
            sleep(0)
        # Those that have gone meanwhile are left out.
        yield from gcron.scheduler.statuses(names[start : start + AT_ONCE])


def services(gcron: Instance) -> list[Record]:
    """How the services stand, in the order of the crontabs."""
    standing = gcron.scheduler.services
    return _job_records(gcron, [job for job in gcron.scheduler.jobs if job.name in standing])


def groups(gcron: Instance) -> list[Record]:
    """The groups with their limits, the runs that have a place, and those that wait for one."""
    return [
        {
            "group": group.name,
            "limit": group.limit,
            "running": [{"job": run.job, "run_id": run.run_id} for run in group.inside],
            "waiting": [{"job": run.job, "run_id": run.run_id} for run in group.waiting],
        }
        for group in gcron.scheduler.groups
    ]


# -- fires to come ------------------------------------------------------------------------------------------------


def upcoming(
    gcron: Instance, start: float | None = None, end: float | None = None, limit: int = 100, name: str | None = None
) -> list[Record]:
    """The fires after `start` (by default now) and up to `end`, of all jobs or of one, at most `limit`.

    Jobs that are paused or not enabled have none.
    """
    first = int(gcron.clock.now() if start is None else start)
    last = None if end is None else int(end)
    chosen = gcron.scheduler.jobs if name is None else (gcron.job(name),)
    heap: list[tuple[int, int]] = []
    for index, job in enumerate(chosen):
        if index and index % AT_ONCE == 0:
            sleep(0)
        if not job.policy.enabled or gcron.scheduler.is_paused(job.name):
            continue
        fire = next(_fires(job, first, last), None)
        if fire is not None:
            heap.append((fire, index))
    heapq.heapify(heap)
    records: list[Record] = []
    while heap and len(records) < limit:
        fire, index = heap[0]
        records.append({"at": instant(fire), "job": chosen[index].name})
        if len(records) % AT_ONCE == 0:
            sleep(0)
        following = next(_fires(chosen[index], fire, last), None)
        if following is None:
            heapq.heappop(heap)
        else:
            heapq.heapreplace(heap, (following, index))
    return records


def _fires(job: Job, after: int, last: int | None) -> Iterator[int]:
    fire = job.schedule.next_after(after)
    while fire is not None and (last is None or fire <= last):
        yield fire
        fire = job.schedule.next_after(fire)


# -- runs ---------------------------------------------------------------------------------------------------------


def runs(gcron: Instance, query: RunQuery) -> tuple[list[Record], str | None]:
    """Runs of the history and those under way, newest first, in pages."""
    if query.job is not None and gcron.scheduler.get_job(query.job) is None and not _has_history(gcron, query.job):
        gcron.job(query.job)  # raises, with the nearest names
    try:
        page = ask_history(lambda: gcron.scheduler.store.runs(query))
    except ValueError as error:
        raise ControlError("bad-cursor", str(error)) from None
    live = {run.run_id: run for run in gcron.scheduler.running()}
    now = gcron.clock.now()
    others = others_up(gcron)
    return [_run_record(stored, live.get(stored.run_id), others, now) for stored in page.runs], page.cursor or None


def _has_history(gcron: Instance, name: str) -> bool:
    """Whether there was a job of that name."""
    return bool(ask_history(lambda: gcron.scheduler.store.runs(RunQuery(job=name, limit=1))).runs)


def _run_record(stored: StoredRun, live: Run | None, others: Collection[str], now: float) -> Record:
    if live is not None and not stored.outcome:
        return live_run_record(live, now)
    return remote_run_record(stored, now) if stored.node in others and not stored.outcome else full_run_record(stored)


def live_run(gcron: Instance, run_id: str) -> Run | None:
    """The run under way with that id."""
    return next((run for run in gcron.scheduler.running() if run.run_id == run_id), None)


def run(gcron: Instance, run_id: str) -> Record:
    """All of one run's record, from the history or while it is under way."""
    for attempt in range(_TRIES):
        if attempt:
            sleep(_PAUSE)
        live = live_run(gcron, run_id)
        if live is not None:
            return live_run_record(live, gcron.clock.now())
        stored = ask_history(lambda: gcron.scheduler.store.run(run_id))
        if stored is not None and (stored.outcome or stored.node in others_up(gcron)):
            break
    if stored is None:
        text = f"there is no run {run_id!r}: the history does not reach back to it, or it never was"
        raise ControlError("no-such-run", text, run_id=run_id)
    return _run_record(stored, None, others_up(gcron), gcron.clock.now())


def output_part(gcron: Instance, run_id: str, position: int, limit: int = 65536) -> OutputPart | None:
    """A part of what the run wrote; None when nothing of it is kept."""
    return ask_history(lambda: gcron.scheduler.store.output(run_id, position, limit))
