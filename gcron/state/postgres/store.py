"""`PostgresStore`: history, claims and pauses in PostgreSQL, shared by several nodes; output in files of each node.

This is what the scheduler's loop touches. The work is done by `Engine`, in threads, and so `psycopg` is imported there.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from math import inf
from typing import TYPE_CHECKING, Literal

from gcron.errors import StateError
from gcron.policy.services import is_chained
from gcron.scheduler.cluster import Beat, Order, Presence, SharedFire, Verdict
from gcron.scheduler.history import JobSummary, OutputPart, Recall, RunPage, RunQuery, StoredRun, StoreFacts
from gcron.scheduler.job import Job
from gcron.scheduler.journal import Batch
from gcron.scheduler.output_buffer import OutputPiece
from gcron.scheduler.store import Fire
from gcron.state.postgres.address import shown
from gcron.state.rules import KEEP, Keep

if TYPE_CHECKING:
    from gcron.scheduler.messages import KeptMessage
    from gcron.state.postgres.engine import Engine

__all__ = ["LEASE", "PostgresStore"]

LEASE = 15.0
"""Seconds for which a node is taken to be alive after it was heard of."""


class PostgresStore:
    """Remembers in `schema` of the database at `url`, as `node`; output in `output`, a directory that may be missing.

    `lease`: seconds. `now` returns seconds of UTC by this machine's clock.
    """

    blocks = True
    keeps_history = True
    is_durable = True
    has_past = True

    def __init__(
        self,
        url: str,
        output: str,
        *,
        node: str,
        labels: frozenset[str] = frozenset(),
        schema: str = "gcron",
        when_down: Literal["run", "skip"] = "skip",
        keep: Keep = KEEP,
        lease: float = LEASE,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.where = shown(url)
        """The database, without its password."""
        self.when_down: Literal["run", "skip"] = when_down
        self.keep_output = keep.output
        self.cluster = _Cluster(self, node, labels, lease)
        self._url = url
        self._schema = schema
        self._output = output
        self._keep = keep
        self._now = now
        self._opening = threading.Lock()
        self._opened: Engine | None = None

    @property
    def engine(self) -> Engine:
        """What does the work. Raises StateError when `psycopg` is missing."""
        with self._opening:
            if self._opened is None:
                try:
                    from gcron.state.postgres.engine import Engine
                    from gcron.state.postgres.session import Session
                except ImportError as error:
                    if "psycopg" not in str(error) and "libpq" not in str(error):
                        raise
                    raise StateError(
                        f"{self.where} needs psycopg, which cannot be imported: pip install 'gcron[postgres]'"
                    ) from None
                cluster = self.cluster
                session = Session(self._url, self._schema, cluster.node, cluster.labels, cluster.lease, self._output)
                self._opened = Engine(session, cluster.labels, self._output, self._keep, self._now)
            return self._opened

    def open(self) -> str:
        """Connect, make the tables, and enter this node. Returns why that has to wait, or an empty text.

        Raises StateError for what a person can mend. Whatever is asked later tries again.
        """
        engine = self.engine
        from gcron.state.postgres.connections import DatabaseError

        try:
            engine.session.begin()
        except DatabaseError as error:
            return str(error)
        return ""

    # -- claims of what each node has for itself -------------------------------------------------------------

    def must_claim(self, job: Job) -> bool:
        """As `SqliteStore.must_claim`. Fires that nodes share are claimed by `cluster`."""
        return job.policy.catchup != "none" or is_chained(job)

    def claim(self, fires: Sequence[Fire]) -> Sequence[bool]:
        """See `Store.claim`. The fires of a job come in order: one is claimed if it is later than the latest."""
        return self.engine.claim(fires)

    def forget(self, jobs: Sequence[str]) -> None:
        """See `Store.forget`."""
        self.engine.forget(jobs)

    # -- writing --------------------------------------------------------------------------------------------

    def write(self, batch: Batch) -> None:
        """See `Store.write`."""
        self.engine.write(batch)

    def write_output(self, pieces: Sequence[OutputPiece]) -> None:
        """See `Store.write_output`."""
        self.engine.write_output(pieces)

    def tend(self) -> float:
        """See `Store.tend`."""
        return inf if self._opened is None else self._opened.tend()

    def prune(self) -> None:
        """Delete at once all that need not be kept."""
        self.engine.prune()

    def close(self) -> None:
        """See `Store.close`. A later call opens it again."""
        with self._opening:
            opened, self._opened = self._opened, None
        if opened is not None:
            opened.close()

    # -- reading --------------------------------------------------------------------------------------------

    def recall(self, jobs: Sequence[Job]) -> Recall:
        """See `Store.recall`."""
        return self.engine.recall(jobs)

    def messages(self, after: KeptMessage | None = None) -> Sequence[KeptMessage]:
        """See `Store.messages`."""
        return self.engine.messages(after)

    def runs(self, query: RunQuery) -> RunPage:
        """See `Store.runs`."""
        return self.engine.runs(query)

    def run(self, run_id: str) -> StoredRun | None:
        """See `Store.run`."""
        return self.engine.run(run_id)

    def output(self, run_id: str, position: int = 0, limit: int = 65536) -> OutputPart | None:
        """See `Store.output`."""
        return self.engine.output(run_id, position, limit)

    def summaries(self, jobs: Sequence[str] | None = None) -> Mapping[str, JobSummary]:
        """See `Store.summaries`."""
        return self.engine.summaries(jobs)

    def facts(self) -> StoreFacts:
        """See `Store.facts`."""
        return self.engine.facts()


class _Cluster:
    """See `gcron.scheduler.cluster.Cluster`. Passes calls on to the engine's, which is made in a thread."""

    def __init__(self, store: PostgresStore, node: str, labels: frozenset[str], lease: float) -> None:
        self.node = node
        self.labels = labels
        self.lease = lease
        self._store = store

    def claim(self, fires: Sequence[SharedFire]) -> Sequence[Verdict]:
        return self._store.engine.cluster.claim(fires)

    def release(self, fences: Sequence[int]) -> None:
        self._store.engine.cluster.release(fences)

    def beat(self, presence: Presence, skew: float | None) -> Beat:
        return self._store.engine.cluster.beat(presence, skew)

    def send(self, node: str, order: Order) -> None:
        self._store.engine.cluster.send(node, order)
