"""The SQL that reads: runs in pages, summaries of jobs, what a start has to know. `{s}` is the schema, quoted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from gcron.scheduler.messages import KeptMessage
from gcron.state.postgres.connections import Rows
from gcron.state.postgres.records import storable
from gcron.state.rules import RUN_COLUMNS, read_chain, valid_chain
from gcron.supervise.outcome import FAILURES, ON_PURPOSE, Outcome

__all__ = [
    "CLAIMS",
    "COUNTS",
    "DEFINITIONS",
    "MEMORIES",
    "MESSAGES",
    "OPEN_RUNS",
    "OUTPUT",
    "PROCESSES",
    "RUN",
    "SUMMARIES",
    "SUMMARIES_OF",
    "fires_of",
    "memories_of",
    "messages_of",
    "open_runs_of",
    "page_of_rows",
    "query_of_runs",
    "summaries_of",
]

_RUN = ", ".join(f"r.{name}" for name in RUN_COLUMNS)
_MESSAGES_AT_ONCE = 100

RUN = f"SELECT {_RUN} FROM {{s}}.run r WHERE r.run_id = %s"
_SUMMARY = """SELECT j.name, j.recent, j.signs, j.runs, j.succeeded, j.failed, j.skipped, j.missed, j.last_finished,
    j.last_success, j.last_duration, CASE WHEN j.succeeded > 0 THEN j.seconds / j.succeeded END, j.longest, j.last_fire,
    p.since, p.until, p.who, p.why
    FROM {s}.job j LEFT JOIN {s}.pause p ON p.job = j.name"""
SUMMARIES = _SUMMARY
SUMMARIES_OF = _SUMMARY + " WHERE j.name = ANY (%s)"
COUNTS = """SELECT (SELECT count(DISTINCT name) FROM {s}.definition WHERE removed IS NULL),
    (SELECT count(*) FROM {s}.run), (SELECT min(created) FROM {s}.run),
    (SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint FROM pg_class c
        WHERE c.relnamespace = to_regnamespace(%s) AND c.relkind = 'r')"""
OUTPUT = "SELECT head, tail_start, tail, size FROM {s}.output WHERE run_id = %s"
MESSAGES = f"""SELECT message_id, target, time, text FROM {{s}}.message
    WHERE node = %s AND (time, message_id, target) > (%s, %s, %s)
    ORDER BY time, message_id, target LIMIT {_MESSAGES_AT_ONCE}"""

# -- what a start has to know -----------------------------------------------------------------------------------

DEFINITIONS = "SELECT name, schedule, keep_runs, keep_for FROM {s}.definition WHERE node = %s AND removed IS NULL"
# Of jobs that nodes share, also what other nodes did: the last claim is the last fire that was handled.
MEMORIES = """SELECT n.name, d.since,
    greatest(d.last_fire, t.floor, t.restarted, (SELECT max(c.fire_at) FROM {s}.claim c
        WHERE c.job = n.name AND c.trigger = '')),
    d.claimed, CASE WHEN t.job IS NULL THEN d.last_success ELSE j.last_success END,
    p.since, p.until, p.who, p.why, d.chain
    FROM (SELECT unnest(%s::text[]) COLLATE "C" AS name) n
    LEFT JOIN {s}.definition d ON d.name = n.name AND d.node = %s LEFT JOIN {s}.turn t ON t.job = n.name
    LEFT JOIN {s}.job j ON j.name = n.name LEFT JOIN {s}.pause p ON p.job = n.name"""
# Of this node; those that nodes share only as far as it still has them.
OPEN_RUNS = f"""SELECT coalesce(i.boot_id, ''), {_RUN} FROM {{s}}.run r
    LEFT JOIN {{s}}.incarnation i ON i.number = r.incarnation
    WHERE r.outcome = '' AND r.node = %s AND r.incarnation <> %s AND coalesce(i.started, 0) <> %s
        AND (r.fence = 0 OR EXISTS (SELECT 1 FROM {{s}}.claim c WHERE c.fence = r.fence AND c.incarnation = %s))
    ORDER BY r.created, r.number"""
CLAIMS = """SELECT c.job, c.fire_at, c.waits, 0 FROM {s}.own_claim c WHERE c.node = %s AND NOT EXISTS (
        SELECT 1 FROM {s}.run r WHERE r.job = c.job AND r.created >= c.fire_at - 1
            AND c.fire_at BETWEEN r.fire_at AND coalesce(r.last_fire_at, r.fire_at))
    UNION ALL SELECT c.job, c.fire_at, false, c.fence FROM {s}.claim c
        WHERE c.incarnation = %s AND c.state = 'claimed' AND c.run_id IS NULL AND c.trigger = '' AND c.fire_at <> 0
            AND c.claimed_at < (SELECT i.started FROM {s}.incarnation i WHERE i.number = c.incarnation)
    ORDER BY 1, 2"""
HELD = "SELECT c.fence FROM {s}.claim c WHERE c.incarnation = %s AND c.state = 'claimed'"
PROCESSES = """SELECT DISTINCT pid, ended IS NULL FROM {s}.incarnation
    WHERE node = %s AND boot_id = %s AND boot_id <> '' AND started <> %s"""


def memories_of(rows: Rows, names: Mapping[str, str], new: set[str], now: float) -> dict[str, JobMemory]:
    """What is known of jobs; `names`: by what is stored; `new`: unknown, or with another schedule than before."""
    memories = {}
    for text, since, handled, claimed, last_success, *pause, chain in rows:
        name = names[text]
        is_new = name in new
        since = now if is_new else since
        times = [time for time in (since, handled, claimed) if time is not None]
        handled_until = now if is_new else max(times)
        chain = valid_chain(read_chain(chain), claimed)
        memories[name] = JobMemory(handled_until, is_new, last_success, _pause(*pause), since, chain)
    return memories


def open_runs_of(rows: Rows) -> tuple[OpenRun, ...]:
    """Runs without an end, each with the boot in which it began."""
    return tuple(OpenRun(StoredRun(*run), boot_id) for boot_id, *run in rows)


def fires_of(rows: Rows, names: Mapping[str, str]) -> tuple[Fire, ...]:
    """Fires that were claimed and have no outcome."""
    return tuple(Fire(names.get(text, text), fire_at, waits, fence=fence) for text, fire_at, waits, fence in rows)


# -- history ----------------------------------------------------------------------------------------------------


def query_of_runs(query: RunQuery) -> tuple[str, list[object]]:
    """The statement for a page of runs, and its values. Raises ValueError for a wrong cursor."""
    where, values = _condition(query)
    newest_first = "ORDER BY created DESC, number DESC LIMIT %s"
    branches: list[str] = []
    parameters: list[object] = []
    # One branch for each outcome: its index gives its newest ones at once, and all of them together are few.
    for condition, more in _outcome_conditions(query):
        conditions = " AND ".join([*where, condition])
        branches.append(f"(SELECT number, created FROM {{s}}.run WHERE {conditions} {newest_first})")
        parameters += [*values, *more, query.limit + 1]
    page = f"SELECT number FROM ({' UNION ALL '.join(branches)}) found {newest_first}"
    sql = f"SELECT r.number, {_RUN} FROM {{s}}.run r WHERE r.number IN ({page}) ORDER BY r.created DESC, r.number DESC"
    return sql, [*parameters, query.limit + 1]


def _outcome_conditions(query: RunQuery) -> list[tuple[str, list[object]]]:
    if not query.failed:
        return [("outcome = %s", [str(outcome)]) for outcome in sorted(query.outcomes)] or [("true", [])]
    on_purpose = [str(code) for code in ON_PURPOSE]
    found: list[tuple[str, list[object]]] = []
    for outcome in sorted(FAILURES.intersection(query.outcomes or FAILURES)):
        if outcome == Outcome.KILLED:
            found.append(("outcome = %s AND reason_code <> ALL (%s)", [str(outcome), on_purpose]))
        else:
            found.append(("outcome = %s", [str(outcome)]))
    return found or [("false", [])]


def _condition(query: RunQuery) -> tuple[list[str], list[object]]:
    where: list[str] = []
    values: list[object] = []
    if query.job is not None:
        where.append("job = %s")
        values.append(storable(query.job))
    if query.since is not None:
        where.append("created >= %s")
        values.append(query.since)
    if query.until is not None:
        where.append("created < %s")
        values.append(query.until)
    if query.cursor:
        where.append("(created, number) < (%s::double precision, %s::bigint)")
        values += read_cursor(query.cursor)
    return where, values


def page_of_rows(rows: Rows, limit: int) -> RunPage:
    """A page, of which there is one row more if another page follows."""
    runs = tuple(StoredRun(*row[1:]) for row in rows[:limit])
    if len(rows) <= limit or not runs:
        return RunPage(runs)
    return RunPage(runs, write_cursor(runs[-1].created, rows[limit - 1][0]))


def summaries_of(rows: Rows, names: Mapping[str, str]) -> dict[str, JobSummary]:
    """How jobs did, by name."""
    summaries = {}
    for text, *values, since, until, who, why in rows:
        name = names.get(text, text)
        summaries[name] = JobSummary(name, *[*values, _pause(since, until, who, why)])
    return summaries


def messages_of(rows: Sequence[Sequence[Any]]) -> list[KeptMessage]:
    """Messages that are to be delivered."""
    return [KeptMessage(*row) for row in rows]


def _pause(since: float | None, until: float | None, who: str | None, why: str | None) -> Pause | None:
    return None if since is None else Pause(since, until, who or "", why or "")
