"""The work of a `SqliteStore`, in threads: transactions, queries, files of output, upkeep."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from gcron.scheduler.history import JobSummary, Recall, RunPage, RunQuery, StoredRun, StoreFacts
from gcron.scheduler.job import Job
from gcron.scheduler.journal import Batch
from gcron.scheduler.messages import KeptMessage
from gcron.scheduler.output_buffer import OutputPiece
from gcron.scheduler.store import Fire
from gcron.state import queries, writing
from gcron.state.database import Database, size_of
from gcron.state.output import OutputFiles
from gcron.state.places import DATABASE, OUTPUT
from gcron.state.retention import Retention
from gcron.state.rules import Keep

__all__ = ["Engine"]

# Jobs that one transaction defines. Claims wait for it.
_DEFINED_AT_ONCE = 500
# Seconds after which `recall` leaves its writing to others: its caller does not wait for ever.
_TIME_TO_WRITE = 1.0


class Engine:
    """Remembers in `directory`; for its methods see `gcron.scheduler.store.Store`. `now` returns seconds of UTC."""

    def __init__(self, directory: str, keep: Keep, now: Callable[[], float]) -> None:
        self._directory = directory
        self._keep = keep
        self._now = now
        self._started = now()
        self._session = 0
        """0: this gcron is not on record yet."""
        self._recalled: tuple[Sequence[Job], float] | None = None
        """The jobs that `recall` was asked about, and when, until they are written."""
        self._database = Database(os.path.join(directory, DATABASE), self._begin_session)
        self._output = OutputFiles(os.path.join(directory, OUTPUT))
        self._retention = Retention(keep, self._database, self._output, now())
        self.read_output = self._output.read

    def _begin_session(self, connection: sqlite3.Connection) -> None:
        self._session = writing.begin_session(connection, self._started)

    # -- claims ---------------------------------------------------------------------------------------------

    def claim(self, fires: Sequence[Fire]) -> list[bool]:
        """See `Store.claim`."""
        with self._database.transaction(durable=True) as connection:
            return writing.claim(connection, fires, self._now())

    def forget(self, jobs: Sequence[str]) -> None:
        """See `Store.forget`."""
        with self._database.transaction(durable=True) as connection:
            writing.forget_claims(connection, jobs)

    # -- writing --------------------------------------------------------------------------------------------

    def write(self, batch: Batch) -> None:
        """See `Store.write`."""
        now = self._now()
        self._write_recalled()
        for start in range(0, len(batch.jobs), _DEFINED_AT_ONCE):
            with self._database.transaction() as connection:
                writing.define(connection, batch.jobs[start : start + _DEFINED_AT_ONCE], self._keep, now)
        with self._database.transaction() as connection:
            writing.mark_removed(connection, batch.removed, now)
            writing.write_pauses(connection, batch.pauses, batch.restarted, now)
            writing.write_chains(connection, batch.chains, now)
            writing.write_runs(connection, batch.runs, self._session)
            writing.end_claims(connection, batch.runs)
            writing.write_jobs(connection, batch.runs, batch.handled, now)
            writing.write_messages(connection, batch.messages, batch.dropped_messages)
        self._retention.note(batch.runs)

    def _write_recalled(self) -> None:
        """Note that these are the jobs now, and no others."""
        if self._recalled is None:
            return
        jobs, now = self._recalled
        with self._database.transaction() as connection:
            writing.define(connection, jobs, self._keep, now)
            writing.mark_others_removed(connection, jobs, now)
        self._recalled = None

    def write_output(self, pieces: Sequence[OutputPiece]) -> None:
        """See `Store.write_output`."""
        self._output.write(pieces)

    def tend(self) -> float:
        """See `Store.tend`."""
        return self._retention.step(self._now())

    def prune(self) -> None:
        """See `SqliteStore.prune`."""
        self._retention.go_round(self._now())

    def close(self) -> None:
        """See `Store.close`."""
        try:
            if self._session:
                self._write_recalled()
                with self._database.transaction() as connection:
                    writing.end_session(connection, self._session, self._now())
        finally:
            self._database.close()

    # -- reading --------------------------------------------------------------------------------------------

    def recall(self, jobs: Sequence[Job]) -> Recall:
        """See `Store.recall`."""
        now = self._now()
        asked = time.monotonic()
        with self._database.reading_at_start() as connection:
            claims = tuple(queries.find_claims(connection, jobs))
            new = writing.find_new(connection, jobs, self._keep, now)
            memories = queries.find_memories(connection, jobs, new, now)
            open_runs = tuple(queries.find_open_runs(connection, self._session))
            sessions = queries.find_sessions(connection, self._session)
        self._recalled = jobs, now
        # The orphans of a gcron that is not on record when it is killed are found by its instance alone. But no start
        # is worse than one that does not know the past: where this fails, `write` tries again, and reports it.
        if time.monotonic() - asked < _TIME_TO_WRITE:
            with suppress(sqlite3.OperationalError, OSError):
                self._write_recalled()
        return Recall(memories, open_runs, *sessions, claims)

    def messages(self, after: KeptMessage | None) -> list[KeptMessage]:
        """See `Store.messages`."""
        with self._database.reading() as connection:
            return queries.find_messages(connection, after)

    def runs(self, query: RunQuery) -> RunPage:
        """See `Store.runs`."""
        with self._database.reading() as connection:
            return queries.find_runs(connection, query)

    def run(self, run_id: str) -> StoredRun | None:
        """See `Store.run`."""
        with self._database.reading() as connection:
            return queries.find_run(connection, run_id)

    def summaries(self, jobs: Sequence[str] | None) -> Mapping[str, JobSummary]:
        """See `Store.summaries`."""
        with self._database.reading() as connection:
            return queries.find_summaries(connection, jobs)

    def facts(self) -> StoreFacts:
        """See `Store.facts`."""
        with self._database.reading() as connection:
            jobs, runs, oldest = queries.count(connection)
        output = sum(size for _, size, _ in self._output.stored_runs())
        return StoreFacts(self._directory, jobs, runs, oldest, size_of(self._database.path), output)
