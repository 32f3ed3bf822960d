"""The work of a `PostgresStore`, in threads; for the methods see `gcron.scheduler.store.Store`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TypeVar

from gcron.scheduler.history import JobSummary, OutputPart, Recall, RunPage, RunQuery, StoredRun, StoreFacts
from gcron.scheduler.job import Job
from gcron.scheduler.journal import Batch
from gcron.scheduler.messages import KeptMessage
from gcron.scheduler.output_buffer import OutputPiece
from gcron.scheduler.store import Fire, RecordsRefused
from gcron.state.output import OutputFiles
from gcron.state.postgres import reading
from gcron.state.postgres.cluster import PostgresCluster
from gcron.state.postgres.connections import DatabaseError
from gcron.state.postgres.records import batch_of, definitions_of, fires_of, parts_of, storable
from gcron.state.postgres.schema import quoted
from gcron.state.postgres.session import Session
from gcron.state.postgres.upkeep import Copies, Retention, copied_part
from gcron.state.rules import Keep

__all__ = ["Engine"]

T = TypeVar("T")

Refusal = tuple[Batch, DatabaseError]
"""One record, and why the database does not take it."""
# Characters of a name or an error that a message has.
_SHOWN = 200

# What one statement takes of each: it ends within a tenth of the time it has.
_RUNS_AT_ONCE, _DEFINED_AT_ONCE, _MESSAGES_AT_ONCE = 500, 1000, 100
_WRITE = "SELECT {s}.write(%s, %s, %s::jsonb, %s)"
_NEVER = -1e300


class Engine:
    """Remembers in the database of `session`, and output in `directory`. `now` returns seconds of UTC."""

    def __init__(
        self, session: Session, labels: frozenset[str], directory: str, keep: Keep, now: Callable[[], float]
    ) -> None:
        self.session = session
        self.cluster = PostgresCluster(session, session.node, labels)
        self._keep = keep
        self._now = now
        self._output = OutputFiles(directory)
        self._retention = Retention(keep, session, self._output, now())
        self._copies = Copies(session, self._output)
        self._recalled: tuple[Sequence[Job], float] | None = None
        """The jobs that `recall` was asked about, and when, until they are written."""

    # -- claims ---------------------------------------------------------------------------------------------

    def claim(self, fires: Sequence[Fire]) -> list[bool]:
        """See `Store.claim`."""
        values = [self.session.node, fires_of(fires), self._now()]
        ((answers,),) = self.session.execute("SELECT {s}.claim_own(%s, %s::jsonb, %s)", values, urgent=True)
        return list(answers)

    def forget(self, jobs: Sequence[str]) -> None:
        """See `Store.forget`. Claims that nodes share stay: the time that counts there is the database's."""
        values = [self.session.node, [storable(name) for name in jobs]]
        self.session.execute("SELECT {s}.forget_own(%s, %s)", values, urgent=True)

    # -- writing --------------------------------------------------------------------------------------------

    def write(self, batch: Batch) -> None:
        """See `Store.write`.

        A large batch is several statements, each short: after an outage there may be 20,000 runs. When one fails, the
        whole batch comes again, and what was written then changes nothing. Raises RecordsRefused.
        """
        self._write_recalled()
        now = self._now()
        rest = batch
        refusals: list[Refusal] = []
        if len(batch.runs) > _RUNS_AT_ONCE:
            refusals += self._write(Batch(removed=batch.removed, restarted=batch.restarted), now)
            for runs in _cut(batch.runs, _RUNS_AT_ONCE):
                refusals += self._write(Batch(runs=runs), now)
            rest = rest._replace(removed=(), restarted={}, runs=())
        for jobs in _cut(batch.jobs, _DEFINED_AT_ONCE):
            refusals += self._write(Batch(jobs=jobs), now)
        for messages in _cut(batch.messages, _MESSAGES_AT_ONCE):
            refusals += self._write(Batch(messages=messages), now)
        refusals += self._write(rest._replace(jobs=(), messages=()), now)
        self._retention.note(batch.runs)
        self._copies.note_runs(batch.runs, now)
        if refusals:
            lost = sum(run.outcome != "" for refused, _ in refusals for run in refused.runs)
            raise RecordsRefused(lost, f"{len(refusals)} refused, such as {_describe(*refusals[0])}")

    def _write(self, batch: Batch, now: float) -> list[Refusal]:
        """Write it; returns what the database refuses of it. One wrong record must not keep all others out."""
        try:
            self._send(batch, now)
        except DatabaseError as error:
            if not batch or not error.is_about_values:
                raise
            parts = parts_of(batch)
            return [each for part in parts for each in self._write(part, now)] if parts else [(batch, error)]
        return []

    def _send(self, batch: Batch, now: float) -> None:
        session = self.session
        session.execute(_WRITE, [session.incarnation, session.node, batch_of(batch, self._keep), now])

    def _write_recalled(self) -> None:
        """Note that these are the jobs now, and no others."""
        if self._recalled is None:
            return
        jobs, now = self._recalled
        before = self._definitions()
        changed = [
            job
            for job, definition in zip(jobs, definitions_of(jobs, self._keep), strict=True)
            if before.get(definition["name"])
            != (definition["schedule"], definition["keep_runs"], definition["keep_for"])
        ]
        for some in _cut(tuple(changed), _DEFINED_AT_ONCE):
            self._send(Batch(jobs=some), now)
        gone = before.keys() - {storable(job.name) for job in jobs}
        if gone:
            self._send(Batch(removed=tuple(gone)), now)
        self._recalled = None

    def _definitions(self) -> dict[str, tuple[str | None, int | None, float | None]]:
        """By name, what this node knew of its jobs."""
        return {name: tuple(row) for name, *row in self.session.execute(reading.DEFINITIONS, [self.session.node])}

    def write_output(self, pieces: Sequence[OutputPiece]) -> None:
        """See `Store.write_output`."""
        self._copies.note_output([piece.run_id for piece in pieces], self._now())
        self._output.write(pieces)

    def tend(self) -> float:
        """See `Store.tend`."""
        now = self._now()
        return min(self._copies.step(now), self._retention.step(now))

    def prune(self) -> None:
        """See `PostgresStore.prune`."""
        self._retention.go_round(self._now())

    def close(self) -> None:
        """See `Store.close`."""
        try:
            self._write_recalled()
            self._copies.finish()
        finally:
            self.session.close()

    # -- reading --------------------------------------------------------------------------------------------

    def recall(self, jobs: Sequence[Job]) -> Recall:
        """See `Store.recall`."""
        session = self.session
        now = self._now()
        incarnation = session.incarnation
        names = {storable(job.name): job.name for job in jobs}
        before = self._definitions()
        digests = definitions_of(jobs, self._keep)
        new = {names[each["name"]] for each in digests if (before.get(each["name"]) or (None,))[0] != each["schedule"]}
        claims = reading.fires_of(session.execute(reading.CLAIMS, [session.node, incarnation]), names)
        memories = reading.memories_of(session.execute(reading.MEMORIES, [list(names), session.node]), names, new, now)
        open_runs = reading.open_runs_of(
            session.execute(reading.OPEN_RUNS, [session.node, incarnation, session.started, incarnation])
        )
        held = frozenset(fence for (fence,) in session.execute(reading.HELD, [incarnation]))
        processes = session.execute(reading.PROCESSES, [session.node, session.boot_id, session.started])
        self._recalled = jobs, now
        with suppress(DatabaseError):  # `write` tries again, and reports it
            self._write_recalled()
        killed = frozenset(pid for pid, was_killed in processes if was_killed)
        return Recall(memories, open_runs, session.boot_id, bool(processes), killed, claims, held=held)

    def messages(self, after: KeptMessage | None) -> list[KeptMessage]:
        """See `Store.messages`."""
        place = (_NEVER, "", "") if after is None else (after.time, after.message_id, storable(after.target))
        return reading.messages_of(self.session.execute(reading.MESSAGES, [self.session.node, *place]))

    def runs(self, query: RunQuery) -> RunPage:
        """See `Store.runs`."""
        return reading.page_of_rows(self.session.execute(*reading.query_of_runs(query)), query.limit)

    def run(self, run_id: str) -> StoredRun | None:
        """See `Store.run`."""
        rows = self.session.execute(reading.RUN, [storable(run_id)])
        return StoredRun(*rows[0]) if rows else None

    def output(self, run_id: str, position: int, limit: int) -> OutputPart | None:
        """See `Store.output`. Of a run on another node: the beginning and the end, as of some seconds ago."""
        part = self._output.read(run_id, position, limit)
        if part is not None:
            return part
        rows = self.session.execute(reading.OUTPUT, [storable(run_id)])
        return copied_part(rows[0], position, limit) if rows else None

    def summaries(self, jobs: Sequence[str] | None) -> Mapping[str, JobSummary]:
        """See `Store.summaries`."""
        if jobs is None:
            return reading.summaries_of(self.session.execute(reading.SUMMARIES), {})
        names = {storable(name): name for name in jobs}
        return reading.summaries_of(self.session.execute(reading.SUMMARIES_OF, [list(names)]), names)

    def facts(self) -> StoreFacts:
        """See `Store.facts`. Output: that of this node."""
        ((jobs, runs, oldest, size),) = self.session.execute(reading.COUNTS, [quoted(self.session.schema)])
        output = sum(size for _, size, _ in self._output.stored_runs())
        return StoreFacts(self.session.connections.shown, jobs, runs, oldest, size, output)


def _describe(refused: Batch, error: DatabaseError) -> str:
    what = next(name for name, records in zip(Batch._fields, refused, strict=True) if records)
    names = ", ".join(f"{run.run_id} of job {run.job[:_SHOWN]!r}" for run in refused.runs)
    return f"{what} {names}: {str(error)[:_SHOWN]}" if names else f"{what}: {str(error)[:_SHOWN]}"


def _cut(items: tuple[T, ...], size: int) -> Iterator[tuple[T, ...]]:
    return (items[start : start + size] for start in range(0, len(items), size))
