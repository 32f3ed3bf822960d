"""How long history is kept, and the deletion of what is older, in small steps beside the work.

A run is kept while it is among the newest `Keep.runs` of its job and not older than `Keep.age`. The newest ten failures
of a job are kept in any case; a run that was stopped on request is none.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice

from gcron.scheduler.history import StoredRun
from gcron.state.database import Database, marks, storable
from gcron.state.output import OutputFiles
from gcron.state.queries import failure_conditions
from gcron.state.rules import KEPT_FAILURES, Keep

__all__ = ["Retention", "limits_of", "prune"]

# Runs that one step deletes at most, and jobs that it looks at.
_MOST_DELETED, _JOBS_AT_ONCE = 500, 20
# Files of output that one step compares with the history.
_FILES_AT_ONCE = 500
# So many runs of a job may end before it is looked at again.
_CROWD = 20
# Seconds between two steps while there is more to do; between two rounds through all jobs; between start and first.
_PAUSE, _ROUND, _FIRST_ROUND = 0.2, 3600.0, 60.0
# Output without a run is left alone for so many seconds: its run may not be written yet.
_YOUNG = 3600.0


class Retention:
    """Deletes what need not be kept any more from `database` and `output`; each `step` is short."""

    def __init__(self, keep: Keep, database: Database, output: OutputFiles, now: float) -> None:
        self._keep = keep
        self._database = database
        self._output = output
        self._new: Counter[str] = Counter()
        """How many runs of a job have ended since it was looked at."""
        self._next_round = now + _FIRST_ROUND
        self._round: Iterator[bool] | None = None

    def note(self, runs: Iterable[StoredRun]) -> None:
        """These runs were written."""
        self._new.update(storable(run.job) for run in runs if run.outcome)

    def step(self, now: float) -> float:
        """Do a little; returns after how many seconds to do more."""
        crowded = [job for job, count in self._new.items() if count > _CROWD]
        if crowded:
            for job in crowded[:_JOBS_AT_ONCE]:
                del self._new[job]
                self._prune(job, now)
            return _PAUSE
        if self._round is None and now >= self._next_round:
            self._round = self._go_round(now)
        if self._round is None:
            return max(_PAUSE, self._next_round - now)
        if next(self._round, False):
            return _PAUSE
        self._round, self._next_round = None, now + _ROUND
        return _ROUND

    def go_round(self, now: float) -> None:
        """Delete at once all that need not be kept."""
        for _ in self._go_round(now):
            pass

    def _prune(self, job: str, now: float) -> bool:
        """Delete some runs of a job; True when there may be more to delete."""
        with self._database.transaction() as connection:
            deleted, rows = prune(connection, job, limits_of(connection, job, self._keep), now, _MOST_DELETED)
        self._output.delete(deleted)
        return rows == _MOST_DELETED

    # -- a round through everything -------------------------------------------------------------------------

    def _go_round(self, now: float) -> Iterator[bool]:
        """Look at all jobs and all files; yields True after each step."""
        last = ""
        while True:
            with self._database.reading() as connection:
                names = [
                    name
                    for (name,) in connection.execute(
                        "SELECT name FROM job WHERE name > ? ORDER BY name LIMIT ?", (last, _JOBS_AT_ONCE)
                    )
                ]
            if not names:
                break
            for name in names:
                while self._prune(name, now):
                    yield True
            last = names[-1]
            yield True
        with self._database.transaction() as connection:
            connection.execute(
                "DELETE FROM job WHERE removed < ? AND NOT EXISTS (SELECT 1 FROM run WHERE run.job = job.name)",
                (now - self._keep.age,),
            )
            connection.execute(
                "DELETE FROM session WHERE ended < ? AND NOT EXISTS (SELECT 1 FROM run WHERE run.outcome = '')",
                (now - self._keep.age,),
            )
        yield True
        yield from self._delete_strays(now)

    def _delete_strays(self, now: float) -> Iterator[bool]:
        """Delete output whose run is not in the history."""
        files = self._output.stored_runs()
        while some := list(islice(files, _FILES_AT_ONCE)):
            old = {run_id for run_id, _, changed in some if changed < now - _YOUNG}
            with self._database.reading() as connection:
                ids = list(old)
                old -= {
                    row[0] for row in connection.execute(f"SELECT run_id FROM run WHERE run_id IN ({marks(ids)})", ids)
                }
            self._output.delete(old)
            yield True


def limits_of(connection: sqlite3.Connection, job: str, default: Keep) -> Keep:
    """How much is kept of a job (its name as stored); `default` for one that was never defined."""
    runs, age = connection.execute("SELECT keep_runs, keep_for FROM job WHERE name = ?", (job,)).fetchone() or (None, 0)
    return default if runs is None else Keep(runs, age)


def prune(connection: sqlite3.Connection, job: str, keep: Keep, now: float, most: int) -> tuple[list[str], int]:
    """Delete what need not be kept of a job, at most `most` runs.

    Returns the ids of those that may have output, and how many they are in all.
    """
    oldest = now - keep.age
    ended = "FROM run WHERE job = ? AND outcome <> ''"
    order = "ORDER BY created DESC, number DESC LIMIT"
    surplus = connection.execute(f"SELECT created, number {ended} {order} 1 OFFSET ?", (job, keep.runs)).fetchone()
    # Of two with the same time, the one with the larger number is newer.
    created, number = surplus or (oldest, -1)
    conditions = failure_conditions()
    has_failed = " OR ".join(f"({condition})" for condition, _ in conditions)
    codes = [value for _, values in conditions for value in values]
    failures = f"SELECT number FROM run WHERE job = ? AND ({has_failed}) {order} ?"
    rows = connection.execute(
        f"SELECT number, run_id, output_size {ended} AND created <= ? AND (created < ? OR (created, number) <= (?, ?)) "
        f"AND number NOT IN ({failures}) ORDER BY created, number LIMIT ?",
        (job, max(created, oldest), oldest, created, number, job, *codes, KEPT_FAILURES, most),
    ).fetchall()
    connection.executemany("DELETE FROM run WHERE number = ?", [(number,) for number, _, _ in rows])
    return [run_id for _, run_id, size in rows if size], len(rows)
