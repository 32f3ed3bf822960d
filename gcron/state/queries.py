"""The SQL that reads: runs in pages, summaries of jobs, and what a start has to know."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from gcron.scheduler.history import (
    Fire,
    JobMemory,
    JobSummary,
    OpenRun,
    Pause,
    RunPage,
    RunQuery,
    StoredRun,
    read_cursor,
    write_cursor,
)
from gcron.scheduler.job import Job
from gcron.scheduler.messages import KeptMessage
from gcron.state.database import chunks, marks, storable
from gcron.state.rules import RUN_COLUMNS, read_chain, valid_chain
from gcron.state.writing import read_boot_id
from gcron.supervise.outcome import FAILURES, ON_PURPOSE, Outcome

__all__ = [
    "all_runs",
    "count",
    "failure_conditions",
    "find_claims",
    "find_memories",
    "find_messages",
    "find_open_runs",
    "find_run",
    "find_runs",
    "find_sessions",
    "find_summaries",
]

_RUN = ", ".join(RUN_COLUMNS)
_SUMMARY = (
    "name, recent, signs, runs, succeeded, failed, skipped, missed, last_finished, last_success, last_duration, "
    "CASE WHEN succeeded THEN seconds / succeeded END, longest, last_fire, "
    "paused, paused_until, paused_by, paused_why"
)
_MEMORY = "name, since, last_fire, claimed, last_success, paused, paused_until, paused_by, paused_why, chain"
_NEWEST_FIRST = "ORDER BY created DESC, number DESC LIMIT ?"

_MESSAGES_AT_ONCE = 100

Parameters = list[object]


# -- runs -------------------------------------------------------------------------------------------------------


def find_run(connection: sqlite3.Connection, run_id: str) -> StoredRun | None:
    """The run with that id."""
    row = connection.execute(f"SELECT {_RUN} FROM run WHERE run_id = ?", (storable(run_id),)).fetchone()
    return None if row is None else StoredRun(*row)


def find_runs(connection: sqlite3.Connection, query: RunQuery) -> RunPage:
    """A page of runs. Raises ValueError for a wrong cursor."""
    where, values = _condition(query)
    branches: list[str] = []
    parameters: Parameters = []
    # One branch for each outcome: its index gives its newest ones at once, and all of them together are few.
    for condition, more in _outcome_conditions(query):
        conditions = " AND ".join([*where, condition])
        branches.append(f"SELECT * FROM (SELECT number, created FROM run WHERE {conditions} {_NEWEST_FIRST})")
        parameters += [*values, *more, query.limit + 1]
    if not branches:
        return RunPage(())
    page = f"SELECT number FROM ({' UNION ALL '.join(branches)}) {_NEWEST_FIRST}"
    sql = f"SELECT number, {_RUN} FROM run WHERE number IN ({page}) ORDER BY created DESC, number DESC"
    rows = connection.execute(sql, [*parameters, query.limit + 1]).fetchall()
    runs = tuple(StoredRun(*row[1:]) for row in rows[: query.limit])
    if len(rows) <= query.limit or not runs:
        return RunPage(runs)
    return RunPage(runs, write_cursor(runs[-1].created, rows[query.limit - 1][0]))


def _outcome_conditions(query: RunQuery) -> list[tuple[str, Parameters]]:
    if query.failed:
        return failure_conditions(query.outcomes or FAILURES)
    return [("outcome = ?", [outcome]) for outcome in sorted(query.outcomes)] or [("1", [])]


def failure_conditions(outcomes: Collection[str] = FAILURES) -> list[tuple[str, Parameters]]:
    """The conditions, with their parameters, of which one holds for a run that failed: `is_failure` in SQL."""
    conditions: list[tuple[str, Parameters]] = []
    for outcome in sorted(FAILURES.intersection(outcomes)):
        if outcome == Outcome.KILLED:
            conditions.append((f"outcome = ? AND reason_code NOT IN ({marks([*ON_PURPOSE])})", [outcome, *ON_PURPOSE]))
        else:
            conditions.append(("outcome = ?", [outcome]))
    return conditions


def _condition(query: RunQuery) -> tuple[list[str], Parameters]:
    where: list[str] = []
    values: Parameters = []
    if query.job is not None:
        where.append("job = ?")
        values.append(storable(query.job))
    if query.since is not None:
        where.append("created >= ?")
        values.append(query.since)
    if query.until is not None:
        where.append("created < ?")
        values.append(query.until)
    if query.cursor:
        where.append("(created, number) < (?, ?)")
        values += read_cursor(query.cursor)
    return where, values


def all_runs(connection: sqlite3.Connection) -> Iterator[StoredRun]:
    """All of them, oldest first."""
    for row in connection.execute(f"SELECT {_RUN} FROM run ORDER BY created, number"):
        yield StoredRun(*row)


def find_open_runs(connection: sqlite3.Connection, session: int) -> Iterator[OpenRun]:
    """Runs without an outcome of other sessions than this, oldest first."""
    columns = ", ".join(f"run.{name}" for name in RUN_COLUMNS)
    rows = connection.execute(
        f"SELECT coalesce(boot_id, ''), {columns} FROM run LEFT JOIN session ON session.number = run.session "
        "WHERE outcome = '' AND session <> ? ORDER BY created, run.number",
        (session,),
    )
    for boot_id, *run in rows:
        yield OpenRun(StoredRun(*run), boot_id)


def find_claims(connection: sqlite3.Connection, jobs: Sequence[Job]) -> list[Fire]:
    """Fires of these jobs, and of others, that were claimed and have no outcome, by job and time.

    Not those of which there is a record: a claim that took too long may come after it.
    """
    rows = connection.execute(
        "SELECT job, fire_at, waits FROM claim WHERE NOT EXISTS ("
        "SELECT 1 FROM run WHERE run.job = claim.job AND run.created >= claim.fire_at - 1 "
        "AND claim.fire_at BETWEEN run.fire_at AND coalesce(run.last_fire_at, run.fire_at)) ORDER BY job, fire_at"
    )
    texts = {storable(job.name): job.name for job in jobs}
    return [Fire(texts.get(text, text), fire_at, bool(waits)) for text, fire_at, waits in rows]


def find_sessions(connection: sqlite3.Connection, session: int) -> tuple[str, bool, frozenset[int]]:
    """The id of the machine's boot, whether another gcron began in it, and pids of those that ended out of order."""
    boot_id = read_boot_id()
    rows = connection.execute(
        "SELECT pid, ended FROM session WHERE boot_id = ? AND boot_id <> '' AND number <> ?", (boot_id, session)
    ).fetchall()
    return boot_id, bool(rows), frozenset(pid for pid, ended in rows if ended is None)


# -- jobs -------------------------------------------------------------------------------------------------------


def find_summaries(connection: sqlite3.Connection, names: Sequence[str] | None) -> dict[str, JobSummary]:
    """How jobs did: these, or all."""
    if names is None:
        return {row[0]: _summary(row[0], row) for row in connection.execute(f"SELECT {_SUMMARY} FROM job")}
    summaries = {}
    texts = {storable(name): name for name in names}
    for some in chunks(list(texts)):
        for row in connection.execute(f"SELECT {_SUMMARY} FROM job WHERE name IN ({marks(some)})", some):
            name = texts[row[0]]
            summaries[name] = _summary(name, row)
    return summaries


def _summary(name: str, row: Sequence[Any]) -> JobSummary:
    values = [*row[1:-4], _pause(*row[-4:])]
    return JobSummary(name, *values)


def _pause(since: float | None, until: float | None, who: str, why: str) -> Pause | None:
    return None if since is None else Pause(since, until, who, why)


def find_memories(
    connection: sqlite3.Connection, jobs: Sequence[Job], new: set[str], now: float
) -> dict[str, JobMemory]:
    """What is known of these jobs; `new` are those that were unknown, or fire by another schedule than before."""
    texts = {storable(job.name): job.name for job in jobs}
    memories = {name: JobMemory(now, is_new=True, since=now) for name in new}
    for row in connection.execute(f"SELECT {_MEMORY} FROM job"):
        text, *times, who, why, chain = row
        if (name := texts.get(text)) is None:
            continue
        # SQLite keeps whatever it is given. One wrong value must not hide the past of all jobs.
        times = [time if isinstance(time, int | float) else None for time in times]
        since, last_fire, claimed, last_success, paused, until = times
        if name in new:
            since = now
        if since is None:
            continue
        times = [since, last_fire, claimed]
        memories[name] = JobMemory(
            now if name in new else max(time for time in times if time is not None),
            name in new,
            last_success,
            _pause(paused, until, who, why),
            since,
            valid_chain(read_chain(chain), claimed),
        )
    return memories


def find_messages(connection: sqlite3.Connection, after: KeptMessage | None) -> list[KeptMessage]:
    """Messages that are to be delivered, oldest first. Some only: each may be as large as the output of a run."""
    where, place = "1", Parameters()
    if after is not None:
        where, place = "(time, message_id, target) > (?, ?, ?)", [after.time, after.message_id, storable(after.target)]
    rows = connection.execute(
        f"SELECT message_id, target, time, text FROM message WHERE {where} ORDER BY time, message_id, target LIMIT ?",
        [*place, _MESSAGES_AT_ONCE],
    )
    return [KeptMessage(*row) for row in rows]


def count(connection: sqlite3.Connection) -> tuple[int, int, float | None]:
    """How many jobs and runs there are, and when the oldest run was created."""
    (jobs,) = connection.execute("SELECT count(*) FROM job WHERE removed IS NULL").fetchone()
    runs, oldest = connection.execute("SELECT count(*), min(created) FROM run").fetchone()
    return jobs, runs, oldest
