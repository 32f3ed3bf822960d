"""What a person does with a history, also while a gcron writes it: look, check, compact, export, prune.

A damaged database stays where it is: the gcron that writes it moves it aside.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

from gcron.errors import StateError
from gcron.frozen import replace
from gcron.scheduler.history import StoredRun, StoreFacts
from gcron.state import queries
from gcron.state.database import connect, size_of
from gcron.state.output import OutputFiles
from gcron.state.places import DATABASE, OUTPUT
from gcron.state.retention import limits_of, prune
from gcron.state.rules import KEEP
from gcron.state.schema import NEWEST, why_refused

__all__ = ["Upkeep"]

# Seconds to wait for the gcron that writes, or for a reader of it.
_BUSY = 10.0
_MOST_DELETED = 500


class Upkeep:
    """The history in `directory`. All methods raise StateError, sqlite3.Error and OSError."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._path = os.path.join(directory, DATABASE)
        self._output = OutputFiles(os.path.join(directory, OUTPUT))

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        if not os.path.exists(self._path):
            raise StateError(f"there is no history in {self._directory}")
        with closing(connect(self._path)) as connection:
            connection.execute(f"PRAGMA busy_timeout = {_BUSY * 1000:.0f}")
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            (application,) = connection.execute("PRAGMA application_id").fetchone()
            if reason := why_refused(self._path, version, application, is_empty=False):
                raise StateError(reason)
            if version < NEWEST:
                raise StateError(f"{self._path} is of an older gcron: gcron run moves it forward")
            yield connection

    def facts(self) -> StoreFacts:
        """Where it is and how much there is."""
        with self._open() as connection:
            jobs, runs, oldest = queries.count(connection)
        output = sum(size for _, size, _ in self._output.stored_runs())
        return StoreFacts(self._directory, jobs, runs, oldest, size_of(self._path), output)

    def check(self) -> list[str]:
        """What is wrong with the database; nothing when it is whole (PRAGMA integrity_check)."""
        with self._open() as connection:
            found = [str(row[0]) for row in connection.execute("PRAGMA integrity_check")]
        return [] if found == ["ok"] else found

    def compact(self) -> None:
        """Give the space of what was deleted back to the disk."""
        with self._open() as connection:
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def export(self) -> Iterator[StoredRun]:
        """All runs, oldest first."""
        with self._open() as connection:
            yield from queries.all_runs(connection)

    def prune(self, runs: int | None, age: float | None) -> int:
        """Delete what need not be kept; returns how many runs. `runs` and `age` (seconds): instead of the jobs' own."""
        now = time.time()
        number = 0
        with self._open() as connection:
            for (job,) in connection.execute("SELECT name FROM job").fetchall():
                keep = limits_of(connection, job, KEEP)
                keep = replace(keep, runs=keep.runs if runs is None else runs, age=keep.age if age is None else age)
                while True:
                    connection.execute("BEGIN IMMEDIATE")
                    deleted, rows = prune(connection, job, keep, now, _MOST_DELETED)
                    connection.execute("COMMIT")
                    self._output.delete(deleted)
                    number += rows
                    if rows < _MOST_DELETED:
                        break
        return number
